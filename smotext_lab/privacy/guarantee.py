"""What a mechanism guarantees, in figures and in one sentence; and several of them together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from smotext_lab.errors import DataError, ParameterError, did_you_mean
from smotext_lab.privacy.accounting import composed, epsilon_of

__all__ = [
    "FIGURES_NOT_COVERED",
    "Guarantee",
    "Neighbouring",
    "Unit",
    "bridge_of",
    "stated_in",
    "stated_with",
]

FIGURES_NOT_COVERED = (
    "The figures were computed from the real texts without noise: the guarantee covers the new "
    "texts only."
)
"""To be said wherever figures of an evaluation or an audit stand beside a guarantee."""

Neighbouring = Literal["add_or_remove", "replace"]
Unit = Literal["text", "user"]

_CHANGES = {
    "add_or_remove": "adding or removing one {unit}",
    "replace": "putting one {unit} in another's place",
}

_AFTERWARDS = "the texts that the bridge was trained on afterwards"


@dataclass(frozen=True)
class Guarantee:
    """The differential privacy of what a mechanism releases.

    Parameters
    ----------
    epsilon, delta : float
        ε infinite: there is no guarantee.
    neighbouring : {"add_or_remove", "replace"}
        Between which collections of texts the two probabilities are compared.
    unit : {"text", "user"}
        What is added, removed or replaced: one text, or all texts of one person.
    texts_per_user : int, optional
        How many texts of a user are read at most, where the unit is a user.
    public : tuple of str
        What is taken to be known to everyone and is not protected.
    mechanism : str
    mu : float, optional
        Sensitivity over noise of the Gaussian mechanism it is equivalent to. Where there is no
        guarantee, of the noise there is (see `HeuristicNoise`): the sentence says its price.
    release : str, default=""
        A random name of what was released: the same for all that is made of one release, another
        for the next, whose cost adds up with it. Empty before there is one.
    not_covered : str, default=""
        What may be done with the result that the guarantee says nothing of.
    new_texts : int, optional
        Of how many the price is, where there is no guarantee (None: of one).

    Examples
    --------
    >>> print(Guarantee(1.0, 1e-5, public=("the names of the classes",)))
    Differentially private with ε = 1 and δ = 1e-05 for adding or removing one text; taken as
    public and not protected: the names of the classes.
    >>> print(Guarantee(float("inf"), 0.0))
    No privacy guarantee.
    """

    epsilon: float
    delta: float
    neighbouring: Neighbouring = "add_or_remove"
    unit: Unit = "text"
    texts_per_user: int | None = None
    public: tuple[str, ...] = ()
    mechanism: str = ""
    mu: float | None = None
    release: str = ""
    not_covered: str = ""
    new_texts: int | None = None

    def __post_init__(self) -> None:
        for name, value, known in (
            ("neighbouring", self.neighbouring, tuple(_CHANGES)),
            ("unit", self.unit, ("text", "user")),
        ):
            if value not in known:
                msg = f"{name} must be one of {known}, got {value!r}{did_you_mean(value, known)}."
                raise ParameterError(msg)

    @property
    def holds(self) -> bool:
        """Whether anything is guaranteed."""
        return math.isfinite(self.epsilon)

    @property
    def sentence(self) -> str:
        """The guarantee as one sentence, for reports and data cards."""
        if not self.holds:
            return "No privacy guarantee." if self.mu is None else self._price(self.mu)
        unit = "text"
        if self.unit == "user":
            unit = f"user (at most {self.texts_per_user} texts of each are read)"
        change = _CHANGES[self.neighbouring].format(unit=unit)
        known = "; ".join(self.public) or "nothing"
        beyond = f" Not covered: {self.not_covered}." if self.not_covered else ""
        return (
            f"Differentially private with ε = {_no_less(self.epsilon)} and δ = "
            f"{_no_less(self.delta)} for {change}; taken as public and not protected: {known}."
            f"{beyond}"
        )

    def _price(self, mu: float) -> str:
        price = epsilon_of(mu, self.delta)
        shown = f"{price:,.0f}" if price >= 100 else f"{price:.3g}"
        n = self.new_texts or 1
        return (
            f"No privacy guarantee: if one text were the parent of {n:,} new "
            f"{'text' if n == 1 else 'texts'}, ε = {shown} (δ = {self.delta:g}), for "
            f"putting another text in its place."
        )

    def __str__(self) -> str:
        return self.sentence

    def described(self) -> dict[str, Any]:
        """Return the guarantee as values that JSON can hold, the sentence among them."""
        values = asdict(self) | {"public": list(self.public), "sentence": self.sentence}
        for name in ("epsilon", "mu"):
            if values[name] is not None and not math.isfinite(values[name]):
                values[name] = None
        return values


def _no_less(value: float) -> str:
    """Return a number in as few digits, from six on, as do not state less than it is."""
    shown = (f"{value:.{digits}g}" for digits in (6, 9, 12, 17))
    return next(text for text in shown if float(text) >= value)


def stated_in(info: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the provenance of a synthesis states about all its texts; empty for nothing.

    Several releases are taken together, as if all had read the same texts: exactly what their
    Gaussian noise adds up to then, and no less than that if they read others.

    Parameters
    ----------
    info : mapping
        Of a `Synthesis`, whose ``parts`` are the provenances of what it was joined of.

    Returns
    -------
    dict
        As `Guarantee.described` has it; with a sentence alone where the parts' guarantees are of
        kinds that cannot be added up.

    Raises
    ------
    DataError
        If what is stated cannot be read, as in a file that was changed.

    Examples
    --------
    >>> one, other = (
    ...     {"guarantee": Guarantee(1.0, 1e-5, mu=0.3, release=name).described()} for name in "ab"
    ... )
    >>> round(stated_in({"parts": [one, other, one]})["mu"], 4)  # √2 · 0.3: two releases
    0.4243
    >>> stated_in({"parts": [one, {}]})
    {}
    """
    parts = [info] if "guarantee" in info else info.get("parts", [])
    found = [_checked(part.get("guarantee") or {}) for part in parts]
    if "guarantee" in info:
        return found[0]
    if any(each.get("epsilon") is None for each in found):
        return {}
    # what has no name may be a release of its own
    named = {each.get("release") or str(row): each for row, each in enumerate(found)}
    return _together(list(named.values())) if named else {}


