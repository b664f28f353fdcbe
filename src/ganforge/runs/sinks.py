"""Optional trackers beside the files of a run: TensorBoard, Weights & Biases, MLflow. None is touched unless asked for.

A tracker is a convenience. If one cannot start, fails, or hangs, it is disabled with one warning, and the training
goes on: metrics.jsonl has every number anyway.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from ..core.errors import GanforgeError, UsageError, nearest

logger = logging.getLogger(__name__)

BACKLOG = 1000
"""Messages that may wait for a slow tracker before it is given up."""
START = 10.0
"""Seconds that a run waits for a tracker to start."""
PATIENCE = 30.0
"""Seconds that `close` waits for a tracker to take what is left."""
INSTALL = 'pip install "ganforge[track]"'


class Sink(Protocol):
    """Takes numbers and pictures as the training makes them; `seen` counts real examples and never falls within a run."""

    def log(self, numbers: Mapping[str, float], seen: int) -> None: ...
    def image(self, name: str, picture: Image.Image, seen: int) -> None: ...
    def close(self) -> None: ...


class TensorBoard:
    """Event files in tensorboard/ of the run folder, by torch's writer or tensorboardX."""

    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None:
        try:
            maker: Any = importlib.import_module("torch.utils.tensorboard")
        except ImportError:
            maker = importlib.import_module("tensorboardX")
        self.writer = maker.SummaryWriter(str(folder / "tensorboard"))
        self.writer.add_text("config", f"```json\n{json.dumps(config, indent=2, default=str)}\n```")

    def log(self, numbers: Mapping[str, float], seen: int) -> None:
        for name, value in numbers.items():
            self.writer.add_scalar(name, value, seen)
        self.writer.flush()

    def image(self, name: str, picture: Image.Image, seen: int) -> None:
        self.writer.add_image(name, np.asarray(picture.convert("RGB")), seen, dataformats="HWC")

    def close(self) -> None:
        self.writer.close()


class Wandb:
    """One run in the project $WANDB_PROJECT or 'ganforge'; $WANDB_MODE=offline keeps it on this disk."""

    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None:
        self.wandb: Any = importlib.import_module("wandb")
        project = os.environ.get("WANDB_PROJECT", "ganforge")
        self.run = self.wandb.init(project=project, name=folder.resolve().name, dir=str(folder), config=dict(config))
        self.run.define_metric("*", step_metric="seen")  # its own step must never repeat, but seen does: numbers, then images

    def log(self, numbers: Mapping[str, float], seen: int) -> None:
        self.run.log({**numbers, "seen": seen})

    def image(self, name: str, picture: Image.Image, seen: int) -> None:
        self.run.log({name: self.wandb.Image(picture), "seen": seen})

    def close(self) -> None:
        self.run.finish()


class MLflow:
    """One run in the experiment $MLFLOW_EXPERIMENT_NAME or 'ganforge', on the server $MLFLOW_TRACKING_URI.

    Without a server: mlflow.db in the run folder, for which the full `mlflow` package is needed, not `mlflow-skinny`.
    """

    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None:
        mlflow: Any = importlib.import_module("mlflow")
        self.metric = mlflow.entities.Metric
        if "MLFLOW_TRACKING_URI" not in os.environ and importlib.util.find_spec("sqlalchemy") is None:
            raise UsageError(
                "--log mlflow needs a place to write to: set MLFLOW_TRACKING_URI=http://your-server, "
                "or, for a file in the run folder, pip install mlflow"
            )
        uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(folder / 'mlflow.db').resolve().as_posix()}"
        # The client and not mlflow.log_metric: that one's current run belongs to a thread.
        self.client = mlflow.MlflowClient(tracking_uri=uri)
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "ganforge")
        known = self.client.get_experiment_by_name(name)
        place = None if "MLFLOW_TRACKING_URI" in os.environ else (folder / "mlflow").resolve().as_uri()
        experiment = known.experiment_id if known else self.client.create_experiment(name, artifact_location=place)
        self.id = self.client.create_run(experiment, run_name=folder.resolve().name).info.run_id
        self.client.log_dict(self.id, dict(config), "config.json")

    def log(self, numbers: Mapping[str, float], seen: int) -> None:
        now = int(time.time() * 1000)
        self.client.log_batch(self.id, metrics=[self.metric(name, float(value), now, seen) for name, value in numbers.items()])

    def image(self, name: str, picture: Image.Image, seen: int) -> None:
        self.client.log_image(self.id, picture, artifact_file=f"{name.replace('/', '_')}/{seen:012d}.png")

    def close(self) -> None:
        self.client.set_terminated(self.id)


