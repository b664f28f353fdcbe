"""Published sets of pairs as they are unpacked: sides that run into other words, suffixes on one side, several givens of one target."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from ganforge.core.errors import DataError
from ganforge.data.images import Images
from ganforge.data.pairs import Pairs
from ganforge.data.photos import Photos
from tests.faults.make import reasons
from tests.unit.test_data_pairs import pairs, photo, together, write


def load(root):
    return Photos(path=str(root), crop=24).load(root.parent / "cache")


def enlarging(root, good, bad, names=("{k}", "{k}"), scale=2, first=0, count=5):
    """Good and bad images of names made of k, the bad ones negatives that are so many times smaller."""
    for k in range(first, first + count):
        wanted = photo(k, 96, 72)
        write(root / good / f"{names[0].format(k=k)}.png", wanted)
        write(root / bad / f"{names[1].format(k=k)}.png", 255 - wanted[::scale, ::scale])
    return root


def partners(data):
    """Names of given and wanted images that belong together."""
    return {both for part in (data, data.held_out) for both in zip(part.given.names, part.album.names, strict=True)}


SETS = [
    ("HR", "LRx2", ("{k}", "{k}")),
    ("hr", "lrx4", ("img_{k}", "img_{k}x4")),
    ("GTmod12", "LRbicx2", ("baby{k}", "baby{k}")),
    ("Set5_HR", "Set5_LRbicubic_X2", ("baby{k}_HR", "baby{k}_LR")),
    ("DIV2K_train_HR", "DIV2K_train_LR_bicubic/X2", ("000{k}", "000{k}x2")),
    ("DIV2K_train_HR", "DIV2K_train_LR_mild", ("000{k}", "000{k}x4m")),
]


@pytest.mark.parametrize(("good", "bad", "names"), SETS, ids=[f"{bad}-{names[1]}" for _, bad, names in SETS])
def test_sets_for_super_resolution_are_pairs_as_they_are_published(tmp_path, good, bad, names):
    data = load(enlarging(tmp_path / "in", good, bad, names))
    assert data.brings == "pairs" and data.scale == 2 and together(data) and not data.report["skipped"]
    assert partners(data) == {(f"{bad}/{names[1]}.png".format(k=k), f"{good}/{names[0]}.png".format(k=k)) for k in range(5)}


def test_several_sets_with_the_same_names_and_a_suffix_are_not_mixed_up(tmp_path):
    for k, name in enumerate(("Set5", "Set14")):
        enlarging(tmp_path / "in" / name, "HR", "LR_bicubic/X2", ("img{k}", "img{k}x2"))
        write(tmp_path / "in" / name / "HR" / "more.png", photo(30 + k, 96, 72))
    data = load(tmp_path / "in")
    assert len(partners(data)) == 10 and all(a.split("/")[0] == b.split("/")[0] for a, b in partners(data)) and len(reasons(data)) == 2


def deblurring(root):
    """GoPro as it is published: of every scene blurred images, the same with another gamma, and sharp ones."""
    for scene, first in (("GOPR0372_07_00", 0), ("GOPR0374_11_01", 10)):
        for k in range(first, first + 3):
            write(root / scene / "sharp" / f"{k % 10}.png", photo(k))
            for name in ("blur", "blur_gamma"):
                write(root / scene / name / f"{k % 10}.png", 255 - photo(k))
    return root


def test_several_damaged_images_of_a_good_one_are_all_learnt_from_and_held_out_together(tmp_path):
    data = load(deblurring(tmp_path / "in"))
    expected = {
        (f"{scene}/{name}/{k}.png", f"{scene}/sharp/{k}.png")
        for scene in ("GOPR0372_07_00", "GOPR0374_11_01")
        for name in ("blur", "blur_gamma")
        for k in range(3)
    }
    assert partners(data) == expected and together(data) and not {*data.album.names} & {*data.held_out.album.names}
    told = "12 pairs of the same name: A is GOPR0372_07_00/blur, ..., B is GOPR0372_07_00/sharp, ... · 6 different B"
    assert data.report["notes"][0] == told and not data.report["skipped"]


def test_a_partner_in_another_folder_is_none_however_few_there_are(tmp_path):
    for scene in ("one", "two"):
        pairs(tmp_path / "in", f"input/{scene}", f"target/{scene}", 3, 10 * (scene == "two"))
    for k in range(3):
        (tmp_path / "in" / "input" / "two" / f"{10 + k}.png").rename(tmp_path / "in" / "input" / "two" / f"{k}.png")
        (tmp_path / "in" / "target" / "two" / f"{10 + k}.png").unlink()
    assert partners(load(tmp_path / "in")) == {(f"input/one/{k}.png", f"target/one/{k}.png") for k in range(3)}


@pytest.mark.parametrize(
    ("good", "bad", "name"),
    [("DIV2K_train_HR", "DIV2K_train_LR_bicubic/X{s}", "{{k}}x{s}"), ("HR", "LRx{s}", "{{k}}")],
)
def test_damaged_images_of_several_scales_are_refused_with_their_folders(tmp_path, good, bad, name):
    for scale in (2, 3, 4):
        enlarging(tmp_path / "in", good, bad.format(s=scale), ("{k}", name.format(s=scale)), scale)
    folders = " and ".join(f"{bad.format(s=scale)} \\({scale} times smaller\\)" for scale in (2, 3, 4))
    for way in (lambda: load(tmp_path / "in"), lambda: Pairs(path=str(tmp_path / "in"), size=24).load(tmp_path / "cache")):
        with pytest.raises(DataError, match=f"of {good}/0.png there are given images of several scales: in {folders}. .*leave in one of"):
            way()
    data = Pairs(path=str(tmp_path / "in"), size=24, load_size=32).load(tmp_path / "cache")
    assert len(partners(data)) == 15 and data.scale == 1


@pytest.mark.parametrize("clash", ["two good ones", "other names"])
def test_damaged_and_good_images_that_do_not_match_are_never_taken_for_good_ones(tmp_path, clash):
    root = pairs(tmp_path / "in", "blur", "sharp")
    for k in range(6):
        if clash == "two good ones":
            write(root / "clean" / f"{k}.png", photo(k))
        else:
            (root / "blur" / f"{k}.png").rename(root / "blur" / f"shot-{k}.png")
    folders = "blur .6., clean .6., sharp .6." if clash == "two good ones" else "blur .6., sharp .6."
    more = r"without a partner, such as \w+/0.png and blur/(shot-)?0.png. "
    with pytest.raises(DataError, match=f"hold 0 pairs of the same name and 1[28] images {more}Folders with images: {folders}.*the same f"):
        load(root)


def test_jpeg_files_of_all_endings_are_images(tmp_path):
    root = pairs(tmp_path / "in", "noisy", "clean", 4)
    for k, ending in ((4, "jfif"), (5, "JPE")):
        for name in ("noisy", "clean"):
            Image.fromarray(photo(k)).save(root / name / f"{k}.{ending}", "JPEG", quality=95)
    assert {f"noisy/{k}.{ending}" for k, ending in ((4, "jfif"), (5, "JPE"))} <= {a for a, _ in partners(load(root))}
    for k in range(8):
        (tmp_path / "classes" / "ab"[k % 2]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(photo(k)).save(tmp_path / "classes" / "ab"[k % 2] / f"{k}.{('png', 'jfif')[k % 2]}", ("PNG", "JPEG")[k % 2])
    found = Images(path=str(tmp_path / "classes")).load(tmp_path / "cache")
    assert found.report["class_counts"] == {"a": 4, "b": 4} and np.asarray(found.images).shape[0] == 8
