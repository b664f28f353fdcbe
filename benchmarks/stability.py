"""Training that does not fail: every recipe that draws from nothing, on sets of different nature, on its defaults, several seeds.

    python benchmarks/stability.py --images 20000 --out runs/stability                  # a day; can be stopped and started again
    python benchmarks/stability.py --recipes auto --seeds 5 --images 50000              # the second table
    python benchmarks/stability.py --images 20000 --only-table                          # of what is done so far

Nothing is set but the number of images, and for networks whose default width no processor trains a narrower one, which the table
names. Where a critic takes several steps for one of the generator's, it sees so many times the images: all generators take as many
steps. For every run: whether numbers stopped being finite (each run goes back up to three times, as `gan train` does), what the guard
said, whether variety was kept (spread: mean distance between two fakes of a class, over that between two real images), the distance at
the end and over the best on the way, ten looks (benchmarks/cells.py), the speed, and a picture. A recipe that refuses a set, say for
want of classes, says why. Left out unless named: r3gan-* of the paper's sizes, which no processor trains. A run that the machine could
not do (no memory, no weights) is told and left for the next start, which also goes on with one that was cut off. Exits with 1 where
some are left. The table lies beside its runs, in --out/IMAGES/table.md.
"""

from __future__ import annotations

import argparse
import json
import statistics
import typing
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cells import CPU, Seeing, filled, kept, seeing, trained, typed
from sets import SETS, found

from ganforge.core import machine
from ganforge.core.errors import CheckpointError, DataError, DivergedError, UsageError
from ganforge.core.recipe import describe, override, rebuild
from ganforge.data.images import Images
from ganforge.recipes import NAMES, find
from ganforge.runs.start import plan

DEFAULT = ("fashion-mnist", "digits", "cifar10", "crops", "messy")
NARROWER: dict[str, dict[str, Any]] = {
    **dict.fromkeys(("sngan", "sagan"), {"width": 64, "d_width": 32}),
    **dict.fromkeys(("biggan", "progan", "stylegan2"), {"width": 16}),
    "fastgan": {"width": 16, "d_width": 16},
    "r3gan": {"width": 24},
}
"""A quarter of the default widths or less: as they are, a run of these takes a processor hours."""
HELD = 1.05
"""Last distance over the best, at most, of a run that kept what it had learnt."""

Row = dict[str, Any]


def generative() -> list[str]:
    """Recipes that draw images from nothing, but those of the paper's sizes."""
    return [n for n in NAMES if not n.startswith("r3gan-") and typing.get_type_hints(find(n))["data"] is Images]


def one(images: Images, name: str, recipe: str, seed: int, options: argparse.Namespace, eyes: Seeing) -> Row:
    """Train one recipe on one set with one seed; how it went, whatever that was. Raises what the machine is to blame for (no disk, no
    memory, no weights, a damaged checkpoint), which is no result: the next start tries again, from the last checkpoint."""
    print(f"{name}, {recipe}, seed {seed}", flush=True)
    row: Row = {"set": name, "recipe": recipe, "seed": seed}
    try:
        start = override(find(recipe)(data=images), {"seed": seed, "threads": options.threads, **NARROWER.get(recipe, {})})
        start = override(start, {"examples": options.images * getattr(start, "critic_steps", 1)})
        data = start.dataset()
    except (UsageError, DataError) as error:
        return row | {"refused": str(error)}
    cell, made = f"{name}-{recipe}-seed{seed}", None

    def decided() -> dict[str, Any]:
        ready, told = plan(start, data, data.spec, CPU)
        return {"recipe": describe(ready), "notes": told["notes"]}

    try:
        told = kept(options.cells / cell / "plan.json", decided)
        made = rebuild(type(start), told["recipe"])
        return row | {"plan": told["notes"]} | trained(made, data, eyes, options.cells / "pictures" / f"{cell}.png", options.cells / cell)
    except UsageError as error:
        return row | {"refused": str(error)}
    except DivergedError as error:
        return row | {"failed": f"diverged: {error}", "restarts": error.restart.number}
    except Exception as error:  # whatever ends a training on defaults is what is looked for here
        without_weights = made is None and isinstance(error, DataError)
        if without_weights or isinstance(error, OSError | MemoryError | CheckpointError):
            raise
        return row | {"failed": f"{type(error).__name__}: {error}"}


def table(rows: list[Row]) -> str:
    """Markdown: for every set a line a recipe, the nearest first."""
    lines = []
    for name in (n for n in SETS if any(row["set"] == n for row in rows)):
        here = [row for row in rows if row["set"] == name]
        metric = next((row["metric"] for row in here if "metric" in row), "distance")
        lines += [f"## {name}: {SETS[name].what}", ""]
        columns = ("recipe", f"{metric} at the end, mean (each seed)", "last / best, worst", "spread, least", "last word", "other words")
        lines += [f"| {' | '.join((*columns, 'restarts', 'images/s'))} |", "|---" * (len(columns) + 2) + "|"]
        by_recipe = {recipe: [row for row in here if row["recipe"] == recipe] for recipe in dict.fromkeys(row["recipe"] for row in here)}
        lines += [_line(recipe, mine) for recipe, mine in sorted(by_recipe.items(), key=lambda item: _mean(item[1])) if _went(mine)]
        lines += ["", *(f"`{row['recipe']}` refused: {_first(row['refused'])}" for row in here if "refused" in row and not row["seed"]), ""]
    runs = [row for row in rows if "refused" not in row]
    done = [row for row in runs if "final" in row]
    lines += [
        f"{len(runs)} runs: {len(runs) - len(done)} failed, {sum(row['restarts'] > 0 for row in done)} were restarted, "
        f"{sum(row['word'] != 'learning' for row in done)} ended with a word of the guard, "
        f"{sum(row['ratio'] <= HELD for row in done)} ended within 5 % of their best."
    ]
    narrower = sorted({row["recipe"] for row in runs} & {*NARROWER})
    lines += ["", "On defaults, but for:"] if narrower else []
    lines += [f"- `{name}{typed(NARROWER[name])}`" for name in narrower]
    return "\n".join(lines)


