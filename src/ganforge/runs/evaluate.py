"""Judge a model, or a folder of images, against data: numbers with their protocol, their errors and their floor."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from PIL import Image

from ..core.errors import DataError, GanforgeError, UsageError
from ..core.machine import pick_device
from ..metrics import measure
from ..metrics.features import Features, extract
from ..metrics.measure import Measured
from ..metrics.memorisation import Memorisation
from ..metrics.protocol import Evaluation
from . import by_class, copies, evaluations, floor, labelled, pairs, report
from .bar import tell
from .case import Case, resolve
from .eyes import INSTEAD, Judging, choose, typed
from .labelled import Answers
from .live import duration
from .protocol import settings
from .seen import Seen, of_set, of_side, to_do
from .sides import Drawn, is_model, trained_on
from .translation import evaluate_translation, translates

Found = tuple[Evaluation, Memorisation | None]
LONG = 60
"""Seconds of work from which on an estimate is told before it begins."""
UNEQUAL = {"pr": "precision and recall", "prdc": "density and coverage", "mind": "MIND"}
"""What moves with the number of images on either side."""


def evaluate(
    subject: str | Path,
    data: str | Path = "",
    *,
    metrics: str | Sequence[str] = "",
    samples: int = 0,
    reals: int = 0,
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
    of images. samples: images a side; 0: as many as the reference has, at most 10,000, or 32 where images are made of
    images. reals: real images, where they are not to be as many; more than there are: all. features: a name of `features.find`, or auto;
    or Features, a module or function of samples (n, c, h, w) in [-1, 1] -> (n, f).
    The result is written to evaluations/ of the run, or to `out`; with neither it is only returned.

    psnr, ssim, ms-ssim and lpips compare every image with its partner in `data`, the one of the same file name, instead of two sets;
    for lpips, features may be alexnet or vgg16.

    Raises UsageError for unknown names, DataError for images of which no sound number can be made.
    """
    if min(samples, reals) < 0 or not 0 <= seed < 2**31:
        raise UsageError(f"--samples and --reals must be 0 or more, --seed from 0 to 2^31 - 1; got {samples}, {reals} and {seed}.")
    path, names = Path(subject).expanduser(), measure.parse(metrics or measure.DEFAULT)
    where = torch.device(pick_device(device))
    if translates(path, code):
        _check_one_by_one(size, per_class or bool(reals), weights, features, seed)
        asked = names if metrics else ()
        return _kept(evaluate_translation(path, str(data), asked, samples=samples, code=code, device=str(where)), path, out)
    if pairs.alone(names):
        network = _network_of_pairs(path, str(data), names, features, size, per_class, reals)
        found = pairs.evaluate_pairs(
            str(subject), str(data), names, samples=samples, network=network, weights=weights, seed=seed, device=str(where)
        )
        return evaluations.write(found, Path(out) if out else None, None)
    with torch.random.fork_rng(devices=[where] if where.type == "cuda" else []):
        case = resolve(path, str(data), samples, size, seed, code, str(where), reals)
        if not data and is_model(path) and trained_on(path, case.data, case.whole, code) is False:
            case.notes += ("the data changed since the model was trained on it, so a held-out image may have been trained on",)
        names, notes = _sound(names, case, bool(metrics))
        names = labelled.possible(case, names, notes)
        if per_class:
            labelled.shared(case, "--per-class")
        if features == "auto" and set(names) <= {"modes", "cas"}:
            features = "classifier"  # which they need anyway
        eyes, told = choose(features, weights, (*code, *typed(features)), str(where), case.whole)
        answers, names = labelled.answers(case, eyes, weights, names, seed, str(where), notes)
        found, copied = _evaluate(case, eyes, answers, names, seed, str(where), per_class)
        found = replace(found, notes=(*told, *case.notes, *notes, *found.notes))
        return _kept(found, path, out, lambda: copies.picture(case, copied) if copied else None)


