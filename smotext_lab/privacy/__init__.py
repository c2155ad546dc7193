"""Privacy that is stated, accounted for, and attacked.

Mechanisms release only what a differential privacy guarantee covers; audits attack what was made,
by whatever way. Plain SMOTExT gives no guarantee.
"""

from __future__ import annotations

from smotext_lab.privacy.budget import PrivacyBudget
from smotext_lab.privacy.guarantee import Guarantee

__all__ = ["Guarantee", "PrivacyBudget"]
