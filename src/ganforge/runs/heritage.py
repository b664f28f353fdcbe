"""What a run takes over from another model: first weights by name and shape, and which layers of the discriminator stay as they are."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
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
from . import model, recover
from .folder import Folder

FILE = "parent.safetensors"
"""The parent's weights inside the new run, so that the run needs nothing outside its folder until its first checkpoint."""

SHOWN = 6
"""Names of fresh parameters, or of classes, that are listed."""


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
    raw: bool = False
    """Whether these are the weights of a checkpoint, of all networks; else the averaged ones of a model folder."""
    code: tuple[str, ...] = ()
    """The user's own files that the model may run."""
    notes: tuple[str, ...] = ()
    """Sentences on what was decided so far."""

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

    def fitted(self, spec: DataSpec) -> Parent:
        """Itself for this data: what it knows of a class goes to the class of the same name, the rest of it is left behind.

        A number for each class that the parent does not know is NaN, and `inherit` leaves those as they were. Raises UsageError unless
        images of this data are of the model's shape.
        """
        if spec.shape != self.spec.shape:
            fields = self.content["fields"]["data"]
            forms = "--size, --colour and --alpha" if "colour" in fields else "--size" if "size" in fields else "--crop"
            raise UsageError(
                f"the model in {self.path} draws {_worded(self.spec.shape)}; this data becomes {_worded(spec.shape)}. Leave out "
                f"{forms}, and it is brought to the model's form."
            )
        old, new = _names(self.spec), _names(spec)
        if old == new:
            return self
        axes = class_axes(self.content, self.code) if old else {}
        weights = {name: value for name, value in self.weights.items() if name not in axes}
        known = [name for name in new if name in old]
        moved = {name: axis for name, axis in axes.items() if known and axis is not None and name in self.weights}
        weights |= {name: _rows(self.weights[name], axis, old, new) for name, axis in moved.items()}
        known = known if moved else []
        parts = {
            "taken over": known,
            "starting fresh": [name for name in new if name not in known],
            "left behind": [name for name in old if name not in known and name not in new],
        }
        told = "; ".join(f"{what}: {_listed(names)}" for what, names in parts.items() if names)
        return replace(self, weights=weights, notes=(*self.notes, f"classes go by their names · {told}"))

    def told(self, method: Any, spec: DataSpec) -> list[str]:
        """Sentences on what a method takes over, starts fresh and freezes; the method takes it. Raises as `inherit` does."""
        kept, fresh, frozen = inherit(method, spec, self.weights, self.freeze)
        everything = sum(p.numel() for p in method.parameters())
        origin = "raw weights of the checkpoint" if self.raw else "averaged weights of the model"
        notes = [f"{kept:,} of {everything:,} parameters from {self.path}: {origin} of {self.seen:,} images", *self.notes]
        ours = dict.fromkeys(_plain(name).partition(".")[0] for name, _ in method.named_parameters())
        theirs = dict.fromkeys(name.partition(".")[0] for name in self.weights)
        if (alone := [name for name in ours if name not in theirs]) and not self.raw:
            notes.append(
                f"the {' and '.join(alone)} start{'s' * (len(alone) == 1)} fresh: "
                f"a model folder holds the {' and '.join(theirs)} alone, a run folder all networks"
            )
            fresh = [name for name in fresh if name.partition(".")[0] not in alone]
        if fresh:
            notes.append(f"starting fresh, as the parent has nothing that fits: {_listed(fresh)}")
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
        if found := checkpoint.read(path, most=most, takes=recover._recall(path)[0].takes):  # as `gan resume` would choose
            weights = {_plain(key.removeprefix("method/")): value for key, value in found[0].items() if key.startswith("method/")}
            return Parent(path, content, spec, weights, int(found[1].get("seen", 0)), freeze, True, tuple(code))
    loaded = model.load(path, code=code)
    named = ((f"{name}.{key}", value) for name, network in loaded.networks.items() for key, value in network.state_dict().items())
    _, spec = model.build(loaded.facts, code)  # of the data; `loaded.spec` may tell of kinds that the model found itself
    seen = int(loaded.facts.get("seen", 0))
    return Parent(path, loaded.facts, spec, checkpoint.storable(dict(named)), seen, freeze, False, tuple(code))


