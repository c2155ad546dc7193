from __future__ import annotations

import json
import math
import shutil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from smotext_lab import SMOTExT
from smotext_lab.errors import BudgetError, DataError, ParameterError
from smotext_lab.privacy import (
    Anchors,
    Canaries,
    HeuristicNoise,
    PrivacyBudget,
    PrivateEvolution,
    canaries,
    canary_audit,
    unconditional_texts,
)
from smotext_lab.privacy.accounting import composed, epsilon_of, mu_of
from smotext_lab.privacy.attacks import membership
from smotext_lab.privacy.guarantee import Guarantee, stated_in
from smotext_lab.privacy.votes import noisy_votes, votes_sensitivity
from smotext_lab.privacy.writing import WITHHELD


@pytest.fixture
def evolution(word_decoder):
    def make(epsilon=8.0, **settings):
        decoder = settings.pop("decoder", None) or word_decoder()
        settings = {"n_rounds": 2, "random_state": 0, "progress": False} | settings
        return PrivateEvolution(epsilon, 1e-3, decoder=decoder, **settings)

    return make


@pytest.fixture
def private(topics):
    return topics(money=80, sport=80)


@pytest.fixture
def public(topics):
    texts, labels = topics(money=4, sport=4, weather=4)
    order = sorted(range(12), key=labels.__getitem__)
    return [texts[row] for row in order]


def test_votes_draw_the_population_to_the_private_classes(evolution, private, public):
    run = evolution(30.0)
    made = run.evolve(*private, public)
    assert made.counts().to_dict() == {"money": 12, "sport": 12}
    assert not made.frame[list(WITHHELD)].notna().any().any()
    assert made.info["guarantee"]["epsilon"] == 30.0
    first = run.rounds_[0]
    for label, near in (("money", public[:4]), ("sport", public[4:8])):
        places = [i for i, name in enumerate(first.labels) if name == label]
        assert first.texts[max(places, key=lambda i: first.votes[i])] in near


def test_the_nearest_candidate_is_that_of_the_largest_cosine_however_long_it_is():
    near, long = np.array([1.0, 0.1]), np.array([9.0, 9.0])
    votes = noisy_votes(np.eye(2)[:1], ["a"], np.stack([near, long]), ["a", "a"], sigma=0.0)
    assert votes.tolist() == [1.0, 0.0]


def test_canaries_are_looked_for_by_cosine_however_long_the_vectors_are(
    word_encoder, topics, monkeypatch
):
    class LongEncoder:
        def encode(self, texts):
            return word_encoder.encode(texts) * np.float32(9)

    lengths = []

    def noted(texts, vectors):
        lengths.extend(np.linalg.norm(rows, axis=1) for rows in vectors.values())
        return membership(texts, vectors)

    monkeypatch.setattr(canaries, "membership", noted)
    settings = {"n": 20, "repetitions": [1], "random_state": 0, "encoder": LongEncoder()}
    canary_audit(lambda kept, _: kept[-10:], *topics(money=40, sport=40), **settings)
    np.testing.assert_allclose(np.concatenate(lengths), 1.0, rtol=1e-5)


def test_texts_of_a_bridge_from_private_texts_state_what_both_cost(
    evolution, private, public, word_decoder
):
    told = Guarantee(4.0, 1e-4, mu=mu_of(4.0, 1e-4), release="b").described()
    decoder = word_decoder()
    bridge = SimpleNamespace(facts=SimpleNamespace(training={"guarantee": told}))
    decoder.loaded_bridge = lambda: bridge
    made = evolution(8.0, decoder=decoder).evolve(*private, public)
    both = epsilon_of(composed(mu_of(8.0, 1e-3), mu_of(4.0, 1e-4)), 1e-3)
    assert made.info["guarantee"]["epsilon"] == pytest.approx(both)


def test_all_rounds_together_cost_what_is_stated(evolution):
    run = evolution(3.0, n_rounds=7)
    assert epsilon_of(composed(*[1 / run.sigma] * 7), 1e-3) == pytest.approx(3.0, abs=1e-6)


