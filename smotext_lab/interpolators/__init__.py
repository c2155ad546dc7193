"""Interpolators: from vectors and labels to a plan of new points.

`plan(vectors, labels, n)` says for each new row which texts it blends and with which
weights; `Blends.points` computes the vectors. The five of the SMOTE family draw as
imbalanced-learn's samplers do: the same random numbers in the same order, so that with
``normalize=False`` the points are its points. The draws are made here, not by calling its
samplers, because those return vectors only: which parents and which weights cannot be told
from them, and a million vectors are gigabytes where a plan is megabytes.

How a stream is spent is part of that promise. An int seed starts a new stream for every
group of rows (a class; a cluster in k-means; the inward and the outward rows in SVM-SMOTE;
the shortened steps in borderline-2), except in ADASYN and for SVM-SMOTE's shares, where one
stream runs through the classes. A `RandomState` runs through everything.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from smotext_lab.interpolators.approximate import IVFNeighbors as IVFNeighbors
    from smotext_lab.interpolators.blends import Blending as Blending
    from smotext_lab.interpolators.blends import Blends as Blends
    from smotext_lab.interpolators.blends import path as path
    from smotext_lab.interpolators.blends import path_weights as path_weights
    from smotext_lab.interpolators.densities import ADASYNInterpolator as ADASYNInterpolator
    from smotext_lab.interpolators.densities import (
        KMeansSMOTEInterpolator as KMeansSMOTEInterpolator,
    )
    from smotext_lab.interpolators.mixing import DirichletInterpolator as DirichletInterpolator
    from smotext_lab.interpolators.mixing import MixupInterpolator as MixupInterpolator
    from smotext_lab.interpolators.mixing import RandomPairInterpolator as RandomPairInterpolator
    from smotext_lab.interpolators.planning import BaseInterpolator as BaseInterpolator
    from smotext_lab.interpolators.planning import Interpolator as Interpolator
    from smotext_lab.interpolators.planning import plan_exactly as plan_exactly
    from smotext_lab.interpolators.smote import (
        BorderlineSMOTEInterpolator as BorderlineSMOTEInterpolator,
    )
    from smotext_lab.interpolators.smote import SMOTEInterpolator as SMOTEInterpolator
    from smotext_lab.interpolators.smote import SVMSMOTEInterpolator as SVMSMOTEInterpolator

# scikit-learn takes a second to import, and a walk between two texts needs none of it
_HOMES = {
    "ADASYNInterpolator": "densities",
    "BaseInterpolator": "planning",
    "Blending": "blends",
    "Blends": "blends",
    "BorderlineSMOTEInterpolator": "smote",
    "DirichletInterpolator": "mixing",
    "IVFNeighbors": "approximate",
    "Interpolator": "planning",
    "KMeansSMOTEInterpolator": "densities",
    "MixupInterpolator": "mixing",
    "RandomPairInterpolator": "mixing",
    "SMOTEInterpolator": "smote",
    "SVMSMOTEInterpolator": "smote",
    "path": "blends",
    "path_weights": "blends",
    "plan_exactly": "planning",
}

__all__ = [
    "ADASYNInterpolator",
    "BaseInterpolator",
    "Blending",
    "Blends",
    "BorderlineSMOTEInterpolator",
    "DirichletInterpolator",
    "IVFNeighbors",
    "Interpolator",
    "KMeansSMOTEInterpolator",
    "MixupInterpolator",
    "RandomPairInterpolator",
    "SMOTEInterpolator",
    "SVMSMOTEInterpolator",
    "path",
    "path_weights",
    "plan_exactly",
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
