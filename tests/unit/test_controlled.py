"""Penalties that weigh as much as the discriminator needs: what moves their weight, how fast, and that nothing of it is lost."""

from functools import partial

import pytest
import torch
from torch import nn

from ganforge import losses, penalties, testing
from ganforge.core.engine import iterate
from ganforge.core.errors import UsageError
from ganforge.core.method import Progress
from ganforge.core.run import Run
from ganforge.core.schedule import cosine
from ganforge.data.spec import DataSpec
from ganforge.methods.controlled import DECADE, EARLY, EVERY, HIGH, LOW, ControlledRampedTwoPlayer, ControlledTwoPlayer
from ganforge.methods.two_player import Penalty, TwoPlayer

from ..contract.test_methods import refuse
from ..contract.toys import Net, Points, given_latents

RUN = Run(examples=88, batch=8, precision="fp32", layout="contiguous")
BATCH = {"x": torch.linspace(-1, 2, 16).reshape(8, 2)}
R3 = [Penalty(penalties.r1, cosine(1, 0.1)), Penalty(penalties.r2_finite_difference, 1.0, every=4, share=0.5)]


def make(loss=losses.relativistic, optimizer=partial(torch.optim.Adam, lr=1e-2), **options):
    options = {"latent": lambda n: torch.randn(n, 4), "penalties": R3, **options}
    return ControlledTwoPlayer(Net(4, 2), Net(2, 1), loss=loss, optimizer=optimizer, **options)


class Fixed(nn.Module):
    """Logits that lie `apart` for real examples, all above 0, and fakes, all below it."""

    def __init__(self, apart):
        super().__init__()
        self.level = nn.Parameter(torch.tensor(apart / 2))

    def forward(self, x, y=None):
        return self.level * x.mean(1).sign()


def walk(apart, steps=100, budget=200):
    """What a critic of such logits makes of the factor, step by step, in a game where nobody else moves."""
    method = ControlledTwoPlayer(
        Fixed(0.0), Fixed(apart), latent=lambda n: -torch.ones(n, 2), loss=losses.logistic, optimizer=partial(torch.optim.SGD, lr=0.0)
    )
    method.generator.forward = lambda z, y=None: z + 0 * method.generator.level
    logs = [iterate(method, [{"x": torch.ones(8, 2)}], Progress(i, 8 * i, 8 * budget)) for i in range(steps)]
    return [float(log["strength/penalty"]) for log in logs[::EVERY]], logs


def test_a_critic_that_is_always_right_is_penalised_more_and_one_at_chance_less():
    assert walk(8.0)[0][-1] > 100
    assert walk(0.0)[0][-1] < 0.01
    assert walk(1.0)[0][-1] == 1, "sigmoid(1) = 0.73 lies between LOW and HIGH"


def test_a_critic_that_is_always_right_by_a_hair_is_not_sure():
    """All its pairs are in order, and they would be with any weight: their share cannot tell that it is too high."""
    factors, logs = walk(0.01)
    assert float(logs[0]["accuracy/real"]) == 1 and factors[-1] < 0.01


def test_how_sure_it_is_is_the_mean_probability_of_the_right_order():
    for apart in (0.0, 1.0, -2.0, 30.0):
        _, logs = walk(apart, steps=1)
        assert float(logs[0]["strength/sure"]) == pytest.approx(1 / (1 + torch.tensor(-apart).exp().item()))


@pytest.mark.parametrize("apart", [20.0, 0.0])
def test_the_factor_reaches_its_bounds_early_in_the_budget_and_stays_in_them(apart):
    """A decade takes 0.3 of the first tenth, once the mean has followed: from 1 to the bounds 0.09 of the budget, and a little."""
    factors, _ = walk(apart, steps=400, budget=1000)
    decades = torch.tensor(factors).log10().abs()
    assert decades[0] == 0 and decades[-1] == pytest.approx(3) and decades.max() < 3.001
    assert decades.diff().max() == pytest.approx(EVERY / (DECADE * EARLY * 1000), rel=1e-3)
    reached = int((decades > 2.99).nonzero()[0]) * EVERY / 1000
    assert 3 * DECADE * EARLY < reached < 3 * DECADE * EARLY + 0.03


def test_later_it_walks_more_slowly():
    moved = []
    for step in (50, 100, 500, 1000):
        method = make()
        method.control[0].data.fill_(1.0)
        iterate(method, [BATCH], Progress(step, 8 * step, 8 * 1000))
        moved.append(method.factor.log10().item())
    early = EVERY / (DECADE * EARLY * 1000)
    assert moved == pytest.approx([early, early, early / 5, early / 10], rel=1e-4)


