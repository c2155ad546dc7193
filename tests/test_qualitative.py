import json

import numpy as np
import pandas as pd
import pytest

from smotext_lab.decoded import Decoded
from smotext_lab.guards import Guards
from smotext_lab.guards.blocked import BlockedWords
from smotext_lab.reports import pieces, qualitative, template_parameters, template_path
from smotext_lab.reports.walks import neighbor_pairs, walk
from smotext_lab.synthesis import Synthesis


class Decoder:
    """Stands for a decoder that hits every point, and writes markup."""

    def decode_rows(self, vectors, *, seeds=None, forms=None, lengths=None, agreement=None):
        for row, vector in enumerate(vectors):
            yield Decoded(row, f"<i>made {row}</i>", 1.0, -1.0, 5, True, 0, 1, vector, ())

    def explain(self, vectors, top=8):
        return [[] for _ in vectors]


@pytest.fixture(scope="module")
def walked():
    rows = [(f"<u>{c} {i}</u>", c) for c in ("a", "b") for i in range(8)]
    real = pd.DataFrame(rows, columns=["text", "label"])
    vectors = np.random.default_rng(0).normal(size=(16, 8)).astype(np.float32)
    vectors += np.repeat(np.eye(2, 8) * 4, 8, axis=0).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    pairs = neighbor_pairs(vectors, real["label"], 2, random_state=0)
    return walk(Decoder(), real, vectors, pairs)


@pytest.fixture
def new():
    reasons = [None, None, "copy: equal to text 3", "label: '<u>b</u>'", "copy: cosine 0.99"]
    return Synthesis.from_rows(
        {
            "text": f"new {i}",
            "label": "a",
            "status": "rejected" if reason else "accepted",
            "reason": reason,
            "cosine_to_target": 0.5,
        }
        for i, reason in enumerate(reasons)
    )


def test_listed_words_that_a_point_stands_for_are_told_where_a_parent_has_one(monkeypatch):
    class Telling(Decoder):
        def explain(self, vectors, top=8):
            return [[("darn", 0.9), ("rain", 0.5)] for _ in vectors]

    darn = BlockedWords(["darn"])
    monkeypatch.setattr(Guards, "blocked", lambda guards: darn if guards.blocked_words else None)
    real = pd.DataFrame({"text": ["rain", "snow", "darn it", "wind"], "label": list("aabb")})
    told = walk(Telling(), real, np.eye(4, dtype=np.float32), np.array([[0, 1], [2, 3]])).words
    assert [[len(row) for row in way] for way in told] == [[1, 1, 1, 1, 1], [2, 2, 2, 2, 1]]


def test_figures_begin_with_the_text_from_half_way(walked, new):
    figures = qualitative.figures(walked, new, {"read texts": 1.5, "walk": 2.0})
    assert next(iter(figures)) == "mean_cosine_halfway"
    assert figures["mean_cosine_halfway"] == 1
    assert figures["share_nearest_to_own_class"] == 1
    assert figures["cosine_of_repeating_halfway"] < 1
    assert (figures["pairs"], figures["steps"], figures["real_texts"]) == (2, 5, 16)
    assert (figures["accepted"], figures["rejected"]) == (2, 3)
    assert (figures["rejected_copy"], figures["rejected_label"]) == (2, 1)
    assert (figures["seconds_read_texts"], figures["seconds"]) == (1.5, 3.5)
    assert figures["peak_memory_mb"] > 10


def test_figures_of_a_run_in_which_nothing_was_rejected(walked):
    accepted = [{"text": "x", "label": "a", "status": "accepted"}]
    figures = qualitative.figures(walked, Synthesis.from_rows(accepted), {})
    assert (figures["accepted"], figures["rejected"]) == (1, 0)


def test_answer_says_how_many_of_how_many(walked, new):
    html = qualitative.answer(qualitative.figures(walked, new, {}), "<u>about</u>").data
    assert "wrote 10 texts from 2 walks" in html
    assert "For 10 of the 10 the nearest real text has the right class" in html
    assert "Of 5 further texts that were written, the guards accepted 2 and rejected 3" in html
    assert "&lt;u&gt;about" in html


