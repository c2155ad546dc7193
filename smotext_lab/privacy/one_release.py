"""What mechanisms share that read private texts once: release noisy figures, write from these."""

from __future__ import annotations

import secrets
import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Self

import numpy as np

from smotext_lab.equipment import equip
from smotext_lab.errors import DataError, ParameterError
from smotext_lab.guards import Guards
from smotext_lab.privacy.accounting import check, mu_of
from smotext_lab.privacy.anchors import Anchors
from smotext_lab.privacy.budget import PrivacyBudget
from smotext_lab.privacy.guarantee import Guarantee, Neighbouring, bridge_of, stated_with
from smotext_lab.privacy.parameters import check_asked, check_whole
from smotext_lab.privacy.reading import (
    PUBLIC,
    Private,
    check_classes,
    encoded_alone,
    plain_labels,
    read_private,
)
from smotext_lab.privacy.writing import Points, Told, check_guidance, synthesis_of, write_between
from smotext_lab.sampler.counts import check_counts, shares
from smotext_lab.synthesis import Synthesis

__all__ = ["OneRelease"]


class OneRelease(ABC):
    """Reads private texts once, releases noisy figures, and writes from these.

    What the figures are is said by a subclass: `DPAnchors` or `DPGaussian`, where the parameters
    are described.
    """

    _dimensions: ClassVar[int]  # of the anchors that ship
    _remedies: ClassVar[str]  # what helps a class too small, beside more texts
    released_: Any
    synthesis_: Synthesis

    def __init__(
        self,
        epsilon: float,
        delta: float,
        *,
        anchors: Anchors | None = None,
        classes: Sequence[Any] | None = None,
        neighbouring: Neighbouring = "add_or_remove",
        texts_per_user: int | None = None,
        clip: float = 1.0,
        budget: PrivacyBudget | None = None,
        encoder: Any = None,
        decoder: Any = None,
        guards: Guards | None = None,
        k_neighbors: int = 5,
        like: str | None = None,
        words: int | None = None,
        guidance_scale: float = 0.5,
        max_attempts: int = 3,
        max_blends: int = 3,
        random_state: int | None = None,
        progress: bool = True,
    ) -> None:
        check(epsilon, delta)
        check_guidance(guidance_scale)
        check_whole(max_attempts=max_attempts, max_blends=max_blends)
        check_asked(
            classes=classes,
            texts_per_user=texts_per_user,
            k_neighbors=k_neighbors,
            like=like,
            words=words,
            random_state=random_state,
        )
        if not 0 < clip < np.inf:
            msg = f"clip must be above 0, got {clip!r}."
            raise ParameterError(msg)
        self.epsilon, self.delta = epsilon, delta
        self.anchors = anchors
        self.classes = classes
        self.neighbouring: Neighbouring = neighbouring
        self.texts_per_user = texts_per_user
        self.clip = clip
        self.budget = budget
        self.encoder, self.decoder = encoder, decoder
        self.guards = guards or Guards()
        self.k_neighbors = k_neighbors
        self.told = Told(like, words)
        self.guidance_scale = guidance_scale
        self.max_attempts, self.max_blends = max_attempts, max_blends
        self.random_state = random_state
        self.progress = progress
        self.guarantee()  # refuses what it cannot state

    @property
    def sigma(self) -> float:
        """Standard deviation of the noise of a sum's coordinate, in the vectors' unit."""
        return self._sensitivity() / mu_of(self.epsilon, self.delta)

    def guarantee(self) -> Guarantee:
        """Return what is guaranteed about `released_` and all that is made of it.

        Before `fit`, what would be. What was released keeps the guarantee it was released under.
        """
        return self._promised if hasattr(self, "_promised") else self._promise()

    def _promise(self) -> Guarantee:
        return Guarantee(
            self.epsilon,
            self.delta,
            self.neighbouring,
            "text" if self.texts_per_user is None else "user",
            self.texts_per_user,
            PUBLIC,
            f"{type(self).__name__}, {self.anchors or 'shipped anchors'}",
            mu_of(self.epsilon, self.delta),
        )

    def fit(self, texts: Any, y: Any, users: Sequence[Any] | None = None) -> Self:
        """Release noisy counts and sums of private texts.

        Parameters
        ----------
        texts, y
            As in `SMOTExT.fit_resample`.
        users : sequence of length n, optional
            Whose each text is; needed where `texts_per_user` is set.

        Returns
        -------
        OneRelease
            Itself.

        Raises
        ------
        BudgetError
            If the budget does not cover it. Nothing was released then.
        ParameterError
            If it was fitted before and there is no budget to count with, or if the noise would
            leave nothing.

        Warns
        -----
        UserWarning
            If a class is too small, with the number of texts that would do. This is judged by its
            noisy count.
        """
        if hasattr(self, "released_") and self.budget is None:
            msg = (
                "This mechanism has released once: a second time would cost its ε again. Make it "
                "with budget=PrivacyBudget(…), which counts; or generate more texts from what "
                "was released, which costs nothing."
            )
            raise ParameterError(msg)
        given = read_private(texts, y, users, self.texts_per_user)
        check_classes(self.classes, given.labels.tolist())
        encoder, _ = equip(self.encoder, self.decoder)
        anchors = self.anchors or Anchors.shipped(dimensions=self._dimensions)
        anchors.check(encoder)
        named = np.unique(given.labels) if self.classes is None else self.classes
        classes = list(dict.fromkeys(plain_labels(named)))
        given = given.of(classes)
        vectors = encoded_alone(encoder, given.texts, progress=self.progress)
        promised = replace(self._promise(), release=secrets.token_hex(8))
        sigma = self.sigma
        self._check_noise(sigma)  # refuses noise that leaves nothing, before it is paid for
        if self.budget is not None:  # before any noise is drawn
            self.budget.spend(promised, promised.mechanism, name=promised.release)
        released = self._release(given, vectors, classes, anchors, sigma)
        self.released_, self._promised = released, promised
        self._warn_of_small()
        return self

    def generate(self, n: int | Mapping[Any, int]) -> Synthesis:
        """Return new texts, made of what was released; costs no budget, however often.

        Parameters
        ----------
        n : int or dict of label -> int
            A total is shared among the classes by their noisy counts; those too small get none.

        Returns
        -------
        Synthesis
            Texts and labels; columns that could tell of private texts are empty. Also kept as
            `synthesis_`. If interrupted, with what was finished by then, a warning, and
            ``interrupted`` in its `info`. Where the decoder's bridge is one of `DPProjector`,
            which may have read the same texts, the statement is of both together.

        Raises
        ------
        DataError
            If a class that is asked for is too small, or all are.
        ParameterError
            If it was not fitted, or a number is not whole or below 0.
        """
        if not hasattr(self, "released_"):
            msg = "Nothing was released yet: call fit(texts, labels) first."
            raise ParameterError(msg)
        seed = self.random_state
        if seed is None:
            seed = int(np.random.SeedSequence().generate_state(1)[0])
        points = self._points(seed)
        wanted = self._wanted(n, points.labels)
        _, decoder = equip(self.encoder, self.decoder)
        asked = {str(label): int(count) for label, count in wanted.items()}
        facts: dict[str, Any] = {"decoder": repr(decoder), "asked": asked}
        made: list[dict[str, Any]] = []
        stated = stated_with(self.guarantee(), bridge_of(decoder))
        try:
            self._written(
                points,
                wanted,
                decoder,
                guards=self.guards,
                random_state=seed,
                k_neighbors=self.k_neighbors,
                max_attempts=self.max_attempts,
                max_blends=self.max_blends,
                guidance_scale=self.guidance_scale,
                told=self.told,
                progress=self.progress,
                kept=made,
            )
        except KeyboardInterrupt:
            if not made:
                raise
            facts["interrupted"] = True
        except Exception as error:
            error.add_note("What was finished is in the mechanism's synthesis_.")
            raise
        finally:
            self.synthesis_ = synthesis_of(made, stated, facts)
        self._account(sum(asked.values()))
        return self.synthesis_

    def _account(self, asked: int) -> None:
        """Warn where fewer texts were made than were asked for."""
        done = f"{len(self.synthesis_)} of {asked}"
        if "interrupted" in self.synthesis_.info:
            msg = f"Interrupted: {done} new texts are finished, they are in synthesis_."
        elif len(self.synthesis_) < asked:
            msg = (
                f"{type(self).__name__} made {done} texts: the guards refused the others; raise "
                "max_attempts or max_blends."
            )
        else:
            return
        warnings.warn(msg, UserWarning, stacklevel=3)

    @abstractmethod
    def _sensitivity(self) -> float:
        """Return how far the figures of two neighbouring collections can be apart."""

    @abstractmethod
    def _check_noise(self, sigma: float) -> None:
        """Refuse noise that leaves nothing of a text."""

    @abstractmethod
    def _release(
        self,
        given: Private,
        vectors: np.ndarray,
        classes: list[Any],
        anchors: Anchors,
        sigma: float,
    ) -> Any:
        """Return the noisy figures."""

    @abstractmethod
    def _points(self, random_state: int) -> Points:
        """Return what SMOTE goes between."""

    def _written(self, *asked: Any, **settings: Any) -> list[dict[str, Any]]:
        """Return the texts written at the points; see `write_between`."""
        return write_between(*asked, **settings)

    def _wanted(self, n: int | Mapping[Any, int], labels: np.ndarray) -> dict[Any, int]:
        check_counts(n)
        usable, sizes = set(labels.tolist()), self.released_.sizes
        if not usable:
            asked = list(n) if isinstance(n, Mapping) else []
            raise DataError(self._too_small(next(iter(asked), max(sizes, key=sizes.__getitem__))))
        if isinstance(n, Mapping):
            for label in n:
                if label not in usable:
                    raise DataError(self._too_small(label))
            return {label: count for label, count in n.items() if count}
        whole = {label: max(1, round(sizes[label])) for label in sizes if label in usable}
        wanted = shares(n, np.repeat(list(whole), list(whole.values())))
        return {label: count for label, count in wanted.items() if count}

    def _too_small(self, label: Any) -> str:
        sizes = self.released_.sizes
        if label not in sizes:
            return f"There is no class {label!r}: released were {', '.join(map(repr, sizes))}."
        return (
            f"Class {label!r} is too small for ε = {self._promised.epsilon:g}: its noisy count is "
            f"{sizes[label]:.0f}, and {self.released_.least} would do. Give more texts of it, "
            f"{self._remedies}; or leave it out with classes=…."
        )

    def _warn_of_small(self) -> None:
        usable = set(self.released_.centroids()[1].tolist())
        for label in self.released_.classes:
            if label not in usable:
                warnings.warn(self._too_small(label), UserWarning, stacklevel=3)
