"""Translation whose truth is known: photographs in wrong colours, by night, painted or drawn, learnt without pairs; houses from plans.

    python benchmarks/translate.py                                        # 45 minutes on two cores; runs/translate/table.md
    python benchmarks/translate.py --jobs paint:cut pencil:fastcut --minutes 20 --set width=64
    python benchmarks/translate.py --jobs paint:cut --photos holiday/ --out runs/holiday

Without pairs the two domains are two halves of the training photographs of benchmarks/photographs.py: one as it is, the other behind a
filter. No photograph is seen both ways, and the test photographs, whose filtered selves are the truth, are seen in no way at all. Rivals:
the input as it is, and its colours brought to those of the other domain, classically (each method in its best form), which goes far where
a colour's brightness decides what becomes of it (night), and not where colours change places (film). With pairs: the picture of the
training plan that is most like the test plan; "kinds" is how well a picture shows what the plan says (mean intersection over union, see
houses.kinds).
PSNR, SSIM and the perceptual distance are means over the test images. What is done already is not done again, so two processes can share
the work, one core each: taskset -c 1, with jobs of its own and --threads 1. table.md, a picture a job and the runs are in --out.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import shutil
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import houses
import numpy as np
import torch
from cells import kept, same
from numpy.typing import NDArray
from photographs import SUFFIXES, groceries, middles
from PIL import Image, ImageFilter
from torch import Tensor

import ganforge
from ganforge.core import machine
from ganforge.data.source import cache_folder
from ganforge.metrics.classical import restored
from ganforge.metrics.classical.colouring import palette
from ganforge.metrics.classical.known import Known
from ganforge.metrics.likeness import sight
from ganforge.metrics.pairs import psnr, ssim
from ganforge.runs.grid import grid, save_png

Picture = NDArray[np.uint8]
Rows = dict[str, dict[str, float]]
"""Way -> means over the test images."""
JOBS = ("film:cut", "film:cyclegan", "paint:cut", "night:cut", "houses:pix2pix")
BRIEF = {"width": 16, "d_width": 16, "blocks": 3, "residual": True, "lr": 5e-4}
SMALL: dict[str, dict[str, Any]] = {
    **dict.fromkeys(("cut", "fastcut"), {**BRIEF, "patches": 64, "identity": False}),
    "cyclegan": {**BRIEF, "identity_weight": 0.0},
    "pix2pix": {"depth": 3, "d_width": 32},
}
"""What a processor can train in minutes: the published networks are several times wider and deeper, and look at what they make of images
that are of the wanted domain already, which takes as long again."""
OF_TASK: dict[str, dict[str, Any]] = {"night": {"residual": False}}
"""What is changed for a task: a change that is drawn of normalised maps and added to a picture hardly darkens it."""
SIDE, TESTS, SHOWN = 256, 24, 5
"""Of test photographs, how many, and how many of them are on the picture."""
PLANS, PLAN = {"train": 400, "test": 40}, 64
"""Houses, and their side in pixels."""
NEARER = 2.0
"""Decibels by which a picture from a plan is to be above the nearest plan's."""


def night(photo: Picture) -> Picture:
    """Dark and blue, and what was bright glows into what lies around it."""
    x = photo / 255.0
    bright = Image.fromarray((255 * x.mean(2) ** 4).astype(np.uint8)).filter(ImageFilter.GaussianBlur(8))
    glow = np.asarray(bright)[..., None] / 255
    out = 0.5 * x**1.7 * np.array([0.6, 0.75, 1.15]) + 0.6 * glow * np.array([1.0, 0.8, 0.4])
    return (255 * out.clip(0, 1)).round().astype(np.uint8)


def paint(photo: Picture) -> Picture:
    """Flat areas with soft edges (OpenCV's stylization)."""
    import cv2

    return np.ascontiguousarray(cv2.stylization(np.ascontiguousarray(photo[:, :, ::-1]), sigma_s=40, sigma_r=0.4)[:, :, ::-1])


def pencil(photo: Picture) -> Picture:
    """Coloured pencils (OpenCV's pencilSketch)."""
    import cv2

    made = cv2.pencilSketch(np.ascontiguousarray(photo[:, :, ::-1]), sigma_s=40, sigma_r=0.07, shade_factor=0.04)[1]
    return np.ascontiguousarray(made[:, :, ::-1])


def film(photo: Picture) -> Picture:
    """As on film that was developed wrongly: what is red comes out blue, and what is blue red."""
    return np.ascontiguousarray(photo[:, :, ::-1])


FILTERS: dict[str, Callable[[Picture], Picture]] = {"film": film, "night": night, "paint": paint, "pencil": pencil}


