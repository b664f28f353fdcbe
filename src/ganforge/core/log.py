"""Numbers of a run: gathered on the device, read only when somebody looks."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from . import parallel


class Meter:
    """Means of logged scalars since the last `clear`. Adding costs no synchronisation; reading costs one."""

    def __init__(self) -> None:
        self._values: dict[str, list[Tensor]] = {}

    def add(self, numbers: Mapping[str, Tensor]) -> None:
        for key, number in numbers.items():
            self._values.setdefault(key, []).append(number)

    def read(self) -> dict[str, float]:
        """Mean of each number over steps and processes, without forgetting them."""
        if not self._values:
            return {}
        means = parallel.mean(torch.stack([torch.stack(v).mean() for v in self._values.values()]))
        return dict(zip(self._values, means.tolist(), strict=True))

    def clear(self) -> None:
        self._values.clear()

    def tensors(self) -> dict[str, Tensor]:
        """What was gathered so far, for a checkpoint between two readings: name -> (steps,)."""
        return {f"meter/{key}": torch.stack(values) for key, values in self._values.items()}

    def add_all(self, gathered: Mapping[str, Tensor], device: torch.device) -> None:
        """Take back what `tensors` gave, to the `device` where more will come from."""
        self._values = {key: list(values.to(device).unbind()) for key, values in gathered.items()}
