"""The nouns every training algorithm is written in: Player, Update, Method."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

Batch = Mapping[str, Tensor]
"""Named tensors whose first axis runs over examples, e.g. {"x": (n, 3, 64, 64), "y": (n,)}."""


ROUND = 16
"""Steps within which every player has had its turn: critics may move several times before their generator does."""


FINE = 10**6
"""Parts of a budget that fractions are told apart by where there is no budget."""


class Progress(NamedTuple):
    """Where training stands. `seen` and `total` count real examples over all processes."""

    step: int
    seen: int
    total: int

    @property
    def fraction(self) -> float:
        """How much of the planned budget is spent, in [0, 1]: the clock of every schedule."""
        return min(1.0, self.seen / self.total) if self.total else 0.0

    @property
    def steps(self) -> int:
        """Steps of the whole run, known once one is done. Raises ZeroDivisionError before that."""
        return -(-self.total // (self.seen // self.step))


Schedule = Callable[[Progress], float]


@dataclass
class Player:
    """One side of the game: the networks it owns and the optimiser that moves them."""

    name: str
    networks: Sequence[nn.Module]
    optimizer: torch.optim.Optimizer
    constrain: Callable[[nn.Module], None] | None = None
    """Applied to each network after every optimiser step (WGAN clips weights here)."""
    schedule: Callable[[Progress], Mapping[str, Any]] | None = None
    """Optimiser options for this moment, e.g. {"lr": 1e-4, "betas": (0.0, 0.95)}; set before every move."""

    @property
    def parameters(self) -> list[nn.Parameter]:
        return [p for net in self.networks for p in net.parameters() if p.requires_grad]


class Update(NamedTuple):
    """A loss that one player should descend now, and numbers worth logging (they stay on the device)."""

    player: Player
    loss: Tensor
    log: Mapping[str, Tensor] = {}


class Method(nn.Module, ABC):
    """A training algorithm: it owns networks and players, and says what one step is.

    Whatever must survive a restart is a parameter or a buffer, so `state_dict` is complete.
    """

    players: Sequence[Player]
    stages: Mapping[float, float] = {0.0: 1.0}
    """Moments that stand for the whole run, as fractions of the budget, and the share of it that each stands for: what a step costs
    there, all steps of that share cost. More than one where steps differ as a run goes on, be it in who moves or in size."""

    @abstractmethod
    def step(self, batch: Batch, now: Progress) -> Iterator[Update]:
        """Yield the updates of one iteration, in order, like the algorithm box of the paper.

        The engine applies each update before it resumes the generator, so code after a `yield`
        sees the new weights. A loss only ever moves its own player's parameters.
        """

    def resting(self, now: Progress) -> Collection[str]:
        """Exports that a step at this moment leaves alone for good: their averages stay, too, and do not go on towards the last weights."""
        return ()

    def since(self, now: Progress) -> float:
        """Fraction of the budget at which the averages of a step at this moment began: later than 0 where a phase is not to be mixed with
        what was before it."""
        return 0.0

    @property
    @abstractmethod
    def exports(self) -> Mapping[str, nn.Module]:
        """Networks a user keeps: averaged (EMA), saved, evaluated and deployed by these names."""


def at(fraction: float, step: int = 0) -> Progress:
    """A moment of a run of no length in particular, at this fraction of its budget: for looks at a method outside a run."""
    return Progress(step, round(fraction * FINE), FINE)


def moments(method: Method) -> Iterator[tuple[Progress, bool]]:
    """ROUND steps of each stage of a method, in turns, so that all of its players have moved; and whether all stages had one by then."""
    for turn in range(ROUND * len(method.stages)):
        step, stage = divmod(turn, len(method.stages))
        yield at([*method.stages][stage], step), turn + 1 >= len(method.stages)
