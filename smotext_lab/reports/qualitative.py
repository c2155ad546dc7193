"""What the `qualitative` report shows: walks and new texts as pages of inert HTML.

Nothing is computed here that is not counted or laid out; texts pass through `markup.inert`
only, so that whatever they say is read, never run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from smotext_lab import charts
from smotext_lab.charts import fraction
from smotext_lab.markup import inert, shortened
from smotext_lab.reports.pieces import html_page, peak_memory, shown_text
from smotext_lab.reports.walks import Walks, unrelated_cosine

if TYPE_CHECKING:
    from IPython.display import HTML

    from smotext_lab.synthesis import Synthesis

__all__ = [
    "accepted_table",
    "answer",
    "figures",
    "pairs_view",
    "rejected_table",
    "show_cosines",
    "show_counts",
    "show_map",
    "show_words",
    "walks_view",
]

_SHOWN = 320  # characters of a text before the rest is folded away


def figures(walks: Walks, new: Synthesis, seconds: Mapping[str, float]) -> dict[str, Any]:
    """Return the report's figures by name, the most telling first.

    Parameters
    ----------
    walks : Walks
    new : Synthesis
    seconds : mapping of step -> seconds

    Returns
    -------
    dict of str -> int or float
    """
    cosines, between = walks.cosines, walks.between
    ends = cosines[:, [0, -1]]
    kinds = Counter(str(reason).partition(":")[0] for reason in new.rejected["reason"])
    return {
        "mean_cosine_halfway": cosines[:, between].mean(),
        "mean_cosine_ends": ends.mean(),
        "mean_cosine_all": cosines.mean(),
        "cosine_of_repeating_halfway": walks.repeating[:, between].mean(),
        "cosine_of_unrelated_texts": unrelated_cosine(walks.vectors, walks.labels),
        "share_nearest_to_own_class": walks.own_class.mean(),
        "pairs": len(walks),
        "steps": len(walks.lambdas),
        "real_texts": len(walks.texts),
        "accepted": len(new),
        "rejected": len(new.rejected),
        **{f"rejected_{kind}": count for kind, count in kinds.most_common()},
        **{f"seconds_{step.replace(' ', '_')}": value for step, value in seconds.items()},
        "seconds": sum(seconds.values()),
        "peak_memory_mb": peak_memory(),
    }


def answer(figure: Mapping[str, Any], about: str = "") -> HTML:
    """Return the plain answer: one paragraph and the four figures it rests on.

    Parameters
    ----------
    figure : mapping
        As `figures` returns it.
    about : str, optional
        What it was measured on.
    """
    decoded = figure["pairs"] * figure["steps"]
    own = round(figure["share_nearest_to_own_class"] * decoded)
    asked = f"Of {figure['accepted'] + figure['rejected']} further texts that were written"
    said = (
        f"<p class='big'>A language model wrote {decoded} texts from {figure['pairs']} walks "
        f"between two real ones. Read again by the encoder, the text from half way lies at a "
        f"cosine of <b>{figure['mean_cosine_halfway']:.2f}</b> to the point it was written "
        f"from, on average; two unrelated texts of this collection lie at "
        f"{figure['cosine_of_unrelated_texts']:.2f}. For {own} of the {decoded} the nearest "
        f"real text has the right class. {asked}, the guards accepted "
        f"{figure['accepted']} and rejected {figure['rejected']}.</p>"
    )
    tiles = {
        "cosine to target, half way": f"{figure['mean_cosine_halfway']:.2f}",
        "cosine to target at λ = 0 and 1": f"{figure['mean_cosine_ends']:.2f}",
        "nearest real text of the same class": f"{figure['share_nearest_to_own_class']:.0%}",
        "new texts accepted": f"{figure['accepted']}",
    }
    shown = "".join(
        f"<div class='tile'><b>{number}</b><span>{name}</span></div>"
        for name, number in tiles.items()
    )
    note = f"<p class='soft'>{inert(about)}</p>" if about else ""
    return html_page(f"{said}<div class='tiles'>{shown}</div>{note}")


def pairs_view(walks: Walks) -> HTML:
    """Return text A, the text from between, and text B of each pair, side by side.

    `smotext-lab demo` reads the first of them back from the elements of class ``trio``.
    """
    middle = fraction(float(walks.lambdas[walks.between]))
    rows = []
    for (a, b), steps, verdicts in zip(walks.pairs, walks.decoded, walks.verdicts, strict=True):
        kind = inert(walks.labels[a])
        written = shown_text(steps[walks.between].text, verdicts[walks.between].reason)
        trio = (
            ("", f"Text A, {kind}", walks.texts[a]),
            (" class='made'", f"Written for λ = {middle}", written),
            ("", f"Text B, {kind}", walks.texts[b]),
        )
        cells = (
            f"<div{style}><small>{head}</small>{shortened(text, _SHOWN)}</div>"
            for style, head, text in trio
        )
        rows.append(f"<div class='trio'>{''.join(cells)}</div>")
    return html_page("".join(rows))


def walks_view(walks: Walks) -> HTML:
    """Return every walk step by step: the text, what it is near to, how near it came."""
    parts = []
    for number, (a, b) in enumerate(walks.pairs, start=1):
        steps = zip(
            walks.lambdas, walks.decoded[number - 1], walks.verdicts[number - 1], strict=True
        )
        rows = [_real_row("A", walks.texts[a])]
        for weight, step, verdict in steps:
            near = {int(a): "text A", int(b): "text B"}.get(verdict.nearest_real)
            named = near or shortened(walks.texts[verdict.nearest_real], 90)
            rows.append(
                f"<tr class='made'><td class='tag'>λ = {fraction(float(weight))}</td>"
                f"<td>{shortened(shown_text(step.text, verdict.reason), _SHOWN)}"
                "<div class='soft'>nearest real text, "
                f"cosine {verdict.cosine_to_nearest_real:.2f}: {named}</div></td>"
                f"<td class='n'>{_bar(step.cosine)}</td></tr>"
            )
        rows.append(_real_row("B", walks.texts[b]))
        head = "<tr><th></th><th>text</th><th class='n'>cosine to target</th></tr>"
        title = f"<h4>Pair {number}, {inert(walks.labels[a])}</h4>"
        parts.append(f"{title}<table>{head}{''.join(rows)}</table>")
    return html_page("".join(parts))


def show_words(walks: Walks) -> None:
    """Display, for each pair, the words that its points stand for along λ."""
    from IPython.display import display

    if not any(words for steps in walks.words for words in steps):
        display(html_page("<p class='soft'>This bridge goes by no words.</p>"))
        return
    for number, words in enumerate(walks.words, start=1):
        name = f"Pair {number}, {charts.label(walks.labels[walks.pairs[number - 1, 0]])}"
        drawn = charts.word_walk(words, walks.lambdas.tolist(), title=name)
        charts.show(drawn, f"{name}: the words that its points stand for along λ")


def show_cosines(walks: Walks) -> None:
    """Display how near the written texts came, between what chance and what copying give."""
    references = {
        "repeating text A or B": walks.repeating.mean(axis=0),
        "unrelated texts": unrelated_cosine(walks.vectors, walks.labels),
    }
    drawn = charts.cosine_walk(walks.cosines, walks.lambdas.tolist(), references)
    means = ", ".join(f"{value:.2f}" for value in walks.cosines.mean(axis=0))
    charts.show(drawn, f"Mean cosine of the written texts to their points along λ: {means}")


def show_map(walks: Walks) -> None:
    """Display the real texts on a plane, and over them the walks."""
    from smotext_lab.charts.maps import vector_map

    drawn = vector_map(
        walks.vectors, walks.labels.tolist(), walks.pairs, walks.made, walks.lambdas.tolist()
    )
    charts.show(drawn, f"Map of {len(walks.texts)} real texts and {len(walks)} walks among them")


def show_counts(new: Synthesis) -> None:
    """Display how many real, accepted and rejected texts each class has."""
    counts = {
        "accepted": new.accepted["label"].value_counts().to_dict(),
        "rejected": new.rejected["label"].value_counts().to_dict(),
    }
    classes = sorted({*counts["accepted"], *counts["rejected"]}, key=str)
    counts = {kind: {c: found.get(c, 0) for c in classes} for kind, found in counts.items()}
    charts.show(charts.class_counts(counts), "New texts accepted and rejected, by class")


def accepted_table(new: Synthesis, most: int = 12) -> HTML:
    """Return the first accepted texts with their class and cosine."""
    return _texts_table(new.accepted, most)


def rejected_table(new: Synthesis, most: int = 12) -> HTML:
    """Return the first rejected texts with their class and cosine, each with the reason.

    Where nothing was rejected, the accepted texts that came nearest to it.
    """
    if len(new.rejected):
        return _texts_table(new.rejected, most)
    closest = new.accepted.copy()
    measured = zip(closest["label_probability"], closest["cosine_to_nearest_real"], strict=True)
    closest["reason"] = [_close_call(own, near) for own, near in measured]
    unsure = closest.sort_values("label_probability", kind="stable").head(2)
    alike = closest.sort_values("cosine_to_nearest_real", ascending=False, kind="stable").head(2)
    shown = pd.concat([unsure, alike])
    note = f"None of the {len(new)} texts was rejected. These came nearest to it:"
    return _texts_table(shown[~shown.index.duplicated()], most, note)


def _texts_table(rows: pd.DataFrame, most: int, note: str = "") -> HTML:
    above = f"<p>{note}</p>" if note else ""
    if rows.empty:
        return html_page(above or "<p class='soft'>None.</p>")
    body = []
    for _, row in rows.head(most).iterrows():
        why = f"<div class='why'>{inert(row['reason'])}</div>" if row["reason"] else ""
        body.append(
            f"<tr><td class='name'>{shortened(row['label'], 40)}</td>"
            f"<td>{shortened(shown_text(row['text'], row['reason']), _SHOWN)}{why}</td>"
            f"<td class='n'>{_bar(row['cosine_to_target'])}</td></tr>"
        )
    head = "<tr><th>class</th><th>text</th><th class='n'>cosine to target</th></tr>"
    more = len(rows) - most
    below = f"<p class='soft'>and {more:,} more</p>" if more > 0 else ""
    return html_page(f"{above}<table>{head}{''.join(body)}</table>{below}")


def _close_call(own: float, near: float) -> str:
    vote = "" if np.isnan(own) else f"its class has {own:.0%} of the nearest texts' vote; "
    return f"accepted: {vote}nearest real text at cosine {near:.2f}"


def _real_row(name: str, text: str) -> str:
    return (
        f"<tr class='real'><td class='tag'>text {name}</td><td>{shortened(text, _SHOWN)}</td>"
        "<td class='n soft'>real</td></tr>"
    )


def _bar(cosine: float) -> str:
    if cosine is None or np.isnan(cosine):
        return ""
    width = max(0.0, min(1.0, float(cosine))) * 100
    fill = f"linear-gradient(90deg,var(--mark) {width:.0f}%,var(--rule) {width:.0f}%)"
    return f"{cosine:.2f}<div class='bar' style='background:{fill}'></div>"
