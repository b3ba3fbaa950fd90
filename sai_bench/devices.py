"""Devices and precisions as a spec names them, in torch's terms."""

from __future__ import annotations

import torch

from sai_bench.errors import DeviceError

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def torch_device(name: str, key: str) -> torch.device:
    """Return a device.

    Args:
        name: `cpu` or `cuda`.
        key: of the spec, which said so; for the message.

    Raises:
        DeviceError: there is no such device.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise DeviceError(f"{key} is {name}, but there is no such device. Set it to cpu.")
    return torch.device(name)


def torch_dtype(precision: str) -> torch.dtype:
    """Return the type of real numbers that a precision, `fp32` or `bf16`, stands for."""
    return _DTYPES[precision]
