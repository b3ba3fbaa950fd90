"""Compiled code is kept where possible, and works where nothing can be kept."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

MODULE = """
from sai_bench.compilation import compiled

@compiled("float64(float64)")
def half(x):
    return x / 2
"""


@pytest.fixture
def run_in(tmp_path):
    """Import a module with a compiled function in a fresh process, in a folder of our own."""
    (tmp_path / "halving.py").write_text(MODULE)

    def run(**environment):
        code = "import halving; print(halving.half(3.0), sum(halving.half.stats.cache_hits.values()))"
        kept = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"}
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env={**kept, "PYTHONPATH": str(tmp_path), **environment},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        run.said = done.stderr
        return done.stdout.split()

    return run


def test_code_is_compiled_once_and_then_loaded(run_in):
    assert run_in() == ["1.5", "0"]
    assert run_in.said == "compiling, once per machine ...\n"
    assert run_in() == ["1.5", "1"]
    assert run_in.said == ""


def test_code_of_another_module_is_part_of_what_is_compiled(run_in, tmp_path):
    divisor = tmp_path / "divisor.py"
    divisor.write_text("import numba\n\n@numba.njit\ndef divide(x):\n    return x / 2\n")
    imported = MODULE.replace("\n\n@", "\nfrom divisor import divide\n\n@").replace("x / 2", "divide(x)")
    (tmp_path / "halving.py").write_text(imported)
    assert run_in() == ["1.5", "0"]
    assert run_in() == ["1.5", "1"]
    divisor.write_text("import numba\n\n@numba.njit\ndef divide(x):\n    return x / 20\n")
    assert run_in() == ["0.15", "0"]


@pytest.mark.parametrize(
    ("use", "inside"),
    [
        ("from divisor import SIZES", "x / SIZES[0]"),
        ("import divisor", "x / divisor.SIZES[0]"),
        ("from divisor import divide", "divide(x)"),
    ],
    ids=["name", "module", "function"],
)
def test_constants_of_another_module_are_part_of_what_is_compiled(run_in, tmp_path, use, inside):
    function = "@numba.njit\ndef divide(x):\n    return x / SIZES[0]\n"
    numbers, divisor = tmp_path / "numbers_of_it.py", tmp_path / "divisor.py"
    divisor.write_text(f"import numba\nfrom numbers_of_it import SIZES\n\n{function}")
    halving = MODULE.replace("\n\n@", f"\n{use}\n\n@").replace("x / 2", inside)
    (tmp_path / "halving.py").write_text(halving)
    for size, half in ((2, "1.5"), (20, "0.15"), (30, "0.1")):
        numbers.write_text(f"import numpy as np\n\nSIZES = np.array([{size}.0, 1.0])\n")
        assert run_in() == [half, "0"]
        assert run_in() == [half, "1"]
    # What is out of date is overwritten, not left behind.
    assert len(list(tmp_path.rglob("*.nbc"))) == len(list(tmp_path.rglob("*.nbi"))) == 1


def test_changes_that_do_not_reach_a_function_leave_its_code_alone(run_in, tmp_path):
    constants = tmp_path / "constants.py"
    constants.write_text("HALVES, THIRDS = 2, 3\n")
    halving = MODULE.replace("\n\n@", "\nfrom constants import HALVES\n\n@").replace("x / 2", "x / HALVES")
    (tmp_path / "halving.py").write_text(halving)
    assert run_in() == ["1.5", "0"]
    constants.write_text("HALVES, THIRDS = 2, 4\n")
    assert run_in() == ["1.5", "1"]


def test_without_numba_functions_are_what_they_are(run_in, tmp_path):
    (tmp_path / "halving.py").write_text(f"{MODULE}\nhalf.stats = half\nhalf.cache_hits = {{}}\n")
    assert run_in(NUMBA_DISABLE_JIT="1") == ["1.5", "0"]
    assert run_in.said == ""


def test_where_nothing_can_be_written_each_process_compiles(run_in, tmp_path):
    # A file where a folder is wanted cannot be written into, not even by root.
    (tmp_path / "__pycache__").write_text("")
    (tmp_path / "home").write_text("")
    unwritable = {"HOME": str(tmp_path / "home"), "XDG_CACHE_HOME": str(tmp_path / "home")}
    for _ in range(2):
        assert run_in(**unwritable, PYTHONDONTWRITEBYTECODE="1") == ["1.5", "0"]
        assert run_in.said.count("cannot be kept") == 1
        assert "Set NUMBA_CACHE_DIR" in run_in.said


def test_where_only_the_users_folder_can_be_written_code_is_kept_there(run_in, tmp_path):
    (tmp_path / "__pycache__").write_text("")
    environment = {
        "HOME": str(tmp_path),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    assert run_in(**environment) == ["1.5", "0"]
    assert run_in(**environment) == ["1.5", "1"]
    assert list(Path(tmp_path / "cache").rglob("*.nbc"))
