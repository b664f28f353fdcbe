"""How strong damage is, as people say it: one number for all examples, or a range such as 5-50 of which each draws its own."""

from __future__ import annotations

import math
import re
from typing import Any

from ganforge.core.errors import UsageError

Strength = float | str | tuple[float, float]
"""25, "25", "5-50" or (5, 50)."""
NUMBER = r"\d+(?:\.\d+)?"
RANGE = re.compile(rf"\s*({NUMBER})\s*(?:-\s*({NUMBER})\s*)?")


def ends(strength: Strength, low: float, high: float, what: str, whole: bool = False) -> tuple[float, float]:
    """The lowest and the highest that it says, the same twice for one number; `whole`: only whole numbers will do.

    Raises UsageError, which begins with `what` is meant, for anything else and for what does not lie from low to high in this order.
    """
    a, b = _read(strength)
    if not low <= a <= b <= high or whole and (a % 1 or b % 1):
        raise UsageError(f"{what}; got {strength if isinstance(strength, str) else '-'.join(f'{end:g}' for end in dict.fromkeys((a, b)))}.")
    return a, b


def tidy(strength: Strength) -> str:
    """The same as text: "25" of 25.0, "5-50" of " 5 - 50 ", "" of nothing and 0; what makes no sense stays, for `ends` to refuse."""
    a, b = _read(strength)
    if math.isnan(a):
        return str(strength)
    return "" if b == 0 else "-".join(f"{end:g}" for end in dict.fromkeys((a, b)))


def tidied(options: Any, *names: str) -> None:
    """Bring these fields of a frozen dataclass to the one text that each strength has, so that 25, 25.0 and "25" are equal options."""
    for name in names:
        object.__setattr__(options, name, tidy(getattr(options, name)))


def _read(strength: Strength) -> tuple[float, float]:
    """Both ends, NaN for what is no number or range."""
    if isinstance(strength, tuple):
        return strength[0], strength[-1]
    if not isinstance(strength, str):
        return float(strength), float(strength)
    found = RANGE.fullmatch(strength)
    return (float(found[1]), float(found[2] or found[1])) if found else (math.nan, math.nan)
