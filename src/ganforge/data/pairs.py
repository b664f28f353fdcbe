"""Pairs of images for paired translation: what is given, and what is wanted of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ganforge.core.errors import DataError, UsageError
from ganforge.data import layouts
from ganforge.data.alike import joined
from ganforge.data.decode import Look
from ganforge.data.hold import some
from ganforge.data.partners import MaskedSet, PairSet
from ganforge.data.photos import NO_MASKS, POLARITIES, PhotoOptions, check_choice, check_side, opened, reported
from ganforge.data.source import Files, Skip, cache_folder, plain
from ganforge.data.whole import Album, Decoded, whole

if TYPE_CHECKING:
    Photo = NDArray[np.uint8]

SCALES = range(1, 9)
WAYS = ("AtoB", "BtoA")


@dataclass(frozen=True, kw_only=True)
class Pairs(PhotoOptions):
    """Pairs of images: how one is made of the other is learnt from pieces that are cut out of both at the same place."""

    direction: str = "AtoB"
    """AtoB: A is given and B is wanted, or BtoA. A is the left half of side-by-side images, the folder A, lr, lq, input or label."""
    size: int = 64
    """Side of the pieces in pixels of the wanted image, from 8 to 1024; rounded down to a multiple of how many times larger it is than the
    given one."""
    load_size: int = 0
    """First bring every image to this side, as pix2pix does with 286 and pieces of 256. 0: leave images as large as they are."""
    hole: str = "auto"
    """Of masks that say what is missing: white or black is missing; auto: the rarer of the two."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("direction", self.direction, WAYS)
        check_choice("hole", self.hole, POLARITIES)
        check_sizes(self.size, self.load_size)

    def load(self, cache: Path | None = None) -> PairSet:
        """Find the pairs, decode them and check that their sizes fit. What does not fit into memory is kept in `cache`.

        Raises UsageError for options that do not fit the data, DataError for data in which no pairs are found or that cannot be used,
        StorageError for a full disk.
        """
        with opened(self.path) as files:
            layout = layouts.pairs_in(files)
            if layout is None or len(layout.train) < 2:
                raise DataError(_none(self.path, files, layout))
            used = sorted({at for pair in (*layout.train, *layout.test) for at in pair})
            halves = layout.form == "halves"
            side = self.load_size
            look = Look(side << halves, side, 3, "halves" if halves else "squash") if side else Look(0, 0, 3, "whole")
            made = whole(files.subset(used), look, cache_folder(cache))
        return _made(self, files, layout, used, made)


def check_sizes(size: int, load_size: int) -> None:
    """Raise UsageError for sides that pieces or images cannot have."""
    check_side("size", size)
    if load_size and load_size < size:
        raise UsageError(
            f"load_size, the side that images are brought to, must be at least size, that of the pieces: {size}; got {load_size}."
        )


def _none(path: str, files: Files, layout: layouts.Pairs | None) -> str:
    """Why there are no pairs, and what there is."""
    if layout and layout.alone:
        told = layouts.unmatched(files, layout)
        return f"{path}: {told}. Give partners the same file name, or learn without pairs: --recipe cut"
    few = f"only {len(layout.train)} pair is there, at least 2 are needed" if layout else "no pairs are to be seen"
    return f"{path}: {few}. {layouts.seen(files)} {layouts.EXPECTED}"


