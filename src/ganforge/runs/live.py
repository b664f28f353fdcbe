"""What the user sees while a run goes on: one live line on a terminal, a plain line every 30 seconds elsewhere; all of it in log.txt."""

from __future__ import annotations

import logging
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch
from rich.console import Console
from rich.live import Live
from rich.text import Text

from ..core.method import Progress
from .about import plain

EVERY = 30.0
"""Seconds between lines where there is no terminal."""

_UNHEARD = suppress(OSError, SystemExit)
"""Around all output: a closed terminal raises OSError, at a broken pipe (`| head`) rich asks to leave; the training outlives both."""


class Voice:
    """Says lines to the user and to log.txt. `quiet` processes (all but the first) say nothing."""

    def __init__(self, quiet: bool = False) -> None:
        self._console = Console(quiet=quiet, highlight=False, soft_wrap=True)
        self._log: Path | None = None
        self._early: list[str] = []
        self._live: Live | None = None
        self._quiet = quiet
        self.health = ""
        self._began = self._drawn = time.monotonic()
        self._first: int | None = None

    def keep(self, log: Path) -> None:
        """From now on, and for all that was said before, write to `log` too."""
        self._log = log
        for line in self._early:
            self._append(line)

    def say(self, line: str = "") -> None:
        """One line of plain text: markup and control characters in file names stay harmless."""
        line = plain(line)
        with _UNHEARD:
            self._console.print(Text(line))
        self.note(line)

    def note(self, line: str) -> None:
        """One line for log.txt alone."""
        self._append(line) if self._log else self._early.append(line)

    def progress(self, now: Progress, numbers: dict[str, float]) -> None:
        """Redraw the live line, or say one now and then. Reads only the clock and the last numbers, never the device."""
        if self._quiet:
            return
        clock = time.monotonic()
        if self._first is None:  # speed counts from the first step of this sitting
            self._first, self._began = now.seen, clock
        if clock - self._drawn < (0.25 if self._console.is_terminal else EVERY) and now.seen < now.total:
            return
        self._drawn = clock
        line = describe(now, numbers, (now.seen - self._first) / max(clock - self._began, 1e-9), self.health)
        if not self._console.is_terminal:
            self.say(line)
            return
        with _UNHEARD:
            if self._live is None:
                self._live = Live(console=self._console, auto_refresh=False, transient=True)
                self._live.start()
            self._live.update(Text(line, no_wrap=True, overflow="ellipsis"), refresh=True)

    def close(self) -> None:
        """Take the live line away."""
        if self._live:
            with _UNHEARD:
                self._live.stop()
            self._live = None
        self._first = None

    def _append(self, line: str) -> None:
        if self._log and not self._quiet:
            # a disk that is full for a while must not end the training, nor a file name that is no UTF-8
            with suppress(OSError), self._log.open("a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(line + "\n")


class _Spoken(logging.Handler):
    def __init__(self, voice: Voice) -> None:
        super().__init__(logging.WARNING)
        self.voice = voice

    def emit(self, record: logging.LogRecord) -> None:
        self.voice.say(f"warning: {record.getMessage()}")


@contextmanager
def spoken(voice: Voice) -> Iterator[None]:
    """Warnings of this package are said by `voice`, and so kept in log.txt, while the block runs."""
    ours, handler = logging.getLogger(__name__.split(".")[0]), _Spoken(voice)
    ours.addHandler(handler)
    try:
        yield
    finally:
        ours.removeHandler(handler)


def describe(now: Progress, numbers: dict[str, float], rate: float, health: str = "") -> str:
    """'  kimg 12.3/295.0   4%  ETA 1h54  41 img/s  0.9 GB  D right on real 71% fake 68%  health: learning'."""
    parts = [f"  kimg {now.seen / 1000:,.1f}/{now.total / 1000:,.1f}  {now.fraction:4.0%}"]
    if rate > 0:
        parts.append(f"ETA {duration((now.total - now.seen) / rate)}  {rate:,.0f} img/s")
    parts.append(memory())
    if "accuracy/real" in numbers:
        parts.append(f"D right on real {numbers['accuracy/real']:.0%} fake {numbers['accuracy/fake']:.0%}")
    if health:
        parts.append(f"health: {health}")
    return "  ".join(parts)


def duration(seconds: float) -> str:
    """'45s', '12m05', '3h20'."""
    whole = int(max(seconds, 0))
    if whole < 60:
        return f"{whole}s"
    return f"{whole // 60}m{whole % 60:02d}" if whole < 3600 else f"{whole // 3600}h{whole % 3600 // 60:02d}"


def memory() -> str:
    """The most memory this process ever held, '0.9 GB'; where it uses a GPU, the most of that one's: '0.9 GB on the GPU'."""
    if torch.cuda.is_initialized():  # the allocator's own count, which does not wait for the device
        return f"{torch.cuda.max_memory_allocated() / 1e9:.1f} GB on the GPU"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return f"{peak / (1e9 if sys.platform == 'darwin' else 1e6):.1f} GB"
