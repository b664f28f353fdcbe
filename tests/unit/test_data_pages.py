"""The page on errors quotes what the program really says; the page on data names every way a file is skipped."""

from __future__ import annotations

import re
from pathlib import Path

import ganforge
from ganforge.core import errors

ROOT = Path(__file__).parents[2]
SOURCES = "\n".join(path.read_text() for path in Path(ganforge.__file__).parent.rglob("*.py"))
ERRORS = (ROOT / "docs" / "errors.md").read_text()


def quoted(text: str) -> list[str]:
    """What the first column of the tables quotes."""
    return re.findall(r"^\| `([^`]+)`", text, flags=re.MULTILINE)


def test_every_message_that_the_page_on_errors_quotes_is_in_the_program():
    messages = quoted(ERRORS)
    assert len(messages) > 40 and [m for m in messages if m not in SOURCES] == []


def test_every_exception_and_its_code_is_on_the_page_on_errors():
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.GanforgeError)]
    assert [kind for kind in kinds if f"| {kind.exit_code} | `{kind.__name__}` |" not in ERRORS] == []


def test_every_reason_for_skipping_a_file_is_on_the_page_on_errors():
    raised = re.findall(r'(?:Unusable|Skip\([^,]+,|return|None,) ?\(?f?"([A-Za-z][A-Za-z ]+):', SOURCES.split("class Unusable", 1)[1])
    reasons = {"truncated", "damaged", "too large", "too small", "empty", "not an image", "Git LFS pointer", "unreadable", "no label"}
    reasons |= {"encrypted", "unsafe name", "duplicate name"}
    assert reasons - set(quoted(ERRORS)) == set() and {"too small", "empty"} <= set(raised)
