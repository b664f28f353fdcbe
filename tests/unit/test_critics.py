"""Critics of image tasks: what a logit sees, published sizes, one signature, any size, fp32."""

from functools import partial
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from ganforge import penalties
from ganforge.losses import hinge, per_example
from ganforge.networks.image.detail import GAIN, Detailed, fine
from ganforge.networks.image.patch import Patch, Scales
from ganforge.networks.image.unet_critic import UNet, UNets

CRITICS = {
    "patch": lambda inputs: Patch(inputs, 8),
    "patch-plain": lambda inputs: Patch(inputs, 8, 2, spectral=False),
    "detailed": lambda inputs: Detailed(Patch(3 + inputs, 8, 2)),
    "unet": lambda inputs: UNet(inputs, 8),
    "unet-plain": lambda inputs: UNet(inputs, 8, spectral=False),
}


def count(network):
    return sum(p.numel() for p in network.parameters())


def test_sizes_are_the_published_ones():
    assert count(Patch(3, spectral=False)) == 2_764_737
    assert count(UNet(3)) == count(UNet(3, spectral=False)) == 4_376_897


@pytest.mark.parametrize("name", CRITICS)
@pytest.mark.parametrize("size", [(4, 4), (5, 33), (40, 24)])
def test_any_size_is_scored_with_and_without_what_was_given(name, size):
    x, given = torch.randn(2, 3, *size), torch.randn(2, 1, *size)
    for critic, context in ((CRITICS[name](3), None), (CRITICS[name](4), given)):
        logits, maps = critic(x, context)
        assert logits.ndim == 2 and len(logits) == 2
        assert per_example(logits).shape == (2,) and logits.isfinite().all()
        assert maps and all(len(m) == 2 and m.ndim == 4 for m in maps)


def test_the_fine_structure_is_shown_beside_the_image():
    x = torch.zeros(1, 1, 5, 5)
    x[0, 0, 2, 2] = 9.0
    assert fine(x)[0, 0, 2].tolist() == [0, -1, 8, -1, 0] and fine(x)[0, 0, 1].tolist() == [0, -1, -1, -1, 0]
    torch.testing.assert_close(fine(torch.full((1, 2, 4, 3), 0.7)), torch.zeros(1, 2, 4, 3))  # up to the borders
    seen = []

    def critic(h, given):
        seen.append((h, given))
        return h, []

    Detailed.forward(SimpleNamespace(critic=critic, gain=GAIN), x, "given")
    assert torch.equal(seen[0][0], torch.cat([x, 5 * fine(x)], 1)) and seen[0][1] == "given"


def test_what_was_given_comes_after_the_image():
    critic, x, given = Patch(4, 8).eval(), torch.randn(1, 3, 16, 16), torch.randn(1, 1, 16, 16)
    assert torch.equal(critic(x, given)[0], critic(torch.cat([x, given], 1))[0])


