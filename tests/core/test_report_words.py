"""What a report's head and its counts say in words."""

from __future__ import annotations

import pytest

from harness.report.conditions import Conditions
from harness.report.cost import told
from harness.report.head import decodings
from harness.storage.reader import Cost
from harness.storage.words import counted, duration, were

GREEDY, DRAWN = Conditions(("decoding greedy",)), Conditions(("decoding temperature 0.7",))
BOTH, RANKED = (
    Conditions(("decoding greedy", "decoding temperature 0.7")),
    Conditions(("choices by method G",)),
)


def many(count: int, condition: Conditions = GREEDY) -> dict[str, Conditions]:
    return {f"t{number}": condition for number in range(count)}


@pytest.mark.parametrize(
    ("conditions", "said"),
    [
        (many(1), "greedy"),
        (many(18), "greedy"),
        ({}, ""),
        ({"mmlu": RANKED}, ""),
        ({"gsm8k": GREEDY, "mt_bench": DRAWN}, "greedy for gsm8k; temperature 0.7 for mt_bench"),
        ({"mt_bench": BOTH}, "greedy and temperature 0.7"),
        (
            {"mt_bench": DRAWN, "mmlu": RANKED, **many(15)},
            "greedy for 15 of 17 tasks; temperature 0.7 for mt_bench",
        ),
    ],
)
def test_a_decoding_of_many_tasks_is_counted_and_one_of_few_is_named(conditions, said: str):
    assert decodings(conditions) == said


def test_one_is_not_many():
    assert [counted(n, "request") for n in (0, 1, 2000)] == ["0 requests", "1 request", "2,000 requests"]
    assert [were(n, "episode") for n in (1, 2)] == ["1 episode was", "2 episodes were"]
    assert [were(n, "error", "are") for n in (1, 2)] == ["1 error is", "2 errors are"]


def test_times_are_in_the_unit_that_fits():
    assert [duration(s) for s in (3, 89, 90, 3600, 5400)] == ["3 s", "89 s", "2 min", "60 min", "1.5 h"]
    assert told([Cost(1, 1, 5, 2, 3.2)], None) == (
        "1 request; 5 tokens in and 2 out; 3 s of episodes, added up over 1 attempt"
    )
