"""The encoder that reads a user's texts and the decoder that writes new ones, as a pair."""

from __future__ import annotations

import copy
import gc
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smotext_lab.errors import ParameterError
from smotext_lab.models import DEFAULT_ENCODER, DEFAULT_LLM
from smotext_lab.models.placement import QUANTIZED

if TYPE_CHECKING:
    from smotext_lab.bridges import Bridge
    from smotext_lab.decoders import XRAGDecoder
    from smotext_lab.encoders import Encoder

__all__ = ["equip", "loaded", "named_decoder", "set_up", "shared_decoder", "unload"]

_shared: dict[tuple[Any, ...], Any] = {}  # at most one: sets of models are large
_lock = threading.Lock()
_LOADING = ("dtype", "device", "engine")  # settings that say how the models are loaded


def equip(
    encoder: Any = None, decoder: Any = None, long_texts: str | None = None
) -> tuple[Any, Any]:
    """Return an encoder and a decoder that belong together.

    Parameters
    ----------
    encoder : Encoder, optional
        Default the decoder's.
    decoder : XRAGDecoder, optional
        Default `shared_decoder`.
    long_texts : {"truncate", "sentences", "error"}, optional
        How the returned encoder reads long texts; default as it is set. The encoder given
        stays as it is.

    Returns
    -------
    encoder : Encoder
    decoder : XRAGDecoder

    Raises
    ------
    ParameterError
        If the decoder was made for another encoder, or the encoder has no policy for long
        texts.
    """
    if decoder is None:
        decoder = shared_decoder(encoder)
    own = getattr(decoder, "encoder", None)
    if encoder is None:
        if own is None:
            msg = f"{decoder!r} names no encoder: give encoder= too."
            raise ParameterError(msg)
        encoder = own
    ours, theirs = (getattr(each, "fingerprint", None) for each in (encoder, own))
    if ours is not None and theirs is not None and not _same_weights(ours, theirs):
        msg = (
            f"The encoder is {ours} but the decoder's is {theirs}: leave encoder out, or "
            "give a decoder that was made for it."
        )
        raise ParameterError(msg)
    return _reading(encoder, long_texts), decoder


def _same_weights(first: str, second: str) -> bool:
    if first == second:
        return True
    from smotext_lab.bridges.base import weights_named  # with torch: not needed to be told so

    return weights_named(first) == weights_named(second)


def shared_decoder(
    encoder: str | Encoder | None = None,
    llm: str = DEFAULT_LLM,
    bridge: str | Path | Bridge = "default",
    *,
    prompt: str | None = None,
    **settings: Any,
) -> XRAGDecoder:
    """Return a decoder whose models are loaded once a process.

    It is what `SMOTExT`, ``%smotext`` and whoever else is given no decoder work with. One set of
    models is kept; when another is asked for, it takes that one's place.

    Parameters
    ----------
    encoder : str or Encoder, optional
        An encoder, or the name of a model for `BertEncoder`.
    llm, bridge, prompt
        See `XRAGDecoder`.
    **settings
        Its other parameters, such as ``n_candidates``. They load the models if need be, and give
        a decoder of its own with the same weights.

    Returns
    -------
    XRAGDecoder

    Raises
    ------
    ParameterError, ModelError, BridgeError
        As `XRAGDecoder`.

    Examples
    --------
    >>> from smotext_lab import shared_decoder
    >>> shared_decoder() is shared_decoder()
    True
    """
    from smotext_lab.decoders import XRAGDecoder

    encoder = DEFAULT_ENCODER if encoder is None else encoder
    apart = {name: settings.pop(name) for name in _LOADING if name in settings}
    named = str(bridge) if isinstance(bridge, str | Path) else bridge
    key = (encoder, str(llm), named, prompt, *(str(apart.get(name)) for name in _LOADING))
    with _lock:
        if key not in _shared:
            made = XRAGDecoder(llm, bridge, encoder=_own_reader(encoder), prompt=prompt, **apart)
            _shared.clear()
            _shared[key] = made
        kept: XRAGDecoder = _shared[key]
        if not settings:
            return kept
        settings |= apart
        twin = XRAGDecoder(llm, bridge, encoder=kept.encoder, prompt=prompt, **settings)
        set_up(kept)
        return twin.sharing(kept)


def named_decoder(
    models: str | None = None,
    encoder: str = DEFAULT_ENCODER,
    llm: str = DEFAULT_LLM,
    bridge: str = "default",
    **settings: Any,
) -> XRAGDecoder:
    """Return the decoder that a report's parameters name.

    Parameters
    ----------
    models : str, optional
        ``"xrag-7b"``: the paper's own models, 7 billion weights each. The folder or hub id of
        another checkpoint of xRAG's layout: that one, with `encoder`. Either may end in
        ``":4bit"`` or ``":8bit"``, as in ``"xrag-7b:4bit"``. By default the three below.
    encoder, llm, bridge
        See `shared_decoder`.
    **settings
        Other parameters of `XRAGDecoder`.

    Raises
    ------
    ParameterError, ModelError, BridgeError
        As `XRAGDecoder`.

    Examples
    --------
    >>> named_decoder(n_candidates=2)
    XRAGDecoder('SmolLM2-135M-Instruct', bridge='default')
    """
    from smotext_lab.decoders import XRAGDecoder
    from smotext_lab.encoders import BertEncoder

    name, _, precision = (models or "").rpartition(":")
    if precision in QUANTIZED:
        models, settings = name, settings | {"dtype": precision}
    if models == "xrag-7b":
        return XRAGDecoder.from_xrag(**settings)
    if models:
        return XRAGDecoder.from_xrag(models, encoder=BertEncoder(encoder), **settings)
    return XRAGDecoder(llm, bridge, encoder=BertEncoder(encoder), **settings)


def set_up(decoder: Any) -> None:
    """Load the weights of a decoder and its encoder, if they are not loaded yet."""
    import numpy as np

    if not decoder.is_loaded:
        decoder.explain(np.eye(1, decoder.encoder.dim, dtype=np.float32))


def loaded() -> list[str]:
    """Return the names of the models that `shared_decoder` keeps in memory."""
    return [
        str(name)
        for decoder in list(_shared.values())
        for name, part in ((decoder.encoder.name, decoder.encoder), (decoder.llm, decoder))
        if getattr(part, "is_loaded", False)
    ]


def unload() -> list[str]:
    """Let go of the models that `shared_decoder` keeps; the next use loads them again.

    Returns
    -------
    list of str
        Those that were loaded. Decoders and encoders that you hold yourself keep theirs.
    """
    with _lock:
        named = loaded()
        _shared.clear()
    if named:
        gc.collect()  # torch's modules refer to one another
    return named


def _own_reader(encoder: Any) -> Any:
    """Return the encoder with which a decoder reads its own texts."""
    from smotext_lab.encoders import BertEncoder

    if isinstance(encoder, str):
        return BertEncoder(encoder)
    # its own texts may be long and must not be refused
    truncates = getattr(encoder, "long_texts", "truncate") == "truncate"
    return encoder if truncates else _reading(encoder, "truncate")


def _reading(encoder: Any, long_texts: str | None) -> Any:
    """Return `encoder` with that policy for long texts."""
    if long_texts is None or getattr(encoder, "long_texts", None) == long_texts:
        return encoder
    if not hasattr(encoder, "long_texts"):
        msg = f"long_texts={long_texts!r} cannot be set: {encoder!r} has no policy for long texts."
        raise ParameterError(msg)
    _ = encoder.dim  # loads the weights first, so that the copy shares them
    twin = copy.deepcopy(encoder)
    twin.long_texts = long_texts
    return twin
