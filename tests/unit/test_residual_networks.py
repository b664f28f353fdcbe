"""Residual networks with attention: what attention computes and where it sits, latents in pieces, published sizes."""

import pytest
import torch
from torch import nn

from ganforge import recipes
from ganforge.constraints import spectral_norm
from ganforge.core.method import Progress
from ganforge.data.images import Images
from ganforge.data.spec import DataSpec
from ganforge.networks import image
from ganforge.networks.conditioning import VectorNorm
from ganforge.networks.image.grid import grid
from ganforge.networks.image.residual import SelfAttention, attention_place


def count(network):
    return sum(p.numel() for p in network.parameters())


def test_parameters_of_the_conditional_networks_are_the_published_ones():
    cifar = {"shape": (3, 32, 32), "classes": 10}
    with torch.device("meta"):
        assert count(image.sngan.generator(z=128, **cifar)) == 4_304_387
        assert count(image.sngan.discriminator(**cifar)) == 1_055_105
        assert count(image.sagan.generator(z=128, **cifar)) == 4_386_308
        assert count(image.sagan.discriminator(**cifar)) == 1_075_586
        assert count(image.biggan.generator(z=80, **cifar)) == 9_416_196
        assert count(image.biggan.discriminator(**cifar)) == 2_415_170
        assert count(image.biggan.generator((3, 128, 128), 120, classes=1000)) == 70_433_988
        assert count(image.biggan.discriminator((3, 128, 128), classes=1000)) == 87_982_370


@pytest.mark.parametrize(
    ("name", "shape", "classes", "millions"),
    [
        ("r3gan-cifar10", (3, 32, 32), 10, (20.8, 21.3)),
        ("r3gan-ffhq64", (3, 64, 64), 0, (22.4, 22.4)),
        ("r3gan-ffhq256", (3, 256, 256), 0, (23.06, 23.01)),
        ("r3gan-imagenet32", (3, 32, 32), 1000, (83, 87)),
        ("r3gan-imagenet64", (3, 64, 64), 1000, (104, 107)),
    ],
)
def test_the_sizes_of_r3gan_are_the_published_ones(name, shape, classes, millions):
    recipe = recipes.find(name)(data=Images(path="digits"))
    pair = recipe.pair(DataSpec(shape, classes, ("",) * classes, 100))
    with torch.device("meta"):
        generator = pair.generator(shape, recipe.z, recipe.width, classes, recipe.condition)
        discriminator = pair.discriminator(shape, recipe.width, classes, recipe.d_condition)
    assert (count(generator) / 1e6, count(discriminator) / 1e6) == pytest.approx(millions, rel=0.006)


def test_attention_is_the_identity_at_the_start_and_a_weighted_mean_of_values_later():
    attention, x = SelfAttention(8), torch.randn(2, 8, 6, 4)
    assert torch.equal(attention(x), x)
    for layer in (attention.query, attention.key):
        nn.init.zeros_(layer.weight)  # all places look alike, so everyone sees the mean of what is pooled
    nn.init.ones_(attention.gain)
    pooled = nn.functional.max_pool2d(attention.value(x), 2).mean((2, 3), keepdim=True)
    torch.testing.assert_close(attention(x), x + attention.out(pooled.expand(-1, -1, 6, 4)))


def test_attention_finds_the_place_it_looks_for():
    attention = SelfAttention(8)
    x = torch.zeros(1, 8, 8, 8)
    x[0, 1, 6, 2] = 1  # the only place with a key; its value is 1, too
    with torch.no_grad():
        for weight in (attention.query.weight, attention.key.weight, attention.value.weight, attention.out.weight):
            weight.zero_()
        attention.key.weight[0, 1], attention.value.weight[0, 1], attention.out.weight[3, 0], attention.gain[...] = 1, 1, 1, 1
        x[0, 0, 0, 0], attention.query.weight[0, 0] = 1, 50.0  # and only this place asks
    seen = attention(x) - x
    assert seen[0, 3, 0, 0].item() == pytest.approx(1) and seen[0, 3, 5, 5].item() == pytest.approx(1 / 16)


