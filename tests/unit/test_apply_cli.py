"""`gan apply`, `gan preview` and `gan blend`: files, folders, patterns and streams; what is told, and which exit code."""

import hashlib
import io
import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save, save_file

import ganforge
from ganforge import cli
from ganforge.data import opening
from ganforge.data.opening import Unusable
from ganforge.methods import tasks
from ganforge.networks.image.compact import Compact
from ganforge.tasks.apply.pictures import read

from ..faults.make import encoded, state
from .apply_toys import noise, rough, saved


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def denoise(models):
    return saved(models / "denoise")


@pytest.fixture(scope="module")
def double(models):
    return saved(models / "double", tasks.super_resolution, scale=2)


@pytest.fixture(scope="module")
def fill(models):
    return saved(models / "fill", tasks.inpaint)


@pytest.fixture
def gan(capfd, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    def call(*words):
        with pytest.raises(SystemExit) as left:
            cli.main([str(word) for word in words])
        out, err = capfd.readouterr()
        assert "Traceback" not in err
        return left.value.code or 0, out, err

    return call


def picture(path, seed=0, height=20, width=31, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = {".jpg": "JPEG", ".png": "PNG", ".gif": "GIF", ".bmp": "BMP", ".webp": "WEBP"}[path.suffix.lower()]
    path.write_bytes(encoded(noise(seed, height, width), kind, **options))
    return path


def test_one_file_becomes_one_file_and_one_line_is_said(gan, double, tmp_path):
    picture(tmp_path / "a.png")
    code, out, err = gan("apply", double, "a.png", "-o", "new/b.png", "--device", "cpu")
    assert (code, err) == (0, "") and out.startswith("a.png -> new/b.png  31x20 -> 62x40  1 tile  ")
    assert out.endswith(" s\n") and out.count("\n") == 1
    with Image.open("new/b.png") as image:
        wanted = ganforge.load(double).apply(Image.open("a.png"))
        assert np.array_equal(np.asarray(image), np.asarray(wanted))
        told = json.loads(image.text["ganforge"])
    assert told["recipe"] == "restore" and told["model_sha256"] == ganforge.load(double).facts["sha256"] and told["strength"] is None
    assert "compositeWithTrainedAlgorithmicMedia" in image.text["DigitalSourceType"]


def test_the_ending_chooses_the_format(gan, denoise, tmp_path):
    picture(tmp_path / "a.png")
    for name, kind in (("b.jpg", "JPEG"), ("b.webp", "WEBP"), ("b.tiff", "TIFF"), ("b.PNG", "PNG")):
        assert gan("apply", denoise, "a.png", "-o", name)[0] == 0
        with Image.open(name) as image:
            assert image.format == kind
    code, _, err = gan("apply", denoise, "a.png", "-o", "b.bmp")
    assert code == 2 and "cannot write .bmp" in err and ".png" in err


def test_a_folder_is_mirrored_with_all_that_is_in_it(gan, denoise, tmp_path):
    photos = tmp_path / "photos"
    for name in ("a.jpg", "in/b.PNG", "in/deep/c.webp", "d.gif", "e.bmp"):
        picture(photos / name)
    for other in ("notes.txt", ".hidden.png", ".cache/x.png", "in/list.csv"):
        (photos / other).parent.mkdir(exist_ok=True)
        (photos / other).write_text("x")
    before = state(photos)
    code, out, _ = gan("apply", denoise, "photos", "-o", "photos/restored", "--suffix=-new")
    assert code == 0 and out.splitlines()[-1] == "5 done, 0 failed, 0 skipped, 2 others left alone"
    made = sorted(p.relative_to(photos / "restored").as_posix() for p in (photos / "restored").rglob("*") if p.is_file())
    assert made == ["a-new.jpg", "d-new.png", "e-new.png", "in/b-new.PNG", "in/deep/c-new.webp"]
    assert [line for line in state(photos) if "restored" not in line[0]] == before, "inputs are untouched"
    code, out, _ = gan("apply", denoise, "photos", "-o", "photos/restored", "--suffix=-new", "--skip-existing")
    assert code == 0 and "0 done, 0 failed, 5 skipped" in out, "what it made is not taken for input"


def test_several_files_and_patterns_go_into_a_folder(gan, denoise, tmp_path):
    for name in ("a1.png", "a2.png", "a10.png", "b.jpg"):
        picture(tmp_path / "in" / name)
    code, out, _ = gan("apply", denoise, "in/a*.png", "in/b.jpg", "in/b.jpg", "-o", "out")
    assert code == 0 and sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a1.png", "a10.png", "a2.png", "b.jpg"]
    assert [line.split(" ")[0] for line in out.splitlines()[:-1]] == ["in/a1.png", "in/a2.png", "in/a10.png", "in/b.jpg"]


def test_nothing_is_written_over_without_a_word(gan, denoise, tmp_path):
    source = picture(tmp_path / "a.png")
    body = source.read_bytes()
    for out in ("a.png", "."):
        code, _, err = gan("apply", denoise, "a.png", "-o", out)
        assert code == 2 and "a.png exists already" in err and "--overwrite" in err and source.read_bytes() == body
    assert gan("apply", denoise, "a.png", "-o", "a.png", "--skip-existing")[0] == 0 and source.read_bytes() == body
    assert gan("apply", denoise, "a.png", "-o", "a.png", "--overwrite")[0] == 0 and source.read_bytes() != body
    code, _, err = gan("apply", denoise, "a.png", "-o", "a.png", "--overwrite", "--skip-existing")
    assert code == 2 and "exclude each other" in err


def test_a_link_to_an_input_is_that_input(gan, denoise, tmp_path):
    source = picture(tmp_path / "in" / "a.png")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.png").symlink_to(source)
    assert gan("apply", denoise, "in", "-o", "out")[0] == 2


def test_only_what_is_missing_is_done(gan, denoise, tmp_path):
    for k in range(3):
        picture(tmp_path / "in" / f"{k}.png", k)
    picture(tmp_path / "out" / "1.png", 9)
    body = (tmp_path / "out" / "1.png").read_bytes()
    code, out, _ = gan("apply", denoise, "in", "-o", "out", "--skip-existing")
    assert code == 0 and "2 done, 0 failed, 1 skipped" in out and "skipped in/1.png" in out
    assert (tmp_path / "out" / "1.png").read_bytes() == body


def test_results_that_would_be_one_file_are_refused(gan, denoise, tmp_path):
    picture(tmp_path / "x" / "a.png")
    picture(tmp_path / "y" / "a.png")
    code, _, err = gan("apply", denoise, "x", "y", "-o", "out")
    assert code == 2 and "x/a.png and y/a.png would both become out/a.png" in err and not (tmp_path / "out").exists()


def test_what_ends_in_a_slash_is_a_folder_whatever_its_name(gan, denoise, tmp_path):
    picture(tmp_path / "a.png")
    code, out, _ = gan("apply", denoise, "a.png", "-o", "restored.v2/")
    assert code == 0 and (tmp_path / "restored.v2" / "a.png").is_file() and "restored.v2/a.png" in out


def test_files_that_differ_in_their_ending_alone_are_kept_apart(gan, denoise, tmp_path):
    for name in ("a.bmp", "a.gif", "a.png", "a.jpg", "b.bmp"):
        picture(tmp_path / "in" / name)
    code, out, _ = gan("apply", denoise, "in", "-o", "out", "--suffix=-new")
    assert code == 0 and "5 done" in out
    made = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert made == ["a-new.jpg", "a-new.png", "a.bmp-new.png", "a.gif-new.png", "b-new.png"]
    picture(tmp_path / "in" / "a.bmp.png")
    code, _, err = gan("apply", denoise, "in", "-o", "more")
    assert code == 2 and "would both become more/a.bmp.png" in err and not (tmp_path / "more").exists()


def test_photographs_that_cannot_be_opened_fail_with_the_reason_and_rarer_endings_of_jpeg_are_usual(gan, denoise, tmp_path):
    for name in ("a.jfif", "b.JPE"):
        (tmp_path / "in" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_bytes(encoded(noise(0, 20, 31), "JPEG"))
    for name, start in {
        "c.heic": b"\0\0\0\x18ftypheic",
        "d.avif": b"\0\0\0\x1cftypavif",
        "e.jp2": b"\0\0\0\x0cjP  \r\n",
        "f.jxl": b"\xff\x0a",
        "g.j2k": b"\xff\x4f\xff\x51",
    }.items():
        (tmp_path / "in" / name).write_bytes(start + bytes(40))
    code, out, _ = gan("apply", denoise, "in", "-o", "out")
    assert code == 3 and "2 done, 5 failed, 0 skipped\n" in out and out.count("convert to JPEG or PNG") == 5
    assert {p.name: Image.open(p).format for p in (tmp_path / "out").iterdir()} == {"a.jfif": "JPEG", "b.JPE": "JPEG"}


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("nothing.png", "-o", "b.png"), 3, "there is no nothing.png"),
        (("empty", "-o", "b"), 3, "no image and no video in empty"),
        (("a.png",), 2, "say what to work on and where the result goes"),
        (("a.png", "-o", "b.png", "--tile", "12"), 2, "tile must be auto"),
        (("a.png", "-o", "b.png", "--tile", "big"), 2, "--tile is auto, 0 for the whole at once, or pixels; got big"),
        (("a.png", "-o", "b.png", "--strength", "2"), 2, "strength goes from 0"),
        (("a.png", "-o", "b.png", "--hole", "red"), 2, "--hole is auto, white or black"),
        (("a.png", "-o", "b.png", "--mask", "m.png"), 3, "there is no --mask m.png"),
        (("a.png", "-o", "b.png", "--hints", "h.png"), 3, "there is no --hints h.png"),
        (("a.png", "-o", "b.png", "--hints", "c.png"), 2, "takes no dots of known colour"),
        (("a.png", "-o", "b.png", "--network", "faithfull"), 2, "Did you mean 'faithful'"),
        (("a.png", "-o", "b.png", "--suffix=-new"), 2, "belongs to results in a folder"),
        (("a.png", "-o", "-", "--suffix=-new"), 2, "belongs to results in a folder"),
        (("a.png", "-o", "b.png", "--grow", "3"), 2, "say where they are with --mask"),
        (("a.png", "-o", "restored.v2"), 2, "or restored.v2/ for a folder"),
        (("a.png", "-o", "b.png", "--strenght", "1"), 2, "unknown option --strenght. Did you mean --strength?"),
        (("a.png", "a.png", "c.png", "-o", "-"), 2, "standard output takes one picture; there are 2"),
    ],
)
def test_mistakes_are_told_in_one_sentence(gan, denoise, tmp_path, words, code, says):
    picture(tmp_path / "a.png")
    picture(tmp_path / "c.png")
    (tmp_path / "empty").mkdir()
    got, out, err = gan("apply", denoise, *words)
    assert got == code and says in out + err and not (tmp_path / "b.png").exists()


