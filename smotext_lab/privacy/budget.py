"""A privacy budget: what may be spent on one collection of texts, over all calls and restarts."""

from __future__ import annotations

import json
import math
import secrets
from pathlib import Path
from typing import Any

from smotext_lab.errors import BudgetError, ParameterError
from smotext_lab.privacy.accounting import check, composed, delta_of, epsilon_of, mu_of
from smotext_lab.privacy.guarantee import Guarantee, Neighbouring, Unit
from smotext_lab.privacy.records import keep

__all__ = ["PrivacyBudget"]

_VERSION = 1


class PrivacyBudget:
    """What may be spent on one collection of texts; a file keeps what was.

    A mechanism that is given the budget records its spending there *before* it draws noise: a
    process that is killed in between has spent for nothing, and never the other way round. The
    file is locked while it is changed, written anew and then renamed, so that several notebooks
    can share it and none finds it half written.

    The budget is of a collection: one file for each, kept with it. Mechanisms cannot see whether
    the same texts are used with another file: a name without a folder is another file, and a whole
    new budget, where another folder is the current one. An older copy of the file that is put back
    has forgotten what was spent since.

    Parameters
    ----------
    path : str or Path
        The file; it is made where it is missing.
    epsilon, delta : float, optional
        The whole budget. Needed for a new file; for one that exists they must be what it says.
    neighbouring : {"add_or_remove", "replace"}, optional
    unit : {"text", "user"}, optional
        Only spending of the same kind can be added up. For a new file "add_or_remove" and "text";
        for one that exists they must be what it says.

    Raises
    ------
    BudgetError
        If the file is damaged or says something else.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = pathlib.Path(folder.name) / "tickets.budget.json"
    >>> budget = PrivacyBudget(path, epsilon=4, delta=1e-5)
    >>> _ = budget.spend(Guarantee(1.0, 1e-5, mu=mu_of(1.0, 1e-5)), "first try")
    >>> again = PrivacyBudget(path)
    >>> round(again.spent, 6), again.left > 2.9
    (1.0, True)
    >>> folder.cleanup()
    """

    def __init__(
        self,
        path: str | Path,
        epsilon: float | None = None,
        delta: float | None = None,
        *,
        neighbouring: Neighbouring | None = None,
        unit: Unit | None = None,
    ) -> None:
        self.path = Path(path).expanduser().resolve()  # a link would get a lock of its own
        with self._lock():
            if self.path.exists():
                self._agree(epsilon=epsilon, delta=delta, neighbouring=neighbouring, unit=unit)
                return
            if epsilon is None or delta is None:
                msg = f"There is no budget {self.path} yet: give epsilon and delta to make one."
                raise ParameterError(msg)
            check(epsilon, delta)
            kind = Guarantee(epsilon, delta, neighbouring or "add_or_remove", unit or "text")
            state: dict[str, Any] = {
                "version": _VERSION,
                "epsilon": float(epsilon),
                "delta": float(delta),
                "neighbouring": kind.neighbouring,
                "unit": kind.unit,
                "spent": [],
            }
            keep(self.path, state)

    @property
    def epsilon(self) -> float:
        """The whole ε."""
        return float(self._read()["epsilon"])

    @property
    def delta(self) -> float:
        """The δ of the whole."""
        return float(self._read()["delta"])

    @property
    def spent(self) -> float:
        """The ε, at the budget's δ, of all that was spent so far, taken together."""
        state = self._read()
        return epsilon_of(_total(state), float(state["delta"]))

    @property
    def left(self) -> float:
        """The largest ε, at the budget's δ, that a single mechanism may still have."""
        state = self._read()
        whole = mu_of(float(state["epsilon"]), float(state["delta"]))
        rest = math.sqrt(max(0.0, whole**2 - _total(state) ** 2))
        return epsilon_of(rest, float(state["delta"]))

    @property
    def entries(self) -> list[dict[str, Any]]:
        """What was spent: for each time a name, what for, μ, and which rounds were drawn."""
        return list(self._read()["spent"])

    def spend(self, guarantee: Guarantee, what: str, *, name: str | None = None) -> str:
        """Record spending, or refuse it.

        Parameters
        ----------
        guarantee : Guarantee
            With its `mu`.
        what : str
            What it is spent for, for whoever reads the file.
        name : str, optional
            The name of this spending. One that is there already is paid for and not recorded
            again: a run that goes on after a stop gives the name it had.

        Returns
        -------
        str
            The name.

        Raises
        ------
        BudgetError
            If all spending together, this included, is more than the budget. Nothing is recorded.
        """
        name = name or secrets.token_hex(8)
        if guarantee.mu is None or not (guarantee.holds and math.isfinite(guarantee.mu)):
            msg = "This mechanism has no guarantee that could be paid for out of a budget."
            raise BudgetError(msg)
        with self._lock():
            state = self._read()
            self._fit(state, guarantee)
            paid = [entry["mu"] for entry in state["spent"] if entry["name"] == name]
            if paid and paid[0] >= guarantee.mu:
                return name
            if paid:
                msg = f"{name!r} was paid for less than it asks for now: give it another name."
                raise BudgetError(msg)
            entry = {"name": name, "what": what, "mu": guarantee.mu}
            state["spent"].append(entry)
            epsilon, delta = float(state["epsilon"]), float(state["delta"])
            if delta_of(epsilon, _total(state)) > delta:
                msg = (
                    f"The budget {self.path.name} of ε = {epsilon:g} (δ = {delta:g}) does not "
                    f"cover this: ε = {self.spent:.4g} is spent, {what} costs "
                    f"ε = {epsilon_of(guarantee.mu, delta):.4g}, and what is left allows "
                    f"ε = {self.left:.4g}."
                )
                raise BudgetError(msg)
            keep(self.path, state)
        return name

    def draw(self, name: str, turn: int) -> None:
        """Record that a round's noise is about to be drawn, or refuse to have it drawn again.

        Parameters
        ----------
        name : str
            Of spending that is recorded.
        turn : int
            Rounds that were drawn before this one.

        Raises
        ------
        BudgetError
            If the round was drawn already: other noise on the same figures costs anew.
        """
        with self._lock():
            state = self._read()
            entry = next(entry for entry in state["spent"] if entry["name"] == name)
            if entry.get("drawn", 0) > turn:
                msg = (
                    f"Round {turn + 1} of {entry['what']} ({name}) was drawn before and is not in "
                    "the checkpoint: give another checkpoint file, which pays anew."
                )
                raise BudgetError(msg)
            entry["drawn"] = turn + 1
            keep(self.path, state)

    def __repr__(self) -> str:
        return (
            f"PrivacyBudget({str(self.path)!r}: ε = {self.spent:.4g} of {self.epsilon:g} spent, "
            f"δ = {self.delta:g})"
        )

    def _fit(self, state: dict[str, Any], guarantee: Guarantee) -> None:
        for name in ("neighbouring", "unit"):
            if state[name] != getattr(guarantee, name):
                msg = (
                    f"The budget counts {name} = {state[name]!r}, the mechanism guarantees "
                    f"{getattr(guarantee, name)!r}: these cannot be added up."
                )
                raise BudgetError(msg)

    def _agree(self, **asked: Any) -> None:
        state = self._read()
        for name, given in asked.items():
            if given is not None and given != state[name]:
                msg = (
                    f"The budget {self.path} has {name} = {state[name]!r}, not {given!r}: leave "
                    f"{name} out; a budget that was begun is not changed."
                )
                raise BudgetError(msg)

    def _lock(self) -> Any:
        from filelock import FileLock

        return FileLock(f"{self.path}.lock", mode=0o600)

    def _read(self) -> dict[str, Any]:
        try:
            state: dict[str, Any] = json.loads(self.path.read_text(encoding="utf-8"))
            if state["version"] != _VERSION or not all(e["mu"] >= 0 for e in state["spent"]):
                raise ValueError(state["version"])
            check(state["epsilon"], state["delta"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            msg = (
                f"The budget {self.path} cannot be read ({type(error).__name__}): nothing is "
                "released while it is not known what was spent."
            )
            raise BudgetError(msg) from error
        return state


def _total(state: dict[str, Any]) -> float:
    return composed(*(float(entry["mu"]) for entry in state["spent"]))
