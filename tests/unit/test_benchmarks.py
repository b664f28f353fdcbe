"""The pieces of the long measurements that decide what their tables say."""

import json
import math
import sys
from argparse import Namespace
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import cells
import diversity
import fashion
import fid_table
import gamma
import restore
import semi_supervised
import sets
import stability
import stacked

from ganforge.core.errors import DataError, DivergedError, MemoryShortError, StorageError, UsageError
from ganforge.core.recipe import override
from ganforge.core.train import train
from ganforge.data.images import Images
from ganforge.metrics.classical.known import Known
from ganforge.metrics.likeness import Sight
from ganforge.recipes import find


def test_a_cell_is_made_once_and_is_whole_or_not_there(tmp_path):
    path, calls = tmp_path / "deep" / "cell.json", []

    def make():
        calls.append(0)
        return {"final": math.inf}

    with pytest.raises(ZeroDivisionError):
        cells.kept(path, lambda: 1 / 0)
    with pytest.raises(TypeError):
        cells.kept(path, lambda: object())
    assert not path.exists()
    assert cells.kept(path, make) == cells.kept(path, make) == {"final": math.inf} and len(calls) == 1


def test_a_mess_of_files_is_read_but_for_what_cannot_be(tmp_path):
    y, x = np.mgrid[:300, :260]
    photos = [np.stack([x % 256, y % 256, (x + k * y) % 256], 2).astype(np.uint8) for k in (1, 2)]
    for name in ("a", "b"):
        sets.write_mess(tmp_path / name, photos, 32)
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.*"))
    assert all((tmp_path / "a" / path).read_bytes() == (tmp_path / "b" / path).read_bytes() for path in files)
    images = Images(path=str(tmp_path / "a")).load()
    assert len(images) == 32 and images.spec.shape == (3, 64, 64) and images.labels is None
    assert len(images.report["skipped"]) == 3, images.report["skipped"]


def test_results_of_other_settings_are_not_mixed(tmp_path):
    path = tmp_path / "settings.json"
    for _ in range(2):
        cells.same(path, {"samples": 100})
    with pytest.raises(SystemExit, match="choose another --out"):
        cells.same(path, {"samples": 200})


def test_cells_of_a_set_are_judged_alike_whatever_can_be_had_later(tmp_path, monkeypatch):
    def offline(name, data=None):
        if name == "alexnet":
            raise DataError("no weights")
        return name

    known = Images(path="digits", labels="none").load()
    monkeypatch.setattr(cells, "find", offline)
    assert cells.seeing(known, tmp_path / "a.json") == ("random", "mind")
    monkeypatch.setattr(cells, "find", lambda name, data=None: name)
    assert cells.seeing(known, tmp_path / "a.json") == ("random", "mind")
    assert cells.seeing(known, tmp_path / "b.json") == ("alexnet", "mind"), "not what `projected` learns from"
    monkeypatch.setattr(cells, "find", offline)
    with pytest.raises(DataError, match="no weights"):
        cells.seeing(known, tmp_path / "b.json")
    assert cells.seeing(Images(path="digits").load(), tmp_path / "c.json") == ("classifier", "fid")


def small():
    """A recipe of ten steps and its data."""
    recipe = override(
        find("dcgan")(data=Images(path="digits")),
        {"width": 4, "z": 4, "examples": 640, "batch": 64, "precision": "fp32", "layout": "contiguous", "threads": 1},
    )
    return recipe, recipe.dataset()


RANDOM = cells.Seeing(cells.find("random"), "mind")


def test_a_run_is_scored_from_its_looks_and_leaves_a_picture(tmp_path):
    recipe, data = small()
    found = cells.trained(recipe, data, RANDOM, tmp_path / "pictures" / "cell.png", tmp_path / "cell")
    assert [row["seen"] for row in found["curve"]] == [64 * k for k in range(1, 11)] and (tmp_path / "pictures" / "cell.png").is_file()
    values = [row["value"] for row in found["curve"]]
    assert found["final"] == values[-1] and found["best"] == min(values) and found["ratio"] == values[-1] / min(values)
    assert found["metric"] == "MIND-random" and found["restarts"] == 0 and sum(found["words"].values()) == 10
    json.dumps(found)


