"""Photographs of any size: the stream of pieces is exact and resumable, and held-out photographs share nothing with the others."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
import torch
from PIL import Image

from ganforge.core.errors import DataError, UsageError
from ganforge.data import store
from ganforge.data.describe import full, summary
from ganforge.data.hold import some
from ganforge.data.photos import Photos
from ganforge.data.pieces import PhotoSet, corner, cut, drawn
from ganforge.data.whole import Album
from ganforge.runs.card import data_card
from tests.faults.make import encoded, noise, smooth


def album(sizes=((20, 30), (17, 40), (25, 25), (16, 16), (33, 18))) -> Album:
    photos = [noise(k, width, height).transpose(2, 0, 1).copy() for k, (height, width) in enumerate(sizes)]
    return Album(photos, [f"{k}.png" for k in range(len(photos))], np.arange(len(photos), dtype=np.uint64), [p.tobytes() for p in photos])


def make(flip=True, turn=True, side=16) -> PhotoSet:
    return PhotoSet(album=album(), side=side, flip=flip, turn=turn)


def first(data, count, size=4, **options):
    return list(islice(data.batches(size, seed=3, **options), count))


def same(a, b):
    return all(p.keys() == q.keys() and all(p[k].equal(q[k]) for k in p) for p, q in zip(a, b, strict=True))


def as_bytes(x):
    return x.add(1).mul(127.5).round().byte().numpy()


def inside(piece, photo):
    """Whether a piece (c, s, s) lies somewhere in a photograph as it is."""
    windows = np.lib.stride_tricks.sliding_window_view(photo, piece.shape)
    return bool((windows == piece).all((-1, -2, -3)).any())


def folder(root, count=12, side=80):
    root.mkdir()
    for k in range(count):
        (root / f"p{k}.png").write_bytes(encoded(smooth(k, side + 4 * k)))
    return root


def load(root, **options):
    return Photos(path=str(root), **options).load(root.parent / "cache")


def test_starting_at_a_step_equals_skipping_to_it():
    assert same(first(make(), 12)[7:], first(make(), 5, start=7))
    assert not same(first(make(), 5), first(make(), 5, start=7))


def test_two_processes_together_see_what_one_sees():
    one, two = first(make(), 9), [first(make(), 9, rank=r, world=2) for r in (0, 1)]
    assert same(one, [{k: torch.cat([a[k], b[k]]) for k in a} for a, b in zip(*two, strict=True)])


def test_every_epoch_shows_every_photograph_once_and_another_piece_of_it():
    data = make(flip=False, turn=False, side=8)
    pieces = np.concatenate([as_bytes(b["x"]) for b in first(data, 5)])  # 20 positions: four epochs, crossing inside batches
    which = [[k for k, photo in enumerate(data.album.photos) if inside(piece, photo)] for piece in pieces]
    assert all(len(found) == 1 for found in which), "a piece is cut out of one photograph, as it is"
    epochs = [[found[0] for found in which[5 * e : 5 * e + 5]] for e in range(4)]
    assert all(sorted(epoch) == list(range(5)) for epoch in epochs) and len({tuple(epoch) for epoch in epochs}) > 1
    assert len({piece.tobytes() for piece in pieces}) > 15


def test_flips_and_turns_are_drawn_only_where_told():
    plain, flipped = (make(flip=f, turn=False, side=8) for f in (False, True))
    turned = make(flip=False, turn=True, side=8)
    for data, kinds in ((plain, 1), (flipped, 2), (turned, 4)):
        pieces = np.concatenate([as_bytes(b["x"]) for b in first(data, 12)])
        ways = [lambda p: p, lambda p: p[:, :, ::-1], *(lambda p, k=k: np.rot90(p, -k, (1, 2)) for k in (1, 2, 3))]
        met = {w for piece in pieces for w, way in enumerate(ways) if any(inside(way(piece), photo) for photo in data.album.photos)}
        assert len(met) == kinds and 0 in met and (1 in met) == (data is flipped)
    moves = drawn(4000, 1, 2, True, True, "x")
    assert 0.45 < moves.flips.mean() < 0.55 and np.bincount(moves.turns).min() > 900 and moves.places.max() < 1


def test_pieces_reach_every_border():
    photo = np.zeros((3, 20, 31), np.uint8)
    corners = {corner(photo.shape, 16, place) for place in drawn(500, 0, 0, False, False, "x").places}
    assert corners == {(y, x) for y in range(5) for x in range(16)}
    assert corner(photo.shape, 20, np.array([0.999999, 0.5])) == (0, 6)


def test_what_a_small_photograph_lacks_is_its_mirror_image():
    photo = noise(1, 10, 7).transpose(2, 0, 1)
    piece = cut(photo, 12, np.array([0.7, 0.7]))
    assert piece.shape == (3, 12, 12) and np.array_equal(piece[:, :7, :10], photo)
    assert np.array_equal(piece[:, 7:, :10], photo[:, :1:-1]) and np.array_equal(piece[:, :7, 10:], photo[:, :, :7:-1])


def test_the_global_random_state_is_neither_read_nor_changed():
    before = torch.get_rng_state()
    one = first(make(), 5)
    make().shown(9)
    assert torch.get_rng_state().equal(before)
    torch.manual_seed(99)
    assert same(one, first(make(), 5))
    assert not same(one, list(islice(make().batches(4, seed=4), 5)))


def test_a_far_start_and_a_batch_beyond_the_set_work():
    assert first(make(), 1, start=10**12)[0]["x"].shape == (4, 3, 16, 16)
    assert first(make(), 1, size=23)[0]["x"].shape == (23, 3, 16, 16)
    with pytest.raises(UsageError, match=r"divide over 3 processes; got 16. Nearest: 15"):
        make().batches(16, seed=0, world=3)


def test_the_fingerprint_sees_pixels_and_options():
    changed = make()
    changed.album.prints[2] = b"another"
    found = {d.fingerprint for d in (make(), changed, make(flip=False), make(turn=False), make(side=8))}
    assert len(found) == 5 and make().fingerprint in found


def test_the_spec_counts_pieces_that_do_not_overlap():
    assert make().spec.shape == (3, 16, 16) and make().spec.count == 1 + 2 + 1 + 1 + 2 and make().spec.given == ()
    assert len(make()) == len(make().images) == 5


def test_images_are_the_middles_and_shown_examples_are_fixed_and_whole():
    data = make(side=8)
    assert data.images.dtype == torch.uint8 and data.images[0].numpy().tobytes() == data.album.photos[0][:, 6:14, 11:19].tobytes()
    shown = data.shown(5)
    assert shown["x"].shape == (5, 3, 16, 16) and shown["x"].equal(data.shown(9)["x"][:5]) and shown["x"].abs().max() <= 1
    assert as_bytes(shown["x"][3]).tobytes() == data.album.photos[3].tobytes()
    assert len(data.shown(100)["x"]) == 1 + 2 + 1 + 1 + 2, "no more than do not overlap"
    held = PhotoSet(album=album(((40, 40),)), side=8)
    data.held_out = held
    assert data.shown(2)["x"].equal(held.shown(2)["x"]) and data.shown(2)["x"].shape == (1, 3, 40, 40)


def test_a_folder_is_read_as_it_is_and_a_part_is_held_out(tmp_path):
    root = folder(tmp_path / "in")
    data = load(root)
    assert isinstance(data, PhotoSet) and len(data) + len(data.held_out) == 12 and len(data.held_out) >= 1
    for one in (data, data.held_out):
        for name, photo in zip(one.album.names, one.album.photos, strict=True):
            assert np.array_equal(photo.transpose(1, 2, 0), np.asarray(Image.open(root / name)))
    assert not {*data.album.names} & {*data.held_out.album.names}
    lines = summary(data)
    assert lines[0] == f"12 files · {len(data)} usable photographs · {len(data.held_out)} held out"
    assert lines[2] == "pieces of 64x64 cut at random from images of sides 80 to 124 · mirrored at random"
    told = full(data)
    assert told["fingerprint"] == data.fingerprint and told["held_out_fingerprint"] == data.held_out.fingerprint
    assert "64x64: pieces cut at random" in data_card(told) and told["held_out"] == len(data.held_out)


def test_photographs_stay_in_their_part_when_others_come_and_go(tmp_path):
    root = folder(tmp_path / "in", 30)
    before = {*load(root, hold_out=0.3).held_out.album.names}
    for k in range(30, 50):
        (root / f"a{k}.png").write_bytes(encoded(smooth(k, 90)))
    (root / "p3.png").rename(root / "zebra.png")
    (root / "p4.png").unlink()
    after = {name.replace("zebra", "p3") for name in load(root, hold_out=0.3, crop=32).held_out.album.names}
    assert 3 <= len(before) <= 18 and {name for name in after if name.startswith("p")} == before - {"p4.png"}


def test_copies_go_together_whatever_their_size_or_side(tmp_path):
    root = folder(tmp_path / "in", 30)
    for k in range(30):
        Image.open(root / f"p{k}.png").resize((100, 100)).save(root / f"small copy {k}.png")
        Image.open(root / f"p{k}.png").transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(root / f"turned {k}.jpg", quality=90)
    data = load(root, hold_out=0.3)
    ours, theirs = ({int("".join(c for c in name if c.isdigit())) for name in part.album.names} for part in (data, data.held_out))
    assert not ours & theirs and len(ours | theirs) == 30 and len(data) + len(data.held_out) == 90
    assert (data.report["duplicates"], data.report["near_duplicates"]) == (1, 29), "p5.png is 100x100 already"


@pytest.mark.parametrize("share", [0.001, 0.999])
def test_at_least_one_is_held_out_and_one_is_learnt_from(tmp_path, share):
    data = load(folder(tmp_path / "in", 3), hold_out=share)
    assert (len(data), len(data.held_out)) == ((2, 1) if share < 0.5 else (1, 2))


def test_groups_and_kinds_keep_to_the_rule_on_at_least_one():
    marks, alone = np.array([9, 5, 7, 3], np.uint64) << np.uint64(58), np.arange(4)
    assert some(marks, alone, 1e-9).tolist() == [False, False, False, True]
    assert some(marks, alone, 1 - 1e-9).tolist() == [False, True, True, True]
    assert some(marks, np.array([0, 0, 2, 0]), 1e-9).tolist() == [True, True, False, True]
    assert not some(marks, np.zeros(4, np.int64), 0.5).any() and not some(marks, alone, 0.0).any()
    assert some(marks, alone, 1e-9, np.array([0, 0, 1, 1])).tolist() == [False, True, False, True]
    assert not some(marks, np.array([0, 0, 2, 2]), 0.5, np.array([0, 1, 0, 1])).all()


def test_nothing_is_held_out_where_all_are_alike_or_nobody_asked(tmp_path):
    root = tmp_path / "in"
    root.mkdir()
    for k in range(3):
        (root / f"{k}.png").write_bytes(encoded(smooth(1, 70)))
    alike = load(root)
    assert alike.held_out is None and alike.report["duplicates"] == 2 and any("as too few differ" in line for line in summary(alike))
    assert alike.shown(2)["x"].shape[0] == 2
    plain = load(folder(tmp_path / "other", 3), hold_out=0.0)
    assert plain.held_out is None and len(plain) == 3


def test_a_part_that_the_folder_brings_is_held_out(tmp_path):
    root = tmp_path / "in"
    root.mkdir()
    folder(root / "train", 5), folder(root / "test", 2)
    (root / "test" / "q.png").write_bytes(encoded(smooth(77, 70)))
    data = load(root)
    assert len(data) == 5 and all(name.startswith("test/") for name in data.held_out.album.names) and len(data.held_out) == 3


def test_photographs_beyond_the_memory_are_mapped_and_found_again(tmp_path, monkeypatch):
    root = folder(tmp_path / "in")
    (root / "cut.png").write_bytes((root / "p0.png").read_bytes()[:900])
    whole = load(root)
    monkeypatch.setattr(store, "SHARE", 0.0)
    for _ in range(2):
        mapped = load(root)
        assert not mapped.report["in_memory"] and mapped.fingerprint == whole.fingerprint
        assert mapped.held_out.fingerprint == whole.held_out.fingerprint and same(first(mapped, 3), first(whole, 3))
        assert {k: v for k, v in mapped.report.items() if k not in ("in_memory", "form")} == {
            k: v for k, v in whole.report.items() if k not in ("in_memory", "form")
        }
    assert "on disk, mapped" in summary(mapped)[4]
    assert sorted(p.suffix for p in (tmp_path / "cache" / "decoded").iterdir()) == [".json", ".npy"]
    monkeypatch.setattr("ganforge.data.whole.decode", lambda *_: pytest.fail("decoded again"))
    load(root)
    (root / "p1.png").write_bytes(encoded(smooth(99)))
    with pytest.raises(pytest.fail.Exception, match="decoded again"):
        load(root)


def test_a_damaged_cache_is_made_anew(tmp_path, monkeypatch):
    root = folder(tmp_path / "in", 4)
    monkeypatch.setattr(store, "SHARE", 0.0)
    before = load(root).fingerprint
    for path in (tmp_path / "cache" / "decoded").iterdir():
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert load(root).fingerprint == before


def test_forms_of_photographs_are_read_as_those_of_images(tmp_path):
    root = folder(tmp_path / "in", 2)
    Image.fromarray(np.full((70, 90), 300, np.uint16)).save(root / "deep.png")
    Image.fromarray(np.dstack([noise(3, 90, 70), np.zeros((70, 90), np.uint8)])).save(root / "clear.png")
    turned = Image.fromarray(smooth(5, 100)).crop((0, 0, 100, 70))
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(root / "turned.jpg", exif=exif, quality=95)
    data = load(root, hold_out=0.0)
    of = dict(zip(data.album.names, data.album.photos, strict=True))
    assert (of["deep.png"] == 1).all() and of["deep.png"].shape == (3, 70, 90)
    assert (of["clear.png"] == 255).all() and of["turned.jpg"].shape == (3, 100, 70) and data.report["exif_rotated"] == 1


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"crop": 4}, "crop must be a number of pixels from 8 to 1024; got 4. Nearest: 8"),
        ({"flip": "true"}, "flip must be yes or no; got 'true'. Did you mean 'yes'"),
        ({"hold_out": 1.0}, "hold_out is a share of the images"),
        ({"path": ""}, "path is empty"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, says):
    with pytest.raises(UsageError, match=says):
        Photos(**{"path": "x", **options})


def test_paths_that_are_not_there_and_arrays_are_told(tmp_path):
    (tmp_path / "photos").mkdir()
    with pytest.raises(UsageError, match="fotos does not exist. Did you mean 'photos'"):
        load(tmp_path / "fotos")
    np.save(tmp_path / "a.npy", np.stack([noise(k) for k in range(4)]))
    with pytest.raises(DataError, match="holds arrays .npy.. Restoration and translation learn from image files"):
        load(tmp_path / "a.npy")
