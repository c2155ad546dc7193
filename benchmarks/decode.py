"""How fast soft tokens become text, against transformers' `generate` and a plain forward pass.

    python -m benchmarks.decode [SET.csv.gz …] --n 256 --runs 3 --out decode.json

The soft tokens are the default bridge's for texts of the sets (files with a column text; by
default the titles of BBC News), the texts are decoded greedily and end where the model ends them.

new/s: tokens written in a second, the reading of the soft tokens included. positions/s: soft
tokens read and tokens written. roofline: positions a second of a plain forward pass of the same
model, at the best of a few shapes; of roofline: positions/s by it. `generate` is that of
transformers, in batches of neighbours, as is usual; its attention is in the name.

The decoder's own dtype is measured: bfloat16 where the CPU multiplies it natively, else float32.

--check compares ids and cosines too: in float32 with `generate`, in bfloat16 with float32.

--whole times the decoder as it is used (bridge, engine, encoding again, ranking) with 1, 4 and 8
candidates a vector. Rows of one owner read the same soft tokens once; a vector's candidates are
told other words and read their own.

--stream 100000 writes so many texts to a file, of at most --tokens tokens each, from the vectors of
the texts moved a little, and tells the memory after every 1,000.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from benchmarks.machine import described
from smotext_lab import XRAGDecoder, load_dataset, machine
from smotext_lab.engines.base import Generated, Sampling
from smotext_lab.engines.memory import peak_memory
from smotext_lab.engines.transformers import TransformersEngine

GREEDY = Sampling(temperature=0, max_new_tokens=64)
SHAPES = ((16, 32), (32, 32), (64, 32))


@dataclass
class Timed:
    """Seconds of every run, and what was made in one."""

    what: str
    dtype: str
    batch: int
    rows: int
    new: int
    positions: int
    seconds: list[float]

    def row(self, roofline: dict[str, float]) -> dict[str, Any]:
        median = float(np.median(self.seconds))
        speed = self.positions / median
        return asdict(self) | {
            "new/s": self.new / median,
            "positions/s": speed,
            "of roofline": speed / roofline[self.dtype],
            "spread": (max(self.seconds) - min(self.seconds)) / median,
        }


class Bench:
    """The default models in one dtype, and soft tokens for them."""

    def __init__(self, dtype: str, texts: list[str], runs: int) -> None:
        self.dtype, self.runs = dtype, runs
        self.decoder = XRAGDecoder(dtype=dtype)
        self.vectors = self.decoder.encoder.encode(texts)
        parts = self.decoder._writer()
        self.llm, self.tokenizer, self.lora = parts.model, parts.tokenizer, parts.bridge.lora
        self.soft = parts.soft_tokens(torch.from_numpy(self.vectors))
        ends = self.llm.generation_config.eos_token_id
        self.ends = [ends] if isinstance(ends, int) else list(ends)

    def timed(self, what: str, batch: int, n: int, make: Callable[[int], list[int]]) -> Timed:
        """Time `make(n)`, which returns how many tokens each of n rows got, after a batch."""
        make(min(n, batch))
        seconds = []
        for _ in range(self.runs):
            started = time.perf_counter()
            written = make(n)
            seconds.append(time.perf_counter() - started)
        new = sum(written)
        positions = new + n * self.soft.shape[1]
        print(f"{what}, {self.dtype}, {batch} at a time: {seconds}", file=sys.stderr, flush=True)
        return Timed(what, self.dtype, batch, n, new, positions, seconds)

    def roofline(self) -> float:
        """Return the positions a second of a plain forward pass at its best shape."""
        best = 0.0
        for rows, length in SHAPES:
            x = torch.randn(rows, length, self.soft.shape[-1], dtype=self.llm.dtype)
            for _ in range(self.runs + 1):
                started = time.perf_counter()
                with torch.inference_mode():
                    self.llm(inputs_embeds=x, use_cache=False)
                best = max(best, rows * length / (time.perf_counter() - started))
        return best

    def decode(
        self, size: int, sampling: Sampling = GREEDY, owners: np.ndarray | None = None
    ) -> list[Generated]:
        """Decode with our engine; the rows in order."""
        if not hasattr(self, "engine"):
            self.engine = TransformersEngine(self.llm, self.ends)
        owners = np.arange(len(self.soft)) if owners is None else owners
        seeds = np.arange(len(owners), dtype=np.uint64)
        found = self.engine.generate(self.soft, sampling, seeds, owners=owners, batch_size=size)
        return sorted(found, key=lambda g: g.row)

    def ours(self, size: int, n: int, sampling: Sampling = GREEDY, many: int = 1) -> Timed:
        """Decode n rows, `many` of each owner; the owners are spread over all sets."""

        def make(n: int) -> list[int]:
            rows = self.decode(size, sampling, np.arange(n) // many * many)
            return [len(g.ids) + g.ended for g in rows]

        return self.timed("smotext-lab", size, n, make)

    def generate(self, size: int, n: int, most: int = GREEDY.max_new_tokens) -> list[list[int]]:
        """Decode with transformers; ids up to the end."""
        found = []
        for start in range(0, n, size):
            soft = self.soft[start : min(start + size, n)]
            rows = self.llm.generate(
                inputs_embeds=soft.to(self.llm.dtype),
                attention_mask=torch.ones(soft.shape[:2], dtype=torch.int64),
                do_sample=False,
                max_new_tokens=most,
                pad_token_id=self.ends[0],
            ).tolist()
            found += [
                ids[: ids.index(self.ends[0])] if self.ends[0] in ids else ids for ids in rows
            ]
        return found

    def theirs(self, size: int, n: int, attention: str, most: int = GREEDY.max_new_tokens) -> Timed:
        self.llm.set_attn_implementation(attention)

        def make(n: int) -> list[int]:
            return [min(len(ids) + 1, most) for ids in self.generate(size, n, most)]

        timed = self.timed(f"generate, {attention}", size, n, make)
        self.llm.set_attn_implementation("sdpa")
        return timed

    def memory(self, size: int) -> dict[str, float]:
        """Return the peak in MB over the loaded weights, as predicted and as measured."""
        self.decode(1, owners=np.arange(1))  # lays the weights out
        before = _resident()
        self.decode(size)
        predicted = peak_memory(self.llm.config, size, self.soft.shape[1], GREEDY.max_new_tokens)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        return {"batch": size, "predicted": predicted / 1e6, "measured": (peak - before) / 1e6}

    def candidates(self, size: int, many: int) -> float:
        """Return how many times longer `many` texts a vector take than one, at full batches."""
        sampling, n = Sampling(max_new_tokens=GREEDY.max_new_tokens), len(self.soft)
        one, more = (self.ours(size, n, sampling, each).seconds for each in (1, many))
        return many * float(np.median(more) / np.median(one))

    def interactive(self, tokens: int) -> dict[str, float]:
        """Return the seconds that `tokens` tokens of one vector's text take."""
        long, every = next(g.row for g in self.decode(64) if len(g.ids) >= tokens), self.soft
        self.soft = every[long : long + 1].clone()
        sampling = Sampling(temperature=0, max_new_tokens=tokens)
        ours = self.ours(1, 1, sampling)
        theirs = self.theirs(1, 1, "sdpa", tokens)
        self.soft = every
        return {t.what: float(np.median(t.seconds)) / t.new * tokens for t in (ours, theirs)}

    def cosines(self, rows: list[Generated]) -> np.ndarray:
        texts = [self.tokenizer.decode(g.ids, skip_special_tokens=True) for g in rows]
        return np.sum(self.decoder.encoder.encode(texts) * self.vectors, axis=1)


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def checked(exact: Bench, rough: Bench) -> dict[str, float]:
    """Compare ids and cosines: float32 with `generate`, bfloat16 with float32."""
    with applied(exact):
        ours, theirs = exact.decode(64), exact.generate(64, len(exact.soft))
    with applied(rough):
        rounded = rough.decode(64)
    change = rough.cosines(rounded) - exact.cosines(ours)
    differ = [a.ids.tolist() != b.ids.tolist() for a, b in zip(ours, rounded, strict=True)]
    return {
        "texts": len(ours),
        "float32 unlike generate": sum(
            a.ids.tolist() != b for a, b in zip(ours, theirs, strict=True)
        ),
        "bfloat16 unlike float32": float(np.mean(differ)),
        "change of cosine": float(change.mean()),
        "se": float(change.std(ddof=1) / len(change) ** 0.5),
    }


