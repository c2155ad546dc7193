"""What a figure was measured on."""

from __future__ import annotations

import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

from smotext_lab import __version__, machine

__all__ = ["described"]


def described() -> dict[str, Any]:
    """Return the machine and the versions that a figure depends on."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": names[0] if names else platform.processor(),
        "cores": machine.cpu_count(),
        "bf16": machine.has_bf16(),
        "python": platform.python_version(),
        "torch": version("torch"),
        "transformers": version("transformers"),
        "smotext_lab": __version__,
    }
