"""The training step: turns the updates a Method yields into optimiser moves.

Precision, accumulation and many processes live here and nowhere else. Nothing here waits for the device.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from .method import Batch, Method, Player, Progress, Update
from .parallel import average_gradients


def iterate(
    method: Method, micro_batches: Sequence[Batch], now: Progress, *, autocast: torch.dtype | None = None, caution: float = 1.0
) -> dict[str, Tensor]:
    """Run one step of `method` and return what it logged, as scalars still on the device.

    With k micro-batches, k copies of the step advance in lockstep: each adds its gradient at a
    `yield`, then the player moves once, then all resume. One micro-batch is the plain case.
    caution: a factor on every learning rate, in (0, 1]; below 1 after a divergence.
    """
    steps = [method.step(batch, now) for batch in micro_batches]
    device = next(iter(micro_batches[0].values())).device.type
    logs: dict[str, list[Tensor]] = {}
    while True:
        player = None
        for number, step in enumerate(steps):
            with _precision(device, autocast):
                update = next(step, None)
            if update is None:
                break
            if number == 0:
                player = update.player
                player.optimizer.zero_grad(set_to_none=True)
            _check(method, update, player)
            (update.loss / len(steps)).backward(inputs=update.player.parameters)
            for key, value in _logged(update).items():
                logs.setdefault(key, []).append(value.detach().float())
        if player is None:
            return {key: torch.stack(values).mean() for key, values in logs.items()}
        average_gradients(player.parameters)
        move(player, now, caution)


def move(player: Player, now: Progress, caution: float = 1.0) -> None:
    """Let a player descend the gradients that its parameters hold: schedule, optimiser, constraint."""
    groups = player.optimizer.param_groups
    if player.schedule:
        for group in groups:
            group.update(player.schedule(now))
    rates = [group["lr"] for group in groups]
    for group, rate in zip(groups, rates, strict=True):
        group["lr"] = rate * caution
    player.optimizer.step()
    for group, rate in zip(groups, rates, strict=True):  # the plan stays as it is, whatever the caution
        group["lr"] = rate
    if player.constrain:
        for net in player.networks:
            player.constrain(net)


def _check(method: Method, update: Update, player: Player | None) -> None:
    """A method that yields something else than we can apply is a fault of its author: say which."""
    if update.player is not player:
        raise RuntimeError(
            f"{type(method).__name__}.step: micro-batches disagree on who moves ('{update.player.name}' and "
            f"'{player.name if player else 'nobody'}'). The order of updates may depend on `now`, not on the batch."
        )
    if update.loss.ndim:
        raise RuntimeError(
            f"{type(method).__name__}.step: the {update.player.name} loss has shape {tuple(update.loss.shape)}; "
            f"expected a scalar. Losses are per example, the step takes their mean."
        )


def _logged(update: Update) -> Mapping[str, Tensor]:
    return {f"{update.player.name}/loss": update.loss, **update.log}


def _precision(device: str, dtype: torch.dtype | None) -> AbstractContextManager[object]:
    return torch.autocast(device, dtype) if dtype is not None and dtype != torch.float32 else nullcontext()


def seed_step(seed: int, rank: int, step: int) -> None:
    """Seed torch from (seed, rank, step), so a resumed run draws what the uninterrupted one would have."""
    torch.manual_seed(((seed * 1_000_003 + rank) * 1_000_003 + step) % 2**63)


def moved_on(seed: int, restarts: int) -> int:
    """The seed itself, or after so many restarts another one: the same latents and batches would only diverge again."""
    if not restarts:
        return seed
    return int.from_bytes(hashlib.sha256(f"{seed}/restart/{restarts}".encode()).digest()[:8], "little") >> 1
