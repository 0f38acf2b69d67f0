"""Draws what runs took: tokens, time, and money where prices are given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from harness.report.cost import Price, total
from harness.report.html.bars import Bar, Row, draw
from harness.report.html.figure import Figure, Run
from harness.report.html.markup import Markup, element, joined
from harness.report.html.panel import compact, upto
from harness.report.html.scores import legend
from harness.storage.reader import Cost

Measure = Callable[[Cost], float]
HEADER = ("task", "run", "requests", "tokens in", "tokens out", "hours", "attempts")


def costs(runs: Sequence[Run]) -> Figure | None:
    """One run's cost by task, or several runs' by run; None when nothing was asked of a model."""
    found = {
        run.letter: {
            name: one.data.cost
            for name, one in run.report.tasks.items()
            if one.data.cost and one.data.cost.requests
        }
        for run in runs
    }
    if not any(found.values()):
        return None
    panels = [_panel(name, measure, runs, found) for name, measure in _measures(runs).items()]
    each = "task" if len(runs) == 1 else "run"
    lead = (
        f"What each {each} took, of all attempts, also those that were tried again. Hours are those of "
        "episodes, added up: many of them run at the same time."
    )
    price = runs[0].report.price
    header = (*HEADER, "price") if price else HEADER
    rows = [_numbers(name, run, cost, price) for run in runs for name, cost in found[run.letter].items()]
    whole = element("div", joined(panels), class_=f"drawing few{' lettered' * (len(runs) > 1)}")
    return Figure("Cost", lead, whole, header, rows, names=2, legend=legend(runs))


def _measures(runs: Sequence[Run]) -> Mapping[str, Measure]:
    found: dict[str, Measure] = {
        "tokens in": lambda cost: float(cost.prompt_tokens),
        "tokens out": lambda cost: float(cost.output_tokens),
        "hours of episodes": lambda cost: cost.seconds / 3600,
    }
    return {**found, "price": price.of} if (price := runs[0].report.price) else found


def _panel(
    name: str, measure: Measure, runs: Sequence[Run], found: Mapping[str, Mapping[str, Cost]]
) -> Markup:
    if len(runs) == 1:
        named = [(task, runs[0], cost) for task, cost in found[runs[0].letter].items()]
    else:
        named = [("", run, total(found[run.letter].values())) for run in runs]
    values = [(label, run, measure(cost)) for label, run, cost in named]
    rows = [Row(label, "", [Bar(run, value, told=compact(value))]) for label, run, value in values]
    drawn = draw(upto(max(value for _, _, value in values)), rows, name)
    return element("figure", element("figcaption", element("b", name)), drawn)


def _numbers(name: str, run: Run, cost: Cost, price: Price | None) -> Sequence[str]:
    counted = f"{cost.requests:,}", f"{cost.prompt_tokens:,}", f"{cost.output_tokens:,}"
    row = name, run.report.run, *counted, f"{cost.seconds / 3600:.2f}", f"{cost.attempts:,}"
    return (*row, f"{price.of(cost):.2f}") if price else row
