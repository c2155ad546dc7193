"""How fast texts become vectors, against sentence-transformers with the same weights.

    python -m benchmarks.encode SET.csv.gz … --n 2000 --runs 3 --out encode.json

Both read the same texts in float32, sentence-transformers at the best of its batch sizes; where
the CPU multiplies bfloat16 natively, ours is timed in it too. The largest difference between the
vectors is told. `pip install sentence-transformers` (or with --no-deps beside the package).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.machine import described
from smotext_lab import BertEncoder, load_dataset, machine

BATCHES = (16, 32, 64, 128, 256)


def timed(encode: Callable[[list[str]], np.ndarray], texts: list[str], runs: int) -> dict[str, Any]:
    """Return texts a second (median, and its spread over the runs) after a warm-up."""
    encode(texts[:256])
    seconds = []
    for _ in range(runs):
        started = time.perf_counter()
        encode(texts)
        seconds.append(time.perf_counter() - started)
    median = float(np.median(seconds))
    return {"texts/s": len(texts) / median, "spread": (max(seconds) - min(seconds)) / median}


def theirs(folder: str, max_length: int) -> Any:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Normalize, Pooling, Transformer

    words = Transformer(folder, max_seq_length=max_length)
    pooling = Pooling(words.get_word_embedding_dimension(), pooling_mode="mean")
    return SentenceTransformer(modules=[words, pooling, Normalize()], device="cpu")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("sets", nargs="*", type=Path)
    parser.add_argument("--n", type=int, default=2000, help="texts in all")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("encode.json"))
    given = parser.parse_args()
    machine.limit_threads()
    frames = [pd.read_csv(path) for path in given.sets] or [load_dataset("bbc")]
    each = -(-given.n // len(frames))
    texts = [t for f in frames for t in f["text"].sample(min(each, len(f)), random_state=0)]
    exact = BertEncoder(dtype="float32")
    vectors = exact.encode(texts)
    rows = [{"what": "smotext-lab", "dtype": "float32"} | timed(exact.encode, texts, given.runs)]
    found: dict[str, Any] = {"machine": described(), "texts": len(texts), "runs": given.runs}
    if machine.has_bf16():
        rough = BertEncoder(dtype="bfloat16")
        timing = timed(rough.encode, texts, given.runs)
        rows.append({"what": "smotext-lab", "dtype": "bfloat16"} | timing)
        found["least cosine of bfloat16"] = float((rough.encode(texts) * vectors).sum(1).min())
    peer = theirs(exact._models()[0].config._name_or_path, exact.max_length)
    for size in BATCHES:

        def encode(part: list[str], size: int = size) -> np.ndarray:
            return peer.encode(part, batch_size=size, show_progress_bar=False)

        row = {"what": f"sentence-transformers, {size} at a time", "dtype": "float32"}
        rows.append(row | timed(encode, texts, given.runs))
        print(rows[-1], file=sys.stderr, flush=True)
    found["largest difference"] = float(np.abs(peer.encode(texts) - vectors).max())
    best = max(row["texts/s"] for row in rows if row["what"] != "smotext-lab")
    found["× sentence-transformers"] = {
        row["dtype"]: row["texts/s"] / best for row in rows if row["what"] == "smotext-lab"
    }
    found["rows"] = rows
    print(pd.DataFrame(rows).round(3).to_string(index=False))
    print({k: v for k, v in found.items() if k not in {"rows", "machine"}})
    given.out.write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
