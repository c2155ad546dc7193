from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from smotext_lab import Synthesis
from smotext_lab.errors import DataError, ParameterError
from smotext_lab.guards.cosines import unit
from smotext_lab.guards.words import longest_runs
from smotext_lab.interpolators import SMOTEInterpolator
from smotext_lab.privacy import Guarantee, audit, find_personal, mask
from smotext_lab.privacy.accounting import mu_of
from smotext_lab.privacy.attacks import nearest_of
from smotext_lab.privacy.bounds import (
    area,
    epsilon_at_least,
    epsilon_could_show,
    proportion,
    true_positives_at,
)
from smotext_lab.privacy.guarantee import FIGURES_NOT_COVERED
from smotext_lab.privacy.reconstruction import reconstruct, recovered
from smotext_lab.privacy.verbatim import disclosures

COPIES = "Copy check only: how near is the nearest synthetic text?"
WORDS = [f"w{i}" for i in range(400)]


def sentences(n: int, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, 8)) + f" {rng.integers(10**6, 10**7)}" for _ in range(n)]


def test_copies_are_recognised(word_encoder):
    train, holdout = sentences(300, 1), sentences(300, 2)
    found = audit(train, train, holdout, encoder=word_encoder)
    assert found.best.auc.low > 0.95
    assert found.best.tpr_1.value > 0.9
    assert found.epsilon_at_least > 2
    assert found.disclosures.loc["numbers", "disclosed"] > 250
    assert found.disclosures.loc["numbers", "p_value"] < 1e-6
    answers = dict(found.verdict()[["question", "answer"]].itertuples(index=False))
    assert answers["Are some texts surely recognised?"] == "Yes."
    assert answers["Are there passages word for word?"] == "Yes."
    assert answers[COPIES] == "Near copies of training texts."
    assert (found.worst["cosine"] > 0.99).all()


def test_only_a_provenance_tells_whether_anything_is_guaranteed(word_encoder):
    made, train, holdout = (sentences(60, seed) for seed in range(3))

    def answered(synthesis):
        found = audit(synthesis, train, holdout, encoder=word_encoder)
        answers = found.verdict().set_index("question")["answer"]
        return found.figures()["epsilon_stated"], answers["Is anything guaranteed?"]

    rows = [{"text": text, "label": "a", "status": "accepted"} for text in made]
    stated = [
        {"guarantee": Guarantee(2.0, 1e-5, mu=mu_of(2.0, 1e-5), release=name).described()}
        for name in "ab"
    ]
    unlike = {"guarantee": Guarantee(2.0, 1e-5, unit="user", mu=0.1).described()}
    assert answered(made) == (None, "Not stated in what was audited.")
    assert answered(Synthesis.from_rows(rows)) == (None, "No.")
    few = "Stated; so few texts cannot test it."
    assert answered(Synthesis.from_rows(rows, info=stated[0])) == (2.0, few)
    epsilon, answer = answered(Synthesis.from_rows(rows, info={"parts": stated}))
    assert (answer, epsilon > 2.5) == (few, True)
    small = {"guarantee": Guarantee(1.0, 1e-5, mu=mu_of(1.0, 1e-5)).described()}
    tested = answered(Synthesis.from_rows(rows, info=small))
    assert tested == (1.0, "Stated, and not contradicted.")
    mixed = {"parts": [stated[0], unlike]}
    assert answered(Synthesis.from_rows(rows, info=mixed)) == (
        None,
        "Not for all of them together.",
    )


def test_what_both_parts_show_alike_is_told_from_chance(word_encoder):
    train, holdout = sentences(200, 1), sentences(100, 2)

    def answered(copied):
        found = audit([*copied, *sentences(50, 9)], train, holdout, encoder=word_encoder)
        rows = found.verdict().set_index("question")["answer"]
        return rows["Are there passages word for word?"], rows[COPIES]

    chance, copies = "Not more than by chance.", "Near copies of training texts."
    assert answered([]) == (chance, "No copies.")
    assert answered(train[:1]) == (chance, chance)
    assert answered([*train[:44], *holdout[:20]]) == (chance, chance)  # more, and no larger share
    assert answered([*train[:44], *holdout[:5]]) == ("Yes.", copies)