def hidden_pairs(task: str, photos: Path, out: Path) -> tuple[Sequence[Picture], Sequence[Picture], Known]:
    """Write trainA and trainB; test photographs, what they are to become, and the colours of both domains."""
    change, paths = FILTERS[task], sorted(path for path in (photos / "train").rglob("*") if path.suffix.lower() in SUFFIXES)
    found = [np.asarray(Image.open(path).convert("RGB")) for path in paths]
    parts = {"trainA": found[::2], "trainB": [change(photo) for photo in found[1::2]]}
    for name, pictures in parts.items():
        write(out / name, pictures)
    given = [pixels(x[None] / 127.5 - 1) for x in middles(photos / "test", SIDE, TESTS)]
    known = Known(source=palette(parts["trainA"][::4]), target=palette(parts["trainB"][::4]))
    return given, [change(photo) for photo in given], known


def house_pairs(out: Path) -> dict[str, list[houses.Plan]]:
    """Write train/ and test/ with plan and picture side by side; the plans."""
    draw = np.random.default_rng(0)
    plans = {part: [houses.plan(draw, PLAN) for _ in range(count)] for part, count in PLANS.items()}
    for part, found in plans.items():
        write(out / part, [np.concatenate([houses.drawn(one), houses.picture(one)], 1) for one in found])
    return plans


def write(folder: Path, pictures: Sequence[Picture]) -> None:
    """All of them or none; what is there already is as good."""
    if folder.is_dir():
        return
    partial = folder.with_name(f"{folder.name}-{os.getpid()}")
    partial.mkdir(parents=True)
    for number, picture in enumerate(pictures):
        Image.fromarray(picture).save(partial / f"{number:04}.png")
    try:
        partial.rename(folder)
    except OSError:  # another process was first
        shutil.rmtree(partial)


def learn(data: Path, job: str, seed: int, options: argparse.Namespace) -> tuple[Callable[[Picture], Picture], dict[str, float]]:
    """Train on a folder, or go on; what the generator makes of a picture, and what it took."""
    out, (task, _, recipe) = run_of(job, seed, options), job.partition(":")
    if (out / "recipe.json").is_file():
        run = ganforge.resume(out)
    else:
        chosen = {**SMALL.get(recipe, {}), **OF_TASK.get(task, {}), "minutes": options.minutes, "seed": seed, "threads": options.threads}
        for name, value in (word.split("=", 1) for word in options.set):
            chosen[name.replace("-", "_")] = ast.literal_eval(value) if value[0] in "0123456789TF" else value
        run = ganforge.train(str(data), recipe, evaluate="none", out=str(out), **chosen)
    if not run.finished:
        raise SystemExit(run.exit_code)  # Ctrl-C: the next call goes on from here
    machine.use_threads(options.threads)
    network = run.model().networks["generator"]

    @torch.inference_mode()
    def translate(picture: Picture) -> Picture:
        return pixels(network(tensor(picture)))

    return translate, {"minutes": run.history()[-1]["seconds"] / 60, "seen": run.seen}


def run_of(job: str, seed: int, options: argparse.Namespace) -> Path:
    return options.out / f"{job.replace(':', '-')}-{seed}"


def tensor(picture: Picture) -> Tensor:
    """(h, w, 3) uint8 -> (1, 3, h, w) in [-1, 1]."""
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None] / 127.5 - 1


def pixels(x: Tensor) -> Picture:
    """The inverse."""
    return (x[0].clamp(-1, 1) * 127.5 + 127.5).round().to(torch.uint8).permute(1, 2, 0).numpy()


def judged(ways: Mapping[str, Sequence[Picture]], truths: Sequence[Picture]) -> Rows:
    """Every way against the truths."""
    eye = sight("efficientnet-lite0", cache_folder(), "cpu")
    rows: Rows = {}
    for way, made in ways.items():
        pairs = [(tensor(a), tensor(b)) for a, b in zip(made, truths, strict=True)]
        each = {
            "PSNR": [psnr(a, b).clamp(max=100) for a, b in pairs],
            "SSIM": [ssim(a, b) for a, b in pairs],
            eye.name: [eye.distance(a, b) for a, b in pairs],
        }
        rows[way] = {name: float(torch.cat(values).mean()) for name, values in each.items()}
    return rows


