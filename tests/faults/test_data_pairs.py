"""Faults of pairs and of two sets: half of it unreadable, wrong sizes, one side empty, the same file twice."""

from __future__ import annotations

import re

import pytest

from ganforge.core.errors import DataError
from ganforge.data.describe import summary
from ganforge.data.domains import Domains
from ganforge.data.pairs import Pairs
from ganforge.data.photos import Photos

from .make import bomb, encoded, noise, reasons, smooth, state


def pairs(root, count=6):
    for name in ("A", "B"):
        (root / name).mkdir(parents=True)
        for k in range(count):
            (root / name / f"{k}.png").write_bytes(encoded(smooth(k + (name == "B") * 50)))
    return root


def load(kind, root, **options):
    return kind(path=str(root), **options).load(root.parent / "cache")


def test_a_partner_that_cannot_be_read_takes_the_other_with_it_and_both_are_named(tmp_path):
    root = pairs(tmp_path / "in")
    for name in ("A/0.png", "B/1.png"):
        (root / name).write_bytes((root / name).read_bytes()[:300])
    (root / "A" / "2.png").write_bytes(b"<html>")
    before = state(root)
    data = load(Pairs, root, size=32)
    why = reasons(data)
    assert len(data) + len(data.held_out) == 3 and why["A/0.png"].startswith("truncated") and why["A/2.png"].startswith("not an image")
    assert why["B/0.png"] == "no partner: A/0.png cannot be used" and why["A/1.png"] == "no partner: B/1.png cannot be used"
    assert "6 skipped" in summary(data)[0] and state(root) == before


def test_half_of_the_photographs_unreadable_leaves_the_other_half(tmp_path):
    root = tmp_path / "in"
    root.mkdir()
    for k in range(8):
        body = encoded(smooth(k, 90), "JPEG")
        (root / f"{k}.jpg").write_bytes(body[: len(body) // 2] if k % 2 else body)
    (root / "bomb.png").write_bytes(bomb())
    (root / "tiny.png").write_bytes(encoded(noise(1, 30, 200)))
    data = load(Photos, root, crop=64)
    assert len(data) + len(data.held_out) == 4 and data.report["reasons"] == {"truncated": 4, "too large": 1, "too small": 1}
    assert reasons(data)["tiny.png"] == "too small: 30x200, needs 32 on the short side"
    assert any("smaller pieces take them" in line for line in summary(data))
    with pytest.raises(DataError, match="(?s)strict allows none.*bomb.png"):
        load(Photos, root, strict=True)


def test_one_photograph_or_none_is_too_few(tmp_path):
    root = tmp_path / "in"
    root.mkdir()
    (root / "a.png").write_bytes(encoded(smooth(1, 90)))
    (root / "b.png").write_bytes(b"")
    with pytest.raises(DataError, match="(?s)1 of 2 files can be used as images, at least 2 are needed.*b.png: empty"):
        load(Photos, root)


def test_the_training_part_unreadable_is_an_error(tmp_path):
    root = tmp_path / "in"
    for part, count in (("train", 2), ("test", 3)):
        (root / part).mkdir(parents=True)
        for k in range(count):
            (root / part / f"{k}.png").write_bytes(encoded(smooth(k, 90)) if part == "test" else b"GIF8")
    with pytest.raises(DataError, match="no image that could be learnt from can be used"):
        load(Photos, root)


def test_sizes_that_do_not_match_are_named_one_by_one_and_an_error_where_none_does(tmp_path):
    root = pairs(tmp_path / "in")
    (root / "B" / "3.png").write_bytes(encoded(smooth(3, 80)))
    data = load(Pairs, root, size=32)
    assert reasons(data) == {"B/3.png": "sizes do not match: it is 80x80, and A/3.png is 64x64"}
    assert "1 of sizes that do not match" in summary(data)[0]
    for k in range(6):
        (root / "B" / f"{k}.png").write_bytes(encoded(smooth(k, 100)))
    told = "0 of 6 pairs of .* that can be read fit together, at least 2 are needed. Wanted images are as large as the given ones or"
    with pytest.raises(DataError, match=f"(?s){told}.*--load-size 64.*B/0.png: sizes do not match: it is 100x100, and A/0.png is 64x64"):
        load(Pairs, root, size=32)
    assert len(load(Pairs, root, size=32, load_size=64).album.photos[0][0]) == 64


def test_one_side_empty_says_what_is_there_and_what_was_expected(tmp_path):
    root = pairs(tmp_path / "in")
    for path in (root / "B").iterdir():
        path.unlink()
    for kind in (Pairs, Domains):
        with pytest.raises(DataError, match=r"(?s)to be seen. Folders with images: A \(6\)..*Expected.*trainA/ and trainB/"):
            load(kind, root)
    for k in range(6):
        (root / "B" / f"{k}.png").write_bytes(b"")
    with pytest.raises(DataError, match=re.escape("no image of B can be used; B/0.png: empty: 0 bytes")):
        load(Domains, root)
    with pytest.raises(DataError, match="(?s)0 of 0 pairs of .* that can be read.*B/0.png: empty"):
        load(Pairs, root)


def test_names_that_do_not_fit_are_told_with_an_example(tmp_path):
    root = pairs(tmp_path / "in")
    for k in range(6):
        (root / "B" / f"{k}.png").rename(root / "B" / f"zebra{k + 10}.png")
    with pytest.raises(DataError, match=r"A and B hold 0 pairs of the same name and 12 images without a partner, such as .*--recipe cut"):
        load(Pairs, root)


def test_the_same_file_twice_stays_on_one_side_and_is_counted(tmp_path):
    root = pairs(tmp_path / "in", 10)
    for k in range(10):
        for name in ("A", "B"):
            (root / name / f"again{k}.png").write_bytes((root / name / f"{k}.png").read_bytes())
    data = load(Pairs, root, size=32, hold_out=0.3)
    assert data.report["duplicates"] == 10 and len(data) % 2 == len(data.held_out) % 2 == 0
    assert not {*data.album.prints} & {*data.held_out.album.prints}


def test_two_partners_of_one_name_are_not_guessed(tmp_path):
    root = pairs(tmp_path / "in")
    (root / "A" / "0.jpg").write_bytes(encoded(smooth(9), "JPEG"))
    data = load(Pairs, root, size=32)
    assert {*reasons(data)} == {"A/0.png", "A/0.jpg", "B/0.png"} and len(data) + len(data.held_out) == 5


def test_small_partners_are_mirrored_or_skipped_with_the_reason(tmp_path):
    root = pairs(tmp_path / "in")
    for name in ("A", "B"):
        (root / name / "small.png").write_bytes(encoded(noise(5, 20, 40)))
        (root / name / "half.png").write_bytes(encoded(noise(6, 40, 90)))
    data = load(Pairs, root, size=64)
    assert reasons(data) == {"B/small.png": "too small: 20x40, needs 32 on the short side"}
    assert any("mirrored at their borders: 1" in note for note in data.report["notes"])
    assert next(data.batches(8, seed=0))["x"].shape == (8, 3, 64, 64)
