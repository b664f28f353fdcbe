"""Which images belong together, told by the words in the names of their folders and files."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from ganforge.data.layout import TEST, TRAIN, VAL

WORD = re.compile(r"(?i:[lh][rq]|gt)(?=(?i:bic|blur|mod|x\d))|[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
"""Words of a folder's name: trainA is train and A, train_label is train and label, LRbicx2 begins with LR and GTmod12 with GT."""
PARTS = {**dict.fromkeys(TRAIN, "train"), **dict.fromkeys(TEST, "test"), **dict.fromkeys(VAL, "val")}
MASK = re.compile(r"(?i)^(.+?)[_\-. ]?mask[_\-. ]?\d*$")
SCALE = re.compile(r"(?i)[_\-. ]?x[2348](m|d|w\d?)?$")
"""What small images have behind their names; DIV2K's mild, difficult and wild ones x4m, x4d and x4w1."""


class Kind(NamedTuple):
    """Words in the names of folders that hold the inputs (A) and the wanted images (B)."""

    a: frozenset[str]
    b: frozenset[str]
    form: str = "folders"
    """"masks" where A says what is missing of B, "damaged" where A is B in a worse state; of both several may belong to one image."""

    @property
    def masks(self) -> bool:
        return self.form == "masks"


def _kind(a: str, b: str, form: str = "folders") -> Kind:
    return Kind(frozenset(a.split()), frozenset(b.split()), form)


WORSE, PHOTOS = "damaged", "img imgs image images photo photos"
LETTERS = _kind("a", "b")
MASKS = _kind("mask masks", PHOTOS, "masks")
KINDS = (
    LETTERS,
    _kind("label labels", PHOTOS),
    MASKS,
    _kind("lr lq low", "hr hq gt high", WORSE),
    _kind("input inputs source blur blurred blurry noisy degraded rainy hazy before", "target targets gt sharp clean clear after", WORSE),
)
SIDE_WORDS = frozenset().union(*(kind.a | kind.b for kind in KINDS), {"fake", "real"})


class Place(NamedTuple):
    """Where one image lies: its position in the source, the folders on its way, its name without ending, and train, test, val or ''."""

    at: int
    folders: tuple[str, ...]
    stem: str
    part: str


def split_words(folder: str) -> list[str]:
    """The words of a folder's name, in small letters."""
    return [word.casefold() for word in WORD.findall(folder)]


def key(folders: Sequence[str], stem: str) -> str:
    """One text for folders and a name, whatever their case."""
    return "/".join([*folders, stem]).casefold()


def matched(a: Sequence[Place], b: Sequence[Place], kind: Kind) -> list[tuple[int, int]]:
    """Pairs (of a, of b) by name: with the folders below the sides, and without x4 and the like; else the file names alone, or their core.

    Where folders agree too, a good image may have several damaged ones, such as GoPro's blur and blur_gamma; an image may have several
    masks. Whatever else shares a name has no partner.
    """

    def inner(place: Place) -> list[str]:
        return [f for f in place.folders if not {*split_words(f)} & (kind.a | kind.b | PARTS.keys())]

    def below(place: Place) -> str:
        return key(inner(place), _bare(place.stem, kind))

    def unscaled(place: Place) -> str:
        return key([f for f in inner(place) if SCALE.sub("", f)], SCALE.sub("", _bare(place.stem, kind)))

    def alone(place: Place) -> str:
        return _bare(place.stem, kind).casefold()

    def core(place: Place) -> str:
        words = re.split(r"[_\-. ]+", SCALE.sub("", _bare(place.stem, kind)).casefold())
        return "_".join(w for w in words if w not in SIDE_WORDS) or "_".join(words)

    best: list[tuple[int, int]] = []
    for name_of in (below, unscaled, alone, core):
        left, right = [(name_of(p), p.at) for p in a], [(name_of(p), p.at) for p in b]
        several = kind.masks or (kind.form == WORSE and name_of in (below, unscaled))
        twice = {name for side in ([right] if several else [left, right]) for name, k in Counter(n for n, _ in side).items() if k > 1}
        partner = {name: at for name, at in right if name not in twice}
        pairs = [(at, partner[name]) for name, at in left if name in partner]
        best = pairs if len(pairs) > len(best) else best
    return best


def _bare(stem: str, kind: Kind) -> str:
    return found[1] if kind.masks and (found := MASK.match(stem)) else stem
