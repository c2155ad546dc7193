"""Ways of getting more training texts out of few: SMOTExT, and what it must be better than."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from smotext_lab import cache
from smotext_lab.encoders import Encoder
from smotext_lab.errors import ParameterError, did_you_mean
from smotext_lab.evaluation import recalling
from smotext_lab.evaluation.classifiers import Remembering
from smotext_lab.evaluation.prompting import prompted, prompting_code
from smotext_lab.evaluation.recalling import RecallingDecoder
from smotext_lab.evaluation.training import TrainingTexts
from smotext_lab.evaluation.word_edits import aeda, eda
from smotext_lab.identity import described, models_of
from smotext_lab.interpolators import RandomPairInterpolator, SMOTEInterpolator
from smotext_lab.interpolators.neighborhoods import Labelled
from smotext_lab.interpolators.planning import BaseInterpolator, Draw

__all__ = [
    "METHODS",
    "WRITTEN",
    "Method",
    "Models",
    "ParaphraseInterpolator",
    "check",
    "identity_of",
    "method",
]

_KEPT = ["text", "label", "reason"]  # columns in the cache: refused texts have a reason


@dataclass(frozen=True, eq=False)
class Models:
    """What the methods that read vectors or write texts work with.

    Attributes
    ----------
    encoder : Encoder
    decoder : XRAGDecoder
    k_neighbors : int
        SMOTE's.
    single : XRAGDecoder, optional
        One whose bridge is xRAG's projector (``mlp2x_gelu``), for *single token*.
    """

    encoder: Encoder
    decoder: Any
    k_neighbors: int = 5
    single: Any = None


class Method(Protocol):
    """Makes new training texts (or points) from real ones."""

    def __call__(
        self, real: TrainingTexts, n: Mapping[str, int], models: Models, random_state: int
    ) -> TrainingTexts:
        """Return about ``n[label]`` new ones of each class, without the real ones."""
        ...


class ParaphraseInterpolator(BaseInterpolator):
    """Take single texts of a class: λ = 0, writing without mixing.

    The control that tells what SMOTExT owes to interpolation, and what to the language model.

    Parameters
    ----------
    random_state : int, RandomState or None, default=None

    Examples
    --------
    >>> plan = ParaphraseInterpolator(random_state=0).plan(np.eye(2), ["a", "a"], {"a": 3})
    >>> plan.weights[:, 0].tolist()
    [1.0, 1.0, 1.0]
    """

    def __init__(self, *, random_state: Any = None) -> None:
        self.random_state = random_state

    def _draw(self, data: Labelled, wanted: dict[int, int], random_state: Any) -> Iterator[Draw]:
        rng = np.random.default_rng(random_state)
        for code, count in wanted.items():
            rows = data.rows(code)
            # every text once before any comes again
            turns = [rng.permutation(rows) for _ in range(-(-count // len(rows)))]
            chosen = np.concatenate([*turns, rows[:0]])[:count]
            yield Draw.pairs(code, np.stack([chosen, chosen], axis=1), np.zeros(count))


def identity_of(encoder: Encoder) -> tuple[str, Any]:
    """Return what stands for an encoder: its weights and, of ours, how it reads with them.

    Of one of the user's own, whose ``repr`` may be another in every process, the weights' alone.
    """
    inner = encoder.encoder if isinstance(encoder, Remembering) else encoder
    return inner.fingerprint, described(inner).get("parameters")


def method(name: str) -> Method:
    """Return a way of making training texts by its name.

    Parameters
    ----------
    name : str
        One of `METHODS`, or ``"module:function"`` for one of your own, which is imported.

    Raises
    ------
    ParameterError
        If there is none of that name.
    """
    if name not in METHODS:
        module, _, function = name.partition(":")
        if function:
            return _own(module, function)
        msg = f"no method {name!r}{did_you_mean(name, METHODS)}: use one of {', '.join(METHODS)}"
        raise ParameterError(msg)
    return METHODS[name]


def _own(module: str, function: str) -> Method:
    try:
        found = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        msg = f"the method '{module}:{function}' cannot be imported: {error}"
        raise ParameterError(msg) from error
    if not callable(found):
        msg = f"the method '{module}:{function}' is a {type(found).__name__}, no function"
        raise ParameterError(msg)
    made: Method = found
    return made


def check(name: str, models: Models) -> None:
    """Refuse a method that there is not, or that lacks what it works with.

    Raises
    ------
    ParameterError
    """
    method(name)
    if name == "single token" and models.single is None:
        msg = (
            "'single token' needs a bridge with xRAG's one token: train one (train-bridge --kind "
            "mlp2x_gelu) and give it as single_token, from Python as Models(single=…)"
        )
        raise ParameterError(msg)


def _duplicated(
    real: TrainingTexts, n: Mapping[str, int], models: Models, random_state: int
) -> TrainingTexts:
    del models
    rng = np.random.default_rng(random_state)
    drawn = [rng.choice(np.flatnonzero(real.labels == label), count) for label, count in n.items()]
    rows = np.concatenate([np.empty(0, int), *drawn])
    return TrainingTexts([real.texts[row] for row in rows], real.labels[rows])


def _points(
    real: TrainingTexts, n: Mapping[str, int], models: Models, random_state: int
) -> TrainingTexts:
    vectors = models.encoder.encode(real.texts)
    with _quietly():
        plan = SMOTEInterpolator(models.k_neighbors).plan(
            vectors, real.labels, dict(n), random_state=random_state
        )
    return TrainingTexts(
        [], real.labels[:0], points=plan.points(vectors), point_labels=np.asarray(plan.label)
    )


def _edited(edit: Callable[[str, np.random.Generator], str]) -> Method:
    def make(
        real: TrainingTexts, n: Mapping[str, int], models: Models, random_state: int
    ) -> TrainingTexts:
        again = _duplicated(real, n, models, random_state)
        rng = np.random.default_rng([random_state, 1])
        return TrainingTexts([edit(text, rng) for text in again.texts], again.labels)

    return make


def _single_token(
    real: TrainingTexts, n: Mapping[str, int], models: Models, random_state: int
) -> TrainingTexts:
    return METHODS["smotext"](real, n, replace(models, decoder=models.single), random_state)


def _decoded(interpolator: Callable[[int], BaseInterpolator]) -> Method:
    def make(
        real: TrainingTexts, n: Mapping[str, int], models: Models, random_state: int
    ) -> TrainingTexts:
        from smotext_lab.sampler import SMOTExT

        blending = interpolator(models.k_neighbors)

        def write(unfinished: Path | None) -> pd.DataFrame:
            decoder = models.decoder
            if unfinished is not None:
                decoder = RecallingDecoder(decoder, unfinished)
            sampler = SMOTExT(
                interpolator=blending,
                encoder=models.encoder,
                decoder=decoder,
                random_state=random_state,
                progress=False,
            )
            with _quietly():
                found = sampler.generate(real.texts, real.labels, dict(n))
            if found.info.get("interrupted"):  # half a pool must not be taken for a whole one
                raise KeyboardInterrupt
            return found.frame[_KEPT].reset_index(drop=True)

        # what has a part in it and is not of the road, whose code every key holds
        code = [inspect.getsource(each) for each in (_decoded, recalling, type(blending))]
        asked = (code, models.k_neighbors, random_state)
        return _from_cache(asked, real, n, models, write)

    return make


def _prompted(
    real: TrainingTexts, n: Mapping[str, int], models: Models, random_state: int
) -> TrainingTexts:
    def write(unfinished: Path | None) -> pd.DataFrame:
        made = prompted(
            real.texts, real.labels, n, models.decoder, random_state, unfinished=unfinished
        )
        return made.assign(reason=None)

    return _from_cache(("prompted", prompting_code(), random_state), real, n, models, write)


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Say nothing of classes with few neighbours: protocols draw them so.

    Nor where the texts are of a run that is interrupted: they are kept for the next one.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "SMOTEInterpolator: class", UserWarning)
        warnings.filterwarnings("ignore", "Interrupted:", UserWarning)
        yield


def _from_cache(
    asked: tuple[Any, ...],
    real: TrainingTexts,
    n: Mapping[str, int],
    models: Models,
    write: Callable[[Path | None], pd.DataFrame],
) -> TrainingTexts:
    own = (described(models.decoder), models_of(models.decoder), identity_of(models.encoder))
    texts = (real.texts, real.labels.tolist())
    key = cache.content_key(_KEPT, asked, texts, dict(n), own, cache.code_key())
    found = cache.kept(key, lambda: write(cache.unfinished(key)))
    taken = found["reason"].isna()
    return TrainingTexts(
        found.loc[taken, "text"].tolist(),
        found.loc[taken, "label"].to_numpy(dtype=object).astype(str),
        refused=found[~taken].reset_index(drop=True),
    )


METHODS: dict[str, Method] = {
    "smotext": _decoded(SMOTEInterpolator),
    "paraphrase": _decoded(lambda _k: ParaphraseInterpolator()),
    "random pairs": _decoded(lambda _k: RandomPairInterpolator()),
    "duplication": _duplicated,
    "smote on vectors": _points,
    "eda": _edited(eda),
    "aeda": _edited(aeda),
    "prompted": _prompted,
    "single token": _single_token,
}
"""*smotext*: the project's road. *paraphrase*: the same with λ = 0. *random pairs*: the same with
any two texts of a class in place of neighbours. *duplication*: random over-sampling. *smote on
vectors*: nothing is decoded, so only classifiers that read vectors take part. *eda*, *aeda*: words
changed (`word_edits`). *prompted*: the same language model without the bridge, shown two texts.
*single token*: SMOTExT with xRAG's projector as the bridge, where one is trained."""

WRITTEN = ("smotext", "paraphrase", "random pairs", "prompted", "single token")
"""Those that a language model writes for: the others cost next to nothing."""
