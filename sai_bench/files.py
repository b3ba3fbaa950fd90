"""Writing files so that a reader never meets half of one, and naming them safely."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import re
import stat
import tempfile
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

    A temporary file in the same folder is flushed to disk and then renamed over `path`; where `path` is a
    link, over the file that it leads to.

    Raises:
        OutputError: the folder cannot be created or written, or there is something else than a regular file.
    """
    try:
        target = _regular_target(path)
        temporary = target.with_name(f".{target.name[:100]}.{uuid.uuid4().hex}.tmp")
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(temporary, "xb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(temporary, target)
        finally:
            # Still there only if something came between, an interruption included.
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
    except OSError as error:
        raise _cannot_be_written(path, error) from error
    _sync_folder(target.parent)


def check_writable(path: Path) -> None:
    """Find out whether `write_atomically` can write to `path`, before the work whose result goes there.

    Leaves nothing behind: missing folders are not made, only the nearest one that exists is tried.

    Raises:
        OutputError: it cannot.
    """
    try:
        folder = _regular_target(path).parent
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _cannot_be_written(path, error) from error


def _regular_target(path: Path) -> Path:
    """Return the file to write to: `path`, or where it leads as a link.

    Raises:
        OSError: there is something whose replacement would do harm, such as a device or a pipe.
    """
    target = Path(os.path.realpath(path))
    try:
        mode = os.stat(target).st_mode
    except FileNotFoundError:
        return target
    if stat.S_ISDIR(mode):
        raise OSError("it is a folder")
    if not stat.S_ISREG(mode):
        raise OSError("it is no regular file, but a device, pipe or socket")
    return target


def _cannot_be_written(path: Path, error: OSError) -> OutputError:
    return OutputError(
        f"{path}: cannot be written ({error.strerror or error}). "
        "Expected the name of a file in a writable folder with free space; choose another one."
    )


def problem_with_file(path: Path) -> str:
    """Return why there is no file to read at a path; nothing if there is one."""
    try:
        if not path.exists():
            return "no such file"
        if not path.is_file():
            return "it is a folder" if path.is_dir() else "it is no regular file"
        return "" if path.stat().st_size else "it is empty"
    except OSError as error:
        return error.strerror or str(error)


def encode_arrays(arrays: Mapping[str, np.ndarray], *, compressed: bool = True) -> bytes:
    """Return named arrays as the content of an .npz; equal arrays give equal bytes.

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
            member.compress_type = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
            with archive.open(member, "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, np.asarray(array, order="C"), allow_pickle=False)
    return buffer.getvalue()


def arrays_sha256(arrays: Mapping[str, np.ndarray]) -> str:
    """Return the SHA-256 of names, types, shapes and values, whatever they are stored in."""
    import numpy as np

    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.asarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape} ".encode())
        digest.update(array.ravel().view(np.uint8))
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
    except Exception as error:  # damaged bytes make zipfile, zlib and NumPy raise about anything
        raise CacheError(
            f"{path}: stored result cannot be read ({type(error).__name__}: {error}). It was changed "
            "from outside; delete it and run again, only this file is computed anew."
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
