"""`gan resume RUN`."""

from __future__ import annotations

from typing import Annotated

import tyro

from .options import call


def main(arguments: list[str]) -> int:
    return call(resume, arguments, "gan resume")


def resume(
    run: Annotated[str, tyro.conf.Positional], data: str = "", code: tuple[str, ...] = (), device: str = "", force: bool = False
) -> int:
    """Continue a run exactly where its last checkpoint stands, as if it had never stopped.

    Args:
        run: Folder of the run, e.g. runs/photos-001.
        data: Where the data are now, if they moved. Empty: where they were, or where they lie if run and data moved together.
        code: Your own .py files that the run names and that may be run.
        device: Where to go on, such as cpu or cuda:1. Empty: as the run was started, on the fastest there is if that was left to it.
        force: Go on although data or options changed; the result is then no longer that of an uninterrupted run.
    """
    from ..runs.start import resume as go

    return go(run, code=code, data_path=data, device=device, force=force).exit_code
