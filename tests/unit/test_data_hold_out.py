"""A part that is set aside: by content, the same one whatever else is there, never sharing a picture with the training part."""

from __future__ import annotations

import io
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from ganforge.core.errors import DataError, UsageError
from ganforge.data import store
from ganforge.data.alike import compare
from ganforge.data.describe import summary
from ganforge.data.hold import held
from ganforge.data.images import Images
from ganforge.metrics import sets
from ganforge.runs.case import resolve
from ganforge.runs.evaluate import evaluate
from ganforge.runs.health import Guard
from ganforge.runs.sides import data_of
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
    assert len(found.held_out) % 3 == 0 and 24 <= len(found.held_out) <= 84
    ours = found.images[:, None].float()
    apart = (ours - found.held_out.images[None].float()).square().mean((2, 3, 4)).sqrt()
    assert apart.min() > 12, "not even the JPEG of a picture lies on the other side"


def test_a_group_of_near_copies_is_as_likely_to_be_held_out_as_one_image():
    draw, group = np.random.default_rng(0), np.repeat(np.arange(4000), 20)
    for share in (0.1, 0.5):
        marks = draw.integers(0, 2**64, len(group), np.uint64)
        out = held(marks, group * 20, share)
        assert abs(out.mean() - share) < 0.025 and (out.reshape(-1, 20).min(1) == out.reshape(-1, 20).max(1)).all()
        assert (held(marks, group * 20, share / 2) <= out).all()
        copied = np.repeat(marks[::20], 20)  # exact copies have one mark, and move nothing
        assert (held(copied, group * 20, share)[::20] == held(marks[::20], np.arange(4000), share)).all()


def turned(root, count=60):
    """Pictures, each with its mirror image, and that as JPEG."""
    root.mkdir()
    for k in range(count):
        (root / f"{k}.png").write_bytes(encoded(smooth(k)))
        (root / f"{k} turned.png").write_bytes(encoded(np.ascontiguousarray(smooth(k)[:, ::-1])))
        (root / f"{k}.jpg").write_bytes(encoded(np.ascontiguousarray(smooth(k)[:, ::-1]), "JPEG", quality=85))
    return root


def test_mirrored_copies_are_never_on_both_sides_where_images_are_mirrored(tmp_path):
    root = turned(tmp_path / "in")

    def apart(found):
        theirs = found.held_out.images[None].float()
        ours = torch.cat([found.images, found.images.flip(3)])[:, None].float()
        return torch.cat([(part - theirs).square().mean((2, 3, 4)).sqrt() for part in ours.split(20)]).min()

    found = look(root, hold_out=0.3)
    assert found.flip and 24 <= len(found.held_out) <= 84 and len(found.held_out) % 3 == 0 and apart(found) > 12
    again = sets.like(str(root), tuple(found.images.shape[1:]), Images(path=str(root), hold_out=0.3))
    assert again.held_out.images.equal(found.held_out.images) and not again.flip
    assert apart(look(root, hold_out=0.3, flip="no")) < 5


def test_exact_mirror_images_are_found_in_a_crowd():
    one = np.zeros((400, 3, 16, 16), np.uint8)  # all alike in the bits and thumbnails that neighbours are sought by
    one[:, :, 8, 8] = np.arange(400)[:, None] // 2 % 200
    one[::2] = one[::2, :, :, ::-1]
    near = compare(one, mirrored=True).near
    assert (near[::2] == near[1::2]).all()


def test_no_file_without_a_name_is_left_where_memory_is_short(tmp_path, monkeypatch):
    monkeypatch.setenv("GANFORGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(store, "SHARE", 0.0)
    root = turned(tmp_path / "in", 20)
    files = look(root, hold_out=0.3, dedup="exact")
    arrays = look(packed(tmp_path / "a.npz"), size="16", hold_out=0.25)
    for found in (files, arrays, sets.as_is(str(root))):
        assert found.images.float().std() > 10, "the pixels are there"
    assert not files.report["in_memory"] and not arrays.report["in_memory"]
    assert not list(tmp_path.rglob("*.part*")) and list((tmp_path / "cache" / "decoded").glob("*.npy"))


def test_a_decoded_set_that_cannot_be_cached_leaves_no_file(tmp_path, monkeypatch):
    monkeypatch.setenv("GANFORGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(store, "SHARE", 0.0)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store.os, "replace", full)
    assert len(look(turned(tmp_path / "in", 4))) == 12
    assert not list(tmp_path.rglob("*.part*"))


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


CHANGED = "the data changed since the model was trained on it"


def test_options_of_the_training_are_not_those_of_other_data(tmp_path, monkeypatch):
    quick(monkeypatch)
    data = packed(tmp_path / "a.npz")
    run = train(tmp_path / "run", data, hold_out=0.25, balance=True, strict=True)
    other = fill(tmp_path / "other", 12, **SMALL)
    (other / "broken.png").write_bytes(b"no image")
    foreign, _ = data_of(run.model(), str(other), run.folder)
    assert foreign.held_out is None and len(foreign) == 12 and not foreign.balance, "no classes, one file skipped, nothing set aside"
    own = look(data, hold_out=0.25)
    shutil.copy(data, tmp_path / "copy.npz")
    for path in ("", str(data), str(tmp_path / "copy.npz")):
        found, _ = data_of(run.model(), path, run.folder)
        assert found.held_out.images.equal(own.held_out.images) and not found.balance
    few = fill(tmp_path / "few", 2, **SMALL)
    assert len(data_of(run.model(), str(few), run.folder)[0]) == 2


def test_data_that_changed_since_the_training_is_told(tmp_path, monkeypatch):
    quick(monkeypatch)
    data = packed(tmp_path / "a.npz")
    run = train(tmp_path / "run", data, hold_out=0.25, flip="yes")
    ways = {"metrics": "kid", "features": "random", "samples": 60}
    assert not any(CHANGED in note for note in evaluate(run.folder, **ways).notes)
    packed(data, 630)
    assert [CHANGED in note for note in evaluate(run.folder, **ways).notes].count(True) == 1
    assert not any(CHANGED in note for note in evaluate(run.folder, data, **ways).notes), "it was asked for"


def test_a_recipe_that_changes_its_data_is_not_told_that_they_changed(tmp_path, monkeypatch):
    quick(monkeypatch)
    run = train(tmp_path / "run", packed(tmp_path / "a.npz"), "infogan", hold_out=0.25)
    found = evaluate(run.folder, metrics="kid", features="random", samples=60)
    assert not any(CHANGED in note for note in found.notes)