def test_a_cell_that_goes_back_to_a_checkpoint_is_scored_from_all_its_looks(tmp_path, monkeypatch):
    """It is cut off after five steps, of which the last makes the checkpoint, and diverges at once."""
    starts, watches = [], []

    def breaking(method, data, run, **how):
        starts.append(how["restart"].number)
        watches.append(how["watcher"])
        steps = count(1)
        train(method, data, run, **how, stop=(lambda: next(steps) >= 5) if len(starts) == 1 else lambda: False)
        if len(starts) == 1:
            raise DivergedError("a loss stopped being finite.", how["restart"])

    monkeypatch.setattr(cells, "train", breaking)
    recipe, data = small()
    found = cells.trained(recipe, data, RANDOM, tmp_path / "cell.png", tmp_path / "cell")
    assert starts == [0, 1] and found["restarts"] == 1
    seen = [64 * k for k in range(1, 11)]
    assert [row["seen"] for row in found["curve"]] == seen and found["best"] == min(row["value"] for row in found["curve"])
    assert sum(found["words"].values()) == 10 and sorted(watches[-1].notes) == seen


@pytest.mark.parametrize("after", [5, 10])
def test_a_cell_that_was_cut_off_goes_on_and_ends_as_if_it_had_not_been(after, tmp_path, monkeypatch):
    """After five of ten steps, and after the last, when nothing but the scores was still to be made."""
    steps_done = []

    def killed(method, data, run, **how):
        steps = count(1)
        train(method, data, run, **how, stop=lambda: next(steps) >= after)
        raise KeyboardInterrupt

    def counted(method, data, run, **how):
        how["watcher"].step = steps_done.append
        train(method, data, run, **how)

    recipe, data = small()
    whole = cells.trained(recipe, data, RANDOM, tmp_path / "whole.png", tmp_path / "whole")
    monkeypatch.setattr(cells, "train", killed)
    with pytest.raises(KeyboardInterrupt):
        cells.trained(recipe, data, RANDOM, tmp_path / "cell.png", tmp_path / "cell")
    monkeypatch.setattr(cells, "train", counted)
    again = cells.trained(recipe, data, RANDOM, tmp_path / "cell.png", tmp_path / "cell")
    assert len(steps_done) == 10 - after
    assert {**whole, "images_per_second": 0} == {**again, "images_per_second": 0}
    assert (tmp_path / "whole.png").read_bytes() == (tmp_path / "cell.png").read_bytes()


