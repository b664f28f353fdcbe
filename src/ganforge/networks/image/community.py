"""Weights that others have published for two of our networks, found out by their names and shapes: nothing is configured, nothing is run.

Read are the compact networks of Real-ESRGAN (arXiv:2107.10833) and RRDB of ESRGAN (arXiv:1809.00219), the latter also by its two older
ways of naming. The factor 3 of the older ways looks like 2, and is taken for it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import isqrt
from pathlib import Path

import torch
from torch import Tensor

from ..stored import arrays
from .compact import Compact
from .compose import UnitRange
from .rrdb import RRDB, STEPS
from .translator import SCALES, Translator

Weights = Mapping[str, Tensor]
Facts = dict[str, str | int]
WRAPPED = ("params_ema.", "params-ema.", "params.", "state_dict.", "model_state_dict.", "")
"""What trainers put before all names, the better weights first; '' stands for none."""
TRUNK = (
    (r"^RRDB_trunk\.", "body."),
    (r"^trunk_conv\.", "conv_body."),
    (r"^upconv(\d)\.", r"conv_up\1."),
    (r"^HRconv\.", "conv_hr."),
    (r"\.RDB(\d)\.conv(\d)\.", r".rdb\1.conv\2."),
)
"""ESRGAN's second names."""


def load(path: str | Path) -> tuple[Translator, Facts]:
    """The network in a .safetensors or .pth file, RGB in [-1, 1] in and out and ready for use, and what it is.

    Facts: architecture ("compact" or "rrdb"), inputs, outputs, width, blocks, scale and parameters; of RRDB also grow. A .pth is only read
    as data. Raises ValueError where the file cannot be read, or is of another network.
    """
    path = Path(path).expanduser()
    try:
        found = arrays(path.read_bytes())
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ValueError(f"{path} cannot be read as weights: {reason}.") from error
    try:
        return built(found)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def built(found: Weights) -> tuple[Translator, Facts]:
    """As `load`, from arrays by name."""
    weights = named(found)
    if "conv_first.weight" in weights:
        net, facts = _rrdb(weights)
    elif "body.0.weight" in weights and weights["body.0.weight"].ndim == 4:
        net, facts = _compact(weights)
    else:
        some = ", ".join(list(found)[:3]) or "nothing"
        raise ValueError(f"these are no weights of a compact network (body.0.weight...) or RRDB (conv_first.weight...); found {some}.")
    _fill(net, weights)
    count = sum(p.numel() for p in net.parameters())
    return UnitRange(net).eval().requires_grad_(False), facts | {"parameters": count}


def named(found: Weights) -> dict[str, Tensor]:
    """The same arrays by the names of today: without what trainers put before them, ESRGAN's older names translated."""
    first = next(prefix for prefix in WRAPPED if any(name.startswith(prefix) for name in found) or not prefix)
    weights = {name.removeprefix(first).removeprefix("module."): array for name, array in found.items() if name.startswith(first)}
    if "model.0.weight" in weights:
        weights = _oldest(weights)
    for old, new in TRUNK:
        weights = {re.sub(old, new, name): array for name, array in weights.items()}
    return weights


def _oldest(weights: Weights) -> dict[str, Tensor]:
    """ESRGAN's first names: places in nested sequences. After the blocks come convolutions that enlarge, and two more."""
    outer = sorted({int(m[1]) for name in weights if (m := re.match(r"model\.(\d+)\.(?:weight|bias)$", name))})[1:]
    if len(outer) < 2:
        raise ValueError("an RRDB of ESRGAN's first names ends with two convolutions, such as model.8 and model.10; they are missing.")
    new = {0: "conv_first", outer[-2]: "conv_hr", outer[-1]: "conv_last"} | {at: f"conv_up{i}" for i, at in enumerate(outer[:-2], 1)}
    trunk = re.compile(r"model\.1\.sub\.(\d+)\.(?:RDB(\d)\.conv(\d)\.0\.)?(weight|bias)$")
    made = {}
    for name, array in weights.items():
        if found := trunk.match(name):
            block, dense, layer, kind = found.groups()
            made[f"body.{block}.rdb{dense}.conv{layer}.{kind}" if dense else f"conv_body.{kind}"] = array
        elif found := re.match(r"model\.(\d+)\.(weight|bias)$", name):
            made[f"{new[int(found[1])]}.{found[2]}"] = array
        else:
            raise ValueError(f"an RRDB of ESRGAN's first names has no {name}: this is a variant that is not read.")
    return made


