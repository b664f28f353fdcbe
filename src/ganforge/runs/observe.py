"""The watcher of a run: writes numbers, pictures, the shareable model and the report as training goes on."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core import machine
from ..core.ema import Average
from ..core.method import Progress
from ..core.restart import Opinion
from ..core.train import TICKS, Tick
from . import card, health, model, pictures, plots, report, sinks
from .folder import Folder
from .grid import save_png
from .live import Voice
from .recover import MOST

if TYPE_CHECKING:
    from torch import nn

    from .judge import Judge
    from .likeness import Likeness


class Observer:
    """Watches one run in process 0. `recipe` is the content of recipe.json, `data` what it is judged against,
    `code` the files of the user's that may be run for it."""

    def __init__(
        self, folder: Folder, method: Any, recipe: dict[str, Any], voice: Voice, data: Any = None, code: Collection[str] = ()
    ) -> None:
        self.folder, self.recipe, self.voice = folder, recipe, voice
        run = recipe["fields"]["run"]
        self.pictures = pictures.of(method, data, recipe["spec"]["classes"])
        self.every = max(1, TICKS // run["snapshots"])
        self.numbers: dict[str, float] = {}
        self.before: tuple[int, float] | None = None
        self.judge = _judge(folder, run, method, data, voice, code)
        self.watched = (method, data, run)
        self.guard: health.Guard | None = None
        self.restarts = 0
        self.complaints: set[str] = set()
        self.waiting: list[dict[str, Any]] = []
        """Readings that are not in metrics.jsonl yet, because the disk is full."""
        self.tidy = False
        self.sinks = sinks.open_sinks(run["log"], folder.path, recipe)
        if not self.picture(0).exists():  # the networks are as they begin: checkpoints are read later
            with self.going_on("a picture could not be kept", OSError):
                self.snapshot(Average(method.exports, 0.0).networks, 0)

    def step(self, now: Progress) -> None:
        self.voice.progress(now, self.numbers)

    def tick(self, tick: Tick) -> None:
        now, self.numbers, self.restarts = tick.now, dict(tick.numbers), tick.restart.number
        seen, seconds = self.before or (0, 0.0)
        rate = (now.seen - seen) / max(tick.seconds - seconds, 1e-9)
        self.before = (now.seen, tick.seconds)
        line = {"seen": now.seen, "step": now.step, "seconds": round(tick.seconds, 3), "images_per_second": round(rate, 1), **tick.numbers}
        if self.restarts:
            line["restarts"] = self.restarts
        line |= self.evaluate(tick) | self.diagnose(tick)
        self.waiting.append(line)
        self.record()
        for sink in self.sinks:
            sink.log({key: value for key, value in line.items() if key != "seen" and not isinstance(value, str)}, now.seen)
        if self._snapshot_due(now):
            with self.going_on("a picture could not be kept", OSError):
                self.snapshot(tick.average.networks, now.seen)

    def record(self) -> None:
        """Append the readings that wait. On a full disk they wait on: whether that ends the training is for the checkpoints to say."""
        with self.going_on("the readings wait for the disk", OSError):
            if self.waiting and not self.tidy:
                self.folder.forget_after(self.waiting[0]["seen"])
                self.tidy = True
            self.folder.add_readings(self.waiting)
            self.waiting = []

    @contextmanager
    def going_on(self, what: str, kind: type[Exception] = Exception) -> Iterator[None]:
        """What fails in the block is said once, and the training goes on: a look must not end what it looks at."""
        try:
            yield
        except kind as error:
            reason = f"{what}, the training goes on: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
            if reason not in self.complaints:
                self.complaints.add(reason)
                self.voice.say(f"  {reason}")

    def snapshot(self, networks: Mapping[str, nn.Module], seen: int) -> None:
        """Draw the fixed latents, or inputs, with the averaged networks as they stand."""
        picture = self.pictures.draw(networks)
        save_png(picture, self.picture(seen))
        for sink in self.sinks:
            sink.image("fakes", picture, seen)

    def picture(self, seen: int) -> Path:
        return self.folder.path / "samples" / f"fakes_{seen:012d}.png"

    def diagnose(self, tick: Tick) -> dict[str, Any]:
        """The guard's word if it looks now; advice goes with every change to a word that is not good."""
        said = None
        with self.going_on("the guard failed"):
            method, data, run = self.watched
            if self.guard is None and data is not None and not pictures.translates(method):  # it looks at what is drawn of latents
                before = [line for line in self.folder.history() if line["seen"] < tick.now.seen]
                self.guard = health.Guard(method, data, run, before)
            said = self.guard.look(tick) if self.guard else None
        if said is None:
            return {}
        if said.advice and said.word != self.voice.health:
            self.voice.say(f"!  health: {said.word} at {tick.now.seen:,} images. {said.advice} See {said.link}")
        self.voice.health = said.word
        return health.reading(said)

    def opinion(self) -> Opinion:
        """What the guard makes of its last looks, for a run that heeds it."""
        with self.going_on("the guard failed"):
            said = self.guard.opinion() if self.guard else Opinion()
            return said if self.restarts < MOST else said._replace(caution=1.0)
        return Opinion()

    def evaluate(self, tick: Tick) -> dict[str, float]:
        """Measure the model if that is due, and keep it if it is the best so far. What fails is said once, and the training goes on."""
        if self.judge is None:
            return {}
        with self.going_on("evaluation failed"):
            numbers = self.judge.look(tick)
            if not numbers:
                return {}
            if best := self.judge.is_best(numbers):
                self.share(tick, numbers)
            self.judge.keep(numbers, tick.now.seen, best)
            if tick.now.seen >= tick.now.total:
                for line in self.judge.closing():
                    self.voice.say(line)
            return self.judge.columns(numbers)
        return {}

    def share(self, tick: Tick, numbers: dict[str, float] | None = None) -> None:
        """Write the averaged networks as they stand into best/, with a card that tells the numbers."""
        status: dict[str, Any] = {"seen": tick.now.seen, "total": tick.now.total, "seconds": round(tick.seconds, 1)}
        if columns := pictures.captions(self.watched[0]):
            status["columns"] = columns
        if numbers:
            status["metrics"] = {name if name != "floor" else "the same of real images": value for name, value in numbers.items()}
        text = card.model_card(self.recipe, self.folder.json("plan.json"), {**status, "folder": str(self.folder.path)})
        model.write(self.folder.path / "best", self.recipe, tick.average.networks, text, status)

    def saved(self, tick: Tick) -> None:
        """After every checkpoint: the model to share, unless a better one is known, the curves and the report."""
        self.record()
        with self.going_on("model and report could not be written", OSError):
            if not (self.judge and self.judge.recall_best()):
                self.share(tick)
            plots.write_csv(self.folder.path)
            plots.draw_all(self.folder.path)
            report.write(self.folder.path)

    def close(self) -> None:
        for sink in self.sinks:
            sink.close()

    def _snapshot_due(self, now: Progress) -> bool:
        return now.step * TICKS // now.steps % self.every == 0 or now.step == now.steps


def with_looks(recipe: Any, data: Any, spec: Any, images_per_second: float) -> Any:
    """The recipe with the number of its evaluations fixed for good, if that is left to us: so many as the planned time can afford."""
    run = recipe.run
    if run.evaluations or run.evaluate == "none" or data.images.shape[1] not in (1, 3):
        return recipe
    from . import judge, likeness
    from .eyes import of_run

    method = recipe.method(spec).to(spec.device)
    machine.layout(method, run.layout)
    seconds = run.examples / max(images_per_second, 0.05)  # which is rounded to 0.1
    price = likeness.affordable if pictures.translates(method) else judge.affordable
    often = price(run.evaluate, method, data, spec.device, (of_run(run.evaluate),), seconds)
    return dataclasses.replace(recipe, run=dataclasses.replace(run, evaluations=often))


def too_few(option: str, method: Any, data: Any) -> str:
    """Why a run judges no sets of images, of which there are fewer than the metric of `option` needs; "" where there are enough, and where
    pairs are judged, or nothing."""
    from ..metrics import measure

    translates, metric = pictures.translates(method), option.partition(":")[0]
    if metric == "none" or translates and pictures.paired(method):
        return ""
    name = "kid" if metric == "auto" else metric
    least = measure.METRICS[name].least
    parts = [data, dataclasses.replace(data, held_out=None)] if translates else []  # see `likeness.Opened`
    count = max(len(part.shown(least)["x"]) for part in parts) if parts else len(data)
    if count >= least:
        return ""
    return f"no evaluation: {name.upper()} needs at least {least} images a side, and the data has {count}; best/ will hold the last model"


def _judge(folder: Folder, run: dict[str, Any], method: Any, data: Any, voice: Voice, code: Collection[str]) -> Judge | Likeness | None:
    option = run.get("evaluate", "auto")
    if data is None or option == "none":
        return None
    if data.images.shape[1] not in (1, 3):
        voice.say(f"note    no evaluation: features are taken of images with 1 or 3 channels, and these have {data.images.shape[1]}")
        return None
    if too_few(option, method, data):  # as the plan says
        return None
    from .judge import Judge  # feature networks are loaded only where a run judges itself
    from .likeness import Likeness

    often, device = run.get("evaluations", 0), str(next(method.parameters()).device)
    if pictures.translates(method):
        return Likeness(folder, option, often, method, data, device, code)
    return Judge(folder, option, often, method, data, device, code)