def test_json_has_one_object_a_file(gan, double, tmp_path):
    picture(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "b.png").write_bytes(b"no picture")
    (tmp_path / "in" / "notes.txt").write_text("no picture either")
    code, out, _ = gan("apply", double, "in", "-o", "out", "--json")
    *told, last = [json.loads(line) for line in out.splitlines()]
    assert last == {"status": "all", "done": 1, "failed": 1, "skipped": 0, "left_alone": 1}
    assert code == 3 and [t["status"] for t in told] == ["ok", "failed"]
    assert told[0]["size"] == [31, 20] and told[0]["output_size"] == [62, 40] and told[0]["tiles"] == 1 and told[0]["seconds"] > 0
    assert told[0]["input"] == "in/a.png" and told[0]["output"] == "out/a.png" and "not an image" in told[1]["error"]


def test_a_picture_goes_through_standard_input_and_output(denoise, tmp_path, monkeypatch, capfdbinary):
    body = encoded(noise(0, 20, 31))

    class Streams:
        buffer = io.BytesIO(body)

    monkeypatch.setattr(sys, "stdin", Streams())
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as left:
        cli.main(["apply", str(denoise), "-", "-o", "-"])
    out, err = capfdbinary.readouterr()
    assert not left.value.code and b"standard input -> standard output" in err
    wanted = ganforge.load(denoise).apply(Image.open(io.BytesIO(body)))
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(out))), np.asarray(wanted))


