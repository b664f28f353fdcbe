"""A loaded model: one seed, one image, whatever is drawn beside it; loading from anywhere; damage and foreign code refused."""

import hashlib
import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

import ganforge
from ganforge import recipes, testing
from ganforge.core import machine
from ganforge.core import recipe as recipes_json
from ganforge.core.errors import CheckpointError, UsageError
from ganforge.data.spec import DataSpec
from ganforge.runs import model as models
from ganforge.runs.mark import marked
from ganforge.runs.model import Model
from tests.contract.toys import draws

TINY = {"width": 8, "z": 8, "examples": 32, "batch": 16, "precision": "fp32", "layout": "contiguous", "threads": 1}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machine, "speed", lambda *a, **k: 1000.0)
        return ganforge.train("digits", "dcgan", out=str(tmp_path_factory.mktemp("runs") / "run"), **TINY).folder


@pytest.fixture
def copy(run, tmp_path):
    return shutil.copytree(run / "best", tmp_path / "a copy")


def fresh(name, shape=(3, 32, 32), **options):
    """A model of random weights, big enough that sums could be rounded in different orders."""
    spec = DataSpec(shape, 3, ("ant", "bee", "7"), 100)
    recipe = testing.small_recipe(name, "digits", **{"width": 24, "z": 33, **options})
    method = recipe.method(spec)
    return Model(method, method.exports, spec, {"recipe": name, "sha256": "ab" * 32})


@pytest.mark.parametrize("name", [name for name in recipes.NAMES if draws(recipes.find(name))])
def test_a_seed_gives_the_same_image_bit_for_bit_whatever_is_drawn_beside_it(name):
    model = fresh(name)
    wanted = list(range(20)) + [12345]
    together = dict(zip(wanted, model.generate(wanted, output="tensor"), strict=True))
    alone = {seed: model.generate([seed], output="tensor")[0] for seed in wanted[::4]}
    shuffled = wanted[7:] + wanted[:7]
    reordered = dict(zip(shuffled, model.generate(shuffled, output="tensor"), strict=True))
    many = dict(zip([*range(100, 119), *wanted], model.generate([*range(100, 119), *wanted], output="tensor"), strict=True))
    for seed in wanted:
        for other in (alone, reordered, many):
            assert seed not in other or torch.equal(other[seed], together[seed]), f"seed {seed} of {name} depends on its neighbours"
    assert not torch.equal(together[0], together[1])


def test_generating_leaves_the_global_random_state_alone_and_does_not_read_it():
    model = fresh("dcgan")
    torch.manual_seed(1)
    state = torch.get_rng_state()
    one = model.generate([3], output="tensor")
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert torch.equal(model.generate([3], output="tensor"), one)


def test_classes_by_name_by_number_and_one_for_each():
    model = fresh("dcgan")
    named, numbered = (model.generate([1, 2], c, output="tensor") for c in ("bee", 1))
    assert torch.equal(named, numbered) and torch.equal(model.generate([1, 2], "1", output="tensor"), named)
    mixed = model.generate([1, 2], ["bee", "ant"], output="tensor")
    assert torch.equal(mixed[0], named[0]) and not torch.equal(mixed[1], named[1])
    assert torch.equal(model.generate([1], "7", output="tensor"), model.generate([1], 2, output="tensor")), "a name goes before a number"


@pytest.mark.parametrize(
    ("classes", "text"),
    [
        ("be", "'be' is not a class of this model. Did you mean 'bee'"),
        (3, "'3' is not a class"),
        (-1, "'-1' is not"),
        (["ant"], "one for each of the 2 seeds; got 1"),
    ],
)
def test_classes_that_are_not_there_are_refused(classes, text):
    with pytest.raises(UsageError, match=text):
        fresh("dcgan").generate([1, 2], classes)


def test_a_model_without_labels_says_so():
    spec = DataSpec((1, 28, 28), 0, (), 10)
    method = testing.small_recipe("dcgan", "digits", labels="none").method(spec)
    with pytest.raises(UsageError, match="knows no classes"):
        Model(method, method.exports, spec, {}).generate([1], 0)


@pytest.mark.parametrize("seeds", [[], [-1], [2**63], [1.5], ["a"]])
def test_seeds_that_are_none_are_refused(seeds):
    with pytest.raises(UsageError, match="seeds are whole numbers"):
        fresh("dcgan").generate(seeds)


