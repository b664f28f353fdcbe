"""What measurements over many trainings share: a JSON file for each, so that they can be stopped and started again, and the same looks.

Scores compare 1,000 images of fixed latents (fewer where the data has fewer) with as many training images, LOOKS times a run. On data with
classes that is FD-classifier, the Frechet distance on a small classifier trained on the set (as benchmarks/judge.py). Elsewhere it
is MIND on AlexNet's features of photographs, or on random ones where those cannot be had: a few hundred images in hundreds of dimensions
have no covariance, which the Frechet distance wants, and a kernel distance goes to 0 and below, so that no ratio can be made of it. No set
is judged by EfficientNet-lite0, which `projected` learns from: it would be measured by what it was taught.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch

from ganforge.core import machine
from ganforge.core.checkpoint import replace_file
from ganforge.core.errors import DataError, GanforgeError
from ganforge.core.method import Progress
from ganforge.core.recipe import describe, rebuild
from ganforge.core.train import Tick, train
from ganforge.data.imageset import ImageSet
from ganforge.metrics.features import Features, find
from ganforge.runs import recover
from ganforge.runs.grid import save_png
from ganforge.runs.health import Guard
from ganforge.runs.judge import Opened, due
from ganforge.runs.pictures import OfLatents
from ganforge.runs.start import plan

LOOKS = 10
CPU = torch.device("cpu")


def kept(path: Path, make: Callable[..., Any], *of: Any) -> Any:
    """What a JSON file holds, or make(*of), which is then written into it, whole or not at all."""
    if not path.is_file():
        content = json.dumps(make(*of), indent=1)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.part")
        part.write_text(content)
        part.replace(path)
    return json.loads(path.read_text())


def filled(path: Path, make: Callable[..., Any], *of: Any) -> bool:
    """Whether `kept` has what it should: what the machine is to blame for is told and leaves the file unwritten, so that the next start
    tries again. Checkpoints of an unfinished training lie in `path` without its ending until then."""
    try:
        kept(path, make, *of)
    except (GanforgeError, MemoryError) as error:
        print(f"not done: {path.stem}: {str(error) or type(error).__name__}", flush=True)
        return False
    shutil.rmtree(path.with_suffix(""), ignore_errors=True)
    return True


def typed(options: dict[str, Any]) -> str:
    """' --pack 2 --reject': options as on the command line."""
    values = {key: "" if value is True else f" {value:g}" if isinstance(value, float) else f" {value}" for key, value in options.items()}
    return "".join(f" --{key.replace('_', '-')}{value}" for key, value in values.items())


def same(path: Path, settings: dict[str, Any]) -> None:
    """Keep in a JSON file what the results beside it were made with. Raises SystemExit where that is something else already."""
    if (had := kept(path, lambda: settings)) != settings:
        raise SystemExit(f"{path.parent} holds results of other settings, {had}, not {settings}: choose another --out.")


def planned(path: Path, recipe: Any, data: Any) -> Any:
    """The recipe with everything decided, as the file says; what is measured is measured once, so that all runs do the same."""
    return rebuild(type(recipe), kept(path, lambda: describe(plan(recipe, data, data.spec, CPU)[0])))


class Last:
    """A watcher that keeps where a run ended: its averaged networks, also of one that had ended before it was started again."""

    def __init__(self) -> None:
        self.end: Tick | None = None

    def step(self, now: Progress) -> None: ...

    def saved(self, tick: Tick) -> None:
        self.end = tick

    tick = saved

    @classmethod
    def of(cls, recipe: Any, data: Any, folder: Path) -> tuple[Any, Tick]:
        """The method and the end of a decided recipe's training, which goes on from the last checkpoint in `folder`."""
        torch.manual_seed(recipe.run.seed)
        method, watcher = recipe.method(data.spec), cls()
        machine.layout(method, recipe.run.layout)
        folder.mkdir(parents=True, exist_ok=True)
        train(method, data, recipe.run, folder=folder, device=CPU, watcher=watcher)
        assert watcher.end is not None
        return method, watcher.end


class Seeing(NamedTuple):
    """What a set is judged with."""

    features: Features
    metric: str


def seeing(data: ImageSet, path: Path) -> Seeing:
    """What the JSON file says, so that all cells of a set are judged alike. Raises DataError where that cannot be had any more."""
    name, metric = kept(path, _choice, data)
    return Seeing(find(name, data=data), metric)


