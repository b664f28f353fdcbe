"""Translation whose truth is known: photographs by night or as drawings, learnt without pairs; houses from their plans, with pairs.

    python benchmarks/translate.py paint --minutes 5                        # cut, on the photographs that scikit-image brings
    python benchmarks/translate.py pencil --recipe fastcut --photos holiday/ --minutes 30
    python benchmarks/translate.py houses --minutes 3                       # pix2pix

Without pairs every photograph is cut into three strips, in turns: one for A as it is, one for B behind the filter, one for the test. So
the two domains are alike in content, no pixel is in two parts, and the test strip behind the filter is a truth that nobody trained on.
Rivals: the input as it is, and its colours brought to those of B, classically, which goes far where colour is nearly all that changes
(night). With pairs: the picture of the training plan that is most like the test plan; "kinds" is how well a picture shows what the plan
says (mean intersection over union, see houses.kinds).
PSNR, SSIM and the perceptual distance are means over the test images; data, table.md, scores.json and before-after.png go to --out.
"""

from __future__ import annotations

import argparse
import ast
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import houses
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from torch import Tensor

import ganforge
from ganforge.metrics.classical import restored
from ganforge.metrics.classical.colouring import palette
from ganforge.metrics.classical.known import Known
from ganforge.metrics.likeness import sight
from ganforge.metrics.pairs import psnr, ssim
from ganforge.runs.grid import grid, save_png

Picture = NDArray[np.uint8]
Examples = list[tuple[Picture, Picture]]
"""(input, truth) of each test image."""
LONGEST = 768
"""Photographs are shrunk until no side is longer."""
SHOWN = 6
"""Test images on the picture."""
PLANS = {"train": 400, "test": 40}


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


FILTERS: dict[str, Callable[[Picture], Picture]] = {"night": night, "paint": paint, "pencil": pencil}


