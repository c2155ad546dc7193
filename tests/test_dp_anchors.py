from __future__ import annotations

import math
import warnings
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from smotext_lab import BertEncoder, Synthesis, encoders
from smotext_lab.errors import BudgetError, DataError, ParameterError
from smotext_lab.guards import Guards
from smotext_lab.privacy import Anchors, DPAnchors, PrivacyBudget
from smotext_lab.privacy.accounting import epsilon_of, mu_of
from smotext_lab.privacy.guarantee import Guarantee, stated_in
from smotext_lab.privacy.noise import GRID
from smotext_lab.privacy.reading import encoded_alone
from smotext_lab.privacy.release import Released, release, sensitivity
from smotext_lab.privacy.writing import WITHHELD


@pytest.fixture
def anchors(word_encoder, topics):
    public, _ = topics(money=40, sport=40, weather=40)
    return Anchors.of_texts(public, word_encoder, n_anchors=3, dimensions=20, random_state=0)


@pytest.fixture
def mechanism(anchors, word_decoder):
    def make(epsilon=8.0, **settings):
        return DPAnchors(
            epsilon,
            1e-3,
            anchors=settings.pop("anchors", anchors),
            decoder=settings.pop("decoder", None) or word_decoder(),
            random_state=0,
            progress=False,
            **settings,
        )

    return make


@pytest.fixture
def private(topics):
    return topics(money=150, sport=150)


def test_another_encoder_gets_anchors_of_public_texts_or_of_made_up_ones(word_encoder, topics):
    real, _ = topics(money=40, sport=40)
    vectors = word_encoder.encode(real)
    kept = {}
    for name, texts in (("public", topics(seed=1, money=40, sport=40)[0]), ("made up", None)):
        made = Anchors.for_encoder(word_encoder, texts)
        made.check(word_encoder)
        assert made.vectors.shape == (8, word_encoder.dim)
        assert len(made.components) == word_encoder.dim
        kept[name] = len(np.unique(made.assign(vectors)))
    assert kept["public"] > 1
    again = Anchors.for_encoder(word_encoder)
    np.testing.assert_array_equal(again.vectors, made.vectors)
    with pytest.raises(DataError, match="give more public texts"):
        Anchors.for_encoder(word_encoder, ["rain", "snow"])


def test_the_default_encoder_gets_the_anchors_that_ship(word_encoder):
    word_encoder.fingerprint = Anchors.shipped().encoder
    np.testing.assert_array_equal(
        Anchors.for_encoder(word_encoder).vectors, Anchors.shipped().vectors
    )


def test_texts_of_each_class_come_out_and_nothing_of_the_real_ones(mechanism, private):
    made = mechanism().fit(*private).generate({"money": 6, "sport": 4})
    assert made.counts().to_dict() == {"money": 6, "sport": 4}
    assert made.originals is None
    assert len(made.rejected) == 0
    assert not made.frame[list(WITHHELD)].notna().any().any()
    assert made.info["guarantee"]["epsilon"] == 8.0
    assert "not looked for" in made.info["guards"]
    assert set(made.info) == {"privacy", "guarantee", "withheld", "guards", "decoder", "asked"}


def test_the_released_centroids_are_near_those_of_the_classes(mechanism, private, word_encoder):
    vectors, labels = mechanism(40.0).fit(*private).released_.centroids()
    real = word_encoder.encode(private[0])
    for name in ("money", "sport"):
        mean = real[np.array(private[1]) == name].mean(axis=0)
        others = vectors[labels == name] @ mean / np.linalg.norm(mean)
        assert others.max() > 0.8


def test_two_releases_of_the_same_texts_differ(mechanism, private):
    first = mechanism().fit(*private).released_
    second = mechanism().fit(*private).released_
    assert (first.sums != second.sums).all()


def test_the_noise_is_what_epsilon_asks_for(anchors):
    sigma = sensitivity(1.0, "add_or_remove") / mu_of(1.0, 1e-4)
    nothing = np.zeros((1, anchors.vectors.shape[1]))
    drawn = [release(nothing, ["a"], ["b"], anchors, clip=1.0, sigma=sigma) for _ in range(300)]
    sums = np.stack([made.sums for made in drawn])
    counts = np.stack([made.counts for made in drawn])
    assert sums.std() == pytest.approx(sigma, rel=0.03)
    assert counts.std() == pytest.approx(sigma, rel=0.1)


