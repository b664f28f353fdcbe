"""Two processes with half the batch each end up where one process with the whole batch does, and where two end that were never stopped."""

import os
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from ganforge import cli, losses
from ganforge.core import machine
from ganforge.core import train as training
from ganforge.core.engine import iterate
from ganforge.core.method import Progress
from ganforge.core.optim import optimizer
from ganforge.core.parallel import processes, world
from ganforge.methods.autoencoding import BEGAN
from ganforge.methods.controlled import ControlledTwoPlayer
from ganforge.methods.style import Style
from ganforge.methods.two_player import TwoPlayer
from ganforge.runs import signals

from ..faults.runs import same, state, words
from .games import STEADY, autoencoding
from .toys import Net, Points, given_latents, plain_sgd


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


class Picture(nn.Module):
    """(n, 4) -> (n, 2, 4, 4), class ignored."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 48), nn.Unflatten(1, (3, 4, 4)), nn.Tanh(), nn.Conv2d(3, 2, 3, padding=1))

    def forward(self, z, y=None):
        return self.body(z)


class Judge(nn.Module):
    """(n, 2, 4, 4) -> (n,), class ignored."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(2, 5, 3, padding=1), nn.Tanh(), nn.Flatten(), nn.Linear(80, 1))

    def forward(self, x, y=None):
        return self.body(x).squeeze(1)


def walk_images(rank: int, of: int, fused: bool = True):
    """Weights in channels_last, whose gradients an optimiser that walks over raw memory must meet in the same order."""
    torch.manual_seed(0)
    adam = optimizer("Adam", 1e-2) if fused else partial(torch.optim.Adam, lr=1e-2, foreach=False)
    latents = given_latents()(8).chunk(of)[rank]
    method = TwoPlayer(Picture(), Judge(), loss=losses.logistic, optimizer=adam, latent=lambda n: latents)
    machine.layout(method, "channels_last")
    x = torch.randn(8, 2, 4, 4, generator=torch.Generator().manual_seed(1)).chunk(of)[rank]
    for i in range(5):
        iterate(method, [{"x": x}], Progress(i, 8 * i, 40))
    return {key: value.contiguous() for key, value in method.state_dict().items()}


def walk_means(rank: int, of: int):
    """BEGAN's k, StyleGAN2's mean path length and how sure a discriminator is, which follow what each process sees."""
    torch.manual_seed(0)
    z, found = given_latents()(8).chunk(of)[rank], {}
    x = torch.linspace(-3, 3, 16).reshape(8, 2).chunk(of)[rank]
    began = autoencoding(BEGAN, latent=lambda n: z, optimizer=STEADY, gain=0.02, diversity=1.5)
    style = Style(TwoPlayer(Net(4, 2), Net(2, 1), loss=losses.logistic, optimizer=STEADY, latent=lambda n: z), decay=0.3, share=1.0)
    style.lengths = lambda z, y: style.generator(z).square().sum(1) + z.norm(dim=1)
    controlled = ControlledTwoPlayer(Net(4, 2), Net(2, 1), loss=losses.logistic, optimizer=STEADY, latent=lambda n: z)
    for name, method in (("began", began), ("style", style), ("controlled", controlled)):
        for i in range(5):
            iterate(method, [{"x": x}], Progress(i, 8 * i, 40))
        found |= {f"{name}.{key}": value for key, value in method.state_dict().items()}
    return found


def test_the_means_that_methods_keep_depend_on_what_is_seen():
    """Else their being equal in all processes would say nothing."""
    halves = [walk_means(rank, 2) for rank in (0, 1)]
    for key in ("began.balance.0", "style.path.0", "controlled.control.0"):
        assert halves[0][key] != halves[1][key] and 0 < halves[0][key]
    assert max(half["began.balance.0"] for half in halves) < 1, "not at its bound"


def test_a_fused_optimiser_moves_channels_last_weights_as_a_plain_one_does():
    plain = walk_images(0, 1, fused=False)
    for key, value in walk_images(0, 1).items():
        torch.testing.assert_close(value, plain[key], rtol=1e-4, atol=1e-5)


def test_two_processes_equal_one(tmp_path):
    done = torchrun("-m", "tests.contract.test_many_processes", str(tmp_path / "two.safetensors"), cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr[-2000:]
    two = load_file(tmp_path / "two.safetensors")
    for key, value in walk(0, 1).items():
        torch.testing.assert_close(two[key], value)
    for key, value in walk_images(0, 1).items():
        torch.testing.assert_close(two[f"images.{key}"], value, rtol=1e-4, atol=1e-5)
    for key, value in walk_means(0, 1).items():
        torch.testing.assert_close(two[f"means.{key}"], value, rtol=1e-4, atol=1e-5)


STEPS, CUT = 120, 64  # more than one pass through the 1,797 digits; the processes vote on whether to stop every 16 steps


def test_the_command_trains_with_two_processes_and_resumes_bit_for_bit(tmp_path):
    tiny = words(recipe="dcgan", examples=16 * STEPS)

    def gan(*command, stop=""):
        done = torchrun("-m", "tests.contract.test_many_processes", "gan", stop, *command, cwd=Path(__file__).parents[2])
        assert done.returncode == 0, done.stderr[-2000:]

    gan("train", "digits", *tiny, "--out", str(tmp_path / "whole"))
    gan("train", "digits", *tiny, "--out", str(tmp_path / "cut"), stop=str(CUT))
    assert state(tmp_path / "whole")["step"] == STEPS and state(tmp_path / "cut")["step"] == CUT
    before = (tmp_path / "cut" / "metrics.jsonl").read_text()
    gan("resume", str(tmp_path / "cut"))
    assert state(tmp_path / "cut")["step"] == STEPS
    after = (tmp_path / "cut" / "metrics.jsonl").read_text()
    assert before and after.startswith(before), "it went on, clocks and all, and did not begin anew"
    same(tmp_path / "whole", tmp_path / "cut")


def command(stop, *arguments):
    """`gan` in one of the processes. At step `stop` the second of them alone is asked to stop, and both must."""
    seen, real = [0], training.iterate

    def counted(method, cut, now, **options):
        seen[0] = now.step + 1
        return real(method, cut, now, **options)

    training.iterate = counted
    signals.Stop.__call__ = lambda self: bool(stop) and world()[0] == 1 and seen[0] >= int(stop)
    cli.main(arguments)


if __name__ == "__main__" and sys.argv[1] == "gan":
    command(*sys.argv[2:])
elif __name__ == "__main__":
    with processes("cpu"):
        assert world()[1] == 2
        moved = walk(*world()) | {f"images.{key}": value for key, value in walk_images(*world()).items()}
        moved |= {f"means.{key}": value for key, value in walk_means(*world()).items()}
        if world()[0] == 0:
            save_file(moved, sys.argv[1])
    # Threads that outlive the group can abort a process at its exit.
    left = [(task / "comm").read_text().strip() for task in Path("/proc/self/task").glob("*")]
    assert not [name for name in left if "gloo" in name], left
