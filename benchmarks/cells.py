"""What measurements over many trainings share: a JSON file for each, so that they can be stopped and started again, and the same looks.

Scores compare 1,000 images of fixed latents (fewer where the data has fewer) with as many training images, LOOKS times a run. On data with
classes that is FD-classifier, the Frechet distance on a small classifier trained on the set (as benchmarks/judge.py). Elsewhere it
is MIND on features of photographs, or on random ones where those cannot be had: a few hundred images in a thousand dimensions have no
covariance, which the Frechet distance wants, and a kernel distance goes to 0 and below, so that no ratio can be made of it.
"""

from __future__ import annotations

import dataclasses
import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch

from ganforge.core import machine
from ganforge.core.errors import DataError
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
    """A classifier where there are classes; else what knows photographs, if it can be had."""
    if data.labels is not None and data.spec.classes > 1:
        return "classifier", "fid"
    try:
        find("efficientnet-lite0")
    except DataError as error:
        print(f"random features instead of efficientnet-lite0: {str(error).splitlines()[0]}", flush=True)
        return "random", "mind"
    return "efficientnet-lite0", "mind"


class Seen(NamedTuple):
    """What was noted in a run, by the number of images at that moment: what a restart goes through again takes the place of the first time,
    as it does in the training's clock."""

    rows: dict[int, dict[str, Any]]
    words: dict[int, str]
    looked: dict[int, float]
    """Seconds that the looks took."""


class Watch:
    """Scores the averaged generator of a run, listens to the guard, and keeps the last picture. seen: what all attempts at a run share."""

    def __init__(self, method: Any, data: Any, run: Any, eyes: Seeing, seen: Seen) -> None:
        self.opened = Opened(eyes.features, eyes.metric, method, data)
        self.guard = Guard(method, data, dataclasses.asdict(run))
        self.pictures = OfLatents(method, data.spec.classes)
        self.rows, self.words, self.looked = seen
        self.numbers: dict[str, float] = {}
        """The newest reading of each number: not all are logged in every step."""
        self.last: Tick | None = None

    def step(self, now: Progress) -> None: ...

    def saved(self, tick: Tick) -> None: ...

    def tick(self, tick: Tick) -> None:
        began, self.last = time.monotonic(), tick
        self.numbers |= tick.numbers
        if said := self.guard.look(tick):
            self.words[tick.now.seen] = said.word
            self.health = {"word": said.word, **said.numbers}
        if due(tick.now, LOOKS):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)  # for generators that draw noise of their own
                (metric, score), *_ = self.opened.score(self.opened.fakes(tick.average.networks["generator"])).items()
            self.rows[tick.now.seen] = {"seen": tick.now.seen, "metric": metric, "value": score.value, **self.numbers}
            print(f"    {tick.now.seen:,} images: {metric} {score.value:.4g}, {self.health['word']}", flush=True)
        self.looked[tick.now.seen] = time.monotonic() - began

    def scores(self) -> dict[str, Any]:
        """final, best and their ratio; spread: mean distance between fakes of a class over that of real images; and the guard's words."""
        assert self.last is not None
        curve = [self.rows[seen] for seen in sorted(self.rows)]
        values = [row["value"] for row in curve]
        now, seconds = self.last.now, self.last.seconds - sum(self.looked.values())
        return {
            **{"metric": curve[-1]["metric"], "floor": self.opened.floor.get("floor"), "final": values[-1], "best": min(values)},
            **{"ratio": values[-1] / min(values), "spread": self.health["diversity"], "coverage": self.health["coverage"]},
            **{"word": self.health["word"], "words": Counter(self.words.values()), "restarts": self.last.restart.number},
            **{"seen": now.seen, "images_per_second": now.seen / max(seconds, 1e-9), "curve": curve},
        }


def trained(recipe: Any, data: Any, eyes: Seeing, picture: Path) -> dict[str, Any]:
    """The scores of a decided recipe, trained from its seed; its last samples become a picture. Raises DivergedError."""
    seen = Seen({}, {}, {})

    def attempt(chosen: Any, restart: Any) -> Watch:
        torch.manual_seed(chosen.run.seed)
        method = chosen.method(data.spec)
        machine.layout(method, chosen.run.layout)
        watch = Watch(method, data, chosen.run, eyes, seen)
        train(method, data, chosen.run, folder=Path(folder), device=CPU, watcher=watch, restart=restart)
        return watch

    with tempfile.TemporaryDirectory() as folder:
        watch = recover.persevere(attempt, recipe, Path(folder), print)
    picture.parent.mkdir(parents=True, exist_ok=True)
    save_png(watch.pictures.draw(watch.last.average.networks), picture)
    return watch.scores()
