"""A number with all that it needs to be quoted, compared and computed again: its protocol, its error, its floor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import __version__
from .measure import higher_is_better

Settings = Mapping[str, str]
PROTOCOL = 2
"""Raised when a setting changes its meaning, or a number the way in which it is computed."""
VERSION = f"{__version__}, protocol {PROTOCOL}"
"""What made a number."""


@dataclass(frozen=True)
class Evaluation:
    """What `gan evaluate` found out about a model or a set of images."""

    subject: str
    """The run, model or folder that was judged."""
    values: Mapping[str, float]
    """Numbers by name against the reference: the held-out part where there is one, else the data; of pairs, their means."""
    errors: Mapping[str, float]
    """For those that have one: the standard deviation over subsets, or of the mean over pairs or test images."""
    floor: Mapping[str, float]
    """The same numbers of real images against real images: what a perfect generator gets. Empty for pairs."""
    settings: Settings
    """Everything that decides the numbers apart from the subject."""
    floor_of: str = ""
    """Which real images the floor compares."""
    training: Mapping[str, float] = field(default_factory=dict)
    """Against the training data, where the reference is held out."""
    training_floor: Mapping[str, float] = field(default_factory=dict)
    """What held-out images get there."""
    per_class: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    per_class_floor: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """What real images of the class get."""
    beside: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """The same numbers of what else was made of the same inputs, by name."""
    per_example: Sequence[Mapping[str, float]] = ()
    examples: Sequence[str] = ()
    """What these are called, file names where there are some; empty: their numbers."""
    memorisation: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    model: Mapping[str, Any] = field(default_factory=dict)
    """sha256 of the weights and real images seen, for a model."""
    saved: Path | None = None
    """The file it was written to, if any."""

    @property
    def protocol(self) -> str:
        """One line that travels with every number."""
        return " · ".join(f"{key} {value}" for key, value in self.settings.items() if value)

    def json(self) -> dict[str, Any]:
        """Plain JSON, the inverse of `from_json`."""
        plain = {key: getattr(self, key) for key in self.__dataclass_fields__ if key != "saved"}
        return {"format": 1, "protocol": self.protocol, **plain, "per_class_mean": class_mean(self.per_class)}

    def table(self) -> str:
        """All of it as plain text."""
        return "\n".join(_lines(self)) + "\n"


def from_json(content: Mapping[str, Any], saved: Path) -> Evaluation:
    """The inverse of `Evaluation.json`. Raises KeyError or TypeError for something else."""
    fields = {key: content[key] for key in Evaluation.__dataclass_fields__ if key in content and key != "saved"}
    lists = {key: tuple(fields.get(key, ())) for key in ("notes", "per_example", "examples")}
    return Evaluation(**{**fields, **lists, "saved": saved})


def differences(a: Settings, b: Settings) -> list[str]:
    """What differs between two protocols: 'generated: 5,000 or 10,000'."""
    keys = dict.fromkeys([*a, *b])
    return [f"{key}: {a.get(key) or 'none'} or {b.get(key) or 'none'}" for key in keys if a.get(key, "") != b.get(key, "")]


def class_mean(per_class: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """The mean of every number over the classes that have it: of FID the Intra-FID."""
    names = dict.fromkeys(name for found in per_class.values() for name in found)
    each = {name: [found[name] for found in per_class.values() if name in found] for name in names}
    return {name: sum(values) / len(values) for name, values in each.items()}


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of texts as aligned lines: the first column to the left, the others to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    sides = ["<", *">" * (len(widths) - 1)]
    return ["  ".join(f"{cell:{side}{width}}" for cell, side, width in zip(row, sides, widths, strict=True)).rstrip() for row in rows]


def shown(value: float | None) -> str:
    """Four significant digits; '' for nothing."""
    if value is None:
        return ""
    return f"{value:.4g}" if abs(value) < 1e4 else f"{value:,.0f}"


def _lines(e: Evaluation) -> list[str]:
    floor = ["floor"] if e.floor else []
    head = ["", "value", "±", *floor, *(["on training data", "floor there"] if e.training else []), *e.beside, "better"]
    rows = [head]
    for name, value in e.values.items():
        cells = [name, shown(value), shown(e.errors.get(name)), *(shown(e.floor.get(name)) for _ in floor)]
        cells += [shown(e.training.get(name)), shown(e.training_floor.get(name))] if e.training else []
        cells += [shown(other.get(name)) for other in e.beside.values()]
        rows.append([*cells, "higher" if higher_is_better(name) else "lower"])
    lines = [
        *columns(rows),
        "",
        f"judged    {e.subject}{_model(e)}",
        f"protocol  {e.protocol}",
        *([f"floor     {e.floor_of}"] if floor else []),
    ]
    if e.memorisation:
        lines.append("copies    " + ", ".join(f"{key} {shown(value)}" for key, value in e.memorisation.items()))
    lines += [f"note      {note}" for note in e.notes]
    if e.per_class:
        lines += ["", *columns(_by_class(e))]
    if e.per_example:
        called = e.examples or [f"{i}" for i, _ in enumerate(e.per_example, 1)]
        table = [["example", *e.per_example[0]]]
        table += [[name, *map(shown, found.values())] for name, found in zip(called, e.per_example, strict=True)]
        lines += ["", *columns(table)]
    return lines


def _model(e: Evaluation) -> str:
    """Which weights of a model: ', 60,032 images seen, weights 1a2b3c4d'; '' for images."""
    seen = [f"{e.model['seen']:,} images seen"] if "seen" in e.model else []
    return "".join(f", {one}" for one in [*seen, *([f"weights {str(e.model['sha256'])[:8]}"] if "sha256" in e.model else [])])


def _by_class(e: Evaluation) -> list[list[str]]:
    """The table of classes, the floor of every number beside it, the mean last."""
    mean, floor = class_mean(e.per_class), _floor_of_mean(e)
    beside = ["floor"] if e.per_class_floor else []
    rows = [["class", *(cell for name in mean for cell in (name, *beside))]]
    for kind, *found in [*((kind, found, e.per_class_floor.get(kind, {})) for kind, found in e.per_class.items()), ("mean", mean, floor)]:
        rows.append([kind, *(shown(of.get(name)) for name in mean for of in found[: 1 + len(beside)])])
    return rows


def _floor_of_mean(e: Evaluation) -> dict[str, float]:
    """The means of the floors, where they are over the very classes that the numbers' means are over."""
    of = [{name: {kind for kind in each if name in each[kind]} for name in class_mean(each)} for each in (e.per_class, e.per_class_floor)]
    return {name: value for name, value in class_mean(e.per_class_floor).items() if of[0].get(name) == of[1][name]}
