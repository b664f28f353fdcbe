"""docs/faults.md is made from the names of the tests in this folder, so that it can claim nothing else.

A test called test_fault_07_cmyk_jpeg_becomes_rgb proves one thing about fault 7, and is its line on the page.
"""

from __future__ import annotations

import ast
import os
import re
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "faults.md"
NAME = re.compile(r"test_fault_(\d\d)_(\w+)")
FAULTS = {
    1: "JPEG cut in half",
    2: "JPEG without its end marker",
    3: "PNG with a flipped bit",
    4: "JPEG that decodes to nonsense",
    5: "Empty file, web page, Git LFS pointer",
    6: "Wrong ending, or none",
    7: "CMYK and YCCK JPEG",
    8: "16-bit images",
    9: "Every colour mode",
    10: "Transparency",
    11: "Animations",
    12: "EXIF orientation",
    13: "Tiny images",
    14: "Decompression bombs",
    15: "Mixed sizes and shapes",
    16: "Grey and colour mixed",
    17: "Duplicates",
    18: "No variation",
    19: "Empty folders, hidden files, loops of links",
    20: "Odd file names",
    21: "Files that vanish or change",
    22: "Forbidden files",
    23: "Damaged and hostile archives",
    24: "Label files with mistakes",
    25: "Tables (CSV) in odd forms",
    26: "Tables of odd content",
    27: "Broken audio and video",
    28: "NaN or infinity in training",
    29: "Slow divergence, a discriminator too strong, mode collapse",
    30: "Fewer images than a batch",
    31: "Out of memory",
    32: "Disk full",
    33: "Killed at any moment",
    34: "Power failure",
    35: "Signals and Ctrl-C",
    36: "Interrupted against uninterrupted",
    37: "Data, options or versions changed before resuming",
    38: "Damaged or foreign checkpoint",
    39: "Malicious checkpoint",
    40: "Two runs in one folder, a wrong clock, a read-only folder",
    41: "Lost worker processes",
    42: "Tracker out of reach",
    43: "Hostile requests",
    44: "Overload",
    45: "A generator that fails for one request",
    46: "A server that is stopped or tricked",
}
NOT_BUILT = {25, 26, 27, 43, 44, 45, 46}
"""Faults of things that are not there yet: tables, sound, video, a server."""
OPENING = """# Faults

What Ganforge promises when things go wrong. Every line is the name of a test that makes the fault and checks the promise, and
this page is made from those names: `UPDATE_SNAPSHOTS=1 pytest tests/faults/test_page.py` writes it anew, and the test fails while
it is stale. What error messages mean is on [the page on errors](errors.md); how images are read is on [Data](data.md).
"""


def promises(folder: Path) -> dict[int, list[tuple[str, str]]]:
    """Fault -> [(what is promised, file and test)], in the order of the files."""
    found: dict[int, list[tuple[str, str]]] = {}
    for path in sorted(folder.glob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and (match := NAME.fullmatch(node.name)):
                found.setdefault(int(match[1]), []).append((match[2].replace("_", " "), f"{path.name}::{node.name}"))
    return found


def page(found: dict[int, list[tuple[str, str]]]) -> str:
    """The whole of docs/faults.md."""
    lines = [OPENING, "| Fault | Promise | Test |", "|---|---|---|"]
    for number, name in FAULTS.items():
        for words, test in found.get(number, []):
            lines.append(f"| {number} {name} | {words} | `{test}` |")
    missing = [f"{number} ({name})" for number, name in FAULTS.items() if number not in found]
    return "\n".join(lines) + "\n" + (f"\nNot built yet, and so without a promise: {'; '.join(missing)}.\n" if missing else "")


def test_the_page_on_faults_is_what_the_tests_are_called():
    text = page(promises(HERE))
    if os.environ.get("UPDATE_SNAPSHOTS"):
        PAGE.write_text(text)
    assert PAGE.exists() and PAGE.read_text() == text, "docs/faults.md is stale: UPDATE_SNAPSHOTS=1 pytest tests/faults/test_page.py"


def test_every_fault_of_what_is_built_has_a_test():
    assert sorted(FAULTS.keys() - NOT_BUILT - promises(HERE).keys()) == [] and promises(HERE).keys() <= FAULTS.keys()


def test_a_new_or_missing_test_changes_the_page(tmp_path):
    (tmp_path / "test_a.py").write_text("def test_fault_07_ink_is_seen(): ...\ndef test_other(): ...\n")
    text = page(promises(tmp_path))
    assert "| 7 CMYK and YCCK JPEG | ink is seen | `test_a.py::test_fault_07_ink_is_seen` |" in text
    assert "test_other" not in text and "without a promise: 1 (JPEG cut in half); 2 " in text
