"""Faults that a user can mend. Each says what is wrong, what we got, what we expected and what to type.

The command line shows the message alone and exits with `exit_code`; from Python it is an ordinary exception.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from .restart import FIRST, Restart


class GanforgeError(Exception):
    """Base of every error that is meant for the user."""

    exit_code = 1


class UsageError(GanforgeError, ValueError):
    """A wrong option, name or value (exit 2)."""

    exit_code = 2


class DataError(GanforgeError, ValueError):
    """The data cannot be read or is not enough (exit 3)."""

    exit_code = 3


class DivergedError(GanforgeError, RuntimeError):
    """A loss or a weight stopped being a finite number (exit 4). `restart`: how the run had started before it."""

    exit_code = 4

    def __init__(self, message: str, restart: Restart = FIRST) -> None:
        super().__init__(message)
        self.restart = restart


class StorageError(GanforgeError, OSError):
    """The disk refused: full, read-only, no permission (exit 5)."""

    exit_code = 5


class MemoryShortError(GanforgeError, MemoryError):
    """The training does not fit into the memory there is (exit 5)."""

    exit_code = 5


class CheckpointError(GanforgeError, ValueError):
    """A checkpoint or a model is damaged, foreign, or does not fit (exit 6)."""

    exit_code = 6


def nearest(wrong: str, known: Iterable[str]) -> str:
    """' Did you mean 'dcgan'?' or nothing: a hint to append to a message about an unknown name."""
    plain = {k.lower().replace("_", "-"): k for k in known}
    found = difflib.get_close_matches(wrong.lower().replace("_", "-"), plain, n=1, cutoff=0.5)
    return f" Did you mean '{plain[found[0]]}'?" if found else ""
