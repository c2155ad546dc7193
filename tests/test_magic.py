"""The magic as it is typed: real parsing, a fresh shell each, tiny random models."""

from __future__ import annotations

import builtins
import json
import signal
import subprocess
import sys
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell
from papermill import PapermillExecutionError, execute_notebook
from traitlets.config import Config

from smotext_lab import (
    BertEncoder,
    InterpolationExplorer,
    LatentMap,
    RandomPairInterpolator,
    Synthesis,
    TextPath,
    XRAGDecoder,
    equipment,
)
from smotext_lab.errors import DataError, ModelError, ParameterError
from smotext_lab.guards import Guards
from smotext_lab.guards.blocked import BlockedWords
from smotext_lab.guards.screen import NOT_SHOWN
from smotext_lab.jupyter import options
from smotext_lab.jupyter.bodies import texts_between, without_empty_body
from smotext_lab.jupyter.magic import Interrupted
from smotext_lab.reports import Report

PAIR = "rain snow wind.\n---\nbank rate share.\n"
OPEN = "--no-guards --guard max_copy_cosine=none --max-new-tokens 8"


class Shell:
    """A fresh IPython with the extension loaded."""

    def __init__(self, ip: InteractiveShell) -> None:
        self.ip = ip
        self.names = ip.user_ns
        self.run("%load_ext smotext_lab")

    @property
    def magics(self):
        return self.ip.magics_manager.registry["SmotextMagics"]

    def run(self, cell: str):
        """Run a cell that works and return its value."""
        done = self.ip.run_cell(cell, store_history=True)
        done.raise_error()
        return done.result

    def fail(self, cell: str) -> BaseException:
        """Run a cell that fails and return its error."""
        done = self.ip.run_cell(cell, store_history=True)
        assert done.error_in_exec is not None
        return done.error_in_exec

    def offered(self, line: str) -> list[str]:
        """Return the lines that the Tab key makes of this one."""
        with provisionalcompleter():
            found = list(self.ip.Completer.completions(line, len(line)))
        return [line[: one.start] + one.text + line[one.end :] for one in found]


@pytest.fixture
def bare():
    """Return a fresh shell with the extension and the default models."""
    equipment.unload()
    InteractiveShell.clear_instance()
    config = Config({"HistoryManager": {"enabled": False}, "colors": "nocolor"})
    with pytest.MonkeyPatch.context() as patch:
        # where doctest has run before, the name is taken, and IPython then leaves `_` alone
        patch.delattr(builtins, "_", raising=False)
        yield Shell(InteractiveShell.instance(config=config))
    InteractiveShell.clear_instance()
    equipment.unload()


@pytest.fixture
def shell(bare, tiny_encoder, tiny_llm, tiny_bridge, topics):
    """Return one whose defaults are tiny models, with a frame of tickets."""
    for name, folder in (("encoder", tiny_encoder), ("llm", tiny_llm), ("bridge", tiny_bridge)):
        bare.run(f"%config SmotextMagics.{name} = {str(folder)!r}")
    bare.run("%config SmotextMagics.n_candidates = 1")
    bare.run("%config SmotextMagics.random_state = 3")
    texts, labels = topics(money=12, sport=7, weather=5)
    bare.names["tickets"] = pd.DataFrame({"id": range(24), "body": texts, "queue": labels})
    return bare


def stopped_after(monkeypatch, rows: int) -> None:
    """Let the user press stop once the decoder has given so many rows."""
    whole = XRAGDecoder.decode_rows

    def decode_rows(self, vectors, **given):
        for done, decoded in enumerate(whole(self, vectors, **given)):
            if done == rows:
                signal.raise_signal(signal.SIGINT)
            yield decoded

    monkeypatch.setattr(XRAGDecoder, "decode_rows", decode_rows)


# --- the extension ----------------------------------------------------------------------------