def class_axes(content: Mapping[str, Any], code: Collection[str] = ()) -> dict[str, int | None]:
    """The weights of a model whose shapes follow the number of classes: name -> the axis along which each class has its own numbers.

    With label dropout there is one row more, the last, for no class. None where no axis is as long, so that nobody can say which numbers
    are whose. Found by building the networks once more, for one class more.
    """
    method, spec = model.build(content, code)
    count = len(_names(spec)) + bool(content["fields"].get("label_dropout"))
    names, more = [*spec.names, ""], spec.classes + bool(spec.classes)
    other, _ = model.build({**content, "spec": {**content["spec"], "classes": more, "names": names}}, code)
    larger, axes = other.state_dict(), {}
    for name, value in method.state_dict().items():
        shape = larger[name].shape if name in larger else ()
        if value.shape != shape:
            apart = [axis for axis, pair in enumerate(zip(value.shape, shape, strict=False)) if pair[0] != pair[1]]
            clear = len(apart) == 1 and value.is_floating_point() and value.shape[apart[0]] == count
            axes[_plain(name)] = apart[0] if clear else None
    return axes


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
    """Put weights, but for those that are NaN, into a method wherever name and shape fit, and freeze the discriminator's first layers.

    Returns (parameters taken, names of those left as they were, parameters frozen). Raises CheckpointError if the generator gets
    nothing, UsageError if there is no discriminator of images to freeze, if it has no weights, or not so many layers.
    """
    own = {_plain(name): value for name, value in method.state_dict().items()}
    fits = {name: value for name, value in weights.items() if name in own and own[name].shape == value.shape}
    if not any(name.startswith("generator.") and value.ndim >= 2 for name, value in fits.items()):  # a bias or two fit anywhere
        raise CheckpointError("nothing of the parent's generator fits this recipe's: a model goes on with the recipe that it was made by.")
    with torch.no_grad():
        for name, value in fits.items():
            value = value.to(own[name])
            own[name].copy_(torch.where(value.isnan(), own[name], value))
    names = {_plain(name): p for name, p in method.named_parameters()}
    frozen = 0
    if freeze:
        if not hasattr(method, "discriminator"):
            parts = dict.fromkeys(name.partition(".")[0] for name in names)
            raise UsageError(
                f"--freeze-discriminator needs a discriminator of images alone, which this recipe lacks: it has {', '.join(parts)}."
            )
        if not any(name.startswith("discriminator.") for name in fits):
            raise UsageError(
                "--freeze-discriminator needs the discriminator's weights: give the run folder, not a copy of its best/ folder."
            )
        frozen = _freeze(method, spec, freeze)
    taken = [name for name in names if name in fits]
    return sum(int((~fits[name].isnan()).sum()) for name in taken), [name for name in names if name not in fits], frozen


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


def _names(spec: DataSpec) -> tuple[str, ...]:
    """Names of the classes; their numbers where they have none."""
    return spec.names or tuple(map(str, range(spec.classes)))


def _rows(value: Tensor, axis: int, old: Sequence[str], new: Sequence[str]) -> Tensor:
    """The numbers of classes `old` along an axis, brought to the order of `new`; NaN for classes that are not among them.

    What stands beyond those of `old` is of no class (label dropout), and stays the last.
    """
    none = range(len(old), value.shape[axis])
    found = value.index_select(axis, torch.tensor([*(old.index(name) if name in old else 0 for name in new), *none]))
    return found.index_fill(axis, torch.tensor([i for i, name in enumerate(new) if name not in old], dtype=torch.long), torch.nan)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
