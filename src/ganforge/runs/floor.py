"""The floor under every number: what real images get in the place of the judged ones, as many of them where there are so many."""

from __future__ import annotations

from ..metrics import sets
from .case import Case
from .seen import Seen


def stand_in(case: Case, real: Seen, other: Seen | None, seed: int) -> tuple[Seen, Seen]:
    """(in the place of the judged images, in that of the reference): other real images and the reference, or else two parts of it."""
    if other is not None:
        return other.some(case.judged.count, seed), real
    order = sets.shuffled(len(real.rows), seed)
    first = min(case.judged.count, len(order) // 2)
    return real.at(order[:first]), real.at(order[first:])


def told(case: Case, low: Seen, high: Seen, held: Seen | None = None, trained: Seen | None = None) -> str:
    """Which images the floor compares. held, trained: those of the floor of the column on training data, where there is one."""
    if held is None or trained is None:
        return f"two disjoint parts of the data, {_sizes(low, high, case.judged.count, len(case.real))}"
    here, there = _sizes(low, high, case.judged.count, len(case.real)), _sizes(held, trained, case.judged.count, trained.size)
    return f"training against held-out images, {here}; on training data the other way round, {there}"


def _sizes(low: Seen, high: Seen, judged: int, reference: int) -> str:
    if (low.size, high.size) == (judged, reference):
        return f"{judged:,} and {reference:,}, as many as judged"
    return f"{low.size:,} and {high.size:,} instead of the {judged:,} and {reference:,} judged, so distances but KID's lie higher"
