"""The parts of a report that options add below its table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from harness.errors import UsageError
from harness.report import endpoints, failures, leaks, reference
from harness.report.load import find_store
from harness.report.result import Report, Section
from harness.storage.reader import Reader


def add(report: Report, name: str | None, results: Path, wanted: Iterable[str]) -> None:
    """Read sections from a run's store and add them to its report.

    Args:
        report: of the run.
        name: under which the run was found.
        results: folder of runs.
        wanted: names of SECTIONS.

    Raises:
        UsageError: the report is a published model's.
    """
    chosen = list(wanted)
    if chosen and name is not None and name.startswith(reference.PREFIX):
        raise UsageError(f"{name} is a published model without episodes: leave --{chosen[0]} out")
    if not chosen:
        return
    with Reader(find_store(name, results)) as reader:
        report.sections += [SECTIONS[one](reader, report) for one in chosen]


def _failures(reader: Reader, report: Report) -> Section:
    found = failures.read(reader, report.tasks)
    return Section("failures", list(failures.lines(found)), failures.facts(found))


def _leaks(_: Reader, report: Report) -> Section:
    found = leaks.split(report.tasks)
    return Section("leaks", list(leaks.lines(found)), leaks.facts(found))


def _endpoints(reader: Reader, _: Report) -> Section:
    found = endpoints.read(reader)
    return Section("endpoints", list(endpoints.lines(found)), endpoints.facts(found))


SECTIONS: Mapping[str, Callable[[Reader, Report], Section]] = {
    "failures": _failures,
    "leaks": _leaks,
    "endpoints": _endpoints,
}
"""What may be asked for, by the name of its option."""
