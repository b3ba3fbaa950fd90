"""Where the results of a command go: standard output, and a JSON file if it is asked for."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from sai_bench.errors import AnnotationError, OutputError

STANDARD_OUTPUT = Path("-")
"""What `--json` is given for JSON on standard output, in place of the report."""


def check_json_target(target: Path | None, inputs: Mapping[str, Path]) -> None:
    """Refuse a `--json` that cannot be written or would harm the inputs, before any work is done.

    Args:
        target: what `--json` was given.
        inputs: role -> folder of the files that are read.

    Raises:
        OutputError: it is no good.
    """
    from sai_bench.files import check_writable

    if target is None or target == STANDARD_OUTPUT:
        return
    for role, folder in inputs.items():
        if Path(os.path.realpath(target)).is_relative_to(os.path.realpath(folder)):
            raise OutputError(
                f"--json {target} lies in the folder of the {role}, where the next command would take it for "
                "one of them. Choose another folder."
            )
        if _is_one_of_the_files(target, role, folder):
            raise OutputError(
                f"--json {target} is one of the {role} in {folder}. Choose another file for the result."
            )
    check_writable(target)


def deliver(report: Callable[[], str], result: Callable[[], dict], target: Path | None) -> None:
    """Print a report, then write the JSON file, so that neither is lost if the other fails.

    Args:
        report: what to print.
        result: what to write, JSON-ready.
        target: what `--json` was given.

    Raises:
        OutputError: one of the two cannot be written.
    """
    from sai_bench.files import write_atomically

    if target == STANDARD_OUTPUT:
        write_out(_as_text(result()))
        return
    try:
        write_out(report())
    finally:
        if target is not None:
            write_atomically(target, _as_text(result()).encode())


def write_out(text: str) -> None:
    """Write to standard output. That nobody reads on, as after `| head`, is no error.

    Raises:
        OutputError: it cannot be written, such as for lack of space.
    """
    if sys.stdout is None:  # closed by whoever started this process
        return
    encoding = sys.stdout.encoding or "utf-8"
    try:
        # File names may hold what the encoding cannot say.
        sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
        sys.stdout.flush()
    except BrokenPipeError:
        _discard_the_rest()
    except OSError as error:
        _discard_the_rest()
        raise OutputError(
            f"Standard output cannot be written ({error.strerror or error}). Expected a terminal, a pipe, or "
            "a file with free space."
        ) from error


def _is_one_of_the_files(target: Path, role: str, folder: Path) -> bool:
    """Return whether a file is among those read, by whatever name: links lead to files elsewhere."""
    from sai_bench.metrics.pairing import find_json_files

    try:
        there = os.stat(target)
        paths = find_json_files(folder, role)
    except (OSError, AnnotationError):  # nothing there yet, or the command will say what is wrong
        return False
    for path in paths:
        with contextlib.suppress(OSError):  # a link that leads nowhere
            if os.path.samestat(there, os.stat(path)):
                return True
    return False


def _discard_the_rest() -> None:
    """Let what is still buffered go nowhere; Python would fail on it when it ends."""
    # Without a descriptor there is nothing that Python would write to.
    with contextlib.suppress(OSError), open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


def _as_text(result: dict) -> str:
    return json.dumps(result, indent=1) + "\n"
