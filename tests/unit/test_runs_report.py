"""The report: one file, nothing loaded, nothing run that is not ours, and no part missing without a word."""

from __future__ import annotations

import base64
import hashlib
import io
import itertools
import json
import re
from html.parser import HTMLParser

import pytest
import torch
from PIL import Image

from ganforge.core.guard.verdict import ADVICE
from ganforge.runs import report
from ganforge.runs.grid import grid, save_png

HOSTILE = "</script><script>alert('x')</script><img src=http://evil.example/x onerror=alert(1)>\"'&\x00é🎨"


class Page(HTMLParser):
    """Tags with attributes, and the text outside scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.open: list[str] = []
        self.text = self.script = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "input"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.script += data
        elif not self.open or self.open[-1] != "style":
            self.text += data

    def all(self, tag):
        return [a for t, a in self.tags if t == tag]


@pytest.fixture
def folder(tmp_path):
    run = tmp_path / "runs" / "photos-001"
    run.mkdir(parents=True)
    fields = {"data": {"path": HOSTILE, "size": 8}, "run": {"batch": 64, "examples": 1000, "minutes": 5.0}, "width": 32}
    spec = {"shape": [1, 8, 8], "classes": 2, "names": [HOSTILE, "b"], "count": 60}
    files = {
        "recipe.json": {"format": 1, "ganforge": "0.1.0", "recipe": "auto", "fields": fields, "spec": spec},
        "plan.json": {"notes": ["Width 32: " + HOSTILE], "images_per_second": 100.0, "parameters": {"generator": 640000}},
        "environment.json": {"cpu": HOSTILE},
        "data_report.json": {"summary": [HOSTILE], "skipped": [{"file": HOSTILE, "reason": "cut"}] * 60, "class_counts": {HOSTILE: 5}},
    }
    for name, content in files.items():
        (run / name).write_text(json.dumps(content))
    (run / "metrics.jsonl").write_text(
        "".join(json.dumps({"seen": s, "seconds": s / 10, "generator/loss": 1.0, HOSTILE: 2}) + "\n" for s in (250, 500))
    )
    for seen in (0, 250, 500):
        save_png(grid(torch.rand(4, 1, 8, 8)), run / "samples" / f"fakes_{seen:012d}.png")
    save_png(grid(torch.rand(4, 1, 8, 8)), run / "reals.png")
    return run


def read(folder) -> Page:
    return Page(report.write(folder).read_text(encoding="utf-8"))


def test_nothing_is_loaded_from_elsewhere(folder):
    page = read(folder)
    for tag, attributes in page.tags:
        assert tag not in ("link", "iframe", "object", "embed", "base", "form", "script") or (tag == "script" and not attributes)
        for name in ("src", "href", "xlink:href", "srcset", "action", "poster"):
            assert attributes.get(name, "data:").startswith("data:"), (tag, attributes)
    styles = re.findall(r"<style>(.*?)</style>", (folder / "report.html").read_text(), re.DOTALL)
    assert styles and not re.search(r"url\(|@import|http", "".join(styles))


def test_the_policy_allows_the_one_script_of_the_template_and_no_other(folder):
    page = read(folder)
    policy = next(a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy and len(page.all("script")) == 1
    assert f"'sha256-{base64.b64encode(hashlib.sha256(page.script.encode()).digest()).decode()}'" in policy


def test_hostile_names_appear_as_text_everywhere(folder):
    page = read(folder)
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert page.text.count("alert('x')") >= 7  # class, path, plan note, cpu, summary, skipped, counts
    assert "alert('x')" not in page.script
    assert page.open == []
    assert "60 files were skipped" in page.text and "… and 10 more" in page.text


def test_every_embedded_image_decodes_and_is_described(folder):
    images = read(folder).all("img")
    assert len(images) == 4
    for attributes in images:
        Image.open(io.BytesIO(base64.b64decode(attributes["src"].partition("base64,")[2]))).load()
        assert attributes["alt"]


def test_slider_ends_at_the_last_snapshot_and_only_that_one_shows(folder):
    page = read(folder)
    (slider,) = page.all("input")
    shots = [a for a in page.all("img") if "shot" in a["class"]]
    assert (slider["min"], slider["max"], slider["value"]) == ("0", "2", "2") and slider["aria-label"]
    assert ["hidden" in a for a in shots] == [True, True, False]
    assert [a["data-label"] for a in shots] == ["0 images seen (0%)", "250 images seen (25%)", "500 images seen (50%)"]


def test_many_snapshots_are_thinned_evenly_with_the_first_and_the_last(folder):
    for seen in range(1000, 101_000, 1000):
        save_png(Image.new("L", (2, 2)), folder / "samples" / f"fakes_{seen:012d}.png")
    (folder / "samples" / "fakes_init.png").write_bytes(b"not one of ours")
    kept = [seen for seen, _ in report.snapshots(folder)]
    assert len(kept) == 40 and kept[0] == 0 and kept[-1] == 100_000 and kept == sorted(set(kept))
    assert max(b - a for a, b in itertools.pairwise(kept)) <= 3000
    assert read(folder).all("input")[0]["max"] == "39"


def test_big_snapshots_are_made_small(folder):
    for path in (folder / "samples").iterdir():
        save_png(Image.effect_noise((1600, 1600), 50), path)
    assert report.write(folder).stat().st_size < 6_000_000 < 3 * path.stat().st_size


@pytest.mark.parametrize(("seen", "said"), [(500, "At 50% of the 1,000 planned."), (1000, "Finished."), (960, "Finished.")])
def test_status_says_how_far_it_came(folder, seen, said):
    (folder / "metrics.jsonl").write_text(json.dumps({"seen": seen, "seconds": 100.0}) + "\n")
    text = read(folder).text
    assert said in text and f"{seen:,} images in 2 minutes" in text
    assert ("gan resume runs/photos-001 continues" in text) == (seen == 500)


def test_the_guards_last_word_stands_there_with_its_advice_unless_all_is_well(folder):
    lines = [{"seen": 250, "health": "stalled"}, {"seen": 500, "health": "saturated"}, {"seen": 510}]
    for count, said in ((1, "stalled"), (3, "saturated")):
        (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines[:count]))
        assert f"Health: {said}. {ADVICE[said]}" in read(folder).text
    (folder / "metrics.jsonl").write_text(json.dumps({"seen": 500, "health": "learning"}) + "\n")
    assert "Health:" not in read(folder).text


def test_minutes_and_measured_speed_stand_in_for_missing_examples(folder):
    recipe = json.loads((folder / "recipe.json").read_text())
    recipe["fields"]["run"]["examples"] = 0
    (folder / "recipe.json").write_text(json.dumps(recipe))
    assert "of the 30,000 planned" in read(folder).text


def test_an_empty_folder_gives_a_page_that_says_what_is_missing(tmp_path):
    page = read(tmp_path)
    for part in ("Samples", "Real images", "Curves", "Plan", "Data report", "Recipe", "Environment"):
        assert f"{part}: not written yet." in page.text
    assert "No training step has been logged yet" in page.text and not page.all("input")


def test_damaged_files_are_left_out_and_told(folder, caplog):
    (folder / "plan.json").write_text('{"notes": [')
    (folder / "environment.json").write_text("[1, 2]")
    (folder / "samples" / f"fakes_{250:012d}.png").write_bytes(b"\x89PNG\r\n\x1a\nhalf")
    (folder / "reals.png").write_bytes(b"")
    page = read(folder)
    assert page.all("input")[0]["max"] == "1" and "Plan: not written yet." in page.text and "Real images: not written yet." in page.text
    assert "plan.json" in caplog.text and "fakes_000000000250.png" in caplog.text


def test_the_way_to_the_folder_stays_private(folder):
    text = report.write(folder).read_text()
    assert str(folder.parent.parent) not in text and "gan generate runs/photos-001" in text
