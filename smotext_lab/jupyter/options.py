"""The subcommands of ``%smotext`` and their options, named as the library's parameters are."""

from __future__ import annotations

from functools import cache
from typing import Any

from smotext_lab import words
from smotext_lab.jupyter.parsing import Parser, number, whole_number

__all__ = ["COMMANDS", "WITH_BODY", "overview", "parser_of"]

COMMANDS = {
    "path": "Walk from one text to the next and write what lies between.",
    "generate": "Make new texts from a frame of labelled ones.",
    "balance": "Bring every class of a frame to the size of the largest.",
    "mix": "Make new texts from a few labelled lines, typed below.",
    "explore": "Drag from one text to another, or look at all on a map (widget).",
    "compare": "Write the same points with several decoders, side by side (widget).",
    "report": "Run a report template and link its page.",
    "config": "Show the defaults, and which objects they are.",
    "models": "List the models, or unload them.",
    "last": "Give the last result again.",
}
_FRAME_HELP = "variable with a frame; or a file, or a built-in set such as bbc_titles"


WITH_BODY = ("path", "mix", "explore", "compare")
"""Those that read what stands below ``%%smotext``."""


def overview() -> str:
    """Return the page of ``%smotext --help``."""
    listed = "\n".join(f"  {name:<10}{about}" for name, about in COMMANDS.items())
    return f"""New texts by SMOTE among the vectors of yours (SMOTExT, arXiv 2505.13434).

usage: %%smotext [--steps N …]           the body holds texts with lines of --- between (path)
       %smotext FRAME [--n N …]          from a frame of labelled texts (generate)
       %smotext COMMAND [options]

commands:
{listed}

%smotext COMMAND --help tells a command's options. On the line, $name and {{expression}} are
expanded by IPython; the body is taken to the letter. -o NAME assigns a result, else it is the
cell's value. Defaults: %config SmotextMagics, and %smotext config shows them.

examples:
  %%smotext --steps 7
  The battery dies after an hour.
  ---
  Shipping took three weeks, but support was kind.

  %smotext tickets --text body --label queue --n 40 -o extra
"""


@cache
def parser_of(command: str) -> Parser:
    """Return the parser of a subcommand."""
    return _BUILDERS[command]().end()


def _path() -> Parser:
    parser = Parser(
        "path",
        f"{COMMANDS['path']}\n\nTexts stand in the body, two or more, with lines of --- between.",
        usage=["%%smotext [path] [options]", "TEXT", "---", "TEXT"],
        examples=["%%smotext --steps 7", "%%smotext path --blending slerp -o way"],
    )
    walk = parser.add_argument_group("the way")
    _add_steps(walk, 5)
    _add_blending(walk)
    _add_random_state(walk)
    _add_models(parser)
    return parser


def _generate() -> Parser:
    parser = Parser(
        "generate",
        COMMANDS["generate"],
        usage=["%smotext [generate] FRAME [options]"],
        examples=[
            "%smotext tickets --text body --label queue --n 40",
            "%smotext generate tickets --n refund=40,outage=10 -o extra",
            '%smotext tickets --n $budget --only "billing fraud" --interpolator svm',
            "%smotext tickets --n 20 --decoder my_decoder",
        ],
    )
    _add_rows(parser)
    _add_n(parser)
    _add_sampling(parser)
    _add_models(parser)
    return parser


def _balance() -> Parser:
    parser = Parser(
        "balance",
        f"{COMMANDS['balance']}\n\nThe result is a frame: the rows given, the new ones below.",
        usage=["%smotext balance FRAME [options]"],
        examples=[
            "%smotext balance tickets -o balanced",
            "%smotext balance tickets --sampling-strategy refund=80,outage=80",
        ],
    )
    _add_rows(parser)
    how_many = parser.add_argument_group("how many")
    how_many.add_argument(
        "--sampling-strategy",
        default="auto",
        metavar="STRATEGY",
        help="as in imbalanced-learn: auto, minority, not minority, all, a ratio, LABEL=TOTAL,…, "
        "or a variable with a dict of totals (default: auto)",
    )
    _add_only(how_many)
    _add_strict(how_many)
    _add_sampling(parser)
    _add_models(parser)
    return parser


def _mix() -> Parser:
    parser = Parser(
        "mix",
        f"{COMMANDS['mix']}\n\nA line of the body is 'label: text'; each class needs two lines.",
        usage=["%%smotext mix [options]", "LABEL: TEXT", "…"],
        examples=["%%smotext mix --n 6", "%%smotext mix --n weather=4 -o more"],
    )
    _add_n(parser)
    _add_sampling(parser)
    _add_models(parser)
    return parser


def _explore() -> Parser:
    parser = Parser(
        "explore",
        f"{COMMANDS['explore']}\n\nFrom a frame, or from two texts in the body.",
        usage=["%smotext explore FRAME [options]", "%%smotext explore", "TEXT", "---", "TEXT"],
        examples=["%smotext explore tickets --map", "%smotext explore tickets -o explorer"],
    )
    _add_rows(parser)
    view = parser.add_argument_group("the widget")
    view.add_argument(
        "--map", action="store_true", help="all texts in a plane; a click on two explores between"
    )
    _add_blending(view)
    _add_random_state(view)
    _add_models(parser)
    return parser


