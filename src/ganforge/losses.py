"""Adversarial losses. All act on logits and return one value per example; callers take the mean.

n examples; a logit is any real number, positive where the critic believes that the example is real.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from torch import Tensor
from torch.nn.functional import relu, softplus


class _GeneratorLoss(Protocol):
    def __call__(self, fake: Tensor, real: Tensor | None = None, /) -> Tensor: ...


class Pair(NamedTuple):
    """The two sides of one game, as functions of the critic's logits, (n,) or (n, 1, h, w) -> (n,)."""

    d: Callable[[Tensor, Tensor], Tensor]
    """(real logits, fake logits) -> (n,) loss of the discriminator."""
    g: _GeneratorLoss
    """(fake logits, real logits or None) -> (n,) loss of the generator."""
    relativistic: bool = False
    """True where the generator's loss also looks at real logits."""


def per_example(values: Tensor) -> Tensor:
    """Mean over every axis but the first: (n, ...) -> (n,). Patch critics score many places."""
    return values.flatten(1).mean(1) if values.ndim > 1 else values


def _pair(d: Callable, g: Callable, relativistic: bool = False) -> Pair:
    return Pair(lambda r, f: per_example(d(r, f)), lambda f, r=None: per_example(g(f, r)), relativistic)


minimax = _pair(lambda r, f: softplus(-r) + softplus(f), lambda f, _: -softplus(f))
"""The original, saturating minimax game: G minimises log(1 - D(G(z))) (Goodfellow et al., 2014, arXiv:1406.2661, eq. 1)."""

logistic = _pair(lambda r, f: softplus(-r) + softplus(f), lambda f, _: softplus(-f))
"""Non-saturating logistic loss: G maximises log D(G(z)) (Goodfellow et al., 2014, arXiv:1406.2661, sec. 3)."""

least_squares = _pair(lambda r, f: ((r - 1) ** 2 + f**2) / 2, lambda f, _: (f - 1) ** 2 / 2)
"""Least squares with targets a=0, b=c=1 (Mao et al., 2017, arXiv:1611.04076, eq. 9)."""

wasserstein = _pair(lambda r, f: f - r, lambda f, _: -f)
"""Wasserstein critic; needs a Lipschitz constraint (Arjovsky et al., 2017, arXiv:1701.07875, eq. 2)."""

hinge = _pair(lambda r, f: relu(1 - r) + relu(1 + f), lambda f, _: -f)
"""Hinge loss (Lim & Ye, 2017, arXiv:1705.02894; Miyato et al., 2018, arXiv:1802.05957, eq. 16-17)."""

relativistic = _pair(lambda r, f: softplus(f - r), lambda f, r: softplus(r - f), relativistic=True)
"""Relativistic pairing: example i against fake i (Jolicoeur-Martineau, 2018, arXiv:1807.00734; R3GAN, arXiv:2501.05441, eq. 2)."""

relativistic_average = _pair(
    lambda r, f: softplus(f.mean() - r) + softplus(f - r.mean()),
    lambda f, r: softplus(r - f.mean()) + softplus(r.mean() - f),
    relativistic=True,
)
"""Relativistic average: each example against the mean of the other side (Jolicoeur-Martineau, 2018, arXiv:1807.00734, sec. 4.2)."""

LIKELIHOOD = {"logistic": logistic, "minimax": minimax, "relativistic": relativistic}
"""At the optimum of these the logit of an image is the logarithm of how much likelier it is to be real than generated, up to a constant
(Goodfellow et al., 2014, arXiv:1406.2661, prop. 1)."""


def smooth(pair: Pair, amount: float) -> Pair:
    """One-sided label smoothing: real examples count as real with weight 1 - amount (Salimans et al., 2016, arXiv:1606.03498, sec. 3.4).

    For a loss a(real) + b(fake) this is (1 - amount) a(real) + amount b(real) + b(fake); for cross-entropy, targets of
    1 - amount. Raises ValueError for relativistic losses, which have no label to smooth.
    """
    if pair.relativistic:
        raise ValueError("label smoothing needs a loss with labels; a relativistic loss compares pairs and has none.")
    if not 0 <= amount < 0.5:
        raise ValueError(f"label_smoothing must be at least 0 and below 0.5; got {amount}. Usual: 0.1.")

    def d(r: Tensor, f: Tensor) -> Tensor:
        # a(r) + b(f) is all a Pair offers; b(r) is read off by putting r in the fake's place, against constant reals.
        zero = r.new_zeros(()).expand_as(r)
        as_fake = pair.d(zero, r) + pair.d(zero, f) - pair.d(zero, zero)
        return (1 - amount) * pair.d(r, f) + amount * as_fake

    return Pair(d, pair.g, False)
