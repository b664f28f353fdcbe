"""The runtime of feature networks changes how fast they are, not what they say."""

from __future__ import annotations

import importlib.util

import pytest
import torch
from torch import nn

from ganforge.metrics.features.runtime import quickest


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.Conv2d(8, 16, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()


def without_openvino(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)


def test_openvino_gives_what_torch_gives_for_any_number_of_images(network):
    pytest.importorskip("openvino")
    run, facts = quickest(network, torch.zeros(2, 3, 32, 32))
    assert facts["runtime"].startswith("openvino ") and facts["precision"] == "fp32"
    for count in (1, 2, 5):
        x = torch.randn(count, 3, 32, 32).contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(run(x), network(x).detach(), rtol=1e-5, atol=1e-5)


def test_results_are_kept_when_the_runtime_is_called_again(network):
    """Runtimes reuse their output buffers."""
    pytest.importorskip("openvino")
    run, _ = quickest(network, torch.zeros(2, 3, 32, 32))
    x = torch.randn(2, 3, 32, 32)
    first = run(x)
    kept = first.clone()
    run(-x)
    assert torch.equal(first, kept)


@pytest.mark.parametrize("installed", [True, False])
def test_bf16_is_told_and_is_off_by_no_more_than_its_rounding(network, monkeypatch, installed):
    if installed:
        pytest.importorskip("openvino")
    else:
        without_openvino(monkeypatch)
    run, facts = quickest(network, torch.zeros(2, 3, 32, 32), "bf16")
    assert facts["precision"] == "bf16"
    x = torch.randn(4, 3, 32, 32)
    got = run(x)
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, network(x).detach(), rtol=0.05, atol=0.02)


def test_torch_runs_where_nothing_else_is_installed(network, monkeypatch):
    without_openvino(monkeypatch)
    run, facts = quickest(network, torch.zeros(2, 3, 32, 32))
    x = torch.randn(3, 3, 32, 32)
    assert facts == {"runtime": "torch", "precision": "fp32"} and torch.equal(run(x), network(x))
