"""Faults 33, 35, 36, 40, 41, 42: kills, signals, interruptions, two runs at once, helpers that die."""

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import ganforge
from ganforge import cli
from ganforge.core import engine
from ganforge.core import train as training
from ganforge.core.errors import StorageError, UsageError
from ganforge.runs import folder as folders
from ganforge.runs import selftest, signals, sinks
from ganforge.runs.folder import Folder
from ganforge.runs.lock import alone

from .runs import gan, quick, same, state, train, wait_for, words

KILLS = Path(__file__).parents[2] / "benchmarks" / "kills.py"


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    quick(monkeypatch)


def kills(count):
    done = subprocess.run([sys.executable, str(KILLS), "--kills", str(count)], capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_fault_33_a_run_killed_at_random_moments_and_inside_saves_ends_bit_for_bit_the_same():
    assert "5/5 kills survived, bit-identical" in kills(5)


@pytest.mark.slow
def test_fault_33_two_hundred_kills():
    assert "200/200 kills survived, bit-identical" in kills(200)


# ---- 35: signals

CODES = {"SIGINT": 130, "SIGTERM": 143, "SIGUSR1": 138, "SIGHUP": 129}


@pytest.mark.parametrize("name", CODES)
def test_fault_35_signals_finish_the_step_save_and_exit_with_their_code(tmp_path, name):
    process = gan("train", "digits", "--recipe", "dcgan", *words(examples=16 * 20000), "--out", "run", cwd=tmp_path)
    wait_for(tmp_path / "run" / "metrics.jsonl", process, 1)
    began = time.monotonic()
    process.send_signal(getattr(signal, name))
    out, err = process.communicate(timeout=60)
    assert process.returncode == CODES[name] and err == "" and time.monotonic() - began < 30
    assert "saved. Continue exactly: gan resume run" in " ".join(out.split()) and state(tmp_path / "run")["step"] >= 1


def test_fault_35_a_second_ctrl_c_leaves_at_once_and_what_was_saved_resumes(tmp_path):
    slow = "from ganforge.core import checkpoint\nimport time\nplain = checkpoint.write\n" + (
        "def write(folder, seen, *a):\n"
        " if seen > 16:\n  (folder / 'saving').touch()\n  time.sleep(60)\n"
        " return plain(folder, seen, *a)\ncheckpoint.write = write"
    )
    process = gan("train", "digits", "--recipe", "dcgan", *words(examples=320, save_minutes=0.0), "--out", "run", cwd=tmp_path, before=slow)
    until = time.monotonic() + 120
    while not (tmp_path / "run" / "saving").exists():
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    time.sleep(signals.SAME_WISH + 0.3)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130 and time.monotonic() - began < 5 and state(tmp_path / "run")["step"] == 1
    assert ganforge.resume(tmp_path / "run").finished


def test_fault_35_a_hangup_is_ignored_where_the_run_was_started_to_outlive_it():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals.listening() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop()
            os.kill(os.getpid(), signal.SIGUSR1)
            assert stop() and stop.exit_code == 138
    finally:
        signal.signal(signal.SIGHUP, before)


def test_fault_35_a_reader_that_leaves_ends_the_talking_and_not_the_training(tmp_path):
    process = gan("train", "digits", "--recipe", "dcgan", *words(examples=320), "--out", "run", cwd=tmp_path)
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(120) == 0 and process.stderr.read() == ""
    whole_run(tmp_path / "run", 20)


def test_fault_35_a_terminal_that_is_closed_ends_the_talking_and_not_the_training(tmp_path):
    """Started so that the hangup itself is ignored, as by nohup: what is left is a terminal on which every write fails."""
    mine, theirs = os.openpty()
    before = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)"
    process = gan(
        "train", "digits", "--recipe", "dcgan", *words(examples=320), "--out", "run", cwd=tmp_path, before=before, terminal=theirs
    )
    os.close(theirs)
    os.read(mine, 1)
    os.close(mine)
    assert process.wait(120) == 0
    whole_run(tmp_path / "run", 20)


