"""Judge a model, or a folder of images, against data: numbers with their protocol, their errors and their floor."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from .. import __version__
from ..core.errors import DataError, GanforgeError, UsageError
from ..core.machine import pick_device
from ..data.imageset import ImageSet
from ..data.source import cache_folder
from ..metrics import measure, sets
from ..metrics.features import Features, cached, extract
from ..metrics.measure import Measured
from ..metrics.memorisation import Memorisation, memorisation
from ..metrics.protocol import Evaluation
from . import copies, evaluations, report
from .bar import Bar, tell
from .case import Case, resolve
from .eyes import INSTEAD, Judging, Logits, choose, typed
from .live import duration
from .sides import CHUNK, Drawn, Side

Found = tuple[Evaluation, Memorisation | None]
Compare = Callable[[Tensor, Tensor, Sequence[str]], Measured]
LONG = 60
"""Seconds of work from which on an estimate is told before it begins."""
INTRA = ("fid", "kid")
"""What is measured class by class."""


def evaluate(
    subject: str | Path,
    data: str | Path = "",
    *,
    metrics: str | Sequence[str] = "",
    samples: int = 0,
    features: Judging = "auto",
    weights: str = "",
    size: str = "",
    per_class: bool = False,
    seed: int = 0,
    out: str | Path = "",
    code: Collection[str] = (),
    device: str = "auto",
) -> Evaluation:
    """Measure a run, a model or a folder of images against data.

    subject: a run folder, a model folder (best/ or a copy), or a folder, archive or built-in set of images. data: what to compare
    with; a run is compared with its own training data by default. Where the data has a held-out part that is the reference, and
    the training part is measured, too. metrics: names of `measure.METRICS`, as a list or 'fid,kid'; '' takes all that suit the number
    of images. samples: images a side; 0: as many as the reference has, at most 10,000. features: a name of `metrics.features.find`,
    or auto; or Features, a module or a function of samples (n, c, h, w) in [-1, 1] that gives (n, f).
    The result is written to evaluations/ of the run, or to `out`; with neither it is only returned.

    Raises UsageError for unknown names, DataError for images of which no sound number can be made.
    """
    if samples < 0 or not 0 <= seed < 2**31:
        raise UsageError(f"--samples must be 0 or more and --seed from 0 to 2^31 - 1; got {samples} and {seed}.")
    path, names = Path(subject).expanduser(), measure.parse(metrics or measure.DEFAULT)
    where = torch.device(pick_device(device))
    with torch.random.fork_rng(devices=[where] if where.type == "cuda" else []):
        case = resolve(path, str(data), samples, size, seed, code, str(where))
        if not metrics:
            names, dropped = _sound(names, case.count)
            case.notes += dropped
        names = measure.fitting(names, case.count, case.smaller)
        eyes, told = choose(features, weights, (*code, *typed(features)), str(where), case.whole)
        logits = Logits(eyes, weights, str(where)) if "is" in names else None
        _foretell(eyes, case)
        found, copied = _evaluate(case, eyes, logits, names, seed, per_class)
        found = replace(found, notes=(*told, *case.notes, *found.notes))
        folder = Path(out) if out else path / "evaluations" if (path / "recipe.json").is_file() else None
        found = evaluations.write(found, folder, copies.picture(case, copied) if folder and copied else None)
    if found.saved and found.saved.parent == path / "evaluations":
        report.write(path)
    return found


def _sound(names: Sequence[str], count: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The metrics that `count` images suffice for, KID if there are none, and a note that names the others."""
    kept = tuple(name for name in names if measure.METRICS[name].least <= count) or ("kid",)
    lacking = [f"{name.upper()} (from {measure.METRICS[name].least})" for name in names if name not in kept]
    return kept, (f"left out for {count:,} images a side: {', '.join(lacking)}",) if lacking else ()


def _foretell(eyes: Features, case: Case) -> None:
    """Say how long it will take, and what would be quicker, where it is long: guessed from the features of a few images."""
    some = case.real.images[:32]
    extract(eyes, some[:2])  # warm up
    began = time.monotonic()
    extract(eyes, some)
    count = case.judged.count + len(case.real) + (len(case.other) if case.other is not None else 0)
    seconds = (time.monotonic() - began) * count / len(some)
    if seconds >= LONG:
        quicker = "--samples 1000" + ("" if eyes.name in ("random", *INSTEAD) else f" or --features {INSTEAD[0]}")
        tell(f"features {eyes.name} of {count:,} images will take about {duration(seconds)}; quicker: {quicker}")


