"""The line of a magic: split into words, read by argparse, refused in one sentence."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from smotext_lab.errors import ParameterError, did_you_mean

__all__ = ["HelpWanted", "Parser", "listed", "number", "python_name", "split", "whole_number"]


class HelpWanted(Exception):  # noqa: N818 - a request, not an error
    """``--help`` was among the words; the message is the page."""


class Parser(argparse.ArgumentParser):
    """Reads the words of one subcommand.

    Parameters
    ----------
    command : str
    about : str
        First a sentence, then what more there is to say.
    usage, examples : sequence of str
        Lines, without the prompt's decoration.
    """

    def __init__(
        self, command: str, about: str, *, usage: Sequence[str], examples: Sequence[str]
    ) -> None:
        super().__init__(
            prog=f"%smotext {command}",
            usage="\n       ".join(usage).replace("%", "%%"),  # argparse fills it in
            description=about,
            epilog="examples:\n" + "\n".join(f"  {line}" for line in examples),
            formatter_class=_Page,
            add_help=False,
            allow_abbrev=False,
        )
        self.about = about
        self.color = False  # Python 3.14 would colour pages for a terminal

    def end(self) -> Parser:
        """Add what all subcommands have; return itself."""
        group = self.add_argument_group("result")
        group.add_argument(
            "-o",
            "--output",
            metavar="NAME",
            type=python_name,
            help="assign the result to this name, instead of making it the cell's value",
        )
        group.add_argument("-h", "--help", action=_Help, nargs=0, help="show this page")
        return self

    def read(self, words: Sequence[str]) -> argparse.Namespace:
        """Return what the words say.

        Raises
        ------
        ParameterError
            If one cannot be used.
        HelpWanted
            If the page is asked for.
        """
        found, unknown = self.parse_known_args(list(words))
        if unknown:
            options = [word for word in unknown if word.startswith("-") and len(word) > 1]
            word = options[0].partition("=")[0] if options else unknown[0]
            what = "option" if options else "use for the word"
            hint = did_you_mean(word, self.option_strings) if options else ""
            msg = f"{self.prog} has no {what} {word!r}{hint}; {self.prog} --help lists all."
            raise ParameterError(msg)
        return found

    @property
    def option_strings(self) -> list[str]:
        """All options, short and long."""
        return [name for action in self._actions for name in action.option_strings]

    def action_of(self, option: str) -> argparse.Action | None:
        """Return the action of an option, or None."""
        return next((a for a in self._actions if option in a.option_strings), None)

    def error(self, message: str) -> NoReturn:
        """Raise instead of ending the process, as argparse would."""
        said = message.removeprefix("argument ")
        raise ParameterError(f"{self.prog}: {said.rstrip('.')}.")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            listed = ", ".join(map(str, action.choices))
            hint = did_you_mean(value, action.choices)
            message = f"{value!r} is none of {listed}{hint}"
            raise argparse.ArgumentError(action, message)


class _Help(argparse.Action):
    def __call__(self, parser: Any, *_: Any) -> None:
        raise HelpWanted(parser.format_help())


class _Page(argparse.RawDescriptionHelpFormatter):
    """Lines as they are written, each option with its value once."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=28, width=92)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if not action.option_strings:
            return str(action.metavar)
        value = "" if action.nargs == 0 else f" {self._format_args(action, action.dest.upper())}"
        return ", ".join(action.option_strings) + value


def split(line: str) -> list[str]:
    r"""Split a line into words; quotes of either kind hold one together.

    A backslash is a character as any other: paths of Windows have them.

    Raises
    ------
    ParameterError
        If a quotation mark is left open.

    Examples
    --------
    >>> split(r'''tickets --only "billing fraud" --bridge C:\bridges''')
    ['tickets', '--only', 'billing fraud', '--bridge', 'C:\\bridges']
    """
    reader = shlex.shlex(line, posix=True)
    reader.whitespace_split = True
    reader.commenters = reader.escape = ""
    try:
        return list(reader)
    except ValueError:
        msg = "A quotation mark is not closed: a word with an apostrophe goes in double quotes."
        raise ParameterError(msg) from None


def whole_number(word: str) -> int:
    """Read an option's value as a whole number."""
    if not re.fullmatch(r"[+-]?\d+", word.strip()):
        msg = f"takes a whole number, not {word!r}"
        raise argparse.ArgumentTypeError(msg)
    return int(word)


def number(word: str) -> float:
    """Read an option's value as a number."""
    try:
        return float(word)
    except ValueError:
        msg = f"takes a number, not {word!r}"
        raise argparse.ArgumentTypeError(msg) from None


def python_name(word: str) -> str:
    """Read an option's value as a name that can be assigned to."""
    import keyword

    if not word.isidentifier() or keyword.iskeyword(word):
        msg = f"takes a name for a variable, not {word!r}"
        raise argparse.ArgumentTypeError(msg)
    return word


def listed(names: Iterable[object], none: str, most: int = 12) -> str:
    """Return names with commas between, or what to say where there are none.

    Examples
    --------
    >>> listed(["a", "b"], "none"), listed([], "none")
    ('a, b', 'none')
    """
    shown = [str(name) for name in names]
    more = f" and {len(shown) - most} more" if len(shown) > most else ""
    return ", ".join(shown[:most]) + more if shown else none
