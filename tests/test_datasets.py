import gzip
import io
import json
import sys
import types

import numpy as np
import pandas as pd
import pytest

from smotext_lab.datasets import DataWarning, as_given, bbc, datasets, given_names, load_dataset
from smotext_lab.errors import DataError, ParameterError
from smotext_lab.models import provision

HOSTILE = [
    "<script>alert('x')</script> & <b>",
    "{{ 7 * 7 }} {% raw %} $x$ \\(y\\)",
    "\u202eright to left\u202c שלום",
    "line\r\nline\nlone\rreturn\ttab, \"quoted\" 'it'; 😀👨‍👩‍👧 \u2028end",
    "NA",
    "null",
    "  leading and trailing  ",
    "=1+1",
    "\x00nul\x1b[31m",
    "long " * 10_000,
]


@pytest.fixture
def hostile():
    return pd.DataFrame({"text": HOSTILE, "label": ["a", "b"] * 5})


@pytest.fixture
def write(tmp_path):
    def write(name, data):
        path = tmp_path / name
        path.write_bytes(data if isinstance(data, bytes) else data.encode("utf-8"))
        return path

    return write


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.parquet", "a.csv.gz"])
def test_hostile_texts_are_read_to_the_letter(hostile, tmp_path, name):
    path = tmp_path / name
    if name.endswith(".parquet"):
        hostile.to_parquet(path)
    elif name.endswith(".jsonl"):
        rows = hostile.to_dict("records")
        path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), "utf-8")
    else:
        hostile.to_csv(path, index=False, sep="\t" if ".tsv" in name else ",", quoting=1)
    frame = load_dataset(path)
    assert frame["text"].tolist() == HOSTILE
    assert frame["label"].tolist() == ["a", "b"] * 5


def test_frame_keeps_index_columns_and_types_and_is_not_changed():
    given = pd.DataFrame(
        {
            "id": np.array([7, 8, 9], dtype="uint8"),
            "body": ["x", "y", " "],
            "queue": pd.Categorical(["a", "b", "a"]),
            "when": pd.to_datetime(["2020", "2021", "2022"]),
        },
        index=pd.Index(["k1", "k2", "k3"], name="key"),
    )
    before = given.copy(deep=True)
    with pytest.warns(DataWarning, match="1 row with an empty text dropped"):
        frame = load_dataset(given)
    pd.testing.assert_frame_equal(given, before)
    assert given.attrs == {}
    assert given_names(frame) == ("body", "queue")
    assert list(frame.columns) == ["id", "text", "label", "when", "split"]
    pd.testing.assert_frame_equal(as_given(frame), before.iloc[:2])


def test_column_of_a_role_s_name_makes_way_and_comes_back():
    given = pd.DataFrame({"text": ["short", "brief"], "body": ["c", "d"], "label": [1, 2]})
    frame = load_dataset(given, text="body")
    assert frame["text"].tolist() == ["c", "d"]
    assert frame["text_given"].tolist() == ["short", "brief"]
    pd.testing.assert_frame_equal(as_given(frame), given)


@pytest.mark.parametrize(
    ("labels", "dtype"),
    [([1, 2], "int64"), ([True, False], "bool"), ([1.5, 2.5], "float64"), (["1", "2"], "str")],
)
def test_labels_keep_their_type(labels, dtype):
    given = pd.DataFrame({"text": ["x", "y"], "label": pd.Series(labels, dtype=dtype)})
    frame = load_dataset(given)
    assert frame["label"].dtype == given["label"].dtype
    assert frame["label"].tolist() == labels


def test_csv_cells_become_numbers_only_where_nothing_is_lost(write):
    path = write("a.csv", "text,label,code,n,gap,flag\na,0,007,1,1,True\nb,1,1.50,2,,False\n")
    frame = load_dataset(path)
    assert frame["label"].tolist() == [0, 1]
    assert frame["label"].dtype == "int64"
    assert frame["code"].tolist() == ["007", "1.50"]
    assert frame["n"].dtype == "int64"
    assert frame["gap"].isna().tolist() == [False, True]
    assert frame["gap"][0] == 1
    assert frame["flag"].dtype == "bool"


@pytest.mark.parametrize("cell", ["inf", "1e3", "+1", " 1", "9999999999999999999999", "0x1"])
def test_csv_cells_that_only_resemble_numbers_stay_strings(write, cell):
    frame = load_dataset(write("a.csv", f"text,label,x\na,p,{cell}\nb,q,{cell}\n"))
    assert frame["x"].tolist() == [cell, cell]


