"""`gan evaluate RUN [--data DATA]`, or `gan evaluate RUN DATA`."""

from __future__ import annotations

import sys
from typing import Annotated

import tyro

from .options import call


def main(arguments: list[str]) -> int:
    if len(arguments) > 1 and not any(a.startswith("-") for a in arguments[:2]):
        arguments = [arguments[0], "--data", *arguments[1:]]
    return call(evaluate, arguments, "gan evaluate")


def evaluate(
    subject: Annotated[str, tyro.conf.Positional],
    data: str = "",
    metrics: str = "",
    samples: int = 0,
    reals: int = 0,
    features: str = "auto",
    weights: str = "",
    size: str = "",
    per_class: bool = False,
    seed: int = 0,
    out: str = "",
    code: tuple[str, ...] = (),
    device: str = "auto",
) -> int:
    """Measure a model, or any images, against data: numbers with their protocol, their errors and their floor.

    Args:
        subject: A run, a copy of its best/ folder, or images: a folder, an archive, a built-in set.
        data: What to compare with. Empty: what the run was trained on, its held-out part first.
        metrics: Any of fid,kid,pr,prdc,mind,is,modes,cas; or psnr,ssim,ms-ssim,lpips,delta-e of images and their originals, paired by name.
            Empty: the first five, as far as the number of images allows; of a model that makes images of images, psnr, ssim and a
            perceptual distance.
        samples: Images a side. 0: as many as the reference has, at most 10,000; of a model that makes images of images, 32.
        reals: Real images, where they are not to be as many: 50,000 on CIFAR-10, as papers have it. More than there are: all.
        features: auto, inception, clean, efficientnet-lite0, vgg16, classifier, dinov2, clip, random, or FILE.py:NAME. auto: inception,
            else what is at hand.
        weights: A file with the weights of the features, where you have your own.
        size: Bring both sides to this size first, such as 64 or 96x64 (folders of images only).
        per_class: Also a table by class.
        seed: Which images are drawn and compared follows from it.
        out: Folder for the result. Empty: evaluations/ of the run.
        code: Your own .py files that the model names and that may be run.
        device: cpu, cuda, or auto.
    """
    from ..runs.evaluate import evaluate as go

    found = go(
        subject,
        data,
        metrics=metrics,
        samples=samples,
        reals=reals,
        features=features,
        weights=weights,
        size=size,
        per_class=per_class,
        seed=seed,
        out=out,
        code=code,
        device=device,
    )
    sys.stdout.write(found.table())
    if found.saved:
        picture = found.saved.with_name(f"{found.saved.stem}-nearest.png")
        sys.stdout.write(f"saved     {found.saved}{f', nearest training images: {picture}' if picture.is_file() else ''}\n")
    return 0
