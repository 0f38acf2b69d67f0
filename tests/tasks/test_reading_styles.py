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

BESIDES = {"fixed", "inspect"}
"""Rules that need not be beaten case by case."""


@pytest.mark.parametrize("name", agreement.RULES)
def test_fixed_agrees_with_a_person(name: str) -> None:
    table, rules = agreement.cases(name), agreement.RULES[name]()
    missed = [case for case in table if not rules["fixed"](case)]
    assert {case["why"] for case in missed} == EXPLAINED.get(name, set())
    assert len(missed) <= (1 - agreement.TARGET) * len(table)
    # No other rule is right where `fixed` is wrong.
    assert not [(rule, case) for rule in rules for case in missed if rules[rule](case)]


@pytest.mark.parametrize("name", agreement.RULES)
def test_a_table_holds_different_cases_with_a_reason_each(name: str) -> None:
    table = agreement.cases(name)
    assert all(0 < len(case["why"].split()) <= 5 for case in table)
    assert len({repr({**case, "why": ""}) for case in table}) == len(table)
