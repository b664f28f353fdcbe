"""Recipes of translation: published sizes and weights, and what they refuse."""

import numpy as np
import pytest
import torch
from PIL import Image

from ganforge.core import parallel
from ganforge.core import recipe as recipes_json
from ganforge.core.errors import UsageError
from ganforge.core.method import Progress
from ganforge.data.spec import DataSpec
from ganforge.distances import gram, ms_ssim
from ganforge.metrics import weights
from ganforge.metrics.features import perceptual as vgg
from ganforge.metrics.likeness import sight
from ganforge.metrics.perceptual import perceptual_distance
from ganforge.recipes import find
from ganforge.runs.likeness import eyes_of
from tests.faults.make import smooth
from tests.unit.test_translation_methods import NOW

NAMES = ("pix2pix", "cyclegan", "cut", "fastcut")
SPEC = DataSpec((3, 256, 256), given=(3, 256, 256))


def build(name, spec=SPEC, **options):
    return recipes_json.override(recipes_json.on(find(name), "somewhere"), options).method(spec)


def count(network):
    return sum(p.numel() for p in network.parameters())


def test_pix2pix_plays_as_published():
    """Its discriminator has 2,768,705 parameters with the batch norm of the paper, whose gains and biases instance norm lacks."""
    method = build("pix2pix")
    assert count(method.discriminator) == 2_767_809
    assert (method.adversarial_weight, method.pixel_weight, method.feature_weight) == (1.0, 100.0, 0.0)
    assert method.g.schedule(Progress(0, 50, 100)) == {"lr": 2e-4} and method.d.schedule(Progress(0, 75, 100))["lr"] == pytest.approx(1e-4)
    assert method.g.optimizer.defaults["betas"] == (0.5, 0.999)


def test_cyclegan_has_the_published_networks_and_weights():
    method = build("cyclegan")
    assert [count(n) for n in (method.generator, method.back)] == [11_378_179] * 2
    assert [count(n) for n in (method.critic_a, method.critic_b)] == [2_764_737] * 2
    assert (method.cycle_weight, method.identity_weight, len(method.pool_a.past), len(method.pool_b.past)) == (10.0, 5.0, 50, 50)


def test_cut_and_fastcut_differ_as_published():
    cut, fast = build("cut"), build("fastcut")
    for method in (cut, fast):
        assert (count(method.generator), count(method.discriminator), count(method.heads)) == (11_378_179, 2_764_737, 560_384)
        assert method.patches == 256
    assert (cut.contrast_weight, cut.identity, cut.mirror) == (1.0, True, False)
    assert (fast.contrast_weight, fast.identity, fast.mirror) == (10.0, False, True)
    assert [m.g.schedule(Progress(0, 70, 100))["lr"] for m in (cut, fast)] == [pytest.approx(1.2e-4), 2e-4]


def test_an_adversarial_weight_of_2_makes_our_halved_least_squares_the_published_ones():
    """One whose critics all say 0.25 pays (0.25 - 1)^2 for each."""
    tiny = {"width": 8, "d_width": 8, "blocks": 1}
    method = build("cyclegan", DataSpec((3, 16, 16), given=(3, 16, 16)), cycle_weight=0.0, identity_weight=0.0, **tiny)
    for critic in (method.critic_a, method.critic_b):
        critic.forward = lambda x, given=None: (torch.full((len(x), 4), 0.25), [])
    g, _ = method.step({"x": torch.zeros(2, 3, 16, 16), "given": torch.zeros(2, 3, 16, 16)}, NOW)
    assert g.loss.item() == pytest.approx(2 * 0.75**2)


def test_pix2pixhd_is_an_option():
    method = build("pix2pix", scales=2, loss="least_squares", adversarial_weight=2.0, pixel_weight=0.0, feature_weight=40.0)
    logits, maps = method.discriminator(*torch.rand(2, 1, 3, 64, 64))
    assert len(maps) == 8 and [row.shape[1] for row in logits] == [121, 49]  # four maps a scale
    d, _ = method.step({"x": torch.rand(1, 3, 64, 64), "given": torch.rand(1, 3, 64, 64)}, NOW)
    method.discriminator.forward = lambda x, given: ([torch.full((1, 121), 0.25), torch.full((1, 49), 0.5)], [x])
    method.feature_weight = 0.0
    _, g = method.step({"x": torch.zeros(1, 3, 64, 64), "given": torch.zeros(1, 3, 64, 64)}, NOW)
    assert d.loss.item() > 0 and g.loss.item() == pytest.approx(0.75**2 + 0.5**2)  # the published sum over scales


