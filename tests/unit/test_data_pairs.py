"""Pairs: every layout that users know is understood, partners are cut at the same place, and what does not fit is named."""

from __future__ import annotations

import json
from itertools import islice

import numpy as np
import pytest
import torch
from PIL import Image

from ganforge import cli
from ganforge.core.errors import DataError, UsageError
from ganforge.data import store
from ganforge.data.describe import full, summary
from ganforge.data.pairs import Pairs
from ganforge.data.photos import Photos
from ganforge.data.pieces import cut_at
from tests.faults.make import encoded, reasons, smooth
from tests.unit.test_data_photos import as_bytes, same


def photo(k, width=80, height=64):
    return np.asarray(Image.fromarray(smooth(k)).resize((width, height)))


def write(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(np.ascontiguousarray(pixels)))


def pairs(root, a="A", b="B", count=6, first=0, scale=1, **size):
    """Partner k: the wanted image b/k.png is photo(k), the given a/k.png its negative, `scale` times smaller."""
    for k in range(first, first + count):
        wanted = photo(k, **size)
        write(root / b / f"{k}.png", wanted)
        write(root / a / f"{k}.png", 255 - wanted[::scale, ::scale])
    return root


def load(root, **options):
    return Pairs(path=str(root), **options).load(root.parent / "cache")


def first(data, count=4, size=4, **options):
    return list(islice(data.batches(size, seed=3, **options), count))


def together(data):
    """Whether every given pixel of some batches is the negative of one of the scale x scale pixels of x in its place."""
    return all(fits(batch["x"], batch["given"], data.scale) for batch in first(data))


def fits(x, given, scale):
    blocks = x.unfold(2, scale, scale).unfold(3, scale, scale)
    return bool(((blocks + given[..., None, None]).abs() < 1e-6).any(-1).any(-1).all())


LAYOUTS = [
    ("A/train", "B/train", "A/test", "B/test"),
    ("train/A", "train/B", "test/A", "test/B"),
    ("trainA", "trainB", "testA", "testB"),
    ("train_A", "train_B", "test_A", "test_B"),
    ("train_label", "train_img", "test_label", "test_img"),
    ("input", "target", "", ""),
    ("train/input", "train/target", "val/input", "val/target"),
    ("lq", "gt", "", ""),
    ("DIV2K_train_LR_bicubic/X1", "DIV2K_train_HR", "DIV2K_valid_LR_bicubic/X1", "DIV2K_valid_HR"),
    ("train/GOPR0372_07/blur", "train/GOPR0372_07/sharp", "test/GOPR0384_11/blur", "test/GOPR0384_11/sharp"),
    ("our485/low", "our485/high", "", ""),
]


@pytest.mark.parametrize(("a", "b", "test_a", "test_b"), LAYOUTS, ids=[layout[0] for layout in LAYOUTS])
def test_layouts_of_folders_are_understood(tmp_path, a, b, test_a, test_b):
    root = pairs(tmp_path / "in", a, b)
    if test_a:
        pairs(root, test_a, test_b, 2, 20)
    data = load(root, size=32)
    assert together(data) and data.spec.given == (3, 32, 32) and data.spec.shape == (3, 32, 32)
    assert len(data) + len(data.held_out) == (8 if test_a else 6) and (len(data.held_out) == 2 or not test_a)
    assert data.report["notes"][0].startswith(f"{6} pairs of the same name: A is ") and not data.report["skipped"]
    if test_a:
        assert {name.rpartition("/")[2] for name in data.held_out.album.names} == {"20.png", "21.png"}
    other = load(root, size=32, direction="BtoA")
    assert together(other) and other.fingerprint != data.fingerprint
    assert {photo.tobytes() for photo in other.album.photos} <= {p.tobytes() for p in (*data.given.photos, *data.held_out.given.photos)}


@pytest.mark.parametrize("words", [("{k}_A", "{k}_B"), ("input_{k}", "target_{k}"), ("{k}x4", "{k}"), ("sub{k}/img", "sub{k}/img")])
def test_partners_may_differ_by_words_that_say_the_side(tmp_path, words):
    root = tmp_path / "in"
    for k in range(10, 15):
        write(root / "B" / f"{words[1].format(k=k)}.png", photo(k))
        write(root / "A" / f"{words[0].format(k=k)}.png", 255 - photo(k))
    data = load(root, size=32)
    assert together(data) and len(data) + len(data.held_out) == 5


