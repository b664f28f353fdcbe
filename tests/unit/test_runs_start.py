"""Starting, stopping and continuing: signals and kills leave a run that ends bit for bit as if nothing had happened."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import ganforge
from ganforge.core import machine
from ganforge.core.errors import CheckpointError, UsageError
from ganforge.runs import observe, signals
from ganforge.runs.folder import Folder
from ganforge.runs.lock import alone

TINY = {"width": 8, "z": 8, "batch": 16, "precision": "fp32", "layout": "contiguous", "threads": 1}
EXAMPLES = 16 * 240
LONG = {**TINY, "recipe": "dcgan", "examples": EXAMPLES, "save_minutes": 0.008, "snapshots": 2, "evaluations": 4}
CLOCK = ("seconds", "images_per_second")


@pytest.fixture(autouse=True)
def _no_measuring(monkeypatch):
    monkeypatch.setattr(machine, "speed", lambda *a, **k: 1000.0)


def train(out, **options):
    return ganforge.train("digits", options.pop("recipe", "dcgan"), out=str(out), **{**TINY, "examples": 48, **options})


def gan(*words, cwd):
    code = "from ganforge.core import machine; machine.speed = lambda *a, **k: 1000.0; from ganforge.cli import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", code, *words],
        cwd=cwd,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(path, process, count=1, seconds=60):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if path.exists() and len(path.read_text().splitlines()) >= count:
            return
        assert process.poll() is None, f"it left early: {process.communicate()}"
        time.sleep(0.005)
    pytest.fail(f"{path} did not come")


def result(folder):
    tensors = load_file(sorted((folder / "ckpt").glob("[0-9]*"))[-1] / "state.safetensors")
    history = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return tensors, [{k: v for k, v in line.items() if k not in CLOCK} for line in history]


def same(one, two):
    (a, history_a), (b, history_b) = result(one), result(two)
    assert a.keys() == b.keys() and [k for k in a if not torch.equal(a[k], b[k])] == []
    assert history_a == history_b
    model_a, model_b = (load_file(folder / "best" / "model.safetensors") for folder in (one, two))
    assert all(torch.equal(model_a[key], model_b[key]) for key in model_a)
    for name in {p.name for p in (one / "samples").iterdir()}:
        assert (one / "samples" / name).read_bytes() == (two / "samples" / name).read_bytes(), f"{name} differs"


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """The run that all interrupted ones must equal."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machine, "speed", lambda *a, **k: 1000.0)
        return ganforge.train("digits", out=tmp_path_factory.mktemp("whole") / "run", **LONG).folder


def words(options):
    return [word for key, value in options.items() for word in (f"--{key.replace('_', '-')}", str(value))]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_stopped_run_saves_exits_with_its_code_and_resumes_bit_for_bit(number, code, uninterrupted, tmp_path):
    process = gan("train", "digits", *words(LONG), "--out", "run", cwd=tmp_path)
    wait_for(tmp_path / "run" / "metrics.jsonl", process, 20)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code and err == ""
    assert "saved. Continue exactly: gan resume run" in out
    state = json.loads(sorted((tmp_path / "run" / "ckpt").glob("*/state.json"))[-1].read_text())
    assert 0 < state["seen"] < EXAMPLES
    assert ganforge.resume(tmp_path / "run").finished
    same(uninterrupted, tmp_path / "run")


def test_a_killed_run_resumes_bit_for_bit(uninterrupted, tmp_path):
    process = gan("train", "digits", *words(LONG), "--out", "run", cwd=tmp_path)
    codes = []
    for count in (30, 100):  # killed wherever it just is; on a busy machine the second kill may come too late
        wait_for(tmp_path / "run" / "metrics.jsonl", process, count)
        process.kill()
        process.communicate(timeout=60)
        codes.append(process.returncode)
        process = gan("resume", "run", cwd=tmp_path)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert codes[0] == -signal.SIGKILL and codes[1] in (-signal.SIGKILL, 0)
    same(uninterrupted, tmp_path / "run")


def test_a_run_killed_between_its_last_checkpoint_and_its_model_gets_the_model_on_resuming(tmp_path, monkeypatch):
    class Killed(BaseException):
        pass

    def die(self, tick):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(observe.Observer, "saved", die)
        with pytest.raises(Killed):
            train(tmp_path / "run")
    assert ganforge.resume(tmp_path / "run").finished
    assert ganforge.load(tmp_path / "run").generate([1])


def test_a_run_killed_before_its_first_checkpoint_starts_again(tmp_path):
    whole, cut = train(tmp_path / "whole"), train(tmp_path / "cut")
    shutil.rmtree(cut.folder / "ckpt")
    assert ganforge.resume(cut.folder).finished
    same(whole.folder, cut.folder)


def test_a_second_trainer_in_the_same_folder_is_refused(tmp_path):
    run = train(tmp_path / "run")
    with alone(Folder(run.folder)), pytest.raises(UsageError, match="another training is running in .*run .process .*. Wait for it"):
        ganforge.resume(run.folder)
    assert ganforge.resume(run.folder).finished


def test_the_lock_is_free_after_a_run(tmp_path):
    run = train(tmp_path / "run")
    with alone(Folder(run.folder)):
        pass


