"""One picture through an applier: grey stays grey, masks are understood, and what lies outside of holes keeps every byte."""

import numpy as np
import pytest
import torch

from ganforge.core.errors import DataError, UsageError
from ganforge.data.degrade import masks
from ganforge.tasks.apply.holes import around, holes, parts, widened
from ganforge.tasks.apply.of_model import with_holes
from ganforge.tasks.apply.pictures import Picture
from ganforge.tasks.apply.process import process

from .apply_toys import noise, same, sees


class White(torch.nn.Module):
    """White everywhere, from (n, 4, h, w); it remembers what it was given."""

    def forward(self, x):
        self.given = x
        return torch.ones_like(x[:, :3])


def filler(**options):
    applier = same(given=with_holes, fill=masks.fill, channels=4, **options)
    applier.network = White()
    return applier


def box(height, width, top=10, left=20, side=8):
    found = np.zeros((height, width), bool)
    found[top : top + side, left : left + side] = True
    return found


def test_grey_stays_grey_where_the_applier_keeps_it_and_not_where_it_colours():
    grey = Picture(noise(0, 20, 30, 1))
    assert np.array_equal(process(same(), grey).picture.colour, grey.colour)
    assert process(sees(2), grey).picture.colour.shape == (40, 60, 1)
    assert process(same(keeps_grey=False), grey).picture.colour.shape == (20, 30, 3)


def test_networks_of_one_channel_are_given_the_luminance_and_give_grey():
    from ganforge.networks.image.compose import luma

    colour = noise(0, 9, 9)
    made = process(same(given=luma), Picture(colour)).picture.colour
    assert made.shape == (9, 9, 1)
    assert np.abs(made[..., 0] - colour @ np.array([0.299, 0.587, 0.114])).max() <= 0.51


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
def test_only_holes_change_and_all_else_keeps_every_byte(dtype, channels):
    picture, found = Picture(noise(0, 300, 310, channels, dtype)), box(300, 310)
    made = process(filler(reach=5), picture, found)
    assert (made.picture.colour[found] == np.iinfo(dtype).max).all()
    assert np.array_equal(made.picture.colour[~found], picture.colour[~found])


def test_a_network_that_fills_is_given_a_plain_fill_and_the_mask_from_zero_to_one():
    applier, found = filler(), box(64, 64)
    picture = Picture(np.full((64, 64, 3), 40, np.uint8))
    picture.colour[found] = 255  # what lies in the hole must not be seen
    process(applier, picture, found)
    given = applier.network.given[0]
    assert set(given[3].unique().tolist()) == {0.0, 1.0} and int(given[3].sum()) == found.sum()
    assert torch.allclose(given[:3], torch.tensor(40 / 127.5 - 1), atol=0.02)


def test_only_the_surroundings_of_holes_are_worked_on():
    found = box(500, 700, 300, 400)
    applier = filler(reach=80)
    process(applier, Picture(noise(0, 500, 700)), found)
    rows, columns = around(found, 80)
    assert rows.start % 32 == columns.start % 32 == 0 and rows.start <= 220 and columns.start <= 320
    assert tuple(applier.network.given.shape[2:]) == (min(500, rows.stop) - rows.start, min(700, columns.stop) - columns.start)


def test_of_a_large_picture_with_small_holes_nothing_of_its_size_is_worked_on():
    picture, found, sizes = Picture(noise(0, 1300, 1500)), box(1300, 1500, 3, 5) | box(1300, 1500, 1290, 1480), []
    applier = filler(reach=5)

    def fill(x, mask):
        sizes.append(tuple(x.shape[2:]))
        return masks.fill(x, mask)

    applier.fill = fill
    forward = applier.network.forward
    applier.network.forward = lambda x: (sizes.append(tuple(x.shape[2:])), forward(x))[1]
    made = process(applier, picture, found)
    assert made.tiles == 2 and len(sizes) >= 4 and max(high * wide for high, wide in sizes) < 200 * 200, sizes
    assert np.array_equal(made.picture.colour[~found], picture.colour[~found]) and (made.picture.colour[found] == 255).all()


