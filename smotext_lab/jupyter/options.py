"""The subcommands of ``%smotext`` and their options, named as the library's parameters are."""

from __future__ import annotations

from functools import cache

from smotext_lab.jupyter.arguments import (
    add_blending,
    add_models,
    add_n,
    add_no_guards,
    add_only,
    add_random_state,
    add_rows,
    add_sampling,
    add_steps,
    add_strict,
)
from smotext_lab.jupyter.parsing import Parser

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


WITH_BODY = ("path", "mix", "explore", "compare")
"""Those that read what stands below ``%%smotext``."""


_UNSCREENED = "show texts that bring in a slur or a sexual word, too"


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
    add_steps(walk, 5)
    add_blending(walk)
    add_random_state(walk)
    add_no_guards(walk, _UNSCREENED)
    add_models(parser)
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
    add_rows(parser)
    add_n(parser)
    add_sampling(parser)
    add_models(parser)
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
    add_rows(parser)
    how_many = parser.add_argument_group("how many")
    how_many.add_argument(
        "--sampling-strategy",
        default="auto",
        metavar="STRATEGY",
        help="as in imbalanced-learn: auto, minority, not minority, all, a ratio, LABEL=TOTAL,…, "
        "or a variable with a dict of totals (default: auto)",
    )
    add_only(how_many)
    add_strict(how_many)
    add_sampling(parser)
    add_models(parser)
    return parser


def _mix() -> Parser:
    parser = Parser(
        "mix",
        f"{COMMANDS['mix']}\n\nA line of the body is 'label: text'; each class needs two lines.",
        usage=["%%smotext mix [options]", "LABEL: TEXT", "…"],
        examples=["%%smotext mix --n 6", "%%smotext mix --n weather=4 -o more"],
    )
    add_n(parser)
    add_sampling(parser)
    add_models(parser)
    return parser


def _explore() -> Parser:
    parser = Parser(
        "explore",
        f"{COMMANDS['explore']}\n\nFrom a frame, or from two texts in the body.",
        usage=["%smotext explore FRAME [options]", "%%smotext explore", "TEXT", "---", "TEXT"],
        examples=["%smotext explore tickets --map", "%smotext explore tickets -o explorer"],
    )
    add_rows(parser)
    view = parser.add_argument_group("the widget")
    view.add_argument(
        "--map", action="store_true", help="all texts in a plane; a click on two explores between"
    )
    add_blending(view)
    add_random_state(view)
    add_no_guards(view, _UNSCREENED)
    add_models(parser)
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
    add_steps(walk, 3)
    add_random_state(walk)
    add_no_guards(walk, _UNSCREENED)
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
