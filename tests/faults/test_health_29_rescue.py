"""Row 29 with `--rescue`: a run heeds the guard, goes back to where it was healthy, and says so."""

import json

import pytest

import ganforge
from ganforge.core import train as training
from ganforge.core.restart import FIRST, Opinion, Restart
from ganforge.runs import health, recover

from .runs import newest, quick, same, state, train


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    quick(monkeypatch)


def bad_from(monkeypatch, step, times=99, healthy_until=0):
    """The guard finds the samples collapsing from a step (of 12) on, for so many rescues; states are healthy up to another."""
    left = [times]

    def opine(looks):
        at = round(12 * looks[-1]["fraction"])
        if at >= step and left[0]:
            left[0] -= 1
            return Opinion(caution=0.5, why="collapsing")
        return Opinion(healthy=at <= healthy_until)

    monkeypatch.setattr(health, "opine", opine)


def beginnings(monkeypatch):
    """(step, number of restarts) at which each sitting and course begins."""
    began, plain = [], training._resume

    def resume(*arguments):
        before = plain(*arguments)
        began.append((before.step, arguments[-1].number))
        return before

    monkeypatch.setattr(training, "_resume", resume)
    return began


def test_fault_29_rescue_goes_back_to_the_newest_healthy_state_and_says_so(tmp_path, monkeypatch, capsys):
    began = beginnings(monkeypatch)
    bad_from(monkeypatch, 7, times=1, healthy_until=4)
    run = train(tmp_path / "run", rescue=True)
    assert run.finished and began == [(0, 0), (4, 1)]
    out = " ".join(capsys.readouterr().out.split())
    told = "back to 64 images, when it was healthy, with other random numbers and learning rates x 0.5 (1 of 3)"
    assert "rescue: collapsing in 3 looks in a row, at 112 images." in out and told in out
    assert state(run.folder)["restarts"] == 1 and state(run.folder)["caution"] == 0.5
    history = run.history()
    assert [line["step"] for line in history] == list(range(1, 13)), "the readings of the course that was left are gone"
    assert [line.get("restarts", 0) for line in history] == [0] * 4 + [1] * 8
    assert told[1:] in (run.folder / "report.html").read_text()


def test_fault_29_rescue_keeps_the_newest_healthy_checkpoint_beside_the_two_newest(tmp_path, monkeypatch):
    for rescue, kept in ((True, [4, 11, 12]), (False, [11, 12])):
        bad_from(monkeypatch, 99, healthy_until=4)
        run = train(tmp_path / str(rescue), rescue=rescue)
        assert sorted(int(p.name) // 16 for p in (run.folder / "ckpt").glob("[0-9]*")) == kept


def test_fault_29_rescue_without_a_healthy_state_begins_again_three_times_and_then_lets_it_go_on(tmp_path, monkeypatch, capsys):
    began = beginnings(monkeypatch)
    bad_from(monkeypatch, 7)
    run = train(tmp_path / "run", rescue=True)
    assert run.finished and began == [(0, 0), (0, 1), (0, 2), (0, 3)]
    out = " ".join(capsys.readouterr().out.split())
    assert out.count("back to the beginning, as no later state was healthy") == 3 and "learning rates x 0.125 (3 of 3)" in out
    assert state(run.folder)["caution"] == 0.125


def test_fault_29_rescue_does_not_go_back_twice_to_a_state_that_fell_ill_again(tmp_path, monkeypatch):
    began = beginnings(monkeypatch)
    bad_from(monkeypatch, 7, times=2, healthy_until=4)
    assert train(tmp_path / "same", rescue=True).finished
    assert began == [(0, 0), (4, 1), (0, 2)]
    began.clear()
    ill = [7, 10, 99]

    def opine(looks):
        bad = round(12 * looks[-1]["fraction"]) >= ill[0] and ill.pop(0)
        return Opinion(caution=0.5, why="collapsing") if bad else Opinion(healthy=True)

    monkeypatch.setattr(health, "opine", opine)
    assert train(tmp_path / "later", rescue=True).finished
    assert began == [(0, 0), (6, 1), (9, 2)]


@pytest.mark.parametrize("healthy", [0, 4])
def test_fault_29_a_rescued_run_resumes_bit_for_bit(tmp_path, monkeypatch, healthy):
    with monkeypatch.context() as patch:
        bad_from(patch, 7, times=1, healthy_until=healthy)
        train(tmp_path / "whole", rescue=True)
    with monkeypatch.context() as patch:
        bad_from(patch, 7, times=1, healthy_until=healthy)
        train(tmp_path / "cut", rescue=True)
    (newest(tmp_path / "cut") / "state.json").write_text("damaged, so that the one before has to be taken")
    bad_from(monkeypatch, 99, healthy_until=healthy)
    assert ganforge.resume(tmp_path / "cut").finished
    same(tmp_path / "whole", tmp_path / "cut")


@pytest.mark.parametrize("healthy", [0, 4])
def test_fault_29_a_run_that_was_killed_in_a_rescue_resumes_bit_for_bit(tmp_path, monkeypatch, healthy):
    """The newest checkpoint is of the course that was left, and must not be taken."""
    with monkeypatch.context() as patch:
        bad_from(patch, 7, times=1, healthy_until=healthy)
        train(tmp_path / "whole", rescue=True)
    with monkeypatch.context() as patch:
        bad_from(patch, 7, times=1, healthy_until=healthy)
        patch.setattr(recover, "_free", lambda: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / "cut", rescue=True)
    assert state(tmp_path / "cut")["step"] == 6
    bad_from(monkeypatch, 99, healthy_until=healthy)
    assert ganforge.resume(tmp_path / "cut").finished
    same(tmp_path / "whole", tmp_path / "cut")


def test_fault_29_without_rescue_nobody_asks_the_guard(tmp_path, monkeypatch):
    monkeypatch.setattr(health, "opine", lambda looks: pytest.fail("it was asked"))
    run = train(tmp_path / "run")
    assert run.finished and "restarts" not in run.history()[-1]


def test_fault_29_a_guard_that_fails_never_stops_a_run_that_heeds_it(tmp_path, monkeypatch, capsys):
    def broken(*arguments):
        raise ValueError("no eyes")

    for name in ("opine", "judge"):
        with monkeypatch.context() as patch:
            patch.setattr(health, name, broken)
            assert train(tmp_path / name, rescue=True).finished
        assert capsys.readouterr().out.count("the guard failed, the training goes on: no eyes") == 1


def test_a_restart_takes_no_checkpoint_of_a_course_that_was_left():
    again = Restart(number=2, since=2, back=64)
    assert [again.takes({"seen": seen, "restarts": count}) for seen, count in ((64, 0), (80, 1), (80, 2), (96, 3))] == [
        True,
        False,
        True,
        True,
    ]
    assert FIRST.takes({"seen": 5}) and FIRST.later(again) is again and again.later(FIRST) is again


def test_what_a_damaged_file_of_restarts_tells_is_nothing(tmp_path):
    for text in ("", "[]", "{}", '{"restarts": "x"}', '{"restarts": 1, "told": 5}', '{"restarts": 1, "caution": null}'):
        (tmp_path / recover.COUNT).write_text(text)
        assert recover._recall(tmp_path) == (FIRST, [])
    (tmp_path / recover.COUNT).write_text(json.dumps({"restarts": 2}))
    assert recover._recall(tmp_path) == (Restart(2, 0.25), [])
