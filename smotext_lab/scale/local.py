"""Workers on this machine: this process, or several of joblib's with cores of their own."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

from smotext_lab import machine
from smotext_lab.errors import DataError
from smotext_lab.scale.store import Store, open_store

__all__ = ["run_here", "run_workers"]

_LOOK = 0.5  # seconds
_LIVES = 3
"""How often the workers may die in a row, with nothing finished between."""


def run_here(
    store: Store,
    parts: Sequence[str],
    decoder: Any,
    after_each: Callable[[int], None],
) -> Iterator[dict[str, Any]]:
    """Make the parts in this process, one after the other."""
    from smotext_lab.scale.names import round_of
    from smotext_lab.scale.parts import Workshop

    workshop = Workshop(store, decoder)
    for part in parts:
        if round_of(part):  # what makes up for duplicates is no new row of the plan
            yield workshop.make(part)
        else:
            yield workshop.make(part, after_each=after_each)


def run_workers(
    store: Store, parts: Sequence[str], decoder: Any, workers: int, run: str
) -> Iterator[dict[str, Any]]:
    """Make the parts in `workers` processes, each with its share of the cores.

    joblib's processes outlive a run. What they have loaded is used by calls of the same `run`
    only: for the next one the folder may hold another job, and the decoder may be another.

    A worker that is killed takes the others with it; all are started again, as long as parts
    are being finished.

    Raises
    ------
    DataError
        If workers die again and again.
    """
    from joblib import Parallel, delayed, parallel_config
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    threads = max(1, machine.cpu_count() // workers)
    left, lives = list(parts), _LIVES
    while left:
        share = {"workers": workers, "threads": threads}
        work = [delayed(_make)(run, store.url, part, decoder, **share) for part in left]
        try:
            with parallel_config(backend="loky", inner_max_num_threads=threads):
                pool = Parallel(workers, return_as="generator_unordered", pre_dispatch="2*n_jobs")
                for facts in pool(work):
                    left.remove(facts["part"])
                    lives = _LIVES
                    yield facts
        except TerminatedWorkerError as error:
            lives -= 1
            if lives == 0:
                msg = (
                    f"The workers died {_LIVES} times in a row, the last time on one of "
                    f"{', '.join(left[:workers])}: see whether there is memory for {workers} of "
                    "them, or take fewer. What was finished is kept."
                )
                raise DataError(msg) from error


_workshops: dict[str, Any] = {}  # that of the present run: a worker loads the models once


def _make(
    run: str, url: str, part: str, decoder: Any, *, workers: int, threads: int
) -> dict[str, Any]:
    """Make one part in a worker's process."""
    from smotext_lab.scale.parts import Workshop

    if run not in _workshops:
        _watch_parent()
        _pin(workers, threads)
        _workshops.clear()
        _workshops[run] = Workshop(open_store(url), decoder)
    made: dict[str, Any] = _workshops[run].make(part)
    return made


@cache
def _watch_parent() -> None:
    """End this process when the one that started it has ended, however it did."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:  # an orphan gets another parent
            time.sleep(_LOOK)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _pin(workers: int, threads: int) -> None:
    """Give this worker cores and, where there are some, a GPU that the others do not use."""
    import torch

    name = multiprocessing.current_process().name.rpartition("-")[2]
    number = (int(name) if name.isdecimal() else os.getpid()) % workers
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) >= workers * threads:
            first = number * threads
            os.sched_setaffinity(0, cores[first : first + threads])
    if torch.cuda.is_available():
        torch.cuda.set_device(number % torch.cuda.device_count())  # device="auto" means this one
    machine.limit_threads(threads)