def test_strength_and_network_reach_the_weights(gan, denoise, tmp_path):
    picture(tmp_path / "a.png")
    made = {}
    ways = {"lively": (), "half": ("--strength", "0.5"), "none": ("--strength=0",), "faithful": ("--network", "faithful")}
    for name, words in ways.items():
        assert gan("apply", denoise, "a.png", "-o", f"{name}.png", *words)[0] == 0
        made[name] = np.asarray(Image.open(f"{name}.png"))
    assert np.array_equal(made["none"], made["faithful"])
    assert not np.array_equal(made["half"], made["none"]) and not np.array_equal(made["half"], made["lively"])
    assert json.loads(Image.open("half.png").text["ganforge"])["strength"] == 0.5


def test_tiles_are_counted_and_make_no_difference(gan, denoise, tmp_path):
    picture(tmp_path / "a.png", height=200, width=300)
    for tile in ("0", "128"):
        code, out, _ = gan("apply", denoise, "a.png", "-o", f"{tile}.png", "--tile", tile)
        assert code == 0 and ("1 tile " in out) == (tile == "0"), out
    one, other = (np.asarray(Image.open(f"{tile}.png")).astype(int) for tile in ("0", "128"))
    assert np.abs(one - other).max() <= 1


@pytest.mark.parametrize("white", [True, False])
def test_holes_are_filled_whichever_way_the_mask_is_drawn(gan, fill, tmp_path, white):
    picture(tmp_path / "in" / "a.png", height=90, width=80)
    mask = np.zeros((90, 80), np.uint8)
    mask[20:40, 30:50] = 255
    for place in ("m.png", "masks/a_mask001.png"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).write_bytes(encoded(mask if white else 255 - mask))
    for number, place in enumerate(("m.png", "masks")):
        code, out, _ = gan("apply", fill, "in", "-o", f"out{number}", "--mask", place)
        assert code == 0 and f"mask: {'white' if white else 'black'} = hole" in out and "5.6% of the picture" in out
    one, other = (np.asarray(Image.open(f"out{number}/a.png")) for number in (0, 1))
    old = np.asarray(Image.open("in/a.png"))
    assert np.array_equal(one, other) and np.array_equal(one[mask == 0], old[mask == 0]) and (one[mask > 0] != old[mask > 0]).mean() > 0.5


