"""Cores and memory that this process may use, told by files of the system; the files are made here."""

from __future__ import annotations

import os

import pytest

from ganforge.core import limits
from ganforge.data import source, store

GB = 2**30
MEMORY = "MemTotal: 16777216 kB\nMemFree: 1 kB\nMemAvailable: 8388608 kB\n"  # 16 GB, 8 of them free
V2, V1 = "/sys/fs/cgroup", "/sys/fs/cgroup/memory"


@pytest.fixture
def system(monkeypatch):
    """system({path: content}) makes these all the files that the system has; the machine has 16 cores."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)

    def be(files):
        monkeypatch.setattr(limits, "system_file", lambda path: files.get(path, ""))

    return be


def v2(folder, most, used, cached=0):
    return {
        f"{folder}/memory.max": f"{most}\n",
        f"{folder}/memory.current": f"{used}\n",
        f"{folder}/memory.stat": f"anon 5\ninactive_file {cached}\n",
    }


def v1(folder, most, used, cached=0):
    return {
        f"{folder}/memory.limit_in_bytes": f"{most}\n",
        f"{folder}/memory.usage_in_bytes": f"{used}\n",
        f"{folder}/memory.stat": f"inactive_file 7\ntotal_inactive_file {cached}\n",
    }


OWN2, OWN1 = {"/proc/self/cgroup": "0::/batch/job\n"}, {"/proc/self/cgroup": "5:cpu,cpuacct:/job\n4:memory:/batch/job\n0::/\n"}
CASES = {
    "no groups": ({}, (16 * GB, 8 * GB)),
    "version 2": (v2(V2, GB, GB // 2), (GB, GB // 2)),
    "version 2, files in memory are given back": (v2(V2, GB, GB, GB // 4), (GB, GB // 4)),
    "version 2, no limit": (v2(V2, "max", GB), (16 * GB, 8 * GB)),
    "version 2, own group": (OWN2 | v2(f"{V2}/batch/job", GB, GB // 2), (GB, GB // 2)),
    "version 2, the group above": (OWN2 | v2(f"{V2}/batch/job", 4 * GB, 0) | v2(f"{V2}/batch", 2 * GB, GB), (2 * GB, GB)),
    "version 1": (v1(V1, GB, GB // 2, GB // 8), (GB, GB // 2 + GB // 8)),
    "version 1, no limit": (v1(V1, 2**63 - 4096, GB), (16 * GB, 8 * GB)),
    "version 1, own group": (OWN1 | v1(f"{V1}/batch/job", GB, GB // 2) | v1(V1, 2**63 - 4096, 9 * GB), (GB, GB // 2)),
    "version 1, a path of the host": ({"/proc/self/cgroup": "4:memory:/docker/0123\n"} | v1(V1, GB, GB // 2), (GB, GB // 2)),
    "more taken than allowed": (v2(V2, GB, 2 * GB), (GB, 0)),
}


@pytest.mark.parametrize("case", CASES)
def test_the_memory_of_a_container_is_its_limit(system, case):
    files, expected = CASES[case]
    system({"/proc/meminfo": MEMORY} | files)
    assert limits.memory() == expected


QUOTAS = {
    "no groups": ({}, 16),
    "version 2": ({f"{V2}/cpu.max": "250000 100000\n"}, 3),
    "version 2, no limit": ({f"{V2}/cpu.max": "max 100000\n"}, 16),
    "version 2, less than one": ({f"{V2}/cpu.max": "5000 100000\n"}, 1),
    "version 2, the group above": (OWN2 | {f"{V2}/batch/job/cpu.max": "max 100000", f"{V2}/batch/cpu.max": "400000 100000"}, 4),
    "version 1": ({f"{V2}/cpu/cpu.cfs_quota_us": "200000\n", f"{V2}/cpu/cpu.cfs_period_us": "100000\n"}, 2),
    "version 1, no limit": ({f"{V2}/cpu/cpu.cfs_quota_us": "-1\n", f"{V2}/cpu/cpu.cfs_period_us": "100000\n"}, 16),
    "version 1, own group": (OWN1 | {f"{V2}/cpu/job/cpu.cfs_quota_us": "150000", f"{V2}/cpu/job/cpu.cfs_period_us": "50000"}, 3),
    "more than there are": ({f"{V2}/cpu.max": "6400000 100000"}, 16),
}


@pytest.mark.parametrize("case", QUOTAS)
def test_the_cores_of_a_container_are_its_share(system, case):
    files, expected = QUOTAS[case]
    system(files)
    assert limits.cores() == expected


def test_the_affinity_of_a_process_counts(system, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5}, raising=False)
    system({f"{V2}/cpu.max": "900000 100000"})
    assert limits.cores() == 2
    system({f"{V2}/cpu.max": "100000 100000"})
    assert limits.cores() == 1


def test_without_affinity_and_files_the_machine_counts(system, monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    system({})
    assert limits.cores() == 6
    monkeypatch.setattr(os, "sysconf", lambda name: {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 1000}[name])
    assert limits.memory() == (4096000, 4096000)
    monkeypatch.setattr(os, "sysconf_names", {})
    assert limits.memory() is None and source.available_memory() == 4 * GB


def test_this_machine_has_cores_and_memory():
    total, free = limits.memory()
    assert 1 <= limits.cores() <= os.cpu_count() and 0 < free <= total


def test_decoded_images_go_by_the_limit_of_the_container_and_processes_share_it(system, monkeypatch):
    system({"/proc/meminfo": MEMORY} | v2(V2, GB, 0))
    assert source.available_memory() == GB and store.fits((GB // 3,)) and not store.fits((GB // 2,))
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert source.available_memory() == GB // 2 and not store.fits((GB // 3,))
