"""Label files: CSV or JSON to a class per image. Everything wrong with one is told at once."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import NamedTuple

from ganforge.core.errors import DataError
from ganforge.data.source import USUAL, plain

FILE_COLUMNS = ("file", "filename", "file_name", "image", "image_id", "path", "name", "id", "img")
LABEL_COLUMNS = ("label", "labels", "class", "category", "target", "y", "class_name")


MOST_TOLD, LONGEST = 50, 100
"""Problems that are told, and characters of what they quote."""


class Row(NamedTuple):
    """One line of a label file."""

    line: int
    file: str
    label: str


def labels_of(
    body: bytes, name: str, folder: str, names: Sequence[str], refused: Sequence[str], drop: bool = False
) -> tuple[dict[str, str] | None, str]:
    """Label of every listed image, and a sentence on how the file was read; None where the file says there are no labels.

    `name` is the label file's own path, `folder` where its entries are relative to, `names` the images that exist, `refused` those
    that exist but cannot be used. With `drop`, images without a label and labels without an image are left out. Raises DataError with
    every problem that was found.
    """
    problems: list[str] = []
    if name.lower().endswith(".json"):
        rows, note = _json(body, name, problems)
    else:
        rows, note = _csv(body, name, names, problems)
    if rows is None:
        return None, note
    find = _Finder(names, folder)
    known_bad = _Finder(refused, folder)
    labels: dict[str, str] = {}
    line_of: dict[str, int] = {}
    loose: list[str] = []
    for row in rows:
        image = find(row.file)
        if image is None:
            if known_bad(row.file) is None:
                loose.append(f"line {row.line}: {_short(row.file) or 'an empty name'} is not among the images")
        elif not row.label or row.label.lower() in ("nan", "none", "null"):
            loose.append(f"line {row.line}: {_short(row.file)} has no label")
            line_of[image] = row.line
        elif labels.get(image, row.label) != row.label:
            here, there = _short(row.label), _short(labels[image])
            problems.append(f"line {row.line}: {_short(row.file)} is '{here}' here, but '{there}' in line {line_of[image]}")
        else:
            labels[image] = row.label
            line_of[image] = row.line
    loose += [f"{plain(n)} is not in the list" for n in names if n not in line_of and n.lower().endswith(USUAL)]
    if not labels and not problems:
        problems.append("it lists no image")
    if problems or (loose and not drop):
        raise DataError(_told(name, problems + loose, only_loose=not problems))
    return labels, note + (f"; {len(loose):,} images or labels without a partner left out" if loose else "")


def _short(text: str) -> str:
    return plain(text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}...")


def _told(name: str, problems: Sequence[str], only_loose: bool) -> str:
    shown = "".join(f"\n  {p}" for p in problems[:MOST_TOLD])
    more = f"\n  ... and {len(problems) - MOST_TOLD:,} more" if len(problems) > MOST_TOLD else ""
    count = "1 problem" if len(problems) == 1 else f"{len(problems):,} problems"
    cure = "leave these images out: --drop-unlabelled; " * only_loose
    return f"{name} has {count}:{shown}{more}\nMend the file; {cure}or ignore it: --labels none."


def _json(body: bytes, name: str, problems: list[str]) -> tuple[list[Row] | None, str]:
    try:
        told = json.loads(body.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{name} is not JSON: {error}") from error
    note = f"labels from {name}"
    if isinstance(told, dict) and "labels" in told and not isinstance(told["labels"], str):
        told = told["labels"]
        if told is None:
            return None, f"{name} says there are no labels"
    pairs = list(told.items()) if isinstance(told, dict) else told
    if not isinstance(pairs, list):
        raise DataError(f'{name} must be {{"labels": [["a/b.png", 3], ...]}} or {{"a/b.png": "cat", ...}}; got {type(told).__name__}.')
    rows = []
    for line, pair in enumerate(pairs, 1):
        if not isinstance(pair, list | tuple) or len(pair) != 2 or isinstance(pair[1], list | dict):
            problems.append(f'entry {line}: expected ["file", class], got {json.dumps(pair)[:60]}')
        else:
            rows.append(Row(line, str(pair[0]), "" if pair[1] is None else str(pair[1]).strip()))
    return rows, note


def _csv(body: bytes, name: str, names: Sequence[str], problems: list[str]) -> tuple[list[Row], str]:
    text, coding = _text(body)
    if "\0" in text:
        raise DataError(f"{name} is not text: it holds bytes of 0. Expected lines of file,label.")
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        raise DataError(f"{name} is empty. Expected lines of file,label.")
    cut = max((",", ";", "\t", "|"), key=lambda d: lines[0].count(d))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=cut)
    try:
        table = [(reader.line_num, [c.strip() for c in cells]) for cells in reader if any(c.strip() for c in cells)]
    except csv.Error as error:
        raise DataError(f"{name} is no table in line {reader.line_num}: {error}. Expected lines of file,label.") from error
    if max(len(cells) for _, cells in table) < 2:
        raise DataError(
            f"{name} has one column, beginning with '{_short(table[0][1][0])}'. Expected file and label in each line, with a comma, "
            "semicolon, tab or bar between them."
        )
    head = [c.lower() for c in table[0][1]]
    file_at = next((head.index(c) for c in FILE_COLUMNS if c in head), None)
    label_at = next((head.index(c) for c in LABEL_COLUMNS if c in head), None)
    has_head = file_at is not None or label_at is not None or _Finder(names, "")(table[0][1][0]) is None
    if not has_head or len(head) == 2:
        file_at = 0 if file_at is None else file_at
        label_at = 1 - file_at if label_at is None and file_at < 2 else label_at
    if file_at is None or label_at is None or file_at == label_at:
        raise DataError(
            f"{name} has the columns {', '.join(map(_short, table[0][1][:20]))}. Expected one called file and one called label."
        )
    rows = []
    for line, cells in table[1 if has_head else 0 :]:
        if len(cells) <= max(file_at, label_at):
            problems.append(f"line {line}: {len(cells)} cell{'s' * (len(cells) != 1)}, expected at least {max(file_at, label_at) + 1}")
        else:
            rows.append(Row(line, cells[file_at], cells[label_at]))
    between = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}[cut]
    columns = f"columns {table[0][1][file_at]} and {table[0][1][label_at]}" if has_head else "no header"
    return rows, f"labels from {name} ({between}, {columns}{coding})"


def _text(body: bytes) -> tuple[str, str]:
    if body.startswith((b"\xff\xfe", b"\xfe\xff")):
        return body.decode("utf-16", "replace"), ", UTF-16"
    try:
        return body.decode("utf-8-sig"), ""
    except UnicodeDecodeError:
        return body.decode("cp1252", "replace"), ", Windows-1252"


class _Finder:
    """Finds the image that an entry means: by its whole path, else by the end of it, else by a name without its ending."""

    def __init__(self, names: Sequence[str], folder: str) -> None:
        self.folder = folder
        self.exact = set(names)
        self.loose: dict[str, str | None] = {}
        for name in names:
            last = name.rsplit("/", 1)[-1]
            for key in {last, last.casefold(), last.rsplit(".", 1)[0], name.rsplit(".", 1)[0]}:
                self.loose[key] = None if key in self.loose else name  # None: several images are called so

    def __call__(self, entry: str) -> str | None:
        entry = entry.replace("\\", "/").removeprefix("./")
        beside = f"{self.folder}/{entry}" if self.folder else entry
        for path in (beside, entry):
            if path in self.exact:
                return path
        last = entry.rsplit("/", 1)[-1]
        return self.loose.get(entry) or self.loose.get(last) or self.loose.get(last.casefold())