def test_a_unet_is_a_discriminator_of_pix2pix_at_any_number_of_scales():
    assert count(build("pix2pix", critic="unet", spectral=True).discriminator) == 4_376_897 + 3 * 64 * 3 * 3  # sees the input, too
    method = build("pix2pix", critic="unet", scales=2, width=4, d_width=4, depth=1, blocks=1)
    logits, maps = method.discriminator(*torch.rand(2, 1, 3, 18, 30))
    assert [row.shape[1] for row in logits] == [18 * 30, 9 * 15] and len(maps) == 2 * 9


def test_spade_is_an_option_of_pix2pix_alone_and_costs_nothing_by_default():
    plain, spade = build("pix2pix").generator, build("pix2pix", spade=True).generator
    assert not plain.spade and count(plain) == 6_196_131 and count(spade) > count(plain) and spade.reach == plain.reach
    tiny = build("pix2pix", DataSpec((3, 16, 16), given=(1, 16, 16)), spade=True, width=4, depth=2, blocks=1).generator
    assert tiny(torch.zeros(1, 1, 13, 9)).shape == (1, 3, 13, 9)


@pytest.mark.parametrize("name", NAMES)
def test_weighed_parts_are_off_by_default(name):
    assert build(name, width=4, d_width=4, **({"depth": 2} if name == "pix2pix" else {"blocks": 1})).terms == {}


@pytest.mark.parametrize("name", NAMES)
def test_parts_that_need_no_right_answer_are_options_of_all(name):
    spec, tiny = DataSpec((3, 16, 16), given=(3, 16, 16)), {"width": 4, "d_width": 4, "blocks": 1}
    method = build(name, spec, colour_weight=2.0, tv_weight=0.5, **tiny, **({"depth": 2} if name == "pix2pix" else {}))
    assert {key: weight for key, (_, weight) in method.terms.items()} == {"colour": 2.0, "variation": 0.5}
    batch = {"x": torch.rand(2, 3, 16, 16), "given": torch.rand(2, 3, 16, 16)}
    logs = [update.log for update in method.step(batch, NOW) if update.player.name == "generator"]
    assert {"distance/colour", "distance/variation"} <= logs[0].keys()


def test_pix2pix_looks_through_the_eyes_that_are_asked_for(monkeypatch):
    """The network is read once, when the first images come, and is no judge of the result any more."""
    torch.manual_seed(0)
    asked = []
    net = vgg.Maps("vgg16").requires_grad_(False)
    monkeypatch.setattr(vgg, "load", lambda *options: asked.append(options[:2]) or (net, "0"))
    monkeypatch.setattr(weights, "at_hand", lambda name, *more: True)
    options = {"perceptual_weight": 2.0, "style_weight": 3.0, "structure_weight": 1.0, "eyes": "vgg16", "pixel_weight": 0.0}
    spec = DataSpec((3, 32, 32), given=(3, 32, 32))
    method = build("pix2pix", spec, adversarial_weight=0.0, width=4, d_width=4, depth=2, blocks=1, **options)
    assert set(method.terms) == {"structure", "perceptual", "style"} and not asked and eyes_of(method) == "efficientnet-lite0"
    assert eyes_of(build("pix2pix", spec, structure_weight=1.0, width=4, d_width=4)) == "" and eyes_of(method, "vgg16") == "vgg16"
    batch = {"x": torch.rand(1, 3, 32, 32) * 2 - 1, "given": torch.rand(1, 3, 32, 32) * 2 - 1}
    *_, g = method.step(batch, NOW)
    assert asked == [("vgg16", None)]
    made = method.generator(batch["given"])
    look, style = perceptual_distance(net, made, batch["x"]).mean(), gram(net(made), net(batch["x"])).mean()
    torch.testing.assert_close(g.log["distance/perceptual"], look)
    torch.testing.assert_close(g.log["distance/style"], style)
    torch.testing.assert_close(g.loss, 2 * look + 3 * style + ms_ssim(made, batch["x"]).mean())
    slopes = torch.autograd.grad(g.loss, [method.generator.head.weight])
    assert slopes[0].isfinite().all() and slopes[0].abs().sum() > 0


