"""What plain SMOTExT and the mechanisms give away and what their texts are worth, side by side.

    python -m benchmarks.privacy sms_spam.csv.gz sst2.csv.gz --per-part 600 --n 600
    python -m benchmarks.privacy sst2.csv.gz --per-part 0 --epsilon 4 --shares equal --resamples 5
    python -m benchmarks.privacy trec6.csv.gz --per-part 300 --n 60 --resamples 50

The training part of each set is cut into train and holdout at random, `--per-part` texts each.
`--n` texts are made of train by plain SMOTExT and by each mechanism at each ε (δ = 1 / (n ln n)),
shared among the classes as train has them (for `DPGaussian` and `DPAnchors` by noisy counts) or as
many of each (always for `PrivateEvolution`), and `privacy.audit` attacks them.
Beside them stands plain copying: as many training texts at random, handed out as they are. With
`--per-part 0` the whole training part is train: there is no holdout of the same distribution then,
and no attack. `PrivateEvolution` runs two rounds and begins with texts from between public anchors.

Retention is the macro-F1 above guessing of the evaluation's *embedding-logreg* trained on the new
texts only, over that trained on train; both are tested on the set's test part. All is done anew
`--resamples` times, with other parts, blends and texts, and with other noise: the intervals are
over these and the test texts (of one: over the test texts alone). At the end it is told in how many
of them the attack's lower bound for ε was above the one stated, among those with texts enough that
as many copies of real ones would show it, and how likely so many are if each is with 5% (binomial
test). With `--canaries` so many made-up texts are put among the real ones once, 4 and 16 times, and
looked for in what is made of them.
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
from smotext_lab.evaluation import statistics
from smotext_lab.evaluation.classifiers import Remembering
from smotext_lab.privacy import (
    DPAnchors,
    DPGaussian,
    PrivateEvolution,
    audit,
    canary_audit,
    unconditional_texts,
)
from smotext_lab.reports.privacy import learnt
from smotext_lab.sampler.counts import shares


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("sets", nargs="+")
    parser.add_argument("--per-part", type=int, default=600, help="0: all, without an attack")
    parser.add_argument("--n", type=int, default=300, help="texts made, of all classes together")
    parser.add_argument("--epsilon", type=float, nargs="*", default=[1.0, 4.0])
    parser.add_argument("--resamples", type=int, default=1)
    parser.add_argument("--guidance-scale", type=float, help="default: that of each method")
    parser.add_argument("--n-candidates", type=int, default=4)
    parser.add_argument("--shares", choices=("data", "equal"), default="data", help="of classes")
    parser.add_argument("--canaries", type=int, default=0)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--out", type=Path, default=Path("privacy.json"))
    given = parser.parse_args()
    decoder = named_decoder(n_candidates=given.n_candidates, max_new_tokens=64)
    settings = {k: v for k, v in vars(given).items() if k not in ("sets", "out")}
    found: dict[str, Any] = {"machine": described(), **settings, "sets": {}, "kept": {}}
    for name in given.sets:
        each = (Path(name).name.partition(".")[0], load_dataset(name))
        for method, told in one_set(*each, decoder, given, found):
            print(*each[:1], method, told, flush=True)
            plain = json.loads(json.dumps(found), parse_constant=lambda _: None)  # no NaN in JSON
            given.out.write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")


def one_set(
    name: str, frame: pd.DataFrame, decoder: Any, given: argparse.Namespace, found: dict[str, Any]
) -> Iterator[tuple[str, Any]]:
    """Put all figures of a set into `found`; yield each method with what is new of it."""
    rows, worth = found["sets"].setdefault(name, {}), found["kept"].setdefault(name, {})
    encoder = Remembering(decoder.encoder)
    alone = Remembering(decoder.encoder)  # what mechanisms read, each text by itself, once
    classes = np.unique(frame["label"].astype(str))
    test = frame[frame["split"] == "test"]
    truth = np.searchsorted(classes, test["label"].astype(str))
    said: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    for seed in range(given.resamples):
        train, holdout = cut(frame, given.per_part, seed)
        if seed == 0 or given.per_part:
            real = learnt(encoder, train, test, classes)
        writer = Writer(given, decoder, alone, seed)
        for method, texts, figures in made_of(train, holdout, writer, encoder):
            rows.setdefault(method, []).append(figures)
            both = (learnt(encoder, texts, test, classes), real)
            said.setdefault(method, []).append(both)
            figures["retention"] = kept(truth, [both], len(classes), draws=1).value
            yield method, figures
    for method, each in rows.items():
        worth[method] = vars(kept(truth, said[method], len(classes)))
        yield method, f"{worth[method]}{above_stated(each)}"


def kept(
    truth: np.ndarray,
    said: list[tuple[np.ndarray, np.ndarray]],
    n_classes: int,
    draws: int = 1000,
) -> statistics.Effect:
    """Return the retention of pairs of what was said, of the new texts and of the real ones."""
    ours, theirs = (np.stack(each) for each in zip(*said, strict=True))
    return statistics.retention(truth, ours, theirs, n_classes, draws=draws)


MECHANISMS = ("DPGaussian", "DPAnchors", "PrivateEvolution")
METHODS = ("copying", "SMOTExT", *MECHANISMS)


def above_stated(each: list[dict[str, Any]]) -> str:
    """Return how often an attack showed more than is stated, of the runs where copying would."""
    from scipy.stats import binomtest

    held = [figures for figures in each if figures.get("epsilon_stated") is not None]
    if not held:
        return ""
    able = [
        figures for figures in held if figures["epsilon_copying_shows"] > figures["epsilon_stated"]
    ]
    if not able:
        return f"; none of {len(held)} runs has texts enough to show more than the stated ε"
    over = sum(figures["epsilon_put_to_test"] > figures["epsilon_stated"] for figures in able)
    chance = binomtest(over, len(able), 0.05, alternative="greater").pvalue
    return (
        f"; above the stated ε in {over} of the {len(able)} runs that could show more (of "
        f"{len(held)}), p = {chance:.2g}"
    )


def cut(frame: pd.DataFrame, per_part: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return train and holdout; no holdout where train is the whole training part."""
    rows = frame[frame["split"] == "train"].drop_duplicates("text")
    rows = rows.sample(frac=1, random_state=seed)
    size = per_part or len(rows)
    return rows[:size], rows[size : 2 * size]


