from __future__ import annotations

import dataclasses
import datetime as dt
import itertools
import json
import os
import pickle
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pandas as pd
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec import register_implementation
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from smotext_lab import BertEncoder, SMOTExT, XRAGDecoder
from smotext_lab.bridges import BridgeFacts, LexicalBridge, load_bridge
from smotext_lab.engines.vllm import Vllm, VllmServer
from smotext_lab.errors import DataError, ParameterError
from smotext_lab.guards import Guards
from smotext_lab.identity import remade
from smotext_lab.interpolators import BorderlineSMOTEInterpolator, MixupInterpolator
from smotext_lab.models import fingerprint
from smotext_lab.scale import Job, local, merging, parts, plan
from smotext_lab.scale.batches import KeptBatches
from smotext_lab.scale.duplicates import find, searched, shingles
from smotext_lab.scale.log import Log, read_log
from smotext_lab.scale.names import part_names
from smotext_lab.scale.store import Bucket, Folder, open_store
from smotext_lab.scale.texts import mapped, read_vectors

OPEN = dataclasses.replace(Guards.off(), allow_equal=True)
N = {"money": 20, "sport": 11, "weather": 9}


@pytest.fixture
def tickets(topics, tmp_path) -> Path:
    texts, labels = topics(money=24, sport=14, weather=10)
    frame = pd.DataFrame({"id": range(48), "body": texts, "queue": labels})
    frame.to_csv(tmp_path / "tickets.csv", index=False)
    return tmp_path / "tickets.csv"


@pytest.fixture(scope="module")
def tiny(tiny_encoder, tiny_llm, tiny_bridge):
    """Return a maker of samplers with tiny models, whose batches have 8 rows."""

    def make(**settings) -> SMOTExT:
        decoding = {"max_new_tokens": 12, "n_candidates": 2, "batch_size": 4, "dtype": "float32"}
        encoder = BertEncoder(str(tiny_encoder), dtype="float32")
        decoder = XRAGDecoder(str(tiny_llm), tiny_bridge, encoder=encoder, **decoding)
        usual = {"decoder": decoder, "random_state": 5, "guards": OPEN, "progress": False}
        return SMOTExT(**{**usual, **settings})

    return make


@pytest.fixture
def create(tiny, tickets, tmp_path):
    def make(name="job", n=N, sampler=None, **settings) -> Job:
        settings = {"rows_per_part": 16, "near_duplicates": None, "progress": False, **settings}
        sampler = tiny() if sampler is None else sampler
        return Job.create(tmp_path / name, tickets, n, sampler=sampler, **settings)

    return make


def rows_of(job: Job, **which) -> pd.DataFrame:
    frames = list(job.frames(**which))
    return pd.concat(frames, ignore_index=True)


def test_a_job_gives_the_rows_of_generate(create, tiny, tickets):
    strict = dataclasses.replace(OPEN, label_neighbors=3)
    job = create(sampler=tiny(guards=strict))
    done = job.run(progress=False)
    assert done.state == "finished"
    given = pd.read_csv(tickets)
    made = tiny(guards=strict).generate(given["body"], given["queue"], N)
    rows = rows_of(job, rejected=True)
    assert (rows["status"] == "rejected").any()
    exact = ["text", "label", "parents", "weights", "attempts", "status", "reason", "seed"]
    pd.testing.assert_frame_equal(rows[exact], made.frame[exact])
    pd.testing.assert_frame_equal(rows, made.frame, atol=1e-6)
    assert done.accepted == len(made)
    assert done.rejected == made.reasons().to_dict()
    assert job.provenance()["models"] == made.info["models"]
    assert job.provenance()["data_sha256"] == made.info["data_sha256"]


@pytest.mark.parametrize(
    "settings",
    [
        {"interpolator": MixupInterpolator()},
        {"interpolator": BorderlineSMOTEInterpolator(k_neighbors=2, m_neighbors=6)},
        {"blending": "slerp", "max_blends": 1},
        {"guidance_scale": 4.0},
    ],
)
def test_whatever_is_interpolated_the_rows_are_those_of_generate(create, tiny, tickets, settings):
    job = create(sampler=tiny(**settings))
    job.run(progress=False)
    given = pd.read_csv(tickets)
    made = tiny(**settings).generate(given["body"], given["queue"], N)
    pd.testing.assert_frame_equal(rows_of(job), made.accepted.reset_index(drop=True), atol=1e-6)


@pytest.mark.parametrize("name", ["new.parquet", "new.csv", "new.jsonl.gz"])
def test_merged_files_hold_what_generate_writes(create, tiny, tickets, tmp_path, name):
    job = create()
    job.run(progress=False)
    assert job.merge(tmp_path / name) == sum(N.values())
    given = pd.read_csv(tickets)
    made = tiny().generate(given["body"], given["queue"], N)
    form = name.split(".")[1]
    getattr(made, f"to_{form}")(tmp_path / f"other.{name.partition('.')[2]}")
    read = {"parquet": pd.read_parquet, "csv": pd.read_csv}.get(
        form, lambda p: pd.read_json(p, lines=True)
    )
    both = [read(tmp_path / name), read(tmp_path / f"other.{name.partition('.')[2]}")]
    for frame in both:  # empty columns: their type alone may differ
        assert frame.pop("label_weights").isna().all()
        assert frame.pop("reason").isna().all()
    pd.testing.assert_frame_equal(*both, check_dtype=False, atol=1e-6)


def test_names_of_columns_may_have_several_lines(tiny, tickets, tmp_path):
    frame = pd.read_csv(tickets).rename(columns={"body": "what\nwas said"})
    names = {"text": "what\nwas said", "label": "queue"}
    settings = {"rows_per_part": 16, "near_duplicates": None, "progress": False}
    job = Job.create(tmp_path / "job", frame, N, sampler=tiny(), **names, **settings)
    job.run(progress=False)
    job.merge(tmp_path / "new.csv")
    read = pd.read_csv(tmp_path / "new.csv")
    assert read["queue"].value_counts().to_dict() == N
    assert read["what\nwas said"].tolist() == rows_of(job)["text"].tolist()


@pytest.mark.parametrize(
    "engine",
    ["http://gpu-box:8000", VllmServer("http://gpu-box:8000", 2), Vllm({"max_model_len": 64})],
)
def test_a_job_keeps_its_engine_and_hands_on_neither_addresses_nor_folders(
    create, tiny, tiny_encoder, tiny_llm, tiny_bridge, engine
):
    encoder = BertEncoder(str(tiny_encoder), dtype="float32")
    decoder = XRAGDecoder(str(tiny_llm), tiny_bridge, encoder=encoder, engine=engine)
    job = create(sampler=tiny(decoder=decoder))
    assert remade(job.spec.decoder).engine == engine
    told = job.provenance()["decoder"]["parameters"]
    assert told["engine"] == ("Vllm" if isinstance(engine, Vllm) else "a vLLM server")
    assert (told["llm"], told["bridge"]) == (tiny_llm.name, tiny_bridge.name)
    assert told["encoder"]["parameters"]["model"] == tiny_encoder.name
    assert "gpu-box" not in json.dumps(job.provenance())
    assert str(tiny_llm.parent) not in json.dumps(job.provenance())


def test_the_order_of_the_plan_stands_where_numbers_of_parts_have_more_digits(create, monkeypatch):
    whole = create("whole")
    whole.run(progress=False)
    monkeypatch.setattr(plan, "base_part", lambda number: f"part-{number}")
    job = create(rows_per_part=3)  # 14 parts: part-10 is before part-2 by its letters
    job.run(progress=False)
    pd.testing.assert_frame_equal(rows_of(job), rows_of(whole), atol=1e-6)


