"""What is compared with what: the judged images, the reference, and the real images that tell how low a number can get."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.errors import DataError, UsageError
from ..data.images import Images
from ..data.imageset import ImageSet
from ..data.source import digest
from ..metrics import sets
from .model import load
from .sides import Side, Stored, data_of, drawn_like, is_model

MOST = 10_000
"""Images a side unless more are asked for."""
ENOUGH, LEAST = 500, 100
"""Held-out images are the reference if there are this many, or if they are at least `LEAST` and a tenth of the training images. Fewer say
less than the training images do, even though the model has seen those."""


@dataclass
class Case:
    """One comparison. All parts are drawn as functions of the seed."""

    judged: Side
    real: ImageSet
    """The reference."""
    other: ImageSet | None
    """Real images that are not in `real`, up to as many; the training part, where the reference is held out."""
    split: str
    """"held-out", "training part" or "all": which part of the data `real` comes from."""
    train: ImageSet
    """What copies are looked for in."""
    whole: ImageSet
    """All training images, for features that are trained on them."""
    data: str
    """The data in words."""
    fingerprint: str
    """Of all images that the numbers are of: the training part and, where it is the reference, the held-out part."""
    notes: tuple[str, ...] = ()
    classes: str = ""
    """How the classes of a model were chosen, in words."""
    model: Mapping[str, Any] | None = None
    asked: int = 0
    """Images to judge that were asked for; 0 where that was left open."""
    reals: int = 0
    """Likewise real ones."""

    @property
    def count(self) -> int:
        return min(self.judged.count, len(self.real))

    @property
    def smaller(self) -> tuple[str, str]:
        """Whose fault it is that there are no more than `count`, and the verb to it."""
        for option, asked in (("--samples", self.asked), ("--reals", self.reals)):
            if self.count == asked:
                return option, "asks for"
        return self.judged.name if self.judged.count < len(self.real) else self.data, "has"


def resolve(
    subject: Path, data: str, samples: int, size: str, seed: int, code: Collection[str] = (), device: str = "cpu", reals: int = 0
) -> Case:
    """The case that the options describe. Raises UsageError where they describe none, DataError where the images do not do."""
    if is_model(subject):
        if size:
            raise UsageError("--size is for folders of images; a model has its size, and the data is brought to it.")
        model = load(subject, code=code, device=device)
        whole, said = data_of(model, data, subject, code)
        real, other, split, count, small = _parts(whole, samples, seed, None, reals)
        drawn, classes, notes = drawn_like(str(subject), model, whole, samples or count, seed)
        facts = {str(key): model.facts[key] for key in ("sha256", "seen") if key in model.facts}
        told = (*notes, *small, *_files(whole, said), *_asked(model.facts, split, data))
        used = _fingerprint(whole, split)
        return Case(drawn, real, other, split, _train(other, split, real), whole, said, used, told, classes, facts, samples, reals)
    if not data:
        what = "is not a run or a model, so say what to compare it with" if subject.exists() else "does not exist"
        raise UsageError(f"{subject} {what}: gan evaluate {subject} --data FOLDER")
    one, whole = (_folder(str(path), size) for path in (subject, data))
    if not size:
        sets.check_shapes(one, whole, str(subject), data)
    real, other, split, count, small = _parts(whole, samples, seed, len(one), reals)
    judged = Stored(str(subject), sets.subset(one, samples or count, seed))
    note: tuple[str, ...] = (f"{subject} has {len(one):,} images, fewer than the {samples:,} asked for",) if len(one) < samples else ()
    note += (*small, *_files(one, str(subject)), *_files(whole, data))
    used = _fingerprint(whole, split)
    return Case(judged, real, other, split, _train(other, split, real), whole, data, used, note, asked=samples, reals=reals)


def _folder(path: str, size: str) -> ImageSet:
    """All images at a path, which every error names."""
    try:
        return Images(path=path, size=size, flip="no").load() if size else sets.as_is(path)
    except DataError as error:
        if path in str(error):
            raise
        raise DataError(f"{path}: {error}") from error


def _fingerprint(whole: ImageSet, split: str) -> str:
    if split != "held-out" or not whole.held_out:
        return whole.fingerprint
    return digest(whole.fingerprint, whole.held_out.fingerprint)


def _reference(whole: ImageSet) -> ImageSet:
    held = len(whole.held_out) if whole.held_out else 0
    enough = held >= ENOUGH or held >= max(LEAST, len(whole) / 10)
    return whole.held_out if whole.held_out and enough else whole


def _asked(facts: Mapping[str, Any], split: str, data: str) -> tuple[str, ...]:
    """A note where the held-out images had a say in the training: --augment ada asks the discriminator about them."""
    if split != "held-out" or data or facts.get("fields", {}).get("augment") != "ada":
        return ()
    return ("augmentation was made as strong as the discriminator's view of the held-out images asked for, though none was trained on",)


def _files(images: ImageSet, path: str) -> tuple[str, ...]:
    """Notes on files that could not be used, and on how others were read."""
    lost, read = len(images.report.get("skipped", ())), images.report.get("note", "")
    return (*([f"{lost:,} of {images.report['files']:,} files of {path} could not be used"] if lost else []), *([read] if read else []))


def _parts(
    whole: ImageSet, samples: int, seed: int, judged: int | None = None, reals: int = 0
) -> tuple[ImageSet, ImageSet | None, str, int, tuple[str, ...]]:
    """Reference, other real images, the split's name, how many images to judge by default, and notes on parts that are too small.

    reals: how many real images, 0: as many as are judged; more than there are: all. judged: how many images to judge there are; None: any
    number. Other images are those outside of the reference if they can stand for the judged ones better than half of it can.
    """
    reference = _reference(whole)
    if len(reference) < 2:
        raise DataError(f"the reference has {len(reference)} images; a distance needs at least 2, a sound one 10 and more.")
    count = samples or min(MOST, len(reference))
    wanted = reals or count
    lacking = not reals and len(reference) < samples
    short = (f"the reference has {len(reference):,} images, fewer than the {samples:,} asked for",) if lacking else ()
    if whole.held_out and reference is whole.held_out:
        return sets.subset(reference, wanted, seed), sets.subset(whole, wanted, seed), "held-out", count, short
    least = min(count, count if judged is None else judged, max(1, min(count, len(reference)) // 2))
    real, other = sets.disjoint(reference, wanted, seed, least)
    if not whole.held_out:
        return real, other, "all", count, short
    small = f"the held-out part has {len(whole.held_out):,} images, too few for a reference, so the training part is the reference"
    return real, other, "training part", count, (small, *short)


def _train(other: ImageSet | None, split: str, real: ImageSet) -> ImageSet:
    """The images among which copies are looked for: those whose features are computed anyway."""
    return other if split == "held-out" and other is not None else real
