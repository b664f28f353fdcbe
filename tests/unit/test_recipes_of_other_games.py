"""Recipes that are not plain two-player ones: what they refuse, what they save, what their models can be asked for."""

import dataclasses

import pytest
import torch

import ganforge
from ganforge import recipes
from ganforge.core import machine
from ganforge.core import recipe as recipes_json
from ganforge.core.errors import UsageError
from ganforge.data.images import Images
from ganforge.data.spec import DataSpec

TINY = {"width": 8, "d_width": 8, "z": 8, "examples": 48, "batch": 16, "precision": "fp32", "layout": "contiguous", "threads": 1}
SPEC = DataSpec((1, 8, 8), 3, ("a", "b", "c"), 100)


@pytest.fixture(autouse=True)
def _no_measuring(monkeypatch):
    monkeypatch.setattr(machine, "speed", lambda *a, **k: 1000.0)


def build(name, **options):
    return recipes_json.override(recipes.find(name)(data=Images(path="digits")), {"width": 8, "z": 8, **options}).method(SPEC)


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [
        ("acgan", "class_weight", -1.0),
        ("acgan", "class_weight", float("nan")),
        ("acgan", "label_dropout", 0.1),
        ("acgan", "pack", 2),
        ("infogan", "codes", 1),
        ("infogan", "continuous", -1),
        ("infogan", "code_weight", -0.5),
        ("infogan", "pack", 2),
        ("infogan", "labels", "folders"),
        ("infogan", "label_dropout", 0.1),
        ("cogan", "label_dropout", 0.1),
        ("cogan", "condition", "concat"),
        ("cogan", "d_condition", "projection"),
        ("semi-supervised", "labels_per_class", -1),
        ("semi-supervised", "dropout", 1.0),
        ("semi-supervised", "unlabelled_weight", -1.0),
        ("semi-supervised", "width", 0),
        ("bigan", "loss", "relativistic"),
        ("bigan", "condition", "nothing"),
        ("bigan", "d_condition", "nothing"),
        ("bigan", "lr", 0.0),
        ("bigan", "lr", float("nan")),
        ("bigan", "optimizer", "Adm"),
        ("ebgan", "margin", 9.0),
        ("ebgan", "code_size", 0),
        ("ebgan", "pull_away", -1.0),
        ("began", "diversity", 1.5),
        ("began", "gain", -0.1),
        ("began", "condition", "norm"),
        ("began", "beta1", 1.0),
    ],
)
def test_values_that_cannot_be_are_refused_in_words_that_name_the_option(name, option, value):
    words = f"(?i){option.replace('_', '.')}|is not in torch.optim|takes its class|needs a loss of single examples"
    with pytest.raises(UsageError, match=words):
        build(name, **{option: value})


@pytest.mark.parametrize("name", ["acgan", "semi-supervised", "bigan", "ebgan"])
def test_networks_without_a_head_are_refused_in_words(name, tmp_path):
    own = tmp_path / "own.py"
    own.write_text(
        "from torch import nn\nfrom ganforge.networks.image import Networks, mlp\n"
        "bare = Networks(mlp.generator, lambda *a, **k: nn.Sequential(nn.Flatten(), nn.Linear(64, 1)))\n"
    )
    with pytest.raises(UsageError, match="must end in self.head = Projection"):
        build(name, networks=f"{own}:bare")


@pytest.mark.parametrize("networks", ["mlp", "r3", "sngan", "elu", "dcgan_layer_norm"])
@pytest.mark.parametrize("name", ["acgan", "infogan", "cogan", "semi-supervised", "bigan", "ebgan", "began"])
def test_every_game_takes_all_networks(name, networks):
    options = {"width": 8} if name in ("infogan", "semi-supervised", "cogan") else {"condition": "concat"}
    method = build(name, networks=networks, **options)
    batch = {"x": torch.zeros(4, 1, 8, 8), "y": torch.tensor([0, 1, 2, 0])} if name not in ("infogan",) else {"x": torch.zeros(4, 1, 8, 8)}
    batch |= {"known": batch["x"], "kind": torch.tensor([0, 1, 2, 0])}
    updates = list(method.step(batch, ganforge.core.method.Progress(0, 0, 8)))
    assert len(updates) == len(method.players) and all(torch.isfinite(u.loss) for u in updates)


