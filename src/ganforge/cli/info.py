"""`gan info RUN`."""

from __future__ import annotations

import json
import sys

from ..core.errors import CheckpointError, UsageError
from ..runs.folder import Folder, open_run


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or arguments[0].startswith("-"):
        if arguments[:1] in (["-h"], ["--help"]):
            sys.stdout.write("gan info RUN\n\nWhat a run is, how far it got, how to use it.\n")
            return 0
        raise UsageError("say which run: gan info runs/NAME-001.")
    folder = open_run(arguments[0])
    try:
        sys.stdout.write("\n".join(_lines(folder)) + "\n")
    except (KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"the files of {folder.path} lack or garble {error}: they were not written by Ganforge.") from error
    return 0


def _lines(folder: Folder) -> list[str]:
    recipe, plan, history = folder.json("recipe.json"), folder.json("plan.json"), folder.history()
    run, last = recipe["fields"]["run"], history[-1] if history else {"seen": 0, "seconds": 0.0}
    done = last["seen"] / run["examples"]
    return [
        f"{folder.path}: {recipe['recipe']} on {recipe['fields']['data']['path']}",
        f"  {last['seen']:,} of {run['examples']:,} images seen ({done:.0%}), {last['seconds'] / 60:.1f} minutes of training",
        *(f"  {note}" for note in plan["notes"]),
        *(f"  {key} {value:.4g}" for key, value in last.items() if isinstance(value, float) and "/" in key),
        "  options  " + json.dumps({k: v for k, v in recipe["fields"].items() if k not in ("data", "run")}),
        f"  report   {folder.path / 'report.html'}",
        f"  next     gan {'resume' if done < 1 else 'apply' if plan.get('columns') else 'generate'} {folder.path}",
    ]
