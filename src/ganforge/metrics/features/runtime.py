"""The quickest way to run a feature network that is installed here: OpenVINO on processors, else torch (benchmarks/features.py)."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

Run = Callable[[Tensor], Tensor]


def quickest(network: nn.Module, example: Tensor, precision: str = "fp32") -> tuple[Run, Mapping[str, str]]:
    """The network as a function (n, ...) fp32 -> fp32 on its own device, and the facts that travel with its numbers: runtime, precision.

    example: one input of the shape to come. precision: fp32, or bf16 for speed where the processor multiplies in it, and features
    that are off by some per cent. OpenVINO's fp32 differs from torch's by rounding alone.
    """
    if example.device.type == "cpu" and importlib.util.find_spec("openvino"):
        return _openvino(network, example, precision)
    if precision == "fp32":
        return network, {"runtime": "torch", "precision": "fp32"}

    def half(x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, torch.bfloat16):
            return network(x).float()

    return half, {"runtime": "torch", "precision": "bf16"}


def _openvino(network: nn.Module, example: Tensor, precision: str) -> tuple[Run, Mapping[str, str]]:
    import openvino  # type: ignore[import-untyped]

    core = openvino.Core()
    threads = torch.get_num_threads()
    core.set_property("CPU", {"INFERENCE_PRECISION_HINT": {"fp32": "f32", "bf16": "bf16"}[precision], "INFERENCE_NUM_THREADS": threads})
    with torch.no_grad():
        model = core.compile_model(openvino.convert_model(network, example_input=example), "CPU")

    def run(x: Tensor) -> Tensor:
        return torch.from_numpy(model(x.contiguous().numpy())[0].copy())

    return run, {"runtime": f"openvino {openvino.__version__.split('-')[0]}", "precision": precision}
