"""Data sets of different nature, for measurements over many: built-in ones, photographs, and what is made of those here.

    python benchmarks/sets.py runs/sets        # says which there are on this machine

digits and what is made of the photographs that scikit-image and scikit-learn bring need no network. cifar10, mnist and fashion-mnist
are found or fetched as `gan train` does, fruit as benchmarks/photographs.py does. A set that cannot be had is left out, and said.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import houses
import numpy as np
import photographs
from PIL import Image, ImageDraw

from ganforge.core.errors import DataError
from ganforge.data import fetch
from ganforge.data.images import Images


class Set(NamedTuple):
    """A set to train on: what it is in words, and the options of `Images` that name it, given a folder to make it in."""

    what: str
    options: Callable[[Path], dict[str, Any]]


def crops(folder: Path) -> dict[str, Any]:
    """All whole squares of 64 pixels of the photographs of scikit-image and scikit-learn."""
    return {"path": _written(folder / "crops.npz", lambda: photographs.samples(64).permute(0, 2, 3, 1).numpy())}


def drawn_houses(folder: Path, count: int = 1000) -> dict[str, Any]:
    """Houses of benchmarks/houses.py at 64 pixels."""

    def make() -> np.ndarray:
        draw = np.random.default_rng(0)
        return np.stack([houses.picture(houses.plan(draw, 64)) for _ in range(count)])

    return {"path": _written(folder / "houses.npz", make), "flip": "no"}


def fruit(folder: Path) -> dict[str, Any]:
    """Photographs of fruit in 14 classes."""
    return {"path": str(photographs.groceries(Path("runs/photographs")) / "train"), "size": "64"}


def messy(folder: Path, count: int = 400) -> dict[str, Any]:
    """A folder as people have them: see `write_mess`."""
    where = folder / "messy"
    if not where.is_dir():
        partial = folder / "messy-partial"
        write_mess(partial, [_whole(path) for path in photographs.brought()], count)
        partial.rename(where)
    return {"path": str(where)}


SETS = {
    "fashion-mnist": Set("28 px grey, 10 classes, 60,000", lambda folder: {"path": "fashion-mnist"}),
    "mnist": Set("28 px grey, 10 classes, 60,000", lambda folder: {"path": "mnist"}),
    "digits": Set("8 px grey, 10 classes, 1,498", lambda folder: {"path": "digits"}),
    "cifar10": Set("32 px colour photographs, 10 classes, 50,000", lambda folder: {"path": "cifar10"}),
    "fruit": Set("64 px colour photographs, 14 classes", fruit),
    "crops": Set("64 px pieces of seven colour photographs", crops),
    "houses": Set("64 px drawn houses, 1,000", drawn_houses),
    "messy": Set("400 files of mixed sizes and modes, some unusable", messy),
}


def write_mess(folder: Path, photos: Sequence[np.ndarray], count: int, seed: int = 0) -> None:
    """`count` pieces of photographs (h, w, 3) of 48 to 240 pixels a side, in every mode, partly in sub-folders; and what cannot be read.

    Of eight, three are JPEG, one is PNG, one has a transparent rim, one a palette, one is grey, and one lies on its side with an EXIF mark
    that says so. Beside them a JPEG cut in half, an empty PNG, text that calls itself JPEG, and a file of notes.
    """
    draw = np.random.default_rng(seed)
    for number in range(count):
        photo = photos[number % len(photos)]
        high, wide = (int(draw.integers(48, min(240, side) + 1)) for side in photo.shape[:2])
        top, left = (int(draw.integers(0, side - length + 1)) for side, length in zip(photo.shape[:2], (high, wide), strict=True))
        piece = Image.fromarray(np.ascontiguousarray(photo[top : top + high, left : left + wide]))
        place = folder / ("", "new folder", "2019/summer")[number % 3]
        place.mkdir(parents=True, exist_ok=True)
        _save(piece, place / f"IMG_{number:04d}", number % 8)
    whole = (folder / "IMG_0000.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.png").write_bytes(b"")
    (folder / "letter.jpg").write_text("no picture")
    (folder / "notes.txt").write_text("holiday")


def _save(piece: Image.Image, path: Path, kind: int) -> None:
    if kind == 3:
        piece.save(path.with_suffix(".png"))
    elif kind == 4:
        rim = Image.new("L", piece.size, 0)
        ImageDraw.Draw(rim).ellipse((0, 0, *piece.size), fill=255)
        piece.putalpha(rim)
        piece.save(path.with_suffix(".png"))
    elif kind == 5:
        piece.quantize(64).save(path.with_suffix(".png"))
    elif kind == 6:
        piece.convert("L").save(path.with_suffix(".jpg"), quality=85)
    elif kind == 7:
        mark = Image.Exif()
        mark[0x0112] = 6  # turn a quarter clockwise to see it as it was
        piece.transpose(Image.Transpose.ROTATE_90).save(path.with_suffix(".jpg"), quality=85, exif=mark)
    else:
        piece.save(path.with_suffix(".jpg"), quality=85)


def _whole(path: Path, longest: int = 768) -> np.ndarray:
    """A photograph (h, w, 3) uint8, its longer side at most so many pixels."""
    with Image.open(path) as picture:
        photo = picture.convert("RGB")
        photo.thumbnail((longest, longest), Image.Resampling.LANCZOS)
        return np.asarray(photo)


def _written(path: Path, make: Callable[[], np.ndarray]) -> str:
    """The path of an .npz of images (n, h, w, c), made if it is not there."""
    if not path.is_file():
        content = io.BytesIO()
        np.savez(content, images=make())
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.part")
        part.write_bytes(content.getvalue())
        part.replace(path)
    return str(path)


def found(names: Sequence[str], folder: Path) -> dict[str, Images]:
    """The options of those of these sets that can be had; of the others it is said why not."""
    there = {}
    for name in names:
        try:
            options = Images(**SETS[name].options(folder))
            options.load()
            there[name] = options
        except (DataError, fetch.Unreachable, ImportError, OSError, SystemExit) as error:
            print(f"left out: {name}: {str(error).splitlines()[0]}", flush=True)
    return there


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    for name, options in found([*SETS], parser.parse_args().folder).items():
        spec = options.load().spec
        print(f"{name}: {SETS[name].what}; as trained on: {spec.shape}, {spec.classes} classes, {spec.count:,} images")


if __name__ == "__main__":
    main()
