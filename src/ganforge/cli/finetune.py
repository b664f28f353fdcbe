"""`gan finetune MODEL DATA [--freeze-discriminator K] [options]`. Options are those of the model's recipe, and start from its values."""

from __future__ import annotations

import sys
from pathlib import Path

from ..core.errors import UsageError
from .train import _take, described

USAGE = "gan finetune MODEL DATA [--freeze-discriminator K] [--code FILE.py] [--dry-run] [options]"


def main(arguments: list[str]) -> int:
    layers, arguments = _take(arguments, "--freeze-discriminator", "0")
    code, arguments = _take(arguments, "--code", "")
    dry_run, arguments = "--dry-run" in arguments, [a for a in arguments if a != "--dry-run"]
    helping = any(a in ("-h", "--help") for a in arguments)
    places = arguments[:2]
    if len(places) < 2 or any(place.startswith("-") for place in places):
        if helping:
            sys.stdout.write(f"{USAGE}\n\n{HELP}")
            return 0
        raise UsageError(f"say which model and what to train it on: {USAGE}.")
    if not layers.isdigit():
        raise UsageError(f"--freeze-discriminator is a number of layers, from 0; got '{layers}'.")

    from ..runs.finetune import start
    from ..runs.start import launch

    recipe, parent = start(Path(places[0]).expanduser(), places[1], [code] if code else [], int(layers))
    chosen = described(type(recipe), recipe, arguments[2:], f"gan finetune {places[0]} {places[1]}")
    return launch(chosen, dry_run=dry_run, parent=parent).exit_code


HELP = """Train a model further on other data, in a new run of the same recipe.

MODEL is a run folder (generator and discriminator go over) or a model folder such as a copy of best/ (the discriminator starts fresh).
DATA is what `gan train` takes; it is brought to the model's size and colours.

--freeze-discriminator K   the first K layers of the discriminator stay as they are: less to forget where there are few images
--code FILE.py             your own file that the model names and that may be run

All other options: gan finetune MODEL DATA --help
"""
