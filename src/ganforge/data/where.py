"""Where the data of a run lie, so that they are found again when the working folder, the run or both have moved."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from ganforge.core.errors import CheckpointError, DataError, UsageError

FIELDS = ("path", "labels")
Places = Mapping[str, list[str]]
"""{"path": [absolute path, path as seen from the run's folder], "labels": the same}; only what is a file or folder."""
Options = TypeVar("Options")


def places(options: Any, run: Path) -> dict[str, list[str]]:
    """What to keep of the data options of a run in the folder `run`."""
    found = {}
    for name in FIELDS:
        path = Path(getattr(options, name, "") or os.devnull).expanduser()
        if path.is_file() or path.is_dir():
            found[name] = [str(path.resolve()), _from(run, path.resolve())]
    return found


def again(
    options: Options, load: Callable[[Options], Any], kept: Places, run: Path, fingerprint: str, moved: str = ""
) -> tuple[Options, Any]:
    """The options with today's paths and the data loaded from there: those of this fingerprint, else the first that can be loaded.

    Looked for where they were, then where they lie if run and data moved together, then as they were typed; only at `moved` where that
    is given. Raises CheckpointError, saying what to type, if nothing is there.
    """
    first: tuple[Options, Any] | None = None
    trouble: DataError | UsageError | None = None
    for found in _candidates(options, kept, run, moved):
        try:
            data = load(found)
        except (DataError, UsageError) as error:
            trouble = trouble or error
            continue
        if data.fingerprint == fingerprint:
            return found, data
        first = first or (found, data)
    if first:
        return first
    if trouble:
        raise trouble
    raise CheckpointError(
        f"the data of {run} are no longer at {kept['path'][0]}. Say where they are: gan resume {shlex.quote(str(run))} --data NEWPATH"
    )


def _candidates(options: Options, kept: Places, run: Path, moved: str) -> Iterator[Options]:
    """The options with every path under which the data may lie today."""
    tried: list[Options] = []
    for way in range(3) if "path" in kept and not moved else range(1):
        path = moved or _path(options, "path", kept, run, way)
        if not moved and "path" in kept and not Path(path).expanduser().exists():
            continue
        changes = {"path": path} | ({"labels": _labels(options, kept, run, path, way)} if "labels" in kept else {})
        found = replace(options, **changes)  # type: ignore[type-var]
        if found not in tried:
            tried.append(found)
            yield found


def _path(options: Any, name: str, kept: Places, run: Path, way: int) -> str:
    typed = getattr(options, name)
    return (kept[name][0], os.path.normpath(run.resolve() / kept[name][1]), typed)[way] if name in kept else typed


def _labels(options: Any, kept: Places, run: Path, data: str, way: int) -> str:
    """A label file that lay inside the data has moved with them."""
    old = Path(kept["labels"][0])
    if "path" in kept and old.is_relative_to(kept["path"][0]):
        return str(Path(data).expanduser() / old.relative_to(kept["path"][0]))
    ways = [_path(options, "labels", kept, run, k) for k in (way, 0, 1, 2)]
    return next((w for w in ways if Path(w).expanduser().is_file()), ways[-1])


def _from(run: Path, path: Path) -> str:
    try:
        return os.path.relpath(path, run.resolve())
    except ValueError:  # another drive
        return str(path)
