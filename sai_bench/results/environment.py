"""What a run's figures depend on besides its spec: processor, threads, versions, code revision.

Nothing here tells who or where the user is: no host name, user name or path.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

from sai_bench import cores

DISTRIBUTION = "sai-bench"
_PACKAGE_FOLDER = Path(__file__).parents[1]
_GIT_TIMEOUT_S = 5
_CPU_INFO = Path("/proc/cpuinfo")
_REQUIREMENT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_THREAD_SETTING = re.compile(r"[0-9]+(,[0-9]+)*")


def describe_environment() -> dict:
    """Return processor, threads, Python, platform, package versions and git revision, JSON-ready.

    Whatever cannot be found out is None. torch is asked for its threads only if it is imported already.
    """
    return {
        "cpu": _cpu_model(),
        "logical_cores": _logical_cores(),
        "physical_cores": _physical_cores(),
        "cpu_quota_cores": cores.cpu_quota_cores(),
        "threads": _threads(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "platform": f"{platform.system()} {platform.release()} {platform.machine()}",
        "packages": _package_versions(),
        "git": _git_revision(_PACKAGE_FOLDER),
    }


def _cpu_model() -> str | None:
    for processor in _processors():
        if model := processor.get("model name"):
            return model
    return platform.processor() or platform.machine() or None


def _usable_cpus() -> set[int]:
    """Return the logical processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


def _logical_cores() -> int:
    return len(_usable_cpus())


def _physical_cores() -> int | None:
    """Return how many physical cores the usable logical processors belong to (Linux only)."""
    usable = _usable_cpus()
    found = {
        (processor.get("physical id"), processor["core id"])
        for processor in _processors()
        if "core id" in processor and int(processor["processor"]) in usable
    }
    return len(found) or None


def _processors() -> list[dict[str, str]]:
    try:
        text = _CPU_INFO.read_text()
    except OSError:
        return []
    processors = []
    for block in text.split("\n\n"):
        pairs = (line.partition(":") for line in block.splitlines())
        processor = {key.strip(): value.strip() for key, _, value in pairs}
        if processor.get("processor", "").isdigit():
            processors.append(processor)
    return processors


def _threads() -> dict[str, int | str | None]:
    setting = os.environ.get("OMP_NUM_THREADS", "")
    torch = sys.modules.get("torch")
    return {
        "omp_num_threads": setting if _THREAD_SETTING.fullmatch(setting) else None,
        "torch": torch.get_num_threads() if hasattr(torch, "get_num_threads") else None,
    }


def _package_versions() -> dict[str, str | None]:
    """Return the versions of sai-bench and what it requires (extras left out), None if not installed."""
    try:
        requirements = importlib.metadata.requires(DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        requirements = []
    names = {DISTRIBUTION}
    names.update(_REQUIREMENT_NAME.match(r).group() for r in requirements if "extra ==" not in r)
    return {name: _version(name) for name in sorted(names, key=str.lower)}


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git_revision(folder: Path) -> dict[str, str | bool] | None:
    """Return commit and whether anything differs from it; None if `folder` is not part of a repository.

    A package installed into an environment that lies inside somebody's repository is not part of it, hence
    the question whether git tracks the folder's `__init__.py`.
    """
    tracked = _git(folder, "ls-files", "--error-unmatch", "__init__.py")
    commit = _git(folder, "rev-parse", "HEAD") if tracked else None
    changes = _git(folder, "status", "--porcelain") if commit else None
    if commit is None or changes is None:
        return None
    return {"commit": commit.strip(), "dirty": bool(changes.strip())}


def _git(folder: Path, *arguments: str) -> str | None:
    """Return what a git command prints, None if it fails, is missing or takes too long."""
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=_GIT_TIMEOUT_S,
            stdin=subprocess.DEVNULL,
            check=True,
        )
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    return done.stdout
