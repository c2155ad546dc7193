from __future__ import annotations

import json
import time
from pathlib import Path

import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from smotext_lab import cli
from smotext_lab.scale import Job
from smotext_lab.scale.batches import KeptBatches


def run(*words: object) -> typer.testing.Result:
    return CliRunner().invoke(cli.app, ["job", *map(str, words)])


def only_line(result: typer.testing.Result) -> str:
    (line,) = result.stderr.splitlines()
    return line


@pytest.fixture
def tickets(topics, tmp_path) -> Path:
    texts, labels = topics(money=12, sport=8)
    frame = pd.DataFrame({"body": texts, "queue": labels})
    frame.to_csv(tmp_path / "tickets.csv", index=False)
    return tmp_path / "tickets.csv"


@pytest.fixture
def create(tiny_encoder, tiny_llm, tiny_bridge, tickets, tmp_path):
    """Run `job create` with tiny models; 20 rows in 3 parts unless told otherwise."""
    small = ["--encoder", tiny_encoder, "--llm", tiny_llm, "--bridge", tiny_bridge]
    small += ["--max-new-tokens", 12, "--n-candidates", 2, "--random-state", 3]
    small += ["--no-guards", "--guard", "max_copy_cosine=none", "--rows-per-part", 8]

    def go(*words, name="job") -> typer.testing.Result:
        words = words or ("--n", 20)
        return run("create", tickets, tmp_path / name, *small, *words)

    return go


@pytest.fixture
def job(create, tmp_path) -> Path:
    assert create().exit_code == 0
    return tmp_path / "job"


def test_a_job_goes_from_a_file_to_a_file(create, tmp_path):
    made = create()
    assert made.exit_code == 0
    assert made.stdout == ""
    assert made.stderr.splitlines() == [
        "20 rows in 3 parts, from 20 texts",
        "the same again: --random-state 3",
        f"to make them: smotext-lab job run {tmp_path / 'job'}",
    ]
    ran = run("run", tmp_path / "job")
    assert ran.exit_code == 0
    assert f"{tmp_path / 'job'}: finished" in ran.stderr
    assert "smotext-lab job merge" in ran.stderr.splitlines()[-1]
    merged = run("merge", tmp_path / "job", "--out", tmp_path / "new.csv")
    assert merged.exit_code == 0
    assert only_line(merged) == f"20 rows written to {tmp_path / 'new.csv'}"
    assert pd.read_csv(tmp_path / "new.csv")["queue"].value_counts().to_dict() == {
        "money": 12,
        "sport": 8,
    }
    again = run("run", tmp_path / "job")
    assert again.exit_code == 0


def test_near_duplicates_are_looked_for_unless_told_otherwise(create, tmp_path):
    for name, words, kept in (("a", [], 0.8), ("b", ["--near-duplicates", "none"], None)):
        assert create("--n", 4, *words, name=name).exit_code == 0
        assert Job(tmp_path / name).spec.near_duplicates == kept


def test_both_models_compute_in_what_the_shell_says(create, tmp_path):
    for name in ("float32", "bfloat16"):
        assert create("--n", 2, "--dtype", name, name=name).exit_code == 0
        job = Job(tmp_path / name)
        assert job.spec.dtypes == {"llm": name, "encoder": name}
        assert run("run", tmp_path / name).exit_code == 0
        assert len(job.synthesis()) == 2


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--near-duplicates", "often"], "--near-duplicates takes a number from 0.5 to 1, or none"),
        (["--near-duplicates", "0.2"], "near_duplicates must be from 0.5 to 1"),
        (["--rows-per-part", 0], "rows_per_part must be 1 or more"),
        (["--text", "subject"], "subject"),
    ],
)
def test_a_job_that_cannot_be_made_is_one_sentence(create, tmp_path, words, told):
    result = create("--n", 4, *words)
    assert result.exit_code == 1
    assert told in only_line(result)
    assert not (tmp_path / "job" / "job.json").exists()


def test_a_job_is_not_written_over(job, create):
    result = create()
    assert result.exit_code == 1
    assert only_line(result).startswith(f"Error: There is a job in {job} already")


@pytest.mark.parametrize("command", ["run", "status", "verify", "resume", "merge", "cancel"])
def test_where_no_job_is_every_command_says_so(tmp_path, command):
    out = ["--out", tmp_path / "new.csv"] if command == "merge" else []
    result = run(command, tmp_path / "none", *out)
    assert result.exit_code == 1
    assert only_line(result).startswith(f"Error: There is no job in {tmp_path / 'none'}")
    assert not (tmp_path / "none").exists()


def test_resuming_where_no_job_is_takes_nothing_away(tmp_path):
    orders = tmp_path / "shop" / "cancelled" / "orders.csv"
    orders.parent.mkdir(parents=True)
    orders.write_text("1")
    result = run("resume", tmp_path / "shop")
    assert result.exit_code == 1
    assert only_line(result).startswith(f"Error: There is no job in {tmp_path / 'shop'}")
    assert orders.read_text() == "1"


