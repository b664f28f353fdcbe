"""The pictures of a run: always of the same latents, or of the same inputs, so that they tell what has changed."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import interpolate

from ..core.method import Batch
from . import sampling
from .grid import grid

SAMPLES = 64
"""Images in a picture, about."""
EXAMPLES = 8
"""Inputs in a picture, each a row of what is made of it."""
CHUNK = 8
"""Inputs that pass a network together."""


class Pictures(Protocol):
    """Draws the networks of a method as they stand."""

    def draw(self, networks: Mapping[str, nn.Module]) -> Image.Image: ...


class OfLatents:
    """A grid of images, by class where there are classes."""

    def __init__(self, method: Any, classes: int) -> None:
        self.columns = classes if 2 <= classes <= 12 else 8
        count = SAMPLES // self.columns * self.columns
        wanted = [i % classes for i in range(count)] if classes else None
        self.z, self.y = sampling.starts(method, range(count), classes, wanted)

    def draw(self, networks: Mapping[str, nn.Module]) -> Image.Image:
        return grid(sampling.images(networks["generator"], self.z, self.y), columns=self.columns)


class OfInputs:
    """A row for each of some held-out inputs: as given, as each way of the method makes it, and as it should be."""

    def __init__(self, method: Any, data: Any) -> None:
        self.ways, self.paired = ways(method), paired(method)
        self.given, self.x = inputs(method, data, EXAMPLES)

    def draw(self, networks: Mapping[str, nn.Module]) -> Image.Image:
        made = [translated(networks[way], self.given) for way in self.ways]
        columns = [_visible(self.given, made[0]), *made, *([self.x] if self.paired else [])]
        channels = max(column.shape[1] for column in columns)
        return grid(torch.stack([column.expand(-1, channels, -1, -1) for column in columns], 1).flatten(0, 1), columns=len(columns))


def of(method: Any, data: Any, classes: int) -> Pictures:
    """What a run of this method draws."""
    return OfInputs(method, data) if translates(method) else OfLatents(method, classes)


def translates(method: Any) -> bool:
    """Whether its generator makes images of images, not of latents: such a method has `given(batch)`."""
    return hasattr(method, "given")


def judged(method: Any, batch: Batch) -> Tensor:
    """What a method makes images of to be judged by them, (n, c, h, w): what it learns with, unless it has a `judged(batch)` of its own."""
    given: Tensor = getattr(method, "judged", method.given)(batch)
    return given


def paired(method: Any) -> bool:
    """Whether x is what should become of the input beside it; methods of two domains without pairs say `paired = False`."""
    return bool(getattr(method, "paired", True))


def ways(method: Any) -> tuple[str, ...]:
    """The exports that make x of the input, the one that training is about first."""
    return tuple(getattr(method, "ways", ("generator",)))


def captions(method: Any) -> list[str]:
    """What the columns of a picture show; [] for pictures of latents."""
    if not translates(method):
        return []
    return ["given", *ways(method), *(["wanted"] if paired(method) else [])]


def next_step(run: Path, plan: Mapping[str, Any], task: str = "") -> str:
    """What to type to use a trained run, of which `plan` is the plan.json; task: what its recipe was to learn, if it says so."""
    typed, masked = shlex.quote(str(run)), " --mask MASK" * (task == "inpaint")
    return f"gan apply {typed} PHOTO{masked} -o made.png" if plan.get("columns") else f"gan generate {typed} --seeds 0-63"


def inputs(method: Any, data: Any, count: int) -> tuple[Tensor, Tensor]:
    """At most `count` fixed examples that are not learnt from: inputs (n, c, h, w) and the images beside them (n, d, h', w'), on the CPU.

    What a method makes of images at random, it makes the same way every time; the training's random numbers are not moved.
    """
    device = next(method.parameters()).device
    batch = data.shown(count)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(0)
        given = judged(method, {key: value.to(device) for key, value in batch.items()})
    return given.float().cpu(), batch["x"]


@torch.inference_mode()
def translated(network: nn.Module, given: Tensor) -> Tensor:
    """(n, c, h, w) -> (n, d, h', w') in [-1, 1], fp32 on the CPU, a few at a time. The network is in eval mode."""
    device = next(network.parameters()).device
    return torch.cat([network(part.to(device)).float().clamp(-1, 1).cpu() for part in given.split(CHUNK)])


def _visible(given: Tensor, like: Tensor) -> Tensor:
    """Inputs as a person sees them: grey or the first three channels, enlarged to the size of what is made of them."""
    shown = given[:, :3] if given.shape[1] >= 3 else given[:, :1]
    return interpolate(shown, tuple(like.shape[2:]), mode="nearest") if shown.shape[2:] != like.shape[2:] else shown
