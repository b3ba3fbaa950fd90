"""Rows of keys tell what a config model accepts; the models here show one feature each."""

import enum
from collections.abc import Callable
from typing import Annotated, Literal

import pytest
from pydantic import Field, ValidationError

from sai_bench.config import ComponentConfig, SpecPath
from sai_bench.spec.key_tables import KeyRow, key_rows


class Window(enum.Enum):
    HANN = "hann"
    KAISER = "kaiser"


class Room(ComponentConfig):
    height_m: float = Field(gt=0, le=20)
    """Height in metres."""
    doors: int = 1


def rows_of(annotation, default=...):
    """Return the rows of a model whose only key is `key`."""
    model = type("Config", (ComponentConfig,), {"__annotations__": {"key": annotation}, "key": default})
    return key_rows(model)


def row_of(annotation, default=...):
    return rows_of(annotation, default)[0]


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (int, "integer"),
        (float, "number"),
        (str, "text"),
        (bool, "true or false"),
        (SpecPath, "path"),
        (Annotated[int, Field(ge=10, le=100, multiple_of=10)], "integer (>= 10, <= 100, a multiple of 10)"),
        (Annotated[float, Field(gt=0, lt=1)], "number (> 0, < 1)"),
        (Literal["disc", "region"], "`disc` or `region`"),
        (Literal[4], "`4`"),
        (Window, "`hann` or `kaiser`"),
        (float | None, "number or null"),
        (list[str], "list of text"),
        (tuple[int, Annotated[float, Field(ge=0)]], "[integer, number (>= 0)]"),
        (dict[str, float], "mapping"),
        (Room, "mapping"),
        (Callable, "anything"),
    ],
)
def test_types_are_told_in_words_with_their_bounds(annotation, words):
    assert row_of(annotation).type == words


@pytest.mark.parametrize(
    ("annotation", "default", "text"),
    [
        (float, ..., None),
        (Room, ..., None),
        (float, 0.5, "0.5"),
        (float, 1, "1"),
        (str, "disc", "disc"),
        (str, "", '""'),
        (str, "Küche", "Küche"),
        (bool, True, "true"),
        (float | None, None, "null"),
        (Window, Window.HANN, "hann"),
        (tuple[float, float], (2.0, 10.0), "[2.0, 10.0]"),
        (list[int], Field(default_factory=lambda: [1, 2]), "[1, 2]"),
        (dict[str, int], {"a": 1}, '{"a": 1}'),
        (Room, Room(height_m=3), ""),
        (Callable, print, ""),
    ],
)
def test_defaults_are_written_as_in_a_spec(annotation, default, text, recwarn):
    assert row_of(annotation, default).default == text
    assert not recwarn


def test_the_meaning_is_the_description_in_one_line():
    class Config(ComponentConfig):
        hop_s: float = 0.02
        """Distance of frames,
        in seconds.
        """

    assert key_rows(Config) == [KeyRow("hop_s", "number", "0.02", "Distance of frames, in seconds.")]


@pytest.mark.parametrize(
    ("annotation", "prefix"),
    [
        (Room, "key."),
        (Room | None, "key."),
        (dict[str, Room], "key.NAME."),
        (list[Room], "key[]."),
        (dict[Annotated[str, Field(pattern="^[a-z]+$")], Room], "key.NAME."),
    ],
)
def test_keys_of_nested_models_follow_with_dotted_names(annotation, prefix):
    assert rows_of(annotation)[1:] == [
        KeyRow(f"{prefix}height_m", "number (> 0, <= 20)", None, "Height in metres."),
        KeyRow(f"{prefix}doors", "integer", "1", ""),
    ]


class Tree(ComponentConfig):
    depth: int = 0
    below: "Tree | None" = None


def test_a_model_that_holds_itself_is_opened_once():
    assert [row.key for row in key_rows(Tree)] == ["depth", "below"]


def test_a_model_without_keys_has_no_rows():
    assert key_rows(ComponentConfig) == []


def test_the_bounds_told_are_those_that_validation_keeps():
    assert rows_of(Room)[1].type == "number (> 0, <= 20)"
    assert Room(height_m=20).height_m == 20
    for outside in (0, 20.001):
        with pytest.raises(ValidationError):
            Room(height_m=outside)
