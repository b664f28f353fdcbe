"""Classes: which of them are reached, and whether a classifier learns them from samples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import ganforge
from ganforge.core import machine
from ganforge.core.errors import DataError
from ganforge.metrics import classifier_score, sets
from ganforge.metrics.modes import classes_reached
from ganforge.runs.model import load

TINY = {"width": 8, "z": 8, "batch": 16, "precision": "fp32", "layout": "contiguous", "threads": 1, "examples": 32, "evaluate": "none"}


@pytest.fixture(autouse=True)
def _here(tmp_path, tmp_path_factory, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GANFORGE_CACHE", str(tmp_path_factory.getbasetemp() / "labelled"))  # one classifier of digits for all of them
    monkeypatch.setenv("GANFORGE_OFFLINE", "1")
    monkeypatch.setattr(machine, "speed", lambda *a, **k: 1000.0)


@pytest.fixture
def few_steps(monkeypatch):
    score = classifier_score.classifier_accuracy_score
    monkeypatch.setattr(classifier_score, "classifier_accuracy_score", lambda *a, **k: score(*a, **{**k, "steps": 80}))


def digits(name, labels=None, count=300, kinds=range(10)):
    """Digits of some kinds in folders by class; `labels` changes what they are called."""
    data = sets.like("digits", (1, 8, 8))
    for i, (image, label) in enumerate(zip(data.images[:count], data.labels[:count].tolist(), strict=True)):
        if label in kinds:
            path = Path(name, str(labels(label) if labels else label), f"{i}.png")
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image[0].numpy()).save(path)
    return name


def test_classes_reached_by_hand():
    logits = torch.eye(4)[torch.tensor([0, 0, 1, 1])]
    found = classes_reached(logits, torch.full((4,), 0.25))
    assert found == {"modes": 0.5, "kl": pytest.approx(np.log(2))}
    assert classes_reached(logits, torch.tensor([0.5, 0.5, 0, 0])) == {"modes": 1.0, "kl": pytest.approx(0)}
    with pytest.raises(DataError, match=r"logits \(n, 3\)"):
        classes_reached(logits, torch.ones(3) / 3)


def test_half_the_digits_reach_half_the_modes():
    digits("half", kinds=range(5))
    found = ganforge.evaluate("half", "digits", metrics="modes", samples=140)
    assert found.values["modes-classifier"] <= 0.7 < found.floor["modes-classifier"] == 1
    assert found.values["KL-classifier"] == pytest.approx(np.log(2), abs=0.15) and found.floor["KL-classifier"] < 0.1
    assert found.settings["features"].startswith("classifier (") and "held out" in found.protocol


def test_modes_come_beside_other_features_and_name_their_classifier():
    run = ganforge.train("digits", "dcgan", out="run", **TINY).folder
    found = ganforge.evaluate(run, metrics="kid,modes", features="random", samples=100)
    assert list(found.values) == ["KID-random", "modes-classifier", "KL-classifier"] and "classes told by classifier (" in found.protocol
    with pytest.raises(DataError, match="the data has no classes"):
        Path("plain").mkdir()
        for i in range(120):
            Image.fromarray(np.full((8, 8), i, np.uint8)).save(f"plain/{i}.png")
        ganforge.evaluate("plain", "plain", metrics="modes")


def test_right_labels_score_as_real_images_do_and_wrong_ones_at_nothing(few_steps):
    digits("right"), digits("wrong", labels=lambda label: (label + 1) % 10)
    right, wrong = (ganforge.evaluate(name, "digits", metrics="cas", samples=290) for name in ("right", "wrong"))
    assert right.values["CAS-classifier"] > 0.8 and wrong.values["CAS-classifier"] < 0.1
    assert right.floor == wrong.floor and abs(right.values["CAS-classifier"] - right.floor["CAS-classifier"]) < 0.1
    value = right.values["CAS-classifier"]
    tested = int(right.settings["real"].split()[0])
    assert right.errors["CAS-classifier"] == pytest.approx((value * (1 - value) / tested) ** 0.5)
    assert "CAS 600 steps of 128" in right.protocol and "higher" in right.table()


def test_a_model_of_classes_is_scored_and_one_without_is_told(few_steps, monkeypatch):
    run = ganforge.train("digits", "cgan", out="cgan", **TINY).folder
    found = ganforge.evaluate(run, metrics="kid,cas", features="random", samples=120)
    assert found.values["CAS-classifier"] < found.floor["CAS-classifier"] and found.saved
    generator = type(load(run).networks["generator"])
    real = generator.forward
    monkeypatch.setattr(generator, "forward", lambda self, z, y=None: real(self, z, torch.zeros_like(y)))
    with pytest.raises(DataError, match="draws the same image whichever class is asked for"):
        ganforge.evaluate(run, metrics="cas", samples=120)
    plain = ganforge.train("digits", "dcgan", out="dcgan", labels="none", **TINY).folder
    with pytest.raises(DataError, match="cas .* needs classes on both sides, and the data has none that fit"):
        ganforge.evaluate(plain, metrics="cas", samples=120)


def test_learning_from_samples_needs_a_held_out_part_and_the_same_classes():
    digits("a"), digits("b"), digits("named", labels=lambda label: f"digit {label}")
    with pytest.raises(DataError, match="tested on held-out images, and the data has none"):
        ganforge.evaluate("a", "b", metrics="cas")
    with pytest.raises(DataError, match="only one side has 0, 1, 2"):
        ganforge.evaluate("named", "digits", metrics="cas", samples=200)


def test_of_several_metrics_those_that_need_classes_or_logits_are_notes():
    for name in ("a", "b"):
        Path(name).mkdir()
        for i in range(110):
            Image.fromarray(np.random.default_rng(i + 200 * (name == "b")).integers(0, 256, (8, 8), np.uint8)).save(f"{name}/{i}.png")
    found = ganforge.evaluate("a", "b", metrics="kid,is,modes,cas", features="random")
    assert list(found.values) == ["KID-random"] and "IS 10 splits" not in found.protocol
    for start in ("no IS: the Inception Score needs a network that tells classes", "no MODES: ", "no CAS: "):
        assert any(note.startswith(start) for note in found.notes), start
    with pytest.raises(DataError, match="needs classes on both sides"):
        ganforge.evaluate("a", "b", metrics="modes,cas", features="random")


def test_among_others_the_inception_score_makes_do_with_a_classifier():
    found = ganforge.evaluate("digits", "digits", metrics="kid,is,modes", features="random", samples=120)
    assert {"KID-random", "IS-classifier", "modes-classifier"} <= found.values.keys() and found.floor["IS-classifier"] > 5
    assert any(note.startswith("IS-classifier instead of IS: ") for note in found.notes)
    assert found.settings["classes told by"].count("classifier (") == 1


def test_the_score_of_training_images_is_of_as_many_as_were_judged(monkeypatch):
    trained = []
    monkeypatch.setattr(classifier_score, "classifier_accuracy_score", lambda x, y, *_, **__: trained.append((len(x), len(y))) or 0.5)
    digits("few", count=130)
    ganforge.evaluate("few", "digits", metrics="cas", samples=290)
    assert trained == [(130, 130), (130, 130)]
