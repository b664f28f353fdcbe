"""Several runs in one table and one picture, on one protocol: numbers of different protocols are never put side by side."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from PIL import Image
from torch import Tensor

from ..core.errors import CheckpointError, UsageError
from ..metrics.protocol import Evaluation, Settings, columns, differences, shown
from .bar import tell
from .evaluate import evaluate
from .evaluations import read_all
from .eyes import Judging
from .folder import open_run
from .grid import grid, save_png
from .live import duration
from .model import load

COLUMNS = 12
"""Images of every run in the picture, of the same seeds."""


@dataclass(frozen=True)
class Comparison:
    """What `gan compare` found: one evaluation a run, all of one protocol, and facts of the runs."""

    runs: tuple[Path, ...]
    facts: tuple[dict[str, str], ...]
    """Recipe, data, images seen, time, speed of each run, as they are shown."""
    evaluations: tuple[Evaluation, ...]
    picture: Image.Image
    """A row of images a run, of the same seeds."""

    @property
    def protocol(self) -> str:
        return self.evaluations[0].protocol

    def table(self) -> str:
        """All of it as plain text: a row a run, then the floor; "-" for a number that could not be had of a run."""
        metrics = list(dict.fromkeys(name for found in self.evaluations for name in found.values))
        floors = {name: value for found in self.evaluations for name, value in found.floor.items()}
        head = ["", *self.facts[0], *metrics]
        rows = [head]
        for run, facts, found in zip(self.runs, self.facts, self.evaluations, strict=True):
            rows.append([str(run), *facts.values(), *(_with_error(found, name) for name in metrics)])
        rows.append(["floor", *("" for _ in self.facts[0]), *(shown(floors.get(name)) for name in metrics)])
        notes = dict.fromkeys(f"note      {note}" for found in self.evaluations for note in found.notes)
        return "\n".join([*columns(rows), "", f"protocol  {self.protocol}", f"floor     {self.evaluations[0].floor_of}", *notes]) + "\n"


def compare(
    runs: Sequence[str | Path],
    data: str | Path = "",
    *,
    metrics: str | Sequence[str] = "",
    samples: int = 0,
    reals: int = 0,
    features: Judging = "auto",
    weights: str = "",
    seed: int = 0,
    out: str | Path = "",
    code: Collection[str] = (),
    device: str = "auto",
) -> Comparison:
    """Measure several runs on one protocol, and draw them side by side. Options as in `evaluate`; the picture goes to `out`, if given.

    Without any options, evaluations that the runs hold already are taken where all hold the same numbers of one protocol, made of the
    model that is there now on its own data; else one line says why, and every run is evaluated anew. Raises UsageError, saying what
    differs, where the runs do not come under one protocol: other data, other sizes; CheckpointError for a run without a model. What can
    be told of that is told before anything is computed.
    """
    if len(runs) < 2:
        raise UsageError("give at least two runs: gan compare runs/a runs/b")
    folders = tuple(open_run(run).path for run in runs)
    _comparable(folders, str(data))
    asked = any((data, metrics, samples, reals, features != "auto", weights, seed))
    found = None if asked else _at_hand(folders)
    if found is None:
        found = [
            evaluate(
                folder,
                data,
                metrics=metrics,
                samples=samples,
                reals=reals,
                features=features,
                weights=weights,
                seed=seed,
                code=code,
                device=device,
            )
            for folder in folders
        ]
        _one_protocol(folders, [one.settings for one in found], str(data))
    picture = _picture(folders, code, device)
    if out:
        save_png(picture, Path(out))
    return Comparison(folders, tuple(_facts(folder) for folder in folders), tuple(found), picture)


def _at_hand(folders: Sequence[Path]) -> list[Evaluation] | None:
    """The newest evaluations of one protocol and with the same numbers that every run holds of the model it has now, on its own data.

    None where there are none, and one line then says what is missing or differs.
    """
    held = [{frozenset(_decided(e).items()): e for e in read_all(folder) if _is_of(e, folder)} for folder in folders]
    common = [key for key in held[0] if all(key in other for other in held)]
    if common:
        return [of_run[common[-1]] for of_run in held]
    newest = [_decided(list(of_run.values())[-1]) if of_run else None for of_run in held]
    if None in newest:
        why = f"{folders[newest.index(None)]} holds no evaluation of its model as it is now on its own data"
    else:
        why = "; ".join(next(filter(None, (differences(newest[0] or {}, other or {}) for other in newest))))
    tell(f"no common protocol ({why}): measuring anew")
    return None


def _decided(found: Evaluation) -> dict[str, str]:
    """The settings of an evaluation, and which numbers it has: not every metric leaves a trace in the settings."""
    return {key: value for key, value in found.settings.items() if value} | {"numbers": ", ".join(sorted(found.values))}


def _is_of(found: Evaluation, folder: Path) -> bool:
    """Whether an evaluation is of the model that a run has now, against data of the name of its own."""
    now = _config(folder)
    return found.model.get("sha256") == now["sha256"] and found.settings.get("data", "").rpartition(" (")[0] == now["data"]


def _config(folder: Path) -> dict[str, Any]:
    """What best/ of a run says of its model: sha256 of the weights, shape, data. Raises CheckpointError where there is none."""
    try:
        told = json.loads((folder / "best" / "config.json").read_bytes())
        width, height, channels = (int(told["spec"]["shape"][i]) for i in (2, 1, 0))
        path = Path(str(told["fields"]["data"]["path"])).absolute().name
        return {"sha256": told["sha256"], "size": f"{width}x{height}x{channels}", "data": path}
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise CheckpointError(f"{folder} holds no model yet (expected {folder / 'best' / 'config.json'}): gan resume {folder}") from error


def _comparable(folders: Sequence[Path], data: str) -> None:
    """Raise, before anything is computed, where the runs cannot come under one protocol: by their sizes, or the names of their data."""
    told = [{key: str(value) for key, value in _config(folder).items() if key in ("size", "data")} for folder in folders]
    _one_protocol(folders, [{**one, "data": data or one["data"]} for one in told], data)


def _one_protocol(folders: Sequence[Path], settings: Sequence[Settings], data: str) -> None:
    advice = "" if data else " Runs of one image size can be measured on the same data: --data FOLDER"
    for folder, one in zip(folders[1:], settings[1:], strict=True):
        apart = differences(settings[0], one)
        if apart:
            raise UsageError(
                f"{folders[0]} and {folder} do not come under one protocol, so their numbers must not stand side by side: "
                f"{'; '.join(apart)}.{advice}"
            )


def _facts(folder: Path) -> dict[str, str]:
    run = open_run(folder)
    recipe, history = run.json("recipe.json"), run.history()
    last = history[-1] if history else {"seen": 0, "seconds": 0.0}
    speed = last["seen"] / last["seconds"] if last["seconds"] else 0.0
    return {
        "recipe": str(recipe["recipe"]),
        "data": str(recipe["fields"]["data"]["path"]),
        "images seen": f"{last['seen']:,}",
        "time": duration(last["seconds"]),
        "img/s": f"{speed:,.0f}",
    }


def _with_error(found: Evaluation, name: str) -> str:
    if name not in found.values:
        return "-"
    error = found.errors.get(name)
    return shown(found.values[name]) + (f" ± {shown(error)}" if error is not None else "")


def _picture(folders: Sequence[Path], code: Collection[str], device: str) -> Image.Image:
    rows = []
    for folder in folders:
        model = load(folder, code=code, device=device)
        classes = [i % model.spec.classes for i in range(COLUMNS)] if model.spec.classes else None
        rows.append(cast(Tensor, model.generate(range(COLUMNS), classes, output="tensor")))
    return grid(torch.cat(rows), columns=COLUMNS)
