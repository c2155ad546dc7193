"""What plain SMOTExT and `DPAnchors` give away and what their texts are worth, side by side.

    python -m benchmarks.privacy sms_spam.csv.gz sst2.csv.gz --per-part 600 --n 300
    python -m benchmarks.privacy sst2.csv.gz --per-part 0 --epsilon 4 --resamples 5

The training part of each set is cut into train and holdout at random, `--per-part` texts each.
`--n` texts are made of train by plain SMOTExT and by DPAnchors at each ε (δ = 1 / (n ln n)), as
many of each class, and `privacy.audit` attacks them. Beside them stands plain copying: as many
training texts at random, handed out as they are. With `--per-part 0` the whole training part is
train: there is no holdout of the same distribution then, and no attack.

Retention is the macro-F1 above guessing of the evaluation's *embedding-logreg* trained on the new
texts only, over that trained on train; both are tested on the set's test part. All is done anew
`--resamples` times, with other parts, blends and texts, and with other noise.
"""

from __future__ import annotations

import argparse
import json
import math
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.machine import described
from smotext_lab import SMOTExT, load_dataset, named_decoder
from smotext_lab.errors import SmotextError
from smotext_lab.evaluation.classifiers import Remembering
from smotext_lab.privacy import DPAnchors, audit
from smotext_lab.reports.privacy import above_guessing, kept


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("sets", nargs="+")
    parser.add_argument("--per-part", type=int, default=600, help="0: all, without an attack")
    parser.add_argument("--n", type=int, default=300, help="texts made, of all classes together")
    parser.add_argument("--epsilon", type=float, nargs="*", default=[1.0, 4.0])
    parser.add_argument("--resamples", type=int, default=1)
    parser.add_argument("--guidance-scale", type=float, default=0.5)
    parser.add_argument("--n-candidates", type=int, default=4)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--out", type=Path, default=Path("privacy.json"))
    given = parser.parse_args()
    decoder = named_decoder(n_candidates=given.n_candidates, max_new_tokens=64)
    settings = {k: v for k, v in vars(given).items() if k not in ("sets", "out")}
    found: dict[str, Any] = {"machine": described(), **settings, "sets": {}}
    for name in given.sets:
        frame = load_dataset(name)
        rows = found["sets"][Path(name).name.partition(".")[0]] = {}
        encoder = Remembering(decoder.encoder)
        alone = Remembering(decoder.encoder)  # what mechanisms read, each text by itself, once
        for seed in range(given.resamples):
            parts = cut(frame, given.per_part, seed)
            if seed == 0 or given.per_part:
                real = above_guessing(encoder, parts["train"], parts["test"])
            writer = Writer(given, decoder, alone, seed)
            for method, figures in measured(parts, real, writer, encoder):
                rows.setdefault(method, []).append(figures)
                print(name, seed, method, figures, flush=True)
                given.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        for method, each in rows.items():
            kepts = [figures.get("retention", math.nan) for figures in each]
            print(f"{name} {method}: kept {np.mean(kepts):.3f}, at least {np.min(kepts):.3f}")


METHODS = ("copying", "SMOTExT", "DPAnchors")


def cut(frame: pd.DataFrame, per_part: int, seed: int) -> dict[str, pd.DataFrame]:
    """Return train, holdout and test; no holdout where train is the whole training part."""
    rows = frame[frame["split"] == "train"].drop_duplicates("text")
    rows = rows.sample(frac=1, random_state=seed)
    size = per_part or len(rows)
    test = frame[frame["split"] == "test"]
    return {"train": rows[:size], "holdout": rows[size : 2 * size], "test": test}


def measured(
    parts: dict[str, pd.DataFrame], real: float, writer: Writer, encoder: Any
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each method with its figures."""
    train, holdout, test = parts["train"], parts["holdout"], parts["test"]
    for method in writer.methods():
        started = time.perf_counter()
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            try:
                new = writer.made(method, train)
            except SmotextError as error:
                yield method, {"error": str(error)}
                continue
        texts = new if isinstance(new, pd.DataFrame) else new.accepted
        figures: dict[str, Any] = {"synthetic": len(texts), "train": len(train)}
        if len(holdout):
            attacked = new["text"].tolist() if isinstance(new, pd.DataFrame) else new
            figures = audit(
                attacked, train["text"], holdout["text"], encoder=encoder, reconstruction=False
            ).figures()
        figures["retention"] = kept(above_guessing(encoder, texts, test), real)
        figures["classes_left_out"] = sorted(set(train["label"]) - set(texts["label"]))
        figures["warnings"] = [str(w.message)[:300] for w in said if w.category is UserWarning]
        figures["delta"] = delta_for(train)
        figures["seconds"] = round(time.perf_counter() - started, 1)
        yield method, figures


@dataclass(frozen=True)
class Writer:
    """Makes texts by the methods that are asked for."""

    given: argparse.Namespace
    decoder: Any
    alone: Any
    seed: int

    def methods(self) -> list[str]:
        """Return the methods, the mechanism once for each ε."""
        asked = self.given.methods
        named = [method for method in asked if method != "DPAnchors"]
        return named + [f"DPAnchors {e:g}" for e in self.given.epsilon if "DPAnchors" in asked]

    def made(self, method: str, train: pd.DataFrame) -> Any:
        """Return the texts of a method: a frame of copies, or a synthesis."""
        classes = sorted(train["label"].unique())
        wanted = {label: math.ceil(self.given.n / len(classes)) for label in classes}
        if method == "copying":
            shuffled = train.sample(frac=1, random_state=self.seed)
            return shuffled.groupby("label").head(max(wanted.values()))
        settings: dict[str, Any] = {"decoder": self.decoder, "random_state": self.seed}
        settings |= {"guidance_scale": self.given.guidance_scale, "progress": False}
        if method == "SMOTExT":
            return SMOTExT(**settings).generate(train["text"], train["label"], wanted)
        epsilon = float(method.rpartition(" ")[2])
        mechanism = DPAnchors(epsilon, delta_for(train), encoder=self.alone, **settings)
        mechanism.fit(train["text"].tolist(), train["label"].tolist())
        usable = set(mechanism.released_.centroids()[1].tolist())
        return mechanism.generate({c: m for c, m in wanted.items() if c in usable})


def delta_for(train: pd.DataFrame) -> float:
    return 1 / (len(train) * math.log(len(train)))


if __name__ == "__main__":
    main()
