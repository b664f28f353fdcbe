"""One memory budget for all threads that decode: a thread waits until what its image will take is free."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ganforge.data.decode import Look
from ganforge.data.opening import Probe, Unusable
from ganforge.data.source import available_memory

MOST = 512 * 2**20
"""Bytes that all decoding together may take, if the machine has four times as many free."""
PLAIN, MIXED, DEEP, WEBP, PROGRESSIVE = 8, 16, 32, 16, 6
"""Most bytes a pixel, measured on 13 million pixels: as it is; with transparency, 16 bits or frames; with 32 bits; what the decoder of
WebP takes beside, and that of progressive JPEG, whatever the size that comes out."""


def weight(head: Probe, size: int, look: Look) -> int:
    """Bytes that decoding a file of `size` bytes takes at its most."""
    area = head.width * head.height
    if head.kind == "JPEG":
        return size + PROGRESSIVE * area + MIXED * (area >> 2 * _halvings(head, look))
    each = DEEP if head.mode in ("I", "F") else PLAIN if head.mode in ("1", "L", "P", "RGB") and not head.clear else MIXED
    each = max(each, MIXED) if head.frames > 1 else each
    return size + (each + WEBP * (head.kind == "WEBP")) * area


def _halvings(head: Probe, look: Look) -> int:
    """How often, up to three times, a JPEG is halved while it is decoded: as long as it keeps twice the wanted size."""
    if look.fit == "whole":
        return 0
    side = 2 * max(look.width, look.height)
    return sum(min(head.width, head.height) >= side << times for times in (1, 2, 3))


class Budget:
    """Bytes that threads may hold together."""

    def __init__(self, size: int = 0) -> None:
        """`size` bytes; 0: MOST, or a quarter of the free memory where that is less."""
        self.size = self.free = size or min(MOST, available_memory() // 4)
        self.changed = threading.Condition()

    @contextmanager
    def hold(self, need: int) -> Iterator[None]:
        """Wait until `need` bytes are free, and hold them while the block runs; what needs more than all of it is alone.

        Raises Unusable for what cannot fit into the machine's memory.
        """
        if need > self.size and need > available_memory():
            raise Unusable(f"too large: decoding it takes about {need >> 20:,} MB, more than the free memory")
        need = min(need, self.size)
        with self.changed:
            self.changed.wait_for(lambda: self.free >= need)
            self.free -= need
        try:
            yield
        finally:
            with self.changed:
                self.free += need
                self.changed.notify_all()
