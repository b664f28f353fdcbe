"""Recipes as objects: every size and colour, classes that reach the networks, names, headings, refusals."""

import pytest
import torch

from ganforge import recipes
from ganforge.core import recipe as recipes_json
from ganforge.core.errors import UsageError
from ganforge.core.method import Progress
from ganforge.data.images import Images
from ganforge.data.spec import DataSpec
from ganforge.losses import per_example
from tests.contract.toys import draws

NAMES = list(recipes.NAMES)
NEED_LABELS = ["cgan", "acgan", "cogan", "semi-supervised"]
UNCONDITIONAL = [name for name in NAMES if name not in NEED_LABELS and draws(recipes.find(name))]
CONDITIONAL = [name for name in UNCONDITIONAL if name != "infogan"]
"""infogan's y is a code of its own, which no discriminator is told."""


def method_of(name, spec, **options):
    recipe = recipes.find(name)(data=Images(path="digits"))
    if hasattr(recipe, "plan"):
        recipe, _ = recipe.plan(spec, lambda candidate: 100.0)
    return recipes_json.override(recipe, {"width": 8, "d_width": 8, "z": 8, **options}).method(spec)


def judged(method, x, y):
    """Logits of examples; a discriminator of pairs sees them with their own codes."""
    return method.joint(x, method.encoder(x, y), y) if hasattr(method, "joint") else method.discriminator(x, y)


@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32)])
@pytest.mark.parametrize("name", UNCONDITIONAL)
def test_every_recipe_builds_grey_and_colour_with_and_without_classes(name, shape, classes):
    method = method_of(name, DataSpec(shape, classes, tuple("abc"[:classes]), 100))
    y = torch.tensor([0, 1, 2, 0]) if classes else None
    x = method.generator(method.latent(4), y)
    assert x.shape == (4, *shape) and torch.isfinite(x).all()
    assert per_example(judged(method, x, y)).shape == (4,)


@pytest.mark.parametrize("name", CONDITIONAL)
def test_the_class_reaches_both_networks(name):
    method = method_of(name, DataSpec((1, 28, 28), 2, ("a", "b"), 100)).eval()
    with torch.no_grad():  # class-conditional norms and zeroed last layers start equal for all classes
        for parameter in method.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    z, x = torch.randn(2, 8), torch.randn(2, 1, 28, 28)
    zero, one = (torch.full((2,), c) for c in (0, 1))
    assert not torch.equal(method.generator(z, zero), method.generator(z, one))
    assert not torch.equal(judged(method, x, zero), judged(method, x, one))


@pytest.mark.parametrize("name", NEED_LABELS)
def test_a_recipe_that_needs_labels_says_what_to_do_without(name):
    with pytest.raises(UsageError, match=f"{name} needs .*(labels|classes|class of the data).*sub-folder"):
        method_of(name, DataSpec((1, 28, 28), 0, (), 100))


def test_every_recipe_has_a_heading_with_its_paper():
    headings = recipes.headings()
    assert list(headings) == NAMES
    for name, heading in headings.items():
        assert name == "auto" or "arXiv:" in heading


def test_names_and_classes_lead_to_each_other():
    assert [recipes.name_of(recipes.find(name)) for name in NAMES] == NAMES
    assert recipes.WGANGP is recipes.find("WGAN_GP")
    with pytest.raises(AttributeError, match="no attribute 'Nope'"):
        recipes.Nope  # noqa: B018


