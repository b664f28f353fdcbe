"""A run that makes images of images judges itself: how like the wanted ones its images are, on examples that are not learnt from.

Where there are no wanted ones, it asks instead how far the set of its images is from that of the domain they should belong to.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Collection
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from ..core.ema import Average
from ..core.errors import CheckpointError, UsageError
from ..core.method import Progress
from ..core.train import TICKS, Tick
from ..data.source import cache_folder
from ..metrics import measure
from ..metrics.features import extract, to_uint8
from ..metrics.likeness import Later, Sight, check_name, other_than, sight
from ..metrics.pairs import MOST, psnr, ssim
from . import pictures
from .eyes import choose, of_run
from .folder import Folder
from .judge import LIGHT, due, measured, within_budget

logger = logging.getLogger(__name__)

PAIRS, SET = 16, 128
"""Examples of a look: wanted images tell much each, sets of images need many."""
ROOM = 3.0
"""Decibels that the most lifelike model may lie below the most faithful one: what adversarial training costs in the tables of ESRGAN and
Real-ESRGAN is 1.8 to 2.7."""
BEST_PSNR = "evaluations/training.json"
NAMED = "perceptual-"
"""How the names of perceptual distances begin."""


class Likeness:
    """Measures the averaged networks against fixed examples, and says which to keep; the place of `judge.Judge` where inputs are given.

    While the generator moves alone, the model with the highest PSNR is the best; from when it has a rival, the one that looks most alike
    (`metrics.likeness`) of those with a rival that lie within ROOM of the highest PSNR so far; the first of these takes the place of what
    was best without one. Without pairs: the one with the lowest KID, or whatever `option`, Run.evaluate, names.
    """

    def __init__(self, folder: Folder, option: str, often: int, method: Any, data: Any, device: str, code: Collection[str] = ()) -> None:
        self.folder, self.often, self.what = folder, often, (option, method, data, device, code)
        self.opened: Opened | None = None
        self.shut = False
        """Whether opening failed: it would at every other look, too."""
        self.rested: dict[str, dict[str, float]] = {}
        """The numbers of networks that do not change any more."""
        self.readings: dict[str, float] = {}
        self.known: dict[str, float] = {}
        """The numbers of the model in best/, the one that it was chosen by first."""
        self.top = -math.inf
        """The highest PSNR so far."""
        self.best: dict[str, Any] = {}
        if self.recall_best() and (folder.path / BEST_PSNR).is_file():
            self._recall()

    def look(self, tick: Tick) -> dict[str, float]:
        """{metric: value} of the generator, the one that decides first; {} where it is not due. The training's random numbers stay."""
        begins = self.what[1].since(tick.now._replace(seen=tick.now.total))
        if self.shut or not falls_due(tick.now, self.often, begins):
            return {}
        now, resting = self._open(), self.what[1].resting(tick.now)
        found = {way: self.rested.get(way) or now.numbers(tick.average.networks[way]) for way in now.ways}
        self.rested = {way: numbers for way, numbers in found.items() if way in resting}
        self.readings = {f"{metric}/{way}": value for way, numbers in found.items() for metric, value in numbers.items()}
        numbers, rivals = found[now.ways[0]], sum(key.endswith("/loss") for key in tick.numbers) > 1
        decides = [*numbers][-1 if rivals and tick.now.fraction > begins else 0]
        self._met(numbers.get("PSNR", -math.inf))
        return {decides: numbers[decides], **numbers}

    def is_best(self, numbers: dict[str, float]) -> bool:
        """Whether the model that was just looked at should be kept."""
        first, value = next(iter(numbers.items()))
        if first != next(iter(self.known), ""):
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
        if not all(map(math.isfinite, self.known.values())):  # nothing would ever be better, or worse
            self.known = {}
        self.best = next(({"metric": metric, "value": value, "seen": seen} for metric, value in self.known.items()), {})
        self._met(self.known.get("PSNR", -math.inf))
        return bool(self.best)

    def closing(self) -> list[str]:
        """What is told at the end: the model in best/ by the number that chose it, and the last look at each of several networks."""
        if not self.best:
            return []
        lines, ways = ["best    {metric} {value:.4g} at {seen:,} images, in best/".format(**self.best)], pictures.ways(self.what[1])
        if len(ways) > 1 and self.best["metric"] == "PSNR":
            lines.append(f"        nothing that came of the game was within {ROOM:g} dB of the highest PSNR")
        for way in ways if len(ways) > 1 else ():
            numbers = {metric.removesuffix(f"/{way}"): value for metric, value in self.readings.items() if metric.endswith(f"/{way}")}
            lines.append(f"        {way} at the end: {', '.join(f'{metric} {value:.4g}' for metric, value in numbers.items())}")
        return lines

    def _met(self, value: float) -> None:
        """Raise `top` to a PSNR; one that is no finite number does not count."""
        if math.isfinite(value):
            self.top = max(self.top, value)

    def _recall(self) -> None:
        try:
            self._met(float(self.folder.json(BEST_PSNR)["psnr"]))
        except (CheckpointError, KeyError, TypeError, ValueError) as error:
            logger.warning("the highest PSNR so far is not known any more, that of best/ takes its place: %s", error)

    def _open(self) -> Opened:
        if self.opened is None:
            self.shut = True  # until it is open
            judge = next((name.removeprefix(NAMED) for name in self.known if name.startswith(NAMED)), "")  # as before the run was stopped
            self.opened = Opened(*self.what, judge)
            self.shut = False
        return self.opened


