import io
import json
import pickle
import stat
import sys
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from smotext_lab.datasets import load_dataset
from smotext_lab.errors import DataError, ParameterError
from smotext_lab.markup import texts_table
from smotext_lab.synthesis import COLUMNS, Synthesis, writing

HOSTILE = [
    "<script>alert('x')</script> & <b>",
    "{{ 7 * 7 }} {% raw %} $x$ \\(y\\)",
    "\u202eright to left\u202c שלום",
    "line\r\nline\nlone\rreturn\ttab, \"quoted\" 'it'; 😀👨‍👩‍👧 \u2028end",
    "NA",
    "=1+1",
    "long " * 10_000,
]


def row(text, label="a", status="accepted", **more):
    return {"text": text, "label": label, "status": status, **more}


@pytest.fixture
def made():
    rows = [
        row(
            "one",
            parents=np.array([0, 1]),
            weights=np.array([0.25, 0.75]),
            cosine_to_target=np.float32(0.5),
            attempts=2,
            seed=2**64 - 1,
        ),
        row("two", "b", label_weights={"a": 0.25, "b": 0.75}, seed=2**63 + 1),
        row("three", "b", "rejected", reason="copy: equal to text 0", attempts=3),
        row("four", "c", "rejected", reason="copy: cosine 0.97 to text 1"),
        row("five", "a", "rejected", reason="degenerate"),
    ]
    return Synthesis.from_rows(rows, info={"llm": "tiny", "k": 5})


@pytest.fixture
def hostile():
    return Synthesis.from_rows([row(t, "<i>" if i % 2 else "a") for i, t in enumerate(HOSTILE)])


def test_rows_become_a_frame_of_the_documented_columns_and_types(made):
    assert tuple(made.frame.columns) == COLUMNS
    assert len(made) == 2
    assert made.accepted["text"].tolist() == ["one", "two"]
    assert made.rejected["reason"].tolist()[0] == "copy: equal to text 0"
    assert made.frame["parents"][0] == [0, 1]
    assert made.frame["weights"][0] == [0.25, 0.75]
    assert made.frame["cosine_to_target"].dtype == "float64"
    assert made.frame["attempts"].dtype == "Int64"
    assert made.frame["seed"].tolist()[:2] == [2**64 - 1, 2**63 + 1]


def test_counts_per_class_and_reasons_per_kind(made):
    assert made.counts().to_dict() == {"a": 1, "b": 1, "c": 0}
    assert list(made.reasons().items()) == [("copy", 2), ("degenerate", 1)]


@pytest.mark.parametrize("labels", [[1, 2], [True, False], [0.5, 1.5], [np.int64(3), np.int64(4)]])
def test_labels_keep_their_type(labels):
    frame = Synthesis.from_rows([row("x", labels[0]), row("y", labels[1])]).frame
    assert frame["label"].tolist() == labels
    assert frame["label"].dtype == pd.Series(labels).dtype


def test_unknown_columns_and_statuses_are_refused():
    with pytest.raises(ParameterError, match=r"'txt' \(did you mean 'text'\?\)"):
        Synthesis.from_rows([{"txt": "a"}])
    with pytest.raises(DataError, match="Unknown status 'accept'"):
        Synthesis.from_rows([row("a", status="accept")])


def test_results_with_empty_columns_or_no_rows_can_be_shown_and_written(tmp_path):
    for made in (Synthesis.from_rows([]), Synthesis.from_rows([row(None, None), row(None, None)])):
        assert "Synthesis" in repr(made)
        assert "<script" not in made._repr_html_()
        for kind in ("csv", "jsonl", "parquet"):
            path = tmp_path / f"out.{kind}"
            getattr(made, f"to_{kind}")(path)
            assert path.exists()
        assert len(pd.read_parquet(tmp_path / "out.parquet")) == len(made)
        assert made.counts().sum() == 0


# -- beside the originals ---------------------------------------------------------------


def originals(index):
    return pd.DataFrame(
        {
            "id": np.array([7, 8], dtype="uint8"),
            "body": ["o1", "o2"],
            "ok": [True, False],
            "queue": pd.Categorical(["a", "b"]),
            "source": ["mail", "web"],
            "when": pd.to_datetime(["2020", "2021"]),
            3: ["int", "name"],
        },
        index=index,
    )