def test_loading_imports_nothing_heavy():
    code = (
        "import json, sys\n"
        "from IPython.core.interactiveshell import InteractiveShell\n"
        "ip = InteractiveShell.instance()\n"
        "before = set(sys.modules)\n"
        "ip.run_line_magic('load_ext', 'smotext_lab')\n"
        "assert ip.find_cell_magic('smotext')\n"
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert "smotext_lab.jupyter.magic" in loaded
    assert not loaded & {"torch", "transformers", "sklearn", "pandas", "papermill", "altair"}


def test_reloading_and_unloading_leave_one_or_none(shell):
    shell.run("%reload_ext smotext_lab")
    assert len(shell.offered("%smotext generate --temp")) == 1
    assert shell.ip.input_transformers_cleanup.count(without_empty_body) == 1
    assert sum(type(c).__name__ == "SmotextMagics" for c in shell.ip.configurables) == 1
    shell.run("%unload_ext smotext_lab")
    assert shell.ip.find_line_magic("smotext") is None
    assert shell.ip.find_cell_magic("smotext") is None
    assert shell.offered("%smotext generate --temp") == []


# --- help -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cell", ["%smotext --help", "%%smotext --help", "%%smotext\n\n", "%smotext"]
)
def test_the_first_page_lists_the_subcommands(shell, capsys, cell):
    shell.run(cell)
    page = capsys.readouterr().out
    for name, about in options.COMMANDS.items():
        assert f"  {name:<10}{about}" in page


@pytest.mark.parametrize("command", options.COMMANDS)
@pytest.mark.parametrize("cell", ["%smotext {} --help", "%%smotext {} -h\n", "%%smotext {} -h\nx"])
def test_every_subcommand_has_a_page_of_its_own(shell, capsys, command, cell):
    assert shell.run(cell.format(command)) is None
    page = capsys.readouterr().out
    assert page.startswith("usage: %")
    assert options.COMMANDS[command] in page
    assert "examples:\n  %" in page
    assert "{'prog'" not in page


def test_a_question_mark_shows_the_first_page(shell, capsys):
    shell.run("%smotext?")
    assert "Walk from one text to the next" in capsys.readouterr().out


def test_options_are_named_and_default_as_in_the_library():
    import inspect

    from smotext_lab import SMOTExT, text_path

    def defaults(function):
        found = inspect.signature(function).parameters.values()
        return {p.name: p.default for p in found if p.default is not p.empty}

    library = {**defaults(XRAGDecoder), **defaults(SMOTExT)}
    given = vars(options.parser_of("generate").read(["tickets"]))
    shared = ["max_attempts", "max_blends", "blending", "long_texts", "strict", "random_state"]
    shared += ["guidance_scale"]
    assert {name: given[name] for name in shared} == {name: library[name] for name in shared}
    walk = vars(options.parser_of("path").read([]))
    shared = ["steps", "blending", "random_state"]
    theirs = defaults(text_path)
    assert {name: walk[name] for name in shared} == {name: theirs[name] for name in shared}
    taken = {"temperature", "top_p", "top_k", "max_new_tokens", "n_candidates", "prompt", "llm"}
    assert taken | {"encoder", "bridge"} <= set(library) & set(given)
    for option in (
        "temperature",
        "top_p",
        "top_k",
        "max_new_tokens",
        "n_candidates",
        "corrections",
    ):
        action = options.parser_of("generate").action_of(f"--{option.replace('_', '-')}")
        assert f"(default: {library[option]})" in action.help


# --- path -------------------------------------------------------------------------------------


def test_a_body_without_a_frame_is_a_path(shell):
    path = shell.run(f"%%smotext --steps 4\n{PAIR}")
    assert isinstance(path, TextPath)
    assert path.texts == ["rain snow wind.", "bank rate share."]
    assert path.to_pandas()["lambda"].round(2).tolist() == [0, 0.33, 0.67, 1]
    assert shell.names["_"] is path
    assert shell.run("%smotext last") is path


def test_a_path_may_have_several_legs(shell):
    path = shell.run(f"%%smotext path --steps 2 --blending slerp\n{PAIR}---\ngoal team.")
    assert path.frame["start"].tolist() == [0, 0, 1]
    assert path.info["blending"] == "slerp"