def test_a_text_moves_the_votes_no_further_than_the_sensitivity():
    rng = np.random.default_rng(0)
    places, names = rng.normal(size=(6, 5)), list("aaabbb")
    for _ in range(100):
        rows, labels = rng.normal(size=(4, 5)), rng.choice(list("abc"), 4).tolist()
        before = noisy_votes(rows, labels, places, names, sigma=0.0)
        fewer = noisy_votes(rows[1:], labels[1:], places, names, sigma=0.0)
        assert np.linalg.norm(before - fewer) <= votes_sensitivity("add_or_remove")
        changed = [*labels[:3], "b"], np.vstack([rows[:3], rng.normal(size=(1, 5))])
        other = noisy_votes(changed[1], changed[0], places, names, sigma=0.0)
        assert np.linalg.norm(before - other) <= votes_sensitivity("replace") + 1e-9


def test_votes_get_the_noise_that_epsilon_asks_for(evolution):
    sigma = evolution(epsilon=1.0).sigma
    assert sigma == pytest.approx(np.sqrt(2) / mu_of(1.0, 1e-3))
    places, rows = np.eye(4), np.repeat(np.eye(4)[:1], 30, axis=0)
    drawn = np.array(
        [noisy_votes(rows, ["a"] * 30, places, ["a"] * 4, sigma=sigma) for _ in range(2000)]
    )
    np.testing.assert_allclose(drawn.std(axis=0), sigma, rtol=0.1)
    np.testing.assert_allclose(drawn.mean(axis=0), [30, 0, 0, 0], atol=5 * sigma / np.sqrt(2000))


def test_of_equal_candidates_the_first_gets_the_votes_whatever_else_was_read():
    rng = np.random.default_rng(0)
    for d in (5, 48, 384):
        places = rng.normal(size=(7, d)).astype(np.float32)[[0, 1, 2, 0, 3, 4, 5, 6, 1, 0]]
        rows = rng.normal(size=(60, d))
        whole = noisy_votes(rows, ["a"] * 60, places, ["a"] * 10, sigma=0.0)
        assert not whole[[3, 8, 9]].any()
        assert whole.sum() == 60
        for left_out in range(60):
            others = np.delete(rows, left_out, axis=0)
            fewer = noisy_votes(others, ["a"] * 59, places, ["a"] * 10, sigma=0.0)
            assert sorted(whole - fewer) == [0.0] * 9 + [1.0]


def test_a_population_holds_each_text_of_a_class_once(evolution, private, public, word_decoder):
    decoder = word_decoder(write=lambda *_: "rain rate goal.")
    run = evolution(decoder=decoder, n_rounds=3)
    run.evolve(*private, [*public, *public[:5]])
    for each in run.rounds_:
        pairs = list(zip(each.texts, each.labels, strict=True))
        assert len(pairs) == len(set(pairs))
    assert ("rain rate goal.", "money") in pairs


def test_guidance_between_winners_is_off_unless_asked_for(evolution, private, public, word_decoder):
    asked = []

    class Noting(word_decoder):
        def decode_rows(self, vectors, *, guidance=None, **settings):
            asked.append(guidance)
            return super().decode_rows(vectors, **settings)

    evolution(decoder=Noting()).evolve(*private, public)
    assert set(asked) == {None}
    asked.clear()
    evolution(decoder=Noting(), guidance_scale=0.5).evolve(*private, public)
    assert asked
    assert all(np.abs(each).max() > 0 for each in asked)
    with pytest.raises(ParameterError, match="guidance_scale"):
        evolution(guidance_scale=math.inf)