def _compact(weights: Weights) -> tuple[Translator, Facts]:
    places = _places(weights, r"body\.(\d+)\.weight$")
    last = places[-1]
    if len(places) != last + 1 or last % 2 or last < 2 or any(weights[f"body.{i}.weight"].ndim != 1 for i in places[1::2]):
        raise ValueError("a compact network is a chain of convolutions with a parametric ReLU after each but the last; this one is not.")
    (width, inputs), pixels = _sizes(weights, "body.0"), _sizes(weights, f"body.{last}")[0]
    scale = isqrt(pixels // inputs)
    if scale not in SCALES or scale**2 * inputs != pixels:
        raise ValueError(f"a compact network draws {inputs} channels 1, 4, 9 or 16 times for each pixel; this one draws {pixels} numbers.")
    facts: Facts = {"architecture": "compact", "inputs": inputs, "outputs": inputs, "width": width, "blocks": last // 2 - 1, "scale": scale}
    return Compact(inputs, inputs, width, last // 2 - 1, scale, base=True), facts


def _rrdb(weights: Weights) -> tuple[Translator, Facts]:
    blocks = _places(weights, r"body\.(\d+)\.")
    if blocks and blocks[-1] != len(blocks) - 1:
        raise ValueError(f"blocks of RRDB are numbered from 0 without gaps; got {blocks}.")
    (width, folded_inputs), outputs = _sizes(weights, "conv_first"), _sizes(weights, "conv_last")[0]
    grow = _sizes(weights, "body.0.rdb1.conv1")[0] if blocks else 1
    ups = len(_places(weights, r"conv_up(\d+)\.weight$"))
    folded, total = isqrt(folded_inputs // max(outputs, 1)), 1 << ups
    if folded**2 * outputs != folded_inputs or total not in STEPS or folded not in SCALES or total % folded:
        got = f"{folded_inputs} channels in, {outputs} out and {ups} enlargements"
        raise ValueError(f"RRDB takes as many channels as it draws, folded 1, 2 or 4 times, and enlarges at most twice; got {got}.")
    scale = total // folded
    facts: Facts = {"architecture": "rrdb", "inputs": outputs, "outputs": outputs, "width": width, "blocks": len(blocks), "scale": scale}
    return RRDB(outputs, outputs, width, grow, len(blocks), scale, folded=folded), facts | {"grow": grow}


def _places(weights: Weights, pattern: str) -> list[int]:
    return sorted({int(m[1]) for name in weights if (m := re.match(pattern, name))})


def _sizes(weights: Weights, layer: str) -> tuple[int, int]:
    """Channels out and in of a 3x3 convolution."""
    array = weights.get(f"{layer}.weight")
    if array is None or array.ndim != 4 or array.shape[2:] != (3, 3) or not array.numel():
        got = "is missing" if array is None else f"has shape {tuple(array.shape)}"
        raise ValueError(f"{layer}.weight should be a 3x3 convolution; it {got}.")
    return array.shape[0], array.shape[1]


def _fill(net: Translator, weights: Weights) -> None:
    """Put the weights in, in fp32. Raises ValueError for a name too few or too many, another shape, or numbers that are not finite."""
    wanted = net.state_dict()
    if missing := [name for name in wanted if name not in weights]:
        raise ValueError(f"{len(missing)} arrays are missing, such as {missing[0]}.")
    if unknown := [name for name in weights if name not in wanted]:
        raise ValueError(f"{len(unknown)} arrays have no place in this network, such as {unknown[0]}: this is a variant that is not read.")
    for name, array in weights.items():
        if array.shape != wanted[name].shape:
            raise ValueError(f"{name} should have shape {tuple(wanted[name].shape)}; it has {tuple(array.shape)}.")
        if not torch.isfinite(array.float()).all():
            raise ValueError(f"{name} holds numbers that are not finite.")
    net.load_state_dict({name: array.float() for name, array in weights.items()})
