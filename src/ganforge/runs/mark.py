"""What a generated file says of itself: that it is generated, by which model, from which seed."""

from __future__ import annotations

import json

from PIL.PngImagePlugin import PngInfo

from .. import __version__
from .model import Model

SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
"""IPTC's term for media made by a trained algorithm."""


def marked(model: Model, seed: int, category: str = "", truncation: float | None = None) -> PngInfo:
    """PNG text chunks: DigitalSourceType, Software, and `ganforge` as JSON (recipe, sha256 of the weights, seed, class, truncation)."""
    info = PngInfo()
    info.add_text("Software", f"Ganforge {__version__}")
    info.add_text("DigitalSourceType", SOURCE_TYPE)
    facts = {"seed": seed, "class": category or None, "recipe": model.facts.get("recipe"), "model_sha256": model.facts.get("sha256")}
    facts |= {} if truncation is None else {"truncation": truncation}
    info.add_text("ganforge", json.dumps(facts))
    return info
