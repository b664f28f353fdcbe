"""What was found and decided, in lines that fit one screen."""

from __future__ import annotations

from typing import Any

from ganforge.data.advice import advice
from ganforge.data.imageset import ImageSet
from ganforge.data.pieces import PhotoSet

MODES = {
    "L": "grey",
    "1": "black-and-white",
    "P": "palette",
    "LA": "grey with transparency",
    "RGBA": "RGB with transparency",
    "I;16": "16-bit grey",
    "F": "floating point",
}
NAMED = 5
"""Skipped files that are told by name; the report has all of them."""
KINDS = {
    "not an image": "not images",
    "empty": "empty",
    "no label": "without a label",
    "no partner": "without a partner",
    "sizes do not match": "of sizes that do not match",
    "unreadable": "unreadable",
    "Git LFS pointer": "Git LFS pointers (run `git lfs pull`)",
}


def summary(image_set: ImageSet | PhotoSet) -> list[str]:
    """Lines on an image set: files, those skipped, colours, classes, size and why, variation, memory, notes and advice."""
    told = image_set.report
    lines = [_files(image_set), *_skipped(told)]
    met = _met(image_set)
    lines += [met] if met else []
    if isinstance(image_set, PhotoSet):
        lines += told.get("form", [])
    else:
        lines += [_classes(image_set)] if image_set.labels is not None else []
        lines += _form(image_set)
    lines += [f"note: {n}" for n in told.get("notes", [])]
    return lines + [f"advice: {a}" for a in advice(told)]


def _form(image_set: ImageSet) -> list[str]:
    """Size and why, colour, variation, memory and the held-out part."""
    told, (c, h, w) = image_set.report, image_set.images.shape[1:]
    fit = f" · other aspect ratios: {told['fit']}" if told.get("sizes", {}).get("different", 1) > 1 else ""
    where = "in memory" if told.get("in_memory", True) else "on disk, mapped"
    held = f" · held out {len(image_set.held_out):,}" if image_set.held_out else ""
    return [
        f"{told.get('size_why', f'{w}x{h}')}{fit}",
        f"{told.get('colour_why', '')} · {_varied(image_set)}".removeprefix(" · "),
        f"{len(image_set):,} images of {c}x{h}x{w}, {image_set.images.numel() / 1e6:,.1f} MB {where}{held}",
    ]


def full(image_set: ImageSet | PhotoSet) -> dict[str, Any]:
    """The report with the summary and the fingerprints: the content of data_report.json."""
    held = {"held_out_fingerprint": image_set.held_out.fingerprint} if image_set.held_out else {}
    return {**image_set.report, "summary": summary(image_set), "fingerprint": image_set.fingerprint, **held}


def _skipped(told: dict[str, Any]) -> list[str]:
    """The first few files that are not used, by name."""
    every = told.get("skipped", [])
    lines = [f"skipped {one['file']}: {one['reason']}" for one in every[:NAMED]]
    return lines + [f"... and {len(every) - NAMED:,} more"] * (len(every) > NAMED)


def _files(image_set: ImageSet | PhotoSet) -> str:
    told = image_set.report
    unit = "files" if told.get("kind") in ("folder", "zip") else "images"
    text = f"{told.get('files', len(image_set)):,} {unit} · {told.get('usable', len(image_set)):,} usable"
    counted = told.get("kind") in ("folder", "zip", "parquet") or "hold_out" in told
    held = len(image_set.held_out) if image_set.held_out and counted else 0
    if "what" in told:  # pairs and two sets: not one file each
        text, held = f"{text} {told['what']}", told["held_out"]
    if held:
        text += f" · {held:,} held out"
    skipped = len(told.get("skipped", []))
    if skipped:
        why = ", ".join(f"{n:,} {KINDS.get(kind, kind)}" for kind, n in told["reasons"].items())
        text += f" · {skipped:,} skipped ({why})"
    return text


def _met(image_set: ImageSet | PhotoSet) -> str:
    told = image_set.report
    modes = told.get("modes", {})
    parts = []
    if modes:
        aim = {1: "grey", 3: "RGB", 4: "RGB with transparency"}[image_set.images.shape[1]]
        sizes = told.get("sizes", {})
        sides = f", sides {sizes['min']} to {sizes['max']}" if sizes else ""
        parts.append(" / ".join(f"{MODES.get(m, m)} {n:,}" for m, n in modes.items()) + f" → {aim}{sides}")
    for key, words in (
        ("exif_rotated", "turned upright (EXIF)"),
        ("animated", "animated"),
        ("misnamed", "with another ending than their content, or none"),
        ("enlarged", "smaller than the size, enlarged"),
        ("duplicates", "exact duplicates"),
        ("near_duplicates", "near duplicates"),
        ("removed_duplicates", "duplicates left out"),
    ):
        if told.get(key):
            parts.append(f"{told[key]:,} {words}")
    if told.get("salvaged"):
        parts.append(f"{len(told['salvaged']):,} salvaged without their end marker")
    if told.get("deep"):
        parts.append(f"{told['deep']['count']:,} deep, samples {told['deep']['low']:g} to {told['deep']['high']:g}")
    if told.get("extreme_aspect"):
        parts.append(f"{told['extreme_aspect']:,} longer than 3:1")
    return " · ".join(parts)


def _classes(image_set: ImageSet) -> str:
    counts = image_set.report.get("class_counts", {})
    order = sorted(counts.items(), key=lambda item: -item[1])
    head = f"{len(image_set.names)} class{'es' * (len(image_set.names) != 1)}"
    if len(order) > 1 and order[0][1] == order[-1][1]:
        names = ", ".join(name for name, _ in order[:10])
        return f"{head}, {order[0][1]:,} images each: {names}{', ...' * (len(order) > 10)}"
    if len(order) <= 8:
        return f"{head}: " + ", ".join(f"{name} ({n:,})" for name, n in order)
    return f"{head}: " + ", ".join(f"{name} ({n:,})" for name, n in order[:5]) + f", ... the rarest {order[-1][0]} ({order[-1][1]:,})"


def _varied(image_set: ImageSet) -> str:
    told = image_set.report
    auto = " (auto; flip = no for text and signs)" if told.get("flip_auto") else ""
    flips = f"mirrored at random{auto}" if image_set.flip else "never mirrored"
    return flips + (f", shifted by up to {image_set.crop} pixels" if image_set.crop else "")
