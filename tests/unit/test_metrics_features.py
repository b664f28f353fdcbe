"""Extractors: what goes in, what comes out, and that it is the network it says."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

from ganforge.core.errors import DataError, UsageError
from ganforge.data.imageset import ImageSet
from ganforge.data.source import cache_folder
from ganforge.metrics.features import Moments, base, cached, efficientnet, extract, find, inception, perceptual, resize, to_uint8, vit
from ganforge.metrics.features.classifier import Classifier, train
from ganforge.metrics.features.network import Conv, fold
from ganforge.metrics.frechet import frechet_distance

HERE = Path(__file__).parent


def pictures(n: int = 6, c: int = 3, side: int = 32, seed: int = 0) -> Tensor:
    return torch.randint(0, 256, (n, c, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def needs(published, name: str) -> None:
    """Skip where the weights are not in the cache yet: `find(name)` fetches them once."""
    if not (cache_folder() / "weights" / f"{name}-{published.sha256[:16]}.safetensors").is_file():
        pytest.skip(f"the weights of {name} ({published.megabytes} MB) are not in the cache; make slow fetches them")


class Means:
    """The mean of every channel: an extractor with nothing to load that counts its calls."""

    name, dim, facts, is_inception = "means", 3, {"weights": "none"}, False
    calls = 0

    def __call__(self, images: Tensor) -> Tensor:
        self.calls += 1
        return images.float().mean((2, 3)).expand(-1, 3)


def slowly_resized(x: np.ndarray, side: int) -> np.ndarray:
    """TensorFlow 1's bilinear resize of (h, w), pixel by pixel as its kernel does it."""
    h, w = x.shape
    out = np.zeros((side, side))
    for i in range(side):
        for j in range(side):
            y, z = i * h / side, j * w / side
            top, left = math.floor(y), math.floor(z)
            low, right = min(top + 1, h - 1), min(left + 1, w - 1)
            upper = x[top, left] + (x[top, right] - x[top, left]) * (z - left)
            lower = x[low, left] + (x[low, right] - x[low, left]) * (z - left)
            out[i, j] = upper + (lower - upper) * (y - top)
    return out


@pytest.mark.parametrize("h, w, side", [(5, 7, 13), (28, 28, 31), (40, 33, 17), (9, 9, 9)])
def test_the_original_resize_is_tensorflow_ones(h, w, side):
    x = torch.randint(0, 256, (2, 1, h, w), dtype=torch.uint8)
    got = resize.tensorflow1(x, side)
    for k in range(2):
        assert np.allclose(got[k, 0].numpy(), slowly_resized(x[k, 0].double().numpy(), side), atol=1e-3)


def test_the_clean_resize_is_pils_of_every_channel_unrounded():
    x = pictures(2, 3, 41)
    got = resize.clean(x, 23)
    for k in range(2):
        for c in range(3):
            plane = Image.fromarray(x[k, c].numpy().astype(np.float32)).resize((23, 23), Image.Resampling.BICUBIC)
            assert np.array_equal(got[k, c].numpy(), np.asarray(plane).clip(0, 255))
    assert not torch.equal(got, got.round())


def test_resizing_upwards_keeps_flat_images_flat_and_the_range():
    flat = torch.full((1, 3, 8, 8), 77, dtype=torch.uint8)
    for way in (resize.tensorflow1, resize.clean, resize.bicubic):
        assert torch.allclose(way(flat, 29), torch.tensor(77.0), atol=1e-3)
        out = way(pictures(2), 77)
        assert 0 <= out.min() and out.max() <= 255


def test_a_folded_norm_does_what_the_norm_did():
    conv, norm = nn.Conv2d(3, 5, 3, bias=False), nn.BatchNorm2d(5, eps=1e-3)
    for value in (norm.weight, norm.bias, norm.running_mean):
        nn.init.normal_(value)
    nn.init.uniform_(norm.running_var, 0.5, 2)
    norm.eval()
    ours, x = Conv(3, 5, 3), torch.randn(2, 3, 9, 9)
    parts = {"gamma": norm.weight, "beta": norm.bias, "mean": norm.running_mean, "var": norm.running_var}
    ours.weight.data, ours.bias.data = fold(conv.weight.data, {k: v.data for k, v in parts.items()}, 1e-3)
    with torch.no_grad():
        assert torch.allclose(ours(x), norm(conv(x)).relu(), atol=1e-6)


