"""Puts the tables and plots of reports together as one page that needs no script and no network."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from importlib.resources import files

from harness.report.html.costs import costs
from harness.report.html.figure import Figure, Run, key, runs_of, scrolled
from harness.report.html.groups import groups
from harness.report.html.markup import EMPTY, Markup, element, joined
from harness.report.html.outcomes import outcomes
from harness.report.html.radar import radar
from harness.report.html.scores import overalls, scores
from harness.report.html.spread import spread
from harness.report.layout import NONE, Line, Table, plain
from harness.report.result import Report

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
WORDS = ("task", "metric")
"""Columns of a report's table that hold text."""
OPEN = 2
"""Runs whose heads are shown unfolded."""

_CELL = re.compile(r"(\S+)( \[[^\]]*\])?(.*)", re.DOTALL)


def page(reports: Sequence[Report], table: Table, more: Sequence[Figure] = ()) -> str:
    """Write reports as a page.

    Args:
        reports: side by side.
        table: the reports laid out.
        more: figures below those of the reports.
    """
    runs = runs_of(reports)
    drawn = [make(runs) for make in (scores, groups, overalls, radar, outcomes, spread, costs)]
    figures = [figure for figure in drawn if figure] + list(more)
    parts = [
        _header(runs, figures),
        _heads(runs),
        _results(table, runs),
        _notes(table.notes),
        *_placed(figures),
    ]
    if table.episodes:
        parts.append(_listing(table.episodes))
    return document(table.title, parts)


def document(title: str, parts: Iterable[Markup]) -> str:
    """A whole page of parts."""
    head = [
        Markup('<meta charset="utf-8">'),
        Markup('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'),
        element("title", title),
        Markup(f"<style>\n{_style()}</style>"),
    ]
    body = element("main", joined(parts, "\n"))
    return f'<!doctype html>\n<html lang="en"><head>{joined(head)}</head>\n<body>{body}</body></html>'


def figures_page(title: str, figures: Sequence[Figure]) -> str:
    """A page of figures without a report."""
    return document(title, [element("h1", title), *_placed(figures)])


@cache
def _style() -> str:
    return files("harness.report.html").joinpath("style.css").read_text(encoding="utf-8")


def _placed(figures: Sequence[Figure]) -> Iterator[Markup]:
    yield from (figure.html(f"plot-{n}") for n, figure in enumerate(figures, start=1))


def _header(runs: Sequence[Run], figures: Sequence[Figure]) -> Markup:
    """The names of the runs, and links to what is below."""
    if len(runs) == 1:
        report = runs[0].report
        named = [element("h1", report.run), element("p", report.model, class_="model"), _state(report)]
    else:
        lines = [
            element(
                "li",
                key(run),
                " ",
                element("b", run.report.run),
                " ",
                run.report.model,
                " ",
                _state(run.report),
            )
            for run in runs
        ]
        named = [
            element("h1", f"{len(runs)} runs side by side"),
            element("ul", *lines, class_="runs", id="runs"),
        ]
    links = [("results", "Results"), ("notes", "Notes")]
    links += [(f"plot-{n}", figure.title) for n, figure in enumerate(figures, start=1)]
    nav = element(
        "nav", *(element("a", name, href=f"#{place}") for place, name in links), aria_label="on this page"
    )
    return element("header", *named, nav)


def _state(report: Report) -> Markup:
    """Whether a run is complete, measured at all, and on the benchmark's own samples."""
    results = report.tasks.values()
    if results and all(result.data.published is not None for result in results):
        return element("span", "published scores", class_="chip")
    found = element(
        "span",
        "complete" if report.complete else "incomplete",
        class_=f"chip{' bad' * (not report.complete)}",
    )
    if any(result.data.source == "fixture" for result in results):
        found = joined([found, " ", element("span", "fixture: not the benchmark", class_="chip warn")])
    return found


def _heads(runs: Sequence[Run]) -> Markup:
    """How each run was made; facts that all runs share are listed once."""
    heads = [dict(run.report.head) for run in runs]
    shared = {name for name, text in heads[0].items() if all(head.get(name) == text for head in heads[1:])}
    if len(runs) == 1:
        shared.clear()
    blocks = [_facts("all runs", [(n, t) for n, t in heads[0].items() if n in shared])] if shared else []
    for run, head in zip(runs, heads, strict=True):
        own = [(name, text) for name, text in head.items() if name not in shared]
        if own:
            blocks.append(_facts(run.named if run.letter else "", own))
    if not blocks:
        return EMPTY
    many = "" if len(runs) > 1 else " one"
    inside = [element("summary", "How it was run"), element("div", *blocks, class_=f"heads{many}")]
    return element("details", *inside, id="head", open="open" if len(runs) <= OPEN else None)


def _facts(name: str, facts: Iterable[tuple[str, str]]) -> Markup:
    pairs = [element("div", element("dt", name), element("dd", text)) for name, text in facts]
    heading = [element("h2", name)] if name else []
    return element("div", *heading, element("dl", *pairs))


def _results(table: Table, runs: Sequence[Run]) -> Markup:
    lettered = bool(runs[0].letter)
    cells = [
        element(
            "th",
            *([key(runs[n - 1]), " "] if lettered and n else []),
            cell,
            class_=_look(table, n),
            scope="col",
        )
        for n, cell in enumerate(table.header)
    ]
    lines = [_line(line, table, split=lettered) for line in table.lines]
    rows = element("thead", element("tr", *cells)), element("tbody", joined(lines, "\n"))
    made = element("table", *rows, class_="several" if lettered else "alone")
    inside = [element("h2", "Results", id="results-title"), scrolled(made, "Results: table")]
    return element("section", *inside, id="results", aria_labelledby="results-title")


def _look(table: Table, n: int) -> str:
    return "" if table.header[n] in WORDS else "num"


def _line(line: Line, table: Table, *, split: bool) -> Markup:
    first, *others = line.cells
    width = len(table.header)
    if not others:
        heading = element("th", first.strip(), scope="rowgroup", colspan=width)
        return element("tr", heading, class_=line.kind)
    inner = "inner" if line.kind == "task" and first.startswith("    ") else ""
    cells = [element("th", first.strip(), scope="row", class_=inner)]
    for n, cell in enumerate(others, start=1):
        span = width - n if n == len(others) else 1
        inside = _split(cell.strip()) if split else [cell.strip()]
        cells.append(element("td", *inside, class_=_look(table, n), colspan=span if span > 1 else None))
    return element("tr", *cells, class_=line.kind)


def _split(cell: str) -> Sequence[str]:
    """A run's cell: its score, then its remarks in small print."""
    found = _CELL.fullmatch(cell)
    if not found or cell == NONE:
        return [cell]
    rest = "".join(part or "" for part in found.groups()[1:])
    return [found[1], *([element("small", rest)] if rest.strip() else [])]


def _notes(notes: Sequence[str]) -> Markup:
    lines = [element("li", note, class_="warn" if "FIXTURE" in note else "") for note in notes]
    inside = element("ul", *lines) if lines else element("p", "None.")
    return element(
        "section", element("h2", "Notes", id="notes-title"), inside, id="notes", aria_labelledby="notes-title"
    )


def _listing(lines: Sequence[str]) -> Markup:
    text = joined([plain(line) for line in lines], "\n")
    inside = element("pre", text, tabindex="0")
    return element("section", element("h2", "Listing", id="listing-title"), inside, id="listing")
