"""``smotext-lab audit``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from smotext_lab.cli.door import examples, table

__all__ = ["AUDIT_EXAMPLES", "audit"]

AUDIT_EXAMPLES = examples(
    "smotext-lab audit new.parquet --train train.csv --holdout holdout.csv",
    "smotext-lab audit new.csv --train real.csv --holdout rest.csv --text body --json audit.json",
)


def audit(
    synthetic: Annotated[str, typer.Argument(help="File of the synthetic texts.")],
    *,
    train: Annotated[
        str,
        typer.Option(
            help="File of the real texts they were made from; of one that says train and test, its "
            "training part."
        ),
    ],
    holdout: Annotated[
        str,
        typer.Option(
            help="File of real texts of the same kind that were kept out; of one that says train "
            "and test, its test part."
        ),
    ],
    text: Annotated[
        str | None,
        typer.Option(
            help="Column of texts; by default found. Of the synthetic file if it is there."
        ),
    ] = None,
    label: Annotated[str | None, typer.Option(help="Column of labels; by default found.")] = None,
    encoder: Annotated[str, typer.Option(help="BERT-type encoder.")] = "all-MiniLM-L6-v2",
    reconstruction: Annotated[
        bool,
        typer.Option(
            help="Compute real vectors back from the parents that a Parquet file names; "
            "--train must then be all the real texts, in their order."
        ),
    ] = True,
    json_out: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the figures there.")
    ] = None,
) -> None:
    """Attack synthetic texts, and say what they give away of the real ones.

    A Parquet file that smotext-lab wrote says what was guaranteed and which texts were parents;
    other files hold texts alone. The real ones need no labels; where they have some, rows without
    one are left out.

    An audit finds leaks and cannot show that there are none. `smotext-lab report privacy_audit`
    makes a page of it.
    """
    import json

    from smotext_lab.encoders import BertEncoder
    from smotext_lab.privacy import audit as attack
    from smotext_lab.reports.privacy import read_three

    made, real, rest = read_three(synthetic, train, holdout, text, label)
    found = attack(
        made,
        real["text"],
        rest["text"],
        encoder=BertEncoder(encoder),
        reconstruction=reconstruction,
    )
    verdict = found.verdict()[["question", "answer", "figures"]]
    typer.echo(table(list(verdict.columns), verdict.to_numpy().tolist()))
    typer.echo("\n".join(["", *found.notes]))
    if json_out is not None:
        json_out.write_text(json.dumps(found.figures(), indent=2) + "\n", encoding="utf-8")
