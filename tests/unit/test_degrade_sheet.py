"""`gan degrade` and the picture it makes."""

import numpy as np
import pytest
import torch
from PIL import Image

from ganforge import cli
from ganforge.core.errors import DataError, UsageError
from ganforge.data.degrade.presets import PRESETS, clean, hinted, holes, noise
from ganforge.data.degrade.sheet import GAP, HOLE, LINE, contact_sheet, detail, photographs, visible


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """A folder of three photographs of different sizes, one broken file and a text, beside the current folder."""
    monkeypatch.chdir(tmp_path)
    draw = np.random.default_rng(0)
    (tmp_path / "photos" / "more").mkdir(parents=True)
    for name, size in {"a.png": (40, 30, 3), "b.png": (300, 280, 3), "more/c.jpg": (50, 60, 3)}.items():
        Image.fromarray(draw.integers(0, 255, size, np.uint8)).save(tmp_path / "photos" / name)
    (tmp_path / "photos" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n oh")
    (tmp_path / "photos" / "words.txt").write_text("hello")
    return tmp_path / "photos"


@pytest.fixture
def gan(capfd):
    def call(*words):
        with pytest.raises(SystemExit) as left:
            cli.main([str(word) for word in words])
        out, err = capfd.readouterr()
        assert "Traceback" not in err
        return left.value.code or 0, out, err

    return call


def test_photographs_are_found_and_broken_ones_passed_over(photos):
    found = photographs(str(photos), 9)
    assert sorted(name for name, _ in found) == ["a.png", "b.png", "more/c.jpg"]
    sizes = {name: tuple(x.shape) for name, x in found}
    assert sizes["a.png"] == (1, 3, 40, 30) and sizes["b.png"] == (1, 3, 300, 280)
    assert all(x.abs().max() <= 1 and x.dtype == torch.float32 for _, x in found)
    assert len(photographs(str(photos), 2)) == 2
    [(name, x)] = photographs(str(photos / "more" / "c.jpg"), 5)
    assert name == "c.jpg" and x.shape == (1, 3, 50, 60)


def test_arrays_are_photographs_too(tmp_path):
    np.save(tmp_path / "grey.npy", np.arange(5 * 8 * 8, dtype=np.uint8).reshape(5, 1, 8, 8))
    found = photographs(str(tmp_path / "grey.npy"), 3)
    assert len(found) == 3 and all(x.shape == (1, 3, 8, 8) and (x == x[:, :1]).all() for _, x in found)


def test_what_is_no_photograph_is_told(photos, tmp_path):
    with pytest.raises(UsageError, match=r"fotos does not exist\. Did you mean 'photos'\?"):
        photographs(str(tmp_path / "fotos"), 3)
    with pytest.raises(DataError, match="holds no image that can be used. broken.png: "):
        photographs(str(photos / "broken.png"), 3)


def test_the_part_with_most_detail_is_shown():
    x = torch.zeros(1, 3, 60, 90)
    x[:, :, 40:60, 70:90] = torch.rand(1, 3, 20, 20)
    found = detail(x, side=20)
    assert found.shape == (1, 3, 20, 20) and found.std() > 0.1
    assert torch.equal(detail(x, side=200), x)
    assert detail(x[:, :, :13, :50], side=40, step=12).shape == (1, 3, 12, 36)
    assert detail(x[:, :, :5, :1], side=40, step=12).shape == (1, 3, 5, 1)


@pytest.mark.parametrize("name", PRESETS)
def test_every_degradation_has_its_sheet(name, photos, gan):
    code, out, err = gan("degrade", name, "photos", "--draws", "1", "--count", "2")
    assert (code, err) == (0, "") and out == f"degrade-{name}.png: photographs 2, draws of each 1\n"
    with Image.open(f"degrade-{name}.png") as sheet:
        assert sheet.format == "PNG" and sheet.width > 500


def test_the_sheet_shows_originals_and_draws_at_one_size():
    x = torch.full((1, 3, 96, 120), 0.2)
    sheet = np.asarray(contact_sheet([("flat.png", x)], clean(2), 2, "clean"))
    tone = round(1.2 * 127.5)
    for column in range(3):
        left = GAP + column * (120 + GAP)
        assert (sheet[3 * LINE : 3 * LINE + 96, left : left + 120] == tone).all()
    assert sheet.shape == (2 * LINE + LINE + 96 + 2 * GAP, GAP + 3 * (120 + GAP), 3)
    assert (sheet[: 2 * LINE].max(2) > 100).any()  # words
    sheet = np.asarray(contact_sheet([("flat.png", x)], visible("holes", holes), 1, "holes"))
    assert (sheet == HOLE).all(2).any()
    torch.manual_seed(0)
    sheet = np.asarray(contact_sheet([("flat.png", x)], noise(20), 2, "noise")).astype(float)
    first, second = (sheet[3 * LINE : 3 * LINE + 96, GAP + c * (120 + GAP) :][:, :120] for c in (1, 2))
    assert first.std() == pytest.approx(20, rel=0.1) and (first != second).any()


def test_hints_are_shown_as_dots_of_colour():
    x = torch.rand(1, 3, 48, 48) * 2 - 1
    shown = torch.cat([visible("hinted", hinted)(x) for _ in range(8)])
    coloured = (shown.amax(1) - shown.amin(1)) > 0.02
    assert 0 < coloured.float().mean() < 0.3
    torch.testing.assert_close(shown.transpose(0, 1)[:, coloured], x.expand(8, -1, -1, -1).transpose(0, 1)[:, coloured], rtol=0, atol=0.02)
    same = noise(5)
    assert visible("noise", same) is same


def test_a_range_of_strengths_is_drawn_from_and_told_in_the_title(gan, photos):
    assert gan("degrade", "noise", "photos", "--sigma", "5-50", "--count", "1", "-o", "a.png")[0] == 0
    assert "noise, sigma 5-50, seed 0" in Image.open("a.png").text["ganforge"]
    assert gan("degrade", "scratches", "photos", "--count", "2", "--draws", "1", "-o", "b.png")[0] == 0
    assert (np.asarray(Image.open("b.png").convert("RGB")) == HOLE).all(2).any()


def test_the_seed_decides_the_draws(photos, gan):
    pictures = []
    for name, seed in (("1.png", 0), ("2.png", 0), ("3.png", 1)):
        assert gan("degrade", "web", "photos", "-o", name, "--seed", seed, "--draws", 1)[0] == 0
        pictures.append(np.asarray(Image.open(name))[2 * LINE :])
    assert (pictures[0] == pictures[1]).all() and (pictures[0] != pictures[2]).any()


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("web",), 2, "say which degradation and of what: gan degrade PRESET PHOTOS [-o sheet.png]. PRESET is one of clean, web, harsh"),
        (("wbe", "photos"), 2, "'wbe' is no degradation. Did you mean 'web'?"),
        (("super-resolution", "photos"), 2, "'super-resolution' is a task. What it mends is made by: gan degrade clean photos"),
        (("web", "fotos"), 2, "fotos does not exist. Did you mean 'photos'?"),
        (("web", "photos", "--scael", "2"), 2, "unknown option --scael. Did you mean --scale?"),
        (("web", "photos", "--scale", "9"), 2, "1, 2, 3 or 4; got 9."),
        (("noise", "photos", "--quality", "9"), 2, "'noise' has no quality, which is for jpeg."),
        (("noise", "photos", "--sigma", "50-5"), 2, "sigma is a standard deviation from 0 to 255, such as 25, or a range of them"),
        (("web", "photos", "--draws", "0"), 2, "--draws goes from 1 to 8"),
        (("web", "photos", "-o", "photos/sheet.png"), 2, "photos/sheet.png would lie among the photographs"),
        (("web", "photos/a.png", "-o", "photos/a.png"), 2, "photos/a.png would lie among the photographs"),
        (("web", "photos", "-o", "sheet.jpg"), 2, "-o sheet.jpg must end in .png. Type: -o sheet.png"),
        (("web", "photos/broken.png"), 3, "photos/broken.png holds no image that can be used."),
        (("web", "photos/words.txt"), 2, "photos/words.txt"),
    ],
)
def test_mistakes_are_told_in_a_sentence(words, code, says, photos, gan):
    found, out, err = gan("degrade", *words)
    assert found == code and out == "" and err.startswith("error: ") and says in err and err.count("\n") == 1


def test_its_help_names_every_degradation(gan):
    code, out, _ = gan("degrade", "--help")
    assert code == 0 and all(name in out for name in PRESETS)
