"""Signals ask for a clean stop: finish the step, save, leave. A second Ctrl-C, half a second later or more, leaves at once.

Ctrl-C (SIGINT); SIGTERM, by which systems and clusters end a job; SIGUSR1, with which a cluster warns of its end; SIGHUP, a
closed terminal, unless it was started to outlive that (nohup).
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

SAME_WISH = 0.5
"""Seconds within which a second signal is the same wish: `timeout` and `make` pass on what we also get ourselves."""

HEARD = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1", "SIGHUP") if hasattr(signal, name)]


class Stop:
    """Whether to stop, and the exit code that says why: 130 after Ctrl-C, 143 after SIGTERM, 128 + its number after any other."""

    def __init__(self) -> None:
        self.exit_code = 0
        self.asked_at = 0.0

    def __call__(self) -> bool:
        return self.exit_code != 0


@contextmanager
def listening() -> Iterator[Stop]:
    """Listen while the block runs. Outside the main thread nothing can be listened to, and the flag stays down."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def ask(number: int, _frame: object) -> None:
        if stop() and number == signal.SIGINT and time.monotonic() - stop.asked_at > SAME_WISH:
            os._exit(130)  # asked twice; checkpoints are atomic, so nothing is torn
        stop.exit_code, stop.asked_at = stop.exit_code or 128 + number, stop.asked_at or time.monotonic()

    before = {s: signal.signal(s, ask) for s in HEARD if signal.getsignal(s) != signal.SIG_IGN}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
