"""Fault 37: a run is resumed on another device, with another number of processes, or on another processor."""

import json
import os
import re
import sys
from pathlib import Path

import pytest

import ganforge
from ganforge import cli
from ganforge.core import parallel
from ganforge.core.errors import UsageError
from ganforge.runs import environment, signals
from tests.contract.test_many_processes import torchrun

from .runs import newest, quick, result, same, state, train


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    quick(monkeypatch)


def saved_by(folder, **machine):
    """Let the newest checkpoint be of that machine."""
    place = newest(folder)
    content = json.loads((place / "state.json").read_text())
    content["machine"] |= machine
    (place / "state.json").write_text(json.dumps(content))
    from .test_run_checkpoints import reseal

    reseal(place)


def stopped(folder, monkeypatch, at=5, **options):
    """A run that Ctrl-C stopped after so many steps."""
    left = [at]

    def stop(self):
        left[0] -= 1
        return left[0] <= 0

    with monkeypatch.context() as patch:
        patch.setattr(signals.Stop, "__call__", stop)
        made = train(folder, **options)
    assert state(folder)["step"] == at
    return made


def told(capsys):
    return " ".join(capsys.readouterr().out.split())


def test_fault_37_a_run_goes_on_with_two_processes_and_back_with_one_and_says_that_it_is_not_exact(tmp_path, monkeypatch, capsys):
    whole = train(tmp_path / "whole", save_minutes=5.0)
    stopped(tmp_path / "run", monkeypatch, save_minutes=5.0)
    assert state(tmp_path / "run")["machine"] == {"device": "cpu", "processes": 1}
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    done = torchrun("-m", "ganforge", "resume", "run", cwd=tmp_path)
    out = " ".join(done.stdout.split())
    assert done.returncode == 0, done.stderr[-2000:]
    line = "resume the run was saved by 1 process on cpu, this is 2 processes on cpu: it goes on, but no longer bit-identical to an"
    assert out.count(line) == 1, out
    assert state(tmp_path / "run")["step"] == 12 and state(tmp_path / "run")["machine"]["processes"] == 2
    ours, theirs = result(tmp_path / "run"), result(whole.folder)
    assert ours[0].keys() == theirs[0].keys() and len(ours[1]) == len(theirs[1]) == 12
    capsys.readouterr()
    assert ganforge.resume(tmp_path / "run").finished
    assert "saved by 2 processes on cpu, this is 1 process on cpu: it goes on, but" in told(capsys)


@pytest.mark.parametrize("machine", [{"device": "cuda"}, {"processes": 4}, {"device": "mps", "processes": 2}])
def test_fault_37_another_device_or_number_of_processes_is_one_line(tmp_path, monkeypatch, capsys, machine):
    stopped(tmp_path / "run", monkeypatch)
    saved_by(tmp_path / "run", **machine)
    was = {"device": "cpu", "processes": 1} | machine
    capsys.readouterr()
    assert ganforge.resume(tmp_path / "run").finished
    out, some = told(capsys), "es" * (was["processes"] != 1)
    assert out.count(f"resume the run was saved by {was['processes']} process{some} on {was['device']}, this is 1 process on cpu: it") == 1
    assert state(tmp_path / "run")["machine"] == {"device": "cpu", "processes": 1}


def test_fault_37_the_same_machine_is_no_line_and_exact(tmp_path, monkeypatch, capsys):
    whole = train(tmp_path / "whole", save_minutes=5.0)
    stopped(tmp_path / "run", monkeypatch, save_minutes=5.0)
    capsys.readouterr()
    assert ganforge.resume(tmp_path / "run").finished
    assert not [line for line in capsys.readouterr().out.splitlines() if line.startswith("resume ")]
    same(whole.folder, tmp_path / "run")


def test_fault_37_another_processor_is_told(tmp_path, monkeypatch, capsys):
    stopped(tmp_path / "run", monkeypatch)
    monkeypatch.setattr("ganforge.runs.changes.processor", lambda: {"cpu": "Abacus", "vector_unit": "BEADS"})
    here = environment.processor()
    capsys.readouterr()
    assert ganforge.resume(tmp_path / "run").finished
    assert f"the run began on {' '.join(here['cpu'].split())} with {here['vector_unit']}, this is Abacus with BEADS: the" in told(capsys)


@pytest.mark.parametrize(
    ("batch", "accumulate", "world", "says"),
    [
        (16, 1, 3, "does not divide over 3 processes. It does over 1, 2, 4, 8, 16."),
        (16, 4, 8, "8 processes, 4 micro-batches each. It does"),
    ],
)
def test_fault_37_processes_that_the_batch_cannot_be_cut_over_are_refused_with_those_that_can(
    tmp_path, monkeypatch, batch, accumulate, world, says
):
    stopped(tmp_path / "run", monkeypatch, batch=batch, accumulate=accumulate)
    before = sorted((p, p.stat().st_mtime_ns) for p in (tmp_path / "run").rglob("*") if "lo" not in p.name and p.is_file())
    monkeypatch.setattr(parallel, "world", lambda: (0, world))
    with pytest.raises(UsageError, match=re.escape(says)) as caught:
        ganforge.resume(tmp_path / "run")
    assert caught.value.exit_code == 2
    assert before == sorted((p, p.stat().st_mtime_ns) for p in (tmp_path / "run").rglob("*") if "lo" not in p.name and p.is_file())


def test_fault_37_a_device_that_is_not_here_is_told_and_another_can_be_named(tmp_path, monkeypatch, capsys):
    whole = train(tmp_path / "whole", save_minutes=5.0)
    stopped(tmp_path / "run", monkeypatch, save_minutes=5.0)
    recipe = tmp_path / "run" / "recipe.json"
    recipe.write_text(recipe.read_text().replace('"device": "auto"', '"device": "cuda:7"'))
    state_file = newest(tmp_path / "run") / "state.json"
    state_file.write_text(state_file.read_text().replace('"device": "auto"', '"device": "cuda:7"'))
    from .test_run_checkpoints import reseal

    reseal(newest(tmp_path / "run"))
    with pytest.raises(UsageError, match="--device cuda:7 is not usable here .*Use cpu, or auto"):
        ganforge.resume(tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as left:
        cli.main(["resume", "run", "--device", "cpu"])
    assert left.value.code in (0, None)
    same(whole.folder, Path("run"))


def test_a_start_whose_batch_cannot_be_cut_is_refused_too(tmp_path, monkeypatch):
    monkeypatch.setattr(parallel, "world", lambda: (0, 8))
    with pytest.raises(UsageError, match="batch of 16 does not divide over 8 processes, 4 micro-batches each. It does over 1, 2, 4."):
        train(tmp_path / "run", batch=16, accumulate=4)
    assert not (tmp_path / "run").exists()
