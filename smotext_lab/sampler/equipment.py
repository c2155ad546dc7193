"""The encoder that reads a user's texts and the decoder that writes new ones, as a pair."""

from __future__ import annotations

import copy
from functools import lru_cache
from typing import Any

from smotext_lab.errors import ParameterError

__all__ = ["equip"]


def equip(
    encoder: Any = None, decoder: Any = None, long_texts: str | None = None
) -> tuple[Any, Any]:
    """Return an encoder and a decoder that belong together.

    Parameters
    ----------
    encoder : Encoder, optional
        Default the decoder's.
    decoder : XRAGDecoder, optional
        Default one with the default LLM and bridge, made once a process for an encoder.
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
        decoder = _default_decoder(encoder)
    own = getattr(decoder, "encoder", None)
    if encoder is None:
        if own is None:
            msg = f"{decoder!r} names no encoder: give encoder= too."
            raise ParameterError(msg)
        encoder = own
    names = [getattr(each, "fingerprint", None) for each in (encoder, own)]
    if None not in names and names[0] != names[1]:
        msg = (
            f"The encoder is {names[0]} but the decoder's is {names[1]}: leave encoder out, or "
            "give a decoder that was made for it."
        )
        raise ParameterError(msg)
    return _reading(encoder, long_texts), decoder


@lru_cache(maxsize=1)
def _default_decoder(encoder: Any) -> Any:
    from smotext_lab.decoders import XRAGDecoder

    # The decoder reads its own texts with it: they may be long and must not be refused.
    truncates = getattr(encoder, "long_texts", "truncate") == "truncate"
    return XRAGDecoder(encoder=encoder if truncates else _reading(encoder, "truncate"))


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
