"""The stream of batches: exact, resumable, and the same for any number of processes."""

from __future__ import annotations

from itertools import islice

import pytest
import torch

from ganforge.core.errors import UsageError
from ganforge.data import imageset
from ganforge.data.imageset import ImageSet, variation, varied


def make(n: int = 10, flip: bool = True, crop: int = 2, labelled: bool = True) -> ImageSet:
    images = torch.randint(0, 256, (n, 3, 8, 12), generator=torch.Generator().manual_seed(5), dtype=torch.uint8)
    return ImageSet(images, torch.arange(n) % 2 if labelled else None, ("even", "odd") if labelled else (), flip, crop)


def first(data: ImageSet, count: int, size: int = 4, **options: int) -> list[dict[str, torch.Tensor]]:
    return list(islice(data.batches(size, seed=3, **options), count))


def same(a: list[dict[str, torch.Tensor]], b: list[dict[str, torch.Tensor]]) -> bool:
    return all(p.keys() == q.keys() and all(p[k].equal(q[k]) for k in p) for p, q in zip(a, b, strict=True))


def test_starting_at_a_step_equals_skipping_to_it():
    assert same(first(make(), 12)[7:], first(make(), 5, start=7))
    assert not same(first(make(), 5), first(make(), 5, start=7))


def test_two_processes_together_see_what_one_sees():
    one, two = first(make(), 9), [first(make(), 9, rank=r, world=2) for r in (0, 1)]
    joined = [{k: torch.cat([a[k], b[k]]) for k in a} for a, b in zip(*two, strict=True)]
    assert same(one, joined)


def test_every_epoch_shows_every_image_once_in_another_order():
    data = make(10, flip=False, crop=0)
    rows = torch.cat([b["x"] for b in first(data, 5, size=4)])  # 20 positions: two epochs, crossing inside a batch
    which = [int((data.images.float().div(127.5).sub(1) == row).flatten(1).all(1).nonzero()) for row in rows]
    assert sorted(which[:10]) == sorted(which[10:]) == list(range(10)) and which[:10] != which[10:]
    labels = torch.cat([b["y"] for b in first(data, 5, size=4)])
    assert labels.tolist() == [k % 2 for k in which]


def test_sets_smaller_than_the_batch_work():
    batch = first(make(3), 1, size=16)[0]
    assert batch["x"].shape == (16, 3, 8, 12) and batch["y"].shape == (16,)


def test_values_are_u8_over_127_5_minus_1():
    data = ImageSet(torch.tensor([0, 255, 127], dtype=torch.uint8).repeat(2).view(2, 3, 1, 1))
    assert first(data, 1, size=2)[0]["x"][0].flatten().tolist() == [-1.0, 1.0, (torch.tensor(127.0) / 127.5 - 1).item()]
    assert "y" not in first(make(labelled=False), 1)[0]


def test_the_global_random_state_is_neither_read_nor_changed():
    before = torch.get_rng_state()
    one = first(make(), 5)
    assert torch.get_rng_state().equal(before)
    torch.manual_seed(99)
    assert same(one, first(make(), 5))


def test_seeds_differ_and_images_stay_untouched():
    data = make()
    copy = data.images.clone()
    a, b = (next(data.batches(8, seed=s))["x"] for s in (0, 1))
    assert not a.equal(b) and data.images.equal(copy)


def test_about_half_of_the_images_are_mirrored():
    data = make(50, flip=True, crop=0)
    known = {row.numpy().tobytes() for row in data.images.float().div_(127.5).sub_(1)}
    rows = [row.numpy().tobytes() in known for b in first(data, 20, size=50) for row in b["x"]]
    assert 0.4 < sum(rows) / len(rows) < 0.6


def test_every_step_draws_its_own_variation():
    flips, shifts = zip(*(variation(64, 3, step, True, 2) for step in range(4)), strict=True)
    assert len({f.numpy().tobytes() for f in flips}) == len({s.numpy().tobytes() for s in shifts}) == 4
    assert shifts[0].min() == -2 and shifts[0].max() == 2


def test_shifts_are_cut_from_the_reflected_image():
    x = torch.arange(2 * 1 * 5 * 6, dtype=torch.uint8).view(2, 1, 5, 6)
    shifts = torch.tensor([[2, -1], [-2, 1]])
    padded = torch.nn.functional.pad(x.float(), (2, 2, 2, 2), mode="reflect").byte()
    expected = torch.stack([padded[0, :, 0:5, 3:9], padded[1, :, 4:9, 1:7]])
    assert varied(x, None, shifts).equal(expected)
    assert varied(x, torch.tensor([True, False]), shifts).equal(torch.stack([expected[0].flip(2), expected[1]]))


def test_a_far_start_costs_nothing():
    batch = first(make(), 1, start=10**12)[0]
    assert batch["x"].shape == (4, 3, 8, 12)


def test_a_batch_that_does_not_divide_is_refused_at_once():
    with pytest.raises(UsageError, match=r"divide over 3 processes; got 16. Nearest: 15"):
        make().batches(16, seed=0, world=3)
    with pytest.raises(UsageError, match="start must be"):
        make().batches(4, seed=0, start=-1)


def test_the_fingerprint_sees_pixels_labels_and_options():
    base = make().fingerprint
    changed = make()
    changed.images[3, 0, 0, 0] ^= 1
    relabelled = make()
    assert relabelled.labels is not None
    relabelled.labels[0] = 1
    assert make().fingerprint == base
    assert len({base, changed.fingerprint, relabelled.fingerprint, make(flip=False).fingerprint, make(crop=1).fingerprint}) == 5


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_sees_the_same_batches():
    near = list(islice(make().batches(4, seed=3, device="cuda"), 5))
    for a, b in zip(first(make(), 5), near, strict=True):
        assert b["x"].is_cuda and b["y"].is_cuda and a["y"].equal(b["y"].cpu())
        torch.testing.assert_close(a["x"], b["x"].cpu(), atol=1e-6, rtol=0)


def test_a_device_with_room_gets_the_images_once_for_all_streams(monkeypatch):
    monkeypatch.setattr(imageset, "_room", lambda size, device: device.type == "meta")  # stands in for a GPU
    data = ImageSet(torch.zeros(6, 1, 4, 4, dtype=torch.uint8), torch.zeros(6, dtype=torch.int64), ("a",), flip=True, crop=1)
    first = next(data.batches(2, seed=0, device="meta"))
    (kept,) = data._near.values()
    next(data.batches(2, seed=1, device="meta"))
    assert first["x"].device.type == first["y"].device.type == "meta" and data._near[torch.device("meta")] is kept
    next(data.batches(2, seed=0))
    assert len(data._near) == 1
