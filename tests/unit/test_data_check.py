"""`gan check DATA`: an honest summary, nothing changed."""

from __future__ import annotations

import json
import shutil

import pytest

from ganforge import cli
from ganforge.data.advice import advice
from ganforge.data.describe import summary
from ganforge.data.images import Images
from tests.faults.make import encoded, fill, noise, state


@pytest.fixture
def check(tmp_path, monkeypatch, capfd):
    """Runs the command beside a folder `photos`: (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GANFORGE_CACHE", str(tmp_path / "cache"))
    fill(tmp_path / "photos", 12)
    (tmp_path / "photos" / "half.jpg").write_bytes(encoded(noise(1), "JPEG")[:300])
    (tmp_path / "photos" / "again.png").write_bytes(encoded(noise(0)))

    def call(*words):
        with pytest.raises(SystemExit) as left:
            cli.main(["check", *words])
        out, err = capfd.readouterr()
        return left.value.code or 0, out, err

    return call


def test_check_prints_what_training_prints_and_writes_only_where_told(check, tmp_path):
    before = state(tmp_path / "photos")
    code, out, _ = check("photos")
    assert code == 0 and sorted(p.name for p in tmp_path.iterdir()) == ["photos"]
    lines = out.splitlines()
    assert lines[:2] == ["14 files · 13 usable · 1 skipped (1 truncated)", lines[1]] and lines[1].startswith("skipped half.jpg: truncated")
    assert lines == summary(Images(path="photos").load())
    code, out, _ = check("photos", "--out", "data_report.json", "--size", "16", "--colour", "grey")
    told = json.loads((tmp_path / "data_report.json").read_text())
    assert code == 0 and out.splitlines()[-1] == "report in data_report.json"
    assert told["summary"] == out.splitlines()[:-1] and told["duplicates"] == 1 and told["size"] == [16, 16] and told["channels"] == 1
    assert told["fingerprint"] == Images(path="photos", size="16", colour="grey").load().fingerprint
    assert state(tmp_path / "photos") == before


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["photos", "--out", "photos/data_report.json"], 2, "lies inside the data"),
        (["photos", "--out", "photos"], 2, "lies inside the data"),
        (["photos", "--out", "notes.txt"], 2, "is no .json file"),
        (["photos", "--out", "nowhere/r.json"], 5, "could not be written to nowhere/r.json"),
        (["photos", "--strict"], 3, "half.jpg: truncated"),
        (["photos", "--size", "12.5"], 2, "size must be"),
        (["photoss/x"], 2, "does not exist"),
        ([], 2, "say what to look at: gan check DATA"),
        (["photos", "--path", "x"], 2, "DATA comes first"),
        (["photos", "--batch", "3"], 2, "--batch"),
    ],
)
def test_check_refuses_in_words(check, tmp_path, words, code, says):
    (tmp_path / "notes.txt").write_text("mine")
    before = state(tmp_path / "photos")
    got, _, err = check(*words)
    assert got == code and says in err and "Traceback" not in err
    assert state(tmp_path / "photos") == before and (tmp_path / "notes.txt").read_text() == "mine"


def test_check_helps(check):
    code, out, _ = check("--help")
    assert code == 0 and "--drop-unlabelled" in out and "--out" in out


def test_training_prints_the_same_summary_and_keeps_it(check, tmp_path, capfd):
    _, expected, _ = check("photos")
    tiny = ["--recipe", "dcgan", "--width", "8", "--z", "8", "--batch", "8", "--examples", "16", "--threads", "1"]
    before = state(tmp_path / "photos")
    with pytest.raises(SystemExit):
        cli.main(["train", "photos", *tiny, "--precision", "fp32", "--layout", "contiguous", "--out", "run"])
    heard = capfd.readouterr()
    assert all(line in heard.out + heard.err for line in expected.splitlines())
    assert json.loads((tmp_path / "run" / "data_report.json").read_text())["summary"] == expected.splitlines()
    assert state(tmp_path / "photos") == before
    with pytest.raises(SystemExit) as left:  # moved together, and asked for from elsewhere
        shutil.move(tmp_path / "photos", tmp_path / "data")
        cli.main(["resume", "run", "--data", "data"])
    assert not left.value.code


@pytest.mark.parametrize(
    ("report", "says"),
    [
        ({"reasons": {"Git LFS pointer": 3}}, "git lfs pull"),
        ({"reasons": {"too small": 3}}, "--min-side 1"),
        ({"reasons": {"truncated": 3}}, "--salvage"),
        ({"duplicates": 30}, "--dedup exact"),
        ({"near_duplicates": 30}, "--dedup near"),
        ({"deep": {"count": 2, "low": 0.0, "high": 4095.0}}, "--window 0,4095"),
        ({"enlarged": 200}, "a smaller --size"),
        ({"extreme_aspect": 200, "fit": "crop"}, "--fit pad"),
        ({"outliers": ["a.png"]}, "a.png"),
        ({"usable": 100}, "100 images are few"),
        ({"class_counts": {"a": 1, "b": 9}}, "single image (a)"),
        ({"class_counts": {"a": 2, "b": 99}}, "very uneven"),
    ],
)
def test_every_advice_has_its_reason_and_none_comes_without(report, says):
    calm = {"usable": 1200, "fit": "crop", "class_counts": {"a": 10, "b": 12}}
    assert advice(calm) == []
    told = advice(calm | report)
    assert len(told) == 1 and says in told[0]
