"""A plot with what is said about it and its numbers as a table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.report.html.markup import EMPTY, Markup, element, joined
from harness.report.result import Report

COLOURS = 6
"""Colours that all eyes tell apart; the letter of a run says which one it is when they begin again."""


@dataclass(frozen=True, slots=True)
class Run:
    """A report with the letter and the style that mark it in plots; a single run has no letter."""

    report: Report
    letter: str
    look: str

    @property
    def named(self) -> str:
        """Letter and name."""
        return f"{self.letter} {self.report.run}".strip()


def runs_of(reports: Sequence[Report]) -> list[Run]:
    """Give every report its letter and colour."""
    alone = len(reports) == 1
    return [Run(one, "" if alone else _letter(n), f"c{n % COLOURS}") for n, one in enumerate(reports)]


def _letter(n: int) -> str:
    """A to Z, then AA, AB and so on."""
    return (_letter(n // 26 - 1) if n >= 26 else "") + chr(ord("A") + n % 26)


def key(run: Run) -> Markup:
    """A run's swatch and letter; empty for a single run."""
    return element("b", run.letter, class_=f"key {run.look}") if run.letter else EMPTY


@dataclass(frozen=True, slots=True)
class Figure:
    """A plot.

    Attributes:
        lead: how to read it.
        legend: what its marks and colours mean.
        header, rows: its numbers; the first `names` columns are words.
    """

    title: str
    lead: str
    drawing: Markup
    header: Sequence[str]
    rows: Iterable[Sequence[str]]
    names: int = 1
    legend: Markup = EMPTY

    def html(self, place: str) -> Markup:
        """The figure, its id being `place`."""
        numbers = element("details", element("summary", "Numbers"), self._table())
        legend = element("p", self.legend, class_="legend") if self.legend else EMPTY
        head = [element("h2", self.title, id=f"{place}-title"), element("p", self.lead, class_="lead")]
        return element(
            "section", *head, legend, self.drawing, numbers, id=place, aria_labelledby=f"{place}-title"
        )

    def _table(self) -> Markup:
        head = [element("th", cell, class_=self._look(n), scope="col") for n, cell in enumerate(self.header)]
        lines = [element("tr", *map(self._cell, range(len(row)), row)) for row in self.rows]
        whole = element("thead", element("tr", *head)), element("tbody", joined(lines, "\n"))
        return scrolled(element("table", *whole), f"{self.title}: numbers")

    def _cell(self, n: int, text: str) -> Markup:
        return element("td", text, class_=self._look(n))

    def _look(self, n: int) -> str:
        return "" if n < self.names else "num"


def scrolled(table: Markup, name: str) -> Markup:
    """A table that scrolls within itself where it is wider than the page."""
    return element("div", table, class_="wide", tabindex="0", role="region", aria_label=name)