def photographs(folder: str) -> list[Picture]:
    """Those of a folder, or the ones that scikit-image and scikit-learn bring."""
    if folder:
        paths = sorted(p for p in Path(folder).rglob("*") if p.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp"))
    else:
        import skimage
        import sklearn

        names = ("astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "rocket.jpg")
        paths = [Path(skimage.__file__).parent / "data" / name for name in names]
        paths += [Path(sklearn.__file__).parent / "datasets" / "images" / name for name in ("china.jpg", "flower.jpg")]
    found = []
    for path in paths:
        with Image.open(path) as picture:
            photo = picture.convert("RGB")
            photo.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
            found.append(np.asarray(photo))
    return found


def hidden_pairs(photos: Sequence[Picture], change: Callable[[Picture], Picture], out: Path) -> tuple[Examples, Known]:
    """Write trainA, trainB, testA and testB; the test pairs, and the colours of both domains."""
    parts: dict[str, list[Picture]] = {"trainA": [], "trainB": [], "testA": [], "testB": []}
    for number, photo in enumerate(photos):
        changed, width = change(photo), photo.shape[1] // 3
        a, b, test = (slice(at * width, (at + 1) * width) for at in np.roll(range(3), number))
        parts["trainA"].append(photo[:, a])
        parts["trainB"].append(changed[:, b])
        parts["testA"].append(photo[:, test])
        parts["testB"].append(changed[:, test])
    for name, pictures in parts.items():
        write(out / name, pictures)
    known = Known(source=palette(parts["trainA"]), target=palette(parts["trainB"]))
    return list(zip(parts["testA"], parts["testB"], strict=True)), known


def house_pairs(side: int, out: Path) -> dict[str, list[houses.Plan]]:
    """Write train/ and test/ with plan and picture side by side; the plans."""
    draw = np.random.default_rng(0)
    plans = {part: [houses.plan(draw, side) for _ in range(count)] for part, count in PLANS.items()}
    for part, found in plans.items():
        write(out / part, [np.concatenate([houses.drawn(one), houses.picture(one)], 1) for one in found])
    return plans


def write(folder: Path, pictures: Sequence[Picture]) -> None:
    folder.mkdir(parents=True)
    for number, picture in enumerate(pictures):
        Image.fromarray(picture).save(folder / f"{number:04}.png")


def learn(data: Path, out: Path, options: argparse.Namespace) -> tuple[Callable[[Picture], Picture], str]:
    """Train on a folder; what the generator makes of a picture, and how it was trained in words."""
    chosen: dict[str, Any] = {"minutes": options.minutes, "seed": options.seed, "evaluate": "none", "out": str(out)}
    for name, value in (word.split("=", 1) for word in options.set):
        chosen[name.replace("-", "_")] = ast.literal_eval(value) if value[0] in "0123456789TF" else value
    run = ganforge.train(str(data), options.recipe, **chosen)
    seconds = run.history()[-1]["seconds"]
    network = run.model().networks["generator"]

    @torch.inference_mode()
    def translate(picture: Picture) -> Picture:
        return pixels(network(tensor(picture)))

    return translate, f"{options.recipe}, {seconds / 60:.1f} min, {run.seen:,} images seen"


def tensor(picture: Picture) -> Tensor:
    """(h, w, 3) uint8 -> (1, 3, h, w) in [-1, 1]."""
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None] / 127.5 - 1


def pixels(x: Tensor) -> Picture:
    """The inverse."""
    return (x[0].clamp(-1, 1) * 127.5 + 128).to(torch.uint8).permute(1, 2, 0).numpy()


def judged(ways: Mapping[str, Sequence[Picture]], truths: Sequence[Picture], cache: Path) -> dict[str, dict[str, float]]:
    """Way -> means over the test images."""
    eye = sight("", cache, "cpu")
    rows: dict[str, dict[str, float]] = {}
    for way, made in ways.items():
        pairs = [(tensor(a), tensor(b)) for a, b in zip(made, truths, strict=True)]
        each = {
            "PSNR": [psnr(a, b).clamp(max=100) for a, b in pairs],
            "SSIM": [ssim(a, b) for a, b in pairs],
            eye.name: [eye.distance(a, b) for a, b in pairs],
        }
        rows[way] = {name: float(torch.cat(values).mean()) for name, values in each.items()}
    return rows


def unpaired(options: argparse.Namespace) -> tuple[dict[str, dict[str, float]], str]:
    """A filter, learnt from photographs of which none was seen both ways."""
    data = options.out / "data"
    examples, known = hidden_pairs(photographs(options.photos), FILTERS[options.task], data)
    ways: dict[str, list[Picture]] = {}
    for given, _ in examples:
        for way, made in restored("transfer", given, known).items():
            ways.setdefault(way, []).append(made)
    translate, told = learn(data, options.out / "run", options)
    ways[options.recipe] = [translate(given) for given, _ in examples]
    truths = [truth for _, truth in examples]
    rows = judged(ways, truths, options.out / "cache")
    rival = max((way for way in ways if way != options.recipe), key=lambda way: rows[way]["PSNR"])
    show([[given for given, _ in examples], ways[rival], ways[options.recipe], truths], options.out / "before-after.png")
    return rows, f"{told}; {len(examples)} test strips. The picture: given, {rival}, {options.recipe}, truth."


def paired(options: argparse.Namespace) -> tuple[dict[str, dict[str, float]], str]:
    """Pictures of houses from their plans."""
    data = options.out / "data"
    plans = house_pairs(options.side, data)
    truths, before = [houses.picture(p) for p in plans["test"]], [houses.picture(p) for p in plans["train"]]
    nearest = [int(np.argmin([(p != q).sum() for q in plans["train"]])) for p in plans["test"]]
    translate, told = learn(data, options.out / "run", options)
    given = [houses.drawn(p) for p in plans["test"]]
    ways = {"nearest plan": [before[i] for i in nearest], options.recipe: [translate(p) for p in given], "truth": truths}
    rows = judged(ways, truths, options.out / "cache")
    known = houses.palette(plans["train"], before)
    for way, made in ways.items():
        rows[way]["kinds"] = float(np.mean([houses.overlap(houses.kinds(m, known), p) for m, p in zip(made, plans["test"], strict=True)]))
    show([given, ways["nearest plan"], ways[options.recipe], truths], options.out / "before-after.png")
    return rows, f"{told}; {len(truths)} test plans. The picture: plan, nearest plan's picture, {options.recipe}, truth."


def show(columns: Sequence[Sequence[Picture]], path: Path) -> None:
    """One row a test image, cut to the size of the smallest."""
    shown = [list(column[:SHOWN]) for column in columns]
    height, width = (min(picture.shape[axis] for column in shown for picture in column) for axis in (0, 1))
    cells = [tensor(column[row][:height, :width]) for row in range(len(shown[0])) for column in shown]
    save_png(grid(torch.cat(cells), columns=len(shown)), path)


def table(rows: Mapping[str, Mapping[str, float]]) -> str:
    """Markdown, one line a way."""
    names = [*next(iter(rows.values()))]
    lines = ["| | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    lines += [f"| {way} | " + " | ".join(f"{row[name]:.3f}" for name in names) + " |" for way, row in rows.items()]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=[*FILTERS, "houses"])
    parser.add_argument("--recipe", default="", help="cut, fastcut, cyclegan; houses: pix2pix")
    parser.add_argument("--photos", default="", help="a folder of photographs")
    parser.add_argument("--side", type=int, default=64, help="of the houses, in pixels")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="more options of the recipe, such as width=16")
    parser.add_argument("--out", type=Path, default=None)
    options = parser.parse_args()
    options.recipe = options.recipe or ("pix2pix" if options.task == "houses" else "cut")
    options.out = options.out or Path("runs") / f"translate-{options.task}-{options.recipe}-{time.strftime('%H%M%S')}"
    rows, told = (paired if options.task == "houses" else unpaired)(options)
    (options.out / "scores.json").write_text(json.dumps(rows, indent=1))
    (options.out / "table.md").write_text(f"{table(rows)}\n\n{told}\n")
    print((options.out / "table.md").read_text())


if __name__ == "__main__":
    main()
