"""What all commands share: how they end, what they say on the way, and how help shows examples."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperGroup

from smotext_lab.errors import SmotextError
from smotext_lab.sentences import warnings_as_sentences

__all__ = ["INTERRUPTED", "Door", "examples", "say", "table"]

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it: 128 + SIGINT."""


class Door(TyperGroup):
    """The group of all commands; it ends them with a sentence and an exit code.

    0: done. 1: an error that we raise on purpose, as one sentence on standard error. 2: wrong
    usage (typer's own). 130: interrupted.
    """

    def invoke(self, ctx: Any) -> Any:
        """Run the command that `ctx` names."""
        with warnings_as_sentences(say):
            try:
                return super().invoke(ctx)
            except SmotextError as error:
                say(f"Error: {error}")
                raise typer.Exit(1) from error
            except OSError as error:
                if error.errno in (None, errno.EPIPE):  # a closed pipe is typer's to handle
                    raise
                where = f": {error.filename}" if error.filename else ""
                say(f"Error: {error.strerror}{where}")
                raise typer.Exit(1) from error
            except KeyboardInterrupt as interrupt:
                say(str(interrupt) or "Interrupted.")
                raise typer.Exit(INTERRUPTED) from interrupt


def say(text: str) -> None:
    """Print to standard error: standard output is for data."""
    typer.echo(text, err=True)


def examples(*lines: str) -> str:
    r"""Return the end of a help page: the lines as they are, under a heading.

    Examples
    --------
    >>> examples("smotext-lab demo")
    '\x08\nExamples:\n  smotext-lab demo'
    """
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return rows under their heads, in columns two spaces apart.

    Examples
    --------
    >>> print(table(["name", "rows"], [["bbc", 2225]]))
    name  rows
    bbc   2225
    """
    cells = [list(heads), *([str(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in cells)
    return "\n".join(line.rstrip() for line in lines)
