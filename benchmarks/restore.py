"""Every restoration, learnt in minutes, against the best classical methods on photographs that nobody learnt from.

    python benchmarks/restore.py --minutes 3 --game 2                     # about an hour on two cores; runs/restore/table.md
    python benchmarks/restore.py --tasks denoise dejpeg --seeds 3
    python benchmarks/restore.py --tasks super-resolution --set width=32 --out runs/wider

Learnt from 732 photographs of fruit (benchmarks/photographs.py); judged on pieces of 256 pixels of others of the kind, and on photographs
of anything else, those that scikit-image and scikit-learn bring. A classical method is tried at many strengths, and the one with the best
mean on the very test set counts; it is told the kernel of the blur, the level of the noise, the mean colour of the photographs. Colours
are learnt and judged on one kind of fruit, and no dots are given. "faithful" is the network before the game,
"generator" the one after it, as the run's best/ holds it. --minutes and --game are the shares of both in the examples that their sum
allows; what either took is told. "deblur" is of Gaussian blur alone, which Wiener's filter suits best.
PSNR / SSIM / perceptual distance are means over images of 8 bits; PSNR of inpainting counts the holes alone. The perceptual distance is
that of the Inception network of 2015, which no training looks through: --set perceptual_weight=0.1 has EfficientNet-lite0 for eyes, and the
best moment of a run is chosen by VGG16's. Where a goal names a classical method by which a network is to be measured, that is the strongest
of its strengths, of PSNR and of the perceptual distance each for itself.
What is done already is not done again, so two processes can share the work, one core each: taskset -c 1, with tasks of its own and
--threads 1. table.md, a picture a task and the runs are in --out. Older results without "looks", the perceptual distance of every
classical method, are read as they are; where such a JSON file is deleted the finished run is judged anew.
"""

from __future__ import annotations

import argparse
import ast
import itertools
import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from cells import kept, same
from photographs import groceries, middles, samples
from torch import Tensor
from torch.nn.functional import interpolate

import ganforge
from ganforge.data.degrade import presets
from ganforge.data.source import cache_folder
from ganforge.methods import tasks
from ganforge.metrics import classical, weights
from ganforge.metrics.classical.colouring import mean_chroma
from ganforge.metrics.classical.known import Image, Known
from ganforge.metrics.colour import delta_e2000
from ganforge.metrics.features import inception, to_uint8
from ganforge.metrics.features.base import colour
from ganforge.metrics.features.network import ready
from ganforge.metrics.likeness import Sight
from ganforge.metrics.pairs import ssim
from ganforge.metrics.perceptual import perceptual_distance
from ganforge.runs.grid import grid, save_png
from ganforge.runs.model import Model
from ganforge.runs.pictures import translated

TASKS = ("super-resolution", "denoise", "deblur", "dejpeg", "inpaint", "colourise", "low-light", "old-photo")
OPTIONS = {"super-resolution": {"scale": 2}, "denoise": {"sigma": 25}, "deblur": {"damage": "gaussian-blur"}, "dejpeg": {"quality": 10}}
RIVALS = {"super-resolution": ("bicubic", 1.2), "denoise": ("", 0.6), "deblur": ("wiener", 0.0), "inpaint": ("telea", 0.2)}
"""What the faithful network has to beat, by how its name begins, and by how many decibels; else the best, by none."""
LEARNT = ("faithful", "generator")
LIVELY = ("super-resolution", "denoise", "deblur", "dejpeg")
"""Tasks whose generator must look CLOSER than the faithful network, and may cost LOSS decibels."""
CLOSER, LOSS = 0.1, 3.0
PALER = 0.6
"""Of the colour difference of grey, what may remain."""
KIND = "Satsumas"
"""The closed domain of colours."""
SIDE, MOST, CROP = 256, 20, 128
"""Of test pieces, how many of fruit, and what is shown of them."""
LOOKS = ("Conv2d_2b_3x3", "Conv2d_4a_3x3", "Mixed_5d", "Mixed_6e")
"""Layers of the Inception network whose maps are compared, at 1/2 to 1/16 of the resolution."""
SHOWN = 3
"""Pieces of either set on a picture."""


class Test(NamedTuple):
    """x (n, 3, h, w) uint8: the truth; given (n, c, h', w'): for a network; seen (n, 3, h', w') uint8, known: for classical methods."""

    x: Tensor
    given: Tensor
    seen: Tensor
    known: Sequence[Known]


