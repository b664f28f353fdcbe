"""Masks in folders: which belongs to which picture, which files are masks alone, and one meaning of black and white for all of them."""

from pathlib import Path

import numpy as np
import pytest

from ganforge.core.errors import DataError, UsageError
from ganforge.tasks.apply.files import Job, jobs
from ganforge.tasks.apply.masks import Masks

from ..faults.make import encoded

SIZE = (20, 10)
"""Width and height of pictures and masks."""


def mask(path, share, white_is_hole=True):
    """A mask with holes in this share of it."""
    colour = np.zeros(SIZE[::-1], np.uint8)
    colour.reshape(-1)[: round(share * colour.size)] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(colour if white_is_hole else 255 - colour))


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_the_mask_of_a_picture_is_found_by_its_name(tmp_path):
    place, base = tmp_path / "masks", tmp_path / "photos"
    names = {"a.png": 0.01, "b_mask.png": 0.02, "in/a.png": 0.04, "abc.png": 0.05}
    for name, share in names.items():
        mask(place / name, share)
    (place / "c_mask.txt").touch()

    def found(source, base=None, place=place):
        job = Job(source, None, base)
        return pytest.approx(Masks(place, [job], "white").read(job, SIZE)[0].mean())

    assert found(Path("a.jpg")) == names["a.png"] and found(Path("b.jpg")) == names["b_mask.png"]
    assert found(base / "in" / "a.jpg", base) == names["in/a.png"]
    assert found(base / "in" / "b.jpg", base) == names["b_mask.png"], "one folder of masks for all"
    assert found(Path("x.jpg"), None, place / "abc.png") == found(None, None, place / "abc.png") == names["abc.png"]
    with pytest.raises(DataError, match=r"no mask for c.jpg in .*: expected c.png, c_mask.png or c_mask001.png"):
        found(Path("c.jpg"))
    with pytest.raises(UsageError, match="neither a file nor a folder"):
        found(Path("a.jpg"), None, tmp_path / "nowhere")


@pytest.mark.parametrize("white", [True, False])
def test_all_masks_of_a_folder_mean_the_same_by_black_and_white(tmp_path, white):
    """One with a hole of more than half, and one without any, too; whichever are done already, and whichever cannot be read."""
    shares = {"a": 0.1, "b": 0.55, "c": 0.0, "d": 0.2}
    for name, share in shares.items():
        mask(tmp_path / f"{name}.png", share, white)
    (tmp_path / "e.png").write_text("no picture")
    every = {name: Job(Path(f"{name}.jpg"), None) for name in "abcde"}
    masks = Masks(tmp_path, [*every.values()])
    for name, share in shares.items():
        found, said = masks.read(every[name], SIZE)
        assert found.mean() == pytest.approx(share), name
        assert f"{'white' if white else 'black'} = hole (the rarer colour of all masks; --hole says otherwise), {share:.1%}" in said
    found, said = Masks(tmp_path, [*every.values()], "black" if white else "white").read(every["b"], SIZE)
    assert found.mean() == pytest.approx(0.45) and "--hole" not in said


@pytest.mark.parametrize("white", [True, False])
def test_several_masks_of_one_picture_are_holes_in_it_together(tmp_path, white):
    """Of which one is mostly hole, and one has none."""
    wanted = np.zeros(SIZE[::-1], bool)
    for number, (rows, columns) in enumerate(((slice(0, 3), slice(0, 4)), (slice(2, 10), slice(4, 20)), (slice(0), slice(0)))):
        hole = np.zeros(SIZE[::-1], np.uint8)
        hole[rows, columns] = 255
        wanted |= hole > 0
        (tmp_path / f"a_mask00{number + 1}.png").write_bytes(encoded(hole if white else 255 - hole))
    for number in range(3):
        mask(tmp_path / f"b{number}.png", 0.01, white)
    every = [Job(Path(name), None) for name in ("a.jpg", "b0.jpg", "b1.jpg", "b2.jpg")]
    found, said = Masks(tmp_path, every).read(every[0], SIZE)
    assert np.array_equal(found, wanted)
    assert said == (
        f"3 masks together: {'white' if white else 'black'} = hole (the rarer colour of all masks; --hole says otherwise), "
        f"{wanted.mean():.1%} of the picture"
    )


def test_masks_that_are_all_of_one_colour_say_nothing(tmp_path):
    every = [Job(Path(name), None) for name in ("a.jpg", "b.jpg")]
    for name in "ab":
        mask(tmp_path / f"{name}.png", 0)
    with pytest.raises(DataError, match="black everywhere"):
        Masks(tmp_path, every).read(every[0], SIZE)


def names(place, where):
    masks = Masks(place, jobs([str(where)], "out")[0])
    return [job.source.relative_to(where).as_posix() for job in masks.jobs]


def test_files_that_are_masks_of_others_are_no_jobs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    photos = tmp_path / "photos"
    touch(photos, "a.png", "a_mask000.png", "a_mask001.png", "b.png", "b-mask.png", "mask.png", "in/c.jpg", "in/c_mask.png", "in/b.png")
    for place in (photos, Path("photos"), Path("photos/../photos")):
        assert names(place, photos) == ["a.png", "b.png", "mask.png", "in/b.png", "in/c.jpg"], place
    touch(photos, "a.jpg")
    assert {"a.jpg", "a.png"} < {*names(photos, photos)}, "two pictures of one name, neither the mask of the other"
    touch(tmp_path, "all/d.png", "all/masks/d.png")
    assert names(tmp_path / "all" / "masks", tmp_path / "all") == ["d.png"]
