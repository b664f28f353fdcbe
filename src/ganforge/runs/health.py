"""The guard of a run: what `core.guard` needs of the data and the method, and what it says, LOOKS times."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ..core import memory
from ..core.guard.gap import COST, gains
from ..core.guard.look import Critic, Examples, Eye
from ..core.guard.verdict import STANDS, Health, judge, opine
from ..core.method import Batch, Progress
from ..core.restart import Opinion
from ..core.schedule import evenly
from ..core.train import Tick
from . import sampling

LOOKS = 50
"""How often the guard looks in a run; it divides TICKS, so every look falls on a tick."""
KNOWN = 2048
"""Real examples that it remembers, and as many that were held out."""
GAPS, SHARE = 8, 0.02
"""Most measurements of the duality gap in a run, and the share of the training's steps that they may cost together."""
MOVED = 32
"""Fakes that are drawn without averaging, too: how far the newest generator is from its average tells whether it still moves."""


class Guard:
    """Looks at a run in process 0. `run` holds the fields of the run, `history` the readings before it was resumed."""

    def __init__(self, method: Any, data: Any, run: Mapping[str, Any], history: Sequence[Mapping[str, Any]] = ()) -> None:
        self.method, self.data, self.run = method, data, run
        classes = data.spec.classes
        n = min(512, max(128, run["examples"] // 400))
        groups = max(1, min(classes, n // 16))
        self.classes = [i * classes // groups for i in range(groups)] if classes else []
        self.z, self.y = sampling.starts(method, range(n), classes, [self.classes[i % groups] for i in range(n)] if classes else None)
        held = data.held_out
        usable = held is not None and len(held.images) and not (classes and held.labels is None)
        some = self._some(held) if usable else None
        self.eye = Eye(self._some(data), some if some and len(some.x) else None, n)  # none of the guard's classes may be held out
        self.gaps = min(GAPS, int(SHARE * -(-run["examples"] // run["batch"]) / COST))
        self.looks = [_numbers(line, run["examples"]) for line in history if "health" in line]
        self.seen = 0

    def look(self, tick: Tick) -> Health | None:
        """What it says now; None between its looks."""
        if not evenly(tick.now, LOOKS):
            return None
        numbers = self._see(tick)
        if self.gaps and evenly(tick.now, self.gaps):
            numbers |= {f"gap/{name}": gain for name, gain in self._gains(tick.now).items()}
        self.looks.append({**tick.numbers, **numbers, "step": tick.now.step, "fraction": tick.now.fraction})
        self.seen = tick.now.seen
        return judge(self.looks)._replace(numbers=numbers)

    def opinion(self) -> Opinion:
        """Whether the run may come back to where it stands, or should go back itself, and why."""
        said = opine(self.looks)
        return said._replace(why=f"rescue: {said.why} in {STANDS} looks in a row, at {self.seen:,} images.") if said.why else said

    def _see(self, tick: Tick) -> dict[str, float]:
        drawn = sampling.images(tick.average.networks["generator"], self.z, self.y)
        numbers = self.eye.look(Examples(drawn, self.y), self._critic())
        if self.run["ema"]:  # else the average is the newest generator, and says nothing about movement
            numbers["movement"] = self._movement(drawn[:MOVED])
        return numbers

    def _movement(self, drawn: Tensor) -> float:
        """Root mean square difference of fakes (m, ...) from those of the newest generator, over the spread of the real examples."""
        newest = copy.deepcopy(self.method.exports["generator"]).eval()  # a copy, because eval() would touch the one in training
        moved = sampling.images(newest, self.z[:MOVED], None if self.y is None else self.y[:MOVED]) - drawn
        return float(moved.nan_to_num().square().mean().sqrt() / self.eye.train.x.std().clamp(min=0.01))

    def _critic(self) -> Critic | None:
        """The discriminator as it stands, where there are held-out examples to ask it about and it judges single ones."""
        if self.eye.held is None or not hasattr(self.method, "discriminator") or getattr(self.method, "pack", 1) > 1:
            return None
        network = copy.deepcopy(self.method.discriminator).eval()
        device = next(network.parameters()).device

        @torch.inference_mode()
        def ask(x: Tensor, y: Tensor | None) -> Tensor:
            return network(x.to(device), None if y is None else y.to(device)).float().cpu()

        return ask

    def _gains(self, now: Progress) -> dict[str, float]:
        device = str(next(self.method.parameters()).device)
        size = self.run["batch"] // self.run["accumulate"]
        batches: Iterator[Batch] = self.data.batches(size, seed=self.run["seed"] + 1, start=now.step, device=device)
        try:
            return gains(self.method, batches, now, seed=self.run["seed"])
        except (MemoryError, RuntimeError) as error:
            if not memory.is_short(error):
                raise
            self.gaps = 0  # the copies do not fit beside the training, which goes on without this number
            return {}

    def _some(self, part: Any) -> Examples:
        """Up to KNOWN examples of a part of the data, of the guard's classes, in an order of its own."""
        order = torch.randperm(len(part.images), generator=torch.Generator().manual_seed(0))
        if self.classes:
            order = order[torch.isin(part.labels[order], torch.tensor(self.classes))]
        order = order[:KNOWN]
        return Examples(part.images[order].float() / 127.5 - 1, part.labels[order] if self.classes else None)


def reading(health: Health) -> dict[str, Any]:
    """What metrics.jsonl keeps of a look: {"health": word, "health/diversity": ..., "gap/...": ...}."""
    numbers = {name if name.startswith("gap/") else f"health/{name}": number for name, number in health.numbers.items()}
    return {"health": health.word, **numbers}


def _numbers(line: Mapping[str, Any], total: int) -> dict[str, float]:
    """A line of metrics.jsonl as the guard saw it."""
    numbers = {name.removeprefix("health/"): number for name, number in line.items() if not isinstance(number, str)}
    return {**numbers, "fraction": Progress(line["step"], line["seen"], total).fraction}
