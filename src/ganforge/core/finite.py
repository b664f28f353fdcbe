"""Whether training still computes with numbers: every loss and every weight of every step is looked at, and nothing waits for it."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .ema import Average
from .method import Method


class Fault(NamedTuple):
    """The first step at which something stopped being a finite number."""

    step: int
    """The step that did it, counted from 1."""
    wrong: tuple[str, ...]
    """What is not finite, in the order in which it was computed: 'generator/loss', 'the weight discriminator.body.0.bias'."""
    healthy: dict[str, float]
    """The logged numbers of the last step that had none."""


class Finite:
    """Looks at the steps of one method, in order.

    With CUDA their numbers travel to the CPU beside the computation, and are read once they are there. From other devices they are
    fetched only when somebody waits, because fetching is waiting.
    """

    def __init__(self, method: nn.Module) -> None:
        self._names, self._weights = zip(*((n, p) for n, p in method.named_parameters() if p.numel()), strict=True)
        self._waiting: deque[tuple[int, list[str], Tensor, torch.cuda.Event | None]] = deque()
        self._healthy: dict[str, float] = {}

    @torch.no_grad()
    def note(self, step: int, numbers: Mapping[str, Tensor]) -> None:
        """Remember a step's logged scalars, and the norm of each weight after it. In fp32 a weight beyond 1e19 counts as infinite."""
        norms = torch._foreach_norm(self._weights)
        values = torch.stack([*numbers.values(), *(norm.float() for norm in norms)]).float()
        event = None
        if values.is_cuda:
            values = torch.empty(values.shape, pin_memory=True).copy_(values, non_blocking=True)
            event = torch.cuda.Event()
            event.record()
        self._waiting.append((step, [*numbers], values, event))

    def fault(self, wait: bool) -> Fault | None:
        """The first fault among the steps whose numbers have arrived; `wait`: among all of them."""
        while self._waiting:
            step, logged, values, event = self._waiting[0]
            there = event.query() if event else values.device.type == "cpu"
            if not (there or wait):
                return None
            if event:
                event.synchronize()
            self._waiting.popleft()
            found = values.tolist()
            if not all(map(math.isfinite, found)):
                names = [*logged, *(f"the weight {name}" for name in self._names)]
                return Fault(step, tuple(n for n, v in zip(names, found, strict=True) if not math.isfinite(v)), self._healthy)
            self._healthy = dict(zip(logged, found, strict=False))
        return None


@torch.no_grad()
def not_finite(method: Method, average: Average) -> tuple[str, ...]:
    """What a checkpoint must not hold: averages, moments and buffers (batch norm's statistics) can go wrong while losses and weights
    do not yet. Waits for the device."""
    named: dict[str, Tensor] = {f"the state {key}": value for key, value in method.state_dict().items()}
    for name, network in average.networks.items():
        named |= {f"the average {name}.{key}": value for key, value in network.state_dict().items()}
    for player in method.players:
        for number, entry in enumerate(player.optimizer.state.values()):
            named |= {f"{key} {number} of the {player.name}'s optimiser": v for key, v in entry.items() if isinstance(v, Tensor)}
    named = {name: v for name, v in named.items() if v.is_floating_point() and v.numel()}
    norms = torch._foreach_norm([*named.values()])
    return tuple(name for name, norm in zip(named, norms, strict=True) if not math.isfinite(norm))
