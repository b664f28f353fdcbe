"""Recognition from few labels: the semi-supervised GAN's classifier against the same network on the labels alone, and two classics.

    python benchmarks/semi_supervised.py --data fashion-mnist --minutes 10 --seeds 3 --out runs/semi     # writes table.md and errors.json

Error on the held-out images after the whole budget: no stopping early, no choice of the best. For every seed and number of labels all
four see the same labelled images. "Labels alone" is the classifier's network with the same optimiser, batch, averaging and dropout,
trained for `--alone-steps` steps. Label spreading (scikit-learn, 7 neighbours) sees the pixels of up to `--spread` images without labels,
too, logistic regression those of the labelled ones alone. Needs scikit-learn.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from ganforge.core import machine
from ganforge.core.ema import Average
from ganforge.core.engine import seed_step
from ganforge.core.method import Progress
from ganforge.core.recipe import override
from ganforge.core.train import Tick, train
from ganforge.data.images import Images
from ganforge.recipes import find
from ganforge.runs.start import plan

WAYS = ("semi-supervised GAN", "labels alone", "label spreading", "logistic regression")


class Last:
    """A watcher that keeps the averaged classifier."""

    def __init__(self) -> None:
        self.classifier, self.seen = None, 0

    def step(self, now: Progress) -> None: ...

    def saved(self, tick: Tick) -> None: ...

    def tick(self, tick: Tick) -> None:
        self.classifier, self.seen = tick.average.networks["classifier"], tick.now.seen


@torch.inference_mode()
def error(classifier, held) -> float:
    """Share of held-out images that a classifier in eval mode names wrong."""
    x = held.images.float() / 127.5 - 1
    told = torch.cat([classifier(part).argmax(1) for part in x.split(256)])
    return float((told != held.labels).float().mean())


def by_gan(recipe, data, options) -> tuple[float, int]:
    """Error of the averaged classifier at the end of the budget, and how many images were seen."""
    recipe, planned = plan(recipe, data, data.spec, torch.device("cpu"))
    torch.manual_seed(recipe.run.seed)
    method, last = recipe.method(data.spec), Last()
    machine.layout(method, recipe.run.layout)
    with tempfile.TemporaryDirectory() as folder:
        train(method, data, replace(recipe.run, save_minutes=1e9), folder=Path(folder), device=torch.device("cpu"), watcher=last)
    return error(last.classifier, data.held_out), last.seen


def by_labels(recipe, data, options) -> float:
    """The same network, optimiser, batch and averaging, with nothing but the labels."""
    run = recipe.run
    torch.manual_seed(run.seed)
    classifier = recipe.method(data.spec).classifier
    mover = torch.optim.Adam(classifier.parameters(), lr=recipe.lr, betas=(recipe.beta1, recipe.beta2))
    average = Average({"classifier": classifier}, run.ema)
    batches = data.known.batches(run.batch, seed=run.seed)
    for step, batch in enumerate(islice(batches, options.alone_steps)):
        seed_step(run.seed, 0, step)
        mover.zero_grad(set_to_none=True)
        cross_entropy(classifier(batch["x"]), batch["y"]).backward()
        mover.step()
        average.update(Progress(step + 1, (step + 1) * run.batch, options.alone_steps * run.batch), run.batch)
    return error(average.networks["classifier"], data.held_out)


def by_pixels(data, options, seed: int) -> tuple[float, float]:
    """Errors of label spreading and of logistic regression."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.semi_supervised import LabelSpreading

    def flat(images):
        return (images.flatten(1).numpy() / 255).astype(np.float32)

    known, y = flat(data.known.images), data.known.labels.numpy()
    rest = torch.randperm(len(data), generator=torch.Generator().manual_seed(seed))[: options.spread]
    test, truth = flat(data.held_out.images), data.held_out.labels.numpy()
    spread = LabelSpreading(kernel="knn", n_neighbors=7, max_iter=100)
    spread.fit(np.concatenate([known, flat(data.images[rest])]), np.concatenate([y, np.full(len(rest), -1)]))
    line = LogisticRegression(max_iter=2000).fit(known, y)
    return float((spread.predict(test) != truth).mean()), float((line.predict(test) != truth).mean())


def table(rows: list[dict], minutes: float) -> str:
    """Markdown: a line for each number of labels; mean error and that of each seed; what the GAN takes off the labels-alone error."""
    lines = [f"| labels a class | {' | '.join(WAYS)} | GAN's error below labels alone |", "|---" * (len(WAYS) + 2) + "|"]
    for labels in dict.fromkeys(row["labels"] for row in rows):
        mine = [row for row in rows if row["labels"] == labels]
        mean = {way: statistics.mean(row[way] for row in mine) for way in WAYS}
        cells = [f"{mean[way]:.1%} ({', '.join(f'{row[way]:.1%}' for row in mine)})" for way in WAYS]
        lines.append(f"| {labels} | {' | '.join(cells)} | {1 - mean[WAYS[0]] / mean[WAYS[1]]:.0%} |")
    seen = statistics.mean(row["seen"] for row in rows)
    return "\n".join([*lines, f"\nGAN: {minutes:g} minutes or {seen / 1000:,.0f} k images each.\n"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="fashion-mnist", help="a set of images with classes and held-out images")
    parser.add_argument("--labels", type=int, nargs="+", default=[10, 50, 100], help="labelled images a class")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=10.0, help="for each GAN")
    parser.add_argument("--examples", type=int, default=0, help="images for each GAN, in place of minutes")
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--alone-steps", type=int, default=3000)
    parser.add_argument("--spread", type=int, default=10_000)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/semi"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    machine.use_threads(options.threads)
    rows = []
    for seed in range(options.seeds):
        for labels in options.labels:
            began = time.monotonic()
            budget = {
                "seed": seed,
                "minutes": options.minutes,
                "examples": options.examples,
                "threads": options.threads,
                "evaluate": "none",
            }
            recipe = find("semi-supervised")(data=Images(path=options.data))
            recipe = override(recipe, {**budget, "labels_per_class": labels, "width": options.width})
            data = recipe.dataset()
            spread, line = by_pixels(data, options, seed)
            alone = by_labels(recipe, data, options)
            gan, seen = by_gan(recipe, data, options)
            rows.append({"labels": labels, "seed": seed, "seen": seen, **dict(zip(WAYS, (gan, alone, spread, line)))})
            told = ", ".join(f"{way} {rows[-1][way]:.1%}" for way in WAYS)
            print(f"{labels} labels a class, seed {seed}: {told} ({time.monotonic() - began:.0f} s)", flush=True)
            (options.out / "errors.json").write_text(json.dumps(rows, indent=1))
            (options.out / "table.md").write_text(table(rows, options.minutes))
    print((options.out / "table.md").read_text())


if __name__ == "__main__":
    main()
