"""Row 29: slow divergence, an overpowering discriminator, mode collapse: named in words within a share of the budget, never in silence."""

import json

import numpy as np
import pytest
import torch

import ganforge
from ganforge.core import machine
from ganforge.data.images import Images

SMALL = {"width": 8, "z": 32, "batch": 64, "precision": "fp32", "layout": "contiguous", "threads": 1, "device": "cpu"}
SMALL |= {"recipe": "dcgan", "evaluate": "none", "snapshots": 1, "save_minutes": 60, "examples": 64 * 150}


@pytest.fixture(autouse=True)
def _no_measuring(monkeypatch):
    monkeypatch.setattr(machine, "speed", lambda *a, **k: 1000.0)


def said(path, out, **options):
    run = ganforge.train(path, out=str(out), **{**SMALL, **options})
    return run, [(line["seen"] / run.total, line["health"]) for line in run.history() if "health" in line]


def first(words):
    return next(((at, word) for at, word in words if word != "learning"), (1.0, "learning"))


def test_fault_29_a_learning_rate_a_thousand_times_too_high(tmp_path):
    run, words = said("digits", tmp_path / "run", lr=1.0)
    at, word = first(words)
    assert word == "saturated" and at <= 0.3
    log = (run.folder / "log.txt").read_text()
    assert "health: saturated at" in log and "docs/bad-samples.md#saturated" in log


def test_fault_29_eight_images_are_only_copied(tmp_path):
    x = Images(path="digits").load().images[torch.arange(64) % 8]
    np.savez(tmp_path / "few.npz", images=x.permute(0, 2, 3, 1).numpy())
    at, word = first(said(str(tmp_path / "few.npz"), tmp_path / "run", examples=64 * 50)[1])
    assert word == "memorising" and at <= 0.05


def test_fault_29_a_generator_that_does_not_learn(tmp_path):
    at, word = first(said("digits", tmp_path / "run", lr=1e-8)[1])
    assert word == "stalled" and at <= 0.5


@pytest.mark.parametrize("seed", range(5))
def test_fault_29_a_healthy_run_hears_nothing(seed, tmp_path):
    words = said("digits", tmp_path / "run", recipe="wgan-gp", lr=5e-4, critic_steps=1, seed=seed, examples=64 * 200)[1]
    assert len(words) == 50 and {word for _, word in words} == {"learning"}


def test_the_guard_changes_nothing_in_the_training_and_a_resumed_run_says_the_same(tmp_path, monkeypatch):
    from ganforge.runs import health, observe, start

    options = {"examples": 64 * 1000, "batch": 64, "recipe": "gan", "lr": 1e-2}  # long enough for a measurement of the gap
    watched, words = said("digits", tmp_path / "watched", **options)
    lines = watched.history()
    assert any(key.startswith("gap/") for key in lines[-1])
    guard = health.Guard.look

    def stop_halfway(self, tick):
        if tick.now.fraction > 0.5:
            raise KeyboardInterrupt
        return guard(self, tick)

    with monkeypatch.context() as patch:
        patch.setattr(observe.Observer, "diagnose", lambda self, tick: {})
        blind, _ = said("digits", tmp_path / "blind", **options)
    shown = [{k: v for k, v in line.items() if k.split("/")[0] not in ("health", "gap", "seconds", "images_per_second")} for line in lines]
    assert shown == [{k: v for k, v in line.items() if k not in ("seconds", "images_per_second")} for line in blind.history()]
    with monkeypatch.context() as patch:
        patch.setattr(health.Guard, "look", stop_halfway)
        patch.setitem(options, "save_minutes", 1e-4)
        with pytest.raises(KeyboardInterrupt):
            said("digits", tmp_path / "cut", **options)
    resumed = start.resume(tmp_path / "cut")
    assert [(line["seen"] / resumed.total, line["health"]) for line in resumed.history() if "health" in line] == words
    health_of = [[{k: v for k, v in x.items() if k.startswith(("health", "gap"))} for x in run.history()] for run in (watched, resumed)]
    assert json.dumps(health_of[0]) == json.dumps(health_of[1])