def test_what_a_text_adds_does_not_hang_on_the_others(anchors):
    rows = np.random.default_rng(0).normal(size=(60, anchors.vectors.shape[1]))

    def steps(some):
        made = release(some, ["a"] * len(some), ["a"], anchors, clip=1.0, sigma=0.0)
        return np.rint(made.sums * GRID).astype(int)

    alone = [steps(rows[row : row + 1]) for row in range(60)]
    np.testing.assert_array_equal(steps(rows), np.sum(alone, axis=0))
    assert not steps(rows[:0]).any()


@pytest.mark.parametrize("relation", ["add_or_remove", "replace"])
def test_no_text_moves_the_figures_further_than_the_sensitivity(anchors, relation):
    rng = np.random.default_rng(0)
    d = anchors.vectors.shape[1]
    most = sensitivity(1.0, relation)
    common = rng.normal(size=(4, d)) * 9

    def figures(extra):
        rows = np.concatenate([common, extra])
        labels = ["a"] * 4 + ["a" if row[0] > 0 else "b" for row in extra]
        made = release(rows, labels, ["a", "b"], anchors, clip=1.0, sigma=0.0)
        return np.concatenate([made.counts.ravel(), made.sums.ravel()])

    for _ in range(200):
        one, other = rng.normal(size=(2, 1, d)) * rng.choice([0.01, 1, 100], size=(2, 1, 1))
        before = figures(other if relation == "replace" else other[:0])
        assert np.linalg.norm(figures(one) - before) <= most + 1e-9
    opposite = anchors.components[:1] * 7
    assert np.linalg.norm(figures(opposite) - figures(-opposite)) <= sensitivity(1.0, "replace")


def test_texts_of_one_user_are_capped_and_the_noise_is_for_all_of_them(mechanism, private):
    made = mechanism(8.0, texts_per_user=3)
    assert made.guarantee().unit == "user"
    with pytest.warns(UserWarning, match="too small"):
        made.fit(*private, users=["ann"] * 300)
    assert sum(made.released_.sizes.values()) < 60
    assert made.released_.sigma == pytest.approx(3 * math.sqrt(2) / mu_of(8.0, 1e-3))
    with pytest.raises(ParameterError, match="go together"):
        mechanism().fit(*private, users=["ann"] * 300)


@pytest.mark.parametrize(
    "users",
    [
        dict.fromkeys(range(300), "ann"),
        pd.DataFrame({"user": ["ann"] * 300}),
        set(range(300)),
        "a" * 300,
    ],
)
def test_users_in_a_wrong_container_are_refused_before_the_cap_is_lost(
    mechanism, private, tmp_path, users
):
    budget = PrivacyBudget(tmp_path / "b.json", 8, 1e-3, unit="user")
    made = mechanism(8.0, texts_per_user=3, budget=budget)
    with pytest.raises(DataError, match="give one user a text, as a list or a column"):
        made.fit(*private, users=users)
    assert not budget.entries


def test_anchors_of_another_width_are_refused_before_they_are_paid_for(
    mechanism, private, tmp_path
):
    wide = Anchors.of(np.random.default_rng(0).normal(size=(50, 60)), n_anchors=2, dimensions=20)
    budget = PrivacyBudget(tmp_path / "b.json", 8, 1e-3)
    made = mechanism(8.0, anchors=wide, budget=budget)
    with pytest.raises(ParameterError, match="of length 60 and the encoder's of length 48"):
        made.fit(*private)
    assert not budget.entries


def test_a_class_too_small_is_refused_with_the_number_that_would_do(mechanism, topics):
    few = topics(money=400, sport=3)
    made = mechanism(0.5)
    with pytest.warns(UserWarning, match="'sport' is too small for ε = 0.5"):
        made.fit(*few)
    with pytest.raises(DataError, match=f"{made.released_.least} would do"):
        made.generate({"sport": 1})
    assert made.generate(2).counts().to_dict() == {"money": 2}
    enough = topics(money=made.released_.least * 2, sport=made.released_.least * 2)
    again = mechanism(0.5).fit(*enough)
    assert set(again.generate({"money": 1, "sport": 1}).accepted["label"]) == {"money", "sport"}


