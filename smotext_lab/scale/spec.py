"""What is to be made: ``job.json``, with the identity of everything that goes into it."""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from smotext_lab.errors import DataError, ParameterError
from smotext_lab.scale.store import Store

__all__ = ["JobSpec", "Shard", "code_digest", "described", "remade"]

_HOMES = {
    "XRAGDecoder": "smotext_lab.decoders",
    "BertEncoder": "smotext_lab.encoders",
    "SFREncoder": "smotext_lab.encoders",
}
_INTERPOLATORS = "smotext_lab.interpolators"


@dataclass(frozen=True)
class Shard:
    """One part of the real texts and of their vectors.

    Attributes
    ----------
    texts, vectors : str
        Names of the files.
    rows : int
    sha256 : str
        Of the vectors' file.
    """

    texts: str
    vectors: str
    rows: int
    sha256: str


@dataclass(frozen=True)
class JobSpec:
    """A job's ``job.json``.

    Attributes
    ----------
    source : str
        Where the real texts came from.
    text_column, label_column : str
        The user's names.
    classes : list
        The labels in their order; files name a label by its place here.
    n : list of int
        New texts wanted of each class.
    shards : list of Shard
        The real texts.
    data_sha256 : str
        Of all texts and labels.
    random_state : int
    interpolator, decoder : dict
        Class and parameters, as `described` gives them.
    settings : dict
        ``blending``, ``guards``, ``max_attempts``, ``max_blends``, ``long_texts``.
    models : dict
        Fingerprints of encoder and LLM, SHA-256 of the bridge.
    rows_per_part : int
    near_duplicates : float or None
        Jaccard similarity from which two new texts are duplicates.
    planned : int
        Rows of the plan: fewer than wanted where the interpolator found nothing to blend.
    facts : dict
        Numbers of long texts and the like.
    version, code : str
        The package's, and a digest of its files.
    """

    source: str
    text_column: str
    label_column: str
    classes: list[Any]
    n: list[int]
    shards: list[Shard]
    data_sha256: str
    random_state: int
    interpolator: dict[str, Any]
    decoder: dict[str, Any]
    settings: dict[str, Any]
    models: dict[str, str]
    rows_per_part: int
    near_duplicates: float | None
    planned: int
    version: str
    code: str
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def n_parts(self) -> int:
        """Parts of the plan, without those that make up for duplicates."""
        return -(-self.planned // self.rows_per_part)

    @property
    def n_texts(self) -> int:
        """Real texts."""
        return sum(shard.rows for shard in self.shards)

    def to_json(self) -> bytes:
        """Return what ``job.json`` holds."""
        return (json.dumps(dataclasses.asdict(self), indent=2, ensure_ascii=False) + "\n").encode()

    @classmethod
    def read(cls, store: Store) -> JobSpec:
        """Read a job's ``job.json``.

        Raises
        ------
        DataError
            If there is none, or it cannot be read.
        """
        try:
            given = json.loads(store.read("job.json"))
            shards = [Shard(**shard) for shard in given.pop("shards")]
            return cls(**given, shards=shards)
        except FileNotFoundError as error:
            msg = f"There is no job in {store.url}: `smotext-lab job create` makes one."
            raise DataError(msg) from error
        except (ValueError, TypeError, KeyError) as error:
            msg = f"{store.url}/job.json cannot be read: {error}"
            raise DataError(msg) from error


def described(made: Any) -> dict[str, Any]:
    """Return the class of an encoder, a decoder or an interpolator, and its parameters.

    Parameters
    ----------
    made : XRAGDecoder, BertEncoder, SFREncoder or interpolator
        Of any other class only the ``repr`` is kept: whoever runs the job must give it again.

    Raises
    ------
    ParameterError
        If a parameter is something that JSON cannot hold, such as an estimator.

    Examples
    --------
    >>> from smotext_lab import SMOTEInterpolator
    >>> described(SMOTEInterpolator(3))
    {'class': 'SMOTEInterpolator', 'parameters': {'k_neighbors': 3, 'random_state': None}}
    """
    kind = type(made)
    known = kind.__module__.startswith(_INTERPOLATORS) or kind.__name__ in _HOMES
    if not known:
        return {"class": None, "repr": repr(made)}
    values: dict[str, Any] = {}
    for name in inspect.signature(kind).parameters:
        value = _value(made, name)
        values[name] = described(value) if name == "encoder" else _plain(kind.__name__, name, value)
    return {"class": kind.__name__, "parameters": values}


def _value(made: Any, name: str) -> Any:
    if hasattr(made, name):
        return getattr(made, name)
    if name == "model":  # an encoder keeps it as its name
        return made.name
    return getattr(made.sampling, name)


def _plain(kind: str, name: str, value: Any) -> Any:
    folder = getattr(value, "folder", None) if name == "bridge" else None
    value = folder if folder is not None else value
    if isinstance(value, Path):
        return str(value.absolute())
    if isinstance(value, str) and name in ("llm", "model", "bridge") and Path(value).is_dir():
        return str(Path(value).absolute())  # workers run in folders of their own
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if hasattr(value, "item"):
        return value.item()
    msg = (
        f"A job keeps its parameters as JSON, and {kind}({name}={value!r}) does not fit in "
        "there: give a number, a name or a folder."
    )
    raise ParameterError(msg)


def remade(told: Mapping[str, Any]) -> Any:
    """Return what `described` told of; loads no weights.

    Raises
    ------
    ParameterError
        If it was of a class of the user's own.
    """
    import importlib

    name = told["class"]
    if name is None:
        msg = (
            f"This job was made with {told['repr']}, which is not one of smotext-lab's own: give "
            "it again, as in Job(folder).run(decoder=my_decoder)."
        )
        raise ParameterError(msg)
    values = dict(told["parameters"])
    if "encoder" in values:
        values["encoder"] = remade(values["encoder"])
    home = _HOMES.get(name, _INTERPOLATORS)
    return getattr(importlib.import_module(home), name)(**values)


def code_digest() -> str:
    """Return a digest of the package's own Python files."""
    root = Path(__file__).parent.parent
    total = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        total.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    return total.hexdigest()[:16]