def damaged(task: str, x: Tensor, fruit: Tensor) -> Test:
    """Test pieces x (n, 3, h, w) uint8 with the damage of a task, the same every time; `fruit`: photographs one could have learnt from."""
    clean = x.float() / 127.5 - 1
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if task == "deblur":
            given, kernels = presets.blurred(clean, soft=True)
            facts = [Known(kernel=kernel.numpy()) for kernel in kernels]
        elif task == "colourise":
            given = torch.cat([presets.grey(clean), torch.zeros_like(clean)], 1)
            facts = [Known(chroma=mean_chroma(arrays(fruit)))] * len(x)
        else:
            strengths = [OPTIONS.get(task, {}).get(name, 0) for name in ("scale", "sigma", "quality")]
            given = getattr(tasks, task.replace("-", "_")).degradation("", *strengths)(clean)
            facts = [Known(sigma=strengths[1], hole=one[3].numpy() > 0.5 if task == "inpaint" else None) for one in given]
    return Test(x, given, to_uint8(given[:, :1].expand_as(clean) if task == "colourise" else given[:, :3]), facts)


class Best(NamedTuple):
    """The classical method with the best mean PSNR, its results (n, 3, h, w) uint8, and the means of all methods."""

    name: str
    made: Tensor
    scores: Mapping[str, float]
    """PSNR."""
    looks: Mapping[str, float]
    """Perceptual distance."""


def rival(task: str, test: Test, eye: Sight) -> Best:
    """What a network has to stand beside."""
    found: dict[str, list[Image]] = {}
    for image, known in zip(arrays(test.seen), test.known, strict=True):
        for name, made in classical.restored(task, image, known).items():
            found.setdefault(name, []).append(made)
    stacks = {name: torch.stack([torch.from_numpy(one.copy()).permute(2, 0, 1) for one in each]) for name, each in found.items()}
    scores = {name: statistics.mean(psnrs(made, test)) for name, made in stacks.items()}
    name = max(scores, key=lambda key: scores[key])
    return Best(name, stacks[name], scores, {key: statistics.mean(distances(made, test, eye)) for key, made in stacks.items()})


def psnrs(made: Tensor, test: Test) -> list[float]:
    """Of each image (n, 3, h, w) uint8; of inpainting, in the hole."""
    return [classical.psnr(a, b, known.hole) for a, b, known in zip(arrays(made), arrays(test.x), test.known, strict=True)]


def distances(made: Tensor, test: Test, eye: Sight) -> list[float]:
    """Of each image (n, 3, h, w) uint8 to its truth, to the eye."""
    pairs = zip(*((images.float() / 127.5 - 1).split(1) for images in (made, test.x)), strict=True)
    return [float(eye.distance(*pair)) for pair in pairs]


def judged(made: Tensor, test: Test, eye: Sight) -> dict[str, float]:
    """Means over the test images of what was made of them (n, 3, h, w), uint8."""
    pairs = zip(*((images.float() / 127.5 - 1).split(1) for images in (made, test.x)), strict=True)
    alike, off = zip(*([float(compare(*pair)) for compare in (ssim, delta_e2000)] for pair in pairs), strict=True)
    columns = (psnrs(made, test), alike, distances(made, test, eye), off)
    return dict(zip(("PSNR", "SSIM", "perceptual", "Delta-E"), map(statistics.mean, columns), strict=True))


def independent() -> Sight:
    """A perceptual distance (LPIPS without learnt heads) that no run has learnt by or been chosen by."""
    state, _ = weights.obtain("inception", inception.convert, cache_folder(), published=inception.PUBLISHED)
    with torch.device("meta"):
        keys = inception.network(768).state_dict().keys()
    net = ready(lambda: inception.network(768), {key: state[key] for key in keys}, "cpu")

    def maps(x: Tensor) -> list[Tensor]:
        found = []
        for name, layer in net.named_children():
            x = layer(x)
            found += [x] if name in LOOKS else []
        return found

    @torch.no_grad()
    def distance(a: Tensor, b: Tensor) -> Tensor:
        return perceptual_distance(maps, colour(a), colour(b))

    return Sight("perceptual-inception", distance)


def arrays(images: Tensor) -> list[Image]:
    """(n, 3, h, w) uint8 -> n of (h, w, 3)."""
    return [image.permute(1, 2, 0).contiguous().numpy() for image in images]