@pytest.mark.parametrize(
    "index",
    [
        pd.RangeIndex(2),
        pd.Index([10, 5], name="n"),
        pd.Index(["k", "synthetic-0"], name="key"),
        pd.to_datetime(["2000-01-01", "2001-01-01"]),
        pd.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["x", "y"]),
        pd.CategoricalIndex(["p", "q"]),
    ],
)
def test_originals_stand_untouched_beside_new_rows(index):
    given = originals(index)
    before = given.copy(deep=True)
    rows = [row("n1", "a", attempts=1), row("n2", "b"), row("bad", "b", "rejected")]
    made = Synthesis.from_rows(rows, originals=given, text_column="body", label_column="queue")
    both = made.to_pandas(with_originals=True)
    pd.testing.assert_frame_equal(given, before)
    assert list(both.columns[:7]) == list(given.columns)
    assert both["smotext_source"].tolist() == ["original"] * 2 + ["synthetic"] * 2
    assert both["source"].tolist()[:2] == ["mail", "web"]
    top = both.loc[both["smotext_source"] == "original", given.columns]
    assert list(top.index) == list(given.index)
    assert both.index.names == given.index.names
    assert both.index.is_unique
    pd.testing.assert_frame_equal(
        top.reset_index(drop=True), given.reset_index(drop=True), check_dtype=False
    )
    assert both["queue"].dtype == "category"
    assert both["id"].dtype == "UInt8"
    assert both["body"].tolist()[2:] == ["n1", "n2"]
    assert len(made.to_pandas(with_originals=True, rejected=True)) == 5


def test_new_rows_continue_an_integer_index():
    made = Synthesis.from_rows(
        [row("n")], originals=pd.DataFrame({"text": ["o"], "label": ["a"]}, [41])
    )
    assert made.to_pandas(with_originals=True).index.tolist() == [41, 42]


def test_no_new_rows_leave_the_originals_types():
    given = originals(pd.RangeIndex(2))
    made = Synthesis.from_rows([], originals=given, text_column="body", label_column="queue")
    pd.testing.assert_frame_equal(made.to_pandas(with_originals=True)[given.columns], given)


def test_own_column_names_are_used():
    made = Synthesis.from_rows([row("n")], text_column="reason", label_column="status")
    frame = made.to_pandas()
    assert frame["reason"].tolist() == ["n"]
    assert frame["status"].tolist() == ["a"]
    assert frame["smotext_status"].tolist() == ["accepted"]
    assert frame.columns.is_unique


def test_originals_that_do_not_fit_are_refused():
    with pytest.raises(DataError, match=r"no column 'bdy' \(did you mean 'body'"):
        Synthesis.from_rows([], originals=originals(None), text_column="bdy", label_column="queue")
    with pytest.raises(DataError, match="kept no originals"):
        Synthesis.from_rows([row("a")]).to_pandas(with_originals=True)
    twice = pd.DataFrame([["a", "b", "c"]], columns=["text", "label", "label"])
    with pytest.raises(DataError, match="two columns named 'label'"):
        Synthesis.from_rows([], originals=twice)


def test_concat_joins_rows_and_refuses_other_originals(made):
    both = Synthesis.concat([made, made])
    assert len(both) == 4
    assert both.info == made.info
    assert both.frame["seed"].tolist()[:5] == both.frame["seed"].tolist()[5:]
    other = Synthesis(made.frame, info={"k": 6})
    assert Synthesis.concat([made, other]).info == {"parts": [made.info, other.info]}
    third = Synthesis.concat([Synthesis.concat([made, other]), made])
    assert third.info == {"parts": [made.info, other.info, made.info]}
    stranger = Synthesis(made.frame, originals=pd.DataFrame({"text": ["x"], "label": ["a"]}))
    with pytest.raises(ParameterError, match="different originals"):
        Synthesis.concat([made, stranger])
    with pytest.raises(ParameterError, match="at least one"):
        Synthesis.concat([])


def test_result_survives_a_pickle(made):
    pd.testing.assert_frame_equal(pickle.loads(pickle.dumps(made)).frame, made.frame)


# -- files ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["o.csv", "o.csv.gz", "o.jsonl", "o.jsonl.gz", "o.parquet"])
def test_hostile_texts_come_back_to_the_letter(hostile, tmp_path, name):
    path = tmp_path / name
    getattr(hostile, f"to_{name.split('.')[1]}")(path)
    back = load_dataset(path)
    assert back["text"].tolist() == HOSTILE
    assert back["label"].tolist() == hostile.frame["label"].tolist()


