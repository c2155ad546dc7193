"""What ``config``, ``models`` and ``report`` list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from smotext_lab.errors import ParameterError
from smotext_lab.markup import texts_table

if TYPE_CHECKING:
    from smotext_lab.jupyter.equipping import Equipment
    from smotext_lab.jupyter.magic import SmotextMagics

__all__ = ["Listing", "defaults", "models", "templates", "unloaded"]


class Listing:
    """A small table with notes below it.

    Parameters
    ----------
    rows : sequence of dict
    notes : sequence of str
    """

    def __init__(self, rows: Sequence[dict[str, Any]], notes: Sequence[str] = ()) -> None:
        self.frame = pd.DataFrame(list(rows))
        self.notes = list(notes)

    def to_pandas(self) -> pd.DataFrame:
        """Return the table."""
        return self.frame

    def __repr__(self) -> str:
        table = [] if self.frame.empty else [self.frame.to_string(index=False)]
        return "\n".join([*table, *self.notes])

    def _repr_html_(self) -> str:
        return texts_table(self.frame, notes=self.notes)


def defaults(magics: SmotextMagics, equipment: Equipment) -> Listing:
    """List the magic's defaults; of the three objects, what they are."""
    decoder = _described(equipment.own_decoder)
    objects = {
        "decoder": decoder or "of encoder, llm and bridge",
        "encoder": "the decoder's" if decoder else _described(equipment.encoder),
        "interpolator": _described(equipment.interpolator),
    }
    traits = magics.traits(config=True)
    rows = [
        {
            "default": name,
            "value": repr(getattr(magics, name)),
            "in use": objects.get(name, ""),
            "about": trait.help,
        }
        for name, trait in traits.items()
    ]
    return Listing(rows, ["%config SmotextMagics.NAME = VALUE changes one."])


def _described(find: Any) -> str:
    try:
        found = find()
    except ParameterError as error:
        return str(error)
    if found is None:
        return ""
    return found if isinstance(found, str) else repr(found)


def models() -> Listing:
    """List the registered models, and which are loaded."""
    from smotext_lab import models as registry
    from smotext_lab.equipment import loaded

    in_memory = loaded()
    rows = [
        {
            "model": row.name,
            "kind": row.kind,
            "on this machine": row.state,
            "loaded": "yes" if row.name in in_memory else "no",
            "size": f"{row.size / 1e6:.0f} MB",
            "licence": row.licence,
            "about": row.description,
        }
        for row in registry.models()
    ]
    others = [name for name in in_memory if name not in registry.MODELS]
    notes = [f"loaded too: {', '.join(others)}"] if others else []
    notes.append(f"Kept in {registry.cache_dir()}; a hub id or a folder serves as well.")
    return Listing(rows, notes)


def unloaded() -> Listing:
    """Unload the shared models and say which."""
    from smotext_lab.equipment import unload

    freed = unload()
    if not freed:
        return Listing([], ["No model is loaded."])
    return Listing([], [f"Freed: {', '.join(freed)}. The next use loads them again."])


def templates() -> Listing:
    """List the report templates with what each can be told."""
    from smotext_lab import reports

    rows = [
        {
            "template": template,
            "parameter": parameter.name,
            "type": parameter.type,
            "default": repr(parameter.default),
            "about": parameter.help,
        }
        for template in reports.templates()
        for parameter in reports.template_parameters(template)
    ]
    return Listing(rows, ["%smotext report TEMPLATE -p PARAMETER=VALUE runs one."])