def test_a_part_that_is_begun_again_decodes_only_what_is_missing(create, monkeypatch):
    n = N | {"money": 28}  # parts of one size: whichever comes first
    whole = create("whole", n)
    whole.run(progress=False)
    job = create(n=n)
    before = KeptBatches._batch
    calls = []

    def stopping(self, number, vectors, **asked):
        calls.append(len(vectors))
        if len(calls) == 4:
            raise KeyboardInterrupt
        return before(self, number, vectors, **asked)

    monkeypatch.setattr(KeptBatches, "_batch", stopping)
    with pytest.raises(KeyboardInterrupt, match=r"24 of 48 rows are decoded; `smotext-lab job"):
        job.run(progress=False)
    status = job.status()
    assert (status.state, status.decoded, status.parts_done) == ("stopped", 24, 1)
    monkeypatch.setattr(KeptBatches, "_batch", before)
    decoded = []
    real = XRAGDecoder.decode_rows

    def counted(self, vectors, **asked):
        decoded.append(len(vectors))
        return real(self, vectors, **asked)

    monkeypatch.setattr(XRAGDecoder, "decode_rows", counted)
    assert job.run(progress=False).state == "finished"
    assert sum(decoded) == 24
    pd.testing.assert_frame_equal(rows_of(job, rejected=True), rows_of(whole, rejected=True))


def test_a_job_killed_again_and_again_ends_with_the_same_table(create, tiny, tmp_path):
    whole = create("whole")
    whole.run(progress=False)
    job = create()
    code = "import sys; from smotext_lab.scale import Job; Job(sys.argv[1]).run(progress=False)"
    rng = np.random.default_rng(0)
    for _ in range(2):
        before = set(Path(job.url).glob("work/*/*"))
        process = subprocess.Popen([sys.executable, "-c", code, job.url])
        until = time.monotonic() + 240
        while not set(Path(job.url).glob("work/*/*")) - before:
            assert process.poll() is None, "the run has ended"
            assert time.monotonic() < until, "no batch was begun"
            time.sleep(0.002)
        time.sleep(float(rng.uniform(0, 0.02)))
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert job.status().state == "stopped"
        for part in Path(job.url).glob("out/*.parquet"):
            pq.read_table(part)  # whole or not there; what was written aside may be left
    assert job.run(progress=False).state == "finished"
    assert job.verify() == []
    pd.testing.assert_frame_equal(rows_of(job, rejected=True), rows_of(whole, rejected=True))


def test_several_workers_give_the_same_rows(create):
    whole = create("whole")
    whole.run(progress=False)
    job = create(rows_per_part=8)
    assert job.run(workers=2, progress=False).state == "finished"
    pd.testing.assert_frame_equal(rows_of(job), rows_of(whole), atol=1e-6)


def test_workers_that_outlive_a_run_know_nothing_of_its_job(create, tiny, tmp_path):
    first = create()
    first.run(workers=2, progress=False)
    before = rows_of(first)
    shutil.rmtree(first.url)
    whole = create("whole", sampler=tiny(random_state=6))
    whole.run(progress=False)
    job = create(sampler=tiny(random_state=6))
    assert job.url == first.url
    job.run(workers=2, progress=False)
    pd.testing.assert_frame_equal(rows_of(job), rows_of(whole), atol=1e-6)
    assert rows_of(job)["text"].tolist() != before["text"].tolist()


def _workers_of(process: psutil.Process) -> list[psutil.Process]:
    children = process.children(recursive=True)
    return [child for child in children if "LokyProcess" in " ".join(child.cmdline())]


def _wait_for_a_part(job: Job, still=lambda: True) -> None:
    until = time.monotonic() + 240
    while not list(Path(job.url).glob("out/*.parquet")):
        assert time.monotonic() < until, "no part was finished"
        assert still(), "the run has ended"
        time.sleep(0.005)


def test_a_worker_that_is_killed_costs_no_row(create):
    whole = create("whole", 120, rows_per_part=8)
    whole.run(progress=False)
    job = create(n=120, rows_per_part=4)
    left = []

    def kill() -> None:
        _wait_for_a_part(job)
        _workers_of(psutil.Process())[0].kill()
        left.append(30 - len(list(Path(job.url).glob("out/*.parquet"))))

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    assert job.run(workers=2, progress=False).state == "finished"
    thread.join(timeout=30)
    assert left[0] > 0
    assert job.verify() == []
    pd.testing.assert_frame_equal(rows_of(job), rows_of(whole), atol=1e-6)


def test_a_driver_of_two_workers_that_is_killed_costs_no_row(create):
    whole = create("whole", 120, rows_per_part=8)
    whole.run(progress=False)
    job = create(n=120, rows_per_part=4)
    code = "import sys; from smotext_lab.scale import Job; Job(sys.argv[1]).run(workers=2)"
    process = subprocess.Popen([sys.executable, "-c", code, job.url], stderr=subprocess.DEVNULL)
    _wait_for_a_part(job, lambda: process.poll() is None)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert job.status().state == "stopped"
    assert job.run(workers=2, progress=False).state == "finished"
    assert job.verify() == []
    pd.testing.assert_frame_equal(rows_of(job), rows_of(whole), atol=1e-6)


PEAKS = """
import json, runpy, sys, tracemalloc
from smotext_lab import SMOTExT
from smotext_lab.guards import Guards
from smotext_lab.scale import Job

made, tickets, folder = sys.argv[1:]
WordDecoder = runpy.run_path(made)["WordDecoder"]
guards = Guards(label_neighbors=None, max_copy_cosine=None, label_classifier=False)
sampler = SMOTExT(decoder=WordDecoder(), random_state=1, guards=guards, progress=False)
how = {"sampler": sampler, "rows_per_part": 32, "near_duplicates": None, "progress": False}
peaks = []
tracemalloc.start()
for n in (64, 128, 1280):  # the first loads what is loaded once
    job = Job.create(f"{folder}/{n}", tickets, n, **how)
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    assert job.run(decoder=WordDecoder(), progress=False).accepted == n
    peaks.append(tracemalloc.get_traced_memory()[1] - before)
print(json.dumps(peaks))
"""


def test_memory_does_not_grow_with_the_rows_that_are_asked_for(tickets, tmp_path):
    # in a process of its own: where threads allocate, tracemalloc.stop() crashes now and then
    made = Path(__file__).with_name("conftest.py")
    command = [sys.executable, "-c", PEAKS, str(made), str(tickets), str(tmp_path)]
    peaks = json.loads(subprocess.check_output(command))
    # a few numbers of each, by which equal texts are found: less than its text or its vector
    assert peaks[2] - peaks[1] < 32 * (1280 - 128)


def test_memory_that_a_part_has_freed_goes_back_to_the_system(create, monkeypatch):
    given_back: list[int] = []
    monkeypatch.setattr(parts, "release_memory", lambda: given_back.append(1))
    job = create(n=12, rows_per_part=4)
    job.run(progress=False)
    assert len(given_back) == len(list((Path(job.url) / "out").iterdir())) >= 3


