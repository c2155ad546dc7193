"""How good decoded texts are: against their originals, their labels, and plain English.

`metrics` compares texts word by word, `forms` by how they are written, `perplexity` by how
likely a language model finds them, `judges` by the label that others would give them,
`diversity` with each other. `protocols` asks whether they help a classifier.
"""

from smotext_lab.evaluation.distribution import mauve
from smotext_lab.evaluation.diversity import compression_ratio, distinct_1, self_bleu
from smotext_lab.evaluation.judges import LabelJudge, NeighborJudge, TfidfJudge
from smotext_lab.evaluation.metrics import (
    cosines,
    distinct_2,
    exact_match,
    length_ratio,
    sentence_bleu,
    token_f1,
)
from smotext_lab.evaluation.perplexity import log_likelihoods, perplexity
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
    "length_ratio",
    "log_likelihoods",
    "mauve",
    "perplexity",
    "self_bleu",
    "sentence_bleu",
    "sentence_kind",
    "token_f1",
]
