"""Heads on a discriminator's features, coupled networks, latents with codes."""

import pytest
import torch
from torch import nn

from ganforge.networks import image
from ganforge.networks.codes import Coded, Settable
from ganforge.networks.heads import AutoEncoder, Branched, Encoder, Joint, beheaded
from ganforge.networks.image import coupled

SHAPE = (1, 12, 12)
PAIRS = {"mlp": image.mlp, "dcgan": image.dcgan, "r3": image.r3, "sngan": image.sngan, "elu": image.elu}
each_pair = pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)


def discriminator(pair=image.dcgan_plain, classes=0):
    torch.manual_seed(0)
    return pair.discriminator(SHAPE, 8, classes, "projection").eval()


@each_pair
def test_a_second_head_leaves_the_logits_as_they_were(pair):
    x, y = torch.randn(4, *SHAPE), torch.tensor([0, 1, 2, 0])
    before = discriminator(pair, 3)(x, y)
    branched = Branched(discriminator(pair, 3), 5).eval()
    logits, told = branched.both(x, y)
    assert torch.equal(logits, before) and torch.equal(branched(x, y), before)
    assert told.shape == (4, 5)


@each_pair
def test_an_encoder_gives_vectors_and_a_joint_discriminator_sees_both_sides_of_a_pair(pair):
    x, z = torch.randn(4, *SHAPE), torch.randn(4, 6)
    assert Encoder(discriminator(pair), 6)(x).shape == (4, 6)
    joint = Joint(discriminator(pair), 6, 16).eval()
    logits = joint(x, z)
    assert logits.shape == (4,)
    assert not torch.equal(joint(x.flip(0), z), logits) and not torch.equal(joint(x, z.flip(0)), logits)


def test_a_joint_discriminator_takes_the_class_by_its_trunk_or_by_its_head():
    x, z = torch.randn(2, *SHAPE), torch.randn(2, 6)
    for trunk, classes in ((discriminator(), 3), (image.dcgan_plain.discriminator(SHAPE, 8, 3, "concat"), 0)):
        joint = Joint(trunk, 6, 16, classes).eval()
        assert not torch.equal(joint(x, z, torch.tensor([0, 0])), joint(x, z, torch.tensor([1, 2])))


def test_spectral_norm_of_a_trunk_reaches_the_layers_above_it():
    names = {name for name, _ in Joint(discriminator(image.sngan), 6, 16).layers.named_parameters()}
    assert "0.parametrizations.weight.original" in names
    assert "0.weight" in {name for name, _ in Joint(discriminator(image.dcgan), 6, 16).layers.named_parameters()}


def test_dropout_acts_in_training_alone():
    encoder = Encoder(discriminator(), 4, dropout=0.5)
    features = encoder.trunk(torch.randn(3, *SHAPE))
    encoder.train()
    assert not torch.equal(encoder.read(features), encoder.read(features))
    encoder.eval()
    assert torch.equal(encoder.read(features), encoder.read(features))


def test_networks_without_a_known_head_are_refused_in_words():
    with pytest.raises(ValueError, match=r"Sequential must end in self.head = Projection"):
        beheaded(nn.Sequential(nn.Flatten(), nn.Linear(4, 1)))


@pytest.mark.parametrize(("power", "wanted"), [(1, [0.5, 1.5]), (2, [0.25, 2.5])])
def test_the_error_of_an_auto_encoder_is_worked_by_hand(power, wanted):
    """It rebuilds 0; x is (.5, .5) and (1, 2)."""
    critic = AutoEncoder(lambda x, y: torch.zeros(len(x), 1), lambda code, y: torch.zeros(len(code), 2), power).requires_grad_(False)
    x = torch.tensor([[0.5, 0.5], [1.0, 2.0]])
    torch.testing.assert_close(critic(x), -torch.tensor(wanted))


@each_pair
def test_coupled_networks_share_all_but_the_layer_next_to_the_pixels(pair):
    torch.manual_seed(0)
    generator = coupled.Generator(pair, SHAPE, 6, 8, 2)
    with torch.no_grad():
        for p in generator.parameters():
            p += 0.05 * torch.randn_like(p)
    generator(torch.randn(4, 6), torch.zeros(4, dtype=torch.long)).sum().backward()
    still = [name for name, p in generator.named_parameters() if p.grad is not None and p.ndim > 1 and (p.grad == 0).any(1).all()]
    half = generator.network.head.weight.grad
    out = 0 if isinstance(generator.network.head, nn.Conv2d | nn.Linear) else 1  # transposed convolutions put outputs second
    one, two = half.chunk(2, out)
    assert one.abs().sum() > 0 and two.abs().sum() == 0, still


@each_pair
def test_a_coupled_discriminator_looks_at_its_own_domains_block(pair):
    torch.manual_seed(0)
    judge = coupled.Discriminator(pair, SHAPE, 8, 2).eval()
    x = torch.randn(3, *SHAPE)
    for domain, whole in ((0, torch.cat([x, 0 * x], 1)), (1, torch.cat([0 * x, x], 1))):
        assert torch.equal(judge(x, torch.full((3,), domain)), judge.network(whole))


def test_coupled_networks_know_one_way_to_be_told_the_domain():
    with pytest.raises(ValueError, match="takes its class by tied; got 'norm'"):
        coupled.Generator(image.dcgan, SHAPE, 6, 8, 2, "norm")


def test_a_coded_latent_is_noise_then_one_hot_then_values_within_one():
    torch.manual_seed(0)
    latent = Coded(3, "cpu", 4, 2)
    z = latent(500)
    assert z.shape == (500, 9)
    assert torch.equal(z[:, 3:7].sum(1), torch.ones(500)) and set(z[:, 3:7].unique().tolist()) == {0.0, 1.0}
    kind, dials = latent.code(z)
    assert kind.bincount(minlength=4).min() > 80 and dials.abs().max() <= 1 and dials.std() > 0.5


def test_the_class_sets_the_code_and_nothing_else():
    latent = Coded(3, "cpu", 4, 2)
    z, seen = latent(5), Settable(nn.Identity(), 3, 4)
    asked = seen(z, torch.tensor([0, 1, 2, 3, 0]))
    assert latent.code(asked)[0].tolist() == [0, 1, 2, 3, 0]
    assert torch.equal(asked[:, :3], z[:, :3]) and torch.equal(asked[:, 7:], z[:, 7:])
    assert seen(z) is z


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 48)])
def test_elu_networks_build_any_size(shape):
    x = image.elu.generator(shape, 8, 8, 2)(torch.randn(2, 8), torch.tensor([0, 1]))
    assert x.shape == (2, *shape) and x.abs().max() <= 1
    assert image.elu.discriminator(shape, 8, 2)(x, torch.tensor([0, 1])).shape == (2,)
