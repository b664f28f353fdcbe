"""Two sets without pairs: both are found by whatever names, read in their own order, and held out by content."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
import torch

from ganforge import cli
from ganforge.core.errors import DataError, UsageError
from ganforge.data.describe import full, summary
from ganforge.data.domains import Domains
from tests.faults.make import encoded, smooth
from tests.unit.test_data_photos import as_bytes, same


def put(folder, numbers, dark, side=72):
    """Pictures of a dark kind (all bytes below 128) or a light one."""
    folder.mkdir(parents=True, exist_ok=True)
    for k in numbers:
        (folder / f"{'n' if dark else 'm'}{k}.png").write_bytes(encoded(smooth(k, side) // 2 + (0 if dark else 128)))


def two(root, a="horses", b="zebras"):
    put(root / a, range(8), dark=True)
    put(root / b, range(20, 32), dark=False)
    return root


def load(root, **options):
    return Domains(path=str(root), **options).load(root.parent / "cache")


def first(data, count=4, size=4, **options):
    return list(islice(data.batches(size, seed=3, **options), count))


@pytest.mark.parametrize(
    ("a", "b"), [("horses", "zebras"), ("trainA", "trainB"), ("train/horse", "train/zebra"), ("A", "B"), ("train_day", "train_night")]
)
def test_two_folders_of_any_names_are_two_sets(tmp_path, a, b):
    data = load(two(tmp_path / "in", a, b), size=32)
    for batch in first(data):
        assert (batch["given"] < 0.01).all() and (batch["x"] > 0).all() and batch["x"].shape == batch["given"].shape == (4, 3, 32, 32)
    assert data.spec.given == data.spec.shape == (3, 32, 32)
    held = data.held_out
    assert len(data) + len(held) == 12 and len(data.given) + len(held.given) == 8 and min(len(held), len(held.given)) >= 1
    turned = load(tmp_path / "in", size=32, direction="BtoA")
    assert (first(turned)[0]["given"] > 0).all() and (first(turned)[0]["x"] < 0.01).all() and turned.fingerprint != data.fingerprint


def test_a_part_called_test_is_held_out(tmp_path):
    root = two(tmp_path / "in", "trainA", "trainB")
    put(root / "testA", range(50, 53), dark=True), put(root / "testB", range(60, 62), dark=False)
    data = load(root, size=32)
    assert (len(data), len(data.given), len(data.held_out), len(data.held_out.given)) == (12, 8, 2, 3)
    assert data.report["notes"][0] == (
        "two sets without pairs: A is trainA with 8 images, B is trainB with 12 · 3 and 2 more of the part test are held out"
    )
    assert summary(data)[0] == "25 files · 20 usable images of two kinds · 5 held out"


def test_starting_at_a_step_equals_skipping_to_it_and_processes_share_a_batch(tmp_path):
    data = load(two(tmp_path / "in"), size=32)
    assert same(first(data, 9)[4:], first(data, 5, start=4)) and not same(first(data, 5), first(data, 5, start=4))
    shares = [first(data, 6, rank=r, world=2) for r in (0, 1)]
    assert same(first(data, 6), [{k: torch.cat([a[k], b[k]]) for k in a} for a, b in zip(*shares, strict=True)])
    with pytest.raises(UsageError, match="divide over 3 processes"):
        data.batches(16, seed=0, world=3)


def test_either_set_comes_in_its_own_order(tmp_path):
    root = tmp_path / "in"
    for name, dark in (("a", True), ("b", False)):
        put(root / name, range(9), dark)  # of every image of one kind the other has the partner
    data = load(root, size=72, flip="no", hold_out=0.0)
    other = {(photo - 128).tobytes(): k for k, photo in enumerate(data.album.photos)}
    same_place = 0
    for batch in first(data, 9, size=9):
        x = [other[(p - 128).tobytes()] for p in as_bytes(batch["x"])]
        given = [other[p.tobytes()] for p in as_bytes(batch["given"])]
        assert sorted(x) == sorted(given) == list(range(9)) and x != given
        same_place += sum(a == b for a, b in zip(x, given, strict=True))
    assert same_place < 30


def test_shown_examples_are_held_out_and_of_one_size(tmp_path):
    root = tmp_path / "in"
    put(root / "a", range(8), dark=True, side=140), put(root / "b", range(20, 30), dark=False, side=70)
    data = load(root, size=32)
    shown = data.shown(4)
    assert shown["x"].shape == shown["given"].shape and shown["x"].shape[1:] == (3, 64, 64)
    assert shown["x"].equal(load(root, size=32).shown(4)["x"]) and (shown["given"] < 0.01).all()


def test_resizing_first(tmp_path):
    data = load(two(tmp_path / "in"), size=32, load_size=36)
    assert {photo.shape for photo in (*data.album.photos, *data.given.album.photos)} == {(3, 36, 36)}


def test_an_image_in_both_sets_is_told_and_stays_on_one_side(tmp_path):
    root = two(tmp_path / "in")
    for k in range(6):
        body = (root / "horses" / f"n{k}.png").read_bytes()
        (root / "zebras" / f"copy{k}.png").write_bytes(body)
    data = load(root, size=32, hold_out=0.4)
    assert "6 images lie in both sets, so nothing tells these apart" in data.report["notes"]
    ours, theirs = ({*part.album.prints, *part.given.album.prints} for part in (data, data.held_out))
    assert not ours & theirs


def test_a_set_of_one_image_is_not_held_out(tmp_path):
    root = tmp_path / "in"
    put(root / "a", [1], dark=True), put(root / "b", range(20, 30), dark=False)
    data = load(root, size=32)
    assert data.held_out is None and len(data) == 10 and len(data.given) == 1 and data.report["held_out"] == 0


def test_the_report_is_whole_and_check_tells_the_layout(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("GANFORGE_CACHE", str(tmp_path / "cache"))
    root = two(tmp_path / "in", "trainA", "trainB")
    told = full(load(root, size=32))
    assert told["files"] == 20 and told["held_out_fingerprint"] and told["class_counts"] == {}
    for words, line in (
        ([str(root)], "note: two sets without pairs: A is trainA with 8 images, B is trainB with 12"),
        (
            [str(two(tmp_path / "plain"))],
            "layout: two sets without pairs: A is horses with 8 images, B is zebras with 12; or they are two "
            "classes of one set, as plain `gan train` takes them",
        ),
    ):
        with pytest.raises(SystemExit) as left:
            cli.main(["check", *words])
        lines = capfd.readouterr().out.splitlines()
        assert not left.value.code and line in lines and lines[-1] == "layout: learn to turn A into B: gan train DATA --recipe cut"


def test_what_is_no_two_sets_is_told_with_what_is_there(tmp_path):
    root = tmp_path / "in"
    put(root, range(4), dark=True)
    with pytest.raises(DataError, match=r"no two sets are to be seen. Folders with images: the top folder \(4\). Expected two folders"):
        load(root)
    for k in range(4):
        (root / f"wide{k}.png").write_bytes(encoded(np.concatenate([smooth(k), smooth(k)], 1)))
        (root / f"n{k}.png").unlink()
    with pytest.raises(DataError, match="But there are 4 pairs side by side in one image.*--recipe pix2pix"):
        load(root)
