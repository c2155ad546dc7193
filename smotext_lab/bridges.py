"""The modality bridge: from a sentence vector to soft tokens that an LLM reads as words.

Two kinds. ``mlp2x_gelu`` is xRAG's projector (arXiv 2405.13792, section 3.2), one token a
vector. ``lexical`` first says which words the vector stands for, hands the LLM its own
embeddings of them, and adds a few learnt tokens for what words do not say.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn

from smotext_lab.errors import BridgeError
from smotext_lab.lora import Lora

__all__ = [
    "Bridge",
    "BridgeFacts",
    "LexicalBridge",
    "LexicalHead",
    "ProjectorBridge",
    "load_bridge",
    "split_words",
]

DEFAULT_BRIDGE = Path(__file__).parent / "bridge"
"""The folder of the bridge that ships with the package."""

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*|\d+(?:[.,]\d+)*|[?!]")


def split_words(text: str) -> list[str]:
    """Return the words, numbers, question and exclamation marks of `text`, as written.

    Examples
    --------
    >>> split_words("Who paid 1,200 dollars? It's me.")
    ['Who', 'paid', '1,200', 'dollars', '?', "It's", 'me']
    """
    return _WORD.findall(text)


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


class Bridge(nn.Module):
    """What both kinds share: facts, LoRA, saving, and the check that it fits.

    Attributes
    ----------
    facts : BridgeFacts
    lora : Lora or None
        Changes to the LLM's weights that decoding with this bridge needs.
    """

    kind: ClassVar[str]

    def __init__(self, facts: BridgeFacts, lora: Lora | None = None) -> None:
        super().__init__()
        self.facts = facts
        self.lora = lora

    def soft_tokens(
        self,
        vectors: torch.Tensor,
        embedding: torch.Tensor,
        dropped: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return the soft tokens of `vectors`.

        Parameters
        ----------
        vectors : Tensor of float32, shape (n, dim)
        embedding : Tensor, shape (vocabulary, hidden)
            The LLM's input embeddings.
        dropped : Tensor of bool, shape (n, n_candidates_words), optional
            Predicted words to pass over, best word first; the next best take their places.

        Returns
        -------
        Tensor of float32, shape (n, n_tokens, hidden)
        """
        raise NotImplementedError

    def explain(
        self,
        vectors: torch.Tensor,
        top: int = 8,  # noqa: ARG002 - a bridge without words has none to rank
    ) -> list[list[tuple[str, float]]]:
        """Return the `top` words each vector stands for, with their probabilities."""
        return [[] for _ in range(len(vectors))]

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
            if made_for and made_for != given:
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
        """
        from safetensors.torch import save_file

        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        weights = folder / "bridge.safetensors"
        tensors = {name: _packed(value) for name, value in self.state_dict().items()}
        if self.lora is not None:
            tensors |= {f"lora.{k}": _packed(v) for k, v in self.lora.tensors.items()}
        aside = weights.with_suffix(".part")
        save_file(tensors, aside)
        facts = replace(self.facts, sha256=_sha256(aside))
        aside.replace(weights)
        self._save_extra(folder)
        _write_aside(folder / "bridge.json", json.dumps(asdict(facts), indent=2) + "\n")
        self.facts = facts
        return folder

    def _save_extra(self, folder: Path) -> None:
        """Write what belongs to one kind only."""


class ProjectorBridge(Bridge):
    """xRAG's ``mlp2x_gelu``: ``Linear(d, h) → GELU → Linear(h, h)``, one soft token.

    The tensors have the reference checkpoint's names (``projector.projector.0.weight`` and
    so on), so a checkpoint's projector loads as it is.
    """

    kind = "mlp2x_gelu"

    def __init__(self, facts: BridgeFacts, lora: Lora | None = None) -> None:
        super().__init__(facts, lora)
        self.projector = nn.ModuleDict(
            {
                "projector": nn.Sequential(
                    nn.Linear(facts.dim, facts.hidden),
                    nn.GELU(),
                    nn.Linear(facts.hidden, facts.hidden),
                )
            }
        )

    def soft_tokens(
        self,
        vectors: torch.Tensor,
        embedding: torch.Tensor,  # noqa: ARG002 - the projector needs no words
        dropped: torch.Tensor | None = None,  # noqa: ARG002
    ) -> torch.Tensor:
        """Return one soft token a vector; see `Bridge.soft_tokens`."""
        return self.projector["projector"](vectors)[:, None, :]


class LexicalHead(nn.Module):
    """From a sentence vector to a logit for each word of the lexicon.

    Parameters
    ----------
    dim : int
        Length of the vectors.
    n_words : int
    width : int, default=1024
        Of the residual layer.

    Attributes
    ----------
    prior : Tensor of float32, shape (n_words,)
        Log share of the training texts that hold the word.
    """

    prior: torch.Tensor

    def __init__(self, dim: int, n_words: int, width: int = 1024) -> None:
        super().__init__()
        self.up = nn.Linear(dim, width)
        self.down = nn.Linear(width, dim)
        self.words = nn.Parameter(torch.empty(n_words, dim))
        self.bias = nn.Parameter(torch.zeros(n_words))
        self.scale = nn.Parameter(torch.tensor(16.0))
        self.register_buffer("prior", torch.zeros(n_words))
        nn.init.normal_(self.words, std=dim**-0.5)
        nn.init.zeros_(self.down.weight)
        nn.init.zeros_(self.down.bias)

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """Return logits, shape (n, n_words)."""
        scaled = vectors * vectors.shape[-1] ** 0.5
        hidden = vectors + self.down(nn.functional.gelu(self.up(scaled)))
        return self.scale * (hidden @ self.words.T) + self.bias

    def information(self, vectors: torch.Tensor) -> torch.Tensor:
        """Return ``p · log(p / prior)`` for each word, shape (n, n_words).

        What a word tells about the text beyond how common it is: "the" is nearly always
        there and says nothing; a question mark that is likely says a lot.
        """
        log_p = nn.functional.logsigmoid(self(vectors).float())
        return log_p.exp() * (log_p - self.prior)


class LexicalBridge(Bridge):
    """Predicted words as the LLM's own embeddings, then learnt tokens for the rest.

    Parameters
    ----------
    facts : BridgeFacts
    words : sequence of str
        The lexicon.
    pieces : sequence of sequence of int
        The LLM's token ids of each word, as it stands inside a text.
    lora : Lora, optional
    split : callable, default=split_words
        Text → its words; belongs to the bridge and can be replaced (languages that write
        without spaces).
    """

    kind = "lexical"
    piece_ids: torch.Tensor
    piece_starts: torch.Tensor

    def __init__(
        self,
        facts: BridgeFacts,
        words: Sequence[str],
        pieces: Sequence[Sequence[int]],
        lora: Lora | None = None,
        split: Callable[[str], list[str]] = split_words,
    ) -> None:
        super().__init__(facts, lora)
        self.words = tuple(words)
        self.split = split
        learnt = facts.n_tokens - facts.n_words
        self.head = LexicalHead(facts.dim, len(self.words))
        self.projector = nn.Sequential(
            nn.Linear(facts.dim, 2 * facts.hidden),
            nn.GELU(),
            nn.Linear(2 * facts.hidden, learnt * facts.hidden),
        )
        self.confidence = nn.Parameter(torch.zeros(facts.hidden))
        starts = torch.tensor([0, *map(len, pieces)]).cumsum(0)
        self.register_buffer("piece_ids", torch.tensor([i for p in pieces for i in p]))
        self.register_buffer("piece_starts", starts)

    @property
    def pool(self) -> int:
        """How many of the best words are looked at, so that some may be dropped."""
        return min(2 * self.facts.n_words, len(self.words))

    def predicted(
        self, vectors: torch.Tensor, dropped: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return ids and probabilities of the words handed on, each (n, n_words)."""
        logits = self.head(vectors).float()
        log_p = nn.functional.logsigmoid(logits)
        scores = log_p.exp() * (log_p - self.head.prior)
        best, ids = scores.topk(self.pool, dim=-1)
        if dropped is not None:
            # dropped words sink below all others but stay available if too few are left
            order = torch.where(dropped, best - best.max() - 1, best).argsort(-1, descending=True)
            ids = ids.gather(1, order)
        ids = ids[:, : self.facts.n_words]
        return ids, log_p.gather(1, ids).exp()

    def soft_tokens(
        self,
        vectors: torch.Tensor,
        embedding: torch.Tensor,
        dropped: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return word tokens, most telling first, then learnt ones; see `Bridge.soft_tokens`."""
        with torch.no_grad():  # the head is trained on words, not through the LLM
            ids, share = self.predicted(vectors, dropped)
            known = self._embed(ids, embedding)
        known = known + share[..., None] * self.confidence
        learnt = self.projector(vectors * vectors.shape[-1] ** 0.5)
        return torch.cat([known, learnt.view(len(vectors), -1, self.facts.hidden)], dim=1)

    def _embed(self, ids: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        distinct, back = ids.unique(return_inverse=True)
        starts, lengths = self.piece_starts[distinct], self.piece_starts[distinct + 1]
        lengths = lengths - starts
        owners = torch.arange(len(distinct)).repeat_interleave(lengths)
        within = torch.arange(len(owners)) - (lengths.cumsum(0) - lengths)[owners]
        pieces = embedding[self.piece_ids[starts[owners] + within]].float()
        means = pieces.new_zeros((len(distinct), pieces.shape[1]))
        means.index_add_(0, owners, pieces).div_(lengths[:, None])
        return means[back]

    @torch.inference_mode()
    def explain(
        self,
        vectors: torch.Tensor,
        top: int = 8,
    ) -> list[list[tuple[str, float]]]:
        """Return the `top` most telling words of each vector and their probabilities."""
        log_p = nn.functional.logsigmoid(self.head(vectors).float())
        ids = (log_p.exp() * (log_p - self.head.prior)).topk(top, dim=-1).indices
        share = log_p.gather(1, ids).exp()
        return [
            [(self.words[i], float(p)) for i, p in zip(row, ps, strict=True)]
            for row, ps in zip(ids.tolist(), share.tolist(), strict=True)
        ]

    def _save_extra(self, folder: Path) -> None:
        _write_aside(folder / "words.txt", "\n".join(self.words) + "\n")


def load_bridge(
    folder: str | Path = "default", *, split: Callable[[str], list[str]] = split_words
) -> Bridge:
    """Load a saved bridge, or the projector of an xRAG checkpoint.

    Parameters
    ----------
    folder : str or Path, default="default"
        ``"default"`` is the bridge that ships with the package; else a folder that
        `Bridge.save` wrote, or an xRAG reference checkpoint (``config.json`` with
        ``projector_type`` and ``retriever_hidden_size``).
    split : callable, default=split_words
        For a lexical bridge: text → words.

    Returns
    -------
    Bridge

    Raises
    ------
    BridgeError
        If the folder holds no bridge, or one that is damaged.

    Examples
    --------
    >>> load_bridge("default").facts.kind
    'lexical'
    """
    folder = DEFAULT_BRIDGE if str(folder) == "default" else Path(folder)
    if (folder / "bridge.json").is_file():
        return _load_own(folder, split)
    if (folder / "config.json").is_file():
        return _load_xrag(folder)
    msg = (
        f"no bridge in {folder}: expected bridge.json (from `smotext-lab train-bridge`) or "
        f"the config.json of an xRAG checkpoint"
    )
    raise BridgeError(msg)


def _load_own(folder: Path, split: Callable[[str], list[str]]) -> Bridge:
    try:
        facts = BridgeFacts(**json.loads((folder / "bridge.json").read_text("utf-8")))
    except (ValueError, TypeError) as error:
        msg = f"{folder / 'bridge.json'} cannot be read: {error}"
        raise BridgeError(msg) from None
    weights = folder / "bridge.safetensors"
    if not weights.is_file() or _sha256(weights) != facts.sha256:
        msg = f"{weights} is missing or not the file that bridge.json describes; copy it again"
        raise BridgeError(msg)
    tensors = _read_tensors(weights)
    changes = {k.removeprefix("lora."): v for k, v in tensors.items() if k.startswith("lora.")}
    lora = Lora(changes, facts.lora_scale) if changes else None
    own = {k: v for k, v in tensors.items() if not k.startswith("lora.")}
    bridge: Bridge
    if facts.kind == LexicalBridge.kind:
        words = (folder / "words.txt").read_text("utf-8").splitlines()
        starts, ids = own["piece_starts"].tolist(), own["piece_ids"].tolist()
        pieces = [ids[a:b] for a, b in pairwise(starts)]
        bridge = LexicalBridge(facts, words, pieces, lora, split)
    elif facts.kind == ProjectorBridge.kind:
        bridge = ProjectorBridge(facts, lora)
    else:
        msg = f"{folder / 'bridge.json'}: unknown kind {facts.kind!r}; known: lexical, mlp2x_gelu"
        raise BridgeError(msg)
    bridge.load_state_dict(own)
    return bridge.eval()


def _load_xrag(folder: Path) -> ProjectorBridge:
    """Load ``projector.*`` of a reference checkpoint, sharded or not."""
    config = json.loads((folder / "config.json").read_text("utf-8"))
    if (
        config.get("projector_type") != ProjectorBridge.kind
        or "retriever_hidden_size" not in config
    ):
        msg = (
            f"{folder / 'config.json'} is not an xRAG checkpoint with projector_type "
            f"'mlp2x_gelu' and a retriever_hidden_size"
        )
        raise BridgeError(msg)
    facts = BridgeFacts(
        kind=ProjectorBridge.kind,
        encoder="",
        llm="",
        dim=config["retriever_hidden_size"],
        hidden=config["hidden_size"],
        n_tokens=1,
    )
    tensors: dict[str, torch.Tensor] = {}
    for shard in sorted(folder.glob("*.safetensors")):
        tensors |= _read_tensors(shard, prefix="projector.")
    bridge = ProjectorBridge(facts)
    missing = set(bridge.state_dict()) - set(tensors)
    if missing:
        msg = (
            f"{folder} has no {sorted(missing)[0]} in its .safetensors files; a checkpoint "
            f"with only .bin files must be converted first: we load no pickles"
        )
        raise BridgeError(msg)
    bridge.load_state_dict(tensors)
    return bridge.eval()


def _read_tensors(path: Path, prefix: str = "") -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            names = [name for name in file.keys() if name.startswith(prefix)]  # noqa: SIM118
            read = {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError) as error:
        msg = f"{path} cannot be read as safetensors: {error}"
        raise BridgeError(msg) from None
    return {k: v.float() if v.is_floating_point() else v for k, v in read.items()}


def _packed(value: torch.Tensor) -> torch.Tensor:
    value = value.detach().contiguous()
    return value.half() if value.is_floating_point() else value


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_aside(path: Path, text: str) -> None:
    aside = path.with_name(path.name + ".part")
    with aside.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
