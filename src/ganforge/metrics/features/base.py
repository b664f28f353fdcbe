"""What a feature extractor is, and running one over many images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

import torch
from torch import Tensor

from ...core.errors import DataError, UsageError

CHUNK = 1024
"""Rows that are gathered where they were computed before they are handed on: a graphics card is not waited for at every batch."""


class Features(Protocol):
    """Images (n, c, h, w) uint8, c 1 or 3, all of one size -> features (n, dim) float32, on the device where they were computed."""

    @property
    def name(self) -> str:
        """What the measure is named after: FD-<name>."""

    @property
    def dim(self) -> int:
        """Numbers a vector."""

    @property
    def facts(self) -> Mapping[str, str]:
        """What must travel with a number: weights (16 hex digits of their sha256), resize, runtime, precision."""

    @property
    def is_inception(self) -> bool:
        """Only here may a Frechet distance be called FID."""

    def __call__(self, images: Tensor) -> Tensor: ...


def checked(images: Tensor) -> Tensor:
    """`images`, if they are (n, c, h, w) uint8 with n, h, w at least 1 and c 1 or 3.

    Raises DataError for none at all, for other channels, and for floats that are not finite; UsageError for other kinds of numbers.
    """
    if images.ndim != 4 or not images.numel():
        raise DataError(f"features are taken of images (n, c, h, w), at least one; got {tuple(images.shape)}.")
    if images.shape[1] not in (1, 3):
        raise DataError(f"features are taken of images with 1 (grey) or 3 (colour) channels; got {images.shape[1]}.")
    if images.is_floating_point() and (wrong := _broken(images)):
        raise DataError(f"{wrong} hold NaN or infinity.")
    if images.dtype != torch.uint8:
        kind = str(images.dtype).removeprefix("torch.")
        raise UsageError(f"features are taken of uint8 images, 0 to 255; got {kind}. For samples in [-1, 1]: to_uint8(samples).")
    return images


def to_uint8(samples: Tensor, whose: str = "the model") -> Tensor:
    """Samples (n, c, h, w) in [-1, 1] -> uint8 images 0..255, rounded down from x 127.5 + 128 as published code does.

    Raises DataError for NaN and infinity, which `whose` model draws.
    """
    if wrong := _broken(samples):
        raise DataError(f"{whose} draws values that are not finite: {wrong} hold NaN or infinity. Take an earlier model.")
    return pixels(samples)


def pixels(samples: Tensor) -> Tensor:
    """Samples in [-1, 1], any shape -> uint8, x 127.5 + 128 rounded down: -1 -> 0, 0 -> 128, 1 -> 255. Values outside are clamped."""
    return (samples.float() * 127.5 + 128).clamp(0, 255).to(torch.uint8)


def _broken(x: Tensor) -> str:
    """'3 of 64' images of (n, ...) that hold NaN or infinity; '' for none."""
    wrong = (~torch.isfinite(x)).flatten(1).any(1)
    return f"{int(wrong.sum()):,} of {len(x):,} images" if bool(wrong.any()) else ""


@contextmanager
def exact() -> Iterator[None]:
    """No TF32 inside: it keeps 10 of 23 bits of what a convolution multiplies, and a number must not depend on the graphics card."""
    convolutions, products = torch.backends.cudnn, torch.backends.cuda.matmul
    before = convolutions.allow_tf32, products.allow_tf32
    convolutions.allow_tf32 = products.allow_tf32 = False
    try:
        yield
    finally:
        convolutions.allow_tf32, products.allow_tf32 = before


def colour(x: Tensor) -> Tensor:
    """(n, 1 or 3, h, w) -> (n, 3, h, w)."""
    return x.expand(-1, 3, -1, -1)


def batched(images: Tensor | Iterable[Tensor], size: int) -> Iterator[Tensor]:
    """Batches (size, c, h, w), the last maybe smaller, of images (n, c, h, w) or of a stream of (k, c, h, w) or (c, h, w).

    Raises DataError where the sizes or channels change on the way, and where there are no images.
    """
    if isinstance(images, Tensor):
        checked(images)
        yield from images.split(size)
        return
    held: list[Tensor] = []
    shape: tuple[int, ...] | None = None
    for part in images:
        part = part[None] if part.ndim == 3 else part
        if shape is not None and tuple(part.shape[1:]) != shape:
            raise DataError(f"the images differ in size: {tuple(part.shape[1:])} after {shape} (channels, height, width).")
        shape = tuple(part.shape[1:])
        held.append(part)
        if (count := sum(map(len, held))) >= size:
            whole = torch.cat(held)
            yield from whole[: count // size * size].split(size)
            held = [whole[count // size * size :]] if count % size else []
    if shape is None:
        raise DataError("there are no images to take features of.")
    if held:
        yield torch.cat(held)


def stream(
    features: Features, images: Tensor | Iterable[Tensor], *, batch: int = 64, progress: Callable[[int, int], None] | None = None
) -> Iterator[Tensor]:
    """Features (k, dim) on the CPU, CHUNK or so at a time. progress(images so far, images in all or 0) is called after each batch."""
    if batch < 1:
        raise UsageError(f"batch must be at least 1; got {batch}.")
    total, done, far = len(images) if isinstance(images, Tensor) else 0, 0, False
    held: list[Tensor] = []
    for part in batched(images, batch):
        part = part.pin_memory() if far and part.device.type == "cpu" else part  # only pinned memory is sent without waiting
        with exact():
            held.append(features(part))
        far = held[-1].is_cuda
        done += len(part)
        if progress:
            progress(done, total)
        if sum(map(len, held)) >= CHUNK:
            yield torch.cat(held).cpu()
            held = []
    if held:
        yield torch.cat(held).cpu()


def extract(
    features: Features, images: Tensor | Iterable[Tensor], *, batch: int = 64, progress: Callable[[int, int], None] | None = None
) -> Tensor:
    """Features (n, dim) float32 of images (n, c, h, w) uint8, or of a stream of such batches that never lies in memory as a whole.

    Raises DataError for none, mixed sizes, other channels and NaN; UsageError for images that are not uint8.
    """
    return torch.cat(list(stream(features, images, batch=batch, progress=progress)))
