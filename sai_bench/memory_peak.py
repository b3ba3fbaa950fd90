"""The most memory that this process held: as the kernel counts it, which only Linux tells."""

from __future__ import annotations

import contextlib
import ctypes
from pathlib import Path

_STATUS, _FORGET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def forget_memory_peak() -> None:
    """Let the kernel measure the peak anew, from what is held now.

    What was freed but is kept for later goes back to the kernel first, where the C library can do that
    (glibc): it would hide what is held from here on.
    """
    if not _FORGET.exists():
        return
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    with contextlib.suppress(OSError):
        _FORGET.write_text("5")


def memory_peak_bytes() -> int | None:
    """Return the peak of resident memory since the start or `forget_memory_peak`, None where unknown."""
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), None)
