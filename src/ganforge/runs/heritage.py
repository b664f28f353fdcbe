"""What a run takes over from another model: first weights by name and shape, and which layers of the discriminator stay as they are."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.nn.utils.parametrize import ParametrizationList

from ..core import checkpoint
from ..core.errors import CheckpointError, UsageError
from ..data.spec import DataSpec
from . import model
from .folder import Folder

FILE = "parent.safetensors"
"""The parent's weights inside the new run, so that the run needs nothing outside its folder until its first checkpoint."""

SHOWN = 6
"""Names of fresh parameters that are listed."""


@dataclass(frozen=True, eq=False)
class Parent:
    """A trained model to start from."""

    path: Path
    content: Mapping[str, Any]
    """Its recipe.json or config.json."""
    spec: DataSpec
    weights: Mapping[str, Tensor]
    """By their names in a game of two players: "generator.stem.weight", ..."""
    seen: int
    """Images that it has seen."""
    freeze: int = 0
    """Layers of the discriminator to freeze."""

    @property
    def facts(self) -> dict[str, Any]:
        """What recipe.json and plan.json of the new run keep of it."""
        return {
            "path": str(self.path.resolve()),
            "recipe": self.content["recipe"],
            "seen": self.seen,
            "sha256": hashlib.sha256(save(dict(self.weights))).hexdigest(),
            "freeze_discriminator": self.freeze,
        }

    def check(self, spec: DataSpec) -> None:
        """Raise UsageError unless images of this data are of the model's shape."""
        if spec.shape != self.spec.shape:
            raise UsageError(
                f"the model in {self.path} draws {_worded(self.spec.shape)}; this data becomes {_worded(spec.shape)}. Leave out "
                "--size, --colour and --alpha, and it is brought to the model's form."
            )

    def told(self, method: Any, spec: DataSpec) -> list[str]:
        """Sentences on what a method takes over, starts fresh and freezes; the method takes it. Raises as `inherit` does."""
        kept, fresh, frozen = inherit(method, spec, self.weights, self.freeze)
        everything = sum(p.numel() for p in method.parameters())
        notes = [f"{kept:,} of {everything:,} parameters from {self.path}, which had seen {self.seen:,} images"]
        if not any(name.startswith("discriminator.") for name in self.weights):
            notes.append("the discriminator starts fresh: a model folder holds the generator alone, a run folder both")
            fresh = [name for name in fresh if not name.startswith("discriminator.")]
        if fresh:
            more = f" and {len(fresh) - SHOWN} more" if len(fresh) > SHOWN else ""
            notes.append(f"starting fresh, as the parent has nothing of that name and shape: {', '.join(fresh[:SHOWN])}{more}")
        if frozen:
            whole = sum(p.numel() for p in method.discriminator.parameters())
            notes.append(f"{frozen:,} of {whole:,} discriminator parameters are frozen: its first {self.freeze} layers")
        return notes

    def write(self, folder: Folder) -> None:
        """Leave the weights in the new run's folder."""
        checkpoint.replace_file(folder.path / FILE, save(dict(self.weights)))


def read(path: Path, code: Collection[str] = (), freeze: int = 0) -> Parent:
    """The newest checkpoint of a run folder, else the model that a folder holds. Raises CheckpointError where there is neither."""
    if (path / "recipe.json").is_file():
        content = Folder(path).json("recipe.json")
        method, spec = model.build(content, code)
        most = 16.0 * sum(t.numel() * t.element_size() for t in method.state_dict().values())
        if found := checkpoint.read(path, most=most):
            weights = {_plain(key.removeprefix("method/")): value for key, value in found[0].items() if key.startswith("method/")}
            return Parent(path, content, spec, weights, int(found[1].get("seen", 0)), freeze)
    loaded = model.load(path, code=code)
    named = ((f"{name}.{key}", value) for name, network in loaded.networks.items() for key, value in network.state_dict().items())
    return Parent(path, loaded.facts, loaded.spec, checkpoint.storable(dict(named)), int(loaded.facts.get("seen", 0)), freeze)


