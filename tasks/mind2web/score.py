"""Values a step: the right element, the right words of the action, or both."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from harness.types import Row, macro, mean, metric_means

RECALL_AT = (5, 10, 20, 50)
GROUP = "task"
"""The label that holds a step's task."""


def f1(said: str, wanted: str) -> float:
    """F1 between the sets of words of two actions; order and repetition do not matter, case does."""
    have, want = set(said.split()), set(wanted.split())
    if not have or not want:
        return float(not have and not want)
    common = len(have & want)
    if not common:
        return 0.0
    precision, recall = common / len(have), common / len(want)
    return 2 * precision * recall / (precision + recall)


def values(prediction: tuple[str, str], targets: Collection[str], action: str) -> dict[str, float]:
    """Element accuracy, action F1 and step success of one step.

    Args:
        prediction: the chosen element's id, and what to do with it.
        targets: ids of the right elements; without any the step counts 0.
        action: what is to be done.
    """
    element, said = prediction
    if not targets:
        return {"element_acc": 0.0, "action_f1": 0.0, "step_sr": 0.0}
    right, words = float(element in targets), f1(said, action)
    return {"element_acc": right, "action_f1": words, "step_sr": float(right > 0 and words >= 1.0)}


def casefolded(prediction: tuple[str, str], targets: Collection[str], action: str) -> dict[str, float]:
    """The same without regard to case, under names of their own."""
    folded = values((prediction[0], prediction[1].casefold()), targets, action.casefold())
    return {f"{name}_casefold": folded[name] for name in ("action_f1", "step_sr")}


def recalls(best: int | None) -> dict[str, float]:
    """Whether the ranker put a right element among its first k, by k.

    Args:
        best: the best rank of a right element, from 0; None when the page shows none.
    """
    return {f"recall_{k}": float(best is not None and best < k) for k in RECALL_AT}


def aggregate(rows: Sequence[Row]) -> Mapping[str, float]:
    """Means over steps, the mean over tasks of each task's mean, and the share of tasks all right."""
    if not rows:
        return {}
    means = metric_means(rows)
    whole: dict[tuple[str, int], bool] = defaultdict(lambda: True)
    for row in rows:
        whole[row.labels.get(GROUP, ""), row.repeat] &= row.value >= 1.0
    first = {
        "step_sr": mean(rows),
        **{name: means[name] for name in ("element_acc", "action_f1") if name in means},
        "step_sr_macro": macro(rows, GROUP),
        "task_sr": sum(whole.values()) / len(whole),
        **({"upper_bound": means["recall_10"]} if "recall_10" in means else {}),
    }
    return {**first, **{name: number for name, number in means.items() if name not in first}}
