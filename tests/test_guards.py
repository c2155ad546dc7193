from __future__ import annotations

import pickle
import time
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from smotext_lab import Guards
from smotext_lab.errors import DataError, ParameterError
from smotext_lab.guards import BlockedWords, cosines
from smotext_lab.guards.cosines import unit
from smotext_lab.guards.label_evidence import LabelEvidence
from smotext_lab.guards.words import SharedRuns, ends_sentence, find_loop, fold, longest_runs

REAL = ["The bank raised its rates again on Thursday.", "Rain is due tonight.", "Rain fell."]
LABELS = ["money", "weather", "weather"]


def directions(*degrees: float) -> np.ndarray:
    """Unit vectors in the plane, at these angles."""
    angles = np.deg2rad(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def judge_of(**thresholds):
    """Money lies at 0 degrees, weather around 90."""
    return Guards(**thresholds).fit(REAL, directions(0, 90, 100), LABELS)


def reason(text, degrees=70.0, label="weather", judge=None, **kwargs):
    judge = judge_of() if judge is None else judge
    return judge.judge([text], directions(degrees), [label], **kwargs)[0].reason


@pytest.mark.parametrize(
    "text", ["Rain is due tonight.", "rain IS  due, tonight!", "“Rain” — is due; tonight…"]
)
def test_a_real_text_is_a_copy_whatever_its_case_spaces_and_punctuation(text):
    assert reason(text) == "copy: equal to text 1"


def test_a_text_too_near_to_a_real_one_is_a_copy():
    assert reason("It may drizzle later.", 92) == "copy: cosine 1.00 to text 1"
    assert reason("It may drizzle later.", 119) is None  # 19 degrees: cosine 0.946
    stricter = judge_of(max_copy_cosine=0.94)
    assert reason("It may drizzle later.", 119, judge=stricter) == "copy: cosine 0.95 to text 2"


def test_words_in_a_row_are_a_copy_from_one_more_than_allowed():
    judge = judge_of(max_shared_words=4)
    four = "Then the bank raised its fees."
    five = "Then the bank raised its rates."
    assert reason(four, 20, "money", judge) is None
    assert reason(five, 20, "money", judge) == "copy: more than 4 words in a row of text 0"


def test_runs_of_words_do_not_reach_from_one_real_text_into_the_next():
    judge = judge_of(max_shared_words=2)
    assert reason("on Thursday rain is it", 70, "weather", judge) is None


def test_texts_decoded_from_a_real_texts_own_vector_may_repeat_it():
    assert reason(REAL[1], 90, exempt=np.array([True])) is None


def test_an_exempt_text_is_still_refused_when_it_is_broken_or_contradicts_its_label():
    exempt = np.array([True])
    assert reason("", 90, exempt=exempt) == "degenerate: empty"
    assert reason(REAL[0], 0, "weather", exempt=exempt).startswith("label")


HARMLESS = """
Scunthorpe and Penistone are towns, and so is Cockermouth.
The pilot left the cockpit for a cocktail.
We assess the classic assets that passengers amass in Massachusetts.
Roast the chicken breast, then the pussycat gets the rest.
Dick Van Dyke, Moby Dick and Dick Cheney.
Mr Hancock shot a grape with a rapeseed; the therapist shed a drape.
Cum laude, it was an analysis of the analog canal, in Essex, Sussex and Middlesex.
The sexes differ by sex, and same-sex couples may marry; gay and queer people too.
A great tit and a titmouse sat on the dyke with a spade and a hoe.
Snigger at the niggardly Nigerian from Niger; the raccoon and the spic-and-span Maine Coon.
Homo sapiens found a chink in the armour of the Washington Redskins.
The Matsushita and the Dickinson basement; a shuttlecock, a peacock, a woodcock and a hitchcock.
He took the A55 to Wales, paid US$ 455 and got 5*** rooms with 20th-century baths and an mp3.
Hello!!! See you at 4pm @shop #shop, **as is**, a*b*c, f(x) = x**2, e.g. www.s-h-o-p.com.
Damn it, what a crappy bastard. I am soooo tired, coooool, yesss, nooooo, hmmmm.
It was a nude by Manet, a sexy film of sexual assault in a same sex prison.
"""


@pytest.mark.parametrize("text", HARMLESS.strip().splitlines())
def test_ordinary_words_are_not_blocked(text):
    assert BlockedWords.default().find(text) is None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("What a FUCKING day!", "fucking"),
        ("He called them niggers.", "niggers"),
        ("“Faggot”, he said", "faggot"),
        ("A blow-job in the park", "blow job"),
        ("they had  sex twice", "had sex"),
        ("bull SH1T, that is", "sh1t"),
        ("you b!tch!", "b!tch"),
        ("**f**k** this", "f**k"),
        ("f***k this", "f***k"),
        ("_n1gg3r_", "n1gg3r"),
        ("a f@g and a f@gg0t", "f@gg0t"),
        ("f u c k off", "f u c k"),
        ("f.u.c.k.", "f u c k"),
        ("Fuuuuuck this", "fuuuuuck"),
        ("ｗｈｏｒｅ", "whore"),
        ("pu$$y", "pu$$y"),
        ("$hit", "$hit"),
    ],
)
def test_listed_words_are_found_and_some_disguises_of_them(text, found):
    assert BlockedWords.default().find(text) == found


