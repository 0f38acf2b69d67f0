"""The `fixed` rules read answers as a person does, on tables of styles with the value a person gives."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


def benchmark() -> ModuleType:
    """The measurement that reports the same tables."""
    path = Path(__file__).parents[2] / "benchmarks" / "agreement.py"
    spec = importlib.util.spec_from_file_location("agreement", path)
    assert spec is not None and spec.loader is not None
    module = sys.modules["agreement"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


agreement = benchmark()

EXPLAINED = {"gsm8k": {"last unit"}}
"""Styles that `fixed` misreads, each with its reason in the task's README."""


@pytest.mark.parametrize("name", agreement.RULES)
def test_fixed_agrees_with_a_person(name: str) -> None:
    table, found = agreement.cases(name), agreement.agreeing(name)
    missed = [(case, rules) for case, rules in zip(table, found, strict=True) if "fixed" not in rules]
    assert {case["why"] for case, _ in missed} == EXPLAINED.get(name, set())
    assert len(missed) <= (1 - agreement.TARGET) * len(table)
    assert [(case, rules) for case, rules in missed if rules] == [], (
        "another rule is right where fixed is not"
    )
    # What a rule reads is a version of its task: whoever changes one sees here which cases moved, writes the
    # table anew (`benchmarks/agreement.py --write`) and raises the version.
    assert agreement.moved(table, found) == []
    assert all(case["agree"] == rules for case, rules in zip(table, found, strict=True))


@pytest.mark.parametrize("name", agreement.RULES)
def test_a_table_holds_different_cases_with_a_reason_each(name: str) -> None:
    table = agreement.cases(name)
    assert all(0 < len(case["why"].split()) <= 5 for case in table)
    assert len({repr({**case, "why": "", "agree": ()}) for case in table}) == len(table)


def test_a_changed_rule_shows_which_cases_moved() -> None:
    table = [{"text": "7", "agree": ["fixed"]}, {"text": "8", "agree": ["fixed", "paper"]}]
    assert agreement.moved(table, [["fixed"], ["fixed", "paper"]]) == []
    assert agreement.moved(table, [["fixed", "paper"], ["paper"]]) == [
        f"paper now agrees: {table[0]}",
        f"fixed agrees no more: {table[1]}",
    ]
