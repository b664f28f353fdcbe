"""A part that is set aside: by content, the same one whatever else is there, never sharing a picture with the training part."""

from __future__ import annotations

import io
import shutil

import numpy as np
import pytest
from PIL import Image

from ganforge.core.errors import DataError, UsageError
from ganforge.data.describe import summary
from ganforge.data.hold import held
from ganforge.data.images import Images
from ganforge.metrics import sets
from ganforge.runs.case import resolve
from ganforge.runs.health import Guard
from tests.faults.make import encoded, fill, look, noise, smooth
from tests.faults.runs import quick, train

SMALL = {"width": 8, "height": 8}


def parts(found):
    """The images of either part, as sets of bytes."""
    return [{one.numpy().tobytes() for one in part.images} for part in (found, found.held_out)]


def test_nothing_is_held_out_unless_asked(tmp_path):
    found = look(fill(tmp_path / "in", 40, **SMALL))
    assert found.held_out is None and len(found) == 40 and "hold_out" not in found.report


def test_about_the_share_is_held_out_and_told(tmp_path):
    found = look(fill(tmp_path / "in", 400, **SMALL), hold_out=0.25)
    count = len(found.held_out)
    assert 70 <= count <= 130 and len(found) == 400 - count and found.report["held_out"] == count
    ours, theirs = parts(found)
    assert len(ours) + len(theirs) == 400 and not ours & theirs
    assert summary(found)[0] == f"400 files · {400 - count} usable · {count} held out"


def test_an_image_stays_in_its_part_when_others_come_go_or_are_renamed_and_at_another_size(tmp_path):
    root = fill(tmp_path / "in", 60, width=16, height=16)
    ours, theirs = parts(look(root, hold_out=0.3))
    shutil.copytree(root, tmp_path / "more")
    for k in range(60, 120):
        (tmp_path / "more" / f"a{k}.png").write_bytes(encoded(noise(k, 16, 16)))
    (tmp_path / "more" / "good3.png").rename(tmp_path / "more" / "zebra.png")
    (tmp_path / "more" / "good7.png").unlink()
    more, others = parts(look(tmp_path / "more", hold_out=0.3))
    gone = encodedless(noise(7, 16, 16))
    assert ours - {gone} <= more and theirs - {gone} <= others and len(more | others) == 119
    one, other = look(root, hold_out=0.3, size="16"), look(root, hold_out=0.3, size="8")
    again = Images(path=str(root), size="8").load(tmp_path / "cache")
    held_rows = [k for k in range(60) if look_row(again, k) in parts(other)[1]]
    whole = look(root)
    assert [k for k in range(60) if look_row(whole, k) in parts(one)[1]] == held_rows


def encodedless(pixels):
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)).tobytes()


def look_row(found, k):
    return found.images[k].numpy().tobytes()


def test_copies_and_near_copies_are_never_on_both_sides(tmp_path):
    root = tmp_path / "in"
    root.mkdir()
    for k in range(60):
        (root / f"{k}.png").write_bytes(encoded(smooth(k)))
        (root / f"{k} copy.png").write_bytes(encoded(smooth(k)))
        (root / f"{k}.jpg").write_bytes(encoded(smooth(k), "JPEG", quality=85))
    found = look(root, hold_out=0.3)
    assert len(found.held_out) % 3 == 0 and len(found.held_out) >= 18
    ours = found.images[:, None].float()
    apart = (ours - found.held_out.images[None].float()).square().mean((2, 3, 4)).sqrt()
    assert apart.min() > 12, "not even the JPEG of a picture lies on the other side"


def test_frames_of_one_animation_stay_together(tmp_path):
    root = tmp_path / "in"
    root.mkdir()
    for k in range(40):
        frames = [Image.fromarray(noise(10 * k + i, 16, 16)) for i in range(3)]
        (root / f"{k}.webp").write_bytes(encoded(frames[0], "WEBP", lossless=True, save_all=True, append_images=frames[1:]))
    found = look(root, hold_out=0.3, frames="all")
    assert len(found) + len(found.held_out) == 120 and len(found) % 3 == 0 and found.report["usable"] == len(found) // 3