def streamed(texts: list[str], n: int, tokens: int) -> dict[str, Any]:
    """Write n texts to a file; return the resident memory in MB after every 1,000."""
    decoder = XRAGDecoder(n_candidates=1, max_new_tokens=tokens, random_state=0)
    vectors = decoder.encoder.encode(texts)
    rng = np.random.default_rng(0)
    points = vectors[rng.integers(0, len(vectors), n)]
    points += rng.normal(0, 0.01, points.shape).astype(np.float32)
    resident = []
    started = time.perf_counter()
    with tempfile.TemporaryFile("w", encoding="utf-8") as file:
        for decoded in decoder.decode_rows(points):
            file.write(json.dumps({"text": decoded.text, "cosine": decoded.cosine}) + "\n")
            if (decoded.row + 1) % 1000 == 0:
                resident.append(_resident() / 1e6)
    return {
        "texts": n,
        "tokens each, at most": tokens,
        "seconds": time.perf_counter() - started,
        "MB after 1,000": resident[0],
        "most MB later": max(resident),
        "MB at the end": resident[-1],
        "MB after every 1,000": [round(mb) for mb in resident],
    }


def whole(texts: list[str], runs: int) -> dict[str, float]:
    """Return the milliseconds a vector of the decoder as it is used, by candidates."""
    told = {}
    for many in (1, 4, 8):
        decoder = XRAGDecoder(n_candidates=many, random_state=0)
        vectors = decoder.encoder.encode(texts)
        decoder.decode(vectors[:32])
        seconds = []
        for _ in range(runs):
            started = time.perf_counter()
            decoder.decode(vectors)
            seconds.append(time.perf_counter() - started)
        told[f"{many} candidates, ms a vector"] = 1000 * float(np.median(seconds)) / len(texts)
    return told | {"8 / 1": told["8 candidates, ms a vector"] / told["1 candidates, ms a vector"]}


