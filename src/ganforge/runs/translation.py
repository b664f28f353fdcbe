"""Judge a model that makes images of images on examples it has not learnt from, beside what was there before networks."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..core import recipe as recipes_json
from ..core.errors import DataError, GanforgeError, UsageError
from ..data import where
from ..data.domains import Domains
from ..data.pairs import Pairs
from ..data.source import cache_folder
from ..metrics import measure
from ..metrics import pairs as alike
from ..metrics.features import to_uint8
from ..metrics.likeness import LEAST, sight
from ..metrics.protocol import VERSION, Evaluation
from ..recipes import find
from ..tasks.apply import of_model
from ..tasks.apply.applier import Applier, as_it_is
from . import pictures, rivals
from .bar import Bar
from .folder import Folder
from .likeness import eyes_of
from .model import Model, build, load
from .pairs import Likeness, likeness, noted, of_bytes
from .rivals import Example, Rivals

MOST = 32
"""Whole images unless more are asked for; classical methods take their time."""
DAMAGE = ("damage", "sigma", "quality")
"""Options of recipes that say nothing of the data: the method knows what it does to images, and does nothing to those that bring what is
given."""
UNPAIRED = """this model learnt from two sets of images without pairs, so there is no right answer to compare its images with. \
Where you have some it is judged on them: --data FOLDER with A/ and B/, or input/ and target/, in which partners have the same file name."""


def translates(path: Path, code: Collection[str]) -> bool:
    """Whether a folder is a run or model that makes images of images, as the method that its config.json describes does."""
    place = path / "best" if (path / "best").is_dir() else path
    try:
        return pictures.translates(build(json.loads((place / "config.json").read_bytes()), code)[0])
    except (OSError, ValueError, GanforgeError):  # no model, or none that can be used: others say so
        return False


def evaluate_translation(path: Path, data: str, names: Sequence[str], *, samples: int, code: Collection[str], device: str) -> Evaluation:
    """Means over whole images, of 8 bits, of what the generator makes; beside them the other exports', the input's and the best classical
    method's.

    data: photographs, or pairs, to judge it on; "": those of the run, its held-out part. names: some of `measure.PAIRED`; none: the first
    two, for colours their difference, and the perceptual distance at hand.
    Raises UsageError for other metrics and for models without right answers to compare with, DataError where there is no data.
    """
    model = load(path, code=code)
    method, recipe = model._method, recipes_json.rebuild(find(model.facts["recipe"], code), model.facts["fields"], code)
    if wrong := [name for name in names if name not in measure.PAIRED]:
        raise UsageError(f"{', '.join(wrong)} compare sets of images; this model is judged image by image: {', '.join(measure.PAIRED)}.")
    chosen, notes = _data(model, path, data, code) if pictures.paired(method) else _pairs(recipe, data)
    scale, most = getattr(model.networks[pictures.ways(method)[0]], "scale", 1), samples or MOST
    beside = rivals.chosen(recipe, method, scale, chosen, most)
    model.to(device)  # but examples are made on the CPU, where they are the same everywhere
    compared, facts = _compared(names, method, device, rivals.task_of(recipe) == "colourise")
    examples = rivals.examples(recipe, method, scale, chosen, most)
    each, called, sizes, more = _judged(model, examples, min(most, len(chosen.held_out or chosen)), beside, compared)
    means = {name: {what: float(values.mean()) for what, values in numbers.items()} for name, numbers in each.items()}
    own, rival = each[pictures.ways(method)[0]], beside.best or beside.plain
    settings = {
        "judged": f"{len(called):,} whole images of 8 bits",
        "data": f"{Path(data or _path(model)).absolute().name} ({chosen.fingerprint[:8]})",
        "split": "held-out" if chosen.held_out else "all",
        "size": sizes,
        "metrics": ", ".join(facts),
        "classical": f"chosen on pieces of {rivals.PIECE} pixels" if beside.best else "",
        "ganforge": VERSION,
    }
    columns = own | ({f"{what} {rival}": values for what, values in each[rival].items()} if rival else {})
    return Evaluation(
        subject=str(path),
        values=means.pop(pictures.ways(method)[0]),
        errors={what: float(values.std() / math.sqrt(len(called))) for what, values in own.items() if len(called) > 1},
        floor={},
        beside=means,
        per_example=[{what: float(values[i]) for what, values in columns.items()} for i in range(len(called))],
        examples=called if all(called) else (),
        settings=settings,
        notes=tuple(dict.fromkeys((*notes, *beside.notes, *more))),
        model={str(key): model.facts[key] for key in ("sha256", "seen") if key in model.facts},
    )


def _judged(
    model: Model, examples: Iterable[Example], count: int, beside: Rivals, compared: Mapping[str, Likeness]
) -> tuple[dict[str, dict[str, Tensor]], list[str], str, list[str]]:
    """{what made it: {metric: (images,)}}, what these are called, sizes in words, and notes. Raises DataError where none is large enough.

    Of several metrics, one that an image is too small for is left out.
    """
    found: dict[str, dict[str, list[Tensor]]] = {}
    sizes, called, notes, left = set(), list[str](), list[str](), dict(compared)
    appliers: dict[str, Applier] = {}
    with Bar("whole images", count) as progress:
        for done, example in enumerate(examples, 1):
            wanted, made = to_uint8(example.x), dict[str, Tensor]()
            appliers = appliers or _appliers(model, example.given.shape[1])
            for way, applier in appliers.items():
                whole = applier.run(example.given[0].permute(1, 2, 0).numpy())
                made[way] = to_uint8(torch.from_numpy(whole.picture).permute(2, 0, 1)[None].clamp(-1, 1))
                notes += whole.notes
            made |= beside.made(example)
            for what, compare in [*left.items()]:
                try:
                    values = {name: compare(images, wanted).double() for name, images in made.items()}
                except DataError as error:
                    noted(error, what, [*left], notes)
                    del left[what]
                    continue
                for name, value in values.items():  # of PSNR alone, so much
                    found.setdefault(name, {}).setdefault(what, []).append(value.clamp(max=alike.MOST))
            sizes.add((wanted.shape[3], wanted.shape[2]))
            called.append(example.name)
            progress(done)
    if not sizes:
        raise DataError(f"no image is large enough to be judged: the shorter side must be at least {LEAST} pixels.")
    low, high = min(sizes), max(sizes)
    said = f"{low[0]}x{low[1]}" + (f" to {high[0]}x{high[1]}" if low != high else "")
    return {name: {what: torch.cat(numbers[what]) for what in left} for name, numbers in found.items()}, called, said, notes


def _appliers(model: Model, channels: int) -> dict[str, Applier]:
    """By export, what is run on inputs as the method gives them."""
    return {way: replace(of_model.applier(model, export=way), given=as_it_is, channels=channels) for way in pictures.ways(model._method)}


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


def _pairs(recipe: Any, data: str) -> tuple[Any, list[str]]:
    """The pairs in `data` of a model that learnt without any, and a note on them. Raises UsageError and DataError where there are none."""
    if not data or not isinstance(recipe.data, Domains):
        raise UsageError(UNPAIRED)
    like = recipe.data
    try:
        found = Pairs(path=data, direction=like.direction, size=like.size, load_size=like.load_size, hold_out=0.0).load()
    except DataError as error:
        raise DataError(f"{UNPAIRED} In {error}") from error
    if found.brings != "pairs":
        raise UsageError(f"{UNPAIRED} {data} holds images with masks.")
    return found, [str(found.report["notes"][0])]


def _path(model: Model) -> str:
    return str(model.facts["fields"]["data"]["path"])


def _compared(names: Sequence[str], method: Any, device: str, colours: bool) -> tuple[dict[str, Likeness], list[str]]:
    """What compares uint8 images (n, 3, h, w) and their partners -> (n,), by name, and how, for the protocol."""
    usual = ("psnr", "ssim", "delta-e") if colours else ("psnr", "ssim")
    found = [likeness(name, "alexnet", "", device) for name in names or usual]
    chosen, facts = {called: compare for (called, compare), _ in found}, [how for _, how in found]
    if not names:
        eyes = sight(eyes_of(method), cache_folder(), device)
        chosen[eyes.name] = partial(alike.in_pieces, of_bytes(eyes.distance, device))
        facts.append(f"{eyes.name} of pieces of at most {alike.PIECE} pixels")
    return chosen, facts
