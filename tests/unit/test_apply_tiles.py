"""Tiles: the pieces make up the whole, whatever its size, the network's sight and the memory there is."""

import errno
import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ganforge.core.errors import DivergedError, MemoryShortError, StorageError, UsageError
from ganforge.networks.image.resunet import ResUNet
from ganforge.tasks.apply import tiles
from ganforge.tasks.apply.applier import Applier
from ganforge.tasks.apply.tiles import spans, weights

from ..faults.make import PEAK, refuses
from .apply_toys import Same, Sees, Short, Whole, noise, rough, same, sees


@pytest.mark.parametrize("length", [1, 31, 32, 33, 64, 65, 95, 97, 128, 130, 200, 257])
@pytest.mark.parametrize(("core", "margin", "blend", "scale"), [(32, 0, 16, 1), (32, 40, 64, 3), (64, 3, 16, 2), (96, 100, 64, 1)])
def test_the_weights_of_all_pieces_add_up_to_one_everywhere(length, core, margin, blend, scale):
    total = np.zeros(length * scale)
    for span in spans(length, core, margin, blend):
        assert span.read % tiles.GRID == 0 and span.read <= max(0, span.start - margin) and span.read_end >= min(length, span.stop + margin)
        assert 0 <= span.start < span.stop <= length
        total[span.start * scale : span.stop * scale] += weights(span, scale)
    assert np.abs(total - 1).max() < 1e-6


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("size", [(1, 1), (1, 90), (77, 3), (70, 101), (64, 64)])
def test_a_network_that_changes_nothing_leaves_every_byte_in_tiles_too(dtype, size):
    picture = noise(0, *size, dtype=dtype)
    made = same().run(picture, tile=32)
    assert made.picture.dtype == dtype and np.array_equal(made.picture, picture)
    assert made.tiles == -(-size[0] // 32) * -(-size[1] // 32)


@pytest.mark.parametrize("scale", [1, 2, 3])
@pytest.mark.parametrize("size", [(70, 101), (129, 33), (5, 200)])
def test_an_exact_network_gives_the_same_in_tiles_as_on_the_whole(scale, size):
    applier, picture = sees(scale), noise(1, *size)
    whole, cut = applier.run(picture, tile=0), applier.run(picture, tile=32)
    assert whole.tiles == 1 < cut.tiles and cut.picture.shape == (size[0] * scale, size[1] * scale, 3)
    assert np.abs(whole.picture.astype(int) - cut.picture).max() <= 1 and (whole.picture != cut.picture).mean() < 1e-3
    assert not cut.notes


def test_a_network_with_strides_sees_the_same_grid_in_tiles_as_on_the_whole():
    network = rough(ResUNet(3, 3, width=4, depth=3, blocks=1)).eval()
    applier = Applier(network, 1, network.reach, network.exact, modulus=network.modulus)
    picture = tiles.floats(noise(2, 330, 205))
    whole, cut = applier.run(picture, tile=0).picture, applier.run(picture, tile=max(96, network.reach // 32 * 32 + 32)).picture
    assert whole.std() > 0.01 and np.abs(whole - cut).max() < 1e-4


def test_without_its_margin_the_tiles_of_such_a_network_would_differ():
    """So the margin is what makes them equal, and the tests above can fail."""
    blind = sees()
    blind.reach = 0
    picture = tiles.floats(noise(1, 70, 101))
    assert np.abs(sees().run(picture, tile=0).picture - blind.run(picture, tile=32).picture).max() > 0.01


def test_neighbours_fade_into_each_other_where_a_network_is_not_exact():
    steps = {}
    for exact in (True, False):
        applier = Applier(Whole(), exact=exact)
        ramp = np.linspace(-1, 1, 512, dtype=np.float32)[None, :, None].repeat(40, 0).repeat(3, 2)
        made = applier.run(ramp, tile=128)
        steps[exact] = np.abs(np.diff(made.picture[:, :, 0], axis=1)).max()
        assert any("tone may differ" in note for note in made.notes) == (not exact)
    assert steps[False] < 0.5 * steps[True]


def test_a_network_that_is_not_exact_gets_the_whole_picture_while_it_fits():
    made = Applier(Whole(), exact=False).run(noise(0, 300, 1500))
    assert made.tiles == 1 and not made.notes


def test_memory_that_runs_out_halves_the_tiles_and_says_so():
    torch.manual_seed(1)
    network = Short(150 * 150, Sees())
    applier, picture = Applier(network, reach=3), noise(3, 200, 260)
    made = applier.run(picture, tile=0)
    told = ("memory was short: tiles of 128 pixels were taken", "memory was short: tiles of 64 pixels were taken")
    assert made.notes and made.notes == told[: len(made.notes)]
    assert made.tiles > 1 and max(h * w for h, w in network.sizes) <= 150 * 150
    assert np.abs(made.picture.astype(int) - sees().run(picture, tile=0).picture).max() <= 1
    again = applier.run(picture, tile=0)
    assert not again.notes and np.array_equal(again.picture, made.picture), "what was found out is remembered"


def test_memory_for_no_tile_at_all_is_an_error_in_words():
    applier = Applier(Same())
    assert applier.run(noise(0, 8, 8)).tiles == 1  # which looks how much memory it takes
    applier.network = Short(10, Same())
    with pytest.raises(MemoryShortError, match="32 pixels, the smallest"):
        applier.run(noise(0, 200, 200))


def test_other_errors_of_a_network_are_not_taken_for_memory():
    with pytest.raises(RuntimeError, match="expected"):
        Applier(torch.nn.Conv2d(5, 3, 1)).run(noise(0, 8, 8))


def test_results_that_are_no_numbers_are_refused():
    class Broken(torch.nn.Module):
        def forward(self, x):
            return x / 0 - x / 0

    with pytest.raises(DivergedError, match="not finite"):
        Applier(Broken()).run(noise(0, 8, 8))


@pytest.mark.parametrize("tile", [-1, 31, "big", 1.5])
def test_tiles_of_no_size_are_refused(tile):
    with pytest.raises(UsageError, match="tile must be auto"):
        same().run(noise(0, 8, 8), tile=tile)


def test_a_tile_smaller_than_what_the_network_sees_is_told():
    made = sees(reach=50).run(noise(0, 90, 90), tile=32)
    assert any("sees 50" in note and "seams" in note for note in made.notes)


def test_grey_keeps_the_luminance_alone():
    picture = noise(0, 40, 50, 1).repeat(3, 2)
    made = same().run(picture, tile=32, grey=True)
    assert np.array_equal(made.picture, picture[..., :1])


def test_a_large_result_lies_in_a_file(monkeypatch):
    monkeypatch.setattr(tiles, "MAPPED", 1000)
    picture = noise(0, 70, 70)
    made = same().run(picture, tile=32)
    assert isinstance(made.picture, np.memmap) and np.array_equal(made.picture, picture)


def test_the_room_of_a_file_is_taken_before_it_is_written_to(monkeypatch):
    monkeypatch.setattr(tiles, "MAPPED", 1000)
    taken = []
    monkeypatch.setattr(os, "posix_fallocate", lambda file, start, length: taken.append((start, length)), raising=False)
    assert tiles.blank((30, 40, 3), np.dtype(np.uint16)).shape == (30, 40, 3) and taken == [(0, 30 * 40 * 6)]
    for number in (errno.EOPNOTSUPP, errno.EINVAL):
        monkeypatch.setattr(os, "posix_fallocate", refuses(number))
        assert tiles.blank((30, 40, 3), np.dtype(np.uint8)).sum() == 0, "a file system that cannot reserve"
    monkeypatch.setattr(os, "posix_fallocate", refuses(errno.ENOSPC))
    with pytest.raises(StorageError, match="No space left on device. Set TMPDIR"):
        tiles.blank((30, 40, 3), np.dtype(np.uint8))
    monkeypatch.delattr(os, "posix_fallocate")
    monkeypatch.setattr(tiles.shutil, "disk_usage", lambda folder: SimpleNamespace(free=3599))
    with pytest.raises(StorageError, match="No space left on device. Set TMPDIR"):
        tiles.blank((30, 40, 3), np.dtype(np.uint8))


def test_a_picture_of_12_megapixels_takes_little_more_memory_than_its_bytes():
    code = PEAK + (
        "import numpy as np, torch\n"
        "from ganforge.tasks.apply.applier import Applier\n"
        "torch.set_num_threads(1)\n"
        "net = torch.nn.Conv2d(3, 3, 3, padding=1)\n"
        "picture = np.zeros((3000, 4000, 3), np.uint8)\n"
        "picture += 1\n"  # so that its memory is really there
        "Applier(net, reach=1).run(picture[:64, :64])\n"
        "before = peak()\n"
        "made = Applier(net, reach=1).run(picture)\n"
        "assert made.picture.shape == picture.shape and made.tiles > 10, made.tiles\n"
        "print(peak() - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 36 + 300, "MB beyond the picture: the result's 36, and a row of tiles; floats of the whole would be 288 more"
