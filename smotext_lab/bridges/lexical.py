"""The lexical bridge: predicted words as the LLM's own embeddings, then learnt tokens."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path

import torch
from torch import nn

from smotext_lab.bridges.base import Bridge, BridgeFacts
from smotext_lab.bridges.durable import write_aside
from smotext_lab.bridges.hints import N_HINTS
from smotext_lab.errors import ParameterError, did_you_mean
from smotext_lab.lora import Lora
from smotext_lab.steering import Steering

__all__ = ["LexicalBridge", "LexicalHead", "split_of", "split_words"]

_WISHED = 1e6
"""A score beyond what any word tells: the word is pinned; below minus this, banned."""

_KANJI, _KATAKANA, _HIRAGANA = "\u3005\u4e00-\u9fff", "\u30a1-\u30ff", "\u3041-\u309f"


def _marks() -> str:
    """Return accents and vowel signs, and the joiner that Indian scripts write between letters."""
    marks = [i for i in range(0x300, 0x20000) if unicodedata.category(chr(i))[0] == "M"]
    # as ranges: of single ones beyond 0xFFFF a pattern looks at each for every letter
    runs = [list(run) for _, run in groupby(enumerate(marks), lambda pair: pair[1] - pair[0])]
    return "\u200d" + "".join(f"{chr(run[0][1])}-{chr(run[-1][1])}" for run in runs)


_MARKS = _marks()


def _run(letters: str) -> str:
    return rf"[{letters}]+(?:[{_MARKS}]+[{letters}]*)*"


_LETTERS = _run(rf"^\W\d_{_KANJI}{_KATAKANA}{_HIRAGANA}")
# Japanese writes no spaces: where the script changes, mostly a word ends
_WORD = re.compile(
    rf"{_run(_KANJI)}|{_run(_KATAKANA)}|[{_HIRAGANA}]+|{_LETTERS}(?:['’]{_LETTERS})*"
    r"|\d+(?:[.,]\d+)*|[?!？！]"
)


def split_words(text: str) -> list[str]:
    """Return the words, numbers, question and exclamation marks of `text`, as written.

    Words are what letters stand together, with the accents and vowel signs on them; in Japanese,
    letters of one script. Chinese, Thai and others without spaces need a splitter of their own.

    Examples
    --------
    >>> split_words("Who paid 1,200 dollars? It's me.")
    ['Who', 'paid', '1,200', 'dollars', '?', "It's", 'me']
    >>> split_words("東京でオリンピックを見た。")
    ['東京', 'で', 'オリンピック', 'を', '見', 'た']
    """
    return _WORD.findall(text)


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
        self._rows = {word.lower(): row for row, word in enumerate(self.words)}
        learnt = facts.n_tokens - facts.n_words
        self.head = LexicalHead(facts.dim, len(self.words))
        self.projector = nn.Sequential(
            nn.Linear(facts.dim, 2 * facts.hidden),
            nn.GELU(),
            nn.Linear(2 * facts.hidden, learnt * facts.hidden),
        )
        self.confidence = nn.Parameter(torch.zeros(facts.hidden))
        self.hints = nn.Parameter(torch.zeros(N_HINTS, facts.hidden))
        starts = torch.tensor([0, *map(len, pieces)]).cumsum(0)
        self.register_buffer("piece_ids", torch.tensor([i for p in pieces for i in p]))
        self.register_buffer("piece_starts", starts)

    @property
    def pool(self) -> int:
        """How many of the best words are looked at, so that some may be dropped."""
        return min(2 * self.facts.n_words, len(self.words))

    def predicted(
        self,
        vectors: torch.Tensor,
        dropped: torch.Tensor | None = None,
        scores: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return ids and probabilities of the words handed on, each (n, n_words)."""
        log_p = nn.functional.logsigmoid(self.head(vectors).float())
        scores = log_p.exp() * (log_p - self.head.prior) if scores is None else scores
        best, ids = scores.topk(self.pool, dim=-1)
        if dropped is not None:
            # dropped words sink below all others but stay available if too few are left
            dropped = dropped & (best < _WISHED)
            order = torch.where(dropped, best - best.max() - 1, best).argsort(-1, descending=True)
            ids = ids.gather(1, order)
            best = best.gather(1, order)
        ids, best = ids[:, : self.facts.n_words], best[:, : self.facts.n_words]
        # of a pinned word the LLM is told that it is there
        return ids, log_p.gather(1, ids).exp().masked_fill(best >= _WISHED, 1.0)

    def soft_tokens(
        self,
        vectors: torch.Tensor,
        embedding: torch.Tensor,
        dropped: torch.Tensor | None = None,
        hints: torch.Tensor | None = None,
        scores: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return word tokens, most telling first, then learnt ones; see `Bridge.soft_tokens`."""
        with torch.no_grad():  # the head is trained on words, not through the LLM
            ids, share = self.predicted(vectors, dropped, scores)
            known = self._embed(ids, embedding)
        known = known + share[..., None] * self.confidence
        learnt = self.projector(vectors * vectors.shape[-1] ** 0.5)
        n_learnt = self.facts.n_tokens - self.facts.n_words
        learnt = learnt.view(len(vectors), n_learnt, self.facts.hidden)
        if hints is not None:
            # learnt tokens are long vectors, beside which a hint must not be nothing
            table = self.hints * self.facts.hidden**0.5
            asked = (table[hints] * (hints > 0)[..., None]).sum(dim=1, keepdim=True)
            learnt = torch.cat([learnt[:, :-1], learnt[:, -1:] + asked], dim=1)
        return torch.cat([known, learnt], dim=1)

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
    def lacking(
        self, vectors: torch.Tensor, moved: torch.Tensor, texts: Sequence[str]
    ) -> torch.Tensor:
        """Return word scores in which a word that a text lacks counts double.

        What a word tells of the vector or of where the vector was moved to, whichever is
        more; words that the text has count as they did. See `Bridge.lacking`.
        """
        own = self.head.information(vectors)
        scores = 2 * torch.maximum(own, self.head.information(moved))
        for row, text in enumerate(texts):
            known = self._known(text)
            scores[row, known] = own[row, known]
        return scores

    @torch.inference_mode()
    def missing_words(
        self, vectors: torch.Tensor, moved: torch.Tensor, texts: Sequence[str], top: int
    ) -> list[list[str]]:
        """Return the `top` words of each vector that its text lacks; see `Bridge.missing_words`."""
        scores = self.lacking(vectors, moved, texts)
        for row, text in enumerate(texts):
            scores[row, self._known(text)] = -torch.inf
        ids = scores.topk(min(top, len(self.words)), dim=-1).indices
        return [[self.words[i] for i in row] for row in ids.tolist()]

    def _known(self, text: str) -> list[int]:
        """Return the rows of the words that `text` has."""
        return [self._rows[w] for w in map(str.lower, self.split(text)) if w in self._rows]

    @torch.inference_mode()
    def steered(
        self, vectors: torch.Tensor, scores: torch.Tensor | None, steering: Steering
    ) -> torch.Tensor:
        """Return word scores with the wishes in them; see `Bridge.steered`."""
        wished = (self.head.information(vectors) if scores is None else scores).clone()
        for place, word in enumerate(steering.pinned):
            wished[:, self._row(word)] = 2 * _WISHED - place
        for word in steering.banned:
            wished[:, self._row(word)] = -_WISHED
        return wished

    def _row(self, word: str) -> int:
        row = self._rows.get(word.strip().lower())
        if row is None:
            hint = did_you_mean(word, self.words)
            msg = f"{word!r} is not among the {len(self.words):,} words of the bridge{hint}."
            raise ParameterError(msg)
        return row

    @torch.inference_mode()
    def explain(
        self,
        vectors: torch.Tensor,
        top: int = 8,
    ) -> list[list[tuple[str, float]]]:
        """Return the `top` most telling words of each vector and their probabilities."""
        log_p = nn.functional.logsigmoid(self.head(vectors).float())
        ids = (
            (log_p.exp() * (log_p - self.head.prior))
            .topk(min(top, len(self.words)), dim=-1)
            .indices
        )
        share = log_p.gather(1, ids).exp()
        return [
            [(self.words[i], float(p)) for i, p in zip(row, ps, strict=True)]
            for row, ps in zip(ids.tolist(), share.tolist(), strict=True)
        ]

    def _save_extra(self, folder: Path) -> None:
        write_aside(folder / "words.txt", "\n".join(self.words) + "\n")


def split_of(bridge: object) -> Callable[[str], list[str]]:
    """Return how a bridge splits texts: `split_words` where it was given nothing else.

    Examples
    --------
    >>> split_of("default") is split_words  # a folder or a name
    True
    """
    return bridge.split if isinstance(bridge, LexicalBridge) else split_words
