"""Work beside the kernel's main thread, of which only the newest matters."""

from __future__ import annotations

import atexit
import threading
import weakref
from collections.abc import Callable

__all__ = ["Latest"]

Work = Callable[[threading.Event], None]
_PATIENCE = 10.0  # seconds: more than two steps of a model take
_ALL: weakref.WeakSet[Latest] = weakref.WeakSet()


class Latest:
    """Does one piece of work at a time; a newer one cancels the older and takes its place.

    While somebody drags a slider, many positions ask for a text and one is wanted: the last.
    Nothing queues, and the kernel stays free for cells.

    Parameters
    ----------
    failed : callable
        Told, on the working thread, the error that a piece of work ended with.

    Examples
    --------
    >>> done = []
    >>> latest = Latest(failed=print)
    >>> latest.submit(lambda cancelled: done.append("a"))
    >>> latest.wait(), done
    (True, ['a'])
    """

    def __init__(self, failed: Callable[[Exception], None]) -> None:
        self._failed = failed
        self._idle = threading.Condition()
        self._waiting: tuple[Work, threading.Event] | None = None
        self._cancelled = threading.Event()
        self._thread: threading.Thread | None = None
        _ALL.add(self)

    @property
    def busy(self) -> bool:
        """Whether something is being done."""
        return self._thread is not None

    def submit(self, work: Work) -> None:
        """Do `work` as soon as what is being done has noticed that it is cancelled.

        `work` is given the event by which it is cancelled itself.
        """
        with self._idle:
            self._cancelled.set()
            self._cancelled = threading.Event()
            self._waiting = (work, self._cancelled)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="smotext", daemon=True)
                self._thread.start()

    def cancel(self) -> None:
        """Stop what is being done, and do nothing in its place."""
        with self._idle:
            self._cancelled.set()
            self._waiting = None

    def wait(self, timeout: float | None = None) -> bool:
        """Return True once nothing is left to do, False if `timeout` (seconds) passed first."""
        with self._idle:
            return self._idle.wait_for(lambda: self._thread is None, timeout)

    def _run(self) -> None:
        while True:
            with self._idle:
                if self._waiting is None:
                    self._thread = None
                    self._idle.notify_all()
                    return
                (work, cancelled), self._waiting = self._waiting, None
            try:
                work(cancelled)
            except Exception as error:  # noqa: BLE001 - whoever waits is told; a thread has no caller
                self._failed(error)


@atexit.register
def _end() -> None:
    """Let no thread be inside a model when the interpreter goes: that would abort the process."""
    for latest in list(_ALL):
        latest.cancel()
    for latest in list(_ALL):
        latest.wait(_PATIENCE)