def whole_run(folder, steps):
    assert state(folder)["step"] == steps and len(Folder(folder).history()) == steps and ganforge.load(folder).generate([1])
    assert "\ndone " in (folder / "log.txt").read_text()


def test_fault_35_a_signal_in_the_last_step_comes_too_late_to_count(tmp_path, monkeypatch):
    def late(*a, **k):
        signals_sent.append(os.kill(os.getpid(), signal.SIGTERM)) if a[2].step == 11 else None
        return engine.iterate(*a, **k)

    signals_sent = []
    monkeypatch.setattr(training, "iterate", late)
    run = train(tmp_path / "run")
    assert signals_sent and run.finished and run.exit_code == 0


# ---- 36: interrupted or not


def test_fault_36_three_interruptions_change_no_bit(tmp_path, monkeypatch):
    whole = train(tmp_path / "whole", examples=16 * 100, save_minutes=5.0)  # more than one pass through the data
    asked = iter([9, 30, 71])
    for go in (lambda: train(tmp_path / "cut", examples=16 * 100, save_minutes=5.0), *[lambda: ganforge.resume(tmp_path / "cut")] * 3):
        count, last = [0], next(asked, 10**6)
        done = state(tmp_path / "cut")["step"] if (tmp_path / "cut").exists() else 0

        def stop(self, count=count, until=last - done):
            count[0] += 1
            return count[0] >= until

        monkeypatch.setattr(signals.Stop, "__call__", stop)
        run = go()
        assert run.finished or state(run.folder)["step"] == last
    assert run.finished
    same(whole.folder, tmp_path / "cut")


def test_fault_36_the_self_test_proves_it_and_would_notice(capsys, monkeypatch):
    monkeypatch.setitem(selftest.CHECKS, "resume", lambda: (selftest._stopped("cpu", p, Path(folder)) for p, folder in places))
    import tempfile

    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
        places = [("fp32", one)]
        with pytest.raises(SystemExit) as left:
            cli.main(["selftest", "resume"])
        assert left.value.code == 0 and "resume  ok    stopped twice, cpu fp32: bit-identical" in capsys.readouterr().out
        monkeypatch.setattr(training, "seed_step", lambda *a: None)  # then randomness goes by the clock of the process
        places = [("fp32", two)]
        with pytest.raises(SystemExit) as left:
            cli.main(["selftest"])
        out = capsys.readouterr().out
        assert left.value.code == 1 and "resume  FAIL  stopped twice, cpu fp32: differs in" in out and "self-test failed" in out
    assert engine.seed_step


@pytest.mark.slow
def test_fault_36_the_whole_self_test_passes():
    assert all(holds for _, _, holds in selftest.resume())


# ---- 40: two runs, clocks, folders


def test_fault_40_a_second_training_in_a_folder_is_refused_and_told_who_holds_it(tmp_path):
    run = train(tmp_path / "run")
    with alone(Folder(run.folder)):
        with pytest.raises(UsageError, match=rf"another training is running in .*run .process {os.getpid()} on .*\. Wait for it"):
            ganforge.resume(run.folder)
        assert f"process {os.getpid()}" in (run.folder / "RUNNING.lock").read_text(), "being asked does not take the name away"
    assert (run.folder / "RUNNING.lock").read_text() == "", "a shared folder tells no host name"
    assert ganforge.resume(run.folder).finished


def test_fault_40_two_runs_that_begin_together_get_folders_of_their_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert [folders.create("", "digits").path.name for _ in range(3)] == ["digits-001", "digits-002", "digits-003"]
    monkeypatch.setattr(folders, "check_free", lambda out: None)  # both looked before either began
    folders.create("mine", "digits")
    with pytest.raises(UsageError, match="another run has just begun in mine"):
        folders.create("mine", "digits")