def test_a_blocked_word_of_no_parent_is_refused_and_is_not_repeated_in_the_reason():
    said = reason("Shitty hail in town.")
    assert said == "unsafe: blocked word 's*****', and none in the texts it was made from"
    assert reason("Hail and blow jobs.").startswith("unsafe: blocked word 'b*** ****'")
    assert reason("The assets rose in Scunthorpe.") is None


def test_a_blocked_word_passes_where_a_parent_has_any():
    real = [*REAL[:2], "The bitch fell."]
    judge = Guards().fit(real, directions(0, 90, 100), LABELS, positions=[5, 6, 7])
    texts = ["Shit hail.", "Shit frost.", "Shit fog.", "Shit sun."]
    verdicts = judge.judge(
        texts,
        directions(70, 50, 120, 135),
        ["weather"] * 4,
        parents=[[1, 2], np.array([0, 1]), [], np.array([2])],
    )
    assert [v.accepted for v in verdicts] == [True, False, False, True]
    assert verdicts[1].reason.startswith("unsafe: ")


def test_exempt_texts_may_not_bring_in_blocked_words_either():
    assert reason("Shit hail.", exempt=np.array([True]), parents=[[1]]).startswith("unsafe")


def test_the_list_of_blocked_words_can_be_switched_off_and_replaced(tmp_path):
    assert reason("Shit hail.", judge=judge_of(blocked_words=None)) is None
    own = judge_of(blocked_words=["Ann Lee", "bob"])
    assert reason("Shit hail.", judge=own) is None
    assert reason("ANN, Lee and hail.", 50, judge=own).startswith("unsafe: blocked word 'a** ***'")
    path = tmp_path / "words.txt"
    path.write_text("\ufeff# names, none to get out\nAnn Lee, bob,\n\nÉmile\n", encoding="utf-8")
    for given in (path, str(path)):
        judge = judge_of(blocked_words=given)
        assert [bool(reason(f"{who} fell.", 50, judge=judge)) for who in ("ÉMILE", "Names")] == [
            True,
            False,
        ]


def test_blocked_words_are_kept_as_given_and_told_by_their_number():
    guards = Guards(blocked_words=(word for word in ("bob", "ann")))
    assert guards.blocked_words == ("bob", "ann")
    assert pickle.loads(pickle.dumps(guards)) == guards == replace(guards)
    assert hash(guards) == hash(Guards(blocked_words=["bob", "ann"]))
    assert guards.described()["blocked_words"] == "2 words"
    assert Guards().described()["blocked_words"] == "default"
    assert Guards.off().described()["blocked_words"] is None


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (3, "must be 'default', None, the path"),
        (["fine", "?!"], "holds '[?]!'"),
        (["fine", 3], "holds 3"),
        ("no/such/file.txt", "'no/such/file.txt', which cannot be read"),
        ("defualt", "'defualt', which cannot be read"),
    ],
)
def test_blocked_words_that_cannot_be_used_are_refused_at_once(wrong, says):
    with pytest.raises(ParameterError, match=says):
        Guards(blocked_words=wrong)


