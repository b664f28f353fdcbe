"""Which features judge: those asked for, else the original Inception, else the best that is at hand; said in one line, never in silence."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from torch import Tensor

from ..core.errors import DataError, UsageError
from ..data.imageset import ImageSet
from ..metrics.features import Features, check_name, find, own
from ..metrics.random_features import RandomFeatures

INSTEAD = ("efficientnet-lite0",)
"""What stands in for Inception, in this order; last come random convolutions, which need nothing."""


Judging = str | Features | Callable[[Tensor], Any]
"""Features by name; ready made; or a network or function of samples (n, c, h, w) float32 in [-1, 1]."""


def typed(features: Judging) -> tuple[str, ...]:
    """What a name that the user typed adds to the code that may be run: only a name from a run folder adds nothing."""
    return (features,) if isinstance(features, str) and ":" in features else ()


def of_run(evaluate: str) -> str:
    """The features that `Run.evaluate` names, "" where it names none. Raises UsageError for unknown ones."""
    name = evaluate.partition(":")[2]
    if name:
        check_name(name)
    return name


def choose(name: Judging, weights: str, code: Collection[str], device: str, data: ImageSet) -> tuple[Features, tuple[str, ...]]:
    """The features called `name`; "auto" takes Inception or what stands in for it, and a note then says why.

    A file of the user's own is run only if `code` lists it, as `name` may come out of a stranger's run folder. Raises GanforgeError
    where the ones that were asked for cannot be had.
    """
    if not isinstance(name, str):
        return own.wrapped(name, weights, device, data.images[: own.PROBE]), ()
    if name != "auto":
        return find(name, weights=weights or None, code=code, device=device, data=data), ()
    if weights:
        return find("inception", weights=weights, device=device), ()
    why = ""
    for candidate in ("inception", *INSTEAD):
        try:
            eyes = find(candidate, device=device, data=data)
        except DataError as error:
            why = why or str(error).splitlines()[0].split(". Tried")[0]
            continue
        return eyes, (f"features {eyes.name} instead of inception, so no number here is FID: {why}",) if why else ()
    return RandomFeatures(device), (f"features random instead of inception: they order models of one kind and are not for quoting. {why}",)


class Logits:
    """What features take images for: uint8 (n, c, h, w) -> class logits (n, k), for the Inception Score."""

    def __init__(self, eyes: Features, weights: str, device: str) -> None:
        own = getattr(eyes, "logits", None)
        if own is None and not eyes.is_inception:
            raise UsageError(f"the Inception Score needs a network that tells classes; {eyes.name} does not. Use --features classifier.")
        self.of: Features | None = None if own else find("inception-logits", weights=weights or None, device=device)
        self.own, self.name, self.is_inception = own, eyes.name, eyes.is_inception
        self.dim, self.facts = 0, {**eyes.facts, "numbers": "logits"}

    name: str
    dim: int
    facts: Mapping[str, str]
    is_inception: bool

    def __call__(self, images: Tensor) -> Tensor:
        return self.own(images) if self.own else self.of(images)  # type: ignore[misc]
