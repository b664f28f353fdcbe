"""DINOv2 (Oquab et al., 2023, arXiv:2304.07193) and CLIP (Radford et al., 2021, arXiv:2103.00020) from the user's own weights.

Both are vision transformers (Dosovitskiy et al., 2020, arXiv:2010.11929); their size is read from the weights.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, interpolate, scaled_dot_product_attention

from ..weights import obtain
from .base import checked, colour
from .network import ready, same_shapes
from .resize import bicubic

SIDE, HEAD = 224, 64
MEAN_STD = {
    "dinov2": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "clip": ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
}
HINT = {
    "dinov2": "Give --weights with the .pth of facebookresearch/dinov2 or the model.safetensors of facebook/dinov2-*.",
    "clip": "Give --weights with the .pt of openai/CLIP (ViT) or the model.safetensors of openai/clip-vit-*.",
}
RENAMES = {
    "dinov2": (
        (r"^(dinov2\.)?embeddings\.|^backbone\.", ""),
        (r"^patch_embed(dings)?\.proj(ection)?\.", "patch."),
        (r"^position_embeddings$|^pos_embed$", "pos"),
        (r"^cls_token$", "cls"),
        (r"^(dinov2\.)?encoder\.layer\.|^blocks\.", "blocks."),
        (r"attention\.(attention\.)?(q(?=uery|_proj)|k(?=ey|_proj)|v(?=alue|_proj))(uery|ey|alue|_proj)", r"\2"),
        (r"attn\.qkv", "qkv"),
        (r"attention\.(output\.dense|o_proj)|attn\.proj", "out"),
        (r"layer_scale(\d)\.lambda1|ls(\d)\.gamma", r"scale\1\2"),
        (r"mlp\.", ""),
        (r"^(dinov2\.)?(layernorm|norm)\.", "norm."),
    ),
    "clip": (
        (r"^(visual|vision_model)\.", ""),
        (r"^embeddings\.", ""),
        (r"^(conv1|patch_embedding)\.", "patch."),
        (r"^(positional_embedding|position_embedding\.weight)$", "pos"),
        (r"^class_embedding$", "cls"),
        (r"^(ln_pre|pre_layrnorm)\.", "pre."),
        (r"^(transformer\.resblocks|encoder\.layers)\.", "blocks."),
        (r"attn\.in_proj_", "qkv."),
        (r"self_attn\.([qkv])_proj", r"\1"),
        (r"(self_)?attn\.out_proj", "out"),
        (r"layer_norm|ln_(?=[12]\.)", "norm"),
        (r"mlp\.(c_fc|fc1)", "fc1"),
        (r"mlp\.(c_proj|fc2)", "fc2"),
        (r"^(ln_post|post_layernorm)\.", "norm."),
        (r"^visual_projection\.weight$", "last.weight"),
    ),
}
"""Patterns that turn the published names, in the spellings of the authors and of the transformers library, into ours."""


class Layer(nn.Module):
    """One transformer layer: tokens (n, t, d) -> (n, t, d)."""

    def __init__(self, width: int, inner: int, eps: float, quick: bool) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width, eps), nn.LayerNorm(width, eps)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.fc1, self.fc2 = nn.Linear(width, inner), nn.Linear(inner, width)
        self.quick = quick

    def forward(self, x: Tensor) -> Tensor:
        n, t, d = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(n, t, 3, d // HEAD, HEAD).permute(2, 0, 3, 1, 4)
        x = x + self.out(scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, t, d))
        h = self.fc1(self.norm2(x))
        return x + self.fc2(h * torch.sigmoid(1.702 * h) if self.quick else gelu(h))


class Vision(nn.Module):
    """Images (n, 3, 224, 224), normalised -> the class token behind the last norm (n, d), projected in CLIP."""

    def __init__(self, patch: int, width: int, inner: int, depth: int, last: int = 0) -> None:
        super().__init__()
        eps = 1e-5 if last else 1e-6
        self.patch = nn.Conv2d(3, width, patch, patch, bias=not last)
        self.cls, self.pos = nn.Parameter(torch.empty(width)), nn.Parameter(torch.empty(1 + (SIDE // patch) ** 2, width))
        self.pre = nn.LayerNorm(width, eps) if last else nn.Identity()
        self.blocks = nn.ModuleList(Layer(width, inner, eps, bool(last)) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps)
        self.last = nn.Linear(width, last, bias=False) if last else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls.expand(len(x), 1, -1), x], 1) + self.pos
        x = self.pre(x)
        for block in self.blocks:
            x = block(x)
        return self.last(self.norm(x[:, 0]))


def shaped(state: Mapping[str, Tensor]) -> Vision:
    """An empty network of the size that a state has."""
    width, _, patch, _ = state["patch.weight"].shape
    depth = len({key.split(".")[1] for key in state if key.startswith("blocks.")})
    last = len(state["last.weight"]) if "last.weight" in state else 0
    return Vision(patch, width, len(state["blocks.0.fc1.weight"]), depth, last)


def convert(name: str, arrays: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Published weights of "dinov2" or "clip" -> the state of `Vision`. Raises ValueError for another network's."""
    got: dict[str, Tensor] = {}
    for key, value in arrays.items():
        if name == "clip" and not key.startswith("vis"):  # the side that reads text
            continue
        for pattern, by in RENAMES[name]:
            key = re.sub(pattern, by, key)
        got[key] = value.float()
    if name == "clip" and "proj" in got:
        got["last.weight"] = got.pop("proj").T.contiguous()
    if any(key not in got for key in ("patch.weight", "pos", "cls", "blocks.0.fc1.weight")):
        raise ValueError(f"it holds no vision transformer of {name} in a spelling that is known")
    for key in [key for key in got if ".q." in key]:
        got[key.replace(".q.", ".qkv.")] = torch.cat([got.pop(key.replace(".q.", f".{one}.")) for one in "qkv"])
    for key in [key for key in got if ".scale" in key]:  # a factor for every channel of what is added: into the layer before
        layer, _, number = key.rpartition(".scale")
        before = f"{layer}.{'out' if number == '1' else 'fc2'}"
        factor = got.pop(key)
        got[f"{before}.weight"], got[f"{before}.bias"] = got[f"{before}.weight"] * factor[:, None], got[f"{before}.bias"] * factor
    got["cls"], got["pos"] = got["cls"].flatten(), _placed(got["pos"].reshape(-1, got["cls"].numel()), got["patch.weight"].shape[2])
    with torch.device("meta"):
        blank = shaped(got)
    state = {key: value for key, value in got.items() if key in blank.state_dict()}
    same_shapes(state, blank)
    return state