def test_the_mean_that_decides_starts_and_rests_between_the_bounds():
    method = make()
    assert LOW < method.control[0].item() < HIGH and float(method.factor) == 1


def test_all_penalties_are_multiplied_and_their_sizes_told_as_they_are():
    torch.manual_seed(0)
    method = make(penalties=[Penalty(penalties.r1, cosine(1, 0.1)), Penalty(penalties.lecam, 0.3, every=2)])
    seen = [(x, method.discriminator(x, None)) for x in (BATCH["x"], BATCH["x"].flip(0))]
    now = Progress(2, 16, 64)
    plain, sizes = TwoPlayer.penalty(method, seen, None, now)
    method.control[1].data.fill_(torch.tensor(5.0).log())
    total, told = method.penalty(seen, None, now)
    torch.testing.assert_close(total, 5 * plain)
    assert plain > 0 and {key: told[key] for key in sizes} == sizes


MAKERS = {
    "relativistic": make,
    "logistic, several critic steps": partial(make, losses.logistic, critic_steps=2),
    "reusing": partial(make, reuse_fakes=True),
}


@pytest.mark.parametrize("name", MAKERS)
def test_controlled_games_keep_the_contract(name, tmp_path):
    testing.check_updates_move_only_their_player(MAKERS[name], BATCH)
    testing.check_all_players_learn(MAKERS[name], BATCH)
    testing.check_accumulates(MAKERS[name], BATCH)
    testing.check_resume(MAKERS[name], Points(), RUN, tmp_path)


def test_micro_batches_move_the_weight_as_one_batch_does():
    """Ten looks, in which it leaves the band and the factor follows; r1 is exact, so that nothing is random."""
    ends = []
    for parts in (1, 2, 4):
        torch.manual_seed(0)
        exact = [Penalty(penalties.r1, 1.0)]
        method = make(losses.logistic, partial(torch.optim.SGD, lr=0.05), latent=given_latents(parts=parts), penalties=exact)
        for i in range(40):
            iterate(method, [{"x": 4 + part} for part in BATCH["x"].chunk(parts)], Progress(i, 8 * i, 320))
        ends.append(method.state_dict())
    assert abs(float(ends[0]["control.1"])) > 0.1, "else its being equal would say nothing"
    for other in ends[1:]:
        for key, value in ends[0].items():
            torch.testing.assert_close(other[key], value, rtol=1e-4, atol=1e-5)


def test_nothing_waits_for_the_device(monkeypatch):
    method = make()
    iterate(method, [BATCH], Progress(0, 0, 88))
    for word in ("item", "tolist", "__bool__", "__float__", "__int__", "numpy"):
        monkeypatch.setattr(torch.Tensor, word, refuse(getattr(torch.Tensor, word), f".{word}() in a step"))
    for i in range(8):
        iterate(method, [BATCH], Progress(i, 8 * i, 88))


def test_recipes_take_it_with_and_without_augmentation(tmp_path):
    spec = DataSpec((1, 8, 8))
    for augment, kind in (("none", ControlledTwoPlayer), ("diffaugment", ControlledTwoPlayer), ("ramp", ControlledRampedTwoPlayer)):
        recipe = testing.small_recipe("auto", "digits", penalty_control=True, augment=augment)
        assert type(recipe.method(spec)) is kind
    testing.check_recipe("auto", tmp_path, penalty_control=True, augment="ramp")


@pytest.mark.parametrize("loss", ["logistic", "minimax", "relativistic", "hinge", "least_squares", "wasserstein"])
def test_it_takes_losses_whose_logits_are_likelihoods_and_no_other(loss):
    """The differences of the others are no odds: least squares holds them at 1, and for Wasserstein they have a scale of their own."""
    recipe = testing.small_recipe("auto", "digits", penalty_control=True, loss=loss)
    if loss in losses.LIKELIHOOD:
        assert isinstance(recipe.method(DataSpec((1, 8, 8))), ControlledTwoPlayer)
    else:
        with pytest.raises(UsageError, match=f"--penalty-control needs logits .* --loss logistic, minimax, relativistic; got {loss}"):
            recipe.method(DataSpec((1, 8, 8)))


@pytest.mark.parametrize("options", [{"penalty": ()}, {"augment": "ada"}])
@pytest.mark.parametrize("name", ["auto", "dcgan"])
def test_it_is_refused_where_nothing_would_look_at_it_or_two_would_steer(name, options):
    if name == "dcgan":
        options = {"penalty": ("r1",), **options}
    with pytest.raises(UsageError, match=r"--penalty-control (needs a penalty|and --augment ada)"):
        testing.small_recipe(name, "digits", penalty_control=True, **options).method(DataSpec((1, 8, 8)))
