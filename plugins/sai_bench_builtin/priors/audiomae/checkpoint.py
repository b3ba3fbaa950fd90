"""Reading the published AudioMAE encoders, and saying exactly what is wrong with any other file.

Three formats hold the same encoder (ViT-B/16, `blocks.i.attn.qkv` and so on):
- `pretrained.pth` of facebookresearch/AudioMAE: outer key `model`; final norm `norm.*`; a decoder on top;
- `finetuned.pth`, likewise; final norm `fc_norm.*`, after pooling; a 527-way `head`;
- the timm-format file `gaunernst/vit_base_patch16_1024_128.audiomae_as2m` on the Hugging Face hub: no outer
  key, safetensors or pickled, either norm.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file

from sai_bench.errors import WeightsError
from sai_bench_builtin.priors.audiomae.encoder import AudioMaeEncoder

_NOT_THE_ENCODER = ("decoder_", "mask_token", "head.")
_LISTED = 6

_EXPECTED = (
    "Expected pretrained.pth or finetuned.pth of facebookresearch/AudioMAE (outer key 'model'), or the "
    "timm-format file gaunernst/vit_base_patch16_1024_128.audiomae_as2m (.safetensors or .bin)."
)


def load_encoder(path: Path, width: int = 768, depth: int = 12, heads: int = 12) -> AudioMaeEncoder:
    """Return the encoder of a published file, float32, frozen, in evaluation mode.

    Args:
        path: the file.
        width: of its tokens.
        depth: its number of blocks.
        heads: of each block; no file tells.

    Raises:
        WeightsError: the file cannot be read or holds something else; the message lists missing and
            unexpected keys and wrong shapes.
    """
    found = _encoder_part(_read_tensors(path))
    norm_after_pool = "fc_norm.weight" in found
    if norm_after_pool:
        found = {_renamed(name): tensor for name, tensor in found.items()}
    with torch.device("meta"):
        encoder = AudioMaeEncoder(width, depth, heads)
    _check(path, found, encoder.state_dict(), f"width {width}, {depth} blocks")
    encoder.load_state_dict({name: tensor.float() for name, tensor in found.items()}, assign=True)
    encoder.norm_after_pool = norm_after_pool
    return encoder.requires_grad_(False).eval()


def _read_tensors(path: Path) -> Mapping[str, torch.Tensor]:
    """Return the file's named tensors, without an outer key `model`."""
    if not path.is_file():
        raise WeightsError(f"{path}: no such file. {_EXPECTED}")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        # Training scripts store their arguments beside the model, as a plain Namespace.
        with torch.serialization.safe_globals([argparse.Namespace]):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # readers of a stray file stumble over whatever comes first
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise WeightsError(f"{path}: cannot be read as tensors ({reason}). {_EXPECTED}") from error
    if isinstance(content, Mapping):
        content = content.get("model", content)
    if not isinstance(content, Mapping) or not all(isinstance(name, str) for name in content):
        raise WeightsError(f"{path}: holds a {type(content).__name__} and no named tensors. {_EXPECTED}")
    return content


def _encoder_part(content: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor for name, tensor in content.items() if not name.startswith(_NOT_THE_ENCODER)}


def _renamed(name: str) -> str:
    """Return the name in the encoder here; a `norm` beside `fc_norm` must not take its place."""
    if name.startswith("norm."):
        return f"second {name}"
    return name.removeprefix("fc_") if name.startswith("fc_norm.") else name


def _check(
    path: Path, found: Mapping[str, object], expected: Mapping[str, torch.Tensor], described: str
) -> None:
    """Raise WeightsError unless `found` has the names and shapes of `expected` and is finite."""
    floating = {name: t for name, t in found.items() if isinstance(t, torch.Tensor) and t.is_floating_point()}
    problems = {
        "missing keys": expected.keys() - found.keys(),
        "unexpected keys": found.keys() - expected.keys(),
        "no tensors of floating point": found.keys() - floating.keys(),
        "wrong shapes": [
            f"{name} {tuple(floating[name].shape)}, expected {tuple(tensor.shape)}"
            for name, tensor in expected.items()
            if name in floating and floating[name].shape != tensor.shape
        ],
        "NaN or infinite": [name for name, tensor in floating.items() if not tensor.isfinite().all()],
    }
    lines = [f"\n  {title}: {_listed(sorted(names))}" for title, names in problems.items() if names]
    if lines:
        raise WeightsError(
            f"{path}: is no AudioMAE encoder of {described}.{''.join(lines)}\n{_EXPECTED} For an encoder of "
            "another size set encoder_width, encoder_depth and encoder_heads."
        )


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more