def test_a_checkpoint_belongs_to_one_run_at_a_time(evolution, private, public, tmp_path):
    from filelock import FileLock

    budget = PrivacyBudget(tmp_path / "b.json", 8, 1e-3)
    run = evolution(budget=budget, checkpoint=tmp_path / "run.json")
    with (
        FileLock(tmp_path / "run.json.lock"),
        pytest.raises(ParameterError, match="Another run uses"),
    ):
        run.evolve(*private, public)
    assert not budget.entries
    run.evolve(*private, public)
    assert len(budget.entries) == 1


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"threshold": 1.0}, "threshold"),
        ({"variations": 2}, "variations"),
        ({"classes": ["money"]}, "classes, public texts"),
        ({"public": 1}, "public texts"),
    ],
)
def test_a_checkpoint_of_other_terms_is_refused(evolution, private, public, tmp_path, other, told):
    evolution(checkpoint=tmp_path / "run.json").evolve(*private, public)
    begin = public[other.pop("public", 0) :]
    run = evolution(checkpoint=tmp_path / "run.json", **other)
    with pytest.raises(ParameterError, match=rf"other terms \({told}\)"):
        run.evolve(*private, begin)


@pytest.mark.parametrize("held", ["", '{"terms": ', "[]", "{}", "a budget"])
def test_a_file_that_is_no_checkpoint_is_refused_and_stays_as_it_is(
    evolution, private, public, tmp_path, held
):
    budget = PrivacyBudget(tmp_path / "b.json", 8, 1e-3)
    path = tmp_path / "run.json"
    path.write_text(budget.path.read_text() if held == "a budget" else held)
    before = path.read_bytes()
    with pytest.raises(ParameterError, match=r"run.json cannot be read as a checkpoint"):
        evolution(budget=budget, checkpoint=path).evolve(*private, public)
    assert path.read_bytes() == before
    assert not budget.entries


def test_the_guarantee_of_a_run_names_its_spending(evolution, private, public, tmp_path):
    budget = PrivacyBudget(tmp_path / "b.json", 20, 1e-3)
    run = evolution(budget=budget)
    made = run.evolve(*private, public)
    run.epsilon = 1.0
    assert run.guarantee().epsilon == 8.0
    assert made.info["guarantee"]["release"] == budget.entries[0]["name"]


def test_a_stopped_run_goes_on_and_pays_once(evolution, private, public, tmp_path, word_decoder):
    budget = PrivacyBudget(tmp_path / "b.json", 8, 1e-3)
    decoder = word_decoder()
    decoder.stop_after = 5
    terms = {"budget": budget, "checkpoint": tmp_path / "run.json"}
    with pytest.raises(KeyboardInterrupt):
        evolution(decoder=decoder, **terms).evolve(*private, public)
    kept = json.loads((tmp_path / "run.json").read_text())["rounds"]
    assert len(kept) == 1
    run = evolution(**terms)
    run.evolve(*private, public)
    assert run.rounds_[0].votes == kept[0]["votes"]
    assert len(budget.entries) == 1
    with pytest.raises(BudgetError):
        evolution(budget=budget).evolve(*private, public)
    with pytest.raises(ParameterError, match="other terms"):
        evolution(4.0, checkpoint=tmp_path / "run.json").evolve(*private, public)


@pytest.mark.parametrize("put_back", [False, True])
def test_a_round_that_was_drawn_and_not_kept_is_not_drawn_again(
    evolution, private, public, tmp_path, monkeypatch, put_back
):
    budget = PrivacyBudget(tmp_path / "b.json", 20, 1e-3)
    run = evolution(budget=budget, checkpoint=tmp_path / "run.json")
    write = run._write

    def failing(state):
        if state["rounds"]:
            raise OSError("full")
        write(state)

    if put_back:
        run.evolve(*private, public)
        state = json.loads((tmp_path / "run.json").read_text())
        write(state | {"rounds": state["rounds"][:1]})
    else:
        monkeypatch.setattr(run, "_write", failing)
        with pytest.raises(OSError, match="full"):
            run.evolve(*private, public)
        assert run.rounds_ == []
        monkeypatch.setattr(run, "_write", write)
    with pytest.raises(BudgetError, match="another checkpoint file"):
        run.evolve(*private, public)
    evolution(budget=budget, checkpoint=tmp_path / "new.json").evolve(*private, public)
    assert [entry["drawn"] for entry in budget.entries] == [1 + put_back, 2]


