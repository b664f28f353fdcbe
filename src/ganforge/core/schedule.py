"""Values that change over a run, as functions of the fraction of the budget spent."""

from __future__ import annotations

import math

from .method import Progress, Schedule


def cosine(start: float, end: float) -> Schedule:
    """Half a cosine from `start` to `end` over the planned budget."""
    return lambda now: end + (start - end) * (1 + math.cos(math.pi * now.fraction)) / 2


def linear(start: float, end: float) -> Schedule:
    """A straight line from `start` to `end` over the planned budget."""
    return lambda now: start + (end - start) * now.fraction


def held(start: float, end: float, hold: float = 0.5) -> Schedule:
    """`start` for the fraction `hold` of the planned budget, then a straight line to `end` (CycleGAN, arXiv:1703.10593, app. 7.1)."""
    return lambda now: start + (end - start) * max(0.0, now.fraction - hold) / (1 - hold)


def evenly(now: Progress, times: int) -> bool:
    """True after `times` steps of a run that are spread evenly, its last one among them; after every step of a shorter run."""
    return now.step * times // now.steps != (now.step - 1) * times // now.steps


def value(scheduled: float | Schedule, now: Progress) -> float:
    """A number that may be a schedule, at this moment."""
    return scheduled(now) if callable(scheduled) else scheduled