def take_over(method: Any, spec: DataSpec, folder: Folder) -> None:
    """Give a new method of a run what recipe.json says that it inherits; nothing for most runs."""
    facts = folder.json("recipe.json").get("parent")
    if not facts:
        return
    try:
        content = (folder.path / FILE).read_bytes()
        if hashlib.sha256(content).hexdigest() != facts["sha256"]:
            raise ValueError("its checksum differs")
        inherit(method, spec, load(content), int(facts["freeze_discriminator"]))
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        if isinstance(error, CheckpointError | UsageError):
            raise
        raise CheckpointError(f"{folder.path / FILE}, the first weights of this run, cannot be used: {error}.") from error


def inherit(method: Any, spec: DataSpec, weights: Mapping[str, Tensor], freeze: int) -> tuple[int, list[str], int]:
    """Put weights into a method wherever name and shape are the same, and freeze the discriminator's first layers.

    Returns (parameters taken, names of those left as they were, parameters frozen). Raises CheckpointError if the generator gets
    nothing, UsageError if the discriminator has no weights to freeze or not so many layers.
    """
    own = {_plain(name): value for name, value in method.state_dict().items()}
    fits = {name: value for name, value in weights.items() if name in own and own[name].shape == value.shape}
    if not any(name.startswith("generator.") and value.ndim >= 2 for name, value in fits.items()):  # a bias or two fit anywhere
        raise CheckpointError("nothing of the parent's generator fits this recipe's: a model goes on with the recipe that it was made by.")
    with torch.no_grad():
        for name, value in fits.items():
            own[name].copy_(value)
    names = {_plain(name): p for name, p in method.named_parameters()}
    frozen = 0
    if freeze:
        if not any(name.startswith("discriminator.") for name in fits):
            raise UsageError(
                "--freeze-discriminator needs the discriminator's weights: give the run folder, not a copy of its best/ folder."
            )
        frozen = _freeze(method, spec, freeze)
    taken = [name for name in names if name in fits]
    return sum(names[name].numel() for name in taken), [name for name in names if name not in fits], frozen


def _freeze(method: Any, spec: DataSpec, count: int) -> int:
    """Freeze the first layers of the discriminator (FreezeD, Mo et al., 2020, arXiv:2002.10964); returns how many parameters those are."""
    found = layers(method.discriminator, (spec.shape[0] * getattr(method, "pack", 1), *spec.shape[1:]), spec.classes)
    if not 0 < count < len(found):
        raise UsageError(
            f"--freeze-discriminator must be from 0 to {len(found) - 1}, as this discriminator has {len(found)} layers; got {count}."
        )
    parameters = [p for layer in found[:count] for p in layer]
    for p in parameters:
        p.requires_grad_(False)
    return sum(p.numel() for p in parameters)


@torch.no_grad()
def layers(network: nn.Module, shape: tuple[int, ...], classes: int) -> list[list[nn.Parameter]]:
    """The parameters of each layer of network(x (n, *shape), y), in the order in which an image passes them.

    A layer is a convolution or a matrix, with the norms between it and the next one. Embeddings of classes belong to none.
    """
    found: list[list[nn.Parameter]] = []
    known: set[int] = set()

    def note(module: nn.Module, *_: Any) -> None:
        own = [p for p in _own(module) if id(p) not in known]
        known.update(map(id, own))
        if any(p.ndim >= 2 for p in own):
            found.append(own)
        elif own and found:
            found[-1] += own

    skipped = (nn.Embedding, ParametrizationList)  # the latter is asked before the layer that it belongs to, even an embedding
    hooks = [m.register_forward_hook(note) for m in network.modules() if not isinstance(m, skipped)]
    device, training = next(network.parameters()).device, network.training
    try:
        network.eval()(torch.zeros(2, *shape, device=device), torch.zeros(2, dtype=torch.long, device=device) if classes else None)
    finally:
        network.train(training)
        for hook in hooks:
            hook.remove()
    return found


def _own(module: nn.Module) -> Iterator[nn.Parameter]:
    """The parameters of a module itself, also where a parametrisation such as spectral norm holds them."""
    yield from module.parameters(recurse=False)
    if held := getattr(module, "parametrizations", None):
        yield from held.parameters()


def _plain(name: str) -> str:
    """The name of a weight, whether or not its method is played around another game."""
    return name.removeprefix("game.")


def _worded(shape: tuple[int, ...]) -> str:
    return f"{shape[2]}x{shape[1]} pixels with {shape[0]} channel{'s' * (shape[0] > 1)}"
