"""Objects that hold loaded models: pickles leave the weights out, clones share them."""

from __future__ import annotations

from typing import Any, Self

__all__ = ["LazyWeights"]


class LazyWeights:
    """Loads on first use, pickles without weights, and shares them with its copies.

    A subclass keeps whatever it has loaded in ``_loaded`` (None until then). scikit-learn's
    ``clone`` deep-copies parameters that are not estimators; loaded weights are never
    written to, so a copy may use the same ones.
    """

    _loaded: Any = None

    @property
    def is_loaded(self) -> bool:
        """Whether the weights are in memory."""
        return self._loaded is not None

    def sharing(self, other: Self) -> Self:
        """Use the weights that `other` has loaded; return itself."""
        self._loaded = other._loaded
        return self

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_loaded": None}

    def __copy__(self) -> Self:
        twin = type(self).__new__(type(self))
        twin.__dict__.update(self.__dict__)
        return twin

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self.__copy__()
