"""``smotext-lab generate``: a file of labelled texts in, new ones out."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from smotext_lab import words
from smotext_lab.cli.door import INTERRUPTED, examples, say
from smotext_lab.cli.target import Target
from smotext_lab.making import new_texts, numbers

if TYPE_CHECKING:
    import pandas as pd

    from smotext_lab.sampler import SMOTExT
    from smotext_lab.synthesis import Synthesis

__all__ = ["EXAMPLES", "generate", "how_many", "sampler_of"]

EXAMPLES = examples(
    "smotext-lab generate tickets.csv --text body --label queue --n 200 --out new.parquet",
    "smotext-lab generate tickets.csv --n refund=40,outage=10 --out new.jsonl",
    "smotext-lab generate tickets.csv --balance --with-originals --out all.csv",
    "smotext-lab generate bbc_titles --split train --n 10 | head -3",
    "zcat tickets.jsonl.gz | smotext-lab generate - --n 5 --out-format csv > new.csv",
)
In = Annotated[
    str,
    typer.Argument(
        metavar="IN",
        help="CSV, TSV, JSON Lines or Parquet (gzip too), - for standard input, a built-in set"
        " (`smotext-lab datasets`), or a hub id.",
    ),
]
TextColumn = Annotated[
    str | None, typer.Option("--text", help="Column of texts.", show_default="by its name")
]
LabelColumn = Annotated[
    str | None, typer.Option("--label", help="Column of labels.", show_default="by its name")
]
Format = Annotated[
    Literal["csv", "tsv", "jsonl", "parquet"] | None,
    typer.Option("--format", help="Of IN.", show_default="by its name or its start"),
]
Encoding = Annotated[str, typer.Option(help="Of IN, where it is text.")]
Split = Annotated[
    str | None,
    typer.Option(
        help='Use only the rows of this split; "all" for all. Needed where there are two.'
    ),
]
HowMany = Annotated[
    list[str] | None,
    typer.Option(
        "--n",
        "-n",
        metavar="N|LABEL=N,…",
        help="New texts: a total, shared in proportion to the classes, or a number per class.",
    ),
]
Balance = Annotated[
    bool, typer.Option("--balance", help="As many new texts as bring each class to the largest.")
]
Strategy = Annotated[
    str | None,
    typer.Option(
        metavar="STRATEGY",
        help="As in imbalanced-learn: auto, minority, not minority, all, a ratio, or LABEL=TOTAL,…",
    ),
]
Out = Annotated[
    str,
    typer.Option("--out", "-o", metavar="OUT", help=".parquet, .csv, .jsonl (.gz too), or -."),
]
OutFormat = Annotated[
    Literal["csv", "jsonl", "parquet"] | None,
    typer.Option(help="Of OUT.", show_default="by its name; jsonl for -"),
]
WithOriginals = Annotated[
    bool, typer.Option("--with-originals", help="Write the given rows first, all columns kept.")
]
Rejected = Annotated[
    bool, typer.Option("--rejected", help="Write rejected texts too, each with its reason.")
]
How = Annotated[
    str, typer.Option("--interpolator", help=f"Who is blended: {', '.join(words.INTERPOLATORS)}.")
]
K = Annotated[
    int | None,
    typer.Option(
        "--k-neighbors", "-k", help="Neighbours to choose from.", show_default="5; kmeans: 2"
    ),
]
M = Annotated[
    int | None,
    typer.Option(
        "--m-neighbors",
        help="For borderline and svm: neighbours that say where the border is.",
        show_default="10",
    ),
]
Alpha = Annotated[
    float | None,
    typer.Option(
        help="For mixup and dirichlet: how evenly to mix.", show_default="0.4; dirichlet: 1"
    ),
]
Blending = Annotated[
    Literal["lerp", "slerp"], typer.Option(help="Along the straight line, or along the sphere.")
]
GuidanceScale = Annotated[
    float,
    typer.Option(
        min=0,
        help="How far beyond a blend to ask for, away from other classes; 0: as it is.",
    ),
]
Guard = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=VALUE",
        help="A guard's setting, such as max_copy_cosine=0.9 or blocked_words=FILE; none switches "
        "it off. Repeatable.",
    ),
]
NoGuards = Annotated[bool, typer.Option("--no-guards", help="Accept whatever is written.")]
Attempts = Annotated[int, typer.Option(help="Decodings of a blend before another is drawn.")]
MaxBlends = Annotated[int, typer.Option(help="Blends drawn for a text before it is given up.")]
LongTexts = Annotated[
    Literal["truncate", "sentences", "error"],
    typer.Option(help="Texts longer than the encoder reads: cut, mean of parts, or refuse."),
]
Encoder = Annotated[str, typer.Option(help="Registered name, folder or hub id.")]
Llm = Annotated[str, typer.Option(help="Registered name, folder or hub id.")]
BridgeFolder = Annotated[str, typer.Option("--bridge", help='"default" or a folder.')]
Prompt = Annotated[
    str | None, typer.Option(help='A template with one {xrag}, as in "Background: {xrag}".')
]
Temperature = Annotated[float, typer.Option(help="0 takes the likeliest word each time.")]
TopP = Annotated[float, typer.Option(help="Draw from the likeliest words with this share.")]
TopK = Annotated[int, typer.Option(help="Draw from at most so many words; 0: no limit.")]
MaxTokens = Annotated[int, typer.Option("--max-new-tokens", help="Longest text, in tokens.")]
Candidates = Annotated[
    int, typer.Option("--n-candidates", help="Texts written for each point; the nearest is kept.")
]
Corrections = Annotated[
    int,
    typer.Option(
        help="Rounds in which a text is written again for what it lacks, and words are changed."
    ),
]
Engine = Annotated[
    str,
    typer.Option(
        metavar="transformers|vllm|URL",
        help="What runs the LLM: transformers, vLLM in this process, or a vLLM server.",
    ),
]
Dtype = Annotated[
    Literal["auto", "float32", "bfloat16", "float16", "4bit", "8bit"],
    typer.Option(
        help="What both models compute in; auto: bfloat16 where the device does. 4bit and 8bit "
        "need the extra quantized."
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(
        "--random-state",
        help="The same number gives the same texts.",
        show_default="drawn, and said",
    ),
]
Mask = Annotated[
    bool,
    typer.Option(
        "--mask",
        help="Put e-mail, web and IP addresses, numbers and dates out of sight before encoding; "
        "says what came out. Finds no postal addresses.",
    ),
]
MaskNames = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="Names to mask too, one a line; implies --mask."),
]
Strict = Annotated[
    bool, typer.Option("--strict", help="Exit code 1 if a class does not get its number.")
]


def generate(
    source: In,
    *,
    text: TextColumn = None,
    label: LabelColumn = None,
    n: HowMany = None,
    balance: Balance = False,
    sampling_strategy: Strategy = None,
    out: Out = "-",
    out_format: OutFormat = None,
    with_originals: WithOriginals = False,
    rejected: Rejected = False,
    input_format: Format = None,
    encoding: Encoding = "utf-8",
    split: Split = None,
    random_state: Seed = None,
    interpolator: How = "smote",
    k_neighbors: K = None,
    m_neighbors: M = None,
    alpha: Alpha = None,
    blending: Blending = "lerp",
    guidance_scale: GuidanceScale = 1.0,
    n_candidates: Candidates = 4,
    corrections: Corrections = 0,
    temperature: Temperature = 0.7,
    top_p: TopP = 0.9,
    top_k: TopK = 50,
    max_new_tokens: MaxTokens = 128,
    prompt: Prompt = None,
    guard: Guard = None,
    no_guards: NoGuards = False,
    max_attempts: Attempts = 3,
    max_blends: MaxBlends = 3,
    long_texts: LongTexts = "truncate",
    encoder: Encoder = "all-MiniLM-L6-v2",
    llm: Llm = "SmolLM2-135M-Instruct",
    bridge: BridgeFolder = "default",
    engine: Engine = "transformers",
    dtype: Dtype = "auto",
    mask: Mask = False,
    mask_names: MaskNames = None,
    strict: Strict = False,
) -> None:
    """Make new labelled texts from those in a file.

    Texts go to OUT, a summary to standard error. Ctrl-C ends early: what is finished is written,
    and the exit code is 130.
    """
    number, strategy = how_many(n, balance=balance, sampling_strategy=sampling_strategy)
    target = Target.read(out, out_format)
    guards = words.guards_of(guard or [], off=no_guards)
    names = words.masked_names(mask=mask, file=mask_names)
    neighbors = {"k_neighbors": k_neighbors, "m_neighbors": m_neighbors}
    blender = words.interpolator_of(interpolator, {**neighbors, "alpha": alpha})

    from smotext_lab.datasets import load_dataset

    rows = load_dataset(source, text=text, label=label, file_format=input_format, encoding=encoding)
    rows = words.one_split(rows, split, source)

    sampler = sampler_of(
        strategy=words.in_labels(strategy, rows["label"]),
        blender=blender,
        guards=guards,
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
    made = new_texts(sampler, rows, numbers(sampler, rows, number), masked_names=names)
    target.write(made, with_originals=with_originals, rejected=rejected)
    say(_summary(made, target.out))
    if made.info.get("interrupted"):
        raise typer.Exit(INTERRUPTED)
    if strict and len(made) < sum(made.info.get("asked", {}).values()):
        raise typer.Exit(1)


def how_many(
    n: list[str] | None, *, balance: bool, sampling_strategy: str | None
) -> tuple[Any, Any]:
    """Return the numbers that --n gives, or None, and the strategy otherwise."""
    chosen = [word for word in (n, "auto" if balance else None, sampling_strategy) if word]
    if len(chosen) != 1:
        msg = "say how many texts to make, with one of --n, --balance and --sampling-strategy."
        raise typer.BadParameter(msg, param_hint="--n")
    number = words.counts_of(n) if n else None
    return number, "auto" if n or balance else words.strategy_of(str(sampling_strategy))


def sampler_of(
    *,
    strategy: Any,
    blender: Any,
    guards: Any,
    random_state: int | None,
    blending: Any,
    guidance_scale: float,
    max_attempts: int,
    max_blends: int,
    long_texts: Any,
    encoder: str,
    dtype: str,
    **decoding: Any,
) -> SMOTExT:
    """Return the sampler that a command's options describe; loads no model."""
    from smotext_lab import BertEncoder, SMOTExT, XRAGDecoder

    return SMOTExT(
        sampling_strategy=strategy,
        interpolator=blender,
        decoder=XRAGDecoder(encoder=BertEncoder(encoder, dtype=dtype), dtype=dtype, **decoding),
        random_state=random_state,
        blending=blending,
        guidance_scale=guidance_scale,
        guards=guards,
        max_attempts=max_attempts,
        max_blends=max_blends,
        long_texts=long_texts,
        progress=sys.stderr.isatty(),
    )


def _summary(made: Synthesis, out: str) -> str:
    """Return what was made, what was refused, and how to get the same again."""
    if not made.info:
        return "There is nothing to make: every class has its number already."
    lines = [f"{len(made):,} new texts: {_listed(made.counts())}"]
    if len(made.rejected):
        lines.append(f"{len(made.rejected):,} rejected: {_listed(made.reasons())}")
    if "personal_data_found" in made.info:
        found = made.info["personal_data_found"]
        listed = ", ".join(f"{kind} {count:,}" for kind, count in found.items()) or "none"
        lines.append(f"personal data found in them: {listed}")
    lines.append(f"the same again: --random-state {made.info['random_state']}")
    if out != "-":
        lines.append(f"written to {out}")
    return "\n".join(lines)


def _listed(counts: pd.Series) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())
