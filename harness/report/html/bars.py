"""Draws a bar for each run of each row, with its interval, and the published values below them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from harness.report.html import published
from harness.report.html.figure import Run
from harness.report.html.markup import LONGEST, Markup, element, joined, short
from harness.report.html.panel import Axis, Panel, box, stroke, words
from harness.report.layout import interval_text, number
from harness.report.reference import GPT4

LANE = 15
"""Pixels of the lane in which published values lie."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One run's bar.

    Attributes:
        value, interval: in the unit of the row.
        mark: after the number, where there is a remark on it.
        instead: said where there is no value.
        hollow: whether it shows something else than the row's own result: a stand-in, or a published value.
        told: its number as text, where that is not the value with two digits.
    """

    run: Run
    value: float | None
    interval: tuple[float, float] | None = None
    mark: str = ""
    instead: str = ""
    hollow: bool = False
    told: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """The bars of one task or suite.

    Attributes:
        scale: what its values are divided by to lie on the axis of the panel.
        published: values of published models, in the unit of the row.
    """

    name: str
    remark: str
    bars: Sequence[Bar]
    scale: float = 1.0
    published: Mapping[str, float] = field(default_factory=dict[str, float])


def draw(axis: Axis, rows: Sequence[Row], name: str) -> Markup:
    """Draw rows below each other."""
    panel = Panel(axis)
    for row in rows:
        _row(panel, row)
    return panel.svg(name)


def thickness(count: int) -> int:
    """How thick the bars of a row are that has so many."""
    return 16 if count <= 2 else 13 if count <= 5 else 10


def title(panel: Panel, name: str, remark: str, y: float, *, lettered: bool) -> None:
    """Write a row's name and a remark left of the axis."""
    by = -28.0 if lettered else -10.0
    panel.add(words(short(name), 0, y, "name", by=by, hint=name if short(name) != name else ""))
    if remark:
        panel.add(words(short(remark, LONGEST + 3), 0, y + 14, "remark", by=by, hint=remark))


def letter(panel: Panel, run: Run, y: float) -> None:
    """Write a run's letter left of the axis."""
    if run.letter:
        panel.add(words(run.letter, 0, y, f"letter {run.look}", by=-8))


def _row(panel: Panel, row: Row) -> None:
    thick = thickness(len(row.bars))
    y = panel.height + 7
    lane = y + len(row.bars) * (thick + 3) + 6
    title(panel, row.name, row.remark, y + thick / 2 + 4, lettered=any(bar.run.letter for bar in row.bars))
    for n, bar in enumerate(row.bars):
        _bar(panel, row, bar, y + n * (thick + 3), thick)
    if (best := row.published.get(GPT4)) is not None:
        x = panel.axis.share(best / row.scale)
        panel.add(stroke((x, y - 3), (x, lane), "gpt4"))
    for model, value in row.published.items():
        hint = f"{model}, published: {number(value, 2)}"
        panel.add(published.mark(model, panel.axis.share(value / row.scale), lane, hint))
    panel.height = lane + (LANE - 4 if row.published else 0)


def _bar(panel: Panel, row: Row, bar: Bar, y: float, thick: int) -> None:
    middle = y + thick / 2
    letter(panel, bar.run, middle + 4)
    if bar.value is None:
        panel.add(words("—", 1, middle + 4, "value", by=10, hint=bar.instead))
        panel.add(words(bar.instead, 0, middle + 4, "instead", by=6))
        return
    end = panel.axis.share(bar.value / row.scale)
    told = (bar.told or number(bar.value, 2)) + bar.mark
    range_ = interval_text(bar.interval, 2)
    hint = " ".join(part for part in (bar.run.named, row.name, told, range_) if part)
    panel.add(box(0, end, y, thick, f"bar {bar.run.look}{' hollow' * bar.hollow}", hint))
    panel.add(stroke((end, y), (end, y + thick), f"end {bar.run.look}"))
    if bar.interval:
        low, high = (panel.axis.share(edge / row.scale) for edge in bar.interval)
        panel.add(_whisker(low, high, middle, thick))
    more = [element("tspan", f" {range_}", class_="range")] if range_ else []
    panel.add(words_of(joined([told, *more]), middle + 4))


def words_of(text: Markup, y: float) -> Markup:
    """The text right of a row."""
    return element("text", text, class_="value", x="100%", y=y, dx=10)


def _whisker(low: float, high: float, y: float, thick: int) -> Markup:
    """An interval as a line with an end on both sides."""
    half = thick / 4 + 0.5
    ends = [stroke((x, y - half), (x, y + half), "") for x in (low, high)]
    return element("g", stroke((low, y), (high, y), ""), *ends, class_="whisker")
