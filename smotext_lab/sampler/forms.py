"""The forms in which users hold texts and labels, and giving the same form back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from imblearn.utils import check_target_type
from sklearn.utils.multiclass import check_classification_targets

from smotext_lab.errors import DataError
from smotext_lab.synthesis.beside import beside

__all__ = ["Given", "read_labels"]

_SOURCE = "source"  # a column that `beside` adds; the names below are kept apart from it


@dataclass(frozen=True, eq=False)
class Given:
    """Texts and labels as the user gave them, and as the road reads them.

    Attributes
    ----------
    texts : list of str
    labels : ndarray of shape (n,)
        One label a text, also where the user gave one-hot rows (then the column numbers).
    """

    texts: list[str]
    labels: np.ndarray
    _X: Any
    _y: Any

    @classmethod
    def read(cls, X: Any, y: Any) -> Given:
        """Check the labels, then the texts.

        Parameters
        ----------
        X : list, tuple, 1-d or one-column array, Series or one-column frame of str
        y : list, tuple, array, Series, Categorical or frame
            One label a text: classes of any one type, or one-hot rows.

        Raises
        ------
        DataError
            If something is missing or of another kind, or the lengths differ.
        """
        labels = read_labels(y)
        texts = _read_texts(X)
        if not texts:
            msg = "There are no texts: give at least two of each class."
            raise DataError(msg)
        if len(texts) != len(labels):
            msg = f"There are {len(texts)} texts but {len(labels)} labels: give one label each."
            raise DataError(msg)
        return cls(texts, labels, X, y)

    @property
    def text_name(self) -> str:
        """The user's name for the texts, or ``"text"``."""
        named = self._X.columns[0] if isinstance(self._X, pd.DataFrame) else _name(self._X)
        return named if isinstance(named, str) and named != _SOURCE else "text"

    @property
    def label_name(self) -> str:
        """The user's name for the labels, or ``"label"``; never that of the texts."""
        named = _name(self._y)
        if isinstance(self._y, pd.DataFrame) and self._y.shape[1] == 1:
            named = self._y.columns[0]
        usable = isinstance(named, str) and named not in (self.text_name, _SOURCE)
        return named if usable else ("label" if self.text_name != "label" else "class")

    def frame(self) -> pd.DataFrame:
        """Return texts and labels in one frame, with the user's index if there is one."""
        index = next((v.index for v in (self._X, self._y) if _is_pandas(v)), None)
        texts = _column(self._X) if _is_pandas(self._X) else _string_series(self.texts)
        labels = pd.Series(self.labels) if self._one_hot or _is_bare(self._y) else _column(self._y)
        columns = {
            self.text_name: texts.reset_index(drop=True),
            self.label_name: labels.reset_index(drop=True),
        }
        frame = pd.DataFrame(columns)
        return frame if index is None else frame.set_axis(index, axis=0)

    def longer(self, texts: list[str], labels: list[Any]) -> tuple[Any, Any]:
        """Return the user's texts and labels with new ones after them, in the forms given.

        The given rows are equal to what they were. Series and frames keep their index; new
        rows go on counting an integer index and are ``"synthetic-0"`` and so on in any other.
        `y` has the index of `X` where both have one, as in imbalanced-learn.
        """
        names = [self.text_name, self.label_name]
        new = pd.DataFrame(dict(zip(names, (texts, labels), strict=True)), dtype=object)
        grown = beside(self.frame(), new, names, _SOURCE)
        return (
            _longer_texts(self._X, texts, grown[names[0]]),
            self._longer_labels(labels, grown[names[1]]),
        )

    @property
    def _one_hot(self) -> bool:
        return np.ndim(self._y) == 2 and np.shape(self._y)[1] > 1

    def _longer_labels(self, new: list[Any], grown: pd.Series) -> Any:
        y = self._y
        if self._one_hot:
            rows = np.eye(np.shape(y)[1], dtype=np.asarray(y).dtype)[new]
            grown_rows = np.concatenate([np.asarray(y), rows])
            if isinstance(y, pd.DataFrame):
                return pd.DataFrame(grown_rows, index=grown.index, columns=y.columns)
            return grown_rows.tolist() if isinstance(y, list) else grown_rows
        if isinstance(y, pd.DataFrame):
            return grown.to_frame().set_axis(y.columns, axis=1)
        if isinstance(y, pd.Series):
            return _named(grown, y.name)
        if isinstance(y, pd.Categorical):
            return pd.Categorical([*y, *new], dtype=y.dtype)
        return _longer_array(y, new)


