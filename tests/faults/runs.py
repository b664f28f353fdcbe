"""Small real runs that something happens to, and how they are compared with ones that nothing happened to."""

import json
import os
import subprocess
import sys
import time

import torch
from safetensors.torch import load_file

import ganforge
from ganforge.core import engine, machine

TINY = {"width": 8, "z": 8, "batch": 16, "precision": "fp32", "layout": "contiguous", "threads": 1, "evaluate": "none", "snapshots": 1}
CLOCK = ("seconds", "images_per_second")
REAL_ITERATE = engine.iterate


def train(out, data="digits", recipe="dcgan", **options):
    return ganforge.train(str(data), recipe, out=str(out), **{**TINY, "examples": 16 * 12, "save_minutes": 0.0, **options})


def quick(monkeypatch):
    """What is measured at the start of a run has its own tests; here it would only cost a second a run."""
    monkeypatch.setattr(machine, "speed", lambda *a, **k: 1000.0)


def gan(*words, cwd, before="", terminal=subprocess.PIPE):
    """The command in a process of its own, after the statements `before`; `terminal`: the descriptor that it talks to."""
    code = f"from ganforge.core import machine; machine.speed = lambda *a, **k: 1000.0\n{before}\nfrom ganforge.cli import main; main()"
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, "-c", code, *words], cwd=cwd, env=environment, stdout=terminal, stderr=terminal, text=True)


def words(**options):
    return [word for key, value in {**TINY, **options}.items() for word in (f"--{key.replace('_', '-')}", str(value))]


def wait_for(path, process, lines, seconds=120):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if path.exists() and len(path.read_text().splitlines()) >= lines:
            return
        assert process.poll() is None, f"it left early: {process.communicate()}"
        time.sleep(0.005)
    raise AssertionError(f"{path} did not come")


def result(folder):
    """(all tensors of the last checkpoint and of the shared model, the history without clocks)."""
    tensors = load_file(newest(folder) / "state.safetensors")
    tensors |= {f"best/{key}": value for key, value in load_file(folder / "best" / "model.safetensors").items()}
    history = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return tensors, [{key: value for key, value in line.items() if key not in CLOCK} for line in history]


def same(one, two):
    (a, history), (b, pieced) = result(one), result(two)
    assert a.keys() == b.keys() and [key for key in a if not torch.equal(a[key], b[key])] == []
    assert history == pieced


def newest(folder):
    return sorted((folder / "ckpt").glob("[0-9]*"))[-1]


def state(folder):
    return json.loads((newest(folder) / "state.json").read_text())
