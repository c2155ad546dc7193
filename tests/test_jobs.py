from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
from fsspec.implementations.local import LocalFileSystem

from smotext_lab import BertEncoder, SMOTExT, XRAGDecoder
from smotext_lab.errors import DataError, ParameterError
from smotext_lab.guards import Guards
from smotext_lab.interpolators import BorderlineSMOTEInterpolator, MixupInterpolator
from smotext_lab.scale import Job
from smotext_lab.scale.batches import KeptBatches
from smotext_lab.scale.duplicates import shingles
from smotext_lab.scale.store import Bucket, Folder, open_store

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
        usual = {"random_state": 5, "guards": OPEN, "progress": False}
        return SMOTExT(decoder=decoder, **{**usual, **settings})

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


def test_a_part_that_is_begun_again_decodes_only_what_is_missing(create, monkeypatch):
    whole = create("whole")
    whole.run(progress=False)
    job = create()
    before = KeptBatches._batch
    calls = []

    def stopping(self, number, vectors, **asked):
        calls.append(len(vectors))
        if len(calls) == 4:
            raise KeyboardInterrupt
        return before(self, number, vectors, **asked)

    monkeypatch.setattr(KeptBatches, "_batch", stopping)
    with pytest.raises(KeyboardInterrupt, match=r"24 of 40 rows are decoded; `smotext-lab job"):
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
    assert sum(decoded) == 16
    pd.testing.assert_frame_equal(rows_of(job, rejected=True), rows_of(whole, rejected=True))


def test_a_job_killed_again_and_again_ends_with_the_same_table(create, tiny, tmp_path):
    whole = create("whole")
    whole.run(progress=False)
    job = create()
    code = "import sys; from smotext_lab.scale import Job; Job(sys.argv[1]).run(progress=False)"
    rng = np.random.default_rng(0)
    for _ in range(2):
        process = subprocess.Popen([sys.executable, "-c", code, job.url])
        begun = Path(job.url) / "work"
        until = time.monotonic() + 60
        while not begun.exists() and process.poll() is None and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(float(rng.uniform(0, 0.1)))
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not list(Path(job.url).glob("out/*.tmp"))
    assert job.run(progress=False).state == "finished"
    assert job.verify() == []
    pd.testing.assert_frame_equal(rows_of(job, rejected=True), rows_of(whole, rejected=True))


def test_several_workers_give_the_same_rows(create):
    whole = create("whole")
    whole.run(progress=False)
    job = create(rows_per_part=8)
    assert job.run(workers=2, progress=False).state == "finished"
    pd.testing.assert_frame_equal(rows_of(job), rows_of(whole), atol=1e-6)


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


def test_duplicates_over_the_whole_job_are_taken_out_and_made_up_for(
    topics, word_decoder, tmp_path, tickets
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


def test_near_duplicates_are_found_by_their_word_pairs(word_decoder, tickets, tmp_path):
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


def test_a_plan_holds_neither_texts_nor_vectors_and_is_small(create):
    import pyarrow.parquet as pq

    job = create()
    schema = pq.read_schema(Path(job.url) / "plan" / "part-00000.parquet")
    assert schema.names == ["row", "label", "parents", "weights", "seed"]
    told = json.loads((Path(job.url) / "job.json").read_text())
    assert set(told["models"]) == {"encoder", "llm", "bridge"}
    assert len(told["data_sha256"]) == 64


def test_another_model_is_refused(create, tiny, tmp_path, tiny_llm):
    import shutil

    job = create()
    told = json.loads((Path(job.url) / "job.json").read_text())
    other = shutil.copytree(tiny_llm, tmp_path / "other-llm")
    told["decoder"]["parameters"]["llm"] = str(other)
    (Path(job.url) / "job.json").write_text(json.dumps(told))
    with pytest.raises(DataError, match=r"the llm tiny-llm@.*and now it is other-llm@"):
        Job(job.url).run(progress=False)


def test_a_job_is_not_written_over(create):
    create()
    with pytest.raises(DataError, match="There is a job in"):
        create()


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


def test_a_full_disk_loses_nothing(create, monkeypatch):
    whole = create("whole")
    whole.run(progress=False)
    job = create()
    real, written = os.write, []

    def full(self, name, data, **how):
        written.append(name)
        if len(written) == 5:
            raise OSError(28, "No space left on device", name)
        return before(self, name, data, **how)

    before = Folder.write
    monkeypatch.setattr(Folder, "write", full)
    with pytest.raises(OSError, match="No space left"):
        job.run(progress=False)
    monkeypatch.setattr(Folder, "write", before)
    assert real is os.write
    assert job.run(progress=False).state == "finished"
    pd.testing.assert_frame_equal(rows_of(job), rows_of(whole))


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
    monkeypatch.setattr("smotext_lab.scale.store._FIRST_WAIT", 0.001)
    assert store.read("plan/a.parquet") == b"1"
    assert len(tries) == 3
    failing.update(range(100))
    with pytest.raises(DataError, match=r"Could not read 'plan/a\.parquet' in 8 tries: SlowDown"):
        store.read("plan/a.parquet")


def test_a_file_that_is_not_there_is_no_failed_request(tmp_path):
    for store in (open_store(tmp_path / "none"), open_store(f"memory://{tmp_path.name}-none")):
        assert store.names("plan") == []
        assert not store.exists("job.json")
        with pytest.raises(FileNotFoundError):
            store.read("job.json")
    with pytest.raises(DataError, match="There is no job in"):
        Job(tmp_path / "none")


def test_a_ray_cluster_that_loses_a_node_gives_the_same_rows(create):
    ray = pytest.importorskip("ray", reason="Ray is not installed (extra ray)")
    cluster_utils = pytest.importorskip("ray.cluster_utils")
    whole = create("whole")
    whole.run(progress=False)
    job = create(rows_per_part=4)
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
        ray.init(address=cluster.address, log_to_driver=False)
        parts = Path(job.url) / "out"

        def lose() -> None:
            while not any(parts.glob("*.parquet")):
                time.sleep(0.05)
            cluster.remove_node(nodes[0], allow_graceful=False)

        thread = threading.Thread(target=lose, daemon=True)
        thread.start()
        job.run(runner="ray", workers=2, progress=False)
        thread.join(timeout=30)
    finally:
        ray.shutdown()
        cluster.shutdown()
    pd.testing.assert_frame_equal(rows_of(job), rows_of(whole))
    assert not job.verify()


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
    monkeypatch.setattr("smotext_lab.scale.store._FIRST_WAIT", 0.001)
    system = CutShort()
    store = Bucket("cut://job", system, str(tmp_path / "job"))
    system.left = 8
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
