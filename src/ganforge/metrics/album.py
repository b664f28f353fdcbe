"""Images one at a time, each of the size that it has, and which of two such rows belong together."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..core.errors import DataError, GanforgeError
from ..data.decode import Look, pictures
from ..data.opening import probe
from ..data.read import read
from ..data.source import Files
from . import sets

SHOWN = 10
"""Names at most in a message."""


@dataclass
class Album:
    """Images by number, never all in memory. Files are decoded to three channels."""

    path: str
    names: Sequence[str]
    """What each image goes by: its path inside the folder or archive without suffix; empty for arrays and rows of .parquet files, which
    only have an order."""
    count: int
    size: Callable[[int], tuple[int, int]]
    """Width and height. Raises DataError for a file that is no image."""
    read: Callable[[int], Tensor]
    """(3, h, w) uint8. Raises DataError for a file that cannot be decoded."""
    close: Callable[[], None] = lambda: None

    def called(self, i: int) -> str:
        """The image in words: 'photos: faces/12'."""
        return f"{self.path}: {self.names[i] if self.names else f'image {i}'}"


def album(path: str) -> Album:
    """The images at `path`: a folder, an archive, an array or a built-in set.

    Raises UsageError for a path that is not there, DataError for one without images, or with two images of one name.
    """
    where = Path(path).expanduser()
    source = read(where) if where.is_dir() or where.is_file() else None
    if isinstance(source, Files):
        return _of_files(path, source)
    images = sets.as_is(path).images
    size = (images.shape[3], images.shape[2])
    return Album(path, (), len(images), lambda i: size, lambda i: images[i, :3].expand(3, -1, -1))


def pairs(a: Album, b: Album) -> list[tuple[int, int]]:
    """Which image of `a` belongs to which of `b`: that of the same name, or of the same number where a side has no names.

    Raises DataError, naming them, where images are left without a partner, and where partners differ in size.
    """
    if not a.names or not b.names:
        if a.count != b.count:
            raise DataError(
                f"{a.path} has {a.count:,} images and {b.path} {b.count:,}: without file names on both sides they are paired by their "
                "order, so there must be as many of each."
            )
        found = [(i, i) for i in range(a.count)]
    else:
        of_b = {name: i for i, name in enumerate(b.names)}
        alone = [f"{len(only):,} of {one.path} ({_some(only)})" for one, other in ((a, b), (b, a)) if (only := _only(one, other))]
        if alone:
            raise DataError(f"images are paired by file name without its suffix, and without a partner are {' and '.join(alone)}.")
        found = [(i, of_b[name]) for i, name in enumerate(a.names)]
    unlike = [(i, j) for i, j in found if a.size(i) != b.size(j)]
    if unlike:
        told = [f"{a.called(i)} ({_by(a.size(i))}) and {b.called(j)} ({_by(b.size(j))})" for i, j in unlike[:SHOWN]]
        raise DataError(
            f"{len(unlike):,} of {len(found):,} pairs differ in size: {'; '.join(told)}. Bring them to one size first: how would decide "
            "the numbers."
        )
    return found


def _only(a: Album, b: Album) -> list[str]:
    there = set(b.names)
    return [name for name in a.names if name not in there]


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def _of_files(path: str, files: Files) -> Album:
    ordered = files.kind == "parquet"  # rows have only numbers
    names = [] if ordered else [name.rpartition(".")[0] or name for name in files.names]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        files.close()
        raise DataError(f"{path} has several images of one name, so none of them has one partner: {_some(twice)}.")

    def size(i: int) -> tuple[int, int]:
        with _telling(f"{path}: {files.names[i]}"), files.open(i) as stream:
            return probe(stream)[:2]

    def picture(i: int) -> Tensor:
        width, height = size(i)
        with _telling(f"{path}: {files.names[i]}"), files.open(i) as stream:
            first = next(pictures(io.BytesIO(stream.read()), Look(width, height, 3, min_side=1)))
        return torch.tensor(first.pixels)

    return Album(path, names, len(files.names), size, picture, files.close)


@contextmanager
def _telling(which: str) -> Iterator[None]:
    """Whatever goes wrong in reading an image becomes one sentence that names it."""
    try:
        yield
    except GanforgeError:
        raise
    except Exception as error:  # a damaged archive member raises whatever its decompressor does
        why = " ".join(str(error).split()).removesuffix(".") or type(error).__name__
        raise DataError(f"{which} cannot be used: {why}.") from error
