"""Images per second of one training step: the loop everybody copies against ours, and what auto's penalties cost.

    python benchmarks/speed.py [--seconds 20] [--rounds 5]

The networks are those of the classic 32x32 tutorial DCGAN (z 100, 4x4 to 32x32, 256-128-64 channels, batch norm). "plain": two
optimisers, a sigmoid and BCE, fakes kept from the discriminator's step, `.item()` each step, fp32, torch's default
layout. "ours": the same layers through the engine with what the start-up probe chose. Each runs in a process of its own; they
take turns, round by round, so that they share the machine's moods. Medians, the median of the rounds' ratios, and each one's fastest round
are printed: on a machine that is shared with others the fastest rounds say what it can do, and they hit the quicker loop harder.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from multiprocessing.connection import Connection

import torch
from torch import nn

from ganforge.core import allocator, machine
from ganforge.core.engine import iterate, seed_step
from ganforge.core.method import Progress
from ganforge.core.run import Run
from ganforge.core.train import DTYPES
from ganforge.data.imageset import ImageSet
from ganforge.recipes import find

BATCH, SIDE = 128, 32


def weights(n: int) -> dict[str, nn.Module]:
    """The tutorial's two networks, as everybody writes them."""
    g = nn.Sequential(
        *(nn.ConvTranspose2d(100, 256, 4, 1, 0, bias=False), nn.BatchNorm2d(256), nn.ReLU(True)),
        *(nn.ConvTranspose2d(256, 128, 4, 2, 1, bias=False), nn.BatchNorm2d(128), nn.ReLU(True)),
        *(nn.ConvTranspose2d(128, 64, 4, 2, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU(True)),
        *(nn.ConvTranspose2d(64, n, 4, 2, 1, bias=False), nn.Tanh()),
    )
    d = nn.Sequential(
        *(nn.Conv2d(n, 64, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, True)),
        *(nn.Conv2d(64, 128, 4, 2, 1, bias=False), nn.BatchNorm2d(128), nn.LeakyReLU(0.2, True)),
        *(nn.Conv2d(128, 256, 4, 2, 1, bias=False), nn.BatchNorm2d(256), nn.LeakyReLU(0.2, True)),
        *(nn.Conv2d(256, 1, 4, 1, 0, bias=False), nn.Sigmoid()),
    )
    return {"g": g, "d": d}


def plain_loop(images: torch.Tensor) -> Iterator[None]:
    """One training step per `next`, as in the tutorials: float images, a DataLoader in this process."""
    nets = weights(images.shape[1])
    g, d = nets["g"], nets["d"]
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(images.float() / 127.5 - 1), BATCH, shuffle=True, drop_last=True)
    criterion = nn.BCELoss()
    g_optimizer = torch.optim.Adam(g.parameters(), lr=2e-4, betas=(0.5, 0.999))
    d_optimizer = torch.optim.Adam(d.parameters(), lr=2e-4, betas=(0.5, 0.999))
    while True:
        for (real,) in loader:
            d.zero_grad()
            error_real = criterion(d(real).view(-1), torch.ones(BATCH))
            error_real.backward()
            fake = g(torch.randn(BATCH, 100, 1, 1))
            error_fake = criterion(d(fake.detach()).view(-1), torch.zeros(BATCH))
            error_fake.backward()
            d_optimizer.step()
            g.zero_grad()
            error_g = criterion(d(fake).view(-1), torch.ones(BATCH))
            error_g.backward()
            g_optimizer.step()
            (error_real + error_fake).item(), error_g.item()
            yield


def our_loop(recipe_name: str, data: ImageSet, run: Run, **changes: object) -> Iterator[None]:
    """One training step per `next`, through the engine."""
    recipe = replace(find(recipe_name)(data=None), run=run, **changes)
    method = recipe.method(data.spec)
    machine.layout(method, run.layout)
    for step, batch in enumerate(data.batches(run.batch, seed=0)):
        seed_step(0, 0, step)
        iterate(method, [batch], Progress(step, step * BATCH, 10**9), autocast=DTYPES[run.precision])
        yield


def images() -> torch.Tensor:
    return torch.randint(0, 256, (4096, 3, SIDE, SIDE), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def best_run(data: ImageSet) -> Run:
    """Precision and layout as `gan train` would choose them here."""
    recipe = replace(find("dcgan")(data=None), run=Run(batch=BATCH, examples=BATCH))
    run, _, notes = machine.settle(lambda: recipe.method(data.spec), data, recipe.run, torch.device("cpu"))
    print("\n".join(notes), flush=True)
    return run


def contestant(name: str, run: Run) -> Iterator[None]:
    """One of the loops that race, by its name in the table."""
    if name == "plain":
        return plain_loop(images())
    machine.use_threads(0)
    allocator.keep_freed("cpu")  # as every run does at its start
    data = ImageSet(images())
    if name == "ours (dcgan)":
        return our_loop("dcgan", data, run)
    auto, _ = find("auto")(data=None, width=48, run=run).plan(data.spec, lambda candidate: 0.0)
    fields = {field: getattr(auto, field) for field in ("width", "group", "lr", "penalty_weight")}
    return our_loop("auto", data, run, **fields, **({"penalty": ()} if "without" in name else {}))


def serve(name: str, run: Run, orders: Connection) -> None:
    """In a process of its own, as a user would run it: run for so many seconds when told, answer with images per second."""
    loop = contestant(name, run)
    next(loop), next(loop)
    while seconds := orders.recv():
        orders.send(timed(lambda: next(loop), seconds))


def race(names: Sequence[str], run: Run, seconds: float, rounds: int) -> dict[str, list[float]]:
    """Images per second of each contestant in each round, in turn, while the others wait."""
    lines: dict[str, Connection] = {}
    context = multiprocessing.get_context("spawn")
    for name in names:
        lines[name], theirs = context.Pipe()
        context.Process(target=serve, args=(name, run, theirs), daemon=True).start()
    speeds: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(rounds + 1):  # the first turn warms up
        for name, line in lines.items():
            line.send(seconds / rounds if turn else 0.1)
            answer = line.recv()
            if turn:
                speeds[name].append(answer)
    for line in lines.values():
        line.send(0)
    return speeds


def timed(step: Callable[[], None], seconds: float) -> float:
    began, steps = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        step()
        steps += 1
    return BATCH * steps / (time.perf_counter() - began)


def report(speeds: dict[str, list[float]], base: str) -> None:
    for name, values in speeds.items():
        ratio = statistics.median(v / b for v, b in zip(values, speeds[base], strict=True))
        best = f"fastest {max(values):7,.0f}   {max(values) / max(speeds[base]):.2f} x"
        print(f"{name:28} median {statistics.median(values):7,.0f} images/s   {ratio:.2f} x {base}   {best}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0, help="for each contestant")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    machine.use_threads(0)
    run = best_run(ImageSet(images()))
    report(race(("plain", "ours (dcgan)"), run, options.seconds, options.rounds), "plain")
    report(race(("auto without penalties", "auto"), run, options.seconds, options.rounds), "auto without penalties")


if __name__ == "__main__":
    main()
