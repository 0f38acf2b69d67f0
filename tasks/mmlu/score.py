"""Turns MMLU's right and wrong answers into the numbers people report."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from harness.authoring import wilson
from harness.types import Profile, Reply, Row, Score
from tasks.mmlu.action import chosen, first_letter, read_letter
from tasks.mmlu.rows import LETTERS
from tasks.mmlu.subjects import HENDRYCKS, PAPER

METHODS = ("G", "P", "T", "O", "F")
"""How a letter was chosen (README); F generated text, all others ranked by likelihood."""


def value(reply: Reply, row: Mapping[str, str], profile: Profile, *, ranked: bool, shots: int) -> Score:
    """Value one reply.

    Args:
        reply: a choice, or generated text.
        row: the question, its options and the right letter.
        profile: whose rule reads a generated answer.
        ranked: whether the letters were ranked, not generated.
        shots: how many exemplars were shown.
    """
    gold, metrics = row["answer"], {"shots": float(shots)}
    if ranked:
        letter = chosen(reply)
    else:
        read = {"paper": first_letter(reply), "fixed": read_letter(reply, [row[x] for x in LETTERS])}
        letter = read[profile]
        metrics |= {rule: float(found == gold) for rule, found in read.items()}
    right = float(letter == gold)
    notes = [f"chose {letter or 'nothing'}", *reply.notes]
    method = reply.method if ranked else "F"
    if method in METHODS:
        metrics[f"method_{method.lower()}"] = 1.0
        notes.append(f"method {method}")
    if method == "F":
        metrics["mmlu_gen"] = right
    outcome = None if letter else "model_error"
    return Score(right, metrics, "; ".join(notes), outcome, answer=letter or "", target=gold)


def aggregate(rows: Sequence[Row]) -> dict[str, float]:
    """Micro accuracy (the headline), macro accuracy, both category maps, every subject, Wilson intervals.

    `subjects` says how many of the 57 the rows cover, `method_g` and its like the share of rows that were
    ranked so, `mmlu_gen` the accuracy of those that were generated, which compares with no other number.
    """
    if not rows:
        return {}
    groups: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        groups[row.labels["subject"]].append(row.value)
    sums = {subject: (math.fsum(values), len(values)) for subject, values in groups.items()}
    hits, n = _total(sums.values())
    low, high = wilson(hits, n)
    result = {
        "accuracy": hits / n,
        "macro": math.fsum(h / k for h, k in sums.values()) / len(sums),
        "wilson_low": low,
        "wilson_high": high,
        "subjects": float(len(sums)),
        **_categories("paper", PAPER, sums),
        **_categories("hendrycks", HENDRYCKS, sums),
        **_extras(rows),
    }
    for subject, (right, count) in sorted(sums.items()):
        result[f"subject/{subject}"] = right / count
        result[f"subject/{subject}/low"], result[f"subject/{subject}/high"] = wilson(right, count)
    return result


def _categories(
    name: str, category: Mapping[str, str], sums: Mapping[str, tuple[float, int]]
) -> dict[str, float]:
    totals: dict[str, list[tuple[float, int]]] = defaultdict(list)
    for subject, pair in sums.items():
        totals[category[subject]].append(pair)
    result: dict[str, float] = {}
    for group, pairs in sorted(totals.items()):
        hits, n = _total(pairs)
        low, high = wilson(hits, n)
        result |= {f"{name}/{group}": hits / n, f"{name}/{group}/low": low, f"{name}/{group}/high": high}
    return result


def _extras(rows: Sequence[Row]) -> dict[str, float]:
    """How many exemplars were shown, and by which method how much of the rows was answered."""
    values: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        for name, number in row.metrics.items():
            values[name].append(number)
    return {
        name: math.fsum(numbers) / (len(rows) if name.startswith("method_") else len(numbers))
        for name, numbers in sorted(values.items())
    }


def _total(pairs: Iterable[tuple[float, int]]) -> tuple[float, int]:
    listed = list(pairs)
    return math.fsum(hits for hits, _ in listed), sum(count for _, count in listed)
