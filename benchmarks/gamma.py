"""Does a penalty weight nobody has to know exist? auto with nine weights, half a decade apart, beside auto with --penalty-control.

    python benchmarks/gamma.py --images 30000 --out runs/gamma            # hours; can be stopped and started again
    python benchmarks/gamma.py --sets digits crops --seeds 5 --images 30000
    python benchmarks/gamma.py --images 30000 --only-table                # of what is done so far

In the middle of the nine stands the weight that auto's rule gives for the size and colours of the set. The control starts from
that weight, from a hundredth and from a hundred times of it: what it is for is that the start does not matter. All else is as auto
decided once for the set, so every run sees the same images with the same networks in the same precision. The number is the distance of
the averaged generator at the end, fixed latents against fixed training images (benchmarks/cells.py).

The verdict is on ratios: the distance of a weight in a seed, over that which the best of the nine has in the same seed. Which is the best
is read off the other seeds, as the lowest of nine noisy means is a lucky one; so it takes two seeds at least, and counts those alone that
all weights have finished. Beside the mean of the ratios stands its standard error; a set is decided where the mean lies two of them off
5 %.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from cells import Seeing, filled, planned, seeing, trained
from sets import SETS, found

from ganforge.core import machine
from ganforge.core.errors import DivergedError
from ganforge.core.recipe import override
from ganforge.data.images import Images
from ganforge.recipes import find

GRID = {f"x{10 ** (k / 2):.3g}": 10 ** (k / 2) for k in range(-4, 5)}
STARTS = {f"control from x{by:g}": by for by in (0.01, 1.0, 100.0)}
RULE = "x1"
NEAR = math.log(1.05)
"""Logarithm of the ratio to the best weight up to which another is as good."""
SURE = 2.0
"""Standard errors that the mean of the logarithms must be away from that."""
DEFAULT = ("digits", "fashion-mnist", "mnist", "cifar10", "crops", "houses", "fruit")


def one(images: Images, name: str, arm: str, seed: int, options: argparse.Namespace, eyes: Seeing) -> dict[str, Any]:
    """Train one set with one weight, or one start of the control."""
    start = override(find("auto")(data=images), {"examples": options.images, "threads": options.threads, "evaluate": "none"})
    data = start.dataset()
    recipe = planned(options.cells / f"{name}-plan.json", start, data)
    weight = recipe.penalty_weight * (GRID | STARTS)[arm]
    recipe = override(recipe, {"seed": seed, "penalty_weight": weight, "penalty_control": arm in STARTS})
    print(f"{name}, {arm}, seed {seed}: weight {weight:.4g} at the start", flush=True)
    row = {"set": name, "arm": arm, "seed": seed, "weight": weight, "penalty_end": recipe.penalty_end}
    cell = f"{name}-{_file(arm)}-seed{seed}"
    try:
        return row | trained(recipe, data, eyes, options.cells / "pictures" / f"{cell}.png", options.cells / cell)
    except DivergedError as error:
        return row | {"diverged": str(error), "final": math.inf}


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown: the final distance of every weight, a line a set; their ratios to the best; which are near it; what the control found."""
    arms = [*GRID, *STARTS]
    sets = {name: whole(rows, name) for name in SETS if any(row["set"] == name for row in rows)}
    lines = [f"| set | seeds | {' | '.join(arms)} |", "|---" * (len(arms) + 2) + "|"]
    for name, seeds in sets.items():
        metric = next((row["metric"] for row in rows if row["set"] == name and "metric" in row), "diverged")
        means = [f"{statistics.fmean(each[arm] for each in seeds.values()):.4g}" if seeds else "-" for arm in arms]
        lines.append(f"| {name} ({metric}) | {len(seeds)} | {' | '.join(means)} |")
    counted = len(arms) * sum(map(len, sets.values()))
    lines += ["", f"Means over the seeds that all have finished; inf: diverged. {len(rows) - counted} more runs are of other seeds.", ""]
    told = {name: {arm: against(seeds, arm) for arm in arms} for name, seeds in sets.items() if len(seeds) > 1}
    if not told:
        return "\n".join([*lines, "No set has two whole seeds: there is no verdict yet.", "", *_found(rows)])
    lines += [f"| over the best weight of the other seeds | {' | '.join(arms)} |", "|---" * (len(arms) + 1) + "|"]
    lines += [f"| {name} | {' | '.join(map(_cell, each.values()))} |" for name, each in told.items()]
    lines += ["", f"Of the {len(told)} sets with two seeds or more, within 5 % of the best of the nine, beyond, or too noisy to say:"]
    for arm in (RULE, *(arm for arm in GRID if arm != RULE), *STARTS):
        ratios = [each[arm] for each in told.values()]
        near, far = sum(mean + SURE * error <= NEAR for mean, error in ratios), sum(mean - SURE * error > NEAR for mean, error in ratios)
        worst = math.exp(max(mean for mean, _ in ratios))
        called = "the rule of auto (x1)" if arm == RULE else arm
        lines.append(f"- {called}: {near}, {far}, {len(told) - near - far}; worst {worst:.2f} times the best")
    return "\n".join([*lines, "", *_found(rows)])


