"""A trained model: loaded from a folder of safetensors and JSON, used as an object. Loading never executes code."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save
from torch import Tensor, nn

from .. import __version__
from ..core import recipe as recipes_json
from ..core.checkpoint import replace_file, replace_json, storable
from ..core.errors import CheckpointError, GanforgeError, UsageError, nearest
from ..core.machine import pick_device
from ..data.spec import DataSpec
from ..recipes import find
from . import sampling
from .grid import to_pil
from .pictures import translates

if TYPE_CHECKING:
    from ..tasks.apply.images import Kind

FORMAT = 1


class Model:
    """A trained generator. `spec` says what it draws: shape (c, h, w), classes and their names."""

    def __init__(self, method: Any, networks: Mapping[str, nn.Module], spec: DataSpec, facts: Mapping[str, Any]) -> None:
        kinds = 0 if spec.classes else getattr(method, "kinds", 0)  # what its generator can be asked for where the data has no classes
        self.spec = dataclasses.replace(spec, classes=kinds, names=tuple(map(str, range(kinds)))) if kinds else spec
        self.facts = dict(facts)
        self.networks = {name: network.eval().requires_grad_(False) for name, network in networks.items()}
        self._method = method

    def generate(
        self,
        seeds: Sequence[int] = range(16),
        classes: str | int | Sequence[str | int] | None = None,
        output: str = "pil",
        truncation: float | None = None,
    ) -> list[Image.Image] | Tensor:
        """Draw one image a seed: the same seed gives the same image whatever is drawn beside it.

        classes: a name or number for all, or one for each seed; None: each seed draws its own. output "pil": a list of
        PIL images; "tensor": (n, c, h, w) fp32 in [-1, 1]. truncation: see `sampling.truncation_of`; None: all the variety there is.
        Raises UsageError for an unknown class, a bad seed, output or truncation.
        """
        if translates(self._method):
            raise UsageError(
                "this model makes images of images and draws none of its own: gan apply RUN photo.jpg -o made.png, "
                "or model.apply(image) from Python."
            )
        if output not in ("pil", "tensor"):
            raise UsageError(f"output must be 'pil' or 'tensor'; got '{output}'.")
        seeds = list(seeds)
        if not seeds or not all(isinstance(s, int) and 0 <= s < 2**63 for s in seeds):
            raise UsageError("seeds are whole numbers from 0 to 2^63 - 1, at least one of them.")
        most, told = sampling.truncation_of(self.networks["generator"], truncation)
        z, y = self.starts(seeds, classes, most)
        drawn = sampling.images(self.networks["generator"], z, y, *told)
        return drawn if output == "tensor" else to_pil(drawn)

    def starts(
        self, seeds: Sequence[int], classes: str | int | Sequence[str | int] | None = None, most: float = math.inf
    ) -> tuple[Tensor, Tensor | None]:
        """What the generator makes the images of these seeds from, z (n, ...) and y (n,) or None: see `sampling.starts`."""
        return sampling.starts(self._method, seeds, self.spec.classes, self._classes(classes, len(seeds)), most)

    def apply(
        self,
        image: Kind,
        *,
        strength: float | None = None,
        mask: Any = None,
        tile: int | str = "auto",
        hints: Any = None,
        network: str = "generator",
    ) -> Kind:
        """What a model of restoration or translation makes of an image: PIL in, PIL out; array in, array out; tensor in, tensor out.

        image: PIL image; uint8 or uint16 array (h, w) or (h, w, c); tensor (c, h, w) or (n, c, h, w) in [-1, 1]; any size. strength: from
        0, faithful, to 1, lively, where the model has both. mask: white, 1 or true in the holes, for models that fill them; (n, h, w) for
        one each. tile: side of the pieces that large images are cut into, 0 for the whole at once. hints: dots of known colour on a
        transparent ground, RGBA of the image's size, for models that colour. network: which of the model's, such as "backward" for the way
        back of a CycleGAN. Raises UsageError for what the model cannot do.
        """
        from ..tasks.apply import images, of_model

        return images.apply(of_model.applier(self, strength, network), image, mask, tile, hints)

    def to(self, device: str) -> Model:
        """Move the networks: 'cpu', 'cuda', ... Returns the model."""
        for network in self.networks.values():
            network.to(pick_device(device))
        return self

    def _classes(self, wanted: str | int | Sequence[str | int] | None, n: int) -> list[int] | None:
        if wanted is None:
            return None
        if not self.spec.classes:
            raise UsageError("this model knows no classes: it was trained without labels.")
        each = [wanted] * n if isinstance(wanted, str | int) else list(wanted)
        if len(each) != n:
            raise UsageError(f"give one class, or one for each of the {n} seeds; got {len(each)}.")
        return [self._class(w) for w in each]

    def _class(self, wanted: str | int) -> int:
        text = str(wanted)
        if text in self.spec.names:
            return self.spec.names.index(text)
        if text.isdigit() and int(text) < self.spec.classes:
            return int(text)
        known = self.spec.names or tuple(str(i) for i in range(self.spec.classes))
        raise UsageError(f"'{text}' is not a class of this model.{nearest(text, known)} It has: {', '.join(known[:40])}.")


def write(folder: Path, recipe: Mapping[str, Any], networks: Mapping[str, nn.Module], card: str, facts: Mapping[str, Any]) -> None:
    """Write model.safetensors, config.json and README.md into `folder`, each whole or not at all.

    `recipe` is the content of recipe.json. The config names the weights it belongs to by their sha256.
    """
    folder.mkdir(exist_ok=True)
    weights = save(storable({f"{name}.{key}": value for name, net in networks.items() for key, value in net.state_dict().items()}))
    config = {"format": FORMAT, "ganforge": __version__, "sha256": hashlib.sha256(weights).hexdigest(), **facts}
    config |= {key: recipe[key] for key in ("recipe", "fields", "spec")}
    replace_file(folder / "model.safetensors", weights)
    replace_json(folder / "config.json", config)
    replace_file(folder / "README.md", card.encode(errors="backslashreplace"))


def described(folder: Path) -> dict[str, Any]:
    """The config.json of a model folder, or {} where a file of it is missing, or the weights are not those that it describes."""
    try:
        config = json.loads((folder / "config.json").read_bytes())
        if (folder / "README.md").is_file() and config["sha256"] == hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest():
            return dict(config)
    except (OSError, ValueError, KeyError, TypeError):
        pass  # missing or damaged: there is no model to tell of
    return {}


def load(path: str | Path, *, code: Collection[str] = (), device: str = "cpu") -> Model:
    """Load a model from a run folder, its best/ folder, or any copy of that folder.

    code: .py files of one's own that the model's recipe names and that may be run; without it no file of the
    model can make Python run anything. Raises CheckpointError if the folder holds no model or it is damaged.
    """
    folder = Path(path).expanduser()
    folder = folder / "best" if (folder / "best").is_dir() else folder
    try:
        config = json.loads((folder / "config.json").read_bytes())
        content = (folder / "model.safetensors").read_bytes()
        weights = load_tensors(content)
    except OSError as error:  # missing, unreadable, or `path` is a file
        if not Path(path).expanduser().exists():
            raise CheckpointError(f"{path} does not exist. Those that do: gan list runs") from error
        raise CheckpointError(
            f"{path} holds no model (expected {folder / 'config.json'} and model.safetensors). A run writes them at its first checkpoint."
        ) from error
    except (json.JSONDecodeError, UnicodeDecodeError, SafetensorError) as error:
        raise CheckpointError(f"the model in {folder} is damaged: {error}.") from error
    if isinstance(config, dict) and hashlib.sha256(content).hexdigest() != config.get("sha256"):
        raise CheckpointError(
            f"model.safetensors in {folder} is not what its config.json describes: a file is damaged, or writing was cut off. "
            f"If the run is there, `gan resume` writes both again."
        )
    method, spec = build(config, code)
    networks = method.exports
    try:
        for name, network in networks.items():
            network.load_state_dict({k.removeprefix(f"{name}."): v for k, v in weights.items() if k.startswith(f"{name}.")})
    except RuntimeError as error:
        raise CheckpointError(f"the weights in {folder} do not fit the networks its config.json describes: {error}") from error
    return Model(method, networks, spec, config).to(device)


def build(config: Mapping[str, Any], code: Collection[str] = ()) -> tuple[Any, DataSpec]:
    """The untrained method that a recipe.json or config.json describes, on the CPU, and its data spec."""
    try:
        if config["format"] > FORMAT:
            raise CheckpointError(f"made by a newer Ganforge (format {config['format']}; this one reads {FORMAT}). Please upgrade.")
        saved = config["spec"]
        spec = DataSpec(tuple(saved["shape"]), saved["classes"], tuple(saved["names"]), saved["count"], given=tuple(saved.get("given", ())))
        recipe = recipes_json.rebuild(find(config["recipe"], code), config["fields"], code)
        with torch.random.fork_rng(devices=[]):  # building draws weights that are replaced at once
            return recipe.method(spec), spec
    except GanforgeError:
        raise
    except (KeyError, TypeError, AttributeError, ValueError, IndexError, RuntimeError) as error:
        raise CheckpointError(f"the description of the model lacks or garbles {error}: it was not written by Ganforge.") from error
