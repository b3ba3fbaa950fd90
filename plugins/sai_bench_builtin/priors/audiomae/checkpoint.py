"""Reading the published AudioMAE encoders, and saying exactly what is wrong with any other file.

Three formats hold the same encoder (ViT-B/16, `blocks.i.attn.qkv` and so on):
- `pretrained.pth` of facebookresearch/AudioMAE: outer key `model`; final norm `norm.*`; a decoder on top;
- `finetuned.pth`, likewise; final norm `fc_norm.*`, after pooling; a 527-way `head`;
- the timm-format file `gaunernst/vit_base_patch16_1024_128.audiomae_as2m` on the Hugging Face hub: no outer
  key, safetensors or pickled, either norm.
"""

from __future__ import annotations

import argparse
import contextlib
import pickle
import pickletools
import struct
import warnings
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO

import torch
from safetensors.torch import load_file

from sai_bench.errors import WeightsError
from sai_bench.files import problem_with_file
from sai_bench_builtin.priors.audiomae.encoder import AudioMaeEncoder

_NOT_THE_ENCODER = ("decoder_", "mask_token", "head.")
_NORM, _NORM_AFTER_POOL = "norm.", "fc_norm."
_LISTED = 6

_PICKLES_IN_OLD_FILES = 4  # the first three describe the format

_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)

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
    content = _read_tensors(path)
    found = {name: tensor for name, tensor in content.items() if not name.startswith(_NOT_THE_ENCODER)}
    norm_after_pool = any(name.startswith(_NORM_AFTER_POOL) for name in found)
    with torch.device("meta"):
        encoder = AudioMaeEncoder(width, depth, heads)
    in_file = {
        name: name.replace(_NORM, _NORM_AFTER_POOL) if norm_after_pool and name.startswith(_NORM) else name
        for name in encoder.state_dict()
    }
    expected = {in_file[name]: tensor.shape for name, tensor in encoder.state_dict().items()}
    _check(path, found, expected, f"width {width}, {depth} blocks")
    encoder.load_state_dict({name: found[in_file[name]].float() for name in in_file}, assign=True)
    encoder.norm_after_pool = norm_after_pool
    return encoder.requires_grad_(False).eval()


def _read_tensors(path: Path) -> Mapping[str, object]:
    """Return what the file holds by name, without an outer key `model`."""
    try:
        content = _read(path)
    except _UnreadableError as error:
        raise WeightsError(f"{path}: cannot be read as tensors: {error}. {_EXPECTED}") from error
    if isinstance(content, Mapping):
        content = content.get("model", content)
    if not isinstance(content, Mapping) or not all(isinstance(name, str) for name in content):
        raise WeightsError(f"{path}: holds a {type(content).__name__} and no named tensors. {_EXPECTED}")
    return content


class _UnreadableError(Exception):
    """Why a file holds no tensors."""


def _read(path: Path) -> object:
    """Return the content of a file of tensors, whatever its name, without running code from it.

    Raises:
        _UnreadableError: it is none.
    """
    problem = problem_with_file(path)
    if problem:
        raise _UnreadableError(problem)
    try:
        if _is_safetensors(path):
            return load_file(path)
        # Training scripts store their arguments beside the model, as a plain Namespace.
        with torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about files that are refused below
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # readers of a stray file stumble over whatever comes first
        if _holds_code(path, error):
            raise _UnreadableError("it contains code besides tensors, which is not loaded") from error
        raise _UnreadableError("it is no PyTorch or safetensors file, or it is damaged") from error


def _is_safetensors(path: Path) -> bool:
    """Return whether a file begins with the length of a JSON header that it has room for."""
    with path.open("rb") as file:
        start = file.read(9)
    return (
        len(start) == 9 and start[8:] == b"{" and struct.unpack("<Q", start[:8])[0] <= path.stat().st_size - 8
    )


def _holds_code(path: Path, refusal: Exception) -> bool:
    """Return whether a file that torch refused is a sound one, but not of tensors and plain data alone."""
    try:
        if not zipfile.is_zipfile(path):
            with path.open("rb") as file:
                return isinstance(refusal, pickle.UnpicklingError) and _imports(file)
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if any("/code/" in name for name in names):  # of TorchScript
                return True
            with archive.open(next(name for name in names if name.endswith("data.pkl"))) as file:
                return isinstance(refusal, pickle.UnpicklingError) and _imports(file)
    except (zipfile.BadZipFile, StopIteration, OSError):
        return False


def _imports(file: IO[bytes]) -> bool:
    """Return whether there are pickles that name classes or functions, read without running them."""
    with contextlib.suppress(Exception):  # stray bytes are taken for whatever operations they spell
        for _ in range(_PICKLES_IN_OLD_FILES):
            if {"GLOBAL", "STACK_GLOBAL"} & {operation.name for operation, _, _ in pickletools.genops(file)}:
                return True
    return False


def _check(
    path: Path, found: Mapping[str, object], expected: Mapping[str, Sequence[int]], described: str
) -> None:
    """Raise WeightsError unless `found` has the names and shapes of `expected` and is finite."""
    dense = {name: tensor for name, tensor in found.items() if _is_dense(tensor)}
    wrong = {
        name: f"{name} {tuple(tensor.shape)}, expected {tuple(expected[name])}"
        for name, tensor in dense.items()
        if name in expected and tensor.shape != expected[name]
    }
    fitting = (expected.keys() & dense.keys()) - wrong.keys()
    norms = _norms(found)
    twice = norms if len({name.partition(".")[0] for name in norms}) > 1 else set()
    problems = {
        "two last norms, expected one of them": twice,
        "missing keys": expected.keys() - found.keys() - (_norms(expected) if twice else set()),
        "unexpected keys": found.keys() - expected.keys() - twice,
        "no dense tensors of floating point": found.keys() - dense.keys(),
        "wrong shapes": wrong.values(),
        "NaN or infinite": [name for name in fitting if not dense[name].isfinite().all()],
    }
    lines = [f"\n  {title}: {_listed(names)}" for title, names in problems.items() if names]
    if lines:
        raise WeightsError(
            f"{path}: is no AudioMAE encoder of {described}.{''.join(lines)}\n{_EXPECTED} For an encoder of "
            "another size set encoder_width, encoder_depth and encoder_heads."
        )


def _is_dense(value: object) -> bool:
    """Return whether a value is a tensor with all its numbers in memory."""
    return (
        isinstance(value, torch.Tensor)
        and value.dtype in _FLOATS
        and value.layout is torch.strided
        and not value.is_nested
        and value.device.type == "cpu"
    )


def _norms(names: Iterable[str]) -> set[str]:
    return {name for name in names if name.startswith((_NORM, _NORM_AFTER_POOL))}


def _listed(names: Iterable[str]) -> str:
    ordered = sorted(names)
    more = f" and {len(ordered) - _LISTED} more" if len(ordered) > _LISTED else ""
    return ", ".join(ordered[:_LISTED]) + more