def _made(options: Pairs, files: Files, layout: layouts.Pairs, used: Sequence[int], made: Decoded) -> PairSet:
    masks = layout.form == "masks"
    if masks and options.direction != "AtoB":
        raise UsageError(f"direction BtoA does not fit {options.path}: A are masks, which are not learnt. Leave direction away.")
    row = {used[file]: k for k, file in enumerate(made.kept)}
    skips = [*files.skipped]
    skips += [Skip(files.names[at], f"no partner: {layout.lacks(files.names[at], missing)}") for at, missing in layout.alone]
    skips += _widowed(files, layout, row)
    pairs = [(row[a], row[b]) for a, b in (*layout.train, *layout.test) if a in row and b in row]
    tests = {(row[a], row[b]) for a, b in layout.test if a in row and b in row}
    left, right = _halves(made.album) if layout.form == "halves" else (made.album, made.album)
    left, right = left.only([a for a, _ in pairs]), right.only([b for _, b in pairs])
    given, wanted = (left, right) if options.direction == "AtoB" else (right, left)
    scale, fitting, more = _fitting(options, given, wanted, [*made.skipped, *skips])
    if masks and scale > 1:
        raise DataError(f"{options.path}: masks must be as large as their images; here images are {scale} times as large.")
    skips += more
    side = options.size // scale * scale
    own = np.array([pairs[k] in tests for k in fitting], bool)
    given, wanted = given.only(fitting), _trimmed(wanted.only(fitting), given.only(fitting), scale)
    out = own if own.any() else some(wanted.marks, _groups(options, given, wanted, masks), options.hold_out)
    notes = [layout.sentence(), *_unused(files, layout, used)]
    way: dict[str, Any] = {"side": side, "flip": options.flip == "yes", "turn": options.turn, "scale": scale}
    if masks:
        way["hole"], told = _polarity(given, options.hole)
        notes.append(told)
    elif options.hole != "auto":
        notes.append(NO_MASKS.format(hole=options.hole))
    count, held = int((~out).sum()), int(out.sum())
    looked = wanted.only([*{name: k for k, name in enumerate(wanted.names)}.values()])  # one image may have several masks
    report = reported(options, files, made, skips, looked, (count, held), notes, side, "images with masks" if masks else "pairs")
    if scale > 1:
        report["form"][0] += f" · the given image is {scale} times smaller"
    parts = [
        (MaskedSet if masks else PairSet)(album=wanted.only(rows), given=given.only(rows), **way)
        for rows in (np.flatnonzero(~out).tolist(), np.flatnonzero(out).tolist())
    ]
    parts[0].report, parts[0].held_out = report, parts[1] if held else None
    return parts[0]


def _widowed(files: Files, layout: layouts.Pairs, row: dict[int, int]) -> list[Skip]:
    """Images whose partner cannot be read."""
    lost = []
    for a, b in dict.fromkeys((*layout.train, *layout.test)):
        if (a in row) != (b in row):
            here, gone = (a, b) if a in row else (b, a)
            lost.append(Skip(files.names[here], f"no partner: {plain(files.names[gone])} cannot be used"))
    return lost


def _unused(files: Files, layout: layouts.Pairs, used: Sequence[int]) -> list[str]:
    """A note on files that belong to no side."""
    apart = sorted({*range(len(files.names))} - {*used} - {at for at, _ in layout.alone})
    if not apart:
        return []
    first = plain(files.names[apart[0]])
    lack = f": {first.rpartition('.')[0]}_mask*.png is not there" * (layout.a == layouts.BY_NAME)
    return [f"{len(apart):,} other files are not used, such as {first}{lack}"]


