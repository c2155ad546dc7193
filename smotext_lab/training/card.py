"""The model card beside a bridge: what it is, what it was trained on, how well it does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from smotext_lab.bridges import Bridge

__all__ = ["licence_of", "write_card"]

_LICENCE = "## Licence"


def licence_of(bridge: Bridge) -> str:
    """Return the section "Licence" of the card that lies beside a bridge; empty without one."""
    card = None if bridge.folder is None else bridge.folder / "README.md"
    if card is None or not card.is_file():
        return ""
    _, _, found = card.read_text("utf-8", "replace").partition(f"\n{_LICENCE}\n")
    return found.partition("\n## ")[0].strip()


def write_card(bridge: Bridge, folder: Path, *, corpus: Sequence[str], licence: str = "") -> Path:
    """Write ``README.md`` into the bridge's folder.

    Parameters
    ----------
    bridge : Bridge
    folder : Path
    corpus : sequence of str
        Names of what it was trained on.
    licence : str, default=""
        That of the bridge it was begun from, which holds for what it has learnt.

    Returns
    -------
    Path
    """
    facts = bridge.facts
    rows: list[tuple[str, Any]] = [
        ("kind", facts.kind),
        ("encoder", facts.encoder or "not known"),
        ("LLM", facts.llm or "not known"),
        ("vector → soft tokens", f"{facts.dim} → {facts.n_tokens} × {facts.hidden}"),
        ("of them predicted words", facts.n_words),
        ("LoRA", f"on {len(bridge.lora.modules)} layers" if bridge.lora else "none"),
        ("weights (SHA-256)", facts.sha256),
        ("corpus", ", ".join(corpus)),
    ]
    start = facts.training.get("from")
    if start:
        rows.append(("begun from", f"{start['name']} ({start['sha256'] or 'an xRAG checkpoint'})"))
    flat = {k: v for k, v in facts.training.items() if not isinstance(v, dict)}
    rows += [(name.replace("_", " "), value) for name, value in flat.items()]
    table = "\n".join(f"| {name} | {value} |" for name, value in rows)
    text = f"# Bridge\n\n| | |\n|---|---|\n{table}\n"
    stated = facts.training.get("guarantee")
    if stated:
        text += f"\n## Guarantee\n\n{stated['sentence']}\n"
    if licence:
        text += f"\n{_LICENCE}\n\n{licence}\n"
    path = folder / "README.md"
    path.write_text(text, encoding="utf-8")
    return path
