"""What a metric may return: numbers, text, None, and lists and dicts of those."""

from __future__ import annotations

import math

from sai_bench.errors import ContractError


def checked_numbers(value: object, metric: str) -> dict:
    """Return a metric's result with plain numbers; NaN and infinity, which JSON lacks, become None.

    Raises:
        ContractError: it is no dict, or holds something else.
    """
    if not isinstance(value, dict):
        raise ContractError(f"{metric} returned {type(value).__name__}, expected a dict of named numbers.")
    return _plain(value, metric, ())


def _plain(value: object, metric: str, path: tuple[str, ...]) -> object:
    if hasattr(value, "tolist"):  # a NumPy number or array
        value = value.tolist()
    if isinstance(value, dict):
        return {str(key): _plain(item, metric, (*path, str(key))) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, metric, (*path, str(i))) for i, item in enumerate(value)]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    raise ContractError(
        f"{metric} returned {type(value).__name__} under '{'.'.join(path)}', expected a number, text or None."
    )