def whole(rows: Collection[Mapping[str, Any]], name: str) -> dict[int, dict[str, float]]:
    """The final distance of every weight in those seeds of a set that all have finished: seed -> arm -> distance, inf where it diverged."""
    seeds: dict[int, dict[str, float]] = {}
    for row in rows:
        if row["set"] == name:
            seeds.setdefault(row["seed"], {})[row["arm"]] = row["final"]
    return {seed: seeds[seed] for seed in sorted(seeds) if {*GRID, *STARTS} <= {*seeds[seed]}}


def against(seeds: Mapping[int, Mapping[str, float]], arm: str) -> tuple[float, float]:
    """Mean over two seeds or more, and its standard error, of log (distance of an arm / that of the best of the nine in the same seed).

    The best has the lowest mean logarithm in the other seeds. (inf, 0) where the arm diverged in some seed.
    """
    ratios = []
    for seed, here in seeds.items():
        others = [other for number, other in seeds.items() if number != seed]
        best = min(GRID, key=lambda one: statistics.fmean(math.log(other[one]) for other in others))
        ratios.append(math.log(here[arm]) - math.log(here[best]) if here[arm] < math.inf else math.inf)
    if math.inf in ratios:
        return math.inf, 0.0
    if -math.inf in ratios:  # the best of the others diverged here, and this one did not
        return -math.inf, 0.0
    return statistics.fmean(ratios), statistics.stdev(ratios) / math.sqrt(len(ratios))


def _found(rows: list[dict[str, Any]]) -> list[str]:
    """Weights that the control ended with, beside the rule's at that moment."""
    lines = ["| control | weight at the end, over the rule's then | how sure at the end |", "|---|---|---|"]
    for row in rows:
        if row["arm"] in STARTS and "curve" in row:
            last = row["curve"][-1]
            ended, who = STARTS[row["arm"]] * last["strength/penalty"], row["arm"].removeprefix("control ")
            lines.append(f"| {row['set']}, {who}, seed {row['seed']} | {ended:.3g} | {last['strength/sure']:.2f} |")
    return lines if len(lines) > 2 else []


def _cell(ratio: tuple[float, float]) -> str:
    """The ratio and its standard error; bold where it is surely within 5 %."""
    mean, error = ratio
    told = f"{math.exp(mean):.3f} ± {math.exp(mean) * error:.3f}" if math.isfinite(mean) else f"{math.exp(mean):g}"
    return f"**{told}**" if mean + SURE * error <= NEAR else told


def _file(arm: str) -> str:
    return arm.replace(" ", "-")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", default=list(DEFAULT), choices=list(SETS))
    parser.add_argument("--arms", nargs="+", default=[*GRID, *STARTS], choices=[*GRID, *STARTS])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--images", type=int, default=30_000, help="that each run sees")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--only-table", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("runs/gamma"))
    options = parser.parse_args()
    options.cells, left = options.out / str(options.images), 0
    if not options.only_table:
        machine.use_threads(options.threads)
        for name, images in found(options.sets, options.out / "sets").items():
            eyes = seeing(images.load(), options.out / f"{name}-features.json")
            for seed in range(options.seeds):
                for arm in options.arms:
                    path = options.cells / f"{name}-{_file(arm)}-seed{seed}.json"
                    left += not filled(path, one, images, name, arm, seed, options, eyes)
    rows = [json.loads(path.read_text()) for path in sorted(options.cells.glob("*-seed*.json"))]
    if rows:
        (options.cells / "table.md").write_text(told := f"{options.images:,} images a run\n\n{table(rows)}\n")
        print(told)
    if left:
        raise SystemExit(f"{left} runs could not be done, see above; the next start tries them again.")


if __name__ == "__main__":
    main()
