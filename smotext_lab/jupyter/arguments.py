"""The options that several subcommands of ``%smotext`` share, named as the library's parameters."""

from __future__ import annotations

from typing import Any

from smotext_lab import words
from smotext_lab.jupyter.parsing import Parser, number, whole_number

__all__ = [
    "add_blending",
    "add_models",
    "add_n",
    "add_no_guards",
    "add_only",
    "add_random_state",
    "add_rows",
    "add_sampling",
    "add_steps",
    "add_strict",
]

_FRAME_HELP = "variable with a frame; or a file, or a built-in set such as bbc_titles"


def add_rows(parser: Parser) -> None:
    """Which texts: a frame, its columns, its split."""
    parser.add_argument("frame", nargs="?", metavar="FRAME", help=_FRAME_HELP)
    rows = parser.add_argument_group("the rows")
    rows.add_argument(
        "-t", "--text", metavar="COLUMN", help="column of texts (default: by its name)"
    )
    rows.add_argument(
        "-l", "--label", metavar="COLUMN", help="column of labels (default: by its name)"
    )
    rows.add_argument(
        "--split",
        metavar="NAME",
        help="use only rows of this split, or all; needed where a column split has several",
    )


def add_n(parser: Parser) -> None:
    """How many new texts, and of which classes."""
    how_many = parser.add_argument_group("how many")
    how_many.add_argument(
        "-n",
        "--n",
        action="append",
        metavar="N",
        help="new texts: a total, LABEL=N,…, or a variable with either (default: 10)",
    )
    add_only(how_many)
    add_strict(how_many)


def add_only(group: Any) -> None:
    """Of which classes alone."""
    group.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="LABELS",
        help="new texts of these classes only; all rows still judge a text's label",
    )


def add_strict(group: Any) -> None:
    """Whether too few is an error."""
    group.add_argument(
        "--strict", action="store_true", help="an error if a class does not get its number"
    )


def add_steps(group: Any, default: int) -> None:
    """How many points a walk has."""
    group.add_argument(
        "-s",
        "--steps",
        type=whole_number,
        default=default,
        metavar="N",
        help=f"points from one text to the next, both ends included (default: {default})",
    )


def add_blending(group: Any) -> None:
    """Straight, or along the sphere."""
    group.add_argument(
        "--blending",
        choices=["lerp", "slerp"],
        default="lerp",
        metavar="HOW",
        help="lerp, along the straight line, or slerp, along the sphere (default: lerp)",
    )


def add_no_guards(group: Any, what: str) -> None:
    """Whether texts are kept back."""
    group.add_argument("--no-guards", action="store_true", help=what)


def add_random_state(group: Any) -> None:
    """Which random numbers: the seed."""
    group.add_argument(
        "-r",
        "--random-state",
        type=whole_number,
        metavar="SEED",
        help="the same number gives the same texts (default: drawn, and told in the result's info)",
    )


def add_sampling(parser: Parser) -> None:
    """Whose vectors are blended, and what is kept of what is written."""
    how = parser.add_argument_group("who is blended, and what is kept")
    how.add_argument(
        "-i",
        "--interpolator",
        metavar="HOW",
        help=f"{', '.join(words.INTERPOLATORS)}, or a variable with an interpolator"
        " (default: smote)",
    )
    how.add_argument(
        "-k",
        "--k-neighbors",
        type=whole_number,
        metavar="K",
        help="neighbours to choose from (default: 5; kmeans: 2)",
    )
    how.add_argument(
        "--m-neighbors",
        type=whole_number,
        metavar="M",
        help="for borderline and svm: neighbours that say where the border is (default: 10)",
    )
    how.add_argument(
        "--alpha",
        type=number,
        metavar="ALPHA",
        help="for mixup and dirichlet: how evenly to mix (default: 0.4; dirichlet: 1)",
    )
    add_blending(how)
    how.add_argument(
        "--guidance-scale",
        type=number,
        default=1.0,
        metavar="SCALE",
        help="how far beyond a blend to ask for, away from other classes (default: 1)",
    )
    how.add_argument(
        "--guard",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a guard's threshold, such as max_copy_cosine=0.9; none switches it off; repeatable",
    )
    how.add_argument(
        "--mask",
        action="store_true",
        help="put e-mail, web and IP addresses, numbers and dates out of sight before encoding",
    )
    how.add_argument(
        "--mask-names", metavar="FILE", help="names to mask too, one a line; implies --mask"
    )
    add_no_guards(how, "accept whatever is written")
    how.add_argument(
        "--max-attempts",
        type=whole_number,
        default=3,
        metavar="N",
        help="decodings of a blend before another is drawn (default: 3)",
    )
    how.add_argument(
        "--max-blends",
        type=whole_number,
        default=3,
        metavar="N",
        help="blends drawn for a text before it is given up (default: 3)",
    )
    how.add_argument(
        "--long-texts",
        choices=["truncate", "sentences", "error"],
        metavar="HOW",
        help="texts longer than the encoder reads: truncate, sentences (the mean of parts), or"
        " error (default: as the encoder is set)",
    )
    add_random_state(how)


def add_models(parser: Parser) -> None:
    """Which encoder and decoder, and how the decoder writes."""
    models = parser.add_argument_group("the models")
    models.add_argument(
        "--encoder", metavar="NAME", help="variable with an encoder; or a model, folder or hub id"
    )
    models.add_argument("--decoder", metavar="NAME", help="variable with a decoder")
    models.add_argument("--llm", metavar="NAME", help="a model, folder or hub id")
    models.add_argument("--bridge", metavar="FOLDER", help='"default" or a folder')
    models.add_argument(
        "-c",
        "--n-candidates",
        type=whole_number,
        metavar="N",
        help="texts written for each point; the nearest is kept (default: 4)",
    )
    models.add_argument(
        "--corrections",
        type=whole_number,
        metavar="N",
        help="rounds in which a text is written again and words of it are changed (default: 0)",
    )
    models.add_argument(
        "--temperature",
        type=number,
        metavar="T",
        help="0 takes the likeliest word each time (default: 0.7)",
    )
    models.add_argument(
        "--top-p",
        type=number,
        metavar="P",
        help="draw from the likeliest words with this share (default: 0.9)",
    )
    models.add_argument(
        "--top-k",
        type=whole_number,
        metavar="K",
        help="draw from at most so many words; 0: no limit (default: 50)",
    )
    models.add_argument(
        "--max-new-tokens",
        type=whole_number,
        metavar="N",
        help="longest text, in tokens (default: 128)",
    )
    models.add_argument(
        "--prompt",
        metavar="TEMPLATE",
        help='a template with one {{xrag}}, as in "Background: {{xrag}}"',
    )
