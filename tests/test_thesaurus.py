"""Synonyms: read from a small database in WordNet's format, made by hand, and put into texts."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from smotext_lab.evaluation import thesaurus
from smotext_lab.evaluation.noise import noises, noisy
from smotext_lab.evaluation.splits import Split
from smotext_lab.evaluation.thesaurus import exchanged, synonyms, text_synonyms, wordnet
from smotext_lab.evaluation.word_edits import eda
from smotext_lab.reports import evidence

LICENCE = (
    "  1 Written for tests, in the format of wndb(5WN).  \n"
    "  2 WordNet 7.5 is what it calls itself.  \n"
)
# a meaning's name -> its line in the data file, without the offset it begins with
MEANINGS = {
    "noun": {
        "water": "17 n 03 river 0 stream 1 water_course 0 001 @ 00001740 n 0000 | it flows  ",
        "crowd": "14 n 02 flood 0 river 1 002 @ 00001740 n 0000 + 00001741 v 0101 | very many  ",
        "inch": "23 n 02 inch 0 in 0 000 | a length  ",
        "money": "21 n 0b " + " ".join(f"coin{n} 0" for n in range(10)) + " Penny 0 000 | paid  ",
    },
    "verb": {"go": "38 v 02 run 0 stream 0 001 @ 00001741 v 0000 02 + 01 00 + 02 00 | move  "},
    "adj": {"large": "00 a 02 big 0 grown(p) 0 001 ! 00001740 a 0101 | of some size  "},
    "adv": {"soon": "02 r 02 soon 0 shortly 0 000 | before long  "},
}
# the index, with a meaning's name where its offset belongs
INDEX = {
    "noun": [
        "coin0 n 1 1 @ 1 0 {money}  ",
        "in n 1 0 1 0 {inch}  ",
        "river n 2 2 @ + 2 1 {crowd} {water}  ",
        "stream n 1 1 @ 1 1 {water}  ",
        "water_course n 1 1 @ 1 0 {water}  ",
    ],
    "verb": ["stream v 1 1 @ 1 0 {go}  "],
    "adj": ["big a 1 1 ! 1 1 {large}  ", "grown a 1 1 ! 1 0 {large}  "],
    "adv": ["soon r 1 0 1 1 {soon}  "],
}
TEXTS = ["The river, in short, ran BIG. (Soon) it was gone for good!"] * 40


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of the database, which is in use."""
    folder = tmp_path / "wordnet"
    folder.mkdir()
    for part, lines in MEANINGS.items():
        offsets, written = {}, LICENCE
        for name, line in lines.items():
            offsets[name] = f"{len(written):08d}"  # where its line begins, as in the real files
            written += f"{offsets[name]} {line}\n"
        (folder / f"data.{part}").write_text(written)
        index = "".join(line.format(**offsets) + "\n" for line in INDEX[part])
        (folder / f"index.{part}").write_text(LICENCE + index)
    monkeypatch.setattr(thesaurus, "WORDNET", folder)
    return folder


@pytest.fixture
def no_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thesaurus, "WORDNET", tmp_path / "nowhere")


def test_the_commonest_meaning_comes_first_and_all_parts_of_speech_are_read(
    database: Path,
) -> None:
    assert synonyms("River") == ("flood", "stream")  # as a crowd first, by the index
    assert synonyms("stream") == ("river", "run")
    assert synonyms("soon") == ("shortly",)
    assert synonyms("snow") == ()


def test_words_are_counted_in_hexadecimal_and_come_without_their_marker(database: Path) -> None:
    assert synonyms("coin0") == (*(f"coin{n}" for n in range(1, 10)), "Penny")
    assert synonyms("big") == ("grown",)
    assert synonyms("grown") == ("big",)


def test_words_of_several_words_are_left_out(database: Path) -> None:
    assert synonyms("water_course") == ()
    assert not any("_" in near for near in synonyms("river"))


def test_a_word_in_a_text_is_found_and_replaced_inside_its_marks(database: Path) -> None:
    assert text_synonyms("(River),") == ("flood", "stream")
    assert exchanged("(River),", "flood") == "(Flood),"
    assert exchanged("RIVER?", "flood") == "FLOOD?"
    assert synonyms("in") == ("inch",)
    assert text_synonyms("in") == text_synonyms("...") == ()