def test_a_file_of_blocked_words_that_is_not_utf8_is_refused(tmp_path):
    (tmp_path / "words.txt").write_bytes(b"caf\xe9")
    with pytest.raises(ParameterError, match="is not UTF-8"):
        Guards(blocked_words=tmp_path / "words.txt")


def test_long_and_hostile_texts_are_searched_quickly():
    blocked = BlockedWords.default()
    texts = ["a " * 50_000, "f*" * 50_000, "*" * 100_000, "f00000" * 20_000, "a1b2! " * 10_000]
    start = time.perf_counter()
    assert [blocked.find(text) for text in [*texts, "[^]-\\*]a*]b", ""]] == [None] * 7
    assert time.perf_counter() - start < 10


def test_duplicates_are_refused_in_row_order_and_across_calls():
    judge = judge_of()
    texts = ["Hail and fog.", "Frost at dawn.", "hail, and FOG"]
    verdicts = judge.judge(texts, directions(70, 120, 50), ["weather"] * 3, rows=[4, 5, 6])
    assert [v.reason for v in verdicts] == [None, None, "duplicate: equal to row 4"]
    again = judge.judge(["Frost at dawn"], directions(60), ["weather"])
    assert again[0].reason == "duplicate: equal to row 5"


def test_near_duplicates_within_a_call_and_of_earlier_calls_are_refused():
    judge = judge_of()
    verdicts = judge.judge(["Hail.", "Fog.", "Sun."], directions(70, 71, 120), ["weather"] * 3)
    assert [v.reason for v in verdicts] == [None, "duplicate: cosine 1.00 to row 0", None]
    assert reason("Snow.", 121, judge=judge) == "duplicate: cosine 1.00 to row 2"


def test_a_refused_text_does_not_make_a_later_one_a_duplicate():
    judge = judge_of()
    verdicts = judge.judge(["Hail.", "Hail."], directions(70, 70), ["money", "weather"])
    assert [v.accepted for v in verdicts] == [False, True]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", "degenerate: empty"),
        (" \n\t", "degenerate: empty"),
        ("?! ... --", "degenerate: no words"),
        ("🙂🙂", "degenerate: no words"),
        ("rain rain rain rain", "degenerate: goes on repeating 'rain'"),
        ("It is hot, it is hot, it is hot.", "degenerate: goes on repeating 'it is hot'"),
        ("so " + "ha" * 30, "degenerate: goes on repeating 'ha'"),
        ("下雨了" * 20, "degenerate: goes on repeating '下雨了'"),
    ],
)
def test_degenerate_texts_are_refused(text, kind):
    assert reason(text) == kind


@pytest.mark.parametrize("text", ["Bye bye.", "New York, New York!", "It is very very hot."])
def test_ordinary_repetition_is_no_loop(text):
    assert reason(text) is None


def test_a_text_that_the_length_limit_cut_is_refused_unless_a_sentence_ends_there():
    cut = np.array([True])
    assert reason("Hail will", cut=cut) == "degenerate: cut in mid-sentence by the length limit"
    assert reason("Hail will fall.”", cut=cut) is None
    assert reason("Hail will", judge=judge_of(allow_cut=True), cut=cut) is None


def test_a_text_among_real_texts_of_another_label_is_refused():
    assert reason("Hail in town.", 20, "weather") == "label: nearest real texts say 'money' (1.00)"
    assert reason("Hail in town.", 20, "money") is None


def test_the_vote_does_not_drown_a_small_class():
    rng = np.random.default_rng(0)
    angles = np.concatenate([rng.normal(0, 25, 200), rng.normal(60, 25, 6)])
    labels = ["many"] * 200 + ["few"] * 6
    judge = Guards(label_neighbors=20).fit(
        [f"t{i}" for i in range(206)], directions(*angles), labels
    )
    verdict = judge.judge(["a new one"], directions(60.5), ["few"], exempt=np.array([True]))[0]
    assert verdict.accepted
    assert verdict.label_probability > 0.5


