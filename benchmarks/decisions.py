"""What deciding costs: comparing two runs of a million episodes, and judging a night of the nightly suite.

The runs are those of `report.py`, the second with every twentieth value changed; the floor is a bare scan of
both tables. The night has the nightly suite's sizes, its baseline three runs in which one sample in ten
changes; headlines are plain means (the tasks' own need their labels), the floor is a bare scan of the night.
A measurement is the CPU time of a process of its own, Python's start included. Targets: compare at most 30 x
its scan and 1 GB; the gate 2 s.
"""

from __future__ import annotations

import random
import shutil
import sqlite3
import sys
import tempfile
from pathlib import Path

from report import EPISODES, SCAN, TASKS, build, measured

from harness.storage.store import Attempt, EpisodeKey, Store

SIZES = {
    "alfworld": 50, "webshop": 13, "knowledgegraph": 150, "os": 72, "dbbench": 150, "sciworld": 90,
    "miniwob": 138, "hotpotqa": 150, "rewoo": 100, "card_game": 80, "mmlu": 1140, "humaneval": 164,
    "gsm8k": 200, "mt_bench": 80,
}  # fmt: skip
NIGHTLY = {f"like_{task}": count for task, count in SIZES.items()}
FLIPS, RUNS = 0.1, 3
COMPARE_RATIO, COMPARE_MB, GATE_S, GRACE = 30.0, 1000.0, 2.0, 1.5
COMMAND = """
import sys
from harness.cli import group
group(sys.argv[1:], standalone_mode=False)
"""


def changed(directory: Path, out: Path) -> Path:
    """A copy of a run in which every twentieth episode's value is another."""
    out.mkdir()
    shutil.copy(directory / "run.sqlite", out)
    db = sqlite3.connect(out / "run.sqlite")
    db.execute("UPDATE episode SET value = 1 - value WHERE id % 20 = 0")
    db.commit()
    db.close()
    return out


def compared(work: Path) -> tuple[float, float, float]:
    """CPU seconds of the scan of both runs and of the comparison, and the peak MB of that."""
    first = work / "first"
    first.mkdir()
    build(first)
    second = changed(first, work / "second")
    scans = [min(measured(SCAN, str(run / "run.sqlite"))[0] for _ in range(2)) for run in (first, second)]
    seconds, megabytes = measured(COMMAND, "compare", str(first), str(second))
    return sum(scans), seconds, megabytes


def night(directory: Path, seed: int) -> Path:
    """A run of the nightly suite's size; a sample is right on 60 %, and one in ten differs by the seed."""
    store = Store(directory / "run.sqlite")
    chosen = {
        task: {"version": 1, "options": {}, "source": "mirror", "data": "d", "samples": "s", "count": count}
        for task, count in NIGHTLY.items()
    }
    config = {
        "model": "m", "profile": "paper", "decoding": "protocol", "seed": 0, "shard": None, "roles": [],
        "judge": None, "repeats": 1, "suites": {"nightly": list(NIGHTLY)}, "tasks": chosen,
    }  # fmt: skip
    store.set_meta("config", config)
    facts = {"metric": "accuracy", "unit": "percent", "excepts": {}}
    store.set_meta("specs", {task: facts for task in NIGHTLY})
    store.set_meta("model", {"kind": "tgi", "templates": {}, "endpoints": []})
    store.add_command({"argv": ["harness", "run", "--model", "m"]})
    for task, count in NIGHTLY.items():
        store.plan([EpisodeKey(task, 1, f"s/{n}", 0) for n in range(count)])
        for n in range(count):
            right = random.Random(f"{task} {n}").random() < 0.6
            right ^= random.Random(f"{task} {n} {seed}").random() < FLIPS / 2
            store.add(Attempt(task, 1, f"s/{n}", 0, "scored", float(right)))
    store.close()
    return directory


def gated(work: Path) -> tuple[float, float]:
    """CPU seconds of the scan of a night, and of judging it."""
    runs = [night(work / f"run{seed}", seed) for seed in range(RUNS + 1)]
    tonight, baseline = runs[-1], str(work / "baseline.json")
    measured(COMMAND, "gate", *map(str, runs[:-1]), "--save", baseline)
    scan = min(measured(SCAN, str(tonight / "run.sqlite"))[0] for _ in range(3))
    words = ["gate", str(tonight), "--baseline", baseline, "--junit", str(work / "junit.xml")]
    words += ["--ledger", str(work / "ledger.jsonl"), "--flips", str(work / "flips.sqlite")]
    return scan, min(measured(COMMAND, *words)[0] for _ in range(3))


def main() -> int:
    with tempfile.TemporaryDirectory() as directory:
        work = Path(directory)
        night_scan, gate = gated(work)
        scan, compare, megabytes = compared(work)
    print(f"gate on {sum(NIGHTLY.values())} samples of {len(NIGHTLY)} tasks, {RUNS} runs in the baseline:")
    print(
        f"  {gate:.2f} s (target {GATE_S:g}), {gate / night_scan:.1f} x the bare scan of {night_scan:.2f} s"
    )
    print(f"compare of two runs of {EPISODES * len(TASKS)} episodes; bare scan of both {scan:.2f} s")
    print(f"  {compare:.1f} s: ratio {compare / scan:.1f} (target {COMPARE_RATIO:g})")
    print(f"  {megabytes:.0f} MB (target {COMPARE_MB:g})")
    ratios = gate / GATE_S, compare / scan / COMPARE_RATIO, megabytes / COMPARE_MB
    return int(max(ratios) > GRACE)


if __name__ == "__main__":
    sys.exit(main())
