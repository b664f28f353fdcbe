"""Pictures: exact pixels, exact layout, whole files."""

from __future__ import annotations

import pytest
import torch
from PIL import Image

from ganforge.core.errors import StorageError, UsageError
from ganforge.runs.grid import GAP_GREY, grid, save_png, to_pil, to_uint8


def test_to_uint8_rounds_half_up_clamps_and_shows_nan_as_black():
    x = torch.tensor([-1.0, -0.999, 0.0, 0.5, 1.0, 7.0, -7.0, float("nan"), float("inf")])
    assert to_uint8(x).tolist() == [0, 0, 128, 191, 255, 255, 0, 0, 255]


def test_every_byte_survives_the_way_to_floats_and_back():
    levels = torch.arange(256)
    assert torch.equal(to_uint8(levels / 127.5 - 1), levels.to(torch.uint8))
    assert torch.equal(to_uint8(levels.to(torch.uint8)), levels.to(torch.uint8))


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (2, "L"), (3, "RGB"), (4, "RGBA"), (7, "RGB")])
def test_channels_choose_the_mode_and_the_first_ones_are_shown(channels, mode):
    x = torch.arange(channels, dtype=torch.uint8).view(1, channels, 1, 1).expand(2, channels, 3, 5)
    pictures = to_pil(x)
    assert len(pictures) == 2 and pictures[0].mode == mode and pictures[0].size == (5, 3)
    assert pictures[0].getpixel((4, 2)) == (0 if mode == "L" else tuple(range(len(mode))))


def test_grid_layout_is_pixel_exact():
    x = torch.tensor([10, 20, 30], dtype=torch.uint8).view(3, 1, 1, 1).expand(3, 1, 1, 2)
    g = GAP_GREY
    sheet = grid(x, columns=2, gap=1, zoom=1)
    assert torch.tensor(list(sheet.tobytes())).view(sheet.height, sheet.width).tolist() == [
        [g, g, g, g, g, g, g],
        [g, 10, 10, g, 20, 20, g],
        [g, g, g, g, g, g, g],
        [g, 30, 30, g, g, g, g],
        [g, g, g, g, g, g, g],
    ]


def test_zoom_repeats_pixels_and_leaves_the_gap_alone():
    x = torch.tensor([[1, 2], [3, 4]], dtype=torch.uint8).view(1, 1, 2, 2)
    sheet = grid(x, gap=1, zoom=2)
    assert sheet.size == (6, 6) and sheet.crop((1, 1, 5, 5)).tobytes() == bytes([1, 1, 2, 2] * 2 + [3, 3, 4, 4] * 2)


@pytest.mark.parametrize(("side", "shown"), [(8, 64), (28, 56), (32, 64), (33, 33), (64, 64)])
def test_small_images_are_enlarged_by_themselves(side, shown):
    assert grid(torch.zeros(1, 3, side, side), gap=0).size == (shown, shown)


@pytest.mark.parametrize(("n", "columns", "rows"), [(1, 1, 1), (2, 2, 1), (7, 3, 3), (12, 4, 3), (32, 8, 4), (64, 8, 8)])
def test_grids_are_near_square_and_avoid_holes(n, columns, rows):
    assert grid(torch.zeros(n, 1, 40, 40), gap=0).size == (40 * columns, 40 * rows)


def test_wrong_shapes_are_refused_with_the_shape():
    with pytest.raises(UsageError, match=r"\(3, 8, 8\).*x\[None\]"):
        grid(torch.zeros(3, 8, 8))
    with pytest.raises(UsageError, match="at least one image"):
        grid(torch.zeros(0, 3, 8, 8))


def test_saved_png_is_read_back_equal_and_no_temporary_file_stays(tmp_path):
    sheet = grid(torch.rand(4, 3, 8, 8) * 2 - 1)
    path = save_png(sheet, tmp_path / "new" / "a.png")
    with Image.open(path) as again:
        assert again.format == "PNG" and again.tobytes() == sheet.tobytes()
    assert [f.name for f in path.parent.iterdir()] == ["a.png"]


def test_a_save_that_fails_keeps_the_old_file_and_teaches(tmp_path, monkeypatch):
    path = save_png(Image.new("L", (2, 2)), tmp_path / "a.png")
    old = path.read_bytes()

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        save_png(Image.new("RGB", (9, 9)), path)
    assert path.read_bytes() == old