def test_semicolons_are_found_and_tabs_in_tsv(write):
    assert load_dataset(write("a.csv", "text;label\na, b;x\nc;y\n"))["text"][0] == "a, b"
    assert load_dataset(write("a.tsv", "text\tlabel\na, b\tx\nc\ty\n"))["text"][0] == "a, b"


def test_missing_texts_and_labels_are_counted_and_dropped(write):
    lines = [
        {"text": "a", "label": 1},
        {"text": None, "label": 1},
        {"text": " \u200b\n", "label": 1},
        {"text": "b", "label": None},
        {"text": "c", "label": 2},
        {"label": 2},
    ]
    path = write("a.jsonl", "\n".join(map(json.dumps, lines)))
    with pytest.warns(DataWarning) as caught:
        frame = load_dataset(path)
    assert [str(w.message) for w in caught] == [
        "a.jsonl: 2 rows without a text dropped",
        "a.jsonl: 1 row with an empty text dropped",
        "a.jsonl: 1 row without a label dropped",
    ]
    assert caught[0].filename == __file__
    assert frame.index.tolist() == [0, 4]
    assert frame["label"].to_numpy().dtype == "int64"


@pytest.mark.parametrize(
    ("duplicates", "left", "done"),
    [
        ("keep", [0, 1, 2, 3], r"kept \(duplicates='drop' leaves them out\)"),
        ("drop", [0, 2, 3], "dropped"),
    ],
)
def test_repeats_are_counted_and_kept_or_dropped(duplicates, left, done):
    given = pd.DataFrame({"text": ["a", "a", "b", "a"], "label": [1, 1, 2, 2]})
    with (
        pytest.warns(DataWarning, match=f"1 row repeating an earlier text and label {done}$"),
        pytest.warns(DataWarning, match="1 text with more than one label"),
    ):
        assert load_dataset(given, duplicates=duplicates).index.tolist() == left


def test_whole_numbers_in_json_stay_whole_beside_gaps(write):
    big = 2**62 + 1
    path = write("a.jsonl", f'{{"text":"a","label":1,"id":{big}}}\n{{"text":"b","label":2}}\n')
    frame = load_dataset(path)
    assert frame["id"][0] == big
    assert frame["id"].isna().tolist() == [False, True]


def test_one_class_warns_and_is_returned():
    with pytest.warns(DataWarning, match="all rows have the label 'x'"):
        assert len(load_dataset(pd.DataFrame({"text": ["a", "b"], "label": ["x", "x"]}))) == 2


def test_half_a_surrogate_pair_is_replaced_and_counted(write):
    path = write("a.jsonl", '{"text": "a\\ud83d!", "label": 1}\n{"text": "b", "label": 2}\n')
    with pytest.warns(DataWarning, match="1 row with broken characters"):
        assert load_dataset(path)["text"].tolist() == ["a\ufffd!", "b"]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"text": [1, 2], "label": [1, 2]}, "text column 'text' holds int values, such as '1'"),
        ({"text": ["a", b"b"], "label": [1, 2]}, "holds bytes values"),
        ({"text": ["a", "b"], "label": [[1], [2]]}, "not the list"),
        ({"text": ["a", "b"], "label": [1, "1"]}, "labels are of several kinds"),
        ({"text": [None, ""], "label": [1, 2]}, "no row with a text and a label"),
        ({"text": [], "label": []}, "no row with a text and a label"),
        ({"body": ["a"], "title": ["b"], "label": [1]}, "could be 'body', 'title'"),
        ({"x": ["a"], "label": [1]}, "none of the usual names; say text= one of 'x', 'label'"),
    ],
)
def test_unusable_frames_are_refused_with_the_reason(data, said):
    with pytest.raises(DataError, match=said):
        load_dataset(pd.DataFrame(data))


def test_mistyped_column_is_refused_with_the_near_one():
    given = pd.DataFrame({"body": ["a"], "queue": ["b"]})
    with pytest.raises(DataError, match=r"no column 'bdy' \(did you mean 'body'\?\).*'queue'"):
        load_dataset(given, text="bdy")


def test_columns_named_twice_or_for_two_roles_are_refused():
    twice = pd.DataFrame([["a", "b", 1]], columns=["text", "text", "label"])
    with pytest.raises(DataError, match="2 columns named 'text'"):
        load_dataset(twice)
    with pytest.raises(ParameterError, match="a column each"):
        load_dataset(pd.DataFrame({"text": ["a"], "label": [1]}), label="text")


