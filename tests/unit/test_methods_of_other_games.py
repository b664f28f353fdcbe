"""The arithmetic of the games that are not plain two-player ones, worked by hand on tiny networks."""

import math

import pytest
import torch
from torch.distributions import Normal as Gaussian
from torch.nn.functional import cross_entropy, softplus

from ganforge import losses
from ganforge.core.engine import iterate, move
from ganforge.core.method import Progress
from ganforge.methods.autoencoding import alike
from tests.contract.games import BATCHES, GAMES

NOW = Progress(0, 0, 8)


def first(name, **options):
    """The method and its updates, nobody moving."""
    torch.manual_seed(0)
    method = GAMES[name](**options)
    torch.manual_seed(1)
    return method, list(method.step(BATCHES[name], NOW))


def test_codes_that_point_alike_are_told_from_those_that_do_not():
    assert alike(torch.eye(4)).item() == pytest.approx(0, abs=1e-6)
    assert alike(torch.ones(5, 3)).item() == pytest.approx(1)
    assert alike(torch.tensor([[1.0, 0.0], [0.6, 0.8]]) * 7).item() == pytest.approx(0.36)


def test_acgan_adds_the_cross_entropy_of_real_and_fake_to_one_player_and_of_fake_to_the_other():
    _, plain = first("acgan", class_weight=0.0)
    method, (d, g) = first("acgan", class_weight=2.0)
    x, y = BATCHES["acgan"]["x"], BATCHES["acgan"]["y"]
    torch.manual_seed(1)
    fake, again = (method.generator(method.latent(len(x)), y) for _ in range(2))
    named = [cross_entropy(method.discriminator.both(sample)[1], y) for sample in (x, fake, again)]
    torch.testing.assert_close(d.loss - plain[0].loss, 2 * (named[0] + named[1]))
    torch.testing.assert_close(g.loss - plain[1].loss, 2 * named[2])


def test_infogans_surprise_is_the_negative_log_likelihood_of_the_code():
    method, _ = first("infogan")
    z, guess = method.latent(16), torch.randn(16, method.kinds + 2 * 2)
    kind, dials = method.latent.code(z)
    told, mean, spread = guess.split([method.kinds, 2, 2], 1)
    off = -Gaussian(mean, (spread / 2).exp()).log_prob(dials).sum(1).mean()
    torch.testing.assert_close(method.surprise(guess, z)[0], cross_entropy(told, kind) + 0.1 * off)


def test_infogan_bounds_what_a_perfectly_read_code_can_earn():
    method, _ = first("infogan")
    z = method.latent(4)
    kind, dials = method.latent.code(z)
    sure = torch.cat([1e3 * torch.eye(method.kinds)[kind], dials, torch.full_like(dials, -1e3)], 1)
    lost, read = method.surprise(sure, z)
    assert lost.item() == pytest.approx(0.1 * (-4 + math.log(2 * math.pi)), abs=1e-5)
    assert read["code/right"] == 1 and read["code/error"] == 0


def test_infogan_learns_to_read_a_code_that_the_picture_shows():
    torch.manual_seed(0)
    method = GAMES["infogan"]()
    for step in range(300):
        log = iterate(method, [BATCHES["infogan"]], Progress(step, 8 * step, 8 * 300))
    assert log["code/right"] >= 0.75


def test_the_k_class_discriminator_is_a_classifier_of_k_and_one_more_with_logit_zero():
    """L_unsupervised of the paper's eq. in sec. 5 is the cross-entropy of a softmax over k + 1 classes, the last one being 'generated'."""
    method, (d, _) = first("semi-supervised")
    x, known, kind = (BATCHES["semi-supervised"][key] for key in ("x", "known", "kind"))
    torch.manual_seed(1)
    fake = method.generator(method.latent(len(x))).detach()

    def chances(sample):
        logits = method.classifier(sample)
        return torch.cat([logits, torch.zeros(len(logits), 1)], 1).softmax(1)

    seen = -(1 - chances(x)[:, -1]).log().mean() - chances(fake)[:, -1].log().mean()
    torch.testing.assert_close(d.loss, cross_entropy(method.classifier(known), kind) + seen)


def test_feature_matching_is_the_squared_distance_of_mean_features():
    method, (_, g) = first("semi-supervised")
    x = BATCHES["semi-supervised"]["x"]
    torch.manual_seed(1)
    method.latent(len(x))
    fake = method.generator(method.latent(len(x)))
    apart = method.classifier.trunk(x).mean(0) - method.classifier.trunk(fake).mean(0)
    torch.testing.assert_close(g.loss, apart.square().mean())