def test_one_cell_that_cannot_be_done_ends_no_study(tmp_path, monkeypatch, capsys):
    def one(images, name, recipe, seed, options, eyes):
        (options.cells / f"{name}-{recipe}-seed{seed}").mkdir(parents=True)
        if recipe == "projected":
            raise DataError("the weights could not be fetched")
        if recipe == "biggan" and not seed:
            raise MemoryError
        return {"set": name, "recipe": recipe, "seed": seed, "failed": "nothing to see", "restarts": 0}

    monkeypatch.setattr(stability, "one", one)
    monkeypatch.setattr(stability, "seeing", lambda *_: None)
    monkeypatch.setattr(Images, "load", lambda _: None)
    monkeypatch.setattr(stability, "found", lambda *_: {"digits": Images(path="digits")})
    arguments = ["stability.py", "--sets", "digits", "--recipes", "projected", "biggan", "auto", "--images", "64", "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit, match="3 runs could not be done"):
        stability.main()
    said = capsys.readouterr().out
    assert "digits-projected-seed1: the weights could not be fetched" in said and "digits-biggan-seed0: MemoryError" in said
    left = sorted(path.name for path in (tmp_path / "64").iterdir())
    cut = ["digits-biggan-seed0", "digits-projected-seed0", "digits-projected-seed1"]
    done = ["digits-auto-seed0.json", "digits-auto-seed1.json", "digits-biggan-seed1.json"]
    assert left == sorted([*cut, *done, "table.md"]), "what was cut off keeps its checkpoints, what is done keeps none"


def test_a_cell_goes_on_with_what_was_decided(tmp_path, monkeypatch):
    told, plans = [], iter(["fp32", "bf16"])

    def decides(recipe, *_):
        return override(recipe, {"precision": next(plans)}), {"notes": ["decided"]}

    def cut_off(recipe, *_):
        told.append(recipe.run.precision)
        raise MemoryShortError("no memory")

    monkeypatch.setattr(stability, "plan", decides)
    monkeypatch.setattr(stability, "trained", cut_off)
    for _ in range(2):
        with pytest.raises(MemoryShortError):
            stability.one(Images(path="digits"), "digits", "dcgan", 0, Namespace(images=64, threads=1, cells=tmp_path), None)
    assert told == ["fp32", "fp32"]


def made_folder(where, images, scores):
    where.mkdir()
    (where / "recipe.json").write_text(json.dumps({"fields": {"data": {"path": "digits"}, "run": {"examples": images}}}))
    (where / "random.json").write_text(json.dumps(scores))


def test_true_fid_of_other_images_data_or_samples_is_not_shown(tmp_path):
    asked = {"out": tmp_path, "features": "random", "data": "digits", "images": 2000, "samples": 10_000}
    made_folder(tmp_path / "dcgan-0", 2000, {})
    made_folder(tmp_path / "dcgan-1", 2000, {"samples": 500})
    fid_table.check("dcgan", 0, Namespace(**asked))
    fid_table.check("dcgan", 1, Namespace(**asked | {"samples": 500}))
    fid_table.check("dcgan", 2, Namespace(**asked))
    for seed, other in ((0, {"images": 60_000}), (0, {"data": "mnist"}), (0, {"samples": 500}), (1, {})):
        with pytest.raises(SystemExit, match=rf"dcgan-{seed} was made with .*: choose another --out"):
            fid_table.check("dcgan", seed, Namespace(**asked | other))


def test_a_table_of_minutes_takes_no_results_of_images_and_none_of_other_minutes(tmp_path):
    def fits(folder, **asked):
        try:
            fashion.check(Namespace(**{"out": folder, "data": "digits", "minutes": 5.0, "images": 0} | asked))
        except SystemExit as error:
            assert str(error).endswith("choose another --out.")
            return False
        return True

    of_minutes, of_images = tmp_path / "minutes", tmp_path / "images"
    for folder, seen in ((of_minutes, 70400), (of_images, 60032)):
        folder.mkdir()
        (folder / "auto-0.json").write_text(json.dumps({"recipe": "auto", "seen": seen}))
    plan = {"data": {"path": "digits"}, "run": {"minutes": 5.0, "examples": 70400, "batch": 64}, "notes": []}
    (of_minutes / "auto-plan.json").write_text(json.dumps(plan))
    assert fits(of_minutes) and not fits(of_minutes, minutes=10.0) and not fits(of_minutes, images=60_000)
    assert not fits(of_minutes, images=70400) and not fits(of_minutes, data="mnist")
    assert fits(of_images, images=60_000) and not fits(of_images) and not fits(of_images, images=70_000)
    plan["run"]["examples"] = 60_000
    (of_images / "auto-plan.json").write_text(json.dumps(plan | {"budget": "60,000 images"}))
    assert fits(of_images, images=60_000) and not fits(of_images)
    (of_minutes / "dcgan-0.json").write_text(json.dumps({"recipe": "dcgan", "seen": 60032}))
    assert not fits(of_minutes), "no plan says that it had five minutes"


def finals(name, seeds, of):
    """A row for each weight and seed of a set: of(arm, seed) -> final distance."""
    arms = [*gamma.GRID, *gamma.STARTS]
    return [{"set": name, "arm": arm, "seed": k, "final": of(arm, k), "metric": "FID"} for arm in arms for k in range(seeds)]


def test_gamma_tells_which_weights_are_near_the_best_of_the_nine():
    def of(best):
        known = {arm: 10.0 + abs(k - best) for k, arm in enumerate(gamma.GRID)} | dict(zip(gamma.STARTS, (10.4, 9.0, math.inf)))
        return lambda arm, seed: known[arm] * (1 + seed)  # a seed that is worse for all is worse for none of them

    rows = finals("digits", 2, of(4)) + finals("crops", 2, of(6))  # the best is x1 in the one, x10 in the other
    told = gamma.table(rows)
    assert "Of the 2 sets" in told and "- the rule of auto (x1): 1, 1, 0; worst 1.20 times the best" in told
    assert "- x10: 1, 1, 0; worst 1.20" in told and "control from x0.01: 2, 0, 0; worst 1.04" in told
    assert "control from x1: 2, 0, 0; worst 0.90" in told and "control from x100: 0, 2, 0; worst inf" in told
    half = gamma.table(rows[:-1])
    assert "Of the 1 sets" in half and "| crops (FID) | 1 |" in half and " 11 more runs are of other seeds" in half
    alone = gamma.table([row for row in rows if not row["seed"]])
    assert "there is no verdict yet" in alone and "- x1" not in alone


def test_a_lucky_best_of_nine_is_not_what_weights_are_measured_by():
    """Of equally good weights each is lucky, by a half, in a seed of its own: measured by the others, it has nothing to show for it."""
    arms = [*gamma.GRID]
    seeds = gamma.whole(finals("digits", 9, lambda arm, seed: 5.0 if arm in arms and arms.index(arm) == seed else 10.0), "digits")
    mean, error = gamma.against(seeds, "x1")
    first = math.log(2) / 9  # in its own seed it is the lucky one; in the others the best of the others is lucky nowhere
    assert mean == pytest.approx(-first) and error == pytest.approx(first)
    assert min(sum(seed[arm] for seed in seeds.values()) / 9 for arm in gamma.GRID) < 10, "while the means look better than 10"


def test_the_error_of_a_ratio_is_by_hand_and_noise_leaves_the_verdict_open():
    rows = finals("digits", 3, lambda arm, seed: {"x1": 10.0, "control from x1": (10.0, 11.0, 12.0)[seed]}.get(arm, 20.0))
    seeds = gamma.whole(rows, "digits")
    logs = [math.log(ratio) for ratio in (1.0, 1.1, 1.2)]
    mean = sum(logs) / 3
    error = math.sqrt(sum((log - mean) ** 2 for log in logs) / 2 / 3)
    assert gamma.against(seeds, "control from x1") == pytest.approx((mean, error))
    assert "- control from x1: 0, 0, 1" in gamma.table(rows) and "- x100: 0, 1, 0" in gamma.table(rows)


def test_stability_tells_failures_words_and_what_was_held():
    def run(recipe, seed, **told):
        return {"set": "digits", "recipe": recipe, "seed": seed, **told}

    def went(final, best, word="learning"):
        numbers = {"metric": "FID", "final": final, "best": best, "ratio": final / best, "spread": 0.8, "coverage": 0.5}
        return {**numbers, "word": word, "words": {"learning": 49, word: 1}, "restarts": 0, "images_per_second": 500.0}

    rows = [run("dcgan", 0, **went(20.0, 10.0, "collapsing")), run("dcgan", 1, failed="diverged: NaN | here", restarts=3)]
    rows += [run("auto", 0, **went(5.1, 5.0)), run("auto", 1, **went(6.0, 5.0)), run("cogan", 0, refused="needs classes")]
    told = stability.table(rows)
    assert told.index("`auto`") < told.index("`dcgan`") < told.index("`cogan` refused: needs classes")
    assert "1 failed: diverged: NaN / here" in told and "collapsing 1" in told and "| 2.00 |" in told
    assert "4 runs: 1 failed, 0 were restarted, 1 ended with a word of the guard, 1 ended within 5 % of their best." in told
    table = stability.held(rows)
    assert "| digits | 1.020 | 1.200 | 1.200 |" in table and "At most 1.05: 1 of 2" in table


@pytest.mark.parametrize(
    ("where", "error", "kept"),
    [
        ("plan", DataError("the weights could not be fetched"), None),
        ("plan", MemoryShortError("no memory"), None),
        ("plan", UsageError("this size is not known"), "refused"),
        ("trained", StorageError("the disk is full"), None),
        ("trained", MemoryError(), None),
        ("trained", DataError("the model draws NaN"), "failed"),
        ("trained", DivergedError("NaN"), "failed"),
        ("trained", RuntimeError("shapes"), "failed"),
    ],
)
def test_what_the_machine_is_to_blame_for_is_no_result_of_a_recipe(where, error, kept, tmp_path, monkeypatch):
    def fails(*args):
        raise error

    monkeypatch.setattr(stability, "plan", lambda recipe, *args: (recipe, {"notes": []}))
    monkeypatch.setattr(stability, where, fails)
    asked = Images(path="digits"), "digits", "dcgan", 0, Namespace(images=64, threads=1, cells=tmp_path), None
    if kept is None:
        with pytest.raises(type(error)):
            stability.one(*asked)
    else:
        assert str(error) in stability.one(*asked)[kept]


def test_a_recipe_that_refuses_a_set_says_why(tmp_path):
    options = Namespace(images=64, threads=1, cells=tmp_path)
    row = stability.one(Images(path="digits", labels="none"), "digits", "semi-supervised", 0, options, None)
    assert "needs the class of some images" in row["refused"]


def test_every_recipe_of_images_is_measured_and_no_other():
    names = stability.generative()
    assert {"auto", "stylegan2", "semi-supervised", "began"} < {*names}
    assert not {"pix2pix", "cyclegan", "restore", "r3gan-ffhq256"} & {*names}


def told_of_holes(looks, perceptual=0.42):
    """A result of benchmarks/restore.py for holes, whose best classical method by PSNR is the biharmonic one."""
    means = {"PSNR": 24.6, "SSIM": 0.9, "perceptual": perceptual, "Delta-E": 1.7}
    ways = {"given": means, "classical": {**means, "perceptual": 0.3}, "faithful": means, "generator": means}
    found = {"ways": ways, "rival": "biharmonic", "rivals": {"telea 3": 22.2, "telea 7": 21.4, "biharmonic": 24.9}, "images": 20}
    row = {"task": "inpaint", "seed": 0, "eye": "eye", "minutes": 5.0, "seen": 64}
    return {**row, **{where: found | ({"looks": looks} if looks else {}) for where in ("fruit", "anything")}}


def test_the_texture_of_holes_is_measured_by_teleas_method_at_its_strongest():
    looks = {"telea 3": 0.50, "telea 7": 0.45, "biharmonic": 0.30}
    told = restore.goals([told_of_holes(looks)], "fruit")
    assert "| inpaint: generator looks closer than telea | 6.7% | met |" in told
    assert "| inpaint: faithful above telea, 22.20 dB, by 0.2 dB | +2.40 dB | met |" in told
    assert "looks closer than telea | -2.2% | not met |" in restore.goals([told_of_holes(looks, 0.46)], "fruit")
    whole = restore.report([told_of_holes(looks)], Namespace(threads=1))
    assert whole.count("| inpaint | telea 7 | 21.40 | 0.450 |") == 2


def test_older_results_of_holes_are_read_and_their_texture_is_not_guessed():
    rows = [told_of_holes({})]
    assert "| inpaint: generator looks closer than telea | not looked at |  |" in restore.goals(rows, "fruit")
    assert "| inpaint | telea 3 | 22.20 | - |" in restore.report(rows, Namespace(threads=1))


def test_every_classical_method_is_looked_at():
    x = torch.randint(0, 256, (2, 3, 16, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    eye = Sight("eye", lambda a, b: (a - b).abs().mean((1, 2, 3)))
    known = [Known(), Known()]
    found = restore.rival("super-resolution", restore.Test(x, x.float(), x[:, :, ::2, ::2], known), eye)
    assert {*found.looks} == {*found.scores} == {"nearest", "bicubic", "lanczos"} and found.name in found.scores
    test = restore.Test(x, x.float(), x, known)
    wanted = float((found.made.float() - x.float()).abs().mean() / 127.5)
    assert found.looks[found.name] == pytest.approx(wanted, rel=1e-5)
    assert restore.judged(found.made, test, eye)["perceptual"] == pytest.approx(wanted, rel=1e-5)


def test_stacked_digits_tell_each_seed_beside_real_ones():
    rows = [{"recipe": "auto", "seed": k, "seen": 1000, "seconds": 2.0, "modes": 990 + k, "kl": 0.1} for k in (0, 1)]
    told = stacked.table(rows, {"called": "stacked MNIST", "samples": 26_000, "accuracy": 0.99, "modes": 1000, "kl": 0.019})
    assert "| `auto` | **990.5** (990, 991) | **0.100** (0.100, 0.100) | 1 k | 500 |" in told and "| 1,000 | 0.019 |" in told


def test_the_goal_of_few_labels_is_a_quarter_of_the_error():
    errors = {100: (0.29, 0.4, 0.5, 0.5), 10: (0.32, 0.4, 0.5, 0.5)}
    rows = [{"labels": n, "seed": 0, "seen": 640, **dict(zip(semi_supervised.WAYS, each))} for n, each in errors.items()]
    told = semi_supervised.table(rows)
    assert told.index("| 10 |") < told.index("| 100 |") and "20%: goal missed" in told and "28%: goal met" in told


def test_diversity_means_over_seeds_and_tells_what_rejection_kept():
    found = [{"row": "dcgan", "seed": seed, "FD-classifier": 10.0 * (seed + 1), "recall": 0.25 * seed} for seed in (0, 1)]
    found.append({"row": "dcgan, drawn with --reject", "seed": 0, "kept": 0.5, "FD-classifier": 5.0, "recall": 0.125})
    lines = diversity.table(found).splitlines()
    assert lines[0] == "| | FD-classifier | recall | seeds |"
    assert lines[2] == "| `dcgan` | 15.0 (10.0, 20.0) | 0.125 | 2 |"
    assert lines[3] == "| `dcgan, drawn with --reject`, 50% of the seeds kept | 5.0 (5.0) | 0.125 | 1 |"


def test_options_are_told_as_they_are_typed():
    assert cells.typed({"pack": 2, "mode_seeking": 1.0, "networks": "dcgan_spread", "reject": True}) == (
        " --pack 2 --mode-seeking 1 --networks dcgan_spread --reject"
    )
    row = {"set": "digits", "recipe": "biggan", "seed": 0, "failed": "diverged"}
    assert "- `biggan --width 16`" in stability.table([row])