def _placed(pos: Tensor, patch: int) -> Tensor:
    """Position embeddings (1 + side^2, d), brought from the side of the training to that of 224 pixels as DINOv2's code does."""
    now, then = SIDE // patch, round((len(pos) - 1) ** 0.5)
    if now == then:
        return pos
    grid = pos[1:].view(1, then, then, -1).permute(0, 3, 1, 2)
    scale = (now + 0.1) / then
    grid = interpolate(grid, scale_factor=(scale, scale), mode="bicubic", align_corners=False)
    return torch.cat([pos[:1], grid.permute(0, 2, 3, 1).reshape(now * now, -1)])


class Transformer:
    """Features of "dinov2" or "clip": uint8 images (n, c, h, w) -> (n, dim), dim as in the weights."""

    is_inception = False

    def __init__(self, name: str, weights: str | Path | None, cache: Path, device: str | torch.device) -> None:
        state, sha = obtain(name, lambda arrays: convert(name, arrays), cache, given=weights, hint=HINT[name])
        self.net = ready(lambda: shaped(state), state, device)
        self.name, self.device = name, device
        self.dim = len(state["last.weight"]) if name == "clip" else len(state["cls"])
        self.facts = {"weights": sha, "resize": f"bicubic{SIDE}", "runtime": "torch", "precision": "fp32"}
        self.mean, self.std = (torch.tensor(numbers, device=device).view(3, 1, 1) for numbers in MEAN_STD[name])

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Tensor:
        x = colour(bicubic(checked(images).to(self.device, non_blocking=True), SIDE)) / 255
        return self.net((x - self.mean) / self.std).float()