def test_holes_grow_as_told_and_nothing_beyond_changes(gan, fill, tmp_path):
    picture(tmp_path / "a.png", height=90, width=80)
    mask, wide = np.zeros((90, 80), np.uint8), np.zeros((90, 80), bool)
    mask[20:40, 30:50], wide[16:44, 26:54] = 255, True
    (tmp_path / "m.png").write_bytes(encoded(mask))
    old, made = np.asarray(Image.open("a.png")), {}
    for grow in ("0", "4"):
        assert gan("apply", fill, "a.png", "-o", f"{grow}.png", "--mask", "m.png", "--grow", grow)[0] == 0
        made[grow] = np.asarray(Image.open(f"{grow}.png"))
    assert np.array_equal(made["0"][mask == 0], old[mask == 0]) and np.array_equal(made["4"][~wide], old[~wide])
    ring = wide & (mask == 0)
    assert (made["4"][ring] != old[ring]).mean() > 0.5 and (made["4"][mask > 0] != old[mask > 0]).mean() > 0.5
    assert gan("apply", fill, "a.png", "-o", "x.png", "--mask", "m.png", "--grow", "101")[0] == 2


def test_masks_of_over_16_megapixels_take_few_bytes_and_are_no_bombs(tmp_path):
    side = (4000, 4100)
    mask = np.zeros((*side, 3), np.uint8)
    mask[100:200, 300:500] = 255
    (tmp_path / "m.png").write_bytes(encoded(mask))
    assert (tmp_path / "m.png").stat().st_size < mask.size / 3 / 200
    with pytest.raises(Unusable, match="bomb"):
        read(tmp_path / "m.png")
    assert read(tmp_path / "m.png", sparse=True).size == side[::-1]
    (tmp_path / "page.png").write_bytes(encoded(Image.fromarray(mask[..., 0]).convert("1")))
    assert read(tmp_path / "page.png").size == side[::-1], "a page of one bit a pixel"


