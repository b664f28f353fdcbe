"""Faults 7 to 17: colours, depths, sizes, animations and copies."""

from __future__ import annotations

import io
import json
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image

from ganforge.data.describe import summary

from .make import PEAK, bomb, chunk, deep_png, encoded, fill, look, noise, png, reasons, smooth


def without_adobe(jpeg: bytes) -> bytes:
    """The same JPEG without the marker by which Adobe says that its ink is stored upside down."""
    at = jpeg.index(b"\xff\xee")
    return jpeg[:at] + jpeg[at + 2 + int.from_bytes(jpeg[at + 2 : at + 4]) :]


def colour_of(root, name):
    found = look(root, colour="rgb")
    assert name not in reasons(found)
    return found.images[sorted(p.name for p in root.iterdir()).index(name), :, 4, 4].tolist()


def test_fault_07_cmyk_jpeg_becomes_rgb_whoever_wrote_it(tmp_path):
    root = fill(tmp_path / "in", 2)
    adobe = encoded(Image.new("CMYK", (32, 32), (0, 255, 255, 0)), "JPEG", quality=95)
    (root / "adobe.jpg").write_bytes(adobe)
    # Without the marker nothing is upside down: stored 0, 255, 255, 0 is red, which Pillow would write as its opposite.
    plain = without_adobe(encoded(Image.new("CMYK", (32, 32), (255, 0, 0, 255)), "JPEG", quality=95))
    (root / "plain.jpg").write_bytes(plain)
    found = look(root)
    assert found.report["modes"] == {"RGB": 2, "CMYK": 2} and any("CMYK 2" in line for line in summary(found))
    for name in ("adobe.jpg", "plain.jpg"):
        red, green, blue = colour_of(root, name)
        assert red > 240 and max(green, blue) < 15, name


def test_fault_07_ycck_jpeg_becomes_rgb(tmp_path):
    root = fill(tmp_path / "in", 2)
    # Planes Y, Cb, Cr of the opposite of red (ink is stored upside down), and no black; the marker's last byte says that they are YCCK.
    y, cb, cr = Image.new("RGB", (1, 1), (0, 255, 255)).convert("YCbCr").getpixel((0, 0))
    body = bytearray(encoded(Image.new("CMYK", (32, 32), (255 - y, 255 - cb, 255 - cr, 0)), "JPEG", quality=100, subsampling=0))
    at = body.index(b"Adobe")
    assert body[at + 11] == 0
    body[at + 11] = 2
    (root / "ycck.jpg").write_bytes(body)
    red, green, blue = colour_of(root, "ycck.jpg")
    assert red > 240 and max(green, blue) < 15


def test_fault_08_16_bit_images_are_scaled_and_never_clipped(tmp_path):
    root = tmp_path / "in"
    root.mkdir()
    deep = np.full((32, 32), 300, np.uint16)
    deep[0, 0], deep[0, 1] = 65535, 0
    (root / "a.png").write_bytes(encoded(deep))
    (root / "b.tif").write_bytes(encoded(deep, "TIFF"))
    (root / "c.tif").write_bytes(encoded(deep.astype(np.int32), "TIFF"))
    (root / "d.png").write_bytes(deep_png(np.stack([deep] * 3, 2), 2))
    (root / "e.png").write_bytes(deep_png(np.stack([deep, np.full_like(deep, 65535)], 2), 4))
    (root / "f.png").write_bytes(encoded(noise(0)))
    found = look(root, colour="rgb")
    assert len(found) == 6
    for image in found.images[:5]:
        assert image[0, 0, :3].tolist() == [255, 0, 1]
    assert found.report["deep"] == {"count": 3, "low": 0.0, "high": 65535.0}


def test_fault_08_dark_deep_images_get_advice_and_a_window(tmp_path):
    root = tmp_path / "in"
    root.mkdir()
    for k in range(3):
        twelve = np.random.default_rng(k).integers(0, 4096, (32, 32)).astype(np.uint16)
        twelve[0, :2] = 0, 4095
        (root / f"{k}.png").write_bytes(encoded(twelve))
    assert look(root).images.max() == 16 and any("--window 0,4095" in line for line in summary(look(root)))
    found = look(root, window="0,4095")
    assert found.images[:, 0, 0, 0].tolist() == [0] * 3 and found.images[:, 0, 0, 1].tolist() == [255] * 3
    assert look(root, window="100,200").images.unique().numel() > 2


