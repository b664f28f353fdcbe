"""StyleGAN2: networks equal to the published ones, filters, noise, mixing, truncation; path lengths on a generator known by hand."""

import math
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d, conv_transpose2d
from torch.utils._python_dispatch import TorchDispatchMode

from ganforge import losses, recipes
from ganforge.core import recipe as recipes_json
from ganforge.core.engine import iterate, move
from ganforge.core.errors import UsageError
from ganforge.core.method import Progress
from ganforge.data.images import Images
from ganforge.data.spec import DataSpec
from ganforge.methods.style import Style, path_lengths
from ganforge.methods.two_player import TwoPlayer
from ganforge.networks import image
from ganforge.networks.image.equalised import BatchSpread, EqualConv, EqualLinear, Noise, double, smooth, unit
from ganforge.networks.image.stylegan2 import Mapping, ModulatedConv
from ganforge.testing import check_accumulation
from tests.contract.toys import Net, given_latents

SPEC = DataSpec((1, 16, 16), 0, (), 100)


def count(network):
    return sum(p.numel() for p in network.parameters())


def recipe(**options):
    small = {"width": 8, "z": 8, "depth": 2, **options}
    return recipes_json.override(recipes.StyleGAN2(data=Images(path="digits")), small)


def test_the_cifar_networks_have_the_published_parameter_counts():
    pair = recipe(depth=2, residual=False).pair(SPEC)
    with torch.device("meta"):
        assert count(pair.generator((3, 32, 32), 512, 512, 10)) == 20_215_315
        assert count(pair.discriminator((3, 32, 32), 512, 10)) == 23_089_664


