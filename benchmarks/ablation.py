"""What carries: ways of choosing among the texts tried, and what each keeps of the real ones.

    python -m benchmarks.ablation SET.csv.gz … --k 10 --times 1 4 --out ablation.json

From `--k` real texts of each class, SMOTE's points are written once, with `--n-candidates` tries
each. Every way of choosing takes its texts from the same tries, so that nothing but the choice
differs; a classifier is trained on them alone and tested on real texts. *Kept* is its macro-F1
above guessing, as a share of that of the real texts. What is refused is left out here, where the
sampler writes it again. The same with `guidance_scale`: the decoder is asked to go beyond the
points, which gives other tries. At the end, ways of choosing among the blends: a half of all texts,
by where their points lie or how sure two judges are, beside a half by lot; and all of them,
weighted by how sure the judge is.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks.machine import described
from smotext_lab import Guards, SMOTEInterpolator, SMOTExT, named_decoder
from smotext_lab.bridges import split_words
from smotext_lab.candidates import LABEL_WEIGHT
from smotext_lab.decoded import Decoded
from smotext_lab.evaluation.classifiers import Remembering, text_classifier
from smotext_lab.evaluation.splits import Split
from smotext_lab.evaluation.statistics import retention
from smotext_lab.evaluation.training import TrainingTexts
from smotext_lab.forms import TextForm
from smotext_lab.guards import Judge
from smotext_lab.interpolators.blends import Blends
from smotext_lab.reports import evidence
from smotext_lab.sampler.generation import Source

CLASSIFIERS = ("embedding-logreg", "tfidf-logreg")
VOTE = replace(Guards.off(), label_neighbors=20)
LABELS = replace(VOTE, label_classifier=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("sets", nargs="+", metavar="SET", type=Path)
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--times", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--resamples", type=int, default=10)
    parser.add_argument("--max-classes", type=int, default=4)
    parser.add_argument("--test-rows", type=int, default=300)
    parser.add_argument("--n-candidates", type=int, default=4)
    parser.add_argument("--random-state", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("ablation.json"))
    given = parser.parse_args()
    decoder = named_decoder(n_candidates=given.n_candidates, max_new_tokens=64)
    rows: list[dict[str, Any]] = []
    for path in given.sets:
        rows += _measured(path, given, decoder)
        told = {"machine": described(), "asked": _asked(given), "kept": rows}
        given.out.write_text(json.dumps(told, indent=1) + "\n")
    _print(rows)


def _asked(given: argparse.Namespace) -> dict[str, Any]:
    asked = {name: value for name, value in vars(given).items() if name != "out"}
    return asked | {"sets": [path.name for path in given.sets]}


def _measured(path: Path, given: argparse.Namespace, decoder: Any) -> list[dict[str, Any]]:
    split = evidence.prepared(
        str(path),
        text=None,
        label=None,
        max_classes=given.max_classes,
        test_rows=given.test_rows,
        overlap="drop",
        random_state=given.random_state,
    ).with_texts(given.k)
    encoder = Remembering(decoder.encoder)
    said: dict[tuple[str, int, str], list[np.ndarray]] = defaultdict(list)
    for resample in tqdm(range(given.resamples), split.name):
        seed = int(np.random.SeedSequence([given.random_state, resample]).generate_state(1)[0])
        real = _real(split, given.k, seed)
        for how, times, train in (("real", 1, real), *_chosen(real, given, decoder, seed)):
            for judge in CLASSIFIERS:
                if train.points is None or judge == "embedding-logreg":
                    model = text_classifier(judge, encoder, resample)
                    model.fit(train, split.classes)
                    chances = model.predict_proba(split.test_texts)
                    said[how, times, judge].append(chances.argmax(axis=1))
    truth = np.searchsorted(split.classes, split.test_labels)
    rows = []
    for (how, times, judge), ours in said.items():
        theirs = np.array(said["real", 1, judge])
        kept = retention(truth, np.array(ours), theirs, len(split.classes))
        what = {"dataset": split.name, "k": given.k, "times": times, "classifier": judge}
        rows.append({**what, "chosen": how, "kept": kept.value, "low": kept.low, "high": kept.high})
    return rows


def _real(split: Split, k: int, seed: int) -> TrainingTexts:
    order = np.random.default_rng(seed).permutation(len(split.train_texts))
    rows = np.concatenate([order[split.train_labels[order] == c][:k] for c in split.classes])
    return TrainingTexts([split.train_texts[row] for row in rows], split.train_labels[rows])


def _chosen(
    real: TrainingTexts, given: argparse.Namespace, decoder: Any, seed: int
) -> Iterator[tuple[str, float, TrainingTexts]]:
    """Yield every way of choosing, how many new texts for a real one, and the texts."""
    vectors = decoder.encoder.encode(real.texts)
    source = Source(
        vectors,
        real.labels,
        SMOTEInterpolator(5),
        seed,
        forms=[TextForm.of(text) for text in real.texts],
        lengths=np.array([len(split_words(text)) for text in real.texts]),
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "SMOTEInterpolator: class", UserWarning)
        most = dict.fromkeys(np.unique(real.labels).tolist(), given.k * max(given.times))
        blends = source.draw(most)
    points = source.points(blends)
    known = (real.texts, vectors, real.labels)
    tries = _tries(source, blends, points, decoder)
    labels = LABELS.fit(*known)
    beyond = SMOTExT().guidance_scale * labels.outward(blends.label)
    guided = _tries(source, blends, points, decoder, beyond)
    wanted = blends.label.repeat(tries.each)
    vote, every = (judge.agreement(tries.vectors, wanted) for judge in (VOTE.fit(*known), labels))
    ways = {  # each with what those before it look at
        "any of the tries": np.random.default_rng(seed).random(len(tries.texts)),
        "the nearest to the point": tries.cosines,
        "and likely, in form": tries.scores,
        "and of the label by its nearest real texts": tries.scores + LABEL_WEIGHT * vote,
        "and of the label by all real texts": tries.scores + LABEL_WEIGHT * every,
    }
    for times in given.times:
        first = _first(blends.label, given.k * times)
        at = blends.label[first]
        none = TrainingTexts([], at[:0], points=points[first], point_labels=at)
        yield "the points, nothing written", times, none
        for how, rank in ways.items():
            best = tries.best(rank)[first]
            yield how, times, TrainingTexts([tries.texts[i] for i in best], at)
        for what, guards in (("label", LABELS), ("any", Guards())):
            kept = _not_refused(guards.fit(*known), tries, best, at)
            yield f"and not refused by {what} guard", times, kept
        sure = labels.agreement(guided.vectors, wanted)
        best = guided.best(guided.scores + LABEL_WEIGHT * sure)[first]
        written = TrainingTexts([guided.texts[i] for i in best], at)
        yield "guided, and of the label by all real texts", times, written
        kept = _not_refused(Guards().fit(*known), guided, best, at)
        yield "guided, and not refused by any guard", times, kept
    best = tries.best(tries.scores + LABEL_WEIGHT * every)
    whole = TrainingTexts([tries.texts[i] for i in best], blends.label)
    sure = np.minimum(every[best], _sure_by_words(real, whole, seed))
    ranks = _ranks(vectors, real.labels, blends, points, seed) | {"surest by two judges": sure}
    for how, rank in ranks.items():
        rows = _highest(rank, blends.label, given.k * max(given.times) // 2)
        half = TrainingTexts([whole.texts[row] for row in rows], blends.label[rows])
        yield f"the half {how}, of the label by all real texts", max(given.times) / 2, half
    weighted = replace(whole, weights=every[best] / every[best].mean())
    yield "of the label by all real texts, weighted by it", max(given.times), weighted


def _ranks(
    vectors: np.ndarray, labels: np.ndarray, blends: Blends, points: np.ndarray, seed: int
) -> dict[str, np.ndarray]:
    """Return ways to rank blends by where they lie, and one by lot."""
    classes, codes = np.unique(labels, return_inverse=True)
    means = np.stack([vectors[codes == code].mean(axis=0) for code in range(len(classes))])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    near = points @ means.T
    own = np.searchsorted(classes, blends.label)
    rows = np.arange(len(points))
    centre = near[rows, own]
    near[rows, own] = -np.inf
    off_half = np.abs(blends.weights[:, 1] - 0.5)
    return {
        "by lot": np.random.default_rng(seed).random(len(points)),
        "nearest to the class's centre": centre,
        "farthest from other classes": centre - near.max(axis=1),
        "with λ nearest to a half": -off_half,
        "with λ nearest to a parent": off_half,
    }


def _highest(rank: np.ndarray, labels: np.ndarray, n: int) -> np.ndarray:
    """Return the rows of the n highest of each class."""
    each = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    return np.sort(np.concatenate([rows[np.argsort(-rank[rows])[:n]] for rows in each]))


def _sure_by_words(real: TrainingTexts, new: TrainingTexts, seed: int) -> np.ndarray:
    """Return the chance that words alone give each new text its class."""
    classes = np.unique(real.labels)
    model = text_classifier("tfidf-logreg", None, seed)
    model.fit(real, classes)
    chances = model.predict_proba(new.texts)
    sure: np.ndarray = chances[np.arange(len(new)), np.searchsorted(classes, new.labels)]
    return sure


def _not_refused(judge: Judge, tries: _Tries, best: np.ndarray, at: np.ndarray) -> TrainingTexts:
    texts = [tries.texts[i] for i in best]
    verdicts = judge.judge(texts, tries.vectors[best], at)
    kept = [i for i, verdict in enumerate(verdicts) if verdict.accepted]
    return TrainingTexts([texts[i] for i in kept], at[kept])


class _Tries:
    """All texts that were tried, row after row, so many for each point."""

    def __init__(self, decoded: list[Decoded], encoder: Any) -> None:
        trace = [tried for each in decoded for tried in each.trace]
        self.each = len(decoded[0].trace)
        self.texts = [tried.text for tried in trace]
        self.cosines = np.array([tried.cosine for tried in trace])
        self.scores = np.array([tried.score for tried in trace])
        self.vectors: np.ndarray = encoder.encode(self.texts)

    def best(self, rank: np.ndarray) -> np.ndarray:
        """Return which text each point gets."""
        best = rank.reshape(-1, self.each).argmax(axis=1)
        found: np.ndarray = best + self.each * np.arange(len(best))
        return found


def _tries(
    source: Source,
    blends: Blends,
    points: np.ndarray,
    decoder: Any,
    guidance: np.ndarray | None = None,
) -> _Tries:
    how = {"forms": source.forms_of(blends), "lengths": source.lengths_of(blends)}
    rows = decoder.decode_rows(points, seeds=blends.seed, guidance=guidance, **how)
    return _Tries(list(rows), decoder.encoder)


def _first(labels: np.ndarray, n: int) -> np.ndarray:
    return np.sort(np.concatenate([np.flatnonzero(labels == c)[:n] for c in np.unique(labels)]))


def _print(rows: list[dict[str, Any]]) -> None:
    print("| set | new for each real | chosen | " + " | ".join(CLASSIFIERS) + " |")
    print("|---|---|---|" + "---|" * len(CLASSIFIERS))
    lines = dict.fromkeys((row["dataset"], row["times"], row["chosen"]) for row in rows)
    told = {(r["dataset"], r["times"], r["chosen"], r["classifier"]): r for r in rows}
    for line in lines:
        found = [told.get((*line, judge)) for judge in CLASSIFIERS]
        cells = [
            "" if row is None else f"{row['kept']:.2f} [{row['low']:.2f}, {row['high']:.2f}]"
            for row in found
        ]
        dataset, times, how = line
        print("| " + " | ".join([dataset, f"{times:g}", how, *cells]) + " |")


if __name__ == "__main__":
    main()
