"""The verdict of an audit: what was asked, what was found, and how to read it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from smotext_lab.privacy.attacks import CONFIDENCE
from smotext_lab.privacy.bounds import proportion
from smotext_lab.privacy.guarantee import FIGURES_NOT_COVERED
from smotext_lab.privacy.verbatim import LEAST_RUN, LONG_RUN

if TYPE_CHECKING:
    from smotext_lab.privacy.auditing import Audit

__all__ = ["verdict"]

_NEAR = 0.95  # cosine
_REPEATED = (
    " Texts that stand in train several times count here; what is stated for one text is held to "
    "those alone that stand there once."
)
_BY_CAPITALS = " Names are told by their capitals: in texts of small letters none are found."


def verdict(audit: Audit) -> pd.DataFrame:
    """Return a question a row, its answer, the figures, and how to read them."""
    return pd.DataFrame(
        [
            *_about_membership(audit),
            _about_words(audit),
            *_about_phrases(audit),
            *_about_geometry(audit),
            _about_personal(audit),
            _about_copies(audit),
            _about_guarantee(audit),
        ],
        columns=["question", "answer", "figures", "how to read it"],
    )


def _about_membership(audit: Audit) -> list[tuple[str, str, str, str]]:
    best, surest = audit.best, audit.surest
    found = best.auc.low > 0.5
    n = audit.sizes["holdout"]
    guessed = [(int(rate * n + 1e-9) + 1) / (n + 1) for rate in (0.01, 0.001)]
    # at the cut as it is: whether more lie above it than 1% of so few may be in truth
    m = audit.sizes["train"]
    above = proportion(round(surest.tpr_1.value * m), m, CONFIDENCE).low
    recognised = above > proportion(n // 100, n, CONFIDENCE).high
    return [
        (
            "Can it be told who was in the training texts?",
            "Yes, better than by guessing." if found else "Not by these attacks.",
            f"AUC {best.auc}; attack: {best.name}",
            "0.5 is guessing, 1 is certainty; the interval holds at 95%.",
        ),
        (
            "Are some texts surely recognised?",
            "Yes." if recognised else "Not shown.",
            f"found at 1% false alarms: {surest.tpr_1}; at 0.1%: {surest.tpr_01}; "
            f"attack: {surest.name}",
            f"Guessing finds {guessed[0]:.3f} and {guessed[1]:.3f} of so many; the intervals "
            f"reckon with cuts that few of the holdout have set ({n // 100} for 1%). The mean over "
            "all texts hides the few at risk."
            + (
                ""
                if n >= 1000
                else f" With {n} texts in the holdout 0.1% means no false alarm at all."
            ),
        ),
        (
            "How much was given away, at least?",
            f"ε is at least {audit.epsilon_at_least:.2f}."
            if audit.epsilon_at_least
            else "No lower bound above 0.",
            f"ε ≥ {audit.epsilon_at_least:.2f} at 95% confidence",
            "A lower bound: a better attack may show more. It never proves a guarantee. With so "
            f"many texts no attack could show more than {audit.epsilon_could_show:.2f}. It takes "
            "texts for independent trials, which those of one set of new texts need not be."
            + ("" if audit.once.all() else _REPEATED),
        ),
    ]


def _about_words(audit: Audit) -> tuple[str, str, str, str]:
    longest = audit.runs.max()
    long = audit.passages["train"], audit.passages["holdout"]
    return (
        "Are there passages word for word?",
        "Yes." if _more(audit, *long) else "Not more than by chance.",
        f"{LONG_RUN} words in a row, or all of a shorter text of at least {LEAST_RUN}: "
        f"{_shares(audit, *long)}; longest {longest['train']} and {longest['holdout']} words",
        "Stock phrases are in both; what training texts have more of than chance was copied. In "
        "scripts without spaces a character counts as a word.",
    )


def _about_phrases(audit: Audit) -> list[tuple[str, str, str, str]]:
    m = len(audit.disclosures)
    return [
        (
            f"Did {kind} of single texts get out?",
            _got_out(row, m),
            f"{row['disclosed']:.0f} of {row['in_train_only']:.0f} in one training text only; "
            f"phantoms: {row['phantoms']:.0f} of {row['in_holdout_only']:.0f}; "
            f"p = {row['p_value']:.3g}",
            "Phantoms come from the holdout, which was never read: chance alone."
            + (_BY_CAPITALS if kind == "names" else ""),
        )
        for kind, row in audit.disclosures.iterrows()
        if row["in_train_only"] or kind == "names"
    ]


def _got_out(row: pd.Series, kinds: int) -> str:
    if not row["in_train_only"] and not row["in_holdout_only"]:
        return "None could be told apart."
    return "Yes." if row["p_value"] * kinds < 1 - CONFIDENCE else "Not more than by chance."


def _about_geometry(audit: Audit) -> list[tuple[str, str, str, str]]:
    if not audit.reconstruction:
        return []
    of = audit.reconstruction["parents"]
    exact, text = (audit.reconstruction[f"recovered_from_{k}"] for k in ("points", "texts"))
    return [
        (
            "Can real vectors be computed back (ReconSMOTE)?",
            "Yes, from the points." if exact else "Not by this attack.",
            f"{exact} of {of} parents from the exact points, {text} from the texts alone",
            "Publishing the vectors of plain SMOTE is publishing texts' vectors.",
        )
    ]


def _about_personal(audit: Audit) -> tuple[str, str, str, str]:
    counts = audit.personal["kind"].value_counts()
    return (
        "Is personal data of a fixed form in the synthetic texts?",
        "Yes, real or made up." if len(counts) else "None found.",
        ", ".join(f"{kind} {n}" for kind, n in counts.items()) or "0",
        "Regular expressions find e-mail and IP addresses, web addresses with http or www, IBANs, "
        "card and phone numbers, numbers of three or more digits, and dates in digits; no postal "
        "addresses, no names.",
    )


def _about_copies(audit: Audit) -> tuple[str, str, str, str]:
    train, holdout = (audit.nearest[name].dropna() for name in ("train", "holdout"))
    near = [int((cosines > _NEAR).sum()) for cosines in (train, holdout)]
    some = "Near copies of training texts." if _more(audit, *near) else "Not more than by chance."
    return (
        "Copy check only: how near is the nearest synthetic text?",
        some if near[0] else "No copies.",
        f"median cosine {train.median():.3f} (holdout {holdout.median():.3f}); above {_NEAR}: "
        f"{_shares(audit, *near)}",
        "Says nothing about privacy (arXiv 2505.01524): texts at risk need no copies.",
    )


def _about_guarantee(audit: Audit) -> tuple[str, str, str, str]:
    question, told = "Is anything guaranteed?", audit.guarantee
    if told is None:
        return (
            question,
            "Not stated in what was audited.",
            "texts without their provenance",
            "Files of Synthesis.to_parquet say what was guaranteed, other files cannot.",
        )
    stated = told.get("epsilon")
    if stated is None:
        return (
            question,
            "Not for all of them together." if told.get("sentence") else "No.",
            "several mechanisms" if told.get("sentence") else "no mechanism",
            str(
                told.get("sentence") or "What was not found today may be found by a better attack."
            ),
        )
    shown, most = audit.epsilon_put_to_test, audit.epsilon_put_to_test_at_most
    copying = audit.epsilon_copying_shows
    answer = "Stated, and not contradicted."
    if shown > stated:
        answer = "The attack contradicts the statement."
    elif most <= stated:
        answer = "Stated; so few texts cannot test it."
    elif copying <= stated:
        answer = "Stated; handing out so many real texts would not contradict it either."
    n, m = int(audit.once.sum()), len(audit.once)
    by = "" if n == m else f", by the {n} of {m} training texts that stand there once"
    return (
        question,
        answer,
        f"stated ε = {stated:g}, shown ε ≥ {shown:.2f} of at most {most:.2f}, about "
        f"{copying:.2f} by as many copies as there are new texts{by}",
        f"{told.get('sentence', '')} {FIGURES_NOT_COVERED} The statement is what came with the "
        "texts; no audit can check who wrote it.",
    )


def _more(audit: Audit, inside: int, outside: int) -> bool:
    """Return whether training texts show something more often than others, beyond chance."""
    from scipy.stats import fisher_exact

    m, n = audit.sizes["train"], audit.sizes["holdout"]
    found = fisher_exact([[inside, m - inside], [outside, n - outside]], alternative="greater")
    return bool(found[1] < 1 - CONFIDENCE)


def _shares(audit: Audit, inside: int, outside: int) -> str:
    m, n = audit.sizes["train"], audit.sizes["holdout"]
    return f"{inside} of {m} training texts, {outside} of {n} others"
