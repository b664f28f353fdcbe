"""The machine and the versions: what a run was made with, and whether this one is fit to make one."""

from __future__ import annotations

import importlib.metadata
import platform
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import torch

from .. import __version__
from ..core.limits import cores, memory, system_file
from ..data.source import cache_folder

OPTIONAL = {
    "parquet": ("pyarrow",),
    "track": ("tensorboard", "wandb", "mlflow-skinny"),
    "image": ("opencv-python-headless", "scikit-image", "pywavelets", "av"),
    "fast": ("openvino",),
}
"""Extras of this package and the distributions that they bring."""
STANDS_IN = {"mlflow-skinny": "mlflow", "tensorboard": "tensorboardX", "opencv-python-headless": "opencv-python"}
"""Where another distribution does as well."""
GIB = 2**30
Check = tuple[str, str, str]


def version(distribution: str) -> str | None:
    """Installed version, without importing the package; None where it is missing."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _cpu() -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", system_file("/proc/cpuinfo"), re.MULTILINE)
    return found[1].strip() if found else platform.processor() or platform.machine() or "unknown"


def _device() -> str:
    if torch.cuda.is_available():
        card = torch.cuda.get_device_properties(0)
        return f"cuda: {torch.cuda.device_count()} x {card.name}, {card.total_memory / GIB:.0f} GiB"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _bf16() -> dict[str, bool]:
    """Which units multiply bf16 in hardware; without one it works, slowly."""
    flags = set(system_file("/proc/cpuinfo").partition("flags")[2].partition("\n")[0].split())
    return {
        "cpu_avx512_bf16": "avx512_bf16" in flags,
        "cpu_amx_bf16": "amx_bf16" in flags,
        "cuda_bf16": torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False),
    }


def _commit() -> str | None:
    """Commit of the git repository that the current folder lies in; None outside one, or without git."""
    try:
        asked = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return asked.stdout.strip() if asked.returncode == 0 else None


def processor() -> dict[str, str]:
    """The processor's name and the widest instructions that torch uses on it: what rounding depends on."""
    return {"cpu": _cpu(), "vector_unit": torch.backends.cpu.get_cpu_capability()}


def environment() -> dict[str, Any]:
    """Plain JSON for environment.json. No user name, host name or path, so it can be shared."""
    ram = memory()
    return {
        "python": platform.python_version(),
        "os": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cores": cores(),
        "memory_gib": round(ram[0] / GIB, 1) if ram else None,
        "device": _device(),
        "threads": torch.get_num_threads(),
        **processor(),
        "bf16": _bf16(),
        "versions": {"ganforge": __version__, "torch": torch.__version__} | {n: version(n) for n in ("numpy", "pillow", "safetensors")},
        "optional": {
            name: version(name) for names in OPTIONAL.values() for name in (*names, *(STANDS_IN[n] for n in names if n in STANDS_IN))
        },
        "git_commit": _commit(),
    }


def _check_memory() -> Check:
    ram = memory()
    if ram is None:
        return "memory", "unknown", "ok"
    verdict = "ok" if ram[1] >= GIB else "warn: less than 1 GiB is free; close programs, or train with a smaller --batch"
    return "memory", f"{ram[1] / GIB:.1f} of {ram[0] / GIB:.1f} GiB free", verdict


def _check_disk() -> Check:
    disk = shutil.disk_usage(".")
    verdict = "ok" if disk.free >= 2 * GIB else "warn: less than 2 GiB is free; make room, or write elsewhere with --out FOLDER"
    return "disk here", f"{disk.free / GIB:.1f} of {disk.total / GIB:.1f} GiB free", verdict


def _check_torch() -> Check:
    """A tiny convolution, forward and backward twice over: what a gradient penalty needs of a build."""
    device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        layer = torch.nn.Conv2d(1, 2, 3).to(device)
        x = torch.linspace(-1, 1, 25, device=device).view(1, 1, 5, 5).requires_grad_()
        (slope,) = torch.autograd.grad(layer(x).square().sum(), x, create_graph=True)
        slope.square().sum().backward()
        size = float(layer.weight.grad.norm()) if layer.weight.grad is not None else 0.0
    except (RuntimeError, NotImplementedError) as error:
        return (
            "torch works",
            f"no: {str(error).splitlines()[0][:120]}",
            "warn: reinstall torch for this machine, see pytorch.org/get-started",
        )
    if not 0 < size < float("inf"):
        return "torch works", f"no: a gradient came out as {size}", "warn: reinstall torch for this machine, see pytorch.org/get-started"
    return "torch works", f"yes, on {device}", "ok"


def _check_cache() -> Check:
    folder = cache_folder()
    shown = str(folder).replace(str(Path.home()), "~") if str(Path.home()) != "/" else str(folder)
    there = next((place for place in (folder, *folder.parents) if place.exists()), folder)
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        return "cache folder", shown, f"warn: cannot write ({error.strerror}); choose another with GANFORGE_CACHE=FOLDER"
    return "cache folder", shown, "ok"


def _check_extra(extra: str) -> Check:
    have, missing = [], []
    for name in OPTIONAL[extra]:
        found = next((n for n in (name, STANDS_IN.get(name, name)) if version(n)), None)
        have.append(f"{found} {version(found)}") if found else missing.append(name)
    value = ", ".join(have) or "not installed"
    if missing:
        which = f" ({', '.join(missing)} missing)" if have else ""
        value += f'; optional{which}: pip install "ganforge[{extra}]"'
    return f"extra {extra}", value, "ok"


def doctor() -> list[Check]:
    """(name, value, "ok" or "warn: what to do") for every thing that a training needs, for `gan doctor`."""
    facts = environment()
    rows: list[Check] = [("python", facts["python"], "ok"), ("system", facts["os"], "ok")]
    for name, found in facts["versions"].items():
        rows.append((name, found or "not installed", "ok" if found else f"warn: pip install {name}"))
    rows.append(("cpu", f"{facts['cpu']}, {facts['cores']} cores, {facts['vector_unit']}", "ok"))
    threads, cores = facts["threads"], facts["cores"]
    rows.append(("threads", str(threads), "ok" if threads <= cores else f"warn: more threads than cores; use --threads {cores}"))
    rows.append(("device", facts["device"], "ok"))
    rows.append(("bf16 in hardware", ", ".join(name for name, has in facts["bf16"].items() if has) or "no", "ok"))
    rows += [_check_memory(), _check_disk(), _check_torch(), _check_cache()]
    return rows + [_check_extra(extra) for extra in OPTIONAL]