def test_wrong_encoding_names_the_place_and_the_way_out(write):
    path = write("a.csv", "text,label\nok,a\ncafé,b\n".encode("cp1252"))
    with pytest.raises(DataError, match=r"0xe9 at offset 19 \(line 3\).*encoding='cp1252'"):
        load_dataset(path)
    assert load_dataset(path, encoding="cp1252")["text"].tolist() == ["ok", "café"]
    with pytest.raises(ParameterError, match="Unknown encoding 'cp12525'"):
        load_dataset(path, encoding="cp12525")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_byte_order_marks_are_understood(write, encoding):
    path = write("a.csv", "text,label\nok,a\ncafé,b\n".encode(encoding))
    assert load_dataset(path)["text"].tolist() == ["ok", "café"]


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.csv", b"", "is empty"),
        ("a.csv", b"text,label\nok,a\nx,b,c\n", "Expected 2 fields in line 3"),
        ("a.csv", b"text,label\nok,a,2\nx,b,c\n", "header"),
        ("a.csv", b'text,label\n"ok,a\nx,b\n', "EOF inside string"),
        ("a.csv.gz", gzip.compress(b"text,label\n" * 99, mtime=0)[:-9], "damaged gzip"),
        ("a.jsonl", b'{"text": "a", "label": 1}\n{"text"\n', "line 2 is not JSON"),
        ("a.jsonl", b'{"text": "a", "label": 1}\n3\n', "record 2 is not an object"),
        ("a.parquet", b"PAR1nothing", "cannot be read as Parquet"),
        ("a.dat", b"text", "Cannot tell the format"),
    ],
)
def test_broken_files_are_refused_with_the_reason(write, name, data, said):
    with pytest.raises(DataError, match=said):
        load_dataset(write(name, data))


def test_json_array_of_objects_is_read(write):
    path = write("a.json", '[{"text": "a", "label": 1}, {"text": "b", "label": 2}]')
    assert load_dataset(path)["text"].tolist() == ["a", "b"]


@pytest.mark.parametrize(
    "data", ['{"text": "a", "label": 1}\n{"text": "b", "label": 2}', "text,label\na,1\nb,2\n"]
)
def test_standard_input_is_recognised_by_its_start(monkeypatch, data):
    monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=io.BytesIO(data.encode())))
    frame = load_dataset("-")
    assert frame["text"].tolist() == ["a", "b"]
    assert frame["label"].tolist() == [1, 2]


def test_format_can_be_named(write):
    assert len(load_dataset(write("a.dat", "text\tlabel\na\t1\nb\t2\n"), file_format="tsv")) == 2
    with pytest.raises(ParameterError, match="did you mean 'jsonl'"):
        load_dataset("-", file_format="json")


def test_split_column_is_used_where_there_is_one():
    given = pd.DataFrame({"text": ["a", "b"], "label": [1, 2], "fold": ["dev", "train"]})
    assert load_dataset(given, split="fold")["split"].tolist() == ["dev", "train"]
    assert load_dataset(given)["split"].tolist() == ["train", "train"]  # no test texts


def test_a_column_that_says_train_and_test_is_the_split_whatever_its_name():
    given = pd.DataFrame(
        {"text": ["a", "b", "c"], "label": [1, 2, 1], 0: ["Train ", "test", None], "n": [1, 2, 3]}
    )
    assert load_dataset(given)["split"].tolist()[:2] == ["Train ", "test"]
    for other in (
        given.assign(again=["train", "test", "dev"]),  # which of the two?
        given.drop(columns=0).assign(where=["train", "test", "bus"]),
    ):
        assert load_dataset(other)["split"].tolist() == ["train"] * 3
    parts = given.drop(columns=[0, "label"]).assign(label=["train", "test", "train"])
    assert load_dataset(parts)["split"].tolist() == ["train"] * 3  # the labels are no parts
    back = load_dataset(given.assign(split_=["a"] * 3))
    assert back.attrs["smotext_lab"]["renamed"]["split"] == 0


def test_unknown_name_is_refused_with_the_near_one():
    with pytest.raises(DataError, match=r"'bbc_title' \(did you mean 'bbc_titles'\?\)"):
        load_dataset("bbc_title")
    with pytest.raises(DataError, match=r"no file and no built-in set 'data/a\.csv'"):
        load_dataset("data/a.csv")
    with pytest.raises(DataError, match="not int"):
        load_dataset(3)
    with pytest.raises(ParameterError, match="did you mean 'drop'"):
        load_dataset("bbc", duplicates="dropp")


