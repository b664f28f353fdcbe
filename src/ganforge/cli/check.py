"""`gan check DATA [options]`: what `gan train` would find in the data, and nothing else. Options are those of the data."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.errors import StorageError, UsageError
from ..data.images import Images

USAGE = "gan check DATA [--out FILE] [options]"


@dataclass(frozen=True, kw_only=True)
class Check:
    """Look at the data as gan train would: what is used, what is skipped and why, what to do about it. Nothing is changed.

    Folders of pairs, and of two sets without pairs, are looked at as such, unless an option of images is given.
    """

    data: Images
    out: str = ""
    """Also write the whole report into this file, such as data_report.json."""


def main(arguments: list[str]) -> int:
    from .train import described

    helping = any(a in ("-h", "--help") for a in arguments)
    if not helping and (not arguments or arguments[0].startswith("-")):
        raise UsageError(f"say what to look at: {USAGE}. DATA is a folder of images, an archive, or a built-in set (`gan list data`).")
    if any(a.split("=")[0] == "--path" for a in arguments):
        raise UsageError(f"DATA comes first and needs no option: {USAGE}")
    data, options = (arguments[0], arguments[1:]) if not arguments[0].startswith("-") else ("DATA", arguments)
    asked = described(Check, Check(data=Images(path=data)), options, f"gan check {data}", "gan check DATA --help")
    out = _outside(asked.out, data)

    from ..data.describe import full, summary

    found, layout = _found(asked.data)
    sys.stdout.write("\n".join([*summary(found), *(f"layout: {line}" for line in layout)]) + "\n")
    if out:
        try:
            told = json.dumps(full(found), indent=2, ensure_ascii=False) + "\n"
            out.write_text(told, encoding="utf-8", errors="backslashreplace")  # of file names that are no UTF-8
        except OSError as error:
            raise StorageError(f"the report could not be written to {out}: {error.strerror}.") from error
        sys.stdout.write(f"report in {out}\n")
    return 0


def _found(options: Images) -> tuple[Any, list[str]]:
    """The data, as pairs or as two sets where the names of folders and files say so and no option of images is given; and on the layout."""
    from ..data import layouts
    from ..data.domains import Domains
    from ..data.pairs import Pairs
    from ..data.read import read
    from ..data.source import Files

    path = Path(options.path).expanduser()
    source = read(path) if path.is_dir() or (path.is_file() and path.suffix.lower() == ".zip") else None
    if not isinstance(source, Files):
        return options.load(), []
    try:
        pairs, domains, lines = layouts.pairs_in(source), layouts.domains_in(source), layouts.sentences(source)
    finally:
        source.close()
    if options == Images(path=options.path):
        if pairs and pairs.likely and pairs.form != "halves":
            return Pairs(path=options.path).load(), lines[1:]  # its notes begin with the first
        if domains and domains.certain:
            return Domains(path=options.path).load(), lines[1:]
    return options.load(), lines


def _outside(out: str, data: str) -> Path | None:
    """The file to write. Raises UsageError where it would lie among the user's data or replace another kind of file."""
    if not out:
        return None
    path = Path(out).expanduser()
    if path.is_dir():
        path = path / "data_report.json"
    if path.resolve().is_relative_to(Path(data).expanduser().resolve()):
        raise UsageError(f"--out {out} lies inside the data, which stay untouched. Choose another place: --out data_report.json")
    if path.exists() and path.suffix.lower() != ".json":
        raise UsageError(f"--out {out} exists and is no .json file. Choose another name: --out data_report.json")
    return path
