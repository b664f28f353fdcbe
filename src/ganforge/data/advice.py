"""What the user might do about the data: a few sentences, each for a fact of the report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

FEW = 1000
"""Below this many images a GAN tends to learn them by heart."""


def advice(report: Mapping[str, Any]) -> list[str]:
    """Sentences that name an option or an action, the weightiest first; none where all is well."""
    if report.get("fit") == "pieces":  # of photographs of any size, which are not learnt by heart so easily
        return [*_on_files(report)]
    return [*_on_files(report), *_on_images(report), *_on_classes(report.get("class_counts", {}))]


def _on_files(report: Mapping[str, Any]) -> Iterator[str]:
    reasons = report.get("reasons", {})
    if n := reasons.get("Git LFS pointer"):
        yield f"{n:,} files are Git LFS pointers: run `git lfs pull` to fetch the pictures"
    if n := reasons.get("too small"):
        cure = "smaller pieces take them" if report.get("fit") == "pieces" else "a smaller --size takes them, and so does --min-side 1"
        yield f"{n:,} images are too small: {cure}"
    if (n := reasons.get("truncated")) and not report.get("salvaged"):
        salvage = "; --salvage takes JPEGs that lack only their end marker" * (report.get("fit") != "pieces")
        yield f"{n:,} files are truncated: copy them again{salvage}"


def _on_images(report: Mapping[str, Any]) -> Iterator[str]:
    usable = max(report.get("usable", 0), 1)
    copies = report.get("duplicates", 0) + report.get("near_duplicates", 0) - report.get("removed_duplicates", 0)
    if 50 * copies > usable:
        kind = "near" if report.get("near_duplicates") else "exact"
        yield f"{copies:,} images repeat others, which favours learning them by heart: --dedup {kind} leaves them out"
    deep = report.get("deep") or {}
    if deep and 255 < deep["high"] < 32768 and deep["low"] >= 0:
        yield f"deep images use only {deep['low']:g} to {deep['high']:g} and come out dark: --window {deep['low']:g},{deep['high']:g}"
    if 10 * report.get("enlarged", 0) > usable:
        yield f"{report['enlarged']:,} images are smaller than the size and are enlarged: a smaller --size is sharper"
    if 10 * report.get("extreme_aspect", 0) > usable and report.get("fit") == "crop":
        yield f"{report['extreme_aspect']:,} images are longer than 3:1 and lose their ends: --fit pad keeps them whole"
    if report.get("outliers"):
        yield f"look at {', '.join(report['outliers'][:3])}: unlike all the others, perhaps damaged or misplaced"
    if report.get("usable", FEW) < FEW:
        yield f"{report['usable']:,} images are few: expect them to be learnt by heart; some thousands are better"


def _on_classes(counts: Mapping[str, int]) -> Iterator[str]:
    single = [name for name, n in counts.items() if n == 1]
    if single:
        yield f"{len(single):,} class{'es' * (len(single) > 1)} with a single image ({', '.join(single[:3])}): nothing to learn from"
    if counts and not single and max(counts.values()) > 20 * max(min(counts.values()), 1):
        yield "the classes are very uneven: rare ones will look worse than common ones; --labels none ignores them"
