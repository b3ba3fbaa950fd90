"""The environment names processor, versions and revision, and nothing about the user."""

import getpass
import json
import os
import platform
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sai_bench import cores
from sai_bench.results import environment
from sai_bench.results.environment import describe_environment


def test_environment_is_plain_json_with_versions_and_cores():
    found = json.loads(json.dumps(describe_environment()))
    assert found["python"].endswith(platform.python_version())
    assert found["packages"]["numpy"] == np.__version__
    assert {"sai-bench", "torch", "msgspec"} <= set(found["packages"])
    assert "mkdocs" not in found["packages"]
    assert 1 <= found["logical_cores"] <= os.cpu_count()
    assert found["physical_cores"] is None or found["physical_cores"] <= found["logical_cores"]


def test_environment_tells_no_path_host_or_user(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "/home/somebody")
    text = json.dumps({**describe_environment(), "cpu": None})
    for private in (str(Path.home()), os.getcwd(), sys.prefix, "/home/", "/tmp/"):
        assert private not in text
    for private in (socket.gethostname(), getpass.getuser()):
        assert f'"{private}"' not in text


def test_threads_are_reported_as_set(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")

    class Torch:
        @staticmethod
        def get_num_threads():
            return 5

    monkeypatch.setitem(sys.modules, "torch", Torch)
    assert describe_environment()["threads"] == {"omp_num_threads": "3", "torch": 5}


def test_physical_cores_are_counted_among_the_usable_processors(monkeypatch, tmp_path):
    blocks = [f"processor\t: {n}\nmodel name\t: X 9\nphysical id\t: 0\ncore id\t: {n % 2}" for n in range(4)]
    (tmp_path / "cpuinfo").write_text("\n\n".join(blocks) + "\n\n")
    monkeypatch.setattr(environment, "_CPU_INFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(environment, "_usable_cpus", lambda: {0, 1, 2})
    found = describe_environment()
    assert (found["cpu"], found["logical_cores"], found["physical_cores"]) == ("X 9", 3, 2)


@pytest.mark.parametrize(("text", "expected"), [("150000 100000\n", 1.5), ("max 100000\n", None), ("", None)])
def test_container_quota_is_given_in_cores(monkeypatch, tmp_path, text, expected):
    (tmp_path / "cpu.max").write_text(text)
    monkeypatch.setattr(cores, "_CPU_QUOTA", tmp_path / "cpu.max")
    assert describe_environment()["cpu_quota_cores"] == expected


def repository(folder):
    def git(*arguments):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        done = subprocess.run(
            ["git", *identity, "-C", str(folder), *arguments], check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    package = folder / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    git("init", "-q")
    git("add", "-A")
    git("commit", "-qm", "one")
    return package, git("rev-parse", "HEAD")


def test_revision_is_the_commit_and_whether_anything_changed(monkeypatch, tmp_path):
    package, commit = repository(tmp_path)
    monkeypatch.setattr(environment, "_PACKAGE_FOLDER", package)
    assert describe_environment()["git"] == {"commit": commit, "dirty": False}
    (package / "__init__.py").write_text("x = 1\n")
    assert describe_environment()["git"] == {"commit": commit, "dirty": True}


def test_package_that_git_does_not_track_has_no_revision(monkeypatch, tmp_path):
    repository(tmp_path)
    installed = tmp_path / "site-packages"
    installed.mkdir()
    (installed / "__init__.py").write_text("")
    monkeypatch.setattr(environment, "_PACKAGE_FOLDER", installed)
    assert describe_environment()["git"] is None


def test_machine_without_git_or_proc_still_has_an_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(environment, "_CPU_INFO", tmp_path / "none")
    monkeypatch.setattr(cores, "_CPU_QUOTA", tmp_path / "none")
    found = describe_environment()
    assert found["git"] is None
    assert found["physical_cores"] is None
