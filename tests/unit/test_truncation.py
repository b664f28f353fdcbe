"""Truncation: fewer kinds of pictures and fewer failures, in latents and in styles."""

import math

import pytest
import torch

from ganforge import testing
from ganforge.core.errors import UsageError
from ganforge.data.spec import DataSpec
from ganforge.networks.codes import Coded
from ganforge.networks.latent import Normal
from ganforge.runs import sampling
from ganforge.runs.model import Model

SPEC = DataSpec((1, 16, 16), 3, ("ant", "bee", "cat"), 100)


def fresh(name, **options):
    torch.manual_seed(0)
    method = testing.small_recipe(name, "digits", **options).method(SPEC)
    return Model(method, method.exports, SPEC, {})


@pytest.mark.parametrize("most", [0.1, 0.7, 1.5])
def test_truncated_noise_has_the_distribution_of_noise_that_lies_within(most):
    """Its variance is 1 - 2 t density(t) / (2 Phi(t) - 1); drawing again until all lies within gives the same."""
    torch.manual_seed(0)
    z = torch.randn(2000, 200)
    within = Normal(200).truncated(z, most)
    assert within.abs().max() <= most and within.mean().abs() < 0.01
    density, inside = math.exp(-(most**2) / 2) / math.sqrt(2 * math.pi), math.erf(most / math.sqrt(2))
    assert within.var().item() == pytest.approx(1 - 2 * most * density / inside, rel=0.01)
    redrawn = z[z.abs() <= most]
    for share in (0.1, 0.5, 0.9):
        wanted = redrawn.sort().values[int(share * len(redrawn))]
        assert within.flatten()[:400_000].quantile(share).item() == pytest.approx(wanted.item(), abs=0.02)


def test_what_lies_within_stays_as_it_was():
    z = torch.tensor([[0.5, -2.0, 1.0, 3.0]])
    within = Normal(4).truncated(z, 1.0)
    assert torch.equal(within[0, [0, 2]], z[0, [0, 2]]) and within.abs().max() <= 1
    assert torch.equal(Normal(4).truncated(z, 4.0), z)


def test_codes_are_not_truncated():
    latent = Coded(4, "cpu", 3, 2)
    z = latent(50)
    within = latent.truncated(z, 0.2)
    assert torch.equal(within[:, 4:], z[:, 4:]) and within[:, :4].abs().max() <= 0.2 < z[:, :4].abs().max()


def test_a_seed_keeps_its_class_and_what_it_can_of_its_latent():
    model = fresh("dcgan")
    z, y = model.starts(range(40))
    within, same = model.starts(range(40), most=1.0)
    assert torch.equal(y, same) and within.abs().max() <= 1
    kept = z.abs() <= 1
    assert torch.equal(within[kept], z[kept]) and torch.equal(model.starts(range(40), most=30.0)[0], z)
    assert torch.equal(model.starts([7], most=1.0)[0], within[7:8]), "whatever is drawn beside it"


def test_models_without_styles_draw_from_truncated_latents():
    model = fresh("dcgan")
    z, y = model.starts(range(5), most=0.5)
    drawn = sampling.images(model.networks["generator"], z, y)
    assert torch.equal(model.generate(range(5), output="tensor", truncation=0.5), drawn)
    assert not torch.equal(model.generate(range(5), output="tensor"), drawn)


def test_models_with_styles_draw_towards_the_mean_style_which_is_saved():
    model = fresh("stylegan2", depth=2)
    generator = model.networks["generator"]
    assert "mean" in generator.state_dict()
    generator.mean.copy_(torch.linspace(-1, 1, 8))
    whole, half, none = (model.generate(range(4), 0, output="tensor", truncation=psi) for psi in (1.0, 0.5, 0.0))
    assert torch.equal(whole, model.generate(range(4), 0, output="tensor"))
    layers = generator.synthesis.layers
    z, y = model.starts(range(4), 0)
    between = (generator.mapping(z, y) + generator.mean) / 2
    torch.testing.assert_close(half, generator.synthesis(between[:, None].expand(-1, layers, -1)).clamp(-1, 1), rtol=1e-4, atol=1e-5)
    mean = generator.synthesis(generator.mean.expand(4, layers, -1)).clamp(-1, 1)
    torch.testing.assert_close(none, mean, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "psi", "says"),
    [
        ("stylegan2", 1.5, "from 0, the mean style, to 1.*got 1.5"),
        ("stylegan2", -0.1, "got -0.1"),
        ("stylegan2", float("nan"), "got nan"),
        ("dcgan", 0.0, "must be positive: the largest number of a latent vector.*got 0"),
        ("dcgan", -1.0, "must be positive"),
        ("dcgan", float("inf"), "must be positive"),
        ("dcgan", float("nan"), "must be positive"),
    ],
)
def test_truncations_that_make_no_sense_are_refused(name, psi, says):
    with pytest.raises(UsageError, match=says):
        fresh(name).generate([1], truncation=psi)


def test_latents_of_ones_own_cannot_be_truncated():
    model = fresh("dcgan")
    model._method.latent = lambda n: torch.ones(n, 8)
    with pytest.raises(UsageError, match="latents of its own kind"):
        model.generate([1], truncation=1.0)
