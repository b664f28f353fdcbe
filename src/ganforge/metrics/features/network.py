"""What the feature networks are built of: convolutions whose normalisation has been folded into them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn


class Conv(nn.Conv2d):
    """Convolution and ReLU: (n, a, h, w) -> (n, b, h', w'). The norm behind it is folded into weight and bias."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).relu_()


def fold(weight: Tensor, norm: Mapping[str, Tensor], eps: float) -> tuple[Tensor, Tensor]:
    """(weight, bias) of one convolution that does what `weight` (b, a, h, w) without a bias and a batch norm behind it did.

    `norm` holds mean, var and beta, and gamma where it is not 1, each (b,). Computed in float64.
    """
    scale = norm["gamma"].double() if "gamma" in norm else torch.ones_like(norm["var"], dtype=torch.float64)
    scale = scale / (norm["var"].double() + eps).sqrt()
    bias = norm["beta"].double() - norm["mean"].double() * scale
    return (weight.double() * scale[:, None, None, None]).float(), bias.float()


def same_shapes(state: Mapping[str, Tensor], network: nn.Module) -> None:
    """Raise ValueError, naming the first that does not fit, unless `state` has exactly the tensors of the network."""
    wanted = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    got = {key: tuple(value.shape) for key, value in state.items()}
    for key in wanted.keys() | got.keys():
        if wanted.get(key) != got.get(key):
            raise ValueError(f"it holds another network ({key} has shape {got.get(key, 'none')}, expected {wanted.get(key, 'none')})")


def ready(make: Callable[[], nn.Module], state: Mapping[str, Tensor], device: str | torch.device) -> nn.Module:
    """The network that `make` makes, with these weights, frozen, on a device, in the memory layout that convolutions like best.

    No random number is drawn: whoever measures a run must not change it.
    """
    with torch.device("meta"):
        network = make()
    network.load_state_dict(dict(state), assign=True)
    network.eval().requires_grad_(False)
    return network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
