"""Where a run keeps its files.

runs/photos-001/
  recipe.json  plan.json  environment.json  data_report.json   what was asked, decided, found (data_card.md: for people)
  reals.png  samples/fakes_000000012345.png                    the data; the same latents all run long
  metrics.jsonl  metrics.csv  plots/*.svg  report.html  log.txt
  best/  model.safetensors  config.json  README.md             averaged weights: what is shared and loaded
  ckpt/                                                        everything: what resuming uses
"""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.checkpoint import replace_file, replace_json
from ..core.errors import CheckpointError, StorageError, UsageError


@dataclass(frozen=True)
class Folder:
    """One run's folder."""

    path: Path

    @property
    def typed(self) -> str:
        """Its path as one types it into a shell."""
        return shlex.quote(str(self.path))

    def json(self, name: str) -> dict[str, Any]:
        """The content of a JSON file of the run. Raises CheckpointError if it is missing or damaged."""
        try:
            return json.loads((self.path / name).read_bytes())
        except FileNotFoundError as error:
            raise CheckpointError(f"{self.path} has no {name}: it is not a run of Ganforge, or it was stopped before it began.") from error
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise CheckpointError(f"{self.path / name} is damaged: {error}.") from error

    def write_json(self, name: str, content: Any) -> None:
        replace_json(self.path / name, content)

    def history(self) -> list[dict[str, Any]]:
        """The readings of the run so far, oldest first."""
        return list(_lines(self.path / "metrics.jsonl"))

    def forget_after(self, seen: int) -> None:
        """Drop readings from `seen` on: they come again when a run is resumed from before them."""
        path = self.path / "metrics.jsonl"
        if any(line["seen"] >= seen for line in _lines(path)) or path.exists() and not path.read_bytes().endswith(b"\n"):
            kept = [json.dumps(line) + "\n" for line in _lines(path) if line["seen"] < seen]
            replace_file(path, "".join(kept).encode())

    def add_readings(self, lines: Sequence[dict[str, Any]]) -> None:
        """Append to metrics.jsonl all of these or none: what a full disk took of them is cut off again."""
        path = self.path / "metrics.jsonl"
        size = path.stat().st_size if path.exists() else 0
        try:
            with path.open("a") as file:
                file.write("".join(json.dumps(line) + "\n" for line in lines))
        except OSError:
            if path.exists():
                os.truncate(path, size)
            raise


STARTS_WITH = {"samples", "log.txt", "RUNNING.lock", "plan.json", "environment.json", "data_report.json", "data_card.md", "reals.png"}
STARTS_WITH |= {"parent.safetensors"}
"""What a folder holds before recipe.json makes it a run."""


def create(out: str, data_name: str) -> Folder:
    """A new, empty run folder: `out`, or the next free runs/<data>-001. Raises UsageError if `out` holds a run already."""
    try:
        if out:
            begun = check_free(out)
            path = Path(out).expanduser()
            path.mkdir(parents=True, exist_ok=True)
        else:
            begun, path = False, _next_free(Path("runs"), data_name)
        (path / "samples").mkdir(exist_ok=begun)
    except FileExistsError as error:  # since the look above
        raise UsageError(f"another run has just begun in {out}. Choose another folder.") from error
    except OSError as error:
        raise StorageError(f"the run folder could not be made: {error}.") from error
    return Folder(path)


def check_free(out: str) -> bool:
    """Whether `out` holds what a start left that was killed before it was a run. Raises UsageError if it holds anything else."""
    path = Path(out).expanduser()
    if not out or not path.exists():
        return False
    names = {p.name.removeprefix(".").removesuffix(".tmp") for p in path.iterdir()} if path.is_dir() else set()
    begun = names <= STARTS_WITH | {"recipe.json"} and not (path / "recipe.json").exists() and not any((path / "samples").glob("*"))
    if not path.is_dir() or not begun:
        raise UsageError(
            f"--out {path} exists and is not empty. To continue that run: gan resume {shlex.quote(str(path))}; else choose another folder."
        )
    return bool(names)


def open_run(path: str | Path) -> Folder:
    """The folder of an existing run. Raises CheckpointError, naming the runs that are there, if it is none."""
    folder = Path(path).expanduser()
    if not (folder / "recipe.json").is_file():
        there = sorted({str(p.parent) for root in (folder, Path("runs")) for p in root.glob("*/recipe.json")})
        raise CheckpointError(f"{folder} is not a run. Runs here: {', '.join(there) or 'none yet; start one with: gan train DATA'}.")
    return Folder(folder)


def _next_free(root: Path, data_name: str) -> Path:
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(data_name).stem or "run").strip("-.") or "run"
    taken = [int(m[1]) for p in root.glob(f"{stem}-*") if (m := re.fullmatch(re.escape(stem) + r"-(\d+)", p.name))]
    number = max(taken, default=0)
    while True:  # another run may take the number between the look and the leap
        number += 1
        path = root / f"{stem}-{number:03d}"
        try:
            path.mkdir(parents=True)
            return path
        except FileExistsError:
            continue


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    if path.exists():
        for line in path.read_text().splitlines():
            try:
                yield json.loads(line)
            except json.JSONDecodeError:
                return  # the last line of a run that was killed while it wrote