def test_ctrl_c_ends_a_run_of_two_workers_and_them(create):
    job = create(n=400, rows_per_part=4)
    command = [sys.executable, "-m", "smotext_lab", "job", "run", job.url, "--workers", "2"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    _wait_for_a_part(job, lambda: process.poll() is None)
    workers = _workers_of(psutil.Process(process.pid))
    os.killpg(process.pid, signal.SIGINT)  # a terminal sends it to all of them
    _, told = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "of 400 rows are decoded; `smotext-lab job resume" in told
    assert "Traceback" not in told
    psutil.wait_procs(workers, timeout=30)
    assert not [worker for worker in workers if _lives(worker.pid)]
    status = job.status()
    assert status.state == "stopped"
    assert 0 < status.decoded < 400


def test_two_drivers_at_one_job_make_the_same_table(repeating):
    whole, decoder = repeating("whole")
    whole.run(decoder=decoder, progress=False)
    job, _ = repeating("job")
    start, ended = threading.Barrier(2), []

    def drive(decoder) -> None:
        start.wait()
        ended.append(Job(job.url).run(decoder=decoder, progress=False).state)

    threads = [threading.Thread(target=drive, args=(repeating.decoder(),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=240)
    assert ended == ["finished"] * 2
    assert job.verify() == []
    pd.testing.assert_frame_equal(rows_of(job, rejected=True), rows_of(whole, rejected=True))


def test_each_run_takes_the_parts_in_an_order_of_its_own(create, monkeypatch):
    orders = []

    def stopping(store, parts, decoder, after_each):
        orders.append(list(parts))
        return iter(())

    job = create(rows_per_part=2)
    monkeypatch.setattr(local, "run_here", stopping)
    for _ in range(3):
        job.run(progress=False)
        (Path(job.url) / "finished.json").unlink()
        shutil.rmtree(Path(job.url) / "duplicates")
    assert len(orders[0]) == 20
    assert sorted(orders[0]) == sorted(orders[1]) == sorted(orders[2])
    assert len({tuple(order) for order in orders}) == 3


def test_finished_parts_are_not_listed_after_each_part(create, monkeypatch):
    job = create(rows_per_part=2)
    listed, before = [], Folder.names

    def counting(self, folder):
        listed.append(folder)
        return before(self, folder)

    monkeypatch.setattr(Folder, "names", counting)
    monkeypatch.setattr("smotext_lab.scale.job._LOOK", 1e9)
    assert job.run(progress=False).parts_done == 20
    assert listed.count("out") < 10


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_workers_end_when_the_process_that_started_them_is_killed(tmp_path):
    code = (
        "import os, sys, time\nfrom pathlib import Path\nfrom joblib import Parallel, delayed\n"
        "from smotext_lab.scale.local import _watch_parent\n"
        "def work(place):\n"
        "    _watch_parent(); (Path(place) / str(os.getpid())).touch(); time.sleep(90)\n"
        "Parallel(2)(delayed(work)(sys.argv[1]) for _ in range(2))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)])
    until = time.monotonic() + 60
    while len(workers := [int(p.name) for p in tmp_path.iterdir()]) < 2:
        assert time.monotonic() < until
        time.sleep(0.05)
    process.kill()
    process.wait()
    until = time.monotonic() + 20
    while any(_lives(worker) for worker in workers):
        assert time.monotonic() < until, "the workers live on"
        time.sleep(0.1)


def test_status_is_told_while_another_process_runs(create, tmp_path):
    job = create()
    assert job.status().state == "planned"
    stopping = (
        "import sys, os\nfrom smotext_lab.scale import Job\n"
        "from smotext_lab.scale.batches import KeptBatches\n"
        "real = KeptBatches._batch\n"
        "def batch(self, number, vectors, **asked):\n"
        "    done = real(self, number, vectors, **asked)\n"
        "    print('batch', flush=True); sys.stdin.readline()\n"
        "    return done\n"
        "KeptBatches._batch = batch\n"
        "Job(sys.argv[1]).run(progress=False)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", stopping, job.url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    for seen in (8, 16):
        assert process.stdout.readline() == "batch\n"
        told = job.status()
        assert (told.state, told.decoded) == ("running", seen)
        assert told.rate > 0
        process.stdin.write("\n")
        process.stdin.flush()
    assert process.stdout.readline() == "batch\n"
    job.cancel()
    process.communicate("\n" * 10)
    assert job.status().state == "cancelled"
    assert job.run(progress=False).state == "cancelled"
    assert job.resume(progress=False).state == "finished"


def test_verify_finds_damage_and_repairs_it(create):
    job = create()
    job.run(progress=False)
    assert job.verify() == []
    before = rows_of(job)
    part = Path(job.url) / "out" / "part-00001.parquet"
    part.write_bytes(part.read_bytes()[:-20])
    (fault,) = [f for f in job.verify() if "part-00001" in f and "cannot be read" in f]
    assert "damaged" in fault
    assert job.verify(repair=True)
    assert job.run(progress=False).state == "finished"
    assert job.verify() == []
    pd.testing.assert_frame_equal(rows_of(job), before)


def test_vectors_that_were_changed_are_found(create):
    job = create()
    path = Path(job.url) / job.spec.shards[0].vectors
    vectors = np.load(path)
    vectors[3, 0] += 1
    np.save(path, vectors)
    assert "is not what job.json says" in job.verify()[0]


@pytest.fixture
def in_order(monkeypatch):
    """Let runs take the parts in their order."""
    monkeypatch.setattr(random.Random, "shuffle", lambda self, parts: None)


def test_duplicates_over_the_whole_job_are_taken_out_and_made_up_for(
    topics, word_decoder, tmp_path, tickets, in_order
):
    first = iter(range(1000))

    def write(text, rng):
        # every third text is one of two sentences, each time with other capitals
        number = next(first)
        same = ["the bank rate fell in the market", "GOAL by the team in the final match"]
        return same[number % 2] if number % 3 == 0 else text

    decoder = word_decoder(write)
    guards = Guards(label_neighbors=None, max_copy_cosine=None, max_duplicate_cosine=None)
    sampler = SMOTExT(decoder=decoder, random_state=1, guards=guards, progress=False)
    how = {"sampler": sampler, "rows_per_part": 7, "progress": False, "near_duplicates": 0.8}
    job = Job.create(tmp_path / "job", tickets, N, **how)
    done = job.run(decoder=decoder, progress=False)
    rows = rows_of(job)
    assert done.duplicates > 0
    assert done.accepted == len(rows) == sum(N.values())
    assert rows["label"].value_counts().to_dict() == N
    assert rows["text"].str.lower().is_unique
    refused = rows_of(job, rejected=True).query("status == 'rejected'")
    assert refused["reason"].str.startswith("duplicate: equal to row").any()
    assert job.verify() == []


def test_near_duplicates_are_found_by_their_word_pairs(word_decoder, tickets, tmp_path, in_order):
    words = " ".join(f"word{i}" for i in range(20))
    numbers = iter(range(1000))

    def write(text, rng):
        number = next(numbers)
        return f"{words} end{number}." if number in (3, 25) else f"{text} {number} {number}"

    decoder = word_decoder(write)
    sampler = SMOTExT(decoder=decoder, random_state=1, guards=Guards.off(), progress=False)
    guarded = SMOTExT(
        decoder=decoder,
        random_state=1,
        guards=dataclasses.replace(Guards.off(), allow_equal=False),
        progress=False,
    )
    assert sampler.guards.allow_equal
    job = Job.create(
        tmp_path / "job", tickets, N, sampler=guarded, rows_per_part=10, progress=False
    )
    assert job.run(decoder=decoder, progress=False).duplicates == 1
    (reason,) = rows_of(job, rejected=True).query("status == 'rejected'")["reason"]
    assert reason.startswith("duplicate: near row 3 (0.9")
    assert shingles("a b c") == {"a b", "b c"}


def test_of_many_near_duplicates_only_the_first_is_kept(word_decoder, tickets, tmp_path):
    same = " ".join(f"word{i}" for i in range(20))
    numbers = itertools.count()
    decoder = word_decoder(lambda text, rng: f"{same} end{next(numbers)}.")
    sampler = SMOTExT(decoder=decoder, random_state=1, guards=Guards.off(), progress=False)
    how = {"sampler": sampler, "rows_per_part": 50, "progress": False}
    job = Job.create(tmp_path / "job", tickets, {"sport": 200}, **how)
    done = job.run(decoder=decoder, progress=False)
    assert len(rows_of(job)) == 1
    assert done.duplicates == 199 * 6  # none that makes up for another is kept either
    for turn in range(6):
        assert find(job._store, job.spec, turn) == searched(job._store, turn)
        assert {duplicate.of for duplicate in searched(job._store, turn)} == {0}


def test_near_duplicates_are_found_behind_many_of_another_text(word_decoder, tickets, tmp_path):
    numbers = itertools.count()

    def write(text, rng):
        number = next(numbers)
        middle = "rain" if 60 <= number < 120 else "snow"
        words = [f"word{i}" for i in range(10)]
        return " ".join([*words, middle, *words[::-1], f"end{number}."])

    decoder = word_decoder(write)
    sampler = SMOTExT(decoder=decoder, random_state=1, guards=Guards.off(), progress=False)
    how = {"sampler": sampler, "near_duplicates": 0.85, "progress": False}
    job = Job.create(tmp_path / "job", tickets, {"sport": 180}, **how)
    job.run(decoder=decoder, progress=False)
    assert searched(job._store, 0)[-1].of == 0
    assert len(searched(job._store, 0)) == 178


def test_a_plan_holds_neither_texts_nor_vectors_and_is_small(create):
    job = create()
    schema = pq.read_schema(Path(job.url) / "plan" / "part-00000.parquet")
    assert schema.names == ["row", "label", "parents", "weights", "seed"]
    told = json.loads((Path(job.url) / "job.json").read_text())
    assert set(told["models"]) == {"encoder", "llm", "bridge"}
    assert len(told["data_sha256"]) == 64


def test_another_model_is_refused(create, tiny, tmp_path, tiny_llm):
    job = create()
    told = json.loads((Path(job.url) / "job.json").read_text())
    other = shutil.copytree(tiny_llm, tmp_path / "other-llm")
    told["decoder"]["parameters"]["llm"] = str(other)
    (Path(job.url) / "job.json").write_text(json.dumps(told))
    with pytest.raises(DataError, match=r"the llm tiny-llm@.*and now it is other-llm@"):
        Job(job.url).run(progress=False)


@pytest.fixture
def in_shards(create, tmp_path, monkeypatch):
    """Return a job whose vectors lie in three files, and are put together in a cache."""
    from smotext_lab.datasets import streams

    usual = streams.Stream.__init__.__kwdefaults__
    monkeypatch.setattr(streams.Stream.__init__, "__kwdefaults__", usual | {"rows": 20})
    monkeypatch.setenv("SMOTEXT_LAB_CACHE", str(tmp_path / "cache"))
    return create()


def test_a_copy_of_the_vectors_that_is_not_what_they_are_is_made_again(in_shards, tmp_path):
    whole = mapped(in_shards._store, in_shards.spec.shards)
    each = [read_vectors(in_shards._store, shard) for shard in in_shards.spec.shards]
    np.testing.assert_array_equal(whole, np.concatenate(each))
    (copy,) = (tmp_path / "cache" / "vectors").iterdir()
    data = copy.read_bytes()
    flipped = data[:900] + bytes([data[900] ^ 1]) + data[901:]
    for damaged in (data[:-9], data[:50], b"", data + b"0", data[: len(data) // 2], flipped):
        copy.unlink()  # the map above goes on with the old one
        copy.write_bytes(damaged)
        np.testing.assert_array_equal(mapped(in_shards._store, in_shards.spec.shards), whole)
        assert copy.read_bytes() == data


def test_no_room_for_the_copy_of_the_vectors_is_an_error_that_names_the_folder(in_shards, tmp_path):
    folder = tmp_path / "cache" / "vectors"
    shutil.rmtree(folder, ignore_errors=True)
    code = (
        "import resource, signal, sys\nfrom smotext_lab.scale import Job\n"
        "from smotext_lab.scale.texts import mapped\n"
        "job = Job(sys.argv[1])\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try:\n    mapped(job._store, job.spec.shards)\n"
        "except OSError as error:\n    print(error.filename)\n"
    )
    command = [sys.executable, "-c", code, in_shards.url]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == str(folder)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("label", "kind"),
    [(dt.date(2026, 1, 2), "date"), (pd.Timestamp(2026, 1, 2), "Timestamp"), (b"a", "bytes")],
)
def test_labels_that_a_job_cannot_keep_are_refused_before_anything_is_encoded(
    word_decoder, topics, tmp_path, label, kind
):
    texts, labels = topics(money=6)
    path = tmp_path / "days.parquet"
    pd.DataFrame({"text": texts, "label": [label] * len(labels)}).to_parquet(path)
    decoder = word_decoder()
    sampler = SMOTExT(decoder=decoder, guards=OPEN, progress=False)
    with pytest.raises(DataError, match=f"of the kind {kind}, and a job keeps texts and numbers"):
        Job.create(tmp_path / "job", path, 3, sampler=sampler, progress=False)
    assert decoder.encoder.calls == 0


def test_a_job_is_refused_where_auto_is_another_dtype(create, tiny, monkeypatch):
    from smotext_lab.models import placement

    def fast(native: bool) -> None:
        monkeypatch.setattr(placement.machine, "has_bf16", lambda: native)

    sampler = tiny()
    sampler.decoder.dtype = "auto"
    fast(False)
    job = create(sampler=sampler)
    assert job.spec.dtypes == {"llm": "float32", "encoder": "float32"}
    fast(True)
    with pytest.raises(
        DataError,
        match=r"the llm in float32, and here it would be computed in bfloat16: .*same kind.*dtype=",
    ):
        job.run(progress=False)
    old = _changed(job, dtypes={})  # of before it was kept
    assert old.run(progress=False).state == "finished"
    fast(False)
    assert create("again", sampler=sampler).run(progress=False).state == "finished"


def test_a_job_is_not_written_over(create):
    create()
    with pytest.raises(DataError, match="There is a job in"):
        create()


@pytest.mark.parametrize("left", ["finished.json", "out/part-00000.parquet", "log.jsonl"])
def test_rows_of_a_job_whose_file_is_gone_are_not_taken_for_those_of_a_new_one(
    create, tmp_path, left
):
    folder = tmp_path / "job"
    (folder / left).parent.mkdir(parents=True)
    (folder / left).write_bytes(b"old")
    told = f"job holds {left.partition('/')[0]} but no job.json: .* Take another folder"
    with pytest.raises(DataError, match=told):
        create()
    assert (folder / left).read_bytes() == b"old"
    assert not (folder / "texts").exists()


def test_creation_clears_what_an_earlier_try_has_left_and_nothing_else(create, tmp_path):
    key = "0" * 16
    ours = [
        "plan/part-00007.parquet",
        "spare/extra-1-00000.4.parquet",
        f"texts/00001-{key}.parquet",
    ]
    ours += [
        "plan/extra-1-00000.parquet",
        "spare/part-00007.4.parquet",
        f"vectors/00001-{key}.json",
    ]
    theirs = ["plan/of the house.pdf", "texts/letter.txt", "vectors/part-00001.svg"]
    for name in ours + theirs:
        (tmp_path / "job" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "job" / name).write_bytes(b"old")
    job = create()
    assert job.spec.n_parts == 3
    assert not [name for name in ours if (tmp_path / "job" / name).exists()]
    assert all((tmp_path / "job" / name).exists() for name in theirs)


def test_estimators_cannot_be_kept_in_a_job(create, tiny):
    from sklearn.neighbors import NearestNeighbors

    with pytest.raises(ParameterError, match="kept as JSON, and SMOTEInterpolator"):
        create(sampler=tiny(k_neighbors=NearestNeighbors(n_neighbors=3)))


def test_creation_goes_on_behind_finished_shards(create, tiny, tickets, tmp_path, monkeypatch):
    from smotext_lab.datasets import streams

    monkeypatch.setattr(
        streams.Stream.__init__,
        "__kwdefaults__",
        streams.Stream.__init__.__kwdefaults__ | {"rows": 20},
    )
    encoded, real = [], BertEncoder.encode

    def stopping(self, texts, **how):
        encoded.append(len(texts))
        if len(encoded) == 2:
            raise KeyboardInterrupt
        return real(self, texts, **how)

    monkeypatch.setattr(BertEncoder, "encode", stopping)
    with pytest.raises(KeyboardInterrupt):
        create()
    job = create()
    assert encoded == [20, 20, 20, 8]
    assert [shard.rows for shard in job.spec.shards] == [20, 20, 8]
    monkeypatch.setenv("SMOTEXT_LAB_CACHE", str(tmp_path / "cache"))
    assert job.run(progress=False).accepted == sum(N.values())
    parents = [p for parents in rows_of(job)["parents"] for p in parents]
    assert max(parents) >= 40


@pytest.mark.filterwarnings("ignore:48 of 48 texts are longer:UserWarning")
@pytest.mark.parametrize("other", [{"pooling": "cls"}, {"max_length": 5}, {"dtype": "bfloat16"}])
def test_an_earlier_try_leaves_no_vectors_to_an_encoder_that_reads_otherwise(
    create, tiny, tiny_encoder, tiny_llm, tiny_bridge, tmp_path, other
):
    encoder = BertEncoder(str(tiny_encoder), **{"dtype": "float32", **other})
    decoder = XRAGDecoder(str(tiny_llm), tiny_bridge, encoder=encoder, dtype="float32")
    with pytest.raises(ParameterError, match="monney"):
        create(n={"monney": 3}, sampler=tiny(decoder=decoder))
    assert list(tmp_path.glob("job/vectors/*.npy"))
    job, whole = create(), create("whole")
    assert [a.sha256 for a in job.spec.shards] == [b.sha256 for b in whole.spec.shards]


@pytest.mark.parametrize("at", [0, 1, 3, 4, 7])
def test_a_full_disk_loses_nothing(repeating, monkeypatch, at):
    whole, decoder = repeating("whole")
    whole.run(decoder=decoder, progress=False)
    job, decoder = repeating()
    real, asides = Path.open, []

    def limited(self, *given, **how):
        file = real(self, *given, **how)
        if self.suffix == ".part" and Path(job.url) in self.parents:
            asides.append(self)
            if len(asides) > at:
                return Full(file)
        return file

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", limited)
        with pytest.raises(OSError, match="No space left"):
            job.run(decoder=decoder, progress=False)
    assert len(asides) == at + 1
    assert not list(Path(job.url).rglob(".*.part"))  # nothing that fills the disk is left
    assert job.run(decoder=decoder, progress=False).state == "finished"
    assert job.verify() == []
    pd.testing.assert_frame_equal(rows_of(job, rejected=True), rows_of(whole, rejected=True))


class Full:
    """A file on a disk that is full after 100 bytes more."""

    def __init__(self, file) -> None:
        self._file = file

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        self._file.close()

    def write(self, data) -> None:
        self._file.write(data[:100])
        self._file.flush()
        raise OSError(28, "No space left on device", self._file.name)


# --- what lies in a job's folder --------------------------------------------------------------


def _changed(job: Job, **values) -> Job:
    """Change ``job.json``; a name with __ is one of the first shard's."""
    path = Path(job.url) / "job.json"
    told = json.loads(path.read_text())
    for name, value in values.items():
        where = told["shards"][0] if name.startswith("shard__") else told
        where[name.removeprefix("shard__")] = value
    path.write_text(json.dumps(told))
    return Job(job.url)


def _texts_changed(job: Job, change) -> None:
    path = Path(job.url) / job.spec.shards[0].texts
    pq.write_table(change(pq.read_table(path)), path)


def test_texts_that_were_changed_are_found_and_not_worked_with(create):
    job = create()
    _texts_changed(job, lambda table: table.slice(1))
    (fault,) = job.verify()
    assert fault.startswith("texts/")
    assert fault.endswith(
        "is not what job.json says: copy it again from where it is whole, or make a new job."
    )
    with pytest.raises(DataError, match=r"texts/.* is not what job.json says"):
        job.run(progress=False)


def test_texts_of_jobs_without_their_hash_are_counted_and_compared(create):
    job = create("counted")
    old = _changed(job, shard__texts_sha256=None)
    assert old.verify() == []
    _texts_changed(old, lambda table: table.slice(1))
    assert "has 47 rows and vectors/" in old.verify()[0]
    job = create("compared")
    told = dataclasses.asdict(job.spec.shards[0])
    del told["texts_sha256"]
    old = _changed(job, shards=[told])
    assert old.spec.shards[0].texts_sha256 is None
    other = pa.array(["another text"] + ["rain"] * 47)
    _texts_changed(old, lambda table: table.set_column(0, "text", other))
    (fault,) = old.verify()
    assert "The texts in texts/ are not those that job.json says" in fault


def test_no_row_is_made_of_changed_vectors(create):
    job = create()
    path = Path(job.url) / job.spec.shards[0].vectors
    vectors = np.load(path)
    vectors[3, 0] += 1
    np.save(path, vectors)
    with pytest.raises(DataError, match=r"vectors/.* is not what job.json says"):
        job.run(progress=False)


def test_a_damaged_plan_costs_no_finished_part(create):
    job = create()
    job.run(progress=False)
    before = rows_of(job)
    plan = Path(job.url) / "plan" / "part-00001.parquet"
    plan.write_bytes(plan.read_bytes()[:-20])
    (Path(job.url) / "spare" / "part-00002.4.parquet").unlink()
    damaged, missing = job.verify(repair=True)
    assert "part-00001.parquet is damaged" in damaged
    assert "spare/part-00002.4.parquet cannot be found" in missing
    for fault in (damaged, missing):
        assert fault.endswith("copy it again from where it is whole, or make a new job.")
    pd.testing.assert_frame_equal(rows_of(job), before)


def test_a_job_that_says_it_is_finished_and_is_not_goes_on_after_repair(create):
    job = create()
    job.run(progress=False)
    before = rows_of(job)
    for folder in ("out", "rejected"):
        (Path(job.url) / folder / "part-00001.parquet").unlink()
    assert job.verify(repair=True) == ["The job says it is finished, and 1 parts are not there."]
    job.run(progress=False)
    assert job.verify() == []
    pd.testing.assert_frame_equal(rows_of(job), before)


@pytest.fixture
def repeating(word_decoder, tickets, tmp_path):
    """Return a maker of jobs whose decoder writes the same text again and again."""

    same = ["the bank rate fell in the market", "GOAL by the team in the final match"]

    def decoder_of(often=0.3):
        return word_decoder(
            lambda text, rng: same[int(rng.integers(2))] if rng.random() < often else text
        )

    def make(name="job", *, often=0.3, **settings) -> tuple[Job, object]:
        decoder = decoder_of(often)
        off = {"label_neighbors": None, "max_copy_cosine": None, "max_duplicate_cosine": None}
        guards = Guards(**off, label_classifier=False)
        sampler = SMOTExT(decoder=decoder, random_state=1, guards=guards, progress=False)
        how = {"sampler": sampler, "rows_per_part": 7, "progress": False, **settings}
        return Job.create(tmp_path / name, tickets, N, **how), decoder

    make.decoder = decoder_of
    return make


def test_what_was_found_to_be_duplicates_is_found_again(repeating):
    job, decoder = repeating()
    job.run(decoder=decoder, progress=False)
    before = rows_of(job, rejected=True)
    folder = Path(job.url)
    # as another driver may, that has not seen that this one has found them and gone on
    assert find(job._store, job.spec, 0) == searched(job._store, 0)
    for name in ("duplicates/round-0.parquet", "plan/extra-1-00000.parquet"):
        (folder / name).write_bytes(b"PAR1")
        (fault,) = job.verify(repair=True)
        assert fault.endswith(
            "after `smotext-lab job verify --repair` the next run makes it again."
        )
        assert job.run(decoder=decoder, progress=False).state == "finished"
        assert job.verify() == []
        pd.testing.assert_frame_equal(rows_of(job, rejected=True), before)


def test_verify_tells_a_row_that_two_parts_have(repeating):
    job, decoder = repeating()
    job.run(decoder=decoder, progress=False)
    out = Path(job.url) / "out"
    (Path(job.url) / "duplicates" / "round-0.parquet").unlink()
    again, first = (pq.read_table(list(out.glob(f"{kind}-*")))["row"] for kind in ("extra", "part"))
    told = {f"Row {row} is there twice." for row in again.to_pylist() if row in first.to_pylist()}
    assert told
    assert told <= set(job.verify())


def test_verify_tells_a_row_that_the_job_has_not(repeating):
    job, decoder = repeating()
    job.run(decoder=decoder, progress=False)
    before = rows_of(job, rejected=True)
    path = Path(job.url) / "plan" / "extra-1-00000.parquet"
    table = pq.read_table(path)
    rows = pa.array([10**9, *table["row"].to_pylist()[1:]])
    pq.write_table(table.set_column(table.column_names.index("row"), "row", rows), path)
    (fault,) = job.verify(repair=True)
    assert "extra-1-00000 has other rows than its own" in fault
    job.run(decoder=decoder, progress=False)
    assert job.verify() == []
    pd.testing.assert_frame_equal(rows_of(job, rejected=True), before)


def test_of_what_makes_up_for_duplicates_only_what_is_due_is_in_memory(repeating, monkeypatch):
    job, decoder = repeating(rows_per_part=4)
    job.run(decoder=decoder, progress=False)
    real, read = merging._part, []
    monkeypatch.setattr(merging, "_part", lambda *given: read.append(given[1]) or real(*given))
    frames = job.frames(rejected=True)
    next(frames)
    extra = {part for part in part_names(job._store, "out") if part.startswith("extra")}
    spans = len(extra)
    assert len([part for part in read[spans:] if part in extra]) < len(extra)
    list(frames)
    assert sorted(read[spans:]) == sorted(part_names(job._store, "out"))  # each once


# --- what is lacking --------------------------------------------------------------------------


def test_status_and_merge_say_what_is_lacking_and_why(create, tiny, tmp_path):
    strict = dataclasses.replace(OPEN, label_neighbors=3)
    borderline = BorderlineSMOTEInterpolator(k_neighbors=2, m_neighbors=6)
    job = create(sampler=tiny(guards=strict, interpolator=borderline))
    done = job.run(progress=False)
    assert done.lacking["money"] == {"nothing to blend": 20}
    assert set(done.lacking) > {"money"}
    made = rows_of(job)["label"].value_counts()
    for label, counts in done.lacking.items():
        assert sum(counts.values()) == N[label] - made.get(label, 0)
    assert set(done.lacking.get("sport", {})) | set(done.lacking.get("weather", {})) == {"label"}
    assert "20 of 'money' (nothing to blend 20)" in str(done)
    told = f"Of the 40 texts asked for {40 - len(rows_of(job))} are lacking"
    with pytest.warns(UserWarning, match=told):
        job.merge(tmp_path / "new.csv")
    (Path(job.url) / "log.jsonl").unlink()  # then the parts tell
    assert job.status().lacking == done.lacking


def test_duplicates_that_nothing_makes_up_for_are_lacking(repeating):
    job, decoder = repeating(often=1.0)
    done = job.run(decoder=decoder, progress=False)
    assert done.state == "finished"
    kept = rows_of(job)
    assert len(kept) == done.accepted
    assert sum(sum(counts.values()) for counts in done.lacking.values()) == 40 - len(kept)
    assert {kind for counts in done.lacking.values() for kind in counts} == {"duplicate"}


# --- signs of life ----------------------------------------------------------------------------


def characters(text: str) -> list[str]:
    return list(text.replace(" ", ""))


@pytest.fixture
def by_characters(tiny_encoder, tiny_llm, tmp_path) -> XRAGDecoder:
    """Return a decoder whose bridge, read from a folder, splits texts into characters."""
    names = fingerprint(tiny_encoder), fingerprint(tiny_llm)
    facts = BridgeFacts("lexical", *names, dim=16, hidden=16, n_tokens=4, n_words=2)
    LexicalBridge(facts, ["rain", "bank", "goal"], [[3], [4], [5]]).save(tmp_path / "bridge")
    encoder = BertEncoder(str(tiny_encoder), dtype="float32")
    settings = {"max_new_tokens": 6, "n_candidates": 2, "batch_size": 4, "dtype": "float32"}
    bridge = load_bridge(tmp_path / "bridge", split=characters)
    return XRAGDecoder(str(tiny_llm), bridge, encoder=encoder, **settings)


def test_how_long_texts_are_to_be_goes_by_the_words_of_the_bridge(
    by_characters, create, tickets, monkeypatch, in_order
):
    asked, real = [], XRAGDecoder.decode_rows

    def noted(self, vectors, **how):
        asked.append(how["lengths"])
        return real(self, vectors, **how)

    monkeypatch.setattr(XRAGDecoder, "decode_rows", noted)
    how = {"random_state": 5, "guards": OPEN, "progress": False}
    given = pd.read_csv(tickets)
    made = SMOTExT(decoder=by_characters, **how).generate(given["body"], given["queue"], N)
    shortest = given["body"].map(lambda text: len(characters(text))).min()
    lengths = [length for call in asked for length in call]
    assert min(lengths) >= shortest > 12  # in words they are 7
    asked.clear()
    job = create(sampler=SMOTExT(decoder=by_characters, **how))
    with pytest.raises(ParameterError, match=r"splits texts by characters, .* give the decoder"):
        job.run(progress=False)
    assert not asked
    job.run(decoder=pickle.loads(pickle.dumps(by_characters)), progress=False)
    assert [length for call in asked for length in call] == lengths
    pd.testing.assert_frame_equal(rows_of(job), made.accepted.reset_index(drop=True), atol=1e-6)


def _logged(job: Job, *events: dict) -> None:
    lines = "".join(json.dumps(event) + "\n" for event in events)
    (Path(job.url) / "log.jsonl").write_text(lines)


def test_a_run_elsewhere_that_gives_no_sign_of_life_is_not_said_to_be_running(create):
    job, now = create(), time.time()
    begun = {"event": "run", "run": "a", "host": "elsewhere", "pid": 1, "decoded": 0}
    _logged(job, {**begun, "time": now - 7200}, {"event": "alive", "run": "a", "time": now - 30})
    assert job.status().state == "running"
    _logged(job, {**begun, "time": now - 7200}, {"event": "alive", "run": "a", "time": now - 1260})
    told = job.status()
    assert told.state == "silent"
    assert "no sign of it for 21 min" in str(told)
    # another run has come and gone since: nobody is at it
    later = {**begun, "run": "b", "time": now - 900}
    end = {"event": "end", "run": "b", "time": now - 800}
    _logged(job, {**begun, "time": now - 7200}, later, end)
    assert job.status().state == "stopped"


def test_a_job_runs_as_long_as_one_of_its_runs_does(create):
    job, now = create(), time.time()
    first = {"event": "run", "run": "a", "host": "elsewhere", "pid": 1, "decoded": 0}
    second = {**first, "run": "b", "time": now - 20}
    _logged(job, {**first, "time": now - 60}, second, {"event": "end", "run": "b", "time": now})
    assert job.status().state == "running"


def test_a_run_gives_signs_of_life(create, monkeypatch):
    monkeypatch.setattr("smotext_lab.scale.log.BEAT", 0.01)
    job = create()
    log = Log(job._store)
    with log.kept():
        until = time.monotonic() + 30
        while not any(event["event"] == "alive" for event in read_log(job._store)):
            assert time.monotonic() < until
            time.sleep(0.01)
    last = read_log(job._store)[-1]
    assert (last["event"], last["run"]) == ("end", log.run)


def test_on_object_storage_a_log_does_not_grow_with_signs_of_life(tmp_path):
    store = open_store(f"memory://{tmp_path.name}")
    log = Log(store)
    with log.kept():
        for event in ("run", "alive", "alive", "part", "alive", "alive"):
            log.add(event)
    assert [e["event"] for e in read_log(store)] == ["run", "alive", "part", "alive", "end"]


def test_a_line_that_a_full_disk_has_cut_takes_no_other_with_it(create, monkeypatch):
    job = create()
    log, real = Log(job._store), os.write
    log.add("run")

    def full(file, data):
        if b"lost" in data:
            return real(file, data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("smotext_lab.scale.log.os.write", full)
        with pytest.raises(OSError, match="No space"):
            log.add("lost")
    log.add("part", part="part-00000")
    assert [event["event"] for event in read_log(job._store)] == ["run", "part"]


def test_a_log_that_cannot_be_written_hides_no_error(create, monkeypatch):
    job, add = create(), Log.add

    def full(self, event, **facts):
        if event == "end":
            raise OSError(28, "No space left on device")
        add(self, event, **facts)

    def fails(self, number, vectors, **asked):
        raise DataError("what went wrong")

    monkeypatch.setattr(Log, "add", full)
    monkeypatch.setattr(KeptBatches, "_batch", fails)
    with pytest.raises(DataError, match="what went wrong"):
        job.run(progress=False)


class Bar:
    """Stands in for tqdm's and remembers what it showed."""

    of_the_job: Bar

    def __init__(self, *_, desc="", initial=0, total=0, **__) -> None:
        self.n, self.total = initial, total
        self.shown = [initial]
        if desc == "job":
            Bar.of_the_job = self

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        self.shown.append(self.n)

    def update(self, rows=1) -> None:
        self.n += rows
        self.shown.append(self.n)

    def set_postfix(self, **_) -> None:
        self.shown.append(self.n)


@pytest.mark.parametrize("workers", [1, 2])
def test_progress_counts_no_row_twice_that_an_earlier_run_has_decoded(create, monkeypatch, workers):
    job = create()
    before, calls = KeptBatches._batch, []

    def stopping(self, number, vectors, **asked):
        calls.append(number)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return before(self, number, vectors, **asked)

    monkeypatch.setattr(KeptBatches, "_batch", stopping)
    with pytest.raises(KeyboardInterrupt):
        job.run(progress=False)
    monkeypatch.setattr(KeptBatches, "_batch", before)
    monkeypatch.setattr("tqdm.auto.tqdm", Bar)

    def in_this_process(store, parts, decoder, workers, run):  # what workers tell, without them
        yield from local.run_here(store, parts, decoder, lambda rows: None)

    monkeypatch.setattr(local, "run_workers", in_this_process)
    job.run(workers=workers, progress=False)
    shown = Bar.of_the_job.shown
    assert (shown[0], shown[-1]) == (24, 40)
    assert shown == sorted(shown)


# --- where a job lies -------------------------------------------------------------------------


def test_a_job_runs_where_fsspec_reaches(tiny, tickets, create, tmp_path, monkeypatch):
    monkeypatch.setenv("SMOTEXT_LAB_CACHE", str(tmp_path / "cache"))
    url = f"memory://jobs/{tmp_path.name}"
    how = {"rows_per_part": 16, "near_duplicates": None, "progress": False}
    job = Job.create(url, tickets, N, sampler=tiny(), **how)
    assert isinstance(open_store(url), Bucket)
    assert job.run(progress=False).state == "finished"
    local = create()
    local.run(progress=False)
    pd.testing.assert_frame_equal(rows_of(job), rows_of(local))
    assert job.verify() == []
    assert job.merge(tmp_path / "new.csv") == sum(N.values())


def test_requests_that_fail_are_made_again(monkeypatch, tmp_path):
    store = open_store(f"memory://{tmp_path.name}")
    store.write("plan/a.parquet", b"1")
    failing, real, tries = {1, 2}, store._system.cat_file, []

    def often(path, **how):
        tries.append(path)
        if len(tries) in failing:
            raise OSError("SlowDown")
        return real(path, **how)

    monkeypatch.setattr(store._system, "cat_file", often)
    monkeypatch.setattr("smotext_lab.scale.store._LONGEST_WAIT", 0.001)
    assert store.read("plan/a.parquet") == b"1"
    assert len(tries) == 3
    failing.update(range(100))
    with pytest.raises(DataError, match=r"Could not read 'plan/a\.parquet' in 14 tries: SlowDown"):
        store.read("plan/a.parquet")


def test_a_storage_that_is_away_for_minutes_is_waited_for(monkeypatch, tmp_path):
    store, waits = open_store(f"memory://{tmp_path.name}"), []

    def away(path, **how):
        raise OSError("503")

    monkeypatch.setattr(store._system, "cat_file", away)
    monkeypatch.setattr("smotext_lab.scale.store.time.sleep", waits.append)
    with pytest.raises(DataError, match="503"):
        store.read("job.json")
    assert sum(waits) > 80
    assert max(waits) <= 30


class Spoilt(MemoryFileSystem):
    """Object storage that answers every fifth request with an error, having done it or not."""

    protocol = ("spoilt", "s3")
    cachable = False
    store: ClassVar[dict] = {}
    pseudo_dirs: ClassVar[list] = [""]
    spoilt: ClassVar[Counter] = Counter()
    rng = np.random.default_rng(0)

    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(path.replace("spoilt://", "memory://"))

    def _spoil(self, verb):
        if self.rng.random() < 0.2:
            self.spoilt[verb] += 1
            raise OSError("SlowDown")

    def cat_file(self, path, *args, **how):
        self._spoil("cat")
        return super().cat_file(path, *args, **how)

    def info(self, path, **how):
        self._spoil("info")
        return super().info(path, **how)

    def ls(self, path, *args, **how):
        self._spoil("ls")
        return super().ls(path, *args, **how)

    def pipe_file(self, path, value, *args, **how):
        assert not path.endswith(".part")  # one request, and the file is whole or not there
        self._spoil("before")
        super().pipe_file(path, value, *args, **how)
        self._spoil("after")


def test_a_job_on_object_storage_whose_answers_are_spoilt_gives_the_same_rows(
    tiny, tickets, create, tmp_path, monkeypatch
):
    register_implementation("spoilt", Spoilt, clobber=True)
    monkeypatch.setenv("SMOTEXT_LAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("smotext_lab.scale.store._LONGEST_WAIT", 0.001)
    whole = create("whole")
    whole.run(progress=False)
    how = {"rows_per_part": 16, "near_duplicates": None, "progress": False}
    job = Job.create(f"spoilt://bucket/{tmp_path.name}", tickets, N, sampler=tiny(), **how)
    assert job.run(progress=False).state == "finished"
    pd.testing.assert_frame_equal(rows_of(job, rejected=True), rows_of(whole, rejected=True))
    assert job.verify() == []
    assert set(Spoilt.spoilt) == {"cat", "info", "ls", "before", "after"}


def test_a_file_that_is_not_there_is_no_failed_request(tmp_path):
    for store in (open_store(tmp_path / "none"), open_store(f"memory://{tmp_path.name}-none")):
        assert store.names("plan") == []
        assert not store.exists("job.json")
        with pytest.raises(FileNotFoundError):
            store.read("job.json")
    with pytest.raises(DataError, match="There is no job in"):
        Job(tmp_path / "none")


@pytest.mark.parametrize("where", ["folder", "memory"])
def test_only_a_folder_that_is_meant_is_taken_away_with_what_lies_in_it(tmp_path, where):
    url = str(tmp_path) if where == "folder" else f"memory://{tmp_path.name}-remove"
    store = open_store(url)
    store.write("work/part-00000/a.parquet", b"1")
    store.write("cancelled", b"")
    store.remove("work")
    assert store.exists("work/part-00000/a.parquet")
    for _ in range(2):  # what is not there is no error
        store.remove("cancelled")
        store.remove_folder("work/part-00000")
    assert not store.exists("cancelled")
    assert store.names("work/part-00000") == []


def test_what_object_storage_refuses_is_one_sentence(monkeypatch, tmp_path):
    store = open_store(f"memory://{tmp_path.name}-refused")
    monkeypatch.setattr(store._system, "protocol", "s3", raising=False)
    tries = []

    def answer(error):
        def refuse(*_, **__):
            tries.append(error)
            raise error

        return refuse

    for name in ("cat_file", "pipe_file", "ls"):
        monkeypatch.setattr(store._system, name, answer(PermissionError("Access Denied")))
    for verb, ask in (
        ("read", lambda: store.read("job.json")),
        ("write", lambda: store.write("job.json", b"{}")),
        ("list", lambda: store.names("job.json")),
    ):
        told = f"No permission to {verb} 'job.json' in memory://.*-refused: Access Denied"
        with pytest.raises(DataError, match=told):
            ask()
    for name in ("cat_file", "pipe_file"):
        monkeypatch.setattr(store._system, name, answer(FileNotFoundError("NoSuchBucket")))
    with pytest.raises(DataError, match="there is no bucket for memory://"):
        store.write("job.json", b"{}")
    with pytest.raises(FileNotFoundError) as caught:
        store.read("job.json")
    assert (caught.value.errno, caught.value.filename) == (2, f"{store.url}/job.json")
    assert len(tries) == 5  # an answer is not asked for again


def test_a_ray_cluster_that_loses_a_node_gives_the_same_rows(create):
    ray = pytest.importorskip("ray", reason="Ray is not installed (extra ray)")
    cluster_utils = pytest.importorskip("ray.cluster_utils")
    whole = create("whole", 120)
    whole.run(progress=False)
    job = create(n=120, rows_per_part=4)
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    left = []
    try:
        nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
        ray.init(address=cluster.address, log_to_driver=False)

        def lose() -> None:
            _wait_for_a_part(job)
            cluster.remove_node(nodes[0], allow_graceful=False)
            left.append(30 - len(list(Path(job.url).glob("out/*.parquet"))))

        thread = threading.Thread(target=lose, daemon=True)
        thread.start()
        job.run(runner="ray", workers=3, num_cpus=1, progress=False)
        thread.join(timeout=30)
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert left[0] > 0
    pd.testing.assert_frame_equal(rows_of(job), rows_of(whole), atol=1e-6)
    assert not job.verify()


def _with_another_llm(job: Job, llm: Path, folder: Path) -> Job:
    decoder = dict(job.spec.decoder)
    other = str(shutil.copytree(llm, folder / "other-llm"))
    decoder["parameters"] = {**decoder["parameters"], "llm": other}
    return _changed(job, decoder=decoder)


def _without_a_cluster(asked: dict, rows: list[dict]):
    """Return what stands in for Ray: workers are called in this process."""

    def ran():
        worker = asked["fn"](*asked["fn_constructor_args"])
        for row in rows:
            yield {"told": worker({"part": [row["part"]]})["told"][0]}

    def map_batches(fn, **how):
        asked.update(how, fn=fn)
        return SimpleNamespace(iter_rows=ran)

    def from_items(items, **_):
        rows.extend(items)
        return SimpleNamespace(map_batches=map_batches)

    data = SimpleNamespace(
        from_items=from_items,
        ActorPoolStrategy=lambda size: size,
        DataContext=SimpleNamespace(get_current=SimpleNamespace),
    )
    return SimpleNamespace(data=data, is_initialized=lambda: True)


def test_workers_on_ray_get_their_cores_and_errors_are_ours(
    create, monkeypatch, tiny_llm, tmp_path
):
    asked: dict = {}
    monkeypatch.setitem(sys.modules, "ray", _without_a_cluster(asked, []))
    job = create()
    assert job.run(runner="ray", workers=2, num_cpus=3, progress=False).state == "finished"
    assert (asked["compute"], asked["num_cpus"], asked["num_gpus"]) == (2, 3, None)
    other = _with_another_llm(create("other"), tiny_llm, tmp_path)
    with pytest.raises(DataError, match=r"^The job was made with the llm tiny-llm@"):
        other.run(runner="ray", progress=False)


def test_what_goes_wrong_on_ray_is_one_sentence(create, tiny_llm, tmp_path):
    ray = pytest.importorskip("ray", reason="Ray is not installed (extra ray)")
    other = _with_another_llm(create(), tiny_llm, tmp_path)
    try:
        ray.init(num_cpus=1, log_to_driver=False)
        with pytest.raises(DataError, match=r"^The job was made with the llm tiny-llm@"):
            other.run(runner="ray", progress=False)
    finally:
        ray.shutdown()


class CutShort(LocalFileSystem):
    """A file system whose writings are cut short, so many times."""

    protocol = "cut"
    cachable = False
    left = 0

    def pipe_file(self, path, value, **how):
        if self.left:
            self.left -= 1
            Path(path).write_bytes(value[: len(value) // 2])
            raise OSError("the connection is gone")
        super().pipe_file(path, value, **how)


def test_a_writing_that_is_cut_short_is_no_file(monkeypatch, tmp_path):
    monkeypatch.setattr("smotext_lab.scale.store._LONGEST_WAIT", 0.001)
    system = CutShort()
    store = Bucket("cut://job", system, str(tmp_path / "job"))
    system.left = 14
    with pytest.raises(DataError, match="Could not write"):
        store.write("out/part-00000.parquet", b"whole")
    assert not store.exists("out/part-00000.parquet")
    assert store.names("out") == []
    assert list((tmp_path / "job" / "out").iterdir()) == []
    for data in (b"whole", b"whole again"):
        system.left = 2
        store.write("out/part-00000.parquet", data)
        assert store.read("out/part-00000.parquet") == data
        assert store.names("out") == ["part-00000.parquet"]


def test_a_file_takes_the_place_of_another_where_moving_does_not(monkeypatch, tmp_path):
    system = LocalFileSystem()
    store = Bucket("webhdfs://job", system, str(tmp_path / "job"))
    store.write("finished.json", b"1")
    real = system.mv

    def onto_nothing(old, new):  # as WebHDFS does
        if not system.exists(new):
            real(old, new)

    monkeypatch.setattr(system, "mv", onto_nothing)
    store.write("finished.json", b"2")
    assert store.read("finished.json") == b"2"
    assert store.names("") == ["finished.json"]
