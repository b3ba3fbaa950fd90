import json
import os
import subprocess
import sys
import textwrap

import pytest


@pytest.fixture
def write_plugin(tmp_path):
    """Return a function that writes a single-file plugin."""

    def write(name, source):
        path = tmp_path / name
        path.write_text(textwrap.dedent(source))
        return path

    return write


@pytest.fixture
def install(tmp_path):
    """Return a function that makes a distribution look installed, as importlib.metadata sees it."""
    folder = tmp_path / "site"
    folder.mkdir()

    def install_distribution(distribution, entry_points, modules=None, version="0.1"):
        info = folder / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        info.joinpath("METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
        )
        lines = [f"{name} = {module}" for name, module in entry_points.items()]
        info.joinpath("entry_points.txt").write_text("\n".join(["[sai_bench]", *lines, ""]))
        for name, source in (modules or {}).items():
            folder.joinpath(f"{name}.py").write_text(textwrap.dedent(source))
        return folder

    return install_distribution


LOAD = """
import json, sys
from sai_bench.errors import SaiBenchError
from sai_bench.plugin_loading import load_plugins
try:
    loaded = load_plugins()
except SaiBenchError as error:
    print(json.dumps({"error": str(error)}))
else:
    print(json.dumps({
        "warnings": loaded.warnings,
        "components": [[c.kind, c.name, c.origin.label] for c in loaded.registry],
        "modules": sorted(sys.modules),
    }))
"""


@pytest.fixture
def load_in_fresh_process():
    """Return a function that loads installed plugins in a new interpreter and reports what happened."""

    def load(*folders, **environment):
        unset = ("SAI_BENCH_DISABLE_PLUGINS", "SAI_BENCH_STRICT_PLUGINS")
        inherited = {name: value for name, value in os.environ.items() if name not in unset}
        search = os.pathsep.join(map(str, folders))
        done = subprocess.run(
            [sys.executable, "-c", LOAD],
            env={**inherited, "PYTHONPATH": search, **environment},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return load