def held(rows: list[Row], recipe: str = "auto") -> str:
    """Markdown: last distance over the best of one recipe, a line a set, a column a seed."""
    mine = [row for row in rows if row["recipe"] == recipe and "refused" not in row]
    seeds = sorted({row["seed"] for row in mine})
    lines = [f"| `{recipe}`, last / best | {' | '.join(f'seed {seed}' for seed in seeds)} | worst |", "|---" * (len(seeds) + 2) + "|"]
    for name in (n for n in SETS if any(row["set"] == n for row in mine)):
        ratios = {row["seed"]: row.get("ratio", float("inf")) for row in mine if row["set"] == name}
        told = [f"{ratios[seed]:.3f}" if seed in ratios else "-" for seed in seeds]
        lines.append(f"| {name} | {' | '.join(told)} | {max(ratios.values()):.3f} |")
    near = sum(row.get("ratio", float("inf")) <= HELD for row in mine)
    return "\n".join([*lines, "", f"At most {HELD:g}: {near} of {len(mine)}; inf: the run failed."])


def _line(recipe: str, rows: list[Row]) -> str:
    done = [row for row in rows if "final" in row]
    failed = [_first(row["failed"]) for row in rows if "failed" in row]
    words = Counter(row["word"] for row in done)
    others = sum((Counter(row["words"]) for row in done), Counter[str]())
    others.pop("learning", None)
    cells = [f"`{recipe}`"]
    if done:
        each = ", ".join(f"{row['final']:.4g}" for row in done)
        worst, least = max(row["ratio"] for row in done), min(row["spread"] for row in done)
        cells += [f"**{_mean(done):.4g}** ({each})", f"{worst:.2f}", f"{least:.2f}"]
        cells += [_counted(words), _counted(others), str(sum(row["restarts"] for row in done))]
        cells += [f"{statistics.median(row['images_per_second'] for row in done):,.0f}"]
    else:
        cells += ["", "", "", "", "", str(sum(row.get("restarts", 0) for row in rows)), ""]
    cells[1] += f" {len(failed)} failed: {failed[0]}" if failed else ""
    return f"| {' | '.join(cells)} |"


def _counted(words: Counter[str]) -> str:
    return ", ".join(f"{word} {count}" for word, count in words.most_common())


def _went(rows: list[Row]) -> bool:
    return any("refused" not in row for row in rows)


def _mean(rows: list[Row]) -> float:
    finals = [row["final"] for row in rows if "final" in row]
    return statistics.fmean(finals) if finals else float("inf")


def _first(text: str) -> str:
    return text.splitlines()[0][:160].replace("|", "/")


def fill(options: argparse.Namespace, tell: Callable[[], Any]) -> int:
    """Do what is not done yet, one seed of everything before the next; how much is left undone, which was told."""
    judges: dict[str, Seeing] = {}
    there, left = found(options.sets, options.out / "sets"), 0

    def judged(images: Images, name: str, *which: Any) -> Row:
        judges[name] = judges.get(name) or seeing(images.load(), options.out / f"{name}-features.json")
        return one(images, name, *which, options, judges[name])

    for seed in range(options.seeds):
        for name, images in there.items():
            for recipe in options.recipes:
                path = options.cells / f"{name}-{recipe}-seed{seed}.json"
                if not path.is_file():
                    left += not filled(path, judged, images, name, recipe, seed)
                    tell()
    return left


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipes", nargs="+", default=generative())
    parser.add_argument("--sets", nargs="+", default=list(DEFAULT), choices=list(SETS))
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--images", type=int, default=20_000, help="that each run sees for each step of its critic")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--only-table", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("runs/stability"))
    options = parser.parse_args()
    options.cells = options.out / str(options.images)

    def tell() -> str:
        rows = [json.loads(path.read_text()) for path in sorted(options.cells.glob("*-seed*.json"))]
        told = f"{options.images:,} images a run\n\n{table(rows)}\n" if rows else "nothing is done yet"
        told += f"\n{held(rows)}\n" if any(row["recipe"] == "auto" for row in rows) else ""
        options.cells.mkdir(parents=True, exist_ok=True)
        (options.cells / "table.md").write_text(told)
        return told

    left = 0
    if not options.only_table:
        machine.use_threads(options.threads)
        left = fill(options, tell)
    print(tell())
    if left:
        raise SystemExit(f"{left} runs could not be done, see above; the next start tries them again.")


if __name__ == "__main__":
    main()
