"""Sizes of a few images of a source, told by their headers alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from ganforge.data.opening import Unusable, probe
from ganforge.data.source import Files

LOOKED = 48
"""Images that are looked at."""
T = TypeVar("T")


def few(things: Sequence[T]) -> Sequence[T]:
    """At most LOOKED of them, from all over."""
    return things[:: max(1, -(-len(things) // LOOKED))]


def size(files: Files, at: int) -> tuple[int, int] | None:
    """(width, height) of an image; None where it cannot be read, which is told with its reason when all are."""
    try:
        with files.open(at) as stream:
            found = probe(stream)
    except (Unusable, OSError):
        return None
    return found.width, found.height
