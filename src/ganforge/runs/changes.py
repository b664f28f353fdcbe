"""What changed since a run was saved: data, options, versions, machine. Each is told: an exact continuation needs all of them."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

import torch

from ..core import parallel
from ..core.errors import CheckpointError
from ..core.run import Run
from .environment import processor
from .folder import Folder

FREE = ("run.minutes", "run.save_minutes", "run.snapshots", "run.out", "run.log", "run.evaluate", "run.evaluations", "data.path")
"""Options that do not touch what is computed."""
ROUNDING = ("run.threads", "run.device")
"""Options that change at most the last bits of what is computed."""


def check_options(folder: Folder, content: Mapping[str, Any], state: Mapping[str, Any], force: bool) -> list[str]:
    """Notes on options and versions that differ between recipe.json and the newest checkpoint's state.

    Raises CheckpointError, listing the differences, if they change what is computed, unless `force`.
    """
    saved, now = dict(_flat(state.get("recipe", {}))), dict(_flat({key: content[key] for key in ("recipe", "fields")}))
    differ = [key for key in {**saved, **now} if saved and saved.get(key) != now.get(key)]
    names = {key: key.removeprefix("fields.") for key in differ}
    told = {key: f"{names[key]} is {now.get(key)!r}, was {saved.get(key)!r}" for key in differ}
    hard = [told[key] for key in differ if names[key] not in FREE + ROUNDING]
    if hard and not force:
        raise CheckpointError(
            f"{folder.path / 'recipe.json'} changed since the run was saved: {'; '.join(hard)}. "
            f"Put it back to resume exactly, or go on with the change, not exactly: gan resume {folder.typed} --force"
        )
    notes = [f"going on with a change: {line}" for line in hard]
    notes += [f"{told[key]}: the last bits may differ" for key in differ if names[key] in ROUNDING]
    made = _environment(folder).get("versions", {}).get("torch")
    if made and made != torch.__version__:
        notes.append(f"the run began with torch {made}, this is {torch.__version__}: the last bits may differ")
    return notes


def machine(device: torch.device) -> dict[str, Any]:
    """What a checkpoint keeps of where it was made: the kind of device and the number of processes."""
    return {"device": device.type, "processes": parallel.world()[1]}


def check_machine(folder: Folder, run: Run, state: Mapping[str, Any], device: torch.device) -> list[str]:
    """Notes on a device, processes or a processor that are others than those of the newest checkpoint's state.

    Raises UsageError where the batch, which must stay as it is, cannot be cut over so many processes.
    """
    now, saved, cut = machine(device), state.get("machine"), state.get("accumulate")
    parallel.micro_batch(run.batch, max(run.accumulate, cut) if isinstance(cut, int) else run.accumulate)
    if isinstance(saved, Mapping) and saved.keys() == now.keys() and saved != now:
        told = [f"{m['processes']} process{'es' * (m['processes'] != 1)} on {m['device']}" for m in (saved, now)]
        return [f"the run was saved by {told[0]}, this is {told[1]}: it goes on, but no longer bit-identical to an uninterrupted run"]
    made, here = (tuple(str(facts.get(key, "")) for key in ("cpu", "vector_unit")) for facts in (_environment(folder), processor()))
    if device.type == "cpu" and all(made) and made != here:
        return [f"the run began on {' with '.join(made)}, this is {' with '.join(here)}: the last bits may differ"]
    return []


def _environment(folder: Folder) -> dict[str, Any]:
    return folder.json("environment.json") if (folder.path / "environment.json").is_file() else {}


def check_data(folder: Folder, data: Any, path: str, force: bool) -> list[str]:
    """Notes on data that differ from those the run began with. Raises CheckpointError if they do, unless `force`."""
    before = folder.json("data_report.json")
    was = str(before.get("fingerprint"))
    if data.fingerprint == was:
        return _check_held_out(folder, data, str(before.get("held_out_fingerprint", "")), force)
    counts = [report.get("usable") for report in (before, data.report)]
    number = f"{counts[1]} usable examples, were {counts[0]}" if counts[0] != counts[1] else f"still {counts[1]} usable examples"
    told = f"the data at {path} changed since the run began ({number}; fingerprint {data.fingerprint[:8]}, was {was[:8]})"
    if not force:
        raise CheckpointError(
            f"{told}. Bring them back to resume exactly, go on with the change, not exactly: gan resume {folder.typed} --force, "
            f"or start a new run: gan train {shlex.quote(path)}"
        )
    return [f"going on with a change: {told}"]


def _check_held_out(folder: Folder, data: Any, was: str, force: bool) -> list[str]:
    """The same of the held-out part: the guard compares with it, and augmentation may follow it."""
    held = getattr(data, "held_out", None)
    if not was or (held and held.fingerprint == was):
        return []
    told = f"the held-out part of the data changed since the run began ({f'{len(held)} images now' if held else 'there is none now'})"
    if not force:
        raise CheckpointError(
            f"{told}. Bring it back to resume exactly, or go on with the change, not exactly: gan resume {folder.typed} --force"
        )
    return [f"going on with a change: {told}"]


def _flat(tree: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            yield from _flat(value, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, tree
