"""How far a long look has come: one bar with the time left on a terminal, a plain line every 30 seconds elsewhere. Results go elsewhere."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.text import Text

from .live import EVERY, duration

WIDTH = 24


def tell(line: str) -> None:
    """One line on the same stream."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(Text(line))


class Bar:
    """`with Bar("features", 10_000) as bar: bar(256)`: 256 of them are done. On a terminal it is gone when the work is done."""

    def __init__(self, what: str, total: int) -> None:
        self.what, self.total, self.done = what, total, 0
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._live: Live | None = None
        self._began = self._drawn = time.monotonic()

    def __enter__(self) -> Bar:
        return self

    def __call__(self, done: int, _total: int = 0) -> None:
        self.done = done
        clock = time.monotonic()
        terminal = self._console.is_terminal
        if clock - self._drawn < (0.25 if terminal else EVERY):
            return
        self._drawn = clock
        line = Text(self.line(clock), no_wrap=True, overflow="ellipsis")
        if not terminal:
            self._console.print(line)
            return
        if self._live is None:
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        self._live.update(line, refresh=True)

    def line(self, clock: float) -> str:
        """'  features of generated images  ━━━━━━━━  4,096/10,000  ETA 1m12  81 img/s'."""
        rate = self.done / max(clock - self._began, 1e-9)
        full = round(WIDTH * min(self.done / max(self.total, 1), 1))
        left = duration((self.total - self.done) / rate) if rate else "unknown"
        return f"  {self.what}  {'━' * full}{'╌' * (WIDTH - full)}  {self.done:,}/{self.total:,}  ETA {left}  {rate:,.0f} img/s"

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._live:
            self._live.stop()