def test_another_output_is_refused():
    with pytest.raises(UsageError, match="output must be 'pil' or 'tensor'; got 'numpy'"):
        fresh("dcgan").generate([1], output="numpy")


def test_outputs_are_tensors_in_range_or_pictures():
    model = fresh("r3gan", (3, 16, 24))
    for parameter in model.networks["generator"].parameters():
        parameter.mul_(3)  # this generator has no tanh: values leave the range
    x = model.generate([0, 1, 2], output="tensor")
    assert x.shape == (3, 3, 16, 24) and x.dtype == torch.float32 and x.abs().max() == 1 and not x.requires_grad
    pictures = model.generate([0, 1, 2])
    assert [p.size for p in pictures] == [(24, 16)] * 3 and pictures[0].mode == "RGB"
    assert fresh("dcgan", (1, 28, 28)).generate([5])[0].mode == "L"


def test_it_loads_from_the_run_from_best_and_from_a_copy(run, copy):
    images = [ganforge.load(place).generate([4, 5], output="tensor") for place in (run, run / "best", copy, str(copy))]
    assert all(torch.equal(image, images[0]) for image in images)


def test_the_loaded_model_is_the_average_of_the_last_checkpoint(run):
    from ganforge.core import checkpoint

    tensors, _ = checkpoint.read(run)
    for key, value in ganforge.load(run).networks["generator"].state_dict().items():
        assert torch.equal(value, tensors[f"average/generator/{key}"])


def test_loading_leaves_the_global_random_state_alone(copy):
    state = torch.get_rng_state()
    ganforge.load(copy)
    assert torch.equal(torch.get_rng_state(), state)


def edit(folder, **changes):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))


