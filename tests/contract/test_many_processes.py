"""Two processes with half the batch each end up where one process with the whole batch does."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from ganforge import losses
from ganforge.core.engine import iterate
from ganforge.core.method import Progress
from ganforge.core.parallel import processes, world

from .toys import Points, given_latents, plain_sgd


def port() -> str:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return str(s.getsockname()[1])


def torchrun(*command: str, cwd: Path) -> subprocess.CompletedProcess:
    env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    start = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", port()]
    return subprocess.run([*start, *command], cwd=cwd, env=env, capture_output=True, text=True, timeout=300)


def walk(rank: int, of: int):
    method = plain_sgd(lambda n, z=given_latents()(8).chunk(of)[rank]: z)
    method.loss = losses.logistic
    for i, batch in zip(range(5), Points().batches(8, rank=rank, world=of)):
        iterate(method, [batch], Progress(i, 8 * i, 40))
    return method.state_dict()


def test_two_processes_equal_one(tmp_path):
    done = torchrun("-m", "tests.contract.test_many_processes", str(tmp_path / "two.safetensors"), cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr[-2000:]
    one, two = walk(0, 1), load_file(tmp_path / "two.safetensors")
    for key, value in one.items():
        torch.testing.assert_close(two[key], value)


def test_the_command_trains_with_two_processes_and_resumes(tmp_path):
    options = ("--recipe", "dcgan", "--width", "8", "--examples", "320", "--batch", "16", "--precision", "fp32", "--layout", "contiguous")
    done = torchrun("-m", "ganforge", "train", "digits", *options, "--out", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    state = json.loads(next((tmp_path / "run" / "ckpt").glob("*/state.json")).read_text())
    assert state["step"] == 20
    done = torchrun("-m", "ganforge", "resume", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]


if __name__ == "__main__":
    with processes("cpu"):
        assert world()[1] == 2
        state = walk(*world())
        if world()[0] == 0:
            save_file(state, sys.argv[1])
