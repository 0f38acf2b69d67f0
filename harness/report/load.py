"""Reads a run directory into what the report is built from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from harness import registry
from harness.episode import BaseTask, Task
from harness.errors import UsageError
from harness.report import reference
from harness.report.model import Aggregate, RunData, TaskData
from harness.store import Item, Store, Stored
from harness.types import Source, TaskSpec, Unit
from harness.types.options import declared

FILE = "run.sqlite"
PAPER_JUDGE = "gpt-4-0613"
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
    raise UsageError(f"{name} holds no {FILE}: give a run directory, or reference:NAME")


def load(name: str | None, results: Path = RESULTS) -> RunData:
    """Read a run, or a published model when `name` starts with `reference:`."""
    if name is not None and name.startswith(reference.PREFIX):
        return reference.as_run(name)
    directory = find(name, results)
    store = Store(directory / FILE, readonly=True)
    try:
        return _read(store, directory)
    finally:
        store.close()


def _read(store: Store, directory: Path) -> RunData:
    config: Mapping[str, Any] = store.meta("config")
    specs: Mapping[str, Mapping[str, Any]] = store.meta("specs")
    planned = Counter(item.task for item in store.planned())
    attempts = list(store.attempts())
    tasks = {
        name: _task(store, name, facts, config, planned[name], [a for a in attempts if a.item.task == name])
        for name, facts in specs.items()
    }
    notes = [f"profile {config['profile']}, decoding {config['decoding']}, seed {config['seed']}"]
    if config["shard"]:
        notes.append(f"shard {config['shard'][0]}/{config['shard'][1]} of the plan")
    suites = cast("dict[str, list[str]]", config["suites"])
    missing = cast("Mapping[str, list[str]]", store.meta("missing") or {})
    return RunData(directory.name, str(config["model"]), tasks, suites, missing, tuple(notes))


def _task(
    store: Store,
    name: str,
    facts: Mapping[str, Any],
    config: Mapping[str, Any],
    planned: int,
    attempts: list[Stored],
) -> TaskData:
    chosen: Mapping[str, Any] = config["tasks"][name]
    data = TaskData(name, str(facts["metric"]), cast(Unit, facts["unit"]), planned)
    data.source = cast(Source, chosen["source"])
    done: set[Item] = set()
    failed: set[Item] = set()
    for attempt in attempts:
        if not attempt.final:
            failed.add(attempt.item)
            continue
        done.add(attempt.item)
        if attempt.value is None:
            data.pending += 1
        else:
            data.rows.append(attempt.row())
    data.rows.sort(key=lambda row: (row.sample, row.repeat))
    data.infra_error = len(failed - done)
    spec = _installed(data, name, int(chosen["version"]))
    data.judge = _judge(store, name)
    data.unlike = tuple(_unlike(name, spec, chosen, config))
    data.unlike = (*data.unlike, *_stand_ins(store, name))
    if data.judge and data.judge != PAPER_JUDGE:
        data.unlike = (*data.unlike, f"judged by {data.judge}, published by {PAPER_JUDGE}")
    data.notes = (*data.notes, *_notes(store, name, facts, chosen))
    return data


def _stand_ins(store: Store, name: str) -> tuple[str, ...]:
    """A world says under `comparable` what it replaced: `no (offline wiki)`."""
    fingerprint = cast("Mapping[str, str]", store.meta(f"fingerprint/{name}") or {})
    said = fingerprint.get("comparable", "yes")
    return (said.removeprefix("no").strip(" ()") or "not comparable",) if said.startswith("no") else ()


def _judge(store: Store, name: str) -> str:
    found = cast("Mapping[str, Any] | None", store.meta(f"judge/{name}"))
    return str(found["judge"]) if found else ""


def _installed(data: TaskData, name: str, version: int) -> TaskSpec | None:
    """Take the aggregate of the installed task; without it the plain mean, and say so."""
    fallback: Aggregate = lambda rows: {data.metric: sum(r.value for r in rows) / len(rows)}  # noqa: E731
    data.aggregate, data.mean = fallback, True
    if name not in registry.names():
        data.notes = ("the task is not installed here: the headline is the plain mean",)
        return None
    task: Task = registry.load(name)
    if task.spec.version != version:
        data.notes = (f"run with version {version} of the task, aggregated by version {task.spec.version}",)
    data.aggregate = task.aggregate
    data.mean = getattr(type(task), "aggregate", None) is BaseTask.aggregate
    return task.spec


def _unlike(
    name: str, spec: TaskSpec | None, chosen: Mapping[str, Any], config: Mapping[str, Any]
) -> list[str]:
    """Why a score does not stand beside the published one."""
    reasons: list[str] = []
    if chosen["source"] == "fixture":
        reasons.append("fixture data")
    elif spec is not None and spec.paper_n and chosen["count"] != spec.paper_n:
        reasons.append(f"{chosen['count']} samples, published on {spec.paper_n}")
    if config["profile"] != "paper":
        reasons.append(f"profile {config['profile']}")
    if spec is not None:
        paper = {option.name: option.paper for option in declared(registry.load(name).Options)}
        changed = [key for key, value in chosen["options"].items() if paper.get(key, value) != value]
        if changed and config["profile"] == "paper":
            reasons.append(f"options {', '.join(sorted(changed))}")
    return reasons


def _notes(store: Store, name: str, facts: Mapping[str, Any], chosen: Mapping[str, Any]) -> list[str]:
    notes: list[str] = []
    if chosen["source"] == "fixture":
        notes.append("FIXTURE: self-made samples, not the benchmark")
    for line, reason in cast("Mapping[str, str]", facts["excepts"]).items():
        notes.append(f"contract exception {line}: {reason}")
    shown = cast("Mapping[str, str]", store.meta(f"fingerprint/{name}") or {}).get("note")
    if shown:
        notes.append(shown)
    notes += cast("list[str]", store.meta(f"traits/{name}") or [])
    return notes
