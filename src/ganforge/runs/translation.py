"""Judge a model that makes images of images on examples it has not learnt from, beside what was there before networks."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

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
from ..metrics.likeness import sight
from ..metrics.protocol import Evaluation
from ..recipes import find
from . import pictures
from .bar import Bar
from .folder import Folder
from .model import Model, build, load
from .pairs import Likeness, likeness

MOST = 32
"""Examples unless more are asked for; classical methods take their time."""


def translates(path: Path, code: Collection[str]) -> bool:
    """Whether a folder is a run or model that makes images of images, as the method that its config.json describes does."""
    place = path / "best" if (path / "best").is_dir() else path
    try:
        return pictures.translates(build(json.loads((place / "config.json").read_bytes()), code)[0])
    except (OSError, ValueError, GanforgeError):  # no model, or none that can be used: others say so
        return False


def evaluate_translation(path: Path, data: str, names: Sequence[str], *, samples: int, code: Collection[str], device: str) -> Evaluation:
    """Means over examples, of 8 bits, of what the generator makes; beside them the other exports' and the best classical method's.

    data: photographs to judge it on; "": those of the run, its held-out part. names: some of psnr, ssim, ms-ssim, lpips;
    none: the first two and the perceptual distance at hand.
    Raises UsageError for other metrics and for models without right answers to compare with, DataError where there is no data.
    """
    model = load(path, code=code)  # on the CPU, where inputs are made, so that they are the same everywhere
    method: Any = model._method
    if not pictures.paired(method):
        raise UsageError("this model learnt from two sets of images without pairs, so there is no right answer to compare its images with.")
    if wrong := [name for name in names if name not in measure.PAIRED]:
        raise UsageError(f"{', '.join(wrong)} compare sets of images; this model is judged image by image: {', '.join(measure.PAIRED)}.")
    chosen, notes = _data(model, path, data, code)
    given, x = pictures.inputs(method, chosen, samples or MOST)
    wanted, ways = to_uint8(x), pictures.ways(method)
    model.to(device)
    made = {way: to_uint8(pictures.translated(model.networks[way], given)) for way in ways}
    try:
        made |= _rival(model, chosen, given, x, wanted)
    except UsageError as error:
        notes.append(f"no classical method beside it: {error}")
    compared, facts = _compared(names, device)
    each = {
        name: {what: compare(images, wanted).double().clamp(max=alike.MOST) for what, compare in compared.items()}  # of PSNR alone, so much
        for name, images in made.items()
    }
    means = {name: {what: float(values.mean()) for what, values in numbers.items()} for name, numbers in each.items()}
    own, count = each[ways[0]], len(x)
    settings = {
        "judged": f"{count:,} examples of 8 bits",
        "data": f"{Path(data or _path(model)).absolute().name} ({chosen.fingerprint[:8]})",
        "split": "held-out" if chosen.held_out else "all",
        "size": f"{x.shape[3]}x{x.shape[2]}",
        "metrics": ", ".join(facts),
        "ganforge": __version__,
    }
    return Evaluation(
        subject=str(path),
        values=means.pop(ways[0]),
        errors={what: float(values.std() / math.sqrt(count)) for what, values in own.items() if count > 1},
        floor={},
        beside=means,
        per_example=[{what: float(values[i]) for what, values in own.items()} for i in range(count)],
        settings=settings,
        notes=tuple(notes),
        model={str(key): model.facts[key] for key in ("sha256", "seen") if key in model.facts},
    )


def _data(model: Model, path: Path, data: str, code: Collection[str]) -> tuple[Any, list[str]]:
    """The examples, and notes on them."""
    recipe = recipes_json.rebuild(find(model.facts["recipe"], code), model.facts["fields"], code)
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


def _compared(names: Sequence[str], device: str) -> tuple[dict[str, Likeness], list[str]]:
    """What compares uint8 images (n, 3, h, w) and their partners -> (n,), by name, and how, for the protocol."""
    if names:
        found = [likeness(name, "alexnet", "", device) for name in names]
        return {called: compare for (called, compare), _ in found}, [how for _, how in found]
    eyes = sight("", cache_folder(), device)

    def of(compare: Callable[[Tensor, Tensor], Tensor]) -> Likeness:
        def few(a: Tensor, b: Tensor) -> Tensor:
            pairs = zip(*((images.float() / 127.5 - 1).split(4) for images in (a, b)), strict=True)
            return torch.cat([compare(x, y).cpu() for x, y in pairs])

        return few

    chosen = {"PSNR": of(alike.psnr), "SSIM": of(alike.ssim), eyes.name: of(eyes.distance)}
    return chosen, ["PSNR peak 255", "SSIM 11x11 gaussian of rgb"]


def _rival(model: Model, data: Any, given: Tensor, x: Tensor, wanted: Tensor) -> dict[str, Tensor]:
    """The classical method with the best mean PSNR on these very examples: {its name: its results}; {} where the task has none."""
    task = str(model.facts["fields"].get("task", "")).replace("_", "-")
    if task not in classical.TASKS or given.shape[1] not in (3, 4):
        return {}
    kind, damage = getattr(tasks, task.replace("-", "_")), str(model.facts["fields"].get("damage", "")).replace("_", "-")
    if damage not in ("", kind.degrade) and not kind.enlarges:
        raise UsageError(f"those for {task} know {kind.degrade}, and this model mends {damage}.")
    images, truth = (_arrays(to_uint8(y)) for y in (_seen(task, given), x))
    known = _known(model, task, data, given, x)
    with Bar("classical methods", len(images)) as progress:
        found = classical.best(task, images, truth, known, progress)
    return {found.name: torch.stack([torch.from_numpy(result.copy()).permute(2, 0, 1) for result in found.results])}


def _seen(task: str, given: Tensor) -> Tensor:
    """What a classical method is given of the inputs: brightness alone, of colourising, and else the picture."""
    return given[:, :1].expand(-1, 3, -1, -1) if task == "colourise" else given[:, :3]


def _known(model: Model, task: str, data: Any, given: Tensor, x: Tensor) -> list[Known]:
    """What the classical methods may know of each example."""
    fields: Mapping[str, Any] = model.facts["fields"]
    common = Known(scale=x.shape[3] // given.shape[3], sigma=(fields.get("sigma") or 25.0) if task == "denoise" else 0.0)
    if task == "inpaint":
        return [replace(common, hole=hole.numpy() > 0.5) for hole in given[:, 3]]
    if task == "colourise":
        return [replace(common, chroma=mean_chroma(_arrays(data.images[:256])))] * len(x)
    if task == "deblur":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # as in `pictures.inputs`
            _, kernels = presets.blurred(x)
        return [replace(common, kernel=kernel.numpy()) for kernel in kernels]
    return [common] * len(x)


def _arrays(images: Tensor) -> list[Image]:
    return [image.permute(1, 2, 0).contiguous().numpy() for image in images]
