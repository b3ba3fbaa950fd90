"""The hook that mkdocs calls: generated parts take the place of their markers in a page.

`<!-- table: NAME -->` becomes a table of committed results, `<!-- file: NAME -->` a file of the repository,
`<!-- components: KIND -->` the components of a kind with all their keys, `<!-- keys: SECTION -->` the keys of
a section of a spec.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import component_tables
import result_tables

MARKER = re.compile(r"<!-- *([\w-]+): *([\w-]+) *-->")

PARTS: dict[str, dict[str, Callable[[], str]]] = {
    "table": result_tables.TABLES,
    "file": result_tables.QUOTED_FILES,
    "components": component_tables.COMPONENTS,
    "keys": component_tables.SECTIONS,
}


def on_page_markdown(markdown: str, page, **_) -> str:
    """Return a page's Markdown with every marker replaced.

    Args:
        markdown: the page as written.
        page: knows its place in `page.file.src_uri`.

    Raises:
        ValueError: a marker that nobody knows, so that a misspelt one stops the build.
    """
    return MARKER.sub(lambda found: _part(*found.groups(), where=page.file.src_uri), markdown)


def _part(prefix: str, name: str, where: str) -> str:
    if prefix not in PARTS:
        raise ValueError(f"{where}: unknown marker '{prefix}: {name}'. Markers: {', '.join(PARTS)}.")
    if name not in PARTS[prefix]:
        known = ", ".join(PARTS[prefix])
        raise ValueError(f"{where}: unknown marker '{prefix}: {name}'. Known after '{prefix}:': {known}.")
    return PARTS[prefix][name]()
