"""Going on from a trained model: what goes over, what starts fresh, what stays frozen, and that all of it resumes bit for bit."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import ganforge
from ganforge import cli, testing
from ganforge.cli import finetune as finetune_command
from ganforge.core import machine
from ganforge.core import recipe as recipes_json
from ganforge.core.errors import CheckpointError, UsageError
from ganforge.core.method import Progress
from ganforge.data.images import Images
from ganforge.data.spec import DataSpec
from ganforge.networks import image
from ganforge.recipes import find
from ganforge.runs import finetune, heritage

TINY = {"examples": 64, "batch": 16, "precision": "fp32", "layout": "contiguous", "threads": 1, "evaluate": "none"}
SMALL = {"width": 8, "z": 8, "size": "16"}


@pytest.fixture(autouse=True)
def _no_measuring(monkeypatch):
    monkeypatch.setattr(machine, "speed", lambda *a, **k: 1000.0)


@pytest.fixture(scope="module")
def parent(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machine, "speed", lambda *a, **k: 1000.0)
        return ganforge.train("digits", "dcgan", out=str(tmp_path_factory.mktemp("parent") / "run"), **TINY, **SMALL).folder


@pytest.fixture
def data(tmp_path):
    """Thirty colour pictures of three classes, of another size than the model's."""
    draw = np.random.default_rng(0)
    for i in range(30):
        place = tmp_path / "data" / f"kind{i % 3}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw.integers(0, 255, (20, 24, 3), np.uint8)).save(place / f"{i}.png")
    return tmp_path / "data"


def newest(run):
    return load_file(run / "ckpt" / (run / "ckpt" / "LATEST").read_text() / "state.safetensors")


def test_other_data_are_brought_to_the_models_form_and_class_layers_start_fresh(parent, data, tmp_path, capsys):
    run = ganforge.finetune(parent, data, out=str(tmp_path / "run"), freeze_discriminator=1, **TINY)
    said = (run.folder / "log.txt").read_text() + capsys.readouterr().out
    assert "starting fresh" in said and "generator.join.embed.weight" in said and "discriminator.head.embed.weight" in said
    content = json.loads((run.folder / "recipe.json").read_text())
    assert content["spec"]["shape"] == [1, 16, 16] and content["spec"]["classes"] == 3 and content["fields"]["width"] == 8
    assert content["parent"]["path"] == str(parent) and content["parent"]["freeze_discriminator"] == 1
    assert json.loads((run.folder / "plan.json").read_text())["parent"] == content["parent"]
    before, after = newest(parent), newest(run.folder)
    first = "method/discriminator.downs.0.weight"
    frozen = before[first].numel() + before["method/discriminator.downs.0.bias"].numel()
    assert f"{frozen:,} of " in said and "discriminator parameters are frozen: its first 1 layers" in said
    assert torch.equal(before[first], after[first]), "frozen"
    moved = {"method/discriminator.head.score.weight", "method/generator.stem.weight"}
    assert all(before[key].shape == after[key].shape and not torch.equal(before[key], after[key]) for key in moved)
    assert torch.isfinite(ganforge.load(run.folder).generate([0], output="tensor")).all()


def test_the_first_weights_are_the_parents(parent, tmp_path):
    made = heritage.read(parent)
    recipe = find("dcgan")(data=Images(path="digits", size="16"), width=8, z=8)
    method = recipe.method(recipe.dataset().spec)
    told = made.told(method, made.spec)
    everything = sum(p.numel() for p in method.parameters())
    assert told == [f"{everything:,} of {everything:,} parameters from {parent}: raw weights of the checkpoint of 64 images"]
    for key, value in newest(parent).items():
        if key.startswith("method/"):
            assert torch.equal(method.state_dict()[key.removeprefix("method/")], value), key


def test_a_finetuned_run_resumes_bit_for_bit_even_without_its_parent(parent, data, tmp_path):
    """Stopped before its first checkpoint, and in the middle; the parent has gone meanwhile."""
    moved = tmp_path / "parent"
    shutil.copytree(parent, moved)
    whole = ganforge.finetune(moved, data, freeze_discriminator=2, out=str(tmp_path / "whole"), **TINY).folder
    again = tmp_path / "again"
    shutil.copytree(whole, again)
    shutil.rmtree(moved)
    shutil.rmtree(again / "ckpt")
    (again / "metrics.jsonl").unlink()
    ganforge.resume(again)
    one, other = newest(whole), newest(again)
    assert one.keys() == other.keys()
    assert not [key for key in one if not key.startswith("meter/") and not torch.equal(one[key], other[key])]


