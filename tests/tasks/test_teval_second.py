"""T-Eval's numbers of every run against a second computation, on right answers and on other cases'."""

from __future__ import annotations

import ast
import itertools
import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.types import Pending, Score
from tasks.teval import embedding, rows, score
from tasks.teval.oracle import answer

FIXTURE = Path(rows.__file__).parent / "fixture"
CASES = {run: list(rows.cases(FIXTURE / f"{stem}.json", run)) for run, stem in rows.FILES.items()}


def like(one: str, other: str) -> float:
    """The cosine of two texts by the pairs of characters in them: the test's own embedder."""
    counts = [Counter(a + b for a, b in itertools.pairwise(f" {text} ")) for text in (one, other)]
    dot = sum(number * counts[1][pair] for pair, number in counts[0].items())
    lengths = [math.sqrt(sum(number**2 for number in found.values())) for found in counts]
    return dot / (lengths[0] * lengths[1])


def computed(row: rows.CaseRow, text: str) -> Score:
    """What the task makes of a reply, its texts compared by `like`."""
    found = score.valued(row, text, "fixed")
    if isinstance(found, Score):
        return found
    assert isinstance(found, Pending)
    item = found.items[0]
    texts = [message.content for message in item.messages]
    table = [[like(one, other) for other in texts] for one in texts]
    verdict = {"embedder": embedding.EMBEDDER, "length": embedding.LENGTH, "cosines": table}
    return score.resolved(item, json.dumps(verdict))


# -- the second computation; it reads well-formed replies only


def share(mine: Sequence[object], right: Sequence[object]) -> float:
    return sum(a == b for a, b in zip(mine, right, strict=True)) / len(right)


def instruct(row: rows.CaseRow, text: str) -> dict[str, float]:
    marks, gold = row.template, row.gold
    if row.part == "instruct_json":
        try:
            said = json.loads(text)
            action, args = said[marks["action"]], said[marks["args"]]
        except (ValueError, KeyError):
            return {"format": 0.0, "args_em": 0.0}
    else:
        names = ("thought", "action", "args")
        ends = [re.escape(marks[f"{name}_{end}"].strip()) for name in names for end in ("start", "end")]
        found = re.search(r"{}(.*?)\s*{}\s*{}(.*?)\s*{}\s*{}(.*?){}$".format(*ends), text, re.DOTALL)
        if found is None:
            return {"format": 0.0, "args_em": 0.0}
        action, args = found[2].strip(), ast.literal_eval(found[3].strip())
    mine = [action, *(args.get(key) for key in gold["args"])]
    return {"format": 1.0, "args_em": share(mine, [gold["action"], *gold["args"].values()])}


def plan(row: rows.CaseRow, text: str) -> dict[str, float]:
    if row.run == "plan_json":
        said = [(one["name"], str(one["args"])) for one in json.loads(text)]
    else:
        said = [(line.split()[0], line) for line in text.splitlines()]
    right = [(step.name, step.args) for step in row.gold]
    mine, gold = ([step for step in steps if step[0] != "FinishAction"] for steps in (said, right))
    weights = [[0.75 * like(a[0], b[0]) + 0.25 * like(a[1], b[1]) for b in gold] for a in mine]
    # Of all matchings of the most weight one in the order of the plan, if there is one.
    best = max(
        itertools.product([None, *range(len(gold))], repeat=len(mine)),
        key=lambda picks: weighed(weights, picks),
    )
    kept = [pick for pick in best if pick is not None]
    rising = max(
        (len(some) for n in range(len(kept) + 1) for some in itertools.combinations(kept, n) if rises(some)),
        default=0,
    )
    both = len(mine) + len(gold)
    return {"f1": 2 * rising / both if both else 0.0}


def rises(numbers: Sequence[int]) -> bool:
    return all(a < b for a, b in itertools.pairwise(numbers))


def weighed(weights: Sequence[Sequence[float]], picks: Sequence[int | None]) -> tuple[float, bool]:
    """A matching's weight, below 0 where it is none; and whether it is in order."""
    pairs = [(i, pick) for i, pick in enumerate(picks) if pick is not None]
    used = [pick for _, pick in pairs]
    if len(set(used)) < len(used) or any(weights[i][j] <= 0.8 for i, j in pairs):
        return -1.0, False
    return round(sum(weights[i][j] for i, j in pairs), 9), rises(used)


def single(row: rows.CaseRow, text: str) -> dict[str, float]:
    """Retrieve, Understand, Reason and Review as text, and the three of them as JSON."""
    gold = row.gold
    if row.run == "review_str":
        return {"choice": float(text.split(": ")[1] == gold)}
    if row.run == "retrieve_str":
        return {"name": float(text == gold["name"])}
    if row.run == "understand_str":
        return {"args": float(text == str(gold["args"]))}
    if row.run == "reason_str":
        return {"thought": like(text, gold["thought"])}
    said: Mapping[str, Any] = json.loads(text)
    right = sum(str(said["args"].get(key)) == str(value) for key, value in gold["args"].items())
    args = right / (len(gold["args"]) + 1e-5) if gold["args"] else float(not said["args"])
    thought = like(said["thought"], gold["thought"])
    return {"thought": thought, "name": float(said["name"] == gold["name"]), "args": args}


def second(row: rows.CaseRow, text: str) -> dict[str, float]:
    if row.run == "instruct":
        return instruct(row, text)
    return plan(row, text) if row.run.startswith("plan") else single(row, text)


def pairs(run: str) -> Iterator[tuple[rows.CaseRow, rows.CaseRow]]:
    """Each case of a run with each case of the same run."""
    yield from itertools.product(CASES[run], CASES[run])


@pytest.mark.parametrize("run", rows.FILES)
def test_answers_of_a_runs_cases_are_worth_what_a_second_computation_says(run: str):
    values: set[bool] = set()
    for case, other in pairs(run):
        found, wanted = computed(case, answer(other)), second(case, answer(other))
        numbers = {name: value for name, value in found.metrics.items() if name in wanted}
        assert numbers == pytest.approx(wanted, abs=1e-6), (case.id, other.id)
        mean = wanted.get("f1", sum(wanted.values()) / len(wanted))
        assert found.value == pytest.approx(mean, abs=1e-6)
        values.add(found.value > 1 - 1e-4)
        assert case is not other or found.value > 1 - 1e-4, "the right answer is worth all"
    assert values == {True, False}, "answers of other cases are wrong for some"


@pytest.mark.parametrize("profile", score.PROFILES)
def test_ten_megabytes_are_worth_nothing_in_every_run(profile):
    parts = {case.part: case for case in itertools.chain.from_iterable(CASES.values())}
    for case in parts.values():
        for unit in ("x", "{", "[{'id': 0}, ", f"{answer(case)}\n"):
            found = score.valued(case, unit * (10_000_000 // len(unit)), profile)
            if case.run == "reason_str":
                assert isinstance(found, Pending)
                assert max(len(m.content) for m in found.items[0].messages) <= embedding.LONGEST
            elif case.run != "review_str" and unit != f"{answer(case)}\n":
                assert isinstance(found, Score) and found.value == 0.0, case.id
