"""ReWOO's stand-in for WolframAlpha: what it solves, and that no input gets beyond its limits."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import EnvironmentFault
from harness.worker import Launch
from tasks.rewoo.tools import wolfram
from tasks.rewoo.tools.algebra import Algebra
from tasks.rewoo.tools.equations import BITS, CannotSolve, solve


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Solve x + (2x - 10) + ((2x - 10) - 8) = 157", "x = 37"),
        ("y + 3y = 48", "y = 12"),
        ("x^2 - 5x + 6 = 0", "x = 2 or x = 3"),
        ("solve 2x = 5 for x", "x = 2.5"),
        ("x**2 = 16", "x = -4 or x = 4"),
        ("2 * (3 + 4) / 7", "2"),
        ("-3^2", "-9"),
        ("Simplify 1/3", "0.3333333333"),
        ("(x - 2)(x + 2) = 0", "x = -2 or x = 2"),
        ("x/4 = [12]", "x = 48"),
        ("x^2 = 0", "x = 0"),
        ("2^10", "1024"),
        ("2^3^2", "512"),
        # Subtracting nearly equal floats would give 1.000007614e-06.
        ("x^2 - 1000000x + 1 = 0", "x = 1e-06 or x = 1000000"),
        ("7x^2 - 30000000x + 7 = 0", "x = 2.333333333e-07 or x = 4285714.286"),
    ],
)
def test_algebra(text: str, answer: str):
    assert solve(text) == answer


UNSOLVED = [
    *("", "3 apples", "x + y = 3", "x = x", "1 = 2", "x^2 = -1", "x^3 = 8", "2x", "1/0", "x/(x-1)=2"),
    *("a=b=c", "2^x=8", "(" * 200, "1+" * 200, "((((((9^8)^8)^8)^8)^8)^8)", "\0", "\ud800 = 1"),
    *(
        "x = 1" * 100,
        "9" * 10_000_000,
        "()",
        "2^^3",
        "6^x + 1",
        "9**9**9**9",
        "x^99999999 = 1",
        "(x+1)^9 = 1",
    ),
    *("__import__('os').abort()", "x.__class__", "1/(x - x)", "2^-1"),
]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("text", UNSOLVED, ids=range(len(UNSOLVED)))
def test_what_it_cannot_solve(text: str):
    with pytest.raises(CannotSolve):
        solve(text)


@given(st.integers(-99, 99), st.integers(-99, 99), st.integers(1, 50))
def test_linear_equations_have_their_solution(root: int, b: int, a: int):
    assert solve(f"{a}x + {b} = {a * root + b}".replace("+ -", "- ")) == f"x = {root}"


@given(st.text(alphabet=list("0123456789.x+-*/^()= "), max_size=80))
def test_no_input_breaks_algebra(text: str):
    with suppress(CannotSolve):
        assert len(solve(text)) < 4 * BITS


# -- the worker

PATH = os.pathsep.join([str(Path(__file__).parents[1] / "support"), *sys.path])
UNCHECKED = Launch("unchecked_solver", env={"PYTHONPATH": PATH}, memory_mb=256)


@pytest.fixture
async def algebra() -> AsyncIterator[Algebra]:
    tool = Algebra()
    yield tool
    await tool.close()


@pytest.fixture
async def unchecked() -> AsyncIterator[Algebra]:
    """One whose worker evaluates whatever it is sent: only its limits are left."""
    tool = Algebra(UNCHECKED)
    yield tool
    await tool.close()


async def test_what_it_cannot_solve_it_says_in_wolframs_words(algebra: Algebra):
    assert (await algebra.use("k", "x = 2 * 3", None)).text == "x = 6"
    for text in UNSOLVED:
        found = await algebra.use("k", text, None)
        assert (found.text, found.source) == (wolfram.NOT_ABLE, "own algebra"), text[:80]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("9**9**9**9", marks=pytest.mark.slow),
        "[0] * 10**9",
        "'a' * 10**10",
        "__import__('os').abort()",
        "f'{\"x\" * 60}' + 1",
    ],
)
async def test_the_limits_stop_what_the_grammar_would_let_through(text: str, unchecked: Algebra):
    """A failure of the model, never one of the machine; the next question is answered."""
    assert (await unchecked.use("k", text, None)).text == wolfram.NOT_ABLE
    assert (await unchecked.use("k", "str(6 * 7)", None)).text == "42"


async def test_a_worker_killed_from_outside_costs_no_answer(unchecked: Algebra):
    pid = int((await unchecked.use("k", "str(__import__('os').getpid())", None)).text)
    os.kill(pid, signal.SIGKILL)
    other = int((await unchecked.use("k", "str(__import__('os').getpid())", None)).text)
    assert other != pid
    await unchecked.close()
    with pytest.raises(ProcessLookupError):
        os.kill(other, 0)


async def test_a_worker_that_does_not_start_is_the_machines_fault():
    with pytest.raises(EnvironmentFault):
        await Algebra(Launch("no_such_module")).use("k", "x = 1", None)