def test_label_probability_is_a_share_and_a_floor_can_be_set():
    angles, labels = directions(0, 10, 20, 30), ["a", "b", "c", "a"]
    texts = ["one", "two", "three", "four"]
    loose = Guards().fit(texts, angles, labels)
    shares = [
        loose.judge([f"new {c}"], directions(a), [c], exempt=np.array([True]))[0].label_probability
        for a, c in ((60, "a"), (70, "b"), (80, "c"))
    ]
    assert all(0 < share < 1 for share in shares)
    strict = Guards(min_label_probability=0.9, label_classifier=False).fit(texts, angles, labels)
    verdict = strict.judge(["new"], directions(-40), ["a"])[0]
    assert verdict.reason == f"label: probability {verdict.label_probability:.2f}"


def in_two_classes(n=10):
    """Texts of classes that one number tells apart, each with a number of its own beside it."""
    own = np.eye(2 * n + 1)[1:]
    own[:, 0] = np.repeat([0.5, -0.5], n)
    return own, ["up"] * n + ["down"] * n


def test_a_text_near_its_parent_that_lost_what_tells_the_classes_apart_is_refused():
    vectors, labels = in_two_classes()
    texts = [f"text {i}" for i in range(len(labels))]
    lost = vectors[:1].copy()
    lost[0, 0] = -0.5
    kept = Guards(label_classifier=False).fit(texts, vectors, labels).judge(["new"], lost, ["up"])
    assert kept[0].accepted
    assert kept[0].label_probability > 0.5
    judge = Guards().fit(texts, vectors, labels)
    refused = judge.judge(["new"], lost, ["up"])[0]
    assert refused.reason.startswith("label: all real texts together say 'down'")
    assert judge.judge(["other"], lost, ["down"])[0].reason.startswith("label: nearest real texts")
    soft = {"label_weights": np.array([[0.5, 0.5]]), "classes": np.array(["down", "up"])}
    assert judge.judge(["new"], lost, ["up"], **soft)[0].accepted


def test_agreement_is_what_all_real_texts_say_or_else_the_vote_or_nothing():
    vectors, labels = in_two_classes()
    texts = [f"text {i}" for i in range(len(labels))]
    lost = np.stack([vectors[0], vectors[0]])
    lost[1, 0] = -0.5
    all_texts, vote, nothing = (
        guards.fit(texts, vectors, labels).agreement(lost, ["up", "up"])
        for guards in (Guards(), Guards(label_classifier=False), Guards.off())
    )
    assert all_texts[0] > 0.6 > 0.4 > all_texts[1]
    assert (vote > 0.5).all()
    assert (nothing == 0).all()


