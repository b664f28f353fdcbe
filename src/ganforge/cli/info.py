"""`gan info RUN`."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import CheckpointError, GanforgeError, UsageError
from .options import check_names

if TYPE_CHECKING:
    from ..runs.about import About

TOLD = ("path", "out", "examples")
"""Options that other lines tell of."""
FILES = {
    "best": "best/ (the model)",
    "model.safetensors": "model.safetensors",
    "report.html": "report.html",
    "samples": "samples/",
    "ckpt": "ckpt/ (checkpoints)",
    "log.txt": "log.txt",
}
CHANNELS = {1: "grey", 3: "colour"}


def main(arguments: list[str]) -> int:
    if arguments[:1] in (["-h"], ["--help"]):
        sys.stdout.write(
            "gan info RUN [--json]\n\nWhat a run or a model is, how far it got, how to use it. --json: the same for programs.\n"
        )
        return 0
    check_names(arguments, {"json"}, "gan info --help")
    places = [word for word in arguments if word != "--json"]
    if len(places) != 1:
        raise UsageError("say which run: gan info runs/NAME-001.")
    from ..runs.about import plain, read
    from ..runs.folder import open_run

    path = Path(places[0]).expanduser()
    found = read(path if (path / "config.json").is_file() else open_run(path).path)
    try:
        lines = [json.dumps(_told(found), indent=2)] if len(places) < len(arguments) else map(plain, _lines(found))
        sys.stdout.write("\n".join(lines) + "\n")
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        if isinstance(error, GanforgeError):
            raise
        raise CheckpointError(f"the files of {path} lack or garble {error}: they were not written by Ganforge.") from error
    return 0


def _told(found: About) -> dict[str, Any]:
    """All of it as JSON."""
    best = dict(zip(("metric", "value", "seen"), found.best, strict=True)) if found.best else None
    facts = {"path": str(found.path), "state": found.state, "seen": found.seen, "total": found.total, "best": best}
    return facts | {"recipe": found.content, "plan": _plan(found), "last": found.last if found.state else {}}


def _plan(found: About) -> Mapping[str, Any]:
    """What was decided at the start of a run; of a model, what its config.json says."""
    from ..runs.folder import Folder

    return Folder(found.path).json("plan.json") if found.state else found.content


def _lines(found: About) -> Iterator[str]:
    from ..runs.live import duration

    plan, (channels, *sides) = _plan(found), found.content["spec"]["shape"]
    kind, classes = CHANNELS.get(channels, f"{channels} channels"), found.content["spec"]["classes"]
    yield f"{found.path}: a {found.state or 'trained'} {'run' if found.state else 'model'} of {found.recipe} on {found.data}"
    what = "pieces" if plan.get("columns") else "examples"  # images that others are made of are cut
    yield f"  data      {found.content['spec']['count']:,} {what} of {'x'.join(map(str, sides[::-1]))}, {kind}" + (
        f", {classes} classes" if classes else ""
    )
    if sizes := plan.get("parameters"):
        yield "  networks  " + ", ".join(f"{name} of {count:,} parameters" for name, count in sizes.items() if count > 1)
    if found.total:
        seconds = found.last.get("seconds", 0.0)
        share = min(found.seen / found.total, 1.0)
        yield f"  training  {found.seen:,} of {found.total:,} images seen ({share:.0%}) in {duration(seconds)}"
    if found.best:
        yield "  best      {} {:.4g} at {:,} images".format(*found.best)
    if health := found.last.get("health"):
        yield f"  health    {health}"
    if options := _options(found.content):
        yield f"  options   {shlex.join(options)}   (all others as {found.recipe} has them)"
    yield "  files     " + ", ".join(text for name, text in FILES.items() if (found.path / name).exists())
    if found.why:
        yield f"  why       {found.why}"
    yield f"  next      {_next(found, plan)}"


def _options(content: Mapping[str, Any]) -> list[str]:
    """The options in which a recipe differs from its defaults, as one types them; all, of a recipe whose code is not ours to run."""
    from ..core import recipe as recipes_json
    from ..recipes import find

    fields = content["fields"]
    try:
        usual = recipes_json.describe(recipes_json.on(find(content["recipe"], ()), fields["data"]["path"]))
    except GanforgeError:
        usual = {}
    known = dict(_flat(usual))
    words = (_typed(name, value) for name, value in _flat(fields) if name not in TOLD and (name not in known or known[name] != value))
    return [word for option in words for word in option]


def _flat(fields: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Options by their flat names."""
    for name, value in fields.items():
        yield from value.items() if isinstance(value, Mapping) else [(name, value)]


def _typed(name: str, value: Any) -> Iterable[str]:
    flag = name.replace("_", "-")
    if isinstance(value, bool):
        return [f"--{flag}" if value else f"--no-{flag}"]
    return [f"--{flag}", *(map(str, value) if isinstance(value, list) else [str(value)])]


def _next(found: About, plan: Mapping[str, Any]) -> str:
    """What to type."""
    from ..runs.pictures import next_step

    if found.state == "stopped":
        return f"gan resume {shlex.quote(str(found.path))}"
    if found.state == "diverged":
        return f"gan train {shlex.quote(found.data)} --recipe {shlex.quote(found.recipe)}, with one of the changes above"
    if found.state == "running":
        return f"wait for it; {found.path / 'report.html'} shows how it goes"
    return next_step(found.path, plan, found.content["fields"].get("task", ""))
