"""Data are found again when the working folder, the run, or both have moved."""

from __future__ import annotations

import json
import shutil

import pytest

from ganforge.core.errors import CheckpointError, DataError, UsageError
from ganforge.data import where
from ganforge.data.images import Images
from tests.faults.make import encoded, fill, noise


def load(options):
    return options.load()


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Data and run beside each other, and what the run keeps of the data."""
    monkeypatch.setenv("GANFORGE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "a" / "run").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a")
    fill(tmp_path / "a" / "photos")
    lines = "".join(f"good{k}.png,{'xy'[k % 2]}\n" for k in range(4))
    (tmp_path / "a" / "photos" / "mine.csv").write_text(lines)
    return tmp_path


@pytest.mark.parametrize("labels", ["auto", "photos/mine.csv"])
def test_data_are_found_wherever_run_and_user_stand(place, monkeypatch, labels):
    options = Images(path="photos", labels=labels)
    first, kept = load(options).fingerprint, where.places(options, place / "a" / "run")
    assert json.loads(json.dumps(kept)) == kept

    def again(run, moved=""):
        return where.again(options, load, kept, run, first, moved)[1]

    monkeypatch.chdir("/")
    assert again(place / "a" / "run").fingerprint == first
    shutil.move(place / "a", place / "b")  # both together
    assert again(place / "b" / "run").fingerprint == first
    shutil.move(place / "b" / "photos", place / "elsewhere")
    with pytest.raises(CheckpointError, match=r"no longer at .*/a/photos.* gan resume .*/b/run --data NEWPATH"):
        again(place / "b" / "run")
    assert again(place / "b" / "run", str(place / "elsewhere")).fingerprint == first
    monkeypatch.chdir(place)
    assert again(place / "b" / "run", "elsewhere").fingerprint == first
    shutil.move(place / "elsewhere", place / "photos")  # as it was typed, from another working folder
    assert again(place / "b" / "run").fingerprint == first


def test_another_folder_of_that_name_is_not_taken_for_the_data(place, monkeypatch):
    options = Images(path="photos")
    first, kept = load(options).fingerprint, where.places(options, place / "a" / "run")
    shutil.copytree(place / "a", place / "b")
    (place / "a" / "photos" / "good0.png").write_bytes(encoded(noise(99)))  # where it was: changed since
    found, data = where.again(options, load, kept, place / "b" / "run", first)
    assert data.fingerprint == first and found.path == str(place / "b" / "photos")
    (place / "b" / "photos" / "good1.png").write_bytes(encoded(noise(98)))
    monkeypatch.chdir("/")
    found, data = where.again(options, load, kept, place / "b" / "run", first)
    assert data.fingerprint != first and found.path == str(place / "a" / "photos")  # whoever asked compares and complains


def test_a_label_file_outside_the_data_and_built_in_names_are_kept(place, monkeypatch):
    shutil.move(place / "a" / "photos" / "mine.csv", place / "a" / "mine.csv")
    options = Images(path="photos", labels="mine.csv")
    first, kept = load(options).fingerprint, where.places(options, place / "a" / "run")
    shutil.move(place / "a", place / "b")
    monkeypatch.chdir("/")
    assert where.again(options, load, kept, place / "b" / "run", first)[1].fingerprint == first
    digits = Images(path="digits")
    assert where.places(digits, place / "run") == {}
    assert where.again(digits, load, {}, place / "run", load(digits).fingerprint)[0] == digits


def test_a_wrong_new_path_says_why(place):
    options = Images(path="photos")
    kept = where.places(options, place / "a" / "run")
    with pytest.raises(UsageError, match="does not exist"):
        where.again(options, load, kept, place / "a" / "run", "0", "nowhere/at/all")
    (place / "empty").mkdir()
    with pytest.raises(DataError, match="holds no images"):
        where.again(options, load, kept, place / "a" / "run", "0", str(place / "empty"))
