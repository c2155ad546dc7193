"""Names of the notebook's own: frames to make texts from, objects in a default's place."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

from smotext_lab.errors import DataError, ParameterError, did_you_mean
from smotext_lab.jupyter.parsing import listed

__all__ = ["KINDS", "frame_named", "frames", "object_named", "objects", "unknown"]

KINDS = {"encoder": ("encode", "dim"), "interpolator": ("plan",), "decoder": ("decode_rows",)}
"""What an object must have to take the place of a default; see `Encoder` and the others."""


def frames(names: Mapping[str, Any]) -> list[str]:
    """Return the names of what holds rows: pandas' frames, and what turns into one."""
    return [name for name, value in _own(names) if _is_frame(value)]


def frame_named(word: str, names: Mapping[str, Any]) -> Any:
    """Return the frame of a name; None if the notebook has no such name.

    Raises
    ------
    DataError
        If the name is of something else.
    """
    if word not in names:
        return None
    value = names[word]
    if not _is_frame(value):
        there = listed(frames(names), "none yet")
        msg = f"{word!r} is of type {type(value).__name__}, not a frame; frames here: {there}."
        raise DataError(msg)
    pandas = sys.modules.get("pandas")
    return value if pandas and isinstance(value, pandas.DataFrame) else value.to_pandas()


def objects(kind: str, names: Mapping[str, Any]) -> list[str]:
    """Return the names of the notebook's encoders, interpolators or decoders."""
    return [name for name, value in _own(names) if _can(value, kind)]


def object_named(word: str, kind: str, names: Mapping[str, Any], known: Mapping[str, Any]) -> Any:
    """Return the notebook's object of that name, or None where the word is not one.

    Parameters
    ----------
    word : str
    kind : {"encoder", "interpolator", "decoder"}
    names : mapping
        The notebook's.
    known : mapping
        Words that are something without the notebook.

    Raises
    ------
    ParameterError
        If it is a name that cannot be meant.
    """
    if word in names and _can(names[word], kind):
        return names[word]
    if word in known or not word.isidentifier():
        return None
    if word in names:
        value = names[word]
        what = f"of type {type(value).__name__}"
        if isinstance(value, type):
            what = f"a class (make one of it: {word}())"
        msg = f"--{kind} {word!r} is {what} and no {kind} (which has {' and '.join(KINDS[kind])})."
        raise ParameterError(msg)
    return None


def unknown(word: str, kind: str, names: Mapping[str, Any], known: Mapping[str, Any]) -> str:
    """Return the sentence for a word that is neither an object nor something known."""
    options = [*objects(kind, names), *known]
    return (
        f"--{kind} {word!r} is nothing that is known here{did_you_mean(word, options)}; "
        f"there are: {listed(options, 'none yet')}."
    )


def _own(names: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield what the user has named; IPython's own names begin with an underscore."""
    for name, value in list(names.items()):
        if not name.startswith("_"):
            yield name, value


def _is_frame(value: Any) -> bool:
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(value, pandas.DataFrame):
        return True
    return not isinstance(value, type) and callable(getattr(type(value), "to_pandas", None))


def _can(value: Any, kind: str) -> bool:
    # dir() asks nothing of the object: an encoder's `dim` would load its weights
    has = [] if isinstance(value, type | str) else dir(value)
    return all(name in has for name in KINDS[kind])
