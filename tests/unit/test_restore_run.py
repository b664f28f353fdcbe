"""A run that makes images of images: pictures, judge, best model, resuming, card, report, commands. Restoration stands for all of them."""

import json
import math
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

import ganforge
from ganforge import cli
from ganforge.core import machine
from ganforge.core.errors import GanforgeError, UsageError
from ganforge.core.method import Progress
from ganforge.core.train import Tick
from ganforge.data.domains import Domains
from ganforge.data.photos import Photos
from ganforge.data.spec import DataSpec
from ganforge.methods import tasks
from ganforge.recipes import CUT, Restore
from ganforge.runs import likeness, pictures, translation
from ganforge.runs.folder import Folder
from ganforge.runs.heritage import Parent
from ganforge.runs.judge import due
from ganforge.tasks.apply.applier import Applier, Made
from ganforge.tasks.blend import blend
from tests.contract.toys import data_for

TINY = {"width": 8, "blocks": 1, "d_width": 8, "batch": 4, "crop": 32, "precision": "fp32", "layout": "contiguous", "threads": 1}
TINY |= {"examples": 80, "adversarial": 0.5, "evaluations": 4, "snapshots": 2, "device": "cpu", "evaluate": "auto:random", "hold_out": 0.3}


@pytest.fixture(autouse=True)
def _no_measuring(monkeypatch):
    monkeypatch.setattr(machine, "speed", lambda *a, **k: 1000.0)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return data_for(Restore, tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module")
def run(photos, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machine, "speed", lambda *a, **k: 1000.0)
        return ganforge.train(photos, "restore", task="super-resolution", out=str(tmp_path_factory.mktemp("runs") / "sr"), **TINY)


def gan(capsys, *words):
    with pytest.raises(SystemExit) as end:
        cli.main([str(word) for word in words])
    out, err = capsys.readouterr()
    return end.value.code, out, err


def test_a_run_keeps_the_generator_and_the_faithful_one(run):
    model = ganforge.load(run.folder)
    assert run.finished and set(model.networks) == {"generator", "faithful"}
    assert any(not torch.equal(a, b) for a, b in zip(*(net.state_dict().values() for net in model.networks.values())))
    made = model.apply(Image.new("RGB", (21, 33)))
    assert made.size == (42, 66)


def test_pictures_hold_what_is_given_made_and_wanted(run, photos):
    """Two columns may be equal, but the last is the image itself."""
    plan = json.loads((run.folder / "plan.json").read_text())
    assert plan["columns"] == ["given", "generator", "faithful", "wanted"]
    shot = sorted((run.folder / "samples").glob("fakes_*.png"))
    assert [int(path.stem.partition("_")[2]) for path in shot] == [0, 40, 80]
    sheet, side = Image.open(shot[0]), 32
    assert sheet.width == 4 * (2 * side + 2) + 2  # images of 32 pixels are shown twice as large
    recipe = Restore(data=Photos(path=photos, crop=32, hold_out=0.3))
    wanted = recipe.dataset().shown(1)["x"]
    last = sheet.crop((sheet.width - 2 * side - 2, 2, sheet.width - 2, 2 + 2 * side)).resize((side, side), Image.Resampling.NEAREST)
    shown = torch.tensor([*last.tobytes()]).reshape(side, side, 3).permute(2, 0, 1).float() / 127.5 - 1
    torch.testing.assert_close(shown, wanted[0], atol=1e-2, rtol=0)


def test_readings_tell_likeness_of_both_networks(run):
    looks = [line for line in run.history() if "PSNR/generator" in line]
    assert len(looks) == 4
    names = {f"{metric}/{way}" for metric in ("PSNR", "SSIM", "perceptual-random") for way in ("generator", "faithful")}
    assert names <= looks[0].keys()
    first, last = looks[0], looks[-1]
    assert first["PSNR/generator"] == first["PSNR/faithful"] and last["PSNR/generator"] != last["PSNR/faithful"]
    assert not any(key.startswith(("quality/", "health")) for line in run.history() for key in line)


def test_the_card_and_the_report_say_what_the_model_does(run):
    card = (run.folder / "best" / "README.md").read_text()
    assert "pipeline_tag: image-to-image" in card and "model.apply(image)" in card and "model.generate" not in card
    assert "- PSNR: " in card and "detail that the input lacks is invented" in card
    report = (run.folder / "report.html").read_text()
    assert "given, generator, faithful, wanted" in report and "gan apply" in report and "gan generate" not in report


def test_commands_name_the_way_to_use_it(run, capsys):
    code, out, _ = gan(capsys, "info", run.folder)
    assert code == 0 and f"next      gan apply {run.folder}" in out
    code, _, err = gan(capsys, "generate", run.folder)
    assert code == 2 and "makes images of images and draws none of its own: gan apply RUN" in err


def test_an_interrupted_run_ends_like_an_uninterrupted_one(run, photos, tmp_path, monkeypatch):
    """Stopped in the middle of the game: weights, readings, pictures and the choice of the best are the same."""
    from ganforge.runs import start

    plain = start.train_loop
    monkeypatch.setattr(start, "train_loop", lambda *a, **k: plain(*a, **{**k, "stop": stop_at(16)}))
    out = tmp_path / "cut"
    cut = ganforge.train(photos, "restore", task="super-resolution", out=str(out), **TINY)
    assert 0 < cut.seen < cut.total
    monkeypatch.setattr(start, "train_loop", plain)
    assert ganforge.resume(out).finished
    ours, theirs = (ganforge.load(folder).networks for folder in (out, run.folder))
    for name in theirs:
        for a, b in zip(ours[name].state_dict().values(), theirs[name].state_dict().values(), strict=True):
            assert torch.equal(a, b)
    clock = ("seconds", "images_per_second")
    first, second = ([{k: v for k, v in line.items() if k not in clock} for line in Folder(f).history()] for f in (out, run.folder))
    assert first == second
    chosen = [ganforge.load(folder).facts["seen"] for folder in (out, run.folder)]
    assert chosen[0] == chosen[1]


def stop_at(step):
    asked = iter(range(10**6))
    return lambda: next(asked) >= step - 1


def test_a_run_without_a_game_has_one_network(photos, tmp_path):
    done = ganforge.train(
        photos, Restore, out=str(tmp_path / "run"), **{**TINY, "task": tasks.denoise, "adversarial": 0.0, "d_width": 16, "examples": 16}
    )
    assert set(ganforge.load(done.folder).networks) == {"generator"}
    assert {"discriminator/loss", "PSNR/faithful"}.isdisjoint(done.history()[-1])
    assert ganforge.load(done.folder).facts["metrics"].keys() == {"PSNR", "SSIM", "perceptual-random"}


def test_task_on_the_command_line_stands_for_the_recipe(photos, capsys, monkeypatch):
    code, out, err = gan(capsys, "train", photos, "--task", "old-photo", "--dry-run", "--width", 8, "--batch", 4, "--examples", 8)
    assert code == 0 and "recipe restore" in out, err
    code, _, err = gan(capsys, "train", photos, "--task", "denoize")
    assert code == 2 and "Did you mean 'denoise'" in err
    code, _, err = gan(capsys, "train", photos, "--task", "denoise", "--quality", 10)
    assert code == 2 and "'noise' has no quality" in err
    code, out, _ = gan(capsys, "list", "tasks")
    names = [name.replace("_", "-") for name, task in vars(tasks).items() if isinstance(task, tasks.Task)]
    assert [line.split()[0] for line in out.splitlines()] == names and len(names) == 8


def test_only_the_option_stands_for_the_recipe(capsys, monkeypatch):
    chosen = []

    def parsed(name, *_):
        chosen.append(name)
        raise UsageError("far enough.")

    monkeypatch.setattr("ganforge.cli.train.parse", parsed)
    for words in (["task"], ["faces", "--out", "task"], ["faces", "--task", "denoise"], ["faces", "--task=denoise"]):
        gan(capsys, "train", *words)
    assert chosen == ["auto", "auto", "restore", "restore"]


def test_scales_that_do_not_divide_the_pieces_make_them_smaller(photos):
    recipe = Restore(data=Photos(path=photos, crop=32), scale=3)
    data = recipe.dataset()
    method = recipe.method(data.spec)
    assert data.spec.shape == (3, 30, 30)
    given, x = pictures.inputs(method, data, 2)
    assert given.shape[2] * 3 == x.shape[2] == pictures.translated(method.generator, given).shape[2]


def test_inputs_are_the_same_every_time_and_move_no_random_numbers(photos):
    recipe = Restore(data=Photos(path=photos, crop=32), task=tasks.denoise)
    data = recipe.dataset()
    method = recipe.method(data.spec)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, second = pictures.inputs(method, data, 4), pictures.inputs(method, data, 4)
    assert torch.equal(torch.get_rng_state(), before) and torch.equal(first[0], second[0])
    assert not torch.equal(*first) and torch.equal(first[1], data.shown(4)["x"])


def plays(*ways, begins=0.0, resting=()):
    """What a judge asks of a method."""
    return SimpleNamespace(ways=ways, since=lambda now: begins if now.fraction >= begins else 0.0, resting=lambda now: resting)


def judge(tmp_path, looks, rivals):
    """A judge that finds `looks`, one after the other; those from `rivals` on with a discriminator at work. Returns which it kept."""
    found, kept = iter(looks), []
    one = likeness.Likeness(Folder(tmp_path), "auto", len(looks), plays("generator", "faithful"), None, "cpu")
    one.opened = SimpleNamespace(ways=("generator",), numbers=lambda network: next(found))
    average = SimpleNamespace(networks={"generator": None})
    for i in range(len(looks)):
        numbers = {"generator/loss": 1.0} | ({"discriminator/loss": 1.0} if i >= rivals else {})
        told = one.look(Tick(Progress(i + 1, i + 1, len(looks)), numbers, 0.0, average))
        best = one.is_best(told)
        if best:
            one.known = dict(told)
            kept.append(i)
    return kept


def seen(psnr, far):
    return {"PSNR": psnr, "SSIM": 0.5, "perceptual-random": far}


class Judged(likeness.Likeness):
    """One whose numbers are told, and whose best/ is a config.json alone."""

    def __init__(self, folder, ways=("generator", "faithful")):
        super().__init__(Folder(folder), "auto", 1, plays(*ways), None, "cpu")
        self.opened = SimpleNamespace(ways=ways, numbers=lambda network: network)

    def told(self, rivals=True, **numbers):
        """Look at networks of these numbers; True if that of `generator` is kept."""
        average = SimpleNamespace(networks=numbers)
        told = self.look(Tick(Progress(1, 1, 1), {"g/loss": 1.0} | ({"d/loss": 1.0} if rivals else {}), 0.0, average))
        if best := self.is_best(told):
            self.known, self.best = dict(told), {"metric": [*told][0], "value": [*told.values()][0], "seen": 7}
        return best


def test_what_came_of_the_game_takes_the_place_of_what_was_before_it(tmp_path):
    """The faithful network is in the model anyway; one of the game that nobody could load would be lost."""
    assert judge(tmp_path, [seen(25, 0.5), seen(21.9, 0.1), seen(24, 0.9), seen(23, 1.0), seen(24, 0.8)], rivals=1) == [0, 2, 4]


def test_both_networks_are_told_at_the_end(tmp_path):
    one = Judged(tmp_path)
    assert one.told(False, generator=seen(25, 0.5), faithful=seen(25, 0.5))
    assert not one.told(generator=seen(20, 0.1), faithful=seen(25, 0.5))
    assert one.closing()[:2] == [
        "best    PSNR 25 at 7 images, in best/",
        "        nothing that came of the game was within 3 dB of the highest PSNR",
    ]
    assert one.told(generator=seen(24, 0.4), faithful=seen(25, 0.5))
    assert one.closing() == [
        "best    perceptual-random 0.4 at 7 images, in best/",
        "        generator at the end: PSNR 24, SSIM 0.5, perceptual-random 0.4",
        "        faithful at the end: PSNR 25, SSIM 0.5, perceptual-random 0.5",
    ]
    alone = Judged(tmp_path, ("generator",))
    assert alone.closing() == [] and alone.told(False, generator=seen(25, 0.5)) and len(alone.closing()) == 1


def test_an_infinite_psnr_never_becomes_the_highest(tmp_path, monkeypatch):
    one = Judged(tmp_path)
    assert one.told(False, generator=seen(math.inf, 0.5), faithful=seen(20, 0.5)) and one.top == -math.inf
    monkeypatch.setattr(likeness, "measured", lambda folder: (seen(20, 0.5), 8))
    (tmp_path / "evaluations").mkdir()
    for content, top in (("Infinity", 20), ("NaN", 20), ("21.5", 21.5)):
        (tmp_path / likeness.BEST_PSNR).write_text(f'{{"psnr": {content}}}')
        assert Judged(tmp_path).top == top


def test_numbers_of_best_that_are_not_finite_stand_in_nobodys_way(tmp_path, monkeypatch):
    monkeypatch.setattr(likeness, "measured", lambda folder: (seen(math.inf, 0.5), 8))
    one = Judged(tmp_path)
    assert not one.best and one.is_best(seen(20, 0.5))


def test_a_damaged_note_of_the_highest_psnr_is_told_and_passed_over(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(likeness, "measured", lambda folder: (seen(20, 0.5), 8))
    (tmp_path / "evaluations").mkdir()
    for content in ("{", "[]", '{"psnr": "high"}', "{}"):
        caplog.clear()
        (tmp_path / likeness.BEST_PSNR).write_text(content)
        assert Judged(tmp_path).top == 20
        assert "the highest PSNR so far is not known any more" in caplog.text


def test_one_image_that_is_met_exactly_counts_100_decibels():
    one = object.__new__(likeness.Opened)
    one.paired, one.given = True, torch.zeros(2, 3, 16, 16)
    one.x = one.given + torch.tensor([0.0, 0.2]).reshape(2, 1, 1, 1)
    one.sight = SimpleNamespace(name="far", distance=lambda a, b: torch.zeros(len(a)))
    black = torch.nn.Conv2d(3, 3, 1, bias=False)
    torch.nn.init.zeros_(black.weight)
    assert one.numbers(black)["PSNR"] == pytest.approx((100 + 20) / 2)


@pytest.mark.parametrize(("often", "begins", "steps"), [(4, 0.5, [5, 10, 15, 20]), (8, 0.8, [4, 8, 12, 16, 17, 18, 19, 20])])
def test_half_of_the_looks_fall_into_the_game(often, begins, steps):
    moments = [Progress(step, 4 * step, 80) for step in range(1, 21)]
    assert [now.step for now in moments if likeness.falls_due(now, often, begins)] == steps
    assert [now.step for now in moments if likeness.falls_due(now, often, 0.0)] == [now.step for now in moments if due(now, often)]


def test_a_network_that_rests_is_looked_at_once(tmp_path):
    asked = []
    one = likeness.Likeness(Folder(tmp_path), "auto", 4, plays("generator", "faithful", resting=("faithful",)), None, "cpu")
    one.opened = SimpleNamespace(ways=("generator", "faithful"), numbers=lambda network: asked.append(network) or seen(20, 0.5))
    average = SimpleNamespace(networks={"generator": "g", "faithful": "f"})
    for i in range(4):
        one.look(Tick(Progress(i + 1, i + 1, 4), {"g/loss": 1.0}, 0.0, average))
        assert one.readings["PSNR/faithful"] == 20
    assert asked == ["g", "f", "g", "g", "g"]


def test_what_the_generator_is_before_the_game_is_not_of_the_game(tmp_path):
    """A reading over the moment at which the discriminator began has losses of both."""
    one = likeness.Likeness(Folder(tmp_path), "auto", 4, plays("generator", begins=0.8), None, "cpu")
    one.opened = SimpleNamespace(ways=("generator",), numbers=lambda network: seen(20, 0.5))
    tick = Tick(Progress(1, 80, 80), {"g/loss": 1.0, "d/loss": 1.0}, 0.0, SimpleNamespace(networks={"generator": None}))
    assert [*one.look(tick)][0] == "perceptual-random"
    one.often = 80
    assert [*one.look(tick._replace(now=Progress(40, 40, 80)))][0] == "PSNR"


def test_before_the_game_the_highest_psnr_is_best(tmp_path):
    assert judge(tmp_path, [seen(20, 1), seen(19, 0.5), seen(21, 2), seen(20.9, 0)], rivals=9) == [0, 2]


def test_in_the_game_it_is_the_most_lifelike_within_three_decibels(tmp_path):
    looks = [seen(25, 1.0), seen(23, 0.8), seen(21.9, 0.1), seen(22.1, 0.7), seen(24, 0.75)]
    assert judge(tmp_path, looks, rivals=1) == [0, 1, 3]


def test_a_model_that_fell_behind_is_replaced_even_by_one_that_looks_worse(tmp_path):
    assert judge(tmp_path, [seen(20, 0.5), seen(24, 0.9), seen(24, 1.0)], rivals=0) == [0, 1]


def test_numbers_that_are_none_are_never_best(tmp_path):
    assert judge(tmp_path, [seen(20, 0.5), seen(math.nan, math.nan), seen(21, 0.6)], rivals=0) == [0]


def test_features_that_cannot_compare_pairs_are_refused_before_the_run(photos, tmp_path):
    with pytest.raises(UsageError, match="efficientnet-lite0 or random or vgg16; got 'inception'"):
        ganforge.train(photos, "restore", out=str(tmp_path / "x"), **{**TINY, "evaluate": "auto:inception"})
    with pytest.raises(UsageError, match="--evaluate fid compares sets of images; .* one by one: auto,"):
        ganforge.train(photos, "restore", out=str(tmp_path / "x"), **{**TINY, "evaluate": "fid:random"})
    assert not (tmp_path / "x").exists()


def test_rescue_is_refused_before_the_run(photos, tmp_path):
    with pytest.raises(UsageError, match="leave out --rescue"):
        ganforge.train(photos, "restore", out=str(tmp_path / "x"), **{**TINY, "rescue": True})
    assert not (tmp_path / "x").exists()


def test_advice_names_the_option_that_there_is(photos):
    from ganforge.runs.recover import cure

    assert "(--crop)" in cure(Restore(data=Photos(path=photos))) and "(--size)" in cure(CUT(data=Domains(path=photos)))
    parent = Parent(Path("old"), {"fields": {"data": {"crop": 32}}}, DataSpec((3, 32, 32)), {}, 0)
    with pytest.raises(UsageError, match="draws 32x32 .* becomes 64x64 .* Leave out --crop, and"):
        parent.fitted(DataSpec((3, 64, 64)))


def test_without_pairs_the_set_of_images_is_judged(tmp_path, capsys):
    folder = data_for(CUT, tmp_path / "data", 16)
    small = {"size": 32, "width": 8, "d_width": 8, "blocks": 5, "patches": 16, "examples": 8, "batch": 2, "evaluations": 2}
    small |= {"precision": "fp32", "layout": "contiguous", "threads": 1, "device": "cpu"}
    done = ganforge.train(folder, "cut", out=str(tmp_path / "run"), **small)
    assert "evaluation failed" not in capsys.readouterr().out
    assert [key for key in done.history()[-1] if "/generator" in key] == ["KID-random/generator"]
    assert json.loads((done.folder / "plan.json").read_text())["columns"] == ["given", "generator"]
    assert ganforge.load(done.folder).facts["metrics"].keys() == {"KID-random"}
    data = CUT(data=Domains(path=folder, size=32)).dataset()
    method = CUT(data=Domains(path=folder, size=32), width=8, d_width=8, blocks=5).method(data.spec)
    asked = likeness.Opened("mind:random", method, data, "cpu", ())
    assert [*asked.numbers(method.generator.eval())] == ["MIND-random"]
    mine = tmp_path / "eyes.py"
    mine.write_text("def small(x):\n    return x.flatten(1)[:, ::97]\n")
    with pytest.raises(GanforgeError, match="code"):
        likeness.Opened(f"kid:{mine}:small", method, data, "cpu", ())
    asked = likeness.Opened(f"kid:{mine}:small", method, data, "cpu", (f"{mine}:small",))
    assert "small" in [*asked.numbers(method.generator)][0]
    code, _, err = gan(capsys, "evaluate", done.folder)
    assert code == 2 and "without pairs, so there is no right answer" in err


def test_evaluate_puts_the_best_classical_method_beside_the_model(run, capsys):
    code, out, err = gan(capsys, "evaluate", run.folder, "--samples", 3)
    assert code == 0, err
    head = out.splitlines()[0].split()
    assert head[:3] == ["value", "±", "faithful"] and head[3] in ("bicubic", "lanczos", "nearest") and head[4] == "better"
    assert "PSNR" in out and "3 whole images of 8 bits" in out and "size 48x48" in out and "split held-out" in out
    kept = json.loads((run.folder / "evaluations" / "001.json").read_text())
    assert len(kept["per_example"]) == 3 and {f"PSNR {head[3]}", f"SSIM {head[3]}"} < {*kept["per_example"][0]}
    assert len({*kept["examples"]}) == 3 and all(name.endswith(".png") and name in out for name in kept["examples"])
    assert sum(row[f"PSNR {head[3]}"] for row in kept["per_example"]) / 3 == pytest.approx(kept["beside"][head[3]]["PSNR"])
    assert sum(row["PSNR"] for row in kept["per_example"]) / 3 == pytest.approx(kept["values"]["PSNR"])
    assert "001.json" in (run.folder / "report.html").read_text()


def test_evaluate_on_other_photographs_and_what_it_refuses(run, photos, capsys, tmp_path):
    code, out, err = gan(capsys, "evaluate", run.folder, f"{photos}/trainB", "--samples", 2, "--metrics", "psnr", "--out", tmp_path)
    assert code == 0 and "split all" in out and "SSIM" not in out, err
    code, _, err = gan(capsys, "evaluate", run.folder, "--metrics", "fid")
    assert code == 2 and "this model is judged image by image: psnr, ssim, ms-ssim, lpips" in err
    code, _, err = gan(capsys, "evaluate", run.folder, "--per-class")
    assert code == 2 and "judged one by one" in err
    code, _, err = gan(capsys, "evaluate", run.folder, "--seed", 1)
    assert code == 2 and "leave out --seed" in err


def test_of_other_photographs_with_a_test_part_only_that_is_judged_and_one_photograph_is_enough(run, photos, capsys, tmp_path):
    some = sorted(Path(photos, "trainB").iterdir())
    for part, mine in (("train", some[:2]), ("test", some[2:3])):
        (tmp_path / "data" / part).mkdir(parents=True)
        for path in mine:
            shutil.copy(path, tmp_path / "data" / part)
    code, out, err = gan(capsys, "evaluate", run.folder, tmp_path / "data", "--samples", 1, "--metrics", "psnr", "--out", tmp_path / "a")
    assert code == 0 and "split held-out" in out, err
    code, out, err = gan(capsys, "evaluate", run.folder, tmp_path / "data" / "test", "--metrics", "psnr", "--out", tmp_path / "b")
    assert code == 0 and "split all" in out, err


def test_a_blend_is_evaluated_as_what_it_was_made_of(run, photos, capsys, tmp_path):
    blend(run.folder, run.folder, 0.5, tmp_path / "blend")
    assert "columns" not in json.loads((tmp_path / "blend" / "config.json").read_text())
    code, out, err = gan(capsys, "evaluate", tmp_path / "blend", f"{photos}/trainB", "--samples", 2, "--metrics", "psnr")
    assert code == 0 and "PSNR" in out, err


def test_what_is_met_exactly_counts_100_decibels_and_other_damage_has_its_own_classical_methods(run, photos, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(Applier, "run", lambda applier, picture: Made(np.zeros((32, 32, 3), np.float32), 1, ()))
    monkeypatch.setattr(translation, "_data", lambda model, path, data, code: (Flat(), []))
    done = ganforge.evaluate(run.folder, str(photos), samples=2, out=tmp_path)
    assert done.values["PSNR"] == 100 and done.beside["faithful"]["PSNR"] == 100
    denoise = ganforge.train(
        photos, Restore, out=str(tmp_path / "jpeg"), **{**TINY, "task": tasks.denoise, "damage": "jpeg", "examples": 8, "evaluate": "none"}
    )
    done = ganforge.evaluate(denoise.folder, samples=2)
    assert {"faithful", "unchanged"} <= set(done.beside) and done.settings["classical"]


class Flat:
    """Two grey pictures."""

    held_out, fingerprint = None, "0" * 32

    def __len__(self):
        return 2

    def wholes(self, count):
        return ({"x": torch.zeros(1, 3, 32, 32)} for _ in range(2))


def write(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def soft(seed, high=48, wide=48):
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(pixels).resize((wide, high), Image.Resampling.BICUBIC))


def test_photographs_are_judged_whole_in_tiles_each_at_its_own_size(run, capsys, tmp_path, monkeypatch):
    """The same as if the network were given the whole at once; what a side has too much for the scale is left out."""
    for k, (high, wide) in enumerate([(70, 131), (64, 48), (12, 12)]):
        write(tmp_path / "photos" / f"{k}.png", soft(k, high, wide))
    tiles = []
    plain = Applier.run
    monkeypatch.setattr(Applier, "run", lambda applier, picture: tiles.append(plain(applier, picture, tile=32)) or tiles[-1])
    done = ganforge.evaluate(run.folder, str(tmp_path / "photos"), metrics=["psnr"], out=tmp_path / "out")
    assert done.settings["size"] == "48x64 to 130x70" and done.settings["judged"] == "2 whole images of 8 bits"
    assert [made.tiles for made in tiles] == [6, 6, 1, 1] and {"PSNR", "faithful"} <= {*done.values, *done.beside}
    monkeypatch.setattr(Applier, "run", lambda applier, picture: plain(applier, picture, tile=0))
    again = ganforge.evaluate(run.folder, str(tmp_path / "photos"), metrics=["psnr"], out=tmp_path / "out")
    assert again.values["PSNR"] == pytest.approx(done.values["PSNR"], abs=0.02)


def test_a_metric_that_an_image_is_too_small_for_is_left_out_and_networks_are_probed_once(run, tmp_path, monkeypatch):
    for k, side in enumerate((180, 48)):
        write(tmp_path / "photos" / f"{k}.png", soft(k, side, side))
    used, plain = [], Applier.run
    monkeypatch.setattr(Applier, "run", lambda applier, picture: used.append(applier) or plain(applier, picture))
    done = ganforge.evaluate(run.folder, str(tmp_path / "photos"), metrics="ms-ssim,psnr", out=tmp_path / "out")
    assert [*done.values] == ["PSNR"] and len(done.per_example) == 2
    assert any(note.startswith("no MS-SSIM: this comparison needs images of at least 176 x 176 pixels; got 48 x 48") for note in done.notes)
    assert len(used) == 4 and len({id(applier) for applier in used}) == 2
    with pytest.raises(GanforgeError, match="at least 176 x 176"):
        ganforge.evaluate(run.folder, str(tmp_path / "photos"), metrics="ms-ssim", out=tmp_path / "out")


def test_pairs_of_small_and_large_images_are_learnt_from_as_they_are(tmp_path, capsys):
    for k in range(6):
        large = soft(k, 64, 80)
        write(tmp_path / "data" / "hr" / f"{k}.png", large)
        write(tmp_path / "data" / "lr" / f"{k}.png", 255 - large[::4, ::4])  # which no damage of ours would do
    options = {**TINY, "examples": 8, "evaluate": "none", "out": str(tmp_path / "run")}
    done = ganforge.train(str(tmp_path / "data"), task="super-resolution", **options)
    model = ganforge.load(done.folder)
    assert model.networks["generator"].scale == 4 and model.spec.given == (3, 8, 8)
    assert model.apply(Image.new("RGB", (9, 7))).size == (36, 28)
    recipe = Restore(data=Photos(path=str(tmp_path / "data"), crop=32))
    data = recipe.dataset()
    given, x = pictures.inputs(recipe.method(data.spec), data, 2)
    torch.testing.assert_close(given, -x[:, :, ::4, ::4], atol=1e-5, rtol=0)
    found = ganforge.evaluate(done.folder, metrics=["psnr"])
    assert {"bicubic", "lanczos", "nearest"} & {*found.beside} and found.settings["size"] == "80x64"
    with pytest.raises(GanforgeError, match="4 times as large as the given ones: --task super-resolution is for these"):
        ganforge.train(str(tmp_path / "data"), task="denoise", **{**options, "out": str(tmp_path / "other")})


def test_noisy_and_clean_images_teach_any_task_that_keeps_the_size(tmp_path):
    for k in range(5):
        clean = soft(k)
        write(tmp_path / "data" / "clean" / f"{k}.png", clean)
        write(tmp_path / "data" / "noisy" / f"{k}.png", clean // 2)
    recipe = Restore(data=Photos(path=str(tmp_path / "data"), crop=32), task=tasks.deblur)
    data = recipe.dataset()
    batch = next(data.batches(2, seed=0))
    assert (batch["given"] <= batch["x"] + 1e-5).all() and torch.equal(recipe.method(data.spec).given(batch), batch["given"])
    strong = ganforge.train(
        str(tmp_path / "data" / "clean"),
        task="denoise",
        out=str(tmp_path / "run"),
        **{**TINY, "sigma": 10.0, "examples": 8, "evaluate": "none"},
    )
    data, _ = translation._data(ganforge.load(strong.folder), strong.folder, str(tmp_path / "data"), ())
    assert data.brings == "pairs" and len(data) == 5, "what is given is not damaged, so the model's --sigma stands in nobody's way"
    with pytest.raises(UsageError, match="leave out --quality"):
        Restore(data=Photos(path=str(tmp_path / "data"), crop=32), task=tasks.dejpeg, quality=30).dataset()


def test_without_pairs_too_few_images_are_told_in_the_plan(tmp_path, capsys):
    small = {"size": 32, "width": 8, "d_width": 8, "blocks": 5, "patches": 16, "examples": 8, "batch": 2, "threads": 1, "device": "cpu"}
    ganforge.train(data_for(CUT, tmp_path / "data", 5), "cut", dry_run=True, **small)
    assert "Plan    no evaluation: KID needs at least 10 images a side, and the data has 4; best/" in capsys.readouterr().out


def test_holes_of_the_users_own_shapes_are_learnt_to_be_filled(tmp_path, capsys):
    for k in range(6):
        mask = np.zeros((48, 48), np.uint8)
        mask[4 * k : 4 * k + 6, 10:30] = 255
        write(tmp_path / "data" / "images" / f"{k}.png", soft(k))
        write(tmp_path / "data" / "masks" / f"{k}.png", mask)
    done = ganforge.train(str(tmp_path / "data"), task="inpaint", out=str(tmp_path / "run"), **{**TINY, "examples": 16})
    assert "PSNR/generator" in done.history()[-1] and ganforge.load(done.folder).spec.given == (4, 32, 32)
    found = ganforge.evaluate(done.folder, metrics=["psnr"])
    assert len(found.beside) == 2 and found.settings["judged"].endswith("whole images of 8 bits")
    assert {name.split("/")[-2] for name in found.examples} == {"images"}, "examples are called by their images, not by the masks"
    told = f"gan apply {done.folder} PHOTO --mask MASK -o made.png"
    assert f"next    {told}" in capsys.readouterr().out
    code, out, _ = gan(capsys, "info", done.folder)
    assert f"next      {told}" in out and " pieces of 32x32, colour" in out
    code, _, err = gan(capsys, "train", tmp_path / "data", "--task", "denoise")
    assert code == 2 and "holds images with masks of what is missing, which teach --task inpaint" in err


def test_a_run_that_goes_on_keeps_the_judge_that_best_was_chosen_by(monkeypatch):
    judges, one = [], object.__new__(likeness.Likeness)
    monkeypatch.setattr(likeness, "Opened", lambda *what: judges.append(what[-1]))
    one.opened, one.what, one.known = None, ("auto", None, None, "cpu", ()), {"PSNR": 30.0, "perceptual-vgg16": 0.5}
    one._open()
    assert judges == ["vgg16"]
