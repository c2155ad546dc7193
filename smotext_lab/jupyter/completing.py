"""What the Tab key offers on a line of the magic."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from IPython.core.completer import CompletionContext, SimpleCompletion, context_matcher

from smotext_lab import words
from smotext_lab.errors import SmotextError
from smotext_lab.jupyter import names, options

if TYPE_CHECKING:
    from smotext_lab.jupyter.magic import SmotextMagics

__all__ = ["IDENTIFIER", "matcher_of", "offers"]

IDENTIFIER = "smotext_matcher"
"""What IPython's completer knows the matcher by."""

_LINE = re.compile(r"\s*(%%?)smotext[ \t]+(.*)", flags=re.DOTALL)
_WORD = re.compile(r"""(?:[^\s"']|"[^"]*"?|'[^']*'?)+""")
_NO_QUOTES = str.maketrans("", "", "\"'")
_MOST = 200  # labels looked at


def matcher_of(magics: SmotextMagics) -> Any:
    """Return a matcher for IPython's completer."""

    def matcher(context: CompletionContext) -> Any:
        line = _LINE.fullmatch(context.text_until_cursor)
        # what stands below %%smotext is text
        below = context.cursor_line > 0 and context.full_text.lstrip().startswith("%%")
        if line is None or below:
            return {"completions": [], "suppress": False}
        before, word = _last_word(line[2])
        found = offers(before, word, magics.shell.user_ns, is_cell=line[1] == "%%")
        typed = word.translate(_NO_QUOTES).lower()
        fitting = [o for o in found if o.translate(_NO_QUOTES).lower().startswith(typed)]
        return {
            "completions": [SimpleCompletion(offer, type="magic") for offer in fitting],
            "matched_fragment": word,
            "suppress": bool(fitting),
            "ordered": True,
        }

    return context_matcher(identifier=IDENTIFIER)(matcher)


def _last_word(line: str) -> tuple[list[str], str]:
    """Return the words before the one that is being typed, and that one as typed."""
    typed = _WORD.findall(line)
    if not typed or (line[-1].isspace() and not _is_open(typed[-1])):
        return [_bare(word) for word in typed], ""
    return [_bare(word) for word in typed[:-1]], typed[-1]


def _is_open(word: str) -> bool:
    return word.count('"') % 2 == 1 or ('"' not in word and word.count("'") % 2 == 1)


def _bare(word: str) -> str:
    return word.strip("\"'")


def offers(
    before: list[str], word: str, namespace: Mapping[str, Any], *, is_cell: bool = False
) -> list[str]:
    """Return what may stand in the place of `word`.

    Parameters
    ----------
    before : list of str
        The words that stand before it on the line.
    word : str
        What is typed of it, with its quote if it has one.
    namespace : mapping
        The notebook's names.
    is_cell : bool
        Whether the line begins with ``%%``.
    """
    if not before and not word.startswith("-"):
        return [*options.COMMANDS, *names.frames(namespace)]
    parser = options.parser_of(_command(before, is_cell=is_cell))
    option, equals, _ = word.partition("=")
    action = parser.action_of(option if equals else (before[-1] if before else ""))
    if action is not None and action.nargs != 0:
        start = option + equals
        values = _values(action.dest, action, before, namespace)
        return [start * bool(equals) + _quoted(value, word) for value in values]
    if word.startswith("-"):
        return [name for name in parser.option_strings if name.startswith("--") or word == "-"]
    places = [action for action in parser._actions if not action.option_strings]
    return [value for place in places for value in _values(place.dest, place, before, namespace)]


def _command(before: list[str], *, is_cell: bool) -> str:
    if before and before[0] in options.COMMANDS:
        return before[0]
    names_frame = bool(before) and not before[0].startswith("-")
    return "path" if is_cell and not names_frame else "generate"


def _values(
    dest: str, action: argparse.Action, before: list[str], namespace: Mapping[str, Any]
) -> list[str]:
    """Return the values that an option or a place of the line may have."""
    if action.choices is not None:
        return list(map(str, action.choices))
    dest = "decoder" if dest == "decoders" else dest
    if dest in ("frame", *names.KINDS):
        there = names.frames(namespace) if dest == "frame" else names.objects(dest, namespace)
        return [*there, *_known(dest)]
    if dest in ("text", "label", "split", "only"):
        return _of_frame(dest, before, namespace)
    if dest in ("template", "parameters"):
        return _of_reports(dest, before)
    return _known(dest)


def _known(dest: str) -> list[str]:
    """Return what is known by name without the notebook."""
    if dest == "interpolator":
        return list(words.INTERPOLATORS)
    if dest not in ("encoder", "llm"):
        return []
    from smotext_lab.models import MODELS

    return [name for name, model in MODELS.items() if model.kind == dest]


def _of_frame(dest: str, before: list[str], namespace: Mapping[str, Any]) -> list[str]:
    """Return a frame's columns, or the values of the one that `dest` means."""
    frame = next((w for w in before if w in names.frames(namespace)), None)
    if frame is None:
        return []
    table = names.frame_named(frame, namespace)
    if dest in ("text", "label"):
        return [str(column) for column in table.columns]
    column = _label_column(table, before) if dest == "only" else dest
    if column not in table.columns:
        return []
    return [str(value) for value in table[column].dropna().unique()[:_MOST]]


def _label_column(table: Any, before: list[str]) -> Any:
    from smotext_lab.datasets import given_names
    from smotext_lab.datasets.labelled import with_roles

    named = [value for option, value in pairwise(before) if option in ("-l", "--label")]
    try:
        roles = {"label": named[-1] if named else None}
        return given_names(with_roles(table.head(0), "the frame", roles))[1]
    except SmotextError:
        return None


def _of_reports(dest: str, before: list[str]) -> list[str]:
    from smotext_lab import reports

    if dest == "template":
        return reports.templates()
    for word in before[1:]:
        if word in reports.templates():
            return [f"{parameter.name}=" for parameter in reports.template_parameters(word)]
    return []


def _quoted(value: str, word: str) -> str:
    """Return a value as it is typed: in the quote that was opened, or in one if it needs it."""
    quote = word[:1] if word[:1] in "\"'" and word else ""
    if not quote and any(c.isspace() or c in "\"'" for c in value):
        quote = "'" if '"' in value else '"'
    return f"{quote}{value}{quote}"
