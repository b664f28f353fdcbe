"""Everything that decides the numbers of an evaluation, in words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..metrics import measure
from ..metrics.features import Features
from ..metrics.protocol import VERSION
from .case import Case
from .seen import most


def settings(case: Case, eyes: Features, names: Sequence[str], seed: int, answers: Sequence[Features] = ()) -> dict[str, str]:
    """Everything that decides the numbers, in words, in the order in which it is quoted."""
    shape = case.real.images.shape
    held = most(eyes) if most(eyes) < max(case.judged.count, len(case.real), len(case.other or ())) else 0
    return {
        "features": _facts(eyes),
        "classes told by": ", ".join(_facts(one) for one in answers if one.facts.get("weights") != eyes.facts["weights"]),
        "judged": f"{case.judged.count:,} images",
        "real": f"{len(case.real):,} images",
        "training": f"{len(case.other):,} images" if case.split == "held-out" and case.other is not None else "",
        "of which": f"{held:,} a side for all but FID" if held else "",
        "data": f"{Path(case.data).absolute().name} ({case.fingerprint[:8]})",
        "split": case.split,
        "size": f"{shape[3]}x{shape[2]}x{shape[1]}",
        "classes": case.classes,
        "metrics": ", ".join(how for name in names if (how := measure.METRICS[name].how(case.judged.count, len(case.real)))),
        "seed": str(seed),
        "ganforge": VERSION,
    }


def _facts(eyes: Features) -> str:
    return f"{eyes.name} ({', '.join(f'{key} {value}' for key, value in eyes.facts.items())})"
