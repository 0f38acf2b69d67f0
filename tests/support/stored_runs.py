"""Writes stores of runs whose values a test chooses, without playing anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.report.load import FILE
from harness.storage.store import Attempt, EpisodeKey, Store
from harness.types import Ask, JudgeAsk, Outcome, Pending

Values = Sequence[float | str | None]
"""A value for each sample; None for an infrastructure error, "pending" for one that waits for its judge,
"" for one that was not played."""


def stored_run(directory: Path, tasks: Mapping[str, Values], **config: Any) -> Path:
    """Write a run; its tasks need not be installed, their headline is then the plain mean.

    Args:
        directory: of the run.
        tasks: values by task; sample n is named `s<n>`.
        config: settings that differ from the usual; `version` holds of every task.
    """
    version = config.pop("version", 1)
    clusters = config.pop("clusters", {})
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
        store.plan([EpisodeKey(name, version, f"s{n}", 0) for n in range(len(values))])
        for n, value in enumerate(values):
            if value != "":
                store.add(_attempt(name, version, n, value, clusters.get(name, "")))
    store.close()
    return directory


def _attempt(task: str, version: int, n: int, value: float | str | None, cluster: str) -> Attempt:
    outcome: Outcome = "infra_error" if value is None else "scored"
    if value == "pending":
        pending = Pending((JudgeAsk("turn-1", (), Ask(8)),))
        return Attempt(task, version, f"s{n}", 0, outcome, None, pending=pending)
    return Attempt(task, version, f"s{n}", 0, outcome, value, cluster=cluster and f"{cluster}{n // 2}")
