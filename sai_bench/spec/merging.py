"""One tree out of a spec file, the files it extends and the overrides given with it.

One rule for all of them: mappings merge key by key, everything else is replaced. A mapping whose `use` names
another component replaces the inherited one wholly, because the old keys belong to the old component. So does
a mapping whose keys are numbers: it is a table, such as shares that sum to 1. The top-level list `plugins` is
the one list that grows instead.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from sai_bench.config import SourcedStr
from sai_bench.spec.problems import Mark, Problem, shown_path, spec_error
from sai_bench.spec.yaml_source import Node, describe, read_file, read_text

MAX_EXTENDS = 20
"""How long a chain of `extends` may be."""

_NUMBER = re.compile(r"-?\d+(\.\d*)?")
_STEP = re.compile(r"[A-Za-z0-9_-]+")


def read_tree(path: Path, overrides: Sequence[str] = ()) -> tuple[Node, list[Problem]]:
    """Read a spec with everything it extends, and apply `--set` overrides.

    Args:
        path: the spec file as the user typed it.
        overrides: `PATH=VALUE` texts, VALUE in YAML.

    Returns:
        (tree, problems): the merged tree, and what is wrong with parts of it (such as duplicate keys).

    Raises:
        SpecError: a file cannot be used at all or an override is malformed, so that checking on would
            only report consequences.
    """
    files = _Files()
    tree = files.read(path, str(path))
    items, malformed = parse_overrides(overrides)
    if tree is None or malformed:
        raise spec_error([*files.problems, *malformed])
    return merge(tree, override_tree(items)) if items else tree, files.problems


def merge(base: Node, over: Node, path: tuple[str, ...] = ()) -> Node:
    """Return `over` laid on `base`; see the module's rule."""
    if path == ("plugins",) and isinstance(base.value, list) and isinstance(over.value, list):
        return Node(base.value + over.value, over.mark)
    if not isinstance(base.value, dict) or not isinstance(over.value, dict):
        return over
    if _other_component(base, over) or _is_table(over):
        return over
    merged = dict(base.value)
    for key, child in over.value.items():
        merged[key] = merge(merged[key], child, (*path, key)) if key in merged else child
    return Node(merged, over.mark)


def _other_component(base: Node, over: Node) -> bool:
    old, new = base.child("use"), over.child("use")
    return old is not None and new is not None and old.value != new.value


def _is_table(node: Node) -> bool:
    return bool(node.value) and all(_NUMBER.fullmatch(str(key)) for key in node.value)


def override_tree(items: Iterable[tuple[str, Node]]) -> Node:
    """Return the tree that holds each value at its dotted path; a later item wins over an earlier one.

    All overrides together act as one more file: `system.fusion.alpha` and `system.fusion.use` may come in
    any order.
    """
    tree = Node({}, Mark(""))
    for path, node in items:
        for step in reversed(path.split(".")):
            node = Node({step: node}, node.mark)
        tree = merge(tree, node)
    return tree


def check_dotted(path: str) -> bool:
    """Return whether `path` is a dotted path of keys."""
    return all(_STEP.fullmatch(step) for step in path.split("."))


def parse_overrides(overrides: Sequence[str]) -> tuple[list[tuple[str, Node]], list[Problem]]:
    """Parse `PATH=VALUE` texts.

    Returns:
        (path and value of each, problems of those that are malformed).
    """
    items, problems = [], []
    for text in overrides:
        path, equals, value = text.partition("=")
        path = path.strip()
        if not equals or not check_dotted(path):
            message = "expected PATH=VALUE, such as system.fusion.alpha=0.3."
            problems.append(Problem(Mark(f"--set {text}"), "", message))
            continue
        if path.split(".")[0] == "extends":
            message = "extends belongs in a spec file. Set the keys themselves."
            problems.append(Problem(Mark(f"--set {path}"), path, message))
            continue
        steps = tuple(path.split("."))
        node, wrong = read_text(value.strip(), f"--set {path}", Path.cwd(), steps, lines=False)
        problems += wrong
        if node is not None:
            items.append((path, node))
    return items, problems


class _Files:
    """Reads spec files, each once however often it is extended."""

    def __init__(self):
        self.problems: list[Problem] = []
        self._trees: dict[Path, Node | None] = {}
        self._chain: list[Path] = []

    def read(self, path: Path, shown: str) -> Node | None:
        """Return the tree of one file with everything it extends, None if any of them is unusable."""
        place = Path(os.path.realpath(path))
        if place not in self._trees:
            self._chain.append(place)
            self._trees[place] = self._read_new(path, shown)
            self._chain.pop()
        return self._trees[place]

    def _read_new(self, path: Path, shown: str) -> Node | None:
        own, problems = read_file(path, shown)
        self.problems += problems
        if own is None:
            return None
        extends = own.child("extends")
        if extends is None:
            return own
        bases = [self._read_base(item) for item in self._extended(extends)]
        if not bases or None in bases:
            return None
        tree = bases[0]
        for base in bases[1:]:
            tree = merge(tree, base)
        return merge(tree, Node({k: v for k, v in own.value.items() if k != "extends"}, own.mark))

    def _extended(self, extends: Node) -> list[Node]:
        items = extends.value if isinstance(extends.value, list) else [extends]
        wrong = [item for item in items if not _is_path(item)]
        for item in wrong or ([] if items else [extends]):
            message = f"expected the path of a spec file or a list of paths, got {describe(item)}."
            self.problems.append(Problem(item.mark, "extends", message))
        return [] if wrong else items

    def _read_base(self, item: Node) -> Node | None:
        path = item.value.folder / os.path.expanduser(item.value)
        place = Path(os.path.realpath(path))
        message = None
        if place in self._chain:
            circle = [*self._chain[self._chain.index(place) :], place]
            message = f"a circle: {' -> '.join(p.name for p in circle)}. Remove one of these links."
        elif len(self._chain) > MAX_EXTENDS:
            message = f"a chain of more than {MAX_EXTENDS} files. Extend fewer."
        elif not os.path.isfile(place):
            message = f"no file {shown_path(path)} (relative to this file).{_similar_file(place)}"
        if message is None:
            return self.read(path, shown_path(path))
        self.problems.append(Problem(item.mark, "extends", message))
        return None


def _is_path(item: Node) -> bool:
    return isinstance(item.value, SourcedStr) and item.value != "" and "\0" not in item.value


def _similar_file(place: Path) -> str:
    names = [p.name for p in place.parent.glob("*.y*ml")] if place.parent.is_dir() else []
    close = difflib.get_close_matches(place.name, names, n=1)
    return f" Did you mean '{close[0]}'?" if close else ""
