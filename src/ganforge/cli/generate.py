"""`gan generate RUN --seeds 0-63 --out samples/`."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import tyro

from ..core.errors import StorageError, UsageError
from .options import call

if TYPE_CHECKING:
    from torch import Tensor


def main(arguments: list[str]) -> int:
    return call(generate, arguments, "gan generate")


def generate(
    run: Annotated[str, tyro.conf.Positional],
    seeds: str = "0-15",
    out: str = "samples",
    category: Annotated[str, tyro.conf.arg(name="class")] = "",
    truncation: float | None = None,
    reject: bool = False,
    grid: bool = False,
    device: str = "auto",
    code: tuple[str, ...] = (),
) -> int:
    """Draw images with a trained model: the same seed always gives the same image.

    Args:
        run: A run folder, or a copy of its best/ folder.
        seeds: Which seeds: 7, or 0-63, or 1,5,9-12.
        out: Folder for the images; made if missing. Files are named by seed.
        category: Name or number of the class, for class-conditional models. Empty: each seed draws its own.
        truncation: Less variety, fewer failures: 0.7 draws StyleGAN2's styles towards their mean (0 to 1), 1.5 is the largest number of
            other models' latents.
        reject: Keep the seeds whose images the run's discriminator takes for real. Needs the run folder, with its checkpoints.
        grid: Also write all of them as one picture, grid.png.
        device: cpu, cuda, or auto.
        code: Your own .py files that the model names and that may be run.
    """
    wanted = parse_seeds(seeds)
    from ..runs.grid import grid as tile
    from ..runs.grid import save_png
    from ..runs.mark import marked
    from ..runs.model import load

    model = load(run, code=code, device=device)
    asked, chosen = len(wanted), ""
    if reject:
        from ..runs.rejection import Rejection

        wanted = Rejection(run, model, classes=category or None, truncation=truncation, code=code).kept(wanted)
        chosen = f", of {asked} seeds"
        if not wanted:
            raise UsageError(f"the discriminator kept none of {asked} seeds; ask for more of them: --seeds 0-{20 * asked}.")
    folder = Path(out).expanduser()
    digits = len(str(max(wanted)))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for at in range(0, len(wanted), 256):  # memory stays bounded for a million seeds
            part = wanted[at : at + 256]
            for seed, image in zip(part, model.generate(part, category or None, truncation=truncation), strict=True):
                image.save(folder / f"seed{seed:0{max(digits, 4)}d}.png", pnginfo=marked(model, seed, category, truncation))
        if grid:
            if len(wanted) > 1024:
                raise UsageError("--grid shows at most 1,024 images.")
            drawn = model.generate(wanted, category or None, output="tensor", truncation=truncation)
            save_png(tile(cast("Tensor", drawn)), folder / "grid.png")
    except OSError as error:
        raise StorageError(f"images could not be written to {folder}: {error}.") from error
    sys.stdout.write(f"{len(wanted)} images in {folder}{chosen}\n")
    return 0


def parse_seeds(text: str) -> list[int]:
    """'1,5,9-12' -> [1, 5, 9, 10, 11, 12]. Raises UsageError for anything else."""
    seeds: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,18})(?:-(\d{1,18}))?\s*", part)
        if not match or match[2] and int(match[2]) < int(match[1]):
            raise UsageError(f"--seeds {text}: '{part}' is neither a number nor a range. Examples: 7, 0-63, or 1,5,9-12.")
        last = int(match[2] or match[1])
        if len(seeds) + last - int(match[1]) >= 10_000_000:
            raise UsageError(f"--seeds {text} asks for more than ten million images.")
        seeds += range(int(match[1]), last + 1)
    return seeds
