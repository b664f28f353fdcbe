"""Masks of every kind at every size, and the plain fill against surfaces known by hand."""

import pytest
import torch

from ganforge.data.degrade import masks

KINDS = {f.__name__: f for f in (masks.strokes, masks.boxes, masks.scratches, masks.text, masks.mixed)}


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (1, 30), (40, 3), (64, 48), (256, 256)])
@pytest.mark.parametrize("kind", KINDS)
def test_masks_have_holes_and_known_pixels(kind, size):
    found = KINDS[kind](6, *size)
    assert found.shape == (6, 1, *size) and found.dtype == torch.float32 and set(found.unique().tolist()) <= {0, 1}
    assert (found.flatten(1).sum(1) >= 1).all()
    assert size == (1, 1) or (found.flatten(1).mean(1) < 1).all()


@pytest.mark.parametrize("kind", KINDS)
def test_masks_follow_torchs_seed_and_differ(kind):
    torch.manual_seed(3)
    one = KINDS[kind](8, 48, 40)
    torch.manual_seed(3)
    assert torch.equal(one, KINDS[kind](8, 48, 40))
    assert len({each.numpy().tobytes() for each in one}) > 4


def test_kinds_look_as_they_should():
    share = {name: kind(48, 128, 128).mean().item() for name, kind in KINDS.items()}
    assert share["scratches"] < share["boxes"] and share["text"] < share["boxes"] and 0.1 < share["strokes"] < 0.6
    assert 0.05 < share["mixed"] < 0.5
    for box in masks.boxes(20, 96, 64):
        filled = box[0]
        assert filled.sum() >= round(30 / 256 * 96) * round(30 / 256 * 64)


def test_masks_keep_their_share_at_any_size():
    small, large = (masks.strokes(64, side, side).mean().item() for side in (48, 192))
    assert small == pytest.approx(large, abs=0.12)


def test_a_fill_keeps_known_pixels_and_ignores_what_holes_hold():
    x = torch.rand(4, 3, 31, 18) * 2 - 1
    mask = masks.strokes(4, 31, 18)
    found = masks.fill(x, mask)
    known = (mask == 0).expand_as(x)
    assert torch.equal(found[known], x[known])
    assert torch.equal(found, masks.fill(torch.where(known, x, torch.nan), mask))
    assert found.isfinite().all() and found.abs().max() <= 1


def test_a_fill_goes_on_with_flat_colour_and_slopes():
    mask = torch.zeros(1, 1, 40, 40)
    mask[:, :, 12:28, 10:31] = 1
    flat = torch.full((1, 3, 40, 40), 0.3)
    torch.testing.assert_close(masks.fill(flat, mask), flat)
    slope = torch.linspace(-1, 1, 40).expand(1, 3, 40, 40).contiguous()
    off = (masks.fill(slope, mask) - slope).abs()
    assert off.max() < 0.1  # the surface has settled; the mean colour alone would be off by 0.5
    turned = masks.fill(slope.transpose(2, 3), mask.transpose(2, 3)).transpose(2, 3)
    torch.testing.assert_close(turned, masks.fill(slope, mask))


def test_a_fill_needs_no_known_pixel_and_takes_each_example_by_itself():
    x = torch.rand(2, 3, 9, 7) * 2 - 1
    mask = torch.stack([torch.ones(1, 9, 7), torch.zeros(1, 9, 7)])
    found = masks.fill(x, mask)
    assert (found[0] == 0).all() and torch.equal(found[1], x[1])
    mask = masks.boxes(2, 9, 7)
    torch.testing.assert_close(masks.fill(x, mask), torch.cat([masks.fill(x[i : i + 1], mask[i : i + 1]) for i in range(2)]))


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (1, 9), (8, 1), (2, 2)])
def test_a_fill_works_at_any_size(size):
    x = torch.rand(1, 1, *size) * 2 - 1
    mask = torch.zeros(1, 1, *size)
    mask[..., 0, 0] = 1
    found = masks.fill(x, mask)
    assert found.shape == x.shape and found.isfinite().all()
    if sum(size) == 3:
        assert found[..., 0, 0] == x[..., -1, -1]