def test_a_class_of_few_texts_has_a_centroid_along_the_first_components_only():
    anchors = Anchors(np.eye(32)[:2], np.eye(32))

    def along(*counts: float) -> list[int]:
        sums = np.ones((1, 2, 32))
        made = Released(("a",), np.array([counts]), sums, 10.0, 10.0, anchors)
        return [int((row != 0).sum()) for row in made.centroids()[0]]

    assert along(60, 60) == [18]  # noise of both cells: 10 · √(2 · 18) / 120 is half at most
    assert along(50, 50) == []  # 12 components would tell too little
    assert along(120, 5) == [32], "the rest is left out where there is a whole one"
    assert along(120, 120) == [32, 32]


@pytest.mark.parametrize("wanted", [{}, 5])
def test_where_all_classes_are_too_small_it_says_so_whatever_is_asked(mechanism, topics, wanted):
    made = mechanism(0.5)
    with pytest.warns(UserWarning, match="too small"):
        made.fit(*topics(money=3, sport=3))
    with pytest.raises(DataError, match=f"{made.released_.least} would do"):
        made.generate(wanted)


def test_guidance_follows_the_means_of_what_was_released(anchors, private, word_decoder, tmp_path):
    decoder = word_decoder()
    asked = []
    plain = decoder.decode_rows

    def noted(vectors, *, guidance=None, **settings):
        asked.append(guidance)
        return plain(vectors, **settings)

    decoder.decode_rows = noted
    budget = PrivacyBudget(tmp_path / "b.json", 9, 1e-3)
    settings = {"anchors": anchors, "decoder": decoder, "budget": budget, "progress": False}
    made = DPAnchors(8.0, 1e-3, guidance_scale=0.7, random_state=0, **settings).fit(*private)
    spent = budget.spent
    made.generate({"money": 5})
    vectors, labels = made.released_.centroids()
    money, sport = (vectors[labels == name].mean(axis=0) for name in ("money", "sport"))
    expected = 0.7 * (money - (money + sport) / 2)
    np.testing.assert_allclose(asked[0], np.tile(expected, (len(asked[0]), 1)), atol=1e-6)
    assert budget.spent == spent
    asked.clear()
    made.guidance_scale = 0.0
    made.generate({"money": 5})
    assert set(asked) == {None}


@pytest.mark.parametrize("scale", [-0.1, math.nan, math.inf, "much", None, True])
def test_guidance_that_is_no_number_is_refused_before_anything_is_read(mechanism, scale):
    with pytest.raises(ParameterError, match="guidance_scale"):
        mechanism(guidance_scale=scale)


def test_what_was_released_keeps_its_guarantee(mechanism, private, tmp_path):
    made = mechanism(budget=PrivacyBudget(tmp_path / "b.json", 20, 1e-3))
    assert made.guarantee().release == ""
    first = made.fit(*private).generate(2)
    made.epsilon = 0.5
    again = made.generate(2)
    assert made.guarantee().epsilon == again.info["guarantee"]["epsilon"] == 8.0
    assert first.info["guarantee"] == again.info["guarantee"]
    made.epsilon = 9.0
    other = made.fit(*private).generate(2).info["guarantee"]
    assert other["epsilon"] == 9.0
    assert other["release"] != first.info["guarantee"]["release"]
    assert [entry["name"] for entry in made.budget.entries] == [
        first.info["guarantee"]["release"],
        other["release"],
    ]


def test_texts_of_several_releases_state_no_single_epsilon(mechanism, private):
    one = mechanism().fit(*private)
    first, more = one.generate({"money": 1}), one.generate({"sport": 2})
    other = mechanism().fit(*private).generate({"money": 1})
    same = Synthesis.concat([first, more])
    assert same.info["guarantee"]["epsilon"] == 8.0
    both = Synthesis.concat([same, other])
    assert "guarantee" not in both.info
    assert "privacy" not in both.info
    assert len(both.info["parts"]) == 3
    together = stated_in(both.info)["epsilon"]
    assert together == pytest.approx(epsilon_of(math.sqrt(2) * mu_of(8.0, 1e-3), 1e-3))
    again = Synthesis.concat([other, first])  # equal but for the release
    assert stated_in(again.info)["epsilon"] == pytest.approx(together)


