"""Report templates and their parameters: where they lie, what they take, whether a value fits.

The parameters cell is read as Python (`ast`), not line by line: papermill's own reader
skips a line whose comment holds an equals sign, and knows no ``str | None``.
"""

from __future__ import annotations

import ast
import io
import json
import tokenize
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smotext_lab.errors import ParameterError, ReportError, did_you_mean

__all__ = [
    "Parameter",
    "checked_parameters",
    "parse_parameters",
    "template_parameters",
    "template_path",
    "templates",
]

_PACKAGE = Path(__file__).parents[1]
_UNKNOWN = "any"
# the order in which a shell word is tried: what is read most narrowly comes first
_RANK = ("None", "bool", "int", "float", "list", "dict", _UNKNOWN, "str")


@dataclass(frozen=True)
class Parameter:
    """One parameter of a report template.

    Attributes
    ----------
    name : str
        The variable's name in the cell tagged ``parameters``.
    type : str
        What a value may be: ``"int"``, ``"str | None"``, ``"list[str]"``, or ``"any"``.
    default : object
        The value written in the template.
    help : str
        The comment beside it.
    """

    name: str
    type: str
    default: Any
    help: str


def _template_folders() -> list[Path]:
    """Return where templates lie: inside the wheel, or beside the package in a checkout."""
    return [p for p in (_PACKAGE / "templates", _PACKAGE.parent / "templates") if p.is_dir()]


def templates() -> list[str]:
    """Return the names of the templates that come with the package.

    Examples
    --------
    >>> from smotext_lab.reports import templates
    >>> "qualitative" in templates()
    True
    """
    return sorted({p.stem for folder in _template_folders() for p in folder.glob("*.ipynb")})


def template_path(template: str | Path) -> Path:
    """Return the notebook of a template: one of ours by name, or the user's own by its path.

    Raises
    ------
    ReportError
        If it is neither a known name nor a file.
    """
    for folder in _template_folders():
        inside = folder / f"{template}.ipynb"
        if isinstance(template, str) and template in templates() and inside.is_file():
            return inside
    own = Path(template).expanduser()
    if own.is_file():
        return own
    msg = (
        f"There is no report template {str(template)!r}{did_you_mean(template, templates())}; "
        f"known are {', '.join(templates())}, or give the path of a notebook."
    )
    raise ReportError(msg)


def template_parameters(template: str | Path = "qualitative") -> list[Parameter]:
    """Return what a template can be told, in the order in which it says so.

    Parameters
    ----------
    template : str or Path, default="qualitative"
        A name from `templates` or the path of a notebook.

    Returns
    -------
    list of Parameter
        Empty for a notebook with no cell tagged ``parameters``.

    Raises
    ------
    ReportError
        If the notebook or its parameters cell cannot be read.

    Examples
    --------
    >>> from smotext_lab.reports import template_parameters
    >>> [p.default for p in template_parameters("qualitative") if p.name == "steps"]
    [5]
    """
    path = template_path(template)
    source = _parameters_source(path)
    try:
        tree = ast.parse(source)
        comments = _comments(source)
    except (SyntaxError, tokenize.TokenError) as error:
        msg = f"The cell tagged 'parameters' in {path.name} is not valid Python: {error}."
        raise ReportError(msg) from error
    found = (_parameter(node, comments) for node in tree.body)
    return [parameter for parameter in found if parameter is not None]


def _parameters_source(path: Path) -> str:
    """Return the source of the first cell tagged ``parameters``, or an empty string."""
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = f"{path} cannot be read as a notebook ({type(error).__name__}: {error})."
        raise ReportError(msg) from error
    for cell in cells:
        if "parameters" in cell.get("metadata", {}).get("tags", []):
            return "".join(cell["source"])
    return ""


def _comments(source: str) -> dict[int, str]:
    """Return the comment on each line that has one."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {
        token.start[0]: token.string.lstrip("# ").rstrip()
        for token in tokens
        if token.type == tokenize.COMMENT
    }


def _parameter(node: ast.stmt, comments: Mapping[int, str]) -> Parameter | None:
    """Read one assignment of the parameters cell; anything else is not a parameter."""
    target: ast.expr
    annotation: ast.expr | None = None
    if isinstance(node, ast.AnnAssign) and node.value is not None:
        target, annotation, value = node.target, node.annotation, node.value
    elif isinstance(node, ast.Assign) and len(node.targets) == 1:
        target, value = node.targets[0], node.value
    else:
        return None
    if not isinstance(target, ast.Name):
        return None
    try:
        default = ast.literal_eval(value)
    except ValueError:
        default = ast.unparse(value)
    kinds = _kinds(annotation) if annotation is not None else [_kind_of(default)]
    if default is None and "None" not in kinds and _UNKNOWN not in kinds:
        kinds.append("None")
    help_text = comments.get(node.end_lineno or node.lineno, "")
    return Parameter(target.id, " | ".join(kinds), default, help_text)


def _kinds(node: ast.expr) -> list[str]:
    """Return the alternatives of an annotation: ``str | None`` gives ``["str", "None"]``."""
    if isinstance(node, ast.Constant):
        if node.value is None:
            return ["None"]
        return _kinds(ast.parse(str(node.value), mode="eval").body)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _kinds(node.left) + _kinds(node.right)
    if isinstance(node, ast.Subscript):
        return _subscript_kinds(ast.unparse(node.value).rpartition(".")[2].lower(), node.slice)
    name = ast.unparse(node)
    return [name if name in _RANK else _UNKNOWN]


def _subscript_kinds(outer: str, inner: ast.expr) -> list[str]:
    """Return the alternatives of ``Optional[...]``, ``list[...]`` or ``dict[...]``."""
    if outer == "optional":
        return [*_kinds(inner), "None"]
    if outer == "list":
        kinds = _kinds(inner)
        return [f"list[{kinds[0]}]" if len(kinds) == 1 else "list"]
    return ["dict"] if outer == "dict" else [_UNKNOWN]


def _kind_of(default: object) -> str:
    """Return the type that an unannotated parameter's default suggests."""
    name = type(default).__name__
    return name if name in _RANK else _UNKNOWN


