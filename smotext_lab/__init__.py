"""smotext-lab: new labelled texts by SMOTE in latent space (SMOTExT, arXiv 2505.13434).

Names load on first use (PEP 562): importing the package loads neither torch nor
transformers, so a notebook's first cell answers at once.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from smotext_lab._version import __version__

if TYPE_CHECKING:
    from smotext_lab.bridges import Bridge as Bridge
    from smotext_lab.bridges import load_bridge as load_bridge
    from smotext_lab.datasets import load_dataset as load_dataset
    from smotext_lab.decoders import XRAGDecoder as XRAGDecoder
    from smotext_lab.encoders import BertEncoder as BertEncoder
    from smotext_lab.encoders import SFREncoder as SFREncoder
    from smotext_lab.equipment import named_decoder as named_decoder
    from smotext_lab.equipment import shared_decoder as shared_decoder
    from smotext_lab.errors import SmotextError as SmotextError
    from smotext_lab.guards import Guards as Guards
    from smotext_lab.interpolators import ADASYNInterpolator as ADASYNInterpolator
    from smotext_lab.interpolators import BorderlineSMOTEInterpolator as BorderlineSMOTEInterpolator
    from smotext_lab.interpolators import DirichletInterpolator as DirichletInterpolator
    from smotext_lab.interpolators import KMeansSMOTEInterpolator as KMeansSMOTEInterpolator
    from smotext_lab.interpolators import MixupInterpolator as MixupInterpolator
    from smotext_lab.interpolators import RandomPairInterpolator as RandomPairInterpolator
    from smotext_lab.interpolators import SMOTEInterpolator as SMOTEInterpolator
    from smotext_lab.interpolators import SVMSMOTEInterpolator as SVMSMOTEInterpolator
    from smotext_lab.interpolators import path as path
    from smotext_lab.jupyter.widgets.balance import ClassBalance as ClassBalance
    from smotext_lab.jupyter.widgets.comparison import DecoderComparison as DecoderComparison
    from smotext_lab.jupyter.widgets.explorer import InterpolationExplorer as InterpolationExplorer
    from smotext_lab.jupyter.widgets.latent_map import LatentMap as LatentMap
    from smotext_lab.jupyter.widgets.report_form import ReportForm as ReportForm
    from smotext_lab.jupyter.widgets.review import SynthesisReview as SynthesisReview
    from smotext_lab.paths import TextPath as TextPath
    from smotext_lab.paths import text_path as text_path
    from smotext_lab.reports import run_report as run_report
    from smotext_lab.sampler import SMOTExT as SMOTExT
    from smotext_lab.synthesis import Synthesis as Synthesis

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
    "TextPath": "paths",
    "text_path": "paths",
    "run_report": "reports",
    "named_decoder": "equipment",
    "shared_decoder": "equipment",
    "ClassBalance": "jupyter.widgets.balance",
    "DecoderComparison": "jupyter.widgets.comparison",
    "InterpolationExplorer": "jupyter.widgets.explorer",
    "LatentMap": "jupyter.widgets.latent_map",
    "ReportForm": "jupyter.widgets.report_form",
    "SynthesisReview": "jupyter.widgets.review",
}

__all__ = [
    "ADASYNInterpolator",
    "BertEncoder",
    "BorderlineSMOTEInterpolator",
    "Bridge",
    "ClassBalance",
    "DecoderComparison",
    "DirichletInterpolator",
    "Guards",
    "InterpolationExplorer",
    "KMeansSMOTEInterpolator",
    "LatentMap",
    "MixupInterpolator",
    "RandomPairInterpolator",
    "ReportForm",
    "SFREncoder",
    "SMOTEInterpolator",
    "SMOTExT",
    "SVMSMOTEInterpolator",
    "SmotextError",
    "Synthesis",
    "SynthesisReview",
    "TextPath",
    "XRAGDecoder",
    "__version__",
    "load_bridge",
    "load_dataset",
    "named_decoder",
    "path",
    "run_report",
    "shared_decoder",
    "text_path",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def load_ipython_extension(ipython: Any) -> None:
    """Load ``%smotext`` and ``%%smotext``; ``%load_ext smotext_lab`` calls it."""
    from smotext_lab import jupyter

    jupyter.load(ipython)


def unload_ipython_extension(ipython: Any) -> None:
    """Take the magic out again; ``%unload_ext smotext_lab`` calls it."""
    from smotext_lab import jupyter

    jupyter.unload(ipython)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