SINKS: dict[str, Callable[[Path, Mapping[str, Any]], Sink]] = {"tensorboard": TensorBoard, "wandb": Wandb, "mlflow": MLflow}


class Guarded:
    """A sink that cannot harm: it starts and works in a thread of its own, and is disabled with one warning if it fails or falls behind.

    Raises what `make` raises within START seconds; a tracker that takes longer finds what is logged meanwhile waiting for it.
    """

    sink: Sink

    def __init__(self, name: str, make: Callable[[], Sink]) -> None:
        self.name, self._make = name, make
        self.disabled = False
        self._closed = False
        self._started: queue.Queue[Exception | None] = queue.Queue()
        self._work: queue.Queue[Callable[[], None] | None] = queue.Queue(BACKLOG)
        self._thread = threading.Thread(target=self._run, name=f"sink-{name}", daemon=True)  # a hanging one must not hold the exit
        self._thread.start()
        try:
            failed = self._started.get(timeout=START)
        except queue.Empty:
            return
        if failed:
            self.disabled = True
            raise failed

    def log(self, numbers: Mapping[str, float], seen: int) -> None:
        copy = dict(numbers)  # the caller may reuse its dict
        self._put(lambda: self.sink.log(copy, seen))

    def image(self, name: str, picture: Image.Image, seen: int) -> None:
        copy = picture.copy()
        self._put(lambda: self.sink.image(name, copy, seen))

    def close(self) -> None:
        """Wait a while for what is left, then go. May be called twice."""
        if self._closed:
            return
        self._put(lambda: self.sink.close())  # which may not have started yet
        self._closed = True
        if not self.disabled:
            self._work.put(None) if not self._work.full() else self._disable("it takes nothing any more")
            self._thread.join(PATIENCE)
            if self._thread.is_alive():
                self._disable(f"it did not finish within {PATIENCE:.0f} s")

    def _put(self, work: Callable[[], None]) -> None:
        if self.disabled or self._closed:
            return
        try:
            self._work.put_nowait(work)
        except queue.Full:
            self._disable(f"{BACKLOG} messages wait for it")

    def _run(self) -> None:
        began = time.monotonic()
        try:
            self.sink = self._make()
            self._started.put(None)
        except Exception as error:  # noqa: BLE001  foreign code may raise anything; it is raised or told
            self._started.put(error)
            if time.monotonic() - began > START:
                self._disable(f"{type(error).__name__}: {error}")
            return
        while not self.disabled and (work := self._work.get()) is not None:
            try:
                work()
            except Exception as error:  # noqa: BLE001  foreign code may raise anything; the warning tells it, the training goes on
                self._disable(f"{type(error).__name__}: {error}")

    def _disable(self, reason: str) -> None:
        if not self.disabled:
            self.disabled = True
            _warn(self.name, reason)


def _warn(name: str, reason: str) -> None:
    first = (reason.splitlines() or ["no reason given"])[0][:300]
    logger.warning("the tracker %s is disabled and the training goes on (metrics.jsonl has all numbers): %s", name, first)


def check_names(names: Sequence[str]) -> None:
    """Raise UsageError for a name that is no tracker's."""
    for name in names:
        if name not in SINKS:
            raise UsageError(f"'{name}' is not a tracker.{nearest(name, SINKS)} There are: {', '.join(SINKS)}.")


def open_sinks(names: Sequence[str], folder: Path, config: dict[str, Any]) -> list[Sink]:
    """The trackers of these names, ready to log.

    Raises UsageError for an unknown name or a missing package. A tracker that is there but cannot start (no
    network, no login) is left out with a warning, so that a run resumed at night is not stopped by it.
    """
    check_names(names)
    opened: list[Sink] = []
    for name in dict.fromkeys(names):
        try:
            opened.append(Guarded(name, partial(SINKS[name], Path(folder), config)))
        except ImportError as error:
            raise UsageError(f"--log {name} needs a package that is not installed ({error.name or error}): {INSTALL}") from error
        except GanforgeError:
            raise
        except Exception as error:  # noqa: BLE001  wandb and mlflow raise types of their own
            _warn(name, f"{type(error).__name__}: {error}")
    return opened
