"""What a mechanism guarantees, in figures and in one sentence."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

from smotext_lab.errors import ParameterError, did_you_mean

__all__ = ["Guarantee", "Neighbouring", "Unit"]

Neighbouring = Literal["add_or_remove", "replace"]
Unit = Literal["text", "user"]

_CHANGES = {
    "add_or_remove": "adding or removing one {unit}",
    "replace": "putting one {unit} in another's place",
}


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
        Sensitivity over noise of the Gaussian mechanism it is equivalent to.

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
            return "No privacy guarantee."
        unit = "text"
        if self.unit == "user":
            unit = f"user (at most {self.texts_per_user} texts of each are read)"
        change = _CHANGES[self.neighbouring].format(unit=unit)
        known = "; ".join(self.public) or "nothing"
        return (
            f"Differentially private with ε = {self.epsilon:g} and δ = {self.delta:g} for "
            f"{change}; taken as public and not protected: {known}."
        )

    def __str__(self) -> str:
        return self.sentence

    def described(self) -> dict[str, Any]:
        """Return the guarantee as values that JSON can hold, the sentence among them."""
        values = asdict(self) | {"public": list(self.public), "sentence": self.sentence}
        if not self.holds:
            values["epsilon"] = None
        return values