def test_the_inception_network_has_the_papers_shape():
    with torch.device("meta"):
        for dim in inception.TAPS:
            assert inception.network(dim)(torch.empty(1, 3, 299, 299)).shape[1] == dim
        whole = inception.network()
        assert whole(torch.empty(1, 3, 299, 299)).shape == (1, 2048, 8, 8)
    convs = [m for m in whole.modules() if isinstance(m, nn.Conv2d)]
    folded = sum(m.out_channels for m in convs)  # one bias stands for a norm's shift, mean and variance
    assert len(convs) == 94 and sum(p.numel() for p in whole.parameters()) + 2 * folded == 21_802_784


def test_weights_are_taken_in_every_spelling(monkeypatch):
    """The script's order, torch-fidelity's names, with and without a prefix, and our own file lead to one state."""
    monkeypatch.setattr(inception, "PRINT", {})
    state = inception.network().state_dict()
    names = [key.removesuffix(".weight") for key in state if key.endswith(".weight")]
    script, spelled = {}, {}
    for number, name in enumerate(names):
        weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
        norm = {"beta": bias, "mean": torch.zeros_like(bias), "var": torch.ones_like(bias) - 1e-3}
        script |= {f"net.{number}.weight": weight} | {f"net.{number}.{kind}": value for kind, value in norm.items()}
        spelled |= {f"base.{name}.conv.weight": weight, f"base.{name}.bn.bias": norm["beta"], f"base.{name}.bn.weight": norm["mean"] + 1}
        spelled |= {f"base.{name}.bn.running_mean": norm["mean"], f"base.{name}.bn.running_var": norm["var"]}
    spelled["base.fc.weight"] = torch.zeros(1008, 2048)
    for arrays in (script, spelled, state):
        got = inception.convert(arrays)
        assert all(torch.allclose(got[key], value, rtol=1e-5) for key, value in state.items())
    assert "fc.weight" in inception.convert(spelled)


def test_another_inception_is_not_taken_for_the_one_of_2015():
    with pytest.raises(ValueError, match="not the one of 2015"):
        inception.convert(inception.network().state_dict())
    with pytest.raises(ValueError, match="another network"):
        inception.convert({"layer.weight": torch.zeros(3)})


