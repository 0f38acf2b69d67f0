"""HumanEval's cutting, extraction and pass@k."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.authoring import pass_at
from harness.types import Row, TaskConfig
from tasks.humaneval import action
from tasks.humaneval.task import TASK, HumanEvalOptions, mode

PROBLEM = {
    "prompt": 'import math\n\n\ndef half(x):\n    """Half of x."""\n',
    "entry_point": "half",
    "test": "def check(candidate):\n    assert candidate(4) == 2\n",
}


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("    return 1\ndef f():", "    return 1"),
        ("    return 1\nclass A: pass\ndef f():", "    return 1"),
        ("    x = 1\n    # a comment inside stays\n    return x\n# one outside does not", None),
        ("    if x:\n        return 1\nif y:", "    if x:\n        return 1"),
        ("    return 1\nprint(f(1))", "    return 1"),
        ("    return 1\n", "    return 1\n"),
        ("", ""),
    ],
)
def test_completion_ends_before_the_first_stop(text: str, kept: str | None) -> None:
    expected = "    x = 1\n    # a comment inside stays\n    return x" if kept is None else kept
    assert action.cut(text) == expected


@given(st.text(alphabet="\ndefclassifprint# \tx", max_size=80))
def test_cutting_twice_is_cutting_once(text: str) -> None:
    once = action.cut(text)
    assert text.startswith(once)
    assert action.cut(once) == once


@pytest.mark.parametrize(
    ("completion", "padded"),
    [
        ("   return x", "    return x"),
        ("    return x", "    return x"),
        ("  return x", "  return x"),
        ("", ""),
    ],
)
def test_only_three_spaces_become_four(completion: str, padded: str) -> None:
    assert action.pad(completion) == padded


def test_a_whole_function_replaces_the_prompts() -> None:
    program = action.chat_program(PROBLEM, "```python\ndef half(x):\n    return math.floor(x / 2)\n```").code
    assert program.count("def half") == 1
    assert program.startswith("import math\n")


def test_a_body_continues_the_prompt() -> None:
    program = action.chat_program(PROBLEM, "```python\n    return x / 2\n```")
    assert PROBLEM["prompt"] + "    return x / 2" in program.code


@pytest.mark.parametrize(
    ("n", "c", "k"), [(n, c, k) for n in (1, 4, 6) for c in range(n + 1) for k in (1, 2, 3)]
)
def test_pass_at_k_is_the_chance_of_a_good_draw(n: int, c: int, k: int) -> None:
    if k > n:
        return
    results = [index < c for index in range(n)]
    expected = fmean(any(draw) for draw in combinations(results, k))
    assert pass_at(k, results) == pytest.approx(expected)


def test_aggregate_gives_the_ks_that_all_problems_have() -> None:
    rows = [Row("a", r, "scored", float(r == 0)) for r in range(2)] + [Row("b", 0, "scored", 0.0)]
    assert TASK.aggregate(rows) == {"pass@1": 0.25}
    rows.append(Row("b", 1, "scored", 0.0))
    assert TASK.aggregate(rows) == {"pass@1": 0.25, "pass@2": 0.5}
    assert TASK.aggregate([]) == {}


@pytest.mark.parametrize(
    ("chosen", "chat_only", "asked", "refused"),
    [
        ("auto", False, "completion", False),
        ("auto", True, "chat", False),
        ("chat", False, "chat", False),
        ("completion", True, "completion", True),
    ],
)
def test_the_kind_of_endpoint_decides_how_programs_are_asked_for(
    chosen: str, chat_only: bool, asked: str, refused: bool
) -> None:
    cfg = TaskConfig(Path(), HumanEvalOptions(mode=chosen), chat_only=chat_only)
    assert mode(cfg) == asked
    need = TASK.needs(cfg)[-1]
    assert (need.missing() is not None) == refused
    assert "humaneval.mode" in need.fix
