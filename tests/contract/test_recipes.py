"""What every recipe promises: the contract checks, also with one's own parts in place of ours."""

import json

import pytest

import ganforge
from ganforge import recipes, testing
from ganforge.core import machine
from ganforge.core import recipe as recipes_json
from ganforge.core.errors import UsageError
from ganforge.core.ref import resolve

from .toys import data_for

NAMES = list(recipes.NAMES)
SMALL = {"r3gan": {"blocks": 1, "expansion": 1}}
SMALL |= {name: {"blocks": 1, "expansion": 1} for name in NAMES if name.startswith("r3gan-")}
SMALL["restore"] = {"task": "denoise", "blocks": 1, "crop": 32}
SMALL |= {"pix2pix": {"depth": 1, "blocks": 1, "size": 16}}
SMALL |= {name: {"blocks": 1, "size": 16} for name in ("cyclegan", "cut", "fastcut")}
TINY = {"width": 8, "d_width": 8, "z": 8, "examples": 48, "batch": 16, "precision": "fp32", "layout": "contiguous", "threads": 1}

OWN = '''
"""A user's own loss, penalty, networks and recipe."""
from dataclasses import dataclass
from ganforge.losses import Pair
from ganforge.networks.image import Networks, dcgan
from ganforge.recipes.base import TwoPlayerRecipe

wiggle = Pair(lambda r, f: f.tanh() - r.tanh(), lambda f, r=None: -f.tanh())

def shy(critic, real, fake):
    return critic(real) ** 2

pair = Networks(lambda *a, **k: dcgan.generator(*a, **k), dcgan.discriminator)

@dataclass(frozen=True, kw_only=True)
class Mine(TwoPlayerRecipe):
    """My own."""
    extra: float = 0.5
    """An option of my own."""
'''


@pytest.fixture(autouse=True)
def _no_measuring(monkeypatch):
    """What is measured has its own tests; here it would only cost a second a run."""
    monkeypatch.setattr(machine, "speed", lambda *a, **k: 1000.0)


@pytest.fixture
def own(tmp_path):
    path = tmp_path / "my parts.py"
    path.write_text(OWN)
    return path


@pytest.mark.parametrize("name", NAMES)
def test_every_recipe_keeps_the_contract(name, tmp_path):
    path = data_for(recipes.find(name), tmp_path / "data")
    testing.check_recipe(name, tmp_path, path, **SMALL.get(name, {}))


@pytest.mark.parametrize("name", ["gan", "sngan", "biggan", "r3gan", "r3gan-cifar10"])
def test_recipes_keep_the_contract_without_classes(name, tmp_path):
    testing.check_recipe(name, tmp_path, labels="none", **SMALL.get(name, {}))


def test_a_packing_recipe_keeps_the_contract(tmp_path):
    testing.check_recipe("dcgan", tmp_path, labels="none", pack=2)


@pytest.mark.parametrize("name", ["restore", "pix2pix"])
def test_recipes_keep_the_contract_with_a_unet_for_a_critic(name, tmp_path):
    path = data_for(recipes.find(name), tmp_path / "data")
    testing.check_recipe(name, tmp_path, path, **SMALL[name], critic="unet")


def test_ones_own_recipe_keeps_the_contract(own, tmp_path):
    testing.check_recipe(f"{own}:Mine", tmp_path)
    assert resolve(f"{own}:Mine", recipes, type).__name__ == "Mine"


@pytest.mark.parametrize("option", ["loss", "penalty", "networks"])
def test_ones_own_parts_keep_the_contract(option, own, tmp_path):
    value = {"loss": f"{own}:wiggle", "penalty": [f"{own}:shy"], "networks": f"{own}:pair"}[option]
    recipe = testing.small_recipe("dcgan", "digits", **{option: value})
    again = recipes_json.rebuild(type(recipe), recipes_json.describe(recipe), [str(own)])
    assert again == recipe
    testing.check_resume(lambda: recipe.method(recipe.dataset().spec), recipe.dataset(), recipe.run, tmp_path)


def test_own_parts_train_and_load_only_with_code(own, tmp_path):
    out = tmp_path / "run"
    run = ganforge.train("digits", recipe=f"{own}:Mine", loss=f"{own}:wiggle", penalty=[f"{own}:shy"], out=str(out), **TINY)
    fields = json.loads((out / "recipe.json").read_text())
    assert fields["recipe"] == f"{own.name}:Mine" and fields["fields"]["loss"] == f"{own.name}:wiggle"
    with pytest.raises(UsageError, match="--code"):
        ganforge.load(run.folder)
    assert ganforge.load(run.folder, code=[str(own)]).generate([1], output="tensor").shape == (1, 1, 8, 8)
    with pytest.raises(UsageError, match="--code"):
        ganforge.resume(out)
    assert ganforge.resume(out, code=[str(own)]).finished
