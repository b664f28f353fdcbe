"""One thread a test process: two sets of spinning threads on two cores slow each other down many times over."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _same_start():
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _nothing_pretrained(monkeypatch):
    """The recipe `projected` judges averages of pixels here: a machine may lack the 17 MB that it would fetch, and the time."""
    monkeypatch.setattr("ganforge.recipes.projected.features", averages)


def averages(device):
    """In place of EfficientNet's: four maps of plain averages, with as many channels."""

    def maps(x):
        grey = x.mean(1, keepdim=True)
        return [torch.nn.functional.avg_pool2d(grey, 4 << i).expand(-1, c, -1, -1) for i, c in enumerate((24, 40, 112, 320))]

    return maps
