"""What a report costs: a million stored episodes of four tasks against a bare scan of the same table.

The store is version 2, with labels, answers, targets and four to six metrics each. A measurement runs in
a process of its own. Targets: the report at most 15 x the scan and 600 MB, the JSON of all episodes 1 GB.
"""

from __future__ import annotations

import json
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

EPISODES = 250_000
TASKS = {"alfworld": 4, "gsm8k": 4, "hotpotqa": 5, "sciworld": 6}
"""Metrics an episode has, by task; two headlines are means, two are macro averages."""
RATIO_TARGET, TABLE_MB, JSON_MB, GRACE = 15.0, 600.0, 1000.0, 1.5
ADD = (
    "INSERT INTO episode(task, version, sample, repeat, final, outcome, value, metrics, note, error, calls,"
    " prompt_tokens, output_tokens, rebuilds, started, seconds, labels, cluster, answer, target)"
    " VALUES(?, 1, ?, 0, 1, ?, ?, ?, '', '', 12, 9000, 400, 0, 1.8e9, 31.5, ?, '', ?, ?)"
)
SCAN = """
import sqlite3, sys
for row in sqlite3.connect(sys.argv[1]).execute("SELECT * FROM episode"):
    pass
"""
REPORT = """
import sys
from harness.cli import group
group(["report", *sys.argv[1:]], standalone_mode=False)
"""


def episodes() -> Iterator[tuple[object, ...]]:
    """The tasks' episodes in turn, as a suite plays them."""
    seeded = random.Random(0)
    for n in range(EPISODES):
        for task, width in TASKS.items():
            value = round(seeded.random(), 4) if task in ("hotpotqa", "sciworld") else float(n % 3 > 0)
            numbers = {"paper": value, "fixed": value, "turns": float(n % 30), "extra_1": seeded.random()}
            numbers |= {f"extra_{k}": seeded.random() for k in range(2, width - 2)}
            outcome = ("scored", "scored", "limit", "model_error")[n % 4]
            labels = {"level": ("easy", "medium", "hard")[n % 3], "task": f"task-{n % 30}"}
            sample = f"group-{n % 30}/{n}"
            yield (
                task, sample, outcome, value, json.dumps(numbers), json.dumps(labels), f"answer {n}", f"{n}",
            )  # fmt: skip


def build(directory: Path) -> Path:
    config = {
        "model": "m", "profile": "paper", "decoding": "protocol", "seed": 0, "shard": None, "suites": {},
        "tasks": {
            name: {"version": 1, "options": {}, "source": "mirror", "count": EPISODES} for name in TASKS
        },
    }  # fmt: skip
    from harness.catalog import registry
    from harness.storage.store import Store

    specs = {name: registry.load(name).spec for name in TASKS}
    for name, spec in specs.items():
        config["tasks"][name]["version"] = spec.version
    facts = {name: {"metric": spec.metric, "unit": spec.unit, "excepts": {}} for name, spec in specs.items()}
    path = directory / "run.sqlite"
    Store(path).close()
    db = sqlite3.connect(path)
    db.executemany(
        "INSERT INTO meta VALUES(?, ?)", [("config", json.dumps(config)), ("specs", json.dumps(facts))]
    )
    db.executemany(ADD, episodes())
    db.execute("INSERT INTO plan SELECT task, version, sample, repeat FROM episode")
    db.commit()
    db.close()
    return path


def measured(program: str, *arguments: str) -> tuple[float, float]:
    """CPU seconds and peak MB of a Python program in a process of its own."""
    with subprocess.Popen([sys.executable, "-c", program, *arguments], stdout=subprocess.DEVNULL) as child:
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0, f"exit code {child.returncode}"
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def main() -> int:
    with tempfile.TemporaryDirectory() as directory:
        path = build(Path(directory))
        scan = min(measured(SCAN, str(path))[0] for _ in range(3))
        table, table_mb = measured(REPORT, directory)
        text, text_mb = measured(REPORT, directory, "--format", "json")
    count = EPISODES * len(TASKS)
    print(f"{count} episodes of {len(TASKS)} tasks; bare scan {scan:.2f} s, least of 3")
    print(f"report {table:.1f} s: ratio {table / scan:.1f} (target {RATIO_TARGET:g})")
    print(f"report {table_mb:.0f} MB (target {TABLE_MB:g})")
    print(f"JSON of all episodes {text:.1f} s, {text_mb:.0f} MB (target {JSON_MB:g})")
    ratios = (table / scan / RATIO_TARGET, table_mb / TABLE_MB, text_mb / JSON_MB)
    return int(max(ratios) > GRACE)


if __name__ == "__main__":
    sys.exit(main())
