"""`model.apply`: the same kind out as in, and weights between faithful and lively; blending and previewing models."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file

import ganforge
from ganforge.core.errors import DataError, UsageError
from ganforge.data.spec import DataSpec
from ganforge.methods import tasks
from ganforge.networks.image import compose, restorers
from ganforge.networks.image.compact import Compact
from ganforge.networks.image.resnet_aa import ResNet
from ganforge.runs.model import Model
from ganforge.tasks import preview
from ganforge.tasks.apply import applier as appliers
from ganforge.tasks.apply.of_model import applier, chosen, has_strength, mixed, opened
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
    assert preview.sheet(model, Picture(array), side=64).image.width < 3 * (120 + preview.GAP), "one result, not three that are the same"


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
    folder, names, left = blend(a, b, 0.3, place / "deep" / "mixed")
    assert folder == place / "deep" / "mixed" and {*names} == {"generator", "faithful"} and not left
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
    found = ganforge.load(blend(place / "denoise", place / "another", share, place / f"end{share}").place)
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


def test_of_a_run_without_a_game_and_one_with_it_what_both_have_is_blended(place):
    """As the two of network interpolation: one learnt from distances alone, one against a critic as well."""
    plain = saved(place / "plain", seed=4, adversarial=0)
    assert [*ganforge.load(plain).networks] == ["generator"]
    for number, (a, b) in enumerate(((plain, place / "denoise"), (place / "denoise", plain))):
        folder, names, left = blend(a, b, 0.25, place / f"shared{number}")
        assert names == ("generator",) and left == ("faithful",)
        weights = [ganforge.load(model).networks["generator"].state_dict() for model in (a, b, folder)]
        assert all(torch.allclose(value, 0.75 * weights[0][key] + 0.25 * weights[1][key], atol=1e-6) for key, value in weights[2].items())
        assert [*ganforge.load(folder).networks] == ["generator"] and ganforge.load(folder).apply(noise(0, 9, 9)).shape == (9, 9, 3)


def test_without_a_name_a_blend_is_the_next_free_one_among_the_runs(place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("psnr").symlink_to(place / "denoise")
    saved(tmp_path / "gan" / "best", seed=3)
    for name in ("denoise-gan-0.3", "denoise-gan-0.3-2"):
        assert blend("psnr", "gan/best", 0.3).place == Path("runs") / name and (Path("runs") / name / "model.safetensors").is_file()
    assert sorted(p.name for p in Path("runs").iterdir()) == ["denoise-gan-0.3", "denoise-gan-0.3-2"], "nothing was written over"


@pytest.mark.parametrize("ending", [".safetensors", ".pth"])
def test_published_weights_become_a_file_of_weights_between(place, tmp_path, monkeypatch, ending):
    monkeypatch.chdir(tmp_path)
    networks = [rough(Compact(3, 3, 4, 1, 2, base=True), seed) for seed in (1, 2)]
    for name, network in zip("ab", networks, strict=True):
        (save_file if ending == ".safetensors" else torch.save)(network.state_dict(), f"{name}{ending}")
    made = blend(f"a{ending}", f"b{ending}", 0.5)
    assert made.place == Path("runs/a-b-0.5.safetensors") and not made.left
    found, ends = opened(made.place).networks["generator"].net.state_dict(), [network.state_dict() for network in networks]
    assert all(torch.allclose(value, (ends[0][key] + ends[1][key]) / 2, atol=1e-6) for key, value in found.items())
    with safe_open(made.place, "pt") as file:
        parents = json.loads(file.metadata()["blend"])
    assert [p["model"] for p in parents] == [f"a{ending}", f"b{ending}"] and parents[0]["sha256"] == opened(f"a{ending}").facts["sha256"]
    assert blend(f"a{ending}", f"b{ending}", 0.5).place == Path("runs/a-b-0.5-2.safetensors")
    for out, why in (("mixed", "ends in .safetensors"), (str(made.place), "exists already")):
        with pytest.raises(UsageError, match=why):
            blend(f"a{ending}", f"b{ending}", 0.5, out)
    with pytest.raises(UsageError, match="blend two of one kind"):
        blend(place / "denoise", f"a{ending}", 0.5)


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
        sheet, notes = preview.sheet(model, picture, side=64)
        assert not notes
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
    sheet = preview.sheet(translation(), Picture(noise(0, 20, 30, 1, np.uint16)), side=64).image
    assert sheet.size == (preview.GAP + 2 * (120 + preview.GAP), preview.HEAD + 20 + preview.GAP)


def panel(sheet, number, side, scale=1):
    """(h, w, 3) of the picture of that number on a sheet."""
    left = preview.GAP + number * (max(side * scale, 120) + preview.GAP)
    return np.asarray(sheet)[preview.HEAD : preview.HEAD + side * scale, left : left + side * scale]


def test_sixteen_bits_of_grey_are_shown_in_their_tones(denoise):
    down, across = np.mgrid[:64, :64]
    grey = (20_000 + 200 * down + 100 * across).astype(np.uint16)[..., None]
    sheet = preview.sheet(denoise, Picture(grey), side=64).image
    made = denoise.apply(grey[..., 0])
    assert np.array_equal(panel(sheet, 0, 64)[..., 0], np.rint(grey[..., 0] / 257)), "the input"
    assert np.array_equal(panel(sheet, 3, 64), np.rint(made / 257)[..., None].repeat(3, 2)) and panel(sheet, 3, 64).std() > 5, "no white"


def test_a_network_that_looks_at_whole_pictures_is_shown_what_it_makes_of_the_whole(monkeypatch):
    model, picture = translation(backward=rough(ResNet(3, 3, width=4, blocks=1), 7)), np.full((200, 240, 3), 90, np.uint8)
    picture[40:104, 80:144] = noise(0, 64, 64)
    top, left = preview.detailed(picture, 64)
    for export in ("generator", "backward"):
        assert not applier(model, export=export).exact
        sheet, notes = preview.sheet(model, Picture(picture), side=64, export=export)
        whole = model.apply(picture, network=export)[top : top + 64, left : left + 64]
        assert np.array_equal(panel(sheet, 1, 64), whole) and not notes
    monkeypatch.setattr(appliers, "WHOLE", 100 * 100)
    sheet, notes = preview.sheet(model, Picture(picture), side=64)
    assert notes == (preview.CUT,) and sheet.size == (preview.GAP + 2 * (120 + preview.GAP), preview.HEAD + 64 + preview.GAP)


def test_a_hole_that_goes_beyond_what_is_shown_is_filled_as_in_the_whole(place):
    model, picture = ganforge.load(saved(place / "holes", tasks.inpaint)), noise(0, 320, 1000)
    picture[:, 500:] //= 2
    found = np.zeros((320, 1000), bool)
    found[40:140, 30:970] = True
    top, left = 78, 909  # around the middle of what a part at (80, 912) has of the hole
    shown = panel(preview.sheet(model, Picture(picture), found, side=64).image, 3, 64)
    wanted = model.apply(picture, mask=found)[top : top + 64, left : left + 64]
    assert np.array_equal(shown, wanted) and not np.array_equal(wanted, picture[top : top + 64, left : left + 64])


def test_hints_are_seen_in_a_preview(place):
    model, grey = ganforge.load(saved(place / "hinted", tasks.colourise)), noise(0, 90, 100, 1)
    dots = noise(3, 90, 100, 4)
    dots[..., 3] = 255 * (np.arange(100) % 7 == 0)
    hints, (top, left) = Picture(dots[..., :3], dots[..., 3]), preview.detailed(grey, 64)
    plain, hinted = (panel(preview.sheet(model, Picture(grey), side=64, hints=given).image, 3, 64) for given in (None, hints))
    wanted = model.apply(grey[..., 0], hints=dots)[top : top + 64, left : left + 64]
    assert np.abs(hinted.astype(int) - wanted).max() <= 1 and not np.array_equal(plain, hinted)
    with pytest.raises(DataError, match="hints have 100x80 pixels"):
        preview.sheet(model, Picture(grey), side=64, hints=Picture(dots[:80, :, :3], dots[:80, :, 3]))


@pytest.mark.parametrize(("top", "left", "at"), [(200, 300, (178, 278)), (5, 580, (0, 536))])
def test_the_hole_lies_in_the_middle_of_a_preview_but_for_borders(place, top, left, at):
    model, picture = ganforge.load(saved(place / "middle", tasks.inpaint)), noise(0, 400, 600)
    found = np.zeros((400, 600), bool)
    found[top : top + 20, left : left + 20] = True
    shown = panel(preview.sheet(model, Picture(picture), found, side=64).image, 0, 64)
    assert np.array_equal(shown, picture[at[0] : at[0] + 64, at[1] : at[1] + 64])


def test_a_dot_of_known_colour_is_seen_in_a_preview_wherever_the_most_detail_is(place):
    model, grey = ganforge.load(saved(place / "dotted", tasks.colourise)), np.full((200, 300, 1), 90, np.uint8)
    grey[:64, :64] = noise(0, 64, 64, 1)
    colour, alpha = noise(1, 200, 300), np.zeros((200, 300), np.uint8)
    alpha[150:153, 250:253] = 255
    plain, hinted = (
        panel(preview.sheet(model, Picture(grey), side=64, hints=Picture(colour, clear)).image, 3, 64) for clear in (alpha * 0, alpha)
    )
    assert preview.detailed(grey, 64) == (0, 0)
    assert np.array_equal(plain, model.apply(grey[..., 0])[:64, :64]), "without a dot, the most detail"
    top, left = preview.detailed(grey, 64, alpha > 0)
    assert top <= 150 < top + 64 and left <= 250 < left + 64
    wanted = model.apply(grey[..., 0], hints=np.dstack((colour, alpha)))[top : top + 64, left : left + 64]
    assert np.abs(hinted.astype(int) - wanted).max() <= 1 and len(np.unique(hinted.reshape(-1, 3), axis=0)) > 1


def test_transparency_is_shown_on_white_in_every_panel(double):
    colour, alpha = noise(0, 80, 80), np.full((80, 80), 255, np.uint8)
    alpha[:, :40] = 0
    sheet = preview.sheet(double, Picture(colour, alpha), side=80).image
    for number in range(4):
        shown = panel(sheet, number, 80, 2)
        assert shown[:, :70].min() > 250 and shown[:, 90:].mean() < 200, number