def test_the_body_is_taken_to_the_letter(shell):
    shell.names.update(secret="leaked", y="leaked")
    texts = [
        "{secret} $secret {{y}} %s %(y)s \\n '\" `!ls` %time ?",
        "\t\tindented\n\n  and so on 🎈 \u202e ‑ ٣ $$x^2$$ <img onerror=alert(1)>",
        "long " * 4_000,
    ]
    path = shell.run("%%smotext --steps 2\n" + "\n---\n".join(texts))
    assert path.texts == texts


@pytest.mark.parametrize("cell", ["%%smotext\nrain", "%%smotext path\nrain\n --- \nbank"])
def test_a_body_with_one_text_says_how_two_are_written(shell, cell):
    assert "put a line of --- between two texts" in str(shell.fail(cell))


def test_settings_reach_the_decoder_and_models_are_loaded_once(shell, monkeypatch):
    asked = []
    whole = XRAGDecoder.decode_rows

    def decode_rows(self, vectors, **given):
        asked.append((self.n_candidates, self.sampling.temperature, self.prompt, self._loaded))
        return whole(self, vectors, **given)

    monkeypatch.setattr(XRAGDecoder, "decode_rows", decode_rows)
    shell.run(f"%%smotext -s 2 -c 3 --temperature 0.5\n{PAIR}")
    shell.run(f"%%smotext -s 2\n{PAIR}")
    shell.run(f'%%smotext -s 2 --prompt "rain {{{{xrag}}}} snow"\n{PAIR}')
    assert [row[:3] for row in asked] == [
        (3, 0.5, None),
        (1, 0.7, None),
        (1, 0.7, "rain {xrag} snow"),
    ]
    assert asked[0][3] is asked[1][3] is not None


# --- texts from a frame -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "cell", ["%smotext {}", "%%smotext {}", "%%smotext {}\n\n", "%smotext generate {}"]
)
def test_a_frame_by_name_in_every_spelling(shell, cell):
    line = f"tickets --text body --label queue --n 6 {OPEN}"
    made = shell.run(cell.format(line))
    assert isinstance(made, Synthesis)
    assert made.counts().to_dict() == {"money": 3, "sport": 2, "weather": 1}
    assert list(made.to_pandas().columns[:2]) == ["body", "queue"]
    assert shell.names["_"] is made


def test_o_assigns_and_shows(shell, capsys):
    capsys.readouterr()
    assert shell.run(f"%smotext tickets -n 3 -o extra {OPEN}") is None
    assert isinstance(shell.names["extra"], Synthesis)
    assert "Synthesis: 3 texts" in capsys.readouterr().out
    shell.run("%config SmotextMagics.display = False")
    shell.run(f"%smotext tickets -n 3 -o quiet {OPEN}")
    assert capsys.readouterr().out == ""
    assert shell.run("%smotext last") is shell.names["quiet"]


def test_numbers_and_words_of_the_line_may_be_python_names(shell):
    shell.names.update(budget=4, per={"sport": 1, "weather": 2}, column="queue")
    assert len(shell.run(f"%smotext tickets --n $budget {OPEN}")) == 4
    assert len(shell.run(f"%smotext tickets --n {{budget - 1}} --label $column {OPEN}")) == 3
    made = shell.run(f"%smotext tickets --n per {OPEN}")
    assert made.counts().to_dict() == {"sport": 1, "weather": 2}
    made = shell.run(f"%smotext tickets --n sport=2 --n money=1 {OPEN}")
    assert made.counts().to_dict() == {"sport": 2, "money": 1}


def test_only_some_classes_may_get_new_texts(shell):
    made = shell.run(f'%smotext tickets --n 6 --only "sport weather" {OPEN}')
    assert made.counts().to_dict() == {"sport": 4, "weather": 2}


def test_the_same_random_state_gives_the_same_texts(shell):
    first, same, other = (
        shell.run(f"%smotext tickets --n 4 {OPEN} {seed}").to_pandas()["body"].tolist()
        for seed in ("", "-r 3", "--random-state 4")
    )
    assert first == same != other


