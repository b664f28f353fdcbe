"""ProGAN: when networks grow, what a half faded in resolution is, and that nothing jumps where one begins."""

import pytest
import torch
from torch.nn.functional import avg_pool2d, interpolate

from ganforge import recipes
from ganforge.core import recipe as recipes_json
from ganforge.core.ema import Average
from ganforge.core.errors import UsageError
from ganforge.core.method import Progress
from ganforge.core.method import at as at_fraction
from ganforge.data.images import Images
from ganforge.data.spec import DataSpec
from ganforge.methods.progressive import drift
from ganforge.networks import image
from ganforge.networks.image.progan import WHOLE
from ganforge.testing import check_accumulation
from tests.contract.toys import given_latents

SPEC = DataSpec((1, 16, 16), 0, (), 100)


def recipe(**options):
    return recipes_json.override(recipes.ProGAN(data=Images(path="digits")), {"width": 8, "z": 8, **options})


def pair(shape, classes=0):
    torch.manual_seed(0)
    return image.progan.generator(shape, 8, 4, classes), image.progan.discriminator(shape, 4, classes)


def at(networks, level):
    for network in networks:
        network.grow(level)
    return networks


def test_the_networks_for_1024_px_have_the_published_size():
    """23.1 M each (arXiv:1710.10196, table 2)."""
    with torch.device("meta"):
        networks = image.progan.generator((3, 1024, 1024), 512, 16), image.progan.discriminator((3, 1024, 1024), 16)
    assert [round(sum(p.numel() for p in network.parameters()) / 1e6, 1) for network in networks] == [23.1, 23.1]


def test_each_resolution_is_trained_alone_and_the_next_faded_in_for_as_long():
    method = recipe(growth=0.8).method(SPEC)  # 4, 8, 16 px: two to grow
    seen = {fraction: method.level(Progress(1, fraction, 1000)) for fraction in (0, 100, 200, 300, 400, 500, 600, 700, 800, 1000)}
    wanted = {0: 0, 100: 0, 200: 0, 300: 0.5, 400: 1, 500: 1, 600: 1, 700: 1.5, 800: 2, 1000: 2}
    assert seen == pytest.approx(wanted)


def test_without_growth_the_networks_are_whole_from_the_start():
    method = recipe(growth=0.0).method(SPEC)
    assert [method.level(Progress(1, fraction, 1000)) for fraction in (0, 500, 1000)] == [2, 2, 2]
    assert list(method.stages.values()) == [1.0]


def test_speed_and_memory_are_measured_at_every_size_for_its_share():
    method = recipe(growth=0.8).method(SPEC)
    assert [method.level(at_fraction(f)) for f in method.stages] == pytest.approx([0, 0.5, 1, 1.5, 2])
    assert list(method.stages.values()) == pytest.approx([0.2] * 5)


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 28, 28), (2, 36, 64), (1, 8, 8), (3, 100, 40)])
def test_all_levels_fit_together_and_a_trained_generator_draws_at_full_size(shape):
    g, d = pair(shape)
    for level in range(g.grid.doublings * 2 + 1):
        at((g, d), level / 2)
        drawn, shown = g(torch.randn(4, 8)), d.as_grown(torch.randn(4, *shape))
        assert drawn.shape == shown.shape and d(drawn).shape == d(torch.randn(4, *shape)).shape == (4,)
        assert g.eval()(torch.randn(4, 8)).shape == (4, *shape)
        g.train()


@pytest.mark.parametrize("low", [0, 1])
def test_nothing_jumps_where_a_new_resolution_begins(low):
    networks, z = pair((1, 16, 16)), torch.randn(4, 8)
    with torch.no_grad():
        g, d = at(networks, low)
        before, x = g(z), torch.randn(4, 1, 4 << low, 4 << low)
        logits, wide = d(x), interpolate(x, scale_factor=2, mode="nearest")
        at(networks, low + 1 / WHOLE)
        after = g(z)
        assert after.shape[2] == 2 * before.shape[2]
        assert (avg_pool2d(after, 2) - before).abs().max() < 0.02 * before.abs().max()
        torch.testing.assert_close(d(wide), logits, rtol=0.02, atol=0.02)
        at(networks, low + 1 - 1 / WHOLE)
        nearly = g(z)
        at(networks, low + 1)
        assert (g(z) - nearly).abs().max() < 0.02 * nearly.abs().max()


