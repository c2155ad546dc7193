"""What can be measured of texts, all in one place; each says what it does not say.

Texts against what each was meant to be. One number a text, so that the caller can give a
standard error with the mean:

- `cosines`: of a text, encoded again, to its target
- `label_agreement`: whether a classifier trained on held-out real texts says the label meant
- `token_f1`, `sentence_bleu`, `exact_match`, `length_ratio`: word by word

A set of texts, with itself. Compare sets of as many texts of about the same length:

- `distinct_1`, `distinct_2`: different words, and pairs of words
- `self_bleu`: each text against the others, by sacreBLEU
- `compression_ratio`: how much is said again

A set of texts, beside real ones:

- `log_likelihoods`, `perplexity`: how likely a language model finds them, most often the one
  that wrote them
- `mauve`: the spread of both over clusters of vectors
- `nearest_cosines`, `nearness`: how near to real texts, and the words in common
- `nearest_real`: whether nearer to the real texts they were made from than to others

None of them knows whether a text is true, or of use: that `protocols` ask.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from smotext_lab.bridges import split_words
from smotext_lab.errors import DataError
from smotext_lab.evaluation.bleu import bleu_of_sentences
from smotext_lab.evaluation.distribution import mauve
from smotext_lab.evaluation.diversity import compression_ratio, distinct_1, self_bleu
from smotext_lab.evaluation.holdout import NearestReal, nearest_real
from smotext_lab.evaluation.judges import LabelJudge, NeighborJudge, TfidfJudge, label_agreement
from smotext_lab.evaluation.nearness import nearest_cosines, nearness
from smotext_lab.evaluation.perplexity import log_likelihoods, perplexity

__all__ = [
    "LabelJudge",
    "NearestReal",
    "NeighborJudge",
    "TfidfJudge",
    "compression_ratio",
    "cosines",
    "distinct_1",
    "distinct_2",
    "exact_match",
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
    "token_f1",
]

_Split = Callable[[str], list[str]]


def cosines(vectors: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return the cosine of each vector to its target.

    ``v·t / (|v| |t|)``: how near a text, encoded again, lies to the point it was decoded
    from. Range -1 to 1; 0 where a vector has no length.

    It does not say how near that is for a reader, and it flatters a decoder that chose among
    candidates with the same encoder: compare with judges that took no part.

    Parameters
    ----------
    vectors, targets : ndarray, shape (n, d)

    Returns
    -------
    ndarray of float64, shape (n,)

    References
    ----------
    .. [1] Morris et al., "Text embeddings reveal (almost) as much as text", arXiv 2310.06816,
       section 4, report it for inverted embeddings.

    Examples
    --------
    >>> cosines(np.array([[1.0, 0.0], [1.0, 1.0]]), np.array([[2.0, 0.0], [0.0, 1.0]])).round(2)
    array([1.  , 0.71])
    """
    a, b = np.asarray(vectors, np.float64), np.asarray(targets, np.float64)
    _check_pairs(a, b)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    found: np.ndarray = (a * b).sum(axis=1) / np.where(lengths > 0, lengths, 1.0)
    return found


def token_f1(
    texts: Sequence[str],
    references: Sequence[str],
    *,
    ignore: Collection[str] = (),
    split: _Split = split_words,
) -> np.ndarray:
    """Return how many words each text shares with its reference, as F1.

    ``2 |A ∩ B| / (|A| + |B|)`` over the multisets A and B of lower-case words. Range 0 to 1;
    1 where both texts are without words. With ``ignore=FUNCTION_WORDS`` it is the F1 of
    content words; a pair in which neither has any is then NaN: nothing was to be kept.

    It does not see the order of the words, and counts a synonym as a miss.

    Parameters
    ----------
    texts, references : sequence of str, length n
    ignore : collection of str, optional
        Words, in lower case, that do not count.
    split : callable, default=split_words
        Text → its words.

    Returns
    -------
    ndarray of float64, shape (n,)

    References
    ----------
    .. [1] Rajpurkar et al., "SQuAD", arXiv 1606.05250, section 6.1.

    Examples
    --------
    >>> from smotext_lab.forms import FUNCTION_WORDS
    >>> a, b = ["The cat sat on the mat."], ["The dog sat on a mat."]
    >>> float(token_f1(a, b)[0].round(3)), float(token_f1(a, b, ignore=FUNCTION_WORDS)[0].round(3))
    (0.667, 0.667)
    >>> token_f1(["So it is."], ["That was it."], ignore=FUNCTION_WORDS)
    array([nan])
    """
    _check_pairs(texts, references)
    nothing = np.nan if ignore else 1.0
    return np.array(
        [
            _f1(_bag(text, ignore, split), _bag(reference, ignore, split), nothing)
            for text, reference in zip(texts, references, strict=True)
        ]
    )


