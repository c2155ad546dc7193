"""``%smotext`` and ``%%smotext``: read the line, run the command, keep and show what it made."""

from __future__ import annotations

import sys
from collections import ChainMap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, line_cell_magic, magics_class, needs_local_scope
from traitlets import Bool, Int, Unicode

from smotext_lab.errors import ParameterError, SmotextError, did_you_mean
from smotext_lab.jupyter import names, options
from smotext_lab.jupyter.parsing import HelpWanted, listed, split
from smotext_lab.sentences import warnings_as_sentences

if TYPE_CHECKING:
    from smotext_lab.jupyter.commands import Made

__all__ = ["Interrupted", "SmotextMagics"]


class Interrupted(KeyboardInterrupt):
    """The run was stopped; the message says what is kept. It stops a notebook's further cells."""

    def _render_traceback_(self) -> list[str]:
        return [f"\x1b[31mInterrupted:\x1b[0m {self}"]


@magics_class
class SmotextMagics(Magics):
    """Defaults of ``%smotext``; ``%config SmotextMagics.NAME = VALUE`` changes one."""

    encoder = Unicode(
        "all-MiniLM-L6-v2", help="A model, folder or hub id, or a variable with an encoder."
    ).tag(config=True)
    llm = Unicode("SmolLM2-135M-Instruct", help="A model, folder or hub id.").tag(config=True)
    bridge = Unicode("default", help='"default" or a folder.').tag(config=True)
    decoder = Unicode("", help="A variable with a decoder; empty: made of the three above.").tag(
        config=True
    )
    interpolator = Unicode("smote", help="As --interpolator, or a variable with one.").tag(
        config=True
    )
    k_neighbors = Int(
        None, min=1, allow_none=True, help="Neighbours to choose from; None: 5, kmeans 2."
    ).tag(config=True)
    n_candidates = Int(4, min=1, help="Texts written for each point; the nearest is kept.").tag(
        config=True
    )
    random_state = Int(
        None, min=0, allow_none=True, help="None: another number in each run, which is told."
    ).tag(config=True)
    display = Bool(True, help="Show a result also where -o assigns it.").tag(config=True)
    short_errors = Bool(True, help="One sentence for an error of ours, no traceback.").tag(
        config=True
    )

    def __init__(self, shell: Any) -> None:
        super().__init__(shell)
        self.last: Any = None

    @needs_local_scope  # type: ignore[untyped-decorator]
    @line_cell_magic  # type: ignore[untyped-decorator]
    def smotext(
        self, line: str, cell: str | None = None, local_ns: dict[str, Any] | None = None
    ) -> Any:
        """Run a subcommand; below, the page of ``--help`` takes this docstring's place."""
        body = cell if cell is not None and cell.strip() else None
        namespace = ChainMap(local_ns or {}, self.shell.user_ns)
        try:
            with self._ending(), warnings_as_sentences(_say):
                command, words = _command(split(line), body is not None, namespace)
                given = options.parser_of(command).read(words)
                if body is not None and command not in options.WITH_BODY:
                    msg = f"%smotext {command} takes no body: write it with one %, on one line."
                    raise ParameterError(msg)
                from smotext_lab.jupyter.commands import Run

                return self._give(Run(self, given, body, namespace).run(command), given.output)
        except HelpWanted as page:
            print(page)  # noqa: T201 - a page of help is for the cell's output
            return None

    @contextmanager
    def _ending(self) -> Iterator[None]:
        """End the cell with a sentence, or with a traceback where `short_errors` is False."""
        try:
            yield
        except SmotextError as error:
            if not self.short_errors:
                self._with_traceback(error)
            raise
        except Interrupted:
            raise
        except KeyboardInterrupt as stop:
            raise Interrupted(str(stop) or "nothing was finished, so nothing is kept.") from None

    def _with_traceback(self, error: SmotextError) -> None:
        def rendered() -> Any:
            return self.shell.InteractiveTB.structured_traceback(
                type(error), error, error.__traceback__, tb_offset=1
            )

        error._render_traceback_ = rendered  # type: ignore[method-assign]

    def _give(self, made: Made, name: str | None) -> Any:
        """Keep a result; assign and show it, or return it as the cell's value."""
        if made.lasting:
            self.last = made.value
        if name is not None:
            self.shell.user_ns[name] = made.value
            if self.display:
                from IPython.display import display

                display(made.value)
        elif made.then is None:
            return made.value
        else:
            self.shell.displayhook(made.value)  # the cell fails, and _ is the result all the same
        if made.then is not None:
            raise made.then
        return None


SmotextMagics.smotext.__doc__ = options.overview()


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr)  # noqa: T201 - where a notebook shows warnings


def _command(
    words: list[str], has_body: bool, namespace: Mapping[str, Any]
) -> tuple[str, list[str]]:
    """Return the subcommand that a line means, and the words that are left for it."""
    if (not words and not has_body) or words in (["-h"], ["--help"]):
        raise HelpWanted(options.overview())
    if words and words[0] in options.COMMANDS:
        return words[0], words[1:]
    if words and not words[0].startswith("-"):
        _check_frame(words[0], namespace)
        return "generate", words
    return ("path" if has_body else "generate"), words


def _check_frame(word: str, namespace: Mapping[str, Any]) -> None:
    """Refuse a first word that is no frame, before it is taken for a file or a hub's set."""
    if word in namespace or not word.isidentifier() or Path(word).exists():
        return
    from smotext_lab.datasets import datasets

    sets = [known.name for known in datasets()]
    if word in sets:
        return
    there = names.frames(namespace)
    msg = (
        f"There is no subcommand and no frame {word!r}"
        f"{did_you_mean(word, [*there, *options.COMMANDS, *sets])}; frames here: "
        f"{listed(there, 'none yet')}; %smotext --help lists the subcommands."
    )
    raise ParameterError(msg)
