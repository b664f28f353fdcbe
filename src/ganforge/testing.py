"""Contract checks that every method and recipe must pass; for one's own ones too.

    from ganforge.testing import check_recipe
    def test_my_recipe(tmp_path): check_recipe("my.py:Mine", tmp_path)

Each check raises AssertionError and says what is broken.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from .core import recipe as recipes_json
from .core.engine import iterate
from .core.method import ROUND, Batch, Method, Progress, Update, at, moments
from .recipes import find
from .runs.selftest import Nobody, differences

__all__ = ["Nobody"]


def check_updates_move_only_their_player(make: Callable[[], Method], batch: Batch) -> None:
    """Every update's loss reaches its own player's parameters, and applying it leaves all others as they were."""
    torch.manual_seed(0)
    method = make()
    moved: set[str] = set()
    for now in [*(Progress(step, step * 8, ROUND * 8) for step in range(ROUND)), *(now for now, _ in moments(method))]:
        for update in method.step(batch, now):
            _check_update(method, update)
            moved.add(update.player.name)
        if len(moved) == len(method.players):
            return
    raise AssertionError(
        f"only {sorted(moved)} moved in {ROUND} steps over the budget and {ROUND} of each stage; "
        f"players are {[p.name for p in method.players]}"
    )


def _check_update(method: Method, update: Update) -> None:
    """Apply one update as the engine would, while the step waits at its yield, and look at what it moved."""
    own = {id(p) for p in update.player.parameters}
    before = {name: p.clone() for name, p in method.named_parameters()}
    update.loss.backward(inputs=update.player.parameters)
    assert any(p.grad is not None for p in update.player.parameters), f"the {update.player.name} loss moves nothing"
    update.player.optimizer.step()
    update.player.optimizer.zero_grad(set_to_none=True)
    for name, p in method.named_parameters():
        assert id(p) in own or torch.equal(p, before[name]), f"the {update.player.name} update moved {name} of another player"


def check_all_players_learn(make: Callable[[], Method], batch: Batch, steps: int = 12) -> None:
    """After a few steps over the budget, and one of each later stage, every player has moved and every logged number is finite."""
    torch.manual_seed(0)
    method = make()
    start = {id(p): p.clone() for p in method.parameters()}
    for now in [*(Progress(i, i * 8, steps * 8) for i in range(steps)), *(at(stage, steps) for stage in [*method.stages][1:])]:
        logs = iterate(method, [batch], now)
        assert all(bool(torch.isfinite(v)) for v in logs.values()), f"not finite at step {now.step}: {logs}"
    for player in method.players:
        bounded = [p for p in player.parameters if player.constrain and p.grad is not None and p.grad.any()]  # it may rest at its bound
        stuck = [p for p in player.parameters if torch.equal(p, start[id(p)]) and not any(p is b for b in bounded)]
        assert len(stuck) < len(player.parameters), f"player {player.name} did not move in {steps} steps"


def check_resume(make: Callable[[], Method], data: Any, run: Any, folder: Path, stop_after: int = 3) -> None:
    """A run that is interrupted three times ends bit for bit where an uninterrupted one does: weights, averages, moments, history."""

    wrong = differences(make, data, run, folder, stops=(stop_after, stop_after, stop_after + 1))
    assert wrong != ["the history of readings"], "the history of readings differs after resuming"
    assert not wrong, f"not bit-identical after resuming: {wrong[:5]}"


def check_accumulation(make: Callable[[], Method], batch: Batch, parts: int = 2) -> None:
    """With the same random numbers per example, k micro-batches give the gradient of one batch. Needs a method without batch norm.

    `make` must build methods whose latents are given (see tests/contract/toys.py): random ones differ by construction.
    """
    results = []
    for k in (1, parts):
        torch.manual_seed(0)
        method = make()
        cut = [{key: value.chunk(k)[i] for key, value in batch.items()} for i in range(k)]
        iterate(method, cut, Progress(0, 0, 8))
        results.append(copy.deepcopy(method.state_dict()))
    different = [key for key, value in results[0].items() if not torch.allclose(results[1][key], value, rtol=1e-4, atol=1e-6)]
    assert not different, f"differs under accumulation: {different}"


def check_accumulates(make: Callable[[], Method], batch: Batch, parts: int = 2) -> None:
    """k micro-batches move the same players in the same order as one batch does, step for step, and log numbers of the same names.

    For any method, where `check_accumulation` needs one without randomness and batch norm.
    """
    told = []
    for k in (1, parts):
        torch.manual_seed(0)
        method = make()
        cut = [{key: value.chunk(k)[i] for key, value in batch.items()} for i in range(k)]
        moves: list[str] = []
        for player in method.players:
            player.optimizer.register_step_post_hook(partial(_note, moves, player.name))
        logged = [sorted(iterate(method, cut, Progress(step, 8 * step, 64))) for step in range(6)]
        told.append((moves, logged))
    assert told[0][0] == told[1][0], f"{parts} micro-batches move {told[1][0]}, one batch moves {told[0][0]}"
    assert told[0][1] == told[1][1], f"{parts} micro-batches log other numbers than one batch does"


def _note(moves: list[str], name: str, *_: Any) -> None:
    moves.append(name)


def check_recipe(name: str, folder: Path, path: str = "digits", **options: Any) -> None:
    """All of the above for a recipe at a small size, and that its JSON rebuilds an equal recipe. path: data that it can be trained on."""
    recipe = small_recipe(name, path, **options)
    data = recipe.dataset()
    batch = next(data.batches(recipe.run.batch, seed=0))
    assert recipes_json.rebuild(type(recipe), recipes_json.describe(recipe), [name]) == recipe, "recipe.json does not rebuild the recipe"

    def make() -> Method:
        return recipe.method(data.spec)

    check_updates_move_only_their_player(make, batch)
    check_all_players_learn(make, batch)
    check_accumulates(make, batch)
    check_resume(make, data, recipe.run, folder)


def small_recipe(name: str, path: str, **options: Any) -> Any:
    """A recipe cut down to a few steps of a tiny network."""
    kind = find(name)
    recipe = recipes_json.on(kind, path)
    run = dataclasses.replace(recipe.run, examples=16 * 11, batch=16, precision="fp32", layout="contiguous")
    sizes = {field: size for field, size in (("width", 8), ("d_width", 8), ("z", 8)) if hasattr(recipe, field)}
    if hasattr(recipe, "plan"):  # what would be measured is given, so that the test does not depend on the machine
        recipe, _ = recipe.plan(recipe.dataset().spec, lambda candidate: 100.0)
    return recipes_json.override(dataclasses.replace(recipe, run=run), {**sizes, **options})