def test_names_are_not_told_in_small_letters_and_the_verdict_says_so(word_encoder):
    found = audit(sentences(40, 3), sentences(40, 1), sentences(40, 2), encoder=word_encoder)
    rows = found.verdict().set_index("question")
    told = rows.loc["Did names of single texts get out?"]
    assert "0 of 0" in told["figures"]
    assert told["answer"] == "None could be told apart."
    assert "small letters none are found" in told["how to read it"]


def test_texts_of_neither_part_betray_nobody(word_encoder):
    found = audit(sentences(300, 3), sentences(300, 1), sentences(300, 2), encoder=word_encoder)
    assert found.best.auc.low < 0.5 + 0.02
    assert found.epsilon_at_least < 0.5
    assert found.disclosures["p_value"].min() > 0.001
    assert found.personal["kind"].eq("number").all()


def test_an_audit_needs_enough_texts(word_encoder):
    with pytest.raises(DataError, match="at least 20"):
        audit(sentences(9, 0), sentences(9, 1), sentences(9, 2), encoder=word_encoder)


def test_texts_in_both_parts_are_left_out(word_encoder):
    shared = sentences(50, 9)
    marked = [f"{text.upper()} !" for text in shared]
    train, holdout = sentences(60, 1) + shared, sentences(60, 2) + marked
    found = audit(shared, [*train, *marked, *train], holdout, encoder=word_encoder)
    assert (found.sizes["train"], found.sizes["holdout"]) == (60, 60)


def test_phrases_of_texts_that_stand_twice_but_for_marks_are_of_one_text(word_encoder):
    train = sentences(40, 1)
    found = audit(train, [*train, *map(str.upper, train)], sentences(40, 2), encoder=word_encoder)
    phrases = found.disclosures.loc["phrases of 5 words"]
    assert phrases["disclosed"] == phrases["in_train_only"] > 150


@pytest.mark.parametrize("separator", [" ", ""])
def test_copies_of_short_texts_and_of_texts_without_spaces_are_passages(word_encoder, separator):
    rng = np.random.default_rng(0)
    signs = [chr(0x4E00 + number) for number in range(400)]

    def titles(n):
        return [separator.join(rng.choice(signs, 5)) for _ in range(n)]

    train, holdout = titles(60), titles(60)
    asked = "Are there passages word for word?"

    def answered(made):
        rows = audit(made, train, holdout, encoder=word_encoder).verdict().set_index("question")
        return rows.loc[asked, ["answer", "figures"]].tolist()

    answer, figures = answered(train[:30])
    assert answer == "Yes."
    assert figures.startswith(
        "8 words in a row, or all of a shorter text of at least 3: 30 of 60 training texts, 0 of 60"
    )
    assert answered(titles(60))[0] == "Not more than by chance."
    assert answered([separator.join(text[:3]) for text in train])[0] == "Not more than by chance."


class LongEncoder:
    """The vectors of another encoder, not of length 1."""

    fingerprint = "long@1"

    def __init__(self, encoder):
        self.encoder, self.dim = encoder, encoder.dim

    def encode(self, texts, *, progress=False):
        rows = self.encoder.encode(texts)
        lengths = [1 + len(text) % 7 for text in texts]
        return rows * np.array(lengths, np.float32)[:, None]


def test_an_encoder_without_unit_vectors_attacks_by_cosine_too(word_encoder):
    train, holdout = sentences(60, 1), sentences(60, 2)
    made = [*train[:20], *(f"{text} w1" for text in train[20:])]
    plain = audit(made, train, holdout, encoder=word_encoder)
    long = audit(made, train, holdout, encoder=LongEncoder(word_encoder))
    np.testing.assert_allclose(long.nearest, plain.nearest, atol=1e-5)
    assert long.best.auc.value == pytest.approx(plain.best.auc.value)


class StrictEncoder:
    """An encoder that refuses halves of surrogate pairs, as tokenizers do."""

    fingerprint = "strict@1"

    def __init__(self, encoder):
        self.encoder, self.dim = encoder, encoder.dim

    def encode(self, texts, *, progress=False):
        return self.encoder.encode([text.encode().decode() for text in texts])


def test_texts_with_half_a_surrogate_pair_are_audited_as_they_are_read(word_encoder):
    train, holdout = sentences(60, 1), sentences(60, 2)
    parts = (["rain \ud83d", *train], ["snow \ude00", *holdout])
    found = audit(train, *parts, encoder=StrictEncoder(word_encoder))
    assert (found.sizes["train"], found.sizes["holdout"]) == (61, 61)


