"""The pieces of the long measurements that decide what their tables say."""

import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import cells
import gamma
import semi_supervised
import sets
import stability
import stacked

from ganforge.core.recipe import override
from ganforge.data.images import Images
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


def test_a_run_is_scored_from_its_looks_and_leaves_a_picture(tmp_path):
    images = Images(path="digits")
    recipe = override(
        find("dcgan")(data=images),
        {"width": 4, "z": 4, "examples": 640, "batch": 64, "precision": "fp32", "layout": "contiguous", "threads": 1},
    )
    data = recipe.dataset()
    found = cells.trained(recipe, data, cells.Seeing(cells.find("random"), "mind"), tmp_path / "pictures" / "cell.png")
    assert [row["seen"] for row in found["curve"]] == [64 * k for k in range(1, 11)] and (tmp_path / "pictures" / "cell.png").is_file()
    values = [row["value"] for row in found["curve"]]
    assert found["final"] == values[-1] and found["best"] == min(values) and found["ratio"] == values[-1] / min(values)
    assert found["metric"] == "MIND-random" and found["restarts"] == 0 and sum(found["words"].values()) == 10
    json.dumps(found)


def test_gamma_tells_which_weights_are_near_the_best_of_the_nine():
    rows = []
    for name, at in (("digits", 0), ("crops", 2)):  # the best is x1 in the one, x10 in the other
        for k, arm in zip(range(-4, 5), gamma.GRID):
            rows.append({"set": name, "arm": arm, "seed": 0, "final": 10.0 + abs(k - at), "metric": "FID"})
        for start, final in zip(gamma.STARTS, (10.4, 9.0, math.inf)):
            rows.append({"set": name, "arm": start, "seed": 0, "final": final, "metric": "FID"})
    told = gamma.table(rows)
    assert "Of the 2 sets that are done" in told
    assert "- the rule of auto (x1): 1; worst 1.20 times the best" in told and "- x10: 1; worst 1.20" in told
    assert "control from x0.01: 2; worst 1.04" in told and "control from x1: 2; worst 0.90" in told
    assert "control from x100: 0; worst inf" in told
    half = gamma.table(rows[:-1])
    assert "Of the 1 sets" in half and "| - |" in half


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


def test_every_recipe_of_images_is_measured_and_no_other():
    names = stability.generative()
    assert {"auto", "stylegan2", "semi-supervised", "began"} < {*names}
    assert not {"pix2pix", "cyclegan", "restore", "r3gan-ffhq256"} & {*names}


def test_stacked_digits_tell_each_seed_beside_real_ones():
    rows = [{"recipe": "auto", "seed": k, "seen": 1000, "seconds": 2.0, "modes": 990 + k, "kl": 0.1} for k in (0, 1)]
    told = stacked.table(rows, {"called": "stacked MNIST", "samples": 26_000, "accuracy": 0.99, "modes": 1000, "kl": 0.019})
    assert "| `auto` | **990.5** (990, 991) | **0.100** (0.100, 0.100) | 1 k | 500 |" in told and "| 1,000 | 0.019 |" in told


def test_the_goal_of_few_labels_is_a_quarter_of_the_error():
    errors = {100: (0.29, 0.4, 0.5, 0.5), 10: (0.32, 0.4, 0.5, 0.5)}
    rows = [{"labels": n, "seed": 0, "seen": 640, **dict(zip(semi_supervised.WAYS, each))} for n, each in errors.items()]
    told = semi_supervised.table(rows)
    assert told.index("| 10 |") < told.index("| 100 |") and "20%: goal missed" in told and "28%: goal met" in told
