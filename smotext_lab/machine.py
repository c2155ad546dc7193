"""What this process may use: the container's limits, not the host's.

A notebook server gives a container two cores and 4 GB of a machine that has 64 cores
and 512 GB. Code that asks the machine starts 64 threads and is stopped for its memory.
Linux control groups (versions 1 and 2) say what is allowed; a limit may stand at any
level of the hierarchy, so the smallest on the way to the root counts.
"""

from __future__ import annotations

import ctypes
import functools
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

__all__ = [
    "cpu_count",
    "has_bf16",
    "limit_primitives",
    "limit_threads",
    "memory_available",
    "memory_total",
    "release_memory",
]

_ROOT = Path("/")


def cpu_count(*, root: Path = _ROOT) -> int:
    """Return how many CPU cores this process may keep busy.

    The smallest of: the machine's cores, the process's affinity, and the control group's
    quota (rounded up: a quota of 1.5 cores is worth two threads).

    Parameters
    ----------
    root : Path
        Where ``/proc`` and ``/sys/fs/cgroup`` are; tests give a folder of their own.

    Returns
    -------
    int
        At least 1.

    Examples
    --------
    >>> cpu_count() >= 1
    True
    """
    cores = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        cores = min(cores, len(os.sched_getaffinity(0)))
    for quota, period in _quotas(root):
        if quota > 0 and period > 0:
            cores = min(cores, -(-quota // period))
    return max(1, cores)


def memory_total(*, root: Path = _ROOT) -> int:
    """Return the memory in bytes that this process may use at most.

    Parameters
    ----------
    root : Path
        Where ``/proc`` and ``/sys/fs/cgroup`` are; tests give a folder of their own.

    Returns
    -------
    int
        The machine's memory or, where it is smaller, the control group's limit.

    Examples
    --------
    >>> memory_total() > 0
    True
    """
    return min([_machine_memory(root)[0], *(limit for limit, _ in _memory_limits(root))])


def memory_available(*, root: Path = _ROOT) -> int:
    """Return the memory in bytes that this process can still take without being stopped.

    Page cache that the kernel gives back under pressure counts as available.

    Parameters
    ----------
    root : Path
        Where ``/proc`` and ``/sys/fs/cgroup`` are; tests give a folder of their own.

    Returns
    -------
    int
        Never negative.

    Examples
    --------
    >>> 0 <= memory_available() <= memory_total()
    True
    """
    left = [_machine_memory(root)[1], *(limit - used for limit, used in _memory_limits(root))]
    return max(0, min(left))


def limit_threads(n: int | None = None) -> int:
    """Set the number of torch's compute threads and return it.

    Parameters
    ----------
    n : int, optional
        Number of threads. By default ``OMP_NUM_THREADS`` where the user has set it, and
        never more than `cpu_count`.

    Returns
    -------
    int
        The number now in use.
    """
    import torch

    if n is None:
        wish = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
        n = min(cpu_count(), int(wish)) if wish.isdigit() and int(wish) > 0 else cpu_count()
    n = max(1, n)
    if torch.get_num_threads() != n:
        torch.set_num_threads(n)
    return n


def limit_primitives() -> None:
    """Let oneDNN keep 256 prepared products where the user does not say how many.

    It prepares each shape once and keeps up to 1,024, a few MB each. Texts come in ever other
    numbers and lengths: a process of many hours grew by gigabytes. What the engine's steps need,
    about 100, is used again and again and stays. oneDNN reads the number at its first product.

    Examples
    --------
    >>> limit_primitives()
    >>> "ONEDNN_PRIMITIVE_CACHE_CAPACITY" in os.environ
    True
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "256")


def release_memory() -> None:
    """Give freed memory back to the system, where the C library would keep it (glibc's).

    Tensors of ever other sizes leave gaps between what lives on, and a process of many hours
    grows by them though it holds nothing more.

    Examples
    --------
    >>> release_memory()
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
        if trim is not None:
            trim(0)


def has_bf16(*, root: Path = _ROOT) -> bool:
    """Say whether the CPU multiplies bfloat16 natively (AVX512-BF16, AMX-BF16, ARM BF16).

    Only then is bfloat16 faster than float32; elsewhere it is emulated and slower.
    The answer is read from the system's description of the CPU, nothing is timed.

    Parameters
    ----------
    root : Path
        Where ``/proc`` is; tests give a folder of their own.

    Returns
    -------
    bool

    Examples
    --------
    >>> has_bf16() in (True, False)
    True
    """
    return _has_bf16(root)


@functools.cache
def _has_bf16(root: Path) -> bool:
    described = _read(root / "proc" / "cpuinfo")
    if described is not None:
        # the first core speaks for all: "flags" on x86, "Features" on ARM
        flags = re.search(r"^(?:flags|Features)\s*:(.*)$", described, re.MULTILINE)
        return flags is not None and not {"avx512_bf16", "amx_bf16", "bf16"}.isdisjoint(
            flags.group(1).split()
        )
    if sys.platform == "darwin":
        return _ask("sysctl", "-n", "hw.optional.arm.FEAT_BF16").strip() == "1"
    return _torch_has_bf16()


def _torch_has_bf16() -> bool:
    import torch

    # private, and so may be gone one day: then the safe answer is no
    probe = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(probe and probe())


# -- control groups ------------------------------------------------------------------


def _groups(root: Path, controller: str) -> Iterator[tuple[int, Path]]:
    """Yield ``(version, folder)`` of this process's control groups, each up to the root."""
    mount = root / "sys" / "fs" / "cgroup"
    for line in (_read(root / "proc" / "self" / "cgroup") or "").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if not controllers:  # version 2; "unified" is where it lies beside version 1
            version, tops = 2, [mount, mount / "unified"]
        elif controller in controllers.split(","):
            version, tops = 1, [mount / controllers, mount / controller]
        else:
            continue
        top = next((t for t in tops if t.is_dir()), None)
        if top is None:
            continue
        inside = Path(group.strip().lstrip("/"))
        if ".." in inside.parts:  # a namespace shows a group outside itself this way
            inside = Path()
        # inside a container the path may be the host's and not exist here: the levels
        # that do exist, the mount itself at last, are the container's own
        for level in (inside, *inside.parents):
            if (top / level).is_dir():
                yield version, top / level
            if level == Path():
                break


def _quotas(root: Path) -> Iterator[tuple[int, int]]:
    for version, folder in _groups(root, "cpu"):
        if version == 2:
            quota, _, period = (_read(folder / "cpu.max") or "").partition(" ")
        else:
            quota = _read(folder / "cpu.cfs_quota_us") or ""
            period = _read(folder / "cpu.cfs_period_us") or ""
        numbers = _number(quota), _number(period)
        if numbers[0] is not None and numbers[1] is not None:
            yield numbers[0], numbers[1]


def _memory_limits(root: Path) -> Iterator[tuple[int, int]]:
    """Yield ``(limit, used)`` in bytes of every control group that has a limit."""
    names = {
        1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        2: ("memory.max", "memory.current", "inactive_file"),
    }
    for version, folder in _groups(root, "memory"):
        limit_name, used_name, cache_name = names[version]
        limit = _number(_read(folder / limit_name))
        if limit is None:
            continue
        used = _number(_read(folder / used_name)) or 0
        stat = _read(folder / "memory.stat") or ""
        cache = re.search(rf"^{cache_name} (\d+)$", stat, re.MULTILINE)
        yield limit, max(0, used - (int(cache.group(1)) if cache else 0))


# -- the machine ---------------------------------------------------------------------


def _machine_memory(root: Path) -> tuple[int, int]:
    """Return ``(total, available)`` in bytes of the whole machine."""
    described = _read(root / "proc" / "meminfo") or ""
    pattern = r"^(MemTotal|MemAvailable|MemFree):\s+(\d+) kB$"
    found: dict[str, str] = dict(re.findall(pattern, described, re.M))
    if "MemTotal" in found:
        available = found.get("MemAvailable", found.get("MemFree", found["MemTotal"]))
        return int(found["MemTotal"]) * 1024, int(available) * 1024
    if sys.platform == "win32":
        return _windows_memory()
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if sys.platform == "darwin":
        return total, min(total, parse_vm_stat(_ask("vm_stat")) or total)
    return total, total


def parse_vm_stat(text: str) -> int:
    r"""Return the available bytes that macOS's ``vm_stat`` tells of, 0 where it tells none.

    Examples
    --------
    >>> parse_vm_stat("(page size of 4096 bytes)\nPages free: 3.\nPages inactive: 2.\n")
    20480
    """
    size = re.search(r"page size of (\d+) bytes", text)
    pages = re.findall(r"^Pages (?:free|inactive|speculative|purgeable):\s+(\d+)\.", text, re.M)
    return int(size.group(1)) * sum(map(int, pages)) if size else 0


def _windows_memory() -> tuple[int, int]:
    class Status(ctypes.Structure):
        _fields_ = (
            ("length", ctypes.c_ulong),
            ("load", ctypes.c_ulong),
            *((name, ctypes.c_ulonglong) for name in ("total", "available", *"abcde")),
        )

    status = Status()
    status.length = ctypes.sizeof(Status)
    windll = getattr(ctypes, "windll")  # noqa: B009 - the type checker knows it on Windows only
    windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))
    return int(status.total), int(status.available)


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def _number(text: str | None) -> int | None:
    try:
        return int(text or "")
    except ValueError:  # "max": no limit
        return None


def _ask(*command: str) -> str:
    try:
        return subprocess.run(  # noqa: S603 - fixed system commands
            command, capture_output=True, text=True, timeout=5, check=False
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return ""