def _kept(found: Evaluation, path: Path, out: str | Path, picture: Callable[[], Image.Image | None] = lambda: None) -> Evaluation:
    """The evaluation, written to `out` or to evaluations/ of the run at `path`, whose report then tells of it."""
    folder = Path(out) if out else path / "evaluations" if (path / "recipe.json").is_file() else None
    found = evaluations.write(found, folder, picture() if folder else None)
    if found.saved and found.saved.parent == path / "evaluations":
        report.write(path)
    return found


def _check_one_by_one(size: str, per_class: bool, weights: str, features: Judging, seed: int) -> None:
    """Raise UsageError for options that nothing would look at."""
    if size or per_class or weights or features != "auto":
        raise UsageError("a model that makes images of images is judged one by one, as they are: leave out what is for sets of images.")
    if seed:
        raise UsageError("a model that makes images of images is judged on the same examples every time: leave out --seed.")


def _network_of_pairs(path: Path, data: str, names: Sequence[str], features: Judging, size: str, per_class: bool, reals: int) -> str:
    """The network that LPIPS looks with. Raises UsageError for what makes no sense with metrics of pairs."""
    which = ", ".join(names)
    if is_model(path):
        raise UsageError(f"{which} compare images with their originals: give a folder of images, each named as its partner, not a model.")
    if not data:
        raise UsageError(f"{which} compare images with their originals; say where those are: gan evaluate {path} --data FOLDER")
    if size or per_class or reals:
        option = "--size" if size else "--per-class" if per_class else "--reals"
        raise UsageError(f"{which} compare images as they are, one by one: {option} is for whole sets.")
    if not isinstance(features, str) or features != "auto" and "lpips" not in names:
        raise UsageError(f"{which}: --features is for lpips alone, alexnet or vgg16.")
    return "alexnet" if features == "auto" else features


def _sound(names: Sequence[str], case: Case, asked: bool) -> tuple[tuple[str, ...], list[str]]:
    """The metrics that the images suffice for, KID if none of the usual ones does, and a note that names the others.

    Raises DataError where nothing of what was asked for, or not even KID, can be had.
    """
    kept = tuple(name for name in names if measure.METRICS[name].least <= case.count)
    lacking = [f"{name.upper()} (from {measure.METRICS[name].least})" for name in names if name not in kept]
    found = measure.fitting(kept or (names if asked else ("kid",)), case.count, *case.smaller)
    return found, [f"left out for {case.count:,} images a side: {', '.join(lacking)}"] if lacking else []


def _foretell(eyes: Features, case: Case) -> None:
    """Say how long it will take, and what would be quicker, where it is long: guessed from the features of a few images."""
    some = case.real.images[:32]
    extract(eyes, some[:2])  # warm up
    began = time.monotonic()
    extract(eyes, some)
    count = case.judged.count + sum(to_do(eyes, part) for part in (case.real, case.other) if part is not None)
    count += copies.flips(case) * len(case.train)
    seconds = (time.monotonic() - began) * count / len(some)
    if seconds >= LONG:
        quicker = "--samples 1000" + ("" if eyes.name in ("random", *INSTEAD) else f" or --features {INSTEAD[0]}")
        tell(f"features {eyes.name} of {count:,} images will take about {duration(seconds)}; quicker: {quicker}")


