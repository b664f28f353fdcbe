"""How a run starts again after it went wrong: by a number that is none (`core.finite`), or in the opinion of who looks at its samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Restart(NamedTuple):
    """From where, and how differently."""

    number: int = 0
    """Times that the run did; each draws other random numbers."""
    caution: float = 1.0
    """A factor on all learning rates."""
    since: int = 0
    back: int = 0
    """Checkpoints of later than `back` examples, made before restart number `since`, are of a course that was left."""

    def takes(self, state: Mapping[str, Any]) -> bool:
        """Whether a checkpoint with this state is one to continue from."""
        return state.get("restarts", 0) >= self.since or state["seen"] <= self.back

    def later(self, other: Restart) -> Restart:
        """The one of the two after which more went wrong; itself if that is the same."""
        return other if other.number > self.number else self


FIRST = Restart()
"""Nothing went wrong yet."""


class Opinion(NamedTuple):
    """What somebody who looks at the samples has to say on where the run goes."""

    healthy: bool = False
    """Good enough to come back to."""
    caution: float = 1.0
    """Below 1: go back to where it was healthy, with learning rates times this."""
    why: str = ""


class Unwell(Exception):
    """Raised in every process where such an opinion asks to go back. `runs.recover` answers."""

    def __init__(self, opinion: Opinion, restart: Restart) -> None:
        super().__init__(opinion.why)
        self.opinion, self.restart = opinion, restart