def test_pairs_show_both_texts_and_the_one_from_between(walked):
    html = qualitative.pairs_view(walked).data
    for a, b in walked.pairs:
        assert f"&lt;u&gt;{walked.labels[a]} {a % 8}&lt;" in html
        assert f"&lt;u&gt;{walked.labels[b]} {b % 8}&lt;" in html
    assert "&lt;i&gt;made 2&lt;" in html
    assert "&lt;i&gt;made 7&lt;" in html
    assert "<i>" not in html


def test_walks_show_every_step_between_the_two_texts(walked):
    html = qualitative.walks_view(walked).data
    places = [html.index(f"made {row}&lt;") for row in range(10)]
    assert places == sorted(places)
    assert html.count("nearest real text, cosine 1.00: text A") == 2
    assert html.count("nearest real text, cosine 1.00: text B") == 2
    assert html.count("λ = ¾") == 2


def test_rejected_texts_stand_with_their_reasons_and_the_rest_is_counted(new):
    html = qualitative.rejected_table(new, most=2).data
    assert "copy: equal to text 3" in html
    assert "label: &#x27;&lt;u&gt;b" in html
    assert "cosine 0.99" not in html
    assert "and 1 more" in html
    assert "copy" not in qualitative.accepted_table(new).data


def test_texts_that_bring_in_a_blocked_word_are_not_shown():
    row = {"label": "a", "status": "rejected", "cosine_to_target": 0.5}
    refused = Synthesis.from_rows(
        [
            row | {"text": "so darn wet", "reason": "unsafe: blocked word 'd***'"},
            row | {"text": "so wet", "reason": "copy: equal to text 3"},
        ]
    )
    html = qualitative.rejected_table(refused).data
    assert "darn" not in html
    assert "[not shown]" in html
    assert "unsafe: blocked word" in html
    assert "so wet" in html


def test_walks_show_a_blocked_word_only_between_texts_of_which_one_has_any():
    class Rude(Decoder):
        def decode_rows(self, vectors, *, seeds=None, forms=None, lengths=None, agreement=None):
            for row, vector in enumerate(vectors):
                yield Decoded(row, f"shit {row}", 1.0, -1.0, 5, True, 0, 1, vector, ())

    real = pd.DataFrame({"text": ["bitch", "one", "two"], "label": ["a"] * 3})
    walks = walk(Rude(), real, np.eye(3, dtype=np.float32), np.array([[0, 1], [1, 2]]))
    html = qualitative.walks_view(walks).data
    assert [row for row in range(10) if f"shit {row}<" in html] == [0, 1, 2, 3]
    assert html.count("[not shown]") == 6
    trios = qualitative.pairs_view(walks).data
    assert "shit 2<" in trios
    assert "shit 7<" not in trios


def test_where_nothing_was_rejected_the_closest_calls_are_shown():
    accepted = [
        {
            "text": f"new {i}",
            "label": "a",
            "status": "accepted",
            "label_probability": (i + 1) / 10,
            "cosine_to_nearest_real": (i + 1) / 10,
        }
        for i in range(8)
    ]
    html = qualitative.rejected_table(Synthesis.from_rows(accepted)).data
    assert "None of the 8 texts was rejected" in html
    assert [i for i in range(8) if f"new {i}<" in html] == [0, 1, 6, 7]
    assert "10% of the nearest texts&#x27; vote; nearest real text at cosine 0.10" in html


def test_no_texts_at_all_is_said():
    assert "None of the 0 texts" in qualitative.rejected_table(Synthesis.from_rows([])).data
    assert "None." in qualitative.accepted_table(Synthesis.from_rows([])).data


def test_clock_adds_up_what_a_step_takes():
    clock = pieces.Clock()
    for _ in range(2):
        with clock("step"):
            pass
    assert list(clock.seconds) == ["step"]
    assert 0 <= clock.seconds["step"] < 1


def test_template_is_committed_without_outputs():
    notebook = json.loads(template_path("qualitative").read_text(encoding="utf-8"))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)


def test_every_parameter_of_the_template_has_a_type_and_is_explained():
    found = template_parameters("qualitative")
    assert {"dataset", "text", "label", "per_class", "n", "k_neighbors", "steps"} <= {
        p.name for p in found
    }
    assert all(p.help and p.type != "any" for p in found)
