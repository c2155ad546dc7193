"""``smotext-lab models``, ``datasets`` and ``version``: what there is, and where it lies."""

from __future__ import annotations

import platform
from importlib import metadata
from typing import TYPE_CHECKING, Annotated

import typer

from smotext_lab._version import __version__
from smotext_lab.cli.door import examples, say, table

if TYPE_CHECKING:
    from smotext_lab.cache import CacheInfo

__all__ = ["DATASETS_EXAMPLES", "cache_app", "datasets", "models_app", "version"]

models_app = typer.Typer(
    help="List, fetch, check and remove models.",
    no_args_is_help=True,
    rich_markup_mode=None,
    epilog=examples(
        "smotext-lab models list",
        "smotext-lab models pull",
        "smotext-lab models verify all-MiniLM-L6-v2",
    ),
)
cache_app = typer.Typer(
    help="Tell or clear the texts that reports keep so that none is written twice.",
    no_args_is_help=True,
    rich_markup_mode=None,
    epilog=examples("smotext-lab cache info", "smotext-lab cache clear"),
)
DATASETS_EXAMPLES = examples(
    "smotext-lab datasets", "smotext-lab generate bbc_titles --split train --n 10"
)

Name = Annotated[
    str, typer.Argument(help="A registered name, a hub id (org/name[@revision]) or a folder.")
]
Names = Annotated[list[str], typer.Argument(metavar="NAME…", help="Models of the list.")]
SomeNames = Annotated[
    list[str] | None,
    typer.Argument(metavar="[NAME…]", help="Registered names, hub ids or folders."),
]


@cache_app.command("info")
def cache_info() -> None:
    """Say how much is kept, and where."""
    from smotext_lab import cache

    typer.echo(_kept(cache.info()))


@cache_app.command("clear")
def cache_clear() -> None:
    """Remove all that is kept."""
    from smotext_lab import cache

    typer.echo(f"Removed: {_kept(cache.clear())}")


def _kept(found: CacheInfo) -> str:
    if found.folder is None:
        return "nothing: keeping is switched off (SMOTEXT_LAB_RESULTS=off)"
    entries = f"{found.entries} {'entry' if found.entries == 1 else 'entries'}"
    return f"{entries}, {found.size / 1e6:.1f} MB in {found.folder}"


@models_app.command("list")
def list_models() -> None:
    """List the registered models.

    Says whether they are on this machine. Fetches nothing.
    """
    from smotext_lab import models

    heads = ["name", "kind", "state", "size", "licence", "about"]
    rows = [
        [r.name, r.kind, r.state, f"{r.size / 1e6:.0f} MB", r.licence, r.description]
        for r in models.models()
    ]
    typer.echo(table(heads, rows))
    say(f"They are kept in {models.cache_dir()}; a hub id or a folder serves as well.")


@models_app.command(epilog=examples("smotext-lab models pull", "smotext-lab models pull org/name"))
def pull(names: SomeNames = None) -> None:
    """Fetch models, or repair damaged ones.

    By default all of the list. A hub model is renewed where the hub has a newer one.
    """
    from smotext_lab import models

    for name in names or models.MODELS:
        typer.echo(table([name, str(models.pull(name))], []))


@models_app.command(epilog=examples('ls "$(smotext-lab models path all-MiniLM-L6-v2)"'))
def path(name: Name) -> None:
    """Print the folder of a model.

    Fetches it when it is not there yet.
    """
    from smotext_lab import models

    typer.echo(models.model_path(name))


@models_app.command(epilog=examples("smotext-lab models verify"))
def verify(names: SomeNames = None) -> None:
    """Read models to the last byte.

    By default all that are there. The exit code is 1 if one is damaged.
    """
    from smotext_lab import models

    there = [row.name for row in models.models() if row.state != "not fetched"]
    if not names and not there:
        say("No model is fetched yet: `smotext-lab models pull` does it.")
    bad = False
    for name in names or there:
        damaged = models.verify(name)
        bad = bad or bool(damaged)
        repair = f"damaged: {', '.join(damaged)}; `smotext-lab models pull {name}` repairs it"
        typer.echo(f"{name}  {repair if damaged else 'ok'}")
    if bad:
        raise typer.Exit(1)


@models_app.command(epilog=examples("smotext-lab models remove SmolLM2-135M-Instruct"))
def remove(names: Names) -> None:
    """Remove registered models from the cache."""
    from smotext_lab import models

    for name in names:
        freed = models.remove(name)
        typer.echo(f"{name}  {f'{freed / 1e6:.0f} MB freed' if freed else 'was not there'}")


def datasets() -> None:
    """List the built-in labelled sets. Fetches nothing."""
    from smotext_lab import datasets as sets

    heads = ["name", "rows", "classes", "state", "about"]
    found = sets.datasets()
    typer.echo(table(heads, [[d.name, d.rows, d.classes, d.state, d.about] for d in found]))
    for licence in dict.fromkeys(d.licence for d in found):
        say(f"Licence: {licence}.")


def version() -> None:
    """Print the versions that a bug report should name."""
    typer.echo(f"smotext-lab {__version__}")
    typer.echo(f"Python {platform.python_version()}, {platform.platform()}")
    for package in ("torch", "transformers", "imbalanced-learn", "papermill", "altair"):
        typer.echo(f"{package} {metadata.version(package)}")
