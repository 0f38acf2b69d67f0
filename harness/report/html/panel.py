"""A plot as wide as the page allows: x is a share of the axis, y is in pixels, text keeps its size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from harness.report.html.markup import Markup, decimal, element, joined

HEAD, FOOT = 22, 6
"""Pixels above the first row, where the axis is labelled, and below the last."""


_LETTERS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


@dataclass(frozen=True, slots=True)
class Axis:
    """From 0 to `top`, labelled at `ticks`."""

    top: float
    ticks: Sequence[float]
    unit: str = ""

    def share(self, value: float) -> float:
        """The position of a value on the axis, from 0 to 1; values outside are put on the edge."""
        return min(1.0, max(0.0, value / self.top)) if self.top else 0.0

    def told(self, value: float) -> str:
        """A tick's label; the last one has the unit."""
        text = compact(value)
        return f"{text}{self.unit}" if value == self.ticks[-1] else text


PERCENT = Axis(100.0, (0, 25, 50, 75, 100), " %")


def upto(largest: float) -> Axis:
    """An axis from 0 with at most five round steps that holds a value."""
    if not (math.isfinite(largest) and largest > 0):
        return Axis(1.0, (0, 1))
    raw = largest / 4
    size = 10.0 ** math.floor(math.log10(raw))
    step = next((size * times for times in (1, 2, 2.5, 5, 10) if size * times >= raw), size * 10)
    count = math.ceil(largest / step - 1e-9)
    return Axis(step * count, [step * n for n in range(count + 1)])


def compact(value: float) -> str:
    """A number of at most three digits and a letter: 2.51M."""
    size, letter = next(((size, letter) for size, letter in _LETTERS if value >= size), (1.0, ""))
    scaled = value / size
    return decimal(scaled, max(0, 2 - math.floor(math.log10(scaled))) if scaled > 0 else 0) + letter


def place(share: float) -> str:
    """A share of the width as a coordinate."""
    return f"{decimal(100 * share)}%"


def box(left: float, right: float, y: float, height: float, look: str, hint: str = "") -> Markup:
    """A rectangle between two shares of the width."""
    inside = [element("title", hint)] if hint else []
    wide = place(max(0.0, right - left))
    return element("rect", *inside, class_=look, x=place(left), y=y, width=wide, height=height)


def stroke(start: tuple[float, float], end: tuple[float, float], look: str) -> Markup:
    """A line between two points: share of the width, pixels from the top."""
    return element("line", class_=look, x1=place(start[0]), y1=start[1], x2=place(end[0]), y2=end[1])


def words(text: str, share: float, y: float, look: str, *, by: float = 0, hint: str = "") -> Markup:
    """Text at a share of the width, moved by some pixels."""
    inside = [element("title", hint)] if hint else []
    return element("text", *inside, text, class_=look, x=place(share), y=y, dx=by or None)


class Panel:
    """Rows of marks over one axis, with names left of it and values right.

    Args:
        axis: that all rows share.
    """

    def __init__(self, axis: Axis) -> None:
        self.axis = axis
        self.height: float = HEAD
        self._marks: list[Markup] = []

    def add(self, *marks: Markup) -> None:
        """Draw marks; later ones lie above earlier ones."""
        self._marks += marks

    def svg(self, name: str) -> Markup:
        """The drawing, with its grid below the marks.

        Args:
            name: what it shows, for readers who hear the page.
        """
        tall = self.height + FOOT
        axis = self.axis
        grid: list[Markup] = []
        for tick in axis.ticks:
            x = axis.share(tick)
            grid += [stroke((x, HEAD - 4), (x, tall - 2), "zero" if tick == 0 else "grid")]
            grid += [words(axis.told(tick), x, 11, "tick")]
        drawn = joined([element("title", name), *grid, *self._marks], "\n")
        return element("svg", drawn, class_="rows", width="100%", height=tall, role="img")
