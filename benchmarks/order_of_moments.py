"""Do random features order the moments of a training as a trained classifier does? Prints both curves and Spearman's rank correlation.

python benchmarks/order_of_moments.py [DATA] [RECIPE] [SECONDS]
"""

from __future__ import annotations

import copy
import sys
import tempfile

import torch
from torch import Tensor

import ganforge
from ganforge.data.images import Images
from ganforge.metrics import measure, sets
from ganforge.metrics.features import find, to_uint8
from ganforge.metrics.random_features import RandomFeatures
from ganforge.runs import observe, sampling

MOMENTS, COUNT = 12, 1000


def main(data: str = "fashion-small", recipe: str = "dcgan", seconds: str = "40") -> None:
    moments: dict[int, tuple[int, torch.nn.Module]] = {}

    def remember(self: observe.Observer, tick: observe.Tick) -> dict[str, float]:
        moments.setdefault(int(tick.now.fraction * MOMENTS), (tick.now.seen, copy.deepcopy(tick.average.networks["generator"])))
        return {}

    observe.Observer.evaluate = remember  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory() as folder:
        model = ganforge.train(data, recipe, minutes=float(seconds) / 60, out=f"{folder}/run").model()
    images = Images(path=data, flip="no").load()
    real = sets.subset(images.held_out or images, COUNT).images[:]
    labels = sets.apportioned(images.labels, len(images.names), len(real)).tolist() if images.labels is not None else None
    z, y = sampling.starts(model._method, range(len(real)), model.spec.classes, labels if model.spec.classes else None)
    fakes = [to_uint8(sampling.images(generator, z, y)) for _, generator in moments.values()]
    print("images seen", *(seen for seen, _ in moments.values()))
    curves: dict[str, Tensor] = {}
    for eyes in (RandomFeatures(), find("classifier", data=images)):
        rows = eyes(real)
        values = [measure.measure(eyes(fake), rows, ("kid",), features=eyes) for fake in fakes]
        curves[eyes.name] = torch.tensor([next(iter(value.values())).value for value in values])
        print(f"KID-{eyes.name}", *(f"{value:.4g}" for value in curves[eyes.name].tolist()))
    ranks = torch.stack([curve.argsort().argsort().double() for curve in curves.values()])
    print(f"Spearman {torch.corrcoef(ranks)[0, 1]:.3f} over {len(fakes)} moments of {recipe} on {data}")


if __name__ == "__main__":
    main(*sys.argv[1:])