def bridge_of(decoder: Any) -> Any:
    """Return the bridge that a decoder writes through; None for one that has none."""
    return decoder.loaded_bridge() if hasattr(decoder, "loaded_bridge") else None


def stated_with(guarantee: Guarantee, bridge: Any) -> dict[str, Any]:
    """Return what is stated about what a mechanism made with a bridge.

    A bridge of `DPProjector` may have read the same texts, so that its cost adds up with the
    mechanism's; with a sentence alone where the two are of kinds that cannot be added up.

    Parameters
    ----------
    guarantee : Guarantee
        The mechanism's own.
    bridge : Bridge or None

    Returns
    -------
    dict
        As `Guarantee.described` has it.

    Raises
    ------
    DataError
        If what the bridge states cannot be read.
    """
    own = guarantee.described()
    before = {} if bridge is None else bridge.facts.training.get("guarantee")
    return _together([own, _checked(before)]) if before else own


def trained_on(stated: Any) -> dict[str, Any]:
    """Return what a bridge of `DPProjector` states once it was trained on.

    Whether the further texts were the same private ones cannot be told: they are named among what
    is taken as public.

    Raises
    ------
    DataError
        If what it stated cannot be read.
    """
    before = _checked(stated)
    if "public" not in before:
        return before | {
            "sentence": f"{before.get('sentence', '')} Taken as public: {_AFTERWARDS}."
        }
    values = {f.name: before[f.name] for f in fields(Guarantee) if f.name in before}
    values["public"] = tuple(dict.fromkeys([*before["public"], _AFTERWARDS]))
    return Guarantee(**values).described()


def _checked(stated: Any) -> dict[str, Any]:
    numbers = ("epsilon", "delta", "mu")
    if isinstance(stated, Mapping) and all(
        isinstance(stated.get(name), int | float | None) for name in numbers
    ):
        return dict(stated)
    msg = "The provenance states a guarantee that cannot be read: its ε, δ and μ must be numbers."
    raise DataError(msg)


def _together(stated: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    kinds = {(g.get("neighbouring"), g.get("unit"), g.get("texts_per_user")) for g in stated}
    mus = [float(g["mu"]) for g in stated if g.get("mu") is not None]
    if len(kinds) > 1 or len(mus) < len(stated):
        told = " ".join(str(g.get("sentence", "")) for g in stated)
        return {"sentence": f"The parts state guarantees that cannot be added up. {told}"}
    mu, delta = composed(*mus), max(float(g["delta"]) for g in stated)
    values = {f.name: stated[0][f.name] for f in fields(Guarantee) if f.name in stated[0]}
    values |= {"epsilon": epsilon_of(mu, delta), "delta": delta, "mu": mu}
    for name in ("mechanism", "release"):
        values[name] = "; ".join(dict.fromkeys(str(g.get(name, "")) for g in stated))
    values["public"] = tuple(dict.fromkeys(what for g in stated for what in g.get("public", ())))
    return Guarantee(**values).described()
