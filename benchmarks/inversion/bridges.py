"""The bridges to compare, each trained for the same minutes.

    python -m benchmarks.inversion.bridges --corpus sentences.jsonl.gz --minutes 40 --out bridges

The corpus is encoded once and the lexical head is trained once, for all of them; that time is not
in the minutes, which are those of the last stage: what xRAG's projector has to itself. A bridge
that is finished is not trained again; one that was stopped begins anew, so that its minutes are
whole ones. ``bridges.json`` in the folder says what was asked for, and what each bridge took and
reached; a folder holds bridges of one corpus, one pair of models, one time and one random state.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from pathlib import Path
from typing import Any

from benchmarks.inversion.sets import digest
from benchmarks.machine import described
from smotext_lab import BertEncoder
from smotext_lab.bridges.durable import write_aside
from smotext_lab.encoders import Encoder
from smotext_lab.errors import ParameterError, SmotextError
from smotext_lab.models import DEFAULT_ENCODER, DEFAULT_LLM, fingerprint
from smotext_lab.training import BridgeRecipe, train_bridge
from smotext_lab.training.corpus import encode_corpus, read_by, read_corpus

__all__ = ["VARIANTS"]

VARIANTS: dict[str, tuple[str, BridgeRecipe]] = {
    "xrag": ("mlp2x_gelu", BridgeRecipe(rank=0)),
    "xrag-lora": ("mlp2x_gelu", BridgeRecipe()),
    "lexical-untrained": ("lexical", BridgeRecipe(rank=0, steps=0, n_learnt=0)),
    "lexical-frozen": ("lexical", BridgeRecipe(rank=0)),
    "lexical-lora": ("lexical", BridgeRecipe()),
}
"""Kind and recipe of each: xRAG's projector and ours, on a frozen LLM and with a LoRA."""

_SHARED = ("vectors.npy", "vectors.json", "head.safetensors")


def main(arguments: list[str] | None = None) -> None:
    parser = _parser()
    given = parser.parse_args(arguments)
    try:
        _train(given)
    except SmotextError as error:
        parser.exit(2, f"Error: {error}\n")


def _train(given: argparse.Namespace) -> None:
    encoder = BertEncoder(given.encoder)
    shared = given.out / "shared"
    texts = read_corpus(given.corpus)
    record = given.out / "bridges.json"
    asked = _asked(given, texts, encoder)
    done = _finished(record, asked)
    if given.work is not None and not shared.exists():
        _take_over(given.work, texts, encoder, shared)
    encode_corpus(texts, encoder, shared)
    for name in (name for name in VARIANTS if name in given.only and name not in done):
        done[name] = _trained(name, given, encoder, shared)
        write_aside(record, json.dumps({"asked": asked, "bridges": done}, indent=1))
    for name, facts in done.items():
        print(f"{name}: {facts['unseen_loss']:.3f} nats a token, {facts['seconds']:.0f} s")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.inversion.bridges", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--corpus", nargs="+", type=Path, required=True, metavar="FILE")
    parser.add_argument("--minutes", type=float, required=True, help="of training, for each")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--only", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument(
        "--work",
        type=Path,
        metavar="DIR",
        help="work folder of a training on the same corpus and random state, whose encoded corpus "
        "and lexical head are taken over (copied)",
    )
    parser.add_argument("--encoder", default=DEFAULT_ENCODER)
    parser.add_argument("--llm", default=DEFAULT_LLM)
    parser.add_argument("--random-state", type=int, default=0)
    return parser


def _asked(given: argparse.Namespace, texts: list[str], encoder: Encoder) -> dict[str, Any]:
    """Return what the bridges of one table have in common, by its option."""
    return {
        "--corpus": digest(texts),
        "--minutes": given.minutes,
        "--encoder": read_by(encoder),
        "--llm": fingerprint(given.llm),
        "--random-state": given.random_state,
    }


def _finished(record: Path, asked: dict[str, Any]) -> dict[str, Any]:
    """Return the facts of the bridges that an earlier run of the same has finished."""
    if not record.is_file():
        return {}
    kept = json.loads(record.read_text("utf-8"))
    before = kept.get("asked", {})
    others = [name for name, value in asked.items() if before.get(name) != value]
    if others:
        msg = (
            f"{record} is of bridges with other {', '.join(others)}: give the same again, or "
            f"another --out"
        )
        raise ParameterError(msg)
    finished: dict[str, Any] = kept["bridges"]
    return finished


def _take_over(work: Path, texts: list[str], encoder: Encoder, shared: Path) -> None:
    """Copy what an earlier training made, as far as it is of these texts and this encoder."""
    shared.mkdir(parents=True)
    vectors, state, head = _SHARED
    for name in (vectors, state):
        shutil.copyfile(work / name, shared / name)
    encode_corpus(texts, encoder, shared)  # anew, where they were of others
    if (shared / state).read_bytes() == (work / state).read_bytes() and (work / head).is_file():
        shutil.copyfile(work / head, shared / head)


def _trained(
    name: str, given: argparse.Namespace, encoder: Encoder, shared: Path
) -> dict[str, Any]:
    kind, recipe = VARIANTS[name]
    folder = given.out / name
    shutil.rmtree(folder, ignore_errors=True)  # of a run that was stopped
    work = folder / "work"
    work.mkdir(parents=True)
    for file in (shared / part for part in _SHARED):
        if file.is_file():
            (work / file.name).symlink_to(file.resolve())
    started = time.perf_counter()
    bridge = train_bridge(
        given.corpus,
        out=folder,
        encoder=encoder,
        llm=given.llm,
        kind=kind,
        recipe=recipe,
        minutes=given.minutes if recipe.steps else None,
        random_state=given.random_state,
    )
    head = work / "head.safetensors"
    if head.is_file() and not head.is_symlink():
        shutil.copyfile(head, shared / head.name)
    facts = bridge.facts.training
    return {
        "kind": kind,
        "minutes": given.minutes if recipe.steps else 0,
        "seconds": round(time.perf_counter() - started, 1),  # with loading, and the head once
        "steps": facts["recipe"]["steps"],
        "texts_seen": facts["texts_seen"],
        "unseen_loss": facts["unseen_loss"],
        "sha256": bridge.facts.sha256,
        "machine": described(),
    }


if __name__ == "__main__":
    main()
