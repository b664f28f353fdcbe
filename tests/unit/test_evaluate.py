"""Evaluation: the same numbers on every way in, their protocol and floor with them, and one clear sentence for bad input."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import ganforge
from ganforge import cli
from ganforge.core import machine
from ganforge.core.errors import DataError, UsageError
from ganforge.data.images import Images
from ganforge.data.imageset import ImageSet
from ganforge.metrics import frechet, measure, protocol, sets
from ganforge.metrics.random_features import RandomFeatures
from ganforge.runs import by_class, copies, evaluations, sides
from ganforge.runs import evaluate as module
from ganforge.runs.bar import Bar
from ganforge.runs.case import Case, _parts, resolve
from ganforge.runs.model import load
from ganforge.runs.seen import Seen, of_side

TINY = {"width": 8, "z": 8, "batch": 16, "precision": "fp32", "layout": "contiguous", "threads": 1, "examples": 32, "evaluate": "none"}
FAST = {"features": "random", "samples": 60}


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GANFORGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("GANFORGE_OFFLINE", "1")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machine, "speed", lambda *a, **k: 1000.0)
        return ganforge.train("digits", "cgan", out=tmp_path_factory.mktemp("evaluate") / "run", **TINY).folder


@pytest.fixture
def run(trained, tmp_path):
    import shutil

    return shutil.copytree(trained, tmp_path / "run")


@pytest.fixture
def gan(capfd):
    """Runs the command in this process: (exit code, standard output, standard error)."""

    def call(*words):
        with pytest.raises(SystemExit) as left:
            cli.main([str(word) for word in words])
        out, err = capfd.readouterr()
        assert "Traceback" not in err
        return left.value.code or 0, out, err

    return call


def folder(name, count=24, size=(16, 16), seed=0, mean=128):
    """Noise around a mean, as PNG files."""
    draw = np.random.default_rng(seed)
    Path(name).mkdir(exist_ok=True, parents=True)
    for i in range(count):
        pixels = draw.normal(mean, 30, (*size[::-1], 3)).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(Path(name) / f"{size[0]}-{seed}-{i:03d}.png")
    return name


# ---- a run


def test_a_run_is_measured_against_held_out_and_training_images_with_a_floor(run):
    found = ganforge.evaluate(run, **FAST)
    assert {"FD-random", "KID-random", "MIND-random", "precision-random", "coverage-random"} <= found.values.keys()
    assert found.floor.keys() == found.values.keys() == found.training.keys() == found.training_floor.keys()
    assert found.values["FD-random"] > 10 * found.floor["FD-random"]  # 32 images taught it nothing
    assert found.values["KID-random"] > found.floor["KID-random"] + 3 * found.errors["KID-random"]
    assert found.settings["split"] == "held-out" and "training against held-out images" in found.floor_of
    assert found.saved and json.loads(found.saved.read_text())["protocol"] == found.protocol
    assert evaluations.read_all(run) == [found]


def test_the_column_on_training_data_has_the_floor_of_held_out_images_there(run):
    found = ganforge.evaluate(run, metrics="fid,pr", **FAST)
    data, eyes = sets.like("digits", (1, 8, 8)), RandomFeatures()
    held, trained = (eyes(sets.subset(part, 60, 0).images[:]) for part in (data.held_out, data))
    wanted = measure.measure(held, trained, ("fid", "pr"), features=eyes)
    assert found.training_floor == {name: pytest.approx(score.value, rel=1e-5) for name, score in wanted.items()}
    assert found.training["FD-random"] > 10 * found.training_floor["FD-random"]
    head, first = found.table().splitlines()[:2]
    assert "on training data  floor there" in head and f"{found.training_floor['FD-random']:.4g}" in first
    old = found.json()
    del old["training_floor"]  # as it was written before there was such a floor
    assert protocol.from_json(old, found.saved) == dataclasses.replace(found, training_floor={})


def test_the_numbers_are_those_of_the_metrics_on_features_of_the_same_images(run):
    """What `evaluate` streams is what a user computes by hand from `generate`."""
    found = ganforge.evaluate(run, metrics="fid", **FAST)
    eyes, data = RandomFeatures(), sets.like("digits", (1, 8, 8))
    labels = sets.apportioned(data.labels, 10, 60)
    drawn = ganforge.load(run).generate(range(60), labels.tolist(), output="tensor")
    pixels = (drawn * 127.5 + 128).clamp(0, 255).to(torch.uint8)
    real = sets.subset(data.held_out, 60, 0).images[:]
    assert found.values == {"FD-random": pytest.approx(frechet.frechet_distance(eyes(pixels), eyes(real)), rel=1e-5)}


def test_command_line_and_python_agree_and_the_table_is_complete(run, gan):
    code, out, err = gan("evaluate", run, "--features", "random", "--samples", "60", "--metrics", "kid,prdc")
    found = ganforge.evaluate(run, features="random", samples=60, metrics=["kid", "prdc"])
    assert code == 0 and err == ""
    table = found.table().replace("002.json", "001.json")
    assert out.startswith(table) and "001-nearest.png" in out
    for word in (*found.values, found.protocol, "floor", "better", "copies"):
        assert word in out


def test_the_protocol_names_everything_that_decides_the_number(run):
    found = ganforge.evaluate(run, seed=3, **FAST)
    for part in ("features random", "weights", "resize", "judged 60 images", "real 60 images", "data digits", "split held-out",
                 "size 8x8x1", "classes asked for as in the data", "training 60 images",
                     "KID all images at once, error of the jackknife", "MIND 1000 projections", "P/R k=3", "D/C k=5", "seed 3",
                 f"ganforge {ganforge.__version__}"):  # fmt: skip
        assert part in found.protocol, part
    other = ganforge.evaluate(run, seed=4, **FAST)
    assert protocol.differences(found.settings, other.settings) == ["seed: 3 or 4"]
    assert "on training data the other way round" in found.floor_of
    assert found.values != other.values


def test_the_same_evaluation_again_is_the_same_and_gets_its_own_file(run):
    one, two = (ganforge.evaluate(run, metrics="kid,mind", **FAST) for _ in range(2))
    assert one.values == two.values and one.errors == two.errors and one.floor == two.floor
    assert [one.saved.name, two.saved.name] == ["001.json", "002.json"]


def test_the_report_lists_evaluations_with_their_picture(run):
    found = ganforge.evaluate(run, metrics="kid", **FAST)
    page = (run / "report.html").read_text()
    assert "001.json" in page and "nearest to it" in page
    with Image.open(found.saved.with_name("001-nearest.png")) as picture:
        assert picture.width > 8 * 12


def test_classes_come_in_the_proportions_of_the_data_and_any_start_is_fair():
    labels = torch.tensor([0] * 70 + [1] * 20 + [2] * 10)
    drawn = sets.apportioned(labels, 3, 50)
    assert torch.bincount(drawn).tolist() == [35, 10, 5]
    assert torch.bincount(drawn[:10], minlength=3).tolist() == [7, 2, 1]
    assert torch.bincount(sets.apportioned(labels, 4, 7), minlength=4).tolist() == [5, 1, 1, 0]


def test_per_class_numbers_are_those_of_the_class_alone(run, gan):
    found = ganforge.evaluate(run, metrics="kid", features="random", samples=290, per_class=True)
    assert list(found.per_class) == [str(d) for d in range(10)]
    assert all(numbers.keys() == {"KID-random"} for numbers in found.per_class.values())
    assert not any("whichever class" in note for note in found.notes)
    code, out, _ = gan("evaluate", run, "--metrics", "kid", "--features", "random", "--samples", "290", "--per-class")
    assert code == 0 and re.search(r"^class +KID-random +floor$", out, re.MULTILINE)
    assert found.per_class_floor.keys() == found.per_class.keys() and any("of a class" in note for note in found.notes) is False
    mean = sum(one["KID-random"] for one in found.per_class.values()) / 10
    assert found.json()["per_class_mean"] == {"KID-random": pytest.approx(mean)}
    floor = sum(one["KID-random"] for one in found.per_class_floor.values()) / 10
    assert found.table().splitlines()[-1].split() == ["mean", f"{mean:.4g}", f"{floor:.4g}"] and abs(floor) < mean / 10


def test_the_mean_over_classes_has_a_floor_only_over_the_same_classes():
    numbers = {"cat": {"FID": 4.0, "KID": 1.0}, "dog": {"FID": 6.0}}
    floors = {"cat": {"FID": 1.0, "KID": 0.5}, "dog": {"FID": 2.0, "KID": 0.7}}
    last = protocol.Evaluation("run", {}, {}, {}, {}, per_class=numbers, per_class_floor=floors).table().splitlines()[-1]
    assert last.split() == ["mean", "5", "1.5", "1"]


def test_a_generator_that_ignores_classes_is_told(run, monkeypatch):
    generator = type(load(run).networks["generator"])
    real = generator.forward
    monkeypatch.setattr(generator, "forward", lambda self, z, y=None: real(self, z, torch.zeros_like(y)))
    found = ganforge.evaluate(run, metrics="kid", features="random", samples=290, per_class=True)
    assert any("the same image whichever class is asked for" in note for note in found.notes)


def test_a_copy_of_best_is_measured_too_and_nothing_is_written_into_it(run, tmp_path):
    found = ganforge.evaluate(run / "best", data="digits", metrics="kid", **FAST)
    assert found.saved is None and found.values == ganforge.evaluate(run, metrics="kid", **FAST).values
    assert not (run / "best" / "evaluations").exists()
    kept = ganforge.evaluate(run / "best", data="digits", metrics="kid", out=tmp_path / "kept", **FAST)
    assert kept.saved == tmp_path / "kept" / "001.json"


def test_generated_images_are_never_all_in_memory(run, monkeypatch):
    asked = []

    def black(self, which):
        asked.append(len(which))
        return torch.zeros(len(which), 1, 8, 8, dtype=torch.uint8)

    drawn = sides.Drawn("x", load(run), 600, 0, None)
    monkeypatch.setattr(sides.Drawn, "pixels", black)
    with pytest.raises(DataError, match="identical"):
        of_side([RandomFeatures()], drawn)
    assert asked == [256, 256, 88]


def test_a_seed_draws_other_images(run):
    one, two = (sides.Drawn("x", load(run), 4, seed, None).pixels(range(4)) for seed in (0, 1))
    assert not torch.equal(one, two)


def test_a_perfect_copyist_is_caught(tmp_path):
    """Images that are training images lie nearer to them than unseen ones do; others do not."""
    folder("data", 60), folder("own", 40, seed=5)
    Path("copies").mkdir()
    for path in sorted(Path("data").iterdir())[:40]:
        Image.open(path).save(Path("copies") / path.name)
    caught, honest = (ganforge.evaluate(name, "data", metrics="kid", features="random") for name in ("copies", "own"))
    key = "closer than 99 % of other training images"  # as nothing is held out
    assert caught.memorisation[key] > 0.6 > 0.2 > honest.memorisation[key]
    assert caught.memorisation["distance ratio"] < 0.5 < honest.memorisation["distance ratio"]


@pytest.mark.parametrize(("flip", "caught"), [("auto", True), ("no", False)])
def test_a_mirrored_copyist_is_caught_where_it_was_trained_on_mirrored_images(flip, caught, monkeypatch):
    monkeypatch.setattr(machine, "speed", lambda *a, **k: 1000.0)
    folder("data", 60)
    run = ganforge.train("data", "dcgan", out="mirror", flip=flip, hold_out=0.4, **TINY).folder
    kept = sets.like("data", (3, 16, 16), Images(path="data", hold_out=0.4, flip=flip))
    monkeypatch.setattr(sides.Drawn, "pixels", lambda self, which: kept.images[list(which)].flip(3))
    found = ganforge.evaluate(run, data="data", metrics="kid", features="random", samples=len(kept))
    assert (found.memorisation["distance ratio"] < 1e-3) is caught


# ---- folders


def test_the_settings_of_the_kernel_distance_are_those_it_was_computed_with():
    how = measure.METRICS["kid"].how
    assert how(60, 60) == "KID all images at once, error of the jackknife"
    assert how(60, 90) == "KID 100 subsets of 60, error of the jackknife"
    assert how(5000, 4000) == "KID 100 subsets of 1000, error over subsets"
    assert how(1999, 4000) == "KID 100 subsets of 1000, error of the jackknife"


def test_the_protocol_holds_no_path_of_this_machine(tmp_path):
    folder("a", seed=1), folder("b", seed=2)
    found = ganforge.evaluate(tmp_path / "a", tmp_path / "b", metrics="kid", features="random")
    assert found.settings["data"].startswith("b (") and str(tmp_path) not in found.protocol


def test_classes_are_paired_by_name(tmp_path):
    """One class is black and one is white on both sides, but their numbers differ: each is near its namesake."""
    labels = torch.arange(40) % 2
    shade = torch.randint(0, 60, (40, 1, 8, 8), dtype=torch.uint8)
    real = ImageSet(shade + (labels * 190).to(torch.uint8)[:, None, None, None], labels, ("black", "white"))
    fake = sides.Stored("fakes", ImageSet(real.images.flip(3), 1 - labels, ("white", "black")))
    eyes = RandomFeatures()
    parts = Case(fake, real, None, "all", real, real, "data", "0")
    rows = [eyes(fake.images.images), eyes(real.images)]
    sides_seen = [Seen(one, torch.arange(40)) for one in rows]

    def compare(a, b, names, _):
        return measure.measure(a.rows, b.rows, names, features=eyes)

    found, floor = by_class.measured(parts, sides_seen, (sides_seen[1].at(torch.arange(40)),) * 2, compare, ("kid",), eyes, [])
    far = measure.measure(rows[0][labels == 0], rows[1][labels == 1], ("kid",), features=eyes)["KID-random"].value
    assert list(found) == ["black", "white"] and all(abs(one["KID-random"]) < 0.1 * far for one in found.values())
    alone = measure.measure(*[rows[1][labels == 1]] * 2, ("kid",), features=eyes)["KID-random"].value
    assert floor["white"] == {"KID-random": pytest.approx(alone)}


def test_a_class_that_collapsed_is_a_note_and_one_without_enough_images_another(tmp_path):
    for side in ("a", "b"):
        Path(side).mkdir()
        for seed, (kind, count) in enumerate((("ant", 20), ("bee", 20), ("cat", 5))):
            folder(f"{side}/{kind}", count, seed=seed + 3 * (side == "b"))
    for path in Path("a/bee").iterdir():
        Image.new("RGB", (16, 16), (9, 9, 9)).save(path)
    found = ganforge.evaluate("a", "b", metrics="kid", features="random", per_class=True)
    assert [*found.per_class["ant"]] == ["KID-random"] and found.per_class["bee"] == found.per_class["cat"] == {}
    assert any(note.startswith("no KID of class bee: ") and "identical" in note for note in found.notes)
    assert "no KID of cat: fewer than 10 images of a class" in found.notes


def test_classes_that_are_not_there_are_asked_for_before_anything_is_computed(monkeypatch):
    folder("a", seed=1), folder("b", seed=2)
    monkeypatch.setattr(module, "choose", None)
    with pytest.raises(DataError, match="--per-class needs classes on both sides"):
        ganforge.evaluate("a", "b", metrics="kid", features="random", per_class=True)


def test_classes_of_other_names_are_refused():
    for side, kinds in (("a", ("ant", "cat")), ("b", ("cat", "dog"))):
        Path(side).mkdir()
        for seed, kind in enumerate(kinds):
            folder(f"{side}/{kind}", 12, seed=seed)
    with pytest.raises(DataError, match="only one side has ant, dog"):
        ganforge.evaluate("a", "b", metrics="kid", features="random", per_class=True)


def test_ten_images_give_what_their_halves_allow_and_name_what_is_left_out():
    folder("a", 10, seed=1), folder("b", 10, seed=2)
    found = ganforge.evaluate("a", "b", features="random")
    assert {"KID-random", "coverage-random"} <= found.values.keys() and not found.floor
    assert any("left out for 10 images a side: FID (from 50)" in note for note in found.notes)
    assert "KID-random" in found.table()


@pytest.mark.parametrize(("held", "train", "split"), [(30, 90, "training part"), (100, 900, "held-out"), (100, 1100, "training part")])
def test_few_held_out_images_are_no_reference(held, train, split):
    whole = ImageSet(torch.zeros(train, 1, 8, 8, dtype=torch.uint8))
    whole.held_out = ImageSet(torch.zeros(held, 1, 8, 8, dtype=torch.uint8))
    real, _, name, _, notes = _parts(whole, 40, 0)
    assert name == split and len(real) == 40 and bool(notes) == (split == "training part")


@pytest.mark.parametrize(
    ("judged", "data", "samples", "says"),
    [
        (40, 100, 60, "two disjoint parts of the data, 40 and 60, as many as judged"),
        (40, 100, 0, "two disjoint parts of the data, 40 and 60 instead of the 40 and 100 judged, so distances but KID's lie higher"),
        (100, 100, 60, "two disjoint parts of the data, 40 and 60 instead of the 60 and 60 judged, so distances but KID's lie higher"),
        (100, 100, 80, "two disjoint parts of the data, 40 and 40 instead of the 80 and 80 judged, so distances but KID's lie higher"),
    ],
)
def test_the_floor_has_as_many_images_as_were_judged_where_the_data_has(judged, data, samples, says):
    def noise(count, seed):
        return torch.randint(0, 256, (count, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed)).numpy()

    np.save("a.npy", noise(judged, 0)), np.save("b.npy", noise(data, 1))
    found = ganforge.evaluate("a.npy", "b.npy", metrics="kid", features="random", samples=samples)
    assert found.floor_of == says and "KID-random" in found.floor


def test_the_floor_of_few_judged_images_is_of_as_few_held_out_or_not(run):
    folder("a", 30, size=(8, 8))
    for path in Path("a").iterdir():
        Image.open(path).convert("L").save(path)
    found = ganforge.evaluate("a", "digits", metrics="kid", features="random", samples=200)
    assert found.floor_of.startswith(
        "training against held-out images, 30 and 200, as many as judged; on training data the other way round, 30"
    )


def test_the_fingerprint_is_of_both_parts(monkeypatch):
    def fingerprint(train, held):
        for part, count, shade in (("train", 300, train), ("test", 100, held)):
            Path("both", part).mkdir(parents=True, exist_ok=True)
            for i in range(count):
                Image.fromarray(np.full((8, 8), (i + shade) % 256, np.uint8)).save(f"both/{part}/{i}.png")
        case = resolve(Path("both"), "both", 0, "", 0)
        assert case.split == "held-out"
        return case.fingerprint

    assert len({fingerprint(0, 0), fingerprint(1, 0), fingerprint(0, 1)}) == 3


def test_chosen_images_are_read_in_parts_from_where_they_lie():
    images = torch.randint(0, 256, (50, 1, 8, 8), dtype=torch.uint8)
    which = torch.tensor([3, 7, 8, 40])
    some = sets.chosen(images, which)
    images[7] = 9
    assert len(some) == 4 and some.shape == (4, 1, 8, 8) and torch.equal(some[1:3], images[7:9])
    turned = sets.chosen(some, torch.tensor([3, 1]), flip=True)
    assert torch.equal(turned[:], images[[40, 7]].flip(3)) and torch.equal(turned[torch.tensor([1])], images[[7]].flip(3))
    assert ImageSet(some).fingerprint == ImageSet(images[which]).fingerprint


def test_unequal_numbers_of_images_are_told():
    folder("a", 30, seed=1), folder("b", 40, seed=2)
    found = ganforge.evaluate("a", "b", metrics="kid,pr,mind", features="random", samples=50)
    notes = "the numbers of images on both sides move precision and recall, MIND: compare them at 30 judged and 40 real only"
    assert {notes, "the reference has 40 images, fewer than the 50 asked for", "a has 30 images, fewer than the 50 asked for"} <= {
        *found.notes
    }


def test_real_images_may_be_more_or_fewer_than_the_judged_ones(gan):
    folder("a", 30, seed=1), folder("b", 60, seed=2)
    for reals, real in ((20, 20), (1000, 60), (0, 25)):
        found = ganforge.evaluate("a", "b", metrics="kid,pr", features="random", samples=25, reals=reals)
        assert (found.settings["judged"], found.settings["real"]) == ("25 images", f"{real} images")
        assert any("both sides move" in note for note in found.notes) is (real != 25)
    code, out, _ = gan("evaluate", "a", "--data", "b", "--metrics", "kid", "--features", "random", "--reals", "40")
    assert code == 0 and "real 40 images" in out and out.splitlines()[3].startswith("judged    a")
    with pytest.raises(UsageError, match="--reals is for whole sets"):
        ganforge.evaluate("a", "a", metrics="psnr", reals=20)


def test_few_images_are_told_with_what_may_be_quoted_of_them():
    folder("a", 30, seed=1), folder("b", 30, seed=2)
    (note,) = ganforge.evaluate("a", "b", metrics="kid,pr,mind", features="random").notes
    assert note.startswith("30 images a side are few: quote PR from 1,000, MIND from 1,000;")
    assert ganforge.evaluate("a", "b", metrics="kid", features="random").notes == ()


def test_colour_that_is_taken_from_a_test_part_is_told():
    grey, colour = np.arange(64, dtype=np.uint8).reshape(8, 8), np.dstack([np.full((8, 8), c, np.uint8) for c in (200, 0, 90)])
    for part, pixels in (("train", grey), ("test", colour)):
        Path("x", part).mkdir(parents=True)
        for i in range(12):
            Image.fromarray(pixels + np.uint8(i)).save(f"x/{part}/{i}.png")
    found = sets.as_is("x")
    assert found.held_out.images.shape == (12, 1, 8, 8) and found.report["note"].startswith("the test part of x has colour")
    assert found.report["note"] in resolve(Path("x"), "x", 0, "", 0).notes


def test_one_check_that_fails_is_noted_and_the_others_go_on(monkeypatch):
    def fail(*_):
        raise DataError("no luck")

    folder("a", seed=1), folder("b", seed=2)
    monkeypatch.setitem(measure.METRICS, "mind", dataclasses.replace(measure.METRICS["mind"], rows=fail))
    monkeypatch.setattr(copies, "memorisation", fail)
    found = ganforge.evaluate("a", "b", metrics="kid,mind", features="random", out="out")
    assert list(found.values) == ["KID-random"] and not found.memorisation
    assert {"no MIND: no luck", "copies were not looked for: no luck"} <= set(found.notes)
    assert found.saved and "picture" not in found.table()
    with pytest.raises(DataError, match="no luck"):
        ganforge.evaluate("a", "b", metrics="mind", features="random")


def test_files_that_cannot_be_used_are_counted():
    folder("a", seed=1), folder("b", seed=2)
    Path("a", "broken.png").write_text("no image")
    for size in ("", "16"):
        found = ganforge.evaluate("a", "b", metrics="kid", features="random", size=size)
        assert "1 of 25 files of a could not be used" in found.notes


def test_functions_and_networks_are_features_too():
    folder("a", seed=1), folder("b", seed=2)
    for features in (RandomFeatures(), lambda x: x.mean((2, 3)), torch.nn.Conv2d(3, 4, 3)):
        found = ganforge.evaluate("a", "b", metrics="kid", features=features)
        assert list(found.values)[0].startswith("KID-random" if isinstance(features, RandomFeatures) else "KID-own:")
    with pytest.raises(UsageError, match="a name, a network or a function"):
        ganforge.evaluate("a", "b", metrics="kid", features=3)


def test_features_of_ones_own_are_known_by_their_text():
    folder("a", seed=1), folder("b", seed=2)
    found = []
    for place, power in (("one", 1), ("two", 2)):
        Path(place).mkdir()
        Path(place, "mine.py").write_text(f"def means(x):\n    return x.float().mean((2, 3)) ** {power}\n")
        found.append(ganforge.evaluate("a", "b", metrics="kid", features=f"{place}/mine.py:means"))
    assert found[0].protocol != found[1].protocol and found[0].floor != found[1].floor


def test_long_work_is_told_before_it_begins(gan, monkeypatch):
    folder("a", seed=1), folder("b", seed=2)
    monkeypatch.setattr(module, "LONG", 0)
    _, _, err = gan("evaluate", "a", "--data", "b", "--metrics", "kid", "--features", "random")
    assert re.fullmatch(r"features random of 48 images will take about \S+; quicker: --samples 1000\n", err)
    _, _, err = gan("evaluate", "a", "--data", "b", "--metrics", "kid", "--features", "random")
    assert err.startswith("features random of 24 images")  # those of the data are in the cache now


def test_two_folders_need_no_model(gan):
    folder("a", seed=1), folder("b", seed=2), folder("far", seed=3, mean=60)
    code, out, err = gan("evaluate", "a", "--data", "b", "--features", "random")
    assert (
        code == 0
        and err == ""
        and "KID-random" in out
        and "two disjoint parts of the data, 12 and 12 instead of the 24 and 24 judged" in out
        and "FD" not in out.split("protocol")[0]
    )
    near, far = (ganforge.evaluate(name, "b", metrics="kid", features="random").values["KID-random"] for name in ("a", "far"))
    assert abs(near) < 0.1 * far


def test_odd_sizes_are_measured_as_they_are_and_size_brings_both_to_one(gan):
    folder("a", size=(17, 21), seed=1), folder("b", size=(17, 21), seed=2), folder("c", size=(34, 42), seed=3)
    assert ganforge.evaluate("a", "b", metrics="kid", features="random").settings["size"] == "17x21x3"
    found = ganforge.evaluate("a", "c", metrics="kid", features="random", size="16")
    assert found.settings["size"] == "16x16x3"


def test_numbers_may_be_called_fid_on_inception_features_alone():
    assert measure.called("FID", "inception", True) == "FID" and measure.called("KID", "inception", True) == "KID"
    assert measure.called("FID", "clean", False) == "FD-clean"
    assert measure.called("IS", "classifier", False) == "IS-classifier"
    assert measure.higher_is_better("precision-random") and not measure.higher_is_better("FD-clean")


def test_own_features_are_a_file_and_a_name():
    folder("a", seed=1), folder("b", seed=2)
    Path("mine.py").write_text("def means(x):\n    return x.float().mean((2, 3))\n")
    found = ganforge.evaluate("a", "b", metrics="kid", features="mine.py:means")
    assert list(found.values) == ["KID-own:mine.py:means"]


def test_without_inception_another_takes_its_place_and_that_is_said(gan):
    folder("a", seed=1), folder("b", seed=2)
    code, out, _ = gan("evaluate", "a", "--data", "b", "--metrics", "kid")
    assert code == 0 and re.search(r"^note +features (\S+) instead of inception", out, re.MULTILINE)
    assert not re.search(r"^(FID|KID) ", out, re.MULTILINE)


def test_the_inception_score_looks_at_a_classifier_of_the_data(run):
    found = ganforge.evaluate(run, metrics="is", features="classifier", samples=200)
    assert 1 <= found.values["IS-classifier"] < found.floor["IS-classifier"] <= 10


# ---- bad input, as the command line tells it


def broken(name):
    folder("good")
    if name == "empty":
        Path("bad").mkdir()
    elif name == "mixed":
        folder("bad", 6, size=(16, 16)), folder("bad", 6, size=(24, 20))
    elif name == "few":
        folder("bad", 5)
    elif name == "asked for few":
        folder("bad", 20)
    elif name.startswith("one"):
        folder("bad", 1)
    elif name == "identical":
        Path("bad").mkdir()
        for i in range(20):
            Image.new("RGB", (16, 16), (9, 9, 9)).save(f"bad/{i}.png")
    elif name == "other size":
        folder("bad", size=(20, 20))
    elif name == "test part of another size":
        folder("bad/train")
        folder("bad/test", size=(20, 20))
    elif name == "no images":
        Path("bad").mkdir()
        for i in range(3):
            Path("bad", f"{i}.png").write_text("no image")
    elif name == "nan array":
        images = np.random.default_rng(0).random((24, 16, 16, 3), np.float32)
        images[3, 0, 0, 0] = np.nan
        np.save("bad.npy", images)
    elif name == "nan":
        Path("nan.py").write_text("def nan(x):\n    return x.float().mean((2, 3)) / 0 * 0\n")
        folder("bad")


BAD = {
    "empty": ((), 3, "bad holds no images"),
    "mixed": ((), 3, "the images of bad have 2 different sizes (sides from 16 to 24 pixels).*--size 16"),
    "asked for few": (("--features", "random", "--samples", "5"), 3, "KID needs at least 10 images a side; --samples asks for 5"),
    "one": ((), 3, "error: bad: 1 of 1 files can be used"),
    "one brought to a size": (("--size", "16"), 3, "error: bad: 1 of 1 files can be used"),
    "few": ((), 3, "KID needs at least 10 images a side; bad has 5. That is too few for any metric"),
    "identical": ((), 3, "all 20 images of bad are identical"),
    "other size": ((), 3, "bad holds 20x20 images and good 16x16.*--size 20"),
    "test part of another size": ((), 3, "bad holds 16x16 images and its test part 20x20.*--size 16"),
    "no images": ((), 3, "0 of 3 files can be used"),
    "nan": (("--features", "nan.py:nan"), 3, "(NaN|not finite)"),
    "missing": ((), 2, "'bad' is no file or folder here"),
    "nan array": ((), 3, "bad.npy: 1 of 24 images hold NaN or infinity, the first is number 3"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_clear_message(name, gan):
    broken(name)
    words, exit_code, says = BAD[name]
    bad = "bad.npy" if name == "nan array" else "bad"
    code, out, err = gan("evaluate", bad, "--data", "good", "--metrics", "kid", *(words or ("--features", "random")))
    assert code == exit_code and err.startswith("error: ") and out == "" and err.count("error") == 1
    assert re.search(says.replace("(sides", r"\(sides").replace("pixels)", r"pixels\)"), err), err


def test_a_metric_that_needs_more_images_says_which_ones_are_sound(gan):
    folder("a", 24, seed=1), folder("b", 30, seed=2)
    code, _, err = gan("evaluate", "a", "--data", "b", "--metrics", "fid", "--features", "random")
    assert code == 3 and "FID needs at least 50 images a side; a has 24. Sound for 24: --metrics kid." in err
    assert "; a has 24. " in gan("evaluate", "b", "--data", "a", "--metrics", "fid", "--features", "random")[2], "not the one that has more"


def test_of_several_metrics_one_that_needs_more_images_is_a_note(gan):
    folder("a", 24, seed=1), folder("b", 24, seed=2)
    code, out, _ = gan("evaluate", "a", "--data", "b", "--metrics", "kid,fid", "--features", "random")
    assert code == 0 and "KID-random" in out and "left out for 24 images a side: FID (from 50)" in out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--metrics", "fdi"), "'fdi' is not a metric. Did you mean 'fid'?"),
        (("--features", "inceptoin"), "Did you mean 'inception'?"),
        (("--samples", "-1"), "--samples and --reals must be 0 or more"),
        (("--size", "31x"), "size must be"),
        ((), "say what to compare it with"),
    ],
)
def test_wrong_options_are_refused(words, says, gan):
    folder("a"), folder("b")
    code, _, err = gan("evaluate", "a", *(("--data", "b", *words) if words else ()))
    assert code == 2 and says in err


def test_a_broken_generator_is_told(run):
    model = load(run)
    for parameter in model.networks["generator"].parameters():
        parameter.fill_(float("nan"))
    with pytest.raises(DataError, match="draws values that are not finite"):
        sides.Drawn("the model", model, 4, 0, None).pixels(range(4))


def test_training_data_that_is_gone_is_asked_for(run):
    config = json.loads((run / "best" / "config.json").read_text())
    config["fields"]["data"]["path"] = "gone/photos"
    (run / "best" / "config.json").write_text(json.dumps(config))
    with pytest.raises(DataError, match="training data of this model cannot be read.*--data FOLDER"):
        ganforge.evaluate(run, **FAST)


def test_size_is_not_for_models(run):
    with pytest.raises(UsageError, match="--size is for folders"):
        ganforge.evaluate(run, size="8", **FAST)


def test_evaluations_are_read_in_the_order_of_their_numbers(tmp_path):
    found = protocol.Evaluation("a", {}, {}, {}, {})
    for number in (999, 1000, 2):
        (tmp_path / "evaluations").mkdir(exist_ok=True)
        (tmp_path / "evaluations" / f"{number:03d}.json").write_text(json.dumps(found.json()))
    assert [one.saved.name for one in evaluations.read_all(tmp_path)] == ["002.json", "999.json", "1000.json"]
    assert evaluations.write(found, tmp_path / "evaluations", None).saved.name == "1001.json"


def test_damaged_evaluations_are_left_out_of_the_report_and_told(run, caplog):
    ganforge.evaluate(run, metrics="kid", **FAST)
    (run / "evaluations" / "002.json").write_text('{"subject": ')
    assert len(evaluations.read_all(run)) == 1 and "002.json" in caplog.text


def test_subsets_are_functions_of_the_seed_and_parts_are_disjoint():
    images = ImageSet(torch.arange(100, dtype=torch.uint8).view(100, 1, 1, 1), torch.arange(100))
    a, b = sets.disjoint(images, 40, 1)
    assert not set(a.labels.tolist()) & set(b.labels.tolist()) and len(a) == len(b) == 40
    assert torch.equal(a.labels, sets.subset(images, 40, 1).labels) and torch.equal(a.images[:].flatten().long(), a.labels)
    assert not torch.equal(a.labels, sets.subset(images, 40, 2).labels)
    assert sets.disjoint(images, 60)[1] is None and len(sets.subset(images, 300)) == 100
    real, rest = sets.disjoint(images, 60, least=40)
    assert sorted([*real.labels.tolist(), *rest.labels.tolist()]) == list(range(100)) and sets.disjoint(images, 60, least=41)[1] is None


def test_the_bar_tells_speed_and_time_left():
    bar = Bar("features", 400)
    bar.done, bar._began = 100, 0.0
    assert "100/400  ETA 30s  10 img/s" in bar.line(10.0)


@pytest.mark.parametrize(("metrics", "says"), [("fid", "FID needs at least 50 .* Sound for 24: --metrics kid."),
                                                ("is", "IS needs at least 100"), ("modes,cas", "MODES needs at least 100")])  # fmt: skip
def test_too_few_images_are_told_which_metric_is_sound(metrics, says, gan):
    folder("a", seed=1), folder("b", seed=2)
    code, out, err = gan("evaluate", "a", "--data", "b", "--metrics", metrics, "--features", "random")
    assert code == 3 and out == "" and re.search(says, err) and err.endswith("Sound for 24: --metrics kid.\n")
