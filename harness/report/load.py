"""Reads a run, or a copy of its store, into what the report is built from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from harness.catalog import registry
from harness.episode import BaseTask, Task
from harness.errors import StoreError, UsageError
from harness.report import reference
from harness.report.collect import Collector
from harness.report.conditions import Conditions, overridden
from harness.report.head import head
from harness.report.run_data import Aggregate, RunData, TaskData
from harness.report.task_record import TaskRecord, WorldRecord, coverage, notes, technical
from harness.storage.reader import Reader, Texts
from harness.types import Mean, Source, Unit
from harness.types.options import declared

FILE = "run.sqlite"
RESULTS = Path("results/runs")


def find(name: str | None, results: Path = RESULTS) -> Path:
    """Find a run directory by path or name; None takes the newest.

    Raises:
        UsageError: there is none.
    """
    if name is None:
        found = sorted(results.glob(f"*/{FILE}"), key=lambda path: path.stat().st_mtime)
        if not found:
            raise UsageError(f"no run under {results}: harness run --model oracle --suite demo makes one")
        return found[-1].parent
    for candidate in (Path(name), results / name):
        if (candidate / FILE).is_file():
            return candidate
    known = [path.parent.name for path in results.glob(f"*/{FILE}")]
    if known:
        raise registry.nearest(name, known, "run")
    raise UsageError(f"{name} holds no {FILE}: give a run directory, a copied store, or reference:NAME")


def find_store(name: str | None, results: Path = RESULTS) -> Path:
    """Find the store of the run that `find` finds, or a copy of a store by its path.

    Raises:
        UsageError: there is none.
    """
    try:
        return find(name, results) / FILE
    except UsageError:
        if name is None or not Path(name).is_file():
            raise
        return Path(name)


def load(name: str | None, results: Path = RESULTS) -> RunData:
    """Read a run, a copy of its store, or a published model when `name` starts with `reference:`.

    Raises:
        UsageError: there is no such run.
        StoreError: its file cannot be read, or holds no run.
    """
    if name is not None and name.startswith(reference.PREFIX):
        return reference.as_run(name)
    path = find_store(name, results)
    with Reader(path) as reader:
        return _read(reader, path.absolute().parent.name if path.name == FILE else path.stem)


def _read(reader: Reader, run: str) -> RunData:
    config = cast("Mapping[str, Any] | None", reader.meta("config"))
    specs = cast("Mapping[str, Mapping[str, Any]] | None", reader.meta("specs"))
    if config is None or specs is None:
        raise StoreError(f"{reader.path} holds no run: give the directory of one")
    installed = {name: _task(name, facts.get("file")) for name, facts in specs.items()}
    collected = _collect(reader, installed)
    planned, costs = reader.counts(), reader.cost()
    tasks: dict[str, TaskData] = {}
    for name, facts in specs.items():
        record = _task_record(reader, name, config, facts)
        data = TaskData(name, str(facts["metric"]), cast(Unit, facts["unit"]), planned.get(name, 0))
        data.cost = costs.get(name)
        _fill(data, collected[name], record, installed[name])
        tasks[name] = data
    suites = cast("dict[str, list[str]]", config["suites"])
    missing = cast("Mapping[str, list[str]]", reader.meta("missing") or {})
    told = head(reader, config, {name: data.conditions for name, data in tasks.items()})
    return RunData(run, str(config["model"]), tasks, suites, missing, head=told)


def _task(name: str, file: str | None) -> Task | None:
    """The installed task, or the question set that was run if its file is still there."""
    if name in registry.names():
        return registry.load(name)
    try:
        return registry.load(registry.named(file)) if file else None
    except UsageError:
        return None


def _collect(reader: Reader, installed: Mapping[str, Task | None]) -> dict[str, Collector]:
    """Sort the file's attempts by task; those of tasks that the run does not name are skipped."""
    file = str(reader.path)
    found = {
        name: Collector(file, task.old_labels if task else lambda sample, metrics: {})
        for name, task in installed.items()
    }
    for attempt in reader.episodes():
        if attempt.task in found:
            found[attempt.task].add(attempt)
    path = reader.path
    for collector in found.values():
        collector.columns.sort()
        collector.columns.texts = lambda ids: _texts(path, ids)
    return found


def _texts(path: Path, ids: Sequence[int]) -> Mapping[int, Texts]:
    with Reader(path) as reader:
        return reader.texts(ids)