def from_a_private_bridge(decoder, **kind):
    told = Guarantee(4.0, 1e-4, mu=mu_of(4.0, 1e-4), release="b", **kind).described()
    bridge = SimpleNamespace(facts=SimpleNamespace(training={"guarantee": told}))
    decoder.loaded_bridge = lambda: bridge
    return decoder


def test_texts_of_a_bridge_from_private_texts_state_what_both_cost(
    mechanism, private, word_decoder
):
    made = mechanism(8.0, decoder=from_a_private_bridge(word_decoder())).fit(*private)
    assert made.guarantee().epsilon == 8.0, "of what was released"
    info = made.generate(2).info
    both = epsilon_of(math.hypot(mu_of(8.0, 1e-3), mu_of(4.0, 1e-4)), 1e-3)
    assert info["guarantee"]["epsilon"] == pytest.approx(both)
    assert info["guarantee"]["release"] == f"{made.guarantee().release}; b"
    assert info["privacy"] == info["guarantee"]["sentence"]
    assert f"ε = {both:.4g}"[:8] in info["privacy"]
    unlike = mechanism(8.0, decoder=from_a_private_bridge(word_decoder(), neighbouring="replace"))
    info = unlike.fit(*private).generate(2).info
    assert "epsilon" not in info["guarantee"]
    assert "cannot be added up" in info["privacy"]


def test_noise_that_leaves_nothing_is_refused_before_it_is_paid_for(mechanism, private, tmp_path):
    budget = PrivacyBudget(tmp_path / "b.json", 8, 1e-3, unit="user")
    made = mechanism(0.01, texts_per_user=100_000, budget=budget)
    with pytest.raises(ParameterError, match="nothing would be left"):
        made.fit(*private, users=range(300))
    assert not budget.entries
    assert not hasattr(made, "released_")


def test_spending_is_recorded_before_the_release_and_refused_beyond(mechanism, private, tmp_path):
    budget = PrivacyBudget(tmp_path / "b.json", 3, 1e-3)
    made = mechanism(2.0, budget=budget).fit(*private)
    assert budget.spent == pytest.approx(2.0)
    made.generate(2)
    made.generate(2)
    assert budget.spent == pytest.approx(2.0)
    released = made.released_
    with pytest.raises(BudgetError):
        made.fit(*private)
    assert made.released_ is released


def test_without_a_budget_a_mechanism_releases_once(mechanism, private):
    made = mechanism().fit(*private)
    with pytest.raises(ParameterError, match="released once"):
        made.fit(*private)


def test_labels_outside_the_public_classes_are_not_read(mechanism, private):
    made = mechanism(classes=["money"]).fit(*private)
    assert list(made.released_.sizes) == ["money"]
    assert made.released_.sizes["money"] == pytest.approx(150, abs=20)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"classes": "spam"}, r"one string, not a list of them: give \['spam'\]"),
        ({"texts_per_user": 2.5}, "texts_per_user must be a whole number of at least 1"),
        ({"k_neighbors": 0}, "k_neighbors must be a whole number of at least 1"),
        ({"max_blends": 0}, "max_blends must be a whole number of at least 1"),
        ({"like": 3}, "like must be a text"),
    ],
)
def test_what_could_not_be_worked_with_is_refused_before_it_is_paid_for(
    mechanism, private, tmp_path, settings, message
):
    budget = PrivacyBudget(tmp_path / "b.json", 20, 1e-3)
    with pytest.raises(ParameterError, match=message):
        mechanism(budget=budget, **settings).fit(*private)
    assert budget.spent == 0


def test_classes_of_another_kind_than_the_labels_are_refused_before_they_are_paid_for(
    mechanism, private, tmp_path
):
    budget = PrivacyBudget(tmp_path / "budget.json", 9.0, 1e-3)
    texts, labels = private
    codes = np.unique(labels, return_inverse=True)[1]
    with pytest.raises(ParameterError, match="classes are strings and the labels numbers"):
        mechanism(4.0, classes=["0", "1"], budget=budget).fit(texts, codes)
    assert not budget.spent


