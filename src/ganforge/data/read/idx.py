"""The idx format of MNIST, plain or gzipped: images with a label file beside them, and a test part."""

from __future__ import annotations

import gzip
import io
import math
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from ganforge.core.errors import DataError
from ganforge.data.source import Arrays, available_memory, natural

IMAGES = re.compile(r"images?[-._]?idx3", re.IGNORECASE)
TEST = re.compile(r"(^|[-_.])(t10k|test)[-_.]", re.IGNORECASE)


def looks_like(head: bytes) -> bool:
    """Whether a file with these first bytes is idx with byte samples."""
    return len(head) >= 4 and head[:3] == b"\0\0\x08" and head[3] in (1, 3, 4)


def belongs(names: Sequence[str]) -> bool:
    """Whether a folder with these files is a set in idx form."""
    return any(IMAGES.search(_last(n)) for n in names)


def read_folder(root: Path, names: Sequence[str]) -> Arrays:
    """The train images (and t10k or test images as the held-out part) of a folder."""
    return assemble({n: partial(_opened, root / n) for n in names if "idx" in n.lower()}, str(root))


def read_file(path: Path) -> Arrays:
    """One images file, with the labels file that is named like it beside it, if there is one."""
    beside = [p for p in path.parent.iterdir() if p.is_file()]
    return _pair({p.name: partial(_opened, p) for p in beside}, path.name, str(path))


def from_bytes(parts: Mapping[str, bytes], where: str) -> Arrays:
    """Files that are in memory: name -> content."""
    return assemble({n: partial(io.BytesIO, b) for n, b in parts.items()}, where)


def assemble(files: Mapping[str, Callable[[], BinaryIO]], where: str) -> Arrays:
    """Train and held-out part of files that can be opened by name."""
    found = sorted((n for n in files if IMAGES.search(_last(n))), key=natural)
    once = {n.removesuffix(".gz"): n for n in reversed(found)}  # a file lying there packed and unpacked counts once
    train = [n for n in once if not TEST.search(_last(n))]
    test = [n for n in once if TEST.search(_last(n))]
    if len(train) > 1 or not once:
        raise DataError(f"{where} holds {len(train)} idx image files ({', '.join(train[:4])}). Give the path of the one you want.")
    source = _pair(files, once[(train or test)[0]], f"{where}/{(train or test)[0]}")
    if train and len(test) == 1:
        source.test = _pair(files, once[test[0]], f"{where}/{test[0]}")
    return source


def _pair(files: Mapping[str, Callable[[], BinaryIO]], images: str, where: str) -> Arrays:
    """Images and the labels named like them."""
    with files[images]() as stream:
        x = parse(stream, where)
    if x.ndim == 1:
        raise DataError(f"{where} holds labels. Give the images file, or the folder of both.")
    y = None
    folder, _, last = images.rpartition("/")
    name = re.sub(r"(?i)images?(?=[-._]?idx3)", "labels", last)
    name = re.sub(r"(?i)idx3", "idx1", name).removesuffix(".gz")
    for candidate in (name, name + ".gz"):
        path = f"{folder}/{candidate}" if folder else candidate
        if path != images and path in files and y is None:
            with files[path]() as stream:
                y = parse(stream, candidate)
    if y is not None and y.shape != (len(x),):
        raise DataError(f"{where} holds {len(x):,} images, but its labels file holds {y.size:,} labels.")
    planes = x[:, None] if x.ndim == 3 else x.transpose(0, 3, 1, 2)
    return Arrays("idx", planes, None if y is None else y.astype(np.int64))


def parse(stream: BinaryIO, where: str) -> NDArray[np.uint8]:
    """The array of one idx file of bytes, unpacked if gzipped. Raises DataError where it is cut short or of another type."""
    packed = stream.read(2) == b"\x1f\x8b"
    stream.seek(0)
    try:
        body = gzip.GzipFile(fileobj=stream) if packed else stream
        head = body.read(4)
        if not looks_like(head):
            raise DataError(f"{where} is not an idx file of bytes (it starts with {head.hex(' ') or 'nothing'}, expected 00 00 08 ..).")
        sides = body.read(4 * head[3])
        shape = tuple(int(k) for k in np.frombuffer(sides, ">u4")) if len(sides) == 4 * head[3] else (0,)
        wanted = math.prod(shape)
        if wanted > available_memory():
            raise DataError(f"{where}: its header asks for an array of {shape}, which cannot be right or does not fit in memory.")
        content = body.read(wanted)
    except (OSError, EOFError) as error:
        raise DataError(f"{where} is damaged: {error}. Fetch it again.") from error
    if len(content) != wanted or not wanted:
        raise DataError(f"{where} is cut short: {len(content):,} of {wanted:,} bytes. Fetch it again.")
    return np.frombuffer(content, np.uint8).reshape(shape)


def _opened(path: Path) -> BinaryIO:
    return open(path, "rb")


def _last(name: str) -> str:
    return name.rsplit("/", 1)[-1]
