"""`gan resume RUN`."""

from __future__ import annotations

from typing import Annotated

import tyro


def main(arguments: list[str]) -> int:
    return tyro.cli(resume, args=arguments, prog="gan resume")


def resume(run: Annotated[str, tyro.conf.Positional], code: tuple[str, ...] = ()) -> int:
    """Continue a run exactly where its last checkpoint stands, as if it had never stopped.

    Args:
        run: Folder of the run, e.g. runs/photos-001.
        code: Your own .py files that the run names and that may be run.
    """
    from ..runs.start import resume as go

    return go(run, code=code).exit_code
