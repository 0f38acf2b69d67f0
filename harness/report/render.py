"""Writes reports as text, Markdown, CSV, JSON, LaTeX or one HTML page."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

from harness.report import latex
from harness.report.columns import with_texts
from harness.report.document import pieces
from harness.report.layout import Table, layout
from harness.report.result import Report, TaskResult
from harness.report.widths import rows
from harness.report.widths import width as _width

if TYPE_CHECKING:
    from pandas import DataFrame  # pyright: ignore[reportMissingTypeStubs]

    from harness.report.html.figure import Figure

Format = Literal["table", "md", "csv", "json", "html", "latex"]


def render(
    reports: Sequence[Report], form: Format, *, episodes: bool = False, more: Sequence[Figure] = ()
) -> str:
    """Write one or more reports; several become columns side by side.

    Args:
        reports: all built with the same rules.
        form: `json` is a list when there are several reports (`document.pieces` gives it in pieces).
        episodes: add a line per episode (always there in JSON; `csv` becomes a row per episode).
        more: further figures of an HTML page.
    """
    if form == "json":
        return "".join(pieces(reports))
    if form == "csv":
        made: Any = episode_frame(reports) if episodes else frame(reports)
        return str(made.to_csv(index=False, lineterminator="\n")).rstrip("\n")
    table = layout(reports, episodes=episodes)
    if form == "md":
        return "\n".join(_markdown(table))
    if form == "latex":
        return "\n".join(latex.lines(table))
    if form == "html":
        from harness.report.html.page import page

        return page(reports, table, more)
    return "\n".join(_text(table)).rstrip()


def show(reports: Sequence[Report], *, episodes: bool = False) -> None:
    """Print the table to a terminal, with its emphasis and within its width where that is possible."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    table = layout(reports, episodes=episodes)
    styles = {"head": "bold cyan", "task": "", "total": "bold"}
    drawn = rows(table, console.width)
    emphasis = ["underline", *(styles[line.kind] for line in table.lines)]

    def say(text: str, style: str = "") -> None:
        console.print(Text(text, style), soft_wrap=True)  # what is too wide wraps: it never loses a number

    say(table.title, "bold")
    for text in _head(table):
        say(_wrapped(text, console.width))
    say("")
    for text, style in zip(drawn, emphasis, strict=True):
        say(text, style)
    for note in ["", *table.notes]:
        say(_wrapped(note, console.width), "bold yellow" if "FIXTURE" in note else "dim")
    for text in table.episodes:
        say(text)


def _wrapped(text: str, columns: int) -> str:
    """A long line broken between words; the following lines are indented."""
    lines = textwrap.wrap(
        text, columns, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
    )
    return "\n".join(lines)


def frame(reports: Sequence[Report]) -> DataFrame:
    """All results in long form, in full precision: a row for each run, task and number.

    Rows without a task say what the head says; `overall:SUITE` names a suite.
    """
    import pandas as pd  # pyright: ignore[reportMissingTypeStubs]

    found: list[tuple[str, str, str, str, Any]] = []
    for report in reports:
        whose = report.run, report.model
        found += [(*whose, "", name, text) for name, text in report.head.items()]
        for name, result in report.tasks.items():
            found += [(*whose, name, key, value) for key, value in _numbers(result)]
        for suite in report.suites.values():
            told = {"metric": suite.overall_name, "overall": suite.overall, "relative": suite.relative}
            for key, value in (told | {"partial": suite.partial}).items():
                found.append((*whose, f"overall:{suite.name}", key, value))
    told_rows = [row for row in found if row[-1] is not None]
    return pd.DataFrame(told_rows, columns=["run", "model", "task", "metric", "value"], dtype=object)


def _numbers(result: TaskResult) -> Iterator[tuple[str, Any]]:
    """A task's numbers by name: its headline as `score`, its other metrics as `metric:NAME`."""
    facts = result.facts()
    low, high = result.ci or (None, None)
    for nested in ("ci", "metrics", "notes", "repeats", "by"):
        facts.pop(nested, None)
    source = result.data.source if result.data.published is None else "published"
    yield from {**facts, "low": low, "high": high, "source": source}.items()
    yield from ((f"metric:{key}", value) for key, value in result.metrics.items())
    yield from ((f"by:{group.label}={group.value}", group.score) for group in result.groups)
    for one in result.repeats.passes if result.repeats else ():
        yield from ((f"pass@{one.k}", one.any), (f"pass^{one.k}", one.all))


def episode_frame(reports: Sequence[Report]) -> DataFrame:
    """All counted episodes as a data frame."""
    import pandas as pd  # pyright: ignore[reportMissingTypeStubs]

    return pd.DataFrame(
        [
            {
                "run": report.run,
                "task": result.data.name,
                "sample": row.sample,
                "repeat": row.repeat,
                "outcome": row.outcome,
                "value": row.value,
                **{f"metric:{key}": value for key, value in row.metrics.items()},
                **(texts._asdict() if any(texts) else {}),
            }
            for report in reports
            for result in report.tasks.values()
            for row, texts in with_texts(result.data.rows)
        ],
        columns=None if any(t.data.rows for r in reports for t in r.tasks.values()) else ["run", "task"],
    )


def _text(table: Table) -> list[str]:
    first, *others = rows(table)
    rule = "-" * max(_width(text) for text in (first, *others))
    return [table.title, *_head(table), "", first, rule, *others, "", *table.notes, *table.episodes]


def _head(table: Table) -> list[str]:
    return [f"{name}: {text}" for name, text in table.head]


def _markdown(table: Table) -> list[str]:
    def escaped(text: str) -> str:
        return html.escape(text.strip(), quote=False).replace("|", "\\|").replace("*", "\\*")

    width = len(table.header)
    lines = [f"**{escaped(table.title)}**", ""]
    lines += [f"- {escaped(name)}: {escaped(text)}" for name, text in table.head] + [""] * bool(table.head)
    lines += [f"| {' | '.join(table.header)} |", "|" + " --- |" * width]
    for line in table.lines:
        cells = [escaped(cell) for cell in line.cells] + [""] * (width - len(line.cells))
        if line.kind != "task":
            cells = [f"**{cell}**" if cell else "" for cell in cells]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", *(f"- {escaped(note)}" for note in table.notes)]
    return lines + (["", "```", *table.episodes, "```"] if table.episodes else [])
