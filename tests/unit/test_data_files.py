"""Folders and archives of real-life files."""

from __future__ import annotations

import io
import json
import os
import struct
import warnings
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganforge.core.errors import DataError, UsageError
from ganforge.data.describe import summary
from ganforge.data.images import Images


def noise(seed: int, width: int = 32, height: int = 32, channels: int = 3) -> np.ndarray:
    shape = (height, width, channels) if channels > 1 else (height, width)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def fill(folder: Path, count: int = 4, **size: int) -> Path:
    """Some good PNG images in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for k in range(count):
        Image.fromarray(noise(k, **size)).save(folder / f"good{k}.png")
    return folder


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def reasons(report: dict) -> dict[str, str]:
    return {s["file"]: s["reason"] for s in report["skipped"]}


def test_a_plain_folder_keeps_its_pixels_and_their_natural_order(tmp_path):
    for k in (1, 2, 10):
        Image.fromarray(noise(k)).save(tmp_path / f"img{k}.png")
    got = Images(path=str(tmp_path)).load(tmp_path / "cache")
    assert got.spec.shape == (3, 32, 32) and got.spec.classes == 0 and got.spec.count == 3
    for place, k in enumerate((1, 2, 10)):
        assert np.array_equal(got.images[place].numpy().transpose(1, 2, 0), noise(k))


def test_broken_files_are_skipped_each_with_its_reason(tmp_path):
    fill(tmp_path)
    jpeg = encoded(Image.fromarray(noise(9, 64, 64)), "JPEG")
    png = bytearray(encoded(Image.fromarray(noise(9, 64, 64))))
    png[len(png) // 2] ^= 0x10
    bad = {
        "half.jpg": jpeg[: len(jpeg) // 2],
        "cut.png": bytes(png[: len(png) // 2]),
        "flipped.png": bytes(png),
        "header.png": bytes(png[:12]),
        "empty.jpg": b"",
        "page.jpg": b"<!DOCTYPE html><html><body>404</body></html>",
        "pointer.png": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
        "words.png": b"this is no image at all",
        "small.png": encoded(Image.fromarray(noise(1, 10, 10))),
    }
    for name, body in bad.items():
        (tmp_path / name).write_bytes(body)
    got = Images(path=str(tmp_path), size="32").load(tmp_path / "cache")
    why = reasons(got.report)
    assert set(why) == set(bad) and len(got) == 4
    for name, kind in {
        "half.jpg": "truncated", "cut.png": "truncated", "header.png": "truncated", "empty.jpg": "empty", "page.jpg": "not an image",
        "pointer.png": "Git LFS pointer", "words.png": "not an image", "small.png": "too small",
    }.items():  # fmt: skip
        assert why[name].startswith(kind), (name, why[name])
    assert "git lfs pull" in why["pointer.png"] and "10x10" in why["small.png"]
    assert "13 files · 4 usable · 9 skipped (3 truncated" in summary(got)[0]


def test_a_small_file_with_a_huge_header_is_refused_before_decoding(tmp_path):
    fill(tmp_path)

    def chunk(tag: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + tag + body + struct.pack(">I", zlib.crc32(tag + body))

    def bomb(side: int) -> bytes:
        head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0))
        return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")

    for side in (8100, 10000, 30000):
        (tmp_path / f"bomb{side}.png").write_bytes(bomb(side))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = Images(path=str(tmp_path)).load(tmp_path / "cache")
    assert all(reasons(got.report)[f"bomb{side}.png"].startswith("too large") for side in (8100, 10000, 30000))


def test_content_counts_not_the_extension(tmp_path):
    fill(tmp_path, 2)
    (tmp_path / "really_a_jpeg.png").write_bytes(encoded(Image.fromarray(noise(5)), "JPEG"))
    (tmp_path / "NOENDING").write_bytes(encoded(Image.fromarray(noise(6)), "WEBP", lossless=True))
    (tmp_path / "UPPER.BMP").write_bytes(encoded(Image.fromarray(noise(7)), "BMP"))
    assert len(Images(path=str(tmp_path)).load(tmp_path / "cache")) == 5


def test_sixteen_bit_grey_is_scaled_and_never_clipped(tmp_path):
    deep = np.full((32, 32), 300, np.uint16)
    deep[0, 0], deep[0, 1] = 65535, 0
    for name in ("a.png", "b.tif"):
        Image.fromarray(deep).save(tmp_path / name)
    Image.fromarray(deep.astype(np.int32)).save(tmp_path / "c.tif")
    Image.fromarray(noise(1, channels=1)).save(tmp_path / "d.png")
    got = Images(path=str(tmp_path)).load(tmp_path / "cache")
    assert got.spec.shape == (1, 32, 32)
    for image in got.images[:3]:
        assert image[0, 0, :3].tolist() == [255, 0, 1]


def test_floating_point_tiff_is_stretched_unless_it_is_in_0_to_1(tmp_path):
    unit, wide = np.full((32, 32), 0.5, np.float32), np.linspace(-3, 7, 1024, dtype=np.float32).reshape(32, 32)
    odd = unit.copy()
    odd[0, 0] = np.nan
    for name, values in (("a.tif", unit), ("b.tif", wide), ("c.tif", odd)):
        Image.fromarray(values).save(tmp_path / name)
    got = Images(path=str(tmp_path)).load(tmp_path / "cache")
    assert got.images[0].unique().tolist() == [128] and (got.images[1].min(), got.images[1].max()) == (0, 255)
    assert "finite" in reasons(got.report)["c.tif"]


@pytest.mark.parametrize(("alpha", "level"), [("white", 255), ("black", 0)])
def test_hidden_colour_under_transparency_never_shows(tmp_path, alpha, level):
    clear_red = np.zeros((32, 32, 4), np.uint8)
    clear_red[..., 0] = 255
    grey_alpha = np.zeros((32, 32, 2), np.uint8)
    grey_alpha[..., 0] = 99
    palette = Image.new("P", (32, 32), 0)
    palette.putpalette([255, 0, 0, 0, 255, 0])
    keyed = Image.new("RGB", (32, 32), (9, 8, 7))
    Image.fromarray(clear_red).save(tmp_path / "a.png")
    Image.fromarray(grey_alpha).save(tmp_path / "b.png")
    palette.save(tmp_path / "c.png", transparency=0)
    keyed.save(tmp_path / "d.png", transparency=(9, 8, 7))
    Image.fromarray(noise(1)).save(tmp_path / "e.png")
    got = Images(path=str(tmp_path), alpha=alpha, colour="rgb").load(tmp_path / "cache")
    for k in range(4):
        assert got.images[k].unique().tolist() == [level], k
    half = np.full((32, 32, 4), 128, np.uint8)
    half[..., :3] = 0
    Image.fromarray(half).save(tmp_path / "a.png")
    assert got.images.shape[1] == 3
    mixed = Images(path=str(tmp_path), alpha=alpha, colour="rgb").load(tmp_path / "cache").images[0].unique().tolist()
    assert mixed == [127 if alpha == "white" else 0]


def test_exif_orientation_is_applied_before_the_size_is_judged(tmp_path):
    wide = np.zeros((16, 32, 3), np.uint8)
    wide[:, :16] = 255  # the left half is white
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise: the left becomes the top
    Image.fromarray(wide).save(tmp_path / "turn.png", exif=exif)
    Image.fromarray(noise(1, 16, 32)).save(tmp_path / "upright.png")
    got = Images(path=str(tmp_path), size="16x32", colour="rgb").load(tmp_path / "cache")
    assert (got.images[0][:, :16] == 255).all() and (got.images[0][:, 16:] == 0).all()
    assert got.report["exif_rotated"] == 1


def test_only_the_first_frame_of_an_animation_is_used(tmp_path):
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "lime", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / "b.webp", save_all=True, append_images=frames[1:], lossless=True)
    Image.new("RGB", (32, 32), "yellow").save(tmp_path / "c.png")
    got = Images(path=str(tmp_path)).load(tmp_path / "cache")
    assert got.images[0, :, 0, 0].tolist() == got.images[1, :, 0, 0].tolist() == [255, 0, 0]
    assert got.report["animated"] == 2


def test_cmyk_becomes_rgb(tmp_path):
    Image.new("CMYK", (32, 32), (0, 255, 255, 0)).save(tmp_path / "a.jpg", quality=95)
    Image.fromarray(noise(1)).save(tmp_path / "b.png")
    red = Images(path=str(tmp_path)).load(tmp_path / "cache").images[0, :, 0, 0].tolist()
    assert red[0] > 240 and max(red[1:]) < 15


def test_system_files_pipes_and_link_loops_are_passed_over(tmp_path):
    fill(tmp_path / "in" / "deep" / "er")
    for name in (".DS_Store", "Thumbs.db", ".hidden.png"):
        (tmp_path / "in" / name).write_bytes(b"x")
    (tmp_path / "in" / "__MACOSX").mkdir()
    (tmp_path / "in" / "__MACOSX" / "._good0.png").write_bytes(b"x")
    (tmp_path / "in" / "deep" / "round").symlink_to(tmp_path / "in", target_is_directory=True)
    os.mkfifo(tmp_path / "in" / "pipe.png")
    got = Images(path=str(tmp_path / "in")).load(tmp_path / "cache")
    assert len(got) == 4 and got.report["skipped"] == []
    assert json.loads(json.dumps(got.report)) == got.report


def test_odd_file_names_work_and_are_escaped_in_the_report(tmp_path):
    fill(tmp_path, 2)
    for name in ("größe 😀.png", "two\nlines.png", "r\u202etl.png"):
        Image.fromarray(noise(len(name))).save(tmp_path / name)
    with open(os.fsencode(tmp_path) + b"/bad\xff.png", "wb") as file:
        file.write(b"nothing")
    got = Images(path=str(tmp_path)).load(tmp_path / "cache")
    assert len(got) == 5 and [s["file"] for s in got.report["skipped"]] == ["bad\\udcff.png"]
    fingerprint = got.fingerprint
    assert len(fingerprint) == 32 and int(fingerprint, 16)


def test_nothing_is_written_into_the_users_folder(tmp_path):
    fill(tmp_path / "in")
    before = sorted((p, p.stat().st_mtime_ns) for p in (tmp_path / "in").rglob("*"))
    Images(path=str(tmp_path / "in")).load(tmp_path / "cache")
    assert before == sorted((p, p.stat().st_mtime_ns) for p in (tmp_path / "in").rglob("*"))


def test_useless_folders_are_refused_with_what_was_seen(tmp_path):
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match=r"holds no images \(nothing\)"):
        Images(path=str(tmp_path / "none")).load(tmp_path / "cache")
    (tmp_path / "none" / "a.txt").write_text("x")
    with pytest.raises(DataError, match=r"1 other files, such as a.txt"):
        Images(path=str(tmp_path / "none")).load(tmp_path / "cache")
    fill(tmp_path / "one", 1)
    (tmp_path / "one" / "bad.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"(?s)1 of 2 files .* at least 2 .*bad.png: empty"):
        Images(path=str(tmp_path / "one")).load(tmp_path / "cache")
    (tmp_path / "same").mkdir()
    for k in range(3):
        Image.new("RGB", (32, 32)).save(tmp_path / "same" / f"{k}.png")
    with pytest.raises(DataError, match="no variation"):
        Images(path=str(tmp_path / "same")).load(tmp_path / "cache")
    with pytest.raises(UsageError, match=f"is one image. Give the folder that holds all of them, {tmp_path / 'one'}, or"):
        Images(path=str(tmp_path / "one" / "good0.png")).load(tmp_path / "cache")


def test_duplicates_are_counted_but_kept(tmp_path):
    fill(tmp_path)
    (tmp_path / "again.png").write_bytes((tmp_path / "good0.png").read_bytes())
    got = Images(path=str(tmp_path)).load(tmp_path / "cache")
    assert len(got) == 5 and got.report["duplicates"] == 1


def test_a_zip_gives_what_its_folder_gives_and_is_not_unpacked(tmp_path):
    fill(tmp_path / "in" / "cats")
    fill(tmp_path / "in" / "dogs", 3)
    Image.fromarray(noise(77)).save(tmp_path / "in" / "dogs" / "good0.png")
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as box:
        for path in (tmp_path / "in").rglob("*.png"):
            box.write(path, "wrapped/" + path.relative_to(tmp_path / "in").as_posix())
    plain, packed = (Images(path=str(tmp_path / n)).load(tmp_path / "cache") for n in ("in", "in.zip"))
    assert packed.fingerprint == plain.fingerprint and packed.names == ("cats", "dogs")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in", "in.zip"]


def test_dangerous_zip_members_are_refused_one_by_one(tmp_path):
    path = tmp_path / "a.zip"
    good = [encoded(Image.fromarray(noise(k))) for k in range(3)]
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as box:
        warnings.simplefilter("ignore")
        box.writestr("ok0.png", good[0])
        box.writestr("ok1.png", good[1])
        box.writestr("ok1.png", good[2])
        box.writestr("../up.png", good[2])
        box.writestr("/root.png", good[2])
        box.writestr("locked.png", good[2])
        box.writestr("damaged.png", good[2])
        box.writestr("inner.zip", b"PK\x03\x04 whatever")
        box.writestr("__MACOSX/._ok0.png", b"x")
    body = bytearray(path.read_bytes())
    entry = body.rindex(b"locked.png") - 46
    body[entry + 8] |= 1  # the encryption bit of the central directory
    body[body.index(b"damaged.png") + 200] ^= 0xFF
    path.write_bytes(bytes(body))
    got = Images(path=str(path)).load(tmp_path / "cache")
    why = reasons(got.report)
    assert len(got) == 2 and np.array_equal(got.images[1].numpy().transpose(1, 2, 0), noise(1))
    assert why["../up.png"].startswith("unsafe name") and why["/root.png"].startswith("unsafe name")
    assert why["locked.png"].startswith("encrypted") and why["ok1.png"].startswith("duplicate name")
    assert "inner.zip" in why and "damaged.png" in why and len(why) == 6


def test_a_cut_zip_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as box:
        box.writestr("a.png", encoded(Image.fromarray(noise(1))))
    body = (tmp_path / "a.zip").read_bytes()
    (tmp_path / "a.zip").write_bytes(body[: len(body) // 2])
    with pytest.raises(DataError, match="not a whole zip"):
        Images(path=str(tmp_path / "a.zip")).load(tmp_path / "cache")


def test_large_folders_are_decoded_once_and_changes_are_noticed(tmp_path, monkeypatch):
    from ganforge.data import assemble

    monkeypatch.setattr(assemble, "CACHE_FROM", 3)
    fill(tmp_path / "in", 5)
    (tmp_path / "in" / "bad.png").write_bytes(b"no")
    options = Images(path=str(tmp_path / "in"))
    first = options.load(tmp_path / "cache")
    developed = []
    monkeypatch.setattr(assemble, "develop", lambda *a, **k: developed.append(a) or pytest.fail("decoded again"))
    second = options.load(tmp_path / "cache")
    assert second.fingerprint == first.fingerprint and second.report == first.report
    Image.fromarray(noise(50)).save(tmp_path / "in" / "good0.png")
    with pytest.raises(pytest.fail.Exception, match="decoded again"):
        options.load(tmp_path / "cache")


def test_images_that_do_not_fit_in_memory_are_mapped_from_a_file(tmp_path, monkeypatch):
    from ganforge.data import store

    fill(tmp_path / "in", 5)
    (tmp_path / "in" / "cut.png").write_bytes((tmp_path / "in" / "good0.png").read_bytes()[:900])
    whole = Images(path=str(tmp_path / "in")).load(tmp_path / "cache")
    assert np.array_equal(whole.images.numpy(), np.stack([noise(k).transpose(2, 0, 1) for k in range(5)]))
    monkeypatch.setattr(store, "available_memory", lambda: 1000)
    for _ in range(2):
        mapped = Images(path=str(tmp_path / "in")).load(tmp_path / "cache")
        assert mapped.report["in_memory"] is False and mapped.fingerprint == whole.fingerprint
        assert next(mapped.batches(4, seed=0))["x"].equal(next(whole.batches(4, seed=0))["x"])
    assert sorted(p.suffix for p in (tmp_path / "cache" / "decoded").iterdir()) == [".json", ".npy"]
