"""From a source and the options to a finished image set with its report."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from ganforge.core.errors import DataError, UsageError
from ganforge.core.limits import cores
from ganforge.data import alike, builtin, decode, hold, plan, store
from ganforge.data.decode import Look
from ganforge.data.develop import Developed, develop
from ganforge.data.imageset import ImageSet
from ganforge.data.layout import arrange
from ganforge.data.source import Arrays, Files, Skip, digest, mark_of, skips

if TYPE_CHECKING:
    from ganforge.data.images import Images
    from ganforge.data.photos import PhotoOptions

CACHE_FROM = 2000
"""Sources with more files than this are decoded once and kept in the cache."""


def from_files(options: Images, source: Files, cache: Path) -> ImageSet:
    """Decode a folder, zip or parquet set."""
    total = len(source.names) + len(source.skipped) + (len(source.test.names) if source.test else 0)
    files = arrange(source, options.labels, options.drop_unlabelled)
    look, every = _look(options), options.frames == "all"
    made = _developed(files, look, options.size == "auto", look.channels == 3 and options.colour == "auto", every, cache)
    skipped = files.skipped + made.skipped
    report: dict[str, Any] = {"path": options.path, "kind": files.kind, "files": total, "usable": len(set(made.kept.tolist()))}
    report |= skips(skipped) | made.facts
    held = None
    if files.test and len(files.test.names) > 1:
        try:
            test = _developed(files.test, made.look, False, False, every, cache)
            held = _held_out(test.pixels, files.test.labels, test.kept, files.classes)
            if lost := len(files.test.skipped) + len(test.skipped):
                files.notes.append(f"{lost:,} files of the held-out part skipped")
        except DataError as error:
            if options.strict:
                raise
            files.notes.append(f"the held-out part is not used: {str(error).splitlines()[0]}")
    labels = None if files.labels is None else files.labels[made.kept]
    return _finish(options, _Found(made.pixels, labels, made.marks, made.kept), files.classes, report, files.notes, None, held, cache)


def from_arrays(options: Images, source: Arrays, cache: Path) -> ImageSet:
    """Bring ready arrays to the wanted form."""
    if options.labels not in ("auto", "none"):
        raise UsageError(f"labels = {options.labels} is for folders and zips; {options.path} brings its own. Use auto or none.")
    look, facts = _array_look(options, source)
    report: dict[str, Any] = {"path": options.path, "kind": source.kind, "files": len(source.x), "usable": len(source.x)}
    report |= skips([]) | facts
    x, y, names, held = source.x, None, source.classes, None
    if options.labels == "auto" and source.y is not None:
        x, y, names = _classed(source, names)
        if len(x) < len(source.x):
            report |= {"usable": len(x)} | skips(
                [Skip(f"image {i}", "no label: its class is negative") for i in np.flatnonzero(source.y < 0)]
            )
    if source.test is not None:
        test_x, test_y = source.test.x, None
        if y is not None and source.test.y is not None:
            test_x, test_y, _ = _classed(source.test, source.classes, like=source.y)
        if len(test_x):
            held = _held_out(_redrawn(test_x, look, cache), test_y, None, names)
    pixels = _redrawn(x, look, cache)
    if source.kind not in builtin.NAMES:
        report |= alike.told(alike.compare(pixels), [f"image {i}" for i in range(len(pixels))])
    marks = np.array([mark_of(np.ascontiguousarray(one).data) for one in x] if options.hold_out else [0] * len(x), np.uint64)
    return _finish(options, _Found(pixels, y, marks, np.arange(len(x))), names, report, source.notes, source.flip, held, cache)


def _look(options: Images) -> Look:
    width, height = (8, 8) if options.size == "auto" else plan.parse_size(options.size)
    channels = 1 if options.colour == "grey" else 4 if options.alpha == "keep" else 3
    window = plan.parse_window(options.window)
    return Look(width, height, channels, options.fit, options.alpha, options.min_side, window, options.salvage)


def _developed(files: Files, look: Look, auto_size: bool, auto_colour: bool, every: bool, cache: Path) -> Developed:
    """Decoded files and what is alike among them, out of the cache where they are worth keeping there; `every` frame of animations."""
    key = digest(str(store.VERSION), repr(asdict(look)), str(auto_size), str(auto_colour), str(every), *files.stamp)
    large = len(files.names) > CACHE_FROM
    found = store.recall(cache, key) if large else None
    if found is None:
        found = develop(files, look, auto_size, auto_colour, lambda shape: store.Block(shape, cache), every)
        found.facts |= alike.told(alike.compare(found.pixels), [files.names[i] for i in found.kept])
        if large or found.file:
            store.remember(cache, key, found)
    return found


def _array_look(options: Images, source: Arrays) -> tuple[Look, dict[str, Any]]:
    """The form of ready arrays and the facts for the report."""
    n, c, h, w = source.x.shape
    look = _look(options)
    facts: dict[str, Any] = {"size_why": f"{look.width}x{look.height}: as asked", "colour_why": "as asked"}
    if options.size == "auto":
        wide, high, facts["size_why"] = plan.choose_size([(w, h)])
        look = replace(look, width=wide, height=high)
    elif decode.too_small(w, h, look):
        facts["size_why"] += f", but the images are {w}x{h}, so they are enlarged more than twice and stay blurred"
    if options.colour == "auto" and look.channels == 3:
        grey = c == 1 or (c == 3 and plan.grey_by_pixels(source.x))
        why = "grey: as the data is" if c == 1 else "grey: at least 99 % of the images hold no colour"
        facts["colour_why"] = why if grey else "RGB: the images have colour"
        look = replace(look, channels=1 if grey else 3)
    facts["modes"] = {{1: "L", 3: "RGB", 4: "RGBA"}[c]: n}
    facts["sizes"] = {"min": min(h, w), "median": min(h, w), "max": max(h, w), "different": 1}
    return look, facts


def _redrawn(x: NDArray[np.uint8], look: Look, cache: Path) -> NDArray[np.uint8]:
    """(n, c, h, w) of any size and 1, 3 or 4 channels -> the look's."""
    if x.shape[1:] == (look.channels, look.height, look.width):
        if isinstance(x, np.memmap):  # it stays on disk where memory is short
            return np.array(x, order="C") if store.fits(x.shape) else x
        return np.require(x, requirements=["C", "W"])
    if x.shape[1:] == (3, look.height, look.width) and look.channels == 1:
        return plan.to_grey(x)
    room = store.Block((len(x), look.channels, look.height, look.width), cache).nameless()

    def redraw(start: int) -> None:
        for i in range(start, min(start + 256, len(x))):
            one = x[i]
            image = Image.fromarray(np.ascontiguousarray(one[0] if len(one) == 1 else one.transpose(1, 2, 0)))
            room.array[i] = decode.pixels(decode.fitted(decode.flatten(image, look.alpha, look.channels), look))

    with ThreadPoolExecutor(cores()) as pool:
        list(pool.map(redraw, range(0, len(x), 256)))
    return room.array