def test_fault_40_what_a_start_left_that_was_killed_may_be_started_in_again_and_nothing_else(tmp_path, monkeypatch):
    def killed(*a):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("ganforge.runs.start.save_png", killed)
        train(tmp_path / "run")
    (tmp_path / "run" / ".reals.png.tmp").write_bytes(b"half")
    assert (tmp_path / "run" / "plan.json").exists() and train(tmp_path / "run").finished
    for name in ("mine.txt", "samples/mine.png"):
        folder = tmp_path / name.replace("/", "-")
        (folder / "samples").mkdir(parents=True)
        (folder / name).touch()
        with pytest.raises(UsageError, match="exists and is not empty"):
            folders.check_free(str(folder))


def test_fault_40_a_file_system_without_locks_is_a_warning(tmp_path, monkeypatch, capsys):
    def none(*a):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", none)
    assert train(tmp_path / "run").finished
    assert "has no locks (No locks available): take care that no other training" in " ".join(capsys.readouterr().out.split())


def test_fault_40_a_folder_that_is_read_only_is_told_in_one_sentence(tmp_path, monkeypatch):
    run = train(tmp_path / "run")
    plain = Path.open

    def refused(self, *a, **k):
        if self.name == "RUNNING.lock":
            raise OSError(errno.EROFS, "Read-only file system")
        return plain(self, *a, **k)

    monkeypatch.setattr(Path, "open", refused)
    with pytest.raises(StorageError, match=r"run cannot be written to .Read-only file system.: a training needs that"):
        ganforge.resume(run.folder)


def test_fault_40_a_clock_that_jumps_changes_nothing(tmp_path, monkeypatch):
    whole = train(tmp_path / "whole")
    clock = iter(range(10**6))
    monkeypatch.setattr(time, "time", lambda: 1e9 - 3600.0 * next(clock))
    run = train(tmp_path / "run")
    same(whole.folder, run.folder)
    assert state(run.folder)["seconds"] >= 0
    lines = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    assert all(line["images_per_second"] > 0 for line in lines)


# ---- 41, 42: what works beside the training


def test_fault_41_there_are_no_worker_processes_that_could_be_lost(tmp_path, monkeypatch):
    children, plain = [], training.iterate

    def counted(*a, **k):
        children.append(Path(f"/proc/self/task/{os.getpid()}/children").read_text() if Path("/proc").is_dir() else "")
        return plain(*a, **k)

    before = Path(f"/proc/self/task/{os.getpid()}/children").read_text() if Path("/proc").is_dir() else ""
    monkeypatch.setattr(training, "iterate", counted)
    train(tmp_path / "run")
    assert len(children) == 12 and set(children) == {before}


class Broken:
    """A tracker whose server is away: it raises, or never answers."""

    def __init__(self, way):
        self.way = way

    def log(self, numbers, seen):
        if self.way == "hangs":
            time.sleep(3600)
        raise ConnectionError("tracker.example refused")

    image = log

    def close(self): ...


@pytest.mark.parametrize("way", ["raises", "hangs", "cannot start", "hangs at the start"])
def test_fault_42_a_dead_tracker_never_stops_training_and_is_told_once(tmp_path, monkeypatch, capsys, way):
    def start(folder, config):
        if way == "hangs at the start":
            time.sleep(3600)
        if way == "cannot start":
            raise ConnectionError("tracker.example refused")
        return Broken(way)

    monkeypatch.setitem(sinks.SINKS, "wandb", start)
    monkeypatch.setattr(sinks, "START", 0.2)
    monkeypatch.setattr(sinks, "PATIENCE", 0.2)
    run = train(tmp_path / "run", log=("wandb",))
    out = " ".join(capsys.readouterr().out.split())
    assert run.finished and out.count("the tracker wandb is disabled and the training goes on") == 1
    assert len(run.history()) == 12 and "the tracker wandb is disabled" in (run.folder / "log.txt").read_text()
