"""Go on learning from other data: a new run of a trained model's recipe, from its weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from pathlib import Path
from typing import Any

from ..core import recipe as recipes_json
from ..core.errors import CheckpointError, UsageError
from ..core.run import Run
from ..data.images import Images
from ..networks.image.grid import grid
from ..networks.image.progan import WHOLE
from ..recipes import find
from . import heritage
from .eyes import of_run, typed
from .start import TrainedRun, launch

COLOURS = {1: "grey", 3: "rgb", 4: "rgb"}


def finetune(
    model: str | Path,
    data: str | Path,
    *,
    freeze_discriminator: int = 0,
    code: Collection[str] = (),
    dry_run: bool = False,
    **options: Any,
) -> TrainedRun:
    """Train a model further on other data, in a new run: from the newest checkpoint of a run folder, or from a model folder.

    The data is brought to the model's size and colours. Weights go over by name and shape, and what the model knows of a class goes to
    the class of the same name. freeze_discriminator: so many of the discriminator's first layers stay as they are (FreezeD,
    arXiv:2002.10964), which small data thanks for. code: see `ganforge.load`. options: as of `ganforge.train`; they start from the
    model's, but for an `evaluate` that names a file: it is run only where it is given here. Raises CheckpointError where there is no
    model, UsageError for options that do not fit it.
    """
    if "path" in options:
        raise UsageError("the data is the second argument of finetune; leave out 'path'.")
    recipe, parent = start(Path(model).expanduser(), str(data), code, freeze_discriminator)
    return launch(recipes_json.override(recipe, options), dry_run=dry_run, parent=parent)


def start(path: Path, data: str, code: Collection[str] = (), freeze: int = 0) -> tuple[Any, heritage.Parent]:
    """The recipe that a model was made by, set to other data and a budget of its own, and the model as a parent."""
    parent = heritage.read(path, code, freeze)
    try:
        recipe = recipes_json.rebuild(find(parent.content["recipe"], code), parent.content["fields"], code)
    except (KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"the description of the model in {path} lacks or garbles {error}.") from error
    channels, height, width = parent.spec.shape
    images = dataclasses.replace(recipe.data, path=data)
    if isinstance(images, Images):
        images = dataclasses.replace(
            images,
            size=f"{width}x{height}",
            colour=COLOURS.get(channels, "auto"),
            labels="auto" if parent.spec.classes or parent.spec.names else "none",
            balance=False,
        )
    evaluate = recipe.run.evaluate
    if typed(of_run(evaluate)):  # whoever made the model wrote it, and what launch finds here counts as typed by the user
        note = f"the model's --evaluate {evaluate} names a file and is not taken over: give it again if you trust that file"
        recipe = dataclasses.replace(recipe, run=dataclasses.replace(recipe.run, evaluate="auto"))
        parent = dataclasses.replace(parent, notes=(*parent.notes, note))
    recipe, parent = grown(recipe, parent)
    kept = {field: getattr(recipe.run, field) for field in ("batch", "accumulate", "ema", "evaluate")}
    return dataclasses.replace(recipe, data=images, run=Run(**kept)), parent


def grown(recipe: Any, parent: heritage.Parent) -> tuple[Any, heritage.Parent]:
    """A recipe of growing networks keeps those of a fully grown parent so: grown anew they would draw a few pixels again, unlearning the
    rest. One that was stopped as it grew grows from the smallest map, and is told so. Other recipes stay as they are."""
    level = parent.weights.get("generator.level")
    if level is None or not hasattr(recipe, "growth"):
        return recipe, parent
    part, whole = float(level) / WHOLE, grid(*parent.spec.shape[1:]).doublings
    if part < whole:
        note = f"the model was grown by {part:g} of {whole} resolutions when it was stopped; it grows from its smallest map again"
    else:
        recipe, note = dataclasses.replace(recipe, growth=0.0), "the model is fully grown and stays so, unless you give a --growth"
    return recipe, dataclasses.replace(parent, notes=(*parent.notes, note))