FORMS = {
    "one bit": (Image.fromarray(noise(0, channels=1)).convert("1"), "PNG", "1"),
    "palette": (Image.fromarray(noise(0)).convert("P"), "PNG", "P"),
    "grey": (Image.fromarray(noise(0, channels=1)), "PNG", "L"),
    "grey and alpha": (Image.fromarray(noise(0, channels=2)), "PNG", "LA"),
    "rgb": (Image.fromarray(noise(0)), "PNG", "RGB"),
    "rgb and alpha": (Image.fromarray(noise(0, channels=4)), "PNG", "RGBA"),
    "16 bit": (Image.fromarray(noise(0, channels=1).astype(np.uint16) * 257), "PNG", "I;16"),
    "32 bit": (Image.fromarray(noise(0, channels=1).astype(np.int32) * 257), "TIFF", "I"),
    "float": (Image.fromarray(noise(0, channels=1).astype(np.float32) / 255), "TIFF", "F"),
    "ink": (Image.fromarray(noise(0)).convert("CMYK"), "TIFF", "CMYK"),
    "lab": (Image.new("LAB", (32, 32), (128, 128, 128)), "TIFF", "LAB"),
    "luma and chroma": (Image.fromarray(noise(0)).convert("YCbCr"), "TIFF", "YCbCr"),
}


@pytest.mark.parametrize("form", FORMS)
def test_fault_09_every_colour_mode_has_a_defined_result(tmp_path, form):
    image, kind, mode = FORMS[form]
    root = fill(tmp_path / "in", 2)
    (root / "a").write_bytes(encoded(image, kind))
    found = look(root, colour="rgb")
    assert found.report["modes"].get(mode, 0) >= 1 and reasons(found) == {}
    with Image.open(root / "a") as again:
        exact = {
            "1": lambda: again.convert("L").convert("RGB"),
            "I;16": lambda: Image.fromarray(noise(0, channels=1)).convert("RGB"),
            "I": lambda: Image.fromarray(noise(0, channels=1)).convert("RGB"),
            "F": lambda: Image.fromarray(noise(0, channels=1)).convert("RGB"),
            "LA": lambda: Image.alpha_composite(Image.new("RGBA", (32, 32), "white"), again.convert("RGBA")).convert("RGB"),
            "RGBA": lambda: Image.alpha_composite(Image.new("RGBA", (32, 32), "white"), again.convert("RGBA")).convert("RGB"),
        }.get(mode, lambda: again.convert("RGB"))()
    assert np.array_equal(found.images[0].numpy().transpose(1, 2, 0), np.asarray(exact))


def transparent(root):
    """Files whose every pixel is wholly transparent, over some hidden colour."""
    root.mkdir(parents=True)
    clear = np.zeros((32, 32, 4), np.uint8)
    clear[..., 0] = 255
    grey = np.zeros((32, 32, 2), np.uint8)
    grey[..., 0] = 99
    palette = Image.new("P", (32, 32), 0)
    palette.putpalette([255, 0, 0, 0, 255, 0])
    (root / "a.png").write_bytes(encoded(clear))
    (root / "b.png").write_bytes(encoded(grey))
    (root / "c.png").write_bytes(encoded(palette, transparency=0))
    (root / "d.png").write_bytes(encoded(Image.new("RGB", (32, 32), (9, 8, 7)), transparency=(9, 8, 7)))
    (root / "e.webp").write_bytes(encoded(clear, "WEBP", lossless=True, exact=True))
    (root / "f.gif").write_bytes(encoded(palette, "GIF", transparency=0))
    (root / "z.png").write_bytes(encoded(noise(1)))
    return root


