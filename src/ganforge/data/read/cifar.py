"""CIFAR-10 and CIFAR-100 in their binary form: .bin files in a folder, alone, or inside the original .tar.gz."""

from __future__ import annotations

import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ganforge.core.errors import DataError
from ganforge.data.source import Arrays, natural

PIXELS = 3 * 32 * 32
TRAIN10 = tuple(f"data_batch_{k}.bin" for k in range(1, 6))
NAMES10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
META = ("batches.meta.txt", "fine_label_names.txt")
WANTED = (*TRAIN10, "test_batch.bin", "train.bin", "test.bin", *META)
EXPECTED = "Expected CIFAR-10's data_batch_1.bin to data_batch_5.bin and test_batch.bin, or CIFAR-100's train.bin and test.bin."


def belongs(names: Sequence[str]) -> bool:
    """Whether a folder with these files is CIFAR in binary form."""
    last = {n.rsplit("/", 1)[-1] for n in names}
    return bool(last & {*TRAIN10, "test_batch.bin"}) or {"train.bin", "test.bin"} <= last


def read_folder(root: Path, names: Sequence[str]) -> Arrays:
    """All the batches in a folder."""
    pick = {n.rsplit("/", 1)[-1]: n for n in names}
    return assemble({n: (root / pick[n]).read_bytes() for n in WANTED if n in pick}, str(root))


def read_file(path: Path) -> Arrays:
    """One .bin file."""
    return assemble({path.name: path.read_bytes()}, str(path))


def read_tar(archive: Path | BinaryIO, path: str) -> Arrays:
    """The original archive, read in place; `path` is what errors call it."""
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(archive) if isinstance(archive, Path) else tarfile.open(fileobj=archive) as box:
            for member in box:
                name = member.name.rsplit("/", 1)[-1]
                if name in WANTED and member.isfile() and member.size < 200 * 2**20:
                    stream = box.extractfile(member)
                    found[name] = stream.read() if stream else b""
                if name in ("data_batch_1", "batches.meta"):
                    raise DataError(f"{path} is the Python version, which is made of pickles and not read. Download the binary version.")
    except (tarfile.TarError, OSError, EOFError) as error:
        raise DataError(f"{path} is not a whole tar archive ({error}). Fetch it again.") from error
    if not found:
        raise DataError(f"{path}: of tar archives only CIFAR's are read; unpack others, or pack them as .zip. {EXPECTED}")
    return assemble(found, path)


def assemble(parts: Mapping[str, bytes], where: str) -> Arrays:
    """Records of label byte(s) and 3072 pixel bytes -> images (n, 3, 32, 32)."""
    hundred = "train.bin" in parts or "test.bin" in parts
    test = [n for n in parts if n in ("test_batch.bin", "test.bin")]
    train = sorted((n for n in parts if n.endswith(".bin") and n not in test), key=natural)
    if not train:
        train, test = test, []
    names = next((tuple(parts[m].decode("ascii", "replace").split()) for m in META if m in parts), () if hundred else NAMES10)
    source = _records([parts[n] for n in train], hundred, names, where)
    if test:
        source.test = _records([parts[test[0]]], hundred, names, where)
    return source


def _records(bodies: Sequence[bytes], hundred: bool, names: tuple[str, ...], where: str) -> Arrays:
    record = PIXELS + (2 if hundred else 1)
    if not bodies or any(not b or len(b) % record for b in bodies):
        raise DataError(f"{where} does not hold whole records of {record} bytes. {EXPECTED}")
    rows = np.frombuffer(b"".join(bodies), np.uint8).reshape(-1, record)
    y = rows[:, record - PIXELS - 1].astype(np.int64)  # CIFAR-100: coarse label, then the fine one
    if names and y.max() >= len(names):
        raise DataError(f"{where}: label {y.max()} where there are {len(names)} classes, so this is not CIFAR. {EXPECTED}")
    x = rows[:, record - PIXELS :].reshape(-1, 3, 32, 32).copy()
    return Arrays("cifar", x, y, names, flip=True)
