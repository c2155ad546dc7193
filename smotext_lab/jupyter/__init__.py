"""The notebook's side: ``%smotext`` and ``%%smotext``. What it shows is computed elsewhere."""

from __future__ import annotations

from typing import Any

from smotext_lab.jupyter.bodies import without_empty_body
from smotext_lab.jupyter.completing import IDENTIFIER, matcher_of
from smotext_lab.jupyter.magic import SmotextMagics

__all__ = ["SmotextMagics", "load", "unload"]

_NAME = "smotext"


def load(shell: Any) -> None:
    """Put the magic, its completion and the transformer of empty bodies into a shell."""
    unload(shell)
    magics = SmotextMagics(shell)
    shell.register_magics(magics)
    shell.input_transformers_cleanup.append(without_empty_body)
    shell.Completer.custom_matchers.append(matcher_of(magics))


def unload(shell: Any) -> None:
    """Take out what `load` put in; models stay loaded."""
    for kind in ("line", "cell"):
        shell.magics_manager.magics[kind].pop(_NAME, None)
    shell.magics_manager.registry.pop(SmotextMagics.__name__, None)
    shell.configurables[:] = [c for c in shell.configurables if not isinstance(c, SmotextMagics)]
    transformers = shell.input_transformers_cleanup
    transformers[:] = [t for t in transformers if t is not without_empty_body]
    matchers = shell.Completer.custom_matchers
    matchers[:] = [m for m in matchers if getattr(m, "matcher_identifier", "") != IDENTIFIER]