def _evaluate(
    case: Case, eyes: Features, answers: Sequence[Answers], names: Sequence[str], seed: int, device: str, per_class: bool
) -> Found:
    notes = _cautions(case, eyes, names)
    compare = _comparing(eyes, names, seed, notes)
    _foretell(eyes, case)
    real = of_set(eyes, case.real, f"the reference in {case.data}")
    other = of_set(eyes, case.other, f"the other part of {case.data}") if case.other is not None else None
    torch.manual_seed(seed)  # for generators that draw noise of their own
    fake, *told = of_side([eyes, *(network for network, _ in answers)], case.judged, seed)
    trained = other if case.split == "held-out" else None
    held = real.some(case.judged.count, seed) if trained else None
    low, high = floor.stand_in(case, real, other, seed)
    scores, floors = compare(fake, real, names), compare(low, high, by_class.possible(names, low, high))
    for (network, numbers), seen in zip(answers, told, strict=True):
        scores |= numbers(seen.rows)
        floors |= numbers(of_set(network, case.real, f"the reference in {case.data}").some(case.judged.count, seed).rows)
    if "cas" in names:
        try:
            learnt = labelled.score(case, seed, device)
            scores, floors = scores | learnt[0], floors | learnt[1]
        except GanforgeError as error:
            pairs.noted(error, "cas", names, notes)
    against_training = compare(fake, trained, names) if trained else {}
    training_floor = compare(held, trained, by_class.possible(names, held, trained)) if held and trained else {}
    copied = copies.search(case, eyes, fake, trained or real, real if trained else other, notes)
    kinds = by_class.measured(case, (fake, real), (low, high), compare, names, eyes, notes) if per_class else ({}, {})
    if per_class and isinstance(case.judged, Drawn) and case.judged.ignores_classes():
        notes.append("the generator draws the same image whichever class is asked for: the numbers by class are those of no class")
    if not scores:
        raise DataError(f"none of {', '.join(names)} could be computed. {notes[-1]}")
    found = Evaluation(
        subject=case.judged.name,
        values={name: score.value for name, score in scores.items()},
        errors={name: score.error for name, score in scores.items() if score.error is not None},
        floor={name: score.value for name, score in floors.items()},
        floor_of=floor.told(case, low, high, held, trained),
        settings=settings(case, eyes, names, seed, list(dict.fromkeys(network for network, _ in answers))),
        training={name: score.value for name, score in against_training.items()},
        training_floor={name: score.value for name, score in training_floor.items()},
        per_class=kinds[0],
        per_class_floor=kinds[1],
        memorisation=copies.numbers(copied, len((trained or real).rows), bool(trained)) if copied else {},
        notes=tuple(dict.fromkeys(notes)),
        model=case.model or {},
    )
    return found, copied


def _comparing(eyes: Features, names: Sequence[str], seed: int, notes: list[str]) -> by_class.Compare:
    def compare(a: Seen, b: Seen, which: Sequence[str], of_class: str = "") -> Measured:
        """Of several metrics, or classes, one that fails is a note; a metric that was asked for alone is an error."""
        done: Measured = {}
        for name in which:
            try:
                if name == "fid" and (a.whole or b.whole):
                    done |= measure.streamed(a.moments, b.moments, eyes)
                else:
                    done |= measure.measure(a.rows, b.rows, (name,), features=eyes, seed=seed)
            except GanforgeError as error:
                if len(names) == 1 and not of_class:
                    raise
                notes.append(f"no {name.upper()}{of_class}: {error}")
        return done

    return compare


def _cautions(case: Case, eyes: Features, names: Sequence[str]) -> list[str]:
    notes = []
    few = [name for name in names if name != "fid" and case.count < measure.METRICS[name].sound]
    if few:
        told = ", ".join(f"{name.upper()} from {measure.METRICS[name].sound:,}" for name in few)
        notes.append(
            f"{case.count:,} images a side are few: quote {told}; below, they move with the number of images and from draw to draw"
        )
    if "fid" in names and case.count < eyes.dim:
        name = measure.called("FID", eyes.name, eyes.is_inception)
        notes.append(
            f"{name} of {case.count:,} images and {eyes.dim:,} features is biased upwards: compare it at this size only, quote KID"
        )
    moved = [what for name, what in UNEQUAL.items() if name in names]
    if moved and case.judged.count != len(case.real):
        sizes = f"{case.judged.count:,} judged and {len(case.real):,} real"
        notes.append(f"the numbers of images on both sides move {', '.join(moved)}: compare them at {sizes} only")
    return notes
