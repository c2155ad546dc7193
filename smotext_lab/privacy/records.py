"""Records on the disk that must not be lost: what was spent, and which noise was drawn."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import Any

from smotext_lab.models.provision import flush_folder

__all__ = ["keep"]


def keep(path: Path, record: Any) -> None:
    """Write a record as JSON, for its owner alone: whole or not at all, and safe from a power cut.

    Parameters
    ----------
    path : Path
    record : JSON value

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     keep(Path(folder, "votes.json"), [1, 2])
    ...     json.loads(Path(folder, "votes.json").read_text())
    [1, 2]
    """
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(record, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    flush_folder(path.parent)  # the rename itself: else the old record may come back
