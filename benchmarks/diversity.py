"""What asks for variety, and what gives it up: precision and recall of each, beside the same model without.

    python benchmarks/diversity.py --images 60000 --seeds 3        # about an hour on two cores; can be stopped and started again
    python benchmarks/diversity.py --only-table                    # of what is done so far

Every row is judged by 10,000 samples of the averaged generator against the 10,000 held-out images, on the features of a small classifier
(FD-classifier, not FID). What is drawn otherwise, by truncation or rejection, is drawn from the model of the first row of its recipe; of
rejection the share of kept seeds is told. Trained without labels, as packing needs. Runs that are there already are not trained again;
two processes can share the work, one core each: taskset -c 1, with a recipe of its own (--only) and --threads 1.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

from cells import kept, same, typed
from torch import Tensor

import ganforge
from ganforge.core import machine
from ganforge.data.images import Images
from ganforge.data.source import cache_folder
from ganforge.metrics import measure
from ganforge.metrics.features import Features, cached, extract, find, to_uint8

RECIPES: dict[str, dict[str, Any]] = {"dcgan": {}, "stylegan2": {"width": 16}}
TRAINED: dict[str, list[dict[str, Any]]] = {
    "dcgan": [{}, {"pack": 2}, {"networks": "dcgan_spread"}, {"networks": "dcgan_nearness"}, {"mode_seeking": 1.0}],
    "stylegan2": [{}],
}
"""What is changed of each recipe, a training each."""
DRAWN: dict[str, list[dict[str, Any]]] = {
    "dcgan": [{"truncation": 1.0}, {"truncation": 0.5}, {"reject": True}],
    "stylegan2": [{"truncation": 0.7}, {"truncation": 0.4}],
}
"""How else the trained model is drawn from."""
METRICS = ("fid", "pr", "prdc")
SAMPLES = 10_000


def one(recipe: str, change: dict[str, Any], seed: int, data: Any, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Train, or go on; the scores of what the model draws, in every way."""
    folder = options.out / f"{recipe}{typed(change).replace(' --', '-').replace(' ', '-')}-{seed}"
    if (folder / "recipe.json").is_file():
        run = ganforge.resume(folder)
    else:
        chosen = {**RECIPES[recipe], **change, "examples": options.images, "seed": seed, "threads": options.threads}
        run = ganforge.train(options.data, recipe, labels="none", evaluate="none", out=str(folder), **chosen)
    if not run.finished:
        raise SystemExit(run.exit_code)  # Ctrl-C: the next call goes on from here
    machine.use_threads(options.threads)
    model = run.model()
    rows = [{"row": recipe + typed(RECIPES[recipe] | change), "seed": seed, **judged(model, range(SAMPLES), data)}]
    for way in DRAWN[recipe] if not change else ():
        seeds, told = range(SAMPLES), dict[str, float]()
        if way.get("reject"):
            judge, tried = ganforge.Rejection(run.folder, model), range(0)
            seeds = []
            while len(seeds) < SAMPLES:
                tried = range(tried.stop, tried.stop + SAMPLES)
                seeds += judge.kept(tried)
            seeds, told = seeds[:SAMPLES], {"kept": len(seeds) / tried.stop}
        told |= judged(model, seeds, data, way.get("truncation"))
        rows.append({"row": f"{recipe}{typed(RECIPES[recipe])}, drawn with{typed(way)}", "seed": seed, **told})
    return rows


def judged(model: Any, seeds: Any, data: Any, truncation: float | None = None) -> dict[str, float]:
    """FD, precision, recall, density and coverage of the images of these seeds against the held-out ones."""
    eyes = find("classifier", data=data)
    return scores(extract(eyes, to_uint8(model.generate(seeds, output="tensor", truncation=truncation))), eyes, data)


def floor(data: Any) -> list[dict[str, Any]]:
    """The same of training images."""
    eyes = find("classifier", data=data)
    return [{"row": "real training images", "seed": 0, **scores(cached(eyes, data, cache_folder(), limit=SAMPLES).rows, eyes, data)}]


def scores(fake: Tensor, eyes: Features, data: Any) -> dict[str, float]:
    """Of feature rows (n, f) against those of the held-out images."""
    real = cached(eyes, data.held_out, cache_folder(), limit=SAMPLES).rows
    return {name: score.value for name, score in measure.measure(fake, real, METRICS, features=eyes).items()}


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown: a line a row, means over the seeds, each seed's FD and recall."""
    names = [key for key in rows[0] if key not in ("row", "seed", "kept")]
    lines = [f"| | {' | '.join(names)} | seeds |", "|---" * (len(names) + 2) + "|"]
    for row in dict.fromkeys(one["row"] for one in rows):
        mine = [one for one in rows if one["row"] == row]
        cells = [f"{statistics.fmean(one[name] for one in mine):.{1 if name.startswith('FD') else 3}f}" for name in names]
        each = ", ".join(f"{one[names[0]]:.1f}" for one in mine)
        kept = f", {statistics.fmean(one['kept'] for one in mine):.0%} of the seeds kept" if "kept" in mine[0] else ""
        lines.append(f"| `{row}`{kept} | {cells[0]} ({each}) | {' | '.join(cells[1:])} | {len(mine)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="fashion-mnist", help="a set with classes and held-out images")
    parser.add_argument("--images", type=int, default=60_000, help="that each run sees")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="+", default=list(RECIPES), choices=list(RECIPES))
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--only-table", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("runs/diversity"))
    options = parser.parse_args()
    same(options.out / "settings.json", {"data": options.data, "images": options.images, "samples": SAMPLES})
    if not options.only_table:
        machine.use_threads(options.threads)
        data = Images(path=options.data).load()
        for seed in range(options.seeds):
            for recipe in options.only:
                for number, change in enumerate(TRAINED[recipe]):
                    kept(options.out / f"rows-{recipe}-{number}-{seed}.json", one, recipe, change, seed, data, options)
        kept(options.out / "rows-real.json", floor, data)
    rows = [row for path in sorted(options.out.glob("rows-*.json")) for row in json.loads(path.read_text())]
    if rows:
        told = f"{options.images:,} images seen by each run\n\n{table(rows)}\n"
        (options.out / "table.md").write_text(told)
        print(told)


if __name__ == "__main__":
    main()
