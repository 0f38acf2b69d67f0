"""Draws numbers of many nights as lines, one small plot for each task."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from harness.report.html.markup import Markup, element, joined
from harness.report.html.panel import Axis, stroke, upto, words
from harness.report.layout import number

TOP, BOTTOM = 8.0, 118.0
"""Pixels at which the axis ends and begins."""
RADIUS, WORSE = 2.8, 4.2


@dataclass(frozen=True, slots=True)
class Point:
    """One number.

    Attributes:
        place: of the night, from 0.
        apart: whether no line leads here from the point before, because something else changed as well.
        worse: whether it was found worse.
    """

    place: int
    value: float
    interval: tuple[float, float] | None = None
    apart: bool = False
    worse: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """The nights of one model."""

    name: str
    look: str
    points: Sequence[Point]


def trend(name: str, nights: Sequence[str], lines: Sequence[Line]) -> Markup:
    """A small plot from 0 to the largest number.

    Args:
        name: what it shows.
        nights: their names, oldest first.
        lines: with one point a night at most.
    """
    known = [edge for line in lines for one in line.points for edge in (one.value, *(one.interval or ()))]
    axis = upto(max(filter(math.isfinite, known), default=1.0))
    parts = [element("title", f"{name} by night"), *_levels(axis)]
    for line in lines:
        parts += _line(line, axis, nights)
    ends = {nights[0]: 0, nights[-1]: len(nights) - 1}
    parts += [words(night, _x(n, len(nights)), BOTTOM + 16, "tick") for night, n in ends.items()]
    drawn = element("svg", joined(parts, "\n"), class_="trends", width="100%", height=BOTTOM + 22, role="img")
    ended = [line for line in lines if line.points]
    last = [f"{line.name * (len(ended) > 1)} {number(line.points[-1].value, 2)}".strip() for line in ended]
    head = element("figcaption", element("b", name), element("span", f"last {', '.join(last)}"))
    return element("figure", head, drawn)


def _x(place: int, count: int) -> float:
    return (place + 0.5) / count


def _y(value: float, axis: Axis) -> float:
    return BOTTOM - (BOTTOM - TOP) * axis.share(value)


def _levels(axis: Axis) -> Iterator[Markup]:
    for tick in axis.ticks:
        y = _y(tick, axis)
        yield stroke((0, y), (1, y), "grid" if tick else "zero")
        yield words(axis.told(tick), 0, y + 4, "level", by=-6)


def _line(line: Line, axis: Axis, nights: Sequence[str]) -> Iterator[Markup]:
    at = [(_x(one.place, len(nights)), _y(one.value, axis)) for one in line.points]
    for (x, _), one in zip(at, line.points, strict=True):
        if one.apart:
            yield stroke((x, TOP), (x, BOTTOM), "changed")
        if one.interval:
            low, high = (_y(edge, axis) for edge in one.interval)
            yield stroke((x, low), (x, high), f"span {line.look}")
    for (start, end), one in zip(pairwise(at), line.points[1:], strict=True):
        if not one.apart:
            yield stroke(start, end, f"trend {line.look}")
    for (x, y), one in zip(at, line.points, strict=True):
        hint = f"{nights[one.place]} {line.name}: {number(one.value, 2)}{', worse' * one.worse}"
        look = f"night {line.look}{' worse' * one.worse}"
        size = WORSE if one.worse else RADIUS
        yield element("circle", element("title", hint), class_=look, cx=f"{100 * x:.2f}%", cy=y, r=size)