def test_real_images_fade_in_as_drawn_ones_do():
    _, d = at(pair((1, 16, 16)), 1.25)
    x = torch.randn(2, 1, 16, 16)
    coarse = interpolate(avg_pool2d(x, 2), scale_factor=2, mode="nearest")
    torch.testing.assert_close(d.as_grown(x), 0.75 * coarse + 0.25 * x)
    at([d], 1)
    torch.testing.assert_close(d.as_grown(x), avg_pool2d(x, 2))
    at([d], 2)
    assert torch.equal(d.as_grown(x), x)


def test_only_what_is_grown_learns_and_both_networks_work_at_the_level_of_the_moment():
    method = recipe(labels="none").method(SPEC)
    sizes = []
    method.discriminator.register_forward_hook(lambda _, given, __: sizes.append(tuple(given[0].shape[2:])))
    batch = {"x": torch.randn(4, 1, 16, 16)}
    for seen, side, parts in ((0, 4, {"first", "stem", "colours.0"}), (300, 8, {"first", "stem", "colours.0", "colours.1", "ups.0"})):
        sizes.clear()
        update = list(method.step(batch, Progress(1, seen, 1000 if seen else 1200)))[1]
        update.loss.backward(inputs=update.player.parameters)
        moved = {name for name, p in method.generator.named_parameters() if p.grad is not None}
        assert set(sizes) == {(side, side)} and update.log["level"] == method.generator.level / WHOLE
        assert {name.rpartition(".")[0].removesuffix(".conv1").removesuffix(".conv2") for name in moved} == parts


def test_an_average_knows_the_level_exactly_and_a_checkpoint_holds_it():
    method = recipe().method(SPEC)
    average = Average(method.exports, 0.05)
    method.generator.level.fill_(1234)
    average.update(Progress(100, 3200, 10000), 32)
    assert average.networks["generator"].level == 1234
    assert [key for key in method.state_dict() if key.endswith("level")] == ["game.generator.level", "game.discriminator.level"]


def test_levels_are_known_without_waiting_for_the_device(monkeypatch):
    method = recipe(labels="none").method(SPEC)
    monkeypatch.setattr(torch.Tensor, "__int__", lambda _: pytest.fail("a step reads the level off the device"))
    for seen, most in ((0, 0), (300, 1), (700, 2)):
        list(method.step({"x": torch.randn(4, 1, 16, 16)}, Progress(1, seen, 1000)))
        assert method.generator.at()[0] == most


def test_a_loaded_network_is_as_grown_as_the_saved_one_was():
    saved, loaded = recipe().method(SPEC), recipe().method(SPEC)
    list(saved.step({"x": torch.randn(4, 1, 16, 16)}, Progress(1, 150, 1000)))
    loaded.load_state_dict(saved.state_dict())
    for network in (loaded.generator, loaded.discriminator):
        assert network.train().at() == network.eval().at() == saved.generator.at() == (1, 0.2)


def test_drift_is_the_squared_logit_of_real_images():
    logits = torch.tensor([1.0, -2.0])
    assert torch.equal(drift(lambda _: logits, torch.zeros(2), torch.zeros(2)), torch.tensor([1.0, 4.0]))
    update = next(recipe().method(SPEC).step({"x": torch.randn(4, 1, 16, 16)}, Progress(0, 0, 100)))
    assert {"penalty/gradient_penalty", "penalty/drift"} <= set(update.log)
    assert "penalty/drift" not in next(recipe(drift=0.0).method(SPEC).step({"x": torch.randn(4, 1, 16, 16)}, Progress(0, 0, 100))).log


def test_micro_batches_add_up_to_the_batch():
    latents = [given_latents(parts=k) for k in (1, 2)]

    def build():
        method = recipe(z=4, penalty=[], optimizer="SGD", lr=0.01).method(SPEC)
        method.game.latent = latents.pop(0)
        return method

    check_accumulation(build, {"x": torch.randn(8, 1, 16, 16, generator=torch.Generator().manual_seed(0))})


def test_networks_that_do_not_grow_are_refused():
    with pytest.raises(UsageError, match="progan needs networks that grow: --networks progan"):
        recipe(networks="dcgan").method(SPEC)
