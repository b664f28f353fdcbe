"""`gan blend A B 0.3`."""

from __future__ import annotations

import sys
from typing import Annotated

import tyro

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
        a: A run folder, a copy of its best/ folder, or published weights of Real-ESRGAN's networks (.safetensors, .pth).
        b: Another of the same kind.
        share: How much of the second: 0 is all a, 1 all b.
        out: Folder for the new model, of published weights a .safetensors file. Without it: the next free runs/A-B-SHARE.
        code: Your own .py files that the models name and that may be run.
    """
    from ..tasks.blend import blend as go

    made = go(a, b, share, out, code=code)
    sys.stdout.write(f"{made.place}\n")
    if made.left:
        sys.stdout.write(f"  blended: {', '.join(made.names)}; left out, as only one of the two has it: {', '.join(made.left)}\n")
    return 0