def unpaired(job: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """A filter, learnt from photographs of which none was seen both ways."""
    task, _, recipe = job.partition(":")
    data = options.out / "data" / task
    inputs, truths, known = hidden_pairs(task, options.photos, data)
    ways: dict[str, list[Picture]] = {}
    for given in inputs:
        for way, made in restored("transfer", given, known).items():
            ways.setdefault(way, []).append(made)
    translate, took = learn(data, job, seed, options)
    ways[recipe] = [translate(given) for given in inputs]
    rows = judged(ways, truths)
    rival = max((way for way in ways if way != recipe), key=lambda way: rows[way]["PSNR"])
    show([inputs, ways[rival], ways[recipe], truths], job, seed, options)
    return {"job": job, "seed": seed, "rows": rows, "picture": ["given", rival, recipe, "truth"], "images": len(truths), **took}


def paired(job: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """Pictures of houses from their plans."""
    recipe = job.partition(":")[2]
    plans = house_pairs(options.out / "data" / "houses")
    truths, before = [houses.picture(p) for p in plans["test"]], [houses.picture(p) for p in plans["train"]]
    nearest = [int(np.argmin([(p != q).sum() for q in plans["train"]])) for p in plans["test"]]
    translate, took = learn(options.out / "data" / "houses", job, seed, options)
    given = [houses.drawn(p) for p in plans["test"]]
    ways = {"nearest plan": [before[i] for i in nearest], recipe: [translate(p) for p in given], "truth": truths}
    rows = judged(ways, truths)
    known = houses.palette(plans["train"], before)
    for way, made in ways.items():
        rows[way]["kinds"] = float(np.mean([houses.overlap(houses.kinds(m, known), p) for m, p in zip(made, plans["test"], strict=True)]))
    show([given, ways["nearest plan"], ways[recipe], truths], job, seed, options)
    shown = ["plan", "nearest plan's picture", recipe, "truth"]
    return {"job": job, "seed": seed, "rows": rows, "picture": shown, "images": len(truths), **took}


def show(columns: Sequence[Sequence[Picture]], job: str, seed: int, options: argparse.Namespace) -> None:
    """One row a test image, of the first seed."""
    if seed == 0:
        shown = [column[:: max(1, len(column) // SHOWN)][:SHOWN] for column in columns]
        cells = [tensor(column[row]) for row in range(len(shown[0])) for column in shown]
        save_png(grid(torch.cat(cells), columns=len(shown)), options.out / f"{job.replace(':', '-')}.png")


def table(found: Sequence[Mapping[str, Any]]) -> str:
    """Markdown of one job: one line a way, means over seeds."""
    ways, names = list(found[0]["rows"]), list(next(iter(found[0]["rows"].values())))
    mean = {way: {name: statistics.mean(one["rows"][way][name] for one in found) for name in names} for way in ways}
    lines = [f"| {found[0]['job']} | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    lines += [f"| {way} | " + " | ".join(f"{mean[way][name]:.3f}" for name in names) + " |" for way in ways]
    took = ", ".join(f"{one['minutes']:.1f} min {one['seen']:,} images seen" for one in found)
    how = f"{found[0]['images']} test images; {took}. The picture: {', '.join(found[0]['picture'])}."
    return "\n".join([*lines, "", goal(found[0]["job"], mean), "", how])


def goal(job: str, mean: Mapping[str, Mapping[str, float]]) -> str:
    """What was to be reached, and whether it was."""
    recipe = job.partition(":")[2]
    ours, others = mean[recipe], {way: row for way, row in mean.items() if way not in (recipe, "truth")}
    if job.startswith("houses"):
        gain = ours["PSNR"] - others["nearest plan"]["PSNR"]
        return f"Goal: {NEARER} dB above the nearest plan. Reached: {gain:+.2f} dB, {'met' if gain >= NEARER else 'not met'}."
    told = []
    for name, value in ours.items():
        sign = 1 if name in ("PSNR", "SSIM") else -1
        best = max(others, key=lambda way, name=name, sign=sign: sign * others[way][name])
        nearer = sign * (value - others[best][name]) > 0
        told.append(f"{name} {value:.3f} against {others[best][name]:.3f} of {best}, {'met' if nearer else 'not met'}")
    return f"Goal: nearer to the truth than any of these. Reached: {'; '.join(told)}."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--jobs", nargs="+", default=JOBS, help="TASK:RECIPE, of film, night, paint, pencil and cut, fastcut, cyclegan; houses:pix2pix"
    )
    parser.add_argument("--photos", type=Path, default=Path("runs/photographs"), help="a folder of train/ and test/; fetched if absent")
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="more options of the recipes, such as width=16")
    parser.add_argument("--out", type=Path, default=Path("runs/translate"))
    options = parser.parse_args()
    if unknown := [job for job in options.jobs if job.partition(":")[0] not in (*FILTERS, "houses") or ":" not in job]:
        parser.error(f"{unknown[0]} is no job: TASK:RECIPE, such as paint:cut")
    options.out.mkdir(parents=True, exist_ok=True)
    machine.use_threads(options.threads)
    groceries(options.photos)
    same(options.out / "settings.json", {key: str(getattr(options, key)) for key in ("minutes", "threads", "set", "photos")})
    for job in options.jobs:
        for seed in range(options.seeds):
            make = paired if job.startswith("houses") else unpaired
            kept(run_of(job, seed, options).with_suffix(".json"), make, job, seed, options)
    found = [json.loads(path.read_text()) for path in sorted(options.out.glob("*-*.json"))]
    jobs = {job: [one for one in found if one["job"] == job] for job in dict.fromkeys(one["job"] for one in found)}
    text = "\n\n".join(table(each) for each in jobs.values()) + "\n"
    (options.out / "table.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