def test_a_second_interrupt_leaves_at_once():
    code = (
        "import os, signal, time\nfrom ganforge.runs.signals import listening\n"
        "with listening() as stop:\n os.kill(os.getpid(), signal.SIGINT)\n assert stop() and stop.exit_code == 130\n"
        " os.kill(os.getpid(), signal.SIGINT)\n print('one wish', flush=True)\n time.sleep(0.6)\n"
        " os.kill(os.getpid(), signal.SIGINT)\n print('still here')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 130 and done.stdout == "one wish\n" and done.stderr == ""


def test_listening_puts_the_old_handlers_back_and_works_outside_the_main_thread():
    import threading

    before = signal.getsignal(signal.SIGINT)
    with signals.listening():
        assert signal.getsignal(signal.SIGINT) != before
    assert signal.getsignal(signal.SIGINT) == before
    seen = []

    def elsewhere():
        with signals.listening() as stop:
            seen.append(stop())

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert seen == [False]


def test_pictures_begin_before_learning_and_come_again_the_same(tmp_path):
    run = train(tmp_path / "run")
    first = run.folder / "samples" / "fakes_000000000000.png"
    last, before = run.folder / "samples" / "fakes_000000000048.png", first.read_bytes()
    assert before != last.read_bytes()
    first.unlink()
    assert ganforge.resume(run.folder).finished and first.read_bytes() == before


def test_a_finished_run_resumes_to_nothing(tmp_path):
    run = train(tmp_path / "run")
    before = {p: p.read_bytes() for p in run.folder.rglob("*") if p.is_file() and p.name not in ("log.txt", "report.html")}
    again = ganforge.resume(run.folder)
    assert again.finished and again.seen == run.seen and again.exit_code == 0
    assert {p: p.read_bytes() for p in before} == before


def test_changed_data_is_refused(tmp_path):
    from PIL import Image

    photos = tmp_path / "photos"
    photos.mkdir()
    for i in range(4):
        Image.new("RGB", (16, 16), (40 * i, 0, 0)).save(photos / f"photo {i}.png")
    run = ganforge.train(photos, "dcgan", out=tmp_path / "run", **TINY, examples=32)
    Image.new("RGB", (16, 16), (0, 255, 0)).save(photos / "photo 0.png")
    with pytest.raises(CheckpointError, match="the data at .*photos changed since the run began"):
        ganforge.resume(run.folder)


@pytest.mark.parametrize(
    "content", ["[]", "{}", "3", '{"recipe": "dcgan"}', '{"recipe": 3, "fields": {}}', '{"recipe": "dcgan", "fields": []}', "{"]
)
def test_a_garbled_recipe_is_refused_in_words(tmp_path, content):
    run = train(tmp_path / "run")
    (run.folder / "recipe.json").write_text(content)
    with pytest.raises((CheckpointError, UsageError)):
        ganforge.resume(run.folder)


def test_damaged_checkpoints_are_passed_over_and_the_run_still_ends_the_same(uninterrupted, tmp_path):
    folder = shutil.copytree(uninterrupted, tmp_path / "run")
    newest = sorted((folder / "ckpt").glob("[0-9]*"))[-1]
    (newest / "state.safetensors").write_bytes(b"gone")
    assert ganforge.resume(folder).finished
    same(uninterrupted, folder)


def test_a_dry_run_writes_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run = ganforge.train("digits", "dcgan", dry_run=True, **TINY, examples=320)
    assert "dry run: nothing was trained or written." in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == [] and run.seen == 0 and not run.finished


def test_the_seed_decides_everything(tmp_path):
    one, two, three = (train(tmp_path / name, seed=seed) for name, seed in (("a", 5), ("b", 5), ("c", 6)))
    same(one.folder, two.folder)
    assert any(not torch.equal(a, b) for a, b in zip(result(one.folder)[0].values(), result(three.folder)[0].values(), strict=True))


def test_training_leaves_the_global_random_state_alone(tmp_path):
    state = torch.get_rng_state()
    train(tmp_path / "run")
    assert torch.equal(torch.get_rng_state(), state)


def test_unknown_options_get_the_nearest_and_nothing_is_written(tmp_path):
    with pytest.raises(UsageError, match="DCGAN has no option 'widht'. Did you mean 'width'"):
        train(tmp_path / "run", widht=3)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("options", [{"log": ["nothing"]}, {"log": ["tensorbord"]}])
def test_an_unknown_tracker_is_refused_before_a_folder_is_made(tmp_path, options):
    with pytest.raises(UsageError, match="is not a tracker"):
        train(tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


def test_a_full_out_folder_is_refused_before_the_data_is_read(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "x").touch()
    with pytest.raises(UsageError, match="exists and is not empty"):
        ganforge.train(tmp_path / "no such data", "dcgan", out=tmp_path / "run")


def test_what_was_asked_decided_and_found_is_in_the_folder(tmp_path):
    run = train(tmp_path / "run", lr=1e-3)
    recipe, plan = (json.loads((run.folder / f"{name}.json").read_text()) for name in ("recipe", "plan"))
    assert recipe["recipe"] == "dcgan" and recipe["fields"]["lr"] == 1e-3 and recipe["spec"]["classes"] == 10
    assert plan["images_per_second"] == 1000.0 and set(plan["parameters"]) == {"discriminator", "generator"}
    fingerprint = json.loads((run.folder / "data_report.json").read_text())["fingerprint"]
    card = (run.folder / "data_card.md").read_text()
    assert fingerprint in card and "1,498 usable" in card and "**Licence:** CC BY 4.0" in card
    log = (run.folder / "log.txt").read_text()
    assert "Plan    recipe dcgan" in log and "done    48 images" in log


def test_a_run_may_be_moved_and_resumed(tmp_path):
    run = train(tmp_path / "run", examples=160)
    moved = Path(shutil.move(run.folder, tmp_path / "elsewhere"))
    assert ganforge.resume(moved).finished and ganforge.load(moved).generate([1])
