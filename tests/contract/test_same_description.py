"""Python object == command line == recipe.json, for every recipe and every option; and JSON that is not ours is refused."""

import dataclasses
import json
import typing
from types import FunctionType

import pytest

from ganforge import losses, penalties, recipes
from ganforge.cli.train import parse
from ganforge.core import recipe as recipes_json
from ganforge.core import ref
from ganforge.core.errors import CheckpointError, UsageError
from ganforge.methods import tasks
from ganforge.networks import image
from ganforge.networks.image import critics, restorers

NAMES = list(recipes.NAMES)

OTHER = {  # a legal value that is nobody's default, where the kind of the field does not give one
    "path": "elsewhere",
    "size": "96x64",
    "colour": "grey",
    "labels": "none",
    "unlabelled": "nobody",
    "fit": "pad",
    "flip": "no",
    "alpha": "black",
    "augment": "diffaugment",
    "condition": "concat",
    "d_condition": "concat",
    "window": "0,4095",
    "evaluate": "mind:random",
    "frames": "all",
    "dedup": "near",
    "optimizer": "AdamW",
    "device": "cpu",
    "precision": "bf16",
    "layout": "channels_last",
    "out": "runs/mine 2",
    "log": ("tensorboard", "wandb"),
    "examples": 640,
    "batch": 96,
    "accumulate": 4,
    "pack": 2,
    "ema": 0.125,
    "penalty_share": 0.375,
    "label_smoothing": 0.125,
    "networks": image.sngan,
    "loss": losses.least_squares,
    "penalty": (penalties.r1, penalties.lecam),
    "task": tasks.deblur,
    "network": restorers.rrdb,
    "critic": critics.unet,
    "damage": "web",
    "direction": "BtoA",
    "sigma": "5-50",
    "quality": "10-60",
    "hole": "black",
    "eyes": "vgg16",
    "load_size": 96,
}
NEEDS = {
    "label_smoothing": {"loss": losses.hinge},
    "eyes": {"perceptual_weight": 1.0},
    "sigma": {"task": tasks.denoise},
    "quality": {"task": tasks.dejpeg},
}
ALONE = {"restore": ("task", "sigma", "quality")}
"""Options of a recipe that do not go with all others."""


def start(name):
    return recipes_json.on(recipes.find(name), "digits")


def flat(recipe):
    """{option: (type hint, value)} of a recipe and what is nested in it."""
    found = {}
    hints = typing.get_type_hints(type(recipe), include_extras=True)
    for field in dataclasses.fields(recipe):
        value = getattr(recipe, field.name)
        found |= flat(value) if dataclasses.is_dataclass(value) else {field.name: (hints[field.name], value)}
    return found


def another(option, value):
    """A value of the same kind that differs from `value`."""
    if option in OTHER and (value is None or isinstance(OTHER[option], type(value))):
        return OTHER[option]
    if isinstance(value, bool):
        return not value
    assert isinstance(value, int | float), f"tell this test a value for --{option.replace('_', '-')}"
    return value + 3 if isinstance(value, int) else value / 2 + 0.0625


def words(option, value):
    """The option as it is typed."""
    flag = "--" + option.replace("_", "-")
    if isinstance(value, bool):
        return [flag if value else flag.replace("--", "--no-")]
    if isinstance(value, image.Networks):
        return [flag, ref.name(value, image)]
    for kind, home in ((losses.Pair, losses), (tasks.Task, tasks), (restorers.Restorer, restorers), (critics.Critic, critics)):
        if isinstance(value, kind):
            return [flag, ref.name(value, home)]
    if isinstance(value, tuple):
        return [flag, *(v.__name__ if isinstance(v, FunctionType) else str(v) for v in value)]
    return [flag, str(value)]


def via_json(recipe):
    return recipes_json.rebuild(type(recipe), json.loads(json.dumps(recipes_json.describe(recipe))))


@pytest.mark.parametrize("name", NAMES)
def test_defaults_are_the_same_from_python_the_command_line_and_json(name):
    recipe = start(name)
    assert parse(name, "digits", []) == recipe == via_json(recipe)


@pytest.mark.parametrize("option", sorted({o for name in NAMES for o in flat(start(name))}))
def test_every_option_means_the_same_in_python_on_the_command_line_and_in_json(option):
    having = [name for name in NAMES if option in flat(start(name))]
    some = [name for name in ("dcgan", "auto") if name in having] or having[:1]
    for name in having if option in ("loss", "penalty", "networks", "lr", "z") else some:
        base = recipes_json.override(start(name), NEEDS.get(option, {}))
        value = another(option, flat(base)[option][1])
        python = recipes_json.override(base, {option: value})
        assert flat(python)[option][1] == value
        typed = [word for key, v in NEEDS.get(option, {}).items() for word in words(key, v)] + words(option, value)
        assert parse(name, "digits", typed) == python, f"{name} {typed}"
        assert via_json(python) == python


@pytest.mark.parametrize("name", NAMES)
def test_all_options_together_mean_the_same(name):
    base = start(name)
    changes = {option: another(option, value) for option, (_, value) in flat(base).items() if option not in ALONE.get(name, ())}
    python = recipes_json.override(base, changes)
    typed = [word for option, value in changes.items() for word in words(option, value)]
    assert parse(name, "digits", typed) == python == via_json(python)
    assert all(flat(python)[option][1] == value for option, value in changes.items())