def test_the_parts_of_holes_add_up_to_all_of_them_and_none_comes_twice():
    rng = np.random.default_rng(0)
    found = np.zeros((1301, 1100), bool)
    for top, left, high, wide in zip(*rng.integers(0, (1301, 1100, 90, 200), (60, 4)).T, strict=True):
        found[top : top + high, left : left + wide] = True
    found[7::97, 5::89] = True
    times = np.zeros(found.shape, int)
    for reach in (0, 40, 200):
        times[:] = 0
        count = 0
        for (rows, columns), meant in parts(found, reach):
            assert rows.start % 32 == columns.start % 32 == 0 and not (meant & ~found[rows, columns]).any()
            at = [np.flatnonzero(meant.any(axis)) for axis in (1, 0)]
            assert all(a[0] >= min(64, s.start) and a[-1] + 64 < s.stop - s.start for a, s in zip(at, (rows, columns), strict=True))
            times[rows, columns] += meant
            count += 1
        assert np.array_equal(times, found) and count > 1
    assert len([*parts(box(300, 310, 290, 300, 20), 5)]) == 1, "at the border"


def test_of_the_part_that_is_asked_for_all_is_as_in_the_whole():
    picture, found = Picture(noise(0, 700, 900)), box(700, 900, 20, 20, 600) ^ box(700, 900, 60, 60, 540) | box(700, 900, 650, 850)
    whole, some = filler(reach=5), filler(reach=5)
    all_of_it = process(whole, picture, found)
    made = all_of_it.picture.colour
    rows, columns = slice(550, 650), slice(500, 640)
    done = process(some, picture, found, only=(rows, columns))
    assert np.array_equal(done.picture.colour[rows, columns], made[rows, columns]) and (made[650:658, 850:858] == 255).all()
    assert done.tiles == all_of_it.tiles - 1 and np.array_equal(done.picture.colour[640:, 800:], picture.colour[640:, 800:])


def test_a_widened_hole_fades_into_the_picture_in_the_outer_half_of_its_ring():
    picture, found = Picture(np.zeros((120, 130, 3), np.uint8)), box(120, 130, 50, 60)
    made = {grow: process(filler(), picture, found, grow=grow).picture.colour[..., 0] for grow in (0, 1, 2, 4)}
    across = {grow: row[54, 68:75].tolist() for grow, row in made.items()}  # from the first pixel beyond the hole on
    assert across == {0: [0] * 7, 1: [255] + [0] * 6, 2: [255, 128, 0, 0, 0, 0, 0], 4: [255, 255, 170, 85, 0, 0, 0]}
    steps = widened(found, 4)
    assert steps[54, 66:74].tolist() == [5, 5, 4, 3, 2, 1, 0, 0] and (made[4][steps == 0] == 0).all()
    assert steps[48, 58] and not steps[46, 56], "round at the corners"
    floats = Picture(np.full((120, 130, 3), -1, np.float32))
    assert process(filler(), floats, found, grow=2).picture.colour[54, 69, 0] == pytest.approx(0)
    with pytest.raises(UsageError, match="0 to 100 pixels; got -1"):
        process(filler(), picture, found, grow=-1)


def test_holes_are_asked_for_and_refused_where_they_make_no_sense():
    picture = Picture(noise(0, 16, 16))
    with pytest.raises(UsageError, match="say where they are with a mask"):
        process(filler(), picture)
    with pytest.raises(UsageError, match="fills no holes"):
        process(same(), picture, box(16, 16))
    with pytest.raises(DataError, match="nothing of the picture"):
        process(filler(), picture, np.ones((16, 16), bool))
    done = process(filler(), picture, np.zeros((16, 16), bool))
    assert done.picture is picture and "no hole" in done.notes[0]


# ---- masks


def mask(share, white_is_hole=True, size=(20, 10)):
    colour = np.zeros((size[1], size[0], 1), np.uint8)
    colour.reshape(-1)[: round(share * colour.size)] = 255
    return Picture(colour if white_is_hole else 255 - colour)


@pytest.mark.parametrize("share", [0.005, 0.1, 0.45])
@pytest.mark.parametrize("white", [True, False])
def test_the_rarer_colour_of_a_mask_is_the_hole_and_that_is_told(share, white):
    found, said = holes(mask(share, white), (20, 10))
    assert found.mean() == pytest.approx(share)
    assert f"mask: {'white' if white else 'black'} = hole" in said and f"{share:.1%} of the picture" in said and "--hole" in said


def test_whoever_says_the_colour_is_believed():
    found, said = holes(mask(0.9), (20, 10), "white")
    assert found.mean() == pytest.approx(0.9) and "--hole" not in said
    assert holes(mask(0.9), (20, 10), "black")[0].mean() == pytest.approx(0.1)


def test_masks_that_cannot_be_understood_are_refused():
    with pytest.raises(DataError, match="20x10 pixels, its picture 10x20"):
        holes(mask(0.1), (10, 20))
    for share, colour in ((0, "black"), (1, "white")):
        with pytest.raises(DataError, match=f"{colour} everywhere"):
            holes(mask(share), (20, 10))
