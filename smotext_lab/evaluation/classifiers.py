"""Classifiers that say what texts are worth: trained on them, tested on real ones.

Each sees the training part alone: scaling, regularisation and vocabulary come from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol, get_args

import numpy as np
from threadpoolctl import threadpool_limits

from smotext_lab.encoders import Encoder
from smotext_lab.errors import DataError, ParameterError, did_you_mean
from smotext_lab.evaluation.training import TrainingTexts
from smotext_lab.guards.words import fold

__all__ = ["ClassifierName", "Remembering", "TextClassifier", "text_classifier"]

ClassifierName = Literal["tfidf-logreg", "bag-of-embeddings", "embedding-logreg", "finetuned-bert"]

_MARKS = r"\w+|[?!]"  # marks are words too: a question is known by its mark
_WEIGHTS = "sample_weight"
_REMEMBERED = 65_536  # texts, of the lists that were asked last: 100 MB of MiniLM's vectors
_STRENGTHS = (0.1, 1.0, 10.0, 100.0)  # of the inverse regularisation that is chosen among


class TextClassifier(Protocol):
    """What a protocol asks of a classifier.

    Attributes
    ----------
    reads_points : bool
        Whether it can learn from vectors that no text was written for.
    reads_weights : bool
        Whether texts can count more or less, as class weights and soft labels need.
    """

    reads_points: bool
    reads_weights: bool

    def fit(self, train: TrainingTexts, classes: np.ndarray) -> None:
        """Learn; `classes`, sorted, are those of the columns of `predict_proba`."""
        ...

    def predict_proba(self, texts: Sequence[str]) -> np.ndarray:
        """Return probabilities, float64 (n, n_classes)."""
        ...


def text_classifier(
    classifier: ClassifierName | Any, encoder: Encoder, random_state: int
) -> TextClassifier:
    """Return a classifier by its name, or one around a scikit-learn estimator of texts.

    Parameters
    ----------
    classifier : {"tfidf-logreg", "bag-of-embeddings", "embedding-logreg", "finetuned-bert"}
        Or an estimator, which is cloned; it must have ``predict_proba``.
        *tfidf-logreg*: logistic regression on TF-IDF of words and pairs of words.
        *bag-of-embeddings*: the mean of word vectors that are learnt, see `BagOfEmbeddings`.
        *embedding-logreg*: logistic regression on the encoder's vectors, its regularisation
        chosen by cross-validation inside the training part, copies of a text always together.
        *finetuned-bert*: the encoder
        itself with a head, see `FinetunedBert`.
    encoder : Encoder
        Frozen; for *embedding-logreg*.
    random_state : int

    Raises
    ------
    ParameterError
        If there is no such classifier, or the estimator says no probabilities.

    Examples
    --------
    >>> model = text_classifier("tfidf-logreg", None, 0)
    >>> train = TrainingTexts(["rain and snow", "more rain", "a goal"], np.array(["w", "w", "s"]))
    >>> model.fit(train, np.array(["s", "w"]))
    >>> model.predict_proba(["snow"]).argmax(axis=1)
    array([1])
    """
    if classifier == "tfidf-logreg":
        return _Estimator(_tfidf())
    if classifier == "bag-of-embeddings":
        from smotext_lab.evaluation.bag_of_embeddings import BagOfEmbeddings

        return BagOfEmbeddings(random_state=random_state)
    if classifier == "embedding-logreg":
        return _Embedding(encoder, random_state)
    if classifier == "finetuned-bert":
        from smotext_lab.evaluation.finetuning import FinetunedBert

        return FinetunedBert(encoder.name, random_state=random_state)
    if isinstance(classifier, str) or not hasattr(classifier, "predict_proba"):
        names = get_args(ClassifierName)
        msg = (
            f"no classifier {classifier!r}{did_you_mean(classifier, names)}: use one of "
            f"{', '.join(names)}, or a scikit-learn estimator with predict_proba"
        )
        raise ParameterError(msg)
    return _Estimator(_seeded(classifier, random_state))


def _seeded(estimator: Any, random_state: int) -> Any:
    """Return a clone that draws from `random_state` where it was left to chance."""
    from sklearn.base import clone

    made = clone(estimator)
    given = made.get_params()
    own = [name for name in given if name.rpartition("__")[2] == "random_state"]
    return made.set_params(**{name: random_state for name in own if given[name] is None})


class Remembering:
    """An encoder that encodes a list of texts once.

    The list as a whole: the last bits of a text's vector depend on the texts beside it, and what
    was asked before must not change them. So a run that goes on from kept results gives what an
    unbroken one gives.

    Parameters
    ----------
    encoder : Encoder
    """

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self.name, self.fingerprint, self.dim = encoder.name, encoder.fingerprint, encoder.dim
        self._known: dict[tuple[str, ...], np.ndarray] = {}

    def encode(self, texts: Sequence[str], *, progress: bool = False) -> np.ndarray:
        """Return float32 vectors, shape (n, dim)."""
        asked = tuple(texts)
        found = self._known.pop(asked, None)
        if found is None:
            once = list(dict.fromkeys(asked))
            rows = dict(zip(once, self.encoder.encode(once, progress=progress), strict=True))
            empty = np.empty((0, self.dim), np.float32)
            found = np.stack([rows[text] for text in asked]) if asked else empty
        self._known[asked] = found  # the last one now
        while len(self._known) > 1 and sum(map(len, self._known)) > _REMEMBERED:
            del self._known[next(iter(self._known))]
        return found.copy()


class _Estimator:
    """Around an estimator that reads a list of texts."""

    reads_points = False

    def __init__(self, estimator: Any) -> None:
        from sklearn.utils.validation import has_fit_parameter

        self.estimator = estimator
        steps = getattr(estimator, "steps", None)
        self.reads_weights = has_fit_parameter(steps[-1][1] if steps else estimator, _WEIGHTS)
        self._weights = f"{steps[-1][0]}__{_WEIGHTS}" if steps else _WEIGHTS

    def fit(self, train: TrainingTexts, classes: np.ndarray) -> None:
        rows, labels, weights = _hardened(train, classes)
        _check(labels)
        self._classes = classes
        texts = [train.texts[row] for row in rows]
        given = {} if weights is None else {self._weights: weights}
        self.estimator.fit(texts, labels, **given)

    def predict_proba(self, texts: Sequence[str]) -> np.ndarray:
        return _spread(
            self.estimator.predict_proba(list(texts)), self.estimator.classes_, self._classes
        )


class _Embedding:
    """Logistic regression on frozen vectors."""

    reads_points = reads_weights = True

    def __init__(self, encoder: Encoder, random_state: int) -> None:
        self.encoder = encoder
        self.random_state = random_state

    def fit(self, train: TrainingTexts, classes: np.ndarray) -> None:
        from sklearn.linear_model import LogisticRegression

        rows, labels, weights = _hardened(train, classes)
        vectors = self.encoder.encode(train.texts)[rows]
        same = np.unique([fold(text) for text in train.texts], return_inverse=True)[1][rows]
        if train.points is not None and train.point_labels is not None:
            vectors = np.concatenate([vectors, train.points])
            labels = np.concatenate([labels, train.point_labels])
            same = np.concatenate([same, len(train) + np.arange(len(train.points))])
            if weights is not None:
                weights = np.concatenate([weights, np.ones(len(train.points))])
        _check(labels)
        self._classes = classes
        with threadpool_limits(1):  # few rows: more threads only wait for each other
            strength = 10.0
            if train.shares is None:
                strength = self._strength(vectors, labels, weights, same)
            self._model = LogisticRegression(C=strength, max_iter=500)
            self._model.fit(vectors, labels, sample_weight=weights)

    def _strength(
        self,
        vectors: np.ndarray,
        labels: np.ndarray,
        weights: np.ndarray | None,
        same: np.ndarray,
    ) -> float:
        """Return the C of the best cross-validated loss; weights count in it as they do in fits.

        Rows that are the `same` text stay together: a text is not held back from its copy.
        """
        import sklearn
        from sklearn.linear_model import LogisticRegression
        from sklearn.metrics import get_scorer
        from sklearn.model_selection import GridSearchCV, PredefinedSplit

        texts = {label: np.unique(same[labels == label]) for label in np.unique(labels)}
        folds = min(3, *map(len, texts.values()))
        if folds < 2:
            return 10.0
        rng, part = np.random.default_rng(self.random_state), np.empty(len(labels), dtype=int)
        for label, own in texts.items():
            rows = labels == label
            part[rows] = rng.permutation(len(own))[np.searchsorted(own, same[rows])] % folds
        with sklearn.config_context(enable_metadata_routing=True):
            search = GridSearchCV(
                LogisticRegression(max_iter=300).set_fit_request(sample_weight=True),
                {"C": _STRENGTHS},
                scoring=get_scorer("neg_log_loss").set_score_request(sample_weight=True),
                cv=PredefinedSplit(part),
            )
            search.fit(vectors, labels, sample_weight=weights)
        return float(search.best_params_["C"])

    def predict_proba(self, texts: Sequence[str]) -> np.ndarray:
        found = self._model.predict_proba(self.encoder.encode(list(texts)))
        return _spread(found, self._model.classes_, self._classes)


def _tfidf() -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=_MARKS)
    return make_pipeline(words, LogisticRegression(C=10.0, max_iter=1000))


def _hardened(
    train: TrainingTexts, classes: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Return rows, labels and weights; a soft label is a row for each class, weighted by it."""
    rows = np.arange(len(train))
    if train.shares is None:
        labels, weights = train.labels, train.weights
    else:
        rows, columns = np.nonzero(train.shares > 1e-3)
        labels, weights = classes[columns], train.shares[rows, columns]
    return rows, labels, weights


def _check(labels: np.ndarray) -> None:
    if len(np.unique(labels)) < 2:
        msg = f"a classifier needs training texts of two classes, not of {len(np.unique(labels))}"
        raise DataError(msg)


def _spread(found: np.ndarray, known: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Return the columns of `found` where `classes` has them, 0 for classes never seen."""
    spread = np.zeros((len(found), len(classes)))
    spread[:, np.searchsorted(classes, known)] = found
    return spread
