"""Making a part: decode and judge the rows of its plan, and write what came of them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from smotext_lab.errors import DataError
from smotext_lab.forms import TextForm
from smotext_lab.guards import Guards
from smotext_lab.identity import dtypes_of, models_of, remade
from smotext_lab.interpolators.blends import Blends
from smotext_lab.machine import release_memory
from smotext_lab.sampler.generation import Generation, Source, word_counts
from smotext_lab.scale.batches import KeptBatches
from smotext_lab.scale.plan import read_plan, spare_turns
from smotext_lab.scale.spec import JobSpec
from smotext_lab.scale.store import Store
from smotext_lab.scale.tables import table_bytes
from smotext_lab.scale.texts import RealTexts
from smotext_lab.synthesis import Synthesis

__all__ = ["PartSource", "Stopped", "Workshop", "rows_schema"]


class Stopped(Exception):  # noqa: N818 - it is no error
    """The job was cancelled, or its driver wants to stop; what was finished is kept."""


class PartSource:
    """The blends of one part, and only those real texts that are parents in it.

    Parameters
    ----------
    plans : dict of int -> Blends
        By turn, as `read_plan` gives them.
    real : RealTexts
    blending : {"lerp", "slerp"}
    decoder : XRAGDecoder
        Its bridge says what a word is.
    """

    def __init__(
        self, plans: Mapping[int, Blends], real: RealTexts, blending: Any, decoder: Any
    ) -> None:
        self._plans = plans
        self._places = np.unique(np.concatenate([b.parents.ravel() for b in plans.values()]))
        texts = [real.texts[place] for place in self._places.tolist()]
        self._source = Source(
            np.asarray(real.vectors[self._places]),
            real.labels[self._places],
            interpolator=None,  # type: ignore[arg-type]  # all that is drawn has been drawn
            random_state=0,
            blending=blending,
            forms=[TextForm.of(text) for text in texts],
            lengths=word_counts(texts, decoder),
        )

    def draw(self, n: Mapping[Any, int], turn: int = 0) -> Blends:  # noqa: ARG002 - planned
        """Return the part's blends of that turn."""
        return self._plans[turn]

    def points(self, blends: Blends) -> np.ndarray:
        """See `Drawn`."""
        return self._source.points(self._here(blends))

    def forms_of(self, blends: Blends) -> list[TextForm] | None:
        """See `Drawn`."""
        return self._source.forms_of(self._here(blends))

    def lengths_of(self, blends: Blends) -> list[int] | None:
        """See `Drawn`."""
        return self._source.lengths_of(self._here(blends))

    def _here(self, blends: Blends) -> Blends:
        parents = np.searchsorted(self._places, blends.parents)
        return Blends(parents, blends.weights, blends.label, blends.seed)


