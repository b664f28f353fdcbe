"""Promises that can be checked on the user's own machine, with small real runs. A check yields (what, what came out, whether it holds)."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..core import checkpoint
from ..core import recipe as recipes_json
from ..core.method import Method, Progress
from ..core.run import Run
from ..core.train import Tick, train
from ..data.images import Images
from ..recipes import find
from .folder import Folder

Row = tuple[str, str, bool]
STEPS, STOPS = 40, (7, 13)
TINY = {"width": 8, "z": 8, "batch": 16, "examples": 16 * STEPS, "layout": "contiguous"}
KILLED = {**TINY, "examples": 16 * 30, "precision": "fp32", "threads": 1, "save_minutes": 0.0}
KILLED |= {"snapshots": 1, "device": "cpu", "evaluate": "none"}
CLOCK = ("seconds", "images_per_second")


class Nobody:
    """A watcher that remembers the readings and draws nothing."""

    def __init__(self, stop_after: int = 0) -> None:
        self.readings: dict[int, dict[str, float]] = {}
        self.stop_after, self.steps = stop_after, 0

    def step(self, now: Progress) -> None:
        self.steps += 1

    def tick(self, tick: Tick) -> None:
        self.readings[tick.now.seen] = dict(tick.numbers)

    def saved(self, tick: Tick) -> None: ...

    def stop(self) -> bool:
        return bool(self.stop_after) and self.steps >= self.stop_after


def differences(
    make: Callable[[], Method], data: Any, run: Run, folder: Path, device: str = "cpu", stops: tuple[int, ...] = STOPS
) -> list[str]:
    """Names of what differs between a run that is stopped after so many steps, twice or more, and one that is not."""

    def go(name: str, *stops: int) -> tuple[dict[str, Tensor], dict[int, dict[str, float]]]:
        readings: dict[int, dict[str, float]] = {}
        for stop_at in (*stops, 0):
            torch.manual_seed(run.seed)
            watcher = Nobody(stop_at)
            train(make(), data, run, folder=folder / name, device=torch.device(device), watcher=watcher, stop=watcher.stop)
            readings |= watcher.readings
        found = checkpoint.read(folder / name)
        assert found, "no checkpoint was written"
        return found[0], readings

    (whole, history), (parts, pieced) = go("whole"), go("parts", *stops)
    names = sorted(whole.keys() ^ parts.keys())
    names += [key for key in whole.keys() & parts.keys() if not torch.equal(whole[key], parts[key])]
    return names + (["the history of readings"] if history != pieced else [])


def resume() -> Iterator[Row]:
    """A run that is stopped or killed and resumed ends bit for bit where an uninterrupted one does: on every device, in every precision."""
    with tempfile.TemporaryDirectory() as place, torch.random.fork_rng(devices=[]):
        for device in ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]:
            for precision in ("fp32", "bf16"):
                yield _stopped(device, precision, Path(place) / f"{device}-{precision}")
        yield _killed(Path(place))


def _stopped(device: str, precision: str, folder: Path) -> Row:
    began = time.monotonic()
    options = {**TINY, "precision": precision, "device": device}
    recipe = recipes_json.override(find("dcgan")(data=Images(path="digits")), options)
    data = recipe.dataset()
    spec = dataclasses.replace(data.spec, device=device)
    wrong = differences(lambda: recipe.method(spec).to(device), data, recipe.run, folder, device)
    return f"stopped twice, {device} {precision}", *_verdict(wrong, f"{STEPS} steps", began)


def _killed(place: Path) -> Row:
    """As users do it: processes of their own, SIGKILL, `gan resume`."""
    began, runs = time.monotonic(), [place / "whole", place / "killed"]
    words = [word for key, value in KILLED.items() for word in (f"--{key.replace('_', '-')}", str(value))]
    for folder in runs:
        process = _gan("train", "digits", "--recipe", "dcgan", *words, "--out", str(folder))
        if folder == runs[1]:
            while process.poll() is None and len(list((folder / "ckpt").glob("[0-9]*"))) < 2:
                time.sleep(0.005)
            process.kill()
        process.wait()
    code = _gan("resume", str(runs[1])).wait()
    if code:
        return "killed and resumed", f"`gan resume` left with code {code}", False
    (whole, _), (parts, _) = (checkpoint.read(folder) or ({}, {}) for folder in runs)
    wrong = [key for key in whole if key not in parts or not torch.equal(whole[key], parts[key])]
    histories = [[{k: v for k, v in line.items() if k not in CLOCK} for line in Folder(folder).history()] for folder in runs]
    wrong += [] if whole and histories[0] == histories[1] else ["the history of readings"]
    return "killed and resumed, cpu fp32", *_verdict(wrong, "30 steps", began)


def _gan(*words: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "ganforge", *words]
    return subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _verdict(wrong: list[str], length: str, began: float) -> tuple[str, bool]:
    took = f"{length}, {time.monotonic() - began:.0f} s"
    if wrong:
        return f"differs in {len(wrong)} places, the first {wrong[0]} ({took})", False
    return f"bit-identical ({took})", True


CHECKS: dict[str, Callable[[], Iterator[Row]]] = {"resume": resume}
