"""auto against dcgan with the classic loss on Fashion-MNIST, the same minutes on the same machine, several seeds.

    python benchmarks/fashion.py --minutes 5 --seeds 3 --out runs/fashion        # about 35 minutes; writes table.md and pictures
    python benchmarks/fashion.py --images 60000 --seeds 1 --recipes wgan lsgan --out runs/recipes   # as many images each, in any time
    taskset -c 1 python benchmarks/fashion.py --recipes dcgan                    # two processes can share the work, a core and recipes each

FD-cnn (benchmarks/judge.py) of 10,000 fakes, classes in equal parts, to the 10,000 held-out images, every tenth of the
run: the last value, and the last over the best, which shows late collapse. "agree": how often the judge takes a fake
for the class that was asked for. "spread": the variance within classes over that of real images. Judging time is not part of the minutes.
The number of images that fit into the minutes is found once for each recipe, before anything is trained (--seeds 0 does no more), so that
it is a quiet machine's; what is trained is not trained again when the command is repeated (--out holds a JSON file of each run, all of the
same budget and data).
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from cells import kept
from judge import Judge

from ganforge.core import machine
from ganforge.core.method import Progress
from ganforge.core.recipe import describe, override, rebuild
from ganforge.core.run import Run
from ganforge.core.train import Tick, train
from ganforge.data.images import Images
from ganforge.recipes import find
from ganforge.runs import sampling
from ganforge.runs.grid import grid, save_png
from ganforge.runs.start import plan

FAKES = 10_000


class Scores:
    """A watcher that judges the averaged generator ten times a run."""

    def __init__(self, judge: Judge, method, picture: Path) -> None:
        self.judge, self.picture, self.rows = judge, picture, []
        self.looked = 0.0
        self.wanted = torch.arange(FAKES) % 10
        self.z, self.y = sampling.starts(method, range(FAKES), 10, self.wanted.tolist())

    def step(self, now: Progress) -> None: ...

    def saved(self, tick: Tick) -> None: ...

    def tick(self, tick: Tick) -> None:
        if int(tick.now.fraction * 10 + 1e-9) > len(self.rows):
            began = time.monotonic()
            fakes = sampling.images(tick.average.networks["generator"], self.z, self.y)
            score = {"seen": tick.now.seen, "seconds": tick.seconds - self.looked, "fd": self.judge.distance(fakes)}
            score |= {"agree": self.judge.agreement(fakes, self.wanted), "spread": self.judge.spread(fakes, self.wanted)}
            self.rows.append(score)
            print("    {seen:,} images: FD-cnn {fd:.2f}, agree {agree:.1%}, spread {spread:.2f}".format(**score), flush=True)
            save_png(grid(fakes[:100], columns=10), self.picture)
            self.looked += time.monotonic() - began


def planned(name: str, options: argparse.Namespace) -> Any:
    """The recipe with everything decided, from the speed of this machine: once, so that all seeds do the same, whatever is running."""
    fields = kept(options.out / f"{name}-plan.json", made, name, options)
    fields.pop("budget", "")
    print(f"{name}: " + "; ".join(fields.pop("notes")), flush=True)
    return rebuild(find(name), fields)


def made(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """A plan as JSON, with its notes and the budget that it is for."""
    recipe = override(find(name)(data=Images(path=options.data)), {"minutes": options.minutes, "examples": options.images or None})
    data = recipe.dataset()
    recipe, told = plan(recipe, data, data.spec, torch.device("cpu"))
    return {**describe(recipe), "notes": told["notes"], "budget": budget(options)}


def budget(options: argparse.Namespace) -> str:
    """What each run may spend, in words."""
    return f"{options.images:,} images" if options.images else f"{options.minutes:g} min"


def check(options: argparse.Namespace) -> None:
    """Raise SystemExit where --out holds plans or results of other data, or of another budget, which one table cannot show."""
    asked, counts = f"{budget(options)} of {options.data}", {}
    for path in options.out.glob("*-plan.json"):
        fields = json.loads(path.read_text())
        had = f"{fields.get('budget') or format(fields['run']['minutes'], 'g') + ' min'} of {fields['data']['path']}"
        if had != asked:
            raise SystemExit(f"{path} is for {had}, not {asked}: choose another --out.")
        counts[path.name.removesuffix("-plan.json")] = fields["run"]["examples"], fields["run"]["batch"]
    for path in results(options):
        row = json.loads(path.read_text())
        count, batch = counts.get(row["recipe"], (options.images, Run.batch))  # of minutes without a plan nobody knows how many images
        if not 0 <= row["seen"] - count < batch:
            raise SystemExit(f"{path} saw {row['seen']:,} images, which is not what {asked} allow: choose another --out.")


def results(options: argparse.Namespace) -> list[Path]:
    return sorted(options.out.glob("*-[0-9]*.json"))


def one(name: str, seed: int, options: argparse.Namespace, judge: Judge) -> dict:
    """Train one recipe with one seed; its scores."""
    recipe = override(planned(name, options), {"seed": seed})
    data, device = recipe.dataset(), torch.device("cpu")
    torch.manual_seed(seed)
    method = recipe.method(data.spec)
    machine.layout(method, recipe.run.layout)
    scores = Scores(judge, method, options.out / f"{name}-{seed}.png")
    with tempfile.TemporaryDirectory() as folder:
        run = replace(recipe.run, save_minutes=1e9)
        train(method, data, run, folder=Path(folder), device=device, watcher=scores)
    best = min(row["fd"] for row in scores.rows)
    last = scores.rows[-1]
    return {"recipe": name, "seed": seed, **last, "best": best, "ratio": last["fd"] / best, "curve": scores.rows}


def table(rows: list[dict], floor: float, budget: str) -> str:
    """Markdown: one line a recipe, mean and spread over seeds."""
    lines = [
        f"| recipe | FD-cnn after {budget}, mean (each seed) | last / best, worst seed | agree | spread | images seen | images/s |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in dict.fromkeys(row["recipe"] for row in rows):
        mine = [row for row in rows if row["recipe"] == name]
        each = ", ".join(f"{row['fd']:.1f}" for row in mine)
        mean, worst = statistics.mean(row["fd"] for row in mine), max(row["ratio"] for row in mine)
        agree, spread, seen = (statistics.mean(row[key] for row in mine) for key in ("agree", "spread", "seen"))
        speed = statistics.mean(row["seen"] / row["seconds"] for row in mine)
        lines.append(
            f"| `{name}` | **{mean:.1f}** ({each}) | {worst:.2f} | {agree:.1%} | {spread:.2f} | {seen / 1000:,.0f} k | {speed:,.0f} |"
        )
    return "\n".join([*lines, f"\nReal training images, as many, score {floor:.2f}.\n"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipes", nargs="+", default=["auto", "dcgan"])
    parser.add_argument("--data", default="fashion-mnist", help="a 28x28 set with held-out images")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--images", type=int, default=0, help="train on so many instead of for so many minutes")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("runs/fashion"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    check(options)
    machine.use_threads(0)
    judge = Judge(options.data, Path("runs/judges"))
    floor = judge.floor(Images(path=options.data).load().images)
    print(f"judge: {judge.accuracy():.2%} on held-out images; real against real {floor:.2f}", flush=True)
    for name in options.recipes:
        planned(name, options)
    for seed in range(options.seeds):
        for name in options.recipes:
            kept(options.out / f"{name}-{seed}.json", one, name, seed, options, judge)
    rows = [json.loads(path.read_text()) for path in results(options)]
    if rows:
        (options.out / "table.md").write_text(told := table(rows, floor, budget(options)))
        print(told)


if __name__ == "__main__":
    main()
