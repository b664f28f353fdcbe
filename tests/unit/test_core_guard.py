"""The guard: numbers with known answers, one word for one history, copies that leave the training alone."""

import re
from pathlib import Path

import pytest
import torch
from torch.optim import SGD, Adam

from ganforge import losses
from ganforge.core.guard.gap import gains
from ganforge.core.guard.look import Examples, Eye
from ganforge.core.guard.verdict import ADVICE, HEEDED, PAGE, judge, opine
from ganforge.core.method import Progress
from tests.contract.toys import METHODS, Points, two_player

NOW = Progress(100, 6400, 64000)


def pictures(n, seed=0, shape=(1, 16, 16)):
    """Smooth random images: (n, *shape) in [-1, 1]."""
    draw = torch.Generator().manual_seed(seed)
    coarse = torch.rand(n, shape[0], 4, 4, generator=draw) * 1.6 - 0.8
    return torch.nn.functional.interpolate(coarse, shape[1:], mode="bilinear")


def eye(n=96, held=True, x=None, y=None):
    x = pictures(192) if x is None else x
    return Eye(Examples(x, y), Examples(pictures(192, 1)) if held else None, n)


def test_images_of_the_same_kind_are_near_diverse_and_cover():
    seen = eye().look(Examples(pictures(96, 2)))
    assert abs(seen["distance"]) < 0.02 and abs(seen["diversity"] - 1) < 0.1 and seen["coverage"] > 0.85
    assert seen["pinned"] == 0 and seen["blank"] == 0 and abs(seen["copies"] - 1) < 0.1 and seen["distinct"] == 192


def test_one_image_over_and_over_has_no_diversity_and_covers_little():
    seen = eye().look(Examples(pictures(1, 2).expand(96, -1, -1, -1)))
    assert seen["diversity"] < 0.01 and seen["coverage"] < 0.3 and seen["distance"] > 0.1


def test_diversity_is_within_classes_where_there_are_any():
    """One image a class: together as diverse as the data, inside the classes not at all."""
    y = torch.arange(192) % 8
    seen = eye(x=pictures(192), y=y).look(Examples(pictures(8, 2).repeat(12, 1, 1, 1), y[:96]))
    assert seen["diversity"] < 0.01 and seen["coverage"] > 0.2


def test_copies_of_training_images_are_nearer_to_them_than_to_held_out_ones():
    ours = eye()
    assert ours.look(Examples(ours.train.x[:96]))["copies"] < 0.01
    alone = eye(held=False)
    assert alone.look(Examples(alone.train.x[:96]))["copies_alone"] < 0.01
    assert alone.look(Examples(pictures(96, 2)))["copies_alone"] > 0.8


def test_the_critic_gap_is_the_share_of_pairs_it_orders():
    """A critic that knows the training images by heart orders all pairs; a constant one none, which counts half."""
    ours = eye()
    known = ours.train.x.flatten(1)
    by_heart = ours.look(Examples(pictures(96, 2)), lambda x, y: -torch.cdist(x.flatten(1), known).min(1).values)
    assert by_heart["critic_gap"] == 1.0
    assert ours.look(Examples(pictures(96, 2)), lambda x, y: torch.zeros(len(x), 1, 2, 2))["critic_gap"] == 0.5


def test_pinned_pixels_and_blank_images_are_counted():
    seen = eye().look(Examples(torch.ones(96, 1, 16, 16)))
    assert seen["pinned"] == 1 and seen["blank"] == 1


def test_looking_survives_numbers_that_are_not_finite_and_draws_nothing():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    seen = eye().look(Examples(torch.full((96, 1, 16, 16), float("nan"))))
    assert all(value == value for value in seen.values())
    assert torch.equal(before, torch.get_rng_state())


def test_anything_that_is_not_an_image_is_compared_as_it_is():
    x = torch.randn(200, 5, generator=torch.Generator().manual_seed(0))
    assert abs(Eye(Examples(x), None, 100).look(Examples(-x[100:]))["diversity"] - 1) < 0.15


