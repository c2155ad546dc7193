"""What every bridge has: facts, a LoRA, saving, and the check that it fits."""

from __future__ import annotations

import hashlib
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn

from smotext_lab.bridges.durable import put, write_aside, write_tensors
from smotext_lab.errors import BridgeError, ParameterError
from smotext_lab.lora import Lora
from smotext_lab.steering import Steering

__all__ = ["Bridge", "BridgeFacts", "sha256", "weights_named"]


@dataclass(frozen=True)
class BridgeFacts:
    """What a bridge is and what it fits.

    Attributes
    ----------
    kind : {"lexical", "mlp2x_gelu"}
    encoder, llm : str
        Fingerprints of the models it was trained between (``""``: not known).
    dim : int
        Length of the encoder's vectors.
    hidden : int
        Width of the LLM's embeddings.
    n_tokens : int
        Soft tokens a vector.
    n_words : int
        How many of them are words (0 for ``mlp2x_gelu``).
    lora_scale : float
        Factor of the LoRA update (0 where there is none).
    training : dict
        What it was trained on, for how long, and how well it does.
    sha256 : str
        Of the weights file.
    """

    kind: str
    encoder: str
    llm: str
    dim: int
    hidden: int
    n_tokens: int
    n_words: int = 0
    lora_scale: float = 0.0
    training: dict[str, Any] = field(default_factory=dict)
    sha256: str = ""