def test_csv_holds_lists_as_json(made, tmp_path):
    made.to_csv(tmp_path / "o.csv", rejected=True)
    back = pd.read_csv(tmp_path / "o.csv", dtype={"seed": "UInt64"})
    assert len(back) == 5
    assert json.loads(back["parents"][0]) == [0, 1]
    assert json.loads(back["label_weights"][1]) == {"a": 0.25, "b": 0.75}
    assert back["seed"][0] == 2**64 - 1


def test_jsonl_holds_lists_numbers_and_nulls(made, tmp_path):
    made.to_jsonl(tmp_path / "o.jsonl")
    first, second = map(json.loads, (tmp_path / "o.jsonl").read_text("utf-8").splitlines())
    assert first["parents"] == [0, 1]
    assert first["seed"] == 2**64 - 1
    assert first["cosine_to_nearest_real"] is None
    assert second["label_weights"] == {"a": 0.25, "b": 0.75}


def test_parquet_holds_lists_and_the_provenance(made, tmp_path):
    made.to_parquet(tmp_path / "o.parquet")
    back = pd.read_parquet(tmp_path / "o.parquet")
    assert back["parents"][0].tolist() == [0, 1]
    assert back["seed"].tolist() == [2**64 - 1, 2**63 + 1]
    noted = json.loads(pq.read_schema(tmp_path / "o.parquet").metadata[b"smotext_lab"])
    assert noted["info"] == {"llm": "tiny", "k": 5}
    assert noted["version"]


def test_what_was_written_as_parquet_is_read_back(made, tmp_path):
    made.to_parquet(tmp_path / "o.parquet", rejected=True)
    back = Synthesis.from_parquet(tmp_path / "o.parquet")
    pd.testing.assert_frame_equal(back.frame, made.frame)
    assert back.info == made.info


def test_new_rows_alone_are_read_back_from_a_file_with_originals(made, tmp_path):
    given = pd.DataFrame({"body": ["o", "p"], "queue": ["a", "b"], "source": [1, 2]})
    names = {"text_column": "body", "label_column": "queue"}
    whole = Synthesis(made.frame, originals=given, info=made.info, **names)
    whole.to_parquet(tmp_path / "o.parquet", with_originals=True)
    back = Synthesis.from_parquet(tmp_path / "o.parquet")
    pd.testing.assert_frame_equal(back.frame, made.accepted.reset_index(drop=True))
    assert (back.text_column, back.label_column) == ("body", "queue")


def test_files_that_are_no_synthesis_are_not_read_as_one(made, tmp_path):
    made.to_csv(tmp_path / "o.csv")
    made.to_pandas().drop(columns=["label_weights"]).to_parquet(tmp_path / "plain.parquet")
    for name in ("o.csv", "plain.parquet", "missing.parquet"):
        with pytest.raises(DataError, match="use load_dataset"):
            Synthesis.from_parquet(tmp_path / name)
    frame = pq.read_table(tmp_path / "plain.parquet")
    broken = {b"smotext_lab": b'{"columns": {"text": "text"'}
    pq.write_table(frame.replace_schema_metadata(broken), tmp_path / "broken.parquet")
    with pytest.raises(DataError, match="no whole file"):
        Synthesis.from_parquet(tmp_path / "broken.parquet")
    broken = {b"smotext_lab": b'{"columns": {"text": "text", "reason": "why"}, "info": {}}'}
    pq.write_table(frame.replace_schema_metadata(broken), tmp_path / "broken.parquet")
    with pytest.raises(DataError, match="lacks the columns why"):
        Synthesis.from_parquet(tmp_path / "broken.parquet")


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_user_s_index_is_written(tmp_path, kind):
    given = pd.DataFrame({"text": ["o"], "label": ["a"]}, index=pd.Index(["k7"], name="key"))
    made = Synthesis.from_rows([row("n", "b")], originals=given)
    getattr(made, f"to_{kind}")(tmp_path / f"o.{kind}", with_originals=True)
    back = load_dataset(tmp_path / f"o.{kind}")
    keys = back.index if kind == "parquet" else back["key"]
    assert list(keys) == ["k7", "synthetic-0"]


