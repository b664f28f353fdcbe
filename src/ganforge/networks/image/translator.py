"""What networks from image to image have in common: how they may be cut into tiles, and sizes that are no multiple of anything.

How far a network sees is worked out backwards along one axis: from a pixel of its output, layer by layer, to the first and
the last pixel of the input that it depends on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn
from torch.nn.functional import pad

Step = Callable[[int, int], tuple[int, int]]
"""A layer, backwards: from the first and last place of its output that are wanted to those of its input that they need."""
SCALES = (1, 2, 3, 4)


class Translator(nn.Module):
    """x (n, a, h, w), any h and w from 1 -> (n, b, h * scale, w * scale). An image may be translated in tiles where `exact`.

    A tile that starts at a multiple of `modulus` and has `reach` pixels more on every side gives, without them, the same as the whole.
    """

    inputs: int
    """Channels of x."""
    scale: int = 1
    """How many times higher and wider the output is."""
    reach: int
    """A pixel of the output depends on no pixel of the input that is further off than so many, up, down, left or right."""
    exact: bool = True
    """Whether that is the whole truth. Not where means over the whole image are taken: there `reach` leaves them out."""
    modulus: int = 1
    """Sides are padded to a multiple of it inside, by repeating the border, and the result is cropped."""


def padded(x: Tensor, modulus: int) -> Tensor:
    """(n, c, h, w) -> the next sizes that are multiples of `modulus`: the last row and column are repeated."""
    if modulus == 1:
        return x
    height, width = x.shape[2:]
    down = (height + modulus - 1) // modulus * modulus - height
    right = (width + modulus - 1) // modulus * modulus - width
    return pad(x, (0, right, 0, down), mode="replicate")  # even by nothing: an exported graph must not depend on the size it was made with


def check_scale(scale: int, name: str) -> int:
    """The scale itself. Raises ValueError unless it is 1, 2, 3 or 4."""
    if scale not in SCALES:
        raise ValueError(f"{name} enlarges 1, 2, 3 or 4 times; got {scale}.")
    return scale


def conv(size: int, times: int = 1) -> Step:
    """So many convolutions of an odd size, one after another, at one resolution."""
    far = size // 2 * times
    return lambda first, last: (first - far, last + far)


def fold(times: int) -> Step:
    """To 1 / times of the size, where every place sees its own block: a strided convolution as large as its stride, a pixel unshuffle."""
    return lambda first, last: (times * first, times * last + times - 1)


def blur_half(first: int, last: int) -> tuple[int, int]:
    """To half the size, through a filter of 4 taps."""
    return 2 * first - 1, 2 * last + 2


def unfold(times: int) -> Step:
    """To `times` the size, where every place sees the one that it came from: nearest neighbour, a pixel shuffle."""
    return lambda first, last: (first // times, last // times)


def bilinear_double(first: int, last: int) -> tuple[int, int]:
    """To twice the size, bilinear: every place sees the one that it came from and the neighbour that it is nearer to."""
    return (first - 1) // 2, (last + 1) // 2


def reach(steps: Sequence[Step], scale: int = 1, modulus: int = 1) -> int:
    """How far, in pixels of the input, a pixel of the output may see through these layers, which are in the order of the network."""
    far = 0
    for place in range(scale * modulus):  # what is seen repeats itself after so many
        first = last = place
        for step in reversed(steps):
            first, last = step(first, last)
        far = max(far, place // scale - first, last - place // scale)
    return far
