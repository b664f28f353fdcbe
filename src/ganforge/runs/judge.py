"""The run judges itself as it goes on: one metric on light features, seldom enough to cost little; and remembers its best."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Collection
from itertools import repeat
from typing import Any

import torch
from torch import Tensor, nn

from ..core.ema import Average
from ..core.errors import CheckpointError
from ..core.method import Progress
from ..core.train import TICKS, Tick
from ..data.imageset import ImageSet
from ..data.source import cache_folder
from ..metrics import measure, sets
from ..metrics.features import Features, cached, extract, to_uint8
from . import model, sampling
from .eyes import choose
from .folder import Folder
from .sides import CHUNK

logger = logging.getLogger(__name__)

SHARE = 0.05
"""Of the planned training time, at most: what judging may cost."""
MOST = 40
"""Looks, where their number is not asked for: one every fifth reading, enough to see a curve."""
COUNT = 1000
"""Generated images, always of the same latents, and as many training images: what picks the best model must not be what judges it later,
so held-out images are never looked at here."""
FIRST_SEED = 9_000_000
"""Far from the seeds of the sample grids."""
LIGHT = "random"
"""Features unless others are named: they cost next to nothing, are the same on every machine, and order the moments of a run as the
features of a trained classifier do (benchmarks/order_of_moments.py)."""
COARSE = 0.005
"""Share of the distance of plain noise below which light features tell no better from worse: pictures go on improving there."""
STATE = "evaluations/training.json"


class Judge:
    """Measures the averaged generator against fixed real images. What it knows lies in the run folder, so a resumed run goes on with it.

    `option` is Run.evaluate ("auto", "kid", "mind", "fid", with features after a colon), `often` is Run.evaluations (0: at the end alone),
    `code` the files of the user's that may be run: `option` alone, which may come from a stranger's folder, runs none.
    """

    def __init__(
        self, folder: Folder, option: str, often: int, method: Any, data: ImageSet, device: str, code: Collection[str] = ()
    ) -> None:
        self.folder, self.often = folder, often
        self.what = (option, method, data, device, code)
        self.opened: Opened | None = None
        self.shut = False
        """Whether opening failed: it would at every other look, too."""
        self.best: dict[str, Any] = {}
        self.lowest = math.inf
        """The lowest value that any look has found; the model in best/ lies within the noise of it."""
        self.noise = 0.0
        """Of the last look: the standard error of its number, 0 where the metric has none, or what its features cannot tell apart."""
        if (folder.path / STATE).is_file():
            self._recall()
        if self.recall_best():
            self.lowest = min(self.lowest, self.best["value"])

    def look(self, tick: Tick) -> dict[str, float]:
        """{metric: value, "floor": value}, the metric first; {} where it is not due. The training's random numbers are not moved.

        Due evenly `often` times, the last time at the end: of the steps alone, so that an interrupted run looks when a whole one does.
        """
        with torch.random.fork_rng(devices=[]):
            if self.shut or not self._due(tick):
                return {}
            now = self._open()
            torch.manual_seed(0)  # for generators that draw noise of their own
            fake = now.fakes(tick.average.networks["generator"])
            score = now.score(fake)
        self.noise = max(next(iter(score.values())).error or 0.0, now.coarse)
        return {name: s.value for name, s in score.items()} | now.floor

    def is_best(self, numbers: dict[str, float]) -> bool:
        """Whether the model that was just looked at should be kept: no earlier one was better by more than the noise of the number.

        Among equals the later is the better choice: distances on light features reach their noise long before pictures stop improving.
        """
        name, value = next(iter(numbers.items()))
        return self.best.get("metric") != name or value <= self.lowest + self.noise

    def keep(self, numbers: dict[str, float], seen: int, best: bool) -> None:
        """Write down what it knows, after the best model is on the disk."""
        name, value = next(iter(numbers.items()))
        self.lowest = min(self.lowest, value) if self.best.get("metric") == name else value
        if best:
            self.best = {"metric": name, "value": value, "seen": seen}
        (self.folder.path / STATE).parent.mkdir(exist_ok=True)
        self.folder.write_json(STATE, {"lowest": self.lowest})

    def _recall(self) -> None:
        try:
            self.lowest = float(self.folder.json(STATE)["lowest"])
        except (CheckpointError, KeyError, TypeError, ValueError) as error:
            logger.warning("the lowest value so far is not known any more, that of best/ takes its place: %s", error)

    def closing(self) -> list[str]:
        """What is told at the end of the run."""
        return ["best    {metric} {value:.4g} at {seen:,} images, in best/".format(**self.best)]

    def columns(self, numbers: dict[str, float]) -> dict[str, float]:
        """What metrics.jsonl keeps of a look."""
        return {f"quality/{name}": value for name, value in numbers.items()}

    def recall_best(self) -> bool:
        """Whether best/ holds a whole model that was measured; `best` is what its config.json tells of it, else {}."""
        known, seen = measured(self.folder)
        self.best = next(({"metric": metric, "value": value, "seen": seen} for metric, value in known.items()), {})
        return bool(self.best)

    def _due(self, tick: Tick) -> bool:
        if not self.often and tick.now.step != tick.now.steps:
            self._open()  # what could not be priced probably cannot be opened either: told now and not after hours
        return due(tick.now, self.often)

    def _open(self) -> Opened:
        if self.opened is None:
            self.shut = True  # until it is open
            self.opened = opened(*self.what)
            self.shut = False
        return self.opened


def due(now: Progress, often: int) -> bool:
    """Whether one of `often` looks, evenly over a run, falls on this reading; the last one always does."""
    if now.step == now.steps:
        return True
    ticks = min(TICKS, now.steps)  # of these, evenly so many
    number = now.step * ticks // now.steps
    return number * often // ticks != (number - 1) * often // ticks


def measured(folder: Folder) -> tuple[dict[str, float], int]:
    """The numbers of the whole model in best/, that which it was chosen by first, and the images it had seen; {} and 0 if there is none."""
    told = model.described(folder.path / "best")
    try:
        return {str(metric): float(value) for metric, value in told["metrics"].items()}, int(told["seen"])
    except (KeyError, AttributeError, TypeError, ValueError):
        return {}, 0


def within_budget(price: float, seconds: float, spent: float = 0.0) -> int:
    """How many looks of `price` seconds, from 1 to MOST, cost with the seconds `spent` before at most SHARE of `seconds` of training."""
    return max(1, min(MOST, math.floor((SHARE * seconds - spent) / max(price, 1e-9))))


def affordable(option: str, method: Any, data: ImageSet, device: str, code: Collection[str], seconds: float) -> int:
    """How many looks, from 1 to MOST, cost with their preparation at most SHARE of `seconds` of training. The method is untrained; random
    numbers are not moved.

    0 where a look cannot be priced, be it for too few images or features that cannot be had: the first look says why.
    """
    with torch.random.fork_rng(devices=[]):
        try:
            began = time.monotonic()
            now = opened(option, method, data, device, code)
            spent = time.monotonic() - began  # once for the run: the rows of the real images stay in the cache
            price = now.price(Average(method.exports, 0.0).networks["generator"])
        except Exception as error:  # features may be anybody's code, and pricing a look must not end what it looks at
            logger.info("a look could not be priced: %s", error)
            return 0
    return within_budget(price, seconds, spent)


def opened(option: str, method: Any, data: ImageSet, device: str, code: Collection[str]) -> Opened:
    """All that a look needs, for Judge's `option`. Raises GanforgeError for too few images and features that cannot be had."""
    metric, _, wanted = option.partition(":")
    eyes = choose(wanted or LIGHT, "", code, device, data)[0]
    return Opened(eyes, "kid" if metric == "auto" else metric, method, data)


