"""``smotext-lab job``: long runs in a folder that any worker, and any later day, can go on with."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from smotext_lab import words
from smotext_lab.cli import generate as options
from smotext_lab.cli.door import INTERRUPTED, examples, say
from smotext_lab.cli.generate import sampler_of
from smotext_lab.errors import ParameterError

if TYPE_CHECKING:
    from smotext_lab.scale import JobStatus

__all__ = ["job_app"]

job_app = typer.Typer(
    no_args_is_help=True,
    help="Long runs: create, run, status, verify, resume, merge, cancel.",
    epilog=examples(
        "smotext-lab job create tickets.csv jobs/tickets --n 100000",
        "smotext-lab job run jobs/tickets --workers 2",
        "smotext-lab job status jobs/tickets",
        "smotext-lab job merge jobs/tickets --out new.parquet",
    ),
)
_Job = Annotated[
    str, typer.Argument(metavar="JOB", help="A folder, or a URL such as s3://bucket/job.")
]
_Workers = Annotated[
    int, typer.Option(help="Processes, each with its own models and its share of the cores.")
]
_Runner = Annotated[
    Literal["local", "ray"],
    typer.Option(help="This machine, or the Ray cluster that RAY_ADDRESS names (extra ray)."),
]
_Cpus = Annotated[
    float, typer.Option("--num-cpus", help="With Ray: of each worker; 0 leaves it to Ray.")
]
_Gpus = Annotated[float, typer.Option("--num-gpus", help="With Ray: of each worker.")]


@job_app.command()
def create(
    source: options.In,
    job: _Job,
    *,
    text: options.TextColumn = None,
    label: options.LabelColumn = None,
    n: options.HowMany = None,
    balance: options.Balance = False,
    sampling_strategy: options.Strategy = None,
    input_format: options.Format = None,
    encoding: options.Encoding = "utf-8",
    split: options.Split = None,
    random_state: options.Seed = None,
    interpolator: options.How = "smote",
    k_neighbors: options.K = None,
    m_neighbors: options.M = None,
    alpha: options.Alpha = None,
    blending: options.Blending = "lerp",
    guidance_scale: options.GuidanceScale = 1.0,
    n_candidates: options.Candidates = 4,
    corrections: options.Corrections = 0,
    temperature: options.Temperature = 0.7,
    top_p: options.TopP = 0.9,
    top_k: options.TopK = 50,
    max_new_tokens: options.MaxTokens = 128,
    prompt: options.Prompt = None,
    guard: options.Guard = None,
    no_guards: options.NoGuards = False,
    max_attempts: options.Attempts = 3,
    max_blends: options.MaxBlends = 3,
    long_texts: options.LongTexts = "truncate",
    encoder: options.Encoder = "all-MiniLM-L6-v2",
    llm: options.Llm = "SmolLM2-135M-Instruct",
    bridge: options.BridgeFolder = "default",
    engine: options.Engine = "transformers",
    dtype: options.Dtype = "auto",
    rows_per_part: Annotated[int, typer.Option(help="Rows that a worker makes at a time.")] = 1024,
    near_duplicates: Annotated[
        str,
        typer.Option(
            metavar="SHARE|none",
            help="Of new texts that share so much of their word pairs only the first is kept.",
        ),
    ] = "0.8",
) -> None:
    """Read and encode the real texts, and plan every new one.

    The options are those of `generate`. So are the rows, where the plan has up to 100,000, but
    for duplicates: a worker sees those of its part, and the rest are taken out and made up for
    when all parts are there (docs, scale.md).
    """
    number, strategy = options.how_many(n, balance=balance, sampling_strategy=sampling_strategy)
    sampler = sampler_of(
        strategy=strategy,
        blender=words.interpolator_of(
            interpolator,
            {"k_neighbors": k_neighbors, "m_neighbors": m_neighbors, "alpha": alpha},
        ),
        guards=words.guards_of(guard or [], off=no_guards),
        random_state=random_state,
        blending=blending,
        guidance_scale=guidance_scale,
        max_attempts=max_attempts,
        max_blends=max_blends,
        long_texts=long_texts,
        encoder=encoder,
        llm=llm,
        bridge=bridge,
        prompt=prompt,
        temperature=temperature,
        top_p=top_p,
        top_k=top_k,
        max_new_tokens=max_new_tokens,
        n_candidates=n_candidates,
        corrections=corrections,
        engine=engine,
        dtype=dtype,
    )
    from smotext_lab.scale import Job

    made = Job.create(
        job,
        source,
        number,
        sampler=sampler,
        text=text,
        label=label,
        split=split,
        file_format=input_format,
        encoding=encoding,
        rows_per_part=rows_per_part,
        near_duplicates=_share(near_duplicates),
        progress=sys.stderr.isatty(),
    )
    spec = made.spec
    wanted = sum(spec.n)
    say(f"{spec.planned:,} rows in {spec.n_parts:,} parts, from {spec.n_texts:,} texts")
    if spec.planned < wanted:
        say(f"Warning: {wanted - spec.planned:,} rows have nothing to blend.")
    say(f"the same again: --random-state {spec.random_state}")
    say(f"to make them: smotext-lab job run {job}")


def _share(word: str) -> float | None:
    if word.lower() == "none":
        return None
    try:
        return float(word)
    except ValueError as error:
        msg = f"--near-duplicates takes a number from 0.5 to 1, or none, not {word!r}."
        raise ParameterError(msg) from error


@job_app.command()
def run(
    job: _Job,
    *,
    workers: _Workers = 1,
    runner: _Runner = "local",
    num_cpus: _Cpus = 0.0,
    num_gpus: _Gpus = 0.0,
) -> None:
    """Make what is not there yet; Ctrl-C or a kill loses at most the batch in hand."""
    from smotext_lab.scale import Job

    how = {"workers": workers, "runner": runner, "num_cpus": num_cpus, "num_gpus": num_gpus}
    _carried_out(job, Job(job).run, how)


def _carried_out(job: str, start: Callable[..., JobStatus], how: dict[str, Any]) -> None:
    """Run or resume a job, and say how it ended."""
    told = start(**how, progress=sys.stderr.isatty())
    say(str(told))
    if told.state == "cancelled":
        say(f"`smotext-lab job resume {job}` takes the cancellation back.")
        raise typer.Exit(INTERRUPTED)
    say(f"to have them in one file: smotext-lab job merge {job} --out new.parquet")


@job_app.command()
def resume(
    job: _Job,
    *,
    workers: _Workers = 1,
    runner: _Runner = "local",
    num_cpus: _Cpus = 0.0,
    num_gpus: _Gpus = 0.0,
) -> None:
    """Go on with a job that was stopped, killed or cancelled."""
    from smotext_lab.scale import Job

    how = {"workers": workers, "runner": runner, "num_cpus": num_cpus, "num_gpus": num_gpus}
    _carried_out(job, Job(job).resume, how)


@job_app.command()
def status(
    job: _Job,
    *,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Say it again every few seconds.")
    ] = False,
) -> None:
    """Say how far a job is; it may be running anywhere."""
    from smotext_lab.scale import Job

    made = Job(job)
    while True:
        told = made.status()
        typer.echo(str(told))
        if not follow or told.state != "running":
            return
        time.sleep(5)
        typer.echo()


@job_app.command()
def verify(
    job: _Job,
    *,
    repair: Annotated[
        bool,
        typer.Option("--repair", help="Take away what is damaged and `run` can make again."),
    ] = False,
) -> None:
    """Read and compare all that is there with the plan; 1 if anything is wrong."""
    from smotext_lab.scale import Job

    faults = Job(job).verify(repair=repair)
    for fault in faults:
        say(fault)
    if faults and repair:
        say(f"What can be made again was taken away: smotext-lab job run {job}")
    if faults:
        raise typer.Exit(1)
    say("All that is there is right.")


@job_app.command()
def merge(
    job: _Job,
    *,
    out: options.Out,
    rejected: options.Rejected = False,
) -> None:
    """Write the new texts of the finished parts into one file."""
    from smotext_lab.scale import Job

    made = Job(job)
    written = made.merge(out, rejected=rejected)
    state = made.status().state
    say(f"{written:,} rows written to {out}" + ("" if state == "finished" else f"; {state}"))


@job_app.command()
def cancel(job: _Job) -> None:
    """Let every run of a job end after the batch in hand; `resume` takes it back."""
    from smotext_lab.scale import Job

    Job(job).cancel()
    say(f"{job} ends after the batch in hand.")
