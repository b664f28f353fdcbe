"""What folders mean: a wrapping folder, train and test parts, and classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ganforge.core.errors import DataError, UsageError
from ganforge.data.read.files import SHEETS
from ganforge.data.sheets import labels_of
from ganforge.data.source import USUAL, Files, Skip, natural, plain

TRAIN = {"train", "training"}
TEST = {"test", "testing"}
VAL = {"val", "valid", "validation"}


def arrange(files: Files, labels: str, drop: bool = False) -> Files:
    """The same source split into train and test parts, with a class for every file where labels are known or asked for.

    `labels` is auto, none, folders or the path of a label file. Where it lacks some images, or they lie beside the folders that were
    asked for, that is an error, unless `drop`; then they are moved to `skipped`.
    """
    if labels == "none":
        files.labels, files.classes = None, ()
        if files.test:
            files.test.labels, files.test.classes = None, ()
    if files.kind == "parquet":
        if labels not in ("auto", "none"):
            raise UsageError(f"labels = {labels} is for folders and zips; a .parquet file brings its own column. Use auto or none.")
        return _numbered(files) if files.labels is not None else files
    found = _sheet(files, labels, drop)
    train, test = _parts(files)
    if found:
        names, note = found
        files.notes.append(note)
        if names is not None:
            _apply([p for p in (train, test) if p], [[names.get(n) for n in p.names] for p in (train, test) if p])
    elif labels in ("auto", "folders"):
        _by_folder(train, test, must=labels == "folders", drop=drop)
    train.skipped, train.notes, train.test = files.skipped + train.skipped, files.notes, test
    return train


def _numbered(files: Files) -> Files:
    """Class numbers of the file format made contiguous; -1 means without a label."""
    parts = [p for p in (files, files.test) if p]
    texts: list[list[str | None]] = []
    for part in parts:
        numbers = part.labels if part.labels is not None else np.full(len(part.names), -1)
        names = files.classes
        texts.append([None if k < 0 else names[k] if k < len(names) else str(k) for k in numbers.tolist()])
    order = files.classes
    _apply(parts, texts, order)
    return files


def _sheet(files: Files, labels: str, drop: bool) -> tuple[dict[str, str] | None, str] | None:
    refused = [s.file for s in files.skipped]
    prefix = common([n for n in files.names if n.lower().endswith(USUAL)] or files.names)
    if labels == "auto":
        own = {p: p.rpartition("/")[0] for p in files.sheets}
        near = [p for p, folder in own.items() if not folder or f"{prefix}/".startswith(f"{folder}/")]
        if not near:
            return None
        path = min(near, key=lambda p: (SHEETS.index(p.rsplit("/", 1)[-1].lower()), len(p)))
        return labels_of(files.sheets[path](), path, own[path], files.names, refused, drop)
    if labels in ("none", "folders"):
        return None
    if labels in files.sheets:
        return labels_of(files.sheets[labels](), labels, labels.rpartition("/")[0], files.names, refused, drop)
    path_outside = Path(labels).expanduser()
    if not path_outside.is_file():
        inside = f" Inside the data there is {', '.join(files.sheets)}." if files.sheets else ""
        raise UsageError(f"labels = {labels}: there is no such file. Expected auto, none, folders or the path of a .csv or .json.{inside}")
    return labels_of(path_outside.read_bytes(), str(path_outside), prefix, files.names, refused, drop)


def _parts(files: Files) -> tuple[Files, Files | None]:
    """Train and held-out files where the top folders are called train and test (or val)."""
    pictures = [n for n in files.names if n.lower().endswith(USUAL)] or files.names
    prefix = common(pictures)
    tops = {t for n in pictures if (t := _top(n, prefix)) is not None}
    kinds = {t.lower() for t in tops}
    if any(_top(n, prefix) is None for n in pictures) or not kinds & TRAIN or not kinds <= TRAIN | TEST | VAL or len(kinds) < 2:
        return files.subset(range(len(files.names))), None
    held = TEST if kinds & TEST else VAL
    where = [(_top(n, prefix) or "").lower() for n in files.names]
    used = sorted(t for t in tops if t.lower() in TRAIN | held)
    unused = sorted(tops - set(used))
    files.notes.append(f"folders {' and '.join(used)} taken as training and held-out part" + "".join(f"; {u} not used" for u in unused))
    pick = [[i for i, w in enumerate(where) if w in kind] for kind in (TRAIN, held)]
    return files.subset(pick[0]), files.subset(pick[1])


def _by_folder(train: Files, test: Files | None, must: bool, drop: bool) -> None:
    """Classes from the top folders, if there are at least two and no image lies outside them, or those are left out (must and drop)."""
    pictures = [n for n in train.names if n.lower().endswith(USUAL)] or train.names
    prefix = common(pictures)
    tops = Counter(_top(n, prefix) for n in pictures)
    beside = tops.pop(None, 0)
    if len(tops) < 2 or beside and not (must and drop):
        if must:
            only = not tops and prefix
            seen = f"there is only the folder {prefix}" if only else f"{beside:,} images lie outside sub-folders"
            cure = " Leave these out: --drop-unlabelled." if len(tops) > 1 else ""
            raise DataError(f"labels = folders needs at least two sub-folders of images and none beside them; {seen}.{cure}")
        return
    if not must and 2 * len(tops) > len(pictures):
        train.notes.append(f"{len(tops):,} sub-folders hold {len(pictures):,} images, so they are not taken as classes")
        return
    parts = [train]
    texts: list[list[str | None]] = [[_top(n, prefix) for n in train.names]]
    if test:
        depth = len(prefix.split("/"))
        parts.append(test)
        texts.append([_top(n, "/".join(n.split("/")[:depth])) for n in test.names])
    _apply(parts, texts)


def _apply(parts: Sequence[Files], texts: Sequence[Sequence[str | None]], order: Sequence[str] = ()) -> None:
    """Turn class texts into numbers, the same for every part; files without a class are taken out and listed."""
    kinds = {t for t in texts[0] if t is not None}
    names = [k for k in order if k in kinds] + sorted(kinds - set(order), key=natural)
    if len(names) > max(2, len(texts[0]) // 2):
        raise DataError(
            f"{len(names):,} different labels for {len(texts[0]):,} images: these look like names, not classes. Ignore them: labels = none."
        )
    number = {k: i for i, k in enumerate(names)}
    for part, told in zip(parts, texts, strict=True):
        y = np.array([number.get(t, -1) if t is not None else -1 for t in told], np.int64)
        part.skipped = part.skipped + [Skip(n, "no label: no class is known for it") for n, k in zip(part.names, y, strict=True) if k < 0]
        _keep(part, y)
        part.classes = tuple(plain(n) for n in names)


def _keep(part: Files, y: NDArray[np.int64]) -> None:
    kept = part.subset(np.flatnonzero(y >= 0).tolist())
    part.names, part.stamp, part.sizes, part.open = kept.names, kept.stamp, kept.sizes, kept.open
    part.labels = y[y >= 0]


def common(names: Sequence[str]) -> str:
    """The folder that all the files have in common."""
    folders = [n.split("/")[:-1] for n in names]
    low, high = min(folders, default=[]), max(folders, default=[])
    k = 0
    while k < min(len(low), len(high)) and low[k] == high[k]:
        k += 1
    return "/".join(low[:k])


def _top(name: str, prefix: str) -> str | None:
    """First folder below prefix, None for a file lying directly in it (or elsewhere)."""
    rest = name.removeprefix(f"{prefix}/") if prefix else name
    if prefix and rest == name:
        return None
    return rest.split("/")[0] if "/" in rest else None
