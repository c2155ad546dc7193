"""What a training run tells while it goes on: lines of JSON, and a picture of them."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smotext_lab.training.folder import begun

__all__ = ["TrainingLog", "read_log"]


def read_log(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a log; what a kill left of one is passed over.

    A run that was killed takes the steps since its last checkpoint again, and tells of them again:
    of such lines the last counts.
    """
    found: dict[Any, dict[str, Any]] = {}
    for number, text in enumerate(path.read_text("utf-8").splitlines()):
        with contextlib.suppress(json.JSONDecodeError):
            line = json.loads(text)
            step = (line["step"], *sorted(line)) if "step" in line else number
            found.pop((line.get("stage"), step), None)
            found[line.get("stage"), step] = line
    return list(found.values())


@dataclass(frozen=True)
class TrainingLog:
    """``log.jsonl`` in the bridge's folder, one JSON object a line, and ``log.svg``.

    Attributes
    ----------
    folder : Path
    """

    folder: Path

    def begin(self) -> None:
        """Remove the lines of a former run, where what it would go on from has been removed."""
        if not begun(self.folder / "work"):
            (self.folder / "log.jsonl").unlink(missing_ok=True)

    def write(self, **facts: Any) -> None:
        """Add a line, with the time in seconds since 1970."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "log.jsonl").open("a+b") as file:
            file.seek(max(0, file.seek(0, 2) - 1))
            cut = file.read(1) not in {b"", b"\n"}  # a kill left half a line
            line = json.dumps({"time": round(time.time(), 1), **facts}) + "\n"
            file.write(("\n" * cut + line).encode())

    def lines(self) -> list[dict[str, Any]]:
        """Return what was written; see `read_log`."""
        path = self.folder / "log.jsonl"
        return read_log(path) if path.is_file() else []

    def draw(self, title: str, kinds: Mapping[str, str]) -> Path:
        """Write ``log.svg``: figures in training and on unseen texts against texts seen.

        Parameters
        ----------
        title : str
            Of the axis.
        kinds : mapping of str to str
            Two keys of the lines, and what they are called.

        Returns
        -------
        Path
        """
        import altair as alt

        from smotext_lab.charts import MUTED, PALETTE, plain_rows, styled, svg

        rows = [
            {"texts": line["texts_seen"], "figure": line[key], "of": name}
            for line in self.lines()
            for key, name in kinds.items()
            if line["stage"] == "tokens" and key in line
        ]
        data = alt.Data(values=plain_rows(rows))
        names = list(kinds.values())
        chart = (
            alt.Chart(data, width=560, height=280)
            .mark_line(point=True)
            .encode(
                x=alt.X("texts:Q", title="texts seen"),
                y=alt.Y("figure:Q", title=title, scale=alt.Scale(zero=False)),
                color=alt.Color(
                    "of:N",
                    title=None,
                    scale=alt.Scale(domain=names, range=[MUTED, PALETTE[0]]),
                    legend=alt.Legend(orient="top"),
                ),
                tooltip=[
                    alt.Tooltip("texts:Q"),
                    alt.Tooltip("figure:Q", format=".3f"),
                    alt.Tooltip("of:N"),
                ],
            )
        )
        path = self.folder / "log.svg"
        path.write_text(svg(styled(chart)), encoding="utf-8")
        return path
