from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import torch

from smotext_lab import machine
from smotext_lab.engines.products import Product

GB = 1024**3


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.fixture
def many_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(48)), raising=False)


@pytest.mark.usefixtures("many_cores")
class TestCpuCount:
    def test_without_control_groups_affinity_counts(self, tmp_path):
        assert machine.cpu_count(root=tmp_path) == 48

    def test_version_2_quota_in_a_container_whose_root_is_its_own_group(self, tmp_path):
        files = {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "200000 100000\n"}
        assert machine.cpu_count(root=write(tmp_path, files)) == 2

    def test_a_part_of_a_core_is_rounded_up(self, tmp_path):
        files = {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "150000 100000\n"}
        assert machine.cpu_count(root=write(tmp_path, files)) == 2

    def test_less_than_one_core_is_one(self, tmp_path):
        files = {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "20000 100000\n"}
        assert machine.cpu_count(root=write(tmp_path, files)) == 1

    def test_version_2_without_limit(self, tmp_path):
        files = {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}
        assert machine.cpu_count(root=write(tmp_path, files)) == 48

    def test_the_smallest_quota_on_the_way_to_the_root_counts(self, tmp_path):
        files = {
            "proc/self/cgroup": "0::/slice/job/step\n",
            "sys/fs/cgroup/slice/cpu.max": "300000 100000\n",
            "sys/fs/cgroup/slice/job/cpu.max": "max 100000\n",
            "sys/fs/cgroup/slice/job/step/cpu.max": "800000 100000\n",
        }
        assert machine.cpu_count(root=write(tmp_path, files)) == 3

    def test_a_path_of_the_host_that_does_not_exist_here_leads_to_the_mount(self, tmp_path):
        files = {
            "proc/self/cgroup": "0::/docker/0123abc\n",
            "sys/fs/cgroup/cpu.max": "400000 100000\n",
        }
        assert machine.cpu_count(root=write(tmp_path, files)) == 4

    def test_version_1_quota(self, tmp_path):
        files = {
            "proc/self/cgroup": "4:memory:/\n2:cpu,cpuacct:/docker/ab\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "500000\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
        }
        assert machine.cpu_count(root=write(tmp_path, files)) == 5

    def test_version_1_without_limit(self, tmp_path):
        files = {
            "proc/self/cgroup": "1:cpu:/\n0::/\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        }
        assert machine.cpu_count(root=write(tmp_path, files)) == 48

    def test_a_group_outside_the_namespace_does_not_lead_out_of_the_mount(self, tmp_path):
        files = {
            "proc/self/cgroup": "0::/../../other\n",
            "sys/fs/other/cpu.max": "100000 100000\n",
            "sys/fs/cgroup/cpu.max": "700000 100000\n",
        }
        assert machine.cpu_count(root=write(tmp_path, files)) == 7


MEMINFO = "MemTotal: 67108864 kB\nMemFree: 1 kB\nMemAvailable: 33554432 kB\n"


class TestMemory:
    def test_the_machine_without_limits(self, tmp_path):
        root = write(tmp_path, {"proc/meminfo": MEMINFO})
        assert machine.memory_total(root=root) == 64 * GB
        assert machine.memory_available(root=root) == 32 * GB

    def test_version_2_limit_and_cache_that_can_be_given_back(self, tmp_path):
        files = {
            "proc/meminfo": MEMINFO,
            "proc/self/cgroup": "0::/\n",
            "sys/fs/cgroup/memory.max": f"{4 * GB}\n",
            "sys/fs/cgroup/memory.current": f"{3 * GB}\n",
            "sys/fs/cgroup/memory.stat": f"anon 1\ninactive_file {GB}\nactive_file 5\n",
        }
        root = write(tmp_path, files)
        assert machine.memory_total(root=root) == 4 * GB
        assert machine.memory_available(root=root) == 2 * GB

    def test_version_1_limit(self, tmp_path):
        files = {
            "proc/meminfo": MEMINFO,
            "proc/self/cgroup": "4:memory:/pod/x\n",
            "sys/fs/cgroup/memory/pod/memory.limit_in_bytes": f"{2 * GB}\n",
            "sys/fs/cgroup/memory/pod/memory.usage_in_bytes": f"{GB}\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
            "sys/fs/cgroup/memory/memory.usage_in_bytes": f"{20 * GB}\n",
        }
        root = write(tmp_path, files)
        assert machine.memory_total(root=root) == 2 * GB
        assert machine.memory_available(root=root) == GB

    def test_a_full_machine_counts_before_a_generous_limit(self, tmp_path):
        files = {
            "proc/meminfo": "MemTotal: 67108864 kB\nMemAvailable: 1048576 kB\n",
            "proc/self/cgroup": "0::/\n",
            "sys/fs/cgroup/memory.max": f"{8 * GB}\n",
            "sys/fs/cgroup/memory.current": "0\n",
        }
        assert machine.memory_available(root=write(tmp_path, files)) == GB

    def test_beyond_the_limit_nothing_is_left(self, tmp_path):
        files = {
            "proc/meminfo": MEMINFO,
            "proc/self/cgroup": "0::/\n",
            "sys/fs/cgroup/memory.max": f"{GB}\n",
            "sys/fs/cgroup/memory.current": f"{2 * GB}\n",
        }
        assert machine.memory_available(root=write(tmp_path, files)) == 0

    def test_a_system_without_proc_still_answers(self, tmp_path):
        assert machine.memory_total(root=tmp_path) > 0
        assert machine.memory_available(root=tmp_path) > 0

    def test_macos_pages_that_can_be_taken(self):
        text = (
            "Mach Virtual Memory Statistics: (page size of 16384 bytes)\n"
            "Pages free:                               10.\n"
            "Pages active:                            900.\n"
            "Pages inactive:                           20.\n"
            "Pages speculative:                         3.\n"
        )
        assert machine.parse_vm_stat(text) == 33 * 16384

    def test_macos_that_says_something_else(self):
        assert machine.parse_vm_stat("") == 0


class TestBf16:
    @pytest.mark.parametrize(
        ("cpuinfo", "expected"),
        [
            ("processor : 0\nflags\t\t: fpu avx512f avx512_bf16 sse2\n", True),
            ("processor : 0\nflags\t\t: fpu amx_bf16 amx_tile\n", True),
            ("processor : 0\nflags\t\t: fpu avx2 avx512f\n", False),
            ("processor\t: 0\nFeatures\t: fp asimd i8mm bf16\n", True),
            ("processor\t: 0\nFeatures\t: fp asimd\n", False),
            ("flags : avx2\nbugs : not_avx512_bf16\n", False),
        ],
    )
    def test_is_read_from_the_description_of_the_cpu(self, tmp_path, cpuinfo, expected):
        assert machine.has_bf16(root=write(tmp_path, {"proc/cpuinfo": cpuinfo})) is expected


class TestThreads:
    @pytest.fixture(autouse=True)
    def put_back(self):
        torch = pytest.importorskip("torch")
        before = torch.get_num_threads()
        yield
        torch.set_num_threads(before)

    def test_by_default_the_container_s_cores(self, monkeypatch):
        import torch

        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        monkeypatch.setattr(machine, "cpu_count", lambda: 3)
        assert machine.limit_threads() == torch.get_num_threads() == 3

    @pytest.mark.parametrize(
        ("wish", "expected"), [("1", 1), ("16", 2), ("nonsense", 2), ("1,4", 1)]
    )
    def test_the_user_s_wish_counts_up_to_the_limit(self, monkeypatch, wish, expected):
        monkeypatch.setenv("OMP_NUM_THREADS", wish)
        monkeypatch.setattr(machine, "cpu_count", lambda: 2)
        assert machine.limit_threads() == expected

    def test_a_number_is_taken_as_it_is(self, monkeypatch):
        import torch

        monkeypatch.setattr(machine, "cpu_count", lambda: 2)
        assert machine.limit_threads(5) == torch.get_num_threads() == 5


PRODUCTS = """
import sys, torch
from smotext_lab.engines.products import Product
from smotext_lab.models import load_llm
load_llm(sys.argv[1])
product = Product(torch.eye(8))
for rows in [*range(1, 400), 1, 399]:
    product(torch.ones(rows, 8))
"""


@pytest.mark.parametrize(("wish", "prepared"), [(None, [2, 1]), ("1024", [1, 1])])
def test_of_products_of_ever_other_shapes_only_the_last_are_kept(tiny_llm, wish, prepared):
    if not Product(torch.eye(8)).packed:
        pytest.skip("oneDNN multiplies here by nothing that is packed")
    environment = os.environ | {"ONEDNN_VERBOSE": "profile_create"}
    environment.pop("ONEDNN_PRIMITIVE_CACHE_CAPACITY", None)
    environment |= {} if wish is None else {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": wish}
    command = [sys.executable, "-c", PRODUCTS, str(tiny_llm)]
    told = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    made = [line for line in told.stdout.splitlines() if "cache_miss" in line]
    assert [sum(f",mb{rows}ic8oc8," in line for line in made) for rows in (1, 399)] == prepared


@pytest.mark.skipif(sys.platform != "linux", reason="other C libraries give it back themselves")
def test_memory_freed_between_what_lives_on_goes_back_to_the_system():
    process = psutil.Process()
    blocks = [bytearray(os.urandom(10_000)) for _ in range(10_000)]  # 100 MB
    lives_on = blocks[::200]
    del blocks
    kept = process.memory_info().rss
    machine.release_memory()
    assert process.memory_info().rss < kept - 50e6
    assert len(lives_on) == 50
