"""Train on a folder of images and save a picture of what was learnt: python examples/train_on_a_folder.py photos/"""

from __future__ import annotations

import sys
from pathlib import Path

import ganforge


def main(data: str = "fashion-small", **options) -> Path:
    """Train, then write samples.png into the run folder. options: any of `gan train`, such as minutes=60 or size="64"."""
    run = ganforge.train(data, **{"minutes": 5, **options})
    if not run.finished:
        sys.stdout.write(f"stopped early; go on with: gan resume {run.folder}\n")

    from ganforge.runs.grid import grid, save_png

    images = run.model().generate(seeds=range(64), output="tensor")
    return save_png(grid(images), run.folder / "samples.png")


if __name__ == "__main__":
    sys.stdout.write(f"{main(*sys.argv[1:2])}\n")
