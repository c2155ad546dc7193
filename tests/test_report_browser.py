"""The exported page as a stranger opens it: headless Chromium, nothing let through but the file.

Reports on the same hostile texts: one whose decoder writes them too, and the `qualitative`
template over the whole road with the default models.
"""

from pathlib import Path

import nbformat
import pandas as pd
import pytest
from filelock import FileLock

from smotext_lab.reports import run_report

pytestmark = pytest.mark.browser

HOSTILE = [
    "<script>alert(1)</script><img src='http://example.org/a.png' onerror='alert(2)'>",
    "{{ x }} {% include '/etc/passwd' %} {x!r} %s ${x}",
    "$x$ and \\(x\\) and $$\\href{javascript:alert(3)}{x}$$",
    "right to left \u202eevil\u202c and \u2066isolated",
    "long " * 10_000,
    "</div></details></style></script><style>body{display:none}</style><!--",
    "[a](javascript:alert(4)) `b` **c** <b>d</b> &lt;e&gt; \u0000\u0007",
    "datum.x; signal('width') =1+1 \"quoted\" 'single' \\n",
]
SEEN = [
    "<script>alert(1)</script><img src='http://example.org/a.png' onerror='alert(2)'>",
    "{{ x }} {% include '/etc/passwd' %} {x!r} %s ${x}",
    "</div></details></style></script><style>body{display:none}</style><!--",
]

NO_MODELS = """
import numpy as np
import pandas as pd
from smotext_lab import Synthesis
from smotext_lab.reports import pieces, qualitative
from smotext_lab.reports import walks
from smotext_lab.decoded import Decoded
from smotext_lab.reports import record

class Hostile:
    def decode_rows(self, vectors, *, seeds=None, forms=None, lengths=None, agreement=None):
        for row, vector in enumerate(vectors):
            text = real["text"].iloc[row % len(real)]
            yield Decoded(row, text, 0.5, -1.0, 5, True, 1, 1, vector, ())

    def explain(self, vectors, top=8):
        return [[(text[:40], 0.5) for text in real["text"]] for _ in vectors]

everything = pd.read_json(dataset, lines=True).assign(split="train")
real = walks.sample_texts(everything, 20, random_state=0)
rng = np.random.default_rng(0)
vectors = rng.normal(size=(len(real), 8)).astype("float32")
vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
pairs = walks.neighbor_pairs(vectors, real["label"], 2, random_state=0)
walked = walks.walk(Hostile(), real, vectors, pairs, random_state=0)
rows = [
    {"text": t, "label": c, "status": status, "reason": reason, "cosine_to_target": 0.5}
    for t, c in zip(real["text"], real["label"])
    for status, reason in (("accepted", None), ("rejected", "copy: " + t[:50]))
]
new = Synthesis.from_rows(rows)
figures = qualitative.figures(walked, new, {"<b>step</b>": 1.0})
"""
SHOWN = [
    "qualitative.answer(figures, real['text'].iloc[0])",
    "qualitative.pairs_view(walked)",
    "qualitative.walks_view(walked)",
    "qualitative.show_words(walked)",
    "qualitative.show_cosines(walked)",
    "qualitative.show_map(walked)",
    "qualitative.show_counts(new)",
    "qualitative.accepted_table(new)",
    "qualitative.rejected_table(new)",
    "pieces.times_table({'<b>step</b>': 1.0})",
    "new",
    "real",
    "print(*real['text'])",
    "record(**figures)",
]


@pytest.fixture(scope="module")
def browser(chromium):
    """Yield a headless Chromium: Debian's own, which needs no download."""
    from playwright.sync_api import sync_playwright

    quiet = "--disable-background-networking --disable-component-update --disable-sync"
    args = f"--no-sandbox --disable-gpu --disable-quic --no-first-run {quiet}".split()
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=args)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def hostile_csv(tmp_path_factory):
    """Write the hostile texts as a CSV with hostile class names, enough of each to blend."""
    return write_hostile(tmp_path_factory.mktemp("hostile"))


def write_hostile(folder):
    topics = ["market shares fell again in London", "the band released a new album today"]
    rows = [(text, f"<b>{i % 2}</b>{{{{ c }}}}") for i, text in enumerate(HOSTILE)]
    rows += [
        (f"{topic} {n} times {text[:60]}", f"<b>{i}</b>{{{{ c }}}}")
        for i, topic in enumerate(topics)
        for n, text in enumerate(HOSTILE)
    ]
    frame = pd.DataFrame(rows, columns=["text", "label"])
    frame.to_csv(folder / "hostile.csv", index=False)
    frame.to_json(folder / "hostile.jsonl", orient="records", lines=True)
    return folder / "hostile.csv"