def test_frozen_games_keep_the_contract(parent, tmp_path):
    made = heritage.read(parent)
    recipe = testing.small_recipe("dcgan", "digits", **SMALL)
    data = recipe.dataset()

    def make():
        method = recipe.method(data.spec)
        heritage.inherit(method, data.spec, made.weights, 2)
        return method

    batch = next(data.batches(16, seed=0))
    testing.check_updates_move_only_their_player(make, batch)
    testing.check_all_players_learn(make, batch)
    testing.check_resume(make, data, recipe.run, tmp_path)


def test_a_copy_of_the_model_gives_its_generator_alone(parent, data, tmp_path):
    copy = tmp_path / "model"
    shutil.copytree(parent / "best", copy)
    run = ganforge.finetune(copy, data, out=str(tmp_path / "run"), **TINY)
    said = (run.folder / "log.txt").read_text()
    assert (
        "the discriminator starts fresh: a model folder holds the generator alone" in said and "averaged weights of the model of 64" in said
    )
    with pytest.raises(UsageError, match="give the run folder"):
        ganforge.finetune(copy, data, freeze_discriminator=1, out=str(tmp_path / "other"), **TINY)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"size": "24"}, "draws 16x16 pixels with 1 channel; this data becomes 24x24 pixels with 1 channel"),
        ({"colour": "rgb"}, "draws 16x16 pixels with 1 channel; this data becomes 16x16 pixels with 3 channels"),
        ({"freeze_discriminator": 99}, "must be from 0 to 2, as this discriminator has 3 layers; got 99"),
        ({"freeze_discriminator": -1}, "must be from 0 to 2"),
        ({"path": "elsewhere"}, "the data is the second argument of finetune; leave out 'path'"),
        ({"widht": 4}, "no option 'widht'. Did you mean 'width'"),
    ],
)
def test_what_does_not_fit_is_refused(parent, data, tmp_path, options, says):
    with pytest.raises(UsageError, match=says):
        ganforge.finetune(parent, data, out=str(tmp_path / "run"), **{**TINY, **options})
    assert not (tmp_path / "run").exists()


def test_where_there_is_no_model_it_is_said(tmp_path, data):
    with pytest.raises(CheckpointError, match="holds no model"):
        ganforge.finetune(tmp_path, data)


def test_other_networks_get_nothing_and_that_is_an_error(parent, data):
    with pytest.raises(CheckpointError, match="nothing of the parent's generator fits"):
        ganforge.finetune(parent, data, networks="mlp", dry_run=True, **TINY)


def test_first_weights_that_were_tampered_with_are_refused(parent, data, tmp_path):
    run = ganforge.finetune(parent, data, out=str(tmp_path / "run"), **TINY).folder
    (run / heritage.FILE).write_bytes((run / heritage.FILE).read_bytes()[:-8])
    with pytest.raises(CheckpointError, match=r"parent.safetensors, the first weights of this run, cannot be used: its checksum differs"):
        ganforge.resume(run)


@pytest.mark.parametrize("networks", ["dcgan", "r3", "sngan", "mlp"])
def test_layers_are_found_in_the_order_of_an_image(networks):
    network = getattr(image, networks).discriminator((3, 16, 16), 16, 4, "projection")
    found = heritage.layers(network, (3, 16, 16), 4)
    listed = [id(p) for layer in found for p in layer]
    assert len(listed) == len(set(listed))
    embedded = {id(p) for m in network.modules() if isinstance(m, torch.nn.Embedding) for p in heritage._own(m)}
    assert set(listed) == {id(p) for p in network.parameters()} - embedded
    assert any(id(p) in set(listed[-2:]) for p in network.head.score.parameters()), "the score comes last"


