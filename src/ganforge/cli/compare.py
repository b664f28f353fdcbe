"""`gan compare RUN RUN ...`."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import tyro

from .options import call


def main(arguments: list[str]) -> int:
    return call(compare, arguments, "gan compare")


def compare(
    runs: Annotated[tuple[str, ...], tyro.conf.Positional],
    data: str = "",
    metrics: str = "",
    samples: int = 0,
    reals: int = 0,
    features: str = "auto",
    weights: str = "",
    seed: int = 0,
    out: str = "compare.png",
    code: tuple[str, ...] = (),
    device: str = "auto",
) -> int:
    """Put runs side by side: one table of numbers of one protocol, and one picture of the same seeds.

    Without options on what to measure, evaluations of one protocol that all the runs hold of their models as they are now are taken.

    Args:
        runs: Two or more run folders.
        data: What to compare them with. Empty: what each was trained on, which must be the same.
        metrics: Any of fid,kid,pr,prdc,mind,is,modes,cas. Empty: the first five, as far as the number of images allows.
        samples: Images a side. 0: as many as the reference has, at most 10,000.
        reals: Real images, where they are not to be as many: 50,000 on CIFAR-10, as papers have it. More than there are: all.
        features: As in `gan evaluate`.
        weights: A file with the weights of the features, where you have your own.
        seed: Which images are drawn and compared follows from it.
        out: Where the picture goes, a row a run.
        code: Your own .py files that the models name and that may be run.
        device: cpu, cuda, or auto.
    """
    from ..runs.compare import compare as go

    how: dict[str, Any] = {"metrics": metrics, "samples": samples, "reals": reals, "features": features, "weights": weights}
    found = go(runs, data, **how, seed=seed, out=out, code=code, device=device)
    sys.stdout.write(found.table())
    sys.stdout.write(f"picture   {out}: a row a run, in this order\n" if out else "")
    return 0
