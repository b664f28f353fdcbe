"""Faults 1 to 6 and 18 to 22: files that are broken, missing, forbidden, or not what they are called."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import ganforge
from ganforge import cli
from ganforge.core.errors import DataError, UsageError
from ganforge.data.describe import summary
from ganforge.data.images import Images
from ganforge.runs import report

from .make import encoded, fill, look, noise, reasons, smooth, state
from .runs import quick, train


@pytest.mark.parametrize("options", [{}, {"progressive": True}], ids=["baseline", "progressive"])
@pytest.mark.parametrize("size", ["32", "8"], ids=["full", "reduced"])
def test_fault_01_truncated_jpeg_is_skipped_and_named(tmp_path, options, size):
    root = fill(tmp_path / "in")
    body = encoded(noise(9, 64, 64), "JPEG", **options)
    (root / "half.jpg").write_bytes(body[: len(body) // 2])
    before = state(root)
    found = look(root, size=size)
    assert len(found) == 4 and reasons(found)["half.jpg"].startswith("truncated")
    assert "5 files · 4 usable · 1 skipped (1 truncated)" in summary(found)[0] and "skipped half.jpg: truncated" in summary(found)[1]
    with pytest.raises(DataError, match="(?s)strict allows none.*half.jpg: truncated") as caught:
        look(root, size=size, strict=True)
    assert caught.value.exit_code == 3 and state(root) == before


@pytest.mark.parametrize("options", [{}, {"progressive": True}], ids=["baseline", "progressive"])
def test_fault_02_jpeg_without_its_end_marker_is_used_only_with_salvage(tmp_path, options):
    root, body = fill(tmp_path / "in"), encoded(noise(9, 64, 64), "JPEG", **options)
    (root / "end.jpg").write_bytes(body[:-2])
    (root / "half.jpg").write_bytes(body[: len(body) // 2])
    (root / "most.jpg").write_bytes(body[:-40])
    (root / "whole.jpg").write_bytes(body)
    assert set(reasons(look(root, size="64", min_side=1))) == {"end.jpg", "half.jpg", "most.jpg"}
    found = look(root, size="64", min_side=1, salvage=True)
    assert set(reasons(found)) == {"half.jpg", "most.jpg"} and found.report["salvaged"] == ["end.jpg"]
    assert found.images[0].equal(found.images[-1])  # end.jpg comes first, whole.jpg last: the same pixels
    assert any("1 salvaged" in line for line in summary(found))


@pytest.mark.parametrize("place", ["pixels", "checksum", "header", "text"])
def test_fault_03_png_with_a_flipped_bit_is_skipped(tmp_path, place):
    from PIL.PngImagePlugin import PngInfo

    words = PngInfo()
    words.add_text("Comment", "some words")
    body = bytearray(encoded(noise(9), pnginfo=words))
    at = {"pixels": len(body) // 2, "checksum": len(body) - 14, "header": 19, "text": body.index(b"words")}[place]
    for bit in range(8):
        root = fill(tmp_path / f"{bit}" / "in")
        flipped = bytearray(body)
        flipped[at] ^= 1 << bit
        (root / "flipped.png").write_bytes(flipped)
        assert set(reasons(look(root))) == {"flipped.png"}, bit


def test_fault_04_jpeg_that_decodes_to_nonsense_is_used_and_listed_as_unlike_the_others(tmp_path):
    root = tmp_path / "in"
    root.mkdir()
    base = smooth(0)
    for k in range(60):
        close = np.clip(base.astype(int) + np.random.default_rng(k).integers(-12, 13, (1, 1, 3)) + k % 7, 0, 255).astype(np.uint8)
        (root / f"{k}.jpg").write_bytes(encoded(close, "JPEG", quality=90))
    body = bytearray(encoded(base, "JPEG", quality=90))
    start, listed = body.index(b"\xff\xda") + 14, 0
    for at in range(start, start + 40):
        flipped = bytearray(body)
        flipped[at] ^= 0x10
        (root / "x.jpg").write_bytes(flipped)
        found = look(root)
        assert len(found) in (60, 61)
        listed += "x.jpg" in found.report["outliers"]
        assert set(found.report["outliers"]) <= {"x.jpg"}
    assert listed >= 10


def test_fault_05_empty_file_web_page_and_git_lfs_pointer_are_told_apart(tmp_path):
    root = fill(tmp_path / "in")
    (root / "empty.jpg").write_bytes(b"")
    (root / "page.jpg").write_bytes(b"\n<!DOCTYPE html><html><body>404</body></html>")
    (root / "pointer.png").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    (root / "phone.jpg").write_bytes(b"\0\0\0\x18ftypheic" + bytes(64))
    (root / "new.jpg").write_bytes(b"\0\0\0\x1cftypavif" + bytes(64))
    found = look(root)
    why = reasons(found)
    assert len(found) == 4 and why["empty.jpg"] == "empty: 0 bytes" and "web page" in why["page.jpg"]
    assert why["pointer.png"].startswith("Git LFS pointer") and "HEIC" in why["phone.jpg"] and "AVIF" in why["new.jpg"]
    assert any(line.startswith("advice:") and "git lfs pull" in line for line in summary(found))


STRANGERS = {
    "a.pdf.jpg": (b"%PDF-1.7", "a PDF document"),
    "drawing.png": (b"<?xml version='1.0'?><svg width='9'/>", "an SVG drawing, convert to PNG"),
    "denied.jpg": (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "it is text"),
    "layers.jpg": (b"8BPS\0\1" + bytes(40), "a Photoshop file, convert to PNG"),
    "film.jpg": (b"\0\0\0\x20ftypisom" + bytes(40), "a video"),
    "old.rar": (b"Rar!\x1a\x07" + bytes(40), "a RAR archive, unpack it"),
    "packed.png": (b"\x1f\x8b\x08" + bytes(40), "a gzip archive, unpack it"),
    "new.jpg": (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(40), "JPEG XL is not read, convert to JPEG or PNG"),
    "wave.jpg": (b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(40), "JPEG 2000 is not read, convert to JPEG or PNG"),
    "zeros.jpg": (bytes(5000), "none of PNG, JPEG, WEBP, BMP, GIF, TIFF"),
}


def test_fault_05_other_kinds_of_files_under_an_image_s_name_are_called_what_they_are(tmp_path):
    root = fill(tmp_path / "in")
    for name, (body, _) in STRANGERS.items():
        (root / name).write_bytes(body)
    assert reasons(look(root)) == {name: f"not an image: {words}" for name, (_, words) in STRANGERS.items()}


def test_fault_06_wrong_upper_case_or_missing_endings_are_read_by_content_and_counted(tmp_path):
    root = fill(tmp_path / "in", 2)
    (root / "jpeg.png").write_bytes(encoded(noise(5), "JPEG"))
    (root / "NOENDING").write_bytes(encoded(noise(6), "WEBP", lossless=True))
    (root / "UPPER.BMP").write_bytes(encoded(noise(7), "BMP"))
    found = look(root)
    assert len(found) == 5 and found.report["misnamed"] == 2 and found.report["skipped"] == []
    assert any("2 with another ending" in line for line in summary(found))


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_fault_18_images_without_variation_are_refused(tmp_path, kind):
    root = tmp_path / "in"
    root.mkdir()
    for k in range(3):
        (root / f"{k}").write_bytes(encoded(Image.new("RGB", (32, 32)), kind))
    with pytest.raises(DataError, match="no variation") as caught:
        look(root)
    assert caught.value.exit_code == 3


def test_fault_19_folders_without_images_say_what_was_seen(tmp_path):
    root = tmp_path / "in"
    (root / "deep" / "er").mkdir(parents=True)
    with pytest.raises(DataError, match=r"holds no images \(nothing\)"):
        look(root)
    for name in (".DS_Store", "Thumbs.db", "deep/.hidden.png"):
        (root / name).write_bytes(b"x")
    with pytest.raises(DataError, match="nothing but 3 hidden"):
        look(root)
    (root / "notes.txt").write_text("x")
    with pytest.raises(DataError, match="1 other files, such as notes.txt but 3 hidden"):
        look(root)
    fill(root / "deep" / "er")
    assert len(look(root)) == 4 and look(root).report["skipped"] == []


def test_fault_19_a_path_that_is_a_broken_link_or_one_round_is_called_that(tmp_path):
    (tmp_path / "round").symlink_to(tmp_path / "round")
    (tmp_path / "gone").symlink_to("/no/where")
    for name, aim in (("round", str(tmp_path / "round")), ("gone", "/no/where")):
        with pytest.raises(UsageError, match=f"{name} is a link that leads nowhere .to {aim}."):
            look(tmp_path / name)


def test_fault_01_a_held_out_part_that_cannot_be_used_is_told_and_the_rest_is(tmp_path):
    fill(tmp_path / "in" / "train", 6), (tmp_path / "in" / "test").mkdir()
    for k in range(3):
        (tmp_path / "in" / "test" / f"{k}.jpg").write_bytes(encoded(noise(k), "JPEG")[:300])
    found = look(tmp_path / "in")
    told = "note: the held-out part is not used: 0 of 3 files can be used as images, at least 2 are needed (3 truncated)."
    assert len(found) == 6 and found.held_out is None and told in summary(found)
    with pytest.raises(DataError, match="0 of 3 files can be used"):
        look(tmp_path / "in", strict=True)


def test_fault_19_loops_of_links_and_pipes_end_at_once(tmp_path):
    root = fill(tmp_path / "in" / "deep").parent
    (root / "deep" / "round").symlink_to(root, target_is_directory=True)
    (root / "self").symlink_to(root / "self")
    (root / "nowhere.png").symlink_to(root / "missing.png")
    os.mkfifo(root / "pipe.png")
    program = f"from ganforge.data.images import Images; print(len(Images(path={str(root)!r}).load({str(tmp_path)!r} + '/cache')))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.stdout == "4\n", done.stderr
    why = reasons(look(root))
    assert set(why) == {"self", "nowhere.png"} and os.strerror(errno.ELOOP) in why["self"]


def test_fault_20_odd_file_names_work_and_are_escaped_in_log_and_page(tmp_path):
    root = fill(tmp_path / "in", 2)
    odd = (
        "größe 😀.png",
        "two\nlines.png",
        "r\u202etl.png",
        "x" * 250 + ".png",
        "<img src=q onerror=alert(1)>.png",
        "-rf.png",
        "\u0645.png",
    )
    for k, name in enumerate(odd):
        (root / name).write_bytes(encoded(noise(k + 10)))
    for name in (b"/bad\xff.png", b"/new\nline.png", b"/<b>.png"):
        with open(os.fsencode(root) + name, "wb") as file:
            file.write(b"nothing")
    found = look(root)
    assert len(found) == 9 and set(reasons(found)) == {"bad\\udcff.png", "new\\nline.png", "<b>.png"}
    assert all("\n" not in line and line.isprintable() for line in summary(found))
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "data_report.json").write_text(json.dumps({**found.report, "summary": summary(found)}))
    page = report.write(tmp_path / "run").read_text()
    assert "&lt;b&gt;.png" in page and "<b>.png" not in page


def test_fault_20_names_that_are_no_utf_8_are_used_from_the_check_to_a_resumed_run(tmp_path, monkeypatch):
    quick(monkeypatch)
    monkeypatch.chdir(tmp_path)
    root = os.fsencode(tmp_path) + b"/ph\xff o\ntos"
    for name in (b"cat\xff", b"d\xc3\xb6g", b"new\nline"):
        os.makedirs(root + b"/" + name)
        for k in range(8):
            with open(root + b"/" + name + b"/\xfe%d.png" % k, "wb") as file:
                file.write(encoded(noise(8 * len(name) + k, 8, 8)))
    where = os.fsdecode(root)
    with pytest.raises(SystemExit) as left:
        cli.main(["check", where, "--out", "report.json"])
    assert not left.value.code and json.loads(Path("report.json").read_text("utf-8"))["path"] == where
    run = train(tmp_path / "run", where)
    assert run.finished and run.model().spec.names == ("cat\\udcff", "dög", "new\\nline")
    assert (tmp_path / "run" / "best" / "README.md").read_text("utf-8")
    assert ganforge.resume(tmp_path / "run").finished


def test_fault_21_files_deleted_or_changed_during_training_change_nothing(tmp_path):
    root = fill(tmp_path / "in", 40)
    left, right = look(root).batches(8, seed=0), look(root).batches(8, seed=0)
    next(left), next(right)
    for k in range(20):
        (root / f"good{k}.png").unlink()
    for k in range(20, 40):
        (root / f"good{k}.png").write_bytes(b"changed")
    for _ in range(10):
        assert next(left)["x"].equal(next(right)["x"])


@pytest.mark.parametrize(("gone", "refused"), [(1, False), (2, False), (3, True)])
def test_fault_21_files_that_vanish_while_they_are_read_are_told_and_more_than_1_percent_is_too_much(tmp_path, gone, refused):
    root = fill(tmp_path / "in", 200, width=8, height=8)
    options = Images(path=str(root))
    source = options._source(tmp_path)
    for k in range(gone):
        (root / f"good{k}.png").unlink()
    from ganforge.data.assemble import from_files

    if refused:
        with pytest.raises(DataError, match="3 of 200 files went away"):
            from_files(options, source, tmp_path / "cache")
        return
    found = from_files(options, source, tmp_path / "cache")
    assert len(found) == 200 - gone and all("went away" in why for why in reasons(found).values())


@pytest.fixture
def public_place():
    """A folder that others may look into, which those of pytest are not."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_fault_22_unreadable_files_and_folders_are_skipped(public_place):
    root = fill(public_place / "in")
    fill(root / "locked")
    (root / "secret.png").write_bytes(encoded(noise(1)))
    (root / "secret.png").chmod(0)
    (root / "locked").chmod(0)
    program = (
        "import os, json\nfrom ganforge.data.images import Images\nimport ganforge.data.assemble\nos.seteuid(65534)\n"
        f"found = Images(path={str(root)!r}).load()\nprint(json.dumps([len(found), found.report['skipped']]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    (root / "locked").chmod(0o755)
    count, skipped = json.loads(done.stdout or "[0, []]")
    assert count == 4, done.stderr
    assert {s["file"] for s in skipped} == {"secret.png", "locked"} and all("ermission denied" in s["reason"] for s in skipped)
