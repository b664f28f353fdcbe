"""What this process may use of its machine: cores and memory, with the limits that containers and batch systems set for it.

Linux keeps such limits as files of control groups. Version 2 has one tree of them, version 1 one for each kind; a limit of a group
holds for all groups below it, so a process's own group and every one above it count.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = "/sys/fs/cgroup"


def cores() -> int:
    """Cores that this process may use, which can be fewer than the machine has."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = [system_file(f"{group}/cpu.max").split() for group in _groups("")]
    quotas += [[system_file(f"{group}/cpu.cfs_{part}_us").strip() for part in ("quota", "period")] for group in _groups("cpu")]
    shares = [int(q[0]) / int(q[1]) for q in quotas if len(q) == 2 and all(n.isdigit() and int(n) for n in q)]
    return min([usable, *map(math.ceil, shares)])


def memory() -> tuple[int, int] | None:
    """(total, free) bytes of RAM that this process may use; None where it cannot be told."""
    lines = re.findall(r"^(MemTotal|MemAvailable):\s+(\d+) kB", system_file("/proc/meminfo"), re.MULTILINE)
    kib = {name: int(size) for name, size in lines}
    if len(kib) == 2:
        total, free = kib["MemTotal"] * 1024, kib["MemAvailable"] * 1024
    elif hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        total = free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")  # macOS does not tell what is free
    else:
        return None
    files = [(f"{group}/memory.max", f"{group}/memory.current", f"{group}/memory.stat", "inactive_file") for group in _groups("")]
    files += [
        (f"{group}/memory.limit_in_bytes", f"{group}/memory.usage_in_bytes", f"{group}/memory.stat", "total_inactive_file")
        for group in _groups("memory")
    ]
    for most, taken, stat, cached in files:
        limit, used = system_file(most).strip(), system_file(taken).strip()
        if limit.isdigit() and used.isdigit():
            cache = re.search(rf"^{cached} (\d+)", system_file(stat), re.MULTILINE)  # given back when it is needed
            left = int(limit) - int(used) + (int(cache[1]) if cache else 0)
            total, free = min(total, int(limit)), min(free, max(0, left))
    return total, free


def _groups(kind: str) -> Iterator[str]:
    """Folders of this process's control group and those above it: of version 2 for "", else of the tree of that kind."""
    own = re.search(rf"^\d+:(?:[^:\n]*,)?{kind}(?:,[^:\n]*)?:(/.*)$", system_file("/proc/self/cgroup"), re.MULTILINE)
    path = own[1].rstrip("/") if own else ""  # inside a container it may be a path of the host, of which only the top is there
    while path:
        yield f"{ROOT}/{kind}{path}".replace("//", "/")
        path = path.rpartition("/")[0]
    yield f"{ROOT}/{kind}".rstrip("/")


def system_file(path: str) -> str:
    """A file of the operating system; empty where this system has none such."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