def test_balance_gives_a_frame_with_the_rows_above_the_new_ones(shell, capsys):
    frame = shell.run(f"%smotext balance tickets {OPEN}")
    assert frame["queue"].value_counts().to_dict() == {"money": 12, "sport": 12, "weather": 12}
    pd.testing.assert_frame_equal(
        frame[["id", "body", "queue"]].head(24), shell.names["tickets"], check_dtype=False
    )
    assert "sport: 7 + 5 = 12" in capsys.readouterr().out
    shell.names["totals"] = {"weather": 6}
    frame = shell.run(f"%smotext balance tickets --sampling-strategy totals -o even {OPEN}")
    assert shell.names["even"]["queue"].value_counts()["weather"] == 6


def test_mix_takes_a_small_set_typed_below(shell, recwarn):
    body = (
        "weather: rain snow: wind.\n\nweather: storm cloud.\nmoney: bank rate.\nmoney: bond loan."
    )
    made = shell.run(f"%%smotext mix --n weather=2 {OPEN}\n{body}")
    assert made.originals["text"].tolist()[0] == "rain snow: wind."
    assert made.counts().to_dict() == {"weather": 2}


def test_objects_of_the_notebook_take_the_place_of_the_defaults(
    shell, tiny_encoder, tiny_llm, tiny_bridge, monkeypatch
):
    mine = BertEncoder(str(tiny_encoder))
    shell.names["my_encoder"] = mine
    shell.names["my_interpolator"] = RandomPairInterpolator()
    shell.names["my_decoder"] = XRAGDecoder(
        str(tiny_llm), tiny_bridge, encoder=mine, n_candidates=2, max_new_tokens=5
    )
    doors = "--no-guards --guard max_copy_cosine=none"
    made = shell.run(f"%smotext tickets --n 2 --interpolator my_interpolator {OPEN}")
    assert made.info["interpolator"] == "RandomPairInterpolator()"
    monkeypatch.setattr(equipment, "shared_decoder", None)  # the object's own, or it fails
    made = shell.run(f"%smotext tickets --n 2 --decoder my_decoder {doors}")
    assert made.info["decoder"] == repr(shell.names["my_decoder"])
    monkeypatch.undo()
    path = shell.run(f"%%smotext --steps 2 --encoder my_encoder --max-new-tokens 5\n{PAIR}")
    assert len(path) == 2
    assert equipment.shared_decoder(mine, str(tiny_llm), str(tiny_bridge)).is_loaded


def test_objects_may_be_the_defaults_and_config_says_which(shell):
    shell.names["blender"] = RandomPairInterpolator()
    shell.run("%config SmotextMagics.interpolator = 'blender'")
    shell.run("%config SmotextMagics.k_neighbors = 4")
    table = shell.run("%smotext config").to_pandas().set_index("default")
    assert table.loc["interpolator", "in use"] == "RandomPairInterpolator()"
    assert table.loc["n_candidates", "value"] == "1"
    assert set(table.index) == set(shell.magics.trait_names(config=True))
    made = shell.run(f"%smotext tickets --n 1 {OPEN}")
    assert made.info["interpolator"] == "RandomPairInterpolator()"
    made = shell.run(f"%smotext tickets --n 1 -i smote {OPEN}")
    assert made.info["interpolator"] == "SMOTEInterpolator(k_neighbors=4)"
    del shell.names["blender"]
    table = shell.run("%smotext config").to_pandas().set_index("default")
    assert "is nothing that is known here" in table.loc["interpolator", "in use"]


