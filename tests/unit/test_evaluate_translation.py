"""What stands beside a model that makes images of images: its input, and the best classical method, told what was done to the images."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import ganforge
from ganforge import cli
from ganforge.core import recipe as recipes_json
from ganforge.core.errors import DataError, UsageError
from ganforge.data.degrade import atoms
from ganforge.data.degrade.masks import scratches
from ganforge.methods import tasks
from ganforge.metrics import measure
from ganforge.metrics.classical import optics
from ganforge.metrics.colour import delta_e2000
from ganforge.metrics.pairs import psnr, ssim
from ganforge.recipes import find, name_of
from ganforge.runs import pictures, rivals
from ganforge.runs.model import write as write_model
from ganforge.runs.start import _plain_spec

SMALL = {"width": 8, "blocks": 1, "d_width": 8}


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GANFORGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("GANFORGE_OFFLINE", "1")


def soft(seed, side=32):
    pixels = np.random.default_rng(seed).integers(40, 216, (6, 6, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC))


def saved(folder, look=lambda image: image, count=4, first="", side=32):
    Path(folder).mkdir(parents=True, exist_ok=True)
    for k in range(count):
        Image.fromarray(look(soft(k, side))).save(f"{folder}/{first}{k}.png")
    return folder


def tensor(image):
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 127.5 - 1


def recipe_of(name, data, **options):
    kind = find(name)
    small = {key: value for key, value in SMALL.items() if key in recipes_json._places(recipes_json.on(kind, "x"))}
    return recipes_json.override(recipes_json.on(kind, data), {**small, **options})


def untrained(name, data, **options):
    """A folder with a model that has learnt nothing, and its recipe."""
    recipe = recipe_of(name, data, **options)
    spec = recipe.dataset().spec
    content = {"recipe": name_of(type(recipe)), "fields": recipes_json.describe(recipe), "spec": _plain_spec(spec)}
    write_model(Path("model"), content, recipe.method(spec).exports, "", {})
    return "model", recipe


def examples(**options):
    """The examples on which a model of restoration is judged, twice."""
    recipe = recipe_of("restore", saved("photos"), crop=32, **options)
    data = recipe.dataset()
    return [[*rivals.examples(recipe, recipe.method(data.spec), 1, data, 9)] for _ in range(2)]


def darker(image):
    return (image * 0.5 + 60).astype(np.uint8)


def test_beside_a_translation_stand_its_input_and_a_transfer_of_colours():
    saved("data/A"), saved("data/B", darker)
    model, _ = untrained("pix2pix", "data", size=32)
    found = ganforge.evaluate(model, "data", metrics="psnr,ssim")
    assert [*found.beside][0] == "unchanged" and len(found.beside) == 2
    (best,) = {*found.beside} - {"unchanged"}
    assert best.startswith(("reinhard", "histogram")) and found.beside[best]["PSNR"] > found.beside["unchanged"]["PSNR"] + 3
    pairs = [(tensor(soft(k)), tensor(darker(soft(k)))) for k in range(4)]
    for name, of in (("PSNR", psnr), ("SSIM", ssim)):
        wanted = np.mean([of(*pair).item() for pair in pairs])
        assert found.beside["unchanged"][name] == pytest.approx(wanted, rel=1e-4)
    assert [*found.per_example[0]] == ["PSNR", "SSIM", f"PSNR {best}", f"SSIM {best}"]
    assert np.mean([row[f"SSIM {best}"] for row in found.per_example]) == pytest.approx(found.beside[best]["SSIM"])
    assert list(found.examples) == [f"A/{k}.png" for k in range(4)] and "\nA/2.png  " in found.table()


def test_without_scikit_image_the_input_still_stands_beside_it(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "skimage.color", None)
    saved("data/A"), saved("data/B", darker)
    model, _ = untrained("pix2pix", "data", size=32)
    found = ganforge.evaluate(model, "data", metrics="psnr")
    assert [*found.beside] == ["unchanged"] and any(note.startswith("no classical method beside it: ") for note in found.notes)
    assert [*found.per_example[0]] == ["PSNR", "PSNR unchanged"]


def test_a_task_of_ones_own_has_the_rivals_of_its_damage():
    imports = "from ganforge.methods.tasks import Task\nfrom ganforge.networks.image.compose import Residual\n"
    Path("my.py").write_text(f"{imports}mine = Task('gaussian-blur', Residual)\n")
    model, recipe = untrained("restore", saved("photos", side=48), task="my.py:mine", crop=32)
    assert rivals.task_of(recipe) == "deblur"
    found = ganforge.evaluate(model, "photos", metrics="psnr", samples=2, code=["my.py"])
    assert "unchanged" in found.beside and "faithful" in found.beside
    assert found.beside["unchanged"]["PSNR"] == pytest.approx(found.values["PSNR"], abs=0.01), "an untrained network changes nothing"
    assert found.settings["classical"] and not found.notes


def test_what_is_sharpened_from_pairs_meets_its_input_and_unsharp_masks():
    from PIL import ImageFilter

    saved("data/sharp"), saved("data/blur", lambda image: np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(1.5))))
    model, _ = untrained("restore", "data", task="deblur", crop=32)
    found = ganforge.evaluate(model, "data", metrics="psnr")
    (best,) = {*found.beside} - {"unchanged", "faithful"}
    assert best.startswith("unsharp") and found.beside[best]["PSNR"] > found.beside["unchanged"]["PSNR"]
    assert list(found.examples) == [f"blur/{k}.png" for k in range(4)] and not any("no classical" in note for note in found.notes)


@pytest.mark.parametrize("damage", ["", "gaussian-blur"])
def test_deblurring_is_told_the_kernel_of_each_image(damage):
    first, again = examples(task="deblur", damage=damage)
    for one, other in zip(first, again, strict=True):
        assert torch.equal(one.given, other.given) and (one.known.kernel == other.known.kernel).all()
        kernel = torch.from_numpy(one.known.kernel)[None].flip(1, 2)
        assert ((one.given - atoms.blur(one.x, kernel)).std() * 127.5) < 3.6, "the noise alone is left"


def test_each_image_has_a_level_of_the_range_and_its_rival_is_told():
    first, again = examples(task="denoise", sigma="5-30", hold_out=0.0)
    assert all(torch.equal(a.given, b.given) and a.known.sigma == b.known.sigma for a, b in zip(first, again, strict=True))
    levels = [one.known.sigma for one in first]
    assert levels == pytest.approx([(one.given - one.x).std().item() * 127.5 for one in first], rel=0.1)
    assert max(levels) - min(levels) > 3
    first, again = examples(task="dejpeg", quality="10-60", hold_out=0.0)
    assert all(torch.equal(one.given, atoms.jpeg(one.x, torch.tensor([one.known.quality]))) for one in (*first, *again))
    assert len({one.known.quality for one in first}) > 1


def test_a_model_of_a_range_is_judged_beside_methods_that_know_the_level():
    model, _ = untrained("restore", saved("photos"), task="dejpeg", quality="5-90", crop=32)
    found = ganforge.evaluate(model, "photos", metrics="psnr", samples=3)
    assert found.values == ganforge.evaluate(model, "photos", metrics="psnr", samples=3).values
    assert "unchanged" in found.beside and found.settings["classical"]


def test_other_damage_than_the_tasks_own_has_its_own_rivals():
    recipe = recipe_of("restore", "photos", task="denoise", damage="jpeg")
    assert rivals.task_of(recipe) == "dejpeg" and rivals.task_of(recipe_of("restore", "x", damage="web")) == "super-resolution"
    names = [name for name, task in vars(tasks).items() if isinstance(task, tasks.Task)]
    assert [rivals.task_of(recipe_of("restore", "x", task=name)) for name in names] == [name.replace("_", "-") for name in names]
    first, _ = examples(task="inpaint", damage="scratches")
    torch.manual_seed(0)
    assert (first[0].known.hole == (scratches(1, 32, 32)[0, 0] > 0.5).numpy()).all()


def test_colours_are_judged_by_their_difference_to_the_eye():
    model, _ = untrained("restore", saved("photos"), task="colourise", crop=32)
    found = ganforge.evaluate(model, "photos")
    assert [*found.values][:3] == ["PSNR", "SSIM", "Delta-E"] and "grey" in found.beside
    photos = [tensor(soft(k)) for k in range(4)]
    wanted = np.mean([delta_e2000(atoms.stored(atoms.luma(x)).expand(-1, 3, -1, -1), x).item() for x in photos])
    assert found.beside["grey"]["Delta-E"] == pytest.approx(wanted, rel=0.02)
    assert all({"PSNR", "SSIM", "Delta-E"} <= {*numbers} for numbers in found.beside.values())
    assert not measure.higher_is_better("Delta-E") and re.search(r"^Delta-E .* lower$", found.table(), re.MULTILINE)
    assert [*ganforge.evaluate(model, "photos", metrics="delta-e").values] == ["Delta-E"]


def test_nobody_is_judged_with_dots_of_true_colour():
    first, _ = examples(task="colourise", hold_out=0.0)
    recipe = recipe_of("restore", "photos", crop=32, task="colourise", hold_out=0.0)
    data = recipe.dataset()
    method = recipe.method(data.spec)
    torch.manual_seed(0)
    assert method.given(data.shown(4))[:, 3].any(), "what is learnt from has some"
    drawn, x = pictures.inputs(method, data, 4)
    batches = [one.given for one in first] + [drawn]
    assert len(first) == 4 and not any(given[:, 1:].any() for given in batches)
    for given, wanted in zip(batches, [one.x for one in first] + [x], strict=True):
        assert given.shape[1] == 4 and torch.equal(given[:, :1], atoms.stored(atoms.luma(wanted)))
        assert given.shape[2:] == wanted.shape[2:]


def test_what_is_no_hint_stays_when_a_model_is_judged():
    recipe = recipe_of("restore", saved("photos"), crop=32, task="inpaint")
    data = recipe.dataset()
    method = recipe.method(data.spec)
    given, _ = pictures.inputs(method, data, 4)
    torch.manual_seed(0)
    assert torch.equal(given, method.given(data.shown(4))) and given[:, 3].any()


def test_the_rival_of_large_holes_is_one_that_can_fill_them_and_a_note_says_so(monkeypatch):
    model, _ = untrained("restore", saved("photos"), task="inpaint", damage="boxes", crop=32)
    found = ganforge.evaluate(model, "photos", metrics="psnr")
    assert "biharmonic" in found.beside and not any("biharmonic" in note for note in found.notes), "it is the best where it can be had"
    monkeypatch.setattr(optics, "LARGEST", 3)
    found = ganforge.evaluate(model, "photos", metrics="psnr")
    (best,) = {*found.beside} - {"faithful"}
    assert best.split()[0] in ("telea", "navier-stokes", "smoothest") and found.settings["classical"]
    assert any("biharmonic filling is not among the classical methods" in note for note in found.notes)


def test_one_photograph_with_a_large_hole_decides_for_all(monkeypatch):
    recipe = recipe_of("restore", saved("photos"), crop=32, task="inpaint", damage="boxes", hold_out=0.0)
    data = recipe.dataset()
    judged = iter([True, False, True, True])
    monkeypatch.setattr(optics, "solvable", lambda hole: next(judged, True))
    found = rivals.chosen(recipe, recipe.method(data.spec), 1, data, 4)
    assert found.task == "inpaint" and found.best and found.best != "biharmonic" and found.notes == (rivals.LARGE,)


def test_a_model_of_two_domains_is_judged_where_there_are_pairs(capsys):
    saved("learnt/trainA"), saved("learnt/trainB", darker)
    model, _ = untrained("cut", "learnt", size=32, blocks=5)
    with pytest.raises(UsageError, match="without pairs, so there is no right answer .* --data FOLDER with A/ and B/"):
        ganforge.evaluate(model)
    saved("pairs/A", count=3), saved("pairs/B", darker, count=3)
    found = ganforge.evaluate(model, "pairs", metrics="psnr,ssim")
    assert {"unchanged"} < {*found.beside} and found.settings["judged"].startswith("3 whole images")
    assert "3 pairs of the same name: A is A, B is B" in found.notes
    saved("none/A"), saved("none/B", darker, first="b")
    with pytest.raises(DataError, match="(?s)without pairs, so there is no right answer .* In none: A and B hold 0 pairs of the same name"):
        ganforge.evaluate(model, "none")
    with pytest.raises(SystemExit) as left:
        cli.main(["evaluate", model, "pairs", "--metrics", "psnr"])
    assert not left.value.code and "unchanged" in capsys.readouterr().out