def test_status_is_told_on_standard_output(job):
    told = run("status", job)
    assert told.exit_code == 0
    assert told.stderr == ""
    assert told.stdout.splitlines()[:2] == [
        f"{job}: planned",
        "0 of 20 rows decoded (0.0%), 0 of 3 parts finished",
    ]


def test_following_ends_when_nothing_runs(job, monkeypatch):
    run("run", job)
    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("there is nothing to wait for"))
    told = run("status", job, "--follow")
    assert told.exit_code == 0
    assert told.stdout.startswith(f"{job}: finished\n20 of 20 rows decoded (100.0%)")


def test_following_says_it_again_until_the_run_ends(job, monkeypatch):
    begun = {"event": "run", "run": "a", "host": "elsewhere", "pid": 1, "decoded": 0}
    log, waits = job / "log.jsonl", []
    log.write_text(json.dumps({**begun, "time": time.time()}) + "\n")

    def end(seconds):
        waits.append(seconds)
        with log.open("a") as file:
            file.write(json.dumps({"event": "end", "run": "a", "time": time.time()}) + "\n")

    monkeypatch.setattr("smotext_lab.cli.job.time.sleep", end)
    told = run("status", job, "-f")
    assert told.exit_code == 0
    assert len(waits) == 1
    assert [line for line in told.stdout.splitlines() if line.startswith(str(job))] == [
        f"{job}: running",
        f"{job}: stopped",
    ]


def test_ctrl_c_is_130_and_resume_goes_on(create, tmp_path, monkeypatch):
    create("--n", 24)
    job = tmp_path / "job"
    before, calls = KeptBatches._batch, []

    def stopping(self, number, vectors, **asked):
        calls.append(number)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return before(self, number, vectors, **asked)

    with monkeypatch.context() as patched:
        patched.setattr(KeptBatches, "_batch", stopping)
        result = run("run", job)
    assert result.exit_code == 130
    assert only_line(result) == (
        f"Interrupted: 8 of 24 rows are decoded; `smotext-lab job resume {job}` goes on."
    )
    told = run("merge", job, "--out", job.parent / "some.jsonl")
    assert told.exit_code == 0
    assert only_line(told) == f"8 rows written to {job.parent / 'some.jsonl'}; stopped"
    assert run("resume", job).exit_code == 0
    assert Job(job).status().state == "finished"


def test_a_cancelled_job_makes_nothing_until_it_is_resumed(job):
    told = run("cancel", job)
    assert told.exit_code == 0
    assert only_line(told) == f"{job} ends after the batch in hand."
    stopped = run("run", job)
    assert stopped.exit_code == 130
    assert f"{job}: cancelled" in stopped.stderr
    assert stopped.stderr.splitlines()[-1] == (
        f"`smotext-lab job resume {job}` takes the cancellation back."
    )
    assert not (job / "out").exists()
    assert run("resume", job).exit_code == 0
    assert Job(job).status().state == "finished"


def test_verify_tells_damage_and_repair_lets_run_make_it_again(job):
    run("run", job)
    right = run("verify", job)
    assert (right.exit_code, only_line(right)) == (0, "All that is there is right.")
    part = job / "out" / "part-00001.parquet"
    part.write_bytes(part.read_bytes()[:-20])
    wrong = run("verify", job)
    assert wrong.exit_code == 1
    assert "part-00001 cannot be read" in only_line(wrong)
    assert part.exists()
    repaired = run("verify", job, "--repair")
    assert repaired.exit_code == 1
    assert repaired.stderr.splitlines()[1:] == [
        f"What can be made again was taken away: smotext-lab job run {job}"
    ]
    assert not part.exists()
    assert run("run", job).exit_code == 0
    assert run("verify", job).exit_code == 0


def test_merge_says_what_is_lacking(create, tmp_path):
    hard = ["--guard", "label_neighbors=3", "--max-attempts", 1, "--max-blends", 1]
    made = create("--n", 20, *hard)
    assert made.exit_code == 0
    run("run", tmp_path / "job")
    told = run("merge", tmp_path / "job", "--out", tmp_path / "new.parquet")
    assert told.exit_code == 0
    warning, written = told.stderr.splitlines()
    assert warning.startswith("Warning: Of the 20 texts asked for ")
    assert "(label " in warning
    assert written == f"{len(pd.read_parquet(tmp_path / 'new.parquet'))} rows written to " + str(
        tmp_path / "new.parquet"
    )


def test_a_file_of_no_known_form_is_one_sentence(job, tmp_path):
    result = run("merge", job, "--out", tmp_path / "new.doc")
    assert result.exit_code == 1
    assert only_line(result).startswith("Error: ")
