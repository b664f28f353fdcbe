"""What recipes of other games than two players' share: networks, optimiser, budget (players and moves: Goodfellow, arXiv:1406.2661)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any

from ..core.errors import UsageError
from ..core.optim import optimizer
from ..core.recipe import Named
from ..core.run import Run
from ..core.schedule import cosine
from ..data.images import Images
from ..data.spec import DataSpec
from ..networks import image
from ..networks.latent import Normal
from .base import LIMITS


@dataclass(frozen=True, kw_only=True)
class GameRecipe:
    """Image networks and an optimiser for each player."""

    data: Images
    networks: Annotated[image.Networks, Named(image)] = image.dcgan
    """The pair of networks."""
    z: int = 64
    """Length of the latent vector."""
    width: int = 64
    """Channels of the generator next to the image."""
    d_width: int = 0
    """The same for the discriminator. 0: as the generator."""
    optimizer: str = "Adam"
    """Any optimiser of torch.optim."""
    lr: float = 2e-4
    """Learning rate of all players at the start."""
    lr_end: float = 1.0
    """Learning rate at the end of the budget, as a fraction of the one at the start; a half cosine between."""
    beta1: float = 0.5
    """Adam's first-moment decay."""
    beta2: float = 0.999
    """Adam's second-moment decay."""
    run: Run = field(default_factory=Run)

    def __post_init__(self) -> None:
        limits = {**LIMITS, "width": (1, math.inf), "lr": (1e-30, 1e30), **self.limits()}
        for name, (least, most) in limits.items():
            got = getattr(self, name, least)
            if not least <= got <= most:
                told = f"from {least:g} to {most:g}" if most < math.inf else f"at least {least:g}"
                raise UsageError(f"--{name.replace('_', '-')} must be {told}; got {got}.")

    def limits(self) -> Mapping[str, tuple[float, float]]:
        """Least and most of a recipe's own options."""
        return {}

    def dataset(self) -> Any:
        return self.data.load()

    def shared(self, spec: DataSpec) -> dict[str, Any]:
        """The arguments that all methods take."""
        maker = optimizer(self.optimizer, self.lr, (self.beta1, self.beta2))
        schedule = cosine(self.lr, self.lr * self.lr_end)
        return {"latent": Normal(self.z, spec.device), "optimizer": maker, "schedule": lambda now: {"lr": schedule(now)}}


@contextmanager
def refusing() -> Iterator[None]:
    """Sizes and ways that networks do not know become the user's error: one sentence, no traceback."""
    try:
        yield
    except ValueError as error:
        raise UsageError(str(error)) from error
