import json
import shlex
import sys
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest

from smotext_lab.errors import ParameterError, ReportError
from smotext_lab.reports import (
    Parameter,
    leave_table,
    parse_parameters,
    read_metrics,
    record,
    run_report,
    template_parameters,
    template_path,
    templates,
)
from smotext_lab.reports.page import page

cells = nbformat.v4

PARAMETERS = """
n: int = 3  # how many; n = 3 is plenty
name: str | None = None  # whom to greet
share: "float" = 0.5
words: list[str] = []  # which
on: bool = False
either: int | str = 1
level = 2
anything = None
"""


def write_template(path: Path, *sources: str, parameters: str = PARAMETERS) -> Path:
    notebook = cells.new_notebook()
    tagged = cells.new_code_cell(parameters, metadata={"tags": ["parameters"]})
    notebook.cells = [
        cells.new_markdown_cell("# A *small* report"),
        tagged,
        *(cells.new_code_cell(source) for source in sources),
    ]
    nbformat.write(notebook, path)
    return path


@pytest.fixture
def template(tmp_path):
    return write_template(tmp_path / "small.ipynb")


NAME = '"quoted" {braces} \\ back\nsecond line \' $x$ é'


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Run one report of a user's own template, into a folder whose name holds braces."""
    folder = tmp_path_factory.mktemp("finished")
    own = write_template(
        folder / "own.ipynb",
        "from smotext_lab.reports import headline, record",
        "record(n=n, name=name, lost=float('nan'))",
        "headline(best=share)\nrecord(n=n + 1)",
    )
    given = {"n": np.int64(7), "name": NAME, "share": 1}
    return run_report(own, given, folder / "{out}", progress=False), given


def test_report_leaves_three_files_and_nothing_else(finished):
    report, _ = finished
    names = sorted(p.name for p in report.html.parent.iterdir())
    assert names == ["metrics.json", "own.html", "own.ipynb"]


def test_metrics_put_the_headline_first_and_keep_the_last_value_of_a_name(finished):
    report, _ = finished
    assert list(report.metrics.items()) == [("best", 1), ("n", 8), ("name", NAME), ("lost", None)]
    assert json.loads(report.metrics_path.read_text(encoding="utf-8")) == report.metrics
    assert read_metrics(report.notebook) == report.metrics


def test_page_opens_with_the_templates_own_heading(finished):
    html = finished[0].html.read_text(encoding="utf-8")
    assert "<title>A small report</title>" in html
    assert html.index("<h1>") < html.index("To make this report again")


def test_page_has_no_script_and_no_address_to_load_from(finished):
    html = finished[0].html.read_text(encoding="utf-8")
    assert "<script" not in html
    assert "http://" not in html
    assert "https://" not in html


def test_command_in_the_report_makes_the_same_report(finished):
    report, given = finished
    notebook = nbformat.read(report.notebook, as_version=4)
    shown = notebook.cells[-1].source.split("<code>")[1].split("</code>")[0]
    for escaped, character in {"&quot;": '"', "&#x27;": "'", "&amp;": "&"}.items():
        shown = shown.replace(escaped, character)
    words = shlex.split(shown)
    own = words[2]
    typed = [words[i + 1] for i, word in enumerate(words) if word == "-p"]
    assert parse_parameters(own, typed) == given
    assert words[-2:] == ["-o", str(report.html.parent)]


def test_template_parameters_give_type_default_and_comment(template):
    found = template_parameters(template)
    assert found[0] == Parameter("n", "int", 3, "how many; n = 3 is plenty")
    assert [p.type for p in found[1:]] == [
        "str | None",
        "float",
        "list[str]",
        "bool",
        "int | str",
        "int",
        "any",
    ]


def test_shipped_templates_are_listed_and_found():
    assert "qualitative" in templates()
    assert template_path("qualitative").name == "qualitative.ipynb"


def test_unknown_template_suggests_the_near_one():
    with pytest.raises(ReportError, match="did you mean 'qualitative'"):
        run_report("qualitativ")


def test_unknown_parameter_is_an_error_that_suggests_the_near_one(template, tmp_path):
    with pytest.raises(ParameterError, match=r"no parameter 'nmae' \(did you mean 'name'\?\)"):
        run_report(template, {"nmae": "x"}, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("n", "many", "int"),
        ("n", 2.5, "int"),
        ("n", True, "int"),
        ("name", 3, "str or None"),
        ("words", ["a", 1], "list"),
        ("on", 1, "bool"),
        ("share", "half", "float"),
    ],
)
def test_value_of_a_wrong_type_names_the_parameter_and_the_type(
    template, tmp_path, name, value, expected
):
    with pytest.raises(ParameterError, match=f"'{name}' .* must be {expected}"):
        run_report(template, {name: value}, tmp_path / "out")


@pytest.mark.parametrize(
    ("assignment", "value"),
    [
        ("n=12", 12),
        ("share=1", 1.0),
        ("on=true", True),
        ("on=False", False),
        ("name=none", None),
        ("name=a=b", "a=b"),
        ("name=12", "12"),
        ("words=sport,tech", ["sport", "tech"]),
        ('words=["a,b"]', ["a,b"]),
        ("either=5", 5),
        ("either=five", "five"),
        ("anything=[1,2]", [1, 2]),
        ("anything=word", "word"),
    ],
)
def test_shell_words_become_values_of_the_parameters_type(template, assignment, value):
    (read,) = parse_parameters(template, [assignment]).values()
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize("assignment", ["n=twelve", "on=yes", "words=[1]", "share=half", "n"])
def test_shell_word_that_does_not_fit_is_an_error(template, assignment):
    with pytest.raises(ParameterError):
        parse_parameters(template, [assignment])