def _bag(text: str, ignore: Collection[str], split: _Split) -> Counter[str]:
    words = (word.lower().replace("’", "'") for word in split(text))
    return Counter(word for word in words if word not in ignore)


def _f1(a: Counter[str], b: Counter[str], nothing: float) -> float:
    total = a.total() + b.total()
    return 2 * (a & b).total() / total if total else nothing


def sentence_bleu(texts: Sequence[str], references: Sequence[str]) -> np.ndarray:
    """Return the BLEU of each text against its reference, by sacreBLEU.

    The geometric mean of the precisions of 1- to 4-grams times a penalty for brevity,
    tokenized by ``13a``, case kept, exponential smoothing, effective order (a text of three
    words is judged by its 1- to 3-grams). Range 0 to 100.

    The mean of it over texts is not a corpus BLEU, which pools the counts and is what papers
    on translation report. It says little about texts of one to three words, and nothing about
    paraphrases.

    Parameters
    ----------
    texts, references : sequence of str, length n

    Returns
    -------
    ndarray of float64, shape (n,)

    Raises
    ------
    ModelError
        If sacrebleu is not installed.

    References
    ----------
    .. [1] Post, "A call for clarity in reporting BLEU scores", arXiv 1804.08771.
    .. [2] Papineni et al., "BLEU", ACL 2002, section 2.

    Examples
    --------
    >>> sentence_bleu(["it rained on the hill"], ["it rained on the hill"]).round(1)
    array([100.])
    """
    _check_pairs(texts, references)
    bleu = bleu_of_sentences()
    pairs = zip(texts, references, strict=True)
    return np.array([bleu.sentence_score(text, [reference]).score for text, reference in pairs])


def exact_match(texts: Sequence[str], references: Sequence[str]) -> np.ndarray:
    """Return which texts equal their reference, white space aside.

    Case and punctuation count. A rate near 0 does not mean that little came back; one well
    above 0 on texts that are private is a warning.

    Parameters
    ----------
    texts, references : sequence of str, length n

    Returns
    -------
    ndarray of bool, shape (n,)

    Examples
    --------
    >>> exact_match(["So  it is.", "no"], ["So it is.", "No"])
    array([ True, False])
    """
    _check_pairs(texts, references)
    return np.array([a.split() == b.split() for a, b in zip(texts, references, strict=True)], bool)


def length_ratio(
    texts: Sequence[str], references: Sequence[str], *, split: _Split = split_words
) -> np.ndarray:
    """Return how long each text is in words, as a multiple of its reference.

    ``|A| / |B|``. Range 0 to infinity, 1 where they are equally long; NaN where the reference
    has no words. The mean of it is pulled up by a few texts that babble on: look at the
    median too.

    Parameters
    ----------
    texts, references : sequence of str, length n
    split : callable, default=split_words
        Text → its words.

    Returns
    -------
    ndarray of float64, shape (n,)

    Examples
    --------
    >>> length_ratio(["it rained", "yes"], ["it rained all day", "..."])
    array([0.5, nan])
    """
    _check_pairs(texts, references)
    ours = np.array([len(split(text)) for text in texts], np.float64)
    theirs = np.array([len(split(text)) for text in references], np.float64)
    return np.divide(ours, theirs, out=np.full(len(ours), np.nan), where=theirs > 0)


def distinct_2(texts: Sequence[str], *, split: _Split = split_words) -> float:
    """Return the share of different pairs of neighbouring words among all such pairs.

    Distinct bigrams over bigrams, of all texts together, in lower case. Range 0 to 1; NaN
    where no text has two words. Low where a decoder goes on writing the same phrases. (The
    source [1]_ divides by all words; by bigrams, texts of any length can reach 1.)

    It falls as texts are added, so compare only as many texts of the same length; and noise
    scores high.

    Parameters
    ----------
    texts : sequence of str
    split : callable, default=split_words
        Text → its words.

    Returns
    -------
    float

    References
    ----------
    .. [1] Li et al., "A diversity-promoting objective function for neural conversation
       models", arXiv 1510.03055, section 5.

    Examples
    --------
    >>> distinct_2(["it rained all day", "it rained all night"])
    0.6666666666666666
    """
    pairs = [pair for text in texts for pair in pairwise(map(str.lower, split(text)))]
    return len(set(pairs)) / len(pairs) if pairs else float("nan")


def _check_pairs(ours: Sequence[Any] | np.ndarray, theirs: Sequence[Any] | np.ndarray) -> None:
    shapes = np.shape(ours), np.shape(theirs)
    if shapes[0] != shapes[1]:
        msg = f"texts and references must pair up, but their shapes are {shapes[0]} and {shapes[1]}"
        raise DataError(msg)