def test_without_a_budget_votes_that_were_not_kept_are_not_drawn_again(
    evolution, private, public, tmp_path, monkeypatch
):
    run = evolution(checkpoint=tmp_path / "run.json")
    monkeypatch.setattr("smotext_lab.privacy.evolution.noisy_votes", lambda *_, **__: 1 / 0)
    for error in (ZeroDivisionError, ParameterError):
        with pytest.raises(error):
            run.evolve(*private, public)


def test_public_texts_are_needed_of_each_class(evolution, private, public):
    with pytest.raises(DataError, match="'sport' has 0 public"):
        evolution().evolve(*private, public, ["money"] * len(public))
    with pytest.raises(DataError, match="12 public texts but 2 in public_y: one each"):
        evolution().evolve(*private, public, ["money", "sport"])


def test_of_a_user_no_more_texts_vote_than_are_stated(evolution, private, public):
    users = [row % 10 for row in range(160)]
    run = evolution(1e6, n_rounds=1, texts_per_user=3)
    run.evolve(*private, public, users=users)
    assert sum(run.rounds_[0].votes) == pytest.approx(30, abs=1)
    assert run.sigma == pytest.approx(3 * evolution(1e6, n_rounds=1).sigma)
    assert "user (at most 3 texts of each are read)" in run.guarantee().sentence


def test_without_any_public_text_nothing_is_paid(evolution, private, tmp_path):
    budget = PrivacyBudget(tmp_path / "b.json", 20, 1e-3)
    with pytest.raises(DataError, match="'money' has 0 public texts"):
        evolution(budget=budget).evolve(*private, [])
    assert not budget.entries


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_rounds": 2.0}, "n_rounds must be a whole number of at least 1"),
        ({"variations": True}, "variations must be a whole number of at least 1"),
        ({"texts_per_user": 0}, "texts_per_user must be a whole number of at least 1"),
        ({"k_neighbors": 0}, "k_neighbors must be a whole number of at least 1"),
        ({"words": "9"}, "words must be a whole number of at least 1"),
        ({"random_state": -1}, "random_state must be a whole number of at least 0"),
        ({"random_state": np.random.RandomState(0)}, "random_state must be a whole number"),
        ({"like": 3}, "like must be a text"),
        ({"classes": "spam"}, r"one string, not a list of them: give \['spam'\]"),
    ],
)
def test_what_could_not_be_worked_with_is_refused_before_it_is_paid_for(
    evolution, private, public, tmp_path, settings, message
):
    budget = PrivacyBudget(tmp_path / "b.json", 20, 1e-3)
    with pytest.raises(ParameterError, match=message):
        evolution(budget=budget, **settings).evolve(*private, public)
    assert budget.spent == 0


def test_public_texts_are_read_by_the_encoder_before_anything_is_paid_for(
    evolution, private, public, tmp_path, monkeypatch
):
    budget = PrivacyBudget(tmp_path / "b.json", 20, 1e-3)
    run = evolution(budget=budget)
    encode = run.decoder.encoder.encode

    def strict(texts, **how):
        if len(texts) > 1:
            raise TypeError("as a tokenizer does")
        return encode(texts, **how)

    monkeypatch.setattr(run.decoder.encoder, "encode", strict)
    with pytest.raises(TypeError, match="tokenizer"):
        run.evolve(*private, public)
    assert budget.spent == 0
    run = evolution()
    run.evolve(*private, [*public, "rain \ud83d"])
    assert "rain ?" in run.rounds_[0].texts


