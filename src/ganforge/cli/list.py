"""`gan list recipes|tasks|data|losses|penalties|networks|runs`."""

from __future__ import annotations

import ast
import sys
from collections.abc import Sequence
from pathlib import Path

from ..core.errors import CheckpointError, UsageError, nearest

WHAT = ("recipes", "tasks", "data", "losses", "penalties", "networks", "runs")

DATA = {
    "digits": "1,797 handwritten digits, 8x8, grey; comes with the package",
    "fashion-small": "11,000 pieces of clothing, 28x28, grey; comes with the package",
    "mnist": "70,000 handwritten digits, 28x28, grey; fetched once",
    "fashion-mnist": "70,000 pieces of clothing, 28x28, grey; fetched once",
    "cifar10": "60,000 photos of 10 kinds of things, 32x32, colour; fetched once",
}
"""What data/builtin.py offers, in words (a test compares the names)."""


def main(arguments: list[str]) -> int:
    if arguments and arguments[0] in ("-h", "--help"):
        sys.stdout.write(f"gan list {' | '.join(WHAT)}\n")
        return 0
    if len(arguments) > 1 or arguments and arguments[0] not in WHAT:
        wrong = arguments[-1]
        raise UsageError(f"gan list does not know '{wrong}'.{nearest(wrong, WHAT)} It lists: {', '.join(WHAT)}.")
    rows = _rows(arguments[0] if arguments else "recipes")
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows)
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in lines) or "nothing yet\n")
    return 0


def _rows(what: str) -> Sequence[tuple[str, ...]]:
    """Read from the sources' docstrings, so that no torch is loaded to list names."""
    package = Path(__file__).parent.parent
    if what == "recipes":
        from ..recipes import headings

        return [(name, text.split(": ", 1)[-1].strip()) for name, text in headings().items()]
    if what == "data":
        return list(DATA.items())
    if what == "runs":
        return _runs(Path("runs"))
    if what == "tasks":
        return [(name.replace("_", "-"), text) for name, text in _documented(package / "methods" / "tasks.py", "Task")]
    if what == "losses":
        return _documented(package / "losses.py", "_pair")
    if what == "networks":
        return _documented(package / "networks" / "image" / "__init__.py", "Networks")
    tree = ast.parse((package / "penalties.py").read_text())
    functions = (node for node in tree.body if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"))
    return [(node.name, (ast.get_docstring(node) or "").splitlines()[0]) for node in functions]


def _runs(root: Path) -> list[tuple[str, ...]]:
    """The runs in a folder, the one that began last first, below the names of the columns."""
    from ..runs.about import plain, read

    rows = []
    for path in sorted(root.glob("*/recipe.json"), key=lambda path: (path.stat().st_mtime, path), reverse=True):
        try:
            run = read(path.parent)
        except CheckpointError:
            rows.append((plain(str(path.parent)), "", "", "", "damaged", ""))
            continue
        seen, best = f"{run.seen:,} of {run.total:,}", f"{run.best[0]} {run.best[1]:.4g}" if run.best else ""
        rows.append((plain(str(path.parent)), run.recipe, plain(run.data), seen, run.state, best))
    return [("run", "recipe", "data", "images seen", "state", "best"), *rows] if rows else []


def _documented(path: Path, maker: str) -> list[tuple[str, str]]:
    """Names assigned from maker(...) in a file, each with the string below it."""
    body = ast.parse(path.read_text()).body
    rows = []
    for node, after in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and getattr(node.value.func, "id", "") == maker:
            text = after.value.value if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) else ""
            rows.append((getattr(node.targets[0], "id", "?"), str(text)))
    return rows