def _compare() -> Parser:
    parser = Parser(
        "compare",
        f"{COMMANDS['compare']}\n\nTexts stand in the body, two or more, with lines of ---"
        " between.",
        usage=["%%smotext compare [options]", "TEXT", "---", "TEXT"],
        examples=["%%smotext compare", "%%smotext compare --with greedy --with mine --steps 5"],
    )
    walk = parser.add_argument_group("the way")
    walk.add_argument(
        "--with",
        action="append",
        default=[],
        dest="decoders",
        metavar="NAME",
        help="variable with a decoder; may be given repeatedly (default: greedy, best of 4, best"
        " of 8, and best of 4 corrected twice)",
    )
    _add_steps(walk, 3)
    _add_random_state(walk)
    return parser


def _report() -> Parser:
    parser = Parser(
        "report",
        f"{COMMANDS['report']}\n\nWithout TEMPLATE: which there are, and what they can be told.",
        usage=["%smotext report [TEMPLATE] [options]"],
        examples=[
            "%smotext report",
            "%smotext report qualitative -p n=12 --out reports/",
            "%smotext report qualitative -p dataset=tickets.csv -p text=body -p label=queue",
        ],
    )
    parser.add_argument(
        "template", nargs="?", metavar="TEMPLATE", help="its name, or a notebook of your own"
    )
    run = parser.add_argument_group("the run")
    run.add_argument(
        "-p",
        "--parameter",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        dest="parameters",
        help="may be given repeatedly",
    )
    run.add_argument(
        "--out", default="out", metavar="DIR", help="folder for page, notebook, metrics.json"
    )
    run.add_argument("--kernel-name", metavar="NAME", help="kernel to run in (default: this one's)")
    return parser


def _config() -> Parser:
    return Parser(
        "config",
        f"{COMMANDS['config']}\n\n%config SmotextMagics.NAME = VALUE changes one.",
        usage=["%smotext config"],
        examples=[
            "%config SmotextMagics.n_candidates = 8",
            '%config SmotextMagics.encoder = "my_encoder"',
        ],
    )


def _models() -> Parser:
    parser = Parser(
        "models",
        COMMANDS["models"],
        usage=["%smotext models [--unload]"],
        examples=["%smotext models", "%smotext models --unload"],
    )
    parser.add_argument(
        "--unload", action="store_true", help="free the memory; the next use loads them again"
    )
    return parser


def _last() -> Parser:
    return Parser(
        "last",
        f"{COMMANDS['last']}\n\nAlso what was finished before an interruption.",
        usage=["%smotext last [-o NAME]"],
        examples=["%smotext last", "%smotext last -o kept"],
    )


_BUILDERS = {
    "path": _path,
    "generate": _generate,
    "balance": _balance,
    "mix": _mix,
    "explore": _explore,
    "compare": _compare,
    "report": _report,
    "config": _config,
    "models": _models,
    "last": _last,
}


def _add_rows(parser: Parser) -> None:
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


def _add_n(parser: Parser) -> None:
    how_many = parser.add_argument_group("how many")
    how_many.add_argument(
        "-n",
        "--n",
        action="append",
        metavar="N",
        help="new texts: a total, LABEL=N,…, or a variable with either (default: 10)",
    )
    _add_only(how_many)
    _add_strict(how_many)


def _add_only(group: Any) -> None:
    group.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="LABELS",
        help="new texts of these classes only; all rows still judge a text's label",
    )


def _add_strict(group: Any) -> None:
    group.add_argument(
        "--strict", action="store_true", help="an error if a class does not get its number"
    )


def _add_steps(group: Any, default: int) -> None:
    group.add_argument(
        "-s",
        "--steps",
        type=whole_number,
        default=default,
        metavar="N",
        help=f"points from one text to the next, both ends included (default: {default})",
    )


def _add_blending(group: Any) -> None:
    group.add_argument(
        "--blending",
        choices=["lerp", "slerp"],
        default="lerp",
        metavar="HOW",
        help="lerp, along the straight line, or slerp, along the sphere (default: lerp)",
    )


def _add_random_state(group: Any) -> None:
    group.add_argument(
        "-r",
        "--random-state",
        type=whole_number,
        metavar="SEED",
        help="the same number gives the same texts (default: drawn, and told in the result's info)",
    )


def _add_sampling(parser: Parser) -> None:
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
    _add_blending(how)
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
        help="put addresses, numbers and dates out of sight before encoding",
    )
    how.add_argument(
        "--mask-names", metavar="FILE", help="names to mask too, one a line; implies --mask"
    )
    how.add_argument("--no-guards", action="store_true", help="accept whatever is written")
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
    _add_random_state(how)


def _add_models(parser: Parser) -> None:
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
        help="rounds in which a text is written again with what it lacks made up for (default: 0)",
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