@pytest.mark.parametrize("option", ["--mask", "--hints"])
def test_layers_are_read_as_such(gan, models, fill, tmp_path, monkeypatch, option):
    """Of which most is nothing: so few bytes would be refused in a photograph."""
    monkeypatch.setattr(opening, "LARGE", 100)
    monkeypatch.setattr(opening, "DENSEST", 20)
    model = fill if option == "--mask" else saved(models / "layers", tasks.colourise)
    picture(tmp_path / "a.png", height=300, width=300)
    layer = np.zeros((300, 300, 3 if option == "--mask" else 4), np.uint8)
    layer[20:30, 20:30] = 255
    (tmp_path / "m.png").write_bytes(encoded(layer))
    assert (tmp_path / "m.png").stat().st_size < 300 * 300 / 20
    for verb, words in (("apply", ("-o", "b.png")), ("preview", ("-o", "s.png"))):
        code, out, err = gan(verb, model, "a.png", *words, option, "m.png")
        assert code == 0, out + err
    code, out, _ = gan("apply", model, "m.png", "-o", "c.png", option, "m.png")
    assert code == 3 and "bomb" in out


def test_photos_beside_their_masks_are_worked_on_and_masks_are_not(gan, fill, tmp_path):
    """One mask with a hole of more than half, and one without any, mean what the others mean by black and white."""
    shares = {"a": 0.1, "b": 0.6, "c": 0, "d": 0.1}
    for name, share in shares.items():
        picture(tmp_path / "in" / f"{name}.png", height=80, width=80)
        mask = np.zeros((80, 80), np.uint8)
        mask[: round(80 * share)] = 255
        (tmp_path / "in" / f"{name}_mask001.png").write_bytes(encoded(mask))
    code, out, _ = gan("apply", fill, "in", "-o", "out", "--mask", "in")
    assert code == 0 and out.splitlines()[-1] == "4 done, 0 failed, 0 skipped, 4 others left alone", out
    assert "the mask has no hole: nothing was changed" in out
    old = np.asarray(Image.open("in/a.png"))
    for name, share in shares.items():
        changed = (np.asarray(Image.open(f"out/{name}.png")) != old).any(2)
        assert changed[: round(80 * share)].mean() > 0.5 if share else not changed.any()
        assert not changed[round(80 * share) :].any(), name
    (tmp_path / "out" / "b.png").unlink()
    code, out, _ = gan("apply", fill, "in", "-o", "out", "--mask", "in", "--skip-existing")
    assert code == 0 and "white = hole" in out and "60.0% of the picture" in out and "1 done, 0 failed, 3 skipped" in out


