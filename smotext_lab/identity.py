"""What data, models and interpolators are, as JSON can keep it; the latter made anew from that."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from smotext_lab.errors import ParameterError

__all__ = [
    "data_sha256",
    "decoding_of",
    "described",
    "digest_of",
    "dtypes_of",
    "models_of",
    "published",
    "remade",
]

_HOMES = {
    "XRAGDecoder": "smotext_lab.decoders",
    "BertEncoder": "smotext_lab.encoders",
    "SFREncoder": "smotext_lab.encoders",
    "Vllm": "smotext_lab.engines.vllm",
    "VllmServer": "smotext_lab.engines.vllm",
}
_MODELS = ("llm", "model", "bridge")  # parameters that may name a folder
_PARTS = ("encoder", "engine")  # parameters that have a class and parameters of their own
_INTERPOLATORS = "smotext_lab.interpolators"


def described(made: Any) -> dict[str, Any]:
    """Return the class of an encoder, a decoder, an engine or an interpolator, and its parameters.

    Parameters
    ----------
    made : XRAGDecoder, BertEncoder, SFREncoder, Vllm, VllmServer or interpolator
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
        part = name in _PARTS and not isinstance(value, str)
        values[name] = described(value) if part else _plain(kind.__name__, name, value)
    return {"class": kind.__name__, "parameters": values, **_own_split(made)}


def _own_split(made: Any) -> dict[str, str]:
    """Return the name of the function by which a bridge splits texts, if it is the user's."""
    from smotext_lab.bridges import split_of, split_words

    split = split_of(getattr(made, "bridge", None))
    if split is split_words:
        return {}
    return {"split": getattr(split, "__qualname__", type(split).__qualname__)}


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
    if isinstance(value, str) and name in _MODELS and Path(value).is_dir():
        return str(Path(value).absolute())  # workers run in folders of their own
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, dict):
        return {str(key): _plain(kind, name, each) for key, each in value.items()}
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
        If it was of a class of the user's own, or of a bridge that splits texts by a function
        of the user's.
    """
    import importlib

    name = told["class"]
    if name is None:
        msg = (
            f"This job was made with {told['repr']}, which is not one of smotext-lab's own: give "
            "it again, as in Job(folder).run(decoder=my_decoder)."
        )
        raise ParameterError(msg)
    if "split" in told:
        msg = (
            f"This job was made with a bridge that splits texts by {told['split']}, a function of "
            "yours: give the decoder again, as in Job(folder).run(decoder=my_decoder)."
        )
        raise ParameterError(msg)
    values = dict(told["parameters"])
    values |= {part: remade(values[part]) for part in _PARTS if isinstance(values.get(part), dict)}
    home = _HOMES.get(name, _INTERPOLATORS)
    return getattr(importlib.import_module(home), name)(**values)


def published(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `described` told, as it may be handed on: no folder and no server's address.

    Examples
    --------
    >>> published({"class": "XRAGDecoder", "parameters": {"llm": "/models/llm", "top_k": 50}})
    {'class': 'XRAGDecoder', 'parameters': {'llm': 'llm', 'top_k': 50}}
    """
    if "parameters" not in told:  # of a class of the user's own only the repr is known
        return dict(told)
    values = told["parameters"].items()
    return {**told, "parameters": {name: _published(name, value) for name, value in values}}


def _published(name: str, value: Any) -> Any:
    if name == "engine":
        return _engine_kind(value if isinstance(value, str) else value["class"])
    if name == "encoder":
        return published(value)
    return Path(value).name if name in _MODELS and Path(value).is_absolute() else value


def _engine_kind(name: str) -> str:
    return "a vLLM server" if name == "VllmServer" or "://" in name else name


def models_of(decoder: Any) -> dict[str, str]:
    """Return the identities of what a decoder works with."""
    from smotext_lab.bridges import Bridge, bridge_identity
    from smotext_lab.models import fingerprint, model_path

    encoder = getattr(decoder, "encoder", None)
    found = {"encoder": getattr(encoder, "fingerprint", repr(encoder))}
    if hasattr(decoder, "llm"):
        found["llm"] = fingerprint(decoder.llm)
    if isinstance(getattr(decoder, "bridge", None), str | Path | Bridge):
        given = decoder.bridge
        if given == getattr(decoder, "llm", None):  # xRAG's own, as `Writer.load` reads it
            given = model_path(given)
        if hasattr(decoder, "loaded_bridge") and decoder.is_loaded:
            given = decoder.loaded_bridge()
        # an xRAG checkpoint's projector lies in the LLM's own files, whose identity is above
        if isinstance(given, Bridge):
            found["bridge"] = given.facts.sha256 or given.facts.kind
        else:
            found["bridge"] = bridge_identity(given)
    return found


def dtypes_of(decoder: Any) -> dict[str, str]:
    """Return what a decoder's LLM and encoder are computed in on this machine.

    Of a decoder or an encoder that is none of smotext-lab's own, nothing is known.

    Examples
    --------
    >>> from smotext_lab import BertEncoder, XRAGDecoder
    >>> dtypes_of(XRAGDecoder(encoder=BertEncoder(dtype="float32"), dtype="bfloat16"))
    {'llm': 'bfloat16', 'encoder': 'float32'}
    """
    from smotext_lab.decoders import XRAGDecoder
    from smotext_lab.encoders import BertEncoder, SFREncoder
    from smotext_lab.models.placement import precision

    if not isinstance(decoder, XRAGDecoder):
        return {}
    parts: dict[str, Any] = {"llm": decoder, "encoder": decoder.encoder}
    own = XRAGDecoder | BertEncoder | SFREncoder
    return {
        role: precision(part.dtype, part.device)
        for role, part in parts.items()
        if isinstance(part, own)
    }


def decoding_of(decoder: Any) -> dict[str, Any]:
    """Return how a decoder writes: its parameters but for the models.

    Of a decoder that is none of smotext-lab's own, nothing is known.

    Examples
    --------
    >>> from smotext_lab import XRAGDecoder
    >>> decoding_of(XRAGDecoder(temperature=0))["n_candidates"]
    4
    """
    from smotext_lab.decoders import XRAGDecoder

    if not isinstance(decoder, XRAGDecoder):
        return {}
    named = decoder.engine if isinstance(decoder.engine, str) else type(decoder.engine).__name__
    return {
        "prompt": decoder.prompt,
        **asdict(decoder.sampling),
        "n_candidates": decoder.n_candidates,
        "corrections": decoder.corrections,
        "batch_size": decoder.batch_size,
        "dtype": decoder.dtype,
        "engine": _engine_kind(named),  # of a server the address tells nothing
    }


def digest_of(texts: Sequence[str], codes: Sequence[int] | np.ndarray) -> bytes:
    """Return the digest of a chunk of texts and of their labels' places among the classes."""
    total = hashlib.sha256(np.array(codes, np.int32).tobytes())
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        total.update(len(data).to_bytes(8, "little") + data)
    return total.digest()


def data_sha256(digests: Iterable[bytes], classes: Sequence[Any]) -> str:
    """Return what all texts and labels are known by.

    Parameters
    ----------
    digests : iterable of bytes
        Of the chunks (`digest_of`): one, unless there are more texts than a job reads at a time.
    classes : sequence
        The labels, in the order in which they first come.

    Examples
    --------
    >>> data_sha256([digest_of(["Rain is due."], [0])], ["weather"])[:12]
    '09ed99cef3d3'
    """
    whole = hashlib.sha256(b"".join(digests))
    whole.update(json.dumps(list(classes), default=str).encode())
    return whole.hexdigest()
