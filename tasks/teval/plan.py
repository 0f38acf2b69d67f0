"""Compares two plans: matches their steps by likeness, and counts those in the right order."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence

from harness.types import Profile

NAME_WEIGHT, ARGS_WEIGHT = 0.75, 0.25
THRESHOLD = 0.8
"""Steps that resemble each other no more than this are not matched."""

_TIE = 1e-12
"""What a match loses for each squared step that it moves: of equal matchings the one in order is left."""


def compared(
    pred: int, gold: int, likeness: Callable[[int, int], float], steps: int, profile: Profile
) -> Mapping[str, float]:
    """Precision, recall and F1 of a plan.

    Upstream counts one matched step even where none is, and so does `paper`. A plan without any step is
    worth 0 under both; upstream crashes on it.

    Args:
        pred: steps of the plan that can be compared.
        gold: steps of the right plan.
        likeness: of a step of the plan and one of the right plan, from 0 to 1.
        steps: all steps of the plan, by which precision is divided.
        profile: whose rule holds.
    """
    if not pred or not gold:
        return {"f1": 0.0, "precision": 0.0, "recall": 0.0}
    weights = [[likeness(i, j) for j in range(gold)] for i in range(pred)]
    matched = matching(weights)
    right = longest_rising([matched[i] for i in sorted(matched)])
    right = max(right, 1) if profile == "paper" else right
    precision, recall = right / steps, right / gold
    f1 = 2 * precision * recall / (precision + recall) if right else 0.0
    return {"f1": f1, "precision": precision, "recall": recall}


def longest_rising(numbers: Sequence[int]) -> int:
    """The length of the longest rising subsequence."""
    ends: list[int] = []
    for number in numbers:
        place = bisect_left(ends, number)
        ends[place : place + 1] = [number]
    return len(ends)


def matching(weights: Sequence[Sequence[float]]) -> dict[int, int]:
    """The matching of largest weight among pairs above THRESHOLD, as row to column.

    Of matchings that weigh the same, the one that moves steps least.
    """
    if len(weights) > len(weights[0]):
        turned = [list(column) for column in zip(*weights, strict=True)]
        return {row: column for column, row in matching(turned).items()}
    costs = [
        [-w + _TIE * (i - j) ** 2 if w > THRESHOLD else 0.0 for j, w in enumerate(row)]
        for i, row in enumerate(weights)
    ]
    found = enumerate(_assigned(costs))
    return {row: column for row, column in found if weights[row][column] > THRESHOLD}


def _assigned(costs: Sequence[Sequence[float]]) -> list[int]:
    """A column for each row at the least cost (Hungarian algorithm with potentials); columns are no fewer."""
    rows, columns = len(costs), len(costs[0])
    row_potential, column_potential = [0.0] * (rows + 1), [0.0] * (columns + 1)
    owner = [0] * (columns + 1)  # rows and columns count from 1; 0 is none
    for row in range(1, rows + 1):
        owner[0], at = row, 0
        slack, seen, before = [float("inf")] * (columns + 1), [False] * (columns + 1), [0] * (columns + 1)
        while owner[at]:
            seen[at] = True
            here, nearest, step = owner[at], 0, float("inf")
            for column in range(1, columns + 1):
                if seen[column]:
                    continue
                reduced = costs[here - 1][column - 1] - row_potential[here] - column_potential[column]
                if reduced < slack[column]:
                    slack[column], before[column] = reduced, at
                if slack[column] < step:
                    step, nearest = slack[column], column
            for column in range(columns + 1):
                if seen[column]:
                    row_potential[owner[column]] += step
                    column_potential[column] -= step
                else:
                    slack[column] -= step
            at = nearest
        while at:
            owner[at], at = owner[before[at]], before[at]
    found = [0] * rows
    for column in range(1, columns + 1):
        if owner[column]:
            found[owner[column] - 1] = column - 1
    return found
