"""T-Eval's rules, each against a second computation written here or numbers worked out by hand."""

from __future__ import annotations

import itertools
import json
import random
import re
import time
from dataclasses import replace
from pathlib import Path

import pytest

from harness.types import Pending, Score
from tasks.teval import action, plan, rows, score
from tasks.teval.oracle import answer

FIXTURE = Path(rows.__file__).parent / "fixture"
CASES = {run: list(rows.cases(FIXTURE / f"{stem}.json", run)) for run, stem in rows.FILES.items()}
WHY = {
    **{"thought_start": "Why:", "thought_end": "\n", "action_start": "Tool:", "action_end": "\n"},
    **{"args_start": "With:", "args_end": ""},
}


def case(run: str, name: str) -> rows.CaseRow:
    return next(row for row in CASES[run] if row.id == name)


def valued(row: rows.CaseRow, text: str) -> Score:
    found = score.valued(row, text, "paper")
    assert isinstance(found, Score)
    return found


def both(row: rows.CaseRow, text: str) -> tuple[float, float]:
    found = valued(row, text)
    return found.metrics["paper"], found.metrics["fixed"]


# -- plans


def compared(weights: list[list[float]], profile: str = "fixed") -> float:
    table = weights or [[]]
    like = lambda i, j: table[i][j]  # noqa: E731
    return plan.compared(len(weights), len(table[0]), like, len(weights), profile)["f1"]  # pyright: ignore


def test_a_wholly_wrong_plan_is_worth_something_to_upstream_alone():
    wrong = [[0.1, 0.2, 0.3]]
    assert compared(wrong, "paper") == pytest.approx(0.5)
    assert compared(wrong * 2, "paper") == pytest.approx(0.4)
    assert compared(wrong) == compared(wrong * 2) == 0.0


def test_a_plan_of_one_finish_action_crashes_neither_rule():
    for row in (case("plan_json", "query_4_1"), case("plan_str", "query_4_1")):
        assert both(row, '[{"id": 0, "name": "FinishAction", "args": {}}]') == (0.0, 0.0)
        assert both(row, "") == (0.0, 0.0)
    assert compared([], "paper") == compared([]) == 0.0


def test_of_equal_steps_those_in_order_are_matched():
    same = [[1.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 1.0]]
    assert plan.matching(same) == {0: 0, 1: 1, 2: 2}
    assert compared(same) == compared(same, "paper") == 1.0


