"""Networks: every size and way of conditioning, published parameter counts, and starts that do not explode."""

import itertools
import math

import pytest
import torch

from ganforge.constraints import spectral_norm, weight_clipping
from ganforge.core import ref
from ganforge.losses import per_example
from ganforge.networks import image
from ganforge.networks.image.equalised import BatchNearness
from ganforge.networks.image.grid import grid

ALL = ref.names(image, image.Networks)
SMALL = {"mlp": 16, "r3": 4, "sngan": 16, "biggan": 2}


def build(name, shape, classes=0, ways=("concat", "projection")):
    pair, width = getattr(image, name), SMALL.get(name, 8)
    return pair.generator(shape, 8, width, classes, ways[0]), pair.discriminator(shape, width, classes, ways[1])


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 12, 20), (1, 28, 28), (3, 32, 32), (4, 36, 64), (2, 64, 28), (3, 100, 40)])
def test_any_channels_and_any_size_that_is_a_multiple_of_four(name, shape):
    g, d = build(name, shape)
    x = g(torch.randn(3, 8), None)
    assert x.shape == (3, *shape) and per_example(d(x, None)).shape == (3,)


@pytest.mark.parametrize("name", ["dcgan", "r3", "sngan", "sagan", "biggan", "progan", "stylegan2", "fastgan"])
@pytest.mark.parametrize("shape", [(1, 1024, 1024), (3, 8, 1024), (1, 1000, 8)])
def test_the_extreme_sizes_work(name, shape):
    pair = getattr(image, name)
    g, d = pair.generator(shape, 9, 1), pair.discriminator(shape, 1)
    with torch.no_grad():
        x = g.eval()(torch.randn(1, 9), None)
        assert x.shape == (1, *shape) and torch.isfinite(d(x, None)).all()


@pytest.mark.parametrize("side", [10, 4, 1028])
def test_other_sizes_are_refused_with_the_nearest_legal_one(side):
    with pytest.raises(ValueError, match="multiples of 4 from 8 to 1024.*Nearest"):
        grid(side, 32)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("ways", list(itertools.product(("concat", "norm"), ("concat", "projection"))))
def test_ways_of_conditioning_are_interchangeable_and_reach_the_output(name, ways):
    if name in ("r3", "progan", "stylegan2", "elu") and ways[0] == "norm":
        with pytest.raises(ValueError, match=f"{name}.Generator takes its class by concat"):
            build(name, (1, 16, 16), 3, ways)
        return
    g, d = build(name, (1, 16, 16), 3, ways)
    for module in [*g.modules(), *d.modules()]:  # blocks and embeddings that start neutral: wake them up
        for key, parameter in module.named_parameters(recurse=False):
            if "original" not in key and (parameter == 0).all() or isinstance(module, torch.nn.Embedding):
                torch.nn.init.normal_(parameter)
    g.eval(), d.eval()
    z, x = torch.randn(1, 8).repeat(3, 1), torch.randn(1, 1, 16, 16).repeat(3, 1, 1, 1)
    y = torch.tensor([0, 1, 1])
    fakes, logits = g(z, y), per_example(d(x, y))
    assert not torch.allclose(fakes[0], fakes[1]) and torch.allclose(fakes[1], fakes[2], atol=1e-5)
    assert logits[0] != logits[1] and torch.allclose(logits[1], logits[2], atol=1e-5)


@pytest.mark.parametrize("name", ["r3", "dcgan", "sngan", "mlp", "progan", "stylegan2", "fastgan"])
def test_a_conditional_network_says_so_when_the_class_is_missing(name):
    g, _ = build(name, (1, 16, 16), 3)
    with pytest.raises(ValueError, match="class-conditional: pass y"):
        g(torch.randn(2, 8), None)


def count(network):
    return sum(p.numel() for p in network.parameters())


def test_a_discriminator_that_sees_the_spread_of_a_batch_tells_a_collapsed_one():
    """The same image among others of its kind, and among copies of itself."""
    torch.manual_seed(0)
    d = image.dcgan_spread.discriminator((1, 16, 16), 8).eval()
    x = torch.randn(4, 1, 16, 16)
    assert not torch.isclose(d(x)[0], d(x[:1].expand(4, -1, -1, -1))[0], atol=1e-4)
    assert torch.allclose(d(x.repeat(2, 1, 1, 1))[:4], d(x), atol=1e-5), "neighbours in groups of four"