@pytest.mark.parametrize("augment", ["ada", "ramp", "diffaugment"])
@pytest.mark.parametrize("name", ["acgan", "infogan"])
def test_games_with_a_second_head_take_every_augmentation(name, augment):
    """And the head is trained on what was shown: with all shown alike, it cannot tell anything apart."""
    method = build(name, augment=augment)
    x, y = torch.rand(4, 1, 8, 8), torch.tensor([0, 1, 2, 0])
    batch = {"x": x, "y": y, "held": x, "held_y": y}
    method.game.augment.drawn = lambda like: torch.zeros_like
    said = []
    method.discriminator.second.register_forward_hook(lambda _, __, out: said.append(out.detach()))
    updates = list(method.step(batch, ganforge.core.method.Progress(0, 0, 8)))
    assert [u.player for u in updates] == [p for p in (method.game.d, getattr(method.game, "s", None), method.game.g) if p]
    assert len(said) == 3 and all((one == one[0]).all() for one in said)


def test_acgan_can_tell_the_discriminator_the_class_as_well():
    x = torch.randn(2, 1, 8, 8)
    zero, one = torch.tensor([0, 0]), torch.tensor([1, 1])
    for way, told in (("classifier", False), ("projection", True), ("concat", True)):
        judge = build("acgan", d_condition=way).discriminator.eval()
        assert torch.equal(judge(x, zero), judge(x, one)) is not told


def test_infogans_model_is_asked_for_a_code_as_for_a_class(tmp_path):
    model = ganforge.train("digits", recipe="infogan", codes=4, out=str(tmp_path / "run"), **TINY).model()
    assert model.spec.classes == 4 and model.spec.names == ("0", "1", "2", "3")
    one, two = (model.generate([7], c, output="tensor") for c in (0, 3))
    assert not torch.equal(one, two) and torch.equal(one, model.generate([7], "0", output="tensor"))
    with pytest.raises(UsageError, match="'4' is not a class of this model"):
        model.generate([7], 4)


def test_cogans_domains_differ_by_the_layer_next_to_the_pixels_alone():
    """With that layer's weights for two domains made equal, pictures and verdicts are equal, too; with them as they are, neither is."""
    method = build("cogan").eval()
    z, x, one, two = torch.randn(4, 8), torch.randn(4, 1, 8, 8), torch.full((4,), 0), torch.full((4,), 2)
    looks = (lambda y: method.generator(z, y)), (lambda y: method.discriminator(x, y))
    assert not any(torch.allclose(look(one), look(two), atol=1e-5) for look in looks)
    last, first = method.generator.network.head, method.discriminator.network.downs[0]
    with torch.no_grad():
        last.weight[:, 2], last.bias[2] = last.weight[:, 0].clone(), last.bias[0].clone()
        first.weight[:, 2] = first.weight[:, 0].clone()
    for look in looks:
        torch.testing.assert_close(look(one), look(two))


def test_cogans_model_draws_one_seed_in_every_domain(tmp_path):
    model = ganforge.train("digits", recipe="cogan", out=str(tmp_path / "run"), **TINY).model()
    drawn = [model.generate([7], c, output="tensor") for c in (0, 3)]
    assert not torch.equal(*drawn)


def test_semi_supervised_saves_a_classifier_and_its_generator_has_no_classes(tmp_path):
    run = ganforge.train("digits", recipe="semi-supervised", labels_per_class=5, out=str(tmp_path / "run"), **TINY)
    assert "50 of 1,498 images keep their label" in (run.folder / "log.txt").read_text()
    model = run.model()
    assert model.networks["classifier"](torch.zeros(2, 1, 8, 8)).shape == (2, 10)
    with pytest.raises(UsageError, match="knows no classes"):
        model.generate([1], 3)
    assert ganforge.resume(run.folder).finished


def test_bigan_saves_an_encoder(tmp_path):
    model = ganforge.train("digits", recipe="bigan", out=str(tmp_path / "run"), **TINY).model()
    x = model.generate([1, 2], 3, output="tensor")
    assert model.networks["encoder"](x, torch.tensor([3, 3])).shape == (2, 8)


def test_hidden_labels_follow_the_seed_of_the_run():
    recipe = recipes_json.override(recipes.find("semi-supervised")(data=Images(path="digits")), {"labels_per_class": 2})
    again, other = recipe.dataset(), dataclasses.replace(recipe, run=dataclasses.replace(recipe.run, seed=1)).dataset()
    assert recipe.dataset().fingerprint == again.fingerprint != other.fingerprint
