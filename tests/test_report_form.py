"""`ReportForm`: fields for parameters, a run beside the kernel, and what it found."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import ipywidgets
import nbformat
import pytest

from smotext_lab import ReportForm
from smotext_lab.errors import ParameterError, ReportError

PARAMETERS = """n: int = 3  # how many
name: str | None = None  # what <b>to</b> greet
loud: bool = False
several: list[int] = [1, 2]  # numbers"""


@pytest.fixture
def template(tmp_path: Path) -> str:
    """Return a small template that needs no models."""
    v4 = nbformat.v4
    cells = [
        v4.new_markdown_cell("# A greeting"),
        v4.new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]}),
        v4.new_code_cell(
            "from smotext_lab.reports import record\n"
            "assert n < 90, 'too many'\n"
            "record(total=n + sum(several), loud=loud, name=name or '')\n"
            "print('hello <script>alert(1)</script>')"
        ),
        v4.new_code_cell("import time\nwhile n == 77:\n    time.sleep(0.1)"),
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    path = tmp_path / "greeting.ipynb"
    nbformat.write(v4.new_notebook(cells=cells, metadata=kernel), path)
    return str(path)


@pytest.fixture
def form(template: str, tmp_path: Path) -> ReportForm:
    return ReportForm(template, {"n": 5, "unknown": 1}, out=str(tmp_path / "out"))


def test_parameters_have_a_field_each_by_their_type(form: ReportForm) -> None:
    assert form.parameters == {"n": 5, "name": None, "loud": False, "several": [1, 2]}
    assert isinstance(form._fields["loud"], ipywidgets.Checkbox)
    assert form._fields["several"].value == "[1, 2]"
    assert form._fields["name"].value == "none"


def test_fields_and_parameters_are_the_same(form: ReportForm) -> None:
    form._fields["several"].value = "4,5"
    form._fields["loud"].value = True
    form._fields["name"].value = "Ada"
    assert form.parameters == {"n": 5, "name": "Ada", "loud": True, "several": [4, 5]}
    form.parameters = {**form.parameters, "n": 8}
    assert form._fields["n"].value == "8"


def test_what_cannot_be_read_is_said_in_one_sentence(form: ReportForm) -> None:
    with pytest.raises(ParameterError, match="int"):
        form._fields["n"].value = "many"
    assert "n" in form.error
    assert form.parameters["n"] == 5


def test_a_run_gives_the_page_and_its_figures(form: ReportForm, tmp_path: Path) -> None:
    form.parameters = {**form.parameters, "name": "Ada", "loud": True}
    form.run().wait(120)
    assert form.state == "done"
    assert form.metrics.set_index("metric")["value"].to_dict() == {
        "total": 8,
        "loud": True,
        "name": "Ada",
    }
    assert form.report.html == tmp_path / "out" / "greeting.html"
    assert 'sandbox=""' in form._page.value
    assert "<script" not in form._page.value.split("srcdoc=", 1)[1].replace("&lt;script", "")
    assert form._link.outputs


def test_a_report_that_fails_says_why(form: ReportForm, tmp_path: Path) -> None:
    form.parameters = {**form.parameters, "n": 95}
    form.run()
    with pytest.raises(ReportError, match="too many"):
        form.wait(120)
    assert form.state == "failed"
    assert "too many" in form.error
    assert (tmp_path / "out" / "greeting.failed.ipynb").is_file()


def test_a_report_can_be_stopped(form: ReportForm) -> None:
    import time

    form.parameters = {**form.parameters, "n": 77}
    form.run()
    end = time.monotonic() + 60
    while form._bar.max < 4:
        assert time.monotonic() < end, "the bar tells of a cell while that runs"
        time.sleep(0.1)
    with pytest.raises(ReportError, match="is running"):
        form.run()
    form.stop()
    with pytest.raises(ReportError):
        form.wait(60)
    assert form.state == "failed"


def test_a_last_sentence_without_a_line_end_is_heard(form: ReportForm) -> None:
    said = (
        "import sys; sys.stderr.write('\\r 1/3 [00:01]\\r 2/3 [00:02]\\nError: the disk is full')"
    )
    process = subprocess.Popen([sys.executable, "-c", said], stderr=subprocess.PIPE)
    assert form._listen(process) == "the disk is full"
    assert (form._bar.value, form._bar.max) == (2, 3)


def test_texts_of_the_template_are_no_markup(form: ReportForm) -> None:
    shown = form._repr_mimebundle_()["text/html"] + "".join(
        child.value for child in form.children[1].children[1].children[:1]
    )
    assert "<b>to</b>" not in shown
    assert "&lt;b&gt;to" in shown
