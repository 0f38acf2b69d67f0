"""Every field, method and parameter of the contract between tasks and the core is read by somebody."""

from __future__ import annotations

import ast
import dataclasses
import inspect
from collections import defaultdict
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest

import harness.types
from harness import episode
from harness.running import readiness

ROOT = Path(__file__).parents[2]
DATA = [
    found
    for found in (*vars(harness.types).values(), readiness.Finding)
    if dataclasses.is_dataclass(found) and isinstance(found, type)
]
PROTOCOLS: list[type[Any]] = [
    episode.Episode,
    episode.World,
    episode.Oracle,
    episode.Task,
    harness.types.Chat,
]
UNREAD = {
    (
        "role_reply",
        "prompt",
    ): "a shipped oracle knows its roles' answers without it",
}
"""Parameters that only tasks outside this repository read."""


@cache
def trees() -> tuple[ast.Module, ...]:
    paths = [*(ROOT / "harness").rglob("*.py"), *(ROOT / "tasks").rglob("*.py")]
    return tuple(ast.parse(path.read_text(encoding="utf-8")) for path in paths)


@cache
def read_attributes() -> frozenset[str]:
    """Names that product code reads from some object."""
    return frozenset(
        node.attr
        for tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)
    )


@cache
def read_parameters() -> dict[str, set[str]]:
    """By name of a method: the parameters that some implementation of it reads."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                loaded = {
                    inner.id
                    for inner in ast.walk(node)
                    if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Load)
                }
                found[node.name] |= loaded & {argument.arg for argument in node.args.args}
    return found


def test_the_walk_sees_the_contract():
    names = {found.__name__ for found in DATA}
    assert {"Sample", "TaskSpec", "TaskConfig", "Context", "Score", "Pending", "Reply", "Row"} <= names
    assert "shares" in read_attributes()
    assert "no_such_field" not in read_attributes()


@pytest.mark.parametrize("kind", DATA, ids=lambda kind: kind.__name__)
def test_no_field_is_unread(kind: type[Any]):
    unread = {field.name for field in dataclasses.fields(kind)} - read_attributes()
    assert unread == set()


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda kind: kind.__name__)
def test_no_method_is_uncalled_and_no_parameter_unread(protocol: type[Any]):
    members = {name: value for name, value in vars(protocol).items() if not name.startswith("_")}
    assert members
    called = read_attributes()
    assert {name for name in members if name not in called} == set()
    for name, value in members.items():
        if isinstance(value, FunctionType):
            wanted = set(inspect.signature(value).parameters) - {"self"}
            excused = {parameter for method, parameter in UNREAD if method == name}
            assert wanted - read_parameters()[name] == excused, name
