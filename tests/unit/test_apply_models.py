"""`model.apply`: the same kind out as in, and weights between faithful and lively; blending and previewing models."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

import ganforge
from ganforge.core.errors import DataError, UsageError
from ganforge.data.spec import DataSpec
from ganforge.methods import tasks
from ganforge.networks.image import compose, restorers
from ganforge.networks.image.resnet_aa import ResNet
from ganforge.runs.model import Model
from ganforge.tasks import preview
from ganforge.tasks.apply.of_model import applier, chosen, has_strength, mixed
from ganforge.tasks.apply.pictures import Picture
from ganforge.tasks.blend import blend

from .apply_toys import noise, rough, saved


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def denoise(place):
    return ganforge.load(saved(place / "denoise"))


@pytest.fixture(scope="module")
def double(place):
    return ganforge.load(saved(place / "double", tasks.super_resolution, scale=2))


def test_pil_in_pil_out(double):
    for mode in ("L", "RGB", "RGBA", "LA", "I;16"):
        deep = Image.fromarray(noise(0, 13, 21, 1, np.uint16)[..., 0])
        image = deep if mode == "I;16" else Image.fromarray(noise(0, 13, 21, 4)).convert(mode)
        made = double.apply(image)
        assert (made.mode, made.size) == (mode, (42, 26))


@pytest.mark.parametrize("shape", [(9, 7), (9, 7, 1), (9, 7, 2), (9, 7, 3), (9, 7, 4), (1, 1)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_arrays_in_arrays_of_the_same_kind_out(denoise, shape, dtype):
    array = noise(0, *shape[:2], shape[2] if len(shape) == 3 else 1, dtype).reshape(shape)
    made = denoise.apply(array)
    assert made.shape == shape and made.dtype == dtype


def test_tensors_in_tensors_out_and_all_three_agree(denoise):
    array = noise(0, 20, 31)
    x = torch.from_numpy(array).permute(2, 0, 1).float() / 127.5 - 1
    one, two = denoise.apply(x), denoise.apply(torch.stack([x, -x]))
    assert one.shape == (3, 20, 31) and two.shape == (2, 3, 20, 31) and torch.equal(two[0], one) and one.dtype == torch.float32
    with torch.inference_mode():
        assert torch.allclose(denoise.networks["generator"](x[None])[0], one, atol=1e-6)
    drawn = (one * 127.5 + 128).clamp(0, 255).to(torch.uint8).permute(1, 2, 0).numpy()
    assert np.array_equal(denoise.apply(array), drawn) and np.array_equal(np.asarray(denoise.apply(Image.fromarray(array))), drawn)
    assert denoise.apply(x[:1]).shape == (1, 20, 31), "grey stays grey"


@pytest.mark.parametrize(
    ("image", "why"),
    [
        ("photo.jpg", "got str"),
        (np.zeros((4, 4), np.float32), "uint8 or uint16; got float32"),
        (np.zeros((4, 4, 5), np.uint8), r"\(4, 4, 5\)"),
        (np.zeros((0, 4), np.uint8), r"\(0, 4\)"),
        (torch.zeros(4, 4), r"\(4, 4\)"),
        (torch.zeros(3, 4, 4, dtype=torch.uint8), "torch.uint8"),
    ],
)
def test_what_is_no_image_is_refused_in_words(denoise, image, why):
    with pytest.raises(UsageError, match=why):
        denoise.apply(image)


def test_an_image_without_a_known_white_is_refused(denoise):
    with pytest.raises(DataError, match="floating point"):
        denoise.apply(Image.fromarray(np.zeros((4, 4), np.float32)))


def test_holes_by_image_array_and_tensor(place):
    model = ganforge.load(saved(place / "fill", tasks.inpaint))
    array, hole = noise(0, 40, 50), np.zeros((40, 50), bool)
    hole[5:9, 7:20] = True
    made = model.apply(array, mask=hole)
    assert np.array_equal(made[~hole], array[~hole]) and (made[hole] != array[hole]).any()
    flat = torch.from_numpy(hole)
    ones = hole.astype(np.uint8)
    numbers = (ones, ones * 255, ones[..., None], ones.astype(np.int64), ones.astype(np.uint16) * 65535, ones * 0.9, ones * 255.0)
    for mask in (Image.fromarray(hole), Image.fromarray(ones * 255), Image.fromarray(ones), flat, flat[None].float(), *numbers):
        assert np.array_equal(model.apply(array, mask=mask), made)
    x = torch.from_numpy(array).permute(2, 0, 1).float() / 127.5 - 1
    drawn = model.apply(x, mask=hole)
    assert torch.equal(drawn[:, ~torch.from_numpy(hole)], x[:, ~torch.from_numpy(hole)])
    both = model.apply(torch.stack([x, x]), mask=torch.stack([flat, ~flat]))
    assert torch.equal(both[0], drawn) and torch.equal(both[1], model.apply(x, mask=~hole)) and not torch.equal(both[0], both[1])
    assert torch.equal(model.apply(torch.stack([x, x]), mask=flat[None])[1], drawn)
    for wrong in (hole.T, hole[:3], np.stack([hole] * 3), np.zeros((40, 50, 3), bool), hole.astype(str), 7):
        with pytest.raises(UsageError, match="shape of its image"):
            model.apply(array, mask=wrong)


def test_grey_gets_colours_and_keeps_its_luminance(place):
    model = ganforge.load(saved(place / "colours", tasks.colourise))
    grey = noise(0, 24, 30, 1)[..., 0] // 2 + 64
    made = np.asarray(model.apply(Image.fromarray(grey)))
    assert made.shape == (24, 30, 3) and np.ptp(made.astype(int), axis=2).max() > 2
    assert np.abs(made @ np.array([0.299, 0.587, 0.114]) - grey).max() <= 1
    again = np.asarray(model.apply(np.stack([grey] * 3, 2)))
    assert np.abs(again.astype(int) - made).max() <= 1


@pytest.mark.parametrize("network", [restorers.resunet, restorers.compact, restorers.rrdb])
def test_every_network_that_colours_can_be_applied(place, network):
    """RRDB folds pixels into channels, so that its first convolution sees more of them than it is given."""
    model = ganforge.load(saved(place / f"colours-{network.network.__name__}", tasks.colourise, network=network))
    assert model.apply(Image.fromarray(noise(0, 9, 10, 1)[..., 0])).mode == "RGB"


def test_dots_of_known_colour_are_given_to_the_network(place, denoise):
    model = ganforge.load(saved(place / "hints", tasks.colourise))
    truth = torch.from_numpy(noise(1, 24, 30) // 2 + 64).permute(2, 0, 1)[None].float() / 127.5 - 1
    dots = torch.zeros(1, 1, 24, 30)
    dots[..., 5:9, 7:12] = 1
    grey = compose.luma(truth)
    given = torch.cat([grey, compose.chroma(truth) * dots, dots], 1)
    wanted = model.networks["generator"](given)[0]
    colours = np.dstack([noise(1, 24, 30) // 2 + 64, np.where(dots[0, 0] > 0, 200, 90).astype(np.uint8)])
    colours[..., :3][colours[..., 3] == 90] = 13, 99, 240  # what lies under what is not opaque does not matter
    for hints in (colours, Image.fromarray(colours)):
        torch.testing.assert_close(model.apply(grey[0], hints=hints), wanted, rtol=0, atol=1e-5)
    assert not torch.allclose(model.apply(grey[0]), wanted, atol=1e-3)
    with pytest.raises(DataError, match="hints have 30x20 pixels, their picture 30x24"):
        model.apply(grey[0], hints=colours[:20])
    with pytest.raises(DataError, match="no transparency"):
        model.apply(grey[0], hints=colours[..., :3].copy())
    with pytest.raises(UsageError, match="takes no dots of known colour"):
        denoise.apply(noise(0, 24, 30), hints=colours)


def test_a_strength_between_weights_that_are_the_same_is_told_to_change_nothing(place, denoise, caplog):
    model = ganforge.load(saved(place / "alike", alike=True))
    array = noise(0, 20, 20)
    assert np.array_equal(model.apply(array, strength=0.3), model.apply(array)) and caplog.text.count("changes nothing") == 1
    assert has_strength(denoise) and not has_strength(model)
    caplog.clear()
    model.apply(array), denoise.apply(array, strength=0.3)
    assert not caplog.text
    assert preview.sheet(model, Picture(array), side=64).width < 3 * (120 + preview.GAP), "one result, not three that are the same"


def test_strength_goes_from_faithful_to_lively(denoise):
    array = noise(0, 20, 20)
    ends = {name: applier_of(denoise, name, array) for name in ("faithful", "generator")}
    assert not np.array_equal(ends["faithful"], ends["generator"])
    assert np.array_equal(denoise.apply(array, strength=0), ends["faithful"])
    assert np.array_equal(denoise.apply(array, strength=1), ends["generator"])
    assert np.array_equal(denoise.apply(array), ends["generator"])
    middle = denoise.apply(array, strength=0.5)
    weights = {k: (v + denoise.networks["generator"].state_dict()[k]) / 2 for k, v in denoise.networks["faithful"].state_dict().items()}
    assert all(torch.allclose(v, weights[k], atol=1e-6) for k, v in chosen(denoise, 0.5).state_dict().items())
    assert not np.array_equal(middle, ends["faithful"]) and not np.array_equal(middle, ends["generator"])
    for wrong in (-0.1, 1.5):
        with pytest.raises(UsageError, match="strength goes from 0"):
            denoise.apply(array, strength=wrong)


def applier_of(model, network, array):
    from ganforge.tasks.apply import images

    return images.apply(applier(model, export=network), array)


def translation(given=(3, 64, 64), **more):
    torch.manual_seed(0)
    networks = {"generator": ResNet(given[0], 3, width=4, blocks=1), **more}
    return Model(object(), networks, DataSpec((3, 64, 64), given=given), {"recipe": "cut", "sha256": "ab" * 32})


def test_a_translation_colours_grey_inputs_and_takes_grey_ones():
    image = Image.fromarray(noise(0, 33, 41, 1)[..., 0])
    for given in ((3, 64, 64), (1, 64, 64)):
        assert translation(given).apply(image).mode == "RGB"
    with pytest.raises(UsageError, match="one set of weights"):
        translation().apply(image, strength=0.5)
    with pytest.raises(UsageError, match="4 channels"):
        translation((4, 64, 64)).apply(image)


def test_the_way_back_of_a_cycle_is_a_network_by_name():
    model = translation(backward=rough(ResNet(3, 3, width=4, blocks=1), 7))
    one, other = (applier_of(model, name, noise(0, 20, 20)) for name in ("generator", "backward"))
    assert not np.array_equal(one, other)
    assert np.array_equal(model.apply(noise(0, 20, 20), network="backward"), other) and np.array_equal(model.apply(noise(0, 20, 20)), one)
    with pytest.raises(UsageError, match="no network 'backwards'. Did you mean 'backward'"):
        applier(model, export="backwards")


def test_models_that_draw_from_seeds_are_refused(place):
    model = Model(object(), {"generator": torch.nn.Linear(2, 2)}, DataSpec((3, 8, 8)), {})
    with pytest.raises(UsageError, match="gan generate"):
        model.apply(noise(0, 8, 8))


# ---- blending


def test_a_blend_is_a_model_with_weights_between_and_its_lineage(place):
    a, b = place / "denoise", saved(place / "other", seed=5)
    folder = blend(a, b, 0.3, place / "deep" / "mixed")
    found, (one, other) = ganforge.load(folder), (ganforge.load(x) for x in (a, b))
    for name in ("generator", "faithful"):
        weights = [model.networks[name].state_dict() for model in (one, other)]
        for key, value in found.networks[name].state_dict().items():
            assert torch.allclose(value, 0.7 * weights[0][key] + 0.3 * weights[1][key], atol=1e-6)
    parents = json.loads((folder / "config.json").read_text())["blend"]
    assert [(p["model"], round(p["share"], 6), p["seen"]) for p in parents] == [("denoise", 0.7, 7), ("other", 0.3, 7)]
    assert parents[1]["sha256"] == other.facts["sha256"]
    card = (folder / "README.md").read_text()
    assert "70% of the weights of denoise" in card and "30% of the weights of other" in card
    assert np.array_equal(found.apply(noise(0, 9, 9)), ganforge.load(folder).apply(noise(0, 9, 9)))


@pytest.mark.parametrize(("share", "like"), [(0.0, "denoise"), (1.0, "another")])
def test_the_ends_of_a_blend_are_the_models(place, share, like):
    saved(place / "another", seed=9)
    found = ganforge.load(blend(place / "denoise", place / "another", share, place / f"end{share}"))
    assert np.array_equal(found.apply(noise(0, 9, 9)), ganforge.load(place / like).apply(noise(0, 9, 9)))


def test_what_cannot_be_blended_is_refused_before_anything_is_written(place, double):
    wide = saved(place / "wide", width=6)
    for b, why in ((wide, "weights differ in name or shape"), (place / "double", "not of one architecture")):
        with pytest.raises(UsageError, match=why):
            blend(place / "denoise", b, 0.5, place / "never")
    with pytest.raises(UsageError, match="from 0, all of the first"):
        blend(place / "denoise", place / "denoise", 1.5, place / "never")
    with pytest.raises(UsageError, match="not an empty folder"):
        blend(place / "denoise", place / "denoise", 0.5, place / "double")
    assert not (place / "never").exists()


def test_counts_are_taken_from_the_second_network():
    a, b = torch.nn.BatchNorm2d(2), torch.nn.BatchNorm2d(2)
    a.num_batches_tracked.fill_(3)
    b.num_batches_tracked.fill_(8)
    assert int(mixed(a, b, 0.4).num_batches_tracked) == 8


# ---- previews


def test_the_most_detailed_part_is_found():
    colour = np.full((600, 900, 3), 100, np.uint8)
    colour[300:500, 610:820] = noise(0, 200, 210)
    top, left = preview.detailed(colour, 256)
    assert top <= 300 and top + 256 >= 500 and left <= 610 and left + 256 >= 820
    assert preview.detailed(colour[:40, :30], 256) == (0, 0)


def test_a_sheet_shows_the_input_and_each_strength(double, denoise):
    for model, scale in ((double, 2), (denoise, 1)):
        picture = Picture(noise(0, 300, 280))
        sheet = preview.sheet(model, picture, side=64)
        step = max(64 * scale, 120) + preview.GAP
        assert sheet.mode == "RGB" and sheet.size == (preview.GAP + 4 * step, preview.HEAD + 64 * scale + preview.GAP)
        panels = [
            np.asarray(sheet)[preview.HEAD : -preview.GAP, preview.GAP + k * step : preview.GAP + k * step + 64 * scale] for k in range(4)
        ]
        assert all(not np.array_equal(panels[k], panels[k + 1]) for k in range(3))
        top, left = preview.detailed(picture.colour, 64)
        whole = model.apply(picture.colour)[top * scale : (top + 64) * scale, left * scale : (left + 64) * scale]
        assert np.abs(panels[3].astype(int) - whole).max() <= 1, "what is shown is what will be made"


def test_a_sheet_of_one_strength_and_of_small_and_deep_pictures():
    sheet = preview.sheet(translation(), Picture(noise(0, 20, 30, 1, np.uint16)), side=64)
    assert sheet.size == (preview.GAP + 2 * (120 + preview.GAP), preview.HEAD + 20 + preview.GAP)
