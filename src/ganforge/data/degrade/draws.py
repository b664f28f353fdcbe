"""Parameters drawn at random, from torch's global generator on the CPU alone: seeding torch repeats them, and no GPU has to wait."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor

Item = TypeVar("Item")


def between(low: float, high: float, n: int = 1) -> Tensor:
    """(n,) numbers, evenly from low to high."""
    return low + (high - low) * torch.rand(n)


def number(low: float, high: float) -> float:
    """One number, evenly from low to high."""
    return float(between(low, high))


def whole(low: int, high: int) -> int:
    """One whole number from low to high, both included."""
    return int(torch.randint(low, high + 1, (1,)))


def chance(p: float) -> bool:
    """True with probability p."""
    return bool(torch.rand(1) < p)


def pick(items: Sequence[Item], weights: Sequence[float] = ()) -> Item:
    """One of the items, evenly or by weight."""
    if not weights:
        return items[whole(0, len(items) - 1)]
    return items[int(torch.multinomial(torch.tensor(weights, dtype=torch.float), 1))]


def shuffled(items: Sequence[Item]) -> list[Item]:
    """The items in an order of chance."""
    return [items[i] for i in torch.randperm(len(items)).tolist()]
