"""True FID on a 28x28 set with held-out images: recipes side by side, the same number of images seen by each, several seeds.

    python benchmarks/fid_table.py --images 60000 --seeds 3                   # hours on two cores; can be stopped and started again
    python benchmarks/fid_table.py --features inception-bf16                  # the same models in half the time, with FD-inception-bf16
    python benchmarks/fid_table.py --features classifier --recipes gan cgan   # in minutes, with FD-classifier
    python benchmarks/fid_table.py --only-table                               # the table of what is done so far

Each model draws as many images as there are held-out ones (10,000), classes in equal parts; FID and KID are taken on the 2015 Inception
network by `gan evaluate`, against the held-out images. The floor is the same of as many training images. Runs that are already in --out
are not trained again, and of other data, --images or --samples they are refused; two processes can share the work, one core each:
taskset -c 1, with recipes of its own and --threads 1. --train-only leaves the judging, which likes all cores, to a later call.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

from cells import kept, typed

import ganforge
from ganforge.core import machine

RECIPES: dict[str, dict[str, Any]] = {
    "dcgan": {},
    "wgan-gp": {},
    "sngan": {"width": 64, "d_width": 64},
    "auto": {},
    **dict.fromkeys(("gan", "cgan", "lsgan", "wgan", "dragan"), {}),
}
"""What is changed of each: the published width of sngan is four times wider than a processor can train in an evening."""
MAIN = list(RECIPES)[:4]
METRICS = "fid,kid,pr"
SAMPLES = 10_000
"""Unless asked for otherwise, and of scores that do not say."""
COMMON = {"evaluate": "none", "snapshots": 5, "save_minutes": 5.0}


def one(name: str, seed: int, options: argparse.Namespace) -> None:
    """Train one recipe with one seed, unless that is done; judge it, unless that is done."""
    folder, told = options.out / f"{name}-{seed}", judged(name, seed, options)
    if told.is_file():
        return
    if not (folder / "recipe.json").is_file():
        settings = {**COMMON, **RECIPES[name], "examples": options.images, "seed": seed, "threads": options.threads}
        run = ganforge.train(options.data, name, out=str(folder), **settings)
    else:
        run = ganforge.resume(folder)
    if not options.train_only:
        machine.use_threads(options.threads)  # a run that was trained on one core has left its own number
        kept(told, scores, run, name, seed, options)


def scores(run: Any, name: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """What a trained run is judged to be, with what it was judged on."""
    found = ganforge.evaluate(run.folder, metrics=METRICS, features=options.features, samples=options.samples)
    last = run.history()[-1]
    row = {"recipe": name, "seed": seed, "images": last["seen"], "seconds": last["seconds"], "samples": options.samples}
    return row | {"values": found.values, "floor": found.floor, "protocol": found.protocol}


def check(name: str, seed: int, options: argparse.Namespace) -> None:
    """Raise SystemExit where this run, or its scores, are there and were made with other settings than those that are asked for."""
    folder, told, had = options.out / f"{name}-{seed}", judged(name, seed, options), {}
    if (folder / "recipe.json").is_file():
        fields = json.loads((folder / "recipe.json").read_text())["fields"]
        had = {"data": fields["data"]["path"], "images": fields["run"]["examples"]}
    if told.is_file():
        had["samples"] = json.loads(told.read_text()).get("samples", SAMPLES)
    if had != (asked := {key: getattr(options, key) for key in had}):
        raise SystemExit(f"{folder} was made with {had}, not {asked}: choose another --out.")


def judged(name: str, seed: int, options: argparse.Namespace) -> Path:
    """Where the numbers of a run lie."""
    return options.out / f"{name}-{seed}" / f"{options.features}.json"


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown: a line a recipe, mean over seeds and each; then the protocol, or each of them and whose it is."""
    fid, kid, *more = rows[0]["values"]
    lines = [f"| recipe | {fid}, mean (each seed) | {kid} x 1000 | {' | '.join(more)} |", "|---" * (3 + len(more)) + "|"]
    for name in dict.fromkeys(row["recipe"] for row in rows):
        mine = [row for row in rows if row["recipe"] == name]
        fids = [row["values"][fid] for row in mine]
        means = {key: statistics.mean(row["values"][key] for row in mine) for key in rows[0]["values"]}
        lines.append(
            f"| `{name}{typed(RECIPES[name])}` | **{means[fid]:.2f}** ({', '.join(f'{v:.2f}' for v in fids)}) "
            f"| {1000 * means[kid]:.2f} | {' | '.join(f'{means[key]:.3f}' for key in more)} |"
        )
    floor = rows[0]["floor"]
    real = f"| real images (floor) | {floor[fid]:.2f} | {1000 * floor[kid]:.2f} | {' | '.join(f'{floor[key]:.3f}' for key in more)} |"
    same: dict[str, list[str]] = {}
    for row in rows:
        same.setdefault(row["protocol"], []).append(f"{row['recipe']} {row['seed']}")
    return "\n".join([*lines, real, "", *(f"{', '.join(runs)}: {protocol}" for protocol, runs in same.items())])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipes", nargs="+", default=MAIN, choices=list(RECIPES))
    parser.add_argument("--data", default="fashion-mnist")
    parser.add_argument("--images", type=int, default=60_000, help="that each run sees")
    parser.add_argument("--samples", type=int, default=SAMPLES)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--features", default="inception", help="also inception-bf16, and whatever else gan evaluate knows")
    parser.add_argument("--train-only", action="store_true")
    parser.add_argument("--only-table", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("runs/fid"))
    options = parser.parse_args()
    jobs = [(name, seed) for seed in range(options.seeds) for name in options.recipes]
    for name, seed in jobs:
        check(name, seed, options)
    if not options.only_table:
        machine.use_threads(options.threads)
        for name, seed in jobs:
            one(name, seed, options)
    done = [path for name, seed in jobs if (path := judged(name, seed, options)).is_file()]
    if done:
        print(table([json.loads(path.read_text()) for path in done]))


if __name__ == "__main__":
    main()