class Opened:
    """The features, the real rows, the floor and the latents: all that stays the same from one look to the next."""

    def __init__(self, eyes: Features, metric: str, method: Any, data: ImageSet) -> None:
        self.eyes, self.metric = eyes, metric
        count = min(COUNT, len(data))
        measure.fitting((metric,), count, "the data")
        real, other = sets.disjoint(data, count)
        self.real = sets.check_rows(cached(eyes, real, cache_folder()).rows, "the data", eyes.name)
        self.floor: dict[str, float] = {}
        if other is not None:
            rows = cached(eyes, other, cache_folder()).rows
            self.floor = {"floor": next(iter(self.score(rows).values())).value}
        self.coarse = 0.0
        if eyes.name == LIGHT:
            draw = torch.Generator().manual_seed(FIRST_SEED)
            noise = extract(eyes, torch.randint(0, 256, (count, *data.images.shape[1:]), generator=draw, dtype=torch.uint8))
            self.coarse = COARSE * next(iter(self.score(noise).values())).value
        classes = 0 if data.labels is None else len(data.names)
        labels = sets.apportioned(data.labels, classes, count).tolist() if data.labels is not None and classes else None
        self.z, self.y = sampling.starts(method, range(FIRST_SEED, FIRST_SEED + count), classes, labels)

    @torch.inference_mode()
    def fakes(self, generator: nn.Module, most: int = COUNT) -> Tensor:
        """Feature rows (n, f) of the images that the generator draws of the first `most` of the fixed latents."""
        rows = []
        for z, y in zip(self.z[:most].split(CHUNK), self.y[:most].split(CHUNK) if self.y is not None else repeat(None), strict=False):
            rows.append(extract(self.eyes, to_uint8(sampling.images(generator, z, y), "the model as it stands")))
        return sets.check_rows(torch.cat(rows), "the model as it stands", self.eyes.name)

    def score(self, rows: Tensor) -> measure.Measured:
        """The metric of feature rows (n, f) against those of the real images."""
        return measure.measure(rows, self.real, (self.metric,), features=self.eyes)

    def price(self, generator: nn.Module) -> float:
        """Seconds that a look will take: drawing and seeing, guessed from a small part of it, and the metric."""
        self.fakes(generator, 16)  # warm up
        began, some = time.monotonic(), min(64, len(self.z))
        self.fakes(generator, some)
        drawn = time.monotonic()
        self.score(self.real)
        return (drawn - began) * len(self.z) / some + time.monotonic() - drawn
