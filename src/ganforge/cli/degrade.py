"""`gan degrade PRESET PHOTOS [-o sheet.png]`: what a degradation does to one's photographs, as one picture."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from shlex import quote
from typing import Annotated

import tyro

from ..core.errors import UsageError
from .options import call

USAGE = "gan degrade PRESET PHOTOS [-o sheet.png]"


def main(arguments: list[str]) -> int:
    if not {"-h", "--help"} & {*arguments} and len([a for a in arguments[:2] if not a.startswith("-")]) < 2:
        from ..data.degrade.presets import PRESETS

        raise UsageError(f"say which degradation and of what: {USAGE}. PRESET is one of {', '.join(PRESETS)}; PHOTOS an image or a folder.")
    return call(degrade, arguments, "gan degrade")


def degrade(
    preset: Annotated[str, tyro.conf.Positional],
    photos: Annotated[str, tyro.conf.Positional],
    out: Annotated[str, tyro.conf.arg(aliases=("-o",))] = "",
    scale: int | None = None,
    sigma: str = "",
    quality: str = "",
    draws: int = 3,
    count: int = 6,
    seed: int = 0,
    overwrite: bool = False,
) -> int:
    """Show what a network would be given in training: a row a photograph, the original beside several degraded draws.

    Of each photograph the 256 x 256 pixels with most detail are shown, at their own scale. Nothing is changed.

    Args:
        preset: clean, web or harsh (made smaller for super-resolution); noise, jpeg, deblur, gaussian-blur, low-light, old-photo; grey,
            hinted; holes, or one kind of them alone: strokes, boxes, scratches, text.
        photos: An image, a folder of images, or an archive.
        out: Where the picture goes. Empty: degrade-PRESET.png here.
        scale: How many times smaller clean, web and harsh make images: 1 to 4, else 2.
        sigma: Strength of noise, of 255, or a range such as 5-50; else 25.
        quality: Of jpeg, 1 to 100, or a range such as 10-60; else 20.
        draws: Degraded versions of each photograph, 1 to 8.
        count: Photographs, 1 to 32, from all over the folder.
        seed: The draws follow from it.
        overwrite: Replace what is there already; sheets are replaced in any case.
    """
    if not 1 <= draws <= 8 or not 1 <= count <= 32:
        raise UsageError(f"--draws goes from 1 to 8 and --count from 1 to 32; got {draws} and {count}.")
    import torch
    from PIL.PngImagePlugin import PngInfo

    from ..data.degrade.presets import PRESETS, named
    from ..data.degrade.sheet import contact_sheet, detail, photographs, visible
    from ..methods import tasks
    from ..tasks import sheets

    if preset not in PRESETS and isinstance(task := getattr(tasks, preset.replace("-", "_"), None), tasks.Task):
        raise UsageError(f"'{preset}' is a task. What it mends is made by: gan degrade {task.degrade.replace('_', '-')} {quote(photos)}")
    degradation = visible(preset, named(preset, scale, sigma or None, quality or None))
    path = _outside(Path(out or f"degrade-{preset}.png").expanduser(), photos)
    sheets.check_free(path, overwrite)
    found = [(name, detail(x, step=12)) for name, x in photographs(photos, count)]  # 12: a multiple of every scale
    torch.manual_seed(seed)
    strengths = [f"{key} {value}" for key, value in (("scale", scale), ("sigma", sigma), ("quality", quality)) if value]
    title, info = ", ".join([preset, *strengths, f"seed {seed}"]), PngInfo()
    info.add_text("ganforge", json.dumps({sheets.MARK: title}))
    sheets.save(contact_sheet(found, degradation, draws, title), path, info)
    sys.stdout.write(f"{path}: photographs {len(found)}, draws of each {draws}\n")
    return 0


def _outside(path: Path, photos: str) -> Path:
    """Raises UsageError where the sheet would lie among the photographs, which the next training would read, or replace one."""
    data = Path(photos).expanduser().resolve()
    if path.suffix.lower() != ".png":
        raise UsageError(f"-o {path} must end in .png. Type: -o {path.with_suffix('.png')}")
    if path.resolve() == data or data.is_dir() and path.resolve().is_relative_to(data):
        raise UsageError(f"{path} would lie among the photographs, which stay untouched. Choose another place: -o ../{path.name}")
    return path
