"""The options of image data, as a user sees them, and the one call that turns them into a set of images."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ganforge.core.errors import UsageError, nearest
from ganforge.data.plan import check_alpha, parse_size, parse_window

if TYPE_CHECKING:
    from ganforge.data.imageset import ImageSet
    from ganforge.data.source import Arrays, Files

CHOICES = {
    "colour": ("auto", "rgb", "grey"),
    "fit": ("crop", "pad", "squash"),
    "flip": ("auto", "yes", "no"),
    "frames": ("first", "all"),
    "dedup": ("no", "exact", "near"),
}


@dataclass(frozen=True, kw_only=True)
class Images:
    """Images to learn from: where they are and how they are brought to one form."""

    path: str
    """A folder of images (sub-folders welcome), a .zip, .npz, .npy or .parquet file, MNIST idx files, CIFAR binaries, or a built-in
    name: digits, fashion-small, mnist, fashion-mnist, cifar10."""
    size: str = "auto"
    """Side of the images, such as 64, or WIDTHxHEIGHT, such as 96x64; multiples of 4 from 8 to 1024. auto keeps the size that all images
    have if it is allowed and at most 64; else the larger of 32 and 64 that is not above the median short side."""
    colour: str = "auto"
    """auto, rgb or grey. auto is grey where at least 99 % of the images hold no colour."""
    labels: str = "auto"
    """Classes: auto, none, folders, or the path of a .csv or .json file. auto takes a labels.csv or dataset.json beside the images,
    else sub-folders if there are at least two and no image lies outside them, else none."""
    fit: str = "crop"
    """How other aspect ratios are brought to the size: crop the middle, pad with the alpha colour, or squash."""
    flip: str = "auto"
    """Mirror images at random: auto, yes or no. auto mirrors colour images and cifar10, and leaves grey ones, digits and clothes
    (mnist, fashion-mnist) as they are. Say no for text, signs and anything else with a left and a right."""
    balance: bool = False
    """Draw every class equally often, so that rare ones are learnt too. Needs labels."""
    crop: int = 0
    """Shift images at random by up to this many pixels, with reflected borders."""
    alpha: str = "white"
    """What transparent images are laid on: white, black, any other colour by name or as #rrggbb; or keep, for a fourth channel."""
    window: str = ""
    """LOW,HIGH: samples of images of more than 8 bits that become black and white, such as 0,4095. Empty: their whole range."""
    frames: str = "first"
    """Frames of animations that are used: first or all."""
    min_side: int = 0
    """Images with a shorter side than this are skipped. 0: half of the size."""
    salvage: bool = False
    """Use JPEG files that lack nothing but their end marker."""
    dedup: str = "no"
    """Leave out images that equal an earlier one: no, exact or near."""
    hold_out: float = 0.0
    """Share of the images that is set aside and never trained on, such as 0.1, where the source has no such part of its own. Chosen by
    content, so that an image stays in its part when others without near copies are added; copies go together."""
    drop_unlabelled: bool = False
    """Leave out images without a label, and labels without an image, instead of stopping."""
    strict: bool = False
    """Stop if any file would be skipped."""

    def __post_init__(self) -> None:
        if isinstance(self.path, os.PathLike):
            object.__setattr__(self, "path", os.fspath(self.path))
        if isinstance(self.size, int):  # from Python a plain number is natural
            object.__setattr__(self, "size", str(self.size))
        if not self.path:
            raise UsageError("path is empty. Give a folder of images, an archive, or a built-in name such as digits.")
        if self.size != "auto":
            parse_size(self.size)
        for name, allowed in CHOICES.items():
            got = str(getattr(self, name))
            if got not in allowed:
                hint = nearest({"gray": "grey", "true": "yes", "false": "no", "on": "yes", "off": "no"}.get(got.lower(), got), allowed)
                raise UsageError(f"{name} must be {', '.join(allowed[:-1])} or {allowed[-1]}; got '{got}'.{hint}")
        for name in ("crop", "min_side"):
            if getattr(self, name) < 0:
                raise UsageError(f"{name} must be 0 or more pixels; got {getattr(self, name)}.")
        if not 0 <= self.hold_out < 1:
            raise UsageError(f"hold_out is a share of the images, from 0 to less than 1, such as 0.1; got {self.hold_out:g}.")
        parse_window(self.window)
        check_alpha(self.alpha, self.colour)
        if self.labels not in ("auto", "none", "folders") and not self.labels.lower().endswith((".csv", ".tsv", ".txt", ".json")):
            hint = nearest(self.labels, ("auto", "none", "folders"))
            raise UsageError(f"labels must be auto, none, folders or the path of a .csv or .json file; got '{self.labels}'.{hint}")

    def load(self, cache: Path | None = None) -> ImageSet:
        """Read everything into an image set; what is downloaded or decoded at length is kept in `cache` (or $GANFORGE_CACHE).

        Raises UsageError for options that do not fit the data, DataError for data that cannot be used, StorageError for a full disk.
        """
        images = self._load(cache)
        if self.balance and images.labels is None:
            raise UsageError("--balance needs classes, and this data has none: put each class into its own sub-folder, or give --labels.")
        images.balance = self.balance
        return images

    def _load(self, cache: Path | None) -> ImageSet:
        from ganforge.data.assemble import from_arrays, from_files
        from ganforge.data.source import Arrays, cache_folder

        where = cache_folder(cache)
        source = self._source(where)
        if isinstance(source, Arrays):
            return from_arrays(self, source, where)
        try:
            return from_files(self, source, where)
        finally:
            source.close()
            if source.test:
                source.test.close()

    def _source(self, cache: Path) -> Files | Arrays:
        from ganforge.data import builtin
        from ganforge.data.read import absent, read

        path = Path(self.path).expanduser()
        if path.exists():
            return read(path)
        if self.path in builtin.NAMES:
            return builtin.load(self.path, cache)
        raise absent(path, self.path, builtin.NAMES)
