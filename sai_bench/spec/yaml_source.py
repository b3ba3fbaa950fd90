"""YAML text to plain values that remember where they were written.

PyYAML composes the node graph (its constructors for arbitrary objects are never involved); this module turns
the graph into `Node` trees. It closes the traps of YAML 1.1 that matter in a spec: keys are the text as
written (`on:` is the key "on"), dates and `1:30` stay text, `010` is refused, duplicate keys are problems,
and size, depth and alias expansion are bounded.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from yaml.composer import Composer, ComposerError
from yaml.constructor import SafeConstructor
from yaml.error import MarkedYAMLError, YAMLError
from yaml.nodes import MappingNode, ScalarNode, SequenceNode
from yaml.nodes import Node as YamlNode
from yaml.parser import Parser
from yaml.reader import Reader, ReaderError
from yaml.resolver import Resolver
from yaml.scanner import Scanner

from sai_bench.config import SourcedStr
from sai_bench.spec.problems import Mark, Problem

MAX_FILE_BYTES = 256 * 1024
MAX_DEPTH = 40
MAX_NODES = 10_000
"""Bounds far beyond any sensible spec; past them the text is an accident or an attack (alias bomb)."""

_TAG = "tag:yaml.org,2002:"
_OCTAL = re.compile(r"[-+]?0[0-7_]+")
_CONSTRUCTOR = SafeConstructor()


@dataclass(frozen=True)
class Node:
    """A value and where it was written.

    Attributes:
        value: a `dict[str, Node]`, a `list[Node]` or a scalar (text as `SourcedStr`).
        mark: the line of the key or list item that holds the value.
        raw: a scalar as written.
    """

    value: object
    mark: Mark
    raw: str = ""

    def plain(self) -> object:
        """Return the value without marks."""
        if isinstance(self.value, dict):
            return {key: child.plain() for key, child in self.value.items()}
        if isinstance(self.value, list):
            return [child.plain() for child in self.value]
        return self.value

    def child(self, step: str | int) -> Node | None:
        """Return the value under a key or list index, None if there is none."""
        if isinstance(self.value, dict):
            return self.value.get(str(step))
        if isinstance(self.value, list) and isinstance(step, int) and step < len(self.value):
            return self.value[step]
        return None

    def marks(self) -> set[Mark]:
        """Return where this value and everything below it was written."""
        children = self.value.values() if isinstance(self.value, dict) else self.value
        below = (child.marks() for child in children) if isinstance(self.value, dict | list) else ()
        return {self.mark}.union(*below)


def describe(node: Node) -> str:
    """Return what stands in the spec, in words for an error message."""
    value = node.value
    if isinstance(value, dict):
        return "a mapping of keys"
    if isinstance(value, list):
        return "a list"
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        word = "true" if value else "false"
        if node.raw.lower() == word:
            return word
        return (
            f"{word} (YAML reads the bare word {node.raw} as {word}; for text write '{node.raw}' in quotes)"
        )
    shown = node.raw if len(node.raw) <= 60 else node.raw[:57] + "..."
    return f"the text {shown!r}" if isinstance(value, str) else shown


def read_file(path: Path, shown: str) -> tuple[Node | None, list[Problem]]:
    """Read one spec file.

    Args:
        path: the file.
        shown: how problems name it.

    Returns:
        (tree, problems); the tree is None if the file cannot be understood as one mapping of keys.
    """
    try:
        with open(path, "rb") as stream:
            content = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        reason = error.strerror or str(error)
        return None, [Problem(Mark(shown), "", f"cannot be read ({reason}). Expected a spec file (YAML).")]
    if len(content) > MAX_FILE_BYTES:
        limit = f"{MAX_FILE_BYTES // 1024} KiB"
        return None, [Problem(Mark(shown), "", f"larger than {limit}, which no spec is. Is this the file?")]
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        mark = Mark(shown, content.count(b"\n", 0, error.start) + 1)
        byte = f"byte 0x{content[error.start]:02x}"
        return None, [Problem(mark, "", f"not UTF-8 text ({byte}). Save the file as UTF-8.")]
    node, problems = read_text(text, shown, path.parent.resolve())
    if node is not None and not isinstance(node.value, dict):
        expected = "expected a mapping of keys at the top level (`name: ...`, `system: ...`)"
        problems.append(Problem(node.mark, "", f"{expected}, got {describe(node)}."))
        node = None
    return node, problems


def read_text(
    text: str, source: str, folder: Path, path: tuple[str, ...] = (), *, lines: bool = True
) -> tuple[Node | None, list[Problem]]:
    """Read one YAML document.

    Args:
        text: the YAML text.
        source: how problems name where it comes from.
        folder: what relative paths in it are relative to.
        path: the key that the value will stand under.
        lines: whether line numbers mean something.

    Returns:
        (value, problems); the value is None if the text is no YAML.
    """
    converter = _Converter(source, folder, lines)
    dotted = ".".join(path)
    try:
        composed = _BoundedComposer(text).get_single_node()
    except YAMLError as error:
        line, message = _explain(error, text)
        return None, [Problem(Mark(source, line if lines else 0), dotted, message)]
    if composed is None:
        mark = Mark(source, 1 if lines else 0)
        return None, [Problem(mark, dotted, "empty. Expected YAML (write null for nothing, '' for no text).")]
    try:
        return converter.convert(composed, path, converter.mark(composed)), converter.problems
    except _TooManyNodesError:
        message = f"more than {MAX_NODES} values once its aliases (*name) are expanded. Simplify it."
        return None, [Problem(converter.mark(composed), dotted, message)]


class _TooManyNodesError(Exception):
    """The expanded tree exceeds MAX_NODES."""


class _BoundedComposer(Reader, Scanner, Parser, Composer, Resolver):
    """PyYAML's composer that stops at MAX_DEPTH instead of exhausting the stack."""

    def __init__(self, text: str):
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)
        Composer.__init__(self)
        Resolver.__init__(self)
        self._depth = 0

    def compose_node(self, parent, index):
        """Compose one node, counting how deep it is nested."""
        if self._depth >= MAX_DEPTH:
            where = self.peek_event().start_mark
            raise ComposerError(None, None, f"nested deeper than {MAX_DEPTH} levels", where)
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


