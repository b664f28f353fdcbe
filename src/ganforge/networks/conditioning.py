"""Three interchangeable ways to tell a network the class: concatenation, class-conditional norm, projection.

Generators take `Join` in front or class-conditional norms inside; discriminators take `Join` on the image or a
`Projection` head. With `classes=0` each part becomes its plain, unconditional self, so networks need no special cases.
y is (n,) integers in [0, classes), or None where there are no classes.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

WAYS_IN_GENERATORS = ("concat", "norm")
WAYS_IN_DISCRIMINATORS = ("concat", "projection")


class Join(nn.Module):
    """Append a learnt embedding of the class to a vector: (n, a), (n,) -> (n, a + width) (cGAN, Mirza & Osindero, arXiv:1411.1784)."""

    def __init__(self, classes: int, width: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(classes, width) if classes else None
        self.extra = width if classes else 0
        if self.embed is not None:
            nn.init.normal_(self.embed.weight, std=0.3)  # quieter than the latent beside it, which would else be ignored at first

    def forward(self, h: Tensor, y: Tensor | None = None) -> Tensor:
        return h if self.embed is None else torch.cat([h, self.embed(_labels(y)).to(h.dtype)], 1)


class JoinMap(nn.Module):
    """Append the class as an extra image channel: (n, c, h, w), (n,) -> (n, c + 1, h, w) (cGAN, arXiv:1411.1784)."""

    def __init__(self, classes: int, height: int, width: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(classes, height * width) if classes else None
        self.size = (height, width)
        self.extra = 1 if classes else 0

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return x if self.embed is None else torch.cat([x, self.embed(_labels(y)).view(-1, 1, *self.size).to(x.dtype)], 1)


class PlainNorm(nn.Module):
    """A norm that is called as norm(x, y) and ignores y."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.norm(x)


class ConditionalNorm(nn.Module):
    """Batch norm whose gain and bias depend on the class: (n, c, ...), (n,) -> (n, c, ...) (Dumoulin et al., 2017, arXiv:1610.07629)."""

    def __init__(self, channels: int, classes: int, flat: bool = False) -> None:
        super().__init__()
        self.norm = (nn.BatchNorm1d if flat else nn.BatchNorm2d)(channels, affine=False)
        self.gain = nn.Embedding(classes, channels)
        self.bias = nn.Embedding(classes, channels)
        nn.init.ones_(self.gain.weight)
        nn.init.zeros_(self.bias.weight)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        shape = (len(x), -1, *[1] * (x.ndim - 2))
        gain, bias = self.gain(_labels(y)).view(shape), self.bias(_labels(y)).view(shape)
        return self.norm(x) * gain + bias


class VectorNorm(nn.Module):
    """Batch norm whose gain, 1 + A v, and bias, B v, follow from a vector: (n, c, h, w), (n, v) -> (n, c, h, w).

    v holds a class embedding, a piece of the latent, or both (BigGAN, Brock et al., 2019, arXiv:1809.11096, app. B).
    """

    def __init__(self, channels: int, length: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.gain = nn.Linear(length, channels, bias=False)
        self.bias = nn.Linear(length, channels, bias=False)

    def forward(self, x: Tensor, v: Tensor) -> Tensor:
        return self.norm(x) * (1 + self.gain(v))[:, :, None, None] + self.bias(v)[:, :, None, None]


def batch_norm(classes: int = 0, flat: bool = False) -> Callable[[int], nn.Module]:
    """A maker of batch norms called as norm(x, y): class-conditional if there are classes, else plain."""
    plain = nn.BatchNorm1d if flat else nn.BatchNorm2d
    return (lambda c: ConditionalNorm(c, classes, flat)) if classes else (lambda c: PlainNorm(plain(c)))


class Projection(nn.Module):
    """Logit of a feature vector, in fp32: (n, f), (n,) -> (n,).

    A linear score, plus with classes the inner product of the features and an embedding of the class
    (Miyato & Koyama, 2018, arXiv:1802.05637, eq. 3). fp32 because penalties difference or differentiate logits.
    """

    def __init__(self, features: int, classes: int = 0) -> None:
        super().__init__()
        self.score = nn.Linear(features, 1)
        self.embed = nn.Embedding(classes, features) if classes else None
        if self.embed is not None:
            nn.init.normal_(self.embed.weight, std=features**-0.5)  # an inner product of order one, as the score

    def forward(self, h: Tensor, y: Tensor | None = None) -> Tensor:
        with torch.autocast(h.device.type, enabled=False):
            h = h.float()
            logits = self.score(h).squeeze(1)
            return logits if self.embed is None else logits + (h * self.embed(_labels(y))).sum(1)


def check_ways(condition: str, allowed: tuple[str, ...], network: str) -> None:
    """Raise ValueError unless `condition` is a way this network knows."""
    if condition not in allowed:
        raise ValueError(f"{network} takes its class by {' or '.join(allowed)}; got '{condition}'.")


def hidden(y: Tensor, share: float, nothing: int) -> Tensor:
    """Classes (n,), each with the probability `share` replaced by `nothing`, the class that stands for none: (n,).

    Networks so learn all classes together beside each of them, from which rare ones gain (label dropout, as of classifier-free guidance,
    Ho & Salimans, 2022, arXiv:2207.12598, sec. 3.2). They must know one class more than the data has.
    """
    return torch.where(torch.rand(len(y), device=y.device) < share, nothing, y)


def _labels(y: Tensor | None) -> Tensor:
    if y is None:
        raise ValueError("this network is class-conditional: pass y, (n,) integers.")
    return y