def test_outward_leads_from_the_mean_of_all_classes_to_that_of_the_wanted_one():
    vectors = np.array([[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=float)
    judge = Guards.off().fit(["text"] * 4, vectors, ["a", "a", "b", "c"])
    ways = judge.outward(["a", "c"])
    np.testing.assert_allclose(ways, [[2 / 3, -1 / 3, -1 / 3], [-1 / 3, -1 / 3, 2 / 3]], atol=1e-6)
    soft = {"label_weights": np.array([[0.5, 0.4, 0.1]]), "classes": np.array(["a", "b", "c"])}
    np.testing.assert_allclose(judge.outward(["a"], **soft), [[1 / 6, 1 / 6, -1 / 3]], atol=1e-6)


def test_of_a_single_class_nothing_leads_outward():
    judge = Guards.off().fit(["text"] * 2, np.eye(2), ["a", "a"])
    assert judge.outward(["a", "a", "a"]).tolist() == [[0, 0]] * 3


def test_judges_of_the_same_real_texts_learn_the_labels_once(monkeypatch):
    from sklearn.linear_model import LogisticRegression

    vectors, labels = in_two_classes()
    judge = Guards().fit([f"text {i}" for i in range(len(labels))], vectors, labels)
    fitted = []
    fit = LogisticRegression.fit
    monkeypatch.setattr(
        LogisticRegression, "fit", lambda *given: (fitted.append(1), fit(*given))[1]
    )
    agreed = [judge.anew().agreement(vectors, labels) for _ in range(3)]
    assert len(fitted) == 1
    assert (agreed[0] == agreed[2]).all()


def test_a_large_class_says_no_more_than_a_small_one():
    vectors, labels = in_two_classes(40)
    codes = np.array([label == "down" for label in labels])[:43].astype(int)  # 40 and 3
    nowhere = np.zeros((1, 81))
    assert LabelEvidence(vectors[:43], codes).shares(nowhere)[0, 1] > 0.25  # 0.11 by numbers


def test_of_many_real_texts_a_part_of_each_class_is_learnt_from(monkeypatch):
    vectors, labels = in_two_classes(40)
    codes = np.array([label == "down" for label in labels])[:43].astype(int)
    monkeypatch.setattr("smotext_lab.guards.label_evidence._MOST", 20)
    fitted = []
    monkeypatch.setattr(
        "sklearn.linear_model.LogisticRegression.fit",
        lambda self, X, y: fitted.append(np.bincount(y).tolist()),
    )
    evidence = LabelEvidence(vectors[:43], codes)
    assert len(evidence.outward) == 2
    assert not fitted
    with pytest.raises(NotFittedError):
        evidence.shares(vectors[:1])
    assert fitted == [[10, 3]]


def test_soft_labels_are_judged_by_their_main_classes():
    judge = judge_of()
    soft = {"classes": np.array(["money", "weather"]), "exempt": np.array([True])}
    half = judge.judge(
        ["Fog."], directions(20), ["weather"], label_weights=np.array([[0.45, 0.55]]), **soft
    )[0]
    assert half.accepted
    assert half.label_probability == pytest.approx(1.0)
    mostly = judge.judge(
        ["Sun."], directions(-20), ["weather"], label_weights=np.array([[0.1, 0.9]]), **soft
    )[0]
    assert mostly.reason.startswith("label: nearest real texts say 'money'")


def test_with_one_class_nothing_votes():
    judge = Guards().fit(REAL, directions(0, 90, 100), ["x"] * 3)
    verdict = judge.judge(["Hail in town."], directions(20), ["x"])[0]
    assert verdict.accepted
    assert np.isnan(verdict.label_probability)


def test_guards_that_are_off_accept_everything_and_measure_it():
    judge = Guards.off().fit(REAL, directions(0, 90, 100), LABELS)
    texts = [REAL[0], REAL[0], "", "no no no no no", "cut"]
    verdicts = judge.judge(
        texts, directions(0, 0, 0, 90, 90), ["weather"] * 5, cut=np.ones(5, bool)
    )
    assert all(v.accepted for v in verdicts)
    assert [v.nearest_real for v in verdicts] == [0, 0, 0, 1, 1]
    assert verdicts[0].cosine_to_nearest_real == pytest.approx(1.0)


def test_positions_name_the_texts_as_the_caller_does():
    judge = Guards().fit(REAL, directions(0, 90, 100), LABELS, positions=[10, 11, 12])
    verdict = judge.judge(["rain fell"], directions(70), ["weather"])[0]
    assert verdict.reason == "copy: equal to text 12"
    assert verdict.nearest_real == 11


def test_vectors_of_any_length_and_empty_ones_are_judged():
    judge = Guards().fit(REAL, 5 * directions(0, 90, 100), LABELS)
    vectors = np.array([[0.0, 0.0], [np.nan, 1.0], [0.0, 30.0]])
    verdicts = judge.judge(["Fog.", "Hail.", "Sun."], vectors, ["weather"] * 3)
    assert verdicts[0].cosine_to_nearest_real == 0.0
    assert verdicts[2].cosine_to_nearest_real == pytest.approx(1.0)
    assert all(np.isfinite(v.cosine_to_nearest_real) for v in verdicts)


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_copy_cosine": 1.5},
        {"max_copy_cosine": "0.9"},
        {"max_shared_words": 0},
        {"max_shared_words": 2.5},
        {"max_repeats": True},
        {"label_neighbors": -1},
        {"min_label_probability": None},
        {"max_duplicate_cosine": float("nan")},
        {"allow_cut": "yes"},
    ],
)
def test_a_threshold_out_of_range_is_named(wrong):
    with pytest.raises(ParameterError, match=next(iter(wrong))):
        Guards(**wrong)


