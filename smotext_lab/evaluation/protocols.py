"""Five questions to new texts, each asked so that the answer may be no.

Every protocol trains the same classifiers on the same resamples of real texts, with and without
what a method brings, and tests them on real texts that nothing was made from.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from smotext_lab.errors import DataError, ParameterError
from smotext_lab.evaluation.classifiers import Remembering, text_classifier
from smotext_lab.evaluation.noise import STRENGTHS, noises, noisy
from smotext_lab.evaluation.splits import Split
from smotext_lab.evaluation.study import OTHERS, Arm, Resample, Results, Setup, Study, identity_of
from smotext_lab.evaluation.training import TrainingTexts

__all__ = [
    "class_imbalance",
    "distillation",
    "few_shot",
    "middle",
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
    setup: Setup,
    *,
    ks: Sequence[int] = (5, 10, 20, 50),
    times: Sequence[float] = (1, 4, 10),
    controls: Sequence[str] = _CONTROLS,
) -> Results:
    """Ask whether new texts beside few real ones help: `k` real texts of each class.

    Parameters
    ----------
    setup : Setup
    ks : sequence of int
        Real texts of each class. Classes with fewer than the largest are left out, so that
        every `k` is asked of the same classes.
    times : sequence of float
        New texts for each real one; the fewer are the first of the most.
    controls : sequence of str
        Of `METHODS`, at the middle of `times`.

    Returns
    -------
    Results

    Raises
    ------
    DataError
        If fewer than two classes have enough texts.

    References
    ----------
    SMOTExT, arXiv 2505.13434: that augmentation helps with few texts is its claim, the protocol
    is ours.

    Examples
    --------
    >>> from smotext_lab import load_dataset, shared_decoder
    >>> from smotext_lab.evaluation.methods import Models
    >>> decoder = shared_decoder(n_candidates=1)
    >>> news = load_dataset("bbc_titles", duplicates="drop")
    >>> split = Split.read(news, test_rows=50).only(["sport", "tech"])
    >>> models = Models(decoder.encoder, decoder, k_neighbors=2)
    >>> setup = Setup(split, models, ["tfidf-logreg"], resamples=2, progress=False)
    >>> results = few_shot(setup, ks=[3], times=[1], controls=["duplication"])
    >>> results.gain(Arm("smotext", 1), Arm(), "tfidf-logreg", 3).resamples
    2
    """
    arms = [Arm(), *(Arm("smotext", each) for each in times)]
    arms += [Arm(name, middle(times)) for name in controls]
    setup = _enough(setup, ks)
    return Study("few_shot", setup).run(arms, ks, lambda k, rng: _few(_part(setup, rng), k, rng))


def middle(times: Sequence[float]) -> float:
    """Return how many new texts for each real one the controls of `few_shot` have.

    Examples
    --------
    >>> middle([10, 1, 4])
    4
    """
    return sorted(times)[len(times) // 2]


def synthetic_only(
    setup: Setup,
    *,
    ks: Sequence[int] = (10, 50),
    times: Sequence[float] = (1, 4),
    methods: Sequence[str] = ("smotext", "smote on vectors", "paraphrase", "prompted"),
) -> Results:
    """Ask how much is kept when new texts alone are trained on; see `few_shot`.

    Parameters
    ----------
    setup, ks, times
        See `few_shot`.
    methods : sequence of str
        Of `METHODS`, each compared at every one of `times`.

    Returns
    -------
    Results
        What is kept is macro-F1 above guessing, see `retention`.

    Examples
    --------
    >>> from smotext_lab import BertEncoder, load_dataset
    >>> from smotext_lab.evaluation.methods import Models
    >>> split = Split.read(load_dataset("bbc_titles", duplicates="drop"), test_rows=50)
    >>> models = Models(BertEncoder(), decoder=None)  # which these methods need not
    >>> setup = Setup(split, models, ["tfidf-logreg"], resamples=2, progress=False)
    >>> results = synthetic_only(setup, ks=[40], times=[1], methods=["eda"])
    >>> results.kept(Arm("eda", 1, with_real=False), Arm(), "tfidf-logreg", 40).value > 0.3
    True
    """
    arms = [Arm(), *(Arm(name, each, with_real=False) for name in methods for each in times)]
    setup = _enough(setup, ks)
    study = Study("synthetic_only", setup)
    return study.run(arms, ks, lambda k, rng: _few(_part(setup, rng), k, rng))


def class_imbalance(
    setup: Setup,
    *,
    ratios: Sequence[int] = (10, 50, 100),
    most: int = 200,
    methods: Sequence[str] = ("smotext", *_CONTROLS),
) -> Results:
    """Ask whether filling up rare classes helps: those there are, or half of them, cut.

    Parameters
    ----------
    setup : Setup
    ratios : sequence of int
        The rare classes have one text for so many of the largest of the others, and at least
        two: where that makes the ratio another, a warning says which. 1: the imbalance that the
        data have; rare are the classes at most half as large as the largest. (Where classes are
        drawn for each resample, they are drawn again until one is.)
    most : int
        Texts of the classes that are not cut, at most. For a ratio of 1, of the largest class;
        the others are cut in proportion.
    methods : sequence of str
        Each fills the rare classes up to the size of the others.

    Returns
    -------
    Results
        `k` is the ratio.

    Raises
    ------
    DataError
        If the ratio is 1 and no class is rare.

    Examples
    --------
    >>> from smotext_lab import BertEncoder, load_dataset
    >>> from smotext_lab.evaluation.methods import Models
    >>> split = Split.read(load_dataset("bbc_titles", duplicates="drop"), test_rows=50)
    >>> models = Models(BertEncoder(), decoder=None)
    >>> setup = Setup(split, models, ["tfidf-logreg"], resamples=2, progress=False)
    >>> results = class_imbalance(setup, ratios=[10], most=20, methods=["duplication"])
    >>> "minority_recall" in set(results.frame["metric"])
    True
    """
    arms = [Arm(), Arm("class weights"), *(Arm(name, None) for name in methods)]
    for ratio in ratios:
        if ratio == 1:
            _check_rare(setup.split)
            _say_own(setup.split, most)
        else:
            _say_ratio(setup, ratio, most)

    def draw(ratio: int, rng: np.random.Generator) -> Resample:
        part = _part(setup, rng)
        while ratio == 1 and not len(_rare(part)):
            part = _part(setup, rng)
        counts, rare = _own(part, most) if ratio == 1 else _cut(part, ratio, most, rng)
        return Resample(_drawn(part, counts, rng)[0], rare=rare)

    return Study("class_imbalance", setup).run(arms, ratios, draw)


def distillation(
    setup: Setup,
    *,
    ks: Sequence[int] = (10,),
    times: Sequence[float] = (1, 4),
    methods: Sequence[str] = ("smotext", "prompted", "eda"),
    teacher: Any = "embedding-logreg",
) -> Results:
    """Ask whether a small student learns from a teacher's labels on new texts.

    Parameters
    ----------
    setup : Setup
        Its classifiers are the students.
    ks, times
        See `few_shot`.
    methods : sequence of str
    teacher : str or estimator
        See `text_classifier`; trained on the whole training part, it says soft labels of all
        that a student sees, the real texts included.

    Returns
    -------
    Results
        With two arms to compare with: the few real texts with the teacher's labels, and with
        other real texts that the teacher labels beside them, which is what one would rather have.

    Raises
    ------
    DataError
        See `few_shot`.
    ParameterError
        If a method writes no texts, or a classifier takes no weights.

    References
    ----------
    Hinton, Vinyals and Dean, "Distilling the knowledge in a neural network", arXiv 1503.02531.

    Examples
    --------
    >>> from smotext_lab import BertEncoder, load_dataset
    >>> from smotext_lab.evaluation.methods import Models
    >>> split = Split.read(load_dataset("bbc_titles", duplicates="drop"), test_rows=50)
    >>> models = Models(BertEncoder(), decoder=None)
    >>> setup = Setup(split, models, ["tfidf-logreg"], resamples=2, progress=False)
    >>> results = distillation(setup, ks=[5], times=[1], methods=["eda"], teacher="tfidf-logreg")
    >>> results.gain(Arm(OTHERS, 1, teacher=True), Arm(), "tfidf-logreg", 5).value > 0
    True
    """
    if "smote on vectors" in methods:
        msg = "a teacher labels texts, and 'smote on vectors' writes none: leave it out of methods"
        raise ParameterError(msg)
    for each in setup.classifiers:
        if not text_classifier(each, setup.models.encoder, setup.random_state).reads_weights:
            msg = f"a teacher's soft labels are weights, which {each!r} takes none of in fit"
            raise ParameterError(f"{msg}: use a classifier whose fit has sample_weight")
    setup = _enough(setup, ks)
    split = setup.split
    model = text_classifier(teacher, Remembering(setup.models.encoder), setup.random_state)
    model.fit(TrainingTexts(split.train_texts, split.train_labels), split.classes)
    arms = [Arm(), Arm(teacher=True)]
    arms += [Arm(name, each, teacher=True) for name in (*methods, OTHERS) for each in times]

    def draw(k: int, rng: np.random.Generator) -> Resample:
        part = _part(setup, rng)
        real, left = _drawn(part, {str(label): k for label in part.classes}, rng)
        others = _firsts(part, left, round(max(times) * k))
        return Resample(real, others=others)

    study = Study("distillation", setup, teacher=_Named(model, identity_of(teacher)))
    return study.run(arms, ks, draw)


def robustness(
    setup: Setup,
    *,
    ks: Sequence[int] = (20,),
    times: Sequence[float] = (4,),
    methods: Sequence[str] = ("smotext", "duplication", "eda", "aeda"),
) -> Results:
    """Ask whether noise in the test texts costs less with new texts; see `few_shot`, `noisy`.

    Parameters
    ----------
    setup, ks, times, methods
        See `synthetic_only`; new texts stand beside the real ones.

    Returns
    -------
    Results
        Its tests are the clean one and each noise at each strength.

    Examples
    --------
    >>> from smotext_lab import BertEncoder, load_dataset
    >>> from smotext_lab.evaluation.methods import Models
    >>> split = Split.read(load_dataset("bbc_titles", duplicates="drop"), test_rows=50)
    >>> models = Models(BertEncoder(), decoder=None)
    >>> setup = Setup(split, models, ["tfidf-logreg"], resamples=2, progress=False)
    >>> results = robustness(setup, ks=[5], times=[1], methods=["eda"])
    >>> "typos 0.1" in set(results.frame["test"])
    True
    """
    arms = [Arm(), *(Arm(name, each) for name in methods for each in times)]
    setup = _enough(setup, ks)
    split = setup.split
    tests = {
        f"{kind} {strength:g}": noisy(split.test_texts, kind, strength, setup.random_state)
        for kind in noises()
        for strength in STRENGTHS
    }
    study = Study("robustness", setup, tests=tests)
    return study.run(arms, ks, lambda k, rng: _few(_part(setup, rng), k, rng))


class _Named:
    """A teacher that is known by its name."""

    def __init__(self, model: Any, name: str) -> None:
        self.predict_proba = model.predict_proba
        self.name = name

    def __repr__(self) -> str:
        return self.name


def _enough(setup: Setup, ks: Sequence[int]) -> Setup:
    return replace(setup, split=setup.split.with_texts(max(ks)))


def _part(setup: Setup, rng: np.random.Generator) -> Split:
    """Return the split with the classes of one resample."""
    split, n = setup.split, setup.classes_per_resample
    if n is None or n >= len(split.classes):
        return split
    return split.only(rng.choice(split.classes, n, replace=False))


def _few(split: Split, k: int, rng: np.random.Generator) -> Resample:
    return Resample(_drawn(split, {str(label): k for label in split.classes}, rng)[0])


def _cut(
    split: Split, ratio: int, most: int, rng: np.random.Generator
) -> tuple[dict[str, int], np.ndarray]:
    """Return how many texts of each class, and which classes are rare: a half, drawn.

    Drawn so that a class is left whole that allows the ratio, where there is one.
    """
    counts = {label: min(most, n) for label, n in _sizes(split).items()}
    enough = min(2 * ratio, max(counts.values()))  # as long as any class allows the ratio
    while True:
        rare = rng.choice(split.classes, len(split.classes) // 2, replace=False)
        if max(n for label, n in counts.items() if label not in rare) >= enough:
            break
    few = max(2, round(max(n for c, n in counts.items() if c not in rare) / ratio))
    counts |= {str(label): min(counts[str(label)], few) for label in rare}
    if len(set(counts.values())) == 1:
        msg = (
            f"{split.name}: no class can be made rarer than the others: a rare one is left "
            f"{few} texts, and none has more; give more training texts of a class, or raise `most`"
        )
        raise DataError(msg)
    return counts, np.sort(rare)


def _say_ratio(setup: Setup, ratio: int, most: int) -> None:
    """Warn where `_cut` leaves more of a rare class than the ratio says, in some resample."""
    sizes = sorted(min(most, n) for n in _sizes(setup.split).values())
    n = min(setup.classes_per_resample or len(sizes), len(sizes))
    # the largest class of a resample, which is not cut then: the smallest ones drawn, or all
    least, largest = (min(ratio, round(sizes[at] / 2)) for at in (n - 1, -1))
    if least < ratio:
        msg = (
            f"{setup.split.name}: 1:{ratio} was asked for, and as no class is cut to less than 2 "
            f"texts the ratio is {f'1:{least} to ' if least < largest else ''}1:{largest}: that "
            f"needs classes with {2 * ratio} training texts, and `most` of as many"
        )
        warnings.warn(msg, UserWarning, stacklevel=3)


def _check_rare(split: Split) -> None:
    if not len(_rare(split)):
        sizes = _sizes(split).values()
        msg = (
            f"{split.name}: a ratio of 1 asks for the data's own imbalance, and its classes have "
            f"{min(sizes)} to {max(sizes)} training texts: ask for ratios of 2 or more"
        )
        raise DataError(msg)


def _say_own(split: Split, most: int) -> None:
    """Warn where `_own` makes classes less unequal than the data have them."""
    counts, sizes = _own(split, most)[0].values(), _sizes(split).values()
    kept, own = max(counts) / min(counts), max(sizes) / min(sizes)
    if kept < own / 1.1:
        msg = (
            f"{split.name}: the classes have 1:{own:.0f}, and as the largest is to have {most} "
            f"texts and none less than 2, 1:{kept:.0f} is tested: raise `most`"
        )
        warnings.warn(msg, UserWarning, stacklevel=3)


def _rare(split: Split) -> np.ndarray:
    """Return the classes that are at most half as large as the largest."""
    sizes = _sizes(split)
    largest = max(sizes.values())
    return np.array([label for label, n in sizes.items() if n <= largest / 2])


def _own(split: Split, most: int) -> tuple[dict[str, int], np.ndarray]:
    """Return how many texts of each class, and which classes are rare, as the data have it."""
    sizes = _sizes(split)
    share = min(1.0, most / max(sizes.values()))
    return {label: max(2, round(n * share)) for label, n in sizes.items()}, _rare(split)


def _sizes(split: Split) -> dict[str, int]:
    labels, there = np.unique(split.train_labels, return_counts=True)
    return dict(zip(labels.tolist(), there.tolist(), strict=True))


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
    return _texts(split, np.sort(taken)), order[~np.isin(order, taken)]


def _firsts(split: Split, rows: np.ndarray, count: int) -> TrainingTexts:
    """Return the first `count` rows of each class, or those there are."""
    labels = split.train_labels[rows]
    return _texts(split, np.concatenate([rows[labels == c][:count] for c in split.classes]))


def _texts(split: Split, rows: np.ndarray) -> TrainingTexts:
    return TrainingTexts([split.train_texts[row] for row in rows], split.train_labels[rows])
