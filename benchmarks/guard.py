"""The guard put to the test: runs made to fail, which it must name, and runs that learn, on which it must stay silent.

    python benchmarks/guard.py                      every run, the confusion table; about 25 minutes on one core
    python benchmarks/guard.py --only 'fail*' --out runs/guard --pictures docs/images

A failed run is right if the first word other than `learning` is one of those that fit it and comes within the share of the budget
that the case allows. A healthy run is right if no other word ever comes. Small networks, so that a run takes seconds. All numbers
that the guard saw are kept in the runs' metrics.jsonl, from which thresholds are read off.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

import ganforge
from ganforge.core.errors import GanforgeError
from ganforge.data.images import Images

COMMON = {
    **{"width": 8, "z": 32, "batch": 64, "threads": 1, "precision": "fp32", "layout": "contiguous", "device": "cpu"},
    **{"snapshots": 4, "evaluate": "none", "save_minutes": 60.0},
}


class Case(NamedTuple):
    """One run: what it is trained on, how, and what must be said of it."""

    data: str
    recipe: str
    options: dict[str, Any]
    words: tuple[str, ...] = ()
    """Words that fit; none: it learns, and nothing must be said."""
    within: float = 1.0
    """Share of the budget within which the first one must come."""


def few(count: int) -> str:
    """A data set of the first `count` digits, each many times."""
    return f"digits[{count}]"


FAILURES = {
    "lr-x1000": Case("digits", "dcgan", {"lr": 1.0}, ("saturated", "collapsing", "overpowered"), 0.15),
    "lr-x1000-clothes": Case("fashion-small", "dcgan", {"lr": 1.0}, ("saturated", "collapsing", "overpowered"), 0.3),
    "lr-x100": Case("digits", "dcgan", {"lr": 0.1}, ("saturated", "collapsing", "overpowered", "stalled"), 0.5),
    "lr-x100-clothes": Case("fashion-small", "dcgan", {"lr": 0.1}, ("saturated", "collapsing", "overpowered", "stalled"), 0.5),
    "lr-x100-auto": Case("digits", "auto", {"lr": 0.1, "width": 16}, ("saturated", "collapsing", "overpowered"), 0.15),
    "one-image": Case(few(1), "dcgan", {"lr": 1e-3}, ("memorising", "refused"), 0.05),
    "eight-images": Case(few(8), "dcgan", {"lr": 1e-3}, ("memorising", "refused"), 0.05),
    "discriminator-x32": Case(
        "digits", "gan", {"loss": "minimax", "lr": 1e-3, "d_width": 256, "critic_steps": 2}, ("overpowered", "collapsing"), 0.5
    ),
    "lr-tiny": Case("digits", "dcgan", {"lr": 1e-8}, ("stalled",), 0.4),
    "collapse-in-classes": Case("fashion-small", "dcgan", {"lr": 1e-3}, ("collapsing",), 0.6),
}
SETS = ("digits", "fashion-small", "mnist", "fashion-mnist", "cifar10")
HEALTHY = {
    **{f"auto-{name}": Case(name, "auto", {"width": 16, "lr": 1e-3}) for name in SETS},
    **{f"auto-seed1-{name}": Case(name, "auto", {"width": 16, "lr": 1e-3, "seed": 1}) for name in SETS},
    **{f"wgan-gp-{name}": Case(name, "wgan-gp", {"lr": 5e-4}) for name in SETS},
    **{f"plain-{name}": Case(name, "dcgan", {"lr": 5e-4, "labels": "none", "penalty": ("r1",), "width": 16}) for name in SETS},
}
CASES = {f"fail-{name}": case for name, case in FAILURES.items()} | {f"learn-{name}": case for name, case in HEALTHY.items()}


def place(data: str, folder: Path) -> str:
    """The path of a case's data; small sets are written into `folder`."""
    if "[" not in data:
        return data
    name, count = data.rstrip("]").split("[")
    path = folder / f"{name}-{count}.npz"
    if not path.exists():
        whole = Images(path=name).load()
        rows = np.arange(512) % int(count)
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, images=whole.images[rows].permute(0, 2, 3, 1).numpy())
    return str(path)


