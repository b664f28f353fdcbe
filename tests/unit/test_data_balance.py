"""Rare classes come as often as common ones, in an order that is a function of seed and position; held-out images ride along."""

import numpy as np
import pytest
import torch

from ganforge.core.errors import UsageError
from ganforge.data.images import Images
from ganforge.data.imageset import BalancedOrder, ImageSet

LABELS = torch.tensor([0] * 20 + [1] * 3 + [3] * 1)
"""Class 2 has no example."""


@pytest.mark.parametrize("first", [0, 1, 5, 3 * 20])
@pytest.mark.parametrize("count", [1, 3, 48])
def test_the_row_is_the_same_wherever_one_begins(first, count):
    whole = BalancedOrder(LABELS, 7).positions(0, 200)
    assert torch.equal(BalancedOrder(LABELS, 7).positions(first, count), whole[first : first + count])
    assert not torch.equal(BalancedOrder(LABELS, 8).positions(0, 200), whole)


def test_every_class_comes_once_a_round_and_all_its_examples_before_one_comes_again():
    row = BalancedOrder(LABELS, 0).positions(0, 3 * 20)
    assert torch.equal(LABELS[row].view(20, 3).sort(1).values, torch.tensor([[0, 1, 3]]).expand(20, 3))
    assert sorted(row[LABELS[row] == 0].tolist()) == list(range(20))
    assert all(sorted(part.tolist()) == [20, 21, 22] for part in row[LABELS[row] == 1][:18].view(6, 3))
    assert len({tuple(round_) for round_ in LABELS[row].view(20, 3).tolist()}) > 1, "classes come in another order each round"


def images(held: bool = False, **options) -> ImageSet:
    def part(n, level):
        return torch.full((n, 1, 4, 4), level, dtype=torch.uint8)

    rest = ImageSet(part(5, 255), torch.zeros(5, dtype=torch.long), tuple("abcd")) if held else None
    return ImageSet(part(24, 0), LABELS, tuple("abcd"), held_out=rest, **options)


def test_batches_are_balanced_over_processes_and_after_a_restart():
    data = images(balance=True)
    whole = data.batches(12, seed=1)
    for step in range(3):
        y = next(whole)["y"]
        assert y.bincount(minlength=4).tolist() == [4, 4, 0, 4]
        parts = [next(data.batches(12, seed=1, start=step, rank=rank, world=2))["y"] for rank in range(2)]
        assert torch.equal(torch.cat(parts), y)


def test_held_out_images_ride_along_only_when_asked():
    assert next(images(held=True).batches(8, seed=0)).keys() == {"x", "y"}
    assert next(images(show_held=True).batches(8, seed=0)).keys() == {"x", "y"}, "there are none"
    batch = next(images(held=True, show_held=True).batches(8, seed=0))
    assert batch.keys() == {"x", "y", "held", "held_y"} and (batch["held"] == 1).all() and (batch["x"] == -1).all()
    assert batch["held"].shape == batch["x"].shape and batch["held_y"].shape == batch["y"].shape


def test_balance_is_an_option_of_the_data_and_needs_classes(tmp_path):
    np.savez(tmp_path / "few.npz", x=np.random.default_rng(0).integers(0, 255, (24, 8, 8), np.uint8), y=LABELS.numpy().clip(0, 2))
    data = Images(path=str(tmp_path / "few.npz"), balance=True).load()
    assert next(data.batches(12, seed=0))["y"].bincount().tolist() == [4, 4, 4]
    with pytest.raises(UsageError, match="--balance needs classes, and this data has none"):
        Images(path=str(tmp_path / "few.npz"), balance=True, labels="none").load()
