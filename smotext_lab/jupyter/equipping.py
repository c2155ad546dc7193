"""What a run works with: objects of the notebook, options of the line, the magic's defaults."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smotext_lab import words
from smotext_lab.errors import ParameterError
from smotext_lab.jupyter import names

if TYPE_CHECKING:
    from smotext_lab.jupyter.magic import SmotextMagics

__all__ = ["Equipment"]

_SETTINGS = ("n_candidates", "corrections", "temperature", "top_p", "top_k", "max_new_tokens")
_SOON = 0.2  # seconds: what is loaded already shows no bar
_NEIGHBORS = ("k_neighbors", "m_neighbors", "alpha")


class Equipment:
    """Encoder, interpolator and decoder as a line and the magic's defaults name them.

    Parameters
    ----------
    magics : SmotextMagics
        With the defaults.
    given : Namespace
        The line's options; those it lacks are defaults.
    namespace : mapping
        The notebook's names.
    """

    def __init__(
        self, magics: SmotextMagics, given: Namespace, namespace: Mapping[str, Any]
    ) -> None:
        self._magics = magics
        self._given = vars(given)
        self._names = namespace

    def _word(self, option: str) -> Any:
        given = self._given.get(option)
        return getattr(self._magics, option) if given is None else given

    @property
    def random_state(self) -> int | None:
        """The line's or the default one."""
        state: int | None = self._word("random_state")
        return state

    def encoder(self) -> Any:
        """Return the notebook's encoder, or the name of a model."""
        from smotext_lab.models import MODELS

        word = self._word("encoder")
        found = names.object_named(word, "encoder", self._names, MODELS)
        if found is None and word.isidentifier() and word not in MODELS:
            raise ParameterError(names.unknown(word, "encoder", self._names, MODELS))
        return word if found is None else found

    def interpolator(self) -> Any:
        """Return the notebook's interpolator, or one made as the options say."""
        word, known = self._word("interpolator"), words.INTERPOLATORS
        options = {name: self._given.get(name) for name in _NEIGHBORS}
        found = names.object_named(word, "interpolator", self._names, known)
        if found is not None:
            self._refuse_beside(f"the interpolator {word!r}", _NEIGHBORS)
            return found
        if word not in known:
            raise ParameterError(names.unknown(word, "interpolator", self._names, known))
        usual = {"k_neighbors": self._magics.k_neighbors}
        return words.interpolator_of(word, options, {k: v for k, v in usual.items() if v})

    def pair(self) -> tuple[Any, Any]:
        """Return encoder and decoder; models that are loaded for the first time show a bar."""
        own = self.own_decoder()
        if own is None:
            decoder = self._shared_decoder()
            return decoder.encoder, decoder
        from smotext_lab.equipment import equip

        encoder = None if self._given.get("encoder") is None else self.encoder()
        if isinstance(encoder, str):
            from smotext_lab.encoders import BertEncoder

            encoder = BertEncoder(encoder)
        return equip(encoder, own)

    def own_decoder(self) -> Any:
        """Return the notebook's decoder, where one is named."""
        word = self._word("decoder")
        if not word:
            return None
        found = names.object_named(word, "decoder", self._names, {})
        if found is None:
            raise ParameterError(names.unknown(word, "decoder", self._names, {}))
        self._refuse_beside(f"the decoder {word!r}", (*_SETTINGS, "prompt", "llm", "bridge"))
        return found

    def _refuse_beside(self, what: str, options: tuple[str, ...]) -> None:
        for option in options:
            if self._given.get(option) is not None:
                msg = f"--{option.replace('_', '-')} has no effect beside {what}: set it there."
                raise ParameterError(msg)

    def _shared_decoder(self) -> Any:
        encoder = self.encoder()
        prompt = self._given.get("prompt")
        # doubled as IPython has it for a brace that is meant; it undoes that only at times
        prompt = prompt and prompt.replace("{{xrag}}", "{xrag}")
        settings = {name: self._given.get(name) for name in _SETTINGS}
        settings["n_candidates"] = self._word("n_candidates")
        chosen = {name: value for name, value in settings.items() if value is not None}
        which = {"llm": self._word("llm"), "bridge": self._word("bridge"), "prompt": prompt}
        _load(encoder, **which)
        from smotext_lab.equipment import shared_decoder

        return shared_decoder(encoder, **which, **chosen)


def _load(encoder: Any, **which: Any) -> None:
    """Load the shared models, with a bar where that has not been done yet."""
    from tqdm.auto import tqdm

    with tqdm(total=3, desc="start torch", leave=False, delay=_SOON) as bar:
        from smotext_lab.equipment import set_up, shared_decoder

        decoder = shared_decoder(encoder, **which)
        if decoder.is_loaded:
            return
        bar.update()
        bar.set_description(f"load {Path(decoder.encoder.name).name}")
        _ = decoder.encoder.dim
        bar.update()
        bar.set_description(f"load {Path(decoder.llm).name}")
        set_up(decoder)
        bar.update()
