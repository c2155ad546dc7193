from __future__ import annotations

import re
import shlex
from pathlib import Path

import pandas as pd
import pytest
import typer
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config
from typer.testing import CliRunner

import smotext_lab
from smotext_lab import cli, load_dataset

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


def shell_lines() -> list[str]:
    lines = "".join(blocks("sh")).splitlines()
    return [line.split("smotext-lab ", 1)[1] for line in lines if "smotext-lab " in line]


@pytest.mark.parametrize("line", shell_lines())
def test_shell_examples_use_commands_and_options_that_exist(line):
    words = shlex.split(line.partition(">")[0])
    group = typer.main.get_command(cli.app)
    here = [words[0]] if not hasattr(group.commands[words[0]], "commands") else words[:2]
    page = CliRunner().invoke(cli.app, [*here, "--help"])
    assert page.exit_code == 0
    for word in words[len(here) :]:
        if word.startswith("-") and word != "-":
            assert re.search(rf"(^|\s|,){re.escape(word)}\b", page.stdout), word


def test_files_that_are_linked_to_exist():
    links = re.findall(r"\]\((?!http)([^)#]+)\)", README)
    assert "LICENSE" in links
    assert [link for link in links if not (ROOT / link).exists()] == []


@pytest.mark.real
def test_python_examples_run(topics, tmp_path, monkeypatch):
    texts, labels = topics(money=8, sport=8)
    pd.DataFrame({"body": texts, "queue": labels}).to_csv(tmp_path / "tickets.csv", index=False)
    monkeypatch.chdir(tmp_path)
    news = load_dataset("bbc_titles").groupby(["split", "label"]).head(12)  # to encode fewer
    monkeypatch.setattr(smotext_lab, "load_dataset", lambda _: news)
    for source in blocks("python"):
        exec(compile(source, "README.md", "exec"), {})
    new = pd.read_parquet("new.parquet")
    assert set(new["label"]) == {"sport", "tech"}


@pytest.mark.real
def test_notebook_examples_work_as_they_are_pasted():
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
    results = []
    for source in blocks("ipython"):
        done = shell.run_cell(source)
        done.raise_error()
        results.append(done.result)
    InteractiveShell.clear_instance()
    (path,) = [result for result in results if result is not None]
    assert len(path) == 7
    assert shell.user_ns["extra"].counts().sum() == 8
    assert set(shell.user_ns["extra"].counts().index) == {"sport", "tech"}
