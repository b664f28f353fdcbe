"""Judge images against their originals, one by one: how alike a restored or translated image and its partner are, on average."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from ..core.errors import DataError, GanforgeError, UsageError
from ..data.source import cache_folder
from ..distances import WINDOW
from ..metrics import measure, sets
from ..metrics import pairs as alike
from ..metrics.album import Album, album, pairs
from ..metrics.colour import delta_e2000
from ..metrics.features.perceptual import LEAST, Lpips
from ..metrics.protocol import VERSION, Evaluation
from .bar import Bar

BATCH, PIXELS = 16, 2**22
"""Pairs compared together, if they are of one size and have no more pixels than this."""
Likeness = Callable[[Tensor, Tensor], Tensor]
"""uint8 images (n, 3, h, w) and their partners -> (n,)."""


def evaluate_pairs(
    subject: str, data: str, names: Sequence[str], *, samples: int, network: str, weights: str, seed: int, device: str
) -> Evaluation:
    """Means over pairs of the metrics `names`, some of `measure.PAIRED`. network: "alexnet" or "vgg16", for LPIPS.

    Raises DataError for images without a partner, partners of two sizes, and where nothing can be computed.
    """
    told: dict[str, tuple[str, Likeness]] = {}
    notes: list[str] = []
    facts = []
    for name in names:
        try:
            told[name], fact = likeness(name, network, weights, device)
            facts += [fact] if fact else []
        except GanforgeError as error:
            noted(error, name, names, notes)
    with ExitStack() as held:
        a, b = (held.enter_context(closing(album(path))) for path in (subject, data))
        which = pairs(a, b)
        if samples and samples < len(which):
            which = [which[i] for i in sets.shuffled(len(which), seed)[:samples].sort().values.tolist()]
        values, sizes, fingerprint = _compared(a, b, which, told, names, notes)
    means: dict[str, float] = {}
    errors: dict[str, float] = {}
    for name, found in values.items():
        finite = found[found.isfinite()]
        if len(finite) < len(found):
            notes.append(f"{len(found) - len(finite):,} of {len(found):,} pairs are equal: their {name} is infinite and left out")
        if len(finite):
            means[name] = float(finite.mean())
        if len(finite) > 1:
            errors[name] = float(finite.std() / math.sqrt(len(finite)))
    if not means:
        raise DataError(f"none of {', '.join(names)} could be computed. {notes[-1]}.")
    settings = {
        "judged": f"{len(which):,} pairs by {'file name' if a.names and b.names else 'order'}",
        "data": f"{Path(data).absolute().name} ({fingerprint})",
        "size": sizes,
        "metrics": ", ".join(facts),
        "seed": str(seed) if samples else "",
        "ganforge": VERSION,
    }
    return Evaluation(subject, means, errors, {}, settings, notes=tuple(notes))


def likeness(name: str, network: str, weights: str, device: str) -> tuple[tuple[str, Likeness], str]:
    """What the metric is called, what computes it, and what of it belongs into the protocol."""
    if name == "lpips":
        if network not in LEAST:
            raise UsageError(f"LPIPS is defined on alexnet and vgg16; got --features {network}.")
        lpips = Lpips(network, weights=weights or None, cache=cache_folder(), device=device)
        return ("LPIPS" if network == "alexnet" else f"LPIPS-{network}", lpips), f"LPIPS 0.1 {network} (weights {lpips.sha})"
    if name == "delta-e":
        return ("Delta-E", partial(alike.in_pieces, of_bytes(delta_e2000, device))), "Delta-E CIEDE2000 of sRGB"
    of = {"psnr": alike.psnr, "ssim": alike.ssim, "ms-ssim": alike.ms_ssim}[name]

    how = {"psnr": "PSNR peak 255", "ssim": "SSIM 11x11 gaussian", "ms-ssim": "MS-SSIM 5 scales"}[name]
    compare = of_bytes(of, device)
    return (name.upper(), partial(alike.in_pieces, compare, window=WINDOW) if name == "ssim" else compare), f"{how} of rgb"


def of_bytes(compare: Likeness, device: str) -> Likeness:
    """What compares images in [-1, 1] on the device, for uint8 images on the CPU."""
    return lambda a, b: compare(*(images.to(device).float() / 127.5 - 1 for images in (a, b))).cpu()


def _compared(
    a: Album,
    b: Album,
    which: Sequence[tuple[int, int]],
    told: Mapping[str, tuple[str, Likeness]],
    names: Sequence[str],
    notes: list[str],
) -> tuple[dict[str, Tensor], str, str]:
    """{name: (pairs,) float64}, the sizes in words, and what tells these originals from others."""
    left = dict(told)
    values: dict[str, list[Tensor]] = {name: [] for name in told}
    whole, sizes = hashlib.sha256(), set()
    with torch.inference_mode(), Bar(f"pairs of {a.path} and {b.path}", len(which)) as progress:
        for done, first, x, y in _batches(a, b, which):
            whole.update(y.contiguous().numpy().data)
            sizes.add((x.shape[3], x.shape[2]))
            for name, (_, compare) in list(left.items()):
                try:
                    values[name].append(compare(x, y))
                except DataError as error:
                    noted(DataError(f"{a.called(first)}: {error}"), name, names, notes)
                    del left[name]
            progress(done)
    least, most = min(sizes), max(sizes)
    said = f"{least[0]}x{least[1]}" + (f" to {most[0]}x{most[1]}" if least != most else "")
    return {called: torch.cat(values[name]).double() for name, (called, _) in left.items()}, said, whole.hexdigest()[:8]


def _batches(a: Album, b: Album, which: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int, Tensor, Tensor]]:
    """(pairs so far, number of the first, images, partners): neighbours of one size together."""
    at = 0
    while at < len(which):
        first = which[at][0]
        size = a.size(first)
        most = max(1, min(BATCH, PIXELS // (size[0] * size[1])))
        end = at + 1
        while end < min(at + most, len(which)) and a.size(which[end][0]) == size:
            end += 1
        x, y = (torch.stack([one.read(pair[side]) for pair in which[at:end]]) for side, one in enumerate((a, b)))
        yield end, first, x, y
        at = end


def noted(error: GanforgeError, name: str, names: Sequence[str], notes: list[str]) -> None:
    """Of several metrics, one that fails is a note; one that was asked for alone is an error."""
    if len(names) == 1:
        raise error
    notes.append(f"no {name.upper()}: {error}")


def alone(names: Sequence[str]) -> bool:
    """Whether all of the metrics compare pairs. Raises UsageError where some do and some do not."""
    paired = [name for name in names if name in measure.PAIRED]
    if paired and len(paired) < len(names):
        others = [name for name in names if name not in paired]
        raise UsageError(
            f"{', '.join(paired)} compare pairs of images, {', '.join(others)} whole sets: they have no protocol in common. "
            "Ask for them in two commands."
        )
    return bool(paired)
