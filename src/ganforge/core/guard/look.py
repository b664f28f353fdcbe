"""What can be seen on generated examples beside real ones: cheap numbers, the same for the same examples.

Distances are taken between features that need no training and no download: pixels at low resolution, which see the layout,
and a small random convolution network, which sees texture. They are worse than Inception's for ranking good models, and
good enough to tell a failed one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, conv2d, leaky_relu

NEIGHBOURS = 5
PINNED = 0.999
"""From this absolute value on, a pixel in [-1, 1] counts as pinned."""

Critic = Callable[[Tensor, Tensor | None], Tensor]
"""(x (n, ...), y (n,) or None) -> logits (n,) or (n, 1, h, w), higher for what it takes for real."""


class Examples(NamedTuple):
    """x (n, ...) in [-1, 1] and, where there are classes, y (n,)."""

    x: Tensor
    y: Tensor | None = None


class Eye:
    """Turns examples into features, and compares generated ones with the real ones that it was given.

    train: real examples of the training part; the first `n` are those that diversity and coverage are measured against.
    held: as many as there are that were never trained on, or None.
    """

    def __init__(self, train: Examples, held: Examples | None, n: int) -> None:
        self.train, self.held, self.n = train, held, min(n, len(train.x))
        raw = _features(train.x)
        self.centre = [block.mean(0) for block in raw]
        self.scale = [1 / (block - c).square().sum(1).mean().sqrt().clamp(min=0.01) for block, c in zip(raw, self.centre, strict=True)]
        self.of_train, self.of_held = self(train.x), self(held.x) if held else None
        self.near = self.of_train[: self.n]
        within = torch.cdist(self.near, self.near)
        self.radius = within.kthvalue(min(NEIGHBOURS + 1, self.n)).values  # the nearest is the example itself
        self.spread = self._spread(self.near, None if train.y is None else train.y[: self.n])
        self.within = _mean_apart(within)
        self.pinned = _pinned(train.x)
        self.contrast = train.x.flatten(1).std(1)
        self.alone = self._nearest(self.of_train, self.of_train, itself=True)
        self.distinct = len((self.of_train * 1000).round().unique(dim=0))

    def __call__(self, x: Tensor) -> Tensor:
        """Features (n, f) of examples (n, ...): blocks centred on the real ones and scaled to a total variance of 1 each."""
        blocks = zip(_features(x), self.centre, self.scale, strict=True)
        return torch.cat([(block - centre) * scale for block, centre, scale in blocks], 1)

    @torch.no_grad()
    def look(self, fakes: Examples, critic: Critic | None = None) -> dict[str, float]:
        """Numbers about generated examples, by name; see docs/bad-samples.md for what each means.

        distance: energy distance to the real ones over its largest value, in [0, 1] up to noise; 0: the same distribution
        (Szekely & Rizzo, 2013). diversity: mean distance between two fakes (of one class, where there are classes) over that
        between two real ones. coverage and density: Naeem et al., 2020, arXiv:2002.09797, eq. 4 and 3. pinned: share of
        values at +-1 beyond that of the real ones. blank: share without contrast. copies: median distance to the nearest
        training example over that to the nearest of as many held-out ones; copies_alone, where nothing was held out: over the
        median between training examples. critic_gap: how often the critic prefers a training example to a held-out one, 0.5: it
        cannot tell them. distinct: different training examples among those that are known.
        """
        x = fakes.x.nan_to_num()
        f = self(x)
        apart, between = torch.cdist(f, f), torch.cdist(f, self.near)
        cross = float(between.mean())
        inside = between <= self.radius
        numbers = {
            "distance": (2 * cross - _mean_apart(apart) - self.within) / max(2 * cross, 1e-6),
            "diversity": _ratio(self._spread(f, fakes.y), self.spread),
            "coverage": float(inside.any(0).float().mean()),
            "density": float(inside.float().sum(1).mean()) / NEIGHBOURS,
            "pinned": max(0.0, _pinned(x) - self.pinned),
            "distinct": float(self.distinct),
            "blank": float((x.flatten(1).std(1) < 0.1 * self.contrast.median()).float().mean()),
        }
        if self.of_held is None:
            numbers["copies_alone"] = float(self._nearest(f, self.of_train).median() / self.alone.median().clamp(min=1e-3))
        else:
            many = min(len(self.of_train), len(self.of_held))
            to_train, to_held = self._nearest(f, self.of_train[:many]), self._nearest(f, self.of_held[:many])
            numbers["copies"] = float(to_train.median() / to_held.median().clamp(min=1e-3))
        if critic and self.held:
            numbers["critic_gap"] = self._critic_gap(critic)
        return numbers

    def _critic_gap(self, critic: Critic) -> float:
        n = min(self.n, len(self.held.x)) if self.held else 0
        parts = [critic(part.x[:n], None if part.y is None else part.y[:n]).float() for part in (self.train, self.held) if part]
        one, two = (logits.flatten(1).mean(1) if logits.ndim > 1 else logits for logits in parts)
        return float((one[:, None] > two).float().mean() + (one[:, None] == two).float().mean() / 2)

    @staticmethod
    def _nearest(a: Tensor, b: Tensor, itself: bool = False) -> Tensor:
        """Distance of each row of a (n, f) to the nearest row of b (m, f), or to the second nearest."""
        return torch.cdist(a, b).kthvalue(2).values if itself and len(b) > 1 else torch.cdist(a, b).min(1).values

    @staticmethod
    def _spread(f: Tensor, y: Tensor | None) -> list[float]:
        """Mean distance between two rows, for each class that has two."""
        groups = [f] if y is None else [f[y == c] for c in y.unique()]
        return [_mean_apart(torch.cdist(g, g)) for g in groups if len(g) > 1]


def _features(x: Tensor) -> list[Tensor]:
    """(n, c, h, w) -> [(n, 64 c), (n, 256)] of images; (n, ...) -> [(n, f)], the numbers as they are, of anything else."""
    if x.ndim != 4:
        return [x.flatten(1).float()]
    small = adaptive_avg_pool2d(x.float(), (min(32, x.shape[2]), min(32, x.shape[3])))
    draw = torch.Generator().manual_seed(0)
    c = x.shape[1]
    first = torch.randn(32, c, 5, 5, generator=draw) / (25 * c) ** 0.5
    second = torch.randn(64, 32, 3, 3, generator=draw) / (9 * 32) ** 0.5
    h = leaky_relu(conv2d(small, first, stride=2, padding=2), 0.2)
    h = leaky_relu(conv2d(h, second, stride=2, padding=1), 0.2)
    return [adaptive_avg_pool2d(small, 8).flatten(1), adaptive_avg_pool2d(h, 2).flatten(1)]


def _mean_apart(distances: Tensor) -> float:
    """Mean over pairs of two different rows, of a square matrix with zeros on its diagonal."""
    n = len(distances)
    return float(distances.sum()) / max(n * (n - 1), 1)


def _pinned(x: Tensor) -> float:
    return float((x.abs() >= PINNED).float().mean())


def _ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Mean of our spreads over the mean of theirs; 1 where the real ones do not differ, so that nothing can be said."""
    if not ours or not sum(theirs) / max(len(theirs), 1) > 1e-3:
        return 1.0
    return (sum(ours) / len(ours)) / (sum(theirs) / len(theirs))
