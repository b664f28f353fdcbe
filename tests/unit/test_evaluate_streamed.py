"""Sets whose feature rows are too many to hold: the Frechet distance of all of them, the rest of some, in bounded memory."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

import ganforge
from ganforge.data.imageset import ImageSet
from ganforge.metrics import frechet
from ganforge.metrics.random_features import RandomFeatures
from ganforge.runs import seen, sides
from tests.faults.make import PEAK


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GANFORGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("GANFORGE_OFFLINE", "1")


@pytest.fixture
def few_rows(monkeypatch):
    """Memory for 200 rows."""
    monkeypatch.setattr(seen, "ROWS", 200 * 4 * RandomFeatures.dim)


def noise(count, seed):
    return ImageSet(torch.randint(0, 256, (count, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed)))


def test_streamed_moments_give_the_distance_of_all_rows(few_rows):
    eyes, a, b = RandomFeatures(), noise(700, 0), noise(600, 1)
    (one,), other = seen.of_side([eyes], sides.Stored("a", a)), seen.of_set(eyes, b, "b")
    assert len(one.rows) == len(other.rows) == 200 and one.moments.count == 700 and other.moments.count == 600
    whole = frechet.frechet_distance(eyes(a.images), eyes(b.images))
    streamed = frechet.from_moments(one.moments.mean, one.moments.cov, other.moments.mean, other.moments.cov)
    assert streamed == pytest.approx(whole, rel=1e-6)


def test_rows_that_are_held_are_those_of_the_examples_they_name(few_rows):
    eyes, images = RandomFeatures(), noise(700, 0)
    for found in (*seen.of_side([eyes], sides.Stored("a", images)), seen.of_set(eyes, images, "a")):
        assert torch.allclose(found.rows, eyes(images.images[found.examples])) and len(found.examples.unique()) == 200
        assert found.examples.max() > 600, "drawn from all of them, as files may be sorted by class"


def test_only_the_distance_of_moments_is_of_all_images_and_the_protocol_says_so(few_rows, monkeypatch):
    short = ganforge.evaluate("digits", "digits", metrics="fid,kid", features="random", samples=290)
    assert "of which 200 a side for all but FID" in short.protocol
    pairs = short.memorisation["training images searched"]
    monkeypatch.undo()
    monkeypatch.setenv("GANFORGE_OFFLINE", "1")
    whole = ganforge.evaluate("digits", "digits", metrics="fid,kid", features="random", samples=290)
    assert "of which" not in whole.protocol and pairs == 200
    for numbers in ("values", "floor", "training", "training_floor"):
        assert getattr(short, numbers)["FD-random"] == pytest.approx(getattr(whole, numbers)["FD-random"], rel=1e-6, abs=1e-9)
        assert getattr(short, numbers)["KID-random"] != getattr(whole, numbers)["KID-random"]


def test_classes_and_copies_are_found_among_rows_that_are_held(few_rows):
    found = ganforge.evaluate("digits", "digits", metrics="kid", features="random", samples=290, per_class=True, out="kept")
    assert list(found.per_class) == [str(d) for d in range(10)] and sum(map(len, found.per_class.values())) > 5
    assert found.saved.with_name("001-nearest.png").is_file()


def test_memory_does_not_grow_with_the_number_of_images():
    """60,000 rows of 480 features would take 115 MB; what is held here is 2 MB."""
    program = (
        "import torch\nfrom ganforge.metrics.random_features import RandomFeatures\nfrom ganforge.runs import seen\n"
        + PEAK
        + "class Many:\n    name = 'many'\n"
        "    def __init__(self, count): self.count = count\n"
        "    def pixels(self, which):\n"
        "        draw = torch.Generator().manual_seed(which[0])\n"
        "        return torch.randint(0, 256, (len(which), 1, 4, 4), dtype=torch.uint8, generator=draw)\n"
        "class Quick(RandomFeatures):\n"
        "    def __call__(self, images): return images.flatten(1).float().repeat(1, 30)\n"
        "torch.set_num_threads(1)\n"
        "seen.ROWS = 2**21\n"
        "seen.of_side([Quick()], Many(2_000)); before = peak()\n"
        "found, = seen.of_side([Quick()], Many(60_000))\n"
        "assert found.moments.count == 60_000\n"
        "print(peak() - before)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(ran.stdout) < 40, ran.stdout