def test_pictures_can_be_judged_by_vgg16_which_nobody_gets_unasked(monkeypatch, tmp_path):
    torch.manual_seed(0)
    net = vgg.Maps("vgg16").requires_grad_(False)
    monkeypatch.setattr(vgg, "load", lambda *options: (net, "0"))
    found = sight("vgg16", tmp_path, "cpu")
    a, b = torch.rand(2, 2, 1, 16, 16) * 2 - 1
    assert found.name == "perceptual-vgg16" and found.distance(a, b).shape == (2,) and (found.distance(a, b) > found.distance(a, a)).all()
    monkeypatch.setattr(weights, "at_hand", lambda *options: False)
    assert sight("", tmp_path, "cpu").name == "perceptual-random"


@pytest.mark.parametrize("name", NAMES)
def test_options_survive_recipe_json(name):
    recipe = recipes_json.override(recipes_json.on(find(name), "there"), {"width": 12, "lr_hold": 0.25, "loss": "hinge", "batch": 3})
    assert recipe.run.batch == 3 and recipes_json.rebuild(type(recipe), recipes_json.describe(recipe), [name]) == recipe


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("pix2pix", {"depth": 9}, "--depth must be from 1 to 8; got 9"),
        ("pix2pix", {"pixel_weight": -1.0}, "--pixel-weight must be at least 0"),
        ("pix2pix", {"lr_hold": 1.0}, "--lr-hold must be from 0 to 0.999"),
        ("pix2pix", {"width": 0}, "--width must be at least 1"),
        ("cyclegan", {"loss": "relativistic"}, "no pairs for a relativistic loss"),
        ("cyclegan", {"pool": -1}, "--pool must be from 0"),
        ("cyclegan", {"cycle_weight": float("nan")}, "--cycle-weight must be at least 0; got nan"),
        ("cut", {"loss": "relativistic_average"}, "no pairs for a relativistic loss"),
        ("cut", {"patches": 1}, "--patches must be at least 2"),
        ("fastcut", {"adversarial_weight": -1.0}, "--adversarial-weight must be at least 0"),
        ("pix2pix", {"tv_weight": -1.0}, "--tv-weight must be at least 0"),
        ("pix2pix", {"style_weight": float("nan")}, "--style-weight must be at least 0"),
        ("cyclegan", {"colour_weight": -1.0}, "--colour-weight must be at least 0"),
        ("cut", {"contrast_weight": -1.0}, "--contrast-weight must be at least 0"),
        ("pix2pix", {"feature_weight": -1.0}, "--feature-weight must be at least 0"),
        ("pix2pix", {"critic": "unets"}, "'unets' is not in ganforge.networks.image.critics. Did you mean 'unet'. It has: patch, unet"),
        ("pix2pix", {"eyes": "vgg"}, "--eyes must be efficientnet-lite0 or vgg16; got 'vgg'. Did you mean 'vgg16'"),
        ("pix2pix", {"eyes": "vgg16"}, "--eyes needs --perceptual-weight or --style-weight above 0"),
        ("pix2pix", {"size": 8, "structure_weight": 1.0}, "looks at 11 x 11 pixels: --size 8 is too small"),
        ("pix2pix", {"size": 8, "style_weight": 1.0}, "looks at 16 x 16 pixels: --size 8 is too small"),
        ("cut", {"optimizer": "Adm"}, "Did you mean 'Adam'"),
    ],
)
def test_options_that_make_no_sense_are_refused(name, options, says):
    with pytest.raises(UsageError, match=says):
        build(name, **options)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("given", [(), (3, 64, 64)])
