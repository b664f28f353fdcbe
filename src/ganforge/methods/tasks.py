"""What can be asked of a restoration, by name. A task is a way to do damage and a way to put a network's drawing together with the input.

The namespace is the registry: `--task denoise` is `tasks.denoise`, and your own is `path/to/file.py:name`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import nn

from ..core.errors import UsageError
from ..data.degrade import presets
from ..data.degrade.strengths import Strength
from ..data.spec import DataSpec
from ..networks.image import compose, restorers
from ..networks.image.restorers import Restorer
from ..networks.image.translator import Translator

TOLD = {
    "pairs": "pairs of damaged and good images, which teach other tasks: super-resolution, denoise, deblur, dejpeg, low-light, old-photo.",
    "masks": "images with masks of what is missing, which teach --task inpaint.",
}
"""What data can bring."""
PROBE = 24
"""Side of the picture that a degradation is tried on; 2, 3 and 4 divide it."""


class Task(NamedTuple):
    """Damage by the name of its degradation (`data.degrade.presets`), and how an image is made whole again."""

    degrade: str
    """Clean (n, 3, h, w) -> given (n, inputs, h', w')."""
    compose: Callable[[Translator], nn.Module]
    """The network (n, inputs, h', w') -> (n, outputs, h, w) becomes given -> RGB (n, 3, h, w)."""
    inputs: int = 3
    outputs: int = 3
    network: Restorer = restorers.resunet
    """What suits it unless another one is asked for."""
    enlarges: bool = False
    """Whether the given image is smaller than the wanted one."""
    takes: str = "pairs"
    """What it learns from where the data brings it, as `PhotoSet.brings` says; else photographs are damaged as they are drawn."""

    def times(self, scale: int) -> int:
        """How many times larger the wanted image is; `scale` 0 stands for 2."""
        return (scale or 2) if self.enlarges else 1

    def degradation(self, damage: str, scale: int, sigma: Strength, quality: Strength) -> presets.Degradation:
        """What is done to clean images: `damage`, or the task's own for "". Strengths of 0 and "" are the usual ones.

        Raises UsageError for unknown damage and for strengths that it does not have.
        """
        return presets.named(damage or self.degrade, scale or None, sigma or None, quality or None)

    def check(self, damage: str, scale: int, sigma: Strength, quality: Strength) -> None:
        """Raise UsageError as `degradation` does, and for damage that is another task's. Random numbers are not moved."""
        name = (damage or self.degrade).replace("_", "-")
        if scale and not self.enlarges:
            raise UsageError("--scale is for --task super-resolution, and this task keeps the size of images. Leave it out.")
        if scale not in (0, 2, 3, 4):
            raise UsageError(f"--scale is how many times larger images become: 2, 3 or 4; got {scale}.")
        if not self._takes(name, self.degradation(name, scale, sigma, quality), scale):
            fit = [each for each in presets.PRESETS if self._has(each, scale)]
            raise UsageError(f"--damage {name} gives other pictures than this task is about. What fits: {', '.join(fit)}.")

    def check_data(self, path: str, brings: str, options: Sequence[str]) -> None:
        """Raise UsageError for data that brings what the task does not take, and for options of damage where none is done."""
        if brings and brings != self.takes:
            raise UsageError(f"{path} holds {TOLD[brings]} To do damage to photographs, give the folder of the good ones alone.")
        if brings and options:
            raise UsageError(f"{path} brings what is given, so nothing is damaged: leave out --{', --'.join(options)}.")

    def scale_of(self, spec: DataSpec, scale: int) -> int:
        """The scale that pairs have, where they are to be enlarged; else `scale` itself.

        Raises UsageError for pairs whose channels or sizes are not those of the task, or whose scale is another one.
        """
        if spec.given and spec.given[0] != self.inputs:
            told = "give the folder of the good images alone, which are then damaged as they are drawn."
            raise UsageError(f"this task makes images of {self.inputs} channels, and the given ones have {spec.given[0]}: {told}")
        if not spec.given or self.takes != "pairs":
            return scale
        found = spec.shape[1] // spec.given[1]
        if self.enlarges and found == 1 or found > 1 and not self.enlarges:
            fit = "--task super-resolution is for these" if found > 1 else "they have to be larger; other tasks keep the size"
            raise UsageError(f"the wanted images of these pairs are {found} times as large as the given ones: {fit}.")
        if self.enlarges and scale not in (0, found):
            raise UsageError(f"the wanted images of these pairs are {found} times as large as the given ones; got --scale {scale}.")
        return found if self.enlarges else scale

    def side(self, crop: int, scale: int) -> int:
        """The largest side of pieces up to `crop` that holds whole pixels of the given image."""
        return crop // self.times(scale) * self.times(scale)

    def _takes(self, name: str, degradation: presets.Degradation, scale: int) -> bool:
        """Whether what it gives has the channels and the size that the task's network is given.

        Channels beside red, green and blue mean what the task's own degradation puts there.
        """
        with torch.random.fork_rng(devices=[]):
            given = degradation(torch.zeros(1, 3, PROBE, PROBE))
        side = PROBE // self.times(scale)
        alike = name == self.degrade or {name, self.degrade} <= {*presets.HOLES}
        return given.shape[1:] == (self.inputs, side, side) and (self.inputs == 3 or alike)

    def _has(self, name: str, scale: int) -> bool:
        try:
            return self._takes(name, self.degradation(name, self.times(scale) if self.enlarges else 0, 0.0, 0), scale)
        except UsageError:  # it does not make pictures smaller
            return False

    def generator(self, network: Restorer, width: int, blocks: int, scale: int) -> nn.Module:
        """The network, or what suits the task, made whole. Raises ValueError for sizes that it does not know."""
        kind = self.network if network == restorers.auto else network
        return self.compose(kind.build(self.inputs, self.outputs, width, blocks, self.times(scale)))


super_resolution = Task("clean", compose.Enlarge, network=restorers.compact, enlarges=True)
"""two to four times the pixels; --damage clean, web or harsh says what the small pictures have been through"""
denoise = Task("noise", compose.Residual)
"""take away Gaussian noise, of --sigma 25 of 255, or of any in a range: --sigma 5-50"""
dejpeg = Task("jpeg", compose.Residual)
"""take away what JPEG at --quality 20, or any of 10-60, leaves: blocks, ringing, lost colour"""
deblur = Task("deblur", compose.Residual)
"""sharpen what a shaken camera, a lens out of focus or a soft one has blurred; --damage gaussian-blur: a soft one alone"""
low_light = Task("low-light", compose.Residual)
"""brighten pictures taken in the dark, and take away their noise"""
old_photo = Task("old-photo", compose.Residual)
"""mend faded, browned, grainy, dusty and scratched prints"""
colourise = Task("hinted", compose.Colour, inputs=4, outputs=2, takes="")
"""colour for black-and-white pictures, with dots of known colour where somebody gives some"""
inpaint = Task("holes", compose.Fill, inputs=4, takes="masks")
"""fill holes: what a mask says is missing; --damage strokes, boxes, scratches or text: holes of one kind alone"""
