"""Checkpoints that hold everything and survive anything: safetensors and JSON, written aside, flushed, renamed.

    ckpt/000251000/{state.safetensors, state.json, MANIFEST.sha256}    the two newest are kept
    ckpt/LATEST                                                        the name of the newest, written last and read first

Nothing is pickled. Randomness and data order are functions of (seed, restarts, step), so these are all their state.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import math
import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from .ema import Average
from .errors import CheckpointError, StorageError
from .method import Method

FORMAT = 1
KEEP = 2
ROOM = 1 << 26
"""Bytes that a checkpoint may take beyond what its tensors need: JSON, numbers since the last reading."""

logger = logging.getLogger(__name__)


def write(
    folder: Path, seen: int, method: Method, average: Average, facts: Mapping[str, Any], extra: Mapping[str, Tensor] | None = None
) -> Path:
    """Save everything as ckpt/<seen>; raises StorageError and leaves the older checkpoints whole if the disk refuses.

    The KEEP newest stay, and the newest whose facts say `healthy`. Those of later moments go: they are of a course that was rolled back.
    """
    tensors, optimizers = collect(method, average)
    tensors |= storable(extra or {})
    need = sum(t.numel() * t.element_size() for t in tensors.values())
    state = {"format": FORMAT, "seen": seen, "optimizers": optimizers, **facts}
    root, name = folder / "ckpt", f"{seen:012d}"
    aside = root / f".{name}.tmp"
    try:
        for left in root.glob(".*.tmp"):  # by a process that was killed while it wrote
            shutil.rmtree(left, ignore_errors=True)
        aside.mkdir(parents=True)
        if shutil.disk_usage(root).free < need:  # before gigabytes are written in vain
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        files = {"state.safetensors": save(tensors), "state.json": json.dumps(state, indent=1).encode()}
        files["MANIFEST.sha256"] = "".join(f"{hashlib.sha256(data).hexdigest()}  {file}\n" for file, data in files.items()).encode()
        for file, data in files.items():
            write_flushed(aside / file, data)
        flush_directory(aside)
        if (root / name).exists():  # the same moment, saved before an interruption
            os.rename(root / name, root / f".{name}.old.tmp")
        os.replace(aside, root / name)
        flush_directory(root)
        replace_file(root / "LATEST", name.encode())
    except OSError as error:
        shutil.rmtree(aside, ignore_errors=True)
        free = shutil.disk_usage(folder).free
        missing = f", so {need - free:,} are missing" if free < need else ""
        raise StorageError(
            f"the checkpoint at {seen:,} examples could not be written to {root}: {error.strerror or error}. It needs {need:,} bytes; "
            f"{free:,} are free{missing}. The checkpoint before it is whole: make room, then `gan resume {folder}`."
        ) from error
    places, keep = _places(folder), healthy(folder)
    for old in [p for p in places if p.name > name] + [p for p in places if p.name <= name][KEEP:]:
        if old.name > name or old.name != f"{keep:012d}":
            shutil.rmtree(old, ignore_errors=True)
    return root / name


Takes = Callable[[Mapping[str, Any]], bool]
"""Whether a checkpoint with this state is one to look at."""


def read(
    folder: Path, *, skip: int = 0, most: float = math.inf, takes: Takes = lambda state: True
) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """(tensors, state) of the newest checkpoint that is whole; None if there never was one that is to be taken.

    skip: pass over so many whole ones, if older ones are there. most: bytes of tensors beyond which a file is not even opened.
    A damaged one is passed over with a warning. Raises CheckpointError if none is whole, or if a newer Ganforge wrote it.
    """
    places, faults, whole = _newest_first(folder), [], None
    for place in places:
        try:
            if not takes(_state(place)):
                continue
            whole = _open(place, most)
        except CheckpointError:  # of a newer Ganforge: it is whole, and to go on from an older one would delete it
            raise
        except (OSError, ValueError, KeyError, TypeError, RecursionError, SafetensorError) as error:
            faults.append(f"{place.name}: {error}")
            continue
        if not skip:
            break
        skip -= 1
    if faults and whole is None:
        cure = "What was learnt may still be in best/; to train, start a new run."
        raise CheckpointError(f"no checkpoint in {folder / 'ckpt'} can be read:\n  " + "\n  ".join(faults) + f"\n{cure}")
    if whole and faults:
        logger.warning(
            "in %s the checkpoint %s; taking the one before it, of %s.", folder / "ckpt", "; ".join(faults), whole[1].get("seen")
        )
    return whole


def read_state(folder: Path, takes: Takes = lambda state: True) -> dict[str, Any]:
    """The JSON of the newest checkpoint that has one; empty if none has. Its tensors are neither read nor checked."""
    for place in _newest_first(folder):
        with suppress(OSError, ValueError, KeyError, TypeError, RecursionError):  # `read` will say so
            if takes(state := _state(place)):
                return state
    return {}


def healthy(folder: Path, takes: Takes = lambda state: True) -> int:
    """Examples seen at the newest checkpoint whose facts say `healthy`; 0 if none does."""
    return int(read_state(folder, lambda state: state.get("healthy") is True and takes(state)).get("seen", 0))


def _places(folder: Path) -> list[Path]:
    """Folders of checkpoints, those of later moments first."""
    return sorted((p for p in (folder / "ckpt").glob("[0-9]*") if p.is_dir()), reverse=True)


def _newest_first(folder: Path) -> list[Path]:
    """From the one that LATEST names to older ones. Those of later moments come last: a kill left them of a course that was rolled back,
    or before LATEST could name them."""
    places = _places(folder)
    try:
        latest = (folder / "ckpt" / "LATEST").read_text()
    except (OSError, ValueError):
        latest = ""
    start = next((i for i, place in enumerate(places) if place.name == latest), 0)
    return [*places[start:], *places[:start]]


def _open(place: Path, most: float) -> tuple[dict[str, Tensor], dict[str, Any]]:
    state = _state(place)
    return load(_content(place, "state.safetensors", most + ROOM)), state


def _state(place: Path) -> dict[str, Any]:
    state = json.loads(_content(place, "state.json", ROOM))
    if state["format"] > FORMAT:
        raise CheckpointError(
            f"{place} was written by a newer Ganforge (format {state['format']}, this one reads {FORMAT}): "
            "go on with that one, or update: pip install --upgrade ganforge."
        )
    return state


def _content(place: Path, name: str, most: float) -> bytes:
    """A file of a checkpoint, if its checksum is right and it is no larger than it can be."""
    sums = {file: digest for digest, file in map(str.split, (place / "MANIFEST.sha256").read_text().splitlines())}
    if (size := (place / name).stat().st_size) > most:
        raise ValueError(f"{name} has {size:,} bytes, far more than this model needs")
    content = (place / name).read_bytes()
    if hashlib.sha256(content).hexdigest() != sums.get(name):
        raise ValueError(f"{name} is damaged (its checksum differs)")
    return content


def collect(method: Method, average: Average) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Every tensor of a training by name, and what else the optimisers hold, as JSON."""
    tensors = {f"method/{key}": value for key, value in method.state_dict().items()}
    for name, network in average.networks.items():
        tensors |= {f"average/{name}/{key}": value for key, value in network.state_dict().items()}
    rest: dict[str, Any] = {}
    for player in method.players:
        state = player.optimizer.state_dict()
        rest[player.name] = {"groups": state["param_groups"], "numbers": {}}
        for index, entries in state["state"].items():
            for key, value in entries.items():
                if isinstance(value, Tensor):
                    tensors[f"optimizer/{player.name}/{index}/{key}"] = value
                elif value is not None:
                    rest[player.name]["numbers"][f"{index}/{key}"] = value
    return storable(tensors), rest