def test_a_plan_in_the_wrong_order_counts_its_longest_rising_part():
    turned = [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    assert compared(turned) == pytest.approx(2 / 3)
    assert plan.longest_rising([2, 0, 1]) == 2
    assert compared([[0.8]]) == 0.0, "no more than the threshold is no match"


def by_hand(weights: list[list[float]], paper: bool) -> float:
    """Every assignment is tried; the longest rising part is found in squared time."""
    pred, gold = len(weights), len(weights[0])
    best, chosen = -1.0, ()
    for picks in itertools.product([None, *range(gold)], repeat=pred):
        used = [pick for pick in picks if pick is not None]
        if len(set(used)) < len(used) or any(
            pick is not None and weights[i][pick] <= 0.8 for i, pick in enumerate(picks)
        ):
            continue
        total = sum(weights[i][pick] for i, pick in enumerate(picks) if pick is not None)
        if total > best:
            best, chosen = total, picks
    lengths = [1 if paper or pick is not None else 0 for pick in chosen]
    for i, j in itertools.combinations(range(pred), 2):
        if chosen[i] is not None and chosen[j] is not None and chosen[i] < chosen[j]:
            lengths[j] = max(lengths[j], lengths[i] + 1)
    right = max(lengths)
    return 2 * (right / pred) * (right / gold) / (right / pred + right / gold) if right else 0.0


def test_f1_equals_that_of_all_assignments_tried():
    chance = random.Random(4)
    for _ in range(150):
        gold = chance.randint(1, 4)
        weights = [[chance.uniform(0.6, 1.0) for _ in range(gold)] for _ in range(chance.randint(1, 4))]
        assert compared(weights) == pytest.approx(by_hand(weights, paper=False))
        assert compared(weights, "paper") == pytest.approx(by_hand(weights, paper=True))


def test_the_matching_weighs_what_scipys_does():
    from scipy.optimize import linear_sum_assignment

    chance = random.Random(5)
    for _ in range(60):
        shape = chance.randint(1, 12), chance.randint(1, 12)
        weights = [[chance.uniform(0.7, 1.0) for _ in range(shape[1])] for _ in range(shape[0])]
        edges = [[w if w > 0.8 else 0.0 for w in row] for row in weights]
        places = linear_sum_assignment(edges, maximize=True)
        best = sum(edges[i][j] for i, j in zip(*places, strict=True))
        assert sum(weights[i][j] for i, j in plan.matching(weights).items()) == pytest.approx(best)


def test_steps_of_a_plan_are_those_with_all_three_fields():
    two = [{"id": 1, "name": "b", "args": {}}, {"id": "0", "name": "a", "args": {"x": 1}}]
    assert action.steps(two) == (action.Step("a", "{'x': 1}"), action.Step("b", "{}"))
    assert action.steps(f"Here: {json.dumps(two)} done") == action.steps(two)
    for bad in ("", "[1]", '[{"id": "x", "name": "a", "args": {}}]', '[{"name": "a", "args": {}}]', "{}"):
        assert action.steps(bad) == ()
    deep = '[{"id": 0, "name": "a", "args": ' + "[" * 3000 + "]" * 3000 + "}]"
    assert action.steps(deep) == ()
    assert action.steps('[{"id": 0, "name": "a", "args": 0x' + "f" * 9000 + "}]") == ()


def test_a_step_in_words_is_the_first_api_of_its_sentence():
    apis = ("A.get", "A.get_all", "B.put")
    said = action.said_steps("Use B.put after A.get. Then A.get_all\nThen rest.\nA.get", apis)
    assert [step.name for step in said] == ["B.put", "A.get", "A.get"]
    assert said[0].args == "Use B.put after A.get"


# -- instruct


def test_marked_fields_equal_a_greedy_regular_expression():
    texts = [
        "Why:a\nTool:T\nWith:{'x': 1}",
        "x Why:a\nTool:b\nTool:T\nWith:{}\nWith:{'x': 2} ",
        *("Why:a\nTool:T\n", "Tool:T\nWith:{}\nWhy:", "", "Why:\nTool:\nWith:"),
        "Why:Why:\nTool:\nTool: T \n\nWith:{'a'",
    ]
    for text in texts:
        found = re.search("Why:(.*)\nTool:(.*)\nWith:(.*)", text, re.DOTALL)
        read = [action.marked_call(text, WHY, profile) for profile in score.PROFILES]
        assert read[0] == read[1]
        assert (read[0] is None) == (found is None)
        if found and read[0]:
            assert read[0][0] == found[2].strip()


def test_markers_are_a_regular_expression_to_upstream_alone():
    odd = {**WHY, "thought_start": "[Why]", "action_start": "(Tool)"}
    text = "[Why]a\n(Tool)T\nWith:{}"
    assert action.marked_call(text, odd, "fixed") == ("T", {})
    assert action.marked_call(text, odd, "paper") is None
    # A letter of the class opens the thought, and the group in brackets takes the place of the action.
    assert action.marked_call("Wa\nToolT\nWith:{}", odd, "paper") == ("Tool", {})
    for broken in ("**", "{why}", "("):
        assert action.marked_call("x", {**WHY, "thought_start": broken}, "paper") is None


def test_a_hostile_template_ends_within_its_time():
    hostile = {**WHY, "thought_end": "(a+)+$", "args_end": "(.*)*x"}
    start = time.monotonic()
    assert action.marked_call("Why:" + "a" * 9000, hostile, "paper") is None
    assert time.monotonic() - start < 20
    assert action.marked_call("Why:" + "a" * 9000, hostile, "fixed") is None


def test_a_last_marker_that_is_a_newline_is_lost_to_upstream():
    row = replace(case("instruct", "query_1_string"), template={**WHY, "args_end": "\n"})
    assert both(row, answer(row)) == (0.0, 1.0)


def test_args_count_beside_the_action():
    row = case("instruct", "query_2_string")  # Oven.set_timer, minutes 12, tray upper
    said = "<<why>>a<</why>><<do>>{}<</do>><<with>>{}<</with>>"
    for tool, args, share in (
        ("Oven.set_timer", "{'minutes': 12, 'tray': 'upper'}", 1),
        ("Oven.set_timer", "{'minutes': '12', 'tray': 'upper'}", 2 / 3),
        ("x", "{'minutes': 12.0, 'more': 1}", 1 / 3),
        ("Oven.set_timer", "no dict", 1 / 3),
        ("x", "[1]", 0),
    ):
        found = valued(row, said.format(tool, args))
        assert (found.metrics["format"], found.metrics["args_em"]) == (1.0, pytest.approx(share))
        assert found.value == pytest.approx((1 + share) / 2)
    assert valued(row, "nothing").value == 0.0


def test_json_needs_the_templates_keys():
    row = case("instruct", "query_1_json")
    good = {"why": "", "tool": "Pantry.find_item", "inputs": {"item": "flour"}}
    assert both(row, json.dumps(good)) == both(row, str(good)) == (1.0, 1.0)
    assert both(row, f"```json\n{json.dumps(good)}\n```") == (1.0, 1.0)
    assert both(row, json.dumps({**good, "inputs": "flour"})) == (0.75, 0.75)
    assert both(row, json.dumps({k: v for k, v in good.items() if k != "why"})) == (0.0, 0.0)
    for wrong in ("[]", "3", '"x"', "null", "{", f"Here it is: {json.dumps(good)}"):
        assert both(row, wrong) == (0.0, 0.0)


# -- the others


def test_a_cut_at_a_line_that_begins_with_user_is_upstreams_alone():
    row = case("understand_str", "query_4_1_0")
    row = replace(row, gold={"args": "name\nuser Ada"})
    assert both(row, "name\nuser Ada") == (0.0, 1.0)
    assert action.cut("a<|im_end|>b", "paper") == "a"
    assert action.cut(" ```json\n{}\n``` ", "fixed") == "{}"


def test_a_name_must_be_the_only_one():
    row = case("retrieve_str", "query_4_1_0")
    for text, right in (
        ("Pantry.find_item", 1),
        ("I would use Pantry.find_item, and Pantry.find_item only", 1),
        ("Pantry.find_item or Clock.now", 0),
        ("Pantry.find_items", 0),
        ("Pantry.find_item then FinishAction", 0),
        ("find_item", 0),
    ):
        others = re.findall(r"\w+\.\w+|FinishAction", text)
        assert right == ("Pantry.find_item" in text and set(others) == {"Pantry.find_item"})
        assert both(row, text) == (right, right)
    last = case("retrieve_str", "query_6_1_1")
    assert both(last, "FinishAction") == (1.0, 1.0)


def test_dotted_names_are_those_of_the_plain_pattern():
    chance = random.Random(6)
    for _ in range(300):
        text = "".join(chance.choice("ab._ -é1") for _ in range(chance.randint(0, 30)))
        assert action.names(text) == re.findall(r"\w+\.\w+", text)


def test_args_compare_as_texts():
    row = replace(
        case("rru_json", "query_4_1_0"), gold={"thought": "", "name": "N", "args": {"a": 1, "b": "x"}}
    )

    def args(text: str) -> float:
        found = score.valued(row, text, "paper")
        numbers = found.metrics
        return numbers["args"]

    assert args('{"name": "N", "args": {"a": "1", "b": "x"}}') == pytest.approx(2 / (2 + 1e-5))
    assert args('{"name": "N", "args": {"a": 1.0, "b": "x", "c": 2}}') == pytest.approx(1 / (2 + 1e-5))
    assert args('{"name": "N", "args": "a"}') == args("nothing") == 0.0
    none = replace(row, gold={**row.gold, "args": {}})
    for text, right in (
        ("{'args': {}}", 1.0),
        ("{'name': 'N'}", 1.0),
        ("{'args': {'a': 1}}", 0.0),
        ("x", 0.0),
    ):
        assert score.valued(none, text, "paper").metrics["args"] == right


def test_a_review_is_the_first_letter_after_the_colon():
    row = case("review_str", "17")  # C
    for text, right in (("Answer: C", 1), ("C", 1), ("a: Certainly", 1), ("Answer:", 0), ("", 0), ("F", 0)):
        assert both(row, text) == (right, right)
    assert both(row, "The answer: it is C") == (0.0, 0.0)


def test_an_answer_that_cannot_be_read_needs_no_embedder():
    for run in ("plan_json", "plan_str", "rru_json"):
        found = score.valued(CASES[run][0], "I do not know", "fixed")
        assert isinstance(found, Score) and found.value == 0.0
    empty = score.valued(CASES["reason_str"][0], "", "paper")
    assert isinstance(empty, Pending), "upstream compares the empty text as well"
    assert empty.items[0].info["thoughts"] == {"paper": 0, "fixed": None}