def _halves(album: Album) -> tuple[Album, Album]:
    """The left and the right half of each; an odd column in the middle is left out."""
    left = [photo[:, :, : photo.shape[2] // 2] for photo in album.photos]
    right = [photo[:, :, photo.shape[2] - photo.shape[2] // 2 :] for photo in album.photos]
    return replace(album, photos=left), replace(album, photos=right)


def _scale(given: Photo, wanted: Photo) -> int:
    """How many times larger the wanted image is, what is over left aside; 0 where sizes do not fit."""
    (_, h, w), (_, high, wide) = given.shape, wanted.shape
    scale = high // max(h, 1)
    return scale if scale in SCALES and 0 <= high - scale * h < scale and 0 <= wide - scale * w < scale else 0


def _fitting(options: Pairs, given: Album, wanted: Album, lost: Sequence[Skip]) -> tuple[int, list[int], list[Skip]]:
    """The scale of most pairs, the rows of those that have it and are large enough, and why the others are not used.

    Raises DataError where fewer than two are left, with the first of them and of the files that were `lost` before, and where one image
    has partners of several scales.
    """
    scales = [_scale(a, b) for a, b in zip(given.photos, wanted.photos, strict=True)]
    _check_scales(options, given, wanted, scales)
    scale = next((found for found, _ in Counter(s for s in scales if s).most_common(1)), 0)
    rows, skips = [], []
    for k, found in enumerate(scales):
        a, b = given.photos[k], wanted.photos[k]
        if not found or found != scale:
            times = f", {scale} times as large as its partner," * (scale > 1)
            skips.append(Skip(wanted.names[k], f"sizes do not match: it{times} is {_size(b)}, and {plain(given.names[k])} is {_size(a)}"))
        elif 2 * min(b.shape[1:]) < options.size:
            skips.append(Skip(wanted.names[k], f"too small: {_size(b)}, needs {-(-options.size // 2)} on the short side"))
        else:
            rows.append(k)
    if len(rows) < 2:
        turned = any(_scale(b, a) > 1 for a, b in zip(given.photos, wanted.photos, strict=True))
        way = " The given images are the larger ones: turn the names of the sides round, or --direction of --recipe pix2pix." * turned
        told = "".join(f"\n  {plain(skip.file)}: {skip.reason}" for skip in [*skips, *lost][:5])
        raise DataError(
            f"{len(rows)} of {len(scales):,} pairs of {options.path} that can be read fit together, at least 2 are needed.{way} Wanted "
            "images are as large as the given ones or a whole number of times larger; "
            f"--recipe pix2pix --load-size {max(options.size, 64)} brings all to one size.{told}"
        )
    return scale, rows, skips


def _check_scales(options: Pairs, given: Album, wanted: Album, scales: Sequence[int]) -> None:
    """Raise DataError where an image is wanted of given ones of several scales, such as X2 and X3: one model learns one."""
    met: dict[str, dict[int, str]] = {}
    for k, scale in enumerate(scales):
        if scale:
            met.setdefault(wanted.names[k], {})[scale] = plain(given.names[k].rpartition("/")[0] or "the top folder")
    for name, folders in met.items():
        if len(folders) > 1:
            listed = " and ".join(f"{folder} ({scale} times smaller)" for scale, folder in sorted(folders.items()))
            raise DataError(
                f"{options.path}: of {plain(name)} there are given images of several scales: in {listed}. One model learns one scale: "
                "leave in one of these folders only."
            )


def _size(photo: Photo) -> str:
    return f"{photo.shape[2]}x{photo.shape[1]}"


def _trimmed(wanted: Album, given: Album, scale: int) -> Album:
    """The wanted images without what is over at their right and lower borders."""
    photos = [b[:, : scale * a.shape[1], : scale * a.shape[2]] for a, b in zip(given.photos, wanted.photos, strict=True)]
    return replace(wanted, photos=photos)


def _groups(options: Pairs, given: Album, wanted: Album, masks: bool) -> NDArray[np.int64]:
    """Pairs that may not be parted: their wanted images are alike, or something else is wanted of the same given image."""
    first: dict[bytes, int] = {}
    same = [] if masks else [(first.setdefault(one, k), k) for k, one in enumerate(given.prints)]
    return joined(len(wanted), [*enumerate(wanted.alike(options.flip == "yes").near.tolist()), *same])


def _polarity(masks: Album, wanted: str) -> tuple[str, str]:
    """The colour of holes, `wanted` or for "auto" the rarer one, and a sentence on it."""
    light = [mask.max(0) for mask in masks.photos]
    pixels = sum(one.size for one in light)
    white = sum(int((one >= 128).sum()) for one in light) / pixels
    grey = sum(int(((one > 32) & (one < 224)).sum()) for one in light) / pixels
    hole = wanted if wanted != "auto" else "white" if white <= 0.5 else "black"
    how = f"as --hole {hole} says" if wanted != "auto" else "the rarer colour"
    told = f"masks: {100 * (white if hole == 'white' else 1 - white):.0f} % hole, {hole} = hole ({how})"
    return hole, told + f"; {100 * grey:.0f} % of their pixels are grey, light ones count as white" * (grey > 0.05)
