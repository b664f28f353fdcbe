"""Runs side by side: one protocol or none, one table, one picture."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest
from PIL import Image

import ganforge
from ganforge import cli
from ganforge.core import machine
from ganforge.core.errors import CheckpointError, UsageError
from ganforge.runs import compare as module

TINY = {"width": 8, "z": 8, "batch": 16, "precision": "fp32", "layout": "contiguous", "threads": 1, "examples": 32, "evaluate": "none"}
FAST = {"features": "random", "samples": 60, "metrics": "kid,prdc"}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compare")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machine, "speed", lambda *a, **k: 1000.0)
        ganforge.train("digits", "dcgan", out=folder / "a", **TINY)
        ganforge.train("digits", "wgan-gp", out=folder / "b", **{**TINY, "examples": 64})
        ganforge.train("digits", "dcgan", out=folder / "large", size="12", **TINY)
    return folder


@pytest.fixture
def here(made, tmp_path, monkeypatch):
    monkeypatch.setenv("GANFORGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("GANFORGE_OFFLINE", "1")
    for name in ("a", "b", "large"):
        shutil.copytree(made / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_one_table_with_facts_and_numbers_of_one_protocol(here):
    found = ganforge.compare(["a", "b"], **FAST, out="side.png")
    assert [e.values for e in found.evaluations] == [ganforge.evaluate(run, **FAST).values for run in ("a", "b")]
    head, first, second, floor = (line.split() for line in found.table().splitlines()[:4])
    assert head[:2] == ["recipe", "data"] and "KID-random" in head and "coverage-random" in head
    assert first[:3] == ["a", "dcgan", "digits"] and "32" in first and second[:3] == ["b", "wgan-gp", "digits"] and "64" in second
    assert floor[0] == "floor" and f"protocol  {found.protocol}" in found.table()


def test_one_picture_with_a_row_a_run_of_the_same_seeds(here):
    ganforge.compare(["a", "a"], **FAST, out="side.png")
    with Image.open("side.png") as picture:
        pixels = picture.copy()
    half = (pixels.height - 2) // 2
    rows = [pixels.crop((0, 2 + i * half, pixels.width, 2 + (i + 1) * half)) for i in range(2)]
    assert rows[0].tobytes() == rows[1].tobytes() and pixels.width > 12 * 8 and len(set(rows[0].tobytes())) > 10


def test_what_is_at_hand_is_taken_and_only_of_the_model_that_is_there(here, monkeypatch):
    for run in ("a", "b"):
        ganforge.evaluate(run, **FAST)
    with monkeypatch.context() as patch:
        patch.setattr(module, "evaluate", lambda *a, **k: pytest.fail("evaluated again"))
        found = ganforge.compare(["a", "b"])
    assert found.protocol == ganforge.evaluate("a", **FAST).protocol
    config = json.loads((here / "b" / "best" / "config.json").read_text())
    assert found.evaluations[1].model["sha256"] == config["sha256"]
    shutil.copytree(here / "a" / "best", here / "b" / "best", dirs_exist_ok=True)  # another model than was evaluated
    assert module._at_hand([here / "a", here / "b"]) is None


@pytest.mark.parametrize("first", ["a", "b"])
def test_what_was_asked_of_one_run_alone_is_neither_dropped_nor_missed(here, monkeypatch, capfd, first):
    """The numbers asked for are not all in the settings: KID alone and KID with FID have the same protocol."""
    for run in ("a", "b"):
        ganforge.evaluate(run, **{**FAST, "metrics": "fid,kid" if run == first else "kid"})
    real = module.evaluate
    monkeypatch.setattr(module, "evaluate", lambda run, data, **k: real(run, data, **{**k, **FAST, "metrics": "fid,kid"}))
    found = ganforge.compare(["a", "b"])
    assert all(set(e.values) == {"FD-random", "KID-random"} for e in found.evaluations)
    told = {"a": "FD-random, KID-random or KID-random", "b": "KID-random or FD-random, KID-random"}[first]
    assert f"no common protocol (numbers: {told}): measuring anew" in capfd.readouterr().err


def test_a_number_that_one_run_lacks_is_a_dash(here, monkeypatch):
    real = module.evaluate

    def evaluate(run, data, **options):
        found = real(run, data, **options)
        return found if run.name == "b" else replace(found, values={"KID-random": found.values["KID-random"]})

    monkeypatch.setattr(module, "evaluate", evaluate)
    head, first, second, floor = (line.split() for line in ganforge.compare(["a", "b"], **FAST).table().splitlines()[:4])
    assert head[-2:] == ["density-random", "coverage-random"] and first[-2:] == ["-", "-"] and "-" not in second and len(floor) == 4


def test_evaluations_on_other_data_are_not_those_of_the_run(here, capfd):
    for run in ("a", "b"):
        found = ganforge.evaluate(run, **FAST)
        told = json.loads(found.saved.read_text())
        told["settings"]["data"] = "faces (0123abcd)"
        found.saved.write_text(json.dumps(told))
    assert module._at_hand([here / "a", here / "b"]) is None
    assert "a holds no evaluation of its model as it is now on its own data" in capfd.readouterr().err


def test_a_function_of_ones_own_judges_all_runs(here):
    found = ganforge.compare(["a", "b"], **{**FAST, "features": lambda x: x.flatten(1)})
    assert len({e.protocol for e in found.evaluations}) == 1


def test_evaluations_of_different_protocols_are_not_mixed(here, monkeypatch):
    ganforge.evaluate("a", **FAST)
    ganforge.evaluate("b", **{**FAST, "samples": 50})
    asked = []
    real = module.evaluate
    monkeypatch.setattr(module, "evaluate", lambda run, data, **k: asked.append(run.name) or real(run, data, **{**k, **FAST}))
    found = ganforge.compare(["a", "b"])
    assert asked == ["a", "b"] and len({e.protocol for e in found.evaluations}) == 1


def test_runs_that_cannot_be_compared_say_what_differs(here):
    with pytest.raises(UsageError, match=r"a and large do not come under one protocol.*size: 8x8x1 or 12x12x1"):
        ganforge.compare(["a", "large"], **FAST)
    with pytest.raises(UsageError, match="size: 8x8x1 or 12x12x1") as told:
        ganforge.compare(["a", "large"], "digits", **FAST)
    assert "--data" not in str(told.value), "what was done is no advice"


@pytest.mark.parametrize(
    ("run", "says"),
    [
        ("large", r"a and large do not come under one protocol.*size: 8x8x1 or 12x12x1"),
        ("other", r"a and other do not come under one protocol.*data: digits or faces.*--data"),
    ],
)
def test_runs_that_cannot_be_compared_are_refused_before_anything_is_computed(here, run, says, monkeypatch):
    shutil.copytree(here / "b", here / "other")
    config = json.loads((here / "other" / "best" / "config.json").read_text())
    config["fields"]["data"]["path"] = "/photos/faces"
    (here / "other" / "best" / "config.json").write_text(json.dumps(config))
    monkeypatch.setattr(module, "evaluate", lambda *a, **k: pytest.fail("evaluated"))
    with pytest.raises(UsageError, match=says):
        ganforge.compare(["a", "b", run], **FAST)


def test_runs_on_other_data_can_be_compared_on_the_same(here):
    config = json.loads((here / "b" / "best" / "config.json").read_text())
    config["fields"]["data"]["path"] = "/photos/faces"
    (here / "b" / "best" / "config.json").write_text(json.dumps(config))
    found = ganforge.compare(["a", "b"], "digits", **FAST)
    assert len({e.protocol for e in found.evaluations}) == 1


def test_the_command_prints_the_table_and_says_where_the_picture_is(here, capfd):
    with pytest.raises(SystemExit) as left:
        cli.main(["compare", "a", "b", "--features", "random", "--samples", "60", "--metrics", "kid"])
    out, err = capfd.readouterr()
    assert not left.value.code and err == "" and "KID-random" in out and "picture   compare.png" in out
    assert (here / "compare.png").is_file()


@pytest.mark.parametrize(
    ("runs", "error", "says"),
    [
        (["a"], UsageError, "give at least two runs"),
        (["a", "nothing"], CheckpointError, "nothing is not a run"),
        (["a", "empty"], CheckpointError, "holds no model yet"),
    ],
)
def test_wrong_runs_are_refused(here, runs, error, says):
    (here / "empty").mkdir()
    shutil.copy(here / "a" / "recipe.json", here / "empty")
    with pytest.raises(error, match=says):
        ganforge.compare(runs, **FAST)
