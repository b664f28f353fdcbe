"""Features of a data set, taken once: kept by what the images are, which extractor it was, and how many were asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from ...core.errors import UsageError
from ...data.imageset import ImageSet, generator
from ...data.source import digest
from ..moments import Moments
from ..weights import keep as store
from ..weights import kept
from .base import Features, checked, stream

VERSION = "1"
"""Raised when features change, so that old caches are not taken for new ones."""


class Cached(NamedTuple):
    """Features of a data set."""

    rows: Tensor
    """(k, dim) float32: those of `examples`."""
    moments: Moments
    """Of all examples that were asked for, also of those whose rows were not kept."""
    examples: Tensor
    """(k,) int64: which examples of the set the rows belong to."""


def cached(
    features: Features,
    image_set: ImageSet,
    cache: Path,
    *,
    limit: int | None = None,
    seed: int = 0,
    keep: int = 50_000,
    batch: int = 64,
    progress: Callable[[int, int], None] | None = None,
) -> Cached:
    """Features of `limit` examples (None: all), drawn without repetition as f(seed); at most `keep` rows of them, at random, are kept.

    Found in `cache` if the same was asked before. progress(images so far, images in all) is called while features are taken.
    Raises UsageError for a limit or keep below 1, DataError for an empty set.
    """
    if (limit is not None and limit < 1) or keep < 1:
        raise UsageError(f"limit and keep must be at least 1; got {limit} and {keep}.")
    checked(image_set.images[:1])
    total = min(len(image_set), limit or len(image_set))
    path = place(features, image_set, cache, limit, seed, keep)
    held = kept(path)
    if held is not None and {"rows", "examples", "count", "mean", "scatter"} <= held.keys():
        moments = Moments()
        moments.count, moments.mean, moments.scatter = int(held["count"]), held["mean"], held["scatter"]
        return Cached(held["rows"], moments, held["examples"])
    index = torch.arange(len(image_set))
    if total < len(image_set) or keep < total:  # at random, so that what is left out does not matter
        index = torch.randperm(len(image_set), generator=generator(seed, "features", 0))[:total]
    rows, moments = _gathered(features, image_set.images, index, keep, batch, progress)
    made = Cached(rows, moments, index[:keep].clone())
    store(
        path, {"rows": made.rows, "examples": made.examples, "count": torch.tensor(total), "mean": moments.mean, "scatter": moments.scatter}
    )
    return made


def place(features: Features, image_set: ImageSet, cache: Path, limit: int | None = None, seed: int = 0, keep: int = 50_000) -> Path:
    """The file that features are kept in by `cached`, whether or not it is there yet. Options as there."""
    total = min(len(image_set), limit or len(image_set))
    facts = " ".join(f"{key}={value}" for key, value in sorted(features.facts.items()))
    key = digest(VERSION, image_set.fingerprint, features.name, str(features.dim), facts, str(total), str(seed), str(keep))
    return cache / "features" / f"{key}.safetensors"


def _gathered(
    features: Features, images: Tensor, index: Tensor, keep: int, batch: int, progress: Callable[[int, int], None] | None
) -> tuple[Tensor, Moments]:
    """(rows of the first `keep` examples of `index`, moments of all)."""

    def parts() -> Iterator[Tensor]:
        yield from (images[some] for some in index.split(batch))

    def tell(done: int, _: int) -> None:
        if progress:
            progress(done, len(index))

    rows: list[Tensor] = []
    moments, done = Moments(), 0
    for part in stream(features, parts(), batch=batch, progress=tell):
        if done < keep:
            rows.append(part[: keep - done])
        done += len(part)
        moments.add(part)
    return torch.cat(rows), moments
