"""SciWorld's matcher, stop rules and average on plain values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.types import Row
from tasks.sciworld.action import NO_MATCH, Match, candidates, match
from tasks.sciworld.prompts import cleaned
from tasks.sciworld.score import failed, looping
from tasks.sciworld.task import TASK

ROOMS = ("hallway", "kitchen", "art studio")
SEEN = "This room is called the kitchen. In it, you see: a blue-violet paint in your inventory an orange"


def allowed(*valid: str, barred: tuple[str, ...] = ()) -> list[str]:
    return candidates(valid, ROOMS, SEEN, barred)


# -- what may be matched


def test_doors_may_be_opened_whatever_the_simulator_lists() -> None:
    assert allowed() == ["open door to hallway", "open door to kitchen", "open door to art studio"]


def test_other_uses_of_doors_are_left_out() -> None:
    found = allowed("close door to hallway", "look at door", "open door to hallway", "pick up orange")
    assert found[0] == "pick up orange"
    assert "close door to hallway" not in found
    assert "look at door" not in found


def test_rooms_agent_and_air_cannot_be_in_focus() -> None:
    assert not [a for a in allowed("focus on air", "focus on agent", "focus on kitchen") if "focus" in a]


def test_focus_needs_every_word_of_the_object_in_sight() -> None:
    found = allowed("focus on orange", "focus on paint in inventory", "focus on green apple")
    assert [action for action in found if "focus" in action] == [
        "focus on orange",
        "focus on paint in inventory",
    ]


def test_a_barred_action_is_left_out() -> None:
    assert "look around" not in allowed("look around", barred=("look around",))


# -- matching


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pick up orange", Match("pick up orange", "exact")),
        (" pick up orange ", Match("pick up orange", "exact")),
        ("go to the green house", Match("go to hallway", "overlap")),
        ("pick the orange", Match("pick up orange", "overlap")),
        ("wash orange now", Match("eat orange", "overlap")),
        ("use the blue-violet paint", Match("use blueviolet paint", "overlap")),
        ("xyzzy!", Match("xyzzy", "none")),
        ("", Match("", "none")),
    ],
)
def test_known_matches(text: str, expected: Match) -> None:
    valid = ["pick up orange", "eat orange", "go to hallway", "use blue-violet paint"]
    assert match(text, allowed(*valid)) == expected


def test_the_green_house_is_the_greenhouse() -> None:
    assert match("go to green house", ["go to greenhouse"]) == Match("go to greenhouse", "exact")


def test_ties_go_to_the_shorter_then_to_the_earlier_in_the_alphabet() -> None:
    found = candidates(["pour cup", "move cup", "examine cup"], (), "")
    assert match("take cup", found).action == "move cup"


ACTIONS = st.lists(
    st.sampled_from(["go to hallway", "pick up orange", "eat orange", "wait1", "mix cup"]), unique=True
)


@given(st.text(), ACTIONS)
def test_any_text_becomes_one_short_plain_action(text: str, valid: list[str]) -> None:
    found = match(text, candidates(valid, ROOMS, SEEN))
    assert len(found.action) <= 4096
    assert found.kind == "exact" or all(c.isascii() and (c.isalnum() or c == " ") for c in found.action)


@given(ACTIONS)
def test_every_listed_action_matches_itself(valid: list[str]) -> None:
    for action in candidates(valid, ROOMS, SEEN):
        assert match(action, candidates(valid, ROOMS, SEEN)) == Match(action, "exact")


def test_an_enormous_reply_is_cut() -> None:
    assert len(match("x" * 10_000_000, ["wait1"]).action) == 4096


# -- stop rules


@pytest.mark.parametrize(
    ("observation", "substring", "strict"),
    [
        (NO_MATCH, True, True),
        ("You can't do that.", True, True),
        ("That doesn't open.", True, True),
        ("It is not open.", True, False),
        ("a substance called nothing", True, False),
        ("You pick up the orange.", False, False),
    ],
)
def test_what_counts_as_a_failure(observation: str, substring: bool, strict: bool) -> None:
    assert failed(observation, "substring") is substring
    assert failed(observation, "strict") is strict


START = ("look around", "")


def turns(actions: str) -> list[tuple[str, str]]:
    return [START, *((action, "ok") for action in actions)]


@pytest.mark.parametrize(
    ("actions", "loops"),
    [
        ("aaaa", True),
        ("ababa", True),
        ("aaa", False),
        ("aaaaa", False),
        ("abcab", False),
        ("baaaa", True),
        ("", False),
    ],
)
def test_five_turns_of_exactly_two_kinds_are_a_loop(actions: str, loops: bool) -> None:
    assert looping(turns(actions), "on") is loops


def test_one_action_with_different_answers_is_no_loop() -> None:
    assert not looping([START, *(("go", str(i)) for i in range(5))], "on")


def test_waiting_is_a_loop_but_not_when_extended() -> None:
    waits = [START, ("a", "ok"), *[("wait1", "ok")] * 9]
    assert looping(waits[:6], "on")
    assert not looping(waits, "extended")
    assert looping([*turns("cabab"), ("wait", "ok"), ("a", "ok")], "extended")


# -- the average


def test_the_average_is_over_tasks_not_episodes() -> None:
    rows = [Row(f"boil/{i}", 0, "scored", 1.0, labels={"task": "boil"}) for i in range(9)]
    rows.append(Row("find-plant/1", 0, "limit", 0.0, labels={"task": "find-plant"}))
    assert TASK.aggregate(rows)[TASK.spec.metric] == 0.5


def test_cleaning_puts_one_space_for_one_character() -> None:
    assert cleaned("a\n\tb  c\r") == "a  b  c\r"