@pytest.mark.parametrize("words", [("in/a.png", "in/b.png"), ("in",), ("in/*.png",)])
def test_several_files_do_not_silently_make_a_folder_of_the_name_of_one(gan, denoise, tmp_path, words):
    for name in ("a", "b"):
        picture(tmp_path / "in" / f"{name}.png")
    for name in ("out.png", "out.bmp", "out.mp4", "out.heic"):
        code, _, err = gan("apply", denoise, *words, "-o", name)
        assert code == 2 and f"Say -o {name}/ for one" in err and not (tmp_path / name).exists()
    for name in ("slash.png/", "slash.png"):
        code, _, err = gan("apply", denoise, *words, "-o", name, "--overwrite")
        assert code == 0 and {p.name for p in (tmp_path / "slash.png").iterdir()} == {"a.png", "b.png"}, "a folder that is there is one"


def test_a_missing_mask_fails_its_picture_alone(gan, fill, tmp_path):
    for name in ("a", "b"):
        picture(tmp_path / "in" / f"{name}.png")
    mask = np.zeros((20, 31), np.uint8)
    mask[3:6, 3:6] = 255
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "b.png").write_bytes(encoded(mask))
    code, out, _ = gan("apply", fill, "in", "-o", "out", "--mask", "masks")
    assert code == 3 and "failed  in/a.png  no mask for a.png" in out and (tmp_path / "out" / "b.png").exists()


def test_pixels_outside_the_hole_stay_in_lossless_files_and_jpeg_says_that_it_has_none(gan, fill, tmp_path):
    picture(tmp_path / "a.png", height=90, width=80)
    mask = np.zeros((90, 80), np.uint8)
    mask[20:40, 30:50] = 255
    (tmp_path / "m.png").write_bytes(encoded(mask))
    old = np.asarray(Image.open("a.png"))
    for name, same in (("b.png", True), ("b.webp", True), ("b.tif", True), ("b.jpg", False)):
        code, out, _ = gan("apply", fill, "a.png", "-o", name, "--mask", "m.png")
        assert code == 0 and np.array_equal(np.asarray(Image.open(name))[mask == 0], old[mask == 0]) == same
        assert ("JPEG changes every pixel a little, outside the hole as well" in out) == (not same)


def test_hints_colour_the_photo_that_they_fit(gan, models, tmp_path):
    colours = saved(models / "colours", tasks.colourise)
    picture(tmp_path / "a.png")
    dots = noise(3, 20, 31, 4)
    dots[..., 3] = 255 * (np.arange(31) % 5 == 0)
    (tmp_path / "dots.png").write_bytes(encoded(dots))
    assert (
        gan("apply", colours, "a.png", "-o", "plain.png")[0] == gan("apply", colours, "a.png", "-o", "b.png", "--hints", "dots.png")[0] == 0
    )
    plain, hinted = (np.asarray(Image.open(name)) for name in ("plain.png", "b.png"))
    assert not np.array_equal(plain, hinted)
    assert np.array_equal(hinted, np.asarray(ganforge.load(colours).apply(Image.open("a.png"), hints=Image.open("dots.png"))))
    picture(tmp_path / "more" / "c.png", height=9)
    code, out, _ = gan("apply", colours, "more", "-o", "out", "--hints", "dots.png")
    assert code == 3 and "the hints have 31x20 pixels, their picture 31x9" in out


def test_strength_without_a_choice_is_said_to_do_nothing(gan, models, denoise, tmp_path):
    alike = saved(models / "alike", alike=True)
    picture(tmp_path / "a.png")
    for model, said in ((alike, 1), (denoise, 0)):
        code, out, _ = gan("apply", model, "a.png", "-o", "b.png", "--strength", "0.5", "--overwrite")
        assert code == 0 and out.count("--strength changes nothing") == said