def checked_parameters(
    template: str | Path, parameters: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return `parameters` as plain Python values, or say which of them cannot be used.

    Parameters
    ----------
    template : str or Path
        A name from `templates` or the path of a notebook.
    parameters : mapping or None
        Values by name; NumPy scalars, tuples and paths become plain numbers, lists and strings.

    Raises
    ------
    ParameterError
        If a name is unknown (the nearest is suggested) or a value has the wrong type.
    """
    known = {p.name: p for p in template_parameters(template)}
    checked = {}
    for name, value in (parameters or {}).items():
        parameter = _known_parameter(name, known, template)
        plain = _plain(value)
        if not any(_fits(plain, kind) for kind in parameter.type.split(" | ")):
            raise _wrong_type(parameter, value, template)
        checked[name] = plain
    return checked


def parse_parameters(template: str | Path, assignments: Sequence[str]) -> dict[str, Any]:
    """Turn ``["n=12", "only=sport,tech"]``, as typed in a shell, into typed values.

    ``none`` (or ``null``) is None where the parameter may be None, ``true`` and ``false``
    are booleans, a list is JSON (``[1,2]``) or values with commas between.

    Raises
    ------
    ParameterError
        If an assignment has no ``=``, a name is unknown, or a value cannot be read as its type.

    Examples
    --------
    >>> from smotext_lab.reports import parse_parameters
    >>> parse_parameters("qualitative", ["n=12", "text=none"])
    {'n': 12, 'text': None}
    """
    known = {p.name: p for p in template_parameters(template)}
    values = {}
    for assignment in assignments:
        name, equals, word = assignment.partition("=")
        if not equals:
            msg = f"A parameter is written name=value, for example n=12; got {assignment!r}."
            raise ParameterError(msg)
        parameter = _known_parameter(name.strip(), known, template)
        kinds = parameter.type.split(" | ")
        for kind in sorted(kinds, key=lambda kind: _RANK.index(kind.partition("[")[0])):
            try:
                values[parameter.name] = _read(word, kind)
            except ValueError:
                continue
            break
        else:
            raise _wrong_type(parameter, word, template)
    return values


def _known_parameter(name: str, known: Mapping[str, Parameter], template: str | Path) -> Parameter:
    if name in known:
        return known[name]
    title = Path(template).stem
    listed = f"it has {', '.join(known)}" if known else "it has no cell tagged 'parameters'"
    msg = f"The template {title!r} has no parameter {name!r}{did_you_mean(name, known)}; {listed}."
    raise ParameterError(msg)


def _wrong_type(parameter: Parameter, value: object, template: str | Path) -> ParameterError:
    shown = repr(value) if len(repr(value)) <= 80 else repr(value)[:80] + "…"
    return ParameterError(
        f"The parameter {parameter.name!r} of the template {Path(template).stem!r} must be "
        f"{parameter.type.replace(' | ', ' or ')}; got {shown} ({type(value).__name__})."
    )


def _plain(value: Any) -> Any:
    """Return `value` as what a notebook cell can hold as a literal."""
    if isinstance(value, Path):
        return str(value)
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        return value.item()
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return value


def _fits(value: object, kind: str) -> bool:
    """Say whether a plain value is of one kind; ``any`` takes what can be a literal."""
    if kind.startswith("list["):
        return isinstance(value, list) and all(_fits(v, kind[5:-1]) for v in value)
    if kind in {"None", _UNKNOWN} and value is None:
        return True
    if isinstance(value, bool):
        return kind in {"bool", _UNKNOWN}
    types: dict[str, type | tuple[type, ...]] = {
        "int": int,
        "float": (int, float),
        "str": str,
        "list": list,
        "dict": dict,
        _UNKNOWN: (int, float, str, list, dict),
    }
    return isinstance(value, types.get(kind, ()))


def _read(word: str, kind: str) -> Any:
    """Read a shell word as one kind; ValueError where it is not of that kind."""
    if kind == "str":
        return word
    bare = word.strip()
    if kind.startswith("list[") and not bare.startswith("["):
        return [_read(part.strip(), kind[5:-1]) for part in bare.split(",") if part.strip()]
    if kind == _UNKNOWN:
        try:
            return _literal(bare)
        except ValueError:
            return word
    value = int(bare) if kind == "int" else float(bare) if kind == "float" else _literal(bare)
    if not _fits(value, kind):
        raise ValueError(word)
    return value


def _literal(word: str) -> Any:
    """Read ``true``, ``false``, ``none``, JSON or a Python literal; else ValueError."""
    constants = {"true": True, "false": False, "none": None, "null": None}
    if word.lower() in constants:
        return constants[word.lower()]
    try:
        return json.loads(word)
    except ValueError:
        pass
    try:
        return ast.literal_eval(word)
    except (SyntaxError, ValueError) as error:
        raise ValueError(word) from error
