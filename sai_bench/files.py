"""Writing files so that a reader never meets half of one, and naming them safely."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import re
import uuid
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from sai_bench.errors import CacheError, ContractError, OutputError

if TYPE_CHECKING:
    import numpy as np

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")


def write_atomically(path: Path, content: bytes) -> None:
    """Write `content` to `path` so that the file is either absent, old or complete.

    A temporary file in the same folder is flushed to disk and then renamed over `path`.

    Raises:
        OutputError: the folder cannot be created or written.
    """
    temporary = path.with_name(f".{path.name[:100]}.{uuid.uuid4().hex}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "xb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be written ({error.strerror or error}). "
            "Expected a writable folder with free space; choose another one."
        ) from error
    finally:
        # Still there only if something came between, an interruption included.
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def encode_arrays(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Return named arrays as the content of a compressed .npz; equal arrays give equal bytes.

    Raises:
        ContractError: a name is no text, or something is no array of numbers or text.
    """
    import numpy as np

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, value in arrays.items():
            array = np.asarray(value)
            if not isinstance(name, str) or array.dtype.hasobject:
                raise ContractError(
                    f"Array {name!r} of {type(value).__name__} cannot be stored. Expected text as its name "
                    "and an array of numbers or text."
                )
            # A member that is made from its name alone carries the fixed date 1980-01-01.
            member = zipfile.ZipInfo(f"{name}.npy")
            member.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(member, "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, np.asarray(array, order="C"), allow_pickle=False)
    return buffer.getvalue()


def arrays_sha256(arrays: Mapping[str, np.ndarray]) -> str:
    """Return the SHA-256 of names, types, shapes and values, whatever they are stored in."""
    import numpy as np

    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.asarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape} ".encode() + array.tobytes())
    return digest.hexdigest()


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Read the arrays of an .npz; object arrays (pickle) are refused.

    Raises:
        CacheError: the file is missing or damaged.
    """
    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise CacheError(
            f"{path}: stored result cannot be read ({error}). It was changed from outside; delete it and run "
            "again, only this file is computed anew."
        ) from error


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's content as hexadecimal text."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def safe_name(name: str) -> str:
    """Return `name` as a file name that cannot leave its folder or hide in it.

    Letters, digits, `.`, `_` and `-` stay, everything else becomes `_`; leading dots go. A name that had to
    change gets a short hash of the original, so that two names never share a file.
    """
    cleaned = _UNSAFE.sub("_", name).lstrip(".")[:180]
    if cleaned == name and cleaned:
        return name
    return f"{cleaned or 'unnamed'}-{hashlib.sha256(os.fsencode(name)).hexdigest()[:8]}"


def _sync_folder(folder: Path) -> None:
    """Make a rename durable; file systems without folder handles are left to themselves."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        return
    finally:
        os.close(handle)
