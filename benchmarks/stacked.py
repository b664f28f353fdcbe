"""A thousand modes: stacked digits, three random ones as the colours of one image, of which a model should draw every kind.

    python benchmarks/stacked.py --images 200000 --seeds 3 --out runs/stacked          # auto on stacked MNIST; can be stopped and started
    python benchmarks/stacked.py --data fashion-mnist --recipes auto dcgan --seeds 1
    python benchmarks/stacked.py --only-table

The published protocol (VEEGAN; PacGAN, arXiv:1712.04086, sec. 4.2): 128,000 stacks to learn from, without labels, 26,000 samples, each
channel named by a classifier of single digits, the number of the 1,000 kinds that occur, and the KL divergence of their shares from
the uniform ones, in nats. That classifier is the one of benchmarks/judge.py, trained on the training digits; beside the models stand
as many real stacks of held-out digits, which bound what it can see: a perfect model has about 0.019 (999 / 2 n) by chance alone.
Published on stacked MNIST (arXiv:1712.04086, table 2): DCGAN 99.0 modes and KL 3.40, PacGAN 1,000 and 0.06. With other --data than mnist
the set is called after it, and compares with nothing published.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

from cells import Last, kept, planned, same
from judge import Judge

from ganforge.core import machine
from ganforge.core.errors import DataError
from ganforge.core.recipe import override
from ganforge.data.images import Images
from ganforge.data.imageset import ImageSet
from ganforge.data.stacked import stacked
from ganforge.metrics.modes import stacked_modes
from ganforge.recipes import find
from ganforge.runs import sampling
from ganforge.runs.grid import grid, save_png

CALLED = {"mnist": "stacked MNIST", "fashion-mnist": "stacked Fashion-MNIST"}
FIRST_SEED = 7_000_000


def one(name: str, seed: int, data: ImageSet, judge: Judge, options: argparse.Namespace) -> dict[str, Any]:
    """Train one recipe with one seed, from its last checkpoint if it was cut off, and count the modes of its samples."""
    budget = {"examples": options.images, "threads": options.threads, "evaluate": "none"}
    start = override(find(name)(data=Images(path=options.data, labels="none")), budget)
    recipe = override(planned(options.place / f"{name}-plan.json", start, data), {"seed": seed})
    print(f"{CALLED.get(options.data, options.data)}, {name}, seed {seed}: {recipe.run.examples:,} images", flush=True)
    method, last = Last.of(recipe, data, options.place / f"{name}-seed{seed}")
    z, y = sampling.starts(method, range(FIRST_SEED, FIRST_SEED + options.samples), 0)
    fakes = sampling.images(last.average.networks["generator"], z, y)
    save_png(grid(fakes[:100], columns=10), options.place / f"{name}-seed{seed}.png")
    row = {"recipe": name, "seed": seed, "seen": last.now.seen, "seconds": last.seconds, "samples": options.samples}
    return row | stacked_modes(fakes, judge.net)


def table(rows: list[dict[str, Any]], real: dict[str, Any]) -> str:
    """Markdown: a line a recipe, mean over seeds and each, and the line of real stacks."""
    lines = ["| | modes of 1,000, mean (each seed) | KL in nats, mean (each seed) | images seen | images/s |", "|---|---|---|---|---|"]
    for name in dict.fromkeys(row["recipe"] for row in rows):
        mine = [row for row in rows if row["recipe"] == name]
        modes, kls = [row["modes"] for row in mine], [row["kl"] for row in mine]
        seen = statistics.fmean(row["seen"] for row in mine)
        lines.append(
            f"| `{name}` | **{statistics.fmean(modes):,.1f}** ({', '.join(f'{m:,}' for m in modes)}) "
            f"| **{statistics.fmean(kls):.3f}** ({', '.join(f'{kl:.3f}' for kl in kls)}) "
            f"| {seen / 1000:,.0f} k | {seen / max(statistics.fmean(row['seconds'] for row in mine), 1e-9):,.0f} |"
        )
    lines.append(f"| real stacks of held-out images | {real['modes']:,} | {real['kl']:.3f} | | |")
    told = f"{real['called']}: {real['samples']:,} samples each; the classifier is right on {real['accuracy']:.2%} of single images."
    return "\n".join([*lines, "", told])


def ceiling(judge: Judge, options: argparse.Namespace) -> dict[str, Any]:
    """What real stacks of held-out digits score."""
    real = stacked(judge.real, options.samples, seed=1).images.float() / 127.5 - 1
    known = {"called": CALLED.get(options.data, f"stacked {options.data}"), "samples": options.samples, "accuracy": judge.accuracy()}
    return {**known, **stacked_modes(real, judge.net)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="", help="a grey set of ten classes; mnist if it can be had, else fashion-mnist")
    parser.add_argument("--recipes", nargs="+", default=["auto"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--images", type=int, default=200_000, help="that each run sees")
    parser.add_argument("--stacks", type=int, default=128_000)
    parser.add_argument("--samples", type=int, default=26_000)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--only-table", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("runs/stacked"))
    options = parser.parse_args()
    options.data = options.data or usual()
    options.place = options.out / f"{options.data}-{options.images}"
    if not options.only_table:
        machine.use_threads(options.threads)
        same(options.place / "settings.json", {"stacks": options.stacks, "samples": options.samples})
        judge = Judge(options.data, Path("runs/judges"))
        kept(options.place / "real.json", ceiling, judge, options)
        data = stacked(Images(path=options.data, flip="no").load(), options.stacks)
        for seed in range(options.seeds):
            for name in options.recipes:
                kept(options.place / f"{name}-seed{seed}.json", one, name, seed, data, judge, options)
    rows = [json.loads(path.read_text()) for path in sorted(options.place.glob("*-seed*.json"))]
    if rows:
        told = table(rows, json.loads((options.place / "real.json").read_text()))
        (options.place / "table.md").write_text(f"{told}\n")
        print(told)


def usual() -> str:
    """mnist, or what stands in for it where it cannot be had."""
    try:
        Images(path="mnist").load()
    except DataError as error:
        print(f"fashion-mnist in place of mnist: {str(error).splitlines()[0]}", flush=True)
        return "fashion-mnist"
    return "mnist"


if __name__ == "__main__":
    main()
