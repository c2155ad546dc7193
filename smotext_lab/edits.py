"""A text brought nearer to its vector word by word: the encoder looks for, the LLM has a say."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from smotext_lab.bridges import split_of
from smotext_lab.bridges.hints import hint_ids
from smotext_lab.candidates import NO_GAIN, Candidate, in_form, moved_on, score
from smotext_lab.drafts import Draft
from smotext_lab.encoders import Encoder
from smotext_lab.engines.base import Generated
from smotext_lab.forms import sentence_kind
from smotext_lab.wanted import Wanted
from smotext_lab.writer import Writer

__all__ = ["Editor"]

Judged = Callable[[Wanted, np.ndarray, list[Generated]], Iterator[Candidate]]
"""What `Search` makes of texts written for rows."""

_MISSING = 16  # words of the vector that may come in, and as many of other texts tried for it
_READ = 8  # texts, the best by then, that the LLM reads
_NAT = 0.005  # cosine that must be gained for each nat by which a text becomes less likely


@dataclass(frozen=True)
class Editor:
    """Changes single words of texts.

    A word is left out, put in the place of another, or added, where that brings the text nearer
    to its vector by 0.005 of cosine for every nat by which the LLM finds the text less likely:
    so the encoder alone does not get what it wants (words in a heap). The new words are those that
    the vector stands for and the text lacks, and those of the other texts that were tried. The
    moves, and a language model that has a say, are those of UPSA (Liu et al., arXiv 1909.03588,
    section 3), which climbs by chance towards another aim.

    Parameters
    ----------
    writer : Writer
    encoder : Encoder
    judged : callable
        ``(wanted, rows, generated) -> iterator of Candidate``: that of `Search`.
    """

    writer: Writer
    encoder: Encoder
    judged: Judged

    def edit(
        self, wanted: Wanted, rows: Sequence[int], tried: Sequence[list[Candidate]], turn: int
    ) -> list[Candidate]:
        """Return the best text with one word changed for each of `rows` that gains by it.

        Parameters
        ----------
        wanted : Wanted
        rows : sequence of int, length n
        tried : sequence of list of Candidate, length n
            What was tried for each of the rows, best first.
        turn : int
            See `Draft.second`.
        """
        best = [candidates[0] for candidates in tried]
        drafts = self._drafts(wanted, wanted.vectors[list(rows)], tried)
        first = [draft.first() for draft in drafts]
        worth = self._worth(wanted, rows, first)
        second = [draft.second(each, turn) for draft, each in zip(drafts, worth, strict=True)]
        more = self._worth(wanted, rows, second)
        own = self._worth(wanted, rows, [[candidate.text] for candidate in best])
        better = [
            _better(best[i].text, [*first[i], *second[i]], np.r_[worth[i], more[i]] - own[i])
            for i in range(len(best))
        ]
        return self._likely(wanted, best, better)

    def _drafts(
        self, wanted: Wanted, vectors: np.ndarray, tried: Sequence[list[Candidate]]
    ) -> list[Draft]:
        split = self._split
        best = [candidates[0] for candidates in tried]
        texts = [candidate.text for candidate in best]
        moved = torch.from_numpy(moved_on(vectors, best))
        missing = self.writer.bridge.missing_words(
            torch.from_numpy(vectors), moved, texts, _MISSING
        )
        return [
            Draft.of(text, [*wanted.steering.pinned, *words, *_others(candidates, split)], split)
            for text, words, candidates in zip(texts, missing, tried, strict=True)
        ]

    def _worth(
        self, wanted: Wanted, rows: Sequence[int], texts: list[list[str]]
    ) -> list[np.ndarray]:
        """Return what texts tried for each row are worth but for their likelihood."""
        each = [len(few) for few in texts]
        owners = np.repeat(np.array(rows), each)
        flat = [text for few in texts for text in few]
        if not flat:
            return [np.empty(0) for _ in texts]
        with warnings.catch_warnings():  # texts may run long; the user's did not
            warnings.simplefilter("ignore", UserWarning)
            found = self.encoder.encode(flat)
        split = self._split
        points = wanted.vectors[owners]
        lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(points, axis=1)
        cosines = ((found * points).sum(axis=1) / np.maximum(lengths, 1e-12)).tolist()
        scores = [
            score(text, cosine, 0.0, wanted.forms[row], unmet=wanted.steering.unmet(text, split))
            for text, cosine, row in zip(flat, cosines, owners, strict=True)
        ]
        return np.split(np.array(scores), np.cumsum(each)[:-1])

    @property
    def _split(self) -> Callable[[str], list[str]]:
        return split_of(self.writer.bridge)

    def _likely(
        self, wanted: Wanted, best: list[Candidate], texts: list[list[str]]
    ) -> list[Candidate]:
        """Return, of each row's texts, the one that gains most once the LLM has read them."""
        owners = np.repeat(np.arange(len(best)), [1 + len(row) if row else 0 for row in texts])
        if not len(owners):
            return []
        rows = np.array([candidate.row for candidate in best])
        forms = [wanted.forms[row] for row in rows]
        hints = hint_ids([wanted.lengths[row] for row in rows], forms)
        soft = self.writer.soft_tokens(torch.from_numpy(wanted.vectors[rows]), hints=hints)
        read = [
            in_form(text, forms[i])
            for i, row in enumerate(texts)
            for text in ([best[i].text, *row] if row else [])
        ]
        done = self.writer.read(soft[torch.from_numpy(owners)], read)
        judged = list(self.judged(wanted, rows[owners], done))
        found = []
        for i in np.unique(owners):
            before, *after = [judged[j] for j in np.flatnonzero(owners == i)]
            gains = [_gain(before, each) for each in after]
            most = int(np.argmax(gains))
            if gains[most] > NO_GAIN:
                # one that was cut off is, with other words in it too
                read_as = replace(after[most].generated, ended=best[i].generated.ended)
                # what a text was ranked by was measured with its own soft tokens; gains with these
                gained = best[i].score + gains[most]
                found.append(replace(after[most], generated=read_as, score=gained))
        return found


def _others(candidates: list[Candidate], split: Callable[[str], list[str]]) -> list[str]:
    """Return words of the texts that are not the best, each once, better texts' first."""
    words = (word for candidate in candidates[1:] for word in split(candidate.text))
    own = {word.lower() for word in split(candidates[0].text)}
    found = {word.lower(): word for word in words if word.lower() not in own}
    return list(found.values())[:_MISSING]


def _better(before: str, texts: list[str], gains: np.ndarray) -> list[str]:
    """Return the texts of the same kind as `before` that gain most, those alone that do gain."""
    found: list[str] = []
    for place in np.argsort(-gains, kind="stable").tolist():
        if gains[place] <= 0 or len(found) == _READ:
            break
        if sentence_kind(texts[place]) == sentence_kind(before):
            found.append(texts[place])
    return found


def _gain(before: Candidate, after: Candidate) -> float:
    lost = _total(before.generated) - _total(after.generated)
    return after.score - before.score - _NAT * max(0.0, lost)


def _total(generated: Generated) -> float:
    return generated.log_likelihood * (len(generated.ids) + 1)
