"""Loss against training texts, and what ten times more of them would bring.

    python -m benchmarks.inversion.curve bridge/log.jsonl --out curve.svg

Reads the lines of a training log that have the stage "tokens", texts_seen and unseen_loss, and
fits ``loss = floor + scale · (texts / 10,000)^-power`` by least squares: the power law with an
offset of Hestness et al. (arXiv 1712.00409, section 3). With several logs, one curve through all.
The standard error of what is foretold is that of the fit (parameters drawn from their normal
approximation). It does not know whether the law goes on.

A learning rate that falls towards the end of a run brings the loss down by itself. Where
``bridge.json`` lies beside the log, the steps in which the rate fell are drawn and not fitted; of a
run that was made longer that is its last fall alone. Leave out what else fell with --least and
--most.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
from scipy.optimize import OptimizeWarning, curve_fit

from smotext_lab.charts import MUTED, PALETTE, label, plain_rows, styled, svg
from smotext_lab.errors import DataError, SmotextError
from smotext_lab.training.log import read_log as training_log

__all__ = ["Fit", "fit_curve", "read_log"]

_UNIT = 10_000
_LEAST_POINTS = 5


@dataclass(frozen=True)
class Fit:
    """``loss = floor + scale · (texts / 10,000)^-power``.

    Attributes
    ----------
    floor, scale, power : float
    floor_se, scale_se, power_se : float
    texts : int
        Most that any point has seen.
    now, more : float
        The fitted loss there, and at ten times as many.
    gain_se : float
        Standard error of ``now - more``.
    rmse : float
        Of the points about the curve.
    """

    floor: float
    scale: float
    power: float
    floor_se: float
    scale_se: float
    power_se: float
    texts: int
    now: float
    more: float
    gain_se: float
    rmse: float

    def at(self, texts: np.ndarray) -> np.ndarray:
        """Return the fitted loss after so many texts."""
        return _law(texts, self.floor, self.scale, self.power)

    def __str__(self) -> str:
        return (
            f"loss = {self.floor:.3f} (±{self.floor_se:.3f}) + {self.scale:.3f} · "
            f"(texts / {_UNIT:,})^-{self.power:.3f} (±{self.power_se:.3f}); about the curve "
            f"{self.rmse:.3f}\nten times more texts ({self.texts:,} → {10 * self.texts:,}) would "
            f"bring {self.now:.3f} → {self.more:.3f}: {self.now - self.more:.3f} "
            f"± {self.gain_se:.3f} nats a token, if the law goes on"
        )


def read_log(path: Path) -> pd.DataFrame:
    """Return the unseen losses of a training log, in the order of the texts.

    Returns
    -------
    DataFrame
        ``texts_seen``, ``unseen_loss``, ``falling`` (whether the learning rate fell), ``log``.
    """
    if not path.is_file():
        msg = f"{path} is no file: name the log.jsonl that a training wrote beside its bridge"
        raise DataError(msg)
    last = _last_steady(path.with_name("bridge.json"))
    rows = [
        {name: line[name] for name in ("texts_seen", "unseen_loss")}
        | {"falling": line.get("step", 0) > last}
        for line in training_log(path)
        if line.get("stage") == "tokens" and {"texts_seen", "unseen_loss"} <= line.keys()
    ]
    if not rows:
        msg = f"{path} has no line of stage 'tokens' with texts_seen and unseen_loss"
        raise DataError(msg)
    frame = pd.DataFrame(rows).sort_values("texts_seen", kind="stable", ignore_index=True)
    return frame[frame["texts_seen"] > 0].assign(log=str(path))


def _last_steady(bridge: Path) -> float:
    """Return the last step before the learning rate fell; without end where nobody has told."""
    if not bridge.is_file():
        return np.inf
    facts = json.loads(bridge.read_text("utf-8"))
    recipe = facts.get("training", {}).get("recipe", {})
    if not {"steps", "cooldown"} <= recipe.keys():
        return np.inf
    return float(recipe["steps"] * (1 - recipe["cooldown"]))


def fit_curve(texts: Sequence[float] | np.ndarray, losses: Sequence[float] | np.ndarray) -> Fit:
    """Fit the power law with an offset.

    Raises
    ------
    DataError
        If there are fewer than five different numbers of texts, or no curve fits.
    """
    x, y = np.asarray(texts, np.float64), np.asarray(losses, np.float64)
    if len(np.unique(x)) < _LEAST_POINTS:
        msg = f"a curve needs losses at {_LEAST_POINTS} numbers of texts, not {len(np.unique(x))}"
        raise DataError(msg)
    start = (0.8 * y.min(), max(1e-3, y.max() - 0.8 * y.min()), 0.3)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", OptimizeWarning)  # no covariance: the points say nothing
            bounds = ([0, 0, 0], [y.min(), np.inf, 3])
            best, covariance = curve_fit(_law, x, y, start, bounds=bounds, max_nfev=20_000)
    except (RuntimeError, OptimizeWarning) as error:
        msg = f"no power law fits these {len(x)} points: {error}"
        raise DataError(msg) from error
    drawn = np.random.default_rng(0).multivariate_normal(best, covariance, 4000)
    far = np.array([x.max(), 10 * x.max()])
    gains = np.array([-np.diff(_law(far, *p))[0] for p in drawn if p[1] > 0 and 0 < p[2] < 3])
    now, more = _law(far, *best)
    errors = np.sqrt(np.diag(covariance))
    return Fit(
        floor=float(best[0]),
        scale=float(best[1]),
        power=float(best[2]),
        floor_se=float(errors[0]),
        scale_se=float(errors[1]),
        power_se=float(errors[2]),
        texts=int(x.max()),
        now=float(now),
        more=float(more),
        gain_se=float(gains.std()),
        rmse=float(np.sqrt(np.mean((y - _law(x, *best)) ** 2))),
    )


def _law(texts: np.ndarray, floor: float, scale: float, power: float) -> np.ndarray:
    return floor + scale * (np.asarray(texts) / _UNIT) ** -power


def _values(frame: pd.DataFrame) -> Any:
    return alt.Data(values=plain_rows(frame.to_dict(orient="records")))


def drawn(points: pd.DataFrame, fit: Fit) -> Any:
    """Draw the points, and the curve on to ten times as many texts as the last of them."""
    along = np.geomspace(points["texts_seen"].min(), 10 * fit.texts, 100)
    line = pd.DataFrame({"texts_seen": along, "unseen_loss": fit.at(along)})
    line["part"] = np.where(along <= fit.texts, "fit", "foretold")
    logarithmic, plain = alt.Scale(type="log"), alt.Axis(grid=False)
    x = alt.X("texts_seen:Q", scale=logarithmic, title="training texts", axis=plain)
    y = alt.Y("unseen_loss:Q", scale=alt.Scale(zero=False), title="nats a token, unseen texts")
    dashed = alt.StrokeDash("part:N", title=None, scale=alt.Scale(range=[[1, 0], [5, 4]]))
    curve = alt.Chart(_values(line)).mark_line(color=MUTED, strokeWidth=2)
    marks = alt.Chart(_values(points)).mark_circle(size=36, opacity=0.9)
    colour = alt.Color("log:N", title=None, scale=alt.Scale(range=list(PALETTE)))
    more = f"ten times more texts: {fit.now:.2f} → {fit.more:.2f} (± {fit.gain_se:.2f})"
    layers = curve.encode(x=x, y=y, strokeDash=dashed) + marks.encode(x=x, y=y, color=colour)
    return styled(layers.properties(width=520, height=300, title=more))


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.inversion.curve", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("logs", nargs="+", type=Path, metavar="LOG.jsonl")
    parser.add_argument("--least", type=int, default=0, help="texts before which nothing is fitted")
    parser.add_argument("--most", type=int, help="texts after which nothing is fitted")
    parser.add_argument("--out", type=Path, default=Path("curve.svg"), help="and .json beside it")
    given = parser.parse_args(arguments)
    try:
        points = pd.concat([read_log(path) for path in given.logs], ignore_index=True)
        _fitted(points, given)
    except SmotextError as error:
        parser.exit(2, f"Error: {error}\n")


def _fitted(points: pd.DataFrame, given: argparse.Namespace) -> None:
    points["log"] = [label(name, 48) for name in points["log"]]
    kept = points["texts_seen"].between(given.least, given.most or np.inf) & ~points["falling"]
    fit = fit_curve(points["texts_seen"][kept], points["unseen_loss"][kept])
    print(fit)
    if points["falling"].any():
        n = int(points["falling"].sum())
        print(f"{n} of {len(points)} points are not fitted: the learning rate fell there")
    given.out.write_text(svg(drawn(points, fit)), encoding="utf-8")
    found = {"fit": asdict(fit), "points": points.to_dict(orient="records")}
    given.out.with_suffix(".json").write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
