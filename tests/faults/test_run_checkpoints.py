"""Faults 37, 38, 39: what is found when a run is resumed is not what was left."""

import hashlib
import json
import os
import shutil
import struct
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

import ganforge
from ganforge.core import checkpoint
from ganforge.core.errors import CheckpointError, GanforgeError

from .make import PEAK
from .runs import newest, quick, same, state, train
from .test_run_machine import photos


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    quick(monkeypatch)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        quick(patch)
        return train(tmp_path_factory.mktemp("whole") / "run").folder


@pytest.fixture
def run(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "run")


def edit(path, **changes):
    """Change values of a JSON file, given by their dotted name with __ for dots."""
    content = json.loads(path.read_text())
    for name, value in changes.items():
        *way, last = name.split("__")
        place = content
        for key in way:
            place = place[key]
        place[last] = value
    path.write_text(json.dumps(content))


def reseal(place):
    """A manifest that fits the files as they are: what a forger would write."""
    lines = [f"{hashlib.sha256((place / name).read_bytes()).hexdigest()}  {name}\n" for name in ("state.safetensors", "state.json")]
    (place / "MANIFEST.sha256").write_text("".join(lines))


def reseal_all(run):
    for place in (run / "ckpt").glob("[0-9]*"):
        reseal(place)


# ---- 37: changes


def test_fault_37_changed_data_stops_and_is_told_and_goes_on_only_by_force(tmp_path, capsys):
    made = train(tmp_path / "run", photos(tmp_path / "photos", 20), examples=32)
    photos(tmp_path / "more", 3)
    for i in range(3):
        shutil.move(tmp_path / "more" / f"photo {i}.png", tmp_path / "photos" / f"new {i}.png")
    with pytest.raises(CheckpointError, match=r"changed since the run began .23 usable examples, were 20; fingerprint") as caught:
        ganforge.resume(made.folder)
    assert f"gan resume {made.folder} --force" in str(caught.value) and caught.value.exit_code == 6
    assert ganforge.resume(made.folder, force=True).finished
    assert "going on with a change: the data at" in " ".join(capsys.readouterr().out.split())
    assert ganforge.resume(made.folder).finished, "what was forced once is the run's data now"


def test_fault_37_a_changed_held_out_part_is_told_too(tmp_path, capsys):
    (tmp_path / "photos").mkdir()
    photos(tmp_path / "photos" / "train", 20)
    held = photos(tmp_path / "photos" / "test", 4)
    made = train(tmp_path / "run", tmp_path / "photos", examples=32)
    (held / "photo 0.png").unlink()
    with pytest.raises(CheckpointError, match=r"the held-out part of the data changed .* \(3 images now\)") as caught:
        ganforge.resume(made.folder)
    assert f"gan resume {made.folder} --force" in str(caught.value) and caught.value.exit_code == 6
    assert ganforge.resume(made.folder, force=True).finished
    assert "going on with a change: the held-out part" in " ".join(capsys.readouterr().out.split())
    assert ganforge.resume(made.folder).finished, "what was forced once is the run's data now"


def test_fault_37_data_that_are_gone_are_named(tmp_path):
    made = train(tmp_path / "run", photos(tmp_path / "photos", 20), examples=32)
    shutil.rmtree(tmp_path / "photos")
    with pytest.raises(GanforgeError, match="photos"):
        ganforge.resume(made.folder)


def test_fault_37_a_changed_option_is_refused_with_both_values(run):
    edit(run / "recipe.json", fields__lr=0.5, fields__run__seed=9)
    with pytest.raises(
        CheckpointError, match=r"recipe.json changed since the run was saved: lr is 0.5, was 0.0002; run.seed is 9, was 0"
    ) as caught:
        ganforge.resume(run)
    assert "--force" in str(caught.value)
    assert ganforge.resume(run, force=True).finished


def test_fault_37_options_that_compute_nothing_may_change(run, whole):
    edit(run / "recipe.json", fields__run__save_minutes=1.0, fields__run__minutes=3.0)
    assert ganforge.resume(run).finished
    same(whole, run)


def test_fault_37_another_torch_and_other_threads_are_told(run, capsys):
    edit(run / "environment.json", versions__torch="1.0")
    edit(run / "recipe.json", fields__run__threads=2)
    threads = torch.get_num_threads()
    assert ganforge.resume(run).finished
    torch.set_num_threads(threads)
    out = " ".join(capsys.readouterr().out.split())
    assert "the run began with torch 1.0, this is" in out and "run.threads is 2, was 1: the last bits may differ" in out


