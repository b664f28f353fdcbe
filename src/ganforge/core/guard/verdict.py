"""From what was seen so far to one word, and one sentence of advice.

Thresholds were read off runs that learnt and runs made to fail (benchmarks/guard.py). All look at medians over several looks
and at shares of the budget; where a run could still recover, they wait: a false alarm is worse than a late one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import NamedTuple

from ..restart import Opinion

PAGE = "docs/bad-samples.md"
"""Of the repository; an installed package has no docs, so each advice says by itself what is wrong and what to type."""

EARLY = 0.1
"""Share of the budget in which only certain failures are named."""

CERTAIN = 0.05
"""Share of the budget in which not even those are, but for data that can only be copied."""

STEPS = 30
"""As long, at least, in optimiser steps: in a short run each look is of one step, and shares of the budget say nothing."""

FEW = 12
"""Fewer different training images than this cannot be learnt, only copied."""

STANDS = 3
"""Looks in a row that must find it so before a run that heeds the guard goes back."""

HEEDED = ("saturated", "diverging", "collapsing")
"""Words after which it does: those where runs have shown that a lower learning rate can help."""

LOWER = 0.1
"""The factor on learning rates then."""

WELL = 0.2
"""Share of the real images that must have a fake near them in a state to come back to."""

ADVICE = {
    "learning": "",
    "memorising": "It copies training images: use more images, --flip yes or --crop 2, smaller networks (--width), or stop earlier.",
    "saturated": "Its pixels are stuck at their limits or its images are blank: start again with a lower --lr (a tenth).",
    "diverging": "Its samples jump about and come no nearer to the data: start again with a lower --lr (a tenth).",
    "collapsing": "It draws ever the same few images: add a penalty (--penalty r1) or double --penalty-weight, or lower --lr (a half).",
    "overpowered": "The discriminator always wins and the generator learns nothing: double --penalty-weight, lower --lr or --critic-steps.",
    "worsening": "It was better before: use the best model so far (best/ in the run folder); a lower --lr, or --lr-end 0.1, would hold it.",
    "stalled": "Nothing improves although it is far from the data: ten times the --lr, or a tenth, a larger --width, or another --recipe.",
}
"""Every word there is, the most telling first among those that could be said at once."""


class Health(NamedTuple):
    """What the guard says at one look."""

    word: str
    advice: str
    """One sentence; empty while all is well."""
    link: str
    """Where the docs of the repository tell more; empty while all is well."""
    numbers: Mapping[str, float]
    """What was seen at this look."""


def judge(history: Sequence[Mapping[str, float]]) -> Health:
    """The state of a run from all looks so far, oldest first; each has `fraction` of the budget, `step` and the numbers of `Eye.look`.

    A look may lack what could not be measured. The same history gives the same words, so a resumed run says what an
    uninterrupted one would. Raises ValueError for an empty history.
    """
    if not history:
        raise ValueError("nothing was looked at yet.")
    words = {
        "memorising": memorising,
        "saturated": saturated,
        "diverging": diverging,
        "collapsing": collapsing,
        "overpowered": overpowered,
        "worsening": worsening,
        "stalled": stalled,
    }
    word = next((word for word, rule in words.items() if rule(history)), "learning")
    return Health(word, ADVICE[word], f"{PAGE}#{word}" if ADVICE[word] else "", history[-1])


def opine(history: Sequence[Mapping[str, float]]) -> Opinion:
    """Whether a run that heeds the guard may come back to this state, or should go back itself; `why` is then the word."""
    words = [judge(history[:n]).word for n in range(max(1, len(history) - STANDS + 1), len(history) + 1)]
    if len(words) == STANDS and all(word in HEEDED for word in words):
        return Opinion(caution=LOWER, why=words[-1])
    return Opinion(healthy=words[-1:] == ["learning"] and _recent(history, "coverage") > WELL)


def memorising(history: Sequence[Mapping[str, float]]) -> bool:
    """Hardly any different training images (certain); or fakes much nearer to training images than to held-out ones.

    Without a held-out part distances between training images are the measure, and only near identity counts, because collapsed
    or blurred images lie near the training images, too.
    """
    if history[-1].get("distinct", FEW) < FEW:
        return True
    if _early(history, 0.2) or len(history) < 5:
        return False
    copies, gap = _recent(history, "copies", missing=1.0), _recent(history, "critic_gap", missing=0.5)
    return copies < 0.6 or (copies < 0.9 and gap > 0.63) or _recent(history, "copies_alone", missing=1.0) < 0.2


def saturated(history: Sequence[Mapping[str, float]]) -> bool:
    """Blank images that do not move at all (certain), or long blank; or a quarter of the pixels at +-1 beyond that of the real images.

    Without averaging, movement is not known, and only long blank counts.
    """
    dead = [look["blank"] > 0.5 and look.get("movement", 1.0) < 1e-3 for look in history[-3:]]
    if len(dead) == 3 and all(dead) and not _early(history, CERTAIN):
        return True
    if _early(history) or len(history) < 5:
        return False
    blank = len(history) >= 8 and min(look["blank"] for look in history[-8:]) > 0.5
    return blank or min(look["pinned"] for look in history[-5:]) > 0.2


def diverging(history: Sequence[Mapping[str, float]]) -> bool:
    """The newest generator is far from its average, look after look, and both cover next to nothing of the data and come no nearer.

    So it is where steps are too large: the players throw each other about. Runs that learn move as much, but only once they are near.
    """
    if _early(history, 0.2) or len(history) < 10:
        return False
    jumps = median(look.get("movement", 0.0) for look in history[-10:]) > 0.3
    return jumps and median(look["coverage"] for look in history[-10:]) < 0.1 and _progress(history, 0.1) < 0.05


def collapsing(history: Sequence[Mapping[str, float]]) -> bool:
    """Little diversity that does not grow; or good images that cover next to nothing of the real ones."""
    if _early(history, 0.2) or len(history) < 10:
        return False
    now, before = _recent(history, "diversity"), _recent(history[:-5], "diversity")
    alike = median(look["diversity"] for look in history[-10:]) < 0.22 and now < min(0.25, 1.1 * before)
    few = _recent(history, "density") > 0.6 and max(look["coverage"] for look in history[-5:]) < 0.1
    return alike or few


def overpowered(history: Sequence[Mapping[str, float]]) -> bool:
    """Both accuracies at 1 for a quarter of the budget in which the distance to the data did not fall."""
    looks = _share(history, 0.25)
    if _early(history, 0.35) or len(looks) < 8 or not all("accuracy/real" in look and "accuracy/fake" in look for look in looks):
        return False
    sure = median(min(look["accuracy/real"], look["accuracy/fake"]) for look in looks)
    return sure > 0.97 and _far(history) and _progress(history, 0.25) < 0.05


def worsening(history: Sequence[Mapping[str, float]]) -> bool:
    """The distance to the data has grown to a multiple of its best, and much of the coverage is lost."""
    if _early(history, 0.2) or len(history) < 15:
        return False
    distances = [_recent(history[: i + 1], "distance") for i in range(4, len(history))]
    covered = [_recent(history[: i + 1], "coverage") for i in range(4, len(history))]
    return distances[-1] > 3 * max(min(distances), 0.005) + 0.02 and covered[-1] < 0.6 * max(covered)


def stalled(history: Sequence[Mapping[str, float]]) -> bool:
    """Far from the data and no nearer than before: over a fifth of the budget if the generator hardly moves, else over two fifths.

    A slow start looks like this for a while, but its samples move; at a learning rate that teaches nothing they hardly do. Without
    averaging, movement is not known, and the longer wait holds.
    """
    if _early(history, 0.3) or len(history) < 15 or not _far(history):
        return False
    if _recent(history, "movement", missing=1.0) < 0.01:
        return _progress(history, 0.2) < 0.03
    return not _early(history, 0.6) and _progress(history, 0.4) < 0.03


def _early(history: Sequence[Mapping[str, float]], until: float = EARLY) -> bool:
    return history[-1]["fraction"] < until or history[-1].get("step", STEPS) < STEPS


def _recent(history: Sequence[Mapping[str, float]], name: str, missing: float = 0.0) -> float:
    """Median of a number over the last five looks."""
    return median(look.get(name, missing) for look in history[-5:])


def _share(history: Sequence[Mapping[str, float]], share: float) -> Sequence[Mapping[str, float]]:
    """The looks of the last share of the budget."""
    return [look for look in history if look["fraction"] > history[-1]["fraction"] - share]


def _far(history: Sequence[Mapping[str, float]]) -> bool:
    """Whether more than four tenths of the way from the first samples to the data is still to go."""
    return _recent(history, "distance") > max(0.1, 0.4 * median(look["distance"] for look in history[:3]))


def _progress(history: Sequence[Mapping[str, float]], share: float) -> float:
    """By what fraction the distance fell over the last share of the budget."""
    before = [look for look in history if look["fraction"] <= history[-1]["fraction"] - share][-5:]
    then = median(look["distance"] for look in before) if before else 0.0
    return 1 - _recent(history, "distance") / then if then > 0 else 1.0
