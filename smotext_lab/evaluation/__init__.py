"""How good decoded texts are: against their originals, their labels, and plain English.

`metrics` has and lists all measures of texts, which can be had from here as well; `forms` tells how
texts are written. `protocols` asks whether they help a classifier.
"""

from smotext_lab.evaluation.metrics import (
    LabelJudge,
    NearestReal,
    NeighborJudge,
    TfidfJudge,
    compression_ratio,
    cosines,
    distinct_1,
    distinct_2,
    exact_match,
    label_agreement,
    length_ratio,
    log_likelihoods,
    mauve,
    nearest_cosines,
    nearest_real,
    nearness,
    perplexity,
    self_bleu,
    sentence_bleu,
    token_f1,
)
from smotext_lab.forms import (
    FUNCTION_WORDS,
    TextForm,
    case_kept,
    case_style,
    form_kept,
    kind_kept,
    sentence_kind,
)

__all__ = [
    "FUNCTION_WORDS",
    "LabelJudge",
    "NearestReal",
    "NeighborJudge",
    "TextForm",
    "TfidfJudge",
    "case_kept",
    "case_style",
    "compression_ratio",
    "cosines",
    "distinct_1",
    "distinct_2",
    "exact_match",
    "form_kept",
    "kind_kept",
    "label_agreement",
    "length_ratio",
    "log_likelihoods",
    "mauve",
    "nearest_cosines",
    "nearest_real",
    "nearness",
    "perplexity",
    "self_bleu",
    "sentence_bleu",
    "sentence_kind",
    "token_f1",
]