def test_minibatch_discrimination_is_the_papers_sum_over_pairs():
    """Against a direct loop over groups of four of eight examples (arXiv:1606.03498, sec. 3.2)."""
    torch.manual_seed(0)
    layer, h = BatchNearness(6, 4, kernels=3, size=2), torch.randn(8, 6)
    found = layer(h)
    assert torch.equal(found[:, :6], h)
    rows = (h @ layer.tensor.weight.T).view(8, 3, 2)
    for i in range(8):
        others = [j for j in range(8) if j // 4 == i // 4 and j != i]
        for b in range(3):
            wanted = sum(math.exp(-float((rows[i, b] - rows[j, b]).abs().sum())) for j in others)
            assert float(found[i, 6 + b]) == pytest.approx(wanted, abs=1e-5)
    assert torch.allclose(layer(h[:4]), found[:4], atol=1e-6), "a batch that is cut between groups gives the same numbers"
    same = layer(h[:1].expand(4, -1))[:, 6:]
    torch.testing.assert_close(same, torch.full((4, 3), 3.0))


def test_a_discriminator_that_sees_nearness_tells_a_collapsed_batch_and_can_be_penalised():
    torch.manual_seed(0)
    d = image.dcgan_nearness.discriminator((1, 16, 16), 8).eval()
    x = torch.randn(16, 1, 16, 16, requires_grad=True)
    assert not torch.isclose(d(x)[0], d(x[:1].expand(16, -1, -1, -1))[0], atol=1e-4)
    (slope,) = torch.autograd.grad(d(x).sum(), x, create_graph=True)
    slope.square().sum().backward()
    assert d.nearness.tensor.weight.grad.abs().sum() > 0


def test_a_noisy_discriminator_is_noisy_in_training_alone_and_does_not_mind_the_length_of_its_weights():
    torch.manual_seed(0)
    d, x = image.dcgan_noisy.discriminator((1, 16, 16), 8), torch.randn(4, 1, 16, 16)
    assert not torch.equal(d(x), d(x))
    told = d.eval()(x)
    assert torch.equal(told, d(x))
    with torch.no_grad():
        for down in d.downs:
            down.parametrizations.weight.original1.mul_(3)
    torch.testing.assert_close(d(x), told)


def test_sngan_has_the_published_parameter_counts():
    assert count(image.sngan.generator((3, 32, 32), 128, 256)) == 4_276_739
    assert count(image.sngan.discriminator((3, 32, 32), 128)) == 1_053_825


def test_r3_has_the_published_parameter_counts_of_r3gan_cifar():
    """20.8 M and 21.3 M with labels (reported); about 20.7 M each without."""
    shape = dict(blocks=2, expansion=2, group=16, cap=1)
    assert count(image.r3.generator((3, 32, 32), 64, 768, **shape)) == pytest.approx(20.7e6, rel=0.01)
    assert count(image.r3.discriminator((3, 32, 32), 768, **shape)) == pytest.approx(20.7e6, rel=0.01)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("side", [8, 32, 64])
def test_starts_are_of_order_one(name, side):
    """Images neither vanish nor saturate, logits are not far from 0: the reason not to start from N(0, 0.02)."""
    torch.manual_seed(0)
    pair, width = getattr(image, name), {"width": 16} if name == "biggan" else {}  # a fraction of its size, for speed
    g, d = pair.generator((3, side, side), 64, **width), pair.discriminator((3, side, side), **width)
    x = g(torch.randn(32, 64), None)
    assert 0.02 < x.std() < 2
    logits = d(torch.rand(32, 3, side, side) * 2 - 1, None)
    most = 64 if name == "biggan" else 20  # as published, it sums features that orthogonal layers do not shrink over as many places
    assert logits.abs().max() < most and logits.dtype == torch.float32


def test_logits_are_fp32_under_bf16():
    _, d = build("dcgan", (1, 16, 16))
    with torch.autocast("cpu", torch.bfloat16):
        assert d(torch.randn(2, 1, 16, 16), None).dtype == torch.float32


def test_spectral_norm_bounds_every_layer():
    net = spectral_norm(torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.Flatten(), torch.nn.Linear(8, 4)))
    for _ in range(200):
        net(torch.randn(2, 3, 3, 3))
    for layer in (net[0], net[2]):
        assert torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2).item() == pytest.approx(1, abs=1e-3)


def test_spectral_norm_twice_is_once():
    net = spectral_norm(spectral_norm(torch.nn.Linear(3, 3)))
    assert len(net.parametrizations["weight"]) == 1


def test_weight_clipping_clips_everything_and_refuses_nonsense():
    net = torch.nn.Linear(10, 10)
    weight_clipping(0.01)(net)
    assert max(p.abs().max() for p in net.parameters()) <= 0.01
    with pytest.raises(ValueError, match="positive"):
        weight_clipping(0)
