"""The shell's door: ``smotext-lab``. Each command reads its options, calls the library, prints.

Nothing heavy is imported before a command runs, so that ``--help`` answers at once.
"""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from smotext_lab._version import __version__
from smotext_lab.cli import generate, job, privacy, reports, shelf, train
from smotext_lab.cli.door import Door, examples

__all__ = ["app", "main"]

app = typer.Typer(
    cls=Door,
    name="smotext-lab",
    no_args_is_help=True,
    rich_markup_mode=None,  # plain text: the same in a terminal, a log and a pipe
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=examples(
        "smotext-lab demo",
        "smotext-lab generate tickets.csv --n 200 --out new.parquet",
        "smotext-lab report qualitative -p n=12 -o out/",
        "smotext-lab COMMAND --help",
    ),
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"smotext-lab {__version__}")
        raise typer.Exit


@app.callback()
def smotext_lab(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Say which."),
    ] = False,
) -> None:
    """Make new labelled texts from the ones you have.

    SMOTE blends the BERT vectors of neighbouring texts; a language model writes what lies between
    (SMOTExT, arXiv 2505.13434).
    """


app.command(epilog=reports.DEMO_EXAMPLES)(reports.demo)
app.command(epilog=generate.EXAMPLES)(generate.generate)
app.command(epilog=reports.REPORT_EXAMPLES)(reports.report)
app.command(epilog=privacy.AUDIT_EXAMPLES)(privacy.audit)
app.command("train-bridge", epilog=train.EXAMPLES)(train.train_bridge)
app.command("refine-bridge", epilog=train.REFINE_EXAMPLES)(train.refine_bridge)
app.add_typer(job.job_app, name="job")
app.add_typer(shelf.models_app, name="models")
app.add_typer(shelf.cache_app, name="cache")
app.command(epilog=shelf.DATASETS_EXAMPLES)(shelf.datasets)
app.command()(shelf.version)


def main() -> None:
    """Run the command line; what it prints is UTF-8 whatever the locale says."""
    streams: list[Any] = [sys.stdout, sys.stderr]
    for stream in streams:
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    app(prog_name="smotext-lab")
