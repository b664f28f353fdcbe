"""Every published GAN we reproduce: one file, one frozen dataclass each. This table is all the registry there is.

Nothing here imports torch until a recipe is asked for, so that listing them is instant.
"""

from __future__ import annotations

import ast
import importlib
from collections.abc import Collection
from pathlib import Path
from typing import Any

from ..core.errors import UsageError, nearest

NAMES = {
    "auto": "Auto",
    "gan": "GAN",
    "cgan": "CGAN",
    "dcgan": "DCGAN",
    "lsgan": "LSGAN",
    "wgan": "WGAN",
    "wgan-gp": "WGANGP",
    "wgan-div": "WGANDiv",
    "dragan": "DRAGAN",
    "ragan": "RaGAN",
    "sngan": "SNGAN",
    "sagan": "SAGAN",
    "biggan": "BigGAN",
    "progan": "ProGAN",
    "stylegan2": "StyleGAN2",
    "fastgan": "FastGAN",
    "projected": "Projected",
    "r3gan": "R3GAN",
    "r3gan-cifar10": "R3GANCIFAR10",
    "r3gan-ffhq64": "R3GANFFHQ64",
    "r3gan-ffhq256": "R3GANFFHQ256",
    "r3gan-imagenet32": "R3GANImageNet32",
    "r3gan-imagenet64": "R3GANImageNet64",
    "acgan": "ACGAN",
    "infogan": "InfoGAN",
    "cogan": "CoGAN",
    "semi-supervised": "SemiSupervised",
    "bigan": "BiGAN",
    "ebgan": "EBGAN",
    "began": "BEGAN",
    "restore": "Restore",
    "pix2pix": "Pix2Pix",
    "cyclegan": "CycleGAN",
    "cut": "CUT",
    "fastcut": "FastCUT",
}


def find(name: str, trusted: Collection[str] | None = None) -> type:
    """The recipe class of that name, or of 'path/to/file.py:Name'. Raises UsageError with the nearest name.

    trusted: see core/ref.py; None means that the user typed the name.
    """
    if ":" in name:
        from ..core import ref

        return ref.resolve(name, importlib.import_module(__name__), type, trusted)
    key = name.lower().replace("_", "-")
    if key not in NAMES:
        raise UsageError(
            f"'{name}' is not a recipe.{nearest(name, NAMES)} `gan list recipes` shows all {len(NAMES)}; "
            f"your own works too: path/to/file.py:Name"
        )
    return getattr(importlib.import_module(f".{_file(key)}", __name__), NAMES[key])


def usual(options: Collection[str]) -> str:
    """The recipe where none is named: restore where these options hold a task, else auto."""
    return "restore" if "task" in options else "auto"


def name_of(recipe: type) -> str:
    """The inverse of `find`."""
    from ..core import ref

    ours = {kind: name for name, kind in NAMES.items()}
    if recipe.__module__.startswith(f"{__name__}."):
        return ours[recipe.__name__]
    return ref.name(recipe, importlib.import_module(__name__))


def headings() -> dict[str, str]:
    """Name -> first line of each recipe's file."""
    folder = Path(__file__).parent
    docs = {name: ast.get_docstring(ast.parse((folder / f"{_file(name)}.py").read_text())) for name in NAMES}
    return {name: (doc or "").splitlines()[0] for name, doc in docs.items()}


def _file(name: str) -> str:
    return name.replace("-", "_")


def __getattr__(attribute: str) -> Any:
    """`from ganforge.recipes import DCGAN`."""
    names = {kind: name for name, kind in NAMES.items()}
    if attribute not in names:
        raise AttributeError(f"module 'ganforge.recipes' has no attribute '{attribute}'")
    return find(names[attribute])
