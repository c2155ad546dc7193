"""The subcommands: each asks the library for what its options say."""

from __future__ import annotations

import warnings
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from smotext_lab import words
from smotext_lab.errors import DataError, ParameterError
from smotext_lab.jupyter import names
from smotext_lab.jupyter.bodies import labelled_lines, texts_between
from smotext_lab.jupyter.equipping import Equipment
from smotext_lab.jupyter.listings import defaults, models, templates, unloaded
from smotext_lab.jupyter.parsing import listed

if TYPE_CHECKING:
    import pandas as pd

    from smotext_lab.jupyter.magic import SmotextMagics
    from smotext_lab.synthesis import Synthesis

__all__ = ["Made", "Run"]

_N = 10  # new texts where no number is given


@dataclass(frozen=True)
class Made:
    """What a subcommand leaves.

    Attributes
    ----------
    value : object
    then : BaseException, optional
        To be raised when the value has been kept: it is not all that was asked for.
    lasting : bool
        Whether ``last`` gives it again.
    """

    value: Any
    then: BaseException | None = None
    lasting: bool = True


class Run:
    """One call of the magic.

    Parameters
    ----------
    magics : SmotextMagics
    given : Namespace
        Options as parsed.
    body : str or None
        What stands below the line.
    namespace : mapping
        The notebook's names.
    """

    def __init__(
        self,
        magics: SmotextMagics,
        given: Namespace,
        body: str | None,
        namespace: Mapping[str, Any],
    ) -> None:
        self.magics = magics
        self.given = given
        self.body = body
        self.namespace = namespace

    def run(self, command: str) -> Made:
        """Run a subcommand by its name."""
        made: Made = getattr(self, f"_{command}")()
        return made

    @cached_property
    def _equipment(self) -> Equipment:
        return Equipment(self.magics, self.given, self.namespace)

    # -- making texts --------------------------------------------------------------------

    def _path(self) -> Made:
        if self.body is None:
            msg = "A path needs texts in the body, with a line of --- between: %%smotext path."
            raise ParameterError(msg)
        texts = texts_between(self.body)
        if len(texts) < 2:
            msg = "A path goes from one text to another: put a line of --- between two texts."
            raise DataError(msg)
        encoder, decoder = self._equipment.pair()
        from smotext_lab.paths import text_path

        path = text_path(
            texts,
            decoder,
            encoder=encoder,
            steps=self.given.steps,
            blending=self.given.blending,
            random_state=self._equipment.random_state,
            guards=not self.given.no_guards,
            progress=True,
        )
        return Made(path, self._interrupted(path, path.info.get("asked")))

    def _generate(self) -> Made:
        rows = self._rows()
        made = self._new_texts(rows, self._number(_N))
        return Made(made, self._lacking(made))

    def _balance(self) -> Made:
        rows = self._rows()
        made = self._new_texts(rows, None)
        before = rows["label"].value_counts(sort=False)
        if not made.info:
            print("Every class has its number already.")  # noqa: T201 - the cell's output
        for label, count in before.items():
            new = int((made.accepted["label"] == label).sum())
            print(f"{label}: {count:,} + {new:,} = {count + new:,}")  # noqa: T201
        return Made(made.to_pandas(with_originals=True), self._lacking(made))

    def _mix(self) -> Made:
        if self.body is None:
            msg = "mix needs lines 'label: text' in the body: %%smotext mix."
            raise ParameterError(msg)
        texts, labels = labelled_lines(self.body)
        import pandas as pd

        from smotext_lab.datasets import load_dataset

        rows = load_dataset(pd.DataFrame({"text": texts, "label": labels}), called="the body")
        with warnings.catch_warnings():
            # of a few lines typed by hand, everybody knows that they are few
            warnings.filterwarnings("ignore", message=".*serve as neighbours", category=UserWarning)
            made = self._new_texts(rows, self._number(_N))
        return Made(made, self._lacking(made))

    # -- looking -------------------------------------------------------------------------

    def _explore(self) -> Made:
        from smotext_lab.jupyter.widgets.explorer import InterpolationExplorer

        rows = None if self.body is not None else self._rows()
        given = texts_between(self.body) if self.body is not None else []
        if self.body is not None and len(given) != 2:
            msg = f"The explorer goes from one text to one other; the body has {len(given)}."
            raise DataError(msg)
        if rows is None and (self.given.map or self.given.frame):
            msg = "Give a frame or two texts in the body; a map needs a frame."
            raise ParameterError(msg)
        _, decoder = self._equipment.pair()
        guards = not self.given.no_guards
        if rows is not None and self.given.map:
            from smotext_lab.jupyter.widgets.latent_map import LatentMap

            texts, labels = rows["text"].tolist(), rows["label"].tolist()
            return Made(LatentMap(texts, labels, decoder=decoder, guards=guards))
        how = {"blending": self.given.blending, "random_state": self._equipment.random_state or 0}
        how["guards"] = guards
        if rows is None:
            start, end = given
            return Made(InterpolationExplorer(decoder=decoder, start=start, end=end, **how))
        texts, labels = rows["text"].tolist(), rows["label"].tolist()
        return Made(InterpolationExplorer(texts, labels, decoder=decoder, **how))

    def _compare(self) -> Made:
        from smotext_lab.jupyter.widgets.comparison import DecoderComparison, usual_decoders

        if self.body is None:
            msg = "A comparison needs texts in the body: %%smotext compare, with --- between."
            raise ParameterError(msg)
        named: dict[str, Any] = {}
        for word in self.given.decoders:
            found = names.object_named(word, "decoder", self.namespace, {})
            if found is None:
                raise ParameterError(names.unknown(word, "decoder", self.namespace, {}))
            named[word] = found
        decoders = named or usual_decoders(self._equipment.pair()[1])
        how = {"steps": self.given.steps, "random_state": self._equipment.random_state or 0}
        how["guards"] = not self.given.no_guards
        return Made(DecoderComparison(texts_between(self.body), decoders, **how))

    # -- rows ----------------------------------------------------------------------------

    def _rows(self) -> pd.DataFrame:
        """Return the rows of FRAME that are of use."""
        from smotext_lab.datasets import load_dataset

        word = self.given.frame
        if word is None:
            there = listed(names.frames(self.namespace), "none yet")
            msg = f"A frame is needed: %smotext tickets, for example; frames here: {there}."
            raise ParameterError(msg)
        frame = names.frame_named(word, self.namespace)
        rows = load_dataset(
            word if frame is None else frame,
            text=self.given.text,
            label=self.given.label,
            called=word,
        )
        return words.one_split(rows, self.given.split, word)

    def _number(self, default: int) -> int | Mapping[Any, int]:
        if not self.given.n:
            return default
        held = self._held(self.given.n[0]) if len(self.given.n) == 1 else None
        return words.counts_of(self.given.n) if held is None else held

    def _held(self, word: str) -> Any:
        """Return the number or numbers that a variable of that name holds, or None."""
        value = self.namespace.get(word) if word.isidentifier() else None
        return value if isinstance(value, int | Mapping) else None

    def _new_texts(self, rows: pd.DataFrame, n: int | Mapping[Any, int] | None) -> Synthesis:
        from smotext_lab.making import classes_named, new_texts, numbers
        from smotext_lab.sampler import SMOTExT

        given, labels = self.given, rows["label"]
        only = classes_named(given.only, labels)
        guards = words.guards_of(given.guard, off=given.no_guards)
        masked = words.masked_names(mask=given.mask, file=given.mask_names)
        interpolator = self._equipment.interpolator()
        strategy: Any = "auto"
        if n is None:
            strategy = self._held(given.sampling_strategy)
            strategy = words.strategy_of(given.sampling_strategy) if strategy is None else strategy
        sampler = SMOTExT(
            sampling_strategy=words.in_labels(strategy, labels),
            interpolator=interpolator,
            random_state=self._equipment.random_state,
            blending=given.blending,
            guidance_scale=given.guidance_scale,
            guards=guards,
            max_attempts=given.max_attempts,
            max_blends=given.max_blends,
            long_texts=given.long_texts,
        )
        # what can be refused is refused before models are loaded
        wanted = numbers(sampler, rows, n, only=only)
        encoder, decoder = self._equipment.pair()
        sampler.set_params(encoder=encoder, decoder=decoder)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Interrupted: ")  # it is told another way
            return new_texts(sampler, rows, wanted, masked_names=masked)

    def _lacking(self, made: Synthesis) -> BaseException | None:
        """Return what is to be raised where a class did not get its number."""
        asked = sum(made.info.get("asked", {}).values())
        stopped = self._interrupted(made, asked)
        if stopped is not None or len(made) >= asked or not self.given.strict:
            return stopped
        kept = f"they are {self._kept}; its rejected and info say why"
        return DataError(f"{len(made)} of {asked} new texts were made: {kept}.")

    def _interrupted(self, made: Any, asked: int | None) -> BaseException | None:
        if not made.info.get("interrupted"):
            return None
        from smotext_lab.jupyter.magic import Interrupted

        return Interrupted(f"{len(made)} of {asked} texts are finished; they are {self._kept}.")

    @property
    def _kept(self) -> str:
        return f"in {self.given.output}" if self.given.output else "in _ and %smotext last"

    # -- telling -------------------------------------------------------------------------

    def _report(self) -> Made:
        from smotext_lab import reports

        if self.given.template is None:
            return Made(templates(), lasting=False)
        told = reports.parse_parameters(self.given.template, self.given.parameters)
        out = self.given.out
        try:
            made = reports.run_report(
                self.given.template, told, out, kernel_name=self.given.kernel_name
            )
        except KeyboardInterrupt:
            msg = f"the report is not finished; what had run is a .failed.ipynb in {out}."
            raise KeyboardInterrupt(msg) from None
        return Made(made)

    def _config(self) -> Made:
        return Made(defaults(self.magics, self._equipment), lasting=False)

    def _models(self) -> Made:
        if self.given.unload:
            return Made(unloaded(), lasting=False)
        return Made(models(), lasting=False)

    def _last(self) -> Made:
        if self.magics.last is None:
            msg = "There is no result yet: %smotext --help tells how one is made."
            raise DataError(msg)
        return Made(self.magics.last)
