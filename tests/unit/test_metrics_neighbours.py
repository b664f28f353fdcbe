"""Precision, recall, density and coverage on points placed by hand; the check for memorisation on copies made on purpose."""

import math

import pytest
import torch

from ganforge.core.errors import DataError
from ganforge.metrics import neighbours
from ganforge.metrics.coverage import density_coverage
from ganforge.metrics.memorisation import memorisation
from ganforge.metrics.precision_recall import precision_recall

REAL = torch.tensor([[0.0, 0.0], [1.0, 0.0], [10.0, 0.0], [11.0, 0.0]])  # with k = 1 every ball has radius 1
FAKE = torch.tensor([[0.5, 0.0], [0.5, 0.25], [5.0, 0.0], [12.0, 0.0]])  # radii 0.25, 0.25, 4.507, 7


def test_precision_and_recall_by_hand():
    # fakes 0, 1 and 3 (on the edge) lie in balls; of the reals, 0 and 1 lie in the ball of fake 2 only if 4 or 5 <= 4.507
    precision, recall = precision_recall(REAL, FAKE, k=1)
    assert precision == 0.75
    assert recall == 0.75  # 1 is 4 from fake 2, 10 and 11 are 2 and 1 from fake 3; 0 is 5 from fake 2 and 0.5 from others


def test_density_and_coverage_by_hand():
    # balls are open: fakes 0 and 1 lie in two each, fake 2 in none, fake 3 on the edge of one
    assert density_coverage(REAL, FAKE, k=1) == (4 / 4, 2 / 4)


def test_a_set_against_itself():
    x = torch.randn(333, 20, generator=torch.Generator().manual_seed(0)) + 100
    assert precision_recall(x, x) == (1, 1)
    assert density_coverage(x, x) == (1, 1)


def test_coverage_of_a_perfect_model_is_that_of_the_closed_form():
    draw = torch.Generator().manual_seed(1)
    n, k = 2000, 5
    density, coverage = density_coverage(*torch.randn(2, n, 3, generator=draw))
    assert coverage == pytest.approx(1 - math.prod((n - i) / (2 * n - i) for i in range(1, k + 1)), abs=0.01)
    assert density == pytest.approx(1, abs=0.05)


def test_missing_modes_lower_recall_and_bad_samples_precision():
    draw = torch.Generator().manual_seed(2)
    modes = torch.tensor([[0.0], [100.0]])
    real, half, bad = (m.repeat(200, 4) + torch.randn(len(m) * 200, 4, generator=draw) for m in (modes, modes[:1], modes + 50))
    precision, recall = precision_recall(real, half)
    assert precision > 0.85 and 0.4 < recall < 0.55
    assert density_coverage(real, half)[1] < 0.55
    precision, recall = precision_recall(real, torch.cat([half, bad[:200]]))
    assert 0.4 < precision < 0.55


def test_one_outlier_lifts_precision_but_hardly_density():
    draw = torch.Generator().manual_seed(3)
    real = torch.randn(200, 2, generator=draw)
    far = torch.randn(200, 2, generator=draw) / 10 + 20
    assert precision_recall(real, far) == (0, 0)
    real[0] = 50
    assert precision_recall(real, far)[0] == 1
    assert density_coverage(real, far)[0] <= 1 / 5


def test_blocks_do_not_change_a_number(monkeypatch):
    a, b = torch.randn(2, 50, 6, generator=torch.Generator().manual_seed(4))
    whole = precision_recall(a, b), density_coverage(a, b)
    monkeypatch.setattr(neighbours, "CELLS", 7 * 50)
    assert (precision_recall(a, b), density_coverage(a, b)) == whole


def test_distances_are_those_of_a_loop_also_far_from_the_origin():
    a, b = torch.randn(9, 300, dtype=torch.float64) + 1e4, torch.randn(8, 300, dtype=torch.float64) + 1e4
    found = torch.cat([squared for _, squared in neighbours.distances(a, b)])
    wanted = torch.tensor([[(x - y).square().sum() for y in b] for x in a])
    torch.testing.assert_close(found.double(), wanted, rtol=1e-5, atol=0)
    b[3] = a[5]
    assert torch.cat([squared for _, squared in neighbours.distances(a, b)])[5, 3] == 0


