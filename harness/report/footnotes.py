"""Numbers the facts under a table: one line for each, however many tasks and runs it holds for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.report.result import Report, TaskResult

SHOWN = 6
"""Further metrics shown under a table; all of them are in the JSON."""

OF = "of"
"""A metric of this name is the number of which the metrics before it are counts: `passed 37/812`."""

_RAISED = str.maketrans("0123456789", "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079")


class Footnotes:
    """The facts of one or more reports, numbered in the order in which their marks are read.

    Args:
        reports: side by side in one table.
    """

    def __init__(self, reports: Sequence[Report]) -> None:
        self._several = len(reports) > 1
        self._facts: dict[str, dict[tuple[str, str], None]] = {}
        for report in reports:
            for name, text in _facts(report):
                self._facts.setdefault(text, {})[report.run, name] = None

    def mark(self, run: str, name: str) -> str:
        """Raised numbers of what holds for a task or suite of a run; empty when nothing does."""
        found = [n for n, whose in enumerate(self._facts.values(), start=1) if (run, name) in whose]
        return "\u00b7".join(str(n).translate(_RAISED) for n in found)

    def lines(self) -> list[str]:
        """A line for each fact, with its number and what it holds for."""
        return [f"{n} {self._whose(whose)}: {text}" for n, (text, whose) in enumerate(self._facts.items(), 1)]

    def _whose(self, whose: dict[tuple[str, str], None]) -> str:
        """The names of a fact's tasks; where several runs stand side by side, with the run of each."""
        if not self._several:
            return ", ".join(name for _, name in whose)
        runs: dict[str, list[str]] = {}
        for run, name in whose:
            runs.setdefault(name, []).append(run)
        return ", ".join(f"{name} ({', '.join(where)})" for name, where in runs.items())


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
    """A task's other metrics; beside a headline in percent, those that are not are set apart and named so.

    The scores under both profiles have the headline's unit. Of others no unit is known: a task may mean a
    share or a count by 0.8.
    """
    percent = result.data.unit == "percent"
    scale = 100.0 if percent else 1.0
    both = [f"{key} {result.metrics[key] * scale:.2f}" for key in ("paper", "fixed") if key in result.metrics]
    rest = [key for key in result.metrics if key not in ("paper", "fixed") and "/" not in key]
    counts = rest.index(OF) if OF in rest else 0
    every = [f"{key} {result.metrics[key]:g}/{result.metrics[OF]:g}" for key in rest[:counts]]
    every += [f"{key} {result.metrics[key]:.4g}" for key in rest[counts:] if key != OF]
    other = every[: SHOWN - len(both)]
    more = len(result.metrics) - len(both) - len(other) - (OF in rest)
    if other and percent:
        other[0] = f"not in percent: {other[0]}"
    hidden = f"{more} more metrics with --format json" if more else ""
    return "; ".join(filter(None, (", ".join(both), ", ".join(other), hidden)))