BROKEN = {
    "no folder": lambda f: shutil.rmtree(f),
    "no config": lambda f: (f / "config.json").unlink(),
    "no weights": lambda f: (f / "model.safetensors").unlink(),
    "weights are a folder": lambda f: ((f / "model.safetensors").unlink(), (f / "model.safetensors").mkdir()),
    "config cut": lambda f: (f / "config.json").write_text((f / "config.json").read_text()[:100]),
    "config binary": lambda f: (f / "config.json").write_bytes(b"\xff\xfe\x00"),
    "config a list": lambda f: (f / "config.json").write_text("[]"),
    "config a number": lambda f: (f / "config.json").write_text("7"),
    "config empty": lambda f: (f / "config.json").write_text("{}"),
    "weights cut": lambda f: (f / "model.safetensors").write_bytes((f / "model.safetensors").read_bytes()[:-50]),
    "weights text": lambda f: (f / "model.safetensors").write_text("hello"),
    "weights empty": lambda f: (f / "model.safetensors").write_bytes(b""),
    "weights pickled": lambda f: torch.save({"a": torch.ones(1)}, f / "model.safetensors"),
    "weights of nothing": lambda f: save_file({}, f / "model.safetensors"),
    "newer": lambda f: edit(f, format=models.FORMAT + 1),
    "format a word": lambda f: edit(f, format="one"),
    "shape of words": lambda f: edit(f, spec={"shape": ["a", "b"], "classes": 0, "names": [], "count": 1}),
    "shape too short": lambda f: edit(f, spec={"shape": [1], "classes": 0, "names": [], "count": 1}),
    "shape too big": lambda f: edit(f, spec={"shape": [1, 4096, 4096], "classes": 0, "names": [], "count": 1}),
    "classes negative": lambda f: edit(f, spec={"shape": [1, 8, 8], "classes": -3, "names": [], "count": 1}),
    "no spec": lambda f: edit(f, spec=None),
    "other sizes": lambda f: edit(f, spec={"shape": [3, 8, 8], "classes": 10, "names": list("0123456789"), "count": 1}),
    "no such recipe": lambda f: edit(f, recipe="nothing"),
    "recipe a number": lambda f: edit(f, recipe=3),
    "fields a list": lambda f: edit(f, fields=[1]),
    "unknown field": lambda f: edit(f, fields={"surprise": 1}),
    "field of a wrong kind": lambda f: edit(f, fields={"data": {"path": "digits"}, "width": [1]}),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_damaged_missing_and_foreign_files_are_refused_in_words(copy, fault):
    BROKEN[fault](copy)
    with pytest.raises((CheckpointError, UsageError)) as caught:
        ganforge.load(copy)
    assert len(str(caught.value)) < 2000


def test_a_file_instead_of_a_folder_is_refused_in_words(copy):
    with pytest.raises(CheckpointError, match="holds no model"):
        ganforge.load(copy / "model.safetensors")


def test_weights_that_are_not_the_configs_are_refused(copy):
    content = bytearray((copy / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (copy / "model.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match="is not what its config.json describes"):
        ganforge.load(copy)


def test_weights_without_one_tensor_are_refused_by_its_name(copy):
    weights = load_file(copy / "model.safetensors")
    gone = sorted(weights)[0]
    save_file({key: value for key, value in weights.items() if key != gone}, copy / "model.safetensors")
    edit(copy, sha256=hashlib.sha256((copy / "model.safetensors").read_bytes()).hexdigest())
    with pytest.raises(CheckpointError, match="(?s)do not fit.*" + gone.removeprefix("generator.")):
        ganforge.load(copy)


@pytest.mark.parametrize("where", ["recipe", "loss", "penalty", "networks"])
def test_a_model_that_names_a_users_file_runs_nothing_of_it(copy, tmp_path, where):
    canary, code = tmp_path / "canary", tmp_path / "evil.py"
    code.write_text(f"open({str(canary)!r}, 'w')\nfrom ganforge.losses import hinge as x\nfrom ganforge.recipes import DCGAN\n")
    fields = json.loads((copy / "config.json").read_text())["fields"]
    if where == "recipe":
        edit(copy, recipe=f"{code}:DCGAN")
    else:
        edit(copy, fields=fields | {where: [f"{code}:x"] if where == "penalty" else f"{code}:x"})
    with pytest.raises(UsageError, match="which is not run unless you say so.*--code"):
        ganforge.load(copy)
    assert not canary.exists()
    if where == "loss":
        assert ganforge.load(copy, code=[str(code)]) and canary.exists()


def test_a_png_says_that_it_is_generated_from_which_seed_and_by_which_weights(tmp_path):
    from PIL import Image

    model = fresh("dcgan")
    path = tmp_path / "x.png"
    model.generate([42], "bee")[0].save(path, pnginfo=marked(model, 42, "bee"))
    text = Image.open(path).text
    facts = json.loads(text["ganforge"])
    assert facts == {"seed": 42, "class": "bee", "recipe": "dcgan", "model_sha256": "ab" * 32}
    assert text["DigitalSourceType"].endswith("trainedAlgorithmicMedia") and ganforge.__version__ in text["Software"]


def test_the_config_names_its_weights_by_their_sha256(run):
    import hashlib

    config = json.loads((run / "best" / "config.json").read_text())
    assert config["sha256"] == hashlib.sha256((run / "best" / "model.safetensors").read_bytes()).hexdigest()


def test_writing_a_model_is_all_or_nothing(tmp_path, run, monkeypatch):
    """A crash between the files leaves each of them whole."""
    import os

    saved = json.loads((run / "recipe.json").read_text())
    method, _ = models.build(saved)
    models.write(tmp_path / "m", saved, method.exports, "card", {})
    before = {p.name: p.read_bytes() for p in (tmp_path / "m").iterdir()}
    torch.nn.init.ones_(next(method.exports["generator"].parameters()))
    monkeypatch.setattr(os, "replace", lambda a, b: (_ for _ in ()).throw(OSError("no")))
    with pytest.raises(OSError, match="no"):
        models.write(tmp_path / "m", saved, method.exports, "card", {})
    assert {p.name: p.read_bytes() for p in (tmp_path / "m").iterdir()} == before


def test_the_recipe_of_a_model_can_be_rebuilt(copy):
    model = ganforge.load(copy)
    recipe = recipes_json.rebuild(recipes.find(model.facts["recipe"]), model.facts["fields"])
    assert recipe.width == 8 and recipe.run.examples == 32


def test_a_model_that_is_not_there_is_told_as_such(tmp_path):
    with pytest.raises(CheckpointError, match="nix does not exist. Those that do: gan list runs"):
        ganforge.load(tmp_path / "nix")