def test_attention_takes_odd_sizes():
    assert SelfAttention(4)(torch.randn(1, 4, 5, 7)).shape == (1, 4, 5, 7)


@pytest.mark.parametrize(
    ("size", "pixels", "side"),
    [((32, 32), 1024, 16), ((28, 28), 1024, 14), ((8, 8), 1024, 4), ((64, 64), 1024, 32), ((128, 128), 1024, 32), ((128, 128), 4096, 64)],
)
def test_attention_sits_below_the_image_where_it_can_be_paid_for(size, pixels, side):
    place = attention_place(grid(*size), pixels)
    assert grid(*size).height << place == side


@pytest.mark.parametrize("name", ["sagan", "biggan"])
@pytest.mark.parametrize("side", [8, 28, 32, 64])
def test_both_networks_attend_at_the_same_size(name, side):
    seen, pair = [], getattr(image, name)
    networks = [pair.generator((1, side, side), 16, 8), pair.discriminator((1, side, side), 8)]
    for network in networks:
        (attention,) = (module for module in network.modules() if isinstance(module, SelfAttention))
        attention.register_forward_hook(lambda _, given, out: seen.append(out.shape[2:]))
    networks[1](networks[0](torch.randn(2, 16)))
    assert seen[0] == seen[1]


def test_every_piece_of_the_latent_steers_its_own_block():
    torch.manual_seed(0)
    network = image.biggan.generator((1, 28, 28), 17, 8, 3).eval()
    assert network.pieces == [7, 5, 5]
    z, y = torch.randn(1, 17), torch.tensor([1])
    plain = network(z, y)
    for start in (0, 7, 12):
        moved = z.clone()
        moved[:, start] += 1
        assert not torch.allclose(network(moved, y), plain)
    assert not torch.allclose(network(z, torch.tensor([2])), plain)


def test_a_latent_too_short_to_be_cut_is_refused():
    with pytest.raises(ValueError, match="cuts z into 4 pieces.*got 3"):
        image.biggan.generator((3, 32, 32), 3)


def test_a_vector_of_zeros_leaves_batch_norm_plain():
    x = torch.randn(4, 3, 5, 5)
    torch.testing.assert_close(VectorNorm(3, 2)(x, torch.zeros(4, 2)), nn.BatchNorm2d(3)(x))


def test_spectral_norm_can_leave_embeddings_alone():
    network = spectral_norm(nn.ModuleList([nn.Linear(2, 2), nn.Embedding(2, 2)]), embeddings=False)
    assert [hasattr(layer, "parametrizations") for layer in network] == [True, False]


def test_spectral_norm_is_on_every_layer_of_the_generators_but_embeddings():
    for network in (image.sagan.generator((1, 8, 8), 8, 16, 3), image.biggan.generator((1, 8, 8), 8, 4, 3)):
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                assert hasattr(module, "parametrizations")
            assert not (isinstance(module, nn.Embedding) and hasattr(module, "parametrizations"))


def test_layers_of_biggan_start_orthogonal():
    stem = image.biggan.generator((1, 8, 8), 8, 4).stem.parametrizations.weight.original
    torch.testing.assert_close(stem.T @ stem, torch.eye(stem.shape[1]), atol=1e-5, rtol=0)


def test_the_discriminator_has_a_learning_rate_of_its_own_where_one_is_given():
    def rates(recipe, fraction):
        method = recipe.method(DataSpec((1, 8, 8), 0, (), 100))
        return [player.schedule(Progress(1, int(100 * fraction), 100))["lr"] for player in (method.g, method.d)]

    sagan = recipes.SAGAN(data=Images(path="digits"), width=16, d_width=8, lr_end=0.5)
    assert rates(sagan, 0) == pytest.approx([1e-4, 4e-4]) and rates(sagan, 1) == pytest.approx([5e-5, 2e-4])
    dcgan = recipes.DCGAN(data=Images(path="digits"), width=8)
    assert rates(dcgan, 0) == pytest.approx([2e-4, 2e-4])