@pytest.mark.parametrize("metric, least", [(precision_recall, 4), (density_coverage, 6)])
def test_too_few_for_k_neighbours(metric, least):
    with pytest.raises(DataError, match=f"at least {least} samples a side; got {least - 1} and 9. The kernel"):
        metric(torch.randn(least - 1, 3), torch.randn(9, 3))


def rows(n, seed):
    return torch.randn(n, 10, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("with_held_out", [True, False])
def test_a_model_that_copies_nothing_is_cleared(with_held_out):
    found = memorisation(rows(1000, 0), rows(2000, 1), rows(1000, 2) if with_held_out else None)
    assert found.rate < 0.025 and 0.95 < found.ratio < 1.05 and abs(found.z) < 4
    assert found.duplicates == found.leaked == 0


@pytest.mark.parametrize("with_held_out", [True, False])
def test_copies_are_found_and_paired(with_held_out):
    train = rows(2000, 1)
    fake = torch.cat([rows(900, 0), train[[5, 700, 5]] + 1e-3, train[:97] + 1e-2])
    found = memorisation(fake, train, rows(1000, 2) if with_held_out else None)
    assert 0.095 < found.rate < 0.13 and found.z < -2
    assert set(found.fakes[:3].tolist()) == {900, 901, 902}
    paired = dict(zip(found.fakes.tolist(), found.neighbours.tolist()))
    assert [paired[900 + i] for i in range(4)] == [5, 700, 5, 0]
    assert (found.distances.diff() >= 0).all() and len(found.distances) == 1000
    torch.testing.assert_close(found.distances[10], (fake[found.fakes[10]] - train[found.neighbours[10]]).norm(), rtol=1e-2, atol=0)


def test_a_model_that_only_copies_is_convicted():
    train = rows(500, 1)
    found = memorisation(train[:200], train, rows(200, 2))
    assert found.rate == 1 and found.ratio == 0 and found.z < -10 and found.copies == 200


@pytest.mark.parametrize("with_held_out", [True, False])
def test_duplicates_in_the_data_neither_hide_copies_nor_read_as_such(with_held_out):
    train = torch.cat([rows(1000, 1), rows(1000, 1)[:600] + 1e-2])
    held_out = torch.cat([rows(500, 2), train[:50]]) if with_held_out else None
    honest = memorisation(rows(1000, 0), train, held_out)
    assert honest.duplicates == 600 and honest.leaked == (50 if with_held_out else 0)
    assert honest.rate < 0.03 and abs(honest.z) < 4 and honest.copies == 0
    thief = memorisation(train[:100], train, held_out)
    assert thief.rate == 1 and int(thief.neighbours.max()) < 1000


def test_a_few_copies_of_a_model_that_is_far_off_are_counted_though_z_is_high():
    train = rows(500, 1)
    found = memorisation(torch.cat([rows(300, 0) + 3, train[:6]]), train, rows(200, 2))
    assert found.copies == 6 and found.z > 3


def test_held_out_images_that_are_all_training_images_are_refused():
    with pytest.raises(DataError, match="held-out images that are not training images too; got 0"):
        memorisation(rows(50, 0), rows(50, 1), rows(50, 1))


@pytest.mark.parametrize("with_held_out", [True, False])
def test_mirrored_copies_are_found_where_mirrored_rows_are_given(with_held_out):
    train, mirrored = rows(600, 1), rows(600, 7)
    held_out = rows(300, 2) if with_held_out else None
    copies = mirrored[:200] + 0.01 * rows(200, 3)
    assert memorisation(copies, train, held_out).rate < 0.2
    found = memorisation(copies, train, held_out, mirrored)
    assert found.rate > 0.95 and found.z < -3 and found.duplicates == 0
    assert (found.neighbours == found.fakes).all(), "each is told with the image that it mirrors"
    assert memorisation(rows(300, 5), train, held_out, mirrored).rate < 0.1


def test_a_training_images_own_mirror_image_is_no_other_image():
    """Without held-out images the distances between training images stand in: nearly symmetric ones must not look like copies."""
    train = rows(400, 1)
    found = memorisation(train[:100] + 0.2 * rows(100, 3), train, None, train + 0.05 * rows(400, 2))
    assert found.rate > 0.9