def test_what_turns_into_a_frame_and_files_serve_too(shell, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shell.names["tickets"].to_csv("more.csv", index=False)
    assert len(shell.run(f"%smotext more.csv --n 2 {OPEN}")) == 2
    first = shell.run(f"%smotext tickets --n 8 -o first {OPEN}")
    again = shell.run(f"%smotext first --text body --label queue --n 2 -k 1 {OPEN}")
    assert first is None
    assert len(again.originals) == 8


# --- widgets ----------------------------------------------------------------------------------


def test_explore_opens_the_explorer_on_a_frame_or_a_body(shell):
    made = shell.run("%smotext explore tickets --random-state 3 -o explorer")
    made = shell.names["explorer"]
    assert isinstance(made, InterpolationExplorer)
    assert (len(made.texts), made.random_state) == (24, 3)
    made.wait(60)
    typed = shell.run(f"%%smotext explore --blending slerp\n{PAIR}")
    typed.wait(60)
    assert (typed.start, typed.end, typed.blending) == (*texts_between(PAIR), "slerp")
    assert typed.text


def test_explore_may_draw_a_map(shell):
    made = shell.run("%smotext explore tickets --map")
    assert isinstance(made, LatentMap)
    assert len(made.frame) == 24


@pytest.mark.parametrize("said", ["", " --no-guards"])
def test_what_a_walk_may_not_show_is_shown_where_guards_are_off(
    shell, word_decoder, monkeypatch, said
):
    every = BlockedWords(set(word_decoder().words) - set(PAIR.replace(".", " ").split()))
    monkeypatch.setattr(Guards, "blocked", lambda guards: every if guards.blocked_words else None)
    path = shell.run(f"%%smotext -s 3{said}\n{PAIR}")
    assert (NOT_SHOWN in path.frame["text"].tolist()) == (not said)
    typed = shell.run(f"%%smotext explore{said}\n{PAIR}")
    typed.wait(60)
    assert (typed.text == NOT_SHOWN) == (not said)
    beside = shell.run(f"%%smotext compare -s 3{said}\n{PAIR}")
    beside.wait(60)
    assert (NOT_SHOWN in beside.frame["text"].tolist()) == (not said)
    drawn = shell.run(f"%smotext explore tickets --map{said}")
    assert drawn.explore(0, 9)._guards is (not said)


def test_compare_writes_the_same_points_with_several_decoders(shell):
    made = shell.run(f"%%smotext compare --steps 2\n{PAIR}")
    made.wait(120)
    assert len(made.frame) == 2 * 4
    assert made.frame["decoder"].nunique() == 4
    mine = shell.names["mine"] = next(iter(made._decoders.values()))
    again = shell.run(f"%%smotext compare --with mine --steps 2\n{PAIR}")
    again.wait(60)
    assert again._decoders == {"mine": mine}
    greedy = made.frame[made.frame["decoder"] == "greedy"]
    assert again.frame["text"].tolist() == greedy["text"].tolist()


# --- errors -----------------------------------------------------------------------------------


WRONG = [
    ("%smotext tickets --n 4 --label quue", DataError, "no column 'quue' (did you mean 'queue'?)"),
    ("%smotext tickes --n 4", ParameterError, "frame 'tickes' (did you mean 'tickets'?)"),
    ("%smotext blance tickets", ParameterError, "(did you mean 'balance'?)"),
    ("%smotext generate tickets --temprature 1", ParameterError, "(did you mean '--temperature'?)"),
    ("%smotext tickets --n many", ParameterError, "--n takes a number, or label=number"),
    ("%smotext tickets --n spork=2", ParameterError, "did you mean 'sport'?"),
    ("%smotext tickets --n 2 --only spork", DataError, "did you mean 'sport'?"),
    ("%smotext tickets --n 2 --only sport -o 2x", ParameterError, "for a variable, not '2x'"),
    ("%smotext tickets --n", ParameterError, "-n/--n: expected one argument"),
    ("%smotext tickets other", ParameterError, "has no use for the word 'other'"),
    ("%smotext tickets --blending slurp", ParameterError, "(did you mean 'slerp'?)"),
    ("%smotext tickets --interpolator smotte", ParameterError, "(did you mean 'smote'?)"),
    ("%smotext tickets --interpolator number", ParameterError, "of type int and no interpolator"),
    ("%smotext tickets --decoder my_decodr", ParameterError, "(did you mean 'my_decoder'?)"),
    ("%smotext tickets --decoder kind", ParameterError, "is a class (make one of it: kind())"),
    ("%smotext tickets --encoder number", ParameterError, "is of type int and no encoder"),
    ("%smotext tickets --encoder nobody", ParameterError, "nothing that is known here"),
    ("%smotext tickets --encoder no/such/folder", ModelError, "neither a known model"),
    ("%smotext tickets --decoder my_decoder -c 3", ParameterError, "--n-candidates has no effect"),
    ("%smotext tickets --guard max_copy=1", ParameterError, "did you mean 'max_copy_cosine'"),
    ("%smotext tickets --text it's", ParameterError, "A quotation mark is not closed"),
    ("%smotext tickets -k three", ParameterError, "takes a whole number, not 'three'"),
    ("%smotext number", DataError, "'number' is of type int, not a frame; frames here: tickets"),
    ("%smotext generate", ParameterError, "A frame is needed"),
    ("%smotext last", DataError, "There is no result yet"),
    ("%smotext path", ParameterError, "A path needs texts in the body"),
    ("%smotext mix", ParameterError, "needs lines 'label: text'"),
    ("%%smotext explore\na", DataError, "goes from one text to one other; the body has 1"),
    ("%%smotext explore --map\na\n---\nb", ParameterError, "a map needs a frame"),
    ("%%smotext explore tickets\na\n---\nb", ParameterError, "Give a frame or two texts"),
    ("%smotext compare", ParameterError, "A comparison needs texts in the body"),
    ("%%smotext compare\na", DataError, "give two or more"),
    ("%%smotext compare --with my_decodr\na\n---\nb", ParameterError, "did you mean 'my_decoder'?"),
    ("%%smotext mix\nno label here", DataError, "Line 1 of the body is not 'label: text'"),
    ("%%smotext tickets\nsomething", ParameterError, "%smotext generate takes no body"),
    ("%%smotext --steps 1\na\n---\nb", ParameterError, "at least 2"),
    ("%%smotext\na\n---\n  ", DataError, "Text 2 of 2 is blank"),
    ("%smotext report qualitatve", Exception, "did you mean 'qualitative'?"),
    ("%smotext report qualitative -p stepz=3", ParameterError, "did you mean 'steps'?"),
]  # fmt: skip


@pytest.mark.parametrize(("cell", "kind", "says"), WRONG, ids=[w[0][:50] for w in WRONG])
def test_a_wrong_call_is_one_sentence_in_red(shell, capsys, cell, kind, says):
    shell.names.update(number=3, kind=XRAGDecoder, my_decoder=XRAGDecoder.__new__(XRAGDecoder))
    capsys.readouterr()
    error = shell.fail(cell)
    assert isinstance(error, kind)
    assert says in str(error)
    shown = "".join(capsys.readouterr())
    assert f"\x1b[31m{type(error).__name__}:\x1b[0m {error}\n" in shown
    assert "Traceback" not in shown
    assert "\n" not in str(error)


def test_what_can_be_refused_is_refused_before_models_are_loaded(shell):
    for cell in ("--n spork=2", "--only spork", "--label quue", "--guard x=1", "-i smotte"):
        shell.fail(f"%smotext tickets {cell}")
    shell.fail("%smotext balance tickets --sampling-strategy sport=1")
    assert equipment.loaded() == []


def test_a_traceback_is_there_for_those_who_ask(shell, capsys):
    shell.run("%config SmotextMagics.short_errors = False")
    shell.fail("%smotext tickets --label quue")
    shown = "".join(capsys.readouterr())
    assert "Traceback" in shown
    assert "labelled.py" in shown


def test_warnings_are_sentences(shell, capsys):
    shell.names["tickets"].loc[0, "body"] = " "
    shell.run(f"%smotext tickets --n 1 {OPEN}")
    lines = capsys.readouterr().err.splitlines()
    assert "Warning: tickets: 1 row with an empty text dropped" in lines


def test_strict_fails_and_keeps_what_there_is(shell):
    refusing = "--guard min_label_probability=1 --guard label_neighbors=20 --max-blends 1"
    error = shell.fail(f"%smotext tickets --n 6 --strict -o part --no-guards {refusing}")
    assert isinstance(error, DataError)
    assert f"{len(shell.names['part'])} of 6 new texts were made" in str(error)
    assert len(shell.names["part"]) < 6


# --- interruption -----------------------------------------------------------------------------


def test_an_interruption_keeps_what_is_done_and_says_how_many(shell, monkeypatch, capsys):
    stopped_after(monkeypatch, 4)
    error = shell.fail(f"%smotext tickets --n 9 {OPEN}")
    assert isinstance(error, Interrupted)
    assert str(error) == "4 of 9 texts are finished; they are in _ and %smotext last."
    shown = "".join(capsys.readouterr())
    assert "\x1b[31mInterrupted:\x1b[0m 4 of 9" in shown
    assert "Traceback" not in shown
    assert "UserWarning" not in shown
    assert "Synthesis: 4 texts" in shown
    assert len(shell.names["_"]) == 4
    monkeypatch.undo()
    assert shell.run("%smotext last") is shell.names["_"]


def test_an_interrupted_path_is_assigned_as_far_as_it_goes(shell, monkeypatch):
    stopped_after(monkeypatch, 2)
    error = shell.fail(f"%%smotext --steps 6 -o way\n{PAIR}")
    assert str(error) == "2 of 6 texts are finished; they are in way."
    assert len(shell.names["way"]) == 2


def test_an_interruption_before_the_first_text_says_so(shell, monkeypatch):
    stopped_after(monkeypatch, 0)
    error = shell.fail(f"%smotext tickets --n 9 {OPEN}")
    assert str(error) == "nothing was finished, so nothing is kept."
    assert "no result yet" in str(shell.fail("%smotext last"))


# --- models -----------------------------------------------------------------------------------


def test_models_are_shared_and_unloaded_by_request(shell, tiny_encoder, tiny_llm, tiny_bridge):
    path = shell.run(f"%%smotext --steps 2 --max-new-tokens 4\n{PAIR}")
    assert len(path) == 2
    folders = str(tiny_encoder), str(tiny_llm)
    assert equipment.shared_decoder(*folders, str(tiny_bridge)).is_loaded
    assert "loaded too: " + ", ".join(folders) in repr(shell.run("%smotext models"))
    assert folders[1] in repr(shell.run("%smotext models --unload"))
    assert equipment.loaded() == []
    assert repr(shell.run("%smotext models --unload")) == "No model is loaded."


def test_the_first_use_shows_what_is_loaded(shell, capsys, monkeypatch):
    from smotext_lab.jupyter import equipping

    shown = []

    def load(encoder, **which):
        capsys.readouterr()
        whole(encoder, **which)
        shown.append(capsys.readouterr().err)

    whole = equipping._load
    monkeypatch.setattr(equipping, "_load", load)
    monkeypatch.setattr(equipping, "_SOON", 0)
    for _ in range(2):
        shell.run(f"%%smotext --steps 2 --max-new-tokens 4\n{PAIR}")
    assert "load tiny-llm" in shown[0]
    assert "load" not in shown[1]


# --- reports ----------------------------------------------------------------------------------


@pytest.fixture
def template(tmp_path) -> Path:
    cells = nbformat.v4
    parameters = cells.new_code_cell("n: int = 3  # how many", metadata={"tags": ["parameters"]})
    code = cells.new_code_cell("from smotext_lab.reports import record\nrecord(twice=2 * n)")
    nbformat.write(cells.new_notebook(cells=[parameters, code]), tmp_path / "own.ipynb")
    return tmp_path / "own.ipynb"


def test_report_runs_a_template_and_links_its_page(shell, template, monkeypatch):
    monkeypatch.chdir(template.parent)
    made = shell.run("%smotext report own.ipynb -p n=5 --out 'a folder' -o report")
    assert made is None
    made = shell.names["report"]
    assert isinstance(made, Report)
    assert made.metrics == {"twice": 10}
    page = made._repr_html_()
    assert '<a href="a%20folder/own.html" target="_blank">' in page
    assert "<bdi>10</bdi>" in page


def test_an_interrupted_report_says_where_what_ran_is(shell, template, monkeypatch):
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("papermill.execute_notebook", stop)
    error = shell.fail(f"%smotext report '{template}' --out '{template.parent / 'made'}'")
    assert isinstance(error, Interrupted)
    assert "a .failed.ipynb in" in str(error)


def test_report_alone_lists_templates_and_their_parameters(shell):
    table = shell.run("%smotext report").to_pandas()
    assert {"qualitative"} <= set(table["template"])
    assert "steps" in set(table["parameter"])


# --- completion -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("%smotext gen", ["%smotext generate"]),
        ("%%smotext gen", ["%%smotext generate"]),
        ("%smotext tic", ["%smotext tickets"]),
        ("%smotext generate ti", ["%smotext generate tickets"]),
        ("%smotext tickets --temp", ["%smotext tickets --temperature"]),
        ("%%smotext --st", ["%%smotext --steps"]),
        ("%smotext tickets --text bo", ["%smotext tickets --text body"]),
        ("%smotext tickets --text=bo", ["%smotext tickets --text=body"]),
        ("%smotext tickets -l ", [f"%smotext tickets -l {c}" for c in ("id", "body", "queue")]),
        ("%smotext tickets --only s", ["%smotext tickets --only sport"]),
        ("%smotext tickets --blending s", ["%smotext tickets --blending slerp"]),
        ("%smotext tickets --decoder my", ["%smotext tickets --decoder my_decoder"]),
        ("%smotext tickets --interpolator bord", [
            "%smotext tickets --interpolator borderline-1",
            "%smotext tickets --interpolator borderline-2",
        ]),
        ("%smotext odd -t the", ['%smotext odd -t "the text"']),
        ("%smotext odd -t 'the t", ["%smotext odd -t 'the text'"]),
        ("%smotext report qual", ["%smotext report qualitative"]),
        ("%smotext report qualitative -p new", ["%smotext report qualitative -p new_per_class="]),
        ("%smotext compare --with my", ["%smotext compare --with my_decoder"]),
        ("%smotext models --un", ["%smotext models --unload"]),
        ("%smotext balance tickets --sampl", ["%smotext balance tickets --sampling-strategy"]),
    ],
)  # fmt: skip
def test_the_tab_key_offers(shell, line, offered):
    shell.names["my_decoder"] = XRAGDecoder.__new__(XRAGDecoder)
    shell.names["odd"] = pd.DataFrame({"the text": ["a"], "label": ["b"]})
    assert sorted(set(shell.offered(line))) == sorted(offered)


