"""Seconds and digits of the Frechet distance of 2,048-dimensional features, ours and with scipy's matrix root, in one run.

    python benchmarks/frechet.py           10,000 rows a side; --rows 50000, --threads 2

The features are made up, in the shape of those of Inception: not negative, correlated, with a spectrum that falls. The dev extra brings
scipy. A set of fewer rows than dimensions has a covariance without full rank, where the root of scipy is the least sure.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from torch import Tensor

from ganforge.metrics.frechet import frechet_distance, from_moments
from ganforge.metrics.moments import Moments

DIMENSIONS = 2048


def features(rows: int, seed: int, scale: float) -> Tensor:
    """(rows, 2048) float32."""
    draw = torch.Generator().manual_seed(0)
    mix = torch.randn(DIMENSIONS, DIMENSIONS, generator=draw) * torch.logspace(0, -3, DIMENSIONS) / 10
    draw.manual_seed(seed)
    return (scale * torch.randn(rows, DIMENSIONS, generator=draw) @ mix + 0.3).relu()


def by_scipy(a: Moments, b: Moments) -> float:
    """The formula as most programs have it."""
    from scipy.linalg import sqrtm

    root = sqrtm((a.cov @ b.cov).numpy()).real
    return float((a.mean - b.mean).square().sum() + a.cov.trace() + b.cov.trace() - 2 * root.trace())


def timed(what: str, distance: Callable[[], float]) -> None:
    wall, processor = time.perf_counter(), time.process_time()
    value = distance()
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    print(f"{what:<44} {value:.12g}  {wall:.1f} s, {processor:.1f} s of processor time", flush=True)


def compare(rows: int) -> None:
    """One table of lines."""
    a, b = features(rows, 1, 1.0), features(rows, 2, 1.1)
    of_a, of_b = Moments().add(a), Moments().add(b)
    print(f"{rows} rows a side, {DIMENSIONS} dimensions, {torch.get_num_threads()} threads")
    timed("from the rows", lambda: frechet_distance(a, b))
    timed("from moments", lambda: from_moments(of_a.mean, of_a.cov, of_b.mean, of_b.cov))
    timed("from moments, scipy.linalg.sqrtm", lambda: by_scipy(of_a, of_b))
    timed("to itself, from the rows", lambda: frechet_distance(a, a))
    timed("to itself, from moments", lambda: from_moments(of_a.mean, of_a.cov, of_a.mean, of_a.cov))
    timed("to itself, scipy.linalg.sqrtm", lambda: by_scipy(of_a, of_a))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for rows in (options.rows, 500):
        compare(rows)


if __name__ == "__main__":
    main()
