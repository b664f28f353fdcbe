"""From a path to a source: look at what is there and call the reader that knows it."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from ganforge.core.errors import DataError, UsageError, nearest
from ganforge.data.read import arrays, cifar, files, idx, parquet
from ganforge.data.source import Arrays, Files

LABEL_SHEETS = (".csv", ".tsv", ".json", ".txt")


def read(path: Path) -> Files | Arrays:
    """The source at `path`, which exists. Raises DataError or UsageError where nothing of ours can read it."""
    try:
        return _folder(path) if path.is_dir() else _file(path)
    except PermissionError as error:
        raise DataError(f"{error.filename or path} cannot be read: permission denied.") from error


def absent(path: Path, typed: str, known: Collection[str] = ()) -> UsageError:
    """The error for a path that is not there: what is near it. known: names of built-in sets that would have done as well."""
    if path.is_symlink():
        return UsageError(f"{path} is a link that leads nowhere (to {os.readlink(path)}).")
    if "/" in typed or os.sep in typed or path.suffix or not known:
        seen = sorted(p.name for p in path.parent.iterdir()) if path.parent.is_dir() else []
        hint = nearest(path.name, seen) if seen else f" The folder {path.parent} does not exist either." * (not path.parent.exists())
        return UsageError(f"{path} does not exist.{hint}")
    return UsageError(f"'{typed}' is no file or folder here, and no built-in set.{nearest(typed, known)} Built in: {', '.join(known)}.")


def _folder(path: Path) -> Files | Arrays:
    listing = files.walk(path)
    names = listing.names
    pieces = [n for n in names if n.lower().endswith(".parquet")]
    if pieces and not any(n.lower().endswith(files.USUAL) for n in names):
        return parquet.read([path / n for n in pieces])
    if idx.belongs(names):
        return idx.read_folder(path, names)
    if cifar.belongs(names):
        return cifar.read_folder(path, names)
    if len(names) == 1 and not names[0].lower().endswith((*files.USUAL, *files.NEVER)):
        return _file(path / names[0])  # a folder made for one archive
    return files.folder(path, listing)


def _file(path: Path) -> Files | Arrays:
    if not path.is_file():
        raise DataError(f"{path} is neither a file nor a folder.")
    with open(path, "rb") as stream:
        head = stream.read(512)
    name = path.name.lower()
    if not head:
        raise DataError(f"{path} is empty (0 bytes).")
    if name.endswith((".npz", ".npy")):
        return arrays.read(path)
    if head.startswith(b"PK"):
        return files.archive(path)
    if head.startswith(b"PAR1"):
        return parquet.read([path])
    if name.endswith((".tar.gz", ".tgz", ".tar")):
        return cifar.read_tar(path, str(path))
    if head.startswith(b"\x1f\x8b") or idx.looks_like(head):
        return idx.read_file(path)
    if name.endswith(".bin"):
        return cifar.read_file(path)
    raise _cannot(path, name)


def _cannot(path: Path, name: str) -> Exception:
    reads = "a folder of images, .zip, .npz, .npy, idx(.gz), CIFAR .bin or .tar.gz, .parquet"
    if name.endswith(files.USUAL):
        folder = path.absolute().parent
        return UsageError(f"{path} is one image. Give the folder that holds all of them, {folder}, or one that holds it alone.")
    if name.endswith(LABEL_SHEETS):
        return UsageError(f"{path} is a list, not images. Give the folder of the images, and this file as labels.")
    return DataError(f"{path} is of no kind that is read here. Expected: {reads}.")
