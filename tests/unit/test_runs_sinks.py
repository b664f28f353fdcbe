"""Trackers: asked for by name, and unable to stop a training."""

from __future__ import annotations

import sys
import threading
from types import SimpleNamespace

import pytest
from PIL import Image

from ganforge.core.errors import UsageError
from ganforge.runs import sinks
from ganforge.runs.sinks import open_sinks


class Recorder:
    def __init__(self, folder, config):
        self.calls = []

    def log(self, numbers, seen):
        self.calls.append((seen, dict(numbers)))

    def image(self, name, picture, seen):
        self.calls.append((seen, name, picture.size))

    def close(self):
        self.calls.append("closed")


class Raising(Recorder):
    def log(self, numbers, seen):
        super().log(numbers, seen)
        raise ConnectionError("unreachable\nlong story")


class Hanging(Recorder):
    free = threading.Event()

    def log(self, numbers, seen):
        self.free.wait(20)


class Refusing(Recorder):
    def __init__(self, folder, config):
        raise RuntimeError("not logged in")


def only(monkeypatch, tmp_path, cls, name="fake"):
    monkeypatch.setattr(sinks, "SINKS", {name: cls})
    return open_sinks([name], tmp_path, {})


def test_a_sink_gets_everything_in_order_even_if_the_caller_reuses_its_dict(monkeypatch, tmp_path):
    (sink,) = only(monkeypatch, tmp_path, Recorder)
    numbers = {"a": 1.0}
    sink.log(numbers, 10)
    numbers["a"] = 2.0
    sink.log(numbers, 20)
    sink.image("samples", Image.new("L", (3, 4)), 20)
    sink.close()
    sink.close()
    assert sink.sink.calls == [(10, {"a": 1.0}), (20, {"a": 2.0}), (20, "samples", (3, 4)), "closed"]


def test_a_raising_sink_is_disabled_after_one_warning_that_names_it(monkeypatch, tmp_path, caplog):
    (sink,) = only(monkeypatch, tmp_path, Raising)
    for seen in range(5):
        sink.log({"a": 1.0}, seen)
    sink._thread.join(5)
    sink.log({"a": 1.0}, 9)
    sink.close()
    assert len(sink.sink.calls) == 1 and sink.disabled
    (warning,) = caplog.records
    assert (
        "tracker fake is disabled" in warning.message
        and "ConnectionError: unreachable" in warning.message
        and "long" not in warning.message
    )


def test_a_hanging_sink_never_blocks_and_is_given_up(monkeypatch, tmp_path, caplog):
    monkeypatch.setattr(sinks, "BACKLOG", 5)
    monkeypatch.setattr(sinks, "PATIENCE", 0.05)
    (sink,) = only(monkeypatch, tmp_path, Hanging)
    for seen in range(20):
        sink.log({"a": 1.0}, seen)
    assert sink.disabled
    sink.close()
    (other,) = only(monkeypatch, tmp_path, Hanging)
    other.log({"a": 1.0}, 1)
    other.close()
    assert other.disabled and len(caplog.records) == 2
    Hanging.free.set()


def test_a_sink_that_cannot_start_is_left_out_with_a_warning(monkeypatch, tmp_path, caplog):
    assert only(monkeypatch, tmp_path, Refusing) == []
    assert "not logged in" in caplog.text


def test_an_unknown_name_is_refused_before_any_sink_opens(tmp_path):
    with pytest.raises(UsageError, match="Did you mean 'tensorboard'"):
        open_sinks(["tensorboard", "tensorbord"], tmp_path, {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["tensorboard", "wandb", "mlflow"])
def test_a_missing_package_names_the_install_command(name, tmp_path, monkeypatch):
    for module in ("torch.utils.tensorboard", "tensorboardX", "wandb", "mlflow"):
        monkeypatch.setitem(sys.modules, module, None)  # importing it now raises, installed or not
    with pytest.raises(UsageError, match=r'pip install "ganforge\[track\]"'):
        open_sinks([name], tmp_path, {})


def test_tensorboard_writes_numbers_and_pictures_once_per_name(tmp_path):
    pytest.importorskip("tensorboardX")
    opened = open_sinks(["tensorboard", "tensorboard"], tmp_path, {"width": 32})
    assert len(opened) == 1
    opened[0].log({"generator/loss": 0.5}, 64)
    opened[0].image("samples", Image.new("L", (8, 8)), 64)
    opened[0].close()
    assert not opened[0].disabled
    content = b"".join(path.read_bytes() for path in (tmp_path / "tensorboard").iterdir())
    assert b"generator/loss" in content and b"samples" in content and b"PNG" in content


def test_mlflow_without_a_place_to_write_says_what_to_set(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setitem(sys.modules, "mlflow", SimpleNamespace(entities=SimpleNamespace(Metric=None)))
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(UsageError, match="MLFLOW_TRACKING_URI="):
        open_sinks(["mlflow"], tmp_path, {})
