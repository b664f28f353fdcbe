"""NumPy files of images: .npy, and .npz under the usual keys; nothing pickled is ever loaded."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganforge.core.errors import DataError
from ganforge.data.decode import eight_bits
from ganforge.data.source import Arrays, available_memory

IMAGES = ("x", "images", "x_train", "train_images", "data", "arr_0")
LABELS = ("y", "labels", "y_train", "train_labels", "arr_1")
TEST_IMAGES = ("x_test", "test_images")
TEST_LABELS = ("y_test", "test_labels")


def read(path: Path) -> Arrays:
    """The images (and labels, and test part) of a NumPy file."""
    with path.open("rb") as stream:
        if not stream.read(6).startswith((b"\x93NUMPY", b"PK")):  # all else NumPy takes for Python objects
            raise DataError(f"{path} is not a NumPy file, whatever its name says.")
    try:
        loaded = np.load(path, mmap_mode="c" if path.suffix.lower() == ".npy" else None, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return Arrays("npy", images(loaded, str(path)))
        with loaded:
            _fits(path)
            return _archive(loaded, path)
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile) as error:
        if isinstance(error, DataError):
            raise
        if "pickle" in str(error).lower() or "Object arrays" in str(error):
            raise DataError(f"{path} holds Python objects, which are not loaded for safety. Save plain arrays of numbers.") from error
        raise DataError(f"{path} is not a whole NumPy file: {error}") from error


def _archive(loaded: Mapping[str, NDArray[np.generic]], path: Path) -> Arrays:
    def first(names: tuple[str, ...]) -> NDArray[np.generic] | None:
        return next((loaded[n] for n in names if n in loaded), None)

    x = first(IMAGES)
    if x is None:
        raise DataError(f"{path} has the arrays {', '.join(sorted(loaded))}; none is named {', '.join(IMAGES)}. Rename the images to x.")
    names: tuple[str, ...] = ()
    if "names" in loaded:
        names = tuple(str(n) for n in loaded["names"].ravel())
    source = Arrays("npz", images(x, str(path)), _labels(first(LABELS), len(x), path), names)
    test = first(TEST_IMAGES)
    if test is not None:
        source.test = Arrays("npz", images(test, str(path)), _labels(first(TEST_LABELS), len(test), path), names)
    return source


def images(x: NDArray[Any], where: str) -> NDArray[np.uint8]:
    """(n, h, w), (n, h, w, c) or (n, c, h, w) of bytes, 16-bit numbers, or floats in [0, 1] or [-1, 1] -> (n, c, h, w) uint8."""
    if x.ndim == 3:
        x = x[:, None]
    elif x.ndim == 4 and x.shape[3] in (1, 3, 4):
        x = x.transpose(0, 3, 1, 2)
    if x.ndim != 4 or x.shape[1] not in (1, 3, 4) or not x.size:
        raise DataError(f"{where} has shape {x.shape}. Expected (n, h, w), (n, h, w, c) or (n, c, h, w) with c = 1, 3 or 4.")
    if x.dtype == np.uint8:
        return x
    if x.dtype == np.bool_:
        return x.astype(np.uint8) * np.uint8(255)
    if x.dtype.kind not in "iuf":
        raise DataError(f"{where} holds {x.dtype}. Expected bytes 0 to 255, 16-bit numbers, or floats in [0, 1] or [-1, 1].")
    low, high = float(x.min()), float(x.max())
    if not np.isfinite([low, high]).all():
        bad = np.flatnonzero(~np.isfinite(x).reshape(len(x), -1).all(1))
        raise DataError(f"{where}: {len(bad):,} of {len(x):,} images hold NaN or infinity, the first is number {bad[0]}, counted from 0.")
    if np.issubdtype(x.dtype, np.integer) and low >= 0 and high <= 65535:
        return x.astype(np.uint8) if high <= 255 and x.dtype != np.uint16 else eight_bits(x)
    if np.issubdtype(x.dtype, np.floating) and -1.001 <= low and high <= 1.001:
        scaled = (x + 1) / 2 if low < -0.001 else x
        return np.rint(np.clip(scaled, 0, 1) * 255).astype(np.uint8)
    raise DataError(
        f"{where} holds {x.dtype} from {low:g} to {high:g}. Expected bytes 0 to 255, 16-bit numbers, or floats in [0, 1] or [-1, 1]."
    )


def _labels(y: NDArray[np.generic] | None, count: int, path: Path) -> NDArray[np.int64] | None:
    if y is None:
        return None
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.shape != (count,) or not np.issubdtype(y.dtype, np.integer):
        raise DataError(f"{path}: labels must be {count:,} whole numbers, one per image; got {y.dtype} of shape {y.shape}.")
    return y.astype(np.int64)


def _fits(path: Path) -> None:
    with zipfile.ZipFile(path) as box:
        need = sum(m.file_size for m in box.infolist())
    if need > available_memory():
        raise DataError(
            f"{path} unpacks to {need / 2**30:.1f} GB, more than the free memory. Save the images as .npy, which is read in place."
        )
