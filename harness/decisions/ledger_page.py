"""The newest nights of a ledger as a page: a table, and a line for each task and model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date

from harness.decisions.ledger import Night, changes
from harness.decisions.ledger_text import MARK, WORSE, names_of, score_text, silence
from harness.report.html.figure import COLOURS, Figure, scrolled
from harness.report.html.markup import Markup, element, joined
from harness.report.html.trend import Line, Point, trend
from harness.report.layout import number


def figure(nights: Sequence[Night], newest: int, today: date) -> Figure:
    """The newest nights: a table, and each task's line, broken where a manifest changed."""
    shown, changed = nights[-newest:], changes(nights)[-newest:]
    charts = [_chart(name, shown, changed) for name in names_of(shown)] if shown else []
    parts = [_table(shown, changed), element("p", MARK, class_="lead")]
    if quiet := silence(nights, today):
        parts.append(element("p", quiet, class_="quiet"))
    parts.append(element("div", *charts, class_="drawing several"))
    lead = (
        "A line for each model, from 0; the wide bar behind a point is its 95 % interval. A circle is a "
        "night that was worse than its baseline. Lines break, at a dotted line, where something else than "
        "the weights may have changed."
    )
    header = ("night", "task", "model", "verdict", "score", "low", "high")
    rows = [row for night in shown for row in _numbers(night)]
    return Figure("Nights", lead, joined(parts), header, rows, names=4, legend=_legend(shown))


def _numbers(night: Night) -> Iterator[Sequence[str]]:
    for name, task in night.tasks.items():
        low, high = task.ci or (None, None)
        yield (
            night.date,
            name,
            night.model,
            task.verdict,
            *(number(one, 2) for one in (task.score, low, high)),
        )


def _table(nights: Sequence[Night], changed: Sequence[bool]) -> Markup:
    names = names_of(nights)
    words = ("date", "verdict")
    head = [element("th", name, scope="col") for name in words]
    head += [element("th", name, scope="col", class_="num") for name in names]
    rows = [
        element(
            "tr",
            element("td", ("* " if mark else "") + night.date),
            element("td", night.verdict),
            *(element("td", score_text(night.tasks.get(name)), class_="num") for name in names),
        )
        for night, mark in zip(nights, changed, strict=True)
    ]
    made = element("table", element("thead", element("tr", *head)), element("tbody", *rows))
    return scrolled(made, "Nights: table")


def _looks(nights: Sequence[Night]) -> Mapping[str, str]:
    """A colour for each model."""
    models = dict.fromkeys(night.model for night in nights)
    return {model: f"c{n % COLOURS}" for n, model in enumerate(models)}


def _legend(nights: Sequence[Night]) -> Markup:
    swatches = ((element("i", class_=f"swatch {look}"), model) for model, look in _looks(nights).items())
    return joined(element("span", *one) for one in swatches)


def _chart(name: str, nights: Sequence[Night], changed: Sequence[bool]) -> Markup:
    """A task's scores; nights without a score break the line as well."""
    lines: list[Line] = []
    for model, look in _looks(nights).items():
        points: list[Point] = []
        apart = False
        for place, (night, mark) in enumerate(zip(nights, changed, strict=True)):
            if night.model != model:
                continue
            task = night.tasks.get(name)
            apart = apart or mark or task is None or task.score is None
            if task is not None and task.score is not None:
                worse = task.verdict in WORSE
                points.append(Point(place, task.score, task.ci, apart=apart, worse=worse))
                apart = False
        lines.append(Line(model, look, points))
    return trend(name, [night.date for night in nights], lines)
