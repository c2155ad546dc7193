"""Running a protocol: the same resamples for every way of training, each cell kept."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd

from smotext_lab.cache import code_key, content_key
from smotext_lab.errors import ParameterError
from smotext_lab.evaluation import methods, scores
from smotext_lab.evaluation.cells import Cell, Cells
from smotext_lab.evaluation.classifiers import Remembering, text_classifier
from smotext_lab.evaluation.diversity import compression_ratio
from smotext_lab.evaluation.methods import Models, check, method
from smotext_lab.evaluation.metrics import distinct_2
from smotext_lab.evaluation.nearness import nearness
from smotext_lab.evaluation.results import CLEAN, Arm, Results
from smotext_lab.evaluation.splits import Split
from smotext_lab.evaluation.thesaurus import wordnet
from smotext_lab.evaluation.training import TrainingTexts
from smotext_lab.guards.words import fold
from smotext_lab.identity import described, dtypes_of, models_of

__all__ = ["CLEAN", "OTHERS", "Arm", "Resample", "Results", "Setup", "Study", "identity_of"]

OTHERS = "other real texts"
"""The method of an arm that gets real texts that were not drawn, for a teacher to label."""


@dataclass(frozen=True, eq=False)
class Setup:
    """What every protocol is asked with.

    Attributes
    ----------
    split : Split
    models : Models
    classifiers : sequence of str or estimator
        See `text_classifier`.
    resamples : int
        Draws of the real training texts; intervals need 10 or more.
    store : str or Path, optional
        A folder that keeps what is measured; the same call goes on from it.
    random_state : int
    progress : bool
        Show a bar.
    classes_per_resample : int, optional
        So many classes are drawn for each resample, of data that have more: its real and new
        texts and its test texts are of these alone. None: all classes, every time.

    Raises
    ------
    ParameterError
        If fewer than two classes are to be drawn.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = [(f"{word} {n}", word) for word in ("rain", "goal") for n in range(10)]
    >>> split = Split.read(pd.DataFrame(rows, columns=["text", "label"]))
    >>> Setup(split, Models(None, None), resamples=3).resamples
    3
    """

    split: Split
    models: Models
    classifiers: Sequence[Any] = ("tfidf-logreg", "embedding-logreg")
    resamples: int = 10
    store: str | Path | None = None
    random_state: int = 0
    progress: bool = True
    classes_per_resample: int | None = None

    def __post_init__(self) -> None:
        if self.classes_per_resample is not None and self.classes_per_resample < 2:
            msg = (
                f"classes_per_resample must be 2 or more, or None, not {self.classes_per_resample}"
            )
            raise ParameterError(msg)


@dataclass(frozen=True, eq=False)
class Resample:
    """The real training texts of one draw.

    Attributes
    ----------
    real : TrainingTexts
        The classes of the resample are those that it has texts of.
    rare : ndarray of str
        The classes that were cut, in `class_imbalance`.
    others : TrainingTexts
        Real texts that were not drawn, for a teacher to label.
    """

    real: TrainingTexts
    rare: np.ndarray = field(default_factory=lambda: np.array([], dtype=str))
    others: TrainingTexts | None = None


class Study:
    """Trains and tests every arm on the same resamples.

    Parameters
    ----------
    protocol : str
    setup : Setup
    tests : dict of str -> list of str, optional
        Other versions of the test texts that are tested beside the clean ones.
    teacher : optional
        Has ``predict_proba`` of texts, and a ``repr`` that tells it from others.
    """

    def __init__(
        self,
        protocol: str,
        setup: Setup,
        *,
        tests: Mapping[str, list[str]] | None = None,
        teacher: Any = None,
    ) -> None:
        self.protocol = protocol
        self.setup = setup
        self.split = setup.split
        self.models = replace(setup.models, encoder=Remembering(setup.models.encoder))
        self.classifiers = {_name(each): each for each in setup.classifiers}
        self.store = Cells(setup.store)
        self.tests = {CLEAN: self.split.test_texts, **(tests or {})}
        self.teacher = teacher
        self.tested = {folded for text in self.split.test_texts if (folded := fold(text))}
        self._identity = self._identified()

    def run(
        self,
        arms: Sequence[Arm],
        ks: Sequence[Any],
        draw: Callable[[Any, np.random.Generator], Resample],
    ) -> Results:
        """Return the results of every arm, for each `k` and resample.

        What is named twice is measured once: counted twice, it would narrow its interval. What is
        kept already is not done again; an interruption loses the cell in hand alone.
        """
        from tqdm.auto import tqdm

        arms = list(dict.fromkeys(arms))
        for arm in arms:
            if arm.makes and arm.method != OTHERS:
                check(arm.method, self.setup.models)  # told before anything is written
        cells: dict[tuple[Arm, str, Any], list[Cell]] = {}
        every = [(k, n) for k in dict.fromkeys(ks) for n in range(self.setup.resamples)]
        examples = refused = pd.DataFrame()
        total = len(every) * len(arms) * len(self.classifiers)
        with tqdm(total=total, desc=self.protocol, disable=not self.setup.progress) as bar:
            for k, number in every:
                seeds = [self.setup.random_state, _as_int(k), number]
                pools = _Pools(self, draw(k, np.random.default_rng(seeds)), seeds, arms)
                for arm in arms:
                    for name in self.classifiers:
                        cell = self._cell(arm, name, (k, number), pools)
                        if cell is not None:
                            cells.setdefault((arm, name, k), []).append(cell)
                        bar.update()
                if examples.empty:
                    examples, refused = pools.examples(arms), pools.refused(arms)
        return Results(self.protocol, self.split, cells, examples, refused)

    def _cell(self, arm: Arm, name: str, which: tuple[Any, int], pools: _Pools) -> Cell | None:
        model = text_classifier(
            self.classifiers[name], self.models.encoder, self.setup.random_state + which[1]
        )
        if arm.method == "smote on vectors" and not model.reads_points:
            return None
        if arm.method == "class weights" and not model.reads_weights:
            return None
        judge = identity_of(self.classifiers[name])
        key = content_key(self._identity, asdict(arm), judge, which, pools.digest(arm))
        found = self.store.get(key)
        if found is not None:
            return found
        train = pools.training(arm)
        start = perf_counter()  # other cells share what was written for this one
        known = _classes_in(train)
        if arm.makes and not arm.with_real and train.shares is None and len(known) < 2:
            model = _Constant(known)
        classes = np.unique(pools.sample.real.labels)
        model.fit(train, classes)
        tested = np.flatnonzero(np.isin(self.split.test_labels, classes))
        rows, predicted = [], {}
        for test, texts in self.tests.items():
            chances = model.predict_proba([texts[row] for row in tested])
            predicted[test] = self._said(chances, classes, tested)
            truth = np.searchsorted(classes, self.split.test_labels[tested])
            few = np.searchsorted(classes, pools.sample.rare)
            rows += [(test, *each) for each in _scored(truth, chances, few)]
        rows += [(CLEAN, *each) for each in pools.facts(arm)]
        shared = {
            "dataset": self.split.name,
            "protocol": self.protocol,
            "method": arm.method,
            "times": float("nan") if arm.times is None else arm.times,
            "with_real": arm.with_real,
            "teacher": arm.teacher,
            "classifier": name,
            "k": which[0],
            "resample": which[1],
            "seconds": perf_counter() - start,
        }
        told = [{**shared, "test": test, "metric": m, "value": value} for test, m, value in rows]
        cell = Cell(told, predicted)
        self.store.put(key, cell)
        return cell

    def _said(self, chances: np.ndarray, classes: np.ndarray, tested: np.ndarray) -> list[int]:
        """Return the classes said, of all; -1 for test texts of classes that were not drawn."""
        said = np.full(len(self.split.test_labels), -1)
        said[tested] = np.searchsorted(self.split.classes, classes)[chances.argmax(axis=1)]
        return said.tolist()

    def _identified(self) -> tuple[Any, ...]:
        decoder, single = self.models.decoder, self.models.single
        return (
            code_key("evaluation"),
            self.protocol,
            self.split.name,
            self.split.digest,
            self.setup.random_state,
            self.models.k_neighbors,
            methods.identity_of(self.models.encoder),
            described(decoder),
            models_of(decoder),
            dtypes_of(decoder),
            None if single is None else (described(single), models_of(single)),
            {name: content_key(texts) for name, texts in self.tests.items()},
            None if self.teacher is None else repr(self.teacher),
            wordnet(),  # EDA's synonyms
        )


def _scored(truth: np.ndarray, chances: np.ndarray, few: np.ndarray) -> list[tuple[str, float]]:
    said, n = chances.argmax(axis=1), chances.shape[1]
    found = [
        ("macro_f1", scores.macro_f1(truth, said, n)),
        ("accuracy", scores.accuracy(truth, said)),
        ("g_mean", scores.g_mean(truth, said, n)),
        ("pr_auc", scores.pr_auc(truth, chances)),
        ("calibration_error", scores.calibration_error(truth, chances)),
    ]
    if len(few):
        found.append(("minority_recall", scores.minority_recall(truth, said, n, few)))
    return found


class _Constant:
    """What new texts of one class teach, the others having been refused: to say that one always.

    Where there are none at all, every class is as likely.
    """

    reads_points = reads_weights = True

    def __init__(self, classes: np.ndarray) -> None:
        self._known = classes

    def fit(self, train: TrainingTexts, classes: np.ndarray) -> None:  # noqa: ARG002
        chances = np.isin(classes, self._known) if len(self._known) else np.ones(len(classes))
        self._chances = chances.astype(float) / chances.sum()

    def predict_proba(self, texts: Sequence[str]) -> np.ndarray:
        return np.tile(self._chances, (len(texts), 1))


def _classes_in(train: TrainingTexts) -> np.ndarray:
    there = [train.labels, *([] if train.point_labels is None else [train.point_labels])]
    found: np.ndarray = np.unique(np.concatenate(there))
    return found


class _Pools:
    """The new texts of one resample: made once for the largest number, when first asked for."""

    def __init__(
        self, study: Study, sample: Resample, seeds: Sequence[int], arms: Sequence[Arm]
    ) -> None:
        self.study = study
        self.sample = sample
        self.seed = int(np.random.SeedSequence([*seeds, 1]).generate_state(1)[0])
        self._most: dict[str, float] = {}
        for arm in arms:
            if arm.times is not None:
                self._most[arm.method] = max(arm.times, self._most.get(arm.method, 0.0))
        self._made: dict[tuple[str, float | None], TrainingTexts] = {}
        self._real = content_key(sample.real.texts, sample.real.labels.tolist())

    def digest(self, arm: Arm) -> tuple[Any, ...]:
        """Return what stands for the texts that `arm` trains on."""
        others = self.sample.others.texts if arm.method == OTHERS and self.sample.others else None
        return self._real, self.seed, self._size(arm), others, _code_of(arm)

    def training(self, arm: Arm) -> TrainingTexts:
        """Return what `arm` trains on."""
        real = self.sample.real
        if arm.method == "class weights":
            counts = pd.Series(real.labels).value_counts()
            weights = pd.Series(real.labels).map(len(real) / (len(counts) * counts)).to_numpy()
            return TrainingTexts(real.texts, real.labels, weights)
        train = real
        if arm.makes:
            train = real + self._new(arm) if arm.with_real else self._new(arm)
        return train.softened(self._shares(train.texts)) if arm.teacher else train

    def _shares(self, texts: list[str]) -> np.ndarray:
        """Return what the teacher says, among the classes of the resample."""
        shares = self.study.teacher.predict_proba(texts)
        there = np.isin(self.study.split.classes, self.sample.real.labels)
        if there.all():
            return shares
        shares = shares[:, there]
        return shares / np.maximum(shares.sum(axis=1, keepdims=True), 1e-12)

    def facts(self, arm: Arm) -> list[tuple[str, float]]:
        """Return how many new texts there are, what was refused, how near to real ones they are."""
        if not arm.makes:
            found = [("n_train", float(len(self.sample.real)))]
            return [*found, ("teacher_accuracy", self._accuracy())] if arm.teacher else found
        new = self._new(arm)
        wanted = _wanted(self.sample.real.labels, arm.times)
        found = [("n_asked", float(sum(wanted.values())))]
        found += [("n_new", float(len(new.labels) if new.points is None else len(new.points)))]
        found += [(f"refused_{kind}", float(n)) for kind, n in new.refusals().items()]
        if new.texts:
            found += nearness(new.texts, self.sample.real.texts, self.study.models.encoder)
            found += [("distinct_2", distinct_2(new.texts))]
            found += [("compression_ratio", compression_ratio(new.texts))]
        if new.texts and arm.teacher:
            found += [("label_agreement", self._agreement(new.texts, new.labels))]
        return found

    def _accuracy(self) -> float:
        """Return how often the teacher is right of test texts, which it did not learn from."""
        split = self.study.split
        rows = np.flatnonzero(np.isin(split.test_labels, self.sample.real.labels))
        return self._agreement([split.test_texts[row] for row in rows], split.test_labels[rows])

    def _agreement(self, texts: list[str], labels: np.ndarray) -> float:
        """Return the share of texts to which the teacher gives the class they are said to be of."""
        said = np.unique(self.sample.real.labels)[self._shares(texts).argmax(axis=1)]
        return float(np.mean(said == labels))

    def examples(self, arms: Sequence[Arm], most: int = 6) -> pd.DataFrame:
        """Return the first texts of each method, class by class in turn."""
        rows = []
        for name in dict.fromkeys(arm.method for arm in arms if arm.makes):
            new = self._new(next(arm for arm in arms if arm.method == name))
            turns = pd.Series(new.labels[: len(new.texts)]).groupby(new.labels[: len(new.texts)])
            order = np.argsort(turns.cumcount().to_numpy(), kind="stable")[:most]
            rows += [(name, new.labels[row], new.texts[row]) for row in order]
        return pd.DataFrame(rows, columns=["method", "label", "text"])

    def refused(self, arms: Sequence[Arm], most: int = 2) -> pd.DataFrame:
        """Return the first texts of each method that were refused, for each kind of reason."""
        found = []
        for name in dict.fromkeys(arm.method for arm in arms if arm.makes):
            same = [arm for arm in arms if arm.method == name]
            there = self._new(max(same, key=lambda arm: arm.times or 0.0)).refused
            if there is not None and len(there):
                kinds = there["reason"].str.partition(":")[0]
                found.append(there.groupby(kinds).head(most).assign(method=name))
        columns = ["method", "label", "text", "reason"]
        return (
            pd.concat(found, ignore_index=True)[columns] if found else pd.DataFrame(columns=columns)
        )

    def _size(self, arm: Arm) -> float | None:
        """Return the times of the pool that `arm` takes its new texts from."""
        return None if arm.times is None else self._most[arm.method]

    def _new(self, arm: Arm) -> TrainingTexts:
        labels = self.sample.real.labels
        most = self._size(arm)
        if (arm.method, most) not in self._made:
            self._made[arm.method, most] = self._make(arm.method, _wanted(labels, most))
        made = self._made[arm.method, most]
        if arm.times is None or most is None or arm.times == most:
            return made
        if arm.method == OTHERS:
            return made.first(_wanted(labels, arm.times))
        return made.share(arm.times / most)  # what was refused is missed at every size alike

    def _make(self, name: str, wanted: dict[str, int]) -> TrainingTexts:
        if name == OTHERS:
            others = self.sample.others
            assert others is not None  # noqa: S101 - the protocol that has the arm draws them
            return others
        made = method(name)(self.sample.real, wanted, self.study.models, self.seed)
        return made.without(self.study.tested, "test text: stands in the test part")


def _wanted(labels: np.ndarray, times: float | None) -> dict[str, int]:
    """Return how many new texts of each class: so many times as many, or up to the largest."""
    counts = dict(zip(*np.unique(labels, return_counts=True), strict=True))
    top = max(counts.values())
    wanted = {
        str(c): int(top - n) if times is None else round(times * n) for c, n in counts.items()
    }
    return {label: count for label, count in wanted.items() if count}


def _name(classifier: Any) -> str:
    return classifier if isinstance(classifier, str) else repr(classifier)


def _code_of(arm: Arm) -> str | None:
    """Return what stands for a way of making texts that is not ours, whose code no key holds."""
    if not arm.makes or arm.method == OTHERS:
        return None
    made = method(arm.method)
    if str(getattr(made, "__module__", "")).startswith(f"{__package__}."):
        return None
    try:
        return inspect.getsource(made)
    except (OSError, TypeError):  # typed where there is no file, or an object
        return repr(made)


def identity_of(classifier: Any) -> str:
    """Return what stands for a classifier: an estimator's repr leaves out what is long."""
    import pickle

    import joblib

    if isinstance(classifier, str):
        return classifier
    try:
        return str(joblib.hash(classifier))
    except (pickle.PicklingError, AttributeError, TypeError):  # it holds a function without a name
        return repr(classifier)


def _as_int(k: Any) -> int:
    return round(float(k) * 1000)