def look(fraction, **numbers):
    good = {"distance": 0.5 * 0.95 ** (100 * fraction), "diversity": 0.8, "coverage": 0.8, "density": 0.9, "pinned": 0.0, "blank": 0.0}
    good |= {"copies": 1.0, "critic_gap": 0.5, "movement": 0.1, "distinct": 500.0, "accuracy/real": 0.7, "accuracy/fake": 0.7}
    return {"fraction": fraction, **good, **numbers}


def words(*spans):
    """The word at every look of a run of 50; spans: (from this share of the budget on, numbers)."""
    history = []
    for i in range(50):
        at = (i + 1) / 50
        numbers = {}
        for since, changed in spans:
            numbers |= changed if at >= since else {}
        history.append(look(at, **numbers))
    return [judge(history[: i + 1]).word for i in range(50)]


def test_a_run_that_learns_hears_nothing():
    assert set(words()) == {"learning"}


@pytest.mark.parametrize(
    "word, since, numbers, looks",
    [
        ("memorising", 0.0, {"distinct": 1.0}, 1),
        ("memorising", 0.5, {"copies": 0.3}, 5),
        ("memorising", 0.5, {"copies": 0.8, "critic_gap": 0.8}, 5),
        ("memorising", 0.5, {"copies_alone": 0.05}, 5),
        ("saturated", 0.0, {"blank": 1.0, "movement": 0.0}, 3),
        ("saturated", 0.5, {"blank": 0.9}, 8),
        ("saturated", 0.5, {"pinned": 0.5}, 5),
        ("diverging", 0.0, {"distance": 0.4, "movement": 0.8, "coverage": 0.05}, 11),
        ("collapsing", 0.5, {"diversity": 0.05}, 10),
        ("collapsing", 0.5, {"coverage": 0.02, "density": 1.0}, 10),
        ("overpowered", 0.0, {"distance": 0.4, "accuracy/real": 1.0, "accuracy/fake": 1.0}, 18),
        ("worsening", 0.5, {"distance": 0.35, "coverage": 0.1, "density": 0.1}, 5),
        ("stalled", 0.0, {"distance": 0.4, "movement": 0.004}, 16),
        ("stalled", 0.0, {"distance": 0.4}, 31),
    ],
)
def test_each_failure_gets_its_word_soon_and_only_then(word, since, numbers, looks):
    said = words((since, numbers))
    first = next(i for i, other in enumerate(said) if other != "learning")
    assert said[first] == word
    assert since <= (first + 1) / 50 and first + 1 <= since * 50 + looks


@pytest.mark.parametrize("numbers", [{"diversity": 0.01}, {"blank": 1.0}, {"copies": 0.1}, {"pinned": 1.0}, {"coverage": 0.0}])
def test_what_passes_in_the_first_tenth_is_not_mentioned(numbers):
    good = {name: number for name, number in look(0.1).items() if name in numbers}
    assert set(words((0.0, numbers), (0.1, good))) == {"learning"}


@pytest.mark.parametrize("steps", [5, 20, 29])
def test_so_few_steps_tell_nothing(steps):
    """Every look of so short a run is of one step; each of these histories would have a word in a longer one."""
    for numbers in ({"blank": 1.0, "movement": 0.0}, {"distance": 0.4, "movement": 0.004}, {"diversity": 0.05}):
        history = [look(step / steps, step=step, **numbers) for step in range(1, steps + 1)]
        assert {judge(history[:n]).word for n in range(1, steps + 1)} == {"learning"}
    assert judge([look(1.0, step=steps, distinct=1.0)]).word == "memorising", "of that the steps do not matter"
    longer = [look(step / 50, step=step, distance=0.4, movement=0.004) for step in range(1, 51)]
    assert [judge(longer[:step]).word for step in (29, 30)] == ["learning", "stalled"]


def test_nothing_seen_on_samples_is_certain_before_a_twentieth_of_the_budget():
    history = [look(share / 100, step=1000 * share, blank=1.0, movement=0.0) for share in range(1, 6)]
    assert [judge(history[:n]).word for n in range(1, 6)] == ["learning"] * 4 + ["saturated"]


def test_an_accurate_discriminator_is_no_fault_while_the_samples_improve():
    assert set(words((0.0, {"accuracy/real": 1.0, "accuracy/fake": 1.0}))) == {"learning"}


