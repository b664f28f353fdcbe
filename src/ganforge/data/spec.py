"""All that a network may know of the data before it is built."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DataSpec:
    """Shape and classes of one example."""

    shape: tuple[int, ...]
    """Shape of one example `x`, without the batch axis: (c, h, w) for images in [-1, 1]."""
    classes: int = 0
    """Number of classes in `y`; 0 where there are no labels."""
    names: tuple[str, ...] = ()
    """Class names, in the order of their numbers."""
    count: int = 0
    """Number of training examples; 0 where it is unlimited."""
    device: str = "cpu"
    """Where the method's networks and latents live."""
    given: tuple[int, ...] = ()
    """Shape of one example `given`, what `x` is to be made of: (c, h, w) for images in [-1, 1]; () where the data brings none."""
