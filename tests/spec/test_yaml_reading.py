"""Reading YAML: traps of the language, hostile and broken files."""

# ruff: noqa: E501 (messages stand on one line, as they are shown)

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from sai_bench.config import SourcedStr
from sai_bench.spec.yaml_source import MAX_DEPTH, MAX_FILE_BYTES, read_text


def read(text: str):
    return read_text(text, "f", Path("/folder"))


def test_text_remembers_the_folder_of_its_file():
    node, problems = read("a: {b: [x]}")
    text = node.plain()["a"]["b"][0]
    assert isinstance(text, SourcedStr)
    assert (text, text.folder) == ("x", Path("/folder"))
    assert not problems


def test_marks_are_the_lines_of_the_keys():
    node, _ = read("# c\na: 1\nb:\n  c:\n    - 5\n    -\n      d: 6\n")
    assert [node.child("a").mark.line, node.child("b").mark.line] == [2, 3]
    items = node.child("b").child("c")
    assert [items.mark.line, items.child(0).mark.line, items.child(1).child("d").mark.line] == [4, 5, 7]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", "1e-3"), ("1.0e-3", 0.001), ("0x10", 16), ("1_000", 1000), ("1:30", "1:30"), ("1:30.5", "1:30.5"),
        ("2026-04-02", "2026-04-02"), ("no", False), ("on", True), ("'no'", "no"), ("~", None), ("null", None),
        ("=", "="), ("0", 0), ("08", "08"), ("-7", -7), (".5", 0.5), ("none", "none"), ('""', ""), ("0.10", 0.1),
    ],
)  # fmt: skip
def test_scalars(text, value):
    node, problems = read(f"a: {text}")
    found = node.plain()["a"]
    assert not problems
    assert found == value
    assert isinstance(found, type(value))


def test_keys_are_the_words_as_written():
    assert list(read("{on: 1, no: 2, 5: 3, 1.50: 4, 2026-04-02: 5, null: 6}")[0].plain()) == [
        "on", "no", "5", "1.50", "2026-04-02", "null",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a: 1\nb: 010", 2, "010 is the octal number 8 in YAML. Write 8 or 10."),
        ("a: 1\nb: 1\na: 2", 3, "duplicate key; it also stands on line 1."),
        ("a: {b: {c: 1,\n c: 2}}", 2, "duplicate key; it also stands on line 1."),
        ("a: 1\n'a': 2", 2, "duplicate key"),
        ("a:\n  b: !!python/object/apply:os.system [ls]", 2, "the tag !!python/object/apply:os.system is not allowed"),
        ("a: !!python/name:os.system", 1, "the tag !!python/name:os.system is not allowed"),
        ("a: !mine 3", 1, "the tag !mine is not allowed"),
        ("a: !!binary aGk=", 1, "the tag !!binary is not allowed"),
        ("a: !!set {x, y}", 1, "the tag !!set is not allowed"),
        ("a: !!int x", 1, "cannot read 'x' as int"),
        ("a: !!bool x", 1, "cannot read 'x' as bool"),
        ("a: " + "9" * 5000, 1, "as int"),
        ("a: 1\n? [b]\n: 2", 2, "a key must be a word"),
        ("a: &x {b: 1}\nc:\n  <<: *x", 3, "the merge key `<<` is not supported"),
        ("a: &x [1, *x]", 1, "an alias (*name) that contains itself"),
        ("a: &x {b: *x}", 1, "an alias (*name) that contains itself"),
    ],
)  # fmt: skip
def test_refused_values_are_problems_at_their_line(text, line, message):
    node, problems = read(text)
    assert node is not None
    assert len(problems) == 1
    assert problems[0].mark.line == line
    assert message in problems[0].message


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "s.yaml:1: empty."),
        (b"# only a comment\n", "s.yaml:1: empty."),
        (b"- a\n- b\n", "s.yaml:1: expected a mapping of keys at the top level"),
        (b"\n\njust text\n", "got the text 'just text'"),
        (b"a: 1\nb:\n\t- 1\n", "s.yaml:3: a tab where YAML allows only spaces."),
        (b"a: 1\n---\nb: 2\n", "s.yaml:2: a second YAML document"),
        (b"a: [1,\nb: 2\n", "s.yaml:"),
        (b"a: 'open\nb: 2\n", "that starts on line 1"),
        (b"a: *nowhere\n", "s.yaml:1: not valid YAML: found undefined alias 'nowhere'"),
        (b"a: !e!x 1\n", "s.yaml:1: not valid YAML: found undefined tag handle"),
        (b"a: b: c\n", "s.yaml:1: not valid YAML: mapping values are not allowed here"),
        (b"a: 1\n b: 2\n", "s.yaml:2: not valid YAML"),
        (b"%YAML 9.1\n---\na: 1\n", "s.yaml:1: not valid YAML"),
        ("name: ä\n".encode("latin-1"), "s.yaml:1: not UTF-8 text (byte 0xe4)"),
        ("name: x\n".encode("utf-16"), "s.yaml:1: not UTF-8 text (byte 0xff)"),
        (b"a: 1\nb: \x00\n", "s.yaml:2: the character U+0000 is not allowed"),
        (b"a: " + b"[" * 5000, f"nested deeper than {MAX_DEPTH} levels"),
        (b"".join(b" " * i + b"a:\n" for i in range(200)), f"nested deeper than {MAX_DEPTH} levels"),
        (b"#" * (MAX_FILE_BYTES + 1), "s.yaml: larger than 256 KiB"),
    ],
)  # fmt: skip
def test_an_unusable_file_is_one_clear_problem(folder, content, problem):
    problems = folder.problems_of(content)
    assert len(problems) == 1
    assert problem in problems[0]


def test_an_alias_bomb_is_refused_quickly():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    node, problems = read("\n".join(lines))
    assert node is None
    assert [str(p) for p in problems] == [
        "f:1: more than 10000 values once its aliases (*name) are expanded. Simplify it."
    ]


def test_ordinary_aliases_and_a_byte_order_mark_are_fine(folder):
    spec = folder.load_text("\ufeffdata: {use: rooms, folder: &here .}\nevaluation: {split: *here}\n")
    assert spec.evaluation.split == "."


def test_a_missing_file_and_a_folder_are_clear_problems(folder):
    assert folder.problems("none.yaml") == [
        "none.yaml: cannot be read (No such file or directory). Expected a spec file (YAML)."
    ]
    (folder.path / "d.yaml").mkdir()
    assert folder.problems("d.yaml")[0].startswith("d.yaml: cannot be read (Is a directory)")


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None, max_examples=60)
@given(PLAIN)
def test_what_pyyaml_writes_is_read_back(value):
    text = yaml.safe_dump(value)
    node, problems = read(text)
    assert not problems
    assert node.plain() == yaml.safe_load(text) == value


@settings(deadline=None, max_examples=150)
@given(st.text(alphabet="ab:-[]{}&*!'\"#|>%@`,?<= \n\t0.", max_size=40))
def test_any_text_gives_a_value_or_problems_and_never_an_exception(text):
    node, problems = read(text)
    assert node is not None or problems