def test_bigans_generator_and_encoder_descend_the_exchanged_loss():
    method, (d, g) = first("bigan")
    x = BATCHES["bigan"]["x"]
    torch.manual_seed(1)
    z = method.latent(len(x))
    on_real, on_fake = method.joint(x, method.encoder(x)), method.joint(method.generator(z), z)
    torch.testing.assert_close(d.loss, (softplus(-on_real) + softplus(on_fake)).mean())
    torch.testing.assert_close(g.loss, (softplus(on_real) + softplus(-on_fake)).mean())
    g.loss.backward(inputs=g.player.parameters)
    for network in (method.generator, method.encoder):
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


def test_ebgan_stops_pushing_at_the_margin():
    _, (near, _) = first("ebgan", margin=0.0)
    method, (far, g) = first("ebgan", margin=100.0, pull_away=0.0)
    x = BATCHES["ebgan"]["x"]
    torch.manual_seed(1)
    fakes = [method.generator(method.latent(len(x))) for _ in range(2)]
    errors = [-method.discriminator(sample) for sample in (x, *fakes)]
    torch.testing.assert_close(near.loss, errors[0].mean())
    torch.testing.assert_close(far.loss, (errors[0] + 100 - errors[1]).mean())
    torch.testing.assert_close(g.loss, errors[2].mean())


def test_ebgans_generator_also_keeps_the_codes_of_its_fakes_apart():
    method, (_, plain) = first("ebgan", pull_away=0.0)
    _, (_, g) = first("ebgan", pull_away=3.0)
    torch.manual_seed(1)
    method.latent(8)
    fake = method.generator(method.latent(8))
    torch.testing.assert_close(g.loss - plain.loss, 3 * alike(method.discriminator.encoder(fake, None)))


def test_began_follows_its_balance():
    """k moves by gain (diversity real - fake), and stays within [0, 1]."""
    torch.manual_seed(0)
    method = GAMES["began"](gain=0.5, diversity=0.5)
    x = BATCHES["began"]["x"]
    method.k.fill_(0.3)
    torch.manual_seed(1)
    d, g, b = method.step(BATCHES["began"], NOW)  # nobody moves
    real, fake = -method.discriminator(x).mean(), g.loss
    torch.manual_seed(1)
    drawn = method.generator(method.latent(len(x)))
    torch.testing.assert_close(d.loss, real + 0.3 * method.discriminator(drawn).mean())
    assert b.log["balance/k"].item() == pytest.approx(0.3)
    assert g.log["balance/convergence"].item() == pytest.approx(real.item() + abs(0.5 * real.item() - fake.item()))
    b.loss.backward(inputs=b.player.parameters)
    move(b.player, NOW)
    assert method.k.item() == pytest.approx(min(1, max(0, 0.3 + 0.5 * (0.5 * real.item() - fake.item()))))
    for far in (-1e6, 1e6):
        b.player.optimizer.param_groups[0]["lr"] = far
        move(b.player, NOW)
        assert method.k.item() in (0.0, 1.0)


def test_micro_batches_move_began_s_balance_once_and_by_all_of_them():
    """They differ a lot: by the last or the first of them alone, or by each in turn, k would end elsewhere."""
    x, ends = torch.linspace(-3, 3, 16).reshape(8, 2), []
    for parts in (1, 4):
        torch.manual_seed(0)
        method = GAMES["began"](gain=0.01, diversity=1.0, latent=lambda n: torch.ones(n, 4))
        iterate(method, [{"x": part} for part in x.chunk(parts)], NOW)
        ends.append(method.k.item())
    assert ends[0] > 0 and ends[1] == pytest.approx(ends[0], rel=1e-4)


def test_verdicts_of_all_games_are_logged_by_the_names_that_the_report_knows():
    for name in GAMES:
        _, updates = first(name)
        assert {"logits/real", "logits/fake", "accuracy/real", "accuracy/fake"} <= updates[0].log.keys(), name
        assert [u.player.name for u in updates] == ["discriminator", "generator", *["balance"] * (name == "began")]


def test_a_game_of_any_loss_can_have_an_auxiliary_classifier():
    for pair in (losses.hinge, losses.relativistic, losses.wasserstein):
        _, updates = first("acgan", loss=pair)
        assert all(torch.isfinite(u.loss) for u in updates)