class Workshop:
    """What a worker needs for any part of a job; loads the models once.

    Parameters
    ----------
    store : Store
    decoder : XRAGDecoder, optional
        Default the one that the job names.

    Raises
    ------
    DataError
        If the models are not those that the job was made with.
    """

    def __init__(self, store: Store, decoder: Any = None) -> None:
        from smotext_lab.equipment import set_up

        self.store, self.spec = store, JobSpec.read(store)
        self.decoder = remade(self.spec.decoder) if decoder is None else decoder
        check_models(self.spec, self.decoder)
        if hasattr(self.decoder, "is_loaded"):
            set_up(self.decoder)
        self.real = RealTexts.load(store, self.spec.shards, self.spec.classes)
        guards = Guards(**self.spec.settings["guards"])
        self._judge = guards.fit(self.real.texts, self.real.vectors, self.real.labels)

    def make(
        self,
        part: str,
        *,
        before_each: Callable[[], None] = lambda: None,
        after_each: Callable[[int], None] = lambda _: None,
    ) -> dict[str, Any]:
        """Make a part, unless it is there; return what is to be told about it.

        Raises
        ------
        Stopped
            If the job is cancelled; the batches finished so far are kept.
        """
        if self.store.exists(f"out/{part}.parquet"):
            return {"part": part, "made": False}
        began = time.perf_counter()
        settings = self.spec.settings
        turns = spare_turns(settings["max_attempts"], settings["max_blends"])
        rows, plans, _ = read_plan(self.store, part, turns)
        batches = KeptBatches(
            self.decoder,
            self.store,
            part,
            before_each=lambda: self._go_on(before_each),
            after_each=after_each,
        )
        generation = Generation(
            PartSource(plans, self.real, settings["blending"], self.decoder),
            Counter(plans[0].label.tolist()),
            batches,
            self._judge.anew(),
            max_attempts=settings["max_attempts"],
            max_blends=settings["max_blends"],
            guidance_scale=settings["guidance_scale"],
        )
        generation.run()
        judged = time.perf_counter() - began - batches.decoding - batches.writing
        facts = self._write(part, rows, generation)
        batches.clear()
        release_memory()
        seconds = time.perf_counter() - began
        return facts | {
            "part": part,
            "made": True,
            "rows": len(rows),
            "decoded": batches.decoded,
            "seconds": round(seconds, 4),
            "decode_seconds": round(batches.decoding, 4),
            "judge_seconds": round(judged, 4),
            "write_seconds": round(seconds - judged - batches.decoding, 4),
        }

    def _go_on(self, before_each: Callable[[], None]) -> None:
        before_each()
        if self.store.exists("cancelled"):
            raise Stopped

    def _write(self, part: str, rows: np.ndarray, generation: Generation) -> dict[str, Any]:
        made = Synthesis.from_rows(generation.records)
        frame = made.frame.assign(row=rows[generation.rows])
        kept = frame["status"] == "accepted"
        reasons = {str(kind): int(count) for kind, count in made.reasons().items()}
        facts = {
            "accepted": int(kept.sum()),
            "rejected": reasons,
            "short": self._short(frame),
        }
        schema = rows_schema(self.spec.classes)
        # what was rejected first: a part is finished once its accepted rows are there
        for folder, chosen in (("rejected", ~kept), ("out", kept)):
            table = rows_table(frame[chosen], schema)
            self.store.write(f"{folder}/{part}.parquet", table_bytes(table, facts))
        return facts

    def _short(self, frame: pd.DataFrame) -> dict[str, dict[str, int]]:
        """Return how many rows have no text, by the place of their class and by reason."""
        last = frame.groupby("row").tail(1)
        refused = last[last["status"] != "accepted"]
        short: dict[str, Counter[str]] = {}
        for label, reason in zip(refused["label"], refused["reason"], strict=True):
            code = str(self.spec.classes.index(label))
            short.setdefault(code, Counter())[reason.partition(":")[0]] += 1
        return {code: dict(counts) for code, counts in short.items()}


def check_models(spec: JobSpec, decoder: Any) -> None:
    """Raise `DataError` if models or precision are not those that the job was made with."""
    for role, was in spec.models.items():
        now = models_of(decoder)[role]
        if now != was:
            msg = (
                f"The job was made with the {role} {was}, and now it is {now}: its rows would not "
                "go together. Provide that one again, or make a new job."
            )
            raise DataError(msg)
    here = dtypes_of(decoder) if spec.dtypes else {}
    for role, was in spec.dtypes.items():
        if here.get(role, was) != was:
            msg = (
                f"The job was made with the {role} in {was}, and here it would be computed in "
                f"{here[role]}: its rows would not go together. Run it on a machine of the same "
                f"kind, or make a new job and give the {role} a dtype that both compute in, such "
                "as dtype='float32'."
            )
            raise DataError(msg)


def rows_schema(classes: list[Any]) -> pa.Schema:
    """Return the columns of ``out/`` and ``rejected/``: `Synthesis` rows, and which row each is."""
    return pa.schema(
        [
            ("row", pa.int64()),
            ("text", pa.string()),
            ("label", pa.array(classes).type),
            ("label_weights", pa.string()),  # as JSON: Parquet has no dict
            ("parents", pa.list_(pa.int64())),
            ("weights", pa.list_(pa.float64())),
            ("cosine_to_target", pa.float64()),
            ("cosine_to_nearest_real", pa.float64()),
            ("label_probability", pa.float64()),
            ("attempts", pa.int64()),
            ("status", pa.string()),
            ("reason", pa.string()),
            ("seed", pa.uint64()),
        ]
    )


def rows_table(frame: pd.DataFrame, schema: pa.Schema) -> pa.Table:
    """Return rows of `Synthesis.frame`, with their column `row`, as they are written."""
    from smotext_lab.synthesis import weights_as_json

    frame = frame.assign(label_weights=weights_as_json(frame["label_weights"]))
    columns = {}
    for name in schema.names:
        values = frame[name]
        listed = values.to_numpy() if values.dtype.kind in "fi" else values.tolist()
        columns[name] = pa.array(_none_for_missing(listed), schema.field(name).type)
    return pa.table(columns, schema=schema)


def _none_for_missing(values: Any) -> Any:
    if isinstance(values, np.ndarray):
        return values
    return [None if value is pd.NA or value is None else value for value in values]