def test_images_side_by_side_are_halves(tmp_path):
    root = tmp_path / "facades"
    for part, numbers in (("train", range(6)), ("val", range(10, 12))):
        for k in numbers:
            write(root / part / f"{k}.png", np.concatenate([255 - photo(k, 64), photo(k, 64)], 1))
    data = load(root, size=32)
    assert together(data) and len(data) == 6 and {n for n in data.held_out.album.names} == {"val/10.png", "val/11.png"}
    assert data.report["notes"][0] == (
        "6 pairs side by side in one image: A is the left half, B the right one · 2 more of the part val are held out"
    )
    assert np.array_equal(data.album.photos[0], photo(0, 64).transpose(2, 0, 1))
    turned = load(root, size=32, direction="BtoA")
    assert np.array_equal(turned.given.photos[0], photo(0, 64).transpose(2, 0, 1)) and together(turned)


def test_resizing_first_keeps_halves_apart_and_pairs_together(tmp_path):
    root = tmp_path / "in"
    for k in range(4):
        write(root / f"{k}.png", np.concatenate([np.full((128, 128, 3), 255, np.uint8), np.full((128, 128, 3), 40 * k, np.uint8)], 1))
    data = load(root, load_size=40, size=32)
    batch = first(data, 1)[0]
    assert data.album.photos[0].shape == (3, 40, 40) and (batch["given"] == 1).all()
    assert all(len(x.unique()) == 1 for x in batch["x"])
    folders = load(pairs(tmp_path / "other", count=4), load_size=72, size=64)
    assert folders.album.photos[0].shape == folders.given.photos[0].shape == (3, 72, 72)
    assert all((b["x"] + b["given"]).abs().max() < 0.05 for b in first(folders))


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_partners_of_another_scale_are_cut_at_the_same_place(tmp_path, scale):
    root = pairs(tmp_path / "in", "lr", "hr", scale=scale, width=97 // scale * scale, height=60)
    data = load(root, size=24)
    assert data.scale == scale and data.spec.given == (3, 24 // scale, 24 // scale) and together(data)
    assert summary(data)[2].endswith(f"the given image is {scale} times smaller")
    shown = data.shown(3)
    assert shown["x"].shape[2] == 48 and shown["given"].shape[2] == 48 // scale
    assert (shown["x"][..., ::scale, ::scale] + shown["given"]).abs().max() < 1e-6
    assert together(load(root, size=96)), "larger than the photographs are high: mirrored, and still together"


def test_what_is_over_of_a_larger_partner_is_left_out(tmp_path):
    root = tmp_path / "in"
    for k in range(4):
        write(root / "hr" / f"{k}.png", photo(k, 83, 66))
        write(root / "lr" / f"{k}.png", 255 - photo(k, 83, 66)[:64:4, :80:4])
    data = load(root, size=32)
    assert data.scale == 4 and data.album.photos[0].shape == (3, 64, 80) and together(data)
    with pytest.raises(DataError, match="(?s)the larger ones: turn the names of the sides round, or --direction of --recipe pix2pix"):
        load(root, size=32, direction="BtoA")


@pytest.mark.parametrize(("crop", "side"), [(64, 63), (63, 63), (32, 30)])
def test_pieces_of_larger_partners_are_as_large_as_whole_given_pixels_allow(tmp_path, crop, side):
    root = pairs(tmp_path / "in", "lr", "hr", scale=3, width=81, height=66)
    data = Photos(path=str(root), crop=crop).load(tmp_path / "cache", multiple=2)  # which is for photographs
    assert data.spec.shape == (3, side, side) and data.spec.given == (3, side // 3, side // 3) and together(data)
    assert data.report["size"] == [side, side] and data.held_out.side == side


def test_starting_at_a_step_equals_skipping_to_it_and_processes_share_a_batch(tmp_path):
    data = load(pairs(tmp_path / "in"), size=32, turn=True)
    assert same(first(data, 9)[4:], first(data, 5, start=4)) and together(data)
    two = [first(data, 6, rank=r, world=2) for r in (0, 1)]
    assert same(first(data, 6), [{k: torch.cat([a[k], b[k]]) for k in a} for a, b in zip(*two, strict=True)])


def test_pairs_beyond_the_memory_are_mapped(tmp_path, monkeypatch):
    root = pairs(tmp_path / "in", "lr", "hr", scale=2)
    whole = load(root, size=32)
    monkeypatch.setattr(store, "SHARE", 0.0)
    for _ in range(2):
        mapped = load(root, size=32)
        assert mapped.fingerprint == whole.fingerprint and same(first(mapped), first(whole)) and not mapped.report["in_memory"]


def test_copies_are_held_out_together(tmp_path):
    root = pairs(tmp_path / "in", count=20)
    for k in range(20):
        Image.open(root / "B" / f"{k}.png").save(root / "B" / f"again{k}.jpg", quality=90)
        write(root / "A" / f"again{k}.png", photo(100 + k))
    data = load(root, size=32, hold_out=0.3)
    ours, theirs = ({int("".join(c for c in n if c.isdigit())) for n in part.album.names} for part in (data, data.held_out))
    assert not ours & theirs and len(ours | theirs) == 20 and data.report["near_duplicates"] == 20


def mask(hole=(8, 20), white=True):
    out = np.full((64, 80), 0 if white else 255, np.uint8)
    out[hole[0] : hole[1], 10:50] = 255 if white else 0
    return out


@pytest.mark.parametrize("white", [True, False])
def test_masks_tell_their_polarity_and_share(tmp_path, white):
    root = tmp_path / "in"
    for k in range(6):
        write(root / "images" / f"{k}.png", photo(k))
        write(root / "masks" / f"{k}_mask.png", mask(white=white))
    data = load(root, size=32)
    word = "white" if white else "black"
    assert data.hole == word and data.spec.given == (4, 32, 32) and data.brings == "masks"
    assert f"masks: 9 % hole, {word} = hole (the rarer colour)" in data.report["notes"]
    (whole,) = data.wholes(1)
    hole = torch.zeros(64, 80)
    hole[8:20, 10:50] = 1
    assert torch.equal(whole["given"][0, 3], hole) and cut_out_of(whole)
    shown = data.shown(2)
    assert all(one.any() and not one.all() for one in shown["given"][:, 3]) and cut_out_of(shown)
    with pytest.raises(UsageError, match="direction BtoA does not fit"):
        load(root, direction="BtoA")


@pytest.mark.parametrize("hole", ["white", "black"])
def test_the_colour_of_holes_can_be_told(tmp_path, hole):
    root = tmp_path / "in"
    for k in range(4):
        write(root / "images" / f"{k}.png", photo(k))
        write(root / "masks" / f"{k}.png", mask((2, 60)))  # white: 45 % of the image, so auto would say white
    data = Photos(path=str(root), crop=32, hold_out=0.0, hole=hole).load(tmp_path / "cache")
    share = {"white": "45 % hole", "black": "55 % hole"}[hole]
    assert data.hole == hole == load(root, size=32, hole=hole).hole
    assert f"masks: {share}, {hole} = hole (as --hole {hole} says)" in data.report["notes"]
    (whole,) = data.wholes(1)
    missing = torch.full((64, 80), float(hole == "black"))
    missing[2:60, 10:50] = float(hole == "white")
    assert torch.equal(whole["given"][0, 3], missing)
    assert data.fingerprint != load(root, size=32, hold_out=0.0, hole="black" if hole == "white" else "white").fingerprint


def test_a_colour_of_holes_without_masks_is_told_to_say_nothing(tmp_path):
    pairs(tmp_path / "in", "noisy", "clean")
    alone = Photos(path=str(tmp_path / "in" / "clean"), hole="black").load(tmp_path / "cache")
    for data in (load(tmp_path / "in", size=32, hole="black"), alone):
        assert "there are no masks here of which --hole black could speak" in data.report["notes"]
    with pytest.raises(UsageError, match="hole must be auto, white or black; got 'dark'"):
        Photos(path="x", hole="dark")


def cut_out_of(batch):
    """Whether what is given is x but in the holes, which are 0 or 1."""
    known, mask = batch["given"][:, :3], batch["given"][:, 3:]
    return {*mask.unique().tolist()} <= {0.0, 1.0} and torch.equal(known * (1 - mask), batch["x"] * (1 - mask))


def masked(root, count=6):
    """Image k is photo(k), of its mask one pixel is missing, another one of each."""
    for k in range(count):
        write(root / "images" / f"{k}.png", photo(k))
        one = np.zeros((64, 80), np.uint8)
        one[5 * k, 3 * k] = 255
        write(root / "masks" / f"{k}.png", one)
    return root


def test_masks_meet_images_at_random_and_something_is_always_missing(tmp_path):
    data = Photos(path=str(masked(tmp_path / "in")), crop=32, hold_out=0.0).load(tmp_path / "cache")
    batches = first(data, 6)
    assert all(cut_out_of(batch) and (batch["given"][:, 3].flatten(1).sum(1) == 1).all() for batch in batches)
    places = {tuple(at) for batch in batches for at in batch["given"][:, 3].nonzero()[:, 1:].tolist()}
    assert len(places) > 12  # not only where they are in the masks
    assert same(first(data, 6)[4:], first(data, 2, start=4))
    two = [first(data, 3, rank=r, world=2) for r in (0, 1)]
    assert same(first(data, 3), [{k: torch.cat([a[k], b[k]]) for k in a} for a, b in zip(*two, strict=True)])


def test_masks_are_looked_at_when_they_are_met_and_as_before(tmp_path, monkeypatch):
    data = Photos(path=str(masked(tmp_path / "in")), crop=32, hold_out=0.0).load(tmp_path / "cache")
    cuts = []
    monkeypatch.setattr("ganforge.data.partners.cut_at", lambda *a: cuts.append(a) or cut_at(*a))
    assert not data.spots
    first(data, 1, size=2)
    assert len(data.spots) == len(cuts) == 2, "a piece of each met mask, and none of the images' own"
    assert all(data._spots(k).tolist() == np.argwhere(data._missing(one)[0]).tolist() for k, one in enumerate(data.given.photos))
    data.hole = "black"
    data.spots.clear()
    data.given.photos[0] = np.full((3, 7, 9), 255, np.uint8)
    assert data._spots(0).tolist() == [[3, 4]] and len(data._spots(1)) <= 1024


def test_masks_are_as_large_as_their_images(tmp_path):
    root = tmp_path / "in"
    for k in range(3):
        write(root / "images" / f"{k}.png", photo(k))
        write(root / "masks" / f"{k}.png", mask()[::2, ::2])
    with pytest.raises(DataError, match="masks must be as large as their images; here images are 2 times as large"):
        load(root, size=32)


def test_several_masks_of_one_image_stay_with_it(tmp_path):
    root = tmp_path / "in"
    for k in range(5):
        write(root / f"{k}.png", photo(k))
        for number in ("001", "002"):
            write(root / f"{k}_mask{number}.png", mask((int(number) * 10, 40)))
    write(root / "7_mask001.png", mask())
    data = load(root, size=32, hold_out=0.3)
    assert len(data) + len(data.held_out) == 10 and not {*data.album.names} & {*data.held_out.album.names}
    assert data.report["notes"][0] == "10 images with masks: images in the top folder, masks in the files *_mask* · 1 without a partner"
    assert (
        reasons(data) == {"7_mask001.png": "no partner: its name makes it a mask of 7, which is not in the top folder, or several times"}
        and data.report["duplicates"] == 0
    )
    assert [*data.titles()][:2] == [f"{data.held_out.album.names[k]} ({data.held_out.given.names[k]})" for k in (0, 1)]


def test_images_are_called_by_their_own_names_and_those_without_a_mask_are_told(tmp_path):
    root = tmp_path / "in"
    for k in range(4):
        write(root / f"{k}.png", photo(k))
        write(root / f"{k}_mask001.png", mask())
    write(root / "plain.png", photo(9))
    data = load(root, size=32, hold_out=0.0)
    assert [*data.titles()] == ["0.png", "1.png", "2.png", "3.png"]
    assert data.report["notes"][1] == "1 other files are not used, such as plain.png: plain_mask*.png is not there"


def test_images_without_a_partner_are_listed_and_strict_stops(tmp_path):
    root = pairs(tmp_path / "in")
    write(root / "A" / "lonely.png", photo(50))
    write(root / "B" / "single.png", photo(51))
    (root / "notes.mat").write_bytes(b"no image")
    data = load(root, size=32)
    assert reasons(data) == {
        "A/lonely.png": "no partner: nothing in B has its name, or several share it",
        "B/single.png": "no partner: nothing in A has its name, or several share it",
    }
    lines = summary(data)
    assert "skipped A/lonely.png: no partner: nothing in B has its name, or several share it" in lines and "2 without a partner" in lines[0]
    assert "note: 1 other files are not used, such as notes.mat" in lines
    with pytest.raises(DataError, match="(?s)strict allows none.*A/lonely.png"):
        load(root, size=32, strict=True)


def test_photographs_that_look_like_pairs_are_told(tmp_path):
    root = pairs(tmp_path / "in")
    data = Photos(path=str(root), crop=32).load(tmp_path / "cache")
    assert any("look like pairs: 6 pairs of the same name: A is A, B is B" in note for note in data.report["notes"])
    assert not data.brings and data.spec.given == ()


@pytest.mark.parametrize("names", [("lr", "hr"), ("noisy", "clean"), ("DIV2K_train_LR_bicubic/X2", "DIV2K_train_HR"), ("low", "high")])
def test_photographs_whose_folders_tell_which_are_damaged_are_pairs(tmp_path, names):
    root = pairs(tmp_path / "in", *names, scale=2)
    data = Photos(path=str(root), crop=32, flip="no").load(tmp_path / "cache")
    assert data.brings == "pairs" and data.scale == 2 and data.spec.given == (3, 16, 16) and together(data) and not data.flip
    whole = [*data.wholes(9)]
    assert len(whole) == len(data.held_out) and whole[0]["x"].shape == (1, 3, 64, 80) and fits(whole[0]["x"], whole[0]["given"], 2)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"size": 4}, "size must be a number of pixels from 8 to 1024"),
        ({"direction": "atob"}, "direction must be AtoB or BtoA; got 'atob'. Did you mean 'AtoB'"),
        ({"load_size": 32}, "load_size, the side that images are brought to, must be at least size.* 64; got 32"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, says):
    with pytest.raises(UsageError, match=says):
        Pairs(path="x", **options)


def test_check_tells_the_layout(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GANFORGE_CACHE", str(tmp_path / "cache"))
    root = pairs(tmp_path / "in")
    write(root / "A" / "lonely.png", photo(50))

    def check(*words):
        with pytest.raises(SystemExit) as left:
            cli.main(["check", *words])
        assert not left.value.code
        return capfd.readouterr().out.splitlines()

    lines = check("in", "--out", "report.json")
    assert "note: 6 pairs of the same name: A is A, B is B · 1 without a partner" in lines
    assert "skipped A/lonely.png: no partner: nothing in B has its name, or several share it" in lines
    assert lines[-2] == "layout: learn to make B of A: gan train DATA --recipe pix2pix"
    told = json.loads((tmp_path / "report.json").read_text())
    assert told["summary"] == lines[:-2] and told["fingerprint"] == full(load(root))["fingerprint"]
    assert "layout: 6 pairs of the same name: A is A, B is B · 1 without a partner" in check("in", "--size", "32")
    pairs(tmp_path / "large", "lr", "hr", scale=2)
    advice = check("large")[-1]
    assert advice == "layout: learn to make B of A: gan train DATA --task super-resolution"
    pairs(tmp_path / "letters", scale=2)
    advice = check("letters")[-1]
    assert "to enlarge, learn from B alone, --task super-resolution" in advice and "--recipe pix2pix --load-size 256" in advice
    pairs(tmp_path / "blurred", "blur", "sharp")
    assert check("blurred")[-1] == "layout: learn to make B of A: gan train DATA --task deblur, or --recipe pix2pix"
    pairs(tmp_path / "dark", "our485/low", "our485/high")
    assert check("dark")[-1].endswith("gan train DATA --task low-light, or --recipe pix2pix")
    pairs(tmp_path / "rain", "rainy", "clear")
    assert check("rain")[-1].endswith("--recipe pix2pix, or --task denoise or the like")
    pairs(tmp_path / "small", "target", "input", scale=2)
    assert "learn from input alone" in check("small", "--size", "32")[-1]
    for k in range(3):
        write(tmp_path / "holes" / "images" / f"{k}.png", photo(k))
        write(tmp_path / "holes" / "masks" / f"{k}.png", mask())
    assert "--task inpaint" in check("holes")[-1]


def test_shown_pairs_are_held_out_ones(tmp_path):
    data = load(pairs(tmp_path / "in"), size=32, hold_out=0.4)
    shown = data.shown(2)
    assert shown["x"].shape == shown["given"].shape and shown["x"].shape[2] == 64
    assert any(
        as_bytes(shown["x"][0]).tobytes() in photo[:, :, at : at + 64].tobytes() for photo in data.held_out.album.photos for at in [8]
    )