@pytest.mark.parametrize("layers, wanted", [(1, 16), (2, 34), (3, 70), (4, 142)])
def test_a_logit_sees_the_published_number_of_pixels(layers, wanted):
    tower = Patch(1, 2, layers).eval().towers[0]
    for parameter in tower.parameters():
        parameter.data = parameter.data.abs()
    side = wanted + 42
    x = torch.rand(1, 1, side, side, requires_grad=True)
    score, _ = tower(x)
    score[0, 0, score.shape[2] // 2, score.shape[3] // 2].backward()
    rows = x.grad[0, 0].abs().sum(1).nonzero().flatten()
    assert rows[-1] - rows[0] + 1 == wanted == len(rows)


def test_maps_for_feature_matching_are_one_a_layer_and_scale():
    _, maps = Scales(3, 4, layers=3, scales=2)(torch.randn(1, 3, 32, 32))
    assert [m.shape[1] for m in maps] == [4, 8, 16, 32] * 2
    assert [m.shape[2] for m in maps] == [17, 9, 5, 6, 9, 5, 3, 4]


def test_every_scale_sees_an_image_half_as_large_and_has_its_own_row_of_logits():
    critic, x = Scales(2, 4, layers=1, scales=3).eval(), torch.randn(2, 2, 16, 16)
    half = nn.functional.avg_pool2d(x, 3, 2, 1, False, False)
    quarter = nn.functional.avg_pool2d(half, 3, 2, 1, False, False)
    logits, _ = critic(x)
    for found, tower, image in zip(logits, critic.towers, (x, half, quarter), strict=True):
        assert torch.equal(found, tower(image)[0].flatten(1))
    assert all(torch.equal(*pair) for pair in zip(logits, critic(x[:, :1], x[:, 1:])[0], strict=True))


@pytest.mark.parametrize("size", [(5, 33), (40, 24)])
def test_several_scales_take_any_size_in_fp32(size):
    with torch.autocast("cpu", torch.bfloat16):
        logits, maps = Scales(4, 8, 2, scales=2, spectral=False)(torch.randn(2, 3, *size), torch.randn(2, 1, *size))
    assert [row.dtype for row in logits] == [torch.float32] * 2 and all(row.isfinite().all() for row in logits)
    assert [row.ndim for row in logits] == [2, 2] and len(maps) == 6 and maps[0].dtype == torch.bfloat16


@pytest.mark.parametrize("spectral", [True, False])
def test_one_scale_is_the_plain_critic_with_the_same_start(spectral):
    plain, scaled = (torch.manual_seed(0) and make(3, 4, spectral=spectral) for make in (Patch, partial(Scales, scales=1)))
    theirs = scaled.state_dict()
    assert all(torch.equal(value, theirs[key]) for key, value in plain.state_dict().items()) and len(theirs) == len(plain.state_dict())
    x = torch.randn(2, 3, 16, 16)
    (logits,), maps = scaled.eval()(x)
    assert torch.equal(logits, plain.eval()(x)[0]) and len(maps) == 4


@pytest.mark.parametrize("size", [(1, 1), (5, 33), (16, 24)])
def test_a_unet_scores_every_pixel_and_leaves_its_padding_out(size):
    critic, x = UNet(3, 4).eval(), torch.randn(2, 3, *size)
    logits, maps = critic(x)
    whole = [(side + 7) // 8 * 8 for side in size]
    full = nn.functional.pad(x, (0, whole[1] - size[1], 0, whole[0] - size[0]), "replicate")
    torch.testing.assert_close(logits.unflatten(1, size), critic(full)[0].unflatten(1, whole)[:, : size[0], : size[1]])
    assert [m.shape[1] for m in maps] == [4, 8, 16, 32, 16, 8, 4, 4, 4]
    assert [whole[0] // m.shape[2] for m in maps] == [1, 2, 4, 8, 4, 2, 1, 1, 1]


@pytest.mark.parametrize("spectral", [True, False])
def test_a_unet_is_the_published_sum_of_layers(spectral):
    """Worked out once more, layer by layer, in the order of the paper's figure."""
    torch.manual_seed(0)
    critic, x = UNet(3, 4, spectral).eval(), torch.randn(2, 3, 16, 8)
    act = partial(nn.functional.leaky_relu, negative_slope=0.2)
    norm = nn.Identity() if spectral else nn.functional.instance_norm
    double = nn.Upsample(scale_factor=2, mode="bilinear")
    full = act(critic.first(x))
    half = act(norm(critic.downs[0](full)))
    quarter = act(norm(critic.downs[1](half)))
    h = act(critic.downs[2](quarter))
    for up, skip in zip(critic.ups, (quarter, half, full), strict=True):
        h = act(norm(up(double(h)))) + skip
    for last in critic.lasts:
        h = act(norm(last(h)))
    torch.testing.assert_close(critic(x)[0].unflatten(1, (1, 16, 8)), critic.score(h))


def test_a_unet_has_spectral_norm_inside_where_asked_and_instance_norm_in_its_place():
    critic = UNet(3, 4)
    for _ in range(60):
        critic(torch.zeros(1, 3, 8, 8))
    inner = [*critic.downs, *critic.ups, *critic.lasts]
    assert all(is_parametrized(layer, "weight") for layer in inner) and len(inner) == 8
    assert not any(is_parametrized(layer) for layer in (critic.first, critic.score))
    assert all(torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2).item() < 1.05 for layer in inner)
    plain, x = UNet(3, 4, spectral=False), torch.randn(1, 3, 16, 16)
    assert not any(is_parametrized(layer) for layer in plain.modules())
    before = plain(x)[0]
    with torch.no_grad():
        for layer in [plain.downs[0], plain.downs[1], *plain.ups, *plain.lasts]:
            layer.weight *= 5.0
    torch.testing.assert_close(plain(x)[0], before, rtol=1e-2, atol=1e-2)


def test_several_unets_see_halved_images():
    critic, x = UNets(4, 4, scales=2).eval(), torch.randn(2, 4, 18, 12)
    (first, second), maps = critic(x[:, :3], x[:, 3:])
    assert torch.equal(first, critic.towers[0](x)[0]) and len(maps) == 18
    assert torch.equal(second, critic.towers[1](nn.functional.avg_pool2d(x, 3, 2, 1, False, False))[0]) and second.shape == (2, 9 * 6)


@pytest.mark.parametrize("name", CRITICS)
def test_every_parameter_of_a_critic_gets_a_gradient(name):
    torch.manual_seed(0)
    critic = CRITICS[name](3)
    critic(torch.randn(2, 3, 21, 17))[0].square().mean().backward()
    inert = {f"towers.0.convs.{i}.bias" for i in (1, 2)} if name == "patch-plain" else set()  # instance norm takes them away again
    for key, parameter in critic.named_parameters():
        assert parameter.grad is not None and (key in inert or parameter.grad.abs().sum() > 0), key


@pytest.mark.parametrize("name", CRITICS)
def test_logits_are_fp32_under_bf16(name):
    with torch.autocast("cpu", torch.bfloat16):
        logits, maps = CRITICS[name](3)(torch.randn(2, 3, 16, 16))
    assert logits.dtype == torch.float32 and maps[0].dtype == torch.bfloat16


def test_spectral_norm_bounds_every_layer_and_instance_norm_stands_in_without_it():
    critic = Patch(3, 8)
    for _ in range(100):
        critic(torch.zeros(1, 3, 16, 16))
    for layer in [m for m in critic.modules() if isinstance(m, nn.Conv2d)]:
        assert torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2).item() < 1.02
    plain = Patch(3, 8, spectral=False).towers[0]
    assert [isinstance(norm, nn.InstanceNorm2d) for norm in plain.norms] == [False, True, True, True]


def test_logits_start_near_zero_and_images_are_told_apart_after_a_few_steps():
    torch.manual_seed(0)
    for name, make in CRITICS.items():
        critic = make(3)
        optimiser = torch.optim.Adam(critic.parameters(), 4e-3, betas=(0.5, 0.9))
        real, fake = torch.randn(4, 3, 16, 16) * 0.2, torch.randn(4, 3, 16, 16) * 0.8
        assert critic(real)[0].abs().mean() < 3
        first = None
        for _ in range(30 if "unet" in name else 15):  # noise tells a pixel less than a part of the image
            optimiser.zero_grad()
            loss = hinge.d(critic(real)[0], critic(fake)[0]).mean()
            loss.backward()
            optimiser.step()
            first = first or loss.item()
        assert loss < 0.5 * first


@pytest.mark.parametrize("name", CRITICS)
def test_gradient_penalties_run_through_critics(name):
    critic, x = CRITICS[name](3), torch.randn(2, 3, 16, 16)
    penalties.r1(lambda sample: critic(sample)[0], x, x).mean().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in critic.parameters())
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in critic.parameters())
