"""What evaluations leave on the disk: NAME.json and NAME-nearest.png in evaluations/ of a run, numbered and never overwritten."""

from __future__ import annotations

import json
import logging
import re
from dataclasses import replace
from pathlib import Path

from PIL import Image

from ..metrics.protocol import Evaluation, from_json
from .grid import save_bytes, save_png

logger = logging.getLogger(__name__)


def write(found: Evaluation, folder: Path | None, picture: Image.Image | None) -> Evaluation:
    """Save under the next free number, if there is a folder; returns the evaluation with its place. Raises StorageError."""
    if folder is None:
        return found
    taken = _numbered(folder)
    path = folder / f"{taken[-1][0] + 1 if taken else 1:03d}.json"
    if picture is not None:
        save_png(picture, folder / f"{path.stem}-nearest.png")
    save_bytes((json.dumps(found.json(), indent=2, ensure_ascii=False) + "\n").encode(), path)
    return replace(found, saved=path)


def read_all(run: Path) -> list[Evaluation]:
    """The evaluations of a run, oldest first; damaged files are left out with a warning."""
    found = []
    for _, path in _numbered(run / "evaluations"):
        try:
            found.append(from_json(json.loads(path.read_text(encoding="utf-8")), path))
        except (OSError, ValueError, KeyError, TypeError) as error:
            logger.warning("%s is left out: %s: %s", path, type(error).__name__, error)
    return found


def _numbered(folder: Path) -> list[tuple[int, Path]]:
    """The evaluations in a folder with their numbers, rising: 1000 comes after 999."""
    return sorted((int(match[1]), path) for path in folder.glob("*.json") if (match := re.fullmatch(r"(\d+)\.json", path.name)))
