import ast
import subprocess
import sys

import sai_bench


def test_every_public_name_is_there_and_type_checkers_see_the_same(repository):
    tree = ast.parse((repository / "sai_bench" / "__init__.py").read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.name: statement.module for statement in block.body for alias in statement.names}
    assert sorted(sai_bench.__all__) == sorted([*seen, "__version__", "hookimpl"])
    for name, home in seen.items():
        assert getattr(sai_bench, name) is getattr(sys.modules[home], name)


def test_importing_sai_bench_brings_no_heavy_library():
    heavy = "{'torch', 'numpy', 'scipy', 'pydantic', 'numba', 'soundfile'}"
    code = f"import sys, sai_bench; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
