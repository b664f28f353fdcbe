"""Discriminator rejection sampling: what is kept is distributed as the data, and is a matter of each seed alone."""

import os
import shutil
from pathlib import Path

import pytest
import torch
from torch import nn

import ganforge
from ganforge.cli.generate import generate
from ganforge.core import machine
from ganforge.core.errors import CheckpointError, UsageError
from ganforge.runs.rejection import Rejection, odds

TINY = {"width": 8, "z": 8, "examples": 32, "batch": 16, "precision": "fp32", "layout": "contiguous", "threads": 1}


@pytest.fixture(autouse=True)
def _no_measuring(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "speed", lambda *a, **k: 1000.0)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machine, "speed", lambda *a, **k: 1000.0)
        return ganforge.train("digits", "dcgan", out=str(tmp_path_factory.mktemp("runs") / "run"), **TINY).folder


def test_the_chance_to_be_kept_is_the_ratio_of_the_densities_over_its_largest():
    logits = torch.tensor([-50.0, -3.0, 0.0, 1.0, 1.999, 2.0])
    torch.testing.assert_close(torch.sigmoid(odds(logits, 2.0)), (logits - 2).exp(), rtol=1e-5, atol=1e-7)
    assert torch.equal(odds(torch.tensor([2.0, 99.0]), 2.0).diff(), torch.zeros(1)), "none counts as larger than the largest"
    assert odds(logits, 2.0).isfinite().all()


class Coin(nn.Module):
    """z (n, 1), class ignored -> 0 or 1, each half of the time: (n, 1, 1, 1)."""

    def __init__(self):
        super().__init__()
        self.nothing = nn.Parameter(torch.zeros(()))

    def forward(self, z, y=None):
        return (z[:, :1] > 0).float().view(-1, 1, 1, 1)


class Knows(Coin):
    """The logit of an optimal discriminator, where four of five real examples are 1: log (p real / p generated), and a constant."""

    def forward(self, x, y=None):
        return torch.where(x.flatten() > 0.5, 0.8 / 0.5, 0.2 / 0.5).log() + 7


class Drawing:
    networks = {"generator": Coin()}

    def starts(self, seeds, classes=None, most=None):
        return torch.stack([torch.randn(1, generator=torch.Generator().manual_seed(seed)) for seed in seeds]), None


def rejection(gamma=0.0):
    made = Rejection.__new__(Rejection)
    made.model, made.classes, made.truncation, made.discriminator = Drawing(), None, None, Knows()
    made.top, made.gamma = float(made._logits(range(100)).max()), gamma
    return made


def test_what_is_kept_of_a_coin_is_distributed_as_the_real_one():
    """All of the ones and a quarter of the zeros: 0.5 / (0.5 + 0.125)."""
    kept = rejection().kept(range(4000))
    assert len(kept) / 4000 == pytest.approx(0.625, abs=0.03)
    assert Coin()(Drawing().starts(kept)[0]).mean().item() == pytest.approx(0.8, abs=0.03)


def test_a_seed_is_kept_or_not_whatever_is_asked_beside_it():
    made = rejection()
    kept = made.kept(range(300))
    assert kept == [seed for seed in range(300) if made.kept([seed])] == sorted(made.kept(list(range(299, -1, -1))))


def test_a_larger_gamma_keeps_less():
    assert len(rejection(3.0).kept(range(500))) < len(rejection().kept(range(500))) < len(rejection(-3.0).kept(range(500)))


def test_gamma_and_the_largest_logit_come_from_a_burn_in(run):
    made = Rejection(run, ganforge.load(run))
    logits = made._logits(range(8_000_000, 8_001_000))
    assert made.top == logits.max() and made.gamma == pytest.approx(float(odds(logits, made.top).quantile(0.8)))
    x, (_, y) = made.model.generate([3], output="tensor"), made.model.starts([3])
    torch.testing.assert_close(made._logits([3]), made.discriminator(x, y), rtol=1e-4, atol=1e-5)


def test_the_discriminator_is_that_of_the_newest_checkpoint(run):
    from ganforge.core import checkpoint

    tensors, _ = checkpoint.read(run)
    for key, value in Rejection(run, ganforge.load(run)).discriminator.state_dict().items():
        assert torch.equal(value, tensors[f"method/discriminator.{key}"])


def test_a_model_of_another_moment_than_the_discriminator_is_told(run, caplog):
    drawn = ganforge.load(run)
    drawn.facts["seen"] = 32
    Rejection(run, drawn)
    assert not caplog.records
    drawn.facts["seen"] = 16
    Rejection(run, drawn)
    assert [record.getMessage() for record in caplog.records] == [
        "the model has seen 16 images, the discriminator that judges it 32: they are of different moments of the run."
    ]


def test_the_command_writes_the_images_that_python_keeps(run, capsys):
    kept = Rejection(run, ganforge.load(run), classes="4").kept(range(60))
    assert 0 < len(kept) < 60
    assert generate(str(run), seeds="0-59", out="kept", category="4", reject=True) == 0
    assert capsys.readouterr().out == f"{len(kept)} images in kept, of 60 seeds\n"
    assert sorted(os.listdir("kept")) == [f"seed{seed:04d}.png" for seed in kept]
    generate(str(run), seeds=str(kept[0]), out="plain", category="4")
    name = f"seed{kept[0]:04d}.png"
    assert Path("kept", name).read_bytes() == Path("plain", name).read_bytes()


def test_where_none_is_kept_more_seeds_are_asked_for(run, monkeypatch):
    monkeypatch.setattr(Rejection, "kept", lambda *_: [])
    with pytest.raises(UsageError, match="kept none of 2 seeds; ask for more of them: --seeds 0-40"):
        generate(str(run), seeds="0-1", reject=True)


def test_a_copy_of_the_model_alone_has_no_discriminator(run, tmp_path):
    copy = shutil.copytree(run / "best", tmp_path / "copy")
    with pytest.raises(CheckpointError, match="no discriminator to reject by: give a run folder"):
        Rejection(copy, ganforge.load(copy))


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("wgan", {}, "trained with --loss logistic, minimax, relativistic; this run has wasserstein"),
        ("ebgan", {}, "this run has none"),
        ("dcgan", {"pack": 2, "labels": "none"}, "judges images one by one"),
        ("dcgan", {"networks": "dcgan_spread"}, "judges images one by one"),
        ("dcgan", {"networks": "dcgan_nearness"}, "judges images one by one"),
    ],
)
def test_discriminators_that_do_not_tell_are_refused(name, options, says, tmp_path):
    run = ganforge.train("digits", name, out=str(tmp_path / "run"), **TINY, **options).folder
    with pytest.raises(UsageError, match=says):
        Rejection(run, ganforge.load(run))