def _choice(data: ImageSet) -> tuple[str, str]:
    """A classifier where there are classes; else what knows photographs, if it can be had, and is no recipe's teacher."""
    if data.labels is not None and data.spec.classes > 1:
        return "classifier", "fid"
    try:
        find("alexnet")
    except DataError as error:
        print(f"random features instead of alexnet: {str(error).splitlines()[0]}", flush=True)
        return "random", "mind"
    return "alexnet", "mind"


class Watch:
    """Scores the averaged generator of a run, listens to the guard, and keeps the last picture.

    notes: the JSON file of what was noted, by the number of images at that moment, over all sittings and restarts. What is gone through
    again takes the place of the first time, as it does in the training's clock. restarts: how often the run was started again so far.
    """

    def __init__(self, method: Any, data: Any, run: Any, eyes: Seeing, notes: Path, restarts: int) -> None:
        self.opened = Opened(eyes.features, eyes.metric, method, data)
        self.guard = Guard(method, data, dataclasses.asdict(run))
        self.pictures = OfLatents(method, data.spec.classes)
        self.file, self.restarts = notes, restarts
        known = json.loads(notes.read_text()) if notes.is_file() else {}
        self.notes: dict[int, dict[str, Any]] = {int(seen): note for seen, note in known.items()}
        self.numbers: dict[str, float] = {}
        """The newest reading of each number: not all are logged in every step."""
        self.last: Tick | None = None

    def step(self, now: Progress) -> None: ...

    def saved(self, tick: Tick) -> None:
        if self.last is None:  # it goes on from a checkpoint, and the guard knows what it saw until then
            self.guard.looks = [note["look"] for seen, note in sorted(self.notes.items()) if "look" in note and seen <= tick.now.seen]
        self.last = tick

    def tick(self, tick: Tick) -> None:
        began, self.last = time.monotonic(), tick
        self.numbers |= tick.numbers
        note: dict[str, Any] = {}
        if said := self.guard.look(tick):
            note |= {"health": {"word": said.word, **said.numbers}, "look": self.guard.looks[-1]}
        if due(tick.now, LOOKS):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)  # for generators that draw noise of their own
                (metric, score), *_ = self.opened.score(self.opened.fakes(tick.average.networks["generator"])).items()
            note["row"] = {"seen": tick.now.seen, "metric": metric, "value": score.value, **self.numbers}
            print(f"    {tick.now.seen:,} images: {metric} {score.value:.4g}{f', {said.word}' if said else ''}", flush=True)
        self.notes[tick.now.seen] = note | {"looked": time.monotonic() - began}
        replace_file(self.file, json.dumps(self.notes).encode())

    def scores(self) -> dict[str, Any]:
        """final, best and their ratio; spread: mean distance between fakes of a class over that of real images; and the guard's words."""
        assert self.last is not None
        notes = [self.notes[seen] for seen in sorted(self.notes)]
        curve = [note["row"] for note in notes if "row" in note]
        healths = [note["health"] for note in notes if "health" in note]
        values, health = [row["value"] for row in curve], healths[-1]
        now, seconds = self.last.now, self.last.seconds - sum(note["looked"] for note in notes)
        return {
            **{"metric": curve[-1]["metric"], "floor": self.opened.floor.get("floor"), "final": values[-1], "best": min(values)},
            **{"ratio": values[-1] / min(values), "spread": health["diversity"], "coverage": health["coverage"]},
            **{"word": health["word"], "words": Counter(each["word"] for each in healths), "restarts": self.restarts},
            **{"seen": now.seen, "images_per_second": now.seen / max(seconds, 1e-9), "curve": curve},
        }


def trained(recipe: Any, data: Any, eyes: Seeing, picture: Path, folder: Path) -> dict[str, Any]:
    """The scores of a decided recipe, trained from its seed, or from the last checkpoint in `folder`; its last samples become a picture.

    Raises DivergedError."""

    def attempt(chosen: Any, restart: Any) -> Watch:
        torch.manual_seed(chosen.run.seed)
        method = chosen.method(data.spec)
        machine.layout(method, chosen.run.layout)
        watch = Watch(method, data, chosen.run, eyes, folder / "notes.json", restart.number)
        train(method, data, chosen.run, folder=folder, device=CPU, watcher=watch, restart=restart)
        return watch

    folder.mkdir(parents=True, exist_ok=True)
    watch = recover.persevere(attempt, recipe, folder, print)
    picture.parent.mkdir(parents=True, exist_ok=True)
    assert watch.last is not None
    save_png(watch.pictures.draw(watch.last.average.networks), picture)
    return watch.scores()
