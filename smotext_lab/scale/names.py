"""What the parts of a job are called, and in which order they come."""

from __future__ import annotations

from collections.abc import Iterable

from smotext_lab.scale.store import Store

__all__ = ["base_number", "base_part", "extra_part", "in_order", "part_names", "round_of"]


def base_part(number: int) -> str:
    """Return the name of a part of the plan."""
    return f"part-{number:05}"


def base_number(part: str) -> int:
    """Return which part of the plan has that name.

    Examples
    --------
    >>> base_number(base_part(3))
    3
    """
    return int(part.removeprefix("part-"))


def extra_part(turn: int, number: int) -> str:
    """Return the name of a part that makes up for duplicates."""
    return f"extra-{turn}-{number:05}"


def round_of(part: str) -> int:
    """Return which round a part belongs to: 0, or that in which it makes up for duplicates.

    Examples
    --------
    >>> round_of("part-00003"), round_of("extra-2-00000")
    (0, 2)
    """
    kind, _, rest = part.partition("-")
    return int(rest.partition("-")[0]) if kind == "extra" else 0


def in_order(parts: Iterable[str]) -> list[str]:
    """Return parts by their round and number, of which the names show five digits or more.

    Examples
    --------
    >>> in_order(["extra-1-00000", "part-100000", "part-99999"])
    ['part-99999', 'part-100000', 'extra-1-00000']
    """
    return sorted(parts, key=lambda part: (round_of(part), len(part), part))


def part_names(store: Store, folder: str) -> list[str]:
    """Return the names of the parts in a folder of a job, by their round and number."""
    names = store.names(folder)
    return in_order(name.removesuffix(".parquet") for name in names if name.endswith(".parquet"))
