"""Every recipe from `ganforge.train` to drawn images: the full run folder, in seconds."""

import dataclasses
import json

import pytest

import ganforge
from ganforge import recipes
from ganforge.core import machine
from ganforge.data.images import Images
from tests.contract.toys import draws

TINY = {"width": 8, "d_width": 8, "z": 8, "examples": 48, "batch": 16, "precision": "fp32", "layout": "contiguous", "threads": 1}


@pytest.fixture(autouse=True)
def _no_measuring(monkeypatch):
    """What is measured has its own tests; here it would only cost a second a run."""
    monkeypatch.setattr(machine, "speed", lambda *a, **k: 1000.0)


@pytest.mark.parametrize("name", [name for name in recipes.NAMES if draws(recipes.find(name))])
def test_every_recipe_makes_a_whole_run_whose_model_draws(name, tmp_path):
    more = {"penalty_weight": 1.0} if name == "auto" else {}
    run = ganforge.train("digits", recipe=name, out=str(tmp_path / "run"), **TINY, **more)
    assert run.finished and run.seen == 48 and run.exit_code == 0
    there = {str(p.relative_to(run.folder)) for p in run.folder.rglob("*") if p.is_file()}
    assert there >= {
        "recipe.json",
        "plan.json",
        "environment.json",
        "data_report.json",
        "reals.png",
        "metrics.jsonl",
        "metrics.csv",
        "report.html",
        "log.txt",
        "samples/fakes_000000000048.png",
        "best/model.safetensors",
        "best/config.json",
        "best/README.md",
        "ckpt/LATEST",
        "ckpt/000000000048/state.safetensors",
    }
    assert not any(p.endswith(".tmp") for p in there)
    assert (run.folder / "ckpt" / "LATEST").read_text() == "000000000048"
    assert [line["seen"] for line in run.history()] == [16, 32, 48]
    assert {"discriminator/loss", "seconds", "step", "images_per_second"} <= set(run.history()[-1])
    images = run.model().generate(range(3), output="tensor")
    assert images.shape == (3, 1, 8, 8) and images.abs().max() <= 1


def test_a_recipe_object_can_be_trained_and_its_data_is_replaced(tmp_path):
    recipe = recipes.DCGAN(data=Images(path="elsewhere"), lr=3e-4)
    run = ganforge.train("digits", recipe, out=str(tmp_path / "run"), **TINY)
    saved = json.loads((run.folder / "recipe.json").read_text())["fields"]
    assert saved["lr"] == 3e-4 and saved["data"]["path"] == "digits"
    assert dataclasses.asdict(recipe.run)["examples"] is None  # the object given is as it was