def restore(method: Method, average: Average, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
    """Put back what `collect` gathered, in place. Raises CheckpointError if it does not fit this method."""
    try:
        method.load_state_dict(_under(tensors, "method/"))
        for name, network in average.networks.items():
            network.load_state_dict(_under(tensors, f"average/{name}/"))
        for player in method.players:
            _restore_optimizer(player.optimizer, _under(tensors, f"optimizer/{player.name}/"), state["optimizers"][player.name])
    except (RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise CheckpointError(f"the checkpoint does not fit {type(method).__name__} as this recipe builds it: {error}") from error


def _restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor], rest: Mapping[str, Any]) -> None:
    entries: dict[int, dict[str, Any]] = {}
    for key, value in [*tensors.items(), *rest["numbers"].items()]:
        index, name = key.split("/", 1)
        entries.setdefault(int(index), {})[name] = value
    groups = [{k: tuple(v) if isinstance(v, list) and k != "params" else v for k, v in g.items()} for g in rest["groups"]]
    optimizer.load_state_dict({"state": entries, "param_groups": groups})
    for parameter, entry in optimizer.state.items():  # moments in the layout of their parameter, as they were
        for name, value in entry.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                entry[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)


def storable(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Contiguous tensors on the CPU that share no memory, as safetensors wants them."""
    seen: set[int] = set()
    ready = {}
    for key, value in tensors.items():
        value = value.detach().cpu().contiguous()
        if value.untyped_storage().data_ptr() in seen:  # the same tensor, or a view of one
            value = value.clone()
        seen.add(value.untyped_storage().data_ptr())
        ready[key] = value
    return ready


def _under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def write_flushed(path: Path, data: bytes) -> None:
    """Write a file and wait until the disk has it."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def replace_file(path: Path, data: bytes) -> None:
    """Write a file so that a reader sees the old content or the new, never a part."""
    aside = path.with_name(f".{path.name}.tmp")
    try:
        write_flushed(aside, data)
        os.replace(aside, path)
    except OSError:
        aside.unlink(missing_ok=True)  # half a file would only fill a full disk further
        raise
    flush_directory(path.parent)


def replace_json(path: Path, content: Any) -> None:
    """Write readable JSON as `replace_file` does. What is no UTF-8 in file names is escaped, and read again as it was."""
    replace_file(path, (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode(errors="backslashreplace"))


def flush_directory(path: Path) -> None:
    """Wait until the disk knows the names of the files in a folder."""
    if os.name == "nt":  # Windows flushes directory entries itself
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
