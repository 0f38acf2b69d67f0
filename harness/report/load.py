"""Reads a run, or a copy of its store, into what the report is built from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from harness.catalog import registry
from harness.episode import BaseTask, Task
from harness.errors import StoreError, UsageError
from harness.report import reference
from harness.report.collect import Collector
from harness.report.run_data import Aggregate, RunData, TaskData
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
        return _read(reader, path.parent.name if path.name == FILE else path.stem)


@dataclass(frozen=True, slots=True)
class _World:
    """What a task's world reported about itself.

    Attributes:
        notes: what a reader of the number must know.
        not_comparable: why the scores are not comparable with the published ones, stand-ins first.
    """

    notes: tuple[str, ...] = ()
    not_comparable: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _TaskRecord:
    """What a run's file records of one task.

    Attributes:
        config: of the run.
        chosen: the task's data source, options, version and number of samples in this run.
        facts: of the task's spec at the time of the run.
        world: what the task's world reported about itself.
        judge: name of the judge, empty when there was none.
        traits: what the run noticed about the model or the endpoints.
        unrecorded: its episodes that failed because the replayed recording lacks an answer.
    """

    config: Mapping[str, Any]
    chosen: Mapping[str, Any]
    facts: Mapping[str, Any]
    world: _World
    judge: str
    traits: Sequence[str]
    unrecorded: int


def _read(reader: Reader, run: str) -> RunData:
    config = cast("Mapping[str, Any] | None", reader.meta("config"))
    specs = cast("Mapping[str, Mapping[str, Any]] | None", reader.meta("specs"))
    if config is None or specs is None:
        raise StoreError(f"{reader.path} holds no run: give the directory of one")
    installed = {name: _task(name, facts.get("file")) for name, facts in specs.items()}
    collected = _collect(reader, installed)
    planned = reader.counts()
    tasks: dict[str, TaskData] = {}
    for name, facts in specs.items():
        record = _task_record(reader, name, config, facts)
        data = TaskData(name, str(facts["metric"]), cast(Unit, facts["unit"]), planned.get(name, 0))
        _fill(data, collected[name], record, installed[name])
        tasks[name] = data
    notes = [f"profile {config['profile']}, decoding {config['decoding']}, seed {config['seed']}"]
    if config["shard"]:
        notes.append(f"shard {config['shard'][0]}/{config['shard'][1]} of the plan")
    suites = cast("dict[str, list[str]]", config["suites"])
    missing = cast("Mapping[str, list[str]]", reader.meta("missing") or {})
    return RunData(run, str(config["model"]), tasks, suites, missing, tuple(notes))


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
) -> _TaskRecord:
    judge = cast("Mapping[str, Any] | None", reader.meta(f"judge/{name}"))
    return _TaskRecord(
        config,
        config["tasks"][name],
        facts,
        _world(reader, name),
        str(judge["judge"]) if judge else "",
        cast("list[str]", reader.meta(f"traits/{name}") or []),
        reader.unrecorded(name),
    )


def _fill(data: TaskData, collected: Collector, record: _TaskRecord, task: Task | None) -> None:
    data.source = cast(Source, record.chosen["source"])
    data.rows, data.pending = collected.columns, collected.pending
    data.infra_error = collected.infra_errors()
    data.judge = record.judge
    _installed(data, task, int(record.chosen["version"]))
    data.not_comparable = (*_not_comparable(task, record), *record.world.not_comparable)
    published = task.spec.paper_judge if task else ""
    if data.judge and published and data.judge != published:
        data.not_comparable = (*data.not_comparable, f"judged by {data.judge}, published by {published}")
    data.notes = (*data.notes, *_notes(record), *_coverage(data, record), *collected.notes())


def _coverage(data: TaskData, record: _TaskRecord) -> list[str]:
    if not record.unrecorded:
        return []
    covered = f"{data.planned - record.unrecorded}/{data.planned}"
    return [f"the recording covers {covered} episodes: the others need an answer that it does not hold"]


def _world(reader: Reader, name: str) -> _World:
    found = cast("Mapping[str, Any] | None", reader.meta(f"world/{name}"))
    if found is not None:
        reason = str(found.get("comparable") or "")
        not_comparable = [*map(str, found.get("stand_ins", ())), *([reason] if reason else [])]
        return _World(tuple(map(str, found.get("notes", ()))), tuple(not_comparable))
    # Store version 1 has them among the hashes: `note`, and under `comparable` `no (offline wiki)`.
    old = cast("Mapping[str, str]", reader.meta(f"fingerprint/{name}") or {})
    verdict = old.get("comparable", "yes")
    not_comparable = (
        [verdict.removeprefix("no").strip(" ()") or "not comparable"] if verdict.startswith("no") else []
    )
    return _World((old["note"],) if old.get("note") else (), tuple(not_comparable))


def _installed(data: TaskData, task: Task | None, version: int) -> None:
    """Use the installed task's aggregate; without it the plain mean, with a note."""
    if task is None:
        fallback: Aggregate = lambda rows: {data.metric: sum(r.value for r in rows) / len(rows)}  # noqa: E731
        data.aggregate, data.headline = fallback, Mean()
        data.notes = ("the task is not installed here: the headline is the plain mean",)
        return
    if task.spec.version != version:
        data.notes = (f"run with version {version} of the task, aggregated by version {task.spec.version}",)
    data.aggregate, data.headline = task.aggregate, task.spec.headline
    data.own_aggregate = type(task).aggregate is not BaseTask.aggregate


def _not_comparable(task: Task | None, record: _TaskRecord) -> list[str]:
    """Why a score is not comparable with the published one."""
    chosen, profile = record.chosen, record.config["profile"]
    reasons: list[str] = []
    if chosen["source"] == "fixture":
        reasons.append("fixture data")
    elif task is not None and task.spec.paper_n and chosen["count"] != task.spec.paper_n:
        reasons.append(f"{chosen['count']} samples, published on {task.spec.paper_n}")
    if profile != "paper":
        reasons.append(f"profile {profile}")
    if task is not None:
        paper = {option.name: option.paper for option in declared(task.Options)}
        changed = [key for key, value in chosen["options"].items() if paper.get(key, value) != value]
        if changed and profile == "paper":
            reasons.append(f"options {', '.join(sorted(changed))}")
    return reasons


def _notes(record: _TaskRecord) -> list[str]:
    notes: list[str] = []
    if record.chosen["source"] == "fixture":
        notes.append("FIXTURE: self-made samples, not the benchmark")
    for line, reason in cast("Mapping[str, str]", record.facts["excepts"]).items():
        notes.append(f"the task's own tests make an exception ({line}): {reason}")
    return [*notes, *record.world.notes, *record.traits]