@pytest.mark.parametrize(("alpha", "level"), [("white", [255] * 3), ("black", [0] * 3), ("#ff8000", [255, 128, 0]), ("keep", [0] * 4)])
@pytest.mark.parametrize("size", ["32", "16"], ids=["as it is", "resized"])
def test_fault_10_hidden_colour_under_transparency_never_shows(tmp_path, alpha, level, size):
    found = look(transparent(tmp_path / "in"), alpha=alpha, size=size)
    for k in range(6):
        assert found.images[k].flatten(1).unique(dim=1).squeeze(1).tolist() == level, k
    assert found.spec.shape[0] == len(level)


def test_fault_10_hidden_colour_does_not_bleed_into_the_edge(tmp_path):
    half = np.zeros((64, 64, 4), np.uint8)
    half[..., 0] = 255
    half[:, 32:] = (0, 0, 255, 255)  # visible blue beside hidden red
    root = fill(tmp_path / "in", 2, width=64, height=64)
    (root / "a.png").write_bytes(encoded(half))
    kept = look(root, alpha="keep", size="20").images[0]
    assert kept[0].max() == 0 and kept[2][kept[3] > 0].min() > 250
    white = look(root, size="20").images[0]
    assert (white[0] == white[1]).all()  # a mixture of white and blue has as much red as green


def animated(root):
    root.mkdir(parents=True)
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "lime", "blue", "white", "black")]
    for name, kind, options in (("a.gif", "GIF", {}), ("b.webp", "WEBP", {"lossless": True}), ("c.png", "PNG", {})):
        (root / name).write_bytes(encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options))
    (root / "d.png").write_bytes(encoded(Image.new("RGB", (32, 32), "yellow")))
    return root


def test_fault_11_animations_give_their_first_frame_or_all(tmp_path):
    root = animated(tmp_path / "in")
    first = look(root)
    assert first.images[:3, :, 0, 0].tolist() == [[255, 0, 0]] * 3 and first.report["animated"] == 3
    every = look(root, frames="all")
    told = [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255], [0, 0, 0]]
    assert every.images[:, :, 0, 0].tolist() == told * 3 + [[255, 255, 0]] and every.report["usable"] == 4
    (root / "labels.csv").write_text("a.gif,x\nb.webp,y\nc.png,x\nd.png,y\n")
    assert look(root, frames="all").labels.tolist() == [0] * 5 + [1] * 5 + [0] * 5 + [1]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_fault_12_exif_orientation_is_applied_before_sizes_are_judged(tmp_path, kind):
    wide = np.zeros((10, 30, 3), np.uint8)
    wide[:, :15] = 255  # the left half is white
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise: the left becomes the top
    root = tmp_path / "in"
    root.mkdir()
    (root / "a").write_bytes(encoded(wide, kind, exif=exif))
    (root / "b.png").write_bytes(encoded(noise(1, 10, 30)))
    found = look(root, size="12x32", fit="squash", colour="rgb")
    assert (found.images[0][:, :14] > 240).all() and (found.images[0][:, 18:] < 15).all()
    assert found.report["exif_rotated"] == 1 and found.report["sizes"]["different"] == 1
    broken = bytearray(encoded(wide, "JPEG", exif=exif))
    broken[broken.index(b"Exif\0\0") + 8] ^= 0xFF
    (root / "c.jpg").write_bytes(broken)
    assert len(look(root, size="12x32")) == 3


def test_fault_13_tiny_images_are_skipped_and_small_ones_flagged(tmp_path):
    root = fill(tmp_path / "in", 2, width=64, height=64)
    for name, size in {"dot": (1, 1), "line": (1, 3000), "below": (31, 200), "half": (32, 40), "near": (63, 64)}.items():
        (root / f"{name}.png").write_bytes(encoded(noise(len(name), *size)))
    found = look(root, size="64")
    why = reasons(found)
    assert set(why) == {"dot.png", "line.png", "below.png"} and why["line.png"] == "too small: 1x3000, needs 32 on the short side"
    assert found.report["enlarged"] == 2 and any("2 smaller than the size, enlarged" in line for line in summary(found))
    assert set(reasons(look(root, size="64", min_side=64))) == {"dot.png", "line.png", "below.png", "half.png", "near.png"}
    assert reasons(look(root, size="64", min_side=1)) == {}


