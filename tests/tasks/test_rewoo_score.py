"""ReWOO's grading: one rule per data set, and a judge's verdict read strictly or tolerantly."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.rewoo.rows import DATASETS
from tasks.rewoo.score import choices, rule, verdict_fixed, verdict_paper

PHYSICS = "Can be one of ['59 N', '59.0 N']"


@pytest.mark.parametrize(
    ("dataset", "answer", "gold", "right"),
    [
        ("strategy_qa", "Yes.", "Yes", True),
        ("strategy_qa", "The answer is no, not yes", "No", True),
        ("strategy_qa", "Nobody knows", "No", False),
        ("strategy_qa", "", "No", False),
        ("sports_understanding", "It is implausible.", "implausible", True),
        ("sports_understanding", "implausible", "plausible", False),
        ("sports_understanding", "Plausible", "plausible", True),
        ("gsm8k", "She has $1,080.00 left", "1080", True),
        ("gsm8k", "12 + 30 = 42", "42", True),
        ("gsm8k", "42 of 100", "42", False),
        ("gsm8k", "-5", "5", False),
        ("gsm8k", "none", "5", False),
        ("physics_question", "59 N", PHYSICS, True),
        ("physics_question", "The force is 59.5 N.", PHYSICS, True),
        ("physics_question", "59N", PHYSICS, True),
        ("physics_question", "61 N", PHYSICS, False),
        ("physics_question", "59", PHYSICS, False),
        ("physics_question", "59 J", PHYSICS, False),
        ("physics_question", "about -5 m/s/s", "Can be one of ['-5 m/s/s']", True),
        ("physics_question", "up", "up", True),
        ("hotpot_qa", "the red fox", "Red Fox", True),
        ("hotpot_qa", "a red fox of the north", "red fox", False),
        ("sotu_qa", "Eleven boats joined", "Eleven boats joined the fleet", True),
        ("sotu_qa", "nothing at all", "Eleven boats joined the fleet", False),
    ],
)
def test_rules(dataset: str, answer: str, gold: str, right: bool):
    assert rule(dataset, answer, gold) is right


def test_trivia_accepts_any_alias_as_whole_words():
    aliases = ("Krung Thep", "Bangkok")
    assert rule("trivia_qa", "It is Bangkok, of course", "Krung Thep", aliases)
    assert rule("trivia_qa", "krung thep", "Krung Thep", aliases)
    assert not rule("trivia_qa", "Bangkoks", "Krung Thep", aliases)
    assert not rule("trivia_qa", "", "Krung Thep", ("", "the"))


@pytest.mark.parametrize(
    ("gold", "listed"),
    [
        (PHYSICS, ("59 N", "59.0 N")),
        ("7", ("7",)),
        ("see [1", ("see [1",)),
        ("[]", ("[]",)),
        ("x [__import__('os')]", ("x [__import__('os')]",)),
        ("[" * 5000, ("[" * 5000,)),
    ],
)
def test_choices_are_read_and_never_run(gold: str, listed: tuple[str, ...]):
    assert choices(gold) == listed


@given(st.sampled_from(sorted(DATASETS)), st.text(), st.text())
def test_no_answer_breaks_a_rule(dataset: str, answer: str, gold: str):
    assert isinstance(rule(dataset, answer, gold, (gold,)), bool)


@pytest.mark.parametrize(
    ("text", "paper", "fixed"),
    [
        ("CORRECT", True, True),
        (" CORRECT\n", True, True),
        ("Correct", False, True),
        ("CORRECT.", False, True),
        ("GRADE: CORRECT, well done", False, True),
        ("INCORRECT", False, False),
        ("Incorrect: the answer is not CORRECT", False, False),
        ("I cannot say", False, None),
        ("", False, None),
    ],
)
def test_verdicts(text: str, paper: bool, fixed: bool | None):
    assert verdict_paper(text) is paper
    assert verdict_fixed(text) is fixed


def test_gold_against_gold_is_right_on_all_250_rows_and_nothing_is_wrong(mirror: Path):
    counted = 0
    for name in DATASETS:
        path = mirror / "rewoo/samples" / f"{name}.jsonl"
        for line in path.read_text().splitlines() if path.is_file() else ():
            gold = json.loads(line)["answer"]
            assert rule(name, choices(gold)[0] if name == "physics_question" else gold, gold)
            assert not rule(name, "", gold)
            counted += 1
    assert counted == 250


def test_every_choice_of_every_physics_question_is_accepted(mirror: Path):
    with (mirror / "rewoo/data/bigbench/physics_question.csv").open(newline="") as lines:
        for row in csv.DictReader(lines):
            for choice in choices(row["target"]):
                assert rule("physics_question", f"It is {choice}.", row["target"]), (choice, row["target"])
