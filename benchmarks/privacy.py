"""What plain SMOTExT and `DPAnchors` give away and what their texts are worth, side by side.

    python -m benchmarks.privacy sms_spam.csv.gz sst2.csv.gz --per-part 600 --n 300

The training part of each set is cut into train and holdout at random, `--per-part` texts each.
`--n` texts are made of train by plain SMOTExT and by DPAnchors at each ε (δ = 1 / (n ln n)), as
many of each class, and `privacy.audit` attacks them. Beside them stands plain copying: as many
training texts at random, handed out as they are. Retention is the macro-F1 above guessing of a
logistic regression on the encoder's vectors, trained on the new texts only, over that trained on
train; both are tested on the set's test part.
"""

from __future__ import annotations

import argparse
import json
import math
import time
import warnings
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.machine import described
from smotext_lab import SMOTExT, XRAGDecoder, load_dataset
from smotext_lab.errors import SmotextError
from smotext_lab.privacy import DPAnchors, audit
from smotext_lab.reports.privacy import retention


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("sets", nargs="+")
    parser.add_argument("--per-part", type=int, default=600)
    parser.add_argument("--n", type=int, default=300)
    parser.add_argument("--epsilon", type=float, nargs="*", default=[1.0, 4.0])
    parser.add_argument("--out", type=Path, default=Path("privacy.json"))
    given = parser.parse_args()
    decoder = XRAGDecoder(max_new_tokens=64, random_state=0)
    found: dict[str, Any] = {"machine": described(), "per_part": given.per_part, "sets": {}}
    for name in given.sets:
        frame = load_dataset(name)
        rows = found["sets"][Path(name).name.partition(".")[0]] = {}
        for method, figures in measured(frame, given, decoder):
            rows[method] = figures
            print(name, method, figures, flush=True)
            given.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def measured(frame: pd.DataFrame, given: Any, decoder: Any) -> Any:
    """Yield each method with its figures."""
    rows = frame[frame["split"] == "train"].drop_duplicates("text").sample(frac=1, random_state=0)
    train, holdout = rows[: given.per_part], rows[given.per_part : 2 * given.per_part]
    test = frame[frame["split"] == "test"]
    encoder = decoder.encoder
    real, tests = (
        (encoder.encode(part["text"].tolist()), part["label"].tolist()) for part in (train, test)
    )
    classes = sorted(train["label"].unique())
    wanted = {label: math.ceil(given.n / len(classes)) for label in classes}
    delta = 1 / (len(train) * math.log(len(train)))

    def made(method: str) -> Any:
        if method == "copying":
            return train.groupby("label").head(max(wanted.values()))
        if method == "SMOTExT":
            sampler = SMOTExT(decoder=decoder, random_state=0, progress=False)
            return sampler.generate(train["text"], train["label"], wanted)
        epsilon = float(method.rpartition(" ")[2])
        mechanism = DPAnchors(epsilon, delta, decoder=decoder, random_state=0, progress=False)
        mechanism.fit(train["text"].tolist(), train["label"].tolist())
        usable = set(mechanism.released_.centroids()[1].tolist())
        return mechanism.generate({c: m for c, m in wanted.items() if c in usable})

    for method in ("copying", "SMOTExT", *(f"DPAnchors {e:g}" for e in given.epsilon)):
        started = time.perf_counter()
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            try:
                new = made(method)
            except SmotextError as error:
                yield method, {"error": str(error)}
                continue
        texts = new if isinstance(new, pd.DataFrame) else new.accepted
        vectors = encoder.encode(texts["text"].tolist())
        attacked = new["text"].tolist() if isinstance(new, pd.DataFrame) else new
        figures = audit(
            attacked, train["text"], holdout["text"], encoder=encoder, reconstruction=False
        ).figures()
        figures["retention"] = retention(vectors, texts["label"].tolist(), real, tests)
        figures["classes_left_out"] = sorted(set(classes) - set(texts["label"]))
        figures["warnings"] = [str(w.message)[:300] for w in said if w.category is UserWarning]
        figures["delta"] = delta
        figures["seconds"] = round(time.perf_counter() - started, 1)
        yield method, figures


if __name__ == "__main__":
    main()
