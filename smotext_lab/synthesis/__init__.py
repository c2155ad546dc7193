"""The result of a run: the new texts, what became of each attempt, where each came from."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from smotext_lab._version import __version__
from smotext_lab.errors import DataError, ParameterError, did_you_mean
from smotext_lab.markup import texts_table
from smotext_lab.synthesis.beside import beside
from smotext_lab.synthesis.reading import metadata_of, rows_of
from smotext_lab.synthesis.writing import Target, csv_bytes, jsonl_bytes, parquet_bytes, write

__all__ = ["COLUMNS", "Synthesis", "weights_as_json"]

COLUMNS = (
    "text",
    "label",
    "label_weights",
    "parents",
    "weights",
    "cosine_to_target",
    "cosine_to_nearest_real",
    "label_probability",
    "attempts",
    "status",
    "reason",
    "seed",
)
_FLOATS = ("cosine_to_target", "cosine_to_nearest_real", "label_probability")
_STATUSES = ("accepted", "rejected")
_SHOWN = 10  # rows in a notebook's output
_HEADS = {
    "text": "text",
    "label": "label",
    "parents": "from rows",
    "weights": "weights",
    "cosine_to_target": "cosine to target",
    "cosine_to_nearest_real": "cosine to nearest real",
    "label_probability": "p(label)",
}


class Synthesis:
    """New texts with their provenance, one row per decoded attempt.

    Parameters
    ----------
    frame : DataFrame
        Rows with some or all of the columns below. A column that is not there becomes empty:
        a mechanism with a privacy guarantee must not reveal some of them.
    originals : DataFrame, optional
        The real texts, with the user's own index and further columns, kept as they are.
    info : dict, optional
        Provenance of the run (models, bridge, parameters), of values that JSON can hold.
    text_column, label_column : str, default "text" and "label"
        The user's names for the two columns, used in `originals` and in all output.

    Attributes
    ----------
    frame : DataFrame
        All rows, rejected ones too, in the order they were made:

        ========================  =================================================
        text                      str
        label                     the type of the user's labels
        label_weights             dict label -> weight (soft labels) or None
        parents, weights          lists: row numbers of the originals, their weights
        cosine_to_target          float64, of the re-encoded text to its blend
        cosine_to_nearest_real    float64
        label_probability         float64, as the guards' neighbours judge it
        attempts                  Int64, decodings up to this one
        status                    "accepted" or "rejected"
        reason                    str, why it was rejected, or None
        seed                      UInt64, of this decoding
        ========================  =================================================
    info : dict

    Raises
    ------
    ParameterError
        If a column is not one of those above.
    DataError
        If a status is unknown, or `originals` lacks the text or label column.

    Examples
    --------
    >>> made = Synthesis.from_rows(
    ...     [
    ...         {"text": "Rain is due.", "label": "weather", "status": "accepted"},
    ...         {"text": "Rain rain rain", "label": "weather", "status": "rejected",
    ...          "reason": "degenerate"},
    ...     ]
    ... )
    >>> len(made), made.reasons().to_dict()
    (1, {'degenerate': 1})
    """

    def __init__(
        self,
        frame: pd.DataFrame,
        *,
        originals: pd.DataFrame | None = None,
        info: Mapping[str, Any] | None = None,
        text_column: str = "text",
        label_column: str = "label",
    ) -> None:
        if text_column == label_column:
            msg = f"text_column and label_column are both {text_column!r}; they must differ."
            raise ParameterError(msg)
        self.frame = _typed(frame)
        self.text_column = text_column
        self.label_column = label_column
        self.originals = originals
        self.info: dict[str, Any] = dict(info or {})
        if originals is not None:
            _check_originals(originals, text_column, label_column)

    @classmethod
    def from_rows(cls, rows: Iterable[Mapping[str, Any]], **kwargs: Any) -> Synthesis:
        """Build a result from one mapping per decoded attempt.

        Parameters
        ----------
        rows : iterable of mappings
            Keys are among `COLUMNS`; a missing key is a missing value.
        **kwargs
            `originals`, `info`, `text_column`, `label_column`, as for the class.
        """
        records = [dict(row) for row in rows]
        names = dict.fromkeys(COLUMNS) | dict.fromkeys(k for r in records for k in r)
        columns = {name: pd.Series([r.get(name) for r in records], dtype=object) for name in names}
        return cls(pd.DataFrame(columns), **kwargs)

    @classmethod
    def from_parquet(cls, path: str | os.PathLike[str]) -> Synthesis:
        """Read the new rows and the provenance that `to_parquet` wrote; originals are left out.

        Raises
        ------
        DataError
            If the file is none of `to_parquet`, or damaged.
        """
        told = metadata_of(path)
        if told is None:
            msg = f"{str(path)!r} is no file that Synthesis.to_parquet wrote: use load_dataset."
            raise DataError(msg)
        names = told["columns"]
        return cls(
            rows_of(path, names),
            info=told["info"],
            text_column=names["text"],
            label_column=names["label"],
        )

    @classmethod
    def concat(cls, parts: Iterable[Synthesis]) -> Synthesis:
        """Return one result with the rows of all `parts`, in order.

        Where their provenances differ, ``info["parts"]`` holds them. What a privacy mechanism
        guarantees stays ``info["guarantee"]`` only where all parts are of one release: several
        give away more together than any of them states (`smotext_lab.privacy.audit` adds up).

        Raises
        ------
        ParameterError
            If there are no parts, or they name their columns differently or were made from
            different originals (`parents` would then point to different rows).
        """
        parts = list(parts)
        if not parts:
            msg = "Nothing to concatenate: give at least one Synthesis."
            raise ParameterError(msg)
        first = parts[0]
        for part in parts[1:]:
            if not first._same_source(part):
                msg = (
                    "These results come from different originals or name their columns "
                    "differently; join their to_pandas() frames instead."
                )
                raise ParameterError(msg)
        return cls(
            pd.concat([p.frame for p in parts], ignore_index=True),
            originals=first.originals,
            info=_joined([info for p in parts for info in p.info.get("parts", [p.info])]),
            text_column=first.text_column,
            label_column=first.label_column,
        )

    def _same_source(self, other: Synthesis) -> bool:
        mine, theirs = self.originals, other.originals
        names = (self.text_column, self.label_column) == (other.text_column, other.label_column)
        if mine is None or theirs is None:
            return names and mine is theirs
        return names and (mine is theirs or mine.equals(theirs))

    def __len__(self) -> int:
        return int((self.frame["status"] == "accepted").sum())

    @property
    def accepted(self) -> pd.DataFrame:
        """Rows of `frame` that passed the guards."""
        return self.frame[self.frame["status"] == "accepted"]

    @property
    def rejected(self) -> pd.DataFrame:
        """Rows of `frame` that did not pass, each with its reason."""
        return self.frame[self.frame["status"] == "rejected"]

    def counts(self) -> pd.Series:
        """Return the number of accepted texts per class, 0 for a class with none."""
        classes = self.frame["label"].dropna().unique()
        found = self.accepted["label"].value_counts(sort=False)
        return found.reindex(classes, fill_value=0).rename("count")

    def reasons(self) -> pd.Series:
        """Return the number of rejected texts per kind of reason, the most frequent first.

        The kind is what stands before the colon: ``"copy: cosine 0.97 to text 12"`` is a copy.
        """
        kinds = self.rejected["reason"].dropna().map(lambda reason: reason.partition(":")[0])
        return kinds.value_counts()

    def to_pandas(self, *, with_originals: bool = False, rejected: bool = False) -> pd.DataFrame:
        """Return the new texts as a frame with the user's own names for text and label.

        Parameters
        ----------
        with_originals : bool, default False
            Put the originals first, index and further columns untouched, and say in a column
            `source` which rows are ``"original"`` and which ``"synthetic"``. New rows have
            missing values in the user's further columns (so integers become ``Int64`` there),
            and continue an integer index; in any other they are ``"synthetic-0"`` and so on.
        rejected : bool, default False
            Include rejected rows.

        Returns
        -------
        DataFrame
            Where a provenance column would clash with one of the user's, the user's keeps
            its name and ours is prefixed with ``smotext_``.

        Raises
        ------
        DataError
            If originals are asked for and this result has none.
        """
        names = self.output_names()
        rows = self.frame if rejected else self.accepted
        new = rows.reset_index(drop=True).rename(columns=names)
        if not with_originals:
            return new
        if self.originals is None:
            msg = "This result kept no originals; use with_originals=False."
            raise DataError(msg)
        given = [self.text_column, self.label_column]
        return beside(self.originals, new, given, names["source"])

    def output_names(self) -> dict[str, str]:
        """Map `COLUMNS` and ``source`` to names that leave the user's columns alone."""
        taken = {self.text_column, self.label_column}
        if self.originals is not None:
            taken |= set(self.originals.columns)
        names = {"text": self.text_column, "label": self.label_column}
        for column in (*COLUMNS[2:], "source"):
            name = column
            while name in taken:
                name = f"smotext_{name}"
            names[column] = name
        return names

    def to_csv(
        self, target: Target, *, with_originals: bool = False, rejected: bool = False
    ) -> None:
        """Write CSV (UTF-8; lists as JSON) to a path, ``"-"`` or an open file, atomically.

        Parameters are those of `to_pandas`. A path ending in ``.gz`` is compressed.
        """
        frame = self.to_pandas(with_originals=with_originals, rejected=rejected)
        write(target, csv_bytes(frame))

    def to_jsonl(
        self, target: Target, *, with_originals: bool = False, rejected: bool = False
    ) -> None:
        """Write JSON Lines (UTF-8) to a path, ``"-"`` or an open file, atomically.

        Parameters are those of `to_pandas`. A path ending in ``.gz`` is compressed.
        """
        frame = self.to_pandas(with_originals=with_originals, rejected=rejected)
        write(target, jsonl_bytes(frame))

    def to_parquet(
        self, target: Target, *, with_originals: bool = False, rejected: bool = False
    ) -> None:
        """Write Parquet to a path, ``"-"`` or an open binary file, atomically.

        Parameters are those of `to_pandas`. `info` and the version go into the file's
        metadata under the key ``smotext_lab``, as JSON. `label_weights` becomes JSON text,
        since Parquet has no dict.
        """
        frame = self.to_pandas(with_originals=with_originals, rejected=rejected)
        names = self.output_names()
        frame[names["label_weights"]] = weights_as_json(frame[names["label_weights"]])
        metadata = {"version": __version__, "columns": names, "info": self.info}
        write(target, parquet_bytes(frame, metadata))

    def to_dataset(self) -> Any:
        """Return the accepted texts as a ``datasets.Dataset``; see `smotext_lab.hub`."""
        from smotext_lab.hub import to_dataset

        return to_dataset(self)

    def push_to_hub(self, repo_id: str, **how: Any) -> str:
        """Upload the accepted texts with a data card; see `smotext_lab.hub.push_to_hub`."""
        from smotext_lab.hub import push_to_hub

        return push_to_hub(self, repo_id, **how)

    def __repr__(self) -> str:
        lines = [f"Synthesis: {self._summary()}"]
        counts = self.counts()
        if len(counts):
            listed = ", ".join(f"{label} {n}" for label, n in counts.head(8).items())
            lines.append(f"  {listed}{', …' if len(counts) > 8 else ''}")
        if len(self):
            text = " ".join(str(self.accepted["text"].iloc[0])[:200].split())
            lines.append(f"  {text[:72]!r}{'…' if len(text) > 72 else ''}")
        return "\n".join(lines)

    def _summary(self) -> str:
        n, classes = len(self), self.counts()
        texts = f"{n:,} text{'' if n == 1 else 's'}"
        kinds = f"{len(classes)} class{'' if len(classes) == 1 else 'es'}"
        return f"{texts}, {kinds}, {len(self.frame) - n:,} rejected"

    def _repr_html_(self) -> str:
        rows = self.accepted.head(_SHOWN)
        shown = [c for c in _HEADS if c in ("text", "label") or rows[c].notna().any()]
        more = len(self) - len(rows)
        notes = [f"and {more:,} more"] if more else []
        notes += [f"rejected, {reason}: {n:,}" for reason, n in self.reasons().head(8).items()]
        title = f"Synthesis: {self._summary()}"
        return texts_table(rows[shown].rename(columns=_HEADS), title=title, notes=notes)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        bundle = {"text/plain": repr(self), "text/html": self._repr_html_()}
        return {
            kind: shown
            for kind, shown in bundle.items()
            if (not include or kind in include) and kind not in (exclude or ())
        }


