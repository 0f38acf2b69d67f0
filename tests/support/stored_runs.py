"""Writes stores of runs whose values a test chooses, without playing anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.report.load import FILE
from harness.storage.store import Attempt, EpisodeKey, Store
from harness.types import Ask, JudgeAsk, Outcome, Pending

Value = float | str | None
Values = Sequence[Value | tuple[Value, ...]]
"""A value for each sample, or one for each of its repeats; None for an infrastructure error, "pending" for
one that waits for its judge, "" for one that was not played."""


def stored_run(directory: Path, tasks: Mapping[str, Values], **config: Any) -> Path:
    """Write a run; its tasks need not be installed, their headline is then the plain mean.

    Args:
        directory: of the run.
        tasks: values by task; sample n is named `s<n>`.
        config: settings that differ from the usual; `version` holds of every task, `labels` gives those of
            sample n.
    """
    version = config.pop("version", 1)
    clusters = config.pop("clusters", {})
    labels: Callable[[int], Mapping[str, str]] = config.pop("labels", lambda n: {})
    served = config.pop("served", {"model_sha": "a"})
    store = Store(directory / FILE)
    chosen = {
        name: {
            "version": version, "options": {}, "source": "mirror", "data": "d", "samples": f"{len(values)}",
            "count": len(values),
        }
        for name, values in tasks.items()
    }  # fmt: skip
    usual = {
        "model": "m", "profile": "paper", "decoding": "protocol", "seed": 0, "shard": None, "roles": [],
        "judge": None, "repeats": 1, "suites": {"nightly": list(tasks)}, "tasks": chosen,
    }  # fmt: skip
    store.set_meta("config", usual | config)
    facts = {"metric": "accuracy", "unit": "percent", "excepts": {}}
    store.set_meta("specs", {name: facts for name in tasks})
    store.set_meta("model", {"kind": "tgi", "templates": {"default": {"sha256": "t"}}, "endpoints": [served]})
    store.add_command({"argv": ["harness", "run", "--model", "m"], "environment": {"commit": "c"}})
    for name, values in tasks.items():
        each = [
            (EpisodeKey(name, version, f"s{n}", repeat), value, n)
            for n, found in enumerate(values)
            for repeat, value in enumerate(found if isinstance(found, tuple) else (found,))
        ]
        store.plan([key for key, _, _ in each])
        for key, value, n in each:
            if value != "":
                cluster = clusters.get(name, "")
                store.add(_attempt(key, value, labels(n), cluster and f"{cluster}{n // 2}"))
    store.close()
    return directory


def _attempt(key: EpisodeKey, value: Value, labels: Mapping[str, str], cluster: str) -> Attempt:
    outcome: Outcome = "infra_error" if value is None else "scored"
    attempt = Attempt(key.task, key.version, key.sample, key.repeat, outcome, labels=labels, cluster=cluster)
    if value == "pending":
        attempt.pending = Pending((JudgeAsk("turn-1", (), Ask(8)),))
    elif not isinstance(value, str):
        attempt.value = value
    return attempt
