"""A loss of one's own, in one file with the script that uses it: python examples/own_loss.py photos/

The same from the command line: gan train photos/ --loss examples/own_loss.py:squared_hinge
"""

from __future__ import annotations

import sys

from torch.nn.functional import relu

import ganforge
from ganforge.losses import Pair, per_example

squared_hinge = Pair(
    d=lambda real, fake: per_example(relu(1 - real) ** 2 + relu(1 + fake) ** 2),
    g=lambda fake, real=None: per_example(-fake),
)
"""The hinge loss with squares, which also has a slope that fades near the margin."""


def main(data: str = "fashion-small", **options) -> ganforge.Model:
    """Train with the loss above and load the model, naming this file as code that may be run."""
    run = ganforge.train(data, "dcgan", **{"minutes": 5, "loss": f"{__file__}:squared_hinge", **options})
    return ganforge.load(run.folder, code=[__file__])


if __name__ == "__main__":  # needed: training reads this file once more, to find the loss
    main(*sys.argv[1:2]).generate(seeds=[0])[0].save("own_loss.png")
