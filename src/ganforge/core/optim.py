"""Any of torch's optimisers by name, with the options of the field."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import nn

from .errors import UsageError
from .ref import resolve


def optimizer(
    name: str, lr: float, betas: tuple[float, float] = (0.9, 0.999)
) -> Callable[[Sequence[nn.Parameter]], torch.optim.Optimizer]:
    """A maker of torch.optim.<name>(parameters, lr[, betas]). `betas` reach the optimisers that have them, others ignore them.

    Raises UsageError for a name that torch.optim does not have.
    """
    kind = resolve(name, torch.optim, type)
    if not issubclass(kind, torch.optim.Optimizer) or kind is torch.optim.Optimizer:
        raise UsageError(f"'{name}' is not an optimiser of torch.optim. Usual: Adam, AdamW, RMSprop, SGD.")
    if kind in (torch.optim.LBFGS, torch.optim.SparseAdam):
        raise UsageError(f"{name} cannot train a GAN here: it needs repeated losses or sparse gradients. Usual: Adam.")
    known = inspect.signature(kind).parameters
    options = {"betas": betas} if "betas" in known else {}
    if "foreach" in known:
        options["foreach"] = True
    return partial(kind, lr=lr, **options)
