"""How a text is written: question, statement, exclamation or fragment, and in which case.

Read off the characters and a few English words, with no model, so that the judgement is the
same for everyone and owes nothing to a decoder that was told the form.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np

from smotext_lab.errors import DataError

__all__ = [
    "FUNCTION_WORDS",
    "CaseStyle",
    "SentenceKind",
    "TextForm",
    "case_kept",
    "case_style",
    "form_kept",
    "kind_kept",
    "restyled",
    "sentence_kind",
]

SentenceKind = Literal["question", "statement", "exclamation", "fragment"]
CaseStyle = Literal["lower", "sentence", "title", "upper", "none"]

_CLOSED_CLASSES = """
a an the this that these those some any each every either neither both all such another
other others much many more most few less least own same
i me my mine myself you your yours yourself he him his himself she her hers herself it its
itself we us our ours ourselves they them their theirs themselves one ones
who whom whose which what when where why how whoever whatever there here
and or but nor so yet if then than because although though while as since unless until
whether that's it's i'm you're he's she's we're they're i've we've they've i'll you'll
of in on at by for with about against between into through during before after above below
to from up down out off over under again further onto upon toward towards within without
across along among around behind beside beyond near per via
am is are was were be been being have has had having do does did doing done will would
shall should can could may might must ought
not no don't doesn't didn't isn't aren't wasn't weren't won't wouldn't can't couldn't
very too just only also even ever still already quite rather ? !
"""

FUNCTION_WORDS = frozenset(_CLOSED_CLASSES.split())
"""English words of the closed classes, in lower case, and the marks that `split_words` returns."""

_CLOSERS = "\"'”’»)]} \t\n"
_MARKS = re.compile(r"[.!?…。！？؟।]+$")
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_AUXILIARY_VERBS = """
am is are was were do does did can could will would shall should may might must have has had
isn't aren't wasn't weren't don't doesn't didn't can't couldn't won't wouldn't shouldn't haven't
hasn't hadn't
"""
_FIRST_OF_SUBJECTS = """
i you he she it we they the this that these those there a an my your his her its our their any
anyone anybody anything some someone somebody something all
"""
_AUXILIARIES = frozenset(_AUXILIARY_VERBS.split())
_SUBJECTS = frozenset(_FIRST_OF_SUBJECTS.split())
_ASKING = frozenset({"what", "who", "whom", "whose", "which", "why", "how"})
_ASKING_OR_JOINING = frozenset({"when", "where"})
_LEAST_TITLE = 4  # capitalised words that make a title; three may be a name


@dataclass(frozen=True)
class TextForm:
    """The form of one text.

    Attributes
    ----------
    kind : {"question", "statement", "exclamation", "fragment"}
        See `sentence_kind`.
    case : {"lower", "sentence", "title", "upper", "none"}
        See `case_style`.

    Examples
    --------
    >>> TextForm.of("Who paid?")
    TextForm(kind='question', case='sentence')
    """

    kind: SentenceKind
    case: CaseStyle

    @classmethod
    def of(cls, text: str) -> Self:
        """Return the form of `text`."""
        return cls(sentence_kind(text), case_style(text))


def sentence_kind(text: str) -> SentenceKind:
    """Return what sort of sentence a text ends as.

    By its last marks, closing quotes and brackets aside: with a question mark a question, else
    with an exclamation mark an exclamation, else with a full stop or an ellipsis a statement.
    A text without a mark is a question if it begins as an English one does (an asking word; or
    an auxiliary verb and then a subject), else a fragment.

    It does not parse: "please tell me the way" is a fragment here, and of several sentences
    only the last one counts.

    Parameters
    ----------
    text : str

    Returns
    -------
    {"question", "statement", "exclamation", "fragment"}

    Examples
    --------
    >>> [sentence_kind(t) for t in ("It rained.", "Rain!", "does it rain", "rain and hail")]
    ['statement', 'exclamation', 'question', 'fragment']
    """
    marks = _MARKS.search(text.rstrip(_CLOSERS))
    if marks is None:
        return "question" if _asks(text) else "fragment"
    if any(mark in marks[0] for mark in "?？؟"):
        return "question"
    return "exclamation" if any(mark in marks[0] for mark in "!！") else "statement"


def _asks(text: str) -> bool:
    words = [word.lower().replace("’", "'") for word in _WORD.findall(text)[:2]]
    if len(words) < 2:
        return False
    first = words[0].removesuffix("'s").removesuffix("'re")
    if first in _ASKING_OR_JOINING:  # "when does it rain", but not "when it rains"
        return words[1] in _AUXILIARIES or first != words[0]
    return first in _ASKING or (words[0] in _AUXILIARIES and words[1] in _SUBJECTS)


def case_style(text: str) -> CaseStyle:
    """Return where a text has capitals.

    ``"upper"``: all letters, of which there are at least two. ``"title"``: four or more of the
    content words after the first word begin with one, and these are at least three quarters
    of them. ``"sentence"``: the first letter is one. ``"lower"``: it is not. ``"none"``: the
    text has no letters with case.

    Names inside a text that begins small do not change its style. A short headline counts as
    a sentence, and a sentence that is little more than long names as a title.

    Parameters
    ----------
    text : str

    Returns
    -------
    {"lower", "sentence", "title", "upper", "none"}

    Examples
    --------
    >>> headline = "Sprint to Buy Nextel in Big Deal"
    >>> [case_style(t) for t in ("it rained", "It rained", headline, "RAIN")]
    ['lower', 'sentence', 'title', 'upper']
    """
    letters = [c for c in text if c.isupper() or c.islower()]
    if not letters:
        return "none"
    if len(letters) > 1 and all(c.isupper() for c in letters):
        return "upper"
    rest = [word for word in _WORD.findall(text)[1:] if word.lower() not in FUNCTION_WORDS]
    capital = sum(word[0].isupper() for word in rest)
    if capital >= _LEAST_TITLE and 4 * capital >= 3 * len(rest):
        return "title"
    return "sentence" if letters[0].isupper() else "lower"


def restyled(text: str, case: CaseStyle) -> str:
    """Return `text` with its capitals where `case` has them.

    What an encoder that does not see case (as the default one) cannot tell a decoder.
    ``"sentence"`` changes the first letter of a text that begins small, and puts a text all in
    capitals into small letters; it cannot tell which small words are names. ``"title"`` and
    ``"none"`` change nothing.

    Parameters
    ----------
    text : str
    case : {"lower", "sentence", "title", "upper", "none"}
        See `case_style`.

    Returns
    -------
    str

    Examples
    --------
    >>> restyled("Who paid?", "lower"), restyled("rain, NATO", "sentence"), restyled("Ja", "upper")
    ('who paid?', 'Rain, NATO', 'JA')
    """
    if case == "lower":
        return text.lower()
    if case == "upper":
        return text.upper()
    if case == "sentence":
        own = case_style(text)
        text = text.lower() if own == "upper" else text
        first = next((i for i, c in enumerate(text) if c.isalpha()), None)
        return text if first is None else text[:first] + text[first].upper() + text[first + 1 :]
    return text


def kind_kept(texts: Sequence[str], references: Sequence[str]) -> np.ndarray:
    """Return which texts are the same sort of sentence as their reference.

    The mean is a rate, 0 to 1; see `sentence_kind` for what it does not see.

    Parameters
    ----------
    texts, references : sequence of str, length n

    Returns
    -------
    ndarray of bool, shape (n,)

    Examples
    --------
    >>> kind_kept(["Who?", "Rain."], ["Why?", "Rain!"])
    array([ True, False])
    """
    pairs = _pairs(texts, references)
    return np.array([sentence_kind(a) == sentence_kind(b) for a, b in pairs], bool)


def case_kept(texts: Sequence[str], references: Sequence[str]) -> np.ndarray:
    """Return which texts have their capitals where their reference has them.

    The mean is a rate, 0 to 1; see `case_style` for what it does not see.

    Parameters
    ----------
    texts, references : sequence of str, length n

    Returns
    -------
    ndarray of bool, shape (n,)

    Examples
    --------
    >>> case_kept(["Who?", "rain."], ["Why?", "RAIN!"])
    array([ True, False])
    """
    pairs = _pairs(texts, references)
    return np.array([case_style(a) == case_style(b) for a, b in pairs], bool)


def form_kept(texts: Sequence[str], references: Sequence[str]) -> np.ndarray:
    """Return which texts have the form of their reference: `kind_kept` and `case_kept`.

    Parameters
    ----------
    texts, references : sequence of str, length n

    Returns
    -------
    ndarray of bool, shape (n,)

    Examples
    --------
    >>> form_kept(["Who came?", "rain."], ["Why not?", "Rain."])
    array([ True, False])
    """
    kept: np.ndarray = kind_kept(texts, references) & case_kept(texts, references)
    return kept


def _pairs(texts: Sequence[str], references: Sequence[str]) -> list[tuple[str, str]]:
    if len(texts) != len(references):
        msg = f"there are {len(texts)} texts but {len(references)} references: give one each"
        raise DataError(msg)
    return list(zip(texts, references, strict=True))