def _task_record(
    reader: Reader, name: str, config: Mapping[str, Any], facts: Mapping[str, Any]
) -> TaskRecord:
    judge = cast("Mapping[str, Any] | None", reader.meta(f"judge/{name}"))
    return TaskRecord(
        config,
        config["tasks"][name],
        facts,
        _world(reader, name),
        str(judge["judge"]) if judge else "",
        Conditions(reader.meta(f"traits/{name}") or (), reader.meta(f"counts/{name}")),
        cast("Mapping[str, Any]", reader.meta("chosen") or {}).get(name),
        reader.unrecorded(name),
        len(cast("Mapping[str, list[str]]", reader.meta("code") or {}).get(name, ())),
        str(cast("Mapping[str, Any]", reader.meta("model") or {}).get("comparable") or ""),
    )


def _fill(data: TaskData, collected: Collector, record: TaskRecord, task: Task | None) -> None:
    data.source = cast(Source, record.chosen["source"])
    data.rows, data.pending, data.waiting = collected.columns, collected.pending, collected.waiting
    data.infra_error = collected.infra_errors()
    data.judge, data.conditions = record.judge, record.conditions
    _installed(data, task, int(record.chosen["version"]))
    data.not_comparable = (
        *_not_comparable(task, record),
        *record.world.not_comparable,
        *record.conditions.against_paper(),
    )
    published = task.spec.paper_judge if task else ""
    if data.judge and published and data.judge != published:
        data.not_comparable = (*data.not_comparable, f"judged by {data.judge}, published by {published}")
    data.notes = (*data.notes, *notes(record, data.rows), *coverage(data.planned, record), *collected.notes())
    data.technical = technical(record)
    if task is not None and record.whole:
        data.ceiling = task.spec.ceiling.get((record.config["profile"], data.source))


def _world(reader: Reader, name: str) -> WorldRecord:
    found = cast("Mapping[str, Any] | None", reader.meta(f"world/{name}"))
    if found is not None:
        reason = str(found.get("comparable") or "")
        not_comparable = [*map(str, found.get("stand_ins", ())), *([reason] if reason else [])]
        return WorldRecord(tuple(map(str, found.get("notes", ()))), tuple(not_comparable))
    # Store version 1 has them among the hashes: `note`, and under `comparable` `no (offline wiki)`.
    old = cast("Mapping[str, str]", reader.meta(f"fingerprint/{name}") or {})
    verdict = old.get("comparable", "yes")
    not_comparable = (
        [verdict.removeprefix("no").strip(" ()") or "not comparable"] if verdict.startswith("no") else []
    )
    return WorldRecord((old["note"],) if old.get("note") else (), tuple(not_comparable))


def _installed(data: TaskData, task: Task | None, version: int) -> None:
    """Use the installed task's aggregate; without it the plain mean, with a note."""
    if task is None:
        fallback: Aggregate = lambda rows: {data.metric: sum(r.value for r in rows) / len(rows)}  # noqa: E731
        data.aggregate, data.headline = fallback, Mean()
        data.notes = ("the task is not installed here: the headline is the plain mean",)
        return
    if task.spec.version != version:
        data.notes = (f"run with version {version} of the task, aggregated by version {task.spec.version}",)
    data.aggregate, data.headline, data.shares = task.aggregate, task.spec.headline, task.spec.shares
    data.own_aggregate = type(task).aggregate is not BaseTask.aggregate
    if "embedder" in task.spec.roles and "judge" not in task.spec.roles:
        data.valued_by = "--role embedder=NAME@URL"


def _not_comparable(task: Task | None, record: TaskRecord) -> list[str]:
    """Why a score is not comparable with the published one."""
    chosen, profile = record.chosen, record.config["profile"]
    reasons = [record.model] if record.model else []
    if chosen["source"] == "fixture":
        reasons.append("fixture data")
    elif task is not None and task.spec.paper_n and chosen["count"] != task.spec.paper_n:
        reasons.append(f"{chosen['count']} samples, published on {task.spec.paper_n}")
    if profile != "paper":
        reasons.append(f"profile {profile}")
    if told := overridden(record.config):
        reasons.append(f"asked with {told}")
    if task is not None:
        paper = {option.name: option.paper for option in declared(task.Options)}
        changed = [key for key, value in chosen["options"].items() if paper.get(key, value) != value]
        if changed and profile == "paper":
            reasons.append(f"options {', '.join(sorted(changed))}")
    return reasons
