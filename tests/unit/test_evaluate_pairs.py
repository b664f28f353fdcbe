"""Images against their originals on the command line: who belongs to whom, the numbers, and bad input."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import ganforge
from ganforge import cli
from ganforge.core.errors import DataError, UsageError
from ganforge.metrics import pairs as alike
from ganforge.metrics.colour import delta_e2000
from ganforge.runs import pairs as module

SIZE = (24, 20)


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GANFORGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("GANFORGE_OFFLINE", "1")


@pytest.fixture
def gan(capfd):
    def call(*words):
        with pytest.raises(SystemExit) as left:
            cli.main([str(word) for word in words])
        out, err = capfd.readouterr()
        assert "Traceback" not in err
        return left.value.code or 0, out, err

    return call


def picture(seed, size=SIZE):
    return np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)


def made(count=5, noise=20):
    """originals/ as PNG and restored/ as BMP, in sub-folders: the same images, with noise."""
    draw = np.random.default_rng(99)
    for i in range(count):
        original = picture(i)
        spoilt = (original + draw.normal(0, noise, original.shape)).clip(0, 255).astype(np.uint8)
        for folder, pixels, kind in (("originals", original, "png"), ("restored", spoilt, "bmp")):
            path = Path(folder, "day" if i % 2 else "night", f"{i}.{kind}")
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
    return "restored", "originals"


def loaded(folder):
    files = sorted(Path(folder).rglob("*.*"), key=lambda p: p.stem)
    return torch.stack([torch.from_numpy(np.array(Image.open(p))).permute(2, 0, 1) for p in files]).float() / 127.5 - 1


def test_the_numbers_are_means_over_pairs_of_one_name(gan):
    made()
    code, out, err = gan("evaluate", "restored", "--data", "originals", "--metrics", "psnr,ssim")
    assert code == 0 and err == "" and "judged 5 pairs by file name" in out and "size 24x20" in out
    found = ganforge.evaluate("restored", "originals", metrics="psnr,ssim", out="kept")
    assert out == found.table() and "floor" not in out and found.saved == Path("kept/001.json")
    a, b = loaded("restored"), loaded("originals")
    for name, of in (("PSNR", alike.psnr), ("SSIM", alike.ssim)):
        each = of(a, b).double()
        assert found.values[name] == pytest.approx(each.mean().item(), rel=1e-6)
        assert found.errors[name] == pytest.approx(each.std().item() / 5**0.5, rel=1e-5)
    assert re.search(r"^PSNR .* higher$", out, re.MULTILINE)


def test_differences_of_colour_are_means_over_pairs():
    made()
    found = ganforge.evaluate("restored", "originals", metrics="delta-e")
    each = delta_e2000(loaded("restored"), loaded("originals")).double()
    assert found.values == {"Delta-E": pytest.approx(each.mean().item(), rel=1e-5)} and "Delta-E CIEDE2000" in found.protocol
    assert re.search(r"^Delta-E .* lower$", found.table(), re.MULTILINE)


def test_pairs_may_have_sizes_of_their_own_and_come_out_of_archives():
    for i, size in enumerate([(24, 20), (24, 20), (30, 16)]):
        for folder, shift in (("a", 0), ("b", 9)):
            Path(folder).mkdir(exist_ok=True)
            Image.fromarray(picture(i, size) // 2 + shift).save(f"{folder}/{i}.png")
    with zipfile.ZipFile("b.zip", "w") as box:
        for path in Path("b").iterdir():
            box.write(path, path.name)
    found = ganforge.evaluate("a", "b.zip", metrics="psnr")
    assert found.values["PSNR"] == pytest.approx(10 * np.log10(255**2 / 81), rel=1e-5)
    assert found.settings["size"] == "24x20 to 30x16" and found.errors["PSNR"] == pytest.approx(0, abs=1e-5)


def test_arrays_are_paired_by_order_and_some_of_them_can_be_taken():
    images = np.stack([picture(i) // 2 for i in range(6)])
    np.save("a.npy", images), np.save("b.npy", images + np.arange(1, 7, dtype=np.uint8)[:, None, None, None])
    found = ganforge.evaluate("a.npy", "b.npy", metrics="psnr")
    assert found.values["PSNR"] == pytest.approx(np.mean(10 * np.log10(255**2 / np.arange(1, 7) ** 2)), rel=1e-5)
    assert found.settings["judged"] == "6 pairs by order"
    some = ganforge.evaluate("a.npy", "b.npy", metrics="psnr", samples=2, seed=1)
    assert some.settings["judged"] == "2 pairs by order" and some.values != found.values
    np.save("c.npy", images[:4])
    with pytest.raises(DataError, match=r"a.npy has 6 images and c.npy 4: without file names on both sides"):
        ganforge.evaluate("a.npy", "c.npy", metrics="psnr")


@pytest.mark.parametrize("fault", ["content", "method", "header"])
def test_a_damaged_archive_is_one_clear_message(fault, gan):
    with zipfile.ZipFile("a.zip", "w", zipfile.ZIP_DEFLATED) as out:
        for i in range(3):
            content = io.BytesIO()
            Image.fromarray(picture(i)).save(content, "BMP")
            out.writestr(f"{i}.bmp", content.getvalue())
    body = bytearray(Path("a.zip").read_bytes())
    central = body.index(b"PK\x01\x02")
    if fault == "content":
        body[40:80] = b"\xff" * 40
    elif fault == "method":
        body[8], body[central + 10] = 99, 99
    else:
        second = body.index(b"PK\x03\x04", 4)
        body[second : second + 4] = b"nope"
    Path("b.zip").write_bytes(body)
    code, out, err = gan("evaluate", "a.zip", "--data", "b.zip", "--metrics", "psnr")
    assert code == 3 and out == "" and len(err.splitlines()) == 1 and re.search(r"b\.zip: [01]\.bmp cannot be used: ", err)


def test_rows_of_parquet_files_are_paired_by_order():
    parquet, pa = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pyarrow")
    restored, originals = made()
    for name, source in (("a.parquet", restored), ("b.parquet", originals)):
        files = sorted((p for p in Path(source).rglob("*.*")), key=lambda p: p.stem)
        parquet.write_table(pa.table({"image": [p.read_bytes() for p in files]}), name)
    found = ganforge.evaluate("a.parquet", "b.parquet", metrics="psnr")
    assert found.values == pytest.approx(ganforge.evaluate(restored, originals, metrics="psnr").values)


def test_equal_pairs_do_not_make_the_mean_infinite():
    made(4)
    Image.fromarray(picture(0)).save("restored/night/0.bmp")
    found = ganforge.evaluate("restored", "originals", metrics="psnr,ssim")
    assert found.values["PSNR"] < 40 and any("1 of 4 pairs are equal" in note for note in found.notes)
    same = ganforge.evaluate("originals", "originals", metrics="psnr,ssim")
    assert same.values == {"SSIM": pytest.approx(1)}
    with pytest.raises(DataError, match="4 of 4 pairs are equal"):
        ganforge.evaluate("originals", "originals", metrics="psnr")


def test_lpips_is_the_mean_of_its_network_and_says_which_weights(monkeypatch):
    class Eyes:
        sha = "0123456789abcdef"

        def __init__(self, name, **_):
            self.name = name

        def __call__(self, a, b):
            return (a.float() - b.float()).abs().flatten(1).mean(1)

    made()
    monkeypatch.setattr(module, "Lpips", Eyes)
    found = ganforge.evaluate("restored", "originals", metrics="lpips")
    wanted = ((loaded("restored") - loaded("originals")).abs().flatten(1).mean(1) * 127.5).mean().item()
    assert found.values == {"LPIPS": pytest.approx(wanted, rel=1e-5)} and "LPIPS 0.1 alexnet (weights 0123456789abcdef)" in found.protocol
    assert list(ganforge.evaluate("restored", "originals", metrics="lpips", features="vgg16").values) == ["LPIPS-vgg16"]
    with pytest.raises(UsageError, match="defined on alexnet and vgg16; got --features clip"):
        ganforge.evaluate("restored", "originals", metrics="lpips", features="clip")


def test_what_cannot_be_computed_is_a_note_beside_other_metrics_and_an_error_alone(gan):
    made()
    found = ganforge.evaluate("restored", "originals", metrics="psnr,ms-ssim,lpips")  # too small, and no weights at hand
    assert list(found.values) == ["PSNR"]
    assert any(note.startswith("no MS-SSIM: restored: day/1: ") and "176 x 176" in note for note in found.notes)
    assert any(note.startswith("no LPIPS: the weights of alexnet are not on this machine") for note in found.notes)
    code, out, err = gan("evaluate", "restored", "--data", "originals", "--metrics", "ms-ssim")
    assert code == 3 and out == "" and "at least 176 x 176 pixels; got 20 x 24" in err


def spoilt(name):
    made()
    if name == "one missing":
        Path("restored/day/1.bmp").unlink()
    elif name == "both sides":
        Path("restored/day/1.bmp").rename("restored/day/one.bmp")
    elif name == "sizes":
        Image.fromarray(picture(1, (20, 20))).save("restored/day/1.bmp")
    elif name == "twice":
        Image.fromarray(picture(1)).save("restored/day/1.png")
    elif name == "broken":
        Path("restored/day/1.bmp").write_bytes(b"no image")
    elif name == "cut":
        path = Path("originals/day/1.png")
        path.write_bytes(path.read_bytes()[:200])
    elif name == "run":
        for file in ("config.json", "model.safetensors"):
            Path("restored", file).write_text("{}")


BAD = {
    "one missing": ((), 3, r"without a partner are 1 of originals \(day/1\)"),
    "both sides": ((), 3, r"without a partner are 1 of restored \(day/one\) and 1 of originals \(day/1\)"),
    "sizes": ((), 3, r"1 of 5 pairs differ in size: restored: day/1 \(20x20\) and originals: day/1 \(24x20\)"),
    "twice": ((), 3, r"restored has several images of one name.*day/1"),
    "broken": ((), 3, r"restored: day/1.bmp cannot be used: "),
    "cut": ((), 3, r"originals: day/1.png cannot be used: truncated"),
    "run": ((), 2, "give a folder of images, each named as its partner, not a model"),
    "mixed": (("--metrics", "psnr,kid"), 2, "psnr compare pairs of images, kid whole sets"),
    "per class": (("--per-class",), 2, "--per-class is for whole sets"),
    "size": (("--size", "16"), 2, "--size is for whole sets"),
    "features": (("--features", "random"), 2, "--features is for lpips alone"),
    "no data": (("--data", ""), 2, "gan evaluate restored --data FOLDER"),
    "elsewhere": (("--data", "nowhere"), 2, "'nowhere' is no file or folder here"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_clear_message(name, gan):
    spoilt(name)
    words, exit_code, says = BAD[name]
    given = ("--data", "originals", "--metrics", "psnr,ssim", *words)
    options = {key: value for key, value in zip(given[::2], given[1::2], strict=False)} if name != "per class" else {}
    code, out, err = gan("evaluate", "restored", *([word for pair in options.items() for word in pair] or given))
    assert code == exit_code and err.startswith("error: ") and out == "" and len(err.splitlines()) == 1
    assert re.search(says, err), err
