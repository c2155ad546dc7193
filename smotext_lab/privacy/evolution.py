"""`PrivateEvolution`: public texts evolve; private ones only vote for the nearest."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from smotext_lab.equipment import equip
from smotext_lab.errors import DataError, ParameterError
from smotext_lab.guards import Guards
from smotext_lab.privacy.accounting import check, mu_of
from smotext_lab.privacy.budget import PrivacyBudget
from smotext_lab.privacy.guarantee import Guarantee, Neighbouring, bridge_of, stated_with
from smotext_lab.privacy.parameters import check_asked, check_whole
from smotext_lab.privacy.reading import (
    PUBLIC,
    check_classes,
    encoded_alone,
    plain_labels,
    plain_texts,
    read_private,
)
from smotext_lab.privacy.records import keep
from smotext_lab.privacy.votes import noisy_votes, votes_sensitivity
from smotext_lab.privacy.writing import Points, Told, check_guidance, synthesis_of, write_between
from smotext_lab.surrogates import encodable
from smotext_lab.synthesis import Synthesis

__all__ = ["PrivateEvolution"]


@dataclass(frozen=True)
class _Round:
    """A population, and the noisy votes it got."""

    texts: list[str]
    labels: list[Any]
    votes: list[float]


class PrivateEvolution:
    """New texts by evolution, with a differential privacy guarantee.

    A population of public texts is voted on: each private text has one vote, for the nearest of
    its class. Noise is added to the votes, those with most of them win, SMOTE goes between winners
    that are neighbours, and a language model writes what lies there: the next population. Private
    texts are asked for nothing but the votes.

    Parameters
    ----------
    epsilon, delta : float
        Of all rounds together.
    n_rounds : int, default=5
    threshold : float, default=2.0
        Votes at or below this many standard deviations of the noise count as none; those above
        count in full. (In the paper the threshold is a number of votes, and is taken off all.)
    variations : int, default=1
        New texts for each winner: a round's candidates are the winners of the round before and
        `variations` texts each that were written between them. (Not the paper's look-ahead, which
        judges a text by what its variations would be.)
    guidance_scale : float, default=0.0
        As for `DPAnchors`; the means are those of the winners, so that it costs no budget. Off
        unless asked for: what it does over several rounds has not been measured.
    classes, neighbouring, texts_per_user, budget, encoder, decoder, guards, k_neighbors, like,
    words, random_state, progress
        As for `DPAnchors`.
    checkpoint : str or Path, optional
        A file that keeps the populations and their noisy votes after each round. A run that was
        stopped goes on from there, and pays for no round twice. It is locked while a run uses it.
        With a budget, a file that lacks a round that was drawn is refused.

    Attributes
    ----------
    rounds_ : list
        The populations with their noisy votes.

    Notes
    -----
    The rounds are Gaussian mechanisms, so T of them with noise σ are one with ``√T / σ``.

    References
    ----------
    Xie et al., "Differentially private synthetic data via foundation model APIs 2: text"
    (Aug-PE), arXiv 2403.01749; the variation step is SMOTExT's, arXiv 2505.13434, section 3.

    Examples
    --------
    >>> PrivateEvolution(2.0, 1e-4, n_rounds=3).guarantee().epsilon
    2.0
    """

    def __init__(
        self,
        epsilon: float,
        delta: float,
        *,
        n_rounds: int = 5,
        threshold: float = 2.0,
        variations: int = 1,
        guidance_scale: float = 0.0,
        classes: Sequence[Any] | None = None,
        neighbouring: Neighbouring = "add_or_remove",
        texts_per_user: int | None = None,
        budget: PrivacyBudget | None = None,
        checkpoint: str | Path | None = None,
        encoder: Any = None,
        decoder: Any = None,
        guards: Guards | None = None,
        k_neighbors: int = 5,
        like: str | None = None,
        words: int | None = None,
        random_state: int | None = None,
        progress: bool = True,
    ) -> None:
        check(epsilon, delta)
        check_guidance(guidance_scale)
        check_whole(n_rounds=n_rounds, variations=variations)
        check_asked(
            classes=classes,
            texts_per_user=texts_per_user,
            k_neighbors=k_neighbors,
            like=like,
            words=words,
            random_state=random_state,
        )
        self.epsilon, self.delta = epsilon, delta
        self.n_rounds, self.threshold, self.variations = n_rounds, threshold, variations
        self.guidance_scale = guidance_scale
        self.classes = classes
        self.neighbouring: Neighbouring = neighbouring
        self.texts_per_user = texts_per_user
        self.budget = budget
        self.checkpoint = None if checkpoint is None else Path(checkpoint).expanduser().resolve()
        self.encoder, self.decoder = encoder, decoder
        self.guards = guards or Guards()
        self.k_neighbors = k_neighbors
        self.told = Told(like, words)
        self.random_state = random_state
        self.progress = progress
        self.guarantee()

    def guarantee(self) -> Guarantee:
        """Return what is guaranteed about all rounds together; after a run, about that run."""
        return self._promised if hasattr(self, "_promised") else self._promise()

    def _promise(self) -> Guarantee:
        return Guarantee(
            self.epsilon,
            self.delta,
            self.neighbouring,
            "text" if self.texts_per_user is None else "user",
            self.texts_per_user,
            PUBLIC,
            f"PrivateEvolution, {self.n_rounds} rounds",
            mu_of(self.epsilon, self.delta),
        )

    @property
    def sigma(self) -> float:
        """Standard deviation of the noise in each round, in votes."""
        distance = votes_sensitivity(self.neighbouring, self.texts_per_user or 1)
        return distance * float(np.sqrt(self.n_rounds)) / mu_of(self.epsilon, self.delta)

    def evolve(
        self,
        texts: Any,
        y: Any,
        public: Any,
        public_y: Sequence[Any] | None = None,
        users: Sequence[Any] | None = None,
    ) -> Synthesis:
        """Run the rounds, or those that are left of a checkpoint, and return the last population.

        Parameters
        ----------
        texts, y
            Private, as in `SMOTExT.fit_resample`.
        public : sequence of str
            Texts to begin with; nothing protects them.
        public_y : sequence, optional
            Their classes; without it each class begins with all of them.
        users : sequence, optional
            See `DPAnchors.fit`.

        Returns
        -------
        Synthesis
            As many texts of each class as it began with. Columns that could tell of private texts
            are empty. Where the decoder's bridge is one of `DPProjector`, the statement is of both
            together.

        Raises
        ------
        BudgetError
            If the budget does not cover the rounds (nothing was released then), or a round was
            drawn that is not in the checkpoint.
        DataError
            If a class has no public texts, or there is not one class for each of them.
        ParameterError
            If the checkpoint is damaged, of another run or in use, or this has run and there is no
            budget to count with.
        """
        if hasattr(self, "_promised") and self.budget is None:
            msg = (
                "This mechanism has run once: a second time would cost its ε again. Make it with "
                "budget=PrivacyBudget(…), which counts; a run that was interrupted goes on with "
                "another object and the same checkpoint."
            )
            raise ParameterError(msg)
        given = read_private(texts, y, users, self.texts_per_user)
        named = np.unique(given.labels) if self.classes is None else self.classes
        check_classes(self.classes, given.labels.tolist())
        public = [encodable(text) for text in plain_texts(public, "public")]
        start = _first(public, public_y, plain_labels(named))
        encoder, decoder = equip(self.encoder, self.decoder)
        vectors = encoded_alone(encoder, given.texts, progress=self.progress)
        start_vectors = encoder.encode(start[0])  # what may fail does so before it is paid for
        with self._alone():
            state = self._begin(start)
            self._write(state)  # so that a run that is stopped at once is not paid for twice
            promised = replace(self._promise(), release=state["name"])
            if self.budget is not None:
                self.budget.spend(promised, promised.mechanism, name=promised.release)
            self.rounds_ = [_Round(**each) for each in state["rounds"]]
            self._promised = promised
            for turn in range(len(self.rounds_), self.n_rounds):
                population, public_vectors = start, start_vectors
                if turn > 0:
                    population = self._next(self.rounds_[-1], start, encoder, decoder, turn)
                    public_vectors = encoder.encode(population[0])
                if self.budget is not None:
                    self.budget.draw(state["name"], turn)
                votes = noisy_votes(
                    vectors, given.labels.tolist(), public_vectors, population[1], sigma=self.sigma
                )
                rounds = [*self.rounds_, _Round(*population, votes.tolist())]
                self._write(state | {"rounds": [vars(each) for each in rounds]})
                self.rounds_ = rounds  # only now: votes that are not kept are shown to nobody
        if self.budget is None:  # which refuses to draw a round again
            # by what was drawn: two runs from copies of one checkpoint have drawn twice
            self._promised = promised = replace(promised, release=_name_of(self.rounds_))
        rows = [
            {"text": text, "label": label, "status": "accepted"}
            for text, label in zip(
                *self._winners(self.rounds_[-1], start, self.n_rounds), strict=True
            )
        ]
        stated = stated_with(promised, bridge_of(decoder))
        return synthesis_of(rows, stated, {"decoder": repr(decoder)})

    def _next(
        self,
        voted: _Round,
        start: tuple[list[str], list[Any]],
        encoder: Any,
        decoder: Any,
        turn: int,
    ) -> tuple[list[str], list[Any]]:
        """Return the winners of a round and the texts written between them."""
        texts, labels = self._winners(voted, start, turn)
        new = write_between(
            Points(encoder.encode(texts), np.array(labels)),
            {label: labels.count(label) * self.variations for label in dict.fromkeys(labels)},
            decoder,
            guards=self.guards,
            random_state=_stream(self.random_state, turn),
            k_neighbors=self.k_neighbors,
            guidance_scale=self.guidance_scale,
            told=self.told,
            progress=self.progress,
        )
        return _once(texts + [r["text"] for r in new], labels + [r["label"] for r in new])

    def _winners(
        self, voted: _Round, start: tuple[list[str], list[Any]], turn: int
    ) -> tuple[list[str], list[Any]]:
        """Return those with most noisy votes, as many of each class as the run began with."""
        rng = np.random.default_rng(_stream(self.random_state, turn, 1))
        labels = np.array(voted.labels, dtype=object)
        votes = np.array(voted.votes)
        texts: list[str] = []
        names: list[Any] = []
        for label in dict.fromkeys(start[1]):
            places = np.flatnonzero(labels == label)
            n = min(start[1].count(label), len(places))
            count = np.where(votes[places] > self.threshold * self.sigma, votes[places], 0.0)
            # those without votes only where there are too few others, and then by lot
            order = np.lexsort((rng.random(len(places)), -count))
            texts += [voted.texts[i] for i in places[order[:n]]]
            names += [label] * n
        return texts, names

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Lock the checkpoint: two runs on one would draw votes twice and pay for them once."""
        if self.checkpoint is None:
            yield
            return
        from filelock import FileLock, Timeout

        lock = FileLock(f"{self.checkpoint}.lock", timeout=0, mode=0o600)
        try:
            lock.acquire()
        except Timeout as error:
            msg = (
                f"Another run uses the checkpoint {self.checkpoint}: wait for it, or give another "
                "file (and pay for another run)."
            )
            raise ParameterError(msg) from error
        try:
            yield
        finally:
            lock.release()

    def _begin(self, start: tuple[list[str], list[Any]]) -> dict[str, Any]:
        """Return the state of the run: of the checkpoint, if there is one."""
        names = ("epsilon", "delta", "n_rounds", "neighbouring", "texts_per_user", "threshold")
        terms = {name: getattr(self, name) for name in (*names, "variations")}
        terms["classes"] = [str(label) for label in dict.fromkeys(start[1])]
        terms["public texts"] = _digest(start)
        if self.checkpoint is None or not self.checkpoint.exists():
            return {"name": secrets.token_hex(8), "terms": terms, "rounds": []}
        state = _read(self.checkpoint)
        if state["terms"] != terms:
            others = state["terms"] if isinstance(state["terms"], dict) else {}
            unlike = [name for name, value in terms.items() if others.get(name) != value]
            msg = (
                f"The checkpoint {self.checkpoint} is of a run with other terms "
                f"({', '.join(unlike)}): give another file."
            )
            raise ParameterError(msg)
        return state

    def _write(self, state: dict[str, Any]) -> None:
        if self.checkpoint is not None:
            keep(self.checkpoint, state)