BOMBS = {
    "7 KB": bomb(8000),
    "warned of by Pillow": bomb(9600),
    "refused by Pillow": png(30000, 30000, 1, 0, b""),
    "webp": b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\xff\x3f\0\xff\x3f\0",
    "gif": b"GIF89a" + struct.pack("<HH", 65000, 65000) + b"\x80\0\0" + bytes(6) + b",\0\0\0\0\xe8\xfd\xe8\xfd\0\x02\x02L\x01\0;",
    "text": png(32, 32, 8, 0, (b"\0" + bytes(32)) * 32).replace(chunk(b"IEND", b""), b"")
    + chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2**28), 9))
    + chunk(b"IEND", b""),
}


def test_fault_14_decompression_bombs_are_skipped_and_take_no_memory(tmp_path):
    root = fill(tmp_path / "in", 12)
    assert len(BOMBS["7 KB"]) < 8000
    for name, body in BOMBS.items():
        (tmp_path / name).write_bytes(body)
    program = (
        "import json, sys\nfrom pathlib import Path\nfrom ganforge.data.images import Images\n"
        "root, *bombs = map(Path, sys.argv[1:])\n"
        "load = lambda: Images(path=str(root)).load()\n" + PEAK + "load(); before = peak(); told = {}\n"
        "for bomb in bombs:\n"
        "    for k in range(6): (root / f'bomb{k}.png').write_bytes(bomb.read_bytes())\n"
        "    told[bomb.name] = [peak() - before, [s['reason'] for s in load().report['skipped']]]\n"
        "print(json.dumps(told | {'after': [peak() - before, []]}))"
    )
    files = [str(tmp_path / name) for name in BOMBS]
    done = subprocess.run([sys.executable, "-c", program, str(root), *files], capture_output=True, text=True, timeout=120)
    assert not done.returncode, done.stderr
    told = json.loads(done.stdout)
    assert told["after"][0] < 40, {name: megabytes for name, (megabytes, _) in told.items()}  # one of the first alone could take 183 MB
    for name in BOMBS:
        assert len(told[name][1]) == 6 and all(why.startswith(("too large", "damaged")) for why in told[name][1]), told[name]


