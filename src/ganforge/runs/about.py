"""What a run or a model is, as a few small files tell it: quick for hundreds of runs, and without torch."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.errors import CheckpointError

TAIL = 1 << 16
"""Bytes at the end of metrics.jsonl and log.txt that are read: more than the last line has."""
DIVERGED = "error: training diverged"
"""How the log of a run ends that was given up."""


@dataclass(frozen=True)
class About:
    """`content` is that of recipe.json, or of the config.json of a model; `last` the newest reading."""

    path: Path
    recipe: str
    data: str
    content: Mapping[str, Any]
    last: Mapping[str, Any]
    state: str
    """running, finished, stopped or diverged; "" of a model."""
    seen: int
    total: int
    """Real examples so far and planned; 0 where a model does not tell."""
    best: tuple[str, float, int] | None
    """The metric that the model in best/ was chosen by, its value there, and the real examples seen by then."""
    why: str
    """Of a diverged run: what its log says in the end."""


def read(path: Path) -> About:
    """The run or the model in a folder. Raises CheckpointError where the file that describes it is missing, damaged or not ours."""
    model = not (path / "recipe.json").is_file()
    name = "config.json" if model else "recipe.json"
    try:
        content = json.loads((path / name).read_bytes())
        recipe, data = str(content["recipe"]), str(content["fields"]["data"]["path"])
        last = content if model else _reading(path)
        total = int(content.get("total", 0) if model else content["fields"]["run"]["examples"])
        seen = max(int(last.get("seen", 0)), _saved(path))
        end = _tail(path / "log.txt")[-1:]
        why = end[0].removeprefix("error: ") if end and end[0].startswith(DIVERGED) and seen < total else ""
        state = "running" if _running(path) else "finished" if seen >= total else "diverged" if why else "stopped"
        return About(path, recipe, data, content, last, "" if model else state, seen, total, _best(path if model else path / "best"), why)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path / name} is missing or damaged, or was not written by Ganforge: {error}.") from error


def plain(text: str) -> str:
    """Foreign text, such as a file's name, for a terminal: without control characters."""
    return "".join(c if c.isprintable() else "?" for c in text)


def _reading(path: Path) -> Mapping[str, Any]:
    """The last whole line of metrics.jsonl: the very last one may be cut off."""
    for line in reversed(_tail(path / "metrics.jsonl")):
        try:
            return dict(json.loads(line))
        except ValueError:
            continue
    return {}


def _tail(path: Path) -> list[str]:
    """The last lines of a text file, the first of them not whole; none where there is no file."""
    if not path.is_file():
        return []
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL))
        return file.read().decode(errors="replace").splitlines()


def _saved(path: Path) -> int:
    """Real examples seen at the newest checkpoint, which may be later than the last reading."""
    latest = path / "ckpt" / "LATEST"
    name = latest.read_text() if latest.is_file() else ""
    return int(name) if name.isdecimal() else 0


def _best(folder: Path) -> tuple[str, float, int] | None:
    """What the model in a folder was chosen by; None where there is no such number, or no model."""
    try:
        config = json.loads((folder / "config.json").read_bytes())
        return next((str(metric), float(value), int(config["seen"])) for metric, value in config["metrics"].items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError, StopIteration):
        return None


def _running(path: Path) -> bool:
    """Whether a process holds the lock of `runs.lock`. One that died left its name in it; one that ended took it out."""
    lock = path / "RUNNING.lock"
    if not lock.is_file() or not lock.stat().st_size:
        return False
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # closing the file lets go of it again
        except BlockingIOError:
            return True
        except OSError:  # some network file systems have no locks
            return False
    return False