def _read(checkpoint: Path) -> dict[str, Any]:
    try:
        state: dict[str, Any] = json.loads(checkpoint.read_text(encoding="utf-8"))
        _ = state["name"], state["terms"], [_Round(**each) for each in state["rounds"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = (
            f"{checkpoint} cannot be read as a checkpoint ({type(error).__name__}): give another "
            "file, which pays anew."
        )
        raise ParameterError(msg) from error
    return state


def _first(
    public: list[str], public_y: Sequence[Any] | None, classes: list[Any]
) -> tuple[list[str], list[Any]]:
    if public_y is None:
        kept = [(text, label) for label in classes for text in public]
    else:
        names = plain_labels(public_y)
        if len(names) != len(public):
            msg = f"There are {len(public)} public texts but {len(names)} in public_y: one each."
            raise DataError(msg)
        named = zip(public, names, strict=True)
        kept = [(text, label) for text, label in named if label in classes]
    texts, labels = _once([text for text, _ in kept], [label for _, label in kept])
    for label in classes:
        if labels.count(label) < 2:
            msg = f"Class {label!r} has {labels.count(label)} public texts: give at least two."
            raise DataError(msg)
    return texts, labels


def _once(texts: list[str], labels: list[Any]) -> tuple[list[str], list[Any]]:
    """Return each text of a class once: of equal candidates only one would get votes."""
    pairs = list(dict.fromkeys(zip(texts, labels, strict=True)))
    return [text for text, _ in pairs], [label for _, label in pairs]


def _name_of(rounds: Sequence[_Round]) -> str:
    """Return what the noisy votes of a run are known by."""
    told = json.dumps([each.votes for each in rounds])
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def _digest(start: tuple[list[str], list[Any]]) -> str:
    told = json.dumps([start[0], [str(label) for label in start[1]]])
    return hashlib.sha256(told.encode()).hexdigest()


def _stream(random_state: int | None, *keys: int) -> int:
    if random_state is None:
        return int(np.random.SeedSequence().generate_state(1)[0])
    return int(np.random.SeedSequence([random_state, *keys]).generate_state(1)[0])
