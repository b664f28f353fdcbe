"""The run judges itself as it goes on: one metric on light features, seldom enough to cost little; and remembers its best."""

from __future__ import annotations

import logging
import time
from itertools import repeat
from typing import Any

import torch
from torch import Tensor, nn

from ..core.errors import CheckpointError, DataError
from ..core.method import Progress
from ..core.train import Tick, is_tick
from ..data.imageset import ImageSet
from ..data.source import cache_folder
from ..metrics import measure, sets
from ..metrics.features import Features, cached, extract
from . import sampling
from .eyes import choose
from .folder import Folder
from .grid import to_uint8
from .sides import CHUNK

logger = logging.getLogger(__name__)

SHARE = 0.05
"""Of the training time, at most: what judging may cost."""
COUNT = 1000
"""Generated images, always of the same latents, and as many real ones."""
ENOUGH = 500
"""Held-out images from which on they are the reference, and not the training images."""
FIRST_SEED = 9_000_000
"""Far from the seeds of the sample grids."""
LIGHT = "random"
"""Features unless others are named: they cost next to nothing, are the same on every machine, and order the moments of a run as the
features of a trained classifier do (benchmarks/order_of_moments.py)."""
STATE = "evaluations/training.json"


class Judge:
    """Measures the averaged generator against fixed real images. What it knows lies in the run folder, so a resumed run goes on with it.

    `option` is Run.evaluate ("auto", "kid", "mind", "fid", with features after a colon), `often` is Run.evaluations.
    """

    def __init__(self, folder: Folder, option: str, often: int, method: Any, data: ImageSet, device: str) -> None:
        metric, _, self.wanted = option.partition(":")
        self.metric = "kid" if metric == "auto" else metric
        self.folder, self.often, self.method, self.data, self.device = folder, often, method, data, device
        self.opened: Opened | None = None
        self.spent = self.cost = 0.0
        self.best: dict[str, Any] = {}
        if (folder.path / STATE).is_file():
            self._recall()

    def look(self, tick: Tick) -> dict[str, float]:
        """{metric: value, "floor": value}, the metric first; {} where it is not due. The training's random numbers are not moved.

        Due at the end always; before it evenly `often` times, or else whenever one more costs at most SHARE of the time so far,
        with one set aside for the end.
        """
        with torch.random.fork_rng(devices=[]):
            if not self._due(tick):
                return {}
            began = time.monotonic()
            opened = self._open()
            torch.manual_seed(0)  # for generators that draw noise of their own
            fake = opened.fakes(tick.average.networks["generator"])
            score = measure.measure(fake, opened.real, (self.metric,), features=opened.eyes)
            self.cost = time.monotonic() - began
            self.spent += self.cost
        return {name: s.value for name, s in score.items()} | opened.floor

    def is_best(self, numbers: dict[str, float], seen: int) -> bool:
        """Whether `look` has found the best model so far; the same moment again, after an interruption, counts as such."""
        name, value = next(iter(numbers.items()))
        return self.best.get("metric") != name or value < self.best["value"] or seen == self.best["seen"]

    def keep(self, numbers: dict[str, float], seen: int, best: bool) -> None:
        """Write down what it knows, after the best model is on the disk."""
        if best:
            name, value = next(iter(numbers.items()))
            self.best = {"metric": name, "value": value, "seen": seen}
        (self.folder.path / STATE).parent.mkdir(exist_ok=True)
        self.folder.write_json(STATE, {"spent": round(self.spent, 3), "cost": round(self.cost, 3), "best": self.best})

    def _recall(self) -> None:
        try:
            kept = self.folder.json(STATE)
            self.spent, self.cost = float(kept["spent"]), float(kept["cost"])
            self.best = {key: kept["best"][key] for key in ("metric", "value", "seen")} if kept["best"] else {}
        except (CheckpointError, KeyError, TypeError, ValueError) as error:
            logger.warning("the best so far is not known any more and is found anew: %s", error)

    def _due(self, tick: Tick) -> bool:
        now = tick.now
        total = -(-now.total // (now.seen // now.step))
        if now.step == total:
            return True
        if self.often:
            return now.step * self.often // total != _tick_before(now, total) * self.often // total
        if self.opened is None:
            began = time.monotonic()
            self.cost = self.cost or self._open().price(tick.average.networks["generator"])
            self.spent += time.monotonic() - began
        return self.spent + 2 * self.cost <= SHARE * tick.seconds

    def _open(self) -> Opened:
        if self.opened is None:
            eyes = choose(self.wanted or LIGHT, "", (), self.device, self.data)[0]
            self.opened = Opened(eyes, self.metric, self.method, self.data)
        return self.opened


class Opened:
    """The features, the real rows, the floor and the latents: all that stays the same from one look to the next."""

    def __init__(self, eyes: Features, metric: str, method: Any, data: ImageSet) -> None:
        self.eyes = eyes
        reference = data.held_out if data.held_out and len(data.held_out) >= ENOUGH else data
        count = min(COUNT, len(reference))
        measure.fitting((metric,), count, "the data")
        real, other = sets.disjoint(reference, count)
        if other is None and reference is not data:
            other = sets.subset(data, count)
        self.real = sets.check_rows(cached(eyes, real, cache_folder()).rows, "the data", eyes.name)
        self.floor: dict[str, float] = {}
        if other is not None:
            rows = cached(eyes, other, cache_folder()).rows
            self.floor = {"floor": next(iter(measure.measure(rows, self.real, (metric,), features=eyes).values())).value}
        classes = 0 if data.labels is None else len(data.names)
        labels = sets.apportioned(data.labels, classes, count).tolist() if data.labels is not None and classes else None
        self.z, self.y = sampling.starts(method, range(FIRST_SEED, FIRST_SEED + count), classes, labels)

    @torch.inference_mode()
    def fakes(self, generator: nn.Module, most: int = COUNT) -> Tensor:
        """Feature rows (n, f) of the images that the generator draws of the first `most` of the fixed latents."""
        rows = []
        for z, y in zip(self.z[:most].split(CHUNK), self.y[:most].split(CHUNK) if self.y is not None else repeat(None), strict=False):
            rows.append(extract(self.eyes, to_uint8(_finite(sampling.images(generator, z, y)))))
        return sets.check_rows(torch.cat(rows), "the model as it stands", self.eyes.name)

    def price(self, generator: nn.Module) -> float:
        """Seconds that a look will take, guessed from a small part of one."""
        self.fakes(generator, 16)  # warm up
        began = time.monotonic()
        some = min(64, len(self.z))
        self.fakes(generator, some)
        return (time.monotonic() - began) * len(self.z) / some


def _finite(images: Tensor) -> Tensor:
    if not bool(torch.isfinite(images).all()):
        raise DataError("the model as it stands draws values that are not finite (NaN or infinite).")
    return images


def _tick_before(now: Progress, total: int) -> int:
    return next((step for step in range(now.step - 1, 0, -1) if is_tick(step, total)), 0)