def test_names_and_objects_are_the_same_in_python():
    named = recipes_json.override(start("dcgan"), {"loss": "hinge", "penalty": ["r1", "lecam"], "networks": "sngan"})
    objects = recipes_json.override(
        start("dcgan"), {"loss": losses.hinge, "penalty": (penalties.r1, penalties.lecam), "networks": image.sngan}
    )
    assert named == objects


def test_an_option_can_be_emptied_on_the_command_line():
    assert parse("wgan-gp", "digits", ["--penalty"]).penalty == () == recipes_json.override(start("wgan-gp"), {"penalty": ()}).penalty


def test_underscores_and_equals_signs_work_too():
    assert parse("dcgan", "digits", ["--d_width=16", "--lr=1e-3"]) == recipes_json.override(start("dcgan"), {"d_width": 16, "lr": 1e-3})


def test_whole_numbers_stand_for_floats_everywhere():
    wanted = recipes_json.override(start("dcgan"), {"minutes": 5.0})
    assert recipes_json.override(start("dcgan"), {"minutes": 5}) == parse("dcgan", "digits", ["--minutes", "5"]) == wanted
    assert isinstance(recipes_json.override(start("dcgan"), {"minutes": 5}).run.minutes, float)


def test_unknown_fields_in_json_are_refused_at_every_depth():
    for path in ((), ("data",), ("run",)):
        fields = recipes_json.describe(start("dcgan"))
        inner = fields
        for key in path:
            inner = inner[key]
        inner["surprise"] = 1
        with pytest.raises(CheckpointError, match="has no surprise; was this saved by another version"):
            recipes_json.rebuild(recipes.DCGAN, fields)


def test_missing_fields_in_json_take_todays_defaults():
    fields = recipes_json.describe(start("dcgan"))
    del fields["lr"], fields["run"]["ema"], fields["data"]["fit"]
    assert recipes_json.rebuild(recipes.DCGAN, fields) == start("dcgan")


def test_unknown_keywords_get_the_nearest_option():
    with pytest.raises(UsageError, match="DCGAN has no option 'widht'. Did you mean 'width'"):
        recipes_json.override(start("dcgan"), {"widht": 1})


@pytest.mark.parametrize(
    "change",
    [
        {"width": "8"},
        {"minutes": "ten"},
        {"batch": 1.5},
        {"width": True},
        {"examples": True},
        {"examples": "ten"},
        {"compile": 1},
        {"penalty": 5},
        {"loss": 3},
    ],
)
def test_values_of_a_wrong_kind_are_refused_by_name(change):
    (option,) = change
    with pytest.raises(UsageError, match=option):
        recipes_json.override(start("dcgan"), change)


def test_values_of_a_wrong_kind_in_json_are_refused_by_name():
    fields = recipes_json.describe(start("dcgan")) | {"width": "wide"}
    with pytest.raises((UsageError, CheckpointError), match="width"):
        recipes_json.rebuild(recipes.DCGAN, fields)


CANARY = "open({!r}, 'w')\nfrom ganforge.losses import hinge as mine\nfrom ganforge.recipes import DCGAN as Mine\n"


@pytest.mark.parametrize("field", ["loss", "networks", "penalty"])
def test_a_users_file_named_in_json_is_not_run_without_leave(field, tmp_path):
    canary, code = tmp_path / "canary", tmp_path / "own.py"
    code.write_text(CANARY.format(str(canary)))
    fields = recipes_json.describe(start("dcgan"))
    fields[field] = [f"{code}:mine"] if field == "penalty" else f"{code}:mine"
    with pytest.raises(UsageError, match="code of its own, .*own.py, which is not run unless.*--code .*own.py"):
        recipes_json.rebuild(recipes.DCGAN, fields)
    with pytest.raises(UsageError, match="--code"):
        recipes_json.rebuild(recipes.DCGAN, fields, [str(tmp_path / "other.py")])
    assert not canary.exists()


def test_a_users_recipe_named_in_json_is_not_run_without_leave(tmp_path):
    canary, code = tmp_path / "canary", tmp_path / "own.py"
    code.write_text(CANARY.format(str(canary)))
    with pytest.raises(UsageError, match="--code"):
        recipes.find(f"{code}:Mine", ())
    assert not canary.exists()
    assert recipes.find(f"{code}:Mine", [str(code)]) is recipes.DCGAN
    assert canary.exists()


def test_a_users_file_is_run_with_leave(tmp_path):
    canary, code = tmp_path / "canary", tmp_path / "own.py"
    code.write_text(CANARY.format(str(canary)))
    fields = recipes_json.describe(start("dcgan")) | {"loss": f"{code}:mine"}
    assert recipes_json.rebuild(recipes.DCGAN, fields, [str(code)]).loss is losses.hinge
    assert canary.exists()


@pytest.mark.parametrize("name", ["os:system", "builtins.eval", "../losses.py:hinge", "__builtins__", "_pair", "Pair"])
def test_names_in_json_reach_nothing_but_the_public_names_of_their_home(name):
    fields = recipes_json.describe(start("dcgan")) | {"loss": name}
    with pytest.raises(UsageError):
        recipes_json.rebuild(recipes.DCGAN, fields)