@pytest.mark.parametrize("ending", [".safetensors", ".pth"])
def test_published_weights_are_applied_and_named(gan, tmp_path, ending):
    network = rough(Compact(3, 3, 4, 1, 2, base=True))
    file = tmp_path / f"others{ending}"
    (save_file if ending == ".safetensors" else torch.save)(network.state_dict(), file)
    picture(tmp_path / "a.png")
    code, out, err = gan("apply", file, "a.png", "-o", "b.png")
    assert (code, err) == (0, "") and "31x20 -> 62x40" in out
    x = torch.from_numpy(noise(0, 20, 31)).permute(2, 0, 1)[None] / 255
    with Image.open("b.png") as image, torch.inference_mode():
        wanted = (network(x)[0].permute(1, 2, 0) * 255).clamp(0, 255).numpy()
        assert np.abs(np.asarray(image) - wanted).max() < 0.51
        told = json.loads(image.text["ganforge"])
    assert told["file"] == file.name and told["model_sha256"] == hashlib.sha256(file.read_bytes()).hexdigest() and "recipe" not in told
    assert gan("preview", file, "a.png", "-o", "s.png")[0] == 0
    code, _, err = gan("apply", file, "a.png", "-o", "c.png", "--strength", "0.5")
    assert code == 2 and "one set of weights" in err
    for body, says in ((b"no weights", "cannot be read as weights"), (save({"x": torch.zeros(2)}), "no weights of a compact network")):
        file.write_bytes(body)
        code, _, err = gan("apply", file, "a.png", "-o", "c.png")
        assert code == 6 and says in err and "named by its folder" in err
    file.unlink()
    assert gan("apply", file, "a.png", "-o", "c.png")[0] == 6 and not (tmp_path / "c.png").exists()


def test_a_sheet_replaces_a_sheet_and_nothing_else_unless_told(gan, denoise, tmp_path):
    picture(tmp_path / "in" / "a.png")
    mine = picture(tmp_path / "mine.png", seed=5)
    (tmp_path / "text.png").write_text("no picture")
    assert gan("apply", denoise, "in/a.png", "-o", "made.png")[0] == 0
    for words in (("preview", denoise, "in/a.png"), ("degrade", "noise", "in", "--draws", "1")):
        for name in ("mine.png", "made.png", "text.png"):
            body = (tmp_path / name).read_bytes()
            code, _, err = gan(*words, "-o", name)
            assert code == 2 and f"{name} exists and is no sheet" in err and "--overwrite" in err and (tmp_path / name).read_bytes() == body
        assert gan(*words, "-o", "sheet.png")[0] == gan(*words, "-o", "sheet.png")[0] == 0
        body = mine.read_bytes()
        assert gan(*words, "-o", "mine.png", "--overwrite")[0] == 0 and mine.read_bytes() != body
        picture(mine, seed=5)


def test_notes_are_said_once_for_all_files(gan, denoise, tmp_path):
    for k in range(3):
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / f"{k}.tif").write_bytes(encoded(Image.new("CMYK", (9, 9)), "TIFF"))
    code, out, _ = gan("apply", denoise, "in", "-o", "out")
    assert (
        code == 0
        and out.count("\n  CMYK became RGB\n") == 1
        and out.endswith("also for 2 others: CMYK became RGB\n3 done, 0 failed, 0 skipped\n")
    )
    code, out, _ = gan("apply", denoise, "in/0.tif", "-o", "b.png")
    assert code == 0 and "others" not in out