def test_every_class_gives_its_share_and_keeps_at_least_one_image():
    draw = np.random.default_rng(0)
    marks, alone = draw.integers(0, 2**64, 5000, np.uint64), np.arange(5000)
    y = np.repeat([0, 1, 2], [4000, 990, 10])
    out = held(marks, alone, 0.2, y)
    assert all(0.15 < out[y == c].mean() < 0.25 for c in (0, 1))
    rare = np.full(5000, 0)
    rare[np.argsort(marks)[:3]] = 1  # all three would go
    out = held(marks, alone, 0.2, rare)
    assert not out[rare == 1].any() and out[rare == 0].any()
    assert (held(marks, alone, 0.1) <= held(marks, alone, 0.2)).all(), "a larger share holds all of a smaller one"
    assert not held(marks, alone, 0.0).any()


def test_classes_are_those_of_both_parts_and_copies_are_left_out_first(tmp_path):
    root = tmp_path / "in"
    for k, name in enumerate(("a", "b")):
        fill(root / name, 50, width=16, height=16)
        for i in range(50):
            (root / name / f"good{i}.png").write_bytes(encoded(noise(100 * k + i, 16, 16)))
    shutil.copy(root / "a" / "good0.png", root / "a" / "again.png")
    found = look(root, hold_out=0.3, dedup="exact")
    assert found.names == found.held_out.names == ("a", "b") and found.labels.bincount().min() > 25
    assert len(found) + len(found.held_out) == 100 == len(found.labels) + len(found.held_out.labels)
    assert sum(found.report["class_counts"].values()) == len(found)


def packed(path, count=600):
    content = io.BytesIO()
    np.savez(content, x=np.stack([noise(k, 8, 8, 1) for k in range(count)]), y=np.arange(count) % 3)
    path.write_bytes(content.getvalue())
    return path


def test_arrays_are_split_by_content_too(tmp_path):
    found = look(packed(tmp_path / "a.npz"), hold_out=0.25)
    more = look(packed(tmp_path / "b.npz", 900), hold_out=0.25)
    assert all(few <= many for few, many in zip(parts(found), parts(more), strict=True))
    assert f" · {len(found.held_out)} held out" in summary(found)[0]


def test_a_part_that_the_source_brings_comes_first(tmp_path):
    fill(tmp_path / "in" / "train", 20, **SMALL), fill(tmp_path / "in" / "test", 5, **SMALL)
    found = look(tmp_path / "in", hold_out=0.5)
    assert (len(found), len(found.held_out)) == (20, 5)
    assert any(line == "note: it brings a held-out part of its own, which is used instead of hold_out" for line in summary(found))


@pytest.mark.parametrize("share", [-0.1, 1.0, 10.0, float("nan")])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(UsageError, match=r"hold_out is a share of the images, from 0 to less than 1, such as 0.1; got"):
        Images(path="x", hold_out=share)


def test_too_few_on_either_side_is_an_error(tmp_path):
    root = fill(tmp_path / "in", 6, **SMALL)
    for share in (0.0001, 0.9999):
        with pytest.raises(DataError, match=r"leaves \d of 6 images to learn from and sets \d aside; each part needs at least 2"):
            look(root, hold_out=share)


def test_evaluation_compares_with_the_held_out_part_and_the_guard_asks_about_it(tmp_path, monkeypatch):
    quick(monkeypatch)
    data = packed(tmp_path / "a.npz")
    run = train(tmp_path / "run", data, hold_out=0.25, labels="none")
    case = resolve(run.folder, "", 0, "", 0)
    found = look(data, hold_out=0.25, labels="none")
    assert case.split == "held-out" and case.real.images.equal(found.held_out.images) and len(case.other) == len(case.real)
    assert sets.like(str(data), (1, 8, 8), Images(path=str(data), hold_out=0.25)).held_out.images.equal(found.held_out.images)
    method = run.model()
    assert method.facts["fields"]["data"]["hold_out"] == 0.25
    from ganforge.recipes import find

    recipe = find("dcgan")(data=Images(path=str(data), hold_out=0.25, labels="none"), width=8)
    guard = Guard(recipe.method(found.spec), found, {"examples": 16 * 12, "batch": 16})
    assert len(guard.eye.held.x) == len(found.held_out)
