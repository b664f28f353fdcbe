"""A run judges itself: on time, without touching the training, and best/ is the best and not the last."""

from __future__ import annotations

import json
import math
import shutil
import time
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

import ganforge
from ganforge import recipes
from ganforge.core import machine
from ganforge.core.errors import DataError, UsageError
from ganforge.core.method import Progress
from ganforge.data.images import Images
from ganforge.metrics import measure, sets
from ganforge.metrics.random_features import RandomFeatures
from ganforge.runs import judge, observe
from ganforge.runs.folder import Folder
from ganforge.runs.judge import STATE, Judge

TINY = {"width": 8, "z": 8, "batch": 16, "precision": "fp32", "layout": "contiguous", "threads": 1, "examples": 16 * 40}


@pytest.fixture(autouse=True)
def _quick(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "speed", lambda *a, **k: 1000.0)
    monkeypatch.setattr(judge, "COUNT", 100)
    monkeypatch.setenv("GANFORGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("GANFORGE_OFFLINE", "1")


def train(out, **options):
    return ganforge.train("digits", "dcgan", out=str(out), **{**TINY, **options})


def looks(run):
    return [line["seen"] for line in run.history() if any(key.startswith("quality/") for key in line)]


def scores(run):
    return {line["seen"]: line["quality/KID-random"] for line in run.history() if "quality/KID-random" in line}


def checkpoint(folder):
    return load_file(sorted((folder / "ckpt").glob("[0-9]*"))[-1] / "state.safetensors")


def test_looks_are_spread_evenly_and_the_end_is_one_of_them(tmp_path):
    run = train(tmp_path / "run", evaluations=4)
    assert looks(run) == [160, 320, 480, 640]
    assert set(json.loads((run.folder / STATE).read_text())) == {"lowest"}


def test_best_is_the_model_of_the_best_look(tmp_path, monkeypatch):
    """Weights and the number in the card are those of the moment with the lowest value, though training went on."""
    kept = {}
    real = observe.Observer.evaluate

    def spy(self, tick):
        kept[tick.now.seen] = {k: v.clone() for k, v in tick.average.networks["generator"].state_dict().items()}
        return real(self, tick)

    worse = iter([1.0, 0.5, 0.2, 0.9, 0.7])  # of plain noise, then of four looks
    monkeypatch.setattr(observe.Observer, "evaluate", spy)
    monkeypatch.setattr(judge.measure, "measure", lambda *a, **k: {"KID-random": measure.Score(next(worse))})
    monkeypatch.setattr(judge.Opened, "floor", {}, raising=False)
    monkeypatch.setattr(judge.sets, "disjoint", lambda images, count: (sets.subset(images, count), None))
    run = train(tmp_path / "run", evaluations=4)
    config = json.loads((run.folder / "best" / "config.json").read_text())
    assert config["seen"] == 320 and config["metrics"] == {"KID-random": 0.2}
    best = load_file(run.folder / "best" / "model.safetensors")
    assert all(torch.equal(best[f"generator.{key}"], value) for key, value in kept[320].items())
    assert not all(torch.equal(best[f"generator.{key}"], value) for key, value in kept[640].items())
    assert "0.2" in (run.folder / "best" / "README.md").read_text()


@pytest.mark.parametrize(("looks", "kept"), [([0.5, 0.2, 0.25, 0.4], 480), ([0.2, 0.25, 0.29, 0.34], 480), ([0.5, 0.4, 0.3, 0.2], 640)])
def test_a_later_model_is_kept_unless_it_is_worse_by_more_than_the_noise(looks, kept, tmp_path, monkeypatch):
    """Small steps upwards do not add up: the noise is allowed above the lowest value, not above that of the model kept."""
    values = iter([1.0, *looks])  # of plain noise first
    monkeypatch.setattr(judge.measure, "measure", lambda *a, **k: {"KID-random": measure.Score(next(values), 0.1)})
    monkeypatch.setattr(judge.sets, "disjoint", lambda images, count: (sets.subset(images, count), None))
    run = train(tmp_path / "run", evaluations=4)
    assert json.loads((run.folder / "best" / "config.json").read_text())["seen"] == kept
    assert Judge(Folder(run.folder), "auto", 0, None, None, "cpu").lowest == min(looks)


def test_light_features_do_not_choose_between_values_near_the_floor(tmp_path, monkeypatch):
    """Half a hundredth of the distance of noise is nothing to them, however small the standard error; a collapse is more."""
    values = iter([0.2, 0.0001, 0.0009, 0.0300])
    monkeypatch.setattr(judge.measure, "measure", lambda *a, **k: {"KID-random": measure.Score(next(values), 1e-6)})
    monkeypatch.setattr(judge.sets, "disjoint", lambda images, count: (sets.subset(images, count), None))
    run = train(tmp_path / "run", evaluations=3)
    first, second, third = looks(run)
    assert json.loads((run.folder / "best" / "config.json").read_text())["seen"] == second


def test_the_number_is_that_of_the_metric_on_the_model_it_names(tmp_path):
    run = train(tmp_path / "run", evaluations=1)
    data = Images(path="digits").load()
    real, _ = sets.disjoint(data, 100)
    labels = sets.apportioned(data.labels, 10, 100).tolist()
    model = run.model()
    seeds = range(judge.FIRST_SEED, judge.FIRST_SEED + 100)
    drawn = model.generate(seeds, labels if model.spec.classes else None, output="tensor")
    eye = RandomFeatures()
    fake = eye((drawn * 127.5 + 128).clamp(0, 255).to(torch.uint8))
    by_hand = measure.measure(fake, eye(real.images[:]), ("kid",), features=eye)["KID-random"].value
    assert scores(run) == {640: pytest.approx(by_hand, rel=1e-6)}


def test_judging_does_not_move_the_training(tmp_path):
    """Weights, averages and moments are bit for bit those of a run that never looks."""
    one, two = train(tmp_path / "a", evaluate="none"), train(tmp_path / "b", evaluations=20)
    a, b = checkpoint(one.folder), checkpoint(two.folder)
    assert a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)
    assert looks(one) == [] and len(looks(two)) == 20
    assert (one.folder / "best" / "model.safetensors").is_file() and not (one.folder / STATE).exists()


