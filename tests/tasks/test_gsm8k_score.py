"""GSM8K's answer extraction: the paper's rule by its consequences, the stricter rule, lm-eval's filters."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.authoring.answers import literal_int
from tasks.gsm8k import score


@pytest.mark.parametrize(
    ("text", "paper", "fixed"),
    [
        ("The answer is 1,234", 234, "1234"),
        ("The answer is 18.00", 0, "18"),
        ("The answer is 3.5", 5, "3.5"),
        ("The answer is -10", 10, "-10"),
        ("The answer is 007", None, "7"),
        ("The answer is 08", None, "8"),
        ("The answer is 00", 0, "0"),
        ("The answer is 1,000.50", 50, "1000.5"),
        ("The answer is \u0661\u0662", None, None),
        ("The answer is 7\u0661", None, "7"),
        ("The answer is 5. It takes 2 days", 2, "5"),
        ("The answer is $-3", 3, "-3"),
        ("The answer is -$3.", 3, "-3"),
        ("The answer is \u22124", 4, "-4"),
        ("The answer is **$1,450.00**.", 0, "1450"),
        ("the ANSWER is 4. Later the answer is 6 of 9", 9, "6"),
        ("the answer is not known, though 4 was guessed", 4, None),
        ("4 of them, so the answer is clear", 4, "4"),
        ("12 - 5 = 7", 7, "7"),
        ("so 12-5", 5, None),
        ("about .5", 5, "0.5"),
        ("30%", 30, "30"),
        ("The answer is 3\nQuestion: what is 4 + 4?\nThe answer is 8", 3, "3"),
        ("The answer is 3</s>9", 9, "3"),
        ("Question: 1", None, None),
        ("", None, None),
        ("9" * 4301, None, "9" * 400),  # no answer is so long; the end of it is read
        ("9" * 4300, int("9" * 4300), "9" * 400),
        ("9" * 400, int("9" * 400), "9" * 400),
    ],
)
def test_the_two_readings(text: str, paper: int | None, fixed: str | None) -> None:
    assert score.paper_number(text) == paper
    assert score.fixed_number(text) == (None if fixed is None else Decimal(fixed))


@given(st.from_regex(r"\d{1,30}", fullmatch=True))
def test_literals_are_read_as_python_reads_them(digits: str) -> None:
    try:
        # Only runs of digits come here, from this test's own generator.
        expected = eval(digits)
    except SyntaxError:
        expected = None
    assert literal_int(digits) == expected


@pytest.mark.parametrize(
    ("text", "answer", "strict", "flexible"),
    [
        ("so 3 * 4\n#### 12", "#### 12", 1.0, 1.0),
        ("#### 1,200\n#### 7", "#### 1,200", 1.0, 0.0),
        ("The answer is $1,200.", "x\n#### 1,200", 0.0, 1.0),
        ("The answer is 5.00", "#### 5", 0.0, 0.0),
        ("The answer is -10", "#### -10", 0.0, 1.0),
        ("nothing", "#### 1", 0.0, 0.0),
    ],
)
def test_lm_eval_filters(text: str, answer: str, strict: float, flexible: float) -> None:
    metrics = score.scored(text, answer, "paper").metrics
    assert (metrics["lm_eval_strict"], metrics["lm_eval_flexible"]) == (strict, flexible)


def test_gold_strips_commas_and_keeps_the_sign() -> None:
    assert score.gold("a\n#### 1,234") == "1234"
    assert score.gold("a\n#### -10") == "-10"
    with pytest.raises(ValueError, match="final line"):
        score.gold("12")


def test_ceilings_of_answer_styles_on_all_rows(mirror: Path) -> None:
    path = mirror / "gsm8k/grade_school_math/data/test.jsonl"
    answers = [json.loads(line)["answer"] for line in path.read_text().splitlines()]

    def share(style: Callable[[str], str], rule: str) -> float:
        hits = [score.scored(f"The answer is {style(answer)}", answer, rule).value for answer in answers]
        return round(100 * sum(hits) / len(answers), 2)

    def plain(answer: str) -> str:
        return score.gold(answer)

    def as_written(answer: str) -> str:  # 14 of the references carry a thousands comma
        return answer.rpartition("#### ")[2]

    def grouped(answer: str) -> str:
        return f"{int(score.gold(answer)):,}"

    def dollars(answer: str) -> str:
        return f"${int(score.gold(answer))}.00"

    assert len(answers) == 1319
    assert (share(plain, "paper"), share(plain, "fixed")) == (99.85, 100.0)
    assert (share(as_written, "paper"), share(as_written, "fixed")) == (98.79, 100.0)
    assert (share(grouped, "paper"), share(grouped, "fixed")) == (89.92, 100.0)
    assert (share(dollars, "paper"), share(dollars, "fixed")) == (0.0, 100.0)
