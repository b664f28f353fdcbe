"""A labelled grid of a trained model, one row a class: python examples/generate_grid.py runs/fashion-small-001 grid.png"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

import ganforge
from ganforge.runs.grid import grid, save_png


def main(run: str, out: str = "grid.png", columns: int = 8) -> Path:
    """Draw `columns` images of each class, the same seeds in each row; without classes, 8 rows of any."""
    model = ganforge.load(run)
    seeds = range(columns)
    if model.spec.classes:
        rows = [model.generate(seeds, number, output="tensor") for number in range(model.spec.classes)]
        sys.stdout.write("rows: " + ", ".join(model.spec.names) + "\n")
    else:
        rows = [model.generate(range(8 * columns), output="tensor")]
    return save_png(grid(torch.cat(rows), columns=columns), Path(out))


if __name__ == "__main__":
    main(*sys.argv[1:3])
