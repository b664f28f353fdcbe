"""How far the players are from an equilibrium, measured on copies that may try a few steps alone."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch

from ..engine import move, seed_step
from ..method import Batch, Method, Player, Progress

STEPS = 5
"""Moves that a player may try alone."""
COST = 2 * (STEPS + 2)
"""What one measurement of two players costs at most, in training steps: their moves, and each one's loss before and after."""
PATIENCE = 64
"""Steps to wait for a player's turn; methods may move a player only now and then."""


def gains(method: Method, batches: Iterator[Batch], now: Progress, *, seed: int) -> dict[str, float]:
    """By how much each player can lower its own loss by STEPS moves while the others stand still: name -> gain.

    The sum over players is the Nikaido-Isoda function at these answers; it is 0 at an equilibrium and, for a zero-sum game, a lower
    bound of the duality gap (Grnarova et al., 2019, arXiv:1811.05512, eq. 2). Losses before and after are of one batch, with the
    same randomness. A player whose turn does not come within PATIENCE steps is left out. Works on deep copies, under a random
    state of its own: the training does not notice.
    """
    found = {}
    with torch.random.fork_rng(devices=[]):
        judged = next(batches)
        trial = [next(batches) for _ in range(STEPS)]
        for number, player in enumerate(method.players):
            own = copy.deepcopy(method)
            mine = own.players[number]
            turn = _turn(own, mine, judged, now)
            if turn:
                before = _loss(own, mine, judged, turn, seed)
                for step, batch in enumerate(trial):
                    seed_step(seed, 1, step)
                    _move(own, mine, batch, turn)
                found[player.name] = before - _loss(own, mine, judged, turn, seed)
    return found


def _turn(method: Method, player: Player, batch: Batch, now: Progress) -> Progress | None:
    """The next moment at which the player moves, if it comes."""
    for later in range(PATIENCE):
        moment = now._replace(step=now.step + later)
        if any(update.player is player for update in method.step(batch, moment)):
            return moment
    return None


def _loss(method: Method, player: Player, batch: Batch, now: Progress, seed: int) -> float:
    """The player's loss on this batch, nobody moving."""
    seed_step(seed, 0, 0)
    return next(float(update.loss.detach()) for update in method.step(batch, now) if update.player is player)


def _move(method: Method, player: Player, batch: Batch, now: Progress) -> None:
    """One step of the method in which only this player moves."""
    for update in method.step(batch, now):
        if update.player is not player:
            continue
        player.optimizer.zero_grad(set_to_none=True)
        update.loss.backward(inputs=player.parameters)
        move(player, now)  # and no averaging of gradients: the other processes are not here
