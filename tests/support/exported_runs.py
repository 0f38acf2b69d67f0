"""Stores attempts as a run that can be exported, and reads what an export holds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from harness.export.episodes import Choice, Run, Tally
from harness.export.write import export
from harness.storage.store import Attempt, Store


def stored(path: Path, attempts: Sequence[Attempt], *, split: str = "test", **config: Any) -> Path:
    """Write a run of attempts that were played already."""
    names = sorted({attempt.task for attempt in attempts})
    tasks = {
        name: {"version": 1, "options": {}, "source": "fixture", "data": "", "samples": "", "split": split}
        for name in names
    }
    with closing(Store(path)) as store:
        usual = {"model": "m", "profile": "paper", "decoding": "protocol", "seed": 0, "repeats": 1}
        store.set_meta("config", usual | {"tasks": tasks, "suites": {}, "roles": [], "judge": None} | config)
        store.set_meta("specs", {name: {"metric": "accuracy", "suite": "general"} for name in names})
        template = {"default": {"id": "llama2-chat", "sha256": "t"}}
        store.set_meta("model", {"templates": template, "identity": {"served": "m-7b", "sha": "abc"}})
        store.add_command({"argv": ["harness", "run"], "environment": {"commit": "c0ffee"}})
        for attempt in attempts:
            store.add(attempt)
    return path


def exported(path: Path, form: str, choice: Choice | None = None) -> tuple[list[dict[str, Any]], Tally]:
    """The lines of an export in a format of JSON lines."""
    out = path.with_name(f"{form}-{len(list(path.parent.iterdir()))}.jsonl")
    with Run(path, "a-run") as run:
        tally = export(run, form, choice or Choice(allow_test=True), out)
    return [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()], tally
