"""A trained model as an applier: which network, at which strength, and what it wants to be given."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...core.errors import CheckpointError, UsageError, nearest
from ...data.degrade import masks
from ...data.spec import DataSpec
from ...networks.image import community
from ...networks.image.compose import Colour, Enlarge, Fill, Residual, UnitRange, chroma, luma
from ...networks.image.translator import Translator
from ...runs.model import Model, load
from .applier import Applier, as_it_is

FAITHFUL, LIVELY = "faithful", "generator"
"""Exports at strength 0 and 1: the weights that were learnt from distances alone, and those that were learnt against a critic as well."""
SAME = "the faithful and the lively weights of this model are the same: --strength changes nothing"
WEIGHTS = (".safetensors", ".pth", ".pt")
"""Endings of files of weights that others have published."""


def opened(path: str | Path, *, code: Collection[str] = (), device: str = "cpu") -> Model:
    """The model of a run folder or a copy of its best/ folder, as `runs.model.load`, or the published weights of a file.

    Raises CheckpointError where there is no model, or it is damaged, or weights are of a network that is not known.
    """
    file = Path(path).expanduser()
    if file.is_dir() or file.suffix.lower() not in WEIGHTS:
        return load(path, code=code, device=device)
    try:
        network, found = community.load(file)
    except ValueError as error:
        raise CheckpointError(f"{error} A model of Ganforge is named by its folder.") from error
    with file.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    inputs, outputs, scale = (int(found[name]) for name in ("inputs", "outputs", "scale"))
    spec = DataSpec((outputs, scale, scale), given=(inputs, 1, 1))  # what becomes of a pixel
    return Model(object(), {LIVELY: network}, spec, {**found, "file": file.name, "sha256": sha256}).to(device)


def applier(model: Model, strength: float | None = None, export: str = LIVELY) -> Applier:
    """The applier of a model. Raises UsageError for models that make images of nothing, and for a strength that it does not have.

    strength: 0 faithful to 1 lively, between their weights; None: the export as it is (1, where there are both).
    """
    network = chosen(model, strength, export)
    if not isinstance(network, Translator):
        raise UsageError("this model draws images from seeds and changes none: gan generate RUN.")
    device = str(next((p.device for p in network.parameters()), torch.device("cpu")))
    notes = () if strength is None or has_strength(model) else (SAME,)
    known = partial(Applier, network, network.scale, network.reach, network.exact, network.modulus, device=device, notes=notes)
    if isinstance(network, Fill):
        return known(given=with_holes, fill=masks.fill, channels=4)
    if isinstance(network, Colour):
        takes = network.inputs > 1
        return known(given=with_hints if takes else luma, hinted=takes, keeps_grey=False)
    if network.inputs not in (1, 3):
        raise UsageError(f"this model wants pictures of {network.inputs} channels, and files hold 1 or 3 beside transparency.")
    restores = isinstance(network, Residual | Enlarge | UnitRange)
    return known(given=luma if network.inputs == 1 else as_it_is, keeps_grey=restores)


def chosen(model: Model, strength: float | None, export: str = LIVELY) -> nn.Module:
    """The network of a model at a strength. Raises UsageError where it has only one."""
    if export not in model.networks:
        raise UsageError(f"this model has no network '{export}'.{nearest(export, model.networks)} It has: {', '.join(model.networks)}.")
    if strength is None:
        return model.networks[export]
    if not 0 <= strength <= 1:
        raise UsageError(f"strength goes from 0, faithful, to 1, lively; got {strength:g}.")
    if not {FAITHFUL, LIVELY} <= model.networks.keys() or export != LIVELY:
        raise UsageError("this model has one set of weights and no strength to choose. Leave --strength out.")
    return mixed(model.networks[FAITHFUL], model.networks[LIVELY], strength)


def has_strength(model: Model) -> bool:
    """Whether there are weights to go between: not where both are the same, as before the game begins, or without one."""
    both = [model.networks[name].state_dict() for name in (FAITHFUL, LIVELY) if name in model.networks]
    if len(both) < 2 or both[0].keys() != both[1].keys():
        return len(both) == 2
    return any(not torch.equal(value, both[1][name]) for name, value in both[0].items())


def mixed(a: nn.Module, b: nn.Module, share: float) -> nn.Module:
    """A network with the weights (1 - share) a + share b (deep network interpolation, Wang et al., 2019, arXiv:1811.10515, eq. 3).

    What is no floating-point number is taken from b. Raises UsageError where names or shapes differ.
    """
    ours, theirs = a.state_dict(), b.state_dict()
    names = ours.keys() | theirs.keys()
    wrong = {name for name in names if name not in ours or name not in theirs or ours[name].shape != theirs[name].shape}
    if wrong:
        raise UsageError(f"these networks are not of one architecture: {len(wrong)} weights differ in name or shape, such as {min(wrong)}.")
    network = copy.deepcopy(b)
    network.load_state_dict({k: torch.lerp(ours[k].to(v), v, share) if v.is_floating_point() else v for k, v in theirs.items()})
    return network.eval().requires_grad_(False)


def with_holes(x: Tensor) -> Tensor:
    """(n, 4, h, w) with the mask from -1 to 1 -> the same with the mask from 0 to 1, as networks that fill holes are given it."""
    return torch.cat([x[:, :3], (x[:, 3:] + 1) / 2], 1)


def with_hints(x: Tensor) -> Tensor:
    """RGB (n, 3, h, w), or with dots of known colour (n, 7, h, w): RGB and -1 to 1 -> (n, 4, h, w): luma, chroma of the dots, 0 or 1."""
    y = luma(x)
    if x.shape[1] == 3:
        return torch.cat([y, y.new_zeros(len(y), 3, *y.shape[2:])], 1)
    dots = (x[:, 6:] + 1) / 2
    return torch.cat([y, chroma(x[:, 3:6]) * dots, dots], 1)


def facts(model: Model, network: str = LIVELY, strength: float | None = None) -> dict[str, Any]:
    """What outputs say of the model that made them."""
    named = {"file": model.facts["file"]} if "file" in model.facts else {"recipe": model.facts.get("recipe")}
    return {**named, "model_sha256": model.facts.get("sha256"), "network": network, "strength": strength}
