"""Distances class by class, as the Intra-FID, with a floor of each: a model that ignores its classes is found out here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from torch import Tensor

from ..metrics import measure
from ..metrics.features import Features
from ..metrics.measure import METRICS, Measured
from . import labelled
from .case import Case
from .seen import Seen

INTRA = ("fid", "kid")
"""What is measured class by class."""
NAMED = 10
"""Classes at most that a note names."""
Numbers = dict[str, Mapping[str, float]]
"""{class: {name: value}}."""


class Compare(Protocol):
    """The metrics `which` of one side against another; for notes, ` of class dog` where it is of a class."""

    def __call__(self, a: Seen, b: Seen, which: Sequence[str], of_class: str = "") -> Measured: ...


def measured(
    case: Case, sides: tuple[Seen, Seen], floor: tuple[Seen, Seen], compare: Compare, names: Sequence[str], eyes: Features, notes: list[str]
) -> tuple[Numbers, Numbers]:
    """Numbers by class of (judged, reference), and the floor of each, for the metrics in INTRA; notes on classes with too few images.

    Raises DataError where the sides have not the same classes.
    """
    ours, theirs = labelled.shared(case, "--per-class")
    which = [name for name in INTRA if name in names] or list(INTRA)
    others = theirs if case.other is None else case.other.labels
    values: Numbers = {}
    floors: Numbers = {}
    counts: dict[str, int] = {}
    for number, kind in enumerate(case.real.names):
        a, b = _of(sides[0], ours, number), _of(sides[1], theirs, number)
        values[kind] = _values(compare(a, b, possible(which, a, b), f" of class {kind}"))
        counts[kind] = min(len(a.rows), len(b.rows))
        if others is not None:
            low, high = _of(floor[0], others, number), _of(floor[1], theirs, number)
            floors[kind] = _values(compare(low, high, possible(which, low, high), f" of class {kind} as a floor"))
    notes += _cautions(counts, which, eyes)
    return values, floors


def possible(names: Sequence[str], a: Seen, b: Seen) -> list[str]:
    """The metrics that both sides have images enough for."""
    return [name for name in names if METRICS[name].least <= min(len(a.rows), len(b.rows))]


def _of(side: Seen, classes: Tensor, number: int) -> Seen:
    """What was seen of one class; classes: of all the images of the side."""
    return side.at(classes[side.examples] == number)


def _values(scores: Measured) -> dict[str, float]:
    return {name: score.value for name, score in scores.items()}


def _cautions(counts: Mapping[str, int], which: Sequence[str], eyes: Features) -> list[str]:
    notes = []
    for name in which:
        if lacking := [kind for kind, count in counts.items() if count < METRICS[name].least]:
            more = f" and {len(lacking) - NAMED:,} more" if len(lacking) > NAMED else ""
            notes.append(f"no {name.upper()} of {', '.join(lacking[:NAMED])}{more}: fewer than {METRICS[name].least} images of a class")
    few = [count for count in counts.values() if METRICS["fid"].least <= count < eyes.dim]
    if "fid" in which and few:
        called = measure.called("FID", eyes.name, eyes.is_inception)
        between = f"{min(few):,}" if min(few) == max(few) else f"{min(few):,} to {max(few):,}"
        notes.append(f"{called} of {between} images a class and {eyes.dim:,} features is biased upwards: compare it at these sizes only")
    return notes
