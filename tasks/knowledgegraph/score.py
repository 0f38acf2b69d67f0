"""What an episode is worth: F1 of its set of answers; pure functions."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from harness.types import Row, metric_means


def f1(predicted: Collection[str], gold: Collection[str]) -> float:
    """Harmonic mean of precision and recall of two sets; 0 when nothing is right."""
    said, wanted = set(predicted), set(gold)
    right = len(said & wanted)
    if not right:
        return 0.0
    precision, recall = right / len(said), right / len(wanted)
    return 2 * precision * recall / (precision + recall)


def metrics(predicted: Collection[str], gold: Collection[str], labels: Mapping[str, str]) -> dict[str, float]:
    """Exact match, executability, and F1 under the names of the question's source and last tool."""
    value = f1(predicted, gold)
    return {
        "em": float(set(predicted) == set(gold)),
        "executability": float(bool(predicted)),
        **{f"{label}/{name}": value for label, name in labels.items()},
    }


def aggregate(rows: Sequence[Row], headline: Mapping[str, float]) -> Mapping[str, float]:
    """All means; a report shows the first few, which are exact match and executability."""
    means = metric_means(rows)
    first = {name: means[name] for name in ("em", "executability") if name in means}
    return {**first, **means, **headline}