@pytest.mark.parametrize("up", [False, True])
@pytest.mark.parametrize("demodulate", [False, True])
def test_scaling_inputs_and_outputs_equals_a_convolution_of_its_own_for_each_example(up, demodulate):
    """As the paper has it: one grouped convolution with weights scaled by the style and brought to length 1 (eq. 1 and 3)."""
    torch.manual_seed(0)
    layer = ModulatedConv(5, 7, 3, 6, up=up, demodulate=demodulate)
    x, style = torch.randn(4, 5, 9, 8), torch.randn(4, 6)
    weight = layer.weight * layer.gain * layer.affine(style)[:, None, :, None, None]
    if demodulate:
        weight = weight * (weight.square().sum((2, 3, 4), keepdim=True) + 1e-8).rsqrt()
    together = x.view(1, 20, 9, 8)
    if up:
        grouped = conv_transpose2d(together, weight.transpose(1, 2).flatten(0, 1), stride=2, groups=4)
        grouped = smooth(grouped.view(4, 7, 19, 17), 1, gain=4)
    else:
        grouped = conv2d(together, weight.flatten(0, 1), padding=1, groups=4).view(4, 7, 9, 8)
    mine = layer(x, style)
    torch.testing.assert_close(mine, grouped, rtol=1e-4, atol=1e-5)
    probe = torch.randn_like(mine)
    for a, b in zip(*(torch.autograd.grad((y * probe).sum(), [layer.weight, layer.affine.weight]) for y in (mine, grouped)), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


def test_resampling_is_by_the_binomial_filter():
    dot = torch.zeros(1, 2, 9, 9)
    dot[0, 1, 4, 4] = 64.0
    row = torch.tensor([1.0, 3.0, 3.0, 1.0])
    got = smooth(dot, 2)[0]
    assert got.shape == (2, 10, 10) and got[0].abs().max() == 0
    torch.testing.assert_close(got[1, 3:7, 3:7], row[:, None] * row)
    x = torch.randn(2, 3, 6, 8)
    apart = torch.zeros(2, 3, 12, 16)
    apart[:, :, ::2, ::2] = x
    filtered = smooth(torch.nn.functional.pad(apart, (2, 1, 2, 1)), 0, gain=4)
    torch.testing.assert_close(double(x)[:, :, 1:-1, 1:-1], filtered[:, :, 1:-1, 1:-1])


@pytest.mark.parametrize("size", [1, 3])
def test_a_convolution_that_halves_leaves_out_every_second_pixel_of_the_filtered_one(size):
    conv = EqualConv(2, 3, size, down=True)
    x = torch.randn(1, 2, 12, 8)
    whole = conv2d(smooth(x, 1 + size // 2), conv.weight * conv.gain, conv.bias)
    assert conv(x).shape == (1, 3, 6, 4)
    torch.testing.assert_close(conv(x), whole[:, :, ::2, ::2])


def test_equalised_layers_keep_the_variance_and_learn_at_their_rate():
    torch.manual_seed(0)
    x = torch.randn(512, 300)
    for rate in (1.0, 0.01):
        layer = EqualLinear(300, 200, rate=rate)
        assert layer(x).std().item() == pytest.approx(1, abs=0.05)
        assert layer.weight.std().item() == pytest.approx(1 / rate, rel=0.05)
    assert EqualConv(30, 40, 3)(torch.randn(8, 30, 16, 16))[:, :, 1:-1, 1:-1].std().item() == pytest.approx(1, abs=0.05)
    torch.testing.assert_close(unit(x).square().mean(1), torch.ones(512), rtol=1e-4, atol=1e-4)


def test_noise_is_fresh_in_training_and_fixed_afterwards_and_starts_at_none():
    layer, x = Noise(4, 6), torch.zeros(2, 3, 4, 6)
    assert torch.equal(layer(x), x)
    nn.init.constant_(layer.strength, 2.0)
    torch.manual_seed(1)
    one, two = layer(x), layer(x)
    torch.manual_seed(1)
    assert torch.equal(layer(x), one) and not torch.equal(one, two)
    assert torch.equal(one[:, 0], one[:, 2]) and not torch.equal(one[0], one[1])
    layer.eval()
    assert torch.equal(layer(x), 2 * layer.field.expand(2, 3, 4, 6))
    assert "field" in layer.state_dict()


def test_the_spread_of_a_group_is_its_mean_standard_deviation_and_groups_are_neighbours():
    x = torch.tensor([0.0, 2.0, 5.0, 5.0]).view(4, 1, 1, 1).expand(4, 2, 3, 3)
    got = BatchSpread(2)(x)
    assert got.shape == (4, 3, 3, 3) and torch.equal(got[:, :2], x)
    torch.testing.assert_close(got[:, 2, 0, 0], torch.tensor([1.0, 1.0, 1e-4, 1e-4]))
    x = torch.randn(8, 2, 3, 3)
    torch.testing.assert_close(BatchSpread(4)(x), torch.cat([BatchSpread(4)(part) for part in x.chunk(2)]))
    assert BatchSpread(4)(x[:5]).shape == (5, 3, 3, 3), "a batch that groups do not divide is one group, or falls into single examples"


def make(shape=(1, 16, 16), **options):
    torch.manual_seed(0)
    return image.stylegan2.generator(shape, 8, 8, depth=2, **options)


def test_mixed_images_follow_one_latent_in_the_coarse_layers_and_another_in_the_fine_ones():
    g, z = make(mixing=1.0), torch.randn(64, 8)
    own = g.mapping(z)
    styles = g.styles(z)
    assert torch.equal(styles[:, 0], own) and not torch.isclose(styles[:, -1], own).all(1).any()
    as_own = torch.isclose(styles, own[:, None]).all(2)
    assert (as_own.int().diff(dim=1) <= 0).all(), "no layer goes back to the first latent"
    assert set(as_own.sum(1).tolist()) == set(range(1, g.synthesis.layers))
    g.mixing = 0.5
    assert 20 < torch.isclose(g.styles(z)[:, -1], own).all(1).sum() < 44
    g.eval()
    assert torch.equal(g.styles(z), own[:, None].expand(-1, g.synthesis.layers, -1))


def test_truncation_draws_styles_towards_their_running_mean():
    g, z = make(), torch.randn(5, 8)
    for _ in range(2000):
        g.styles(torch.randn(256, 8))
    g.eval()
    mean = g.mapping(torch.randn(20000, 8)).mean(0)
    assert (g.mean - mean).norm() < 0.1 * mean.norm()
    before = g.mean.clone()
    assert torch.equal(g(z, truncation=1.0), g(z)) and torch.equal(before, g.mean)
    none = g(z, truncation=0.0)
    torch.testing.assert_close(none, none[:1].expand_as(none))
    half = g.synthesis(((g.mapping(z) + g.mean) / 2)[:, None].expand(-1, g.synthesis.layers, -1))
    torch.testing.assert_close(g(z, truncation=0.5), half)


def test_the_length_of_a_latent_does_not_matter_only_its_direction():
    mapping, z = Mapping(8, 8), torch.randn(4, 8)
    torch.testing.assert_close(mapping(3 * z), mapping(z), rtol=1e-4, atol=1e-4)


class Linear(nn.Module):
    """An image that is a multiple of the style: its path lengths are known by hand."""

    def __init__(self, factor: float = 3.0) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor))

    def styles(self, z, y=None):
        return z[:, None].expand(-1, 2, -1).clone().requires_grad_(True)

    def synthesis(self, styles):
        return (self.factor * styles.sum(1)).view(-1, 1, 2, 2)

    def forward(self, z, y=None):
        return self.synthesis(self.styles(z)).flatten(1)


def test_path_lengths_of_a_linear_generator_are_known():
    torch.manual_seed(0)
    styles = torch.randn(5, 2, 4, requires_grad=True)
    g = Linear()
    torch.manual_seed(1)
    got = path_lengths(g.synthesis(styles), styles)
    torch.manual_seed(1)
    noise = torch.randn(5, 1, 2, 2).flatten(1)
    torch.testing.assert_close(got, 3 * (noise.square().sum(1) / 4).sqrt())


def linear_game():
    adam = partial(torch.optim.Adam, lr=1e-2)
    return TwoPlayer(Linear(), Net(4, 1), latent=lambda n: torch.randn(n, 4), loss=losses.logistic, optimizer=adam)


def test_the_penalty_comes_on_every_fourth_move_of_the_generator_and_its_mean_follows():
    game = linear_game()
    method = Style(game, weight=2.0, every=4, decay=0.5, share=0.5)
    found = {}
    for step in range(9):
        torch.manual_seed(step)
        updates = list(method.step({"x": torch.zeros(8, 4)}, Progress(step, 8 * step, 800)))
        torch.manual_seed(step)
        plain = list(game.step({"x": torch.zeros(8, 4)}, Progress(step, 8 * step, 800)))
        assert torch.equal(updates[0].loss, plain[0].loss)
        found[step] = (updates[1].loss - plain[1].loss).item()
        if "penalty/path_length" in updates[1].log:
            assert found[step] == pytest.approx(2 * 4 * updates[1].log["penalty/path_length"].item(), rel=1e-4)
            assert [update.player for update in updates] == method.players
    assert [step for step, extra in found.items() if extra] == [0, 4, 8]


def test_the_mean_path_length_is_the_running_mean_of_the_paper_and_is_saved():
    """a <- a + decay (mean length - a), once a move however the batch is cut (eq. 4 and its text)."""
    ends = []
    for parts in (1, 4):
        torch.manual_seed(0)
        method = Style(linear_game(), decay=0.25)
        method.path[0].data.fill_(1.0)
        factor, cut = method.generator.factor, iter(torch.tensor([4.0, 4.0, 4.0, 8.0]).chunk(parts))
        factor.data.fill_(1.0)
        method.lengths = lambda z, y, factor=factor, cut=cut: next(cut) * factor
        iterate(method, [{"x": x} for x in torch.zeros(8, 4).chunk(parts)], Progress(0, 0, 8))
        ends.append(method.path[0].item())
    assert ends == pytest.approx([1 + 0.25 * (5 - 1)] * 2) and "path.0" in method.state_dict()


def test_the_penalty_holds_path_lengths_at_their_mean():
    """The mean square of what is left is the variance that the random directions alone have."""
    torch.manual_seed(0)
    method = Style(linear_game(), decay=0.05, every=1, share=1.0)
    for step in range(300):
        _, g, mean_moves = method.step({"x": torch.zeros(4096, 4)}, Progress(step, step, 300))
        mean_moves.player.optimizer.zero_grad()
        mean_moves.loss.backward(inputs=mean_moves.player.parameters)
        move(mean_moves.player, Progress(step, step, 300))  # nobody else moves
    mean = 3 * math.sqrt(2 / 4) * math.gamma(2.5) / math.gamma(2)  # of a chi variable with 4 degrees of freedom
    assert method.path[0].item() == pytest.approx(mean, rel=0.02)
    assert g.log["penalty/path_length"].item() == pytest.approx(9 - mean**2, rel=0.1)


def test_micro_batches_add_up_to_the_batch_but_for_the_running_mean_which_follows_each():
    """With what is random per image left out: noise, mixing, path length."""
    latents = [given_latents(parts=k) for k in (1, 2)]

    def build():
        method = recipe(z=4, mixing=0.0, path_weight=0.0, optimizer="SGD", penalty_every=1).method(SPEC)
        for layer in [module for module in method.modules() if isinstance(getattr(module, "noise", None), Noise)]:
            layer.noise = nn.Identity()
        method.game.latent = latents.pop(0)
        return method

    with pytest.raises(AssertionError, match=r"accumulation: \['game.generator.mean'\]$"):
        check_accumulation(build, {"x": torch.randn(8, 1, 16, 16, generator=torch.Generator().manual_seed(0))})


def other(**options):
    """With networks that have no styles, and none of the options that only StyleGAN2's look at."""
    return recipes_json.override(recipes.StyleGAN2(data=Images(path="digits")), {"width": 8, "z": 8, "networks": "dcgan", **options})


def test_other_networks_are_refused_unless_nothing_asks_for_styles():
    with pytest.raises(UsageError, match="stylegan2 needs networks with styles.*--path-weight 0"):
        other().method(SPEC)
    assert len(other(path_weight=0.0).method(SPEC).players) == 2, "no mean path length"


def test_the_weight_of_r1_follows_from_pixels_and_batch_unless_given():
    chosen = recipe(batch=32)
    assert chosen.method(SPEC).game.penalties[0].weight(Progress(0, 0, 1)) == pytest.approx(2e-4 * 256 / 32)
    assert recipe(penalty_weight=3.0).method(SPEC).game.penalties[0].weight(Progress(0, 0, 1)) == 3.0


def test_the_filter_brings_no_numbers_from_the_host():
    """On a GPU every call would wait for them. What torch.tensor makes of a list is announced as lift_fresh."""
    seen = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            seen.append(function.overloadpacket)
            return function(*args, **(kwargs or {}))

    x = torch.randn(1, 2, 6, 6)
    with Watch():
        torch.tensor([1.0])
        assert torch.ops.aten.lift_fresh in seen
        seen.clear()
        smooth(x, 2, gain=4.0)
    assert torch.ops.aten.convolution in seen and torch.ops.aten.lift_fresh not in seen
