"""Stacked digits: three independent grey images as the colours of one."""

import pytest
import torch

from ganforge.core.errors import DataError
from ganforge.data.imageset import ImageSet
from ganforge.data.stacked import stacked
from ganforge.metrics.modes import stacked_modes

PLAIN = torch.arange(10, dtype=torch.uint8).view(10, 1, 1, 1).expand(10, 1, 4, 4).contiguous()
DIGITS = ImageSet(PLAIN, torch.arange(10), tuple("0123456789"))


def test_every_colour_is_an_image_of_the_source_drawn_independently():
    found = stacked(DIGITS, 30_000).images
    assert found.shape == (30_000, 3, 4, 4) and found.dtype == torch.uint8
    assert (found == found[:, :, :1, :1]).all(), "whole images, not pixels of several"
    digits = found[:, :, 0, 0].double()
    assert (digits.T.corrcoef() - torch.eye(3)).abs().max() < 0.03
    shares = torch.bincount(found[:, 0, 0, 0].long(), minlength=10) / 30_000
    assert (shares - 0.1).abs().max() < 0.01


def test_a_perfect_model_of_them_covers_all_modes_up_to_chance():
    """Telling the digit of a channel by its value, 26,000 stacks reach all modes with KL 999 / 2 n = 0.019."""
    images = stacked(DIGITS, 26_000).images.float()
    found = stacked_modes(images, lambda channel: torch.nn.functional.one_hot(channel[:, 0, 0, 0].long(), 10).float())
    assert found["modes"] == 1000 and found["kl"] == pytest.approx(999 / 52_000, rel=0.15)


def test_they_are_a_function_of_the_seed_without_labels_and_never_mirrored():
    torch.manual_seed(1)
    one = stacked(DIGITS, 50)
    torch.manual_seed(2)
    assert torch.equal(one.images, stacked(DIGITS, 50).images) and not torch.equal(one.images, stacked(DIGITS, 50, seed=1).images)
    assert one.spec.classes == 0 and one.spec.shape == (3, 4, 4) and not one.flip


def test_colour_images_are_refused():
    with pytest.raises(DataError, match="only grey images can be stacked.*3 channels"):
        stacked(ImageSet(torch.zeros(4, 3, 8, 8, dtype=torch.uint8)), 10)
