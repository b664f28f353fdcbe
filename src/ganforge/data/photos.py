"""Photographs for restoration: the options as a user sees them, and the one call that turns them into a set of photographs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ganforge.core.errors import DataError, UsageError, nearest

if TYPE_CHECKING:
    from ganforge.data.pieces import PhotoSet
    from ganforge.data.source import Files, Skip
    from ganforge.data.whole import Album, Decoded

LEAST, MOST = 8, 1024
"""Sides that pieces may have."""
POLARITIES = ("auto", "white", "black")
"""Colours of holes in masks."""
NO_MASKS = "there are no masks here of which --hole {hole} could speak"

UNMATCHED = (
    "{path}: {told}. {seen} By the names of these folders some images are damaged, so they are not all taken for good ones. Give partners "
    "the same file name; where several folders of good images hold the same names, leave one of them in; or give the folder of the good "
    "images alone."
)


@dataclass(frozen=True, kw_only=True)
class PhotoOptions:
    """What photographs, pairs and domains have in common."""

    path: str
    """A folder of images (sub-folders welcome) or a .zip of them."""
    flip: str = "yes"
    """Mirror pieces at random: yes or no. Say no for text, signs and anything else with a left and a right."""
    turn: bool = False
    """Turn pieces by quarters at random, too: for textures and views from above, where nothing stands upright."""
    hold_out: float = 0.1
    """Share of the images that is set aside and never trained on, at least one, where the source has no such part of its own. Chosen by
    content; copies go together."""
    strict: bool = False
    """Stop if any file would be skipped."""

    def __post_init__(self) -> None:
        if isinstance(self.path, os.PathLike):
            object.__setattr__(self, "path", os.fspath(self.path))
        if not self.path:
            raise UsageError("path is empty. Give a folder of images or a .zip of them.")
        check_choice("flip", self.flip, ("yes", "no"))
        if not 0 <= self.hold_out < 1:
            raise UsageError(f"hold_out is a share of the images, from 0 to less than 1, such as 0.1; got {self.hold_out:g}.")


@dataclass(frozen=True, kw_only=True)
class Photos(PhotoOptions):
    """Photographs of any size to learn restoration from: pieces are cut out of them at random, at full resolution.

    Folders whose names say which images are damaged and which are good (lr and hr, noisy and clean, ...) are learnt from as pairs, and
    images with masks of what is missing as such; everything else is taken for good photographs.
    """

    crop: int = 64
    """Side of the pieces in pixels, from 8 to 1024. Photographs of less than half of it are skipped; what smaller ones lack is mirrored."""
    hole: str = "auto"
    """Of masks that say what is missing: white or black is missing; auto: the rarer of the two."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_side("crop", self.crop)
        check_choice("hole", self.hole, POLARITIES)

    def load(self, cache: Path | None = None, multiple: int = 1) -> PhotoSet:
        """Decode everything into a set of photographs; what does not fit into memory is kept in `cache` (or $GANFORGE_CACHE).

        Pairs and images with masks become a PairSet and a MaskedSet. The side of pieces is the largest multiple of `multiple` up to
        `crop`, and of the scale of pairs, which have their own. Raises UsageError for a path that is not there, DataError for data
        that cannot be used, such as good and damaged images that do not match, StorageError for a full disk.
        """
        from ganforge.data import layouts
        from ganforge.data.decode import Look
        from ganforge.data.hold import some
        from ganforge.data.layout import arrange
        from ganforge.data.pairs import Pairs
        from ganforge.data.pieces import PhotoSet
        from ganforge.data.source import cache_folder
        from ganforge.data.whole import whole

        with opened(self.path) as files:
            pairs = layouts.pairs_in(files)
            if pairs and pairs.likely and pairs.form in ("damaged", "masks"):
                same = {field.name: getattr(self, field.name) for field in fields(PhotoOptions)}
                return Pairs(size=self.crop, hole=self.hole, **same).load(cache)
            if pairs and not pairs.likely and pairs.form == "damaged":
                raise DataError(UNMATCHED.format(path=self.path, told=layouts.unmatched(files, pairs), seen=layouts.seen(files)))
            every, side = [*files.skipped], self.crop // multiple * multiple
            parts = arrange(files, "none")
            position = {name: i for i, name in enumerate(files.names)}
            mine, aside = ([position[name] for name in part.names] if part else [] for part in (parts, parts.test))
            used = files.subset([*mine, *aside])
            made = whole(used, Look(0, 0, 3, "whole", min_side=-(-side // 2)), cache_folder(cache), 1 + bool(self.hold_out))
        own = np.asarray(made.kept) >= len(mine)
        near = made.album.alike(self.flip == "yes").near
        out = own if own.any() else some(made.album.marks, near, self.hold_out)
        album, held = made.album.only(np.flatnonzero(~out).tolist()), made.album.only(np.flatnonzero(out).tolist())
        notes = [*parts.notes, *([NO_MASKS.format(hole=self.hole)] if self.hole != "auto" else [])]
        if pairs and pairs.likely:
            notes.append(f"every image is taken for a clean photograph here, though they look like pairs: {pairs.sentence()}")
        report = reported(self, files, made, every, made.album, (len(album), len(held)), notes, side)
        way: dict[str, Any] = {"side": side, "flip": self.flip == "yes", "turn": self.turn}
        return PhotoSet(album=album, report=report, held_out=PhotoSet(album=held, **way) if len(held) else None, **way)


def check_choice(name: str, got: str, allowed: Sequence[str]) -> None:
    """Raise UsageError for a word that is none of those."""
    if got not in allowed:
        hint = nearest({"true": "yes", "false": "no", "on": "yes", "off": "no"}.get(got.lower(), got), allowed)
        raise UsageError(f"{name} must be {', '.join(allowed[:-1])} or {allowed[-1]}; got '{got}'.{hint}")


def check_side(name: str, side: int) -> None:
    """Raise UsageError for a side that pieces cannot have."""
    if not LEAST <= side <= MOST:
        raise UsageError(f"{name} must be a number of pixels from {LEAST} to {MOST}; got {side}. Nearest: {min(max(side, LEAST), MOST)}.")


@contextmanager
def opened(text: str) -> Iterator[Files]:
    """The image files at a path. Raises UsageError for one that is not there, DataError for what holds no image files."""
    from ganforge.data.read import absent, read
    from ganforge.data.source import Files

    path = Path(text).expanduser()
    if not path.exists():
        raise absent(path, text)
    files = read(path)
    if not isinstance(files, Files):
        raise DataError(
            f"{text} holds arrays ({files.kind}). Restoration and translation learn from image files: a folder or a .zip of them."
        )
    try:
        yield files
    finally:
        files.close()


def reported(
    options: PhotoOptions,
    files: Files,
    made: Decoded,
    skipped: Sequence[Skip],
    looked: Album,
    counts: tuple[int, int],
    notes: Sequence[str],
    side: int,
    what: str = "photographs",
) -> dict[str, Any]:
    """The report of a set of photographs or pairs: `counts` of those to learn from and held out, `looked` all the wanted images.

    `skipped` are the files that were not even decoded, or did not fit. Raises DataError where nothing is left, or files were skipped and
    none may be.
    """
    from ganforge.data import alike
    from ganforge.data.assemble import check_strict
    from ganforge.data.source import skips

    count, held = counts
    if not count:
        raise DataError(
            f"{options.path}: no image that could be learnt from can be used, only held-out ones. Expected some in its training part."
        )
    report: dict[str, Any] = {"path": options.path, "kind": files.kind, "files": len(files.names) + len(files.skipped), "usable": count}
    report |= skips([*skipped, *made.skipped]) | made.facts | alike.told(looked.alike(), looked.names)
    check_strict(options, report)
    sides = [photo.shape[1:] for photo in looked.photos]
    few = sum(min(both) < side for both in sides)
    more = [f"images smaller than the pieces, mirrored at their borders: {few:,}"] if few else []
    if not held:
        why = "too few differ" if options.hold_out else "none was asked for"
        more.append(f"nothing is held out, as {why}: nothing can be measured on unseen images")
    where = "in memory" if made.album.in_memory else "on disk, mapped"
    mirrored = "mirrored at random" if options.flip == "yes" else "never mirrored"
    return report | {
        "size": [side, side],
        "size_why": f"{side}x{side}: pieces cut at random",
        "channels": 3,
        "colour_why": "RGB: as all photographs",
        "fit": "pieces",
        "flip": options.flip == "yes",
        "crop": 0,
        "class_counts": {},
        "in_memory": made.album.in_memory,
        "hold_out": options.hold_out,
        "held_out": held,
        "notes": [*notes, *more],
        "what": what,
        "form": [
            f"pieces of {side}x{side} cut at random from images of sides {min(map(min, sides))} to {max(map(max, sides))} · {mirrored}"
            + ", turned by quarters" * options.turn,
            f"{count:,} {what}, {megabytes(made.album):,.1f} MB {where} · held out {held:,}",
        ],
    }


def megabytes(album: Album) -> float:
    """What the pixels of an album take."""
    return sum(photo.nbytes for photo in album.photos) / 1e6
