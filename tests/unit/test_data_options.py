"""Sizes, colours and the wording of wrong options."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganforge.core.errors import DataError, UsageError
from ganforge.data.decode import Look, fitted
from ganforge.data.images import Images
from ganforge.data.plan import choose_size


def noise(seed: int, width: int, height: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def folder(path: Path, *sizes: tuple[int, int]) -> str:
    path.mkdir(exist_ok=True)
    for k, (w, h) in enumerate(sizes):
        Image.fromarray(noise(k, w, h)).save(path / f"{k}.png")
    return str(path)


@pytest.mark.parametrize(
    ("size", "words"),
    [
        ("12.5", "got '12.5'"),
        ("30", "multiple of 4 from 8 to 1024; got 30. Nearest: 32."),
        ("2", "Nearest: 8."),
        ("5000", "Nearest: 1024."),
        ("96x63", "got 96x63. Nearest: 96x64."),
        ("1x2x3", "WIDTHxHEIGHT"),
        ("-8", "got '-8'"),
        ("", "got ''"),
    ],
)
def test_a_wrong_size_names_the_nearest_right_one(size, words):
    with pytest.raises(UsageError) as caught:
        Images(path="digits", size=size)
    assert words in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"colour": "gray"}, "Did you mean 'grey'?"),
        ({"fit": "corp"}, "Did you mean 'crop'?"),
        ({"flip": "true"}, "Did you mean 'yes'?"),
        ({"alpha": "wite"}, "Did you mean 'white'?"),
        ({"alpha": "#ff000080"}, "alpha must be keep, or a colour"),
        ({"alpha": "keep", "colour": "grey"}, "needs colours"),
        ({"window": "9,1"}, "LOW,HIGH such as 0,4095; got '9,1'"),
        ({"window": "1"}, "got '1'"),
        ({"window": "0,inf"}, "got '0,inf'"),
        ({"frames": "al"}, "Did you mean 'all'?"),
        ({"dedup": "nere"}, "Did you mean 'near'?"),
        ({"min_side": -1}, "min_side must be 0 or more"),
        ({"labels": "folder"}, "Did you mean 'folders'?"),
        ({"crop": -1}, "0 or more"),
        ({"path": ""}, "path is empty"),
    ],
)
def test_wrong_options_are_told_in_one_line(options, words):
    with pytest.raises(UsageError) as caught:
        Images(**{"path": "digits"} | options)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_unknown_names_and_paths_get_a_hint(tmp_path):
    with pytest.raises(UsageError, match="Did you mean 'fashion-mnist'"):
        Images(path="fashon-mnist").load(tmp_path)
    (tmp_path / "photos").mkdir()
    with pytest.raises(UsageError, match="does not exist. Did you mean 'photos'"):
        Images(path=str(tmp_path / "potos")).load(tmp_path)


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([(28, 28)] * 3, (28, 28)),
        ([(8, 8)] * 3, (8, 8)),
        ([(64, 48)] * 3, (64, 48)),
        ([(30, 30)] * 3, (28, 28)),
        ([(1024, 1024)] * 3, (64, 64)),
        ([(640, 480), (50, 100), (33, 40)], (32, 32)),
        ([(640, 480), (500, 100), (64, 70)], (64, 64)),
        ([(20, 30), (21, 40), (22, 22)], (20, 20)),
        ([(5, 5)] * 3, (8, 8)),
    ],
)
def test_auto_size_follows_the_data_and_stops_at_64(sizes, expected):
    *got, why = choose_size(sizes)
    assert tuple(got) == expected and why.startswith(f"{expected[0]}x{expected[1]}")


def test_crop_pad_and_squash_do_what_they_say():
    stripes = np.zeros((32, 64), np.uint8)
    stripes[:, :16] = 255  # only the part that cropping cuts away is white
    image = Image.fromarray(stripes)
    look = {fit: np.asarray(fitted(image, Look(32, 32, 1, fit, "white"))) for fit in ("crop", "pad", "squash")}
    assert look["crop"].max() == 0
    assert (look["squash"][:, :7] > 250).all() and (look["squash"][:, 9:] < 5).all()
    assert (look["pad"][:7] == 255).all() and (look["pad"][25:] == 255).all() and look["pad"][16, 20] == 0
    assert np.array_equal(np.asarray(fitted(image, Look(64, 32, 1))), stripes)


def test_jpegs_decoded_at_a_fraction_look_like_whole_ones(tmp_path):
    y, x = np.mgrid[:600, :800]
    smooth = np.stack([x / 800, y / 600, (x + y) / 1400], 2) * 255
    Image.fromarray(smooth.astype(np.uint8)).save(tmp_path / "a.jpg", quality=98)
    Image.fromarray(smooth.astype(np.uint8)).save(tmp_path / "b.png")
    got = Images(path=str(tmp_path), size="64x32").load(tmp_path / "cache").images.float()
    assert (got[0] - got[1]).abs().mean() < 2


def test_images_below_half_the_size_are_left_out(tmp_path):
    path = folder(tmp_path / "in", (64, 64), (70, 33), (32, 90), (31, 200), (16, 16))
    got = Images(path=path, size="64").load(tmp_path / "cache")
    assert len(got) == 3 and got.report["reasons"] == {"too small": 2}
    with pytest.raises(DataError, match="needs 512"):
        Images(path=path, size="1024").load(tmp_path / "cache")


def test_auto_colour_is_grey_only_for_grey_pixels(tmp_path):
    grey = np.random.default_rng(0).integers(0, 256, (40, 16, 16, 1), np.uint8).repeat(3, 3)
    (tmp_path / "in").mkdir()
    for k, one in enumerate(grey):  # grey pixels in RGB files
        Image.fromarray(one).save(tmp_path / "in" / f"{k}.png")
    got = Images(path=str(tmp_path / "in")).load(tmp_path / "cache")
    assert got.spec.shape == (1, 16, 16) and np.array_equal(got.images[0, 0].numpy(), grey[0, ..., 0]) and not got.flip
    assert Images(path=str(tmp_path / "in"), colour="rgb").load(tmp_path / "cache").flip
    Image.fromarray(noise(3, 16, 16)).save(tmp_path / "in" / "z.png")
    assert Images(path=str(tmp_path / "in")).load(tmp_path / "cache").spec.shape == (3, 16, 16)
    forced = Images(path=str(tmp_path / "in"), colour="grey").load(tmp_path / "cache")
    assert np.array_equal(forced.images[-1, 0].numpy(), np.asarray(Image.fromarray(noise(3, 16, 16)).convert("L")))


def test_crop_must_be_smaller_than_the_images(tmp_path):
    with pytest.raises(UsageError, match="smaller than the images, which are 8x8; got 8"):
        Images(path="digits", crop=8).load(tmp_path)


def test_the_python_object_takes_paths_and_numbers(tmp_path):
    assert Images(path=tmp_path, size=32) == Images(path=str(tmp_path), size="32")
