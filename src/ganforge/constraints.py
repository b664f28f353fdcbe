"""Constraints on a critic's weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm as _spectral_norm

T = TypeVar("T", bound=nn.Module)


def weight_clipping(limit: float = 0.01) -> Callable[[nn.Module], None]:
    """Clamp every parameter to [-limit, limit], in place (WGAN, Arjovsky et al., 2017, arXiv:1701.07875, algorithm 1).

    Returns a function for `Player.constrain`. Raises ValueError unless limit > 0.
    """
    if limit <= 0:
        raise ValueError(f"the clipping limit must be positive; got {limit}. The paper uses 0.01.")

    @torch.no_grad()
    def clip(network: nn.Module) -> None:
        learnt: list[Tensor] = [p for p in network.parameters() if p.requires_grad]
        torch._foreach_clamp_min_(learnt, -limit)
        torch._foreach_clamp_max_(learnt, limit)

    return clip


def spectral_norm(network: T, eps: float = 1e-12, embeddings: bool = True) -> T:
    """Divide every weight matrix by its largest singular value (SNGAN, Miyato et al., 2018, arXiv:1802.05957, algorithm 1).

    Applies one power iteration per training forward to each convolution, linear layer and embedding inside
    `network`, in place; layers that already have it are left alone. A convolution's weight counts as the matrix
    (out channels, rest), as in the paper. `embeddings=False` leaves embeddings alone: in a generator they are gains and
    biases of class-conditional norms, which it would shrink. Returns the network.
    """
    kinds = (nn.Linear, nn.Embedding, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
    for module in network.modules():
        wanted = isinstance(module, kinds) and (embeddings or not isinstance(module, nn.Embedding))
        if wanted and not nn.utils.parametrize.is_parametrized(module, "weight"):
            _spectral_norm(module, "weight", eps=eps)
    return network
