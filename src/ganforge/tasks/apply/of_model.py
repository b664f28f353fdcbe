"""A trained model as an applier: which network, at which strength, and what it wants to be given."""

from __future__ import annotations

import copy
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ...core.errors import UsageError, nearest
from ...data.degrade import masks
from ...networks.image.compose import Colour, Enlarge, Fill, Residual, UnitRange, luma
from ...networks.image.translator import Translator
from .applier import Applier, as_it_is

if TYPE_CHECKING:
    from ...runs.model import Model

FAITHFUL, LIVELY = "faithful", "generator"
"""Exports at strength 0 and 1: the weights that were learnt from distances alone, and those that were learnt against a critic as well."""


def applier(model: Model, strength: float | None = None, export: str = LIVELY) -> Applier:
    """The applier of a model. Raises UsageError for models that make images of nothing, and for a strength that it does not have.

    strength: 0 faithful to 1 lively, between their weights; None: the export as it is (1, where there are both).
    """
    network = chosen(model, strength, export)
    if not isinstance(network, Translator):
        raise UsageError("this model draws images from seeds and changes none: gan generate RUN.")
    device = str(next((p.device for p in network.parameters()), torch.device("cpu")))
    known = partial(Applier, network, network.scale, network.reach, network.exact, modulus=network.modulus, device=device)
    if isinstance(network, Fill):
        return known(given=with_holes, fill=masks.fill, device=device)
    if isinstance(network, Colour):
        inputs = next(m.in_channels for m in network.modules() if isinstance(m, nn.Conv2d))
        return known(given=lambda x: without_hints(luma(x), inputs), keeps_grey=False, device=device)
    restores = isinstance(network, Residual | Enlarge | UnitRange)
    taken = model.spec.given if export == LIVELY else model.spec.shape  # another one goes the other way
    channels = 3 if restores or not taken else taken[0]
    if channels not in (1, 3):
        raise UsageError(f"this model wants pictures of {channels} channels, and files hold 1 or 3 beside transparency.")
    return known(given=luma if channels == 1 else as_it_is, keeps_grey=restores, device=device)


def chosen(model: Model, strength: float | None, export: str = LIVELY) -> nn.Module:
    """The network of a model at a strength. Raises UsageError where it has only one."""
    if export not in model.networks:
        raise UsageError(f"this model has no network '{export}'.{nearest(export, model.networks)} It has: {', '.join(model.networks)}.")
    if strength is None:
        return model.networks[export]
    if not 0 <= strength <= 1:
        raise UsageError(f"strength goes from 0, faithful, to 1, lively; got {strength:g}.")
    if not has_strength(model) or export != LIVELY:
        raise UsageError("this model has one set of weights and no strength to choose. Leave --strength out.")
    return mixed(model.networks[FAITHFUL], model.networks[LIVELY], strength)


def has_strength(model: Model) -> bool:
    """Whether there are weights to go between."""
    return {FAITHFUL, LIVELY} <= model.networks.keys()


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


def without_hints(y: Tensor, inputs: int) -> Tensor:
    """Luma (n, 1, h, w) -> (n, inputs, h, w): with no dot of known colour, for networks that take such."""
    return torch.cat([y, y.new_zeros(len(y), inputs - 1, *y.shape[2:])], 1)


def facts(model: Model, network: str = LIVELY, strength: float | None = None) -> dict[str, Any]:
    """What outputs say of the model that made them."""
    return {"recipe": model.facts.get("recipe"), "model_sha256": model.facts.get("sha256"), "network": network, "strength": strength}