@pytest.mark.parametrize("asked", [8, 0])
def test_an_interrupted_run_has_the_looks_and_the_best_of_the_whole_one(asked, tmp_path, monkeypatch):
    """Whether the number of looks was asked for or priced."""
    monkeypatch.setattr(judge.Opened, "price", lambda self, generator: 0.05 * 0.64 / 8.5)
    monkeypatch.setattr(judge, "time", SimpleNamespace(monotonic=lambda: 0.0))
    whole = train(tmp_path / "whole", evaluations=asked)

    class Cut(BaseException):
        pass

    real = observe.Observer.tick

    def tick(self, tick):
        if tick.now.seen == 400 and not (tmp_path / "was cut").exists():
            (tmp_path / "was cut").touch()
            raise Cut
        real(self, tick)

    with monkeypatch.context() as patch:
        patch.setattr(observe.Observer, "tick", tick)
        with pytest.raises(Cut):
            train(tmp_path / "cut", evaluations=asked, save_minutes=0.0)
    monkeypatch.setattr(judge.Opened, "price", lambda self, generator: pytest.fail("priced again"))
    assert ganforge.resume(tmp_path / "cut").finished
    cut = SimpleNamespace(history=Folder(tmp_path / "cut").history)
    assert (tmp_path / "was cut").exists() and scores(cut) == scores(whole) and len(scores(cut)) == 8
    best = [Judge(Folder(folder), "auto", 0, None, None, "cpu").best for folder in (whole.folder, tmp_path / "cut")]
    assert best[0] == best[1] != {}
    models = [load_file(folder / "best" / "model.safetensors") for folder in (whole.folder, tmp_path / "cut")]
    assert all(torch.equal(models[0][key], models[1][key]) for key in models[0])


