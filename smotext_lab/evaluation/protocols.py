"""Five questions to new texts, each asked so that the answer may be no.

Every protocol trains the same classifiers on the same resamples of real texts, with and without
what a method brings, and tests them on real texts that nothing was made from.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from smotext_lab.errors import DataError
from smotext_lab.evaluation.classifiers import Remembering, text_classifier
from smotext_lab.evaluation.methods import Models
from smotext_lab.evaluation.noise import STRENGTHS, noises, noisy
from smotext_lab.evaluation.splits import Split
from smotext_lab.evaluation.study import Arm, Resample, Results, Study
from smotext_lab.evaluation.training import TrainingTexts

__all__ = [
    "class_imbalance",
    "distillation",
    "few_shot",
    "robustness",
    "synthetic_only",
]

_CONTROLS = (
    "duplication",
    "smote on vectors",
    "paraphrase",
    "random pairs",
    "eda",
    "aeda",
    "prompted",
)


def few_shot(
    split: Split,
    models: Models,
    *,
    ks: Sequence[int] = (5, 10, 20, 50),
    times: Sequence[float] = (1, 4, 10),
    controls: Sequence[str] = _CONTROLS,
    classifiers: Sequence[Any] = ("tfidf-logreg", "embedding-logreg"),
    resamples: int = 10,
    store: Any = None,
    random_state: int = 0,
    progress: bool = True,
) -> Results:
    """Ask whether new texts beside few real ones help: `k` real texts of each class.

    Parameters
    ----------
    split : Split
    models : Models
    ks : sequence of int
        Real texts of each class; classes with fewer are left out of that `k`.
    times : sequence of float
        New texts for each real one; the fewer are the first of the most.
    controls : sequence of str
        Of `METHODS`, at the middle of `times`.
    classifiers : sequence of str or estimator
        See `text_classifier`.
    resamples : int
    store : str or Path, optional
        A folder that keeps what is measured; the same call goes on from it.
    random_state : int
    progress : bool

    Returns
    -------
    Results

    Raises
    ------
    DataError
        If fewer than two classes have enough texts.

    Examples
    --------
    >>> from smotext_lab import BertEncoder, load_dataset
    >>> split = Split.read(load_dataset("bbc_titles", duplicates="drop"))
    >>> asked = {"ks": [3], "times": [1], "controls": ["duplication"], "resamples": 1}
    >>> found = few_shot(split, Models(BertEncoder(), None), **asked, classifiers=["tfidf-logreg"],
    ...     methods=[], progress=False)  # doctest: +SKIP
    """
    arms = [Arm(), *(Arm("smotext", each) for each in times)]
    middle = sorted(times)[len(times) // 2] if len(times) > 1 else times[0]
    arms += [Arm(name, middle) for name in controls]
    split = split.with_texts(max(ks))
    study = Study(
        "few_shot",
        split,
        models,
        classifiers,
        store=store,
        random_state=random_state,
        progress=progress,
    )
    return study.run(arms, ks, resamples, lambda k, rng: _few(split, k, rng))


def synthetic_only(
    split: Split,
    models: Models,
    *,
    ks: Sequence[int] = (10, 50),
    times: Sequence[float] = (1, 4),
    methods: Sequence[str] = ("smotext", "smote on vectors", "paraphrase", "prompted"),
    classifiers: Sequence[Any] = ("embedding-logreg", "tfidf-logreg"),
    resamples: int = 10,
    store: Any = None,
    random_state: int = 0,
    progress: bool = True,
) -> Results:
    """Ask how much is kept when new texts alone are trained on; see `few_shot`.

    Parameters are those of `few_shot`; `methods` are compared at every one of `times`. What is
    kept is macro-F1 above guessing, see `retention`.
    """
    arms = [Arm(), *(Arm(name, each, with_real=False) for name in methods for each in times)]
    split = split.with_texts(max(ks))
    study = Study(
        "synthetic_only",
        split,
        models,
        classifiers,
        store=store,
        random_state=random_state,
        progress=progress,
    )
    return study.run(arms, ks, resamples, lambda k, rng: _few(split, k, rng))


def class_imbalance(
    split: Split,
    models: Models,
    *,
    ratios: Sequence[int] = (10, 50, 100),
    most: int = 200,
    methods: Sequence[str] = ("smotext", *_CONTROLS),
    classifiers: Sequence[Any] = ("embedding-logreg", "tfidf-logreg"),
    resamples: int = 10,
    store: Any = None,
    random_state: int = 0,
    progress: bool = True,
) -> Results:
    """Ask whether filling up rare classes helps: half of them are cut to one in `ratio`.

    Parameters
    ----------
    ratios : sequence of int
        The rare classes have one text for so many of the others, and at least two.
    most : int
        Texts of the classes that are not cut, at most.
    methods : sequence of str
        Each fills the rare classes up to the size of the others.
    split, models, classifiers, resamples, store, random_state, progress
        See `few_shot`.
    """
    arms = [Arm(), Arm("class weights"), *(Arm(name, None) for name in methods)]
    study = Study(
        "class_imbalance",
        split,
        models,
        classifiers,
        store=store,
        random_state=random_state,
        progress=progress,
    )

    def draw(ratio: int, rng: np.random.Generator) -> Resample:
        rare = rng.choice(split.classes, len(split.classes) // 2, replace=False)
        counts = {}
        for label in split.classes:
            there = int(np.sum(split.train_labels == label))
            counts[str(label)] = min(most, there)
        top = max(counts.values())
        counts |= {
            str(label): min(counts[str(label)], max(2, round(top / ratio))) for label in rare
        }
        return Resample(0, _drawn(split, counts, rng)[0], rare=np.sort(rare))

    return study.run(arms, ratios, resamples, draw)


def distillation(
    split: Split,
    models: Models,
    *,
    ks: Sequence[int] = (10,),
    times: Sequence[float] = (1, 4),
    methods: Sequence[str] = ("smotext", "prompted", "eda"),
    teacher: Any = "embedding-logreg",
    classifiers: Sequence[Any] = ("tfidf-logreg",),
    resamples: int = 10,
    store: Any = None,
    random_state: int = 0,
    progress: bool = True,
) -> Results:
    """Ask whether a small student learns from a teacher's labels on new texts.

    Parameters
    ----------
    teacher : str or estimator
        Trained on the whole training part; it says soft labels.
    classifiers : sequence of str or estimator
        The students.
    split, models, ks, times, methods, resamples, store, random_state, progress
        See `few_shot`. The student also learns from other real texts that the teacher labels:
        what one would do if one had them.
    """
    split = split.with_texts(max(ks))
    model = text_classifier(teacher, Remembering(models.encoder), random_state)
    model.fit(TrainingTexts(split.train_texts, split.train_labels), split.classes)
    arms = [Arm()]
    arms += [Arm(name, each, teacher=True) for name in methods for each in times]
    arms.append(Arm("other real texts", max(times), teacher=True))
    study = Study(
        "distillation",
        split,
        models,
        classifiers,
        store=store,
        random_state=random_state,
        teacher=_Named(model, str(teacher)),
        progress=progress,
    )

    def draw(k: int, rng: np.random.Generator) -> Resample:
        real, left = _drawn(split, {str(label): k for label in split.classes}, rng)
        rows = left[: round(max(times) * k * len(split.classes))]
        others = TrainingTexts([split.train_texts[row] for row in rows], split.train_labels[rows])
        return Resample(0, real, others=others)

    return study.run(arms, ks, resamples, draw)


def robustness(
    split: Split,
    models: Models,
    *,
    ks: Sequence[int] = (20,),
    times: Sequence[float] = (4,),
    methods: Sequence[str] = ("smotext", "duplication", "eda", "aeda"),
    classifiers: Sequence[Any] = ("tfidf-logreg", "embedding-logreg"),
    resamples: int = 10,
    store: Any = None,
    random_state: int = 0,
    progress: bool = True,
) -> Results:
    """Ask whether noise in the test texts costs less with new texts; see `few_shot`, `noisy`."""
    arms = [Arm(), *(Arm(name, each) for name in methods for each in times)]
    split = split.with_texts(max(ks))
    tests = {
        f"{kind} {strength:g}": noisy(split.test_texts, kind, strength, random_state)
        for kind in noises()
        for strength in STRENGTHS
    }
    study = Study(
        "robustness",
        split,
        models,
        classifiers,
        store=store,
        random_state=random_state,
        tests=tests,
        progress=progress,
    )
    return study.run(arms, ks, resamples, lambda k, rng: _few(split, k, rng))


class _Named:
    """A teacher that is known by its name."""

    def __init__(self, model: Any, name: str) -> None:
        self.predict_proba = model.predict_proba
        self.name = name

    def __repr__(self) -> str:
        return self.name


def _few(split: Split, k: int, rng: np.random.Generator) -> Resample:
    return Resample(0, _drawn(split, {str(label): k for label in split.classes}, rng)[0])


def _drawn(
    split: Split, counts: dict[str, int], rng: np.random.Generator
) -> tuple[TrainingTexts, np.ndarray]:
    """Return so many texts of each class, and the rows of the others, both in random order."""
    order = rng.permutation(len(split.train_texts))
    taken: list[int] = []
    for label, count in counts.items():
        rows = order[split.train_labels[order] == label]
        if len(rows) < count:
            msg = f"{split.name}: class {label!r} has {len(rows)} training texts, {count} wanted"
            raise DataError(msg)
        taken += rows[:count].tolist()
    left = order[~np.isin(order, taken)]
    chosen = sorted(taken)
    real = TrainingTexts([split.train_texts[row] for row in chosen], split.train_labels[chosen])
    return real, left