def _classed(
    part: Arrays, names: tuple[str, ...], like: NDArray[np.int64] | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.int64], tuple[str, ...]]:
    """The images that have a class, its number, and the names of all classes.

    Numbers stay where every one has a name; else they are made contiguous, each named by what it was. A test part is numbered `like`
    the labels of its training part, and images of classes unknown there are left out. So are those with a negative label.
    """
    assert part.y is not None
    known = part.y if like is None else like
    kinds = np.unique(known[known >= 0])
    if len(kinds) > max(2, len(known) // 2) or not len(kinds):
        raise DataError(f"{len(kinds):,} different labels for {len(known):,} images: these are not classes. Ignore them: labels = none.")
    if kinds[-1] < len(names):
        kinds = np.arange(len(names))
    keep = np.isin(part.y, kinds)
    x = part.x if keep.all() else part.x[keep]
    y = np.searchsorted(kinds, part.y[keep]).astype(np.int64)
    return x, y, tuple(names[k] if k < len(names) else str(k) for k in kinds.tolist())


def _held_out(
    pixels: NDArray[np.uint8], labels: NDArray[np.int64] | None, kept: NDArray[np.int64] | None, names: tuple[str, ...]
) -> ImageSet:
    y = labels if labels is None or kept is None else labels[kept]
    return ImageSet(torch.from_numpy(pixels), None if y is None else torch.from_numpy(y), names if y is not None else ())


@dataclass(frozen=True)
class _Found:
    """Images (n, c, h, w), their classes (n,) if any, a number made of the content of each, and the number of the file it is from."""

    pixels: NDArray[np.uint8]
    y: NDArray[np.int64] | None
    marks: NDArray[np.uint64]
    file: NDArray[np.int64]

    def only(self, rows: NDArray[np.int64], cache: Path) -> _Found:
        """These images; all of them where they lie."""
        if len(rows) == len(self.pixels):
            return self
        room = store.Block((len(rows), *self.pixels.shape[1:]), cache).nameless()
        for start in range(0, len(rows), 256):
            room.array[start : start + 256] = self.pixels[rows[start : start + 256]]
        return _Found(room.array, None if self.y is None else self.y[rows], self.marks[rows], self.file[rows])


def _without_copies(options: Images, found: _Found, report: dict[str, Any], cache: Path) -> _Found:
    """The images without those that (nearly) equal an earlier one."""
    seen = alike.compare(found.pixels)
    keep = np.flatnonzero((seen.near if options.dedup == "near" else seen.exact) == np.arange(len(found.pixels)))
    report["removed_duplicates"] = len(found.pixels) - len(keep)
    return found.only(keep, cache)


def _split(
    options: Images, found: _Found, names: tuple[str, ...], flip: bool, report: dict[str, Any], cache: Path
) -> tuple[_Found, ImageSet]:
    """Training and held-out part. Frames of one animation stay together, and so do images that are alike, with `flip` also mirrored."""
    near, count = alike.compare(found.pixels, flip).near, len(found.pixels)
    _, first, number = np.unique(found.file, return_index=True, return_inverse=True)
    group = alike.joined(count, [*enumerate(near.tolist()), *enumerate(first[number].tolist())])
    out = hold.held(found.marks, group, options.hold_out, found.y)
    rows, aside = np.flatnonzero(~out), np.flatnonzero(out)
    if min(len(rows), len(aside)) < 2:
        raise DataError(
            f"hold_out = {options.hold_out:g} leaves {len(rows):,} of {count:,} images to learn from and sets {len(aside):,} aside; "
            "each part needs at least 2. Choose another share, or give more images."
        )
    report["usable"] -= len(np.unique(found.file[out]))
    report["hold_out"] = options.hold_out
    test = found.only(aside, cache)
    return found.only(rows, cache), _held_out(test.pixels, test.y, None, names)


def check_strict(options: Images | PhotoOptions, report: dict[str, Any]) -> None:
    """Raise DataError where files were skipped and the options allow none."""
    if options.strict and report["skipped"]:
        told = "".join(f"\n  {s['file']}: {s['reason']}" for s in report["skipped"][:20])
        raise DataError(f"{len(report['skipped']):,} files of {options.path} cannot be used, and strict allows none:{told}")


def _finish(
    options: Images,
    found: _Found,
    names: tuple[str, ...],
    report: dict[str, Any],
    notes: Sequence[str],
    mirrored: bool | None,
    held: ImageSet | None,
    cache: Path,
) -> ImageSet:
    """Checks that need the pixels, the last decisions, and the report of all of it."""
    check_strict(options, report)
    if options.dedup != "no":
        found = _without_copies(options, found, report, cache)
    pixels = found.pixels
    _, c, h, w = pixels.shape
    if len(pixels) < 2:
        raise DataError(f"{options.path} holds {len(pixels)} image; at least 2 are needed.")
    if not any((pixels[i : i + 1024] != pixels[0]).any() for i in range(0, len(pixels), 1024)):
        raise DataError(f"all {len(pixels):,} images of {options.path} are identical: there is no variation to learn.")
    wanted = {"yes": True, "no": False}.get(options.flip)
    flip = wanted if wanted is not None else mirrored if mirrored is not None else c >= 3
    if options.hold_out and held:
        notes = [*notes, "it brings a held-out part of its own, which is used instead of hold_out"]
    elif options.hold_out:
        found, held = _split(options, found, names, flip, report, cache)
    pixels, y = found.pixels, found.y
    if options.crop >= min(h, w):
        raise UsageError(f"crop must be smaller than the images, which are {w}x{h}; got {options.crop}.")
    counts = {} if y is None else dict(zip(names, np.bincount(y, minlength=len(names)).tolist(), strict=True))
    report |= {
        "size": [w, h],
        "channels": c,
        "fit": options.fit,
        "flip": flip,
        "flip_auto": wanted is None,
        "crop": options.crop,
        "class_counts": counts,
        "in_memory": not isinstance(pixels, np.memmap),
        "held_out": len(held) if held else 0,
        "notes": list(notes),
    }
    labels = None if y is None else torch.from_numpy(np.ascontiguousarray(y))
    return ImageSet(torch.from_numpy(pixels), labels, names, flip, options.crop, report, held)
