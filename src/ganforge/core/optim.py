"""Any of torch's optimisers by name, with the options of the field."""

from __future__ import annotations

import inspect
from functools import partial
from typing import Any

import torch

from .errors import UsageError
from .ref import resolve


def optimizer(name: str, lr: float, betas: tuple[float, float] = (0.9, 0.999)) -> partial[torch.optim.Optimizer]:
    """A maker of torch.optim.<name>(parameters, lr[, betas]). `betas` reach the optimisers that have them, others ignore them.

    Raises UsageError for a name that torch.optim does not have.
    """
    if ":" in name:
        raise UsageError(f"--optimizer takes a name of torch.optim, such as Adam; got '{name}'. An own optimiser needs an own recipe.")
    kind = resolve(name, torch.optim, type, trusted=())
    if not issubclass(kind, torch.optim.Optimizer) or kind is torch.optim.Optimizer:
        raise UsageError(f"'{name}' is not an optimiser of torch.optim. Usual: Adam, AdamW, RMSprop, SGD.")
    if kind in (torch.optim.LBFGS, torch.optim.SparseAdam, torch.optim.Muon):
        raise UsageError(f"{name} cannot train a GAN here: it needs repeated losses, sparse gradients or matrices only. Usual: Adam.")
    known = inspect.signature(kind).parameters
    options: dict[str, Any] = {"betas": betas} if "betas" in known else {}
    for way in ("fused", "foreach"):  # one call over all parameters, the faster way first
        if way in known:
            options[way] = True
            break
    return partial(kind, lr=lr, **options)