def test_the_release_is_read_off_the_files_which_must_all_be_there(database: Path) -> None:
    assert wordnet() == "WordNet 7.5"
    data = database / "data.noun"
    data.write_text(data.read_text().replace("WordNet 7.5", "This"))
    assert wordnet() == "WordNet of an unknown release"
    (database / "index.adv").unlink()
    assert wordnet() is None


def test_without_the_files_no_word_has_synonyms(no_database: None) -> None:
    assert wordnet() is None
    assert synonyms("river") == ()
    assert "synonyms" not in noises()
    assert noisy(TEXTS, "synonyms", 1.0) == TEXTS
    rng = np.random.default_rng(0)
    words = set(TEXTS[0].split())
    assert all(set(eda(TEXTS[0], rng).split()) <= words for _ in range(40))


def test_eda_replaces_inserts_swaps_and_deletes(database: Path) -> None:
    text = "the big river fell soon after the old bridge fell"
    near = {word: set(text_synonyms(word)) for word in text.split()}
    known = set().union(*near.values())
    rng = np.random.default_rng(0)
    seen: Counter[str] = Counter()
    for _ in range(200):
        words, old = eda(text, rng).split(), text.split()
        new = Counter(words) - Counter(old)
        assert set(new) <= known  # nothing comes in but a synonym
        if len(words) == len(old) and new:
            (row,) = [row for row, word in enumerate(words) if word != old[row]]
            assert words[row] in near[old[row]]
            seen["replaced"] += 1
        elif len(words) == len(old) + 1:
            kept = list(words)
            kept.remove(next(iter(new)))
            assert kept == old
            seen["inserted"] += 1
        elif len(words) == len(old):
            assert sorted(words) == sorted(old)
            seen["swapped or as it was"] += 1
        else:
            assert len(words) < len(old)
            seen["deleted"] += 1
    assert set(seen) == {"replaced", "inserted", "swapped or as it was", "deleted"}
    assert min(seen.values()) > 20


def test_eda_exchanges_more_words_with_more_strength(database: Path) -> None:
    text = "big river stream soon " * 5
    known = set().union(*(text_synonyms(word) for word in text.split())) - set(text.split())

    def new_words(strength: float) -> float:
        made = [eda(text, np.random.default_rng(seed), strength) for seed in range(60)]
        return float(np.mean([sum(word in known for word in each.split()) for each in made]))

    assert 0 < new_words(0.1) < new_words(0.5)


def test_noise_of_synonyms_grows_and_leaves_other_words_as_they_are(database: Path) -> None:
    assert "synonyms" in noises()
    assert noisy(TEXTS, "synonyms", 0.0) == TEXTS
    old = TEXTS[0].split()
    changed = []
    for strength in (0.1, 0.4, 1.0):
        made = [text.split() for text in noisy(TEXTS, "synonyms", strength)]
        assert {len(words) for words in made} == {len(old)}
        pairs = [pair for words in made for pair in zip(old, words, strict=True)]
        hit = {(a, b) for a, b in pairs if a != b}
        assert hit <= {
            ("river,", "flood,"),
            ("river,", "stream,"),
            ("BIG.", "GROWN."),
            ("(Soon)", "(Shortly)"),
        }
        changed.append(np.mean([a != b for a, b in pairs]))
    assert 0 < changed[0] < changed[1] < changed[2] == 3 / len(old)
    assert noisy(TEXTS, "synonyms", 0.4, 1) == noisy(TEXTS, "synonyms", 0.4, 1)
    assert noisy(TEXTS, "synonyms", 0.4, 1) != noisy(TEXTS, "synonyms", 0.4, 2)


@pytest.fixture
def split() -> Split:
    rows = [(f"{word} {n}", word) for word in ("rain", "goal") for n in range(10)]
    return Split.read(pd.DataFrame(rows, columns=["text", "label"]))


def test_a_report_says_which_wordnet_there_was(database: Path, split: Split) -> None:
    assert "synonyms from WordNet 7.5" in evidence.about(split, 3, "models")


def test_a_report_says_that_there_were_no_synonyms(no_database: None, split: Split) -> None:
    assert "no synonyms in EDA and noise" in evidence.about(split, 3, "models")
