"""Running a protocol: the same resamples for every way of training, each cell kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd

from smotext_lab.cache import code_key, content_key
from smotext_lab.evaluation import scores
from smotext_lab.evaluation.cells import COLUMNS, Cell, Cells
from smotext_lab.evaluation.classifiers import Remembering, text_classifier
from smotext_lab.evaluation.diversity import compression_ratio
from smotext_lab.evaluation.methods import Models, method
from smotext_lab.evaluation.metrics import distinct_2
from smotext_lab.evaluation.nearness import nearness
from smotext_lab.evaluation.splits import Split
from smotext_lab.evaluation.statistics import Effect, difference, retention, win_tie_loss
from smotext_lab.evaluation.training import TrainingTexts
from smotext_lab.identity import described, models_of

__all__ = ["CLEAN", "OTHERS", "Arm", "Resample", "Results", "Setup", "Study"]

CLEAN = "clean"
"""The test texts as they are."""

OTHERS = "other real texts"
"""The method of an arm that gets real texts that were not drawn, for a teacher to label."""


@dataclass(frozen=True)
class Arm:
    """One way of training.

    Attributes
    ----------
    method : str
        Of `METHODS`; "real" for nothing, "class weights" for the real texts weighted by class.
    times : float or None
        New texts for each real one; None: as many as make the classes equal.
    with_real : bool
        Whether the real texts are trained on too.
    teacher : bool
        Whether a teacher says the labels, softly.
    """

    method: str = "real"
    times: float | None = 0.0
    with_real: bool = True
    teacher: bool = False

    @property
    def makes(self) -> bool:
        """Whether it makes anything new."""
        return self.method not in ("real", "class weights")

    def __str__(self) -> str:
        if not self.makes:
            return f"{self.method}, teacher's labels" if self.teacher else self.method
        size = "" if self.times is None else f"{self.times:g} × "
        return f"{'real + ' if self.with_real else ''}{size}{self.method}"


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


@dataclass(frozen=True, eq=False)
class Resample:
    """The real training texts of one draw.

    Attributes
    ----------
    real : TrainingTexts
    rare : ndarray of str
        The classes that were cut, in `class_imbalance`.
    others : TrainingTexts
        Real texts that were not drawn, for a teacher to label.
    """

    real: TrainingTexts
    rare: np.ndarray = field(default_factory=lambda: np.array([], dtype=str))
    others: TrainingTexts | None = None


@dataclass(frozen=True, eq=False)
class Results:
    """What a protocol measured.

    Attributes
    ----------
    protocol : str
    split : Split
    cells : dict
        (arm, classifier, k) -> one cell a resample.
    examples : DataFrame
        A few of the new texts of the first resample; columns ``method``, ``label``, ``text``.
    refused : DataFrame
        A few that were refused there, with a column ``reason`` besides. How many were is in
        `frame`, under the largest number of each method: ``n_asked``, ``n_new``, ``refused_…``.
    """

    protocol: str
    split: Split
    cells: Mapping[tuple[Arm, str, Any], list[Cell]]
    examples: pd.DataFrame
    refused: pd.DataFrame = field(default_factory=pd.DataFrame)

    @property
    def frame(self) -> pd.DataFrame:
        """One row a metric; columns `COLUMNS`."""
        rows = [row for cells in self.cells.values() for cell in cells for row in cell.rows]
        return pd.DataFrame(rows, columns=list(COLUMNS))

    def predicted(self, arm: Arm, classifier: str, k: Any, test: str = CLEAN) -> np.ndarray:
        """Return the classes said, int (resamples, n_test)."""
        cells = self.cells[arm, classifier, k]
        return np.array([cell.predicted[test] for cell in cells], dtype=np.int64)

    def mean(self, arm: Arm, classifier: str, k: Any, metric: str, test: str = CLEAN) -> float:
        """Return the mean of a metric over the resamples."""
        values = [
            row["value"]
            for cell in self.cells[arm, classifier, k]
            for row in cell.rows
            if row["metric"] == metric and row["test"] == test
        ]
        return float(np.mean(values)) if values else float("nan")

    def gain(self, arm: Arm, over: Arm, classifier: str, k: Any, test: str = CLEAN) -> Effect:
        """Return the paired difference of macro-F1 between two arms."""
        both = [self.predicted(each, classifier, k, test) for each in (arm, over)]
        return difference(self.truth, both[0], both[1], len(self.split.classes))

    def kept(self, arm: Arm, over: Arm, classifier: str, k: Any) -> Effect:
        """Return the share of macro-F1 above guessing that `arm` keeps of `over`."""
        both = [self.predicted(each, classifier, k) for each in (arm, over)]
        return retention(self.truth, both[0], both[1], len(self.split.classes))

    def wins(self, arm: Arm, over: Arm, classifier: str, k: Any) -> tuple[int, int, int]:
        """Return in how many resamples `arm` is better, as good, worse."""
        both = [self.predicted(each, classifier, k) for each in (arm, over)]
        return win_tie_loss(self.truth, both[0], both[1], len(self.split.classes))

    @property
    def truth(self) -> np.ndarray:
        """The classes of the test texts, int (n_test,)."""
        return np.searchsorted(self.split.classes, self.split.test_labels)


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
        self._truth = np.searchsorted(self.split.classes, self.split.test_labels)
        self._identity = self._identified()

    def run(
        self,
        arms: Sequence[Arm],
        ks: Sequence[Any],
        draw: Callable[[Any, np.random.Generator], Resample],
    ) -> Results:
        """Return the results of every arm, for each `k` and resample.

        What is kept already is not done again; an interruption loses the cell in hand alone.
        """
        from tqdm.auto import tqdm

        cells: dict[tuple[Arm, str, Any], list[Cell]] = {}
        every = [(k, number) for k in ks for number in range(self.setup.resamples)]
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
        key = content_key(self._identity, asdict(arm), name, which, pools.digest(arm))
        found = self.store.get(key)
        if found is not None:
            return found
        start = perf_counter()
        train = pools.training(arm)
        known = _classes_in(train)
        if arm.makes and not arm.with_real and train.shares is None and len(known) < 2:
            model = _Constant(known)
        model.fit(train, self.split.classes)
        rows, predicted = [], {}
        for test, texts in self.tests.items():
            chances = model.predict_proba(texts)
            predicted[test] = chances.argmax(axis=1).tolist()
            rows += [(test, *each) for each in self._scored(chances, pools.sample.rare)]
        rows += [(CLEAN, *each) for each in pools.facts(arm)]
        shared = {
            "dataset": self.split.name,
            "protocol": self.protocol,
            "method": arm.method,
            "times": float("nan") if arm.times is None else arm.times,
            "with_real": arm.with_real,
            "classifier": name,
            "k": which[0],
            "resample": which[1],
            "seconds": perf_counter() - start,
        }
        told = [{**shared, "test": test, "metric": m, "value": value} for test, m, value in rows]
        cell = Cell(told, predicted)
        self.store.put(key, cell)
        return cell

    def _scored(self, chances: np.ndarray, rare: np.ndarray) -> list[tuple[str, float]]:
        truth, said, n = self._truth, chances.argmax(axis=1), len(self.split.classes)
        found = [
            ("macro_f1", scores.macro_f1(truth, said, n)),
            ("accuracy", scores.accuracy(truth, said)),
            ("g_mean", scores.g_mean(truth, said, n)),
            ("pr_auc", scores.pr_auc(truth, chances)),
            ("calibration_error", scores.calibration_error(truth, chances)),
        ]
        if len(rare):
            few = np.searchsorted(self.split.classes, rare)
            found.append(("minority_recall", scores.minority_recall(truth, said, n, few)))
        return found

    def _identified(self) -> tuple[Any, ...]:
        decoder = self.models.decoder
        return (
            code_key("evaluation"),
            self.protocol,
            self.split.digest,
            self.setup.random_state,
            self.models.k_neighbors,
            self.models.encoder.fingerprint,
            described(decoder),
            models_of(decoder),
            {name: content_key(texts) for name, texts in self.tests.items()},
            None if self.teacher is None else repr(self.teacher),
        )


class _Constant:
    """What new texts of one class teach, the others having been refused: to say that one always.

    Where there are none at all, every class is as likely.
    """

    reads_points = True

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
        return self._real, self.seed, self._size(arm), others

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
        return (
            train.softened(self.study.teacher.predict_proba(train.texts)) if arm.teacher else train
        )

    def facts(self, arm: Arm) -> list[tuple[str, float]]:
        """Return how many new texts there are, what was refused, how near to real ones they are."""
        if not arm.makes:
            return [("n_train", float(len(self.sample.real)))]
        new = self._new(arm)
        wanted = _wanted(self.sample.real.labels, arm.times)
        found = [("n_asked", float(sum(wanted.values())))]
        found += [("n_new", float(len(new.labels) if new.points is None else len(new.points)))]
        found += [(f"refused_{kind}", float(n)) for kind, n in new.refusals().items()]
        if new.texts:
            found += nearness(new.texts, self.sample.real.texts, self.study.models.encoder)
            found += [("distinct_2", distinct_2(new.texts))]
            found += [("compression_ratio", compression_ratio(new.texts))]
        return found

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
        return made if arm.times == most else made.first(_wanted(labels, arm.times))

    def _make(self, name: str, wanted: dict[str, int]) -> TrainingTexts:
        if name == OTHERS:
            others = self.sample.others
            assert others is not None  # noqa: S101 - the protocol that has the arm draws them
            return others
        return method(name)(self.sample.real, wanted, self.study.models, self.seed)


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


def _as_int(k: Any) -> int:
    return round(float(k) * 1000)
