"""Penalties on a critic: (critic, real, fake) -> one value per example.

A sample is a tensor (n, ...) or a tuple of them (a graph's atoms and bonds, a clip's frames and sound), first axis
examples. A critic maps a sample to logits (n,) or (n, 1, h, w). Real and fake may be of any range; ours are in [-1, 1].
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from .losses import per_example as _per_example
from .networks import augment as _augment

Sample = Tensor | tuple[Tensor, ...]
Critic = Callable[[Sample], Tensor]
PenaltyFunction = Callable[[Critic, Sample, Sample], Tensor]


def gradient_penalty(critic: Critic, real: Sample, fake: Sample) -> Tensor:
    """Two-sided penalty on random lines between real and fake: (n, ...), (n, ...) -> (n,).

    (|d critic / d x| - 1)^2 at x = real + a (fake - real), a ~ U[0, 1] per example, norm per example
    (WGAN-GP, Gulrajani et al., 2017, arXiv:1704.00028, eq. 3). All tensors of a tuple share one a.
    """
    alpha = torch.rand(len(_leaves(real)[0]), device=_leaves(real)[0].device)
    return (_norm(_squared_slope(critic, _blend(real, fake, alpha))) - 1) ** 2


def dragan(critic: Critic, real: Sample, fake: Sample) -> Tensor:
    """Two-sided penalty around the data: (n, ...) -> (n,).

    (|d critic / d x| - 1)^2 at x = real + a * noise, a ~ U[0, 1] per example, noise = 0.5 * std(real) * U[0, 1]
    per element (Kodali et al., 2017, arXiv:1705.07215, sec. 2.3, with the authors' noise).
    """
    alpha = torch.rand(len(_leaves(real)[0]), device=_leaves(real)[0].device)
    shaken = _map(real, lambda t: t + 0.5 * t.std() * torch.rand_like(t))
    return (_norm(_squared_slope(critic, _blend(real, shaken, alpha))) - 1) ** 2


def zero_centered_gp(critic: Critic, real: Sample, fake: Sample) -> Tensor:
    """Squared slope on random lines between real and fake: (n, ...), (n, ...) -> (n,).

    |d critic / d x|^2 at x = real + a (fake - real), a ~ U[0, 1] per example (Thanh-Tung et al., 2019, arXiv:1902.03984, eq. 4).
    """
    alpha = torch.rand(len(_leaves(real)[0]), device=_leaves(real)[0].device)
    return _squared_slope(critic, _blend(real, fake, alpha))


def wgan_div(critic: Critic, real: Sample, fake: Sample, *, power: int = 6) -> Tensor:
    """Slope to the sixth power on random lines between real and fake: (n, ...), (n, ...) -> (n,).

    |d critic / d x|^power at x = real + a (fake - real), a ~ U[0, 1] per example (Wasserstein divergence, Wu et al.,
    2018, arXiv:1712.01026, algorithm 1; the paper's power is p = 6 and its weight k = 2).
    """
    alpha = torch.rand(len(_leaves(real)[0]), device=_leaves(real)[0].device)
    return _squared_slope(critic, _blend(real, fake, alpha)) ** (power / 2)


def r1(critic: Critic, real: Sample, fake: Sample) -> Tensor:
    """Half the squared slope at real examples: (n, ...) -> (n,) (Mescheder et al., 2018, arXiv:1801.04406, eq. 9)."""
    return _squared_slope(critic, real) / 2


def r2(critic: Critic, real: Sample, fake: Sample) -> Tensor:
    """Half the squared slope at generated examples: (n, ...) -> (n,) (Mescheder et al., 2018, arXiv:1801.04406, eq. 10)."""
    return _squared_slope(critic, fake) / 2


def r1_finite_difference(critic: Critic, real: Sample, fake: Sample, *, eps: float = 0.05) -> Tensor:
    """R1 without a double backward: (n, ...) -> (n,).

    ((critic(x + eps * noise) - critic(x)) / eps)^2 / 2 with noise ~ N(0, I): its expectation is `r1` up to O(eps^2)
    (Adversarial Post-Training, Lin et al., 2025, arXiv:2501.08316, sec. 3.3). eps is in pixel units of [-1, 1]; below 0.01 rounding in
    bf16 dominates, so logits must be fp32. The slope at x itself is trained too, as in `r1`.
    """
    return _finite_difference(critic, real, eps)


def r2_finite_difference(critic: Critic, real: Sample, fake: Sample, *, eps: float = 0.05) -> Tensor:
    """R2 without a double backward: (n, ...) -> (n,). As `r1_finite_difference`, at generated examples."""
    return _finite_difference(critic, fake, eps)


def lecam(critic: Critic, real: Sample, fake: Sample) -> Tensor:
    """Squared distance of each logit to the mean logit of the other side: (n, ...), (n, ...) -> (n,).

    (critic(real) - mean critic(fake))^2 + (critic(fake) - mean critic(real))^2, means without gradient (LeCam
    regularisation, Tseng et al., 2021, arXiv:2104.03310, eq. 3; the paper's moving-average anchors are here the batch's own).
    """
    on_real, on_fake = _per_example(critic(real)), _per_example(critic(fake))
    return (on_real - on_fake.mean().detach()) ** 2 + (on_fake - on_real.mean().detach()) ** 2


def consistency(critic: Critic, real: Sample, fake: Sample) -> Tensor:
    """Squared change of the logits of images when they are shifted: (n, c, h, w), (n, c, h, w) -> (n,).

    (critic(x) - critic(T x))^2 at real plus at generated images, T a shift by up to an eighth of the image, zeros behind it (balanced
    consistency, Zhao et al., 2021, arXiv:2002.04724, algorithm 1, usual weight 10; T as CR's, arXiv:1910.12027, which also mirrors:
    not all images may be). Raises ValueError for other samples than images.
    """
    return _unsteady(critic, real) + _unsteady(critic, fake)


def _unsteady(critic: Critic, x: Sample) -> Tensor:
    if isinstance(x, tuple) or x.ndim != 4:
        raise ValueError("the penalty `consistency` shifts images (n, c, h, w), and these are none.")
    down, right = (torch.randint(-(side // 8), side // 8 + 1, (len(x),), device=x.device) for side in x.shape[2:])
    return (_per_example(critic(x)) - _per_example(critic(_augment.translation(x, down, right)))) ** 2


def _squared_slope(critic: Critic, at: Sample) -> Tensor:
    """Squared L2 norm of d critic / d input, summed over all axes but the first: (n,)."""
    points = _map(at, lambda t: t.detach().requires_grad_(True))
    with _eager():
        grads = torch.autograd.grad(_per_example(critic(points)).sum(), _leaves(points), create_graph=True)
    return torch.stack([g.float().square().flatten(1).sum(1) for g in grads]).sum(0)


def _finite_difference(critic: Critic, at: Sample, eps: float) -> Tensor:
    moved = _per_example(critic(_map(at, lambda t: t + eps * torch.randn_like(t))))
    return ((moved.float() - _per_example(critic(at)).float()) / eps) ** 2 / 2


def _norm(squared: Tensor) -> Tensor:
    return (squared + 1e-12).sqrt()  # the slope of a square root at 0 is infinite


def _blend(a: Sample, b: Sample, alpha: Tensor) -> Sample:
    blended = [s + alpha.view(-1, *[1] * (s.ndim - 1)) * (t - s) for s, t in zip(_leaves(a), _leaves(b), strict=True)]
    return _like(a, blended)


def _map(sample: Sample, function: Callable[[Tensor], Tensor]) -> Sample:
    return _like(sample, [function(t) for t in _leaves(sample)])


def _leaves(sample: Sample) -> tuple[Tensor, ...]:
    return tuple(sample) if isinstance(sample, tuple) else (sample,)


def _like(sample: Sample, leaves: Sequence[Tensor]) -> Sample:
    if not isinstance(sample, tuple):
        return leaves[0]
    return type(sample)(*leaves) if hasattr(sample, "_fields") else tuple(leaves)


def _eager() -> AbstractContextManager[object]:
    """Run compiled networks uncompiled: a compiled graph cannot be differentiated twice."""
    if "torch._dynamo" not in sys.modules:  # nothing can have been compiled; loading it would cost seconds
        return nullcontext()
    return torch.compiler.set_stance("force_eager")