def test_failing_cell_keeps_the_notebook_and_leaves_an_earlier_report_alone(tmp_path):
    bad = write_template(
        tmp_path / "bad.ipynb",
        "print('before')",
        "from smotext_lab.errors import DataError\nraise DataError('no column <b>x</b>')",
    )
    out = tmp_path / "out"
    out.mkdir()
    (out / "bad.html").write_text("earlier")
    with pytest.raises(ReportError) as caught:
        run_report(bad, {"n": 1}, out, progress=False)
    assert "raised DataError: no column <b>x</b>; " in str(caught.value)
    assert "\n" not in str(caught.value)
    assert sorted(p.name for p in out.iterdir()) == ["bad.failed.ipynb", "bad.html"]
    assert (out / "bad.html").read_text() == "earlier"
    kept = nbformat.read(out / "bad.failed.ipynb", as_version=4)
    assert any("before" in o.get("text", "") for c in kept.cells for o in c.get("outputs", []))


def test_a_table_becomes_a_file_beside_the_page_and_no_part_of_the_notebook(tmp_path):
    own = write_template(
        tmp_path / "own.ipynb",
        "import pandas as pd\nfrom smotext_lab.reports import leave_table",
        "leave_table('results', pd.DataFrame({'k': [5, 10], 'value': [0.5, float('nan')]}))",
    )
    made = run_report(own, out=tmp_path / "out", progress=False)
    [table] = made.tables
    assert table == tmp_path / "out" / "results.parquet"
    assert pd.read_parquet(table)["k"].tolist() == [5, 10]
    assert "results.parquet: 2 rows" in made.html.read_text()
    assert "application/vnd.smotext-lab.table" not in made.notebook.read_text()
    assert "results.parquet" in made._repr_html_()
    with pytest.raises(ParameterError, match="must be a plain word"):
        leave_table("../results", pd.DataFrame())


def test_kernel_that_dies_is_reported_in_one_sentence(tmp_path):
    bad = write_template(tmp_path / "dies.ipynb", "import os; os._exit(9)")
    with pytest.raises(ReportError, match="'dies' stopped: its kernel failed"):
        run_report(bad, out=tmp_path / "out", progress=False)


def test_running_interpreter_is_used_whatever_kernels_are_installed(tmp_path, monkeypatch):
    spec = {"argv": ["/nowhere/python"], "display_name": "elsewhere", "language": "python"}
    folder = tmp_path / "kernels" / "python3"
    folder.mkdir(parents=True)
    (folder / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "0")
    own = write_template(
        tmp_path / "own.ipynb",
        "import sys\nfrom smotext_lab.reports import record\nrecord(prefix=sys.prefix)",
    )
    assert run_report(own, out=tmp_path / "out", progress=False).metrics == {"prefix": sys.prefix}
    with pytest.raises(ReportError, match="its kernel failed"):
        run_report(own, out=tmp_path / "out", kernel_name="python3", progress=False)


def test_unknown_kernel_name_lists_those_installed(template, tmp_path):
    with pytest.raises(ReportError, match="no Jupyter kernel 'julia-9'; installed are"):
        run_report(template, out=tmp_path / "out", kernel_name="julia-9")


def test_report_never_overwrites_its_own_template(template, tmp_path):
    before = template.read_bytes()
    with pytest.raises(ReportError, match="would overwrite its own template"):
        run_report(template, out=tmp_path)
    assert template.read_bytes() == before


def test_out_that_is_a_file_is_an_error(template, tmp_path):
    (tmp_path / "taken").write_text("x")
    with pytest.raises(ReportError, match="cannot be written to"):
        run_report(template, out=tmp_path / "taken")


def test_file_that_is_no_notebook_is_an_error(tmp_path):
    (tmp_path / "not.ipynb").write_text("{}")
    with pytest.raises(ReportError, match="cannot be read as a notebook"):
        run_report(tmp_path / "not.ipynb", out=tmp_path / "out")


def test_record_takes_single_figures_only():
    with pytest.raises(ParameterError, match="'cosines' must be a number"):
        record(cosines=[0.1, 0.2])


def test_page_drops_what_acts_or_fetches_from_an_authors_own_output():
    html = (
        "<script>x</script><img src='http://example.org/x.png' onerror='x'>"
        "<a href=' java\nscript:x'>a</a><iframe srcdoc='x'></iframe>"
        "<meta http-equiv='refresh' content='0;url=//example.org'><b>kept</b>"
        "<img alt='dot' src='data:image/gif;base64,R0lGODlhAQABAAAAACw='>"
    )
    output = cells.new_output("display_data", {"text/html": html})
    widget = {"application/vnd.jupyter.widget-view+json": {"model_id": "1"}}
    cell = cells.new_code_cell("1", outputs=[output, cells.new_output("display_data", widget)])
    notebook = cells.new_notebook(cells=[cell])
    made = page(notebook, "title")
    assert "<b>kept</b>" in made
    assert "data:image/gif" in made
    for word in ("<script", "example.org", "onerror", "script:", "<iframe", "refresh", "model_id"):
        assert word not in made
    assert notebook.cells[0].outputs[0].data["text/html"] == html


def test_page_policy_forbids_scripts_and_loading():
    made = page(cells.new_notebook(), "a <title>")
    assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'" in made
    assert "<title>a &lt;title&gt;</title>" in made
