"""Writes the newest nights of a ledger as lines of text, or as a table and lines in HTML."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from html import escape

from harness.decisions.ledger import Night, NightTask, changes
from harness.report.layout import NONE, number

WIDTH = 12
MARK = "* model, server, harness or settings changed since the night before"
STEP, HEIGHT = 24, 80
"""Pixels between two nights, and of a chart."""


def silence(nights: Sequence[Night], today: date) -> str:
    """Says since when no night was played; empty while the newest is of today or yesterday."""
    try:
        last = max(date.fromisoformat(night.date) for night in nights)
    except ValueError:  # no night, or a date that was written by hand
        return ""
    days = (today - last).days
    return f"NO NIGHT SINCE {last}: {days} days" if days > 1 else ""


def lines(nights: Sequence[Night], newest: int, today: date) -> Iterator[str]:
    """The newest nights as a table; `*` marks one whose manifest changed, `!` a worse score."""
    shown, changed = nights[-newest:], changes(nights)[-newest:]
    if not shown:
        yield "no night yet"
        return
    names = _names(shown)
    width = max(len(night.verdict) for night in shown)
    cells = "  ".join(f"{name[:WIDTH]:>{WIDTH}}" for name in names)
    yield f"  {'date':<10}  {'verdict':<{width}}  {cells}"
    for night, mark in zip(shown, changed, strict=True):
        cells = "  ".join(f"{_score(night.tasks.get(name)):>{WIDTH}}" for name in names)
        yield f"{'*' if mark else ' '} {night.date:<10}  {night.verdict:<{width}}  {cells}"
    if any(changed):
        yield MARK
    if quiet := silence(nights, today):
        yield quiet


def _names(nights: Sequence[Night]) -> list[str]:
    return list(dict.fromkeys(name for night in nights for name in night.tasks))


def _score(task: NightTask | None) -> str:
    if task is None or task.score is None:
        return NONE
    return f"{number(task.score, 2)}{'!' if task.verdict in ('regression', 'suspect') else ''}"


def html(nights: Sequence[Night], newest: int, today: date) -> str:
    """A page with the table and a line through each task's nights, broken where a manifest changed."""
    shown, changed = nights[-newest:], changes(nights)[-newest:]
    names = _names(shown)
    head = "".join(f"<th>{escape(name)}</th>" for name in ("date", "verdict", *names))
    rows = "\n".join(_row(night, names, mark=mark) for night, mark in zip(shown, changed, strict=True))
    charts = "\n".join(_chart(name, shown, changed) for name in names)
    quiet = f"<p class=quiet>{text}</p>\n" if (text := silence(nights, today)) else ""
    style = "td,th{padding:2px 8px;text-align:right}polyline{fill:none;stroke:currentColor}"
    style += ".quiet{color:#b00020;font-weight:bold}"
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>nights</title>'
        f"<style>{style}</style>\n<table><tr>{head}</tr>\n{rows}\n</table>\n<p>{MARK}</p>\n{quiet}{charts}\n</html>\n"
    )


def _row(night: Night, names: Sequence[str], *, mark: bool) -> str:
    cells = [("* " if mark else "") + night.date, night.verdict]
    cells += [_score(night.tasks.get(name)) for name in names]
    return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"


def _chart(name: str, nights: Sequence[Night], changed: Sequence[bool]) -> str:
    """A task's scores from its lowest to its highest; nights without a score break the line as well."""
    scores = [task.score if (task := night.tasks.get(name)) else None for night in nights]
    known = [score for score in scores if score is not None]
    if not known:
        return ""
    low, span = min(known), (max(known) - min(known)) or 1.0
    parts: list[list[str]] = [[]]
    for place, (score, mark) in enumerate(zip(scores, changed, strict=True)):
        if mark or score is None:
            parts.append([])
        if score is not None:
            y = HEIGHT - 10 - (HEIGHT - 20) * (score - low) / span
            parts[-1].append(f"{STEP * place + 10},{y:.1f}")
    drawn = "".join(f'<polyline points="{" ".join(points)}"/>' for points in parts if points)
    title = f"<title>{escape(name)}: {low:.2f} to {max(known):.2f}</title>"
    width = STEP * len(nights) + 20
    size = f'width="{width}" height="{HEIGHT}" viewBox="0 0 {width} {HEIGHT}"'
    return f'<h2>{escape(name)}</h2><svg {size} role="img">{title}{drawn}</svg>'