@pytest.fixture(scope="module")
def without_models(browser, shared_folder):
    """Return the page of a report in which the decoder, too, writes what is hostile.

    One report for all workers of a run: it takes as long as all the looking at it.
    """
    page = shared_folder / "out" / "own.html"
    with FileLock(shared_folder / "lock"):
        if not page.exists():
            run_hostile(shared_folder)
    return page


def run_hostile(folder):
    cells = nbformat.v4
    notebook = cells.new_notebook()
    parameters = cells.new_code_cell('dataset: str = ""', metadata={"tags": ["parameters"]})
    code = [cells.new_code_cell(source) for source in [NO_MODELS, *SHOWN]]
    notebook.cells = [cells.new_markdown_cell("# Hostile"), parameters, *code]
    nbformat.write(notebook, folder / "own.ipynb")
    given = {"dataset": str(write_hostile(folder).with_suffix(".jsonl"))}
    run_report(folder / "own.ipynb", given, folder / "out", progress=False)


def qualitative_on(hostile_csv):
    given = {"dataset": str(hostile_csv), "n": 2, "steps": 3, "n_candidates": 1, "new_per_class": 1}
    return run_report("qualitative", given, hostile_csv.parent / "qualitative", progress=False)


class Visit:
    """One opened page, and what it tried to do."""

    def __init__(self, browser, path: Path, width: int = 1000):
        self.requests, self.complaints, self.dialogs = [], [], []
        self.page = browser.new_page(viewport={"width": width, "height": 900})
        self.page.route("**/*", self.let_only_the_file_through)
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", self.dismiss)
        self.page.goto(path.as_uri())

    def let_only_the_file_through(self, route):
        address = route.request.url
        if address.startswith("file:") and address.endswith(".html"):
            route.continue_()
            return
        self.requests.append(address)
        route.abort()

    def dismiss(self, dialog):
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    def unfolded(self):
        self.page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        return self.page.inner_text("body")


def assert_harmless(visit):
    visit.unfolded()
    visit.page.wait_for_timeout(300)
    assert visit.requests == []
    assert visit.complaints == []
    assert visit.dialogs == []
    active = "script, iframe, object, embed, form, base, link:not([rel=icon]), [onerror], [href]"
    found = visit.page.eval_on_selector_all(active, "found => found.map(e => e.outerHTML)")
    assert [html for html in found if not html.startswith("<link")] == []
    assert visit.page.evaluate("getComputedStyle(document.body).display") == "block"


def test_hostile_texts_and_hostile_output_do_nothing(browser, without_models):
    assert_harmless(Visit(browser, without_models))


def test_hostile_texts_are_there_to_be_read(browser, without_models):
    text = Visit(browser, without_models).unfolded()
    for seen in SEEN:
        assert seen in text
    assert "$x$ and \\(x\\)" in text
    assert "U+202E" in text
    assert "more characters" in text
    assert "<b>0</b>{{ c }}" in text


def test_pictures_are_drawn_and_described(browser, without_models):
    visit = Visit(browser, without_models)
    pictures = visit.page.eval_on_selector_all(
        "img", "found => found.map(i => [i.complete && i.naturalWidth > 0, i.alt.length > 20])"
    )
    assert len(pictures) == 5
    assert all(drawn and described for drawn, described in pictures)


@pytest.mark.parametrize("width", [500, 1000])
def test_page_is_no_wider_than_the_window(browser, without_models, width):
    visit = Visit(browser, without_models, width)
    visit.unfolded()
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= width


def test_page_prints_its_texts_and_hides_its_code(browser, without_models):
    visit = Visit(browser, without_models)
    visit.page.emulate_media(media="print")
    assert not visit.page.locator("details.aside").first.is_visible()
    assert visit.page.get_by_text("Pair 1", exact=False).first.is_visible()
    assert visit.page.pdf().startswith(b"%PDF")


@pytest.mark.real
def test_template_with_the_default_models_over_hostile_texts_does_nothing(browser, hostile_csv):
    report = qualitative_on(hostile_csv)
    visit = Visit(browser, report.html)
    assert_harmless(visit)
    assert "<b>0</b>{{ c }}" in visit.unfolded()
    assert report.metrics["pairs"] == 2
    assert report.metrics["texts_cut"] >= 1
