"""Ganforge: train, judge and use generative adversarial networks on your own data.

    run = ganforge.train("photos/", minutes=10)
    model = ganforge.load(run.folder)
    model.generate(seeds=range(16))

Everything is imported when first used, so that importing this package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_WHERE = {
    "train": "runs.start",
    "resume": "runs.start",
    "finetune": "runs.finetune",
    "launch": "runs.start",
    "load": "runs.model",
    "Model": "runs.model",
    "evaluate": "runs.evaluate",
    "Evaluation": "metrics.protocol",
    "compare": "runs.compare",
    "Rejection": "runs.rejection",
}

__all__ = ["__version__", *_WHERE]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(importlib.import_module(f".{_WHERE[name]}", __name__), name)
    if name in ("losses", "penalties", "constraints", "networks", "methods", "recipes", "data", "metrics", "testing"):
        return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module 'ganforge' has no attribute '{name}'")


def __dir__() -> list[str]:
    return __all__