def read_labels(y: Any) -> np.ndarray:
    """Return one label a row from labels in any of the forms that `Given.read` takes.

    Parameters
    ----------
    y : list, tuple, array, Series, Categorical or frame

    Returns
    -------
    ndarray of shape (n,)

    Raises
    ------
    DataError
        If a label is missing, or they are not classes of one type.

    Examples
    --------
    >>> read_labels(pd.Series(["a", "b"], dtype="category")).tolist()
    ['a', 'b']
    """
    if y is None or np.ndim(y) == 0 or not len(y):
        msg = "There are no labels: give one label for each text."
        raise DataError(msg)
    y = list(y) if isinstance(y, tuple) else y
    missing = np.flatnonzero(
        np.ravel(pd.isna(pd.DataFrame(y) if np.ndim(y) == 2 else pd.Series(y)))
    )
    if len(missing):
        msg = f"Label {missing[0]} is missing ({len(missing)} in all): drop those rows."
        raise DataError(msg)
    if len({isinstance(label, str) for label in y}) > 1 and np.ndim(y) == 1:
        msg = "Some labels are strings and some are not: convert them to one type."
        raise DataError(msg)
    plain = y if isinstance(y, list) and np.ndim(y) == 1 else np.asarray(y)
    if isinstance(plain, np.ndarray) and plain.dtype.kind in "OT":
        plain = np.array(plain.tolist())  # scikit-learn knows numbers and U strings only
    try:
        check_classification_targets(plain)
        return np.asarray(check_target_type(plain))
    except (TypeError, ValueError) as error:
        msg = f"The labels cannot be used: {error}"
        raise DataError(msg) from error


def _read_texts(X: Any) -> list[str]:
    shape: tuple[int, ...] = (len(X),) if isinstance(X, list | tuple) else np.shape(np.asarray(X))
    if shape[1:] not in ((), (1,)) or not shape:
        what = f"has shape {shape}" if shape else f"is a {type(X).__name__}"
        msg = (
            "The texts must be a list, a 1-d array, a Series or a frame with one column, but "
            f"what was given {what}: pass the text column alone."
        )
        raise DataError(msg)
    if len(shape) == 2:
        X = np.asarray(X)[:, 0]
    texts = list(X)
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            missing = np.ndim(text) == 0 and pd.isna(text)
            kind = "missing" if missing else f"a {type(text).__name__}, not a string"
            msg = f"Text {row} is {kind}: texts must be str; drop or convert such rows."
            raise DataError(msg)
    return [str(text) for text in texts]


def _longer_texts(X: Any, new: list[str], grown: pd.Series) -> Any:
    if isinstance(X, pd.DataFrame):
        return grown.to_frame().set_axis(X.columns, axis=1)
    if isinstance(X, pd.Series):
        return _named(grown, X.name)
    return _longer_array(X, new)


def _longer_array(values: Any, new: list[Any]) -> Any:
    if isinstance(values, list | tuple):
        return type(values)([*values, *new])
    array = np.asarray(values)
    rows = np.array(new, dtype=None if array.dtype.kind == "U" else array.dtype)
    if not len(new):
        return array.copy()
    return np.concatenate([array, rows.reshape(-1, *array.shape[1:])])


def _name(values: Any) -> Any:
    return values.name if isinstance(values, pd.Series) else None


def _string_series(texts: list[str]) -> pd.Series:
    try:
        return pd.Series(texts)
    except UnicodeEncodeError:  # half a surrogate pair: Python holds it, pandas' str does not
        return pd.Series(texts, dtype=object)


def _named(values: pd.Series, name: Any) -> pd.Series:
    named = values.copy()
    named.name = name
    return named


def _is_pandas(values: Any) -> bool:
    return isinstance(values, pd.Series | pd.DataFrame)


def _is_bare(values: Any) -> bool:
    return not isinstance(values, pd.Series | pd.DataFrame | pd.Categorical)


def _column(values: Any) -> pd.Series:
    return values.iloc[:, 0] if isinstance(values, pd.DataFrame) else pd.Series(values)