@pytest.mark.parametrize("name", ["recipe.json", "data_report.json"])
def test_fault_37_a_missing_file_is_named(run, name):
    (run / name).unlink()
    with pytest.raises(CheckpointError, match=name if name != "recipe.json" else "is not a run"):
        ganforge.resume(run)


# ---- 38: damage


def flip(path):
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 1
    path.write_bytes(bytes(body))


DAMAGE = {"truncated": lambda p: p.write_bytes(p.read_bytes()[: p.stat().st_size // 2]), "bit-flipped": flip, "gone": lambda p: p.unlink()}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("file", ["state.safetensors", "state.json", "MANIFEST.sha256"])
def test_fault_38_a_damaged_checkpoint_is_passed_over_with_a_notice_for_the_one_before(run, whole, capsys, damage, file):
    name = newest(run).name
    DAMAGE[damage](newest(run) / file)
    assert ganforge.resume(run).finished
    out = " ".join(capsys.readouterr().out.split())
    assert f"the checkpoint {name}: " in out and "taking the one before it, of 176" in out
    same(whole, run)


def test_fault_38_with_no_whole_checkpoint_each_is_told(run):
    for place in (run / "ckpt").glob("[0-9]*"):
        flip(place / "state.safetensors")
    with pytest.raises(
        CheckpointError, match=r"(?s)no checkpoint in .* can be read:.*192: state.safetensors is damaged.*176: state"
    ) as caught:
        ganforge.resume(run)
    assert caught.value.exit_code == 6


def test_fault_38_without_any_checkpoint_a_run_says_that_it_starts_from_the_beginning(run, whole, capsys):
    shutil.rmtree(run / "ckpt")
    assert ganforge.resume(run).finished
    assert "no checkpoint found: it starts from the beginning" in capsys.readouterr().out
    same(run, whole)


def test_fault_38_a_newer_format_is_told(run):
    for place in (run / "ckpt").glob("[0-9]*"):
        edit(place / "state.json", format=99)
    reseal_all(run)
    with pytest.raises(CheckpointError, match="written by a newer Ganforge .format 99"):
        ganforge.resume(run)


def test_fault_38_a_newest_of_a_newer_format_is_neither_passed_over_nor_deleted(run):
    edit(newest(run) / "state.json", format=99)
    reseal(newest(run))
    name = newest(run).name
    with pytest.raises(CheckpointError, match="written by a newer Ganforge .format 99"):
        ganforge.resume(run)
    assert newest(run).name == name


def test_fault_38_a_later_checkpoint_of_a_course_that_was_left_is_not_taken(run):
    """A kill between LATEST and the removal of what was rolled back."""
    (run / "ckpt" / "LATEST").write_text(f"{176:012d}")
    assert checkpoint.read(run)[1]["seen"] == 176
    shutil.rmtree(run / "ckpt" / f"{176:012d}")
    assert checkpoint.read(run)[1]["seen"] == 192, "the pointer points nowhere: names decide"


def test_fault_38_another_architecture_is_told_by_key_and_shape(run):
    for place in (run / "ckpt").glob("[0-9]*"):
        edit(place / "state.json", recipe__fields__width=16)
    reseal_all(run)
    edit(run / "recipe.json", fields__width=16)
    with pytest.raises(CheckpointError, match=r"(?s)does not fit TwoPlayer.*size mismatch for generator.*copying a param with shape"):
        ganforge.resume(run)


def test_fault_38_a_foreign_checkpoint_is_told(run):
    for place in (run / "ckpt").glob("[0-9]*"):
        save_file({"layer.weight": torch.zeros(3)}, place / "state.safetensors")
    reseal_all(run)
    with pytest.raises(CheckpointError, match="(?s)does not fit TwoPlayer.*Missing key"):
        ganforge.resume(run)


@pytest.mark.parametrize("key", ["step", "seconds"])
def test_fault_38_a_state_without_its_numbers_is_told(run, key):
    for place in (run / "ckpt").glob("[0-9]*"):
        edit(place / "state.json", **{key: None})
    reseal_all(run)
    with pytest.raises(CheckpointError, match="lacks or garbles"):
        ganforge.resume(run)


# ---- 39: malice


class Trap:
    """Runs a command when it is unpickled."""

    def __init__(self, canary):
        self.canary = canary

    def __reduce__(self):
        return os.system, (f"touch {self.canary}",)


def header(text, body=b""):
    return struct.pack("<Q", len(text)) + text + body


def tensor(offsets, shape=(2,)):
    return f'{{"dtype":"F32","shape":{list(shape)},"data_offsets":{list(offsets)}}}'


EVIL = {
    "header of 2^63 bytes": struct.pack("<Q", 2**63) + b"{}",
    "overlapping tensors": header(f'{{"a":{tensor((0, 8))},"b":{tensor((4, 12))}}}'.encode(), b"\0" * 12),
    "10^12 parameters": header(f'{{"a":{tensor((0, 8), (10**6, 10**6))}}}'.encode(), b"\0" * 8),
    "offsets past the end": header(f'{{"a":{tensor((0, 4 * 10**12), (10**12,))}}}'.encode(), b"\0" * 8),
    "deep nesting": header(b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
}


@pytest.mark.parametrize("name", [*EVIL, "pickle"])
def test_fault_39_a_malicious_tensor_file_is_refused_and_runs_nothing(run, tmp_path, name):
    canary = tmp_path / "canary"
    if name == "pickle":
        import pickle

        body = pickle.dumps(Trap(canary))
    else:
        body = EVIL[name]
    for place in (run / "ckpt").glob("[0-9]*"):
        (place / "state.safetensors").write_bytes(body)
    reseal_all(run)
    with pytest.raises(CheckpointError, match="no checkpoint in .* can be read"):
        ganforge.resume(run)
    assert not canary.exists()


def test_fault_39_a_huge_file_is_not_even_opened(run):
    for place in (run / "ckpt").glob("[0-9]*"):
        with (place / "state.safetensors").open("wb") as file:
            file.truncate(10**11)  # no blocks on the disk, but 100 GB if it is read
    with pytest.raises(CheckpointError, match="has 100,000,000,000 bytes, far more than this model needs"):
        ganforge.resume(run)


def test_fault_39_a_step_without_end_is_refused(run):
    for place in (run / "ckpt").glob("[0-9]*"):
        edit(place / "state.json", step=float("inf"))
    reseal_all(run)
    with pytest.raises(CheckpointError, match="lacks or garbles"):
        ganforge.resume(run)


@pytest.mark.parametrize("state", ["[" * 100_000, '{"format": 1e999}', '{"format": "__import__(\'os\')"}'])
def test_fault_39_a_malicious_state_is_refused(run, state):
    for place in (run / "ckpt").glob("[0-9]*"):
        (place / "state.json").write_text(state)
    reseal_all(run)
    with pytest.raises(CheckpointError):
        ganforge.resume(run)


@pytest.mark.parametrize("recipe", ["os:system", "__import__('os').system", "../../evil.py:Recipe", "builtins.eval", "evil.py:Recipe"])
def test_fault_39_a_recipe_cannot_name_code_to_run(run, tmp_path, recipe):
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'canary')!r}, 'w')\nclass Recipe: ...\n")
    edit(run / "recipe.json", recipe=recipe)
    with pytest.raises(GanforgeError):
        ganforge.resume(run)
    assert not (tmp_path / "canary").exists()


def test_fault_39_names_inside_a_checkpoint_are_no_paths(run, tmp_path):
    for place in (run / "ckpt").glob("[0-9]*"):
        tensors = load_file(place / "state.safetensors") | {
            "method/../../../escaped": torch.zeros(1),
            "meter/../../escaped": torch.zeros(1),
        }
        save_file(tensors, place / "state.safetensors")
        with (place / "MANIFEST.sha256").open("a") as file:
            file.write("0" * 64 + "  ../../../escaped\n")
    reseal_all(run)
    before = {p for p in tmp_path.rglob("*") if "log" not in p.name}
    with pytest.raises(CheckpointError, match="Unexpected key"):
        ganforge.resume(run)
    assert {p for p in tmp_path.rglob("*") if "log" not in p.name} - before <= {run / "RUNNING.lock"}
    assert state(run)["step"] == 12


def test_fault_39_reading_a_bad_file_takes_no_memory(tmp_path):
    code = PEAK + (
        "from pathlib import Path\nfrom ganforge.core import checkpoint\n"
        "from ganforge.core.errors import CheckpointError\n"
        "place = Path('ckpt/000000000016'); place.mkdir(parents=True)\n"
        "file = (place / 'state.safetensors').open('wb'); file.truncate(10**11)\n"
        "(place / 'state.json').write_text('{}'); (place / 'MANIFEST.sha256').write_text('')\n"
        "before = peak()\n"
        "try:\n checkpoint.read(Path('.'), most=1e6)\n raise SystemExit('it was read')\nexcept CheckpointError: pass\n"
        "assert peak() - before < 50\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-1000:]
