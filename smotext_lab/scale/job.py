"""A job from Python: create it, run it, look at it, take its rows."""

from __future__ import annotations

import os
import random
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal

from smotext_lab._version import __version__
from smotext_lab.errors import DataError, ParameterError, did_you_mean
from smotext_lab.identity import published
from smotext_lab.scale.log import Log
from smotext_lab.scale.names import part_names
from smotext_lab.scale.spec import JobSpec, code_digest
from smotext_lab.scale.status import JobStatus, decoded_rows, status_of
from smotext_lab.scale.store import Store, open_store

if TYPE_CHECKING:
    import pandas as pd

    from smotext_lab.sampler import SMOTExT
    from smotext_lab.synthesis import Synthesis

__all__ = ["Job"]

_ROWS_PER_PART = 1024
_ROUNDS = 5
"""How often duplicates are looked for and made up for."""

_LOOK = 5.0
"""Seconds between two listings of what all runs of a job have decoded."""

Runner = Literal["local", "ray"]


class Job:
    """A job in its folder.

    Parameters
    ----------
    url : str or path
        A folder, or a URL of fsspec's such as ``s3://bucket/job``.

    Raises
    ------
    DataError
        If there is no job.

    Examples
    --------
    >>> import tempfile
    >>> from smotext_lab import SMOTExT
    >>> from smotext_lab.scale import Job
    >>> frame = {"text": ["Rain is due.", "Snow fell.", "Frost at night."], "label": ["w"] * 3}
    >>> import pandas as pd
    >>> sampler = SMOTExT(k_neighbors=2, random_state=0, guards=False, progress=False)
    >>> folder = tempfile.mkdtemp() + "/job"
    >>> job = Job.create(folder, pd.DataFrame(frame), 2, sampler=sampler, near_duplicates=None)
    >>> job.run(progress=False).accepted
    2
    """

    def __init__(self, url: str | os.PathLike[str]) -> None:
        self._open(open_store(url))

    def _open(self, store: Store) -> None:
        self._store = store
        self.spec = JobSpec.read(store)

    @property
    def url(self) -> str:
        """Where the job lies."""
        return self._store.url

    def __repr__(self) -> str:
        return f"Job({self.url!r}: {self.spec.planned:,} rows in {self.spec.n_parts:,} parts)"

    @classmethod
    def create(
        cls,
        url: str | os.PathLike[str],
        source: str | os.PathLike[str] | pd.DataFrame,
        n: int | Mapping[Any, int] | None = None,
        *,
        sampler: SMOTExT | None = None,
        text: str | None = None,
        label: str | None = None,
        split: str | None = None,
        file_format: str | None = None,
        encoding: str = "utf-8",
        rows_per_part: int = _ROWS_PER_PART,
        near_duplicates: float | None = 0.8,
        progress: bool = True,
    ) -> Job:
        """Read the real texts, encode them, and plan every new row.

        Begun again after a break, it goes on behind the shards that are finished.

        Parameters
        ----------
        url : str or path
            Where the job is to lie.
        source : str, path or DataFrame
            As for `load_dataset`. Files are read in chunks and may be larger than the memory.
        n : int or mapping, optional
            New texts, as for `SMOTExT.generate`; by default what the sampler's
            `sampling_strategy` asks for.
        sampler : SMOTExT, optional
            All parameters are its.
        text, label, split, file_format, encoding
            The columns, the split whose rows are wanted (``"all"`` for all; needed where there
            are several), and the form of the file.
        rows_per_part : int, default=1024
            Rows that one worker makes at a time.
        near_duplicates : float or None, default=0.8
            Of new texts that share so much of their word pairs (Jaccard similarity, found by
            MinHash) only the first is kept; None compares whole texts only.
        progress : bool, default=True
            Show a bar.

        Returns
        -------
        Job

        Raises
        ------
        DataError
            If there is a job already, or the texts cannot be used.
        ParameterError
            If a parameter cannot be used, or cannot be kept in a file.
        """
        from smotext_lab.sampler import SMOTExT
        from smotext_lab.scale.creation import create

        store = open_store(url)
        if store.exists("job.json"):
            msg = (
                f"There is a job in {store.url} already: run or resume it, or take another folder."
            )
            raise DataError(msg)
        if rows_per_part < 1:
            msg = f"rows_per_part must be 1 or more, not {rows_per_part}."
            raise ParameterError(msg)
        how = {"text": text, "label": label, "split": split, "file_format": file_format}
        create(
            store,
            source,
            n,
            SMOTExT() if sampler is None else sampler,
            reading={**how, "encoding": encoding},
            rows_per_part=rows_per_part,
            near_duplicates=near_duplicates,
            progress=progress,
        )
        return cls(url)

    def run(
        self,
        *,
        workers: int = 1,
        runner: Runner = "local",
        decoder: Any = None,
        num_cpus: float = 0,
        num_gpus: float = 0,
        progress: bool = True,
    ) -> JobStatus:
        """Make the parts that are not there yet, then take out duplicates and make up for them.

        Parameters
        ----------
        workers : int, default=1
            Processes, each with its models and its share of the cores; 1 is this process. With
            Ray: actors.
        runner : {"local", "ray"}, default="local"
            Ray runs on the cluster that ``RAY_ADDRESS`` names, else on this machine; the job
            must lie where every node reaches it.
        decoder : optional
            A decoder of your own that the job was made with.
        num_cpus : float, default=0
            With Ray: cores, and so threads, of each worker; 0 leaves it to Ray.
        num_gpus : float, default=0
            With Ray: of each worker.
        progress : bool, default=True
            Show a bar.

        Returns
        -------
        JobStatus

        Raises
        ------
        KeyboardInterrupt
            If interrupted; what was finished is kept, and running again goes on from there.
        DataError
            If models or data are not those that the job was made with.
        """
        if runner not in ("local", "ray"):
            hint = did_you_mean(runner, ("local", "ray"))
            msg = f"runner must be 'local' or 'ray', not {runner!r}{hint}."
            raise ParameterError(msg)
        if workers < 1:
            msg = f"workers must be 1 or more, not {workers}."
            raise ParameterError(msg)
        if self._store.exists("finished.json"):
            return self.status()
        self._warn_of_other_code()
        log = Log(self._store)
        who = {"host": socket.gethostname(), "pid": os.getpid(), "workers": workers}
        log.add("run", decoded=self._decoded(), version=__version__, **who)
        how = {
            "run": log.run,
            "workers": workers,
            "runner": runner,
            "decoder": decoder,
            "on_ray": {"num_cpus": num_cpus, "num_gpus": num_gpus},
        }
        with log.kept():
            try:
                self._rounds(log, how, progress=progress)
            except KeyboardInterrupt as interrupt:
                msg = (
                    f"Interrupted: {self._decoded():,} of {self.spec.planned:,} rows are decoded; "
                    f"`smotext-lab job resume {self.url}` goes on."
                )
                raise KeyboardInterrupt(msg) from interrupt
        return self.status()

    def _decoded(self) -> int:
        return decoded_rows(self._store, self.spec, set(part_names(self._store, "out")))

    def _rounds(self, log: Log, how: dict[str, Any], *, progress: bool) -> None:
        from smotext_lab.scale.parts import Stopped
        from smotext_lab.scale.rounds import take_out_duplicates

        try:
            for turn in range(_ROUNDS + 1):
                self._make_parts(log, how, progress=progress)
                found = take_out_duplicates(self._store, self.spec, turn, _ROUNDS)
                log.add("duplicates", round=turn, duplicates=len(found))
                if not found:
                    break
        except Stopped:
            return
        self._store.write("finished.json", b"{}\n")

    def _make_parts(self, log: Log, how: dict[str, Any], *, progress: bool) -> None:
        from tqdm.auto import tqdm

        done = set(part_names(self._store, "out"))
        left = [part for part in part_names(self._store, "plan") if part not in done]
        if not left:
            return
        # a run on another machine takes them in another order, and does not make what this one does
        random.Random(log.run).shuffle(left)  # noqa: S311
        with tqdm(
            total=self.spec.planned,
            initial=self._decoded(),
            desc="job",
            unit="row",
            disable=not progress,
            leave=False,
        ) as bar:
            refused, looked = 0, time.monotonic()
            for facts in self._made(left, how, bar):
                if facts["made"]:
                    log.add(**{"event": "part", **facts})
                    refused += sum(facts["rejected"].values())
                if time.monotonic() - looked > _LOOK:
                    bar.n, looked = self._decoded(), time.monotonic()
                bar.set_postfix(rejected=refused)
            bar.n = self._decoded()

    def _made(self, parts: list[str], how: dict[str, Any], bar: Any) -> Iterator[dict[str, Any]]:
        from smotext_lab.scale.local import run_here, run_workers

        store, workers, decoder = self._store, how["workers"], how["decoder"]
        if workers == 1 and how["runner"] == "local":
            yield from run_here(store, parts, decoder, bar.update)
            return
        if how["runner"] == "ray":
            from smotext_lab.scale.on_ray import run_on_ray

            made = run_on_ray(store, parts, decoder, workers, **how["on_ray"])
        else:
            made = run_workers(store, parts, decoder, workers, how["run"])
        yield from made

    def _warn_of_other_code(self) -> None:
        import warnings

        if self.spec.code != code_digest():
            msg = (
                f"The job was made by smotext-lab {self.spec.version} with other code than this "
                f"({__version__}): rows made now may differ from those made then."
            )
            warnings.warn(msg, UserWarning, stacklevel=3)

    def resume(self, **how: Any) -> JobStatus:
        """Take a cancellation back and run; parameters are those of `run`."""
        self._store.remove("cancelled")
        return self.run(**how)

    def cancel(self) -> None:
        """Let every run of this job end after the batch in hand; `resume` takes it back."""
        self._store.write("cancelled", b"")

    def status(self) -> JobStatus:
        """Return how far the job is; reads the folder only, so it may run elsewhere."""
        return status_of(self._store, self.spec)

    def verify(self, *, repair: bool = False) -> list[str]:
        """Read everything and return what is not right, one sentence each.

        Parameters
        ----------
        repair : bool, default=False
            Take away what is damaged and the next run can make again: parts, what was found to
            be duplicates, and the plans of what makes up for them. Real texts, vectors and the
            first plan no run makes again; the sentence then says what to do.

        Returns
        -------
        list of str
            Empty when all that is there is right.
        """
        from smotext_lab.scale.verifying import faults

        return faults(self._store, self.spec, repair=repair)

    def frames(self, *, rejected: bool = False) -> Iterator[pd.DataFrame]:
        """Yield the new texts part by part, row by row in the order of the plan.

        Parameters
        ----------
        rejected : bool, default=False
            Yield what was refused as well, before the text that took its place.

        Yields
        ------
        DataFrame
            The columns of `Synthesis.frame`, in the types that it gives them.
        """
        from smotext_lab.scale.merging import frames

        return frames(self._store, self.spec, rejected=rejected)

    def merge(self, target: str | os.PathLike[str], *, rejected: bool = False) -> int:
        """Write the new texts of the finished parts into one file; return how many rows.

        Parameters
        ----------
        target : str or path
            ``.parquet``, ``.csv`` or ``.jsonl`` (gzip too, but for Parquet). It appears whole.
        rejected : bool, default=False
            Write what was refused as well.

        Raises
        ------
        ParameterError
            If the format is not clear or nothing can be written there.

        Warns
        -----
        UserWarning
            If classes lack texts that no run can make any more, with how many and why.
        """
        import warnings

        from smotext_lab.scale.merging import merge

        written = merge(self._store, self.spec, target, rejected=rejected)
        status = self.status()
        if status.lacking:
            total = sum(sum(counts.values()) for counts in status.lacking.values())
            msg = (
                f"Of the {sum(self.spec.n):,} texts asked for {total:,} are lacking: "
                f"{status.told_lacking()}."
            )
            warnings.warn(msg, UserWarning, stacklevel=2)
        return written

    def synthesis(self) -> Synthesis:
        """Return all rows of the finished parts in memory, refused ones too."""
        import pandas as pd

        from smotext_lab.synthesis import Synthesis

        frames = list(self.frames(rejected=True))
        return Synthesis(
            pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(),
            info=self.provenance(),
            text_column=self.spec.text_column,
            label_column=self.spec.label_column,
        )

    def provenance(self) -> dict[str, Any]:
        """Return what the rows were made from and how, as JSON can hold it."""
        return provenance(self.spec)


def provenance(spec: JobSpec) -> dict[str, Any]:
    """Return what a job's rows were made from and how; see `Job.provenance`."""
    told = asdict(spec)
    told.pop("shards")
    guards = told["settings"]["guards"]
    if not isinstance(guards["blocked_words"], str | type(None)):
        # of words of one's own only the number: they may be names that must not get out
        guards["blocked_words"] = f"{len(guards['blocked_words'])} words"
    return told | {"decoder": published(spec.decoder), "texts": spec.n_texts}
