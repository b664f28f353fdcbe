"""A method that adds something to a game of two players, and leaves the game itself alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from ..core.method import Method
from .two_player import TwoPlayer


class Around(Method):
    """Plays `game`, with whatever loss, penalties and options it has; `step` of a subclass says what comes on top."""

    def __init__(self, game: TwoPlayer) -> None:
        super().__init__()
        self.game, self.players = game, game.players

    @property
    def generator(self) -> Any:
        """The game's; a subclass says what it must have beside `forward`."""
        return self.game.generator

    @property
    def discriminator(self) -> Any:
        """The game's, likewise."""
        return self.game.discriminator

    @property
    def latent(self) -> Callable[[int], Tensor]:
        return self.game.latent

    @property
    def pack(self) -> int:
        return self.game.pack

    @property
    def exports(self) -> Mapping[str, nn.Module]:
        return self.game.exports