def test_the_tab_key_offers_nothing_of_ours_elsewhere(shell):
    body = "%%smotext --steps 3\n%smotext gen"
    assert "%%smotext --steps 3\n%smotext generate" not in shell.offered(body)
    assert "generate" not in "".join(shell.offered("gen"))


# --- other front ends -------------------------------------------------------------------------


def notebook(*cells: str) -> nbformat.NotebookNode:
    found = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    found.metadata["kernelspec"] = {
        "name": "python3", "display_name": "Python 3", "language": "python"
    }  # fmt: skip
    return found


def test_papermill_fails_with_the_errors_name_and_message(tmp_path):
    frame = "import pandas as pd\ntickets = pd.DataFrame({'body': ['a'], 'queue': ['b']})"
    cells = notebook("%load_ext smotext_lab", frame, "%%smotext tickets --label quue", "1 + 1")
    nbformat.write(cells, tmp_path / "in.ipynb")
    with pytest.raises(PapermillExecutionError) as caught:
        execute_notebook(tmp_path / "in.ipynb", tmp_path / "out.ipynb", progress_bar=False)
    assert caught.value.ename == "DataError"
    assert caught.value.evalue.startswith("tickets has no column 'quue' (did you mean 'queue'?)")
    done = nbformat.read(tmp_path / "out.ipynb", as_version=4)
    failed = next(c for c in done.cells if "quue" in c.source and c.cell_type == "code")
    (error,) = failed.outputs
    assert error.traceback == [f"\x1b[31mDataError:\x1b[0m {caught.value.evalue}"]
    assert done.cells[-1].execution_count is None


@pytest.mark.real
def test_the_default_models_walk_and_write(bare):
    path = bare.run(
        "%%smotext --steps 3 -r 0\nThe battery dies after an hour.\n---\n"
        "Shipping took three weeks, but support was kind."
    )
    frame = path.to_pandas()
    assert frame["cosine_to_target"].mean() > 0.6
    assert frame["cosine_to_end"].iloc[2] > frame["cosine_to_start"].iloc[2]
    bare.run("from smotext_lab import SMOTExT, load_dataset\nnews = load_dataset('bbc_titles')")
    line = "news --split train --n 4 --only 'sport tech' -r 0"
    made = bare.run(f"%%smotext {line}")
    assert made.counts().to_dict() == {"sport": 2, "tech": 2}
    assert equipment.loaded() == ["all-MiniLM-L6-v2", "SmolLM2-135M-Instruct"]
