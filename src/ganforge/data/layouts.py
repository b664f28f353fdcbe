"""How image-to-image data is laid out, told by the names of its folders and files, and by a few sizes: pairs, masks, two domains."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ganforge.data.layout import common
from ganforge.data.matching import KINDS, LETTERS, MASK, MASKS, PARTS, Kind, Place, key, matched, split_words
from ganforge.data.sizes import few, size
from ganforge.data.source import USUAL, Files, natural, plain

STRAY = 0.1
"""Share of the images that may lie outside the folders that a layout is told by."""
BESIDE = {"inst", "instance", "feat"}
"""Folders that pix2pixHD keeps beside its labels; not used here."""
EXPECTED = """Expected one of:
  A/ and B/ with the same file names, each with train/ (and test/) inside, or trainA/ and trainB/, or train_A/ and train_B/
  lr/ and hr/, lq/ and gt/, input/ and target/, train_label/ and train_img/
  images that hold both side by side, twice as wide as high"""
HOLES = "learn to fill such holes: gan train DATA --task inpaint. Maps that pictures are made of belong into label/, beside image/."
TAUGHT = {**dict.fromkeys(("blur", "blurred", "blurry"), "deblur"), "noisy": "denoise", "low": "low-light"}
"""Words in the name of a folder of damaged images -> the task that they teach. Smaller ones, of whatever name, teach super-resolution."""
BY_NAME = "the files *_mask*"
"""Masks that lie beside their images."""
TWO_SETS = "two folders of any names, or trainA/ and trainB/ (and testA/, testB/)."


@dataclass(frozen=True)
class Pairs:
    """Images that belong together, by their positions in the source."""

    form: str
    """"folders", "damaged", "masks" (see `Kind`) or "halves" (both are one image, side by side)."""
    a: str
    b: str
    """What the sides are called."""
    train: list[tuple[int, int]]
    test: list[tuple[int, int]] = field(default_factory=list)
    part: str = ""
    """The name of the held-out part, if there is one."""
    alone: list[tuple[int, str]] = field(default_factory=list)
    """Images without a partner, each with the side where it is missing."""

    @property
    def likely(self) -> bool:
        """Whether enough images have a partner to believe that they are pairs."""
        return 2 * len(self.train) >= len(self.alone)

    def lacks(self, name: str, missing: str) -> str:
        """Why an image of that name has no partner on the side `missing`."""
        stem = name.rpartition("/")[2].rpartition(".")[0]
        if self.form == "masks" and missing == self.b and (found := MASK.match(stem)):
            return f"its name makes it a mask of {plain(found[1])}, which is not in {missing}, or several times"
        return f"nothing in {missing} has its name, or several share it"

    def sentence(self) -> str:
        """What was understood."""
        if self.form == "halves":
            how = f"{len(self.train):,} pairs side by side in one image: A is the left half, B the right one"
        elif self.form == "masks":
            how = f"{len(self.train):,} images with masks: images in {self.b}, masks in {self.a}"
        else:
            different = len({b for _, b in self.train})
            how = f"{len(self.train):,} pairs of the same name: A is {self.a}, B is {self.b}"
            how += f" · {different:,} different B" * (different < len(self.train))
        held = f" · {len(self.test):,} more of the part {self.part} are held out" if self.test else ""
        return how + held + (f" · {len(self.alone):,} without a partner" if self.alone else "")


@dataclass(frozen=True)
class Domains:
    """Two kinds of images that are no pairs, by their positions in the source."""

    a: str
    b: str
    train: tuple[list[int], list[int]]
    test: tuple[list[int], list[int]] = ([], [])
    part: str = ""
    certain: bool = True
    """Whether the folders are called A and B; two folders of other names may also be two classes."""

    def sentence(self) -> str:
        """What was understood."""
        mine = f"two sets without pairs: A is {self.a} with {len(self.train[0]):,} images, B is {self.b} with {len(self.train[1]):,}"
        return mine + (f" · {len(self.test[0]):,} and {len(self.test[1]):,} more of the part {self.part} are held out" if self.part else "")


def pairs_in(files: Files) -> Pairs | None:
    """The pairs of a source; None where nothing says that there are any."""
    places = _places(files)
    for kind in KINDS:
        a, b, others = _sides(places, kind)
        if a and b and len([p for p in others if not _words(p.folders) & BESIDE]) <= STRAY * len(places):
            return _paired(a, b, kind, _folder)
    masked = {key(p.folders, found[1]) for p in places if (found := MASK.match(p.stem))}
    b = [p for p in places if key(p.folders, p.stem) in masked]
    if b:
        a = [p for p in places if MASK.match(p.stem)]
        return _paired(a, b, MASKS, lambda side: BY_NAME if MASK.match(side[0].stem) else _folder(side))
    if _side_by_side(files, places):
        train, test, part = _split(places)
        return Pairs("halves", "the left half", "the right half", [(p.at, p.at) for p in train], [(p.at, p.at) for p in test], part)
    return None


def domains_in(files: Files) -> Domains | None:
    """The two domains of a source; None where there are not two."""
    places = _places(files)
    a, b, others = _sides(places, LETTERS)
    certain = bool(a and b) and len(others) <= STRAY * len(places)
    if not certain:
        called = {p.at: _domain(p.folders) for p in places}
        names = sorted({name for name in called.values() if name}, key=natural)
        if len(names) != 2:
            return None
        a, b = ([p for p in places if called[p.at] == name] for name in names)
        others = [p for p in places if not called[p.at]]
        if len(others) > STRAY * len(places):
            return None
    _, _, part = _split([*a, *b])
    (train_a, test_a, _), (train_b, test_b, _) = (_split(side, part) for side in (a, b))
    where = [[p.at for p in side] for side in (train_a, train_b, test_a, test_b)]
    return Domains(_folder(train_a or a), _folder(train_b or b), (where[0], where[1]), (where[2], where[3]), part, certain)


def sentences(files: Files) -> list[str]:
    """What to tell of a layout: what was understood, and what to do with it; nothing of plain photographs."""
    pairs, domains = pairs_in(files), domains_in(files)
    if pairs and pairs.likely:
        return [pairs.sentence(), _advice(files, pairs)]
    if domains:
        classes = "" if domains.certain else "; or they are two classes of one set, as plain `gan train` takes them"
        return [domains.sentence() + classes, "learn to turn A into B: gan train DATA --recipe cut"]
    return []


def _advice(files: Files, pairs: Pairs) -> str:
    """What can be learnt of pairs, of some of which the sizes are looked at."""
    if pairs.form == "masks":
        return HOLES
    sizes = [(one, other) for a, b in few(pairs.train) if (one := size(files, a)) and (other := size(files, b))]
    if 2 * sum(a == b for a, b in sizes) >= len(sizes):
        if task := next((TAUGHT[word] for word in split_words(pairs.a) if word in TAUGHT), "") if pairs.form == "damaged" else "":
            return f"learn to make B of A: gan train DATA --task {task}, or --recipe pix2pix"
        return "learn to make B of A: gan train DATA --recipe pix2pix" + ", or --task denoise or the like" * (pairs.form == "damaged")
    larger = pairs.b if sum(a < b for a, b in sizes) >= sum(a > b for a, b in sizes) else pairs.a
    if pairs.form == "damaged" and larger == pairs.b:
        return "learn to make B of A: gan train DATA --task super-resolution"
    return (
        f"B is not as large as A: to enlarge, learn from {larger} alone, --task super-resolution, which makes its own small images; "
        "to turn A into B, bring all to one size: gan train DATA --recipe pix2pix --load-size 256"
    )


def unmatched(files: Files, pairs: Pairs) -> str:
    """How many images of the two sides have no partner, with an example of each side."""
    first = {missing: plain(files.names[at]) for at, missing in reversed(pairs.alone)}
    return (
        f"{pairs.a} and {pairs.b} hold {len(pairs.train)} pairs of the same name and {len(pairs.alone):,} images without a partner, "
        f"such as {' and '.join(first.values())}"
    )


def seen(files: Files) -> str:
    """The folders that hold images, for the error where no layout fits."""
    folders = Counter(name.rpartition("/")[0] or "the top folder" for name in files.names).most_common()
    listed = ", ".join(f"{plain(name)} ({count:,})" for name, count in folders[:6])
    return f"Folders with images: {listed}{', ...' * (len(folders) > 6)}."


def _places(files: Files) -> list[Place]:
    which = [i for i, name in enumerate(files.names) if name.lower().endswith(USUAL)] or list(range(len(files.names)))
    prefix = common([files.names[i] for i in which])
    found = []
    for i in which:
        *folders, name = files.names[i].removeprefix(f"{prefix}/" if prefix else "").split("/")
        parts = [PARTS[word] for folder in folders for word in split_words(folder) if word in PARTS]
        found.append(Place(i, tuple(folders), name.rpartition(".")[0] or name, parts[0] if parts else ""))
    return found


def _words(folders: Sequence[str]) -> set[str]:
    return {word for folder in folders for word in split_words(folder)}


def _sides(places: Sequence[Place], kind: Kind) -> tuple[list[Place], list[Place], list[Place]]:
    """Those of side A, of side B and of neither."""
    sides: tuple[list[Place], list[Place], list[Place]] = ([], [], [])
    for place in places:
        words = _words(place.folders)
        in_a, in_b = bool(words & kind.a), bool(words & kind.b)
        in_b &= not (in_a and kind.masks)  # image_masks are masks
        sides[2 if in_a == in_b else 1 if in_b else 0].append(place)
    return sides


def _split(places: Sequence[Place], part: str = "") -> tuple[list[Place], list[Place], str]:
    """Training and held-out part, and what the latter is called: test, else val, where there is a training part beside it."""
    found = {p.part for p in places}
    if not part and found & {"train", ""}:
        part = "test" if "test" in found else "val" if "val" in found else ""
    if not part:
        return list(places), [], ""
    return [p for p in places if p.part in ("train", "")], [p for p in places if p.part == part], part


def _paired(a: Sequence[Place], b: Sequence[Place], kind: Kind, called: Callable[[Sequence[Place]], str]) -> Pairs:
    _, _, part = _split([*a, *b])
    (train_a, test_a, _), (train_b, test_b, _) = (_split(side, part) for side in (a, b))
    train, test = matched(train_a, train_b, kind), matched(test_a, test_b, kind)
    used = {at for pair in [*train, *test] for at in pair}
    names = called(train_a or a), called(train_b or b)
    sides = ((train_a, names[1]), (test_a, names[1]), (train_b, names[0]), (test_b, names[0]))
    alone = [(p.at, missing) for side, missing in sides for p in side if p.at not in used]
    return Pairs(kind.form, *names, train, test, part if test else "", alone)


def _folder(side: Sequence[Place]) -> str:
    """The folder that most of a side's images lie in."""
    counts = Counter("/".join(p.folders) for p in side).most_common()
    return plain(counts[0][0] or "the top folder") + ", ..." * (len(counts) > 1)


def _domain(folders: Sequence[str]) -> str:
    """The first folder's name that is not only that of a part, without the part: "horses" of train/horses and of train_horses."""
    for folder in folders:
        words = split_words(folder)
        rest = [word for word in words if word not in PARTS]
        if rest or not words:
            return folder.casefold() if len(rest) == len(words) else "_".join(rest)
    return ""


def _side_by_side(files: Files, places: Sequence[Place]) -> bool:
    """Whether nearly all of some images that are looked at are exactly twice as wide as high."""
    sizes = [found for place in few(places) if (found := size(files, place.at))]
    return len(sizes) > 1 and sum(width == 2 * height for width, height in sizes) >= 0.9 * len(sizes)
