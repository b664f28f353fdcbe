"""Judge a model that makes images of images on examples it has not learnt from, beside what was there before networks."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from .. import __version__
from ..core import recipe as recipes_json
from ..core.errors import DataError, GanforgeError, UsageError
from ..data import where
from ..data.degrade import presets
from ..data.source import cache_folder
from ..methods import tasks
from ..metrics import classical, measure
from ..metrics import pairs as alike
from ..metrics.classical.colouring import mean_chroma
from ..metrics.classical.known import Image, Known
from ..metrics.features import to_uint8
from ..metrics.likeness import LEAST, sight
from ..metrics.protocol import Evaluation
from ..recipes import find
from ..tasks.apply import of_model
from ..tasks.apply.applier import Applier, as_it_is
from . import pictures
from .bar import Bar
from .folder import Folder
from .likeness import eyes_of
from .model import Model, build, load
from .pairs import Likeness, likeness, noted, of_bytes

MOST = 32
"""Whole images unless more are asked for; classical methods take their time."""
PIECE = 192
"""Side of the pieces of the same images on which the classical method is chosen: there are many, at many strengths."""
DAMAGE = ("damage", "sigma", "quality")
"""Options of recipes that say nothing of the data: the method knows what it does to images, and does nothing to those that bring what is
given."""


class Example(NamedTuple):
    """given (1, c, h, w) and x (1, 3, h', w') in [-1, 1], and what a classical method may know."""

    given: Tensor
    x: Tensor
    known: Known


def translates(path: Path, code: Collection[str]) -> bool:
    """Whether a folder is a run or model that makes images of images, as the method that its config.json describes does."""
    place = path / "best" if (path / "best").is_dir() else path
    try:
        return pictures.translates(build(json.loads((place / "config.json").read_bytes()), code)[0])
    except (OSError, ValueError, GanforgeError):  # no model, or none that can be used: others say so
        return False


def evaluate_translation(path: Path, data: str, names: Sequence[str], *, samples: int, code: Collection[str], device: str) -> Evaluation:
    """Means over whole images, of 8 bits, of what the generator makes; beside them the other exports' and the best classical method's.

    data: photographs to judge it on; "": those of the run, its held-out part. names: some of psnr, ssim, ms-ssim, lpips;
    none: the first two and the perceptual distance at hand.
    Raises UsageError for other metrics and for models without right answers to compare with, DataError where there is no data.
    """
    model = load(path, code=code)
    method: Any = model._method
    if not pictures.paired(method):
        raise UsageError("this model learnt from two sets of images without pairs, so there is no right answer to compare its images with.")
    if wrong := [name for name in names if name not in measure.PAIRED]:
        raise UsageError(f"{', '.join(wrong)} compare sets of images; this model is judged image by image: {', '.join(measure.PAIRED)}.")
    chosen, notes = _data(model, path, data, code)
    rival, told = _rival(model, chosen, samples or MOST)
    model.to(device)  # but examples are made on the CPU, where they are the same everywhere
    compared, facts = _compared(names, method, device)
    each, sizes, more = _judged(model, chosen, samples or MOST, rival, compared)
    means = {name: {what: float(values.mean()) for what, values in numbers.items()} for name, numbers in each.items()}
    own = each[pictures.ways(method)[0]]
    first = next(iter(own))
    count, best = len(own[first]), each[rival][first] if rival else None
    settings = {
        "judged": f"{count:,} whole images of 8 bits",
        "data": f"{Path(data or _path(model)).absolute().name} ({chosen.fingerprint[:8]})",
        "split": "held-out" if chosen.held_out else "all",
        "size": sizes,
        "metrics": ", ".join(facts),
        "classical": f"chosen on pieces of {PIECE} pixels" if rival else "",
        "ganforge": __version__,
    }
    rows = [{what: float(values[i]) for what, values in own.items()} for i in range(count)]
    return Evaluation(
        subject=str(path),
        values=means.pop(pictures.ways(method)[0]),
        errors={what: float(values.std() / math.sqrt(count)) for what, values in own.items() if count > 1},
        floor={},
        beside=means,
        per_example=[row | ({f"{first} {rival}": float(best[i])} if best is not None else {}) for i, row in enumerate(rows)],
        settings=settings,
        notes=tuple(dict.fromkeys((*notes, *told, *more))),
        model={str(key): model.facts[key] for key in ("sha256", "seen") if key in model.facts},
    )


def _judged(
    model: Model, data: Any, count: int, rival: str, compared: Mapping[str, Likeness]
) -> tuple[dict[str, dict[str, Tensor]], str, list[str]]:
    """{what made it: {metric: (images,)}}, the sizes in words, and notes. Raises DataError where no image is large enough.

    Of several metrics, one that an image is too small for is left out.
    """
    found: dict[str, dict[str, list[Tensor]]] = {}
    sizes, notes, left = set(), list[str](), dict(compared)
    appliers: dict[str, Applier] = {}
    with Bar("whole images", min(count, len(data.held_out or data))) as progress:
        for done, (given, x, known) in enumerate(_examples(model, data, count), 1):
            wanted, made = to_uint8(x), dict[str, Tensor]()
            appliers = appliers or _appliers(model, given.shape[1])
            for way, applier in appliers.items():
                whole = applier.run(given[0].permute(1, 2, 0).numpy())
                made[way] = to_uint8(torch.from_numpy(whole.picture).permute(2, 0, 1)[None].clamp(-1, 1))
                notes += whole.notes
            if rival:
                image = _array(to_uint8(_seen(model, given)))
                made[rival] = _tensor(classical.restored(_task(model), image, known, rival)[rival])
            for what, compare in [*left.items()]:
                try:
                    values = {name: compare(images, wanted).double() for name, images in made.items()}
                except DataError as error:
                    noted(error, what, [*left], notes)
                    del left[what]
                    continue
                for name, value in values.items():  # of PSNR alone, so much
                    found.setdefault(name, {}).setdefault(what, []).append(value.clamp(max=alike.MOST))
            sizes.add((x.shape[3], x.shape[2]))
            progress(done)
    if not sizes:
        raise DataError(f"no image is large enough to be judged: the shorter side must be at least {LEAST} pixels.")
    low, high = min(sizes), max(sizes)
    said = f"{low[0]}x{low[1]}" + (f" to {high[0]}x{high[1]}" if low != high else "")
    return {name: {what: torch.cat(numbers[what]) for what in left} for name, numbers in found.items()}, said, notes


def _appliers(model: Model, channels: int) -> dict[str, Applier]:
    """By export, what is run on inputs as the method gives them."""
    return {way: replace(of_model.applier(model, export=way), given=as_it_is, channels=channels) for way in pictures.ways(model._method)}


def _examples(model: Model, data: Any, count: int) -> Iterator[Example]:
    """Whole images, one after another, with the damage that each has every time; those too small to be judged are left out."""
    method: Any = model._method
    task, times = _task(model), getattr(model.networks[pictures.ways(method)[0]], "scale", 1)
    chroma = mean_chroma([_array(one[None]) for one in data.images[:256]]) if task == "colourise" else Known.chroma
    for number, batch in enumerate(data.wholes(count)):
        if min(batch["x"].shape[2:]) < LEAST:
            continue
        h, w = (side // times * times for side in batch["x"].shape[2:])
        batch, kernel = {**batch, "x": batch["x"][:, :, :h, :w]}, None
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(number)
            given = method.given(batch)
            if task == "deblur" and "given" not in batch:
                torch.manual_seed(number)
                kernel = presets.blurred(batch["x"])[1][0].numpy()
        if any(big != times * small for big, small in zip(batch["x"].shape[2:], given.shape[2:], strict=True)):
            larger = batch["x"].shape[3] // given.shape[3]
            raise DataError(f"the wanted images here are {larger} times as large as the given ones, and this model enlarges {times} times.")
        sigma = model.facts["fields"].get("sigma") or 25.0 if task == "denoise" and "given" not in batch else 0.0
        hole = given[0, 3].numpy() > 0.5 if task == "inpaint" else None
        yield Example(given, batch["x"], Known(batch["x"].shape[3] // given.shape[3], sigma, kernel, hole, chroma))


def _data(model: Model, path: Path, data: str, code: Collection[str]) -> tuple[Any, list[str]]:
    """The examples, and notes on them."""
    fields = {name: value for name, value in model.facts["fields"].items() if name not in DAMAGE}
    recipe = recipes_json.rebuild(find(model.facts["recipe"], code), fields, code)
    if data:
        return replace(recipe, data=replace(recipe.data, path=data, hold_out=0.0)).dataset(), []
    kept = Folder(path).json("plan.json").get("places", {}) if (path / "plan.json").is_file() else {}
    before = Folder(path).json("data_report.json").get("fingerprint") if (path / "data_report.json").is_file() else ""
    try:
        _, found = where.again(recipe.data, lambda place: replace(recipe, data=place).dataset(), kept, path, str(before))
    except GanforgeError as error:
        raise DataError(f"the training data of this model cannot be read: {error} Say what to judge it on: --data FOLDER") from error
    notes = [] if found.held_out else ["nothing was held out: the model has learnt from these examples"]
    if before and found.fingerprint != before:
        notes.append("the data changed since the model was trained on it, so a held-out image may have been trained on")
    return found, notes


def _path(model: Model) -> str:
    return str(model.facts["fields"]["data"]["path"])


def _compared(names: Sequence[str], method: Any, device: str) -> tuple[dict[str, Likeness], list[str]]:
    """What compares uint8 images (n, 3, h, w) and their partners -> (n,), by name, and how, for the protocol."""
    found = [likeness(name, "alexnet", "", device) for name in names or ("psnr", "ssim")]
    chosen, facts = {called: compare for (called, compare), _ in found}, [how for _, how in found]
    if not names:
        eyes = sight(eyes_of(method), cache_folder(), device)
        chosen[eyes.name] = partial(alike.in_pieces, of_bytes(eyes.distance, device))
        facts.append(f"{eyes.name} of pieces of at most {alike.PIECE} pixels")
    return chosen, facts


def _task(model: Model) -> str:
    return str(model.facts["fields"].get("task", "")).replace("_", "-")


def _rival(model: Model, data: Any, count: int) -> tuple[str, list[str]]:
    """The classical method with the best mean PSNR on pieces of these very images, "" where the task has none, and notes."""
    task, kind = _task(model), getattr(tasks, _task(model).replace("-", "_"), None)
    damage = str(model.facts["fields"].get("damage", "")).replace("_", "-")
    if task not in classical.TASKS or kind is None:
        return "", []
    if damage not in ("", kind.degrade) and not kind.enlarges:
        return "", [f"no classical method beside it: those for {task} know {kind.degrade}, and this model mends {damage}."]
    pieces = [_piece(model, example) for example in _examples(model, data, count)]
    if not pieces:
        return "", []
    try:
        images, truth, known = zip(*pieces, strict=True)
        with Bar("classical methods", len(pieces)) as progress:
            return classical.best(task, images, truth, known, progress).name, []
    except UsageError as error:
        return "", [f"no classical method beside it: {error}"]


def _piece(model: Model, example: Example) -> tuple[Image, Image, Known]:
    """A piece of a given image, of the wanted one, and what is known: the middle, of holes the middle of what is missing."""
    given, x, known = example
    at = [side // 2 for side in given.shape[2:]]
    if known.hole is not None and known.hole.any():
        at = [int(places.mean()) for places in known.hole.nonzero()]
    side = PIECE // known.scale
    (top, bottom), (left, right) = ((max(0, min(m - side // 2, h - side)), h) for m, h in zip(at, given.shape[2:], strict=True))
    down, across = slice(top, min(top + side, bottom)), slice(left, min(left + side, right))
    larger = [slice(part.start * known.scale, part.stop * known.scale) for part in (down, across)]
    hole = None if known.hole is None else known.hole[down, across]
    seen = _array(to_uint8(_seen(model, given)))[down, across]
    return seen, _array(to_uint8(x))[larger[0], larger[1]], replace(known, hole=hole)


def _seen(model: Model, given: Tensor) -> Tensor:
    """What a classical method is given of the inputs: brightness alone, of colourising, and else the picture."""
    return given[:, :1].expand(-1, 3, -1, -1) if _task(model) == "colourise" else given[:, :3]


def _array(images: Tensor) -> Image:
    """(1, 3, h, w) uint8 -> (h, w, 3)."""
    return images[0].permute(1, 2, 0).contiguous().numpy()


def _tensor(image: Image) -> Tensor:
    """The inverse."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None]
