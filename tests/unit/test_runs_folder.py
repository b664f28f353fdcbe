"""Run folders: names, numbers, JSON files and the history."""

import json
import os
import threading
from pathlib import Path

import pytest

from ganforge.core.errors import CheckpointError, StorageError, UsageError
from ganforge.runs import folder as folders
from ganforge.runs.folder import Folder
from ganforge.runs.pictures import next_step


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("data", "stem"),
    [
        ("digits", "digits"),
        ("photos/", "photos"),
        ("/a b/My Photos (2024)", "My-Photos-2024"),
        ("cats.zip", "cats"),
        ("кошки", "run"),
        ("日本/猫 cats", "cats"),
        ("../..", "run"),
        (".", "run"),
        ("--rm -rf", "rm--rf"),
        ("a'b\"c;d|e", "a-b-c-d-e"),
        ("x\ny", "x-y"),
    ],
)
def test_folders_are_named_after_the_data_in_plain_characters(data, stem):
    assert folders.create("", data).path == Path(f"runs/{stem}-001")


def test_numbers_go_on_from_the_highest_and_never_reuse_a_gap():
    for name in ("digits-001", "digits-007", "digits-old", "digits-x-900", "digits-0x9", "other-050"):
        Path("runs", name).mkdir(parents=True)
    assert folders.create("", "digits").path.name == "digits-008"
    assert folders.create("", "digits").path.name == "digits-009"
    Path("runs/digits-999").mkdir()
    assert folders.create("", "digits").path.name == "digits-1000"
    assert folders.create("", "digits").path.name == "digits-1001"


def test_names_with_pattern_characters_are_taken_literally():
    Path("runs/a[b]-001").mkdir(parents=True)
    assert folders.create("", "a[b]").path.name == "a-b-001"


def test_runs_started_at_once_get_a_folder_each():
    got = []
    threads = [threading.Thread(target=lambda: got.append(folders.create("", "digits").path.name)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == [f"digits-{i:03d}" for i in range(1, 9)]


def test_out_may_be_new_nested_or_empty():
    assert folders.create("a/b c/d", "digits").path == Path("a/b c/d")
    Path("empty").mkdir()
    assert folders.create("empty", "digits").path == Path("empty")
    assert (Path("empty") / "samples").is_dir()


def test_out_that_holds_anything_is_refused():
    Path("full").mkdir()
    Path("full/x").touch()
    Path("file").touch()
    for name in ("full", "file"):
        with pytest.raises(UsageError, match=f"--out {name} exists and is not empty.*gan resume {name}"):
            folders.create(name, "digits")


def test_out_that_cannot_be_made_is_a_storage_error(monkeypatch):
    Path("file").touch()
    with pytest.raises(StorageError, match="could not be made"):
        folders.create("file/inside", "digits")
    monkeypatch.setattr(Path, "mkdir", lambda *a, **k: (_ for _ in ()).throw(PermissionError(13, "Permission denied")))
    with pytest.raises(StorageError, match="Permission denied"):
        folders.create("", "digits")


def test_out_understands_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert folders.create("~/r", "digits").path == tmp_path / "r"


def test_a_folder_that_is_no_run_names_the_runs_there():
    with pytest.raises(CheckpointError, match="nothing is not a run. Runs here: none yet; start one with"):
        folders.open_run("nothing")
    for name in ("runs/a-001", "runs/b-001"):
        Path(name).mkdir(parents=True)
        Path(name, "recipe.json").write_text("{}")
    for wrong in ("nothing", "runs"):
        with pytest.raises(CheckpointError, match="runs/a-001, runs/b-001"):
            folders.open_run(wrong)
    assert folders.open_run("runs/a-001").path == Path("runs/a-001")
    Path("pictures").mkdir()
    with pytest.raises(CheckpointError, match="pictures is not a run. Runs here: runs/a-001, runs/b-001"):
        folders.open_run("pictures")


def test_paths_in_commands_can_be_typed():
    assert folders.Folder(Path("runs/mit leer")).typed == "'runs/mit leer'"
    assert next_step(Path("runs/mit leer"), {}) == "gan generate 'runs/mit leer' --seeds 0-63"
    assert next_step(Path("run"), {"columns": ["given"]}, "denoise") == "gan apply run PHOTO -o made.png"
    assert next_step(Path("run"), {"columns": ["given"]}, "inpaint") == "gan apply run PHOTO --mask MASK -o made.png"


def test_json_is_written_whole_and_read_back_in_any_language():
    folder = Folder(Path())
    folder.write_json("x.json", {"name": "кошка 猫", "n": 1})
    assert folder.json("x.json") == {"name": "кошка 猫", "n": 1} and "猫" in Path("x.json").read_text(encoding="utf-8")
    assert os.listdir() == ["x.json"]


def test_missing_and_damaged_json_are_told_apart():
    with pytest.raises(CheckpointError, match="has no recipe.json: it is not a run"):
        Folder(Path()).json("recipe.json")
    for content in (b'{"a":', b"\xff\xfe", b""):
        Path("recipe.json").write_bytes(content)
        with pytest.raises(CheckpointError, match="recipe.json is damaged"):
            Folder(Path()).json("recipe.json")


def lines(*seen):
    return "".join(json.dumps({"seen": s, "loss": s / 3}) + "\n" for s in seen)


def test_a_history_is_read_up_to_a_torn_line():
    Path("metrics.jsonl").write_text(lines(1, 2) + '{"seen": 3, "lo')
    assert [line["seen"] for line in Folder(Path()).history()] == [1, 2]


def test_no_history_is_an_empty_one():
    assert Folder(Path()).history() == []
    Folder(Path()).forget_after(5)
    assert not Path("metrics.jsonl").exists()


@pytest.mark.parametrize(("at", "kept"), [(3, (1, 2)), (4, (1, 2, 3)), (0, ()), (99, (1, 2, 3))])
def test_readings_from_the_checkpoint_on_are_forgotten(at, kept):
    Path("metrics.jsonl").write_text(lines(1, 2, 3))
    Folder(Path()).forget_after(at)
    assert Path("metrics.jsonl").read_text() == lines(*kept)


def test_a_torn_last_line_is_forgotten_so_that_the_next_starts_afresh():
    Path("metrics.jsonl").write_text(lines(1, 2) + '{"seen"')
    Folder(Path()).forget_after(50)
    assert Path("metrics.jsonl").read_text() == lines(1, 2)
    Path("metrics.jsonl").write_text(lines(1, 2)[:-1])  # whole, but for its end of line
    Folder(Path()).forget_after(50)
    assert Path("metrics.jsonl").read_text() == lines(1, 2)


def test_a_history_that_needs_nothing_forgotten_is_not_rewritten():
    Path("metrics.jsonl").write_text(lines(1, 2))
    before = Path("metrics.jsonl").stat().st_ino
    Folder(Path()).forget_after(3)
    assert Path("metrics.jsonl").stat().st_ino == before
