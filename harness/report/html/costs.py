"""Draws what runs took: tokens, time, and money where prices are given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from harness.report.cost import Price, added, priced, tokens_in
from harness.report.html.bars import Bar, Row, draw
from harness.report.html.figure import Figure, Run
from harness.report.html.markup import Markup, element, joined
from harness.report.html.panel import compact, upto
from harness.report.html.scores import legend
from harness.storage.reader import Cost

Measure = Callable[[Cost], float | None]
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
        "tokens in": tokens_in,
        "tokens out": lambda cost: float(cost.output_tokens),
        "hours of episodes": lambda cost: cost.seconds / 3600,
    }
    return {**found, "price": price.of} if (price := runs[0].report.price) else found


def _panel(
    name: str, measure: Measure, runs: Sequence[Run], found: Mapping[str, Mapping[str, Cost]]
) -> Markup:
    if len(runs) == 1:
        values = [(task, runs[0], measure(cost)) for task, cost in found[runs[0].letter].items()]
    else:
        values = [("", run, added(map(measure, found[run.letter].values()))) for run in runs]
    rows = [Row(label, "", [_bar(run, value)]) for label, run, value in values]
    drawn = draw(upto(max(value or 0.0 for _, _, value in values)), rows, name)
    return element("figure", element("figcaption", element("b", name)), drawn)


def _bar(run: Run, value: float | None) -> Bar:
    if value is None:
        return Bar(run, None, instead="not counted by the server")
    return Bar(run, value, told=compact(value))


def _numbers(name: str, run: Run, cost: Cost, price: Price | None) -> Sequence[str]:
    given = tokens_in(cost)
    counted = f"{cost.requests:,}", "—" if given is None else f"{given:,}", f"{cost.output_tokens:,}"
    row = name, run.report.run, *counted, f"{cost.seconds / 3600:.2f}", f"{cost.attempts:,}"
    return (*row, priced(price.of(cost))) if price else row
