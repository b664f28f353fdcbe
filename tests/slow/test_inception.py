"""FID on the real Inception network from end to end: its weights (91 MB) are fetched once if they are not at hand."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import ganforge
from ganforge.core.errors import DataError
from ganforge.data.images import Images
from ganforge.metrics import frechet
from ganforge.metrics.features import Features, extract, find

from ..unit.test_metrics_features import test_activations_are_those_of_the_published_script as activations

pytestmark = pytest.mark.slow
COUNT = 50


@pytest.fixture(scope="module")
def inception() -> Features:
    try:
        return find("inception")
    except DataError as error:
        pytest.skip(f"the weights of Inception cannot be had here: {str(error).splitlines()[0]}")


@pytest.fixture(scope="module")
def clothes(tmp_path_factory):
    """Two folders of real clothes that share no image, and one of the first folder's images upside down."""
    place = tmp_path_factory.mktemp("inception")
    images = Images(path="fashion-small", flip="no").load().images
    for name, first in (("a", 0), ("b", COUNT), ("spoilt", 0)):
        (place / name).mkdir()
        for i, image in enumerate(images[first : first + COUNT]):
            pixels = image[0].numpy()
            Image.fromarray(pixels[::-1] if name == "spoilt" else pixels).save(place / name / f"{i:03d}.png")
    return place


@pytest.mark.parametrize("runtime", ["torch", "openvino"])
def test_activations_are_those_of_the_published_script_whatever_runs_them(inception, runtime, monkeypatch):
    known = importlib.util.find_spec
    if runtime == "openvino" and not known("openvino"):
        pytest.skip("openvino is not installed")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "openvino" != runtime else known(name, *more))
    assert find("inception").facts["runtime"].split()[0] == runtime
    activations()


def test_the_command_prints_the_fid_of_two_folders(inception, clothes):
    """The number is the Frechet distance of the network's features of the files, and is called FID."""
    words = ["evaluate", clothes / "a", "--data", clothes / "b", "--metrics", "fid"]
    ran = subprocess.run([sys.executable, "-m", "ganforge", *map(str, words)], capture_output=True, text=True, check=True)
    images = [Images(path="fashion-small", flip="no").load().images[first : first + COUNT] for first in (0, COUNT)]
    wanted = frechet.frechet_distance(*(extract(inception, part) for part in images))
    name, value = ran.stdout.splitlines()[1].split()[:2]
    assert name == "FID" and float(value) == pytest.approx(wanted, rel=1e-3)
    assert inception.facts["weights"] in ran.stdout and "judged 50 images" in ran.stdout
    assert "biased upwards" in ran.stdout, "50 images are few for 2,048 features"


def test_spoilt_images_are_farther_from_real_ones_than_other_real_ones_are(inception, clothes):
    near, far = (ganforge.evaluate(clothes / name, clothes / "b", metrics="fid,kid") for name in ("a", "spoilt"))
    assert far.values["FID"] > 1.3 * near.values["FID"]
    assert abs(near.values["KID"]) < 4 * near.errors["KID"] < far.values["KID"]


def test_a_set_is_at_no_distance_from_itself(inception, clothes):
    same = ganforge.evaluate(clothes / "a", Path(clothes / "a"), metrics="fid")
    assert same.values["FID"] == pytest.approx(0, abs=1e-3)
