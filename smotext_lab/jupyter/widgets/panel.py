"""What all widgets share: errors that show, work on a thread, a picture where no kernel is."""

from __future__ import annotations

import functools
from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import anywidget
import ipywidgets as w
from traitlets import HasTraits, Unicode

from smotext_lab.errors import SmotextError
from smotext_lab.jupyter.widgets.work import Latest
from smotext_lab.markup import INERT_CLASS, inert

__all__ = ["Panel", "both_ways", "row", "told"]

_Method = TypeVar("_Method", bound=Callable[..., Any])

# colours are JupyterLab's own, light or dark; in a page without them, the page's
_STYLE = """<style>
.smotext-panel{max-width:100%;overflow:visible}
.smotext-panel .widget-html-content{color:var(--jp-content-font-color1,inherit);font-size:13px;
line-height:1.45}
.smotext-error{color:var(--jp-error-color1,#c62828)}
.smotext-soft{color:var(--jp-content-font-color2,gray)}
.smotext-written{font-size:17px;min-height:3em;padding:.5em .7em;overflow-wrap:anywhere;
border-left:3px solid var(--jp-brand-color1,#1976d2);
background:var(--jp-layout-color2,rgba(128,128,128,.12))}
.smotext-written.smotext-draft{border-left-color:var(--jp-border-color2,gray)}
.smotext-bars{display:grid;grid-template-columns:max-content 1fr 3em;gap:2px 8px;
align-items:center}
.smotext-bars i{display:block;height:10px;border-radius:2px;
background:var(--jp-brand-color1,#1976d2)}
/* a map is drawn for a light page */
[data-jp-theme-light="false"] .smotext-map{filter:invert(1) hue-rotate(180deg)}
</style>"""


class _Sliders(anywidget.AnyWidget):
    """Lets the sliders of a panel hear the arrow keys."""

    _esm = Path(__file__).with_name("static") / "sliders.js"


class Panel(w.VBox):
    """A widget of this package.

    Attributes
    ----------
    error : str
        What went wrong last, as one sentence; empty if nothing did. It also shows.
    """

    error = Unicode("", read_only=True)

    def __init__(self) -> None:
        self._failure: Exception | None = None
        self._work = Latest(self._fail)
        self._note = w.HTML()
        super().__init__()
        self.add_class("smotext-panel")

    def _lay_out(self, *parts: w.Widget) -> None:
        keys = _Sliders(layout=w.Layout(display="none"))
        self.children = [w.HTML(_STYLE), *parts, self._note, keys]

    def wait(self, timeout: float | None = None) -> None:
        """Wait until what was asked for is done, and raise what it failed with.

        Parameters
        ----------
        timeout : float, optional
            Seconds.

        Raises
        ------
        TimeoutError
            If it takes longer.
        """
        if not self._work.wait(timeout):
            msg = f"{type(self).__name__} is not done after {timeout} seconds."
            raise TimeoutError(msg)
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def close(self) -> None:
        """Stop the work and take the widget off the page."""
        self._work.cancel()
        super().close()

    def _fail(self, error: Exception) -> None:
        self._failure = error
        # what is not ours has a type worth knowing: its sentence may be a bare key
        name = "" if isinstance(error, SmotextError) else f"{type(error).__name__}: "
        self._say_error(f"{name}{error}")

    def _say_error(self, sentence: str) -> None:
        self.set_trait("error", sentence)
        shown = f'<span role="alert" class="smotext-error">{inert(sentence)}</span>'
        self._note.value = f'<div class="{INERT_CLASS}">{shown if sentence else ""}</div>'

    @abstractmethod
    def _static_html(self) -> str:
        """Return what shows where no kernel is."""

    @abstractmethod
    def _summary(self) -> str:
        """Return what stands between the brackets of the repr."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._summary()})"

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        bundle = super()._repr_mimebundle_(**kwargs)
        return {**bundle, "text/plain": repr(self), "text/html": self._static_html()}


def told(method: _Method) -> _Method:
    """Let a callback's error show in its panel; it is raised all the same.

    ipywidgets keeps what a callback raises to itself.
    """

    @functools.wraps(method)
    def call(panel: Panel, *args: Any, **kwargs: Any) -> Any:
        try:
            if panel.error:
                panel._say_error("")
            return method(panel, *args, **kwargs)
        except Exception as error:
            panel._fail(error)
            raise

    return call  # type: ignore[return-value]


def row(*parts: w.Widget, grow: str = "1 1 220px") -> w.Box:
    """Return parts side by side, below one another where the page is narrow."""
    for part in parts:
        part.layout.flex = part.layout.flex or grow
        part.layout.min_width = "0"
    return w.Box(list(parts), layout=w.Layout(display="flex", flex_flow="row wrap", width="100%"))


def both_ways(panel: HasTraits, name: str, control: w.Widget) -> None:
    """Keep a trait and a control's value the same."""
    from traitlets import link

    link((panel, name), (control, "value"))
