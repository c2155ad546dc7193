"""What a job costs over calling the decoder, and what it survives.

    python -m benchmarks.jobs kills SET.csv.gz --rows 200 --kills 20
    python -m benchmarks.jobs overhead SET.csv.gz --rows 2000
    python -m benchmarks.jobs workers SET.csv.gz --rows 400
    python -m benchmarks.jobs plan SET.csv.gz --rows 1000000
    python -m benchmarks.jobs curve SET.csv.gz --sizes 100 1000

All with the default models and one text a point. *kills*: a run that is ended by SIGKILL at random
moments and run again must end in the table of an unbroken one. *overhead*: of a job against
`SMOTExT.generate` of the same rows, in one process. *workers*: rows a second of two workers of one
core each, against one of one core; models are loaded before the clock starts. *plan*: time and
memory of creating a job, and of asking for its state. *curve*: milliseconds a row by what they go
to (with ``--sizes`` and nothing after it: of the real texts alone).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.machine import described
from smotext_lab import (
    BertEncoder,
    SMOTEInterpolator,
    SMOTExT,
    XRAGDecoder,
    load_dataset,
    machine,
)
from smotext_lab.scale import Job

RUN = (
    "import sys; from smotext_lab.scale import Job;"
    " Job(sys.argv[1]).run(workers=int(sys.argv[2]), progress=False)"
)


def peak_memory() -> float:
    """Return the most memory that this process has held, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9  # told in KiB


def sampler(together: int = 128) -> SMOTExT:
    settings = {"n_candidates": 1, "max_new_tokens": 48, "batch_size": together}
    decoder = XRAGDecoder(encoder=BertEncoder(), **settings)
    return SMOTExT(decoder=decoder, random_state=0, progress=False)


def texts_of(path: Path, per_class: int) -> pd.DataFrame:
    rows = load_dataset(str(path), duplicates="drop")
    return rows[rows["split"] == "train"].groupby("label").head(per_class)[["text", "label"]]


def created(
    folder: str | Path, rows: pd.DataFrame, n: int, each: int = 32, together: int = 128
) -> Job:
    maker = sampler(together)
    return Job.create(folder, rows, n, sampler=maker, rows_per_part=each, progress=False)


