from __future__ import annotations

import pandas as pd
import pytest

from smotext_lab import SMOTExT
from smotext_lab.datasets import load_dataset
from smotext_lab.errors import DataError, ParameterError
from smotext_lab.making import classes_named, new_texts, numbers


@pytest.fixture
def rows(topics):
    texts, labels = topics(money=12, sport=6, weather=6)
    frame = pd.DataFrame({"id": range(24), "body": texts, "queue": labels})
    return load_dataset(frame, called="tickets")


@pytest.fixture
def sampler(word_decoder):
    return SMOTExT(decoder=word_decoder(), random_state=0, guards=False, progress=False)


def test_a_total_is_shared_among_the_classes_that_are_wanted(sampler, rows):
    assert numbers(sampler, rows, 8) == {"money": 4, "sport": 2, "weather": 2}
    assert numbers(sampler, rows, 8, only=["sport", "weather"]) == {"sport": 4, "weather": 4}


def test_without_a_number_the_strategy_says_how_many(sampler, rows):
    assert numbers(sampler, rows) == {"sport": 6, "weather": 6}
    assert numbers(sampler, rows, only=["weather"]) == {"weather": 6}


def test_numbers_of_classes_and_only_exclude_each_other(sampler, rows):
    with pytest.raises(ParameterError, match="only has no effect beside numbers of each class"):
        numbers(sampler, rows, {"sport": 1}, only=["sport"])


def test_numbers_load_no_model(sampler, rows):
    sampler.decoder = None  # the default models would be loaded
    with pytest.raises(ParameterError, match="did you mean 'sport'"):
        numbers(sampler, rows, {"spork": 1})


def test_new_texts_speak_in_the_users_columns(sampler, rows):
    made = new_texts(sampler, rows, {"sport": 2})
    frame = made.to_pandas(with_originals=True)
    assert list(frame.columns[:3]) == ["id", "body", "queue"]
    assert frame["queue"].tail(2).tolist() == ["sport", "sport"]


def test_words_name_one_class_or_several():
    labels = pd.Series(["billing fraud", "billing", "fraud", 3])
    assert classes_named(["billing fraud"], labels) == ["billing fraud"]
    assert classes_named(["fraud billing"], labels) == ["fraud", "billing"]
    assert classes_named(["fraud, billing fraud", "3"], labels) == ["fraud", "billing fraud", 3]
    assert classes_named([], labels) == []


@pytest.mark.parametrize("word", ["fruad", "billing, fruad", "fruad,3"])
def test_a_class_that_is_not_there_suggests_the_near_one(word):
    with pytest.raises(DataError, match=r"no class 'fruad' \(did you mean 'fraud'"):
        classes_named([word], pd.Series(["billing", "fraud", 3]))


def test_masking_happens_before_encoding_and_what_comes_out_is_checked(word_decoder, topics):
    seen = []
    decoder = word_decoder(write=lambda text, rng: text + " call 0800 555 1234")
    encode = decoder.encoder.encode

    def watching(texts, **how):
        seen.extend(texts)
        return encode(texts, **how)

    decoder.encoder.encode = watching
    texts, labels = topics(money=6, sport=6)
    texts = [f"{text} Ann ann@example.org" for text in texts]
    rows = load_dataset(pd.DataFrame({"body": texts, "queue": labels}))
    sampler = SMOTExT(decoder=decoder, guards=False, random_state=0, k_neighbors=2, progress=False)
    made = new_texts(sampler, rows, {"money": 3}, masked_names=["Ann"])
    assert any("[name] [email]" in text for text in seen)
    assert not any("example.org" in text for text in seen)
    assert made.info["personal_data_found"] == {"phone": 3}
    assert made.originals["body"].tolist() == texts
    plain = new_texts(sampler, rows, {"money": 1})
    assert "personal_data_found" not in plain.info
