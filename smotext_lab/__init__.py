"""smotext-lab: new labelled texts by SMOTE in latent space (SMOTExT, arXiv 2505.13434).

Names load on first use (PEP 562): importing the package loads neither torch nor
transformers, so a notebook's first cell answers at once.
"""

from __future__ import annotations

import importlib
from typing import Any

from smotext_lab._version import __version__

_HOMES = {
    "SMOTExT": "sampler",
    "BertEncoder": "encoders",
    "SFREncoder": "encoders",
    "XRAGDecoder": "decoders",
    "Bridge": "bridges",
    "load_bridge": "bridges",
    "Synthesis": "synthesis",
    "Guards": "guards",
    "load_dataset": "datasets",
    "SMOTEInterpolator": "interpolators",
    "BorderlineSMOTEInterpolator": "interpolators",
    "SVMSMOTEInterpolator": "interpolators",
    "KMeansSMOTEInterpolator": "interpolators",
    "ADASYNInterpolator": "interpolators",
    "RandomPairInterpolator": "interpolators",
    "MixupInterpolator": "interpolators",
    "DirichletInterpolator": "interpolators",
    "path": "interpolators",
    "SmotextError": "errors",
    "run_report": "reports",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