def test_an_unknown_recipe_gets_the_nearest_name():
    with pytest.raises(UsageError, match=r"'dcgann' is not a recipe. Did you mean 'dcgan'\? .*shows all"):
        recipes.find("dcgann")


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [
        ("dcgan", "width", 0),
        ("dcgan", "z", 0),
        ("dcgan", "critic_steps", 0),
        ("dcgan", "penalty_every", 0),
        ("dcgan", "penalty_share", 0.0),
        ("dcgan", "pack", 0),
        ("dcgan", "lr", float("nan")),
        ("dcgan", "d_lr", -1.0),
        ("dcgan", "optimizer", "Adm"),
        ("dcgan", "condition", "nothing"),
        ("dcgan", "d_condition", "nothing"),
        ("dcgan", "d_width", -5),
        ("dcgan", "beta1", 2.0),
        ("dcgan", "beta2_end", 3.0),
        ("dcgan", "lr", float("inf")),
        ("dcgan", "lr_end", -1.0),
        ("dcgan", "clip", -1.0),
        ("dcgan", "label_smoothing", 0.7),
        ("dcgan", "label_smoothing", -0.1),
        ("dcgan", "penalty_share", 3.0),
        ("dcgan", "penalty_end", -1.0),
        ("dcgan", "penalty_weight", float("nan")),
        ("r3gan", "blocks", 0),
        ("r3gan", "expansion", 0),
        ("r3gan", "group", -4),
    ],
)
def test_values_that_cannot_be_are_refused_in_words_that_name_the_option(name, option, value):
    words = f"(?i){option.replace('_', '.')}|is not in torch.optim|takes its class"
    with pytest.raises(UsageError, match=words):
        method_of(name, DataSpec((1, 8, 8), 3, ("a", "b", "c"), 100), **{"penalty": ["r1"], option: value})


IDLE = {
    "r3gan": ({"networks": "dcgan", "blocks": 3}, "--blocks needs --networks r3"),
    "r3gan-cifar10": ({"networks": "dcgan", "expansion": 4}, "--expansion needs --networks r3"),
    "auto": ({"networks": "dcgan", "expansion": 2}, "--expansion needs --networks r3"),
    "stylegan2": ({"networks": "dcgan", "path_weight": 0.0, "mixing": 0.5}, "--mixing needs --networks stylegan2"),
    "dcgan": ({"penalty_weight": 5.0}, "--penalty-weight needs a penalty"),
    "wgan-gp": ({"penalty": [], "penalty_every": 4}, "--penalty-every needs a penalty"),
    "wgan": ({"beta1": 0.9}, "--beta1 needs an optimiser that has it"),
    "began": ({"optimizer": "RMSprop", "beta2": 0.9}, "--beta2 needs an optimiser that has it"),
    "lsgan": ({"label_dropout": 0.1}, "--label-dropout needs labels"),
}


@pytest.mark.parametrize("name", IDLE)
def test_options_that_nothing_would_look_at_are_refused(name):
    options, says = IDLE[name]
    with pytest.raises(UsageError, match=says):
        method_of(name, DataSpec((1, 16, 16), 0, (), 100), **options)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("auto", {"networks": "dcgan"}),
        ("auto", {"penalty": []}),
        ("r3gan", {"networks": "dcgan"}),
        ("stylegan2", {"networks": "dcgan", "path_weight": 0.0}),
        ("stylegan2", {"penalty": []}),
        ("wgan-gp", {"penalty": []}),
        ("dcgan", {"optimizer": "RMSprop"}),
    ],
)
def test_defaults_that_nothing_looks_at_are_not(name, options):
    assert method_of(name, DataSpec((1, 16, 16), 0, (), 100), **options).players


def test_hidden_classes_have_a_class_of_their_own_in_both_networks():
    method = method_of("dcgan", DataSpec((1, 8, 8), 3, ("a", "b", "c"), 100), label_dropout=0.9)
    assert method.generator.join.embed.num_embeddings == method.discriminator.head.embed.num_embeddings == 4
    seen = []
    method.generator.register_forward_pre_hook(lambda _, given: seen.append(given[1]))
    for step in range(4):
        list(method.step({"x": torch.zeros(16, 1, 8, 8), "y": torch.arange(16) % 3}, Progress(step, 0, 8)))
    assert 0.75 < (torch.cat(seen) == 3).float().mean() < 1
