"""Features of the user's own: a network or a function in a file of theirs."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Collection
from functools import cache
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from ...core import ref
from ...core.errors import UsageError
from ...networks.stored import arrays
from ..weights import digest
from .base import Features, checked, exact

PROBE = 8
"""Images at most by whose features two networks or functions are told apart."""


def found(text: str, code: Collection[str], weights: str | Path | None, device: str | torch.device, like: Tensor | None) -> Own:
    """The features `file.py:Name`, run only where `code` lists the file. Name is an `nn.Module` or another class, a function without
    parameters that makes the callable, or the callable itself. Raises UsageError for anything else."""
    thing = ref.resolve(text, inspect.getmodule(Own), object, trusted=code)  # type: ignore[arg-type]
    path, _, what = text.rpartition(":")
    ran = next(where for one in code if (where := Path(one.rpartition(":")[0] or one)).name == Path(path).name)
    name, sha = f"own:{Path(path).name}:{what}", _text_of(ran.expanduser().resolve())
    return Own(_made(thing, text), name, weights=weights, device=device, like=like, code=sha)


@cache
def _text_of(path: Path) -> str:
    """First 16 hex digits of the sha256 of a file's text; taken once, as the file is run once."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def wrapped(thing: Any, weights: str | Path | None, device: str | torch.device, like: Tensor) -> Features:
    """Features as they are, if `thing` has all that these have; else the network or function `thing` as features."""
    if all(hasattr(thing, what) for what in ("name", "dim", "facts", "is_inception")) and callable(thing):
        return cast(Features, thing)
    if not callable(thing):
        raise UsageError(f"features are a name, a network or a function; got {type(thing).__name__}.")
    name = getattr(thing, "__qualname__", type(thing).__name__)
    return Own(thing, f"own:{name}", weights=weights, device=device, like=like)


class Own:
    """A network or function of samples (n, c, h, w) float32 in [-1, 1], c 1 or 3 as images have it, that gives (n, dim) or (n, dim, ...).

    Maps (n, c, h, w) are averaged over their places. `code` tells one text of it from another; what it gives for the images `like` (noise
    where there are none) tells the rest, be it data that it reads. Raises UsageError for anything that gives other shapes.
    """

    is_inception = False

    def __init__(
        self,
        call: Callable[[Tensor], Any],
        name: str,
        *,
        weights: str | Path | None,
        device: str | torch.device,
        like: Tensor | None,
        code: str = "none",
    ) -> None:
        self.name, self.device, self.call = name, device, call
        sha = "none"
        if isinstance(self.call, nn.Module):
            _filled(self.call, weights, name)
            self.call.eval().requires_grad_(False).to(device)
            sha = digest(self.call.state_dict())
        elif weights:
            raise UsageError(f"{name} is no nn.Module, so --weights cannot be loaded into it. Load them in your own file.")
        if like is None:
            like = torch.randint(0, 256, (PROBE, 3, 64, 64), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
        with exact(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # of what draws random numbers the hash stays the same
            rows = self(like)
        self.dim = rows.shape[1]
        outputs = digest({"rows": rows})
        self.facts = {"weights": sha, "resize": "own", "runtime": "torch", "precision": "own", "code": code, "outputs": outputs}

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Tensor:
        rows = self.call(checked(images).to(self.device, non_blocking=True).float() / 127.5 - 1)
        if not isinstance(rows, Tensor) or rows.ndim < 2 or len(rows) != len(images):
            got = tuple(rows.shape) if isinstance(rows, Tensor) else type(rows).__name__
            raise UsageError(f"{self.name} should give a tensor ({len(images)}, dim) for {len(images)} images; got {got}.")
        if rows.ndim > 2:
            rows = rows.flatten(2).mean(2)
        return rows.float()


def _made(found: Any, text: str) -> Callable[[Tensor], Any]:
    """The callable: `found` itself, or what it makes when it is a class or needs no argument."""
    if not callable(found):
        raise UsageError(f"{text} is neither a network, a class nor a function; got {type(found).__name__}.")
    makes = isinstance(found, type)
    if not makes and not isinstance(found, nn.Module):
        try:
            needed = [p for p in inspect.signature(found).parameters.values() if p.default is p.empty]
        except ValueError:  # a built-in function without a signature
            needed = [None]  # type: ignore[list-item]
        makes = not needed
    if not makes:
        return found
    try:
        made = found()
    except TypeError as error:
        raise UsageError(f"{text} could not be made without arguments ({error}). Wrap it in a function that takes none.") from error
    if not callable(made):
        raise UsageError(f"{text} made a {type(made).__name__}, which cannot be called with images.")
    return made


def _filled(net: nn.Module, weights: str | Path | None, text: str) -> None:
    if not weights:
        return
    try:
        net.load_state_dict(arrays(Path(weights).expanduser().read_bytes()))
    except (OSError, ValueError, RuntimeError) as error:
        raise UsageError(f"{weights} does not fit {text}: {str(error).splitlines()[0]}") from error
