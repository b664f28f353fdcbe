"""`gan blend A B 0.3 -o MODEL`."""

from __future__ import annotations

import sys
from typing import Annotated

import tyro

from ..core.errors import UsageError
from .options import call


def main(arguments: list[str]) -> int:
    return call(blend, arguments, "gan blend")


def blend(
    a: Annotated[str, tyro.conf.Positional],
    b: Annotated[str, tyro.conf.Positional],
    share: Annotated[float, tyro.conf.Positional],
    out: Annotated[str, tyro.conf.arg(aliases=("-o",))] = "",
    code: tuple[str, ...] = (),
) -> int:
    """Mix the weights of two models of one architecture into a new model: best a run and its fine-tuned child.

    Args:
        a: A run folder, or a copy of its best/ folder.
        b: Another.
        share: How much of the second: 0 is all a, 1 all b.
        out: Folder for the new model.
        code: Your own .py files that the models name and that may be run.
    """
    if not out:
        raise UsageError("say where the new model goes: gan blend A B 0.3 -o mixed/.")
    from ..tasks.blend import blend as go

    sys.stdout.write(f"{go(a, b, share, out, code=code)}\n")
    return 0