def run(name: str, case: Case, out: Path, examples: int) -> dict[str, Any]:
    """Train one case; what was said first, when, and all words with their counts."""
    began = time.perf_counter()
    try:
        options = {**COMMON, "examples": examples, **case.options}
        done = ganforge.train(place(case.data, out / "data"), case.recipe, out=str(out / name), **options)
        if not done.finished:  # silence for a part of a run proves nothing
            raise SystemExit(done.exit_code)
        said = [(line["seen"] / done.total, line["health"]) for line in done.history() if "health" in line]
    except GanforgeError as error:
        said = [(0.0, "refused" if "diverged" not in str(error) else "diverged")]
    first = next(((at, word) for at, word in said if word != "learning"), None)
    right = first is not None and first[1] in case.words and first[0] <= case.within if case.words else first is None
    return {
        **{"case": name, "first": first and first[1], "at": first and round(first[0], 3), "right": right},
        **{"words": dict(Counter(word for _, word in said)), "wanted": case.words, "seconds": round(time.perf_counter() - began, 1)},
    }


def table(rows: list[dict[str, Any]], examples: int, batch: int) -> str:
    """Markdown: the confusion table, then each run."""
    failed, healthy = ([row for row in rows if bool(row["wanted"]) is kind] for kind in (True, False))
    lines = [
        "| | named | silent |",
        "|---|---|---|",
        f"| runs made to fail ({len(failed)}) | {sum(row['first'] is not None for row in failed)} | "
        f"{sum(row['first'] is None for row in failed)} |",
        f"| runs that learn ({len(healthy)}) | {sum(row['first'] is not None for row in healthy)} | "
        f"{sum(row['first'] is None for row in healthy)} |",
        "",
        f"With a fitting word, in time: {sum(row['right'] for row in failed)} of {len(failed)}.",
        "",
        "| run | first word | at step | seconds |",
        "|---|---|---|---|",
    ]
    for row in rows:
        step = "" if row["at"] is None else f"{round(row['at'] * examples / batch)} of {-(-examples // batch)}"
        lines.append(f"| {row['case']}{'' if row['right'] else ' (wrong)'} | {row['first'] or 'learning'} | {step} | {row['seconds']} |")
    return "\n".join(lines)


def picture(folder: Path, to: Path) -> None:
    """The last samples of a run, four rows of eight enlarged."""
    drawn = Image.open(max((folder / "samples").glob("*.png"))).convert("RGB")
    drawn.crop((0, 0, drawn.width, drawn.height // 2)).save(to, optimize=True)


PICTURES = {
    **{"saturated": "fail-lr-x1000", "collapsing": "fail-collapse-in-classes", "memorising": "fail-eight-images"},
    **{"overpowered": "fail-discriminator-x32", "stalled": "fail-lr-tiny", "learning": "learn-auto-fashion-small"},
}
"""Word of docs/bad-samples.md -> the run that shows it."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=["*"], help="names of runs, with * and ?")
    parser.add_argument("--examples", type=int, default=40_000)
    parser.add_argument("--out", type=Path, help="keep the runs here")
    parser.add_argument("--pictures", type=Path, help="write bad-WORD.png of the runs here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        out, rows = options.out or Path(scratch), []
        for name, case in CASES.items():
            if any(fnmatch.fnmatch(name, pattern) for pattern in options.only):
                rows.append(run(name, case, out, options.examples))
                print(json.dumps(rows[-1]), flush=True)
        print("\n" + table(rows, options.examples, COMMON["batch"]))
        for word, name in PICTURES.items() if options.pictures else ():
            if (out / name / "samples").is_dir():
                picture(out / name, options.pictures / f"bad-{word}.png")


if __name__ == "__main__":
    main()
