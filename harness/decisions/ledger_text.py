"""Writes the newest nights of a ledger as lines of text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date

from harness.decisions.ledger import Night, NightTask, changes
from harness.report.layout import NONE, number

WIDTH = 12
MARK = "* model, server, harness or settings changed since the night before"
WORSE = ("regression", "suspect")
"""Verdicts on a task that are marked."""


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
    names = names_of(shown)
    width = max(len(night.verdict) for night in shown)
    cells = "  ".join(f"{name[:WIDTH]:>{WIDTH}}" for name in names)
    yield f"  {'date':<10}  {'verdict':<{width}}  {cells}"
    for night, mark in zip(shown, changed, strict=True):
        cells = "  ".join(f"{score_text(night.tasks.get(name)):>{WIDTH}}" for name in names)
        yield f"{'*' if mark else ' '} {night.date:<10}  {night.verdict:<{width}}  {cells}"
    if any(changed):
        yield MARK
    if quiet := silence(nights, today):
        yield quiet


def names_of(nights: Sequence[Night]) -> list[str]:
    """The tasks of some nights."""
    return list(dict.fromkeys(name for night in nights for name in night.tasks))


def score_text(task: NightTask | None) -> str:
    """A task's score, `!` behind one that was found worse."""
    if task is None or task.score is None:
        return NONE
    return f"{number(task.score, 2)}{'!' if task.verdict in WORSE else ''}"