@pytest.mark.parametrize("n", [-3, 0, 2.5, {"money": -1}, {"money": 1.5}])
def test_numbers_of_new_texts_that_are_none_are_refused(mechanism, private, n):
    made = mechanism(99.0).fit(*private)
    with pytest.raises(ParameterError, match="must be a whole number"):
        made.generate(n)


def test_a_class_that_is_named_twice_is_one_class(mechanism, private, tmp_path):
    budget = PrivacyBudget(tmp_path / "b.json", 9, 1e-3)
    made = mechanism(classes=["money", "sport", "money"], budget=budget).fit(*private)
    assert list(made.released_.classes) == ["money", "sport"]
    assert made.generate({"money": 2}).counts().to_dict() == {"money": 2}


def test_no_text_is_written_twice_whatever_is_compared(mechanism, private, word_decoder):
    """Exact duplicates are no private matter: new texts are compared among themselves."""
    said = iter(["rain rate goal.", "Rain rate goal."] * 500)
    free = Guards(max_duplicate_cosine=None, label_classifier=False, label_neighbors=None)
    settings = {"decoder": word_decoder(write=lambda *_: next(said)), "guards": free}
    with pytest.warns(UserWarning, match="made 1 of 2"):
        made = mechanism(**settings).fit(*private).generate({"money": 2})
    assert len(made) == 1


def test_each_text_is_encoded_by_itself(mechanism, private, word_encoder, monkeypatch):
    made = mechanism(encoder=word_encoder)
    together, plain = [], type(word_encoder).encode

    def noted(self, texts, **how):
        together.append(len(texts))
        return plain(self, texts, **how)

    monkeypatch.setattr(type(word_encoder), "encode", noted)
    made.fit(*private)
    assert together == [1] * len(set(private[0]))


def test_anchors_of_another_encoder_are_refused(mechanism, private, anchors):
    other = Anchors(anchors.vectors, anchors.components, "bert@2")
    with pytest.raises(ParameterError, match="anchors are of bert@2"):
        mechanism(anchors=other).fit(*private)
    with pytest.raises(ParameterError, match="orthonormal"):
        Anchors(anchors.vectors, anchors.components * 2)


def test_fitting_comes_before_generating(mechanism):
    with pytest.raises(ParameterError, match="fit"):
        mechanism().generate(3)


@pytest.mark.parametrize("missing", [float("nan"), None, pd.NA])
def test_a_text_of_no_user_is_refused_since_it_escapes_the_cap(mechanism, topics, missing):
    with pytest.raises(DataError, match="Some texts have no user"):
        mechanism(texts_per_user=1).fit(*topics(money=5, sport=5), users=["ann"] * 9 + [missing])


@pytest.mark.parametrize("far", [np.inf, -np.inf, np.nan, 1e308])
def test_a_vector_that_cannot_be_counted_with_moves_no_sum(far):
    anchors = Anchors(np.eye(3)[:2], np.eye(3))
    rows = np.array([[0.6, 0.0, 0.8], [far, 0.0, 0.0]])

    def sums(vectors):
        return release(vectors, ["a"] * len(vectors), ["a"], anchors, clip=1.0, sigma=0.0).sums

    np.testing.assert_array_equal(sums(rows), sums(rows[:1]))


def test_nothing_is_said_of_long_private_texts(recwarn):
    class Telling:
        dim, long_texts, lengths_ = 2, "truncate", None

        def encode(self, texts):
            warnings.warn(f"{len(texts[0])} is long", UserWarning, stacklevel=2)
            self.lengths_ = [len(text) for text in texts]
            return np.ones((len(texts), 2))

    encoder = Telling()
    assert encoded_alone(encoder, ["a long text"]).shape == (1, 2)
    assert encoder.lengths_ is None
    assert not [w for w in recwarn if "is long" in str(w.message)]
    encoder.long_texts = "error"
    with pytest.raises(ParameterError, match="how long a private text is"):
        encoded_alone(encoder, ["a long text"])


def test_a_model_that_reads_private_texts_is_loaded_once(tiny_encoder, monkeypatch):
    encoder = BertEncoder(str(tiny_encoder))
    encoded_alone(encoder, ["bank loan"])
    assert encoder.is_loaded
    monkeypatch.setattr(encoders, "load_encoder_model", None)  # loading again is an error
    assert encoded_alone(encoder, ["bank loan", "goal"]).shape == (2, encoder.dim)
