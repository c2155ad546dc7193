"""``smotext-lab train-bridge`` and ``refine-bridge``."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from smotext_lab.cli.door import examples, say

__all__ = ["EXAMPLES", "REFINE_EXAMPLES", "refine_bridge", "train_bridge"]

EXAMPLES = examples(
    "smotext-lab train-bridge --corpus sentences.jsonl.gz --out my-bridge --minutes 60",
    "smotext-lab train-bridge --corpus a.txt --corpus b.csv --text body --out my-bridge",
    "smotext-lab train-bridge --from default --corpus my_texts.csv --minutes 10 --out mine",
    "smotext-lab generate tickets.csv --n 20 --bridge my-bridge",
)
REFINE_EXAMPLES = examples(
    "smotext-lab refine-bridge --corpus sentences.jsonl.gz --out refined --minutes 60",
    "smotext-lab refine-bridge --from mine --corpus my_texts.csv --text body --out refined",
    "smotext-lab generate tickets.csv --n 20 --bridge refined",
)

Corpus = Annotated[
    list[Path],
    typer.Option(
        help="JSON Lines, CSV, TSV or plain text (a text per line), .gz or not; may be repeated."
    ),
]
OutFolder = Annotated[
    Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for the bridge and its log.")
]
Encoder = Annotated[str, typer.Option(help="Registered name, folder or hub id.")]
Llm = Annotated[str, typer.Option(help="Registered name, folder or hub id.")]
Kind = Annotated[
    Literal["lexical", "mlp2x_gelu"] | None,
    typer.Option(
        help="Predicted words and learnt tokens, or xRAG's projector (one token). What of kind, "
        "words, tokens, rank and layers is not given is taken from the bridge of --from.",
        show_default="lexical",
    ),
]
Minutes = Annotated[
    float | None,
    typer.Option(
        help="Time for the last stage alone, with its measurements; sets the steps by the speed of "
        "the first ones."
    ),
]
StartFrom = Annotated[
    str | None,
    typer.Option(
        "--from",
        "--start-from",
        metavar="BRIDGE",
        help='A bridge to fit further: "default" or a folder. Says what was gained.',
    ),
]
Column = Annotated[str, typer.Option("--text", help="Column of JSON Lines and CSV files.")]
Seed = Annotated[int, typer.Option(help="The same number and steps give the same training.")]
Steps = Annotated[int | None, typer.Option(help="Steps of the last stage.", show_default="1000")]
Words = Annotated[
    int | None, typer.Option(help="Predicted words handed to the LLM.", show_default="12")
]
Learnt = Annotated[int | None, typer.Option(help="Learnt tokens after them.", show_default="4")]
Rank = Annotated[
    int | None, typer.Option(help="Of the LoRA; 0 for none.", show_default="16; mlp2x_gelu: 0")
]
Layers = Annotated[
    int | None, typer.Option(help="LoRA on the last so many layers only.", show_default="all")
]
Rate = Annotated[float | None, typer.Option(help="Peak learning rate.", show_default="0.001")]
Batch = Annotated[int | None, typer.Option(help="Texts a step.", show_default="32")]
Noise = Annotated[
    float | None, typer.Option(help="Largest shift of a vector.", show_default="0.25")
]
Dropout = Annotated[
    float | None, typer.Option(help="Share of words passed over.", show_default="0.15")
]
HintDropout = Annotated[
    float | None,
    typer.Option(help="Chance that length, kind or case is not told.", show_default="0.5"),
]
Patience = Annotated[
    int | None,
    typer.Option(help="Measurements without a gain that end it early.", show_default="4"),
]
EvaluateEvery = Annotated[
    int | None, typer.Option(help="Steps between measurements.", show_default="250")
]
Refined = Annotated[
    str,
    typer.Option("--from", metavar="BRIDGE", help='The bridge to refine: "default" or a folder.'),
]
RefiningSteps = Annotated[int | None, typer.Option(help="Steps.", show_default="300")]
RefiningRate = Annotated[
    float | None, typer.Option(help="Peak learning rate.", show_default="0.0004")
]
Points = Annotated[
    int | None,
    typer.Option(help="Points a step, half of them blends of neighbours.", show_default="32"),
]
Candidates = Annotated[
    int | None,
    typer.Option(help="Texts at each; the best and the worst are learnt from.", show_default="8"),
]
RefiningEvery = Annotated[
    int | None, typer.Option(help="Steps between measurements.", show_default="40")
]
Pause = Annotated[float, typer.Option(help="Minutes between checkpoints.")]
Epochs = Annotated[
    float | None, typer.Option(help="Passes over the corpus for the words.", show_default="3")
]


def train_bridge(
    *,
    corpus: Corpus,
    out: OutFolder = Path("bridge"),
    encoder: Encoder = "all-MiniLM-L6-v2",
    llm: Llm = "SmolLM2-135M-Instruct",
    kind: Kind = None,
    minutes: Minutes = None,
    steps: Steps = None,
    start_from: StartFrom = None,
    text: Column = "text",
    random_state: Seed = 0,
    n_words: Words = None,
    n_learnt: Learnt = None,
    rank: Rank = None,
    last_layers: Layers = None,
    learning_rate: Rate = None,
    batch_size: Batch = None,
    noise: Noise = None,
    word_dropout: Dropout = None,
    hint_dropout: HintDropout = None,
    evaluate_every: EvaluateEvery = None,
    patience: Patience = None,
    epochs: Epochs = None,
    checkpoint_minutes: Pause = 4.0,
) -> None:
    """Train a bridge from an encoder to a language model.

    The corpus is encoded once; a lexical head learns which words a vector stands for; then learnt
    tokens and a LoRA learn to make the frozen model write the text. Stop it with Ctrl-C and run
    the same command again: it goes on from its last checkpoint.
    """
    from smotext_lab.bridges import load_bridge
    from smotext_lab.training import run
    from smotext_lab.training.lexical import LexicalRecipe
    from smotext_lab.training.trainer import BridgeRecipe

    given = {
        "steps": steps,
        "n_words": n_words,
        "n_learnt": n_learnt,
        "rank": 0 if rank is None and kind == "mlp2x_gelu" and start_from is None else rank,
        "last_layers": last_layers,
        "learning_rate": learning_rate,
        "batch_size": batch_size,
        "noise": noise,
        "word_dropout": word_dropout,
        "hint_dropout": hint_dropout,
        "evaluate_every": evaluate_every,
        "patience": patience,
    }
    wanted = {name: value for name, value in given.items() if value is not None}
    usual = BridgeRecipe()
    if start_from is not None:
        usual = usual.fitting(load_bridge(start_from))
    bridge = run.train_bridge(
        list(corpus),
        out=out,
        encoder=encoder,
        llm=llm,
        kind=kind,
        recipe=replace(usual, **wanted),  # type: ignore[arg-type]
        lexical=LexicalRecipe() if epochs is None else LexicalRecipe(epochs=epochs),
        minutes=minutes,
        start_from=start_from,
        text=text,
        checkpoint_minutes=checkpoint_minutes,
        random_state=random_state,
    )
    if start_from is not None:
        say(_gain(bridge.facts.training))
    say(f"The bridge is in {out.resolve()}: give it as --bridge {out}.")


def refine_bridge(
    *,
    corpus: Corpus,
    out: OutFolder,
    start_from: Refined = "default",
    encoder: Encoder = "all-MiniLM-L6-v2",
    llm: Llm = "SmolLM2-135M-Instruct",
    minutes: Minutes = None,
    steps: RefiningSteps = None,
    text: Column = "text",
    random_state: Seed = 0,
    n_points: Points = None,
    n_candidates: Candidates = None,
    learning_rate: RefiningRate = None,
    batch_size: Batch = None,
    evaluate_every: RefiningEvery = None,
    patience: Patience = None,
) -> None:
    """Let a trained bridge learn from what its own texts say.

    It writes several texts at each of some points, half of them between neighbours; of those that
    the encoder puts nearest to the point it learns to write more, of those farthest, fewer. Stop it
    with Ctrl-C and run the same command again: it goes on from its last checkpoint.
    """
    from smotext_lab.training import refine

    given = {
        "steps": steps,
        "n_points": n_points,
        "n_candidates": n_candidates,
        "learning_rate": learning_rate,
        "batch_size": batch_size,
        "evaluate_every": evaluate_every,
        "patience": patience,
    }
    wanted = {name: value for name, value in given.items() if value is not None}
    bridge = refine.refine_bridge(
        list(corpus),
        out=out,
        start_from=start_from,
        encoder=encoder,
        llm=llm,
        recipe=replace(refine.RefiningRecipe(), **wanted),  # type: ignore[arg-type]
        minutes=minutes,
        text=text,
        random_state=random_state,
    )
    say(_cosine_gain(bridge.facts.training))
    say(f"The bridge is in {out.resolve()}: give it as --bridge {out}.")


def _gain(training: dict[str, Any]) -> str:
    """Say what fitting a bridge to other texts brought."""
    before, after, n = (training[k] for k in ("start_loss", "unseen_loss", "unseen_texts"))
    if after == before:
        return f"Nothing was gained on {n} held-back texts ({before:.2f} nats a token)."
    by = f"{after - before:+.3f} ± {training['loss_change_error']:.3f} nats a token"
    return (
        f"On {n} held-back texts the loss went from {before:.3f} to {after:.3f} ({by}; perplexity "
        f"{math.exp(before):.1f} to {math.exp(after):.1f}).{_untold(training, 'loss')}"
    )


def _cosine_gain(training: dict[str, Any]) -> str:
    """Say what refining a bridge brought."""
    before, after = (training[key] for key in ("start_cosine", "unseen_cosine"))
    return (
        f"At held-back points the cosine of what is written went from {before:.3f} to {after:.3f} "
        f"({after - before:+.3f} ± {training['cosine_change_error']:.3f}; one text a point, no "
        f"search).{_untold(training, 'cosine')}"
    )


def _untold(training: dict[str, Any], name: str) -> str:
    from smotext_lab.training.gain import is_told

    told = is_told(training, name)
    return "" if told else " That is within two standard errors: no gain is told from nothing."
