"""Folders and zip archives of encoded images, both read in place."""

from __future__ import annotations

import os
import stat
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import BinaryIO, cast

from ganforge.core.errors import DataError
from ganforge.data.source import MAX_FILE, USUAL, Files, Skip, hidden, natural, plain

SHEETS = ("labels.csv", "labels.tsv", "dataset.json", "labels.json")
"""Label files that are found by themselves, the first one wins."""
NEVER = (".csv", ".tsv", ".json", ".jsonl", ".txt", ".md", ".html", ".pdf", ".py", ".xml", ".yaml", ".yml", ".parquet")
"""Companions of images that are passed over in silence rather than counted as broken images."""


BOMB, DENSEST = 16 * 2**20, 100
"""A zip member of more bytes than BOMB must not be packed more than DENSEST times smaller."""


@dataclass
class Listing:
    """What lies in a folder: paths with forward slashes, one text per file that changes with it, and refusals."""

    names: list[str] = field(default_factory=list)
    stamp: list[str] = field(default_factory=list)
    skipped: list[Skip] = field(default_factory=list)
    hidden: int = 0
    """Dot files, Thumbs.db and the like, which are passed over."""


def walk(root: Path) -> Listing:
    """Every regular file under root in natural order. Hidden ones are left out, links are followed once, never round."""
    found: list[tuple[str, str]] = []
    skipped: list[Skip] = []
    seen: set[tuple[int, int]] = set()
    unseen = 0

    def refuse(error: OSError) -> None:
        skipped.append(Skip(_under(root, str(error.filename)), f"unreadable: {error.strerror}"))

    for folder, inside, names in os.walk(root, onerror=refuse, followlinks=True):
        try:
            here = os.stat(folder)
        except OSError as error:
            refuse(error)
            continue
        if (here.st_dev, here.st_ino) in seen:
            inside.clear()
            continue
        seen.add((here.st_dev, here.st_ino))
        unseen += sum(map(hidden, inside))
        inside[:] = sorted(d for d in inside if not hidden(d))
        for name in names:
            path = os.path.join(folder, name)
            if hidden(name):
                unseen += 1
                continue
            try:
                facts = os.stat(path)
            except OSError as error:
                refuse(error)
                continue
            if stat.S_ISREG(facts.st_mode):  # a pipe or a device would block for ever
                found.append((_under(root, path), f"{facts.st_size}.{facts.st_mtime_ns}"))
    found.sort(key=lambda item: natural(item[0]))
    return Listing([n for n, _ in found], [s for _, s in found], skipped, unseen)


def folder(root: Path, listing: Listing) -> Files:
    """A folder of images, however nested."""
    names, stamp, skipped = [], [], list(listing.skipped)
    sheets: dict[str, Callable[[], bytes]] = {}
    for name, mark in zip(listing.names, listing.stamp, strict=True):
        if _last(name) in SHEETS:
            sheets[name] = (root / name).read_bytes
        if name.lower().endswith(NEVER):
            continue
        if int(mark.split(".")[0]) > MAX_FILE:
            skipped.append(Skip(name, f"too large: over {MAX_FILE >> 20} MB"))
            continue
        names.append(name)
        stamp.append(mark)
    if not names:
        raise DataError(_nothing(root, listing))
    sizes = [int(mark.split(".")[0]) for mark in stamp]
    stamp = [f"{root.resolve()}/{n} {mark}" for n, mark in zip(names, stamp, strict=True)]
    return Files("folder", names, lambda i: open(root / names[i], "rb"), stamp, sizes, skipped, sheets)


def archive(path: Path) -> Files:
    """A zip archive, never unpacked. Members with dangerous names, passwords or sizes are skipped with the reason."""
    try:
        box = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise DataError(f"{path} is not a whole zip archive ({error}). Fetch or pack it again.") from error
    members: dict[str, zipfile.ZipInfo] = {}
    sheets: dict[str, Callable[[], bytes]] = {}
    skipped: list[Skip] = []
    for member in box.infolist():
        name = member.filename.replace("\\", "/")
        if member.is_dir() or hidden(_no_dots(name)):
            continue
        if reason := _refused(name, member, name in members):
            skipped.append(Skip(name, reason))
            continue
        if _last(name) in SHEETS and member.file_size < MAX_FILE:
            sheets[name] = partial(box.read, member)
        if not name.lower().endswith(NEVER):
            members[name] = member
    names = sorted(members, key=natural)
    if not names:
        box.close()
        first = f" Refused: {plain(skipped[0].file)} ({skipped[0].reason})." if skipped else ""
        raise DataError(f"{path} holds no images.{first} Expected {', '.join(USUAL)} files inside.")
    facts = path.stat()
    mark = f"{path.resolve()} {facts.st_size}.{facts.st_mtime_ns}"
    stamp = [f"{mark} {n} {members[n].CRC} {members[n].file_size}" for n in names]
    sizes = [members[n].file_size for n in names]
    return Files("zip", names, lambda i: cast(BinaryIO, box.open(members[names[i]])), stamp, sizes, skipped, sheets, close=box.close)


def _refused(name: str, member: zipfile.ZipInfo, twice: bool) -> str:
    if name.startswith("/") or ".." in name.split("/") or ":" in name.split("/")[0]:
        return "unsafe name: it points outside the archive"
    if member.flag_bits & 1:
        return "encrypted: unpack it with its password and give the folder"
    if member.file_size > MAX_FILE:
        return f"too large: over {MAX_FILE >> 20} MB"
    if member.file_size > BOMB and member.file_size > DENSEST * member.compress_size:
        return f"too large: {member.file_size >> 20} MB out of {member.compress_size:,} bytes, a decompression bomb"
    return "duplicate name: the first one in the archive is used" if twice else ""


def _last(name: str) -> str:
    return name.rsplit("/", 1)[-1].lower()


def _no_dots(name: str) -> str:
    return "/".join(p for p in name.split("/") if p not in (".", ".."))


def _under(root: Path, path: str) -> str:
    return os.path.relpath(path, root).replace(os.sep, "/")


def _nothing(root: Path, listing: Listing) -> str:
    seen = f"{len(listing.names)} other files, such as {plain(listing.names[0])}" if listing.names else "nothing"
    if listing.hidden:
        seen += f" but {listing.hidden:,} hidden"
    if listing.skipped:
        seen += f", and {plain(listing.skipped[0].file)} is {listing.skipped[0].reason}"
    return f"{root} holds no images ({seen}). Expected {', '.join(USUAL)} files, in sub-folders if you like."