def test_data_that_cannot_be_translated_are_refused(name, given):
    with pytest.raises(UsageError, match="inputs and outputs of one size"):
        build(name, DataSpec((3, 128, 128), given=given))


def test_domains_of_other_channels_need_other_options():
    grey = DataSpec((3, 32, 32), given=(1, 32, 32))
    with pytest.raises(UsageError, match="--identity-weight needs domains of as many channels; got 1 and 3"):
        build("cyclegan", grey)
    with pytest.raises(UsageError, match="contrast needs domains of as many channels"):
        build("cut", grey)
    with pytest.raises(UsageError, match="--residual needs domains of as many channels; got 1 and 3"):
        build("cyclegan", grey, identity_weight=0.0, residual=True)
    with pytest.raises(UsageError, match="--colour-weight needs domains of as many channels; got 1 and 3"):
        build("cyclegan", grey, identity_weight=0.0, colour_weight=1.0)
    method = build("cyclegan", grey, identity_weight=0.0, tv_weight=1.0, width=8, d_width=8, blocks=1)
    assert method.generator(torch.zeros(1, 1, 32, 32)).shape == (1, 3, 32, 32)
    assert build("pix2pix", grey, width=8).generator(torch.zeros(1, 1, 32, 32)).shape == (1, 3, 32, 32)


def test_masks_are_refused_as_nothing_would_fill_their_holes(tmp_path, monkeypatch):
    monkeypatch.setenv("GANFORGE_CACHE", str(tmp_path / "cache"))
    for folder in ("images", "masks"):
        (tmp_path / "in" / folder).mkdir(parents=True)
    for k in range(4):
        Image.fromarray(smooth(k)).save(tmp_path / "in" / "images" / f"{k}.png")
        Image.fromarray((np.arange(64) < 9 + k).astype(np.uint8) * np.full((64, 1), 255, np.uint8)).save(
            tmp_path / "in" / "masks" / f"{k}.png"
        )
    with pytest.raises(UsageError, match="in holds images with masks, and pix2pix fills no holes: .*--task inpaint.* into label/"):
        recipes_json.on(find("pix2pix"), str(tmp_path / "in")).dataset()
    (tmp_path / "in" / "masks").rename(tmp_path / "in" / "label")
    assert recipes_json.on(find("pix2pix"), str(tmp_path / "in")).dataset().spec.given == (3, 64, 64)


def test_maps_can_be_mirrored_back_where_8_divides_the_size_and_only_there():
    """A generator whose filters are the same from left and right makes the same of a mirrored image, mirrored, but for its padding."""
    torch.manual_seed(0)
    tiny = {"width": 4, "d_width": 4, "blocks": 2}
    for size in (16, 20, 24, 100):
        spec = DataSpec((3, size, size), given=(3, size, size))
        generator = build("cut", spec, **tiny).generator
        for layer in [m for m in generator.modules() if isinstance(m, torch.nn.Conv2d)]:
            layer.weight.data += layer.weight.data.flip(3)
        x = torch.rand(1, 3, size, size) * 2 - 1
        pairs = zip(generator.features(x), generator.features(x.flip(3)), strict=True)
        straight = all(torch.allclose(a, b.flip(3), atol=1e-4) for a, b in pairs)
        assert straight == (size % 8 == 0), size
        if straight:
            assert build("fastcut", spec, **tiny).mirror
        else:
            with pytest.raises(UsageError, match=f"--mirror needs a --size that 8 divides; got {size}. Nearest: "):
                build("fastcut", spec, **tiny)


def test_a_cyclegan_over_several_processes_says_that_its_pools_are_not_kept(monkeypatch):
    recipe = recipes_json.on(find("cyclegan"), "somewhere")
    assert recipe.plan(SPEC, None) == (recipe, [])
    monkeypatch.setattr(parallel, "world", lambda: (0, 2))
    same, (note,) = recipe.plan(SPEC, None)
    assert same is recipe and "no longer bit-identical" in note and "--pool 0" in note
    assert recipes_json.override(recipe, {"pool": 0}).plan(SPEC, None)[1] == []
