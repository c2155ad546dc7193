"""Which label others would give a text: judges that are trained on real texts only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from smotext_lab.encoders import Encoder
from smotext_lab.errors import DataError

__all__ = ["LabelJudge", "NeighborJudge", "TfidfJudge", "label_agreement"]

_BLOCK = 1024  # texts that are compared with all real ones at a time


class LabelJudge(Protocol):
    """Says a label for each text."""

    def predict(self, texts: Sequence[str]) -> np.ndarray:
        """Return labels, shape (n,)."""
        ...


def label_agreement(texts: Sequence[str], labels: Any, judge: LabelJudge) -> np.ndarray:
    """Return which texts a judge gives the label that they were made for.

    ``judge(x) = y``; the mean, between 0 and 1, is the share whose label is kept. Guessing by
    the class shares p gives ``Σ p_c²``, and a judge that errs on real texts errs on new ones:
    read it beside the same share of real texts that the judge was not trained on.

    It does not say who is wrong where they disagree, it is kind to texts that are as plain as a
    class can be, and it means little where the judge saw the texts that were decoded, or where
    the judge, or its encoder, took part in choosing among candidates.

    Parameters
    ----------
    texts : sequence of str, length n
    labels : array-like, shape (n,)
        Of the kind that the judge was given.
    judge : LabelJudge
        Trained on real texts that nothing was made from.

    Returns
    -------
    ndarray of bool, shape (n,)

    Raises
    ------
    DataError
        If there is not one label a text.

    References
    ----------
    .. [1] Hu et al., "Toward controlled generation of text", ICML 2017, arXiv 1703.00955,
       section 4: generated texts judged by a classifier trained apart.

    Examples
    --------
    >>> judge = TfidfJudge(["rain and snow", "more rain", "goal and match"], ["w", "w", "s"])
    >>> label_agreement(["rain", "a match"], ["w", "w"], judge)
    array([ True, False])
    """
    wanted = np.asarray(labels)
    if wanted.shape != (len(texts),):
        msg = f"each text needs one label: {len(texts)} texts and labels of shape {wanted.shape}"
        raise DataError(msg)
    agreed: np.ndarray = judge.predict(texts) == wanted
    return agreed


class NeighborJudge:
    """The label of the nearest real texts, each with its cosine as its vote.

    ``argmax_c Σ_{i in the k nearest, label i = c} max(0, cos(x, x_i))``; equal votes go to the
    label that comes first. The share of texts whose label it keeps lies between 0 and 1 and is
    to be read beside the same share of real texts: a judge that errs on those errs on all.

    With the encoder that a decoder chose its candidates by, it is not an independent judge.

    Parameters
    ----------
    encoder : Encoder
    vectors : ndarray, shape (n, d)
        Of the real texts, none of which may be a text that was decoded.
    labels : array-like, shape (n,)
    k : int, default=5

    References
    ----------
    .. [1] Dudani, "The distance-weighted k-nearest-neighbor rule", IEEE Trans. SMC 6, 1976.

    Examples
    --------
    >>> class Letters:
    ...     name, fingerprint, dim = "letters", "letters@1", 2
    ...
    ...     def encode(self, texts, *, progress=False):
    ...         return np.array([[text.count("a"), text.count("b")] for text in texts], float)
    >>> judge = NeighborJudge(Letters(), np.array([[1.0, 0.0], [0.0, 1.0]]), ["A", "B"], k=1)
    >>> judge.predict(["aab", "bb"])
    array(['A', 'B'], dtype='<U1')
    """

    def __init__(self, encoder: Encoder, vectors: np.ndarray, labels: Any, k: int = 5) -> None:
        self.classes, codes = np.unique(np.asarray(labels), return_inverse=True)
        if not len(vectors) or len(vectors) != len(codes):
            msg = f"a judge needs a label for each real text: {len(vectors)} and {len(codes)} given"
            raise DataError(msg)
        self.encoder = encoder
        self.k = min(k, len(codes))
        self._vectors = _unit(np.asarray(vectors, np.float32))
        self._codes = codes

    def predict(self, texts: Sequence[str]) -> np.ndarray:
        """Return labels, shape (n,)."""
        vectors = _unit(self.encoder.encode(list(texts)))
        found = np.empty(len(vectors), np.int64)
        for start in range(0, len(vectors), _BLOCK):
            near = vectors[start : start + _BLOCK] @ self._vectors.T
            best = np.argsort(-near, axis=1, kind="stable")[:, : self.k]
            votes = np.zeros((len(near), len(self.classes)))
            weights = np.take_along_axis(near, best, axis=1).clip(min=0)
            np.add.at(votes, (np.arange(len(near))[:, None], self._codes[best]), weights)
            found[start : start + len(near)] = votes.argmax(axis=1)
        labels: np.ndarray = self.classes[found]
        return labels


class TfidfJudge:
    """Logistic regression on TF-IDF of words and pairs of words; no vector takes part.

    It knows the words of the real texts it was trained on and nothing else, so it cannot see
    that a paraphrase means the same, nor is it misled by what an encoder finds alike.

    Parameters
    ----------
    texts : sequence of str, length n
        Real ones, none of which may be a text that was decoded.
    labels : array-like, shape (n,)
        Of at least two classes.

    References
    ----------
    .. [1] Wang and Manning, "Baselines and bigrams: simple, good sentiment and topic
       classification", ACL 2012.

    Examples
    --------
    >>> judge = TfidfJudge(["rain and snow", "more rain", "goal and match"], ["w", "w", "s"])
    >>> judge.predict(["rain", "match"])
    array(['w', 's'], dtype='<U1')
    """

    def __init__(self, texts: Sequence[str], labels: Any) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline

        labels = np.asarray(labels)
        if len(np.unique(labels)) < 2:
            msg = "a judge of labels needs real texts of at least two classes"
            raise DataError(msg)
        pattern = r"\w+|[?!]"  # marks are words too: a question is known by its mark
        words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=pattern)
        self._model = make_pipeline(words, LogisticRegression(C=10.0, max_iter=1000))
        self._model.fit(list(texts), labels)

    def predict(self, texts: Sequence[str]) -> np.ndarray:
        """Return labels, shape (n,)."""
        labels: np.ndarray = self._model.predict(list(texts))
        return labels


def _unit(vectors: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: np.ndarray = vectors / np.where(lengths > 0, lengths, 1.0)
    return unit
