"""The projected discriminator: what is fixed, what learns, and what it costs a checkpoint."""

import copy

import pytest
import torch

from ganforge import testing
from ganforge.core.errors import DataError, UsageError
from ganforge.core.method import Progress
from ganforge.data.source import cache_folder
from ganforge.data.spec import DataSpec
from ganforge.metrics.features import efficientnet
from ganforge.networks.image import projected
from ganforge.recipes.projected import TAPS, features
from tests.conftest import averages


def make(classes=0, side=64, channels=3):
    return projected.Discriminator((channels, 32, 32), 8, classes, features=projected.Fixed(averages), channels=[*TAPS.values()], side=side)


@pytest.mark.parametrize("side", [64, 96, 160, 224])
@pytest.mark.parametrize("classes", [0, 3])
def test_it_gives_sixteen_patches_at_each_of_four_scales(side, classes):
    logits = make(classes, side)(torch.randn(4, 3, 32, 32), torch.tensor([0, 1, 2, 0]) if classes else None)
    assert logits.shape == (4, 1, 4, 16)


def test_only_the_heads_learn_and_the_features_are_in_no_checkpoint():
    network = make()
    moving = {name for name, p in network.named_parameters() if p.requires_grad}
    assert moving and all(name.startswith("heads.") for name in moving)
    assert not any(name.startswith("features") for name in network.state_dict())
    assert copy.deepcopy(network).features is network.features


def test_gradients_reach_the_image_through_what_is_fixed():
    x = torch.randn(2, 1, 28, 28, requires_grad=True)
    make(channels=1).train()(x).sum().backward()
    assert x.grad.abs().flatten(1).sum(1).min() > 0


def test_every_scale_sees_the_smaller_ones():
    """Mixing over scales goes from the smallest map up, so a change in it reaches all heads; one in the largest reaches its own only."""
    network = make().eval()
    x = torch.randn(2, 3, 64, 64)
    before = network(x)
    for scale, reached in ((3, [0, 1, 2, 3]), (0, [0])):
        changed = copy.deepcopy(network)

        def maps(x, scale=scale):
            found = averages(None)(x)
            found[scale] = found[scale] + 1
            return found

        changed.features = projected.Fixed(lambda device, maps=maps: maps)
        differs = (changed(x) - before).abs().amax((0, 1, 3)) > 1e-6
        assert differs.nonzero().flatten().tolist() == reached


@pytest.mark.parametrize(("shape", "side", "says"), [((6, 32, 32), 64, "got 6 channels"), ((3, 32, 32), 100, "multiple of 32")])
def test_what_it_cannot_look_at_is_refused(shape, side, says):
    with pytest.raises(ValueError, match=says):
        projected.Discriminator(shape, features=projected.Fixed(averages), channels=[*TAPS.values()], side=side)


def test_the_taps_are_where_the_recipe_says(monkeypatch):
    """On untrained weights: the maps have the channels and sizes that the discriminator is built for."""
    torch.manual_seed(0)
    bare = efficientnet.network()
    monkeypatch.setattr(efficientnet, "obtain", lambda *a, **k: (bare.state_dict(), "0" * 16))
    maps = features(torch.device("cpu"))(torch.zeros(1, 3, 64, 64))
    assert [tuple(m.shape[1:]) for m in maps] == [(c, 16 >> i, 16 >> i) for i, c in enumerate(TAPS.values())]


def test_without_weights_it_says_what_to_do_and_loads_nothing_before_it_must(monkeypatch, tmp_path):
    monkeypatch.setenv("GANFORGE_CACHE", str(tmp_path))
    monkeypatch.setenv("GANFORGE_OFFLINE", "1")
    monkeypatch.setattr("ganforge.recipes.projected.features", features)
    recipe = testing.small_recipe("projected", "digits", side=64)
    data = recipe.dataset()
    method = recipe.method(data.spec)  # enough to generate with
    assert method.generator(torch.randn(2, 8), torch.zeros(2, dtype=torch.long)).shape == (2, 1, 8, 8)
    with pytest.raises(DataError, match=r"(?s)efficientnet-lite0 are not on this machine.*GANFORGE_OFFLINE is set"):
        next(method.step(next(data.batches(4, seed=0)), Progress(0, 0, 8)))


@pytest.mark.parametrize(("pixels", "side"), [(8, 64), (28, 64), (40, 96), (64, 128), (112, 224), (256, 224)])
def test_small_images_are_not_enlarged_more_than_they_must(pixels, side):
    recipe = testing.small_recipe("projected", "digits")
    assert recipe.method(DataSpec((3, pixels, 8), 0, (), 100)).discriminator.side == side


def test_packing_is_refused():
    recipe = testing.small_recipe("projected", "digits", side=64, pack=2, labels="none")
    with pytest.raises(UsageError, match="got 2 channels"):
        recipe.method(recipe.dataset().spec)


def test_the_recipe_keeps_the_contract_without_classes(tmp_path):
    testing.check_recipe("projected", tmp_path, side=64, labels="none")


def test_it_learns_on_the_pretrained_features(monkeypatch):
    if not (cache_folder() / "weights" / f"efficientnet-lite0-{efficientnet.PUBLISHED.sha256[:16]}.safetensors").is_file():
        pytest.skip("the weights of efficientnet-lite0 (17 MB) are not in the cache; make slow fetches them")
    monkeypatch.setattr("ganforge.recipes.projected.features", features)
    recipe = testing.small_recipe("projected", "digits", side=64)
    data = recipe.dataset()
    testing.check_all_players_learn(lambda: recipe.method(data.spec), next(data.batches(8, seed=0)), steps=2)