def kills(rows: pd.DataFrame, given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    small = {"each": 24, "together": 8}  # a batch takes some seconds: most kills fall into one
    whole = created(folder / "whole", rows, given.rows, **small)
    started = time.perf_counter()
    whole.run(progress=False)
    seconds = time.perf_counter() - started
    broken = created(folder / "broken", rows, given.rows, **small)
    rng, killed = random.Random(0), 0
    while broken.status().state != "finished":
        run = subprocess.Popen(
            [sys.executable, "-c", RUN, str(folder / "broken"), "1"], start_new_session=True
        )
        try:
            # moments all over a run, its start-up included
            moment = rng.uniform(1, 12 + 1.5 * seconds / given.kills)
            code = run.wait(moment if killed < given.kills else None)
            if code:
                sys.exit(f"a run ended by itself with code {code}")
        except subprocess.TimeoutExpired:
            os.killpg(run.pid, signal.SIGKILL)
            run.wait()
            killed += 1
    tables = [job.synthesis().frame for job in (whole, broken)]
    lines = (folder / "broken" / "log.jsonl").read_text().splitlines()
    found = [e["decoded"] for e in map(json.loads, lines) if e["event"] == "run"]
    return {
        "rows": len(tables[0]),
        "killed": killed,
        "runs that found finished batches": sum(each > 0 for each in found),
        "tables are equal": bool(tables[0].equals(tables[1])),
        "faults found by verify": len(broken.verify()),
    }


def overhead(rows: pd.DataFrame, given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    texts, labels = rows["text"], rows["label"]
    one = sampler()
    one.generate(texts, labels, 4)  # the models are loaded
    started = time.perf_counter()
    made = one.generate(texts, labels, given.rows)
    plain = time.perf_counter() - started
    started = time.perf_counter()
    job = created(folder / "job", rows, given.rows, each=1024)
    planned = time.perf_counter() - started
    job.run(progress=False, decoder=one.decoder)
    whole = time.perf_counter() - started
    return {
        "rows": len(made),
        "generate, s": plain,
        "job, s": whole,
        "of it planned, s": planned,
        "overhead": whole / plain - 1,
    }


def workers(rows: pd.DataFrame, given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    rates = {}
    for count in (1, 2):
        job = created(folder / f"{count}", rows, given.rows, each=20)
        cores = sorted(os.sched_getaffinity(0))[:count]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        subprocess.run(
            [sys.executable, "-c", RUN, str(folder / f"{count}"), str(count)],
            env=environment,
            preexec_fn=lambda cores=cores: os.sched_setaffinity(0, cores),
            check=True,
        )
        lines = (folder / f"{count}" / "log.jsonl").read_text().splitlines()
        parts = [e for e in map(json.loads, lines) if e["event"] == "part"]
        # from the end of each worker's first part: by then its models are loaded
        ends = sorted(e["time"] for e in parts)
        done = sum(e["rows"] for e in parts if e["time"] > ends[count - 1])
        rates[count] = done / (ends[-1] - ends[count - 1])
        print(f"{count}: {rates[count]:.3f} rows/s of {len(job.synthesis())}")
    return {"one, rows/s": rates[1], "two, rows/s": rates[2], "ratio": rates[2] / rates[1]}


def plan(rows: pd.DataFrame, given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    started = time.perf_counter()
    job = created(folder / "job", rows, given.rows, each=1024)
    seconds = time.perf_counter() - started
    peak = peak_memory()
    started = time.perf_counter()
    job.status()
    return {
        "rows": given.rows,
        "create, s": seconds,
        "peak memory of the process, GB": peak,
        "status, s": time.perf_counter() - started,
    }


def curve(rows: pd.DataFrame, given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    told: dict[str, Any] = {}
    decoder = sampler().decoder
    decoder.decode(decoder.encoder.encode(["loaded"]))
    started = time.perf_counter()
    vectors = decoder.encoder.encode(rows["text"].tolist())
    told["encode, ms a real text"] = 1000 * (time.perf_counter() - started) / len(rows)
    started = time.perf_counter()
    SMOTEInterpolator(5).plan(vectors, rows["label"], dict.fromkeys(rows["label"], 1))
    told["neighbours, ms a real text"] = 1000 * (time.perf_counter() - started) / len(rows)
    for size in given.sizes:
        started = time.perf_counter()
        job = created(folder / f"{size}", rows, size, each=1024)
        planned = time.perf_counter() - started
        job.run(progress=False, decoder=decoder)
        whole = time.perf_counter() - started
        lines = (folder / f"{size}" / "log.jsonl").read_text().splitlines()
        parts = [e for e in map(json.loads, lines) if e["event"] == "part"]
        spent = {k: sum(e[f"{k}_seconds"] for e in parts) for k in ("decode", "judge", "write")}
        told[f"{size} rows, ms a row"] = {
            "encode and plan": 1000 * planned / size,
            **{k: 1000 * v / size for k, v in spent.items()},
            "all": 1000 * whole / size,
            "peak memory, GB": peak_memory(),
        }
        print(f"{size} rows: {1000 * whole / size:.1f} ms a row", flush=True)
    return told


BENCHES: dict[str, Callable[[pd.DataFrame, argparse.Namespace, Path], dict[str, Any]]] = {
    "kills": kills,
    "overhead": overhead,
    "workers": workers,
    "plan": plan,
    "curve": curve,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("bench", choices=BENCHES)
    parser.add_argument("set", type=Path, metavar="SET")
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--per-class", type=int, default=50, help="real texts of each class")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--sizes", type=int, nargs="*", default=[100, 1000])
    parser.add_argument("--out", type=Path, default=Path("jobs.json"))
    given = parser.parse_args()
    machine.limit_threads()
    rows = texts_of(given.set, given.per_class)
    with tempfile.TemporaryDirectory() as folder:
        found = {"set": given.set.name, "real texts": len(rows)}
        found |= BENCHES[given.bench](rows, given, Path(folder))
    for name, value in found.items():
        print(f"{name}: {round(value, 4) if isinstance(value, float) else value}")
    kept = json.loads(given.out.read_text()) if given.out.is_file() else {}
    kept |= {given.bench: {"machine": described(), **found}}
    given.out.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
