"""FastGAN: which maps gate which, what is redrawn, and whom that moves."""

import pytest
import torch

from ganforge import recipes
from ganforge.core import recipe as recipes_json
from ganforge.core.engine import iterate
from ganforge.core.errors import UsageError
from ganforge.core.method import Progress
from ganforge.data.images import Images
from ganforge.data.spec import DataSpec
from ganforge.methods.self_supervised import distance
from ganforge.networks import image
from ganforge.networks.image.fastgan import Excite

SPEC = DataSpec((1, 32, 32), 0, (), 100)
NOW = Progress(0, 0, 100)
BATCH = {"x": torch.randn(8, 1, 32, 32, generator=torch.Generator().manual_seed(0)).tanh()}


def recipe(**options):
    return recipes_json.override(recipes.FastGAN(data=Images(path="digits")), {"width": 8, "z": 8, "augment": "none", **options})


def channels(maps):
    return [m.shape[1] for m in maps]


def test_the_widths_for_256_px_are_the_papers():
    with torch.device("meta"):
        g, d = image.fastgan.generator((3, 256, 256), 256, 32), image.fastgan.discriminator((3, 256, 256), 16)
        maps = d.maps(torch.empty(1, 3, 256, 256), None)
    drawn = [g.stem.out_channels // 2, *(up.convs[-1].out_channels // 2 for up in g.ups)]
    assert drawn == [1024, 512, 256, 128, 128, 64, 32]
    assert channels(maps) == [16, 32, 64, 128, 128, 256] and maps[-1].shape[2:] == (8, 8)


@pytest.mark.parametrize(("side", "pairs"), [(256, 3), (64, 1), (128, 2), (32, 1), (28, 1), (8, 1)])
def test_maps_gate_those_four_doublings_above_or_the_last_one(side, pairs):
    """At 256 px: 4 gates 64, 8 gates 128, 16 gates 256 (fig. 3)."""
    with torch.device("meta"):
        g = image.fastgan.generator((3, side, side), 8, 8)
    assert len(g.gates) == pairs and g.skip == min(4, g.grid.doublings)


def test_a_gate_scales_channels_between_none_and_all():
    torch.manual_seed(0)
    excite, source, x = Excite(3, 5), torch.randn(2, 3, 9, 7), torch.randn(2, 5, 20, 30)
    got = excite(source, x)
    share = got / x
    torch.testing.assert_close(share, share[:, :, :1, :1].expand_as(share), rtol=1e-3, atol=1e-4)
    assert share.min() > 0 and share.max() < 1 and not torch.allclose(share[0], share[1])


@pytest.mark.parametrize("quarter", range(4))
def test_a_quarter_is_redrawn_from_the_features_of_that_quarter(quarter):
    d = image.fastgan.discriminator((1, 64, 64), 8).eval()
    x = torch.zeros(1, 1, 64, 64)
    (whole, all_of_it), (part, truth) = d.redrawn(x, None, quarter)
    assert whole.shape == all_of_it.shape == (1, 1, 64, 64) and part.shape == truth.shape == (1, 1, 32, 32)
    before = d.redrawn(x, None, 3 - quarter)[1][0]
    top, left = 32 * (quarter // 2), 32 * (quarter % 2)
    x[:, :, top + 15 : top + 17, left + 15 : left + 17] = 1
    changed, truth = d.redrawn(x, None, quarter)[1]
    assert truth.sum() == 4 and not torch.allclose(changed, part)
    after, truth = d.redrawn(x, None, 3 - quarter)[1]  # the opposite corner, too far for its features to see this one
    assert truth.sum() == 0 and torch.allclose(after, before, atol=1e-6)


def test_large_images_are_redrawn_smaller():
    with torch.device("meta"):
        d = image.fastgan.discriminator((3, 512, 1024), 1)
        pairs = d.redrawn(torch.empty(1, 3, 512, 1024), None, 0)
    assert [tuple(guess.shape[2:]) for guess, _ in pairs] == [(128, 256), (128, 256)]
    assert all(guess.shape == truth.shape for guess, truth in pairs)


def test_the_distance_is_the_mean_over_three_sizes():
    checks = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(4, 4)[None, None]
    zero = torch.zeros_like(checks)
    torch.testing.assert_close(distance(checks, zero), torch.tensor([1 / 3]), msg="averaged away at half size")
    torch.testing.assert_close(distance(zero + 0.5, zero), torch.tensor([0.5]))
    assert distance(torch.randn(3, 2, 4, 4), torch.randn(3, 2, 4, 4)).shape == (3,)


def test_redrawing_is_added_to_the_discriminators_loss_alone():
    method = recipe().method(SPEC)
    twin = recipe(redraw=0.0).method(SPEC)
    twin.load_state_dict(method.state_dict())
    torch.manual_seed(1)
    own = list(method.step(BATCH, NOW))
    torch.manual_seed(1)
    plain = list(twin.step(BATCH, NOW))
    extra = own[0].log["redrawn/distance"]
    torch.testing.assert_close(own[0].loss, plain[0].loss + extra)
    assert extra > 0 and "redrawn/distance" not in own[1].log | plain[0].log
    grads = torch.autograd.grad(own[1].loss, list(method.discriminator.whole.parameters()), allow_unused=True)
    assert all(grad is None for grad in grads), "the generator's loss does not redraw"


def test_the_decoders_learn_to_redraw():
    torch.manual_seed(0)
    method = recipe(lr=2e-3).method(SPEC)
    x = torch.linspace(-1, 1, 32).view(1, 1, 32, 1) * torch.linspace(-1, 1, 8).sign().view(8, 1, 1, 1)
    x = x.expand(8, 1, 32, 32).contiguous()
    found = [iterate(method, [{"x": x}], Progress(i, 8 * i, 800))["redrawn/distance"].item() for i in range(60)]
    assert found[-1] < 0.5 * found[0]


def test_other_networks_are_refused_unless_nothing_is_redrawn():
    with pytest.raises(UsageError, match="fastgan needs a discriminator that redraws.*--redraw 0"):
        recipe(networks="dcgan").method(SPEC)
    update = next(recipe(networks="dcgan", redraw=0.0).method(SPEC).step(BATCH, NOW))
    assert "redrawn/distance" not in update.log