def test_numbers_of_numpy_are_kept_as_labels(evolution, private, public, tmp_path):
    texts, labels = private
    numbers = np.array([["money", "sport", "weather"].index(label) for label in labels])
    public_y = np.repeat([0, 1, 2], 4)
    budget = PrivacyBudget(tmp_path / "b.json", 40, 1e-3)
    terms = {"budget": budget, "checkpoint": tmp_path / "run.json", "classes": np.array([0, 1])}
    made = evolution(30.0, **terms).evolve(texts, numbers, public, public_y)
    assert made.counts().to_dict() == {0: 4, 1: 4}
    assert [entry["drawn"] for entry in budget.entries] == [2]


def test_two_runs_from_copies_of_a_checkpoint_are_two_releases(
    evolution, private, public, tmp_path, word_decoder
):
    stopping = word_decoder()
    stopping.stop_after = 5
    with pytest.raises(KeyboardInterrupt):
        evolution(decoder=stopping, checkpoint=tmp_path / "run.json").evolve(*private, public)
    made = []
    for name in ("a.json", "b.json", "b.json"):
        if not (tmp_path / name).exists():
            shutil.copy(tmp_path / "run.json", tmp_path / name)
        made.append(evolution(checkpoint=tmp_path / name).evolve(*private, public))
    first, second, again = (each.info["guarantee"]["release"] for each in made)
    assert first != second
    assert second == again  # nothing was drawn for it
    joined = stated_in({"parts": [each.info for each in made]})
    assert joined["mu"] == pytest.approx(np.sqrt(2) * made[0].info["guarantee"]["mu"])


def test_noise_on_vectors_guarantees_nothing_and_says_what_it_would_cost(word_decoder, topics):
    noise = HeuristicNoise(0.05, word_decoder(), random_state=0)
    assert not noise.guarantee().holds
    told = noise.guarantee(60, 1e-4)
    assert told.described()["epsilon"] is None
    assert (
        f"if one text were the parent of 60 new texts, ε = {noise.price(60, 1e-4):,.0f} "
        "(δ = 0.0001), for putting another text in its place."
    ) in str(told)
    assert "at least" not in str(told), "it is an upper end"
    assert noise.price(1, 1e-5) < noise.price(100, 1e-5)
    without = HeuristicNoise(0.0, word_decoder())
    assert without.price(1, 1e-5) == math.inf
    assert without.guarantee().described()["mu"] is None
    sampler = SMOTExT(decoder=noise, k_neighbors=2, random_state=0, guards=False, progress=False)
    texts, labels = topics(money=5)
    assert len(sampler.generate(texts, labels, n=3)) == 3


def test_two_calls_never_share_their_noise(word_decoder):
    seen = []

    class Noting(word_decoder):
        def decode_rows(self, vectors, **settings):
            seen.append(vectors)
            return super().decode_rows(vectors, **settings)

    vectors = np.eye(Noting().encoder.dim, dtype=np.float32)[:3]
    for _ in range(2):
        noise = HeuristicNoise(0.05, Noting(), random_state=0)
        for _ in range(2):
            list(noise.decode_rows(vectors, seeds=[0, 1, 2]))
    first, second, again, again_second = seen
    assert not np.isclose(first, second).any()
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(second, again_second)


def test_canaries_sing_in_copies_and_not_in_other_texts(word_encoder, topics):
    texts, labels = topics(money=40, sport=40)
    found = canary_audit(
        lambda given, _: given, texts, labels, n=30, encoder=word_encoder, random_state=0
    )
    assert found["repetitions"].tolist() == [1, 4, 16]
    assert (found["auc_low"] > 0.85).all()
    assert (found["exposure_mean"] > 3).all()
    silent = canary_audit(
        lambda *_: texts, texts, labels, n=30, repetitions=[1], encoder=word_encoder, random_state=0
    )
    assert silent["auc_low"].item() < 0.55
    assert silent["exposure_mean"].item() < 2.5


def test_where_no_text_was_made_canaries_are_looked_for_in_nothing(word_encoder, topics):
    texts, labels = topics(money=40, sport=40)
    with pytest.raises(DataError, match="put in 1 times no text was made"):
        canary_audit(lambda *_: [], texts, labels, n=5, encoder=word_encoder, random_state=0)