def _evaluate(case: Case, eyes: Features, logits: Logits | None, names: Sequence[str], seed: int, per_class: bool) -> Found:
    notes = _cautions(case, eyes, names)

    def compare(a: Tensor, b: Tensor, which: Sequence[str]) -> Measured:
        """Of several metrics, one that fails is a note; one that was asked for alone is an error."""
        done: Measured = {}
        for name in which:
            try:
                done |= measure.measure(a, b, (name,), features=eyes, seed=seed)
            except GanforgeError as error:
                if len(names) == 1:
                    raise
                notes.append(f"no {name.upper()}: {error}")
        return done

    real = _real(eyes, case.real, f"the reference in {case.data}")
    other = _real(eyes, case.other, f"the other part of {case.data}") if case.other is not None else None
    torch.manual_seed(seed)  # for generators that draw noise of their own
    fake, *classes = rows_of([eyes, logits] if logits else [eyes], case.judged)
    held_out = case.split == "held-out" and other is not None
    low, high, floor_of = _floor_sets(real, other, case.split, seed)
    scores = compare(fake, real, names)
    floor = compare(low, high, [name for name in names if measure.METRICS[name].least <= len(low)])
    if logits:
        scores |= measure.inception(classes[0], logits, seed)
        floor |= measure.inception(_real(logits, case.real, f"the reference in {case.data}"), logits, seed)
    against_training = compare(fake, other, names) if held_out and other is not None else {}
    copied: Memorisation | None = None
    try:
        copied = memorisation(fake, other, real) if held_out and other is not None else memorisation(fake, real, other)
    except GanforgeError as error:
        notes.append(f"copies were not looked for: {error}")
    by_class = _classes(case, fake, real, compare, names) if per_class else {}
    if per_class and isinstance(case.judged, Drawn) and case.judged.ignores_classes():
        notes.append("the generator draws the same image whichever class is asked for: the numbers by class are those of no class")
    if not scores:
        raise DataError(f"none of {', '.join(names)} could be computed. {notes[-1]}")
    found = Evaluation(
        subject=case.judged.name,
        values={name: score.value for name, score in scores.items()},
        errors={name: score.error for name, score in scores.items() if score.error is not None},
        floor={name: score.value for name, score in floor.items()},
        floor_of=floor_of,
        settings=settings(case, eyes, names, seed),
        training={name: score.value for name, score in against_training.items()},
        per_class=by_class,
        memorisation={**copies.numbers(copied), "training images searched": float(len(case.train))} if copied else {},
        notes=tuple(dict.fromkeys(notes)),
        model=case.model or {},
    )
    return found, copied


def rows_of(eyes: Sequence[Features], side: Side) -> list[Tensor]:
    """Rows (n, f) of each of the features, on the CPU, of all images of a side; only a few hundred images are in memory at a time."""
    parts: list[list[Tensor]] = [[] for _ in eyes]
    with torch.inference_mode(), Bar(f"{eyes[0].name} features of {side.name}", side.count) as progress:
        for at in range(0, side.count, CHUNK):
            which = range(at, min(at + CHUNK, side.count))
            pixels = side.pixels(which)
            for rows, one in zip(parts, eyes, strict=True):
                rows.append(extract(one, pixels))
            progress(which.stop)
    return [sets.check_rows(torch.cat(rows), side.name, one.name) for rows, one in zip(parts, eyes, strict=True)]


def _real(eyes: Features, images: ImageSet, whose: str) -> Tensor:
    with Bar(f"{eyes.name} features of {whose}", len(images)) as progress:
        found = cached(eyes, images, cache_folder(), keep=len(images), progress=progress)
    return sets.check_rows(found.rows, whose, eyes.name)


def _floor_sets(real: Tensor, other: Tensor | None, split: str, seed: int) -> tuple[Tensor, Tensor, str]:
    if other is not None:
        what = "training against held-out images" if split == "held-out" else "two disjoint parts of the data"
        only = "; the column on training data has none of its own" if split == "held-out" else ""
        return other, real, f"{what}, {len(other):,} and {len(real):,}{only}"
    order = torch.randperm(len(real), generator=torch.Generator().manual_seed(seed))
    half = len(real) // 2
    what = f"two disjoint halves of the data, {half:,} each: fewer than judged, so all but KID lie higher here"
    return real[order[:half]], real[order[half : 2 * half]], what


def settings(case: Case, eyes: Features, names: Sequence[str], seed: int) -> dict[str, str]:
    """Everything that decides the numbers, in words, in the order in which it is quoted."""
    shape = case.real.images.shape
    return {
        "features": f"{eyes.name} ({', '.join(f'{key} {value}' for key, value in eyes.facts.items())})",
        "judged": f"{case.judged.count:,} images",
        "real": f"{len(case.real):,} images",
        "training": f"{len(case.other):,} images" if case.split == "held-out" and case.other is not None else "",
        "data": f"{Path(case.data).absolute().name} ({case.fingerprint[:8]})",
        "split": case.split,
        "size": f"{shape[3]}x{shape[2]}x{shape[1]}",
        "classes": case.classes,
        "metrics": ", ".join(how for name in names if (how := measure.METRICS[name].how(case.judged.count, len(case.real)))),
        "seed": str(seed),
        "ganforge": __version__,
    }


def _classes(case: Case, fake: Tensor, real: Tensor, compare: Compare, names: Sequence[str]) -> dict[str, Mapping[str, float]]:
    """{class: {metric: value}} for the metrics in INTRA; classes with too few images on a side are left out."""
    ours, theirs = case.judged.labels, case.real.labels
    which = [name for name in INTRA if name in names] or list(INTRA)
    if ours is None or theirs is None:
        side = "the data has" if theirs is None else "the judged images have"
        raise DataError(f"--per-class needs classes on both sides, and {side} none that fit.")
    found: dict[str, Mapping[str, float]] = {}
    if set(case.judged.names) != set(case.real.names):
        apart = sorted(set(case.judged.names) ^ set(case.real.names))
        raise DataError(f"--per-class needs the same classes on both sides; only one side has {', '.join(apart[:10])}.")
    for number, kind in enumerate(case.real.names):
        a, b = fake[ours == case.judged.names.index(kind)], real[theirs == number]
        fitting = [name for name in which if measure.METRICS[name].least <= min(len(a), len(b))]
        found[kind] = {name: score.value for name, score in compare(a, b, fitting).items()}
    return found


def _cautions(case: Case, eyes: Features, names: Sequence[str]) -> list[str]:
    if "fid" in names and case.count < eyes.dim:
        name = measure.called("FID", eyes.name, eyes.is_inception)
        return [f"{name} of {case.count:,} images and {eyes.dim:,} features is biased upwards: compare it at this size only, quote KID"]
    return []