def made_of(
    train: pd.DataFrame, holdout: pd.DataFrame, writer: Writer, encoder: Any
) -> Iterator[tuple[str, pd.DataFrame, dict[str, Any]]]:
    """Yield each method with the texts it made of train, and what an attack finds in them.

    What cannot be made or attacked has its reason under ``error``; no texts teach a guess.
    """
    for method in writer.methods():
        started = time.perf_counter()
        texts = train[:0]
        figures: dict[str, Any] = {"train": len(train), "delta": delta_for(train)}
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            try:
                new = writer.made(method, train)
                texts = new if isinstance(new, pd.DataFrame) else new.accepted
                figures["synthetic"] = len(texts)
                figures["classes_left_out"] = sorted(set(train["label"]) - set(texts["label"]))
                if len(holdout):
                    attacked = new["text"].tolist() if isinstance(new, pd.DataFrame) else new
                    parts = (train["text"], holdout["text"])
                    found = audit(attacked, *parts, encoder=encoder, reconstruction=False)
                    figures |= found.figures()
                if writer.given.canaries:
                    figures["canaries"] = writer.canaries(method, train)
            except SmotextError as error:
                figures["error"] = str(error)
        figures["warnings"] = [str(w.message)[:300] for w in said if w.category is UserWarning]
        figures["seconds"] = round(time.perf_counter() - started, 1)
        yield method, texts, figures


@dataclass(frozen=True)
class Writer:
    """Makes texts by the methods that are asked for."""

    given: argparse.Namespace
    decoder: Any
    alone: Any
    seed: int

    def methods(self) -> list[str]:
        """Return the methods, each mechanism once for each ε."""
        stated = [f" {epsilon:g}" for epsilon in self.given.epsilon]
        each = [(m, stated if m in MECHANISMS else [""]) for m in self.given.methods]
        return [name + epsilon for name, epsilons in each for epsilon in epsilons]

    def made(self, method: str, train: pd.DataFrame) -> Any:
        """Return the texts of a method: a frame of copies, or a synthesis."""
        n, labels = self.given.n, train["label"].tolist()
        equal = dict.fromkeys(sorted(set(labels)), math.ceil(n / len(set(labels))))
        as_data = self.given.shares == "data"
        if method == "copying":
            wanted = shares(n, labels) if as_data else equal
            shuffled = train.sample(frac=1, random_state=self.seed)
            return pd.concat([shuffled[shuffled["label"] == c][:m] for c, m in wanted.items()])
        settings: dict[str, Any] = {"decoder": self.decoder, "random_state": self.seed}
        settings |= {"progress": False}
        scale = self.given.guidance_scale
        guided = {} if scale is None else {"guidance_scale": scale}
        texts = train["text"].tolist()
        if method == "SMOTExT":
            return SMOTExT(**settings, **guided).generate(texts, labels, n if as_data else equal)
        name, epsilon = method.rsplit(" ", 1)
        stated = (float(epsilon), delta_for(train))
        settings["encoder"] = self.alone
        if name == "PrivateEvolution":  # as many of each class: how many there are costs budget
            start = unconditional_texts(
                self.decoder, max(equal.values()), random_state=self.seed, progress=False
            )
            return PrivateEvolution(*stated, n_rounds=2, **settings).evolve(texts, labels, start)
        kind = DPAnchors if name == "DPAnchors" else DPGaussian
        mechanism = kind(*stated, **settings, **guided).fit(texts, labels)
        usable = set(mechanism.released_.centroids()[1].tolist())
        asked = {c: m for c, m in equal.items() if c in usable}
        return mechanism.generate(n if as_data else asked)  # by the noisy counts

    def canaries(self, method: str, train: pd.DataFrame) -> list[dict[str, Any]]:
        """Return how well canaries put among the training texts are found again."""

        def generate(texts: list[str], labels: list[Any]) -> Any:
            new = self.made(method, pd.DataFrame({"text": texts, "label": labels}))
            return new["text"].tolist() if isinstance(new, pd.DataFrame) else new

        found = canary_audit(
            generate,
            train["text"].tolist(),
            train["label"].tolist(),
            n=self.given.canaries,
            encoder=Remembering(self.decoder.encoder),  # `alone` reads texts one by one
            random_state=self.seed,
        )
        return [{str(k): v for k, v in row.items()} for row in found.to_dict("records")]


def delta_for(train: pd.DataFrame) -> float:
    return 1 / (len(train) * math.log(len(train)))


if __name__ == "__main__":
    main()
