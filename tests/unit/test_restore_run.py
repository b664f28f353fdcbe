"""A run that makes images of images: pictures, judge, best model, resuming, card, report, commands. Restoration stands for all of them."""

import json
import math
from types import SimpleNamespace

import pytest
import torch
from PIL import Image

import ganforge
from ganforge import cli
from ganforge.core import machine
from ganforge.core.errors import UsageError
from ganforge.core.method import Progress
from ganforge.core.train import Tick
from ganforge.data.photos import Photos
from ganforge.methods import tasks
from ganforge.recipes import CUT, Restore
from ganforge.runs import likeness, pictures
from ganforge.runs.folder import Folder
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
    assert code == 0 and f"next     gan apply {run.folder}" in out
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
    done = ganforge.train(photos, Restore, out=str(tmp_path / "run"), **{**TINY, "task": tasks.denoise, "adversarial": 0.0, "examples": 16})
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


def judge(tmp_path, looks, rivals, paired=True):
    """A judge that finds `looks`, one after the other; those from `rivals` on with a discriminator at work. Returns which it kept."""
    found, kept = iter(looks), []
    one = likeness.Likeness(Folder(tmp_path), "auto", len(looks), None, None, "cpu")
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
    with pytest.raises(UsageError, match="efficientnet-lite0 or random; got 'inception'"):
        ganforge.train(photos, "restore", out=str(tmp_path / "x"), **{**TINY, "evaluations": 0, "evaluate": "auto:inception"})
    assert not (tmp_path / "x").exists()


def test_without_pairs_the_set_of_images_is_judged(tmp_path, capsys):
    folder = data_for(CUT, tmp_path / "data", 16)
    small = {"size": 32, "width": 8, "d_width": 8, "blocks": 5, "patches": 16, "examples": 8, "batch": 2, "evaluations": 2}
    small |= {"precision": "fp32", "layout": "contiguous", "threads": 1, "device": "cpu"}
    done = ganforge.train(folder, "cut", out=str(tmp_path / "run"), **small)
    assert "evaluation failed" not in capsys.readouterr().out
    assert [key for key in done.history()[-1] if "/generator" in key] == ["KID-random/generator"]
    assert json.loads((done.folder / "plan.json").read_text())["columns"] == ["given", "generator"]
    assert ganforge.load(done.folder).facts["metrics"].keys() == {"KID-random"}
    code, _, err = gan(capsys, "evaluate", done.folder)
    assert code == 2 and "without pairs, so there is no right answer" in err


def test_evaluate_puts_the_best_classical_method_beside_the_model(run, capsys):
    code, out, err = gan(capsys, "evaluate", run.folder, "--samples", 3)
    assert code == 0, err
    head = out.splitlines()[0].split()
    assert head[:3] == ["value", "±", "faithful"] and head[3] in ("bicubic", "lanczos", "nearest") and head[4] == "better"
    assert "PSNR" in out and "3 examples of 8 bits" in out and "split held-out" in out
    kept = json.loads((run.folder / "evaluations" / "001.json").read_text())
    assert len(kept["per_example"]) == 3
    assert sum(row["PSNR"] for row in kept["per_example"]) / 3 == pytest.approx(kept["values"]["PSNR"])
    assert "001.json" in (run.folder / "report.html").read_text()


def test_evaluate_on_other_photographs_and_what_it_refuses(run, photos, capsys, tmp_path):
    code, out, err = gan(capsys, "evaluate", run.folder, f"{photos}/trainB", "--samples", 2, "--metrics", "psnr", "--out", tmp_path)
    assert code == 0 and "split all" in out and "SSIM" not in out, err
    code, _, err = gan(capsys, "evaluate", run.folder, "--metrics", "fid")
    assert code == 2 and "this model is judged image by image: psnr, ssim, ms-ssim, lpips" in err
    code, _, err = gan(capsys, "evaluate", run.folder, "--per-class")
    assert code == 2 and "judged one by one" in err