def learnt(task: str, seed: int, data: Path, options: argparse.Namespace) -> tuple[Model, dict[str, float]]:
    """The model of a finished run, trained or resumed if need be, and what it took."""
    out = options.out / f"{task}-{seed}"
    if (out / "recipe.json").is_file():
        run = ganforge.resume(out)
    else:
        whole = options.minutes + options.game
        chosen: dict[str, Any] = {"minutes": whole, "adversarial": options.game / whole, **OPTIONS.get(task, {})}
        chosen |= {"threads": options.threads, "seed": seed, "evaluate": "auto:vgg16", "out": str(out)}
        for name, value in (word.split("=", 1) for word in options.set):
            chosen[name.replace("-", "_")] = ast.literal_eval(value) if value[0] in "0123456789TF" else value
        run = ganforge.train(str(data), "restore", task=task, **chosen)
    if not run.finished:
        raise SystemExit(run.exit_code)  # Ctrl-C: the next call goes on from here
    history = run.history()
    before = [row["seconds"] for row in history if row["seen"] <= run.seen * options.minutes / (options.minutes + options.game)]
    return run.model(), {"minutes": history[-1]["seconds"] / 60, "before": max(before, default=0.0) / 60, "seen": run.seen}


def one(task: str, options: argparse.Namespace) -> None:
    """Learn and judge a task with every seed that it has not been done with."""
    seeds = [seed for seed in range(options.seeds) if not told(task, seed, options).is_file()]
    if not seeds:
        return
    parts = [options.photos / part for part in ("train", "test")]
    if task == "colourise":
        parts = [part / KIND if (part / KIND).is_dir() else part for part in parts]
    eye, fruit = independent(), middles(parts[0], SIDE, 100)
    tests = {"fruit": damaged(task, middles(parts[1], SIDE, MOST), fruit), "anything": damaged(task, samples(SIDE), fruit)}
    rivals = {where: rival(task, test, eye) for where, test in tests.items()}
    for seed in seeds:
        model, took = learnt(task, seed, parts[0], options)
        row = {"task": task, "seed": seed, "eye": eye.name, **took}
        shown: list[Tensor] = []
        for where, test in tests.items():
            best = rivals[where]
            ways = {"given": interpolate(test.seen, test.x.shape[2:]), "classical": best.made}
            ways |= {way: to_uint8(translated(model.networks[way], test.given)) for way in LEARNT if way in model.networks}
            means = {way: judged(made, test, eye) for way, made in ways.items()}
            row[where] = {"ways": means, "rival": best.name, "rivals": best.scores, "looks": best.looks, "images": len(test.x)}
            if task == "inpaint":
                ways["given"] = torch.where(test.given[:, 3:] > 0.5, 128, ways["given"])
            shown += crops([*ways.values(), test.x])
        if seed == 0:
            save_png(grid(torch.stack(shown), columns=len(ways) + 1, zoom=2), options.out / f"{task}.png")
        kept(told(task, seed, options), lambda row=row: row)


def told(task: str, seed: int, options: argparse.Namespace) -> Path:
    """Where the numbers of a run lie."""
    return options.out / f"{task}-{seed}.json"


def crops(columns: Sequence[Tensor]) -> list[Tensor]:
    """Where SHOWN groups of images were damaged most: the first column, ..., the last, group by group, (3, CROP, CROP) uint8 each."""
    found, parts = list[Tensor](), [slice(start, start + CROP) for start in range(0, SIDE - CROP + 1, 64)]
    for rows in torch.arange(len(columns[0])).chunk(SHOWN):
        cut = [[column[i, :, *place] for column in columns] for i in rows for place in itertools.product(parts, parts)]
        found += max(cut, key=lambda of: float((of[0].float() - of[-1].float()).square().mean()))
    return found


def table(rows: Sequence[Mapping[str, Any]], where: str) -> str:
    """Markdown: a line a task, means over its seeds."""
    lines = ["| task | as given | best classical | faithful | generator | images |", "|---|---|---|---|---|---|"]
    for task in dict.fromkeys(row["task"] for row in rows):
        mine = [row[where] for row in rows if row["task"] == task]
        cells = [cell(mine, way) for way in ("given", "classical", *LEARNT)]
        lines.append(f"| {task} | {cells[0]} | {mine[0]['rival']}: {' | '.join(cells[1:])} | {mine[0]['images']} |")
    return "\n".join(lines)


def cell(rows: Sequence[Mapping[str, Any]], way: str) -> str:
    """PSNR / SSIM / perceptual distance, with the standard deviation over seeds of the first."""
    if way not in rows[0]["ways"]:
        return "-"
    values = {name: [row["ways"][way][name] for row in rows] for name in ("PSNR", "SSIM", "perceptual")}
    spread = f" ± {statistics.stdev(values['PSNR']):.2f}" if len(rows) > 1 and way in LEARNT else ""
    means = {name: statistics.mean(each) for name, each in values.items()}
    return f"{means['PSNR']:.2f}{spread} / {means['SSIM']:.3f} / {means['perceptual']:.3f}"


