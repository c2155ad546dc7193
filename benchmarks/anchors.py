"""Make the anchors that ship with `DPAnchors`, of public sentences.

    python -m benchmarks.anchors sentences.jsonl.gz smotext_lab/privacy/anchors.safetensors

Centres of k-means (4, 8, 16, 32 and 64 of them) and the first 256 principal directions of the
vectors of 10,000 sentences, as float16. No sentence is in the file.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from smotext_lab import BertEncoder
from smotext_lab.privacy import Anchors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("sentences", type=Path, help="JSON Lines with a key text, .gz")
    parser.add_argument("out", type=Path)
    parser.add_argument("--n", type=int, default=10_000)
    given = parser.parse_args()
    with gzip.open(given.sentences, "rt", encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in lines]
    random.Random(0).shuffle(texts)
    encoder = BertEncoder()
    write(encoder.encode(texts[: given.n], progress=True), encoder.fingerprint, given.out)


def write(vectors: np.ndarray, encoder: str, out: Path) -> None:
    tensors = {}
    for k in (4, 8, 16, 32, 64):
        made = Anchors.of(vectors, n_anchors=k, dimensions=256, random_state=0)
        tensors[str(k)] = made.vectors.astype(np.float16)
        tensors["components"] = made.components.astype(np.float16)
    facts = {"encoder": encoder, "vectors": len(vectors)}
    save_file(tensors, out, {"facts": json.dumps(facts)})


if __name__ == "__main__":
    main()
