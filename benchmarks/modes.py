"""Mode coverage in the plane: the 8-Gaussian ring and the 25-Gaussian grid, with auto's loss and penalties.

    python benchmarks/modes.py             20 seeds of each, a table; --seeds 3 for a quick look

Protocol of PacGAN (Lin et al., 2018, arXiv:1712.04086, sec. 4.1): ring of radius 1 with standard deviation 0.01, grid of
spacing 2 with 0.05; 2,500 samples are judged, a sample is good within 3 standard deviations of its nearest mode
(ganforge.metrics.modes). A perfect model has 1 - exp(-4.5) = 98.9 % good samples: 100 % means collapse inside the modes.

A continuous map of one Gaussian cannot reach modes apart from each other without bridges between them (Tanielian et al.,
2020, arXiv:2006.04596), so most of the latent is discrete here: one of 512 codes beside two Gaussian numbers.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Iterable
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import torch
from torch import Tensor, nn

from ganforge import losses, penalties
from ganforge.core.ema import Average
from ganforge.core.engine import iterate, seed_step
from ganforge.core.method import Progress
from ganforge.core.schedule import cosine
from ganforge.methods.two_player import Penalty, TwoPlayer
from ganforge.metrics.modes import GRID, RING, count_modes

SETS = {"ring": (RING, 1.0, 128, 3600, 0.02), "grid": (GRID, 4.0, 256, 4500, 0.005)}
"""The mixture, the scale by which points are divided before the networks see them, the discriminator's width, training steps, and
the penalty weight at the end as a share of GAMMA."""
GOALS = {"ring": (8, 0.97, 0.01, 30.0), "grid": (25, 0.97, 0.02, 60.0)}
"""Modes, least share of good samples, most KL, most seconds."""

BATCH = 192
CODES, NOISE = 512, 0.3
"""How many codes, and the size of the Gaussian part. Every code is free to go where it is needed, because each has weights of its own in
the first layer: with coin tosses in their place, whole results of tosses got stuck just outside a mode (docs/LOG.md)."""
WIDTH = 128
"""Of the generator."""
FREQUENCIES, FINEST = 64, 40.0
"""Of the discriminator's waves: how many, and the highest in radians per unit of scaled space, about one over the width of a mode."""
LR, LR_END = 1e-3, 0.01
GAMMA = 1.0
"""Penalty weight at the start: while it is high the modes' shares settle; then it falls, and the modes may become sharp."""
HALF_LIFE = 0.02
"""Of the average of the generator, as a share of what was seen."""
EPS = 0.002
"""Reach of the finite differences: well below the width of a mode, which is 0.01 of scaled space."""


def latent(n: int) -> Tensor:
    """(n, 3): two Gaussian numbers, and the number of a code."""
    return torch.cat([NOISE * torch.randn(n, 2), torch.randint(0, CODES, (n, 1)).float()], 1)


class Generator(nn.Module):
    """z (n, 3), class ignored -> points (n, 2): three hidden layers, the first a linear one of the noise and of the code's one-hot vector.

    One-hot vectors are sqrt(CODES) long, so that their numbers have variance 1, as the noise would have.
    """

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        self.of_noise, self.of_code = nn.Linear(2, width), nn.Embedding(CODES, width)
        for weight in (self.of_noise.weight, self.of_code.weight):
            nn.init.uniform_(weight, -((2 + CODES) ** -0.5), (2 + CODES) ** -0.5)  # as of one linear layer
        self.body = nn.Sequential(
            *(nn.LeakyReLU(0.2), nn.Linear(width, width), nn.LeakyReLU(0.2)),
            *(nn.Linear(width, width), nn.LeakyReLU(0.2), nn.Linear(width, 2)),
        )

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return self.body(self.of_noise(z[:, :2]) + CODES**0.5 * self.of_code(z[:, 2].long()))