def falls_due(now: Progress, often: int, begins: float) -> bool:
    """Whether a look falls on this reading: half of `often` before the fraction `begins` of the budget, half after it, evenly in both.

    So the moment at which a short game was at its best is found. `begins` 0: all evenly over the run; the last reading always has one.
    """
    if not begins or now.step == now.steps:
        return due(now, often)
    ticks = min(TICKS, now.steps)
    number = now.step * ticks // now.steps
    before, after = (_looks(at / ticks, often, begins) for at in (number - 1, number))
    return after != before


def _looks(fraction: float, often: int, begins: float) -> int:
    """How many looks have been due by then."""
    part = fraction / begins if fraction < begins else 1 + (fraction - begins) / (1 - begins)
    return math.floor(often * part / 2 + 1e-9)


def check(option: str, method: Any) -> None:
    """Raise UsageError for a Run.evaluate that does not suit the method: sets of images have other measures than pairs have."""
    metric, _, features = option.partition(":")
    if not pictures.paired(method) or metric == "none":
        return
    if metric != "auto":
        raise UsageError(
            f"--evaluate {metric} compares sets of images; what this recipe makes is compared with the wanted images one by one: "
            "auto, auto with features after a colon, or none."
        )
    check_name(features)


def affordable(option: str, method: Any, data: Any, device: str, code: Collection[str], seconds: float) -> int:
    """How many looks of an untrained method `judge.SHARE` of `seconds` of training pays for; 0 where one fails: the first says why."""
    try:
        now, networks = Opened(option, method, data, device, code), Average(method.exports, 0.0).networks
        for _ in range(2):  # the first warms up
            began = time.monotonic()
            for way in now.ways:
                now.numbers(networks[way])
    except Exception as error:  # features may be anybody's code, and pricing a look must not end what it looks at
        logger.info("a look could not be priced: %s", error)
        return 0
    return within_budget(time.monotonic() - began, seconds)


def eyes_of(method: Any, wanted: str = "") -> str:
    """Whose maps judge (`metrics.likeness.sight`): those that are wanted; else the best at hand, "", or what the loss looks not through."""
    distances = [distance for name in ("terms", "late_terms") for distance, _ in getattr(method, name, {}).values()]
    eyes = [getattr(distance, "__self__", distance) for distance in distances]
    looked = {each.wanted for each in eyes if isinstance(each, Later)}
    return wanted or (other_than(looked, cache_folder()) if looked else "")


class Opened:
    """The examples and what they are compared by: all that stays the same from one look to the next."""

    def __init__(self, option: str, method: Any, data: Any, device: str, code: Collection[str], judge: str = "") -> None:
        self.ways, self.paired = pictures.ways(method), pictures.paired(method)
        self.given, self.x = pictures.inputs(method, data, PAIRS if self.paired else SET)
        if self.paired:
            self.sight: Sight = sight(eyes_of(method, of_run(option) or judge), cache_folder(), device)
            return
        metric = option.partition(":")[0]
        self.metric = "kid" if metric == "auto" else metric
        if len(self.x) < measure.METRICS[self.metric].least:  # so few are held out: those that are learnt from say more
            self.given, self.x = pictures.inputs(method, replace(data, held_out=None), SET)
        measure.fitting((self.metric,), len(self.x), "the data")
        self.eyes = choose(of_run(option) or LIGHT, "", code, device, data)[0]
        self.real = extract(self.eyes, to_uint8(self.x))

    @torch.inference_mode()
    def numbers(self, network: nn.Module) -> dict[str, float]:
        """What the images that it makes of the inputs are worth, by metric: PSNR first, the perceptual distance last.

        Raises DataError for too few or too small ones.
        """
        made = pictures.translated(network, self.given)
        if not self.paired:
            scores = measure.measure(extract(self.eyes, to_uint8(made)), self.real, (self.metric,), features=self.eyes)
            return {name: score.value for name, score in scores.items()}
        found = {"PSNR": psnr(made, self.x).clamp(max=MOST), "SSIM": ssim(made, self.x)}
        found[self.sight.name] = torch.cat([self.sight.distance(*both) for both in zip(made.split(4), self.x.split(4), strict=True)])
        return {name: float(values.mean()) for name, values in found.items()}
