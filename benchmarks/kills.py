"""Kill a small real run again and again, at random moments and inside its saves; it must end as if nothing had happened.

    python benchmarks/kills.py --kills 200

Every process is a fork of this one, so that a start costs no imports. Half of the kills come at a random moment of the clock; the
other half at a random point of the writing itself: before, after or in the middle of one of the files of a checkpoint, of the model
or of the numbers. A run that ends is compared with an uninterrupted one (weights, averages, optimiser moments, the model, the history of
readings) and the next one begins, until all kills are spent.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # threads would not survive a fork

import torch
import torch._dynamo  # what every optimiser would import, in each fork again
from safetensors.torch import load_file

import ganforge
from ganforge.core import checkpoint, machine

OPTIONS = {
    "recipe": "dcgan",
    "width": 8,
    "z": 8,
    "batch": 16,
    "examples": 16 * 40,
    "precision": "fp32",
    "layout": "contiguous",
    "threads": 1,
    "snapshots": 2,
    "save_minutes": 0.0,
    "evaluate": "none",
}
CLOCK = ("seconds", "images_per_second")


def child(folder: Path, point: int | None, part: float) -> None:
    """Train or resume in this process, which kills itself at the `point`-th write to the disk, with `part` of that file written."""
    os.setsid()
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 1)
    os.dup2(devnull, 2)
    machine.speed = lambda *a, **k: 1000.0
    if point is not None:
        aim(point, part)
    try:
        if (folder / "recipe.json").exists():
            ganforge.resume(folder)
        else:  # also where it was killed before it was a run
            ganforge.train("digits", out=str(folder), **OPTIONS)
    except BaseException as error:
        (folder.parent / f"{folder.name}.error").write_text(f"{type(error).__name__}: {error}")
        os._exit(1)
    os._exit(0)


def aim(point: int, part: float) -> None:
    """SIGKILL this process at the `point`-th call that touches the disk."""
    count = 0

    def due() -> bool:
        nonlocal count
        count += 1
        return count > point

    def wrap(owner: object, name: str) -> None:
        plain = getattr(owner, name)

        def call(*args: object) -> object:
            if due():
                if name == "write_flushed":
                    path, data = args
                    with open(path, "wb") as file:
                        file.write(data[: int(len(data) * part)])
                        file.flush()
                        os.kill(os.getpid(), signal.SIGKILL)
                os.kill(os.getpid(), signal.SIGKILL)
            return plain(*args)

        setattr(owner, name, call)

    for owner, name in ((checkpoint, "write_flushed"), (os, "fsync"), (os, "replace"), (os, "rename")):
        wrap(owner, name)


def start(folder: Path, point: int | None = None, part: float = 0.0) -> int:
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        child(folder, point, part)
    return pid


def wait(pid: int, until: float | None) -> int | None:
    """Exit status of a process, or None if it still runs at `until`."""
    while True:
        done, status = os.waitpid(pid, os.WNOHANG if until else 0)
        if done:
            return status
        if until and time.monotonic() >= until:
            return None
        time.sleep(0.002)


def result(folder: Path) -> tuple[dict[str, torch.Tensor], list[dict]]:
    """All tensors of the last checkpoint and the shared model, and the history without clocks."""
    tensors = load_file(sorted((folder / "ckpt").glob("[0-9]*"))[-1] / "state.safetensors")
    tensors |= {f"best/{key}": value for key, value in load_file(folder / "best" / "model.safetensors").items()}
    history = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return tensors, [{key: value for key, value in line.items() if key not in CLOCK} for line in history]


def differences(one: Path, two: Path) -> list[str]:
    """Names of what differs between two finished runs."""
    (a, history), (b, pieced) = result(one), result(two)
    names = [*(a.keys() ^ b.keys()), *(key for key in a.keys() & b.keys() if not torch.equal(a[key], b[key]))]
    return names + (["the history of readings"] if history != pieced else [])


def kill_run(folder: Path, seconds: float, kills: int, draw: random.Random) -> tuple[int, int]:
    """Kill the run in `folder` until it ends or `kills` are spent; (kills, those of them inside a save). Then let it end."""
    spent = inside = 0
    while spent < kills:
        aimed = draw.random() < 0.5
        pid = start(folder, draw.randrange(1, 200) if aimed else None, draw.random())
        status = wait(pid, None if aimed else time.monotonic() + draw.uniform(0, seconds))
        if status is None:
            os.kill(pid, signal.SIGKILL)
            status = wait(pid, None)
        if os.WIFEXITED(status or 0):
            if os.WEXITSTATUS(status or 0):
                raise SystemExit(f"after {spent} kills a run failed: {(folder.parent / f'{folder.name}.error').read_text()}")
            return spent, inside
        spent += 1
        inside += aimed
    if os.WEXITSTATUS(wait(start(folder), None) or 0):
        raise SystemExit(f"after {spent} kills a run failed: {(folder.parent / f'{folder.name}.error').read_text()}")
    return spent, inside


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--kills", type=int, default=200)
    options.add_argument("--seed", type=int, default=0)
    given = options.parse_args()
    draw = random.Random(given.seed)
    torch.set_num_threads(1)
    began = time.monotonic()
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None  # a killed process leaves what it wrote, whatever the disk
    with tempfile.TemporaryDirectory(dir=memory) as place:
        whole = Path(place) / "whole"
        if wait(start(whole), None):
            raise SystemExit(f"the uninterrupted run failed: {(Path(place) / 'whole.error').read_text()}")
        seconds = time.monotonic() - began
        spent = inside = runs = 0
        while spent < given.kills:
            runs += 1
            folder = Path(place) / f"run-{runs}"
            more, aimed = kill_run(folder, seconds, given.kills - spent, draw)
            spent, inside = spent + more, inside + aimed
            if different := differences(whole, folder):
                raise SystemExit(f"after {more} kills run {runs} differs in {len(different)} places: {', '.join(different[:5])}")
            shutil.rmtree(folder)
    took = time.monotonic() - began
    print(f"{inside} kills inside a save, {spent - inside} at any moment, {runs} runs of {OPTIONS['examples'] // 16} steps, {took:.0f} s")
    print(f"{spent}/{given.kills} kills survived, bit-identical")


if __name__ == "__main__":
    main()
