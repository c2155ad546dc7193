"""What is to be made: ``job.json``, with the identity of everything that goes into it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from smotext_lab.errors import DataError
from smotext_lab.scale.store import Store

__all__ = ["JobSpec", "Shard", "code_digest"]


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
    texts_sha256 : str or None
        Of the texts' file; None in jobs of before it was kept.
    """

    texts: str
    vectors: str
    rows: int
    sha256: str
    texts_sha256: str | None = None


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
        ``blending``, ``guidance_scale``, ``guards``, ``max_attempts``, ``max_blends``,
        ``long_texts``.
    models : dict
        Fingerprints of encoder and LLM, SHA-256 of the bridge.
    rows_per_part : int
    near_duplicates : float or None
        Jaccard similarity from which two new texts are duplicates.
    planned : int
        Rows of the plan: fewer than wanted where the interpolator found nothing to blend.
    facts : dict
        ``long_texts``, and ``planned``: rows of the plan by class, in the order of `classes`.
    version, code : str
        The package's, and a digest of its files.
    dtypes : dict
        What LLM and encoder were computed in where the job was made; empty in jobs of before it
        was kept.
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
    dtypes: dict[str, str] = field(default_factory=dict)

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


def code_digest() -> str:
    """Return a digest of the package's own Python files."""
    root = Path(__file__).parent.parent
    total = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        total.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    return total.hexdigest()[:16]