def test_fault_14_large_images_are_decoded_one_at_a_time(tmp_path):
    root = fill(tmp_path / "in", 3)
    for k in range(4):
        flat = np.repeat(np.repeat(noise(k, 70, 50), 100, 0), 100, 1)  # 35 million pixels
        (root / f"large{k}.png").write_bytes(encoded(flat, compress_level=1))
    program = PEAK + (
        "from ganforge.data.images import Images\nfrom ganforge.data import develop\ndevelop.cores = lambda: 4\n"
        f"count = len(Images(path={str(root)!r}, size='32').load())\n"
        "print(count, peak())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert not done.returncode, done.stderr
    count, megabytes = map(int, done.stdout.split())
    one = 35 * 4
    assert count == 7 and megabytes < 330 + 2 * one, megabytes


def test_fault_14_images_that_are_not_quite_large_share_one_memory_budget(tmp_path):
    """Eight threads, each with an image that takes 200 MB to decode. Some of what is freed stays with the C library for each thread."""
    root = fill(tmp_path / "in", 3)
    side = 3600  # 13 million pixels, less than what is called large
    clear = encoded(np.repeat(np.repeat(noise(0, side // 100, side // 100, 4), 100, 0), 100, 1), compress_level=1)
    for k in range(7):
        (root / f"clear{k}.png").write_bytes(clear)
    program = PEAK + (
        "from ganforge.data.images import Images\nfrom ganforge.data import budget, develop\n"
        "develop.cores, develop.CHUNK, budget.available_memory = lambda: 8, 1, lambda: 2**31\n"
        f"Images(path={str(fill(tmp_path / 'first'))!r}).load(); before = peak()\n"
        f"count = len(Images(path={str(root)!r}, size='32').load())\n"
        "print(count, peak() - before, budget.MOST >> 20)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300)
    assert not done.returncode, done.stderr
    count, more, most = map(int, done.stdout.split())
    assert count == 10 and 150 < more <= most + 8 * 32, more


def test_fault_15_mixed_shapes_are_fitted_as_told_and_extremes_counted(tmp_path):
    root = tmp_path / "in"
    root.mkdir()
    for k, size in enumerate([(64, 64), (64, 48), (200, 60), (60, 200), (500, 70)]):
        (root / f"{k}.png").write_bytes(encoded(noise(k, *size)))
    for fit in ("crop", "pad", "squash"):
        found = look(root, size="32", fit=fit)
        assert any(f"other aspect ratios: {fit}" in line for line in summary(found))
        assert found.report["extreme_aspect"] == 3 and any("3 longer than 3:1" in line for line in summary(found))
    assert any("--fit pad" in line for line in summary(look(root, size="32")))


@pytest.mark.parametrize(("colourful", "channels"), [(0, 1), (1, 1), (2, 3), (50, 3)])
def test_fault_16_grey_and_colour_mix_becomes_grey_only_at_99_percent(tmp_path, colourful, channels):
    root = tmp_path / "in"
    root.mkdir()
    for k in range(100):
        pixels = noise(k, 8, 8) if k < colourful else noise(k, 8, 8, 1)
        (root / f"{k}.png").write_bytes(encoded(pixels))
    found = look(root)
    assert found.spec.shape[0] == channels
    assert any(line.startswith("grey:" if channels == 1 else "RGB:") for line in summary(found))


def copies(root):
    """30 pictures, three exact copies of two of them, and near copies of five others."""
    root.mkdir()
    for k in range(30):
        (root / f"{k:02}.png").write_bytes(encoded(smooth(k)))
    for k, name in ((0, "00again"), (0, "00twice"), (1, "01again")):
        (root / f"{name}.png").write_bytes((root / f"{k:02}.png").read_bytes())
    pixel = smooth(2).copy()
    pixel[5, 7] ^= 0x40
    brighter = np.clip(smooth(5).astype(int) + 2, 0, 255).astype(np.uint8)
    (root / "02pixel.png").write_bytes(encoded(pixel))
    (root / "03packed.jpg").write_bytes(encoded(smooth(3), "JPEG", quality=80))
    (root / "04smaller.png").write_bytes(encoded(Image.fromarray(smooth(4)).resize((48, 48), Image.Resampling.LANCZOS)))
    (root / "05brighter.png").write_bytes(encoded(brighter))
    (root / "06webp.webp").write_bytes(encoded(smooth(6), "WEBP", quality=85))
    return root


def test_fault_17_exact_and_near_duplicates_are_counted_named_and_kept(tmp_path):
    found = look(copies(tmp_path / "in"))
    assert len(found) == 38 and (found.report["duplicates"], found.report["near_duplicates"]) == (3, 5)
    pairs = {tuple(sorted(p)) for p in found.report["alike"]}
    assert {("00.png", "00again.png"), ("02.png", "02pixel.png"), ("03.png", "03packed.jpg")} <= pairs
    assert any("3 exact duplicates · 5 near duplicates" in line for line in summary(found))
    assert any(line.startswith("advice: 8 images repeat others") and "--dedup near" in line for line in summary(found))


def test_fault_17_duplicates_are_left_out_if_asked(tmp_path):
    root = copies(tmp_path / "in")
    assert len(look(root, dedup="exact")) == 35
    found = look(root, dedup="near")
    assert len(found) == 30 and found.report["removed_duplicates"] == 8
    assert look(root, dedup="near").images.equal(found.images)
    packed = io.BytesIO()
    np.savez(packed, x=look(root).images.numpy(), y=np.arange(38) % 2)
    (tmp_path / "a.npz").write_bytes(packed.getvalue())
    assert len(look(tmp_path / "a.npz", dedup="near")) == 30 == len(look(tmp_path / "a.npz", dedup="near").labels)


def test_fault_17_different_images_are_not_called_duplicates(tmp_path):
    found = look(fill(tmp_path / "in", 300, width=16, height=16))
    assert (found.report["duplicates"], found.report["near_duplicates"]) == (0, 0)