class Discriminator(nn.Module):
    """Points (n, 2), class ignored -> logits (n,).

    Waves in random directions stand in front, their frequencies spread evenly over magnitudes, because a plain network does
    not resolve modes a hundredth as wide as their distance.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        angle, size = torch.rand(FREQUENCIES) * torch.pi * 2, FINEST ** torch.rand(FREQUENCIES)
        self.register_buffer("waves", size * torch.stack([angle.cos(), angle.sin()]))
        self.body = nn.Sequential(
            *(nn.Linear(2 + 2 * FREQUENCIES, width), nn.LeakyReLU(0.2)),
            *(nn.Linear(width, width), nn.LeakyReLU(0.2), nn.Linear(width, 1)),
        )

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        phase = x @ self.waves
        return self.body(torch.cat([x, phase.sin(), phase.cos()], 1)).squeeze(1)


def make(width: int, gamma_end: float) -> TwoPlayer:
    return TwoPlayer(
        Generator(),
        Discriminator(width),
        latent=latent,
        loss=losses.relativistic,
        optimizer=lambda parameters: torch.optim.Adam(parameters, LR, (0.0, 0.9), fused=True),
        penalties=[
            Penalty(partial(penalty, eps=EPS), cosine(GAMMA, GAMMA * gamma_end))
            for penalty in (penalties.r1_finite_difference, penalties.r2_finite_difference)
        ],
        schedule=lambda now: {"lr": cosine(LR, LR * LR_END)(now), "betas": (0.0, cosine(0.9, 0.99)(now))},
    )


def train(name: str, seed: int) -> tuple[Tensor, float]:
    """(2500, 2) samples of a generator trained on the set, and the seconds that it took."""
    mixture, scale, width, steps, gamma_end = SETS[name]
    began = time.perf_counter()
    torch.manual_seed(seed)
    method = make(width, gamma_end)
    average = Average(method.exports, HALF_LIFE)
    for step in range(steps):
        seed_step(seed, 0, step)
        x = mixture.centres[torch.randint(len(mixture.centres), (BATCH,))] + mixture.std * torch.randn(BATCH, 2)
        iterate(method, [{"x": x / scale}], Progress(step, step * BATCH, steps * BATCH))
        average.update(Progress(step + 1, (step + 1) * BATCH, steps * BATCH), BATCH)
    torch.manual_seed(10_000 + seed)
    with torch.inference_mode():
        return average.networks["generator"](latent(2500)) * scale, time.perf_counter() - began


def judged(job: tuple[str, int]) -> dict[str, float | str]:
    """One row of the table."""
    torch.set_num_threads(1)  # these networks are too small to share
    name, seed = job
    samples, seconds = train(name, seed)
    row = {"set": name, "seed": seed, "seconds": round(seconds, 1), **count_modes(samples, SETS[name][0])}
    modes, good, kl, limit = GOALS[name]
    return {**row, "met": row["modes"] == modes and row["good"] >= good and row["kl"] <= kl and seconds <= limit}


def tell(name: str, rows: Iterable[dict]) -> list[dict]:
    mine = []
    for row in rows:
        mine.append(row)
        line = "{set} seed {seed:2d}: {modes} modes, {good:.1%} good, KL {kl:.4f}, spread {spread:.2f}, {seconds} s".format(**row)
        print(line if row["met"] else f"{line}   MISSED", flush=True)
    means = {key: statistics.mean(row[key] for row in mine) for key in ("modes", "good", "kl", "spread", "seconds")}
    line = "mean: {modes:.2f} modes, {good:.2%} good, KL {kl:.4f}, spread {spread:.2f}, {seconds:.1f} s".format(**means)
    print(f"{name}: goals met by {sum(row['met'] for row in mine)}/{len(mine)}; {line}", flush=True)
    return mine


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--workers", type=int, default=2, help="seeds trained side by side, one core each")
    parser.add_argument("--json", type=Path, help="write every seed's numbers here")
    options = parser.parse_args()
    rows = []
    with get_context("spawn").Pool(options.workers) as pool:
        for name in options.sets:
            jobs = [(name, seed) for seed in range(options.first, options.first + options.seeds)]
            rows += tell(name, pool.imap(judged, jobs))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
