"""Privacy that is stated, accounted for, and attacked.

Mechanisms release only what a differential privacy guarantee covers; audits attack what was made,
by whatever way. Plain SMOTExT gives no guarantee.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from smotext_lab.privacy.anchors import Anchors as Anchors
    from smotext_lab.privacy.auditing import Audit as Audit
    from smotext_lab.privacy.auditing import audit as audit
    from smotext_lab.privacy.budget import PrivacyBudget as PrivacyBudget
    from smotext_lab.privacy.canaries import Canaries as Canaries
    from smotext_lab.privacy.canaries import canary_audit as canary_audit
    from smotext_lab.privacy.dp_anchors import DPAnchors as DPAnchors
    from smotext_lab.privacy.dp_gaussian import DPGaussian as DPGaussian
    from smotext_lab.privacy.dp_projector import DPProjector as DPProjector
    from smotext_lab.privacy.evolution import PrivateEvolution as PrivateEvolution
    from smotext_lab.privacy.guarantee import Guarantee as Guarantee
    from smotext_lab.privacy.heuristic import HeuristicNoise as HeuristicNoise
    from smotext_lab.privacy.masking import find_personal as find_personal
    from smotext_lab.privacy.masking import mask as mask

_HOMES = {
    "Anchors": "anchors",
    "Audit": "auditing",
    "Canaries": "canaries",
    "DPAnchors": "dp_anchors",
    "DPGaussian": "dp_gaussian",
    "DPProjector": "dp_projector",
    "Guarantee": "guarantee",
    "HeuristicNoise": "heuristic",
    "PrivacyBudget": "budget",
    "PrivateEvolution": "evolution",
    "audit": "auditing",
    "canary_audit": "canaries",
    "find_personal": "masking",
    "mask": "masking",
    "unconditional_texts": "unconditional",
}

__all__ = [
    "Anchors",
    "Audit",
    "Canaries",
    "DPAnchors",
    "DPGaussian",
    "DPProjector",
    "Guarantee",
    "HeuristicNoise",
    "PrivacyBudget",
    "PrivateEvolution",
    "audit",
    "canary_audit",
    "find_personal",
    "mask",
    "unconditional_texts",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
