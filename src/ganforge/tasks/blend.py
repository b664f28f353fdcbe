"""A model between two others: the weights of both, mixed."""

from __future__ import annotations

import json
from collections.abc import Collection
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from safetensors.torch import save
from torch import nn

from ..core.checkpoint import storable
from ..core.errors import StorageError, UsageError
from ..networks.image.compose import UnitRange
from ..runs import card, model
from ..runs.grid import save_bytes
from .apply.of_model import LIVELY, mixed, opened

FILE = ".safetensors"
"""What a blend of published weights becomes: it has no run that a folder could describe."""


class Blended(NamedTuple):
    """Where the new model is, the networks it has, and those that only one of its parents has, which are left out."""

    place: Path
    names: tuple[str, ...]
    left: tuple[str, ...]


def blend(a: str | Path, b: str | Path, share: float, out: str | Path = "", *, code: Collection[str] = ()) -> Blended:
    """Write the model with the weights (1 - share) a + share b into a new folder, with its lineage in config.json and the card.

    share: 0 is a, 1 is b. Works between models of one architecture, best of one ancestor: a run and its fine-tuned child, two ends of one
    training (deep network interpolation, Wang et al., 2019, arXiv:1811.10515). Where one of them has more networks than the other, such as
    a run with a game and one without, those that both have are blended. Two files of published weights become a .safetensors file, which
    says in its metadata what it was made of. out: "" for the next free runs/A-B-SHARE. Raises UsageError where the architectures or
    classes differ, the share is not in [0, 1], or something is there already; CheckpointError where there is no model.
    """
    if not 0 <= share <= 1:
        raise UsageError(f"the share goes from 0, all of the first model, to 1, all of the second; got {share:g}.")
    one, other = (opened(path, code=code) for path in (a, b))
    published = ["file" in found.facts for found in (one, other)]
    if published[0] != published[1]:
        raise UsageError("one of these is a model of Ganforge, the other a file that others have published: blend two of one kind.")
    if one.spec.names != other.spec.names:
        raise UsageError("these models know different classes, or in another order: a number would mean two things.")
    place = _place(out, f"{_name(a)}-{_name(b)}-{share:g}", FILE if all(published) else "")
    shared = tuple(name for name in one.networks if name in other.networks)
    base = one if one.networks.keys() == {*shared} else other  # whose description asks for no other networks
    if base.networks.keys() != {*shared}:
        raise UsageError(f"these models hold different networks: {', '.join(one.networks)} and {', '.join(other.networks)}.")
    networks = {name: mixed(one.networks[name], other.networks[name], share) for name in shared}
    parents = [_parent(path, found, part) for path, found, part in ((a, one, 1 - share), (b, other, share))]
    if all(published):
        _write_file(place, networks[LIVELY], parents)
    else:
        _write_folder(place, base, networks, parents)
    return Blended(place, shared, tuple(sorted((one.networks.keys() | other.networks.keys()) - {*shared})))


def _write_folder(place: Path, base: model.Model, networks: dict[str, nn.Module], parents: list[dict[str, Any]]) -> None:
    notes = [
        f"a blend: {p['share']:.0%} of the weights of {p['model']} (sha256 {str(p['sha256'])[:12]}), trained on {p['data']}"
        for p in parents
    ]
    text = card.model_card(base.facts, {"notes": notes}, {"folder": str(place)})
    try:
        place.mkdir(parents=True, exist_ok=True)
        model.write(place, base.facts, networks, text, {"blend": parents})
    except OSError as error:
        raise StorageError(f"the model could not be written to {place}: {error.strerror or error}.") from error


def _write_file(place: Path, network: nn.Module, parents: list[dict[str, Any]]) -> None:
    """The network's own weights, by the names under which others publish them."""
    assert isinstance(network, UnitRange)
    save_bytes(save(storable(network.net.state_dict()), {"blend": json.dumps(parents)}), place)


def _place(out: str | Path, name: str, ending: str) -> Path:
    """Where the blend goes, nothing being there yet. Raises UsageError where something is, or a file's ending is not the wanted one."""
    if not out:
        tried = (Path("runs") / f"{name}{f'-{number}' if number > 1 else ''}{ending}" for number in count(1))
        return next(path for path in tried if not path.exists())
    place = Path(out).expanduser()
    if ending and place.suffix.lower() != ending:
        raise UsageError(f"-o {out}: published weights become a file of weights. Use a name that ends in {ending}.")
    if ending and place.exists():
        raise UsageError(f"{out} exists already. Choose another name.")
    if place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise UsageError(f"{out} exists and is not an empty folder. Choose another name.")
    return place


def _name(path: str | Path) -> str:
    """What a model is called: its run's folder, or its file without the ending."""
    place = Path(path).expanduser().resolve()
    if place.is_dir():
        return place.parent.name if place.name == "best" else place.name
    return place.stem


def _parent(path: str | Path, found: model.Model, share: float) -> dict[str, Any]:
    """What the blend keeps of a model: of paths the last part only, the way to it tells about the author's machine."""
    data = str(found.facts.get("fields", {}).get("data", {}).get("path", "") or "unknown data")
    named = {"model": Path(path).expanduser().resolve().name, "data": Path(data).name, "recipe": found.facts.get("recipe")}
    return {**named, "share": share, "sha256": found.facts.get("sha256"), "seen": found.facts.get("seen")}
