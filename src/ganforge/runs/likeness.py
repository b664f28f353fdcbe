"""A run that makes images of images judges itself: how like the wanted ones its images are, on examples that are not learnt from.

Where there are no wanted ones, it asks instead how far the set of its images is from that of the domain they should belong to.
"""

from __future__ import annotations

import logging
import math
import time
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from ..core.ema import Average
from ..core.errors import DataError
from ..core.train import Tick
from ..data.source import cache_folder
from ..metrics import measure
from ..metrics.features import extract, to_uint8
from ..metrics.likeness import Sight, sight
from ..metrics.pairs import psnr, ssim
from ..metrics.random_features import RandomFeatures
from . import pictures
from .eyes import of_run
from .folder import Folder
from .judge import due, measured, within_budget

logger = logging.getLogger(__name__)

PAIRS, SET = 16, 128
"""Examples of a look: wanted images tell much each, sets of images need many."""
ROOM = 3.0
"""Decibels that the most lifelike model may lie below the most faithful one: what adversarial training costs in the tables of ESRGAN and
Real-ESRGAN is 1.8 to 2.7."""
BEST_PSNR = "evaluations/training.json"


class Likeness:
    """Measures the averaged networks against fixed examples, and says which to keep; the place of `judge.Judge` where inputs are given.

    While the generator moves alone, the model with the highest PSNR is the best; from when it has a rival, the one that looks most alike
    (`metrics.likeness`) among those within ROOM of the highest PSNR so far. Without pairs: the one with the lowest KID.
    """

    def __init__(self, folder: Folder, option: str, often: int, method: Any, data: Any, device: str) -> None:
        self.folder, self.often, self.what = folder, often, (option, method, data, device)
        self.opened: Opened | None = None
        self.shut = False
        """Whether opening failed: it would at every other look, too."""
        self.readings: dict[str, float] = {}
        self.known: dict[str, float] = {}
        """The numbers of the model in best/."""
        self.top = -math.inf
        """The highest PSNR so far."""
        self.best: dict[str, Any] = {}
        if self.recall_best() and (folder.path / BEST_PSNR).is_file():
            self.top = float(folder.json(BEST_PSNR).get("psnr", self.top))

    def look(self, tick: Tick) -> dict[str, float]:
        """{metric: value} of the generator, the one that decides first; {} where it is not due. The training's random numbers stay."""
        if self.shut or not due(tick.now, self.often):
            return {}
        now = self._open()
        found = {way: now.numbers(tick.average.networks[way]) for way in now.ways}
        self.readings = {f"{metric}/{way}": value for way, numbers in found.items() for metric, value in numbers.items()}
        numbers, rivals = found[now.ways[0]], sum(key.endswith("/loss") for key in tick.numbers) > 1
        decides = [*numbers][-1 if rivals else 0]
        self.top = max(self.top, numbers.get("PSNR", -math.inf))
        return {decides: numbers[decides], **numbers}

    def is_best(self, numbers: dict[str, float]) -> bool:
        """Whether the model that was just looked at should be kept."""
        first, value = next(iter(numbers.items()))
        if first not in self.known:
            return not self.known or self._close(numbers)
        if first == "PSNR":
            return value > self.known[first]
        return self._close(numbers) and (value < self.known[first] or not self._close(self.known))

    def _close(self, numbers: dict[str, float]) -> bool:
        """Whether PSNR, where there is one, is not too far from the highest."""
        return numbers.get("PSNR", math.inf) >= self.top - ROOM

    def keep(self, numbers: dict[str, float], seen: int, best: bool) -> None:
        """Write down what it knows, after the best model is on the disk."""
        if best:
            self.recall_best()
        if self.top > -math.inf:
            (self.folder.path / BEST_PSNR).parent.mkdir(exist_ok=True)
            self.folder.write_json(BEST_PSNR, {"psnr": self.top})

    def columns(self, numbers: dict[str, float]) -> dict[str, float]:
        """What metrics.jsonl keeps of a look: {"PSNR/generator": ..., "PSNR/faithful": ..., ...}."""
        return self.readings

    def recall_best(self) -> bool:
        """Whether best/ holds a whole model that was measured; `best` and `known` are what its config.json tells of it."""
        self.known, seen = measured(self.folder)
        self.best = next(({"metric": metric, "value": value, "seen": seen} for metric, value in self.known.items()), {})
        self.top = max(self.top, self.known.get("PSNR", -math.inf))
        return bool(self.best)

    def _open(self) -> Opened:
        if self.opened is None:
            self.shut = True  # until it is open
            self.opened = Opened(*self.what)
            self.shut = False
        return self.opened


def affordable(option: str, method: Any, data: Any, device: str, seconds: float) -> int:
    """How many looks of an untrained method `judge.SHARE` of `seconds` of training pays for; 0 where a look fails, and the first says why.

    Raises UsageError for unknown features.
    """
    try:
        now, networks = Opened(option, method, data, device), Average(method.exports, 0.0).networks
        for _ in range(2):  # the first warms up
            began = time.monotonic()
            for way in now.ways:
                now.numbers(networks[way])
    except DataError as error:
        logger.info("a look could not be priced: %s", error)
        return 0
    return within_budget(time.monotonic() - began, seconds)


class Opened:
    """The examples and what they are compared by: all that stays the same from one look to the next."""

    def __init__(self, option: str, method: Any, data: Any, device: str) -> None:
        self.ways, self.paired = pictures.ways(method), pictures.paired(method)
        self.sight: Sight = sight(of_run(option), cache_folder(), device)
        self.given, self.x = pictures.inputs(method, data, PAIRS if self.paired else SET)
        self.device = device
        if not self.paired:
            if len(self.x) < measure.METRICS["kid"].least:  # so few are held out: those that are learnt from say more
                self.given, self.x = pictures.inputs(method, replace(data, held_out=None), SET)
            measure.fitting(("kid",), len(self.x), "the data")
            self.eyes = RandomFeatures(device)
            self.real = extract(self.eyes, to_uint8(self.x))

    @torch.inference_mode()
    def numbers(self, network: nn.Module) -> dict[str, float]:
        """What the images that it makes of the inputs are worth, by metric: PSNR first, the perceptual distance last.

        Raises DataError for too few or too small ones.
        """
        made = pictures.translated(network, self.given)
        if not self.paired:
            scores = measure.measure(extract(self.eyes, to_uint8(made)), self.real, ("kid",), features=self.eyes)
            return {name: score.value for name, score in scores.items()}
        found = {"PSNR": psnr(made, self.x), "SSIM": ssim(made, self.x)}
        found[self.sight.name] = torch.cat([self.sight.distance(*both) for both in zip(made.split(4), self.x.split(4), strict=True)])
        return {name: float(values.mean()) for name, values in found.items()}
