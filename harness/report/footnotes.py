"""Numbers the facts under a table: a line for each, and one number for all that hold for the same rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase

from harness.report.result import Report, TaskResult

SHOWN = 6
"""Further metrics shown under a table, and one that is no share beside as many shares; the JSON has all."""

OF = "of"
"""A metric of this name is the number of which the metrics before it are counts: `passed 37/812`."""

TOGETHER = 3
"""From so many tasks on a fact stands once for all; two have a line each, rather than one mark more."""

_RAISED = str.maketrans("0123456789", "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079")

Row = tuple[str, str]
"""A run, and a task or suite of it."""


class Footnotes:
    """The facts of one or more reports, numbered in the order in which their marks are asked for.

    Args:
        reports: side by side in one table.
    """

    def __init__(self, reports: Sequence[Report]) -> None:
        self._reports = reports
        every = {(report.run, name) for report in reports for name in report.tasks}
        self._common: dict[str, None] = {}
        self._facts: dict[tuple[Row, ...], dict[str, None]] = {}
        self._numbers: dict[tuple[Row, ...], int] = {}
        held = _held(reports)
        for row, text in _each(reports):
            rows = held[text]
            if set(rows) == every and _tasks(rows) > 1:
                self._common[text] = None
            else:
                self._facts.setdefault(_together(row, rows), {})[text] = None

    def mark(self, run: str, name: str) -> str:
        """Raised numbers of what holds for a task or suite of a run; empty when nothing does."""
        found = sorted(self._number(rows) for rows in self._facts if (run, name) in rows)
        return "\u00b7".join(str(n).translate(_RAISED) for n in found)

    def lines(self) -> list[str]:
        """A line for each fact, with its number and what it holds for; first those of every task."""
        common = [f"every task: {text}" for text in self._common]
        numbered = sorted((self._number(rows), rows) for rows in self._facts)
        return common + [
            f"{n} {self._whose(rows)}: {text}" for n, rows in numbered for text in self._facts[rows]
        ]

    def _number(self, rows: tuple[Row, ...]) -> int:
        return self._numbers.setdefault(rows, len(self._numbers) + 1)

    def _whose(self, rows: Sequence[Row]) -> str:
        """The names of a fact's tasks; with the runs of each where it does not hold in all that have it."""
        runs: dict[str, list[str]] = {}
        for run, name in rows:
            runs.setdefault(name, []).append(run)
        every = {name: sum(name in r.tasks or name in r.suites for r in self._reports) for name in runs}
        return ", ".join(
            name if len(where) == every[name] else f"{name} ({', '.join(where)})"
            for name, where in runs.items()
        )


def _each(reports: Sequence[Report]) -> Iterator[tuple[Row, str]]:
    return (((report.run, name), text) for report in reports for name, text in _facts(report))


def _held(reports: Sequence[Report]) -> dict[str, dict[Row, None]]:
    """Every fact with the rows for which it holds."""
    found: dict[str, dict[Row, None]] = {}
    for row, text in _each(reports):
        found.setdefault(text, {})[row] = None
    return found


def _tasks(rows: Iterable[Row]) -> int:
    return len({name for _, name in rows})


def _together(row: Row, rows: Iterable[Row]) -> tuple[Row, ...]:
    """The rows that share a mark for a fact of one of them: all, or, where few tasks have it, the task's."""
    if _tasks(rows) >= TOGETHER:
        return tuple(rows)
    return tuple(other for other in rows if other[1] == row[1])


def _facts(report: Report) -> Iterator[tuple[str, str]]:
    for result in report.tasks.values():
        name = result.data.name
        yield from ((name, note) for note in result.notes)
        if result.score is not None and result.ceiling is not None:
            yield name, f"{result.score:.2f} of {result.ceiling:.2f} reachable: the oracle's own score"
        if result.metrics:
            yield name, ("without what waits: " if result.data.pending else "") + further(result)
    for suite in report.suites.values():
        yield from ((suite.name, note) for note in suite.notes)


def further(result: TaskResult) -> str:
    """A task's other metrics; when the headline is in percent, those that are not are listed separately.

    In percent are the scores under both profiles and what the task declares as shares (`TaskSpec.shares`).
    Of others no unit is known: 0.8 may be a count's mean.
    """
    percent = result.data.unit == "percent"
    shares = _declared(result) if percent else []
    scale = 100.0 if percent else 1.0
    told = {key: value for key, value in result.metrics.items() if "/" not in key}
    both = {key: told.pop(key) for key in ("paper", "fixed") if key in told}
    keys = list(told)
    counts = keys[: keys.index(OF)] if OF in told else []
    whole = told.pop(OF, 0.0)
    others = [key for key in told if key not in shares and key not in counts]
    first = [f"{key} {value * scale:.2f}" for key, value in both.items()]
    first += [f"{key} {told[key] * scale:.2f}" for key in told if key in shares]
    rest = [f"{key} {told[key]:g}/{whole:g}" for key in counts]
    rest += [f"{key} {told[key]:.4g}" for key in others]
    first, rest = first[:SHOWN], rest[: max(1, SHOWN - len(first))]
    more = len(result.metrics) - len(first) - len(rest) - (OF in result.metrics)
    if rest and percent:
        rest[0] = f"not in percent: {rest[0]}"
    hidden = f"{more} more metric{'s' * (more > 1)} with --format json" if more else ""
    return "; ".join(filter(None, (", ".join(first), ", ".join(rest), hidden)))


def _declared(result: TaskResult) -> list[str]:
    """The metrics that the task says are shares of 1."""
    patterns = result.data.shares
    return [key for key in result.metrics if any(fnmatchcase(key, pattern) for pattern in patterns)]
