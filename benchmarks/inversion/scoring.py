"""Each text against what it was made from, the judges' labels, and plain English."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.inversion.second import second_encoder
from benchmarks.inversion.sets import LabelledSet, Points, digest
from smotext_lab import evaluation, forms
from smotext_lab.bridges import lexical
from smotext_lab.encoders import Encoder
from smotext_lab.models import fingerprint, load_llm
from smotext_lab.training.corpus import encode_corpus

__all__ = ["JUDGES", "Scorer"]

JUDGES = {
    "neighbors": "5 nearest real texts, by the decoder's own encoder",
    "tfidf": "logistic regression on TF-IDF",
    "second": "5 nearest of 2,000 real texts, by an encoder of another family",
}

_MOST_SECOND = 2000
"""Real texts that the second encoder reads: it runs at some 40 a second."""


class Scorer:
    """Scores texts, and keeps the scores: the same texts are scored once.

    Parameters
    ----------
    encoder : Encoder
        The one that was decoded from.
    llm : str
        For the perplexity; loaded without any bridge.
    cache : Path

    Attributes
    ----------
    judges : dict of str to str
        Those that there are, with what they are.
    """

    def __init__(self, encoder: Encoder, llm: str, cache: Path) -> None:
        self.encoder = encoder
        self.second = second_encoder()
        self.cache = cache
        self.judges = {name: JUDGES[name] for name in ("neighbors", "tfidf")}
        if self.second:
            self.judges["second"] = f"{JUDGES['second']}: {self.second.fingerprint}"
        self._llm = llm
        self._model: tuple[Any, Any] | None = None
        self._fitted: dict[str, Mapping[str, evaluation.LabelJudge]] = {}
        second = self.second.fingerprint if self.second else ""
        self._made_by = (encoder.fingerprint, fingerprint(llm), second, _code())

    def originals(self, of: LabelledSet) -> pd.DataFrame:
        """Score the set's own texts: labels and perplexity."""
        return self._kept("originals", of, of.texts, lambda: self._by_itself(of, of.texts))

    def score(self, of: LabelledSet, points: Points, texts: list[str]) -> pd.DataFrame:
        """Score one text a point.

        Returns
        -------
        DataFrame
            One row a text: ``cosine``, ``length_ratio``, ``kind_kept``, ``case_kept``,
            ``form_kept``, ``label_…`` for each judge, ``log_likelihood``, ``tokens`` and, for
            vectors, ``token_f1``, ``content_f1``, ``bleu``, ``exact``.
        """

        def made() -> pd.DataFrame:
            own = self._by_itself(of, texts, points.labels)
            return pd.concat([self._against(of, points, texts), own], axis=1)

        return self._kept(points.key(of), of, texts, made)

    def _against(self, of: LabelledSet, points: Points, texts: list[str]) -> pd.DataFrame:
        sources = [[of.texts[row] for row in rows] for rows in points.sources.T]
        lengths = [evaluation.length_ratio(texts, source) for source in sources]
        found: dict[str, np.ndarray] = {
            "cosine": evaluation.cosines(self._encoded(texts), points.vectors),
            # the harmonic mean of ratios is the ratio to the sources' mean length
            "length_ratio": len(lengths) / np.sum([1 / r.clip(1e-9) for r in lengths], axis=0),
            # a form is kept if it is that of any source
            "kind_kept": np.any([evaluation.kind_kept(texts, s) for s in sources], axis=0),
            "case_kept": np.any([evaluation.case_kept(texts, s) for s in sources], axis=0),
            "form_kept": np.any([evaluation.form_kept(texts, s) for s in sources], axis=0),
        }
        if points.of == "vector":
            words = evaluation.FUNCTION_WORDS
            found |= {
                "token_f1": evaluation.token_f1(texts, sources[0]),
                "content_f1": evaluation.token_f1(texts, sources[0], ignore=words),
                "bleu": evaluation.sentence_bleu(texts, sources[0]),
                "exact": evaluation.exact_match(texts, sources[0]),
            }
        return pd.DataFrame(found).astype(np.float64)

    def _by_itself(
        self, of: LabelledSet, texts: list[str], labels: np.ndarray | None = None
    ) -> pd.DataFrame:
        wanted = of.labels if labels is None else labels
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a text may be long
            judged = {
                f"label_{name}": (judge.predict(texts) == wanted).astype(np.float64)
                for name, judge in self._judges_of(of).items()
            }
        self._model = self._model or load_llm(self._llm)
        sums, tokens = evaluation.log_likelihoods(*self._model, texts)
        return pd.DataFrame(judged | {"log_likelihood": sums, "tokens": tokens})

    def _judges_of(self, of: LabelledSet) -> Mapping[str, evaluation.LabelJudge]:
        if of.digest not in self._fitted:
            judges: dict[str, evaluation.LabelJudge] = {
                "neighbors": self._neighbor_judge(of, self.encoder, len(of.train_texts)),
                "tfidf": evaluation.TfidfJudge(of.train_texts, of.train_labels),
            }
            if self.second:
                judges["second"] = self._neighbor_judge(of, self.second, _MOST_SECOND)
            self._fitted[of.digest] = judges
        return self._fitted[of.digest]

    def _neighbor_judge(
        self, of: LabelledSet, encoder: Encoder, most: int
    ) -> evaluation.NeighborJudge:
        rows = np.sort(np.random.default_rng(0).permutation(len(of.train_texts))[:most])
        texts = [of.train_texts[row] for row in rows]
        folder = self.cache / "real" / digest(encoder.fingerprint, texts)
        vectors = encode_corpus(texts, encoder, folder)
        return evaluation.NeighborJudge(encoder, vectors, of.train_labels[rows])

    def _encoded(self, texts: list[str]) -> np.ndarray:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            return self.encoder.encode(texts)

    def _kept(self, what: str, of: LabelledSet, texts: list[str], make: Any) -> pd.DataFrame:
        key = digest(self._made_by, of.digest, what, texts)
        path = self.cache / "scores" / f"{key}.parquet"
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            aside = path.with_suffix(".part")
            make().to_parquet(aside)
            aside.replace(path)
        return pd.read_parquet(path)


def _code() -> str:
    """Return what stands for the code that scores: other code, other scores."""
    files = [Path(__file__), *sorted(Path(evaluation.__file__).parent.glob("*.py"))]
    # where `form_kept` and the words of `token_f1` come from
    files += [Path(str(module.__file__)) for module in (forms, lexical)]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]
