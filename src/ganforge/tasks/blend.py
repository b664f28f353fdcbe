"""A model between two others: the weights of both, mixed."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from ..core.errors import StorageError, UsageError
from ..runs import card, model
from .apply.of_model import mixed


def blend(a: str | Path, b: str | Path, share: float, out: str | Path, *, code: Collection[str] = ()) -> Path:
    """Write the model with the weights (1 - share) a + share b into a new folder, with its lineage in config.json and the card.

    share: 0 is a, 1 is b. Works between models of one architecture, best of one ancestor: a run and its fine-tuned child, two ends of one
    training (deep network interpolation, Wang et al., 2019, arXiv:1811.10515). Raises UsageError where the architectures or classes
    differ, the share is not in [0, 1], or the folder holds something; CheckpointError where there is no model.
    """
    if not 0 <= share <= 1:
        raise UsageError(f"the share goes from 0, all of the first model, to 1, all of the second; got {share:g}.")
    folder = Path(out).expanduser()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{out} exists and is not an empty folder. Choose another name.")
    one, other = (model.load(path, code=code) for path in (a, b))
    if one.networks.keys() != other.networks.keys():
        raise UsageError(f"these models hold different networks: {', '.join(one.networks)} and {', '.join(other.networks)}.")
    if one.spec.names != other.spec.names:
        raise UsageError("these models know different classes, or in another order: a number would mean two things.")
    networks = {name: mixed(network, other.networks[name], share) for name, network in one.networks.items()}
    parents = [_parent(path, found, part) for path, found, part in ((a, one, 1 - share), (b, other, share))]
    notes = [
        f"a blend: {p['share']:.0%} of the weights of {p['model']} (sha256 {str(p['sha256'])[:12]}), trained on {p['data']}"
        for p in parents
    ]
    text = card.model_card(one.facts, {"notes": notes}, {"folder": str(out)})
    try:
        folder.mkdir(parents=True, exist_ok=True)
        model.write(folder, one.facts, networks, text, {"blend": parents})
    except OSError as error:
        raise StorageError(f"the model could not be written to {out}: {error.strerror or error}.") from error
    return folder


def _parent(path: str | Path, found: model.Model, share: float) -> dict[str, Any]:
    """What the blend keeps of a model: of paths the last part only, the way to it tells about the author's machine."""
    data = str(found.facts.get("fields", {}).get("data", {}).get("path", "") or "unknown data")
    named = {"model": Path(path).expanduser().resolve().name, "data": Path(data).name, "recipe": found.facts.get("recipe")}
    return {**named, "share": share, "sha256": found.facts.get("sha256"), "seen": found.facts.get("seen")}