def classic(rows: Sequence[Mapping[str, Any]], where: str) -> str:
    """Markdown: a line for each classical method of each task."""
    lines = ["| task | classical method | PSNR | perceptual |", "|---|---|---|---|"]
    for task in dict.fromkeys(row["task"] for row in rows):
        of = next(row[where] for row in rows if row["task"] == task)
        looks = of.get("looks", {})
        cells = [(name, f"{score:.2f}", f"{looks[name]:.3f}" if name in looks else "-") for name, score in of["rivals"].items()]
        lines += [f"| {task} | {' | '.join(each)} |" for each in cells]
    return "\n".join(lines)


def goals(rows: Sequence[Mapping[str, Any]], where: str) -> str:
    """Markdown: what was to be reached, what was, and whether that is enough; means over seeds."""
    found: list[tuple[str, str, bool | None]] = []
    for task in dict.fromkeys(row["task"] for row in rows):
        mine = [row[where] for row in rows if row["task"] == task]
        ways = mine[0]["ways"]
        mean = {way: {name: statistics.mean(row["ways"][way][name] for row in mine) for name in ways[way]} for way in ways}
        before, after = mean.get("faithful", mean["generator"]), mean["generator"]
        if task == "colourise":
            share = before["Delta-E"] / (grey := mean["given"]["Delta-E"])
            text = f"{task}: at most {PALER} of the CIEDE2000 of grey, {grey:.2f} ({mine[0]['rival']} {mean['classical']['Delta-E']:.2f})"
            found.append((text, f"{share:.2f}", share <= PALER))
            continue
        name, margin = RIVALS.get(task, ("", 0.0))
        against = max(value for key, value in mine[0]["rivals"].items() if key.startswith(name))
        gain, text = before["PSNR"] - against, f"{name or 'the best classical'}, {against:.2f} dB"
        found.append((f"{task}: faithful above {text}, by {margin} dB", f"{gain:+.2f} dB", gain >= margin))
        if task == "inpaint":
            looks = [value for row in mine for key, value in row.get("looks", {}).items() if key.startswith(name)]
            closer = 1 - after["perceptual"] / min(looks) if looks else None
            text = (f"{task}: generator looks closer than {name}", "not looked at" if closer is None else f"{closer:.1%}")
            found.append((*text, None if closer is None else closer > 0))
        if task in LIVELY and "faithful" in ways:
            closer, loss = 1 - after["perceptual"] / before["perceptual"], before["PSNR"] - after["PSNR"]
            text = f"{task}: generator looks {CLOSER:.0%} closer than faithful, for at most {LOSS:g} dB"
            found.append((text, f"{closer:.0%}, {loss:.2f} dB", closer >= CLOSER and loss <= LOSS))
    lines = [f"| {text} | {reached} | {'' if met is None else 'met' if met else 'not met'} |" for text, reached, met in found]
    return "\n".join(["| goal | reached | |", "|---|---|---|", *lines])


def report(rows: Sequence[Mapping[str, Any]], options: argparse.Namespace) -> str:
    took = ", ".join(
        f"{row['task']} {row['minutes']:.1f} min, {row.get('before', 0):.1f} of them before the game, {row['seen']:,} pieces"
        for row in rows
    )
    how = f"PSNR / SSIM / {rows[0]['eye']}; {options.threads} threads, {took}."
    parts = ["On fruit:", table(rows, "fruit"), "On anything else:", table(rows, "anything"), goals(rows, "fruit"), how]
    parts += ["Pictures: given, best classical, faithful, generator, truth.", "All classical methods, on fruit:", classic(rows, "fruit")]
    return "\n\n".join([*parts, "On anything else:", classic(rows, "anything")])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS)
    parser.add_argument("--minutes", type=float, default=3.0, help="for learning to be faithful")
    parser.add_argument("--game", type=float, default=2.0, help="minutes for the game after that, the discriminator's start among them")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--photos", type=Path, default=Path("runs/photographs"), help="a folder of train/ and test/; fetched if absent")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="more options of the recipe, such as width=32")
    parser.add_argument("--out", type=Path, default=Path("runs/restore"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(options.threads)
    groceries(options.photos)
    same(options.out / "settings.json", {key: str(getattr(options, key)) for key in ("minutes", "game", "threads", "set", "photos")})
    for task in options.tasks:
        one(task, options)
    done = [path for task in TASKS for seed in range(options.seeds) if (path := told(task, seed, options)).is_file()]
    rows = [json.loads(path.read_text()) for path in done]
    (options.out / "table.md").write_text(report(rows, options) + "\n")
    print(report(rows, options))


if __name__ == "__main__":
    main()
