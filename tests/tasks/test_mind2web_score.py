"""Mind2Web's rules without pages: what is read from a reply, what it is worth, who is asked about."""

from __future__ import annotations

from random import Random

import pytest

from harness.types import Row
from tasks.mind2web import action, score
from tasks.mind2web.pool import CandidatePool, reachable


@pytest.mark.parametrize(
    ("reply", "letter", "text"),
    [
        ("Thought: x\nAnswer: C.\nAction: SELECT\nValue: Pickup", "C", "SELECT Pickup"),
        ("Answer: B\nAction: CLICK", "B", "CLICK "),
        ("Answer: B\nAction: CLICK\nValue: None", "B", "CLICK None"),
        ("Answer: Boston", "B", " "),
        ("Answer: G. Action: HOVER", "A", " "),
        ("answer: B action: click", "A", " "),
        ("Answer:B", "A", " "),
        ("Answer: A or Answer: B", "A", " "),
        ("", "A", " "),
        ("  Value: a  b \nValue: c\nAction: TYPE now", "A", "TYPE a  b"),
        ("Answer: F\nValue: ", "F", " "),
    ],
)
def test_a_reply_is_read_as_upstream_reads_it(reply: str, letter: str, text: str):
    found = action.parse(reply)
    assert (found.letter, found.text) == (letter, text)
    assert found.answered == ("Answer: " in reply and "Answer: G" not in reply)


@pytest.mark.parametrize(
    ("operation", "value", "wanted"),
    [
        ("CLICK", "ignored", "CLICK "),
        ("TYPE", "Zone 2", "TYPE Zone 2"),
        ("TYPE", "Lower  Saxony\nHanover", "TYPE Lower  Saxony"),
        ("SELECT", "", "SELECT "),
        ("TYPE", "Answer: B\nAction: CLICK", "TYPE Answer: B"),
    ],
)
def test_the_recorded_action_is_read_like_a_reply(operation: str, value: str, wanted: str):
    assert action.wanted(operation, value) == wanted
    assert action.parse(action.reply("D", operation, value))[:2] == ("D", wanted)


@pytest.mark.parametrize(
    ("said", "wanted", "f1"),
    [
        ("TYPE Zone 2", "TYPE 2 Zone", 1.0),
        ("TYPE two two words", "TYPE words two", 1.0),
        ("CLICK None", "CLICK ", 2 / 3),
        ("type zone 2", "TYPE Zone 2", 1 / 3),
        ("CLICK ", "TYPE x", 0.0),
        (" ", "CLICK ", 0.0),
        (" ", " ", 1.0),
    ],
)
def test_action_f1_is_over_sets_of_words(said: str, wanted: str, f1: float):
    assert score.f1(said, wanted) == pytest.approx(f1)


def test_casefolded_values_stand_beside_the_others():
    args = ("7", "type ZONE"), ["7"], "TYPE Zone"
    assert score.values(*args) == {"element_acc": 1.0, "action_f1": 0.0, "step_sr": 0.0}
    assert score.casefolded(*args) == {"action_f1_casefold": 1.0, "step_sr_casefold": 1.0}


def test_aggregates_over_steps_and_over_tasks():
    def row(name: str, place: int, value: float, best: int | None, repeat: int = 0) -> Row:
        metrics = {"element_acc": 1.0, "action_f1": value, **score.recalls(best)}
        return Row(f"{name}/{place}", repeat, "scored", value, metrics, {"task": name}, name)

    rows = [row("a", 0, 1.0, 0), row("a", 1, 1.0, 12), row("b", 0, 1.0, 5), row("b", 1, 0.0, None)]
    found = dict(score.aggregate(rows))
    assert list(found)[:3] == ["step_sr", "element_acc", "action_f1"]
    assert (found["step_sr"], found["step_sr_macro"], found["task_sr"]) == (0.75, 0.75, 0.5)
    assert [found[f"recall_{k}"] for k in (5, 10, 20, 50)] == [0.25, 0.5, 0.75, 0.75]
    assert found["upper_bound"] == 0.5
    uneven = [*rows, row("c", 0, 0.0, 1), row("a", 0, 0.0, 0, repeat=1), row("a", 1, 1.0, 0, repeat=1)]
    again = score.aggregate(uneven)
    assert again["step_sr"] == pytest.approx(4 / 7)
    assert again["step_sr_macro"] == pytest.approx((3 / 4 + 1 / 2 + 0) / 3)
    assert again["task_sr"] == pytest.approx(1 / 4)
    assert score.aggregate([]) == {}


def played(ids: list[str], targets: set[str], *, ask_last: bool) -> tuple[bool, int]:
    """Whether a player who always chooses a target ends with one, and how often he was asked."""
    pool, calls = CandidatePool(ids, ask_last=ask_last), 0
    while (batch := pool.batch()) is not None:
        calls += 1
        assert len(batch) <= 5
        for id in batch:
            if id in targets:
                pool.choose(id, "x")
                break
    return pool.prediction[0] in targets, calls


@pytest.mark.parametrize("ask_last", [False, True])
def test_the_rule_of_the_ceiling_is_what_a_perfect_player_reaches(ask_last: bool):
    random = Random(0)
    lost = 0
    for _ in range(3000):
        ids = [str(n) for n in range(random.choice((0, 1, 2, 5, 6, 7, 10, 11, 16)))]
        targets = set(random.sample(ids, min(len(ids), random.choice((0, 1, 1, 2)))))
        random.shuffle(ids)
        reached = played(ids, targets, ask_last=ask_last)[0]
        assert reached == reachable(ids, targets, ask_last=ask_last), (ids, targets)
        lost += bool(targets) and not reached
    assert (lost > 0) != ask_last


@pytest.mark.parametrize(
    ("number", "target", "calls", "reached"),
    [
        (10, 0, 2, True),
        (10, 9, 2, True),
        (6, 5, 1, False),
        (11, 10, 2, False),
        (1, 0, 0, False),
        (2, 1, 1, True),
    ],
)
def test_a_candidate_left_over_alone_is_never_asked_about(
    number: int, target: int, calls: int, reached: bool
):
    ids = [str(n) for n in range(number)]
    assert played(ids, {str(target)}, ask_last=False) == (reached, calls)
    assert played(ids, {str(target)}, ask_last=True) == (True, calls + (not reached))


def test_none_of_the_above_in_the_last_batch_discards_what_was_chosen_before():
    pool = CandidatePool([str(n) for n in range(9)])
    assert pool.batch() == ["0", "1", "2", "3", "4"]
    pool.choose("2", "CLICK ")
    assert pool.prediction == ("", ""), "the step goes on"
    assert pool.batch() == ["5", "6", "7", "8", "2"]
    assert pool.batch() is None
    assert (pool.prediction, pool.unasked) == (("", ""), 0)


def test_the_action_is_that_of_the_last_batch_in_which_an_element_was_chosen():
    pool = CandidatePool([str(n) for n in range(6)])
    pool.batch()
    pool.choose("2", "CLICK ")
    assert pool.batch() == ["5", "2"]
    pool.choose("2", "TYPE x")
    assert pool.batch() is None
    assert pool.prediction == ("2", "TYPE x")
