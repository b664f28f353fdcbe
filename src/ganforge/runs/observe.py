"""The watcher of a run: writes numbers, pictures, the shareable model and the report as training goes on."""

from __future__ import annotations

import json
from typing import Any

from ..core.errors import StorageError
from ..core.method import Progress
from ..core.train import TICKS, Tick, is_tick
from . import card, model, plots, report, sampling, sinks
from .folder import Folder
from .grid import grid, save_png
from .live import Voice

SAMPLES = 64


class Observer:
    """Watches one run in process 0. `recipe` is the content of recipe.json."""

    def __init__(self, folder: Folder, method: Any, recipe: dict[str, Any], voice: Voice) -> None:
        self.folder, self.recipe, self.voice = folder, recipe, voice
        run, classes = recipe["fields"]["run"], recipe["spec"]["classes"]
        self.columns = classes if 2 <= classes <= 12 else 8
        count = SAMPLES // self.columns * self.columns
        wanted = [i % classes for i in range(count)] if classes else None
        self.z, self.y = sampling.starts(method, range(count), classes, wanted)
        self.every = max(1, TICKS // run["snapshots"])
        self.numbers: dict[str, float] = {}
        self.before: tuple[int, float] | None = None
        self.sinks = sinks.open_sinks(run["log"], folder.path, recipe)

    def step(self, now: Progress) -> None:
        self.voice.progress(now, self.numbers)

    def tick(self, tick: Tick) -> None:
        now, self.numbers = tick.now, dict(tick.numbers)
        if self.before is None:
            self.folder.forget_after(now.seen)
        seen, seconds = self.before or (0, 0.0)
        rate = (now.seen - seen) / max(tick.seconds - seconds, 1e-9)
        self.before = (now.seen, tick.seconds)
        line = {"seen": now.seen, "step": now.step, "seconds": round(tick.seconds, 3), "images_per_second": round(rate, 1), **tick.numbers}
        try:
            with (self.folder.path / "metrics.jsonl").open("a") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            raise StorageError(f"metrics.jsonl in {self.folder.path} could not be written: {error}.") from error
        for sink in self.sinks:
            sink.log({key: value for key, value in line.items() if key != "seen"}, now.seen)
        if self._snapshot_due(now):
            self.snapshot(tick)

    def snapshot(self, tick: Tick) -> None:
        """Draw the fixed latents with the averaged generator as it stands."""
        picture = grid(sampling.images(tick.average.networks["generator"], self.z, self.y), columns=self.columns)
        save_png(picture, self.folder.path / "samples" / f"fakes_{tick.now.seen:012d}.png")
        for sink in self.sinks:
            sink.image("fakes", picture, tick.now.seen)

    def saved(self, tick: Tick) -> None:
        """After every checkpoint: the model to share, the curves and the report."""
        status = {"seen": tick.now.seen, "total": tick.now.total, "seconds": round(tick.seconds, 1)}
        text = card.model_card(self.recipe, self.folder.json("plan.json"), {**status, "folder": str(self.folder.path)})
        model.write(self.folder.path / "best", self.recipe, tick.average.networks, text, status)
        plots.write_csv(self.folder.path)
        plots.draw_all(self.folder.path)
        report.write(self.folder.path)

    def close(self) -> None:
        for sink in self.sinks:
            sink.close()

    def _snapshot_due(self, now: Progress) -> bool:
        total_steps = -(-now.total // (now.seen // now.step))
        number = now.step * TICKS // total_steps
        return number % self.every == 0 or now.step == total_steps or not is_tick(now.step, total_steps)