def test_guards_without_real_texts_or_with_other_lengths_are_an_error():
    with pytest.raises(DataError, match="at least one real text"):
        Guards().fit([], np.empty((0, 2)), [])
    with pytest.raises(DataError, match="3 texts, 2 vectors, 3 labels"):
        Guards().fit(REAL, directions(0, 90), LABELS)


def test_hostile_texts_are_judged_and_folded():
    texts = [
        "<script>alert(1)</script>",
        "{{ x }} $y$",
        "\u202eabc def",
        "\ud800 lone",
        "a" * 50_000,
    ]
    judge = judge_of()
    verdicts = judge.judge(texts, directions(70, 50, 30, 130, 150), ["weather"] * 5)
    assert len(verdicts) == 5
    assert verdicts[4].reason == "degenerate: goes on repeating 'a'"
    assert fold("<B>Rain</B>\u200b\x00") == "b rain b"


def test_ten_thousand_texts_are_judged_in_seconds():
    rng = np.random.default_rng(0)
    words = np.array([f"w{i}" for i in range(3000)])
    texts = [" ".join(row) for row in words[rng.integers(0, 3000, (20_000, 20))]]
    vectors = rng.normal(size=(20_000, 64)).astype(np.float32)
    labels = rng.integers(0, 5, 20_000)
    start = time.perf_counter()
    judge = Guards().fit(texts[:10_000], vectors[:10_000], labels[:10_000])
    verdicts = judge.judge(texts[10_000:], vectors[10_000:], labels[10_000:])
    assert time.perf_counter() - start < 30
    assert {v.reason.partition(":")[0] for v in verdicts if v.reason} == {"label"}


def test_shared_runs_find_what_a_plain_search_finds():
    rng = np.random.default_rng(1)
    texts = [" ".join(rng.choice(list("abcdef"), 12)) for _ in range(30)]
    runs = SharedRuns(texts, length=4)
    for other in [" ".join(rng.choice(list("abcdefg"), 10)) for _ in range(200)]:
        spans = [other[i : i + 7] for i in range(0, len(other) - 6, 2)]
        found = runs.find(other)
        assert (found is not None) == any(span in text for span in spans for text in texts)
        if found is not None:
            assert any(span in texts[found] for span in spans)


@pytest.mark.parametrize("text", ["Yes.", "Yes?”", "雨が降る。", "क्या है।", "Go!)  "])
def test_sentences_end_in_many_scripts(text):
    assert ends_sentence(text)


@pytest.mark.parametrize("text", ["", "Yes", "a,", "e.g. this"])
def test_what_does_not_end_a_sentence(text):
    assert not ends_sentence(text)


def test_loops_are_found_in_the_middle_of_a_text():
    assert (
        find_loop("he said go on go on go on go on and left with the others at nine", 3) == "go on"
    )


