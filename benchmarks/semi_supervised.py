"""Recognition from few labels: the semi-supervised GAN's classifier against the same network on the labels alone, and two classics.

    python benchmarks/semi_supervised.py --data fashion-mnist --minutes 10 --seeds 3 --out runs/semi     # can be stopped and started again
    python benchmarks/semi_supervised.py --out runs/semi --only-table                                    # of what is done so far

Error on the held-out images after the whole budget: no stopping early, no choice of the best. For every seed and number of labels all
four see the same labelled images. "Labels alone" is the classifier's network with the same optimiser, batch, averaging and dropout,
trained for `--alone-steps` steps. Label spreading (scikit-learn, 7 neighbours) sees the pixels of up to `--spread` images without labels,
too, logistic regression those of the labelled ones alone. The goal: an error at least a quarter below that of the labels alone.
How many images the minutes allow is found once, before the first GAN is trained, and kept. Needs scikit-learn.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from cells import Last, kept, planned, same
from torch.nn.functional import cross_entropy

from ganforge.core import machine
from ganforge.core.ema import Average
from ganforge.core.engine import seed_step
from ganforge.core.method import Progress
from ganforge.core.recipe import override
from ganforge.data.images import Images
from ganforge.recipes import find

WAYS = ("semi-supervised GAN", "labels alone", "label spreading", "logistic regression")
GOAL = 0.25
"""What the GAN should take off the error of the labels alone."""


@torch.inference_mode()
def error(classifier, held) -> float:
    """Share of held-out images that a classifier in eval mode names wrong."""
    x = held.images.float() / 127.5 - 1
    told = torch.cat([classifier(part).argmax(1) for part in x.split(256)])
    return float((told != held.labels).float().mean())


def by_gan(recipe, data, folder: Path) -> tuple[float, int]:
    """Error of the averaged classifier at the end of the budget, and how many images were seen. Goes on from a checkpoint in `folder`."""
    _, end = Last.of(recipe, data, folder)
    return error(end.average.networks["classifier"], data.held_out), end.now.seen


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


def table(rows: list[dict]) -> str:
    """Markdown: a line for each number of labels; mean error and that of each seed; what the GAN takes off the labels-alone error."""
    lines = [f"| labels a class | {' | '.join(WAYS)} | GAN's error below labels alone |", "|---" * (len(WAYS) + 2) + "|"]
    for labels in sorted({row["labels"] for row in rows}):
        mine = [row for row in rows if row["labels"] == labels]
        mean = {way: statistics.mean(row[way] for row in mine) for way in WAYS}
        cells = [f"{mean[way]:.1%} ({', '.join(f'{row[way]:.1%}' for row in mine)})" for way in WAYS]
        less = 1 - mean[WAYS[0]] / mean[WAYS[1]]
        lines.append(f"| {labels} | {' | '.join(cells)} | {less:.0%}: goal {'met' if less >= GOAL else 'missed'} |")
    seen = {row["seen"] for row in rows}
    told = " or ".join(f"{count:,}" for count in sorted(seen))
    return "\n".join([*lines, f"\nEach GAN saw {told} images. Goal: {GOAL:.0%} below.\n"])


def one(labels: int, seed: int, options: argparse.Namespace) -> dict:
    """All four ways with the same labelled images."""
    began = time.monotonic()
    start = find("semi-supervised")(data=Images(path=options.data))
    budget = {"minutes": options.minutes, "examples": options.examples, "threads": options.threads, "evaluate": "none"}
    start = override(start, {**budget, "labels_per_class": labels, "width": options.width})
    recipe = planned(options.out / "plan.json", start, start.dataset())
    recipe = override(recipe, {"labels_per_class": labels, "seed": seed})
    data = recipe.dataset()
    spread, line = by_pixels(data, options, seed)
    alone = by_labels(recipe, data, options)
    gan, seen = by_gan(recipe, data, options.out / f"gan-{labels}-seed{seed}")
    row = {"labels": labels, "seed": seed, "seen": seen, **dict(zip(WAYS, (gan, alone, spread, line)))}
    told = ", ".join(f"{way} {row[way]:.1%}" for way in WAYS)
    print(f"{labels} labels a class, seed {seed}: {told} ({time.monotonic() - began:.0f} s)", flush=True)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="fashion-mnist", help="a set of images with classes and held-out images")
    parser.add_argument("--labels", type=int, nargs="+", default=[10, 50, 100], help="labelled images a class")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=10.0, help="for each GAN")
    parser.add_argument("--examples", type=int, help="images for each GAN, in place of minutes")
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--alone-steps", type=int, default=3000)
    parser.add_argument("--spread", type=int, default=10_000)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--only-table", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("runs/semi"))
    options = parser.parse_args()
    if not options.only_table:
        machine.use_threads(options.threads)
        asked = ("data", "minutes", "examples", "width", "alone_steps", "spread")
        same(options.out / "settings.json", {key: getattr(options, key) for key in asked})
        for seed in range(options.seeds):
            for labels in options.labels:
                kept(options.out / f"labels{labels}-seed{seed}.json", one, labels, seed, options)
    rows = [json.loads(path.read_text()) for path in sorted(options.out.glob("labels*-seed*.json"))]
    if rows:
        (options.out / "table.md").write_text(told := table(rows))
        print(told)


if __name__ == "__main__":
    main()