def test_hub_without_its_package_names_the_install_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DataError, match=r"pip install 'smotext-lab\[hub\]'"):
        load_dataset("owner/name")


def test_hub_classes_come_by_name_and_splits_as_a_column(monkeypatch):
    def part(labels):
        frame = pd.DataFrame({"text": [f"t{i}{labels}" for i in labels], "label": labels})
        features = {"text": object(), "label": types.SimpleNamespace(names=["neg", "pos"])}
        return types.SimpleNamespace(to_pandas=lambda: frame, features=features)

    def load(name, config, *, revision):
        assert (name, config, revision) == ("owner/name", "plain", "v1")
        return {"train": part([0, 1]), "test": part([1, -1])}

    monkeypatch.setitem(sys.modules, "datasets", types.SimpleNamespace(load_dataset=load))
    with pytest.warns(DataWarning, match="1 row without a label"):
        frame = load_dataset("owner/name", config="plain", revision="v1")
    assert frame["label"].tolist() == ["neg", "pos", "pos"]
    assert frame["split"].tolist() == ["train", "train", "test"]


@pytest.fixture
def small_bbc(tmp_path, monkeypatch):
    articles = {
        "sports/001": b"Cup won\n\nThe cup was won by a rover on Sunday. Fans sang.\n\nMore.",
        "sports/199": b"Mutu fee\n\nA fee of \xa315.8m was paid for Mutu by the club.",
        "tech/001": b"Cup won\n\nA robot cup was played in a hall near Lisbon.",
        "tech/002": b"Chips\n\nThe cup was won by a rover on Sunday. Fans sang.\n\nMore.",
    }
    for name, data in articles.items():
        path = tmp_path / f"{name}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    monkeypatch.setattr(provision, "provide", lambda wheel: tmp_path)


@pytest.mark.usefixtures("small_bbc")
@pytest.mark.filterwarnings("ignore::smotext_lab.datasets.DataWarning")
def test_bbc_offers_articles_titles_and_leads():
    assert load_dataset("bbc_titles")["text"].tolist() == [
        "Cup won",
        "Mutu fee",
        "Cup won",
        "Chips",
    ]
    leads = load_dataset("bbc_leads")["text"]
    assert leads[0] == "The cup was won by a rover on Sunday."
    assert leads[1] == "A fee of £15.8m was paid for Mutu by the club."
    articles = load_dataset("bbc_news")
    assert articles["text"][0].endswith("Fans sang.\n\nMore.")
    assert articles["article"].tolist() == ["sport/001", "sport/199", "tech/001", "tech/002"]
    assert articles["label"].tolist() == ["sport", "sport", "tech", "tech"]


@pytest.mark.usefixtures("small_bbc")
def test_bbc_articles_that_share_a_part_share_the_split(monkeypatch):
    # 0 and 2 share a title, 0 and 3 a body: with a test share of one half of the hash range
    # around the group's hash, the rest must follow the group
    for share in (0.0, 0.3, 0.6, 1.0):
        monkeypatch.setattr(bbc, "TEST_SHARE", share)
        split = bbc.read("body")["split"]
        assert split[0] == split[2] == split[3]
    assert (split == "test").all()


def test_listing_the_built_in_sets_fetches_nothing(monkeypatch, tmp_path):
    monkeypatch.setenv("SMOTEXT_LAB_CACHE", str(tmp_path / "none"))
    monkeypatch.setattr(provision, "provide", lambda wheel: pytest.fail("fetched"))
    listed = datasets()
    assert {d.name for d in listed} == {"bbc", "bbc_titles", "bbc_leads"}
    assert all(d.rows == 2225 and d.classes == 5 and "research" in d.licence for d in listed)
    assert not (tmp_path / "none").exists()


@pytest.mark.real
def test_bbc_is_the_published_collection():
    with pytest.warns(DataWarning, match="133 rows repeating"):
        frame = load_dataset("bbc")
    counts = {"business": 510, "entertainment": 386, "politics": 417, "sport": 511, "tech": 401}
    assert frame["label"].value_counts().to_dict() == counts
    share = frame.groupby("label")["split"].apply(lambda s: (s == "test").mean())
    assert share.between(0.15, 0.25).all()
    tests = set(frame.loc[frame["split"] == "test", "text"])
    assert tests.isdisjoint(frame.loc[frame["split"] == "train", "text"])
    assert "£15.8m" in frame.set_index("article").loc["sport/199", "text"]