@pytest.mark.parametrize("most", [1, 2, 3])
def test_a_text_has_a_loop_where_some_phrase_comes_too_often(most):
    rng = np.random.default_rng(most)

    def looped(words: list[str]) -> bool:
        for period in range(1, len(words) // 2 + 1):
            for start in range(len(words) - period):
                again = 0
                while words[start + again] == words[start + again + period]:
                    again += 1
                    if start + again + period == len(words):
                        break
                if again >= most * period or (again >= 6 and 2 * again >= len(words)):
                    return True
        return False

    expected = []
    for _ in range(600):
        words = rng.integers(rng.choice([2, 4, 12]), size=rng.integers(16)).astype(str).tolist()
        words += words[: rng.integers(len(words) + 1)] * int(rng.integers(3))
        expected.append(looped(words))
        assert (find_loop(" ".join(words), most) is not None) == expected[-1], words
    assert 50 < sum(expected) < 550


def test_the_longest_run_is_counted_in_words_whatever_their_marks():
    others = ["The old bridge, it fell", "then nothing more"]
    found = longest_runs(["we saw the OLD bridge it stood", "nothing", "other words"], others)
    assert found.tolist() == [4, 1, 0]
    whole = " ".join(f"w{n}" for n in range(50))
    assert longest_runs([whole], ["x " + whole + " y"]).tolist() == [50]
    assert longest_runs([], others).tolist() == []
    assert longest_runs(["a", ""], []).tolist() == [0, 0]


def test_the_longest_runs_are_those_that_a_search_of_all_pairs_finds():
    rng = np.random.default_rng(0)

    def drawn(most: int, letters: int) -> list[str]:
        sizes = rng.integers(0, 12, size=rng.integers(1, most))
        return [" ".join(rng.choice([*"abcdefghij"][:letters], n)) for n in sizes]

    def run(text: str, other: str) -> int:
        words, more = text.split(), f" {' '.join(other.split())} "
        parts = [words[i:j] for i in range(len(words)) for j in range(i + 1, len(words) + 1)]
        return max((len(part) for part in parts if f" {' '.join(part)} " in more), default=0)

    for letters in [2, 3, 10] * 20:
        texts, others = drawn(4, letters), drawn(5, letters)
        expected = [max(run(text, other) for other in others) for text in texts]
        assert longest_runs(texts, others).tolist() == expected


def test_the_longest_runs_of_long_copies_take_little_memory():
    rng = np.random.default_rng(0)
    text = " ".join(rng.integers(5000, size=20_000).astype(str))
    tracemalloc.start()
    try:
        assert longest_runs([text], [text]).tolist() == [20_000]
        assert tracemalloc.get_traced_memory()[1] < 100e6
    finally:
        tracemalloc.stop()


def test_the_vectors_of_real_texts_are_read_where_they_are_mapped(tmp_path, monkeypatch):
    monkeypatch.setattr(cosines, "_ROWS", 200)
    rng = np.random.default_rng(0)
    rows = unit(rng.normal(size=(20_000, 128)))
    rows[::2] *= 3
    rows[7] = 0  # as an empty text may have it
    np.save(tmp_path / "rows.npy", rows)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    texts, labels = ["text"] * len(rows), np.repeat(["a", "b"], 10_000)
    guards = Guards(label_classifier=False)
    tracemalloc.start()
    try:
        judge = guards.fit(texts, mapped, labels)
        verdicts = judge.judge([f"new {i}" for i in range(300)], rows[100:400], ["a"] * 300)
        judge.agreement(rows[:300], ["a"] * 300)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [verdict.nearest_real for verdict in verdicts] == list(range(100, 400))
    assert peak < mapped.nbytes / 2


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_verdicts_are_the_same_in_blocks_of_any_size(dtype, monkeypatch):
    rng = np.random.default_rng(0)
    real = unit(rng.normal(size=(300, 6))).astype(dtype)
    texts, labels = [f"real {i}" for i in range(300)], rng.choice(["a", "b", "c"], 300)
    new, wanted = rng.normal(size=(80, 6)), rng.choice(["a", "b", "c"], 80)
    new[:10] = real[:10]
    said = [f"new {i}" for i in range(80)]

    def judged():
        judge = Guards(max_copy_cosine=0.97).fit(texts, real, labels)
        verdicts = judge.judge(said, new, wanted)
        vote = Guards(label_classifier=False).fit(texts, real, labels).agreement(new, wanted)
        return verdicts, vote

    whole, vote = judged()
    monkeypatch.setattr(cosines, "_ROWS", 7)
    monkeypatch.setattr("smotext_lab.guards.judge._BLOCK", 11)
    parts, vote_in_parts = judged()
    for one, other in zip(whole, parts, strict=True):
        assert (one.status, one.reason, one.nearest_real) == (
            other.status,
            other.reason,
            other.nearest_real,
        )
        assert one.label_probability == pytest.approx(other.label_probability, abs=1e-6)
    assert {(v.reason or "kept").partition(":")[0] for v in whole} == {"kept", "copy", "label"}
    assert [v.nearest_real for v in whole[:10]] == list(range(10))
    np.testing.assert_allclose(vote_in_parts, vote, atol=1e-6)