def test_the_nearest_of_many_texts_are_found_a_block_at_a_time(monkeypatch):
    rng = np.random.default_rng(0)
    real, made = (unit(rng.normal(size=(n, 8))) for n in (50, 30))
    whole = nearest_of(real, made)
    monkeypatch.setattr("smotext_lab.privacy.attacks._ROWS", 7)
    for found, expected in zip(nearest_of(real, made), whole, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_array_equal(whole[1], (real @ made.T).argmax(axis=1))


def test_vectors_of_any_length_are_recovered_by_direction(word_encoder):
    train = sentences(40, 1)
    vectors = word_encoder.encode(train[:15])
    plan = SMOTEInterpolator(3, random_state=0).plan(vectors, ["a"] * 15, {"a": 200})
    parents = [*plan.parents.tolist(), *([row] for row in range(15, 40))]
    weights = [*plan.weights.tolist(), *([1.0] for _ in range(15, 40))]
    rows = [
        {"text": train[p[0]], "label": "a", "status": "accepted", "parents": p, "weights": w}
        for p, w in zip(parents, weights, strict=True)
    ]
    made, long = Synthesis.from_rows(rows), LongEncoder(word_encoder)
    found = audit(made, train, sentences(60, 2), encoder=long).reconstruction
    assert found["parents"] == 40
    assert 10 < found["recovered_from_points"] <= 15, "nothing leads to those that are no blends"


def test_parents_come_back_from_the_points_of_smote_and_count(word_encoder):
    train = sentences(25, 1)
    vectors = word_encoder.encode(train)
    plan = SMOTEInterpolator(3, random_state=0).plan(vectors, ["a"] * 25, {"a": 300})
    rows = [
        {"text": train[p[0]], "label": "a", "status": "accepted", "parents": p, "weights": w}
        for p, w in zip(plan.parents.tolist(), plan.weights.tolist(), strict=True)
    ]
    made = Synthesis.from_rows(rows)
    found = audit(made, train, sentences(60, 2), encoder=word_encoder)
    assert found.reconstruction["recovered_from_points"] > 15
    with pytest.raises(DataError, match="reconstruction=False"):  # before anything is encoded
        audit(made, train[:20], sentences(60, 2), encoder=object())


def test_nothing_is_reconstructed_where_nothing_was_blended():
    points = np.random.default_rng(0).normal(size=(300, 30))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    assert len(reconstruct(points)) == 0
    assert not recovered(reconstruct(points), points).any()


def test_the_page_shows_texts_to_the_letter(word_encoder):
    train = [f"<script>alert({i})</script> {text}" for i, text in enumerate(sentences(40, 1))]
    found = audit(train, train, sentences(40, 2), encoder=word_encoder)
    assert "<script" not in found._repr_html_()
    assert "cannot show that there are none" in found._repr_html_()


def test_the_roc_runs_from_corner_to_corner(word_encoder):
    found = audit(sentences(50, 3), sentences(50, 1), sentences(50, 2), encoder=word_encoder)
    for _, curve in found.roc().groupby("attack"):
        assert curve[["false_positives", "true_positives"]].iloc[[0, -1]].sum().tolist() == [1, 1]
        assert curve["true_positives"].is_monotonic_increasing


def test_an_area_is_covered_by_its_interval_as_often_as_it_says():
    rng = np.random.default_rng(0)
    true = 0.76025  # of unit Gaussians one apart
    hits = 0
    for _ in range(200):
        found = area(rng.normal(size=80) + 1, rng.normal(size=80))
        hits += found.low <= true <= found.high
    assert 181 <= hits <= 198


def test_the_bound_for_epsilon_is_seldom_above_the_truth():
    rng = np.random.default_rng(0)
    epsilon = 1.0  # randomised response: the attack is as good as the guarantee allows
    p = np.exp(epsilon) / (1 + np.exp(epsilon))
    bounds = [
        epsilon_at_least(
            (rng.random(2000) < p) + rng.random(2000) * 1e-6,
            (rng.random(2000) < 1 - p) + rng.random(2000) * 1e-6,
        )
        for _ in range(60)
    ]
    assert np.mean(np.array(bounds) > epsilon) <= 0.1
    assert np.median(bounds) > 0.7


@pytest.mark.parametrize(("m", "n"), [(40, 40), (300, 300), (31, 200), (200, 31), (2, 2)])
@pytest.mark.parametrize("delta", [0.0, 1e-3])
def test_no_scores_show_more_than_so_many_texts_could(m, n, delta):
    most = epsilon_could_show(m, n, delta=delta)
    assert epsilon_at_least(np.ones(m), np.zeros(n), delta=delta) == pytest.approx(most)
    rng = np.random.default_rng(0)
    for shift in (0.5, 2, 5, 100):
        members, others = rng.normal(size=m) + shift, rng.normal(size=n)
        assert epsilon_at_least(members, others, delta=delta) <= most


def test_few_betrayed_members_show_less_than_all():
    m, n = 560, 560
    assert epsilon_could_show(m, n, betrayed=m) == epsilon_could_show(m, n)
    most = epsilon_could_show(m, n, betrayed=60)
    shown = [
        epsilon_at_least(1.0 * (np.arange(m) < 60), np.zeros(n), random_state=seed)
        for seed in range(40)
    ]
    assert most == pytest.approx(np.median(shown), abs=0.1)
    assert most < epsilon_could_show(m, n) - 2


def test_a_statement_that_copies_would_not_contradict_is_not_called_tested(word_encoder):
    train, holdout = sentences(560, 1), sentences(560, 2)

    def answered(made, epsilon):
        rows = [{"text": text, "label": "a", "status": "accepted"} for text in made]
        stated = {"guarantee": Guarantee(epsilon, 1e-4, mu=mu_of(epsilon, 1e-4)).described()}
        found = audit(Synthesis.from_rows(rows, info=stated), train, holdout, encoder=word_encoder)
        line = found.verdict().set_index("question").loc["Is anything guaranteed?"]
        return line["answer"], line["figures"]

    answer, figures = answered(train[:60], 4.0)
    assert answer == "Stated; handing out so many real texts would not contradict it either."
    assert "of at most 4.15, about 1.50 by as many copies as there are new texts" in figures
    assert answered(sentences(560, 3), 1.0)[0] == "Stated, and not contradicted."
    assert answered(sentences(60, 3), 1.0)[0] == "Stated, and not contradicted."
    assert answered(train[:60], 1.0)[0] == "The attack contradicts the statement."


def test_the_verdict_says_what_so_many_texts_could_show(word_encoder):
    train, holdout = sentences(40, 1), sentences(40, 2)
    found = audit(train, train, holdout, encoder=word_encoder)
    most = found.figures()["epsilon_could_show"]
    assert most == pytest.approx(1.4, abs=0.02)
    assert found.epsilon_at_least <= most
    line = found.verdict().set_index("question").loc["How much was given away, at least?"]
    assert "no attack could show more than 1.41" in line["how to read it"]


def test_an_attack_that_shows_more_than_is_stated_contradicts_it(word_encoder):
    train, holdout = sentences(100, 1), sentences(100, 2)
    found = audit(train, train, holdout, encoder=word_encoder)

    def answered(epsilon):
        stated = {"epsilon": epsilon, "sentence": f"ε = {epsilon}"}
        rows = replace(found, guarantee=stated).verdict().set_index("question")
        return rows.loc["Is anything guaranteed?", "answer"]

    assert answered(0.5) == "The attack contradicts the statement."
    assert FIGURES_NOT_COVERED not in found._repr_html_()
    guaranteed = replace(found, guarantee={"epsilon": 0.5})
    assert FIGURES_NOT_COVERED in guaranteed._repr_html_()
    assert answered(8.0) == "Stated; so few texts cannot test it."
    assert repr(found).endswith("Only the statement of a mechanism guarantees anything.")
    sentence = Guarantee(0.5, 1e-5).sentence
    told = repr(replace(found, guarantee={"epsilon": 0.5, "sentence": sentence}))
    assert sentence in told
    assert FIGURES_NOT_COVERED in told


def test_texts_that_stand_in_train_several_times_contradict_no_statement(word_encoder):
    often, once, holdout = sentences(100, 1), sentences(100, 3), sentences(100, 2)
    stated = {"guarantee": Guarantee(0.5, 1e-5, mu=mu_of(0.5, 1e-5)).described()}

    def answered(made, train):
        rows = [{"text": text, "label": "a", "status": "accepted"} for text in made]
        found = audit(Synthesis.from_rows(rows, info=stated), train, holdout, encoder=word_encoder)
        line = found.verdict().set_index("question").loc["Is anything guaranteed?"]
        return line["answer"], line["figures"], found.figures()

    answer, told, figures = answered(often, [*often * 20, *once])
    assert answer == "Stated, and not contradicted."
    assert told.endswith("by the 100 of 200 training texts that stand there once")
    assert figures["epsilon_put_to_test"] <= figures["epsilon_stated"] == 0.5
    assert figures["epsilon_at_least"] > 0.5
    contradicted = "The attack contradicts the statement."
    answer, _, figures = answered([*often, *once], [*often * 20, *once])
    assert answer == contradicted
    assert 0.5 < figures["epsilon_put_to_test"] <= figures["epsilon_copying_shows"]
    answer, _, figures = answered(often, often * 20)
    assert answer == "Stated; so few texts cannot test it."
    assert figures["epsilon_put_to_test"] == figures["epsilon_copying_shows"] == 0


def test_rates_and_their_intervals():
    assert true_positives_at(0.0, np.arange(10.0) + 5, np.arange(10.0)).value == 0.5
    rng = np.random.default_rng(0)
    truth = norm.sf(norm.isf(0.01) - 1)
    missed = [
        not low <= truth <= high
        for _, low, high in (
            true_positives_at(0.01, rng.normal(1, 1, 1000), rng.normal(0, 1, 1000))
            for _ in range(400)
        )
    ]
    assert np.mean(missed) <= 0.05  # the cut is drawn too
    few = true_positives_at(0.001, np.ones(50) + 5, np.arange(50.0) / 50)
    assert (few.value, few.low, few.high) == (1.0, 0.0, 1.0)  # of 50 none can be so strict a cut
    assert proportion(5, 10).low == pytest.approx(0.1871, abs=1e-3)


def test_runs_count_words_and_not_signs():
    assert longest_runs(["a, b c d", "x"], ["z a b; c"]).tolist() == [3, 0]


def test_phantoms_are_told_from_disclosures():
    train = [f"the code of Ann is {i}" for i in range(1000, 1100)]
    holdout = [f"the code of Ann is {i}" for i in range(2000, 2100)]
    found = disclosures([*train[:30], *holdout[:2]], train, holdout)
    assert found.loc["numbers", ["disclosed", "phantoms"]].tolist() == [30, 2]
    assert found.loc["numbers", "p_value"] < 1e-5
    chance = disclosures([*train[:10], *holdout[:10]], train, holdout)
    assert chance.loc["numbers", "p_value"] > 0.3


@pytest.mark.parametrize(
    "train",
    [
        "it was Иванов who came",
        "it was Żaneta who came",
        "it was, Öztürk came",
        "at the café Marie sat",
        "it was Jose\u0301 Marie who came",
        "it was O'Neil-Smith who came",
    ],
)
def test_names_are_told_by_the_capitals_of_any_script(train):
    made = ["so I met " + " ".join(word for word in train.split() if word[0].isupper()).upper()]
    found = disclosures(made, [train, "She met Bob. Then Tim came"], ["it was Sue who came"])
    assert found.loc["names", ["in_train_only", "disclosed", "phantoms"]].tolist() == [3, 1, 0]


def test_addresses_are_the_same_in_any_case():
    found = disclosures(["to ann@example.org"], ["to Ann@Example.org"], ["to bob@example.org"])
    assert found.loc["e-mail addresses", ["disclosed", "phantoms"]].tolist() == [1, 0]


def test_phrases_of_one_text_are_one_piece_of_evidence():
    words = iter(f"w{number}" for number in range(4000))
    train, holdout = ([" ".join(next(words) for _ in range(12)) for _ in range(100)] for _ in "ab")
    found = disclosures([" ".join(train[0].split()[:9])], train, holdout)
    row = found.loc["phrases of 3 words"]
    assert (row["disclosed"], row["disclosed_texts"], row["phantom_texts"]) == (7, 1, 0)
    assert row["p_value"] == pytest.approx(0.5)  # it was the one or the other


def test_what_a_mechanism_states_has_no_price():
    assert Guarantee(2.0, 1e-5, mu=mu_of(2.0, 1e-5)).described()["new_texts"] is None
    assert "the parent of 1 new text, ε" in str(Guarantee(np.inf, 1e-5, mu=9.0))


def test_texts_in_a_wrong_container_are_refused():
    texts = [f"text {number}" for number in range(40)]
    frame = pd.DataFrame({"text": texts, "label": "a"})
    for wrong, kind in ((frame, "a DataFrame"), ("new.csv", "one text"), ({}, "a dict")):
        with pytest.raises(DataError, match=f"synthesis is {kind}: give the texts themselves"):
            audit(wrong, texts[:20], texts[20:])
    with pytest.raises(DataError, match="Text 1 of holdout is no text, but nan: leave it out"):
        audit(texts, texts[:20], ["a", float("nan")])
    for check in (mask, find_personal):
        for wrong, kind in ((frame, "a DataFrame"), ("new", "one text"), ({}, "a dict")):
            with pytest.raises(DataError, match=f"texts is {kind}: give the texts themselves"):
                check(wrong)
        with pytest.raises(DataError, match="Text 1 of texts is no text, but nan: leave it out"):
            check(["a", float("nan")])
    with pytest.raises(ParameterError, match="names='Ann' is one string"):
        mask(["Dear Ann"], names="Ann")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("ann.b+c@mail.example.org", "email"),
        ("https://a.example/x?y=1", "url"),
        ("DE89 3704 0044 0532 0130 00", "iban"),
        ("de89370400440532013000", "iban"),
        ("de89 3704 0044 0532 0130 00", "iban"),
        ("192.168.0.12", "ip"),
        ("2001:db8::8a2e:370:7334", "ip"),
        ("fe80::", "ip"),
        ("4111 1111 1111 1111", "card"),
        ("2004-05-01", "date"),
        ("1/2/2004", "date"),
        ("1990年5月3日", "date"),
        ("+44 20 7946 0958", "phone"),
        ("08001234567", "number"),
    ],
)
def test_personal_data_of_a_fixed_form_is_masked(text, kind):
    assert mask([f"see {text} please"]) == [f"see [{kind}] please"]
    assert find_personal([f"see {text} please"]).values.tolist() == [[0, kind, text]]


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("我的电话是13800138000，请联系", "我的电话是[number]，请联系"),
        ("電話03-1234-5678まで", "電話[phone]まで"),
        ("生日1990-05-03出生", "生日[date]出生"),
        ("卡号4111 1111 1111 1111的", "卡号[card]的"),
        ("账号DE89370400440532013000的", "账号[iban]的"),
        ("张三的邮箱zhang@mail.example的", "张三的邮箱[email]的"),
        ("이메일kim@mail.example으로", "이메일[email]으로"),
        ("写给张三@例子.中国", "[email]"),
        ("call 07123456789now", "call [number]now"),
        ("order AB123456 of user_12345", "order AB[number] of user_[number]"),
        ("host192.168.0.12b", "host[ip]b"),
    ],
)
def test_letters_beside_personal_data_hide_nothing_and_are_kept(text, masked):
    assert mask([text]) == [masked]
    assert len(find_personal([text])) == masked.count("[")


def test_names_are_whole_words_where_words_are_parted():
    names = ["Ann", "田中", "김철수"]
    texts = ["ANN met Anna and Marianne.", "田中さんとAnnさんに", "김철수에게"]
    assert mask(texts, names=names) == [
        "[name] met Anna and Marianne.",
        "[name]さんと[name]さんに",
        "[name]에게",
    ]


def test_long_words_are_looked_through_in_no_time():
    start = time.perf_counter()
    mask(["a" * 20_000, "12-" * 7_000, "张" * 20_000])
    assert time.perf_counter() - start < 5  # minutes, where each letter could begin an address


def test_ordinary_texts_stay_as_they_are():
    texts = ["I paid 20 for 2 of them at 5.30, e.g. a cat.", "Room 12; a-b-c (see p. 4)"]
    texts += ["In mk12 from then on at 12:30:45", "std::vector a[1::2], add::face"]
    assert mask(texts) == texts
    with pytest.raises(ParameterError, match="did you mean 'phone'"):
        mask(texts, ["phones"])


@pytest.mark.real
def test_the_default_encoder_attacks_too():
    found = audit(sentences(60, 0), sentences(60, 1), sentences(60, 2))
    assert found.sizes == {"synthetic": 60, "train": 60, "holdout": 60}
