"""From words, as typed after a command or a magic, to what the library takes."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smotext_lab.errors import DataError, ParameterError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

    from smotext_lab.guards import Guards
    from smotext_lab.interpolators import Interpolator

__all__ = [
    "INTERPOLATORS",
    "counts_of",
    "guards_of",
    "in_labels",
    "interpolator_of",
    "masked_names",
    "one_split",
    "strategy_of",
]

INTERPOLATORS: dict[str, tuple[str, dict[str, str]]] = {
    "smote": ("SMOTEInterpolator", {}),
    "borderline-1": ("BorderlineSMOTEInterpolator", {"kind": "borderline-1"}),
    "borderline-2": ("BorderlineSMOTEInterpolator", {"kind": "borderline-2"}),
    "svm": ("SVMSMOTEInterpolator", {}),
    "kmeans": ("KMeansSMOTEInterpolator", {}),
    "adasyn": ("ADASYNInterpolator", {}),
    "random-pair": ("RandomPairInterpolator", {}),
    "mixup": ("MixupInterpolator", {}),
    "dirichlet": ("DirichletInterpolator", {}),
}
"""What ``--interpolator`` takes: the class of `smotext_lab`, and what it is told."""


def counts_of(words: Sequence[str], option: str = "--n") -> int | dict[str, int]:
    """Read ``["12"]``, ``["a=5,b=3"]``, ``["a=5", "b=3"]`` or ``['{"a,b": 3}']``.

    Raises
    ------
    ParameterError
        If it is none of these.

    Examples
    --------
    >>> counts_of(["12"]), counts_of(["a=5,b=c=3"])
    (12, {'a': 5, 'b=c': 3})
    """
    if len(words) == 1 and words[0].strip().isdecimal():
        return int(words[0])
    counts: dict[str, int] = {}
    for word in words:
        for name, number in _pairs(word):
            if not number.strip().isdecimal():
                msg = (
                    f"{option} takes a number, or label=number with commas between; got {word!r}."
                    " A label with a comma in it goes as JSON: '{\"a, b\": 3}'."
                )
                raise ParameterError(msg)
            counts[name] = int(number)
    return counts


def _pairs(word: str) -> list[tuple[str, str]]:
    """Return names and values of one word, as text."""
    if word.lstrip().startswith("{"):
        with contextlib.suppress(ValueError):
            return [(name, str(value)) for name, value in json.loads(word).items()]
    parts = (part.rpartition("=") for part in word.split(","))
    return [(name.strip(), value) if equals else (value, "") for name, equals, value in parts]


def strategy_of(word: str) -> str | float | dict[str, int]:
    """Read a sampling strategy: a word, a ratio, or ``label=TOTAL`` with commas between.

    Examples
    --------
    >>> strategy_of("not minority"), strategy_of("0.5"), strategy_of("a=50")
    ('not minority', 0.5, {'a': 50})
    """
    with contextlib.suppress(ValueError):
        return float(word)
    if "=" not in word and not word.lstrip().startswith("{"):
        return word
    return counts_of([word], "--sampling-strategy")


def masked_names(*, mask: bool, file: str | None) -> list[str] | None:
    """Read ``--mask`` and ``--mask-names FILE``: None if nothing is to be masked.

    Raises
    ------
    DataError
        If the file cannot be read.
    """
    if file is None:
        return [] if mask else None
    try:
        lines = Path(file).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        msg = f"--mask-names {file} cannot be read as UTF-8, one name a line: {error}"
        raise DataError(msg) from None
    return [line.strip() for line in lines if line.strip()]


def in_labels(named: Any, labels: pd.Series) -> Any:
    """Return a dict's keys as the labels that read so: ``"1"`` is 1 where labels are numbers.

    A name that no label has stays as it is, for the sampler to complain about; what is no dict
    is returned as given.
    """
    if not isinstance(named, Mapping):
        return named
    known = {str(label): label for label in labels.unique().tolist()}
    return {known.get(name, name): count for name, count in named.items()}


def guards_of(words: Sequence[str], *, off: bool) -> Guards:
    """Read guards' settings from ``["max_copy_cosine=0.9", "blocked_words=my_words.txt"]``.

    Parameters
    ----------
    words : sequence of str
    off : bool
        Begin with all guards switched off, instead of with the defaults.

    Raises
    ------
    ParameterError
        If a guard is unknown or has a value that cannot be used.
    """
    from smotext_lab.guards import Guards

    names = [field.name for field in dataclasses.fields(Guards)]
    values: dict[str, Any] = {}
    for word in words:
        name, equals, value = (part.strip() for part in word.partition("="))
        if not equals or name not in names:
            hint = did_you_mean(name, names)
            msg = f"--guard takes NAME=VALUE, not {word!r}{hint}; names: {', '.join(names)}."
            raise ParameterError(msg)
        with contextlib.suppress(ValueError):
            values[name] = json.loads("null" if value.lower() == "none" else value.lower())
        values.setdefault(name, value)
    return dataclasses.replace(Guards.off() if off else Guards(), **values)


def interpolator_of(
    name: str, options: Mapping[str, Any], usual: Mapping[str, Any] | None = None
) -> Interpolator:
    """Return an interpolator by its name in `INTERPOLATORS`.

    Parameters
    ----------
    name : str
    options : mapping
        ``k_neighbors``, ``m_neighbors``, ``alpha``; None leaves the interpolator's own default.
    usual : mapping, optional
        Takes the place of an interpolator's own defaults, where it has such a parameter.

    Raises
    ------
    ParameterError
        If the name is unknown, or an option is not one of that interpolator's.
    """
    if name not in INTERPOLATORS:
        hint = did_you_mean(name, INTERPOLATORS)
        msg = f"--interpolator {name!r} is unknown{hint}; known: {', '.join(INTERPOLATORS)}."
        raise ParameterError(msg)
    from smotext_lab import interpolators

    class_name, told = INTERPOLATORS[name]
    made = getattr(interpolators, class_name)
    takes = inspect.signature(made).parameters
    arguments: dict[str, Any] = dict(told)
    for option, value in {**(usual or {}), **_given(options)}.items():
        # ADASYN and Dirichlet have one sort of neighbours, and call them so
        own = "n_neighbors" if option == "k_neighbors" and option not in takes else option
        if own in takes:
            arguments[own] = value
        elif options.get(option) is not None:
            msg = f"--{option.replace('_', '-')} has no effect with --interpolator {name}."
            raise ParameterError(msg)
    blender: Interpolator = made(**arguments)
    return blender


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def one_split(frame: pd.DataFrame, split: str | None, source: str) -> pd.DataFrame:
    """Return the rows of a split; test texts must not be blended because nobody said anything.

    Raises
    ------
    DataError
        If there are several splits and none is chosen, or there is no such one.
    """
    sizes = frame["split"].value_counts(sort=False)
    if split == "all" or (split is None and len(sizes) == 1):
        return frame
    listed = ", ".join(f"{name} ({size:,} rows)" for name, size in sizes.items())
    if split is None:
        msg = f"{source} has the splits {listed}: say --split with one of them, or --split all."
        raise DataError(msg)
    chosen = frame[frame["split"].astype(str) == split]
    if chosen.empty:
        hint = did_you_mean(split, sizes.index)
        msg = f"{source} has no split {split!r}{hint}; it has {listed}."
        raise DataError(msg)
    return chosen