def test_parquet_refuses_what_it_cannot_hold(tmp_path):
    given = pd.DataFrame({"text": ["o", "p"], "label": ["a", "a"], "x": [1, "one"]})
    made = Synthesis.from_rows([row("n")], originals=given)
    with pytest.raises(DataError, match="JSON Lines"):
        made.to_parquet(tmp_path / "o.parquet", with_originals=True)
    assert list(tmp_path.iterdir()) == []


def test_standard_output_and_open_files_are_written_to(made, monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii", newline="\r\n"))
    made.to_jsonl("-")
    text, binary = io.StringIO(), io.BytesIO()
    made.to_jsonl(text)
    made.to_jsonl(binary)
    assert raw.getvalue() == binary.getvalue() == text.getvalue().encode()
    assert binary.getvalue().count(b"\n") == 2


def test_failed_write_leaves_the_old_file_and_nothing_else(made, tmp_path, monkeypatch):
    path = tmp_path / "o.csv"
    path.write_text("before")

    def fail(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writing.os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        made.to_csv(path)
    assert path.read_text() == "before"
    assert [p.name for p in tmp_path.iterdir()] == ["o.csv"]


def test_writing_keeps_a_file_s_mode_and_follows_a_link(made, tmp_path):
    real, link = tmp_path / "real.csv", tmp_path / "link.csv"
    real.write_text("before")
    real.chmod(0o640)
    link.symlink_to(real)
    made.to_csv(link)
    assert link.is_symlink()
    assert real.read_text() != "before"
    assert stat.S_IMODE(real.stat().st_mode) == 0o640


def test_impossible_targets_are_refused(made, tmp_path):
    with pytest.raises(ParameterError, match="does not exist"):
        made.to_csv(tmp_path / "no" / "o.csv")
    with pytest.raises(ParameterError, match="is a folder"):
        made.to_csv(tmp_path)


# -- display ----------------------------------------------------------------------------


class Page(HTMLParser):
    def __init__(self, html):
        super().__init__()
        self.tags, self.text, self.attributes = set(), "", []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.text += data


def test_html_shows_texts_and_runs_none_of_them(hostile):
    html = hostile._repr_html_()
    page = Page(html)
    known = {"style", "div", "strong", "table", "thead", "tbody", "tr", "th", "td"}
    assert page.tags <= known | {"bdi", "span", "details", "summary"}
    assert not any(name.startswith("on") for name, _ in page.attributes)
    assert HOSTILE[0] in page.text
    assert "$x$" in page.text
    assert "{{" not in html
    assert "\u202e" not in html
    assert "U+202E" in page.text
    assert "mathjax_ignore" in html
    assert "<i>" in page.text


def test_html_folds_a_long_text_and_holds_it_once_and_not_whole():
    text = "".join(chr(0x4E00 + i % 20_000) for i in range(50_000))
    html = Synthesis.from_rows([row(text)])._repr_html_()
    assert "<details>" in html
    assert html.count(text[:50]) == 1
    assert text[3_000:3_050] in html
    assert len(html) < 10_000
    assert "46,000 more characters" in html


def test_html_names_counts_and_the_reasons_of_rejects(made):
    text = Page(made._repr_html_()).text
    assert "2 texts, 3 classes, 3 rejected" in text
    assert "rejected, copy: 2" in text
    assert "0.50" in text


def test_mime_bundle_follows_include_and_exclude(made):
    assert set(made._repr_mimebundle_()) == {"text/plain", "text/html"}
    assert set(made._repr_mimebundle_(include=["text/plain"])) == {"text/plain"}
    assert set(made._repr_mimebundle_(exclude=["text/plain"])) == {"text/html"}


def test_repr_is_a_few_short_lines():
    made = Synthesis.from_rows([row("x\n" * 40_000, f"class {i}") for i in range(30)])
    assert len(repr(made).splitlines()) == 3
    assert len(repr(made)) < 400


def test_short_cells_of_a_table_are_not_broken_and_the_users_rows_are_set_off():
    frame = pd.DataFrame({"text": ["a text of more than twenty letters", "short"], "n": [1, 2]})
    page = texts_table(frame, given=[True, False])
    first, second = page.split("<tbody>")[1].split("</tr>")[:2]
    assert first.startswith("<tr class=smotext-given><td><bdi>a text")
    assert second.startswith("<tr><td class=smotext-short><bdi>short")
    assert first.endswith("<td class=smotext-short><bdi>1</bdi></td>")
