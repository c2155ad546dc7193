"""JupyterLab, and Notebook 7, as users meet them: real server and kernel, headless Chromium.

Every request that leaves this machine is stopped and counted; there must be none. Pictures of
what was seen go to the folder that SMOTEXT_LAB_PICTURES names.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.browser

READY = """() => {
  const kernel = window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel;
  return kernel && kernel.connectionStatus === "connected" && kernel.status === "idle";
}"""
RAN = """(cell) => {
  const panel = window.jupyterapp.shell.currentWidget;
  const model = panel.content.widgets.filter((one) => one.model.type === "code")[cell].model;
  return model.executionCount !== null && model.executionState !== "running"
    && panel.sessionContext.session.kernel.status === "idle";
}"""


class Lab:
    """A JupyterLab in a folder of its own, and the browser in front of it."""

    def __init__(self, browser: Any, url: str, folder: Path) -> None:
        self.url, self.folder = url, folder
        self.abroad: list[str] = []
        self.errors: list[str] = []
        self.page = browser.new_page(viewport={"width": 1100, "height": 1100})
        self.page.set_default_timeout(90_000)
        self.page.route("**/*", self._let_through)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("dialog", lambda dialog: self.errors.append(f"dialog: {dialog.message}"))

    def start(self) -> None:
        """Open JupyterLab, with no file browser beside the notebook."""
        self.page.goto(f"{self.url}/lab?token=t")
        self.page.wait_for_function("() => window.jupyterapp?.restored", timeout=120_000)
        self.page.evaluate("() => window.jupyterapp.restored.then(() => null)")
        self.page.keyboard.press("Control+b")

    def write(self, name: str, cells: list[str]) -> None:
        """Write a notebook of code cells into the folder."""
        notebook = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}}
        notebook["metadata"] = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
        notebook["cells"] = [
            {"cell_type": "code", "id": f"c{i}", "source": source, "outputs": []}
            | {"metadata": {}, "execution_count": None}
            for i, source in enumerate(cells)
        ]
        (self.folder / f"{name}.ipynb").write_text(json.dumps(notebook))

    def open(self, name: str, cells: list[str], width: int = 1100) -> Notebook:
        self.write(name, cells)
        self.page.set_viewport_size({"width": width, "height": 1100})
        self.page.evaluate(
            "(path) => void window.jupyterapp.commands.execute('docmanager:open', { path })",
            f"{name}.ipynb",
        )
        self.page.wait_for_function(
            "(path) => window.jupyterapp.shell.currentWidget?.context?.path === path",
            arg=f"{name}.ipynb",
        )
        self.page.wait_for_function(READY, timeout=120_000)
        return Notebook(self.page, name)

    def _let_through(self, route: Any) -> None:
        if route.request.url.startswith((self.url, "data:", "blob:")):
            route.continue_()
        else:
            self.abroad.append(route.request.url)
            route.abort()


class Notebook:
    """A notebook that is open in the browser."""

    def __init__(self, page: Any, name: str) -> None:
        self.page, self.name = page, name
        self.shown = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")
        self.cells = self.shown.locator(".jp-CodeCell")

    def run(self, cell: int, seconds: float = 150) -> str:
        """Run a cell; return what it shows."""
        self.cells.locator(".cm-content").nth(cell).click()
        self.page.keyboard.press("Shift+Enter")
        self.page.wait_for_function(RAN, arg=cell, timeout=1000 * seconds)
        return "\n".join(self.cells.nth(cell).locator(".jp-OutputArea").all_inner_texts())

    def value(self, expression: str) -> Any:
        """Return what an expression of JSON values is in the kernel."""
        code = f"import json; print(json.dumps({expression}))"
        shown = self.page.evaluate(
            """async (code) => {
              const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
              let text = "";
              const future = kernel.requestExecute({ code, store_history: false });
              future.onIOPub = (message) => { text += message.content.text ?? ""; };
              await future.done;
              return text;
            }""",
            code,
        )
        return json.loads(shown)

    def until(self, expression: str, seconds: float = 90) -> None:
        """Wait until an expression holds in the kernel."""
        end = time.monotonic() + seconds
        while not self.value(f"bool({expression})"):
            assert time.monotonic() < end, f"{expression} does not come true"
            time.sleep(0.1)

    def picture(self, name: str) -> None:
        folder = os.environ.get("SMOTEXT_LAB_PICTURES")
        if folder:
            self.page.screenshot(path=Path(folder) / f"{name}.png")


@contextmanager
def serving(module: str, temporary: Any, *options: str) -> Iterator[tuple[str, Path]]:
    """Run a Jupyter application in an empty folder; give its address and the folder."""
    folder = temporary.mktemp(module)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    homes = {
        name: str(temporary.mktemp("home"))
        for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTERLAB_SETTINGS_DIR")
    }
    command = [sys.executable, "-m", module, "--no-browser", "--ip=127.0.0.1", "--allow-root"]
    command += [f"--port={port}", "--IdentityProvider.token=t", f"--ServerApp.root_dir={folder}"]
    server = subprocess.Popen(
        [*command, *options],
        env={**os.environ, **homes},
        stdout=(folder.parent / f"{module}.log").open("w"),
        stderr=subprocess.STDOUT,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_for(url, server)
        yield url, folder
    finally:
        server.terminate()
        server.wait(30)


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader"]
        launched = playwright.chromium.launch(executable_path=chromium, args=options)
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, browser: Any) -> Iterator[Lab]:
    options = ["--LabApp.expose_app_in_browser=True", "--LabApp.news_url=None"]
    with serving("jupyterlab", tmp_path_factory, *options) as (url, folder):
        made = Lab(browser, url, folder)
        made.start()
        yield made
        made.page.close()
        assert made.abroad == [], "nothing leaves the machine"
        assert made.errors == []


def _wait_for(url: str, server: Any) -> None:
    for _ in range(200):
        assert server.poll() is None, "JupyterLab did not start"
        try:
            urllib.request.urlopen(f"{url}/api?token=t").close()
        except OSError:
            time.sleep(0.2)
        else:
            return
    pytest.fail("JupyterLab does not answer")


@pytest.mark.real
def test_the_magic_and_the_explorer_with_the_default_models(lab: Lab) -> None:
    notebook = lab.open(
        "explore",
        [
            "%load_ext smotext_lab",
            "%%smotext --steps 3\nThe battery dies after an hour.\n---\nShipping took three weeks.",
            "import pandas as pd\n"
            "rows = ['The battery died.', 'No power at all.', 'It will not charge.']\n"
            "tickets = pd.DataFrame({'body': rows * 2, 'queue': ['power'] * 6}).drop_duplicates()",
            "%smotext tickets --text body --label queue --n 1 -k 2 --no-guards -o extra",
            "%smotext explore tickets --text body --label queue -o explorer",
        ],
    )
    notebook.run(0)
    assert "λ = 0.50" in notebook.run(1)
    notebook.run(2)
    notebook.run(3)
    assert notebook.value("len(extra)") == 1
    notebook.run(4)
    notebook.until("explorer.found and explorer.found.final")
    before = notebook.value("[explorer.lam, explorer.text]")
    written = notebook.shown.locator(".smotext-written")
    assert written.inner_text() == before[1]
    handle = notebook.shown.locator(".noUi-handle").first
    handle.scroll_into_view_if_needed()
    handle.focus()
    for _ in range(10):
        notebook.page.keyboard.press("ArrowRight")
    notebook.until("explorer.lam == 1.0 and not explorer._work.busy")
    after = notebook.value("explorer.text")
    assert after != before[1]
    assert written.inner_text() == after
    notebook.shown.get_by_role("button", name="Keep").click()
    notebook.until("len(explorer.kept) == 1")
    notebook.picture("explorer")


def test_a_lasso_on_the_map_is_read_as_selection(lab: Lab) -> None:
    notebook = lab.open(
        "map",
        [
            "import numpy as np\n"
            "from smotext_lab import LatentMap\n"
            "rng = np.random.default_rng(0)\n"
            "n = 4_000\n"
            "texts = [f'<img src=x onerror=alert({i})> $$x$$' for i in range(n)]\n"
            "vectors = rng.normal(size=(n, 8)).astype('float32')\n"
            "latent = LatentMap(texts, rng.integers(0, 5, n), vectors=vectors)\n"
            "latent",
        ],
    )
    notebook.run(0)
    canvas = notebook.shown.locator(".smotext-map canvas").first
    canvas.wait_for()
    time.sleep(2)  # the map draws itself in
    notebook.shown.locator(".smotext-map button").nth(1).click()
    box = canvas.bounding_box()
    mouse, x, y = notebook.page.mouse, box["x"] + box["width"] * 0.4, box["y"] + 200
    mouse.move(x, y)
    mouse.down()
    for dx, dy in ((80, -90), (200, -60), (180, 90), (60, 110), (20, 60)):
        mouse.move(x + dx, y + dy, steps=8)
    mouse.up()
    notebook.until("len(latent.selection) > 10")
    chosen = notebook.value("len(latent.selection)")
    assert chosen < 4_000
    assert f"{chosen:,} selected" in notebook.shown.locator(".jp-OutputArea").first.inner_text()
    notebook.picture("map")


def test_a_review_goes_on_after_a_restart(lab: Lab) -> None:
    cell = (
        "from smotext_lab import Synthesis, SynthesisReview\n"
        "rows = [{'text': f'{t} <b>bold</b> $$x$$', 'label': 'a', 'status': 'accepted'}\n"
        "        for t in ('one', 'two', 'three')]\n"
        "review = SynthesisReview(Synthesis.from_rows(rows))\n"
        "review"
    )
    notebook = lab.open("review", [cell])
    page, shown = notebook.page, notebook.shown
    notebook.run(0)
    shown.locator(".smotext-review-row").first.click()
    shown.locator(".smotext-review").focus()
    page.keyboard.press("a")
    page.keyboard.press("r")
    page.keyboard.press("e")
    page.keyboard.press("Control+a")
    page.keyboard.type("edited <i>text</i>")
    page.keyboard.press("Control+Enter")
    notebook.until("review.counts() == {'accepted': 2, 'rejected': 1, 'undecided': 0}")
    assert shown.locator(".jp-CodeCell").count() <= 2, "no key made a new cell"
    assert shown.locator(".smotext-review-row").nth(2).locator("bdi").first.inner_text() == (
        "edited <i>text</i>"
    )
    notebook.picture("review")
    page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.restartKernel()")
    page.wait_for_function(READY)
    notebook.run(0)
    assert notebook.value("review.counts()") == {"accepted": 2, "rejected": 1, "undecided": 0}
    assert notebook.value("review.to_pandas().text.tolist()[2]") == "edited <i>text</i>"


def test_classes_are_balanced_by_keyboard(lab: Lab) -> None:
    notebook = lab.open(
        "balance",
        [
            "from smotext_lab import ClassBalance\n"
            "labels = ['<b>a</b>'] * 5 + ['$$b$$'] * 3\n"
            "balance = ClassBalance(['<b>x</b>'] * 5 + ['y'] * 3, labels)\n"
            "balance"
        ],
        width=520,
    )
    notebook.run(0)
    handle = notebook.shown.locator(".noUi-handle").nth(1)
    handle.focus()
    for _ in range(3):
        notebook.page.keyboard.press("ArrowRight")
    notebook.until("balance.targets == {'<b>a</b>': 5, '$$b$$': 8}")
    seen = notebook.shown.locator(".jp-OutputArea").first.inner_text()
    assert "3 + 5" in seen
    assert "<b>a</b>" in seen
    assert "$$b$$" in seen
    notebook.picture("balance")


def test_a_launcher_card_opens_a_copy_and_never_writes_over_one(lab: Lab) -> None:
    page = lab.page
    folder = lab.folder / "work"
    folder.mkdir()
    (folder / "few_shot.ipynb").write_text("{}")

    def click() -> None:
        create = "(cwd) => void window.jupyterapp.commands.execute('launcher:create', { cwd })"
        page.evaluate(create, "work")
        launcher = page.locator(".jp-Launcher:visible")
        section = launcher.locator(".jp-Launcher-section", has_text="SMOTExT")
        section.locator(".jp-LauncherCard", has_text="few shot").click()

    click()
    page.wait_for_function(
        "() => window.jupyterapp.shell.currentWidget?.context?.path === 'work/few_shot-1.ipynb'"
    )
    page.wait_for_function(READY, timeout=120_000)
    assert (folder / "few_shot.ipynb").read_text() == "{}"
    notebook = Notebook(page, "few_shot-1")
    notebook.run(1)
    assert notebook.value("form.parameters['resamples']") == 10
    notebook.picture("form")
    click()
    page.wait_for_function(
        "() => window.jupyterapp.shell.currentWidget?.context?.path === 'work/few_shot-2.ipynb'"
    )
    assert sorted(p.name for p in folder.glob("*.ipynb")) == [
        "few_shot-1.ipynb",
        "few_shot-2.ipynb",
        "few_shot.ipynb",
    ]
    page.evaluate(
        "() => void window.jupyterapp.commands.execute('launcher:create', { cwd: 'work' })"
    )
    page.locator(".jp-Launcher:visible").wait_for()
    notebook.picture("launcher")


def test_widgets_work_in_notebook_7(tmp_path_factory: pytest.TempPathFactory, browser: Any) -> None:
    cells = [
        "import numpy as np\n"
        "from smotext_lab import ClassBalance, LatentMap, Synthesis, SynthesisReview\n"
        "rows = [{'text': f'{t} <b>bold</b>', 'label': 'a', 'status': 'accepted'} for t in 'xyz']\n"
        "review = SynthesisReview(Synthesis.from_rows(rows))\n"
        "review",
        "balance = ClassBalance(['x'] * 5 + ['y'] * 3, ['a'] * 5 + ['b'] * 3)\nbalance",
        "vectors = np.random.default_rng(0).normal(size=(300, 8)).astype('float32')\n"
        "latent = LatentMap(['x'] * 300, ['a', 'b'] * 150, vectors=vectors)\n"
        "latent",
    ]
    options = ["--JupyterNotebookApp.expose_app_in_browser=True"]
    with serving("notebook", tmp_path_factory, *options) as (url, folder):
        seven = Lab(browser, url, folder)
        seven.write("widgets", cells)
        seven.page.goto(f"{url}/notebooks/widgets.ipynb?token=t")
        seven.page.wait_for_function(READY, timeout=120_000)
        notebook = Notebook(seven.page, "widgets")
        notebook.run(0)
        notebook.shown.locator(".smotext-review-row").first.click()
        notebook.shown.locator(".smotext-review").focus()
        seven.page.keyboard.press("a")
        notebook.until("review.counts()['accepted'] == 1")
        notebook.run(1)
        target = notebook.cells.nth(1).locator(".noUi-handle").nth(1)
        target.focus()
        # the arrow keys are the slider's once its script is there
        notebook.page.wait_for_function(
            "(handle) => handle.hasAttribute('data-lm-suppress-shortcuts')",
            arg=target.element_handle(),
        )
        seven.page.keyboard.press("ArrowRight")
        notebook.until("balance.targets['b'] == 6")
        notebook.run(2)
        notebook.shown.locator(".smotext-map canvas").first.wait_for()
        notebook.picture("notebook_7")
        seven.page.close()
        assert seven.abroad == []
        # Notebook 7.6 makes this one itself, whatever is in the cells
        assert [error for error in seven.errors if "reading 'schema'" not in error] == []
