from __future__ import annotations

import shutil

import pytest

from smotext_lab import BertEncoder, SMOTExT, XRAGDecoder, equipment, models, shared_decoder
from smotext_lab.errors import ParameterError


@pytest.fixture(autouse=True)
def _nothing_shared():
    equipment.unload()
    yield
    equipment.unload()


@pytest.fixture
def tiny(tiny_encoder, tiny_llm, tiny_bridge):
    return {"encoder": str(tiny_encoder), "llm": str(tiny_llm), "bridge": str(tiny_bridge)}


@pytest.fixture
def loads(monkeypatch):
    """Count how often an LLM is loaded."""
    found = []

    def load(name, *rest):
        found.append(str(name))
        return whole(name, *rest)

    whole = models.load_llm
    monkeypatch.setattr("smotext_lab.writer.load_llm", load)
    return found


def test_the_same_models_are_loaded_once_whatever_the_settings(tiny, loads):
    first = shared_decoder(**tiny, n_candidates=2, temperature=0)
    second = shared_decoder(**tiny, n_candidates=1, max_new_tokens=5)
    vectors = first.encoder.encode(["rain snow", "bank rate"])
    assert len(first.decode(vectors)) == len(second.decode(vectors)) == 2
    assert len(shared_decoder(**tiny).decode(vectors)) == 2
    assert loads == [tiny["llm"]]
    assert (first.n_candidates, second.n_candidates) == (2, 1)


def test_an_encoder_whose_folder_was_renamed_goes_with_the_decoder_made_for_it(tiny, tmp_path):
    renamed = shutil.copytree(tiny["encoder"], tmp_path / "renamed")
    decoder, encoder = shared_decoder(**tiny), BertEncoder(str(renamed))
    assert encoder.fingerprint != decoder.encoder.fingerprint
    assert equipment.equip(encoder, decoder)[0].fingerprint == encoder.fingerprint


def test_settings_are_checked_as_ever(tiny):
    with pytest.raises(ParameterError, match="n_candidates must be 1 or more"):
        shared_decoder(**tiny, n_candidates=0)


def test_one_set_is_kept_and_another_takes_its_place(tiny, tiny_encoder):
    first = shared_decoder(**tiny)
    assert shared_decoder(**tiny) is first
    own = BertEncoder(str(tiny_encoder))
    other = shared_decoder(own, tiny["llm"], tiny["bridge"])
    assert other.encoder is own
    assert shared_decoder(**tiny) is not first


def test_a_user_who_brings_no_decoder_works_with_the_shared_one():
    assert equipment.equip()[1] is shared_decoder()
    assert equipment.equip()[0] is shared_decoder().encoder


def test_the_decoders_own_reading_refuses_nothing(tiny, tiny_encoder):
    strict = BertEncoder(str(tiny_encoder), long_texts="error")
    encoder, decoder = equipment.equip(strict, shared_decoder(strict, tiny["llm"], tiny["bridge"]))
    assert encoder.long_texts == "error"
    assert decoder.encoder.long_texts == "truncate"


def test_unloading_says_what_was_loaded_and_lets_it_go(tiny, loads):
    assert equipment.unload() == []
    held = shared_decoder(**tiny)
    assert equipment.loaded() == []
    equipment.set_up(held)
    assert equipment.loaded() == [tiny["encoder"], tiny["llm"]]
    assert equipment.unload() == [tiny["encoder"], tiny["llm"]]
    assert equipment.loaded() == []
    assert held.is_loaded  # whoever holds one keeps it
    equipment.set_up(shared_decoder(**tiny))
    assert len(loads) == 2


def test_what_was_shared_is_freed_when_nobody_holds_it(tiny):
    import weakref

    decoder = shared_decoder(**tiny)
    equipment.set_up(decoder)
    gone = weakref.ref(decoder._loaded.model)
    del decoder
    equipment.unload()
    assert gone() is None


def test_a_sampler_takes_the_shared_decoder_without_loading_it_twice(tiny, topics, loads):
    texts, labels = topics(money=4, weather=4)
    decoder = shared_decoder(**tiny, n_candidates=1, max_new_tokens=4)
    options = {"guards": False, "progress": False, "k_neighbors": 2, "random_state": 0}
    for _ in range(2):
        assert len(SMOTExT(decoder=decoder, **options).generate(texts, labels, 2)) == 2
    assert loads == [tiny["llm"]]


def test_a_twin_of_its_own_shares_weights_by_request(tiny):
    kept = shared_decoder(**tiny)
    equipment.set_up(kept)
    twin = XRAGDecoder(tiny["llm"], tiny["bridge"], encoder=kept.encoder).sharing(kept)
    assert twin.is_loaded


def test_another_engine_is_another_set_of_models(tiny, loads):
    first = shared_decoder(**tiny)
    other = shared_decoder(**tiny, engine="http://127.0.0.1:9")
    assert other is not first
    assert other.engine == "http://127.0.0.1:9"
    assert shared_decoder(**tiny, engine="http://127.0.0.1:9") is other
    narrow = shared_decoder(**tiny, dtype="float16", n_candidates=2)
    narrow.explain(narrow.encoder.encode(["rain"]))
    assert str(narrow._writer().model.dtype) == "torch.float16"
