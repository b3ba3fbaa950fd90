import importlib
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

REPOSITORY = Path(__file__).parents[2]
PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]


@pytest.fixture
def repository():
    return REPOSITORY


@pytest.fixture
def hooks(monkeypatch):
    """The modules of docs/hooks, found as mkdocs finds them."""
    monkeypatch.syspath_prepend(str(REPOSITORY / "docs" / "hooks"))
    names = ("generated_parts", "result_tables", "component_tables", "training_tables", "trim_benchmarks")
    return SimpleNamespace(**{name: importlib.import_module(name) for name in names})


@pytest.fixture
def rendered(hooks):
    """Return a page of docs/ with its generated parts."""

    def render(name: str) -> str:
        page = SimpleNamespace(file=SimpleNamespace(src_uri=name))
        return hooks.generated_parts.on_page_markdown((REPOSITORY / "docs" / name).read_text(), page)

    return render


@pytest.fixture(params=PAGES, ids=lambda path: path.name)
def page(request):
    return request.param


@pytest.fixture
def blocks():
    """Return the fenced blocks of a language in a text."""

    def find(text: str, language: str) -> list[str]:
        return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)

    return find