def test_a_slow_start_is_not_called_stalled():
    assert set(words((0.0, {"distance": 0.27}), (0.5, {"distance": 0.24}), (0.7, {"distance": 0.2}))) == {"learning"}


def test_without_averaging_movement_is_not_known_and_the_longer_wait_holds():
    still, unknown = (0.0, {"distance": 0.4, "movement": 0.004}), {"distance": 0.4}
    history = [{key: value for key, value in look((i + 1) / 50, **unknown).items() if key != "movement"} for i in range(50)]
    said = [judge(history[: i + 1]).word for i in range(50)]
    assert words(still).index("stalled") < said.index("stalled") == words((0.0, unknown)).index("stalled")
    blank = [{**seen, "blank": 1.0} for seen in history]
    assert [judge(blank[: i + 1]).word for i in range(8)] == ["learning"] * 7 + ["saturated"]


def test_samples_that_move_are_no_fault_where_they_are_near_or_come_nearer():
    assert set(words((0.0, {"movement": 0.8}))) == {"learning"}, "they cover the data"
    assert set(words((0.0, {"movement": 0.8, "coverage": 0.05, "density": 0.1}))) == {"learning"}, "the distance falls"


def test_a_run_goes_back_after_three_looks_and_only_for_what_helps():
    history = [look((i + 1) / 50) for i in range(30)]
    assert opine(history).healthy and opine(history).caution == 1
    assert not opine([]).healthy and not opine(history[:1] + [look(0.04, coverage=0.1)] * 5).healthy
    blank = {"blank": 1.0, "movement": 0.0}
    for bad, asks in ((4, False), (5, True)):  # the first word comes at the third blank look
        said = opine([*history, *(look((31 + i) / 50, **blank) for i in range(bad))])
        assert (said.caution < 1, said.why) == (asks, "saturated" if asks else "") and not said.healthy
    copies = [look((i + 1) / 50, distinct=1.0) for i in range(30)]
    assert judge(copies).word == "memorising" and opine(copies).caution == 1 and not opine(copies).healthy
    assert set(HEEDED) < ADVICE.keys()


def test_advice_leads_to_a_heading_that_exists():
    page = (Path(__file__).parents[2] / PAGE).read_text().lower()
    for word, advice in ADVICE.items():
        section = page.partition(f"\n## {word}\n")[2].partition("\n## ")[0]
        picture = re.search(r"!\[.+\]\((images/bad-.+\.png)\)", section)
        assert picture and (Path(__file__).parents[2] / "docs" / picture[1]).is_file(), word
        assert bool(advice) == (word != "learning")
    said = judge([look(0.5, distinct=1.0)])
    assert said.advice and said.link == f"{PAGE}#memorising"
    assert judge([look(0.5)]).link == ""


@pytest.mark.parametrize("name", METHODS)
def test_measuring_the_gap_leaves_the_training_bit_for_bit_alone(name):
    torch.manual_seed(0)
    method = METHODS[name]()
    state = {key: value.clone() for key, value in method.state_dict().items()}
    torch.manual_seed(7)
    random = torch.get_rng_state()
    found = gains(method, Points().batches(8), NOW, seed=0)
    assert found.keys() == {player.name for player in method.players}
    assert torch.equal(random, torch.get_rng_state())
    assert all(torch.equal(state[key], value) for key, value in method.state_dict().items())
    assert all(not player.optimizer.state for player in method.players)
    assert all(p.grad is None for p in method.parameters())


def test_a_gain_is_what_a_players_own_steps_win():
    """Steps of length 0 win nothing; real ones lower a player's own loss, by the same amount every time."""
    torch.manual_seed(0)
    method = two_player(losses.wasserstein, lambda parameters: SGD(parameters, lr=0.0))
    assert all(gain == 0 for gain in gains(method, Points().batches(8), NOW, seed=0).values())
    method = two_player(losses.logistic, lambda parameters: Adam(parameters, lr=0.02))
    found = gains(method, Points().batches(64), NOW, seed=0)
    assert all(gain > 0 for gain in found.values())
    assert found == gains(method, Points().batches(64), NOW, seed=0)