def tick_at(step, seconds, total=200):
    return SimpleNamespace(now=Progress(step, step * 10, total * 10), seconds=seconds)


def test_a_run_without_a_number_looks_at_the_end_alone(tmp_path):
    eye = Judge(Folder(tmp_path), "auto", 0, None, None, "cpu")
    eye.opened = object()
    assert [step for step in range(1, 201) if eye._due(tick_at(step, float(step)))] == [200]


@pytest.mark.parametrize(
    ("opening", "price", "seconds", "often"),
    [(0, 1.0, 200.0, 10), (0, 1.0, 219.9, 10), (0, 0.01, 200.0, 40), (0, 100.0, 200.0, 1), (4.5, 1.0, 200.0, 5), (30, 1.0, 200.0, 1)],
)
def test_looks_cost_at_most_a_twentieth_of_the_planned_time_but_there_is_one(opening, price, seconds, often, monkeypatch):
    """With the features of the real images, which come first."""
    clock = iter([0.0, opening])
    monkeypatch.setattr(judge, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    monkeypatch.setattr(judge, "opened", lambda *_: SimpleNamespace(price=lambda generator: price))
    data = Images(path="digits").load()
    method = recipes.DCGAN(data=Images(path="digits"), width=8, z=8).method(data.spec)
    assert judge.affordable("auto", method, data, "cpu", (), seconds) == often


def test_the_price_of_a_look_is_about_what_one_takes(monkeypatch):
    """Drawing and seeing of all latents, though only some are timed, and the metric."""
    real, score = RandomFeatures.__call__, judge.Opened.score

    def slow(self, images):
        time.sleep(0.002 * len(images))
        return real(self, images)

    def slow_score(self, rows):
        time.sleep(0.1)
        return score(self, rows)

    monkeypatch.setattr(RandomFeatures, "__call__", slow)
    monkeypatch.setattr(judge.Opened, "score", slow_score)
    data = Images(path="digits").load()
    method = recipes.DCGAN(data=Images(path="digits"), width=8, z=8).method(data.spec)
    opened = judge.opened("auto", method, data, "cpu", ())
    assert 0.1 + 0.002 * 100 <= opened.price(method.exports["generator"].eval()) < 3


def test_the_number_of_looks_is_settled_at_the_start_and_stands_in_the_recipe(tmp_path, monkeypatch):
    monkeypatch.setattr(judge.Opened, "price", lambda self, generator: 0.05 * 0.64 / 4.5)  # 640 images at 1000 a second
    monkeypatch.setattr(judge, "time", SimpleNamespace(monotonic=lambda: 0.0))
    run = train(tmp_path / "run")
    assert json.loads((run.folder / "recipe.json").read_text())["fields"]["run"]["evaluations"] == 4
    assert looks(run) == [160, 320, 480, 640]


def test_pricing_does_not_move_the_training(tmp_path):
    one, two = train(tmp_path / "a", evaluate="none"), train(tmp_path / "b")
    a, b = checkpoint(one.folder), checkpoint(two.folder)
    assert all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize("options", [{"evaluations": 3}, {"evaluate": "none"}])
def test_what_the_user_settled_is_not_priced(options, tmp_path, monkeypatch):
    monkeypatch.setattr(judge, "affordable", lambda *_: pytest.fail("priced"))
    run = train(tmp_path / "run", **options)
    assert json.loads((run.folder / "recipe.json").read_text())["fields"]["run"]["evaluations"] == options.get("evaluations", 0)


def test_a_look_that_fails_is_said_once_and_the_training_goes_on(tmp_path, monkeypatch, capsys):
    def fail(self, images):
        raise RuntimeError("the eyes are shut\nmore of it")

    monkeypatch.setattr(RandomFeatures, "__call__", fail)
    run = train(tmp_path / "run", evaluations=5)
    said = capsys.readouterr().out
    assert run.finished and said.count("evaluation failed, the training goes on: the eyes are shut") == 1 and "more of it" not in said
    assert looks(run) == [] and run.model().generate([1])  # best/ is then the last model
    assert json.loads((run.folder / "best" / "config.json").read_text())["seen"] == 640


def test_what_cannot_be_opened_is_tried_once(tmp_path, monkeypatch, capsys):
    tried = []

    def none(*_):
        tried.append(1)
        raise DataError(f"no features, try {len(tried)}")

    monkeypatch.setattr(judge, "choose", none)
    run = train(tmp_path / "run", evaluations=8)
    assert run.finished and len(tried) == 1 and capsys.readouterr().out.count("evaluation failed") == 1


CANARY = """import pathlib
pathlib.Path({!r}).touch()
def means(x):
    return x.mean((2, 3))
"""


def test_a_strangers_run_cannot_make_resume_run_its_code(tmp_path, monkeypatch, capsys):
    """What recipe.json names is not run on resume, unless the user lists the file."""
    real = observe.Observer.tick

    def tick(self, tick):
        if tick.now.seen == 400:
            raise KeyError("cut")
        real(self, tick)

    with monkeypatch.context() as patch:
        patch.setattr(observe.Observer, "tick", tick)
        with pytest.raises(KeyError):
            train(tmp_path / "run", evaluations=8, save_minutes=0.0)
    evil = tmp_path / "evil.py"
    evil.write_text(CANARY.format(str(tmp_path / "was run")))
    recipe = tmp_path / "run" / "recipe.json"
    recipe.write_text(recipe.read_text().replace('"evaluate": "auto"', f'"evaluate": "kid:{evil}:means"'))
    shutil.copytree(tmp_path / "run", tmp_path / "again")
    assert ganforge.resume(tmp_path / "run").finished
    assert "evil.py, which is not run unless you say so" in capsys.readouterr().out and not (tmp_path / "was run").exists()
    assert ganforge.resume(tmp_path / "again", code=[str(evil)]).finished
    assert (tmp_path / "was run").exists()


def test_features_that_the_user_types_are_run(tmp_path):
    (tmp_path / "mine.py").write_text("def means(x):\n    return x.flatten(1)[:, ::7]\n")
    run = train(tmp_path / "run", evaluate=f"kid:{tmp_path / 'mine.py'}:means", evaluations=1)
    assert "quality/KID-own:mine.py:means" in run.history()[-1]


def test_a_damaged_best_is_written_again_at_the_next_save(tmp_path):
    run = train(tmp_path / "run", evaluations=2)
    (run.folder / "best" / "model.safetensors").write_bytes(b"half")
    assert Judge(Folder(run.folder), "auto", 0, None, None, "cpu").best == {}
    assert ganforge.resume(run.folder).finished and run.model().generate([1])


def test_the_held_out_images_are_not_looked_at(tmp_path, monkeypatch):
    """What picks the best model must not be what judges it later."""
    data = Images(path="digits").load()
    asked = []
    real = judge.cached
    monkeypatch.setattr(judge, "cached", lambda eyes, images, cache: asked.append(images) or real(eyes, images, cache))
    train(tmp_path / "run", evaluations=1)
    known = {row.numpy().tobytes() for row in data.images}
    assert asked and all(row.numpy().tobytes() in known for images in asked for row in images.images)


def test_images_of_other_channels_are_not_evaluated_and_that_is_said(tmp_path):
    said = []
    data = SimpleNamespace(images=torch.zeros(20, 4, 8, 8, dtype=torch.uint8))
    voice = SimpleNamespace(say=said.append)
    assert observe._judge(Folder(tmp_path), {"evaluate": "auto"}, None, data, voice, ()) is None
    assert "1 or 3 channels, and these have 4" in said[0]


def test_too_few_images_are_said_and_the_training_goes_on(tmp_path, capsys):
    from PIL import Image

    (tmp_path / "photos").mkdir()
    for i in range(6):
        Image.new("RGB", (8, 8), (40 * i, 0, 0)).save(tmp_path / "photos" / f"{i}.png")
    run = ganforge.train(tmp_path / "photos", "dcgan", out=tmp_path / "run", **{**TINY, "examples": 32})
    said = capsys.readouterr().out
    assert run.finished and "evaluation failed" not in said
    assert said.index("Plan    measuring") < said.index("Plan    no evaluation: KID needs at least 10 images a side, and the data has 6;")
    assert (run.folder / "best" / "config.json").is_file()
    assert json.loads((run.folder / "recipe.json").read_text())["fields"]["run"]["evaluations"] == 0


def test_the_metric_and_its_features_can_be_named(tmp_path):
    run = train(tmp_path / "run", evaluate="mind:random", evaluations=2)
    assert [key for key in run.history()[-1] if key.startswith("quality/")] == ["quality/MIND-random", "quality/floor"]
    assert (run.folder / "plots" / "quality.svg").is_file() and "Distance to real images" in (run.folder / "report.html").read_text()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"evaluate": "kit"}, "Did you mean 'kid'"),
        ({"evaluations": -1}, "--evaluations must be"),
        ({"evaluate": "kid:inceptoin"}, "Did you mean 'inception'"),
    ],
)
def test_wrong_options_are_refused_before_anything_runs(options, says, tmp_path):
    with pytest.raises(UsageError, match=says):
        train(tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


def test_a_finished_run_that_is_resumed_keeps_its_best(tmp_path):
    run = train(tmp_path / "run", evaluations=2)
    before = {p: p.read_bytes() for p in (run.folder / "best").iterdir()}
    assert ganforge.resume(run.folder).finished
    assert {p: p.read_bytes() for p in before} == before


def test_random_features_are_the_same_everywhere_and_see_what_differs():
    eye, again = RandomFeatures(), RandomFeatures()
    draw = torch.Generator().manual_seed(1)
    smooth = torch.nn.functional.interpolate(torch.rand(400, 3, 4, 4, generator=draw), (16, 16), mode="bilinear")
    smooth, noise = (smooth * 255).to(torch.uint8), torch.randint(0, 256, (400, 3, 16, 16), generator=draw, dtype=torch.uint8)
    assert eye(smooth).shape == (400, eye.dim) and torch.equal(eye(smooth), again(smooth))
    for size in ((8, 8), (28, 28), (64, 48)):
        assert eye(torch.zeros(2, 1, *size, dtype=torch.uint8)).shape == (2, eye.dim)
    value = [measure.measure(eye(x), eye(smooth[200:]), ("kid",), features=eye)["KID-random"].value for x in (smooth[:200], noise[:200])]
    mixed = torch.cat([smooth[:100], noise[:100]])
    half = measure.measure(eye(mixed), eye(smooth[200:]), ("kid",), features=eye)["KID-random"].value
    assert value[0] < half < value[1]


@pytest.mark.parametrize("content", ["{", "[]", '{"spent": 1}', '{"lowest": "x"}', '{"lowest": null}'])
def test_a_damaged_memory_of_the_lowest_value_stops_nothing(content, tmp_path, caplog):
    (tmp_path / STATE).parent.mkdir()
    (tmp_path / STATE).write_text(content)
    assert Judge(Folder(tmp_path), "auto", 0, None, None, "cpu").lowest == math.inf and "is not known any more" in caplog.text


def test_a_disk_that_refuses_the_best_model_does_not_stop_the_training(tmp_path, monkeypatch, capsys):
    real = observe.Observer.share

    def share(self, tick, numbers=None):
        if numbers:
            raise OSError(28, "No space left on device")
        real(self, tick)

    monkeypatch.setattr(observe.Observer, "share", share)
    run = train(tmp_path / "run", evaluations=2)
    assert run.finished and "No space left on device" in capsys.readouterr().out and not (run.folder / STATE).exists()