def _joined(infos: list[dict[str, Any]]) -> dict[str, Any]:
    """Return one provenance for several; a guarantee only where it is of one release."""
    first, *others = infos
    stated = first.get("guarantee")
    if any(info.get("guarantee") != stated for info in others):
        return {"parts": infos}
    if others and stated and not stated.get("release"):  # equal, and yet they may be two
        return {"parts": infos}
    if all(info == first for info in others):
        return first
    told = ("privacy", "guarantee", "withheld", "guards") if stated else ()
    return {name: first[name] for name in told if name in first} | {"parts": infos}


def _typed(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a new frame with exactly `COLUMNS`, in their documented types."""
    for column in frame.columns:
        if column not in COLUMNS:
            known = ", ".join(COLUMNS)
            msg = f"Unknown column {column!r}{did_you_mean(column, COLUMNS)}; known: {known}."
            raise ParameterError(msg)
    rows = pd.RangeIndex(len(frame))
    given = {c: frame[c].set_axis(rows) for c in COLUMNS if c in frame.columns}
    empty = pd.Series([None] * len(frame), index=rows, dtype=object)
    columns = {c: given.get(c, empty) for c in COLUMNS}
    columns["label"] = columns["label"].infer_objects()
    columns["label_weights"] = columns["label_weights"].map(_plain_dict).astype(object)
    for column in ("parents", "weights"):
        columns[column] = columns[column].map(_plain_list).astype(object)
    for column in _FLOATS:
        columns[column] = columns[column].astype("float64")
    columns["attempts"] = columns["attempts"].astype("Int64")
    columns["seed"] = _seeds(columns["seed"])
    for status in columns["status"].unique():
        if status not in _STATUSES:
            msg = f"Unknown status {status!r}{did_you_mean(status, _STATUSES)}; use {_STATUSES}."
            raise DataError(msg)
    return pd.DataFrame(columns, index=rows)


def _plain_list(value: Any) -> list | None:
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return None
    return list(np.asarray(value).tolist())


def _plain_dict(value: Any) -> dict[Any, float] | None:
    return {k: float(v) for k, v in value.items()} if isinstance(value, Mapping) else None


def _seeds(values: pd.Series) -> pd.Series:
    """Return `values` as UInt64 without the detour over float that would round 64-bit seeds."""
    missing = values.isna().to_numpy()
    whole = [0 if gone else int(v) for v, gone in zip(values, missing, strict=True)]
    array = pd.arrays.IntegerArray(np.array(whole, dtype=np.uint64), missing)
    return pd.Series(array, index=values.index)


def _check_originals(originals: pd.DataFrame, text: str, label: str) -> None:
    if not originals.columns.is_unique:
        twice = originals.columns[originals.columns.duplicated()][0]
        msg = f"The originals have two columns named {twice!r}; rename one."
        raise DataError(msg)
    for column in (text, label):
        if column not in originals.columns:
            guess = did_you_mean(column, originals.columns)
            msg = f"The originals have no column {column!r}{guess}."
            raise DataError(msg)


def weights_as_json(values: pd.Series) -> pd.Series:
    """Return soft labels as JSON text, None where there are none: Parquet has no dict."""
    as_text = [json.dumps(v, ensure_ascii=False) if isinstance(v, dict) else None for v in values]
    return pd.Series(as_text, index=values.index, dtype=object)