class Bridge(nn.Module, ABC):
    """What both kinds share: facts, LoRA, saving, and the check that it fits.

    Attributes
    ----------
    facts : BridgeFacts
    lora : Lora or None
        Changes to the LLM's weights that decoding with this bridge needs.
    folder : Path or None
        Where it was loaded from or saved to.
    """

    kind: ClassVar[str]

    def __init__(self, facts: BridgeFacts, lora: Lora | None = None) -> None:
        super().__init__()
        self.facts = facts
        self.lora = lora
        self.folder: Path | None = None

    @abstractmethod
    def soft_tokens(
        self,
        vectors: torch.Tensor,
        embedding: torch.Tensor,
        dropped: torch.Tensor | None = None,
        hints: torch.Tensor | None = None,
        scores: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return the soft tokens of `vectors`.

        Parameters
        ----------
        vectors : Tensor of float32, shape (n, dim)
        embedding : Tensor, shape (vocabulary, hidden)
            The LLM's input embeddings.
        dropped : Tensor of bool, shape (n, pool), optional
            Predicted words to pass over, best word first; the next best take their places.
        hints : Tensor of int64, shape (n, 3), optional
            Length and form asked for (`hint_ids`); a bridge that has learnt none ignores them.
        scores : Tensor of float32, shape (n, words), optional
            What words are chosen by, instead of the vectors' own (`lacking`).

        Returns
        -------
        Tensor of float32, shape (n, n_tokens, hidden)
        """

    def explain(
        self,
        vectors: torch.Tensor,
        top: int = 8,  # noqa: ARG002 - a bridge without words has none to rank
    ) -> list[list[tuple[str, float]]]:
        """Return the `top` words each vector stands for, with their probabilities."""
        return [[] for _ in range(len(vectors))]

    def lacking(
        self,
        vectors: torch.Tensor,  # noqa: ARG002 - a bridge without words has none to ask for
        moved: torch.Tensor,  # noqa: ARG002
        texts: Sequence[str],  # noqa: ARG002
    ) -> torch.Tensor | None:
        """Return word scores that favour what `texts` lack of `vectors`; None without words.

        Parameters
        ----------
        vectors : Tensor of float32, shape (n, dim)
            What was to be written.
        moved : Tensor of float32, shape (n, dim)
            The same, moved on by what the texts lack.
        texts : sequence of str, length n
            What was written.

        Returns
        -------
        Tensor of float32, shape (n, words), or None
        """
        return None

    def missing_words(
        self,
        vectors: torch.Tensor,
        moved: torch.Tensor,  # noqa: ARG002
        texts: Sequence[str],  # noqa: ARG002
        top: int,  # noqa: ARG002
    ) -> list[list[str]]:
        """Return the `top` words of each vector that its text lacks, most telling first.

        Parameters are those of `lacking`. A bridge without words has none to name.
        """
        return [[] for _ in range(len(vectors))]

    def steered(
        self,
        vectors: torch.Tensor,  # noqa: ARG002 - a bridge without words has none to steer by
        scores: torch.Tensor | None,  # noqa: ARG002
        steering: Steering,  # noqa: ARG002
    ) -> torch.Tensor:
        """Return word scores with the pinned words before all others and the banned ones last.

        Parameters
        ----------
        vectors : Tensor of float32, shape (n, dim)
        scores : Tensor of float32, shape (n, words), optional
            Instead of the vectors' own.
        steering : Steering

        Raises
        ------
        ParameterError
            If a word is not among the bridge's, or it has none.
        """
        msg = f"A bridge of kind {self.kind!r} predicts no words: none can be pinned or banned."
        raise ParameterError(msg)

    def check(self, encoder: str, dim: int, llm: str, hidden: int) -> None:
        """Raise `BridgeError` with the reason if the bridge does not fit these models.

        Parameters
        ----------
        encoder, llm : str
            Fingerprints.
        dim, hidden : int
        """
        facts = self.facts
        pairs = (
            ("encoder", facts.encoder, encoder, facts.dim, dim, "vectors of length"),
            ("LLM", facts.llm, llm, facts.hidden, hidden, "embeddings of width"),
        )
        for role, made_for, given, size, given_size, what in pairs:
            if size != given_size:
                msg = (
                    f"the bridge was made for an {role} with {what} {size} "
                    f"({made_for or 'name not known'}); {given} has {given_size}. "
                    f"Use that {role}, or train a bridge with `smotext-lab train-bridge`."
                )
                raise BridgeError(msg)
            if made_for and weights_named(made_for) != weights_named(given):
                msg = (
                    f"the bridge was trained for the {role} {made_for}, not for {given}: the "
                    f"sizes agree, the meanings do not. Use that {role}, or train a bridge "
                    f"with `smotext-lab train-bridge`."
                )
                raise BridgeError(msg)

    def save(self, folder: str | Path) -> Path:
        """Write ``bridge.safetensors`` (float16), ``bridge.json`` and, for words, ``words.txt``.

        Each file is written aside and renamed, the facts last: a folder with
        ``bridge.json`` is whole.

        Raises
        ------
        ModelError
            If the disk is full.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        weights = folder / "bridge.safetensors"
        tensors = {name: _packed(value) for name, value in self.state_dict().items()}
        if self.lora is not None:
            tensors |= {f"lora.{k}": _packed(v) for k, v in self.lora.tensors.items()}
        aside = write_tensors(weights, tensors)
        aside.chmod(0o644)  # safetensors writes for the owner only; a bridge may be shared
        facts = replace(self.facts, sha256=sha256(aside))
        (folder / "bridge.json").unlink(missing_ok=True)  # of an older bridge
        put(aside, weights)
        self._save_extra(folder)
        write_aside(folder / "bridge.json", json.dumps(asdict(facts), indent=2) + "\n")
        self.facts, self.folder = facts, folder
        return folder

    def _save_extra(self, folder: Path) -> None:
        """Write what belongs to one kind only."""


def _packed(value: torch.Tensor) -> torch.Tensor:
    value = value.detach().contiguous()
    return value.half() if value.is_floating_point() else value


def weights_named(fingerprint: str) -> str:
    """Return what a fingerprint says of the weights alone: a folder can be renamed."""
    digest = re.search(r"@([0-9a-f]{12})$", fingerprint)
    return digest[1] if digest else fingerprint


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