def test_activations_are_those_of_the_published_script():
    """Against every 16th activation that `python benchmarks/features.py --reference` printed, on images of 299 pixels."""
    needs(inception.PUBLISHED, "inception")
    features = find("inception")
    rows, columns = torch.meshgrid(torch.arange(299), torch.arange(299), indexing="ij")
    for k, wanted in json.loads((HERE / "inception_activations.json").read_text()).items():
        planes = [(rows * (3 + int(k)) + columns * (5 * c + 2) + rows * columns // (7 + c + int(k))) % 256 for c in range(3)]
        got = features(torch.stack(planes)[None].to(torch.uint8))[0, ::16]
        assert (got - torch.tensor(wanted)).abs().max() < 1e-4
    state = torch.get_rng_state()
    assert find("inception") is not features and torch.equal(torch.get_rng_state(), state)
    assert features.is_inception and features.facts["weights"] == inception.PUBLISHED.sha256[:16]


def test_grey_images_are_colour_ones_with_equal_channels():
    needs(inception.PUBLISHED, "inception")
    features, grey = find("inception-192"), pictures(2, 1)
    assert torch.allclose(features(grey), features(grey.expand(-1, 3, -1, -1)), atol=1e-5)
    assert not features.is_inception


def test_published_weights_have_no_logits():
    needs(inception.PUBLISHED, "inception")
    with pytest.raises(UsageError, match="no layer of logits.*--weights"):
        find("inception-logits")


@pytest.mark.slow
@pytest.mark.parametrize("seed, documented", [(42, 12.6388), (123, 12.7202)])
def test_the_frechet_distance_that_torchmetrics_documents(seed, documented):
    """Its example, with feature=64; its network takes random numbers before the images do."""
    a, b = _documented_images(seed)
    features = find("inception-64")
    assert frechet_distance(extract(features, b), extract(features, a)) == pytest.approx(documented, abs=1e-4)


@pytest.mark.slow
def test_the_kernel_distance_that_torchmetrics_documents():
    """KID of the same images, with subset_size=50: mean 0.0312, standard deviation 0.0025."""
    a, b = _documented_images(42)
    features = find("inception")  # draws no random number
    real, fake = extract(features, a), extract(features, b)
    values = [_mmd(real[torch.randperm(100)[:50]], fake[torch.randperm(100)[:50]]) for _ in range(100)]
    assert np.mean(values) == pytest.approx(0.0312, abs=5e-5) and np.std(values) == pytest.approx(0.0025, abs=5e-5)


def _documented_images(seed: int) -> list[Tensor]:
    torch.manual_seed(seed)
    with torch.device("meta"):
        shapes = [value.shape for key, value in inception.network().state_dict().items() if key.endswith("weight")]
    for shape in shapes:
        nn.init.kaiming_uniform_(torch.empty(shape), a=5**0.5)
    nn.Linear(2048, 1008)
    return [torch.randint(low, high, (100, 3, 299, 299), dtype=torch.uint8) for low, high in ((0, 200), (100, 255))]


def _mmd(x: Tensor, y: Tensor) -> float:
    xx, yy, xy = ((a.double() @ b.double().T / 2048 + 1) ** 3 for a, b in ((x, x), (y, y), (x, y)))
    n = len(x)
    return float((xx.sum() - xx.trace() + yy.sum() - yy.trace()) / (n * (n - 1)) - 2 * xy.mean())


def test_efficientnet_has_the_papers_shape_and_knows_its_weights_names():
    with torch.device("meta"):
        net = efficientnet.network()
        assert net(torch.empty(2, 3, 224, 224)).shape == (2, 1280, 7, 7)
    theirs = {efficientnet._theirs(key.removesuffix(".weight")) for key in net.state_dict() if key.endswith(".weight")}
    assert ("_conv_stem", "_bn0") in theirs and ("_blocks.15._project_conv", "_blocks.15._bn2") in theirs and len(theirs) == 49
    with pytest.raises(ValueError, match="another network"):
        efficientnet.convert({})


def test_efficientnet_gives_1280_numbers():
    needs(efficientnet.PUBLISHED, "efficientnet-lite0")
    features = find("efficientnet-lite0")
    rows = extract(features, pictures(5, 1), batch=2)
    assert rows.shape == (5, 1280) and rows.min() >= 0 and not features.is_inception


@pytest.mark.parametrize("name, side", [("vgg16", 16), ("alexnet", 31)])
def test_maps_of_the_smallest_image(name, side):
    net = perceptual.Maps(name)
    maps = net(torch.zeros(1, 3, side, side))
    assert [m.shape[1] for m in maps] == [len(head) for head in net.heads] and min(maps[-1].shape[2:]) >= 1
    with pytest.raises(RuntimeError):
        net(torch.zeros(1, 3, side - 1, side - 1))


def test_lpips_is_nothing_for_equal_images_and_grows_with_the_difference():
    needs(perceptual.published("alexnet"), "alexnet")
    lpips, x = perceptual.Lpips(cache=cache_folder()), pictures(3, 3, 48)
    near = (x.int() + torch.randint(-6, 7, x.shape)).clamp(0, 255).to(torch.uint8)
    none, little, much = lpips(x, x), lpips(x, near), lpips(x, pictures(3, 3, 48, seed=1))
    assert none.abs().max() == 0 and (little > 0).all() and (much > 2 * little).all()
    with pytest.raises(DataError, match="at least 31 pixels"):
        lpips(x[..., :20, :20], x[..., :20, :20])


def test_transformers_are_read_in_both_spellings_and_sized_by_their_weights():
    net = vit.Vision(14, 128, 256, 2)
    for p in net.parameters():
        nn.init.normal_(p, std=0.1)
    ours, authors, library = net.state_dict(), {}, {}
    for key, value in ours.items():
        flat = {"cls": "cls_token", "pos": "pos_embed", "patch": "patch_embed.proj"}
        there = {"cls": "embeddings.cls_token", "pos": "embeddings.position_embeddings", "patch": "embeddings.patch_embeddings.projection"}
        head, _, tail = key.partition(".")
        if head == "blocks":
            number, part, kind = tail.split(".")
            one = {"qkv": "attn.qkv", "out": "attn.proj", "fc1": "mlp.fc1", "fc2": "mlp.fc2"}.get(part, part)
            authors[f"blocks.{number}.{one}.{kind}"] = value / (2 if part in ("out", "fc2") else 1)
            if part == "qkv":
                names = (f"encoder.layer.{number}.attention.attention.{n}.{kind}" for n in ("query", "key", "value"))
                library |= zip(names, value.chunk(3))
            else:
                one = {"out": "attention.output.dense", "fc1": "mlp.fc1", "fc2": "mlp.fc2"}.get(part, part)
                library[f"encoder.layer.{number}.{one}.{kind}"] = value
        else:
            authors[f"{flat.get(head, head)}{'.' * bool(tail)}{tail}"] = value
            library[f"{there.get(head, 'layernorm')}{'.' * bool(tail)}{tail}"] = value
    for number in range(2):
        authors |= {f"blocks.{number}.ls{k}.gamma": torch.full((128,), 2.0) for k in (1, 2)}
        library |= {f"encoder.layer.{number}.layer_scale{k}.lambda1": torch.ones(128) for k in (1, 2)}
    for arrays in (authors, library):
        got = vit.convert("dinov2", arrays)
        assert got.keys() == ours.keys() and all(torch.allclose(got[key], ours[key]) for key in ours)
    assert vit.shaped(ours)(torch.zeros(2, 3, 224, 224)).shape == (2, 128)


def test_positions_are_brought_to_the_size_that_images_have():
    grid = torch.linspace(0, 1, 37)[:, None, None].expand(37, 37, 4).reshape(-1, 4)
    placed = vit._placed(torch.cat([torch.zeros(1, 4), grid]), 14)
    assert placed.shape == (257, 4)
    middle = placed[1:].view(16, 16, 4)[:, 8, 0]
    assert (middle.diff() > 0).all() and middle[0] > 0 and middle[-1] < 1


@pytest.mark.parametrize("name", ["dinov2", "clip"])
def test_networks_that_no_package_has_say_what_to_bring(name):
    with pytest.raises(UsageError, match="weights of your own.*--weights"):
        find(name)


def test_the_classifier_learns_is_the_same_every_time_and_leaves_the_random_state_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("GANFORGE_CACHE", str(tmp_path))
    monkeypatch.setattr("ganforge.metrics.features.classifier.LEAST_STEPS", 12)
    y = torch.arange(96) % 2
    x = (torch.randint(0, 100, (96, 3, 12, 12)) + 150 * y[:, None, None, None]).clamp(0, 255).to(torch.uint8)
    data = ImageSet(x, y, ("dark", "light"))
    state = torch.get_rng_state()
    first, again = find("classifier", data=data), train(data)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(a, b) for a, b in zip(first.net.state_dict().values(), again.state_dict().values()))
    assert len(list(tmp_path.rglob("classifier-*.safetensors"))) == 1
    held = find("classifier", data=data)
    assert torch.equal(held(x), first(x)) and held.facts == first.facts and held(x).shape == (96, held.dim)
    monkeypatch.setattr("ganforge.metrics.features.classifier.TESTED", 40)
    by_class = ImageSet(*(values[y.argsort(stable=True)] for values in (x, torch.where(y == 1, 0, y))), data.names)  # half of it wrong
    assert 0.2 < float(held._accuracy(by_class).split()[0]) < 0.8
    monkeypatch.setattr("ganforge.metrics.features.classifier.TESTED", 2000)
    right = (held.logits(x).argmax(1) == y).float().mean()
    assert right > 0.9 and held.facts["accuracy"] == f"{right:.3f} of its training images"
    with pytest.raises(DataError, match="trained on images"):
        held(pictures(2, 3, 16))


def test_the_classifier_needs_classes():
    with pytest.raises(DataError, match="labelled"):
        train(ImageSet(pictures()))
    with pytest.raises(UsageError, match="give the labelled data"):
        find("classifier")


def test_large_images_are_averaged_down_before_they_are_classified():
    for shape in ((1, 28, 28), (3, 64, 64), (3, 96, 48)):
        assert Classifier(shape, 4).features(torch.zeros(2, *shape)).shape == (2, 128)
    assert Classifier((3, 64, 64), 4).shrink == 2 and Classifier((1, 28, 28), 4).shrink == 1


OWN = """
import torch
class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 7, 3)
    def forward(self, x):
        return self.conv(x)
def pixels(x): return x.flatten(1)
def factory(): return lambda x: x.mean((2, 3))
def wrong(x): return x.mean()
def lost(x): return x[:1].flatten(1)
number = 3
class Greedy:
    def __init__(self, size): ...
"""


@pytest.mark.parametrize("name, dim", [("Net", 7), ("pixels", 3 * 32 * 32), ("factory", 3)])
def test_ones_own_network_or_function_gives_features(name, dim, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(OWN)
    text = f"{path}:{name}"
    features = find(text, code=(text,), data=ImageSet(pictures()))
    rows = extract(features, pictures(5), batch=2)
    assert rows.shape == (5, dim) and features.dim == dim and features.name == f"own:mine.py:{name}" and not features.is_inception
    if name == "pixels":
        assert torch.allclose(rows, pictures(5).flatten(1) / 127.5 - 1)


def test_own_features_are_known_by_what_they_give_too(tmp_path):
    """The text of the file is the same, the numbers that it reads are not."""
    path, numbers = tmp_path / "mine.py", tmp_path / "w.txt"
    path.write_text(
        "from pathlib import Path\ndef scaled(x):\n    return x.flatten(1) * float((Path(__file__).parent / 'w.txt').read_text())\n"
    )
    text, data, facts = f"{path}:scaled", ImageSet(pictures()), []
    for weight in ("1", "2", "1"):
        numbers.write_text(weight)
        features = find(text, code=(text,), data=data)
        facts.append(features.facts)
        assert torch.equal(cached(features, data, tmp_path).rows, extract(features, data.images))
    assert facts[0] == facts[2] != facts[1] and facts[0]["code"] == facts[1]["code"]


def test_ones_own_code_runs_only_where_it_was_named(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(f"import pathlib; pathlib.Path({str(tmp_path / 'ran')!r}).touch()\n{OWN}")
    with pytest.raises(UsageError, match="not run unless you say so"):
        find(f"{path}:Net")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["wrong", "lost", "number", "Greedy", "absent"])
def test_ones_own_mistakes_are_said_in_one_line(name, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(OWN)
    with pytest.raises(UsageError) as caught:
        find(f"{path}:{name}", code=(str(path),))
    assert name in str(caught.value) and "\n" not in str(caught.value)


PARTS = {
    "efficientnet-lite0": {"_conv_stem.weight": torch.zeros(32, 3, 3, 3)},
    "inception": {f"layer.{k}.beta": torch.zeros(1) for k in range(94)},
    "vgg16": {"VGG16_0.Conv_0.kernel": torch.zeros(3)},
    "dinov2": {"patch.weight": torch.zeros(4), "pos": torch.zeros(2, 4), "cls": torch.zeros(4), "blocks.0.fc1.weight": torch.zeros(4, 4)},
}


@pytest.mark.parametrize("name", PARTS)
def test_a_part_of_the_weights_is_refused_in_one_sentence(name, tmp_path, monkeypatch):
    monkeypatch.setenv("GANFORGE_CACHE", str(tmp_path))
    save_file(PARTS[name], tmp_path / "part.safetensors")
    with pytest.raises(DataError, match="part.safetensors cannot be used as the weights of") as caught:
        find(name, weights=tmp_path / "part.safetensors")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["random", "classifier"])
def test_weights_that_nothing_would_look_at_are_refused(name):
    with pytest.raises(UsageError, match="no --weights"):
        find(name, weights="nofile.pth", data=ImageSet(pictures()))


def test_an_unknown_name_lists_what_there_is():
    with pytest.raises(UsageError, match="Did you mean 'inception'.*efficientnet-lite0.*random"):
        find("inceptoin")


BAD = [
    (torch.empty(0, 3, 8, 8, dtype=torch.uint8), DataError, "at least one"),
    (torch.zeros(2, 2, 8, 8, dtype=torch.uint8), DataError, "1 .grey. or 3 .colour."),
    (torch.zeros(2, 8, 8, dtype=torch.uint8), DataError, "n, c, h, w"),
    (torch.full((2, 3, 8, 8), torch.nan), DataError, "2 of 2 images hold NaN"),
    (torch.zeros(2, 3, 8, 8), UsageError, "to_uint8"),
    ([], DataError, "no images"),
    ([pictures(2, 3, 8), pictures(2, 3, 9)], DataError, "differ in size"),
    ([pictures(2, 3, 8), pictures(2, 1, 8)], DataError, "differ in size"),
]


@pytest.mark.parametrize("images, error, says", BAD, ids=range(len(BAD)))
def test_unfit_images_are_refused_in_one_line(images, error, says):
    from ganforge.metrics.features.base import checked

    class Strict(Means):
        def __call__(self, images: Tensor) -> Tensor:
            return super().__call__(checked(images))

    with pytest.raises(error, match=says) as caught:
        extract(Strict(), images)
    assert "\n" not in str(caught.value)


def test_features_are_taken_without_tf32_and_what_was_set_comes_back(monkeypatch):
    seen = []

    def flags():
        return torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32

    monkeypatch.setattr(Means, "__call__", lambda self, x: seen.append(flags()) or x.float().mean((2, 3)))
    before = flags()
    try:
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = True
        extract(Means(), pictures(3), batch=2)
        assert seen == [(False, False)] * 2 and flags() == (True, True)
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


def test_random_features_are_found_by_name_like_all_others():
    assert find("random").name == "random" and extract(find("random"), pictures()).shape == (6, 480)


def test_samples_become_bytes_as_published_code_has_them():
    x = torch.tensor([-1.0, -0.999, 0.0, 0.5, 1.0]).view(1, 1, 1, 5)
    assert to_uint8(x).flatten().tolist() == [0, 0, 128, 191, 255]
    with pytest.raises(DataError, match="the model draws values that are not finite: 1 of 2 images"):
        to_uint8(torch.stack([torch.zeros(1, 2, 2), torch.full((1, 2, 2), torch.inf)]))


@pytest.mark.parametrize("batch", [1, 2, 5, 64])
def test_a_stream_gives_what_the_whole_gives(batch):
    x, seen = pictures(11), []
    parts = [x[:3], x[3], x[4:4], x[4:9], x[9:]]
    assert torch.equal(extract(Means(), iter(parts), batch=batch), extract(Means(), x))
    extract(Means(), x, batch=batch, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (11, 11) and len(seen) == -(-11 // batch)


def test_a_graphics_card_is_waited_for_once_a_chunk_and_fed_from_pinned_memory(monkeypatch):
    class Far(Tensor):
        is_cuda = True

    pinned, x = [], pictures(11)
    monkeypatch.setattr(Tensor, "pin_memory", lambda part: pinned.append(len(part)) or part)
    monkeypatch.setattr(base, "CHUNK", 4)
    parts = list(base.stream(Means(), x, batch=2))
    assert [len(part) for part in parts] == [4, 4, 3] and not pinned
    monkeypatch.setattr(Means, "__call__", lambda self, images: images.float().mean((2, 3)).as_subclass(Far))
    assert torch.equal(extract(Means(), x, batch=2), torch.cat(parts)) and pinned == [2, 2, 2, 2, 1]


def test_what_is_cached_is_what_was_taken(tmp_path):
    data, features = ImageSet(pictures(40)), Means()
    first = cached(features, data, tmp_path)
    calls = features.calls
    again = cached(features, data, tmp_path)
    assert features.calls == calls
    for a, b in ((first.rows, again.rows), (first.examples, again.examples), (first.moments.mean, again.moments.mean)):
        assert torch.equal(a, b)
    whole = Moments().add(extract(Means(), data.images))
    assert torch.equal(first.rows, extract(Means(), data.images))
    assert again.moments.count == 40 and torch.allclose(again.moments.cov, whole.cov) and torch.equal(first.moments.cov, again.moments.cov)


@pytest.mark.parametrize("change", ["pixel", "facts", "name", "limit", "seed", "keep"])
def test_anything_that_matters_takes_features_anew(change, tmp_path):
    data, features, options = ImageSet(pictures(40)), Means(), {"limit": 30, "seed": 0, "keep": 20}
    cached(features, data, tmp_path, **options)
    other = Means()
    if change == "pixel":
        data.images[0, 0, 0, 0] ^= 1
        data = ImageSet(data.images)
    elif change in ("facts", "name"):
        setattr(other, change, {"facts": {"weights": "other"}, "name": "other"}[change])
    else:
        options[change] += 1
    cached(other, data, tmp_path, **options)
    assert other.calls


def test_few_rows_are_kept_at_random_while_moments_are_of_all(tmp_path):
    data = ImageSet(pictures(40))
    some = cached(Means(), data, tmp_path, keep=10, batch=7)
    assert some.rows.shape == (10, 3) and some.moments.count == 40
    assert torch.equal(some.rows, extract(Means(), data.images[some.examples])) and some.examples.tolist() != list(range(10))
    assert torch.allclose(some.moments.cov, Moments().add(extract(Means(), data.images)).cov)
    half = cached(Means(), data, tmp_path, limit=20)
    assert len(half.rows) == half.moments.count == 20 and len(half.examples.unique()) == 20


def test_a_damaged_cache_is_made_anew(tmp_path):
    data, features = ImageSet(pictures(8)), Means()
    first = cached(features, data, tmp_path)
    (file,) = tmp_path.rglob("*.safetensors")
    file.write_bytes(file.read_bytes()[:50])
    assert torch.equal(cached(features, data, tmp_path).rows, first.rows) and features.calls == 2
