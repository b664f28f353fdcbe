"""The guard put to the test: runs made to fail, which it must name, and runs that learn, on which it must stay silent.

    python benchmarks/guard.py --out runs/guard     every run on fresh seeds, the confusion table; again: goes on where it was cut off
    python benchmarks/guard.py --rescue --only 'fail-lr-x100-seed*' --seeds 11 12 13
    python benchmarks/guard.py --seeds 0 1 --only 'fail*' --out runs/pictures --pictures docs/images

A failed run is right if the first word other than `learning` is one of those that fit it and comes within the share of the budget
that the case allows. A healthy run is right if no other word ever comes. With --rescue the runs heed the guard, and a failed one is
right if the last word is `learning`. Small networks, so that a run takes seconds (of a processor). All numbers that the guard saw are
kept in the runs' metrics.jsonl, from which thresholds are read off: those of seeds 0 and 1, never of the seeds of the table.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

import ganforge
from ganforge.core.errors import GanforgeError
from ganforge.core.method import Progress
from ganforge.data.images import Images
from ganforge.recipes.dcgan import DCGAN


@dataclass(frozen=True, kw_only=True)
class Rising(DCGAN):
    """DCGAN with a learning rate that grows a thousandfold over the budget: it learns, and then loses what it learnt."""

    def schedule(self, now: Progress) -> dict[str, Any]:
        return {"lr": self.lr * 1000**now.fraction}

    d_schedule = schedule


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


TOO_FAST = ("saturated", "diverging", "collapsing", "overpowered")
"""What a learning rate that is far too high may lead to."""
FAILURES = {
    "lr-x1000": Case("digits", "dcgan", {"lr": 1.0}, TOO_FAST, 0.15),
    "lr-x1000-clothes": Case("fashion-small", "dcgan", {"lr": 1.0}, TOO_FAST, 0.3),
    "lr-x100": Case("digits", "dcgan", {"lr": 0.1}, (*TOO_FAST, "stalled"), 0.5),
    "lr-x100-clothes": Case("fashion-small", "dcgan", {"lr": 0.1}, (*TOO_FAST, "stalled"), 0.5),
    "lr-x100-auto": Case("digits", "auto", {"lr": 0.1, "width": 16}, TOO_FAST, 0.15),
    "one-image": Case(few(1), "dcgan", {"lr": 1e-3}, ("memorising", "refused"), 0.05),
    "eight-images": Case(few(8), "dcgan", {"lr": 1e-3}, ("memorising", "refused"), 0.05),
    "discriminator-x32": Case(
        "digits", "gan", {"loss": "minimax", "lr": 1e-3, "d_width": 256, "critic_steps": 2}, ("overpowered", "collapsing"), 0.5
    ),
    "lr-rises": Case("digits", f"{__file__}:Rising", {"lr": 1e-3, "labels": "none"}, ("worsening", "diverging"), 1.0),
    "lr-tiny": Case("digits", "dcgan", {"lr": 1e-8}, ("stalled",), 0.4),
    "collapse-in-classes": Case("fashion-small", "dcgan", {"lr": 1e-3}, ("collapsing",), 0.6),
}
SETS = ("digits", "fashion-small", "mnist", "fashion-mnist", "cifar10")
KINDS = {
    "auto": Case("", "auto", {"width": 16, "lr": 1e-3}),
    "wgan-gp": Case("", "wgan-gp", {"lr": 5e-4, "critic_steps": 1}),
    "plain": Case("", "dcgan", {"lr": 5e-4, "labels": "none", "penalty": ("r1",), "width": 16}),
    "plain-again": Case("", "dcgan", {"lr": 5e-4, "labels": "none", "penalty": ("r1",), "width": 16}),
}
"""What learns on every set; `plain-again` has the last seed, the others the first."""


def cases(seeds: Sequence[int]) -> dict[str, Case]:
    """Each failure with every seed, and four runs that learn on each set."""
    found = {f"fail-{name}-seed{seed}": _seeded(case, seed) for seed in seeds for name, case in FAILURES.items()}
    for kind, case in KINDS.items():
        seed = seeds[-1] if kind.endswith("again") else seeds[0]
        found |= {f"learn-{kind}-{name}-seed{seed}": _seeded(case._replace(data=name), seed) for name in SETS}
    return found


def _seeded(case: Case, seed: int) -> Case:
    return case._replace(options={**case.options, "seed": seed})


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


def run(name: str, case: Case, out: Path, examples: int, rescue: bool) -> dict[str, Any]:
    """Train one case: which word came first, when, all words with their counts, and where the run ended."""
    began = time.process_time()
    looks: list[dict[str, Any]] = []
    try:
        options = {**COMMON, "examples": examples, "rescue": rescue, **case.options}
        done = ganforge.train(place(case.data, out / "data"), case.recipe, out=str(out / name), **options)
        if not done.finished:  # silence for a part of a run proves nothing
            raise SystemExit(done.exit_code)
        looks = [line for line in done.history() if "health" in line]
        said = [(line["seen"] / done.total, line["health"]) for line in looks]
    except GanforgeError as error:
        said = [(0.0, "refused" if "diverged" not in str(error) else "diverged")]
    first = next(((at, word) for at, word in said if word != "learning"), (None, None))
    last = looks[-1] if looks else {}
    return {
        **{"case": name, "first": first[1], "at": first[0], "words": dict(Counter(word for _, word in said)), "last": said[-1][1]},
        **{"rescues": last.get("restarts", 0), "coverage": last.get("health/coverage"), "seconds": round(time.process_time() - began, 1)},
    }


def right(row: dict[str, Any], case: Case) -> bool:
    """Whether the first word fits and came in time; of a run that learns, whether there was none."""
    return row["first"] in case.words and row["at"] <= case.within if case.words else row["first"] is None


def table(rows: list[dict[str, Any]], cases: Mapping[str, Case], examples: int, batch: int) -> str:
    """Markdown: the confusion table, then each run."""
    good = {row["case"]: right(row, cases[row["case"]]) for row in rows}
    failed, healthy = ([row for row in rows if bool(cases[row["case"]].words) is kind] for kind in (True, False))
    lines = ["| | named | silent |", "|---|---|---|"]
    for what, some in (("made to fail", failed), ("that should learn", healthy)):
        named = sum(row["first"] is not None for row in some)
        lines.append(f"| runs {what} ({len(some)}) | {named} | {len(some) - named} |")
    lines += [
        *("", f"With a fitting word, in time: {sum(good[row['case']] for row in failed)} of {len(failed)}.", ""),
        *("| run | first word | at step | last word | coverage at the end | seconds |", "|---|---|---|---|---|---|"),
    ]
    for row in rows:
        step = "" if row["at"] is None else f"{round(row['at'] * examples / batch)} of {-(-examples // batch)}"
        covered = "" if row["coverage"] is None else f"{row['coverage']:.2f}"
        name = f"{row['case']}{'' if good[row['case']] else ' (wrong)'}"
        lines.append(f"| {name} | {row['first'] or 'learning'} | {step} | {row['last']} | {covered} | {row['seconds']} |")
    return "\n".join(lines)


def rescues(rows: list[dict[str, Any]]) -> str:
    """Markdown: how runs ended that heed the guard."""
    lines = [f"Ended healthy: {sum(row['last'] == 'learning' for row in rows)} of {len(rows)}.", ""]
    lines += ["| run | rescues | last word | coverage at the end | seconds |", "|---|---|---|---|---|"]
    for row in rows:
        covered = "" if row["coverage"] is None else f"{row['coverage']:.2f}"
        lines.append(f"| {row['case']} | {row['rescues']} | {row['last']} | {covered} | {row['seconds']} |")
    return "\n".join(lines)


def picture(folder: Path, shot: int, to: Path) -> None:
    """Samples of a run, the upper half of the rows."""
    drawn = Image.open(sorted((folder / "samples").glob("*.png"))[shot]).convert("RGB")
    drawn.crop((0, 0, drawn.width, drawn.height // 2)).save(to, optimize=True)


WORSE = "fail-lr-rises"
"""Its last samples are blank; those before show what happens."""
PICTURES = {
    **{"saturated": "fail-lr-x1000", "collapsing": "fail-collapse-in-classes", "memorising": "fail-eight-images"},
    **{"overpowered": "fail-discriminator-x32", "stalled": "fail-lr-tiny", "learning": "learn-auto-fashion-small"},
    **{"diverging": "fail-lr-x100", "worsening": WORSE},
}
"""Word of docs/bad-samples.md -> the run that shows it."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=["*"], help="names of runs, with * and ?")
    parser.add_argument("--seeds", nargs="+", type=int, default=[11, 12])
    parser.add_argument("--examples", type=int, default=40_000)
    parser.add_argument("--rescue", action="store_true", help="let the runs heed the guard")
    parser.add_argument("--out", type=Path, help="keep the runs here, and go on with what is here")
    parser.add_argument("--pictures", type=Path, help="write bad-WORD.png of the runs here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        out = options.out or Path(scratch)
        out.mkdir(parents=True, exist_ok=True)
        kept = out / "rows.jsonl"
        done = {row["case"]: row for row in map(json.loads, kept.read_text().splitlines())} if kept.exists() else {}
        wanted = {name: case for name, case in cases(options.seeds).items() if any(fnmatch.fnmatch(name, p) for p in options.only)}
        for name, case in wanted.items():
            if name not in done:
                shutil.rmtree(out / name, ignore_errors=True)  # what was left of a run that was cut off
                done[name] = run(name, case, out, options.examples, options.rescue)
                with kept.open("a") as file:
                    file.write(json.dumps(done[name]) + "\n")
                print(json.dumps(done[name]), flush=True)
        rows = [done[name] for name in wanted]
        print("\n" + (rescues(rows) if options.rescue else table(rows, wanted, options.examples, COMMON["batch"])))
        for word, name in PICTURES.items() if options.pictures else ():
            for folder in sorted(out.glob(f"{name}-seed*"))[:1]:
                picture(folder, 3 if name == WORSE else -1, options.pictures / f"bad-{word}.png")


if __name__ == "__main__":
    main()
