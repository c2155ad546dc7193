"""Where a model's weights go, and in what precision they are held."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

from smotext_lab import machine
from smotext_lab.errors import ModelError, did_you_mean

if TYPE_CHECKING:
    import torch

__all__ = ["QUANTIZED", "free_memory", "loading", "precision", "torch_device", "torch_dtype"]

QUANTIZED = {"4bit": 0.4, "8bit": 0.6}
"""Precisions of bitsandbytes, and what share of weights of 16 bits they take at most: embeddings
and the output head stay as they are."""


def torch_device(device: str | torch.device = "auto") -> torch.device:
    """Return the torch device for a name; "auto" is the current GPU where CUDA has one.

    Parameters
    ----------
    device : {"auto", "cpu", "cuda", "cuda:N"} or torch.device

    Raises
    ------
    ModelError
        If there is no such device.

    Examples
    --------
    >>> torch_device("cpu")
    device(type='cpu')
    """
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "auto":
        return torch.device("cuda", torch.cuda.current_device()) if count else torch.device("cpu")
    try:
        found = torch.device(device)
    except RuntimeError:
        found = torch.device("meta")
    if found.type == "cpu":
        return found
    if found.type != "cuda":
        msg = f"device {str(device)!r} is not known: use 'auto', 'cpu', 'cuda' or 'cuda:0'."
        raise ModelError(msg)
    if (found.index or 0) >= count:
        msg = f"device {str(device)!r} is not there: torch sees {count} CUDA devices. Use 'auto'."
        raise ModelError(msg)
    current = torch.cuda.current_device()
    return torch.device("cuda", current if found.index is None else found.index)


def torch_dtype(
    dtype: str | torch.dtype = "auto", device: torch.device | None = None
) -> torch.dtype:
    """Return the torch dtype for a name.

    "auto" is bfloat16 where the device computes in it; else float16 on a GPU, float32 on a CPU.

    Parameters
    ----------
    dtype : {"auto", "float32", "bfloat16", "float16"} or torch.dtype
    device : torch.device, optional
        Default the CPU.

    Raises
    ------
    ModelError
        When there is no such floating-point type.
    """
    import torch

    if isinstance(dtype, torch.dtype):
        return dtype
    if dtype == "auto":
        if device is not None and device.type == "cuda":
            return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
        return torch.bfloat16 if machine.has_bf16() else torch.float32
    known = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if dtype not in known:
        hint = did_you_mean(dtype, [*known, *QUANTIZED])
        names = ", ".join([*known, *QUANTIZED])
        msg = f"dtype {dtype!r} is not known{hint}: use 'auto' or one of {names}."
        raise ModelError(msg)
    return known[dtype]


def precision(dtype: str, device: str | torch.device = "auto") -> str:
    """Return what a model is computed in on this machine: what "auto" comes to.

    Parameters
    ----------
    dtype : {"auto", "float32", "bfloat16", "float16", "4bit", "8bit"}
    device : {"auto", "cpu", "cuda", "cuda:N"} or torch.device

    Examples
    --------
    >>> precision("float32"), precision("8bit")
    ('float32', '8bit')
    >>> precision("auto", "cpu") in ("bfloat16", "float32")
    True
    """
    if dtype == "8bit":
        return dtype  # what it is computed in is the same everywhere, see `loading`
    wanted = "auto" if dtype == "4bit" else dtype
    name = str(torch_dtype(wanted, torch_device(device))).removeprefix("torch.")
    return f"4bit and {name}" if dtype == "4bit" else name


def loading(dtype: str | torch.dtype, device: torch.device) -> dict[str, Any]:
    """Return what transformers' ``from_pretrained`` is told about precision and place.

    Parameters
    ----------
    dtype : {"auto", "float32", "bfloat16", "float16", "4bit", "8bit"} or torch.dtype
        The last two by bitsandbytes: NF4 (QLoRA, arXiv 2305.14314, section 3) and LLM.int8()
        (arXiv 2208.07339, section 3).
    device : torch.device

    Raises
    ------
    ModelError
        If there is no such precision, or bitsandbytes is needed and missing.
    """
    placed: dict[str, Any] = {} if device.type == "cpu" else {"device_map": {"": device}}
    if not isinstance(dtype, str) or dtype not in QUANTIZED:
        return {"dtype": torch_dtype(dtype, device), **placed}
    if importlib.util.find_spec("bitsandbytes") is None:
        msg = f"dtype={dtype!r} needs bitsandbytes: pip install 'smotext-lab[quantized]'"
        raise ModelError(msg)
    from transformers import BitsAndBytesConfig

    if dtype == "4bit":
        computed = torch_dtype("auto", device)
        how = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=computed
        )
    else:
        computed = torch_dtype("float16")  # what LLM.int8() computes the rest in
        how = BitsAndBytesConfig(load_in_8bit=True)
    return {"dtype": computed, "device_map": {"": device}, "quantization_config": how}


def free_memory(device: torch.device) -> int:
    """Return the free bytes of a device."""
    if device.type == "cuda":
        import torch

        return torch.cuda.mem_get_info(device)[0]
    return machine.memory_available()
