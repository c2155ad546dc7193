"""What encoders, decoders and interpolators are, as JSON can keep it, and made anew from that."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from smotext_lab.errors import ParameterError

__all__ = ["described", "models_of", "remade"]

_HOMES = {
    "XRAGDecoder": "smotext_lab.decoders",
    "BertEncoder": "smotext_lab.encoders",
    "SFREncoder": "smotext_lab.encoders",
}
_INTERPOLATORS = "smotext_lab.interpolators"


def described(made: Any) -> dict[str, Any]:
    """Return the class of an encoder, a decoder or an interpolator, and its parameters.

    Parameters
    ----------
    made : XRAGDecoder, BertEncoder, SFREncoder or interpolator
        Of any other class only the ``repr`` is kept: whoever runs the job must give it again.

    Raises
    ------
    ParameterError
        If a parameter is something that JSON cannot hold, such as an estimator.

    Examples
    --------
    >>> from smotext_lab import SMOTEInterpolator
    >>> described(SMOTEInterpolator(3))
    {'class': 'SMOTEInterpolator', 'parameters': {'k_neighbors': 3, 'random_state': None}}
    """
    kind = type(made)
    known = kind.__module__.startswith(_INTERPOLATORS) or kind.__name__ in _HOMES
    if not known:
        return {"class": None, "repr": repr(made)}
    values: dict[str, Any] = {}
    for name in inspect.signature(kind).parameters:
        value = _value(made, name)
        values[name] = described(value) if name == "encoder" else _plain(kind.__name__, name, value)
    return {"class": kind.__name__, "parameters": values}


def _value(made: Any, name: str) -> Any:
    if hasattr(made, name):
        return getattr(made, name)
    if name == "model":  # an encoder keeps it as its name
        return made.name
    return getattr(made.sampling, name)


def _plain(kind: str, name: str, value: Any) -> Any:
    folder = getattr(value, "folder", None) if name == "bridge" else None
    value = folder if folder is not None else value
    if isinstance(value, Path):
        return str(value.absolute())
    if isinstance(value, str) and name in ("llm", "model", "bridge") and Path(value).is_dir():
        return str(Path(value).absolute())  # workers run in folders of their own
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if hasattr(value, "item"):
        return value.item()
    msg = (
        f"What texts are made with is kept as JSON, and {kind}({name}={value!r}) does not fit "
        "in there: give a number, a name or a folder."
    )
    raise ParameterError(msg)


def remade(told: Mapping[str, Any]) -> Any:
    """Return what `described` told of; loads no weights.

    Raises
    ------
    ParameterError
        If it was of a class of the user's own.
    """
    import importlib

    name = told["class"]
    if name is None:
        msg = (
            f"This job was made with {told['repr']}, which is not one of smotext-lab's own: give "
            "it again, as in Job(folder).run(decoder=my_decoder)."
        )
        raise ParameterError(msg)
    values = dict(told["parameters"])
    if "encoder" in values:
        values["encoder"] = remade(values["encoder"])
    home = _HOMES.get(name, _INTERPOLATORS)
    return getattr(importlib.import_module(home), name)(**values)


def models_of(decoder: Any) -> dict[str, str]:
    """Return the identities of what a decoder works with."""
    from smotext_lab.bridges import Bridge, load_bridge
    from smotext_lab.models import fingerprint

    encoder = getattr(decoder, "encoder", None)
    found = {"encoder": getattr(encoder, "fingerprint", repr(encoder))}
    if hasattr(decoder, "llm"):
        found["llm"] = fingerprint(decoder.llm)
    if isinstance(getattr(decoder, "bridge", None), str | Path | Bridge):
        given = decoder.bridge
        bridge = given if isinstance(given, Bridge) else load_bridge(given)
        # an xRAG checkpoint's projector lies in the LLM's own files, whose identity is above
        found["bridge"] = bridge.facts.sha256 or bridge.facts.kind
    return found
