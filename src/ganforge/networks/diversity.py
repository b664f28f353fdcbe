"""What pays a generator for drawing different things from different latents."""

from __future__ import annotations

from torch import Tensor

LEAST = 1e-5
"""Keeps the term finite where all images are the same (the published code's)."""


def mode_seeking(z: Tensor, x: Tensor, other: Tensor, again: Tensor) -> Tensor:
    """How much images agree whose latents differ: z (n, ...) -> x (n, ...) and other (n, ...) -> again (n, ...), a scalar > 0.

    1 / (mean |again - x| / mean |other - z| + LEAST), for a generator to descend: the mode-seeking term of MSGAN (Mao et al., 2019,
    arXiv:1903.05628, sec. 3), inverted as in its published code, so that it fades as images move apart. Where a class comes with
    the latents it is the same for both. The means are over the batch, over each micro-batch where there are several. DSGAN (Yang et al.,
    2019, arXiv:1901.09024, sec. 3) maximises the same ratio up to a bound.
    """
    apart = (again.float() - x.float()).abs().mean() / (other.float() - z.float()).abs().mean()
    return 1 / (apart + LEAST)
