"""Classical rivals: each must do its work on a picture where that is possible, and differences of colour against published values."""

import sys
from functools import partial

import numpy as np
import pytest
import torch

from ganforge.core.errors import DataError, UsageError
from ganforge.data.degrade import kernels, masks
from ganforge.data.degrade.atoms import blur, resized
from ganforge.data.degrade.presets import blurred, clean, jpeg, low_light, noise
from ganforge.metrics import classical
from ganforge.metrics.classical import TASKS, Known, best, colouring, denoising, optics, psnr, restored
from ganforge.metrics.colour import ciede2000, delta_e76, delta_e2000, lab


def picture(side=48, seed=0):
    """(side, side, 3) uint8 of soft shapes and sharp edges."""
    draw = torch.Generator().manual_seed(seed)
    soft = resized(torch.rand(1, 3, 4, 4, generator=draw) * 1.4 - 0.7, side, side)
    for _ in range(4):
        top, left = (int(torch.randint(0, side // 2, (1,), generator=draw)) for _ in range(2))
        soft[:, :, top : top + side // 3, left : left + side // 3] = torch.rand(3, 1, 1, generator=draw) * 1.6 - 0.8
    return array(soft)


def array(x):
    return ((x[0] + 1) * 127.5).round().clamp(0, 255).byte().permute(1, 2, 0).contiguous().numpy()


def tensor(image):
    return torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1


def whole(image, size=None):
    """All that any task has to know about an image."""
    h, w = image.shape[:2]
    hole = np.zeros((h, w), bool)
    hole[h // 2, : max(w // 2, 1)] = True
    kernel = kernels.gaussian(5, torch.tensor([1.0]))[0].numpy()
    return Known(kernel=kernel, hole=hole, target=colouring.palette([picture(16, 5)]), source=colouring.palette([picture(16, 6)]))


@pytest.mark.parametrize("size", [(1, 1), (2, 9), (33, 24)])
@pytest.mark.parametrize("task", TASKS)
def test_every_method_takes_any_size(task, size):
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    before = image.copy()
    found = restored(task, image, whole(image))
    scale = 2 if task == "super-resolution" else 1
    assert len(found) > 1 and (image == before).all()
    for name, made in found.items():
        assert made.shape == (size[0] * scale, size[1] * scale, 3) and made.dtype == np.uint8, name


@pytest.mark.parametrize("task", ["denoise", "colourise", "super-resolution"])
def test_grey_images_count_as_three_equal_colours(task):
    grey = picture()[:, :, 0]
    found, wanted = restored(task, grey), restored(task, np.repeat(grey[:, :, None], 3, 2))
    assert all((found[name] == wanted[name]).all() for name in wanted)


def gain(task, given, truth, known=None):
    found = best(task, [given], [truth], [known or Known()])
    return found, found.score - found.scores["unchanged"]


def test_noise_is_lessened_by_every_method():
    truth = picture(96)
    given = array(noise(25)(tensor(truth)))
    found, more = gain("denoise", given, truth, Known(sigma=25))
    assert more > 5
    for family in ("nlm", "tv", "wavelet", "bilateral"):
        assert max(score for name, score in found.scores.items() if name.startswith(family)) > found.scores["unchanged"] + 2, family
    guessed, _ = gain("denoise", given, truth)  # without being told the noise
    assert guessed.score > found.score - 1.5


def test_blocks_are_smoothed():
    truth = picture(96)
    assert gain("dejpeg", array(jpeg(10)(tensor(truth))), truth)[1] > 0.3


def test_a_known_blur_is_undone():
    truth = picture(64)
    kernel = kernels.disc(9, torch.tensor([3.0]))
    given = array(blur(tensor(truth), kernel))
    found, more = gain("deblur", given, truth, Known(kernel=kernel[0].numpy()))
    assert more > 2.5
    for family in ("wiener", "richardson-lucy"):
        assert max(score for name, score in found.scores.items() if name.startswith(family)) > found.scores["unchanged"] + 1, family
    point = np.zeros((5, 5))
    point[2, 2] = 1
    assert psnr(optics.richardson_lucy(truth, point, 5), truth) > 45
    assert (optics.wiener(truth, point, 0.0) == truth).all()


def test_a_blur_that_nobody_knows_is_lessened_by_unsharp_masks():
    truth = picture(64)
    given = array(blur(tensor(truth), kernels.gaussian(9, torch.tensor([1.5]))))
    found, more = gain("deblur", given, truth)
    assert found.name.startswith("unsharp") and more > 0.5
    assert {name.split()[0] for name in found.scores} == {"unchanged", "unsharp"}
    flat = np.full((9, 9, 3), 77, np.uint8)
    assert (optics.unsharp(flat, 2, 2.0) == flat).all()


def test_methods_against_blocks_go_by_the_quality_where_it_is_known():
    truth = picture(32)
    plain, told = restored("dejpeg", truth), restored("dejpeg", truth, Known(quality=10))
    assert {*told} - {*plain} == {f"{way} of quality {by:g}" for way in ("nlm", "tv", "bilateral") for by in (0.5, 0.8, 1.2)}
    levels = [denoising.lost(quality) for quality in (1, 10, 30, 49, 50, 75, 100)]
    assert levels == sorted(levels, reverse=True) and levels[1] == 10 and levels[-1] > 0
    strong, mild = (restored("dejpeg", array(jpeg(q)(tensor(truth))), Known(quality=q), "tv of quality 1.2") for q in (5, 95))
    moved = [abs(made["tv of quality 1.2"].astype(int) - array(jpeg(q)(tensor(truth)))).mean() for made, q in ((strong, 5), (mild, 95))]
    assert moved[0] > 1.5 * moved[1]


def test_a_lopsided_blur_is_undone_by_the_kernel_that_is_told_and_not_by_its_mirror_image(monkeypatch):
    corner = torch.zeros(17, 17)
    corner[8:15, 8] = corner[8, 8:15] = 1 / 13
    monkeypatch.setattr(kernels, "shake", lambda size, lengths: corner.expand(len(lengths), 17, 17))
    monkeypatch.setattr(kernels, "disc", kernels.shake)
    truth = picture(96)
    torch.manual_seed(0)
    given, told = blurred(tensor(truth))
    ours, mirrored = (psnr(optics.wiener(array(given), kernel, 0.01), truth) for kernel in (told[0].numpy(), told[0].flip(0, 1).numpy()))
    assert ours > psnr(array(given), truth) + 2 > mirrored + 2


def test_a_dark_picture_becomes_light():
    truth = picture(64)
    assert gain("low-light", array(low_light(tensor(truth))), truth)[1] > 5


@pytest.mark.parametrize("curve", [denoising.gamma, denoising.gain])
def test_the_brightness_that_is_asked_is_met(curve):
    dark = (picture() * 0.3).astype(np.uint8)
    assert curve(dark, 0.42).mean() / 255 == pytest.approx(0.42, abs=0.01)
    assert (curve(np.zeros((4, 4, 3), np.uint8), 0.42) == 0).all()


def test_a_faded_picture_gets_its_range_back():
    truth = picture(64)
    faded = (truth * 0.4 + 110).astype(np.uint8)
    assert gain("old-photo", faded, denoising.stretched(truth))[1] > 6
    tinted = (truth.mean(2, keepdims=True) * (1.0, 0.8, 0.6)).astype(np.uint8)
    means = denoising.grey_world(tinted).mean((0, 1))
    assert means.max() - means.min() < 3


def test_enlarging_is_better_than_repeating_pixels():
    truth = picture(64)
    found = best("super-resolution", [array(clean(2)(tensor(truth)))], [truth])
    assert found.name in ("bicubic", "lanczos") and found.score > found.scores["nearest"] + 0.3
    assert restored("super-resolution", truth, Known(scale=3))["lanczos"].shape == (192, 192, 3)


def test_holes_are_filled_and_nothing_else_is_touched():
    truth = array(resized(tensor(picture(8)), 64, 64))
    hole = masks.boxes(1, 64, 64)[0, 0].bool().numpy()
    given = np.where(hole[:, :, None], 255, truth).astype(np.uint8)
    results = restored("inpaint", given, Known(hole=hole))
    assert {name.split()[0] for name in results} == {"telea", "navier-stokes", "biharmonic", "smoothest"}
    for name, made in results.items():
        assert (made[~hole] == truth[~hole]).all(), name
        assert psnr(made, truth, hole) > psnr(given, truth, hole) + 5, name


def test_a_hole_too_large_to_be_solved_for_at_once_is_left_to_other_methods(monkeypatch):
    monkeypatch.setattr(optics, "LARGEST", 30)
    hole = np.zeros((64, 64), bool)
    hole[4:9, 4:10] = hole[20:25, 4:10] = hole[40:45, 4:10] = True
    image = picture(64)
    assert optics.solvable(hole) and "biharmonic" in classical.ways("inpaint", image, Known(hole=hole)), "each for itself is small enough"
    hole[9, 4] = True
    assert not optics.solvable(hole)
    assert {name.split()[0] for name in restored("inpaint", image, Known(hole=hole))} == {"telea", "navier-stokes", "smoothest"}
    monkeypatch.setattr(optics, "LARGEST", 31)
    assert optics.solvable(hole)
    hole[10, 10] = True  # not touching at a side, but solved with it
    assert not optics.solvable(hole)
    assert not optics.solvable(np.ones((6, 6), bool)) and optics.solvable(np.zeros((6, 6), bool))


def test_pieces_that_methods_are_chosen_on_are_never_too_large():
    from ganforge.runs.rivals import PIECE

    assert optics.solvable(np.ones((PIECE, PIECE), bool)) and not optics.solvable(np.ones((1500, 1500), bool))


def test_who_is_left_out_does_not_work(monkeypatch):
    slow = lambda image, known: {"one": lambda: image, "slow": lambda: pytest.fail("was asked")}
    monkeypatch.setitem(classical.TASKS, "denoise", slow)
    image = picture(8)
    assert best("denoise", [image], [image], without=("slow",)).scores == {"one": 100}


@pytest.mark.parametrize("task", ["low-light", "old-photo", "colourise", "transfer"])
def test_naming_the_methods_is_no_work(task, monkeypatch):
    """Else a photograph of many megapixels goes through all curves for one of them."""
    image = picture(32)
    known = whole(image)
    wanted = restored(task, image, known)
    calls = []
    places = ((denoising, ("gamma", "gain", "stretched", "unfaded", "grey_world")), (colouring, ("palette", "tinted")))
    for module, names in places:
        for name in names:
            plain = getattr(module, name)

            def counted(*of, _plain=plain, _name=name, **how):
                calls.append(_name)
                return _plain(*of, **how)

            monkeypatch.setattr(module, name, counted)
    ways = classical.ways(task, image, known)
    assert not calls and [*ways] == [*wanted]
    last = [*ways][-1]
    alone = restored(task, image, known, only=last)
    assert [*alone] == [last] and (alone[last] == wanted[last]).all() and len(calls) <= 2
    again = restored(task, image, known)
    assert all((again[name] == wanted[name]).all() for name in wanted)
    made = {id(picture) for picture in again.values()}
    assert len(made) == len(again), "none shares its pixels with another"


def test_mean_chroma_is_the_mean_of_the_photographs():
    red, grey = np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 90, np.uint8)
    red[:, :, 0] = 255
    assert colouring.mean_chroma([grey]) == (128, 128)
    assert colouring.mean_chroma([red, grey]) == pytest.approx(((85 + 128) / 2, (255 + 128) / 2), abs=1)
    found = restored("colourise", grey, Known(chroma=colouring.mean_chroma([red])))
    assert (found["grey"] == 90).all() and found["mean chroma"][0, 0, 0] > 200 > found["mean chroma"][0, 0, 2]
    assert (restored("colourise", grey)["mean chroma"] == 90).all()


def test_colours_of_a_set_are_met():
    ours, theirs = [picture(32, seed) for seed in range(4)], [(picture(32, seed) * 0.5 + 60).astype(np.uint8) for seed in range(4, 8)]
    look = lambda image: (image * 0.5 + 60).astype(np.uint8)
    known = Known(source=colouring.palette(ours), target=colouring.palette(theirs))
    found = best("transfer", ours, [look(image) for image in ours], [known] * 4)
    assert found.score > found.scores["unchanged"] + 3 and len(found.scores) == 5
    alike = restored("transfer", ours[0], Known(source=known.source, target=known.source))
    for name in ("histogram of the set", "reinhard of the set"):  # from a set to itself
        assert psnr(alike[name], ours[0]) > 40, name
    own = colouring.palette([restored("transfer", ours[0], known)["reinhard"]])
    np.testing.assert_allclose(own.mean, known.target.mean, atol=2.5)


def test_the_best_is_best_over_the_whole_set(monkeypatch):
    shifted = lambda by: lambda image: np.clip(image.astype(int) + by, 0, 255).astype(np.uint8)
    monkeypatch.setitem(classical.TASKS, "denoise", lambda image, known: {f"{by}": partial(shifted(by), image) for by in (0, 10, 30)})
    given = [np.full((4, 4, 3), 100, np.uint8)] * 2
    truth = [np.full((4, 4, 3), level, np.uint8) for level in (102, 128)]
    found = best("denoise", given, truth)
    wanted = {
        name: np.mean([10 * np.log10(255**2 / (by - off) ** 2) for off in (2, 28)]) for name, by in (("0", 0), ("10", 10), ("30", 30))
    }
    assert found.scores == pytest.approx(wanted) and found.name == max(wanted, key=wanted.get) and found.score == found.scores[found.name]


def test_one_method_alone_does_not_wait_for_the_others(monkeypatch):
    ways = {"quick": lambda: np.zeros((4, 4, 3), np.uint8), "slow": lambda: pytest.fail("was asked")}
    monkeypatch.setitem(classical.TASKS, "denoise", lambda image, known: ways)
    assert [*restored("denoise", np.zeros((4, 4, 3), np.uint8), only="quick")] == ["quick"]


def test_psnr_by_hand():
    a = np.full((2, 2, 3), 100, np.uint8)
    b = a.copy()
    b[0, 0] = 110
    assert psnr(a, a) == 100
    assert psnr(a, b) == pytest.approx(10 * np.log10(255**2 / 25))
    assert psnr(a, b, np.array([[True, False], [False, False]])) == pytest.approx(10 * np.log10(255**2 / 100))


@pytest.mark.parametrize(
    ("call", "kind", "says"),
    [
        (lambda x: restored("denoize", x), UsageError, "Did you mean 'denoise'?"),
        (lambda x: restored("inpaint", x), UsageError, "needs the hole: Known(hole=...), True inside, of shape (48, 48); got none."),
        (lambda x: restored("transfer", x), UsageError, "Known(target=palette(images))"),
        (lambda x: restored("denoise", x / 255), DataError, "uint8 images; got (48, 48, 3) float64"),
        (lambda x: restored("denoise", x[:, :, :2]), DataError, "got (48, 48, 2) uint8"),
        (lambda x: best("denoise", [x], []), DataError, "got 1, 0 and 1."),
        (lambda x: best("denoise", [], []), DataError, "there must be one; got 0, 0 and 0."),
        (lambda x: psnr(x, x[:4]), DataError, "two images of one size"),
    ],
)
def test_errors_teach(call, kind, says):
    with pytest.raises(kind) as error:
        call(picture())
    assert says in str(error.value)


@pytest.mark.parametrize(("library", "task"), [("cv2", "inpaint"), ("skimage.restoration", "deblur"), ("pywt", "denoise")])
def test_a_missing_library_is_told_with_what_to_type(library, task, monkeypatch):
    image = picture()
    known = whole(image)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(UsageError, match=r'Type: pip install "ganforge\[image\]"'):
        restored(task, image, known)


SHARMA = [
    ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
    ((50, 2.8361, -74.0200), (50, 0, -82.7485), 3.4412),
    ((50, -0.9009, -85.5211), (50, 0, -82.7485), 1.0),
    ((50, 0, 0), (50, -1, 2), 2.3669),
    ((50, 2.49, -0.001), (50, -2.49, 0.0009), 7.1792),
    ((50, 2.49, -0.001), (50, -2.49, 0.0011), 7.2195),
    ((50, -0.001, 2.49), (50, 0.0009, -2.49), 4.8045),
    ((50, 2.5, 0), (50, 0, -2.5), 4.3065),
    ((50, 2.5, 0), (73, 25, -18), 27.1492),
    ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
    ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
]
"""Rows of the test data of Sharma, Wu and Dalal (2005), table 1."""


@pytest.mark.parametrize(("a", "b", "wanted"), SHARMA)
def test_ciede2000_is_as_published(a, b, wanted):
    a, b = (torch.tensor([one], dtype=torch.float64) for one in (a, b))
    assert ciede2000(a, b).item() == pytest.approx(wanted, abs=1e-4) == ciede2000(b, a).item()


def test_colours_agree_with_scikit_image():
    from skimage import color

    a, b = torch.rand(2, 3, 16, 16, dtype=torch.float64) * 2 - 1, torch.rand(2, 3, 16, 16, dtype=torch.float64) * 2 - 1
    a[0, :, :4], b[0, :, :4] = a[0, :1, :4], b[0, :1, :4]  # greys, whose hue is none
    b[1, :, :2] = a[1, :, :2]
    ours, theirs = (
        [lab(x).permute(0, 2, 3, 1).numpy() for x in (a, b)],
        [color.rgb2lab((x.permute(0, 2, 3, 1).numpy() + 1) / 2) for x in (a, b)],
    )
    np.testing.assert_allclose(ours, theirs, atol=2e-3)
    np.testing.assert_allclose(delta_e76(a, b), color.deltaE_cie76(*theirs).mean((1, 2)), atol=1e-3)
    np.testing.assert_allclose(delta_e2000(a, b), color.deltaE_ciede2000(*theirs).mean((1, 2)), atol=1e-3)
    single = delta_e2000(a.float(), b.float())
    assert single.dtype == torch.float32
    np.testing.assert_allclose(single, delta_e2000(a, b), atol=1e-2)


def test_colours_by_hand():
    white, black = torch.ones(1, 3, 2, 2), -torch.ones(1, 3, 2, 2)
    torch.testing.assert_close(lab(white)[0, :, 0, 0], torch.tensor([100.0, 0, 0]), atol=0.01, rtol=0)
    assert delta_e76(white, black).item() == pytest.approx(100, abs=0.01) == delta_e2000(white, black).item()
    assert delta_e76(white, white).item() == delta_e2000(white, white).item() == 0
    with pytest.raises(DataError, match="of one shape"):
        delta_e76(white, black[:, :, :1])
    with pytest.raises(DataError, match=r"\(n, 3, h, w\); got \(1, 1, 2, 2\)"):
        lab(white[:, :1])
