"""FastCUT: CUT without identity, mirrored instead, for less time and memory (Park et al., 2020, arXiv:2007.15651)."""

from __future__ import annotations

from dataclasses import dataclass

from .cut import CUT


@dataclass(frozen=True, kw_only=True)
class FastCUT(CUT):
    """Half the generator's work of cut, and a content that is held more tightly."""

    contrast_weight: float = 10.0
    identity: bool = False
    mirror: bool = True
    lr_hold: float = 0.75
