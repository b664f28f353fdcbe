"""Parquet image sets as Hugging Face stores them: an image column of bytes, a label column, files named by split."""

from __future__ import annotations

import bisect
import io
import json
import re
import threading
from collections import OrderedDict
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ganforge.core.errors import DataError, GanforgeError, UsageError
from ganforge.data.source import Files, Skip, natural

SPLIT = re.compile(r"^(train|test|validation|valid|val)(?![a-z])", re.IGNORECASE)
IMAGE_NAMES = ("image", "img", "images", "picture", "photo")
LABEL_NAMES = ("label", "labels", "fine_label", "class", "category", "target")


def read(paths: Sequence[Path]) -> Files:
    """All the files of the train split (and the test, else validation, split as the held-out part)."""
    splits: dict[str, list[Path]] = {"train": [], "test": [], "val": []}
    for path in sorted(paths, key=lambda p: natural(str(p))):
        found = SPLIT.match(path.stem) or SPLIT.match(path.parent.name)
        splits[{"tra": "train", "tes": "test", "val": "val"}[found[1].lower()[:3]] if found else "train"].append(path)
    held = splits["test"] or splits["val"]
    if not splits["train"]:
        splits["train"], held = held, []
    try:
        source = _Pieces(splits["train"]).files()
        if held:
            source.test = _Pieces(held).files()
    except GanforgeError:
        raise
    except (OSError, ValueError, KeyError) as error:  # pyarrow's own errors are of these kinds
        which = str(paths[0]) if len(paths) == 1 else f"a .parquet file in {paths[0].parent}"
        raise DataError(f"{which} cannot be read: {error}") from error
    return source


def _parquet() -> Any:
    try:
        from pyarrow import parquet  # type: ignore[import-untyped]
    except ImportError as error:
        raise UsageError('Reading .parquet needs pyarrow. Type: pip install "ganforge[parquet]"') from error
    return parquet


class _Pieces:
    """Rows of several files by number. Row groups are decoded when asked for; the last few are kept."""

    keep = 3

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = list(paths)
        self.lock = threading.Lock()
        self.recent: OrderedDict[int, list[bytes | None]] = OrderedDict()
        parquet = _parquet()
        self.open = [parquet.ParquetFile(p) for p in self.paths]
        self.groups = [(f, g) for f, file in enumerate(self.open) for g in range(file.num_row_groups)]
        self.ends = list(accumulate(self.open[f].metadata.row_group(g).num_rows for f, g in self.groups))
        self.image = self._image_column()

    def files(self) -> Files:
        """As a source of encoded files."""
        names = [f"{self.paths[f].name}#{r}" for f, file in enumerate(self.open) for r in range(file.metadata.num_rows)]
        facts = [p.stat() for p in self.paths]
        marks = [f"{p.resolve()} {s.st_size}.{s.st_mtime_ns}" for p, s in zip(self.paths, facts, strict=True)]
        stamp = [f"{marks[f]} {r}" for f, file in enumerate(self.open) for r in range(file.metadata.num_rows)]
        labels, classes, notes = self._labels()
        skipped: list[Skip] = []
        return Files("parquet", names, self._row, stamp, [0] * len(names), skipped, {}, labels, classes, notes, close=self._close)

    def _close(self) -> None:
        for file in self.open:
            file.close()

    def _row(self, row: int) -> BinaryIO:
        group = bisect.bisect_right(self.ends, row)
        with self.lock:
            if group not in self.recent:
                self.recent[group] = self._group(group)
                if len(self.recent) > self.keep:
                    self.recent.popitem(last=False)
            self.recent.move_to_end(group)
            rows = self.recent[group]
        return io.BytesIO(rows[row - (self.ends[group - 1] if group else 0)] or b"")

    def _group(self, group: int) -> list[bytes | None]:
        f, g = self.groups[group]
        cells = self.open[f].read_row_group(g, columns=[self.image]).column(0).to_pylist()
        return [c.get("bytes") if isinstance(c, dict) else c for c in cells]

    def _image_column(self) -> str:
        import pyarrow as pa

        schema = self.open[0].schema_arrow
        good = [
            f.name
            for f in schema
            if pa.types.is_binary(f.type)
            or pa.types.is_large_binary(f.type)
            or (pa.types.is_struct(f.type) and "bytes" in [f.type.field(i).name for i in range(f.type.num_fields)])
        ]
        if not good:
            raise DataError(f"{self.paths[0]} has no column of image bytes, only {', '.join(schema.names)}.")
        return next((n for n in IMAGE_NAMES if n in good), good[0])

    def _labels(self) -> tuple[np.ndarray[Any, np.dtype[np.int64]] | None, tuple[str, ...], list[str]]:
        import pyarrow as pa

        schema = self.open[0].schema_arrow
        notes = [f"images from the column '{self.image}'"]
        name = next((n for n in LABEL_NAMES if n in schema.names), None)
        if name is None:
            others = [f.name for f in schema if f.name != self.image and not f.name.startswith("__index")]
            return None, (), [*notes, f"no label column (seen: {', '.join(others)})" if others else "no label column"]
        column = [v for file in self.open for v in file.read(columns=[name]).column(0).to_pylist()]
        notes.append(f"labels from the column '{name}'")
        if pa.types.is_integer(schema.field(name).type):
            return np.array([-1 if v is None else v for v in column], np.int64), self._class_names(name), notes
        kinds = sorted({str(v) for v in column if v is not None}, key=natural)
        number = {k: i for i, k in enumerate(kinds)}
        return np.array([-1 if v is None else number[str(v)] for v in column], np.int64), tuple(kinds), notes

    def _class_names(self, column: str) -> tuple[str, ...]:
        """Names that the `datasets` library leaves in the schema's metadata."""
        try:
            told = json.loads((self.open[0].schema_arrow.metadata or {})[b"huggingface"])
            return tuple(str(n) for n in told["info"]["features"][column]["names"])
        except (KeyError, TypeError, ValueError):
            return ()
