"""Mode counts on samples made on purpose; the classifier accuracy score on labels that are right, wrong and missing."""

import math

import pytest
import torch

from ganforge.core.errors import DataError
from ganforge.metrics.classifier_score import classifier_accuracy_score
from ganforge.metrics.modes import GRID, RING, count_modes, divergence, stacked_modes


def draw(mixture, n, modes=None):
    random = torch.Generator().manual_seed(0)
    which = torch.randint(modes or len(mixture.centres), (n,), generator=random)
    return mixture.centres[which] + mixture.std * torch.randn(n, 2, generator=random)


@pytest.mark.parametrize("mixture", [RING, GRID])
def test_the_truth_covers_all_modes_with_98_9_percent_good(mixture):
    found = count_modes(draw(mixture, 20_000), mixture)
    assert found["modes"] == len(mixture.centres)
    assert found["good"] == pytest.approx(1 - math.exp(-4.5), abs=0.003)
    assert found["kl"] < 0.002 and found["spread"] == pytest.approx(1, abs=0.05)


def test_half_the_modes_cost_the_logarithm_of_two():
    found = count_modes(draw(RING, 20_000, modes=4), RING)
    assert found["modes"] == 4 and found["kl"] == pytest.approx(math.log(2), abs=0.001)


def test_collapse_inside_the_modes_shows_in_the_spread():
    found = count_modes(GRID.centres + 0.001, GRID)
    assert found == {"modes": 25, "good": 1, "kl": pytest.approx(0), "spread": pytest.approx(0, abs=0.05)}


def test_bad_samples_are_no_modes():
    found = count_modes(torch.full((10, 2), 50.0), GRID)
    assert (found["modes"], found["good"], found["kl"]) == (0, 0, 0) and math.isnan(found["spread"])
    with pytest.raises(DataError, match="diverged"):
        count_modes(torch.full((10, 2), torch.nan), GRID)
    with pytest.raises(DataError, match=r"points \(n, 2\)"):
        count_modes(torch.zeros(10, 3), GRID)


def by_brightness(x):
    """A perfect classifier of flat images whose brightness is their digit."""
    return -(x.mean((1, 2, 3))[:, None] - torch.arange(10)).abs()


def stacks(modes):
    digits = torch.stack([modes // 100, modes // 10 % 10, modes % 10], 1)
    return digits[:, :, None, None].expand(-1, -1, 4, 4).float()


def test_stacked_digits_count_to_a_thousand():
    assert stacked_modes(stacks(torch.arange(1000)), by_brightness) == {"modes": 1000, "kl": pytest.approx(0, abs=1e-12)}
    assert stacked_modes(stacks(torch.tensor([0, 123, 123, 999])), by_brightness)["modes"] == 3
    truth = torch.zeros(1000)
    truth[123], truth[7] = 0.75, 0.25
    found = stacked_modes(stacks(torch.tensor([123, 7])), by_brightness, truth)
    assert found["kl"] == pytest.approx(0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(2))
    with pytest.raises(DataError, match=r"\(n, 3, h, w\)"):
        stacked_modes(torch.zeros(2, 1, 4, 4), by_brightness)
    with pytest.raises(DataError, match="10 logits"):
        stacked_modes(torch.zeros(2, 3, 4, 4), lambda x: x.mean((1, 2, 3))[:, None])


def test_divergence_is_infinite_where_the_truth_has_nothing():
    assert divergence(torch.tensor([1, 1]), torch.tensor([1.0, 0.0])) == math.inf
    assert divergence(torch.tensor([0, 0]), torch.tensor([0.5, 0.5])) == 0


def labelled(n, seed):
    """8 x 8 images of a bright square in one of four corners, in noise."""
    random = torch.Generator().manual_seed(seed)
    x, y = torch.randn(n, 1, 8, 8, generator=random) * 0.3, torch.randint(4, (n,), generator=random)
    for image, label in zip(x, y):
        image[0, 4 * (label // 2) : 4 * (label // 2) + 4, 4 * (label % 2) : 4 * (label % 2) + 4] += 0.8
    return x.clamp(-1, 1), y


def test_a_classifier_learns_from_good_samples_and_not_from_wrong_labels_or_missing_classes():
    test = labelled(400, 1)
    x, y = labelled(400, 0)
    good = classifier_accuracy_score(x, y, *test, steps=40)
    assert good > 0.95
    assert good == classifier_accuracy_score(x, y, *test, steps=40), "the same again"
    assert classifier_accuracy_score(x, y.roll(1), *test, steps=40) < 0.6
    known = y < 2
    assert classifier_accuracy_score(x[known], y[known], *test, steps=40) < 0.6


def test_the_classifier_may_be_the_users_and_the_global_random_state_stays():
    before = torch.get_rng_state()
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 4))
    torch.set_rng_state(before)
    with torch.inference_mode():
        assert classifier_accuracy_score(*labelled(100, 0), *labelled(50, 1), classifier=net, steps=2) <= 1
    assert torch.equal(before, torch.get_rng_state())


def test_the_classifier_score_refuses():
    x, y = labelled(8, 0)
    for images, labels, says in (
        (x, y[:3], "a label for each"),
        (x, y.float(), "whole numbers"),
        (x, y - 9, "whole numbers"),
        (x * torch.nan, y, "NaN"),
        (x[..., :6], y, "got 1 x 8 x 6 and 1 x 8 x 8"),
    ):
        with pytest.raises(DataError, match=says):
            classifier_accuracy_score(images, labels, x, y, steps=1)
