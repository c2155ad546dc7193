"""Jobs: a folder that says what is to be made, and that any number of workers fill.

A job's folder is on a disk or wherever fsspec reaches. In it lie ``job.json`` (what is to be
made, written last of what `Job.create` writes), the real texts and their vectors, the plan, and
what has been made so far, in parts that are whole or not there. What a part holds depends on
the plan alone, so that it does not matter who makes it, when, or how often.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from smotext_lab.scale.job import Job as Job
    from smotext_lab.scale.status import JobStatus as JobStatus

_HOMES = {"Job": "job", "JobStatus": "status"}

__all__ = ["Job", "JobStatus"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