def applied(bench: Bench) -> Any:
    return nullcontext() if bench.lora is None else bench.lora.applied(bench.llm)


def measured(exact: Bench, rough: Bench, n: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    with applied(rough):
        found["memory"] = rough.memory(64)
        found["roofline"] = {rough.dtype: rough.roofline()}
        timed = [rough.ours(size, n) for size in (8, 32, 64, 128, 256)]
        timed += [rough.theirs(size, n, "eager") for size in (32, 64, 128, 256)]
        timed.append(rough.theirs(128, n, "sdpa"))
        found["8 candidates / 1"] = rough.candidates(128, 8)
        found["one vector, 24 tokens, s"] = rough.interactive(24)
    with applied(exact):
        found["roofline"][exact.dtype] = exact.roofline()
        timed.append(exact.ours(128, min(n, 128)))
        timed += [exact.theirs(128, min(n, 128), attention) for attention in ("eager", "sdpa")]
        timed.append(exact.theirs(1, 8, "sdpa"))
    found["rows"] = [t.row(found["roofline"]) for t in timed]
    return found


def goals(found: dict[str, Any]) -> dict[str, float]:
    rows = pd.DataFrame(found["rows"])
    ours = rows[(rows["what"] == "smotext-lab") & (rows["dtype"] == found["dtype"])]
    theirs = rows[rows["what"].str.startswith("generate")]
    batched = theirs[theirs["batch"] > 1]["new/s"].max()
    alone = theirs[theirs["batch"] == 1]["new/s"].max()
    best = ours["new/s"].max()
    return {
        "share of the roofline": ours["of roofline"].max(),
        "× best batched generate": best / batched,
        "× generate one by one, float32": best / alone,
        "8 candidates / 1": found["8 candidates / 1"],
        "one vector, 24 tokens, s": found["one vector, 24 tokens, s"]["smotext-lab"],
        "peak at batch 64, MB": found["memory"]["measured"],
    }


def drawn(found: dict[str, Any], path: Path) -> None:
    """Draw positions a second against the batch size, with the roofline."""
    import altair as alt

    rows = pd.DataFrame(found["rows"])
    rows = rows[rows["dtype"] == found["dtype"]]
    base = alt.Chart(rows).encode(
        alt.X("batch:Q", scale=alt.Scale(type="log", base=2), title="rows decoded together"),
        alt.Y("positions/s:Q", title="positions per second"),
        alt.Color("what:N", title=None),
    )
    limit = pd.DataFrame({"y": [found["roofline"][found["dtype"]]], "what": ["plain forward pass"]})
    rule = alt.Chart(limit).mark_rule(strokeDash=[6, 4]).encode(y="y:Q")
    text = rule.mark_text(align="left", dy=-6, x=4).encode(text="what:N")
    chart = base.mark_line(point=True) + rule + text
    chart.properties(width=460, height=280).save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("sets", nargs="*", type=Path)
    parser.add_argument("--n", type=int, default=256, help="texts in all")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--whole", action="store_true")
    parser.add_argument("--stream", type=int, metavar="N", help="texts written to a file")
    parser.add_argument("--tokens", type=int, default=16, help="of each of them, at most")
    parser.add_argument("--out", type=Path, default=Path("decode.json"))
    given = parser.parse_args()
    machine.limit_threads()
    frames = [pd.read_csv(path) for path in given.sets] or [load_dataset("bbc_titles")]
    each = -(-given.n // len(frames))
    texts = [t for f in frames for t in f["text"].sample(each, random_state=0)][: given.n]
    if given.stream or given.whole:
        found = {"machine": described(), "texts": len(texts), "runs": given.runs}
        if given.stream:
            found["stream"] = streamed(texts, given.stream, given.tokens)
        else:
            found["whole"] = whole(texts, given.runs)
        print(pd.Series(found["stream" if given.stream else "whole"]).to_string())
        given.out.write_text(json.dumps(found, indent=1), encoding="utf-8")
        return
    own = "bfloat16" if machine.has_bf16() or given.check else "float32"
    rough = Bench(own, texts, given.runs)
    exact = rough if own == "float32" else Bench("float32", texts, given.runs)
    found = {"machine": described(), "runs": given.runs, "dtype": own}
    if given.check:
        found |= {"check": checked(exact, rough)}
        print(pd.Series(found["check"]).to_string())
    else:
        found |= measured(exact, rough, len(texts))
        found["goals"] = goals(found)
        table = pd.DataFrame(found["rows"]).drop(columns="seconds")
        print(table.round(3).to_string(index=False))
        print(pd.Series(found["roofline"], name="roofline").round().to_string())
        print(pd.Series(found["goals"]).round(3).to_string())
        drawn(found, given.out.with_suffix(".svg"))
    given.out.write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