def test_mistakes_that_need_no_network_are_told_before_torch_is_imported(denoise, tmp_path):
    picture(tmp_path / "a.png")
    code = """
import sys
from ganforge.cli import main
try:
    main(["apply", *sys.argv[1:]])
finally:
    sys.stderr.write(f"torch: {'torch' in sys.modules}")
"""
    words = [str(denoise), "a.png", "-o", "a.png"]
    left = subprocess.run([sys.executable, "-c", code, *words], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert left.returncode == 2 and "a.png exists already" in left.stderr and left.stderr.endswith("torch: False"), left.stderr


def test_a_file_is_no_folder_and_a_link_to_nothing_is_told(gan, denoise, tmp_path):
    for name in ("a.png", "b.png"):
        picture(tmp_path / name)
    for name in ("lost.png", "lost"):
        (tmp_path / name).symlink_to("nowhere")
    for words in (("a.png", "-o", "b.png/"), ("a.png", "b.png", "-o", "b.png/")):
        for more in ((), ("--overwrite",)):
            code, _, err = gan("apply", denoise, *words, *more)
            assert code == 2 and "-o b.png/: b.png is a file, and the results go into a folder" in err
    code, _, err = gan("apply", denoise, "a.png", "-o", "lost")
    assert code == 2 and "-o lost is a link to nowhere, which is not there" in err
    code, _, err = gan("apply", denoise, "lost.png", "-o", "c.png")
    assert code == 3 and "lost.png is a link to nowhere, which is not there" in err


def test_preview_writes_a_sheet_that_says_where_it_comes_from(gan, denoise, fill, tmp_path):
    picture(tmp_path / "a.png", height=300, width=280)
    code, out, _ = gan("preview", denoise, "a.png", "-o", "s.png")
    assert code == 0 and out == "s.png\n"
    with Image.open("s.png") as image:
        assert image.width > 4 * 256 and "ganforge" in image.text
        assert json.loads(image.text["ganforge"])["network"] == "generator"
    assert gan("preview", denoise, "a.png", "-o", "n.png", "--network", "faithful")[0] == 0
    with Image.open("n.png") as image:
        assert image.width < 3 * 256 + 40 and json.loads(image.text["ganforge"])["network"] == "faithful"
    mask = np.zeros((300, 280), np.uint8)
    mask[200:240, 30:50] = 255
    (tmp_path / "m.png").write_bytes(encoded(mask))
    assert gan("preview", fill, "a.png", "-o", "f.png", "--mask", "m.png")[0] == 0
    for words, code, says in (
        (("a.png", "-o", "x.png", "--network", "faithfull"), 2, "Did you mean 'faithful'"),
        (("a.png", "-o", "x.png", "--hints", "a.png"), 2, "takes no dots of known colour"),
        (("a.png", "-o", "a.png"), 2, "a PNG file of its own"),
        (("a.png", "-o", "s.jpg"), 2, "ends in .png"),
        (("b.png",), 3, "no image file b.png"),
    ):
        got, _, err = gan("preview", denoise, *words)
        assert got == code and says in err


def test_blend_writes_a_model_that_can_be_applied(gan, models, denoise, tmp_path):
    saved(models / "sharper", seed=3)
    picture(tmp_path / "a.png")
    code, out, _ = gan("blend", denoise, models / "sharper", "0.3", "-o", "mixed")
    assert code == 0 and out == "mixed\n" and gan("apply", "mixed", "a.png", "-o", "b.png")[0] == 0
    for name in ("runs/denoise-sharper-0.3", "runs/denoise-sharper-0.3-2"):
        code, out, _ = gan("blend", denoise, models / "sharper", "0.3")
        assert code == 0 and out == f"{name}\n" and (tmp_path / name / "model.safetensors").is_file()
    saved(models / "plain", adversarial=0)
    code, out, _ = gan("blend", models / "plain", denoise, "0.3", "-o", "shared")
    assert code == 0 and "blended: generator; left out, as only one of the two has it: faithful" in out
    code, _, err = gan("blend", denoise, models / "sharper", "3", "-o", "more")
    assert code == 2 and "from 0, all of the first model, to 1" in err


@pytest.mark.parametrize("verb", ["apply", "preview", "blend"])
def test_help_lists_what_the_options_are(gan, verb):
    code, out, _ = gan(verb, "--help")
    assert code == 0 and "-o" in out and "--out" in out