@pytest.mark.parametrize(
    ("repetitions", "said"),
    [
        ([1, 2.0], r"each of repetitions must be a whole number of at least 1, got 2\.0"),
        ([1, 0], "at least 1, got 0"),
        (4, "must be a list of whole numbers, got 4"),
    ],
)
def test_repetitions_of_canaries_are_refused_before_any_text_is_made(
    word_encoder, topics, repetitions, said
):
    def paid(*_):
        raise AssertionError

    texts, labels = topics(money=40, sport=40)
    with pytest.raises(ParameterError, match=said):
        canary_audit(paid, texts, labels, repetitions=repetitions, encoder=word_encoder)


def test_canaries_are_put_in_as_often_as_a_numpy_number_says(word_encoder, topics):
    texts, labels = topics(money=40, sport=40)
    given = []

    def copied(every, _):
        given.append(len(every))
        return every

    often = np.array([1, 3])
    canary_audit(copied, texts, labels, n=5, repetitions=often, encoder=word_encoder)
    assert given == [85, 95]


def test_canaries_of_ones_own_are_looked_for(word_encoder, topics):
    texts, labels = topics(money=40, sport=40)
    own = [f"cold{i} bank{i} goal{i}" for i in range(40)]
    seen = []

    def copied(given, names):
        seen.append((given, names))
        return given

    found = canary_audit(
        copied,
        texts,
        labels,
        repetitions=[2],
        canaries=Canaries(own[:20], own[20:], ["sport"] * 20),
        encoder=word_encoder,
    )
    assert seen == [(texts + own[:20] * 2, labels + ["sport"] * 40)]
    assert found["auc"].item() == 1
    with pytest.raises(DataError, match="a label for each"):
        Canaries(own[:20], own[20:], ["sport"])
    with pytest.raises(DataError, match=r"labels that no text has \('weather'\)"):
        canary_audit(
            copied, texts, labels, canaries=Canaries(own[:2], own[2:], ["sport", "weather"])
        )
    assert len(seen) == 1, "it must be refused before texts are made, which may cost budget"


def test_canaries_and_texts_may_be_columns_of_a_filtered_frame(word_encoder, topics):
    texts, _ = topics(money=40, sport=40)
    frame = pd.DataFrame({"text": [*texts, "rain \ud83d"], "label": 1}, dtype=object)[40:]
    own = pd.Series([f"cold{i} bank{i} \ud83d" for i in range(8)], dtype=object)
    seen = []

    def copied(given, names):
        seen.append((given, names))
        return given

    settings = {"repetitions": [2], "encoder": word_encoder, "random_state": 0}
    canary_audit(copied, frame["text"], frame["label"], n=5, **settings)
    inside, outside = own[:4], own[4:]
    made = Canaries(inside, outside, frame["label"][:4])
    canary_audit(copied, frame["text"], frame["label"], canaries=made, **settings)
    assert [len(given) for given, _ in seen] == [41 + 10, 41 + 8]
    assert seen[1][0][40:] == ["rain ?"] + [f"cold{i} bank{i} ?" for i in range(4)] * 2
    assert {label for _, names in seen for label in names} == {1}
    with pytest.raises(DataError, match="inside is one text"):
        Canaries("rain", list("ab"), [1, 1])


def test_a_start_is_made_of_public_anchors_alone(word_encoder, word_decoder, topics):
    public, _ = topics(7, money=40, sport=40, weather=40)
    anchors = Anchors.of_texts(public, word_encoder, n_anchors=3, dimensions=20, random_state=0)
    made = [
        unconditional_texts(
            word_decoder(), 12, anchors=anchors, words=9, random_state=seed, progress=False
        )
        for seed in (0, 0, 1)
    ]
    assert made[0] == made[1] != made[2]
    assert 6 < len(made[0]) <= 12
    assert all(made[0])