class _Converter:
    """Turns composed nodes into `Node` trees and collects what is wrong with them."""

    def __init__(self, source: str, folder: Path, lines: bool):
        self.source = source
        self.folder = folder
        self.lines = lines
        self.problems: list[Problem] = []
        self._count = 0
        self._open: set[int] = set()

    def mark(self, node: YamlNode) -> Mark:
        return Mark(self.source, node.start_mark.line + 1 if self.lines else 0)

    def convert(self, node: YamlNode, path: tuple[str, ...], mark: Mark) -> Node:
        self._count += 1
        if self._count > MAX_NODES:
            raise _TooManyNodesError
        if id(node) in self._open:
            return self._refuse(mark, path, "an alias (*name) that contains itself. Write the value out.")
        if isinstance(node, ScalarNode):
            return self._scalar(node, path, mark)
        if node.tag not in (f"{_TAG}map", f"{_TAG}seq"):
            return self._refuse_tag(node, path, mark)
        self._open.add(id(node))
        value = self._mapping(node, path) if isinstance(node, MappingNode) else self._list(node, path)
        self._open.discard(id(node))
        return Node(value, mark)

    def _mapping(self, node: MappingNode, path: tuple[str, ...]) -> dict[str, Node]:
        found: dict[str, Node] = {}
        for key, value in node.value:
            mark = self.mark(key)
            if not isinstance(key, ScalarNode):
                self._refuse(mark, path, "a key must be a word, got a list or mapping.")
                continue
            if key.tag == f"{_TAG}merge":
                self._refuse(mark, path, "the merge key `<<` is not supported. Use `extends:` instead.")
                continue
            below = (*path, key.value)
            if key.value in found:
                also = f"; it also stands on line {found[key.value].mark.line}" if self.lines else ""
                self._refuse(mark, below, f"duplicate key{also}. Keep one of them.")
                continue
            found[key.value] = self.convert(value, below, mark)
        return found

    def _list(self, node: SequenceNode, path: tuple[str, ...]) -> list[Node]:
        return [
            self.convert(item, (*path, str(index)), self.mark(item)) for index, item in enumerate(node.value)
        ]

    def _scalar(self, node: ScalarNode, path: tuple[str, ...], mark: Mark) -> Node:
        kind, raw = node.tag.removeprefix(_TAG), node.value
        numeric = kind in ("int", "float")
        # Dates, a lone "=", "<<" and base-60 numbers (1:30) are YAML 1.1 surprises: they stay text.
        if kind in ("str", "timestamp", "value", "merge") or (numeric and ":" in raw):
            return Node(SourcedStr(raw, self.folder), mark, raw)
        if kind == "int" and _OCTAL.fullmatch(raw):
            meant = int(raw.replace("_", ""), 8)
            message = (
                f"{raw} is the octal number {meant} in YAML. Write {meant} or {raw.replace('0', '', 1)}."
            )
            return self._refuse(mark, path, message)
        construct = {
            "null": _CONSTRUCTOR.construct_yaml_null,
            "bool": _CONSTRUCTOR.construct_yaml_bool,
            "int": _CONSTRUCTOR.construct_yaml_int,
            "float": _CONSTRUCTOR.construct_yaml_float,
        }.get(kind)
        if construct is None:
            return self._refuse_tag(node, path, mark)
        try:
            return Node(construct(node), mark, raw)
        except (ValueError, KeyError):
            return self._refuse(mark, path, f"cannot read {raw[:60]!r} as {kind}.")

    def _refuse_tag(self, node: YamlNode, path: tuple[str, ...], mark: Mark) -> Node:
        tag = node.tag.replace(_TAG, "!!", 1)
        return self._refuse(mark, path, f"the tag {tag} is not allowed. A spec holds plain values only.")

    def _refuse(self, mark: Mark, path: tuple[str, ...], message: str) -> Node:
        self.problems.append(Problem(mark, ".".join(path), message))
        return Node(None, mark)


def _explain(error: YAMLError, text: str) -> tuple[int, str]:
    """Return (line, message) of a YAML error in plain words."""
    if isinstance(error, ReaderError):
        character = error.character if isinstance(error.character, int) else ord(error.character)
        line = text.count("\n", 0, error.position) + 1
        return line, f"the character U+{character:04X} is not allowed in YAML. Remove it."
    if not isinstance(error, MarkedYAMLError) or error.problem_mark is None:
        return 1, f"not valid YAML ({error})."
    line = error.problem_mark.line + 1
    problem = error.problem or "cannot be parsed"
    if error.context == "expected a single document in the stream":
        return line, "a second YAML document (`---`) starts here. Expected one document per file."
    if "'\\t'" in problem:
        return line, "a tab where YAML allows only spaces. Indent with spaces."
    if problem.startswith("nested deeper"):
        return line, f"{problem}. Simplify it."
    begun = f" {error.context}" if error.context else ""
    if error.context_mark is not None and error.context_mark.line + 1 != line:
        begun += f" that starts on line {error.context_mark.line + 1}"
    return line, f"not valid YAML: {problem}{begun}."
