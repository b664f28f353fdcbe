"""`gan finetune MODEL DATA [--freeze-discriminator K] [options]`. Options are those of the model's recipe, and start from its values."""

from __future__ import annotations

import sys
from pathlib import Path

from ..core.errors import UsageError
from .train import _take, described

USAGE = "gan finetune MODEL DATA [--freeze-discriminator K] [--code FILE.py ...] [--dry-run] [options]"


def main(arguments: list[str]) -> int:
    if arguments and arguments[-1] in ("--freeze-discriminator", "--code"):
        raise UsageError(f"{arguments[-1]} needs a value: {USAGE}.")
    layers, arguments = _take(arguments, "--freeze-discriminator", "0")
    code, arguments = _files(arguments)
    dry_run, arguments = "--dry-run" in arguments, [a for a in arguments if a != "--dry-run"]
    helping = any(a in ("-h", "--help") for a in arguments)
    places = arguments[:2]
    if len(places) < 2 or any(place.startswith("-") for place in places):
        if helping:
            sys.stdout.write(f"{USAGE}\n\n{HELP}")
            return 0
        raise UsageError(f"say which model and what to train it on: {USAGE}.")
    if any(a.split("=")[0] == "--path" for a in arguments):
        raise UsageError(f"DATA comes second and needs no option: {USAGE}.")
    if not layers.isdigit():
        raise UsageError(f"--freeze-discriminator is a number of layers, from 0; got '{layers}'.")

    from ..runs.finetune import start
    from ..runs.start import launch

    recipe, parent = start(Path(places[0]).expanduser(), places[1], code, int(layers))
    prog = f"gan finetune {places[0]} {places[1]}"
    chosen = described(
        type(recipe), recipe, arguments[2:], prog, "gan finetune MODEL DATA --help", ("freeze-discriminator", "code", "dry-run")
    )
    return launch(chosen, dry_run=dry_run, parent=parent).exit_code


def _files(arguments: list[str]) -> tuple[list[str], list[str]]:
    """The files after each --code, and the arguments without them."""
    code: list[str] = []
    while any(a.split("=")[0] == "--code" for a in arguments):
        at = next(i for i, a in enumerate(arguments) if a.split("=")[0] == "--code")
        first, arguments = _take(arguments, "--code", "")
        if first.startswith("-"):
            raise UsageError(f"--code needs a file; got '{first}': {USAGE}.")
        code.append(first)
        while at < len(arguments) and arguments[at].endswith(".py"):
            code.append(arguments.pop(at))
    return code, arguments


HELP = """Train a model further on other data, in a new run of the same recipe.

MODEL is a run folder (generator and discriminator go over) or a model folder such as a copy of best/ (the discriminator starts fresh).
DATA is what `gan train` takes; it is brought to the model's size and colours.

--freeze-discriminator K   the first K layers of the discriminator stay as they are: less to forget where there are few images
--code FILE.py ...         your own files that the model names and that may be run

All other options: gan finetune MODEL DATA --help
"""