def test_the_command(parent, data, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = [w for key, value in TINY.items() for w in (f"--{key}", str(value))]
    with pytest.raises(SystemExit) as end:
        cli.main(["finetune", str(parent), str(data), "--freeze-discriminator", "1", "--lr", "1e-4", "--out", "run", *words])
    assert not end.value.code
    content = json.loads((tmp_path / "run" / "recipe.json").read_text())
    assert content["fields"]["lr"] == 1e-4 and content["parent"]["freeze_discriminator"] == 1
    for words, code in ([], 2), ([str(parent)], 2), ([str(tmp_path / "nothing"), str(data)], 6), (["--help"], 0):
        with pytest.raises(SystemExit) as end:
            cli.main(["finetune", *words])
        assert end.value.code == code, words


def test_the_command_says_what_is_missing(parent, data, tmp_path, capsys):
    for words, says in (
        (["--freeze-discriminator"], "--freeze-discriminator needs a value: gan finetune MODEL DATA"),
        (["--code"], "--code needs a value: gan finetune MODEL DATA"),
        (["--code", "--lr", "1"], "--code needs a file; got '--lr'"),
        (["--path", "other"], "DATA comes second and needs no option"),
        (["--path=other"], "DATA comes second and needs no option"),
    ):
        with pytest.raises(SystemExit) as end:
            cli.main(["finetune", str(parent), str(data), *words])
        assert end.value.code == 2 and says in capsys.readouterr().err, words


def test_code_is_given_as_often_as_there_are_files():
    words = ["M", "D", "--code", "a.py", "b.py", "--lr", "1", "--code=c.py", "--code", "d.py"]
    assert finetune_command._files(words) == (["a.py", "b.py", "c.py", "d.py"], ["M", "D", "--lr", "1"])


CANARY = """import pathlib
pathlib.Path({!r}).touch()
def means(x):
    return x.mean((2, 3))
"""


@pytest.mark.parametrize("place", ["recipe.json", "config.json"])
def test_a_strangers_model_cannot_make_finetune_run_its_code(parent, data, tmp_path, monkeypatch, capsys, place):
    """What a model names is not run, unless the user types it."""
    monkeypatch.setenv("GANFORGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("GANFORGE_OFFLINE", "1")
    model = tmp_path / "model"
    shutil.copytree(parent if place == "recipe.json" else parent / "best", model)
    evil = tmp_path / "evil.py"
    evil.write_text(CANARY.format(str(tmp_path / "was run")))
    named = f"kid:{evil}:means"
    before = (model / place).read_text()
    (model / place).write_text(before.replace('"evaluate": "none"', f'"evaluate": "{named}"'))
    assert (model / place).read_text() != before
    options = {**TINY, "evaluations": 1}
    del options["evaluate"]
    run = ganforge.finetune(model, data, out=str(tmp_path / "run"), **options)
    said = capsys.readouterr().out
    assert run.finished and not (tmp_path / "was run").exists()
    assert said.count(f"the model's --evaluate {named} names a file and is not taken over") == 1
    assert json.loads((run.folder / "recipe.json").read_text())["fields"]["run"]["evaluate"] == "auto"
    ganforge.finetune(model, data, out=str(tmp_path / "typed"), evaluate=named, **options)
    assert (tmp_path / "was run").exists()


def painted(place, kinds, count=10):
    draw = np.random.default_rng(0)
    for kind in kinds:
        (place / kind).mkdir(parents=True)
        for i in range(count):
            Image.fromarray(draw.integers(0, 255, (16, 16, 3), np.uint8)).save(place / kind / f"{i}.png")
    return str(place)


def small(tmp_path, recipe, kinds, name="parent", **options):
    run = ganforge.train(painted(tmp_path / f"{name}-data", kinds), recipe, out=str(tmp_path / name), **{**TINY, **SMALL, **options})
    return run.folder


def taken(parent, kinds, recipe="dcgan"):
    """A fresh method for data of these classes, before and after it took the parent's weights; and what was said."""
    made = heritage.read(parent)
    spec = DataSpec(made.spec.shape, len(kinds), tuple(kinds), 30)
    method = find(recipe)(data=Images(path="digits", size="16"), width=8, z=8).method(spec)
    before = {key: value.clone() for key, value in method.state_dict().items()}
    return before, method.state_dict(), " ".join(made.fitted(spec).told(method, spec)), newest(parent)


def test_classes_go_over_by_name_and_never_by_number(tmp_path):
    run = small(tmp_path, "dcgan", ["cat", "dog", "owl"])
    fresh, now, said, was = taken(run, ["bird", "cat", "dog"])
    assert "classes go by their names · taken over: cat, dog; starting fresh: bird; left behind: owl" in said
    for key in ("generator.join.embed.weight", "discriminator.head.embed.weight"):
        old = was[f"method/{key}"]
        assert torch.equal(now[key][1], old[0]) and torch.equal(now[key][2], old[1]) and torch.equal(now[key][0], fresh[key][0]), key
        assert not torch.equal(now[key][0], old[0]), key
    fresh, now, said, was = taken(run, ["ant", "bee", "eel"])
    assert "starting fresh: ant, bee, eel; left behind: cat, dog, owl" in said and "generator.join.embed.weight" in said
    assert torch.equal(now["generator.join.embed.weight"], fresh["generator.join.embed.weight"])
    fresh, now, said, was = taken(run, ["owl", "cat"])
    assert torch.equal(now["generator.join.embed.weight"], was["method/generator.join.embed.weight"][[2, 0]])
    fresh, now, said, was = taken(run, ["cat", "dog", "owl"])
    assert "classes go by" not in said and torch.equal(now["generator.join.embed.weight"], was["method/generator.join.embed.weight"])


@pytest.mark.parametrize("recipe", ["acgan", "biggan", "progan", "r3gan", "sngan", "stylegan2"])
def test_every_way_of_telling_classes_has_its_axis(recipe):
    spec = DataSpec((3, 16, 16), 5, tuple("abcde"), 30)
    made = find(recipe)(data=Images(path="digits", size="16"), width=8)
    content = {"format": 1, "recipe": recipe, "fields": recipes_json.describe(made)}
    content["spec"] = {"shape": list(spec.shape), "classes": 5, "names": list("abcde"), "count": 30}
    axes = heritage.class_axes(content)
    assert any(axis is not None for axis in axes.values())
    state = made.method(spec).state_dict()
    for name, axis in axes.items():
        assert axis is None or state[name if name in state else f"game.{name}"].shape[axis] == 5, name


@pytest.mark.parametrize("recipe", ["dcgan", "sngan", "r3gan"])
def test_classes_go_over_by_name_with_label_dropout_and_none_stays_the_last(recipe):
    """Networks hold a class more than the data has, for none."""
    spec = DataSpec((1, 16, 16), 3, ("cat", "dog", "owl"), 30)
    made = find(recipe)(data=Images(path="digits", size="16"), width=8, z=8, label_dropout=0.1)
    content = {"format": 1, "recipe": recipe, "fields": recipes_json.describe(made)}
    content["spec"] = {"shape": [1, 16, 16], "classes": 3, "names": [*spec.names], "count": 30}
    old = made.method(spec)
    weights = {name: value.clone() for name, value in old.state_dict().items()}
    parent = heritage.Parent(Path("run"), content, spec, weights, 64, raw=True)
    other = DataSpec((1, 16, 16), 4, ("bird", "owl", "cat", "ant"), 30)
    fitted, method = parent.fitted(other), made.method(other)
    fresh = {name: value.clone() for name, value in method.state_dict().items()}
    heritage.inherit(method, other, fitted.weights, 0)
    axes = {name: axis for name, axis in heritage.class_axes(content).items() if axis is not None}
    assert any(name.startswith("generator.") for name in axes) and any(name.startswith("discriminator.") for name in axes)
    for name, axis in axes.items():
        now, was, new = (state[name].transpose(0, axis) for state in (method.state_dict(), weights, fresh))
        assert len(was) == 4 and len(now) == 5
        assert torch.equal(now[[1, 2, 4]], was[[2, 0, 3]]) and torch.equal(now[[0, 3]], new[[0, 3]]), name


def test_a_grown_model_stays_grown(tmp_path):
    """Its averaged generator draws what it drew; grown anew, it would draw a few pixels."""
    run = small(tmp_path, "progan", ["cat", "dog"])
    levels = []
    for where in (run, run / "best"):
        recipe, made = finetune.start(where, str(tmp_path / "parent-data"))
        assert recipe.growth == 0 and "the model is fully grown and stays so" in made.notes[-1]
        data = recipe.dataset()
        method = recipe.method(data.spec)
        made.fitted(data.spec).told(method, data.spec)
        list(method.step(next(data.batches(4, seed=0)), Progress(0, 0, 1000)))
        levels.append(int(method.generator.level))
        assert torch.equal(method.generator.colours[-1].weight, made.weights["generator.colours.2.weight"])
    assert levels == [2000, 2000]


def test_a_model_that_was_stopped_as_it_grew_says_that_it_grows_again(tmp_path):
    run = small(tmp_path, "progan", ["cat", "dog"])
    made = heritage.read(run)
    made.weights["generator.level"].fill_(1500)
    recipe, parent = finetune.grown(find("progan")(data=Images(path="digits")), made)
    assert recipe.growth == 0.5 and "was grown by 1.5 of 2 resolutions" in parent.notes[-1]
    recipe, parent = finetune.grown(find("dcgan")(data=Images(path="digits")), made)
    assert not parent.notes


def test_a_run_with_classes_of_both_sides_starts_and_resumes(tmp_path):
    run = small(tmp_path, "dcgan", ["cat", "dog", "owl"])
    data = painted(tmp_path / "other", ["bird", "cat", "dog"])
    again = ganforge.finetune(run, data, out=str(tmp_path / "run"), **TINY).folder
    assert "starting fresh: bird; left behind: owl" in (again / "log.txt").read_text()
    before = newest(again)
    assert all(torch.isfinite(value).all() for value in before.values())
    shutil.rmtree(again / "ckpt")
    (again / "metrics.jsonl").unlink()
    ganforge.resume(again)
    after = newest(again)
    assert not [key for key in before if not key.startswith("meter/") and not torch.equal(before[key], after[key])]


def test_partly_labelled_data_keeps_its_labels(tmp_path):
    run = small(tmp_path, "semi-supervised", ["cat", "dog", "unlabelled"])
    data = painted(tmp_path / "other", ["bird", "dog", "unlabelled"])
    again = ganforge.finetune(run, data, out=str(tmp_path / "run"), **TINY).folder
    said = (again / "log.txt").read_text()
    assert "taken over: dog; starting fresh: bird; left behind: cat" in said and "starts fresh:" not in said
    with pytest.raises(UsageError, match=r"needs a discriminator of images alone, which this recipe lacks: it has generator, classifier"):
        ganforge.finetune(run, data, freeze_discriminator=1, dry_run=True, **TINY)


def test_what_starts_fresh_is_what_no_weights_came_for(tmp_path):
    run = small(tmp_path, "bigan", ["cat", "dog"])
    _, _, said, _ = taken(run, ["cat", "dog"], "bigan")
    assert "starting fresh" not in said and "starts fresh" not in said
    shutil.copytree(run / "best", tmp_path / "copy")
    made = heritage.read(tmp_path / "copy")
    method = find("bigan")(data=Images(path="digits", size="16"), width=8, z=8).method(made.spec)
    assert "the joint starts fresh: a model folder holds the generator and encoder alone" in " ".join(made.told(method, made.spec))


def test_a_checkpoint_of_a_course_that_was_left_is_not_taken(parent, tmp_path):
    """A run that was killed while it went back to where it was healthy still has the collapsed checkpoint."""
    run = tmp_path / "run"
    shutil.copytree(parent, run)
    good = run / "ckpt" / (run / "ckpt" / "LATEST").read_text()
    worse = run / "ckpt" / "000000000128"
    shutil.copytree(good, worse)
    state = {**json.loads((worse / "state.json").read_text()), "seen": 128}
    (worse / "state.json").write_text(json.dumps(state))
    sums = [hashlib.sha256((worse / name).read_bytes()).hexdigest() + f"  {name}\n" for name in ("state.safetensors", "state.json")]
    (worse / "MANIFEST.sha256").write_text("".join(sums))
    (run / "ckpt" / "LATEST").write_text(worse.name)
    assert heritage.read(run).seen == 128
    (run / "restarts.json").write_text(json.dumps({"restarts": 1, "caution": 0.5, "since": 1, "back": 64}))
    assert heritage.read(run).seen == 64
