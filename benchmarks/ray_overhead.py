"""What `--executor ray` costs in CPU: 10,000 one-turn episodes on a Ray worker, and in one local process.

GSM8K's fixture, repeated, with a server that answers at once. All that either command starts is counted,
Ray's own processes as well: at most 1.5 x the local command's CPU. Pairs are played in turns, and medians
compared. Needs ray (make test-dist installs it into .venv/dist) and says so where there is none.
"""

from __future__ import annotations

import importlib.util
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from support.running import fixed_latency_server

EPISODES, IN_FLIGHT, PAIRS = 10_000, 128, 3
SAMPLES = 16
TARGET, GRACE = 1.5, 1.5
TICKS = os.sysconf("SC_CLK_TCK")


def cpu_of_group(group: int, known: dict[int, float]) -> None:
    """Write down the CPU time so far, in seconds, of every process that descends from one."""
    parents: dict[int, int] = {}
    used: dict[int, float] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(entry.name)] = int(fields[1])
        used[int(entry.name)] = (int(fields[11]) + int(fields[12])) / TICKS
    for pid, seconds in used.items():
        above = pid
        while above not in (0, 1, group):
            above = parents.get(above, 0)
        if above == group:
            known[pid] = max(known.get(pid, 0.0), seconds)


def command(url: str, out: Path, *more: str) -> tuple[float, float]:
    """CPU and wall of one command with all its processes; their last quarter of a second may be missing."""
    words = ["run", "--model", "agentlm-7b", "--endpoint", url, "--task", "gsm8k", "--mirror", "fixture"]
    words += [
        "--repeats",
        str(math.ceil(EPISODES / SAMPLES)),
        "--concurrency",
        str(IN_FLIGHT),
        "--out",
        str(out),
    ]
    known: dict[int, float] = {}
    began = time.perf_counter()
    line = [sys.executable, "-m", "harness", "-q", *words, "--no-report", "--yes", *more]
    with subprocess.Popen(line, stdin=subprocess.DEVNULL) as playing:
        while playing.poll() is None:
            cpu_of_group(playing.pid, known)
            time.sleep(0.25)
    assert playing.returncode == 0, playing.returncode
    return sum(known.values()), time.perf_counter() - began


def main() -> int:
    if importlib.util.find_spec("ray") is None:
        print(
            "ray is not installed here, so nothing was measured: make test-dist, then .venv/dist/bin/python"
        )
        return 0
    here: list[tuple[float, float]] = []
    there: list[tuple[float, float]] = []
    with fixed_latency_server(0.0) as url, tempfile.TemporaryDirectory() as folder:
        for n in range(PAIRS):
            here.append(command(url, Path(folder) / f"here{n}"))
            there.append(command(url, Path(folder) / f"there{n}", "--executor", "ray"))
    (cpu, wall), (ray_cpu, ray_wall) = (
        tuple(median(values) for values in zip(*figures, strict=True)) for figures in (here, there)
    )
    ratio = ray_cpu / cpu
    print(f"{EPISODES} one-turn episodes, medians of {PAIRS} pairs, load {os.getloadavg()[0]:.1f}")
    print(f"local {cpu:.1f} s CPU, {wall:.1f} s wall; ray {ray_cpu:.1f} s CPU, {ray_wall:.1f} s wall")
    print(f"CPU {ratio:.2f} x local (target {TARGET})")
    return 0 if ratio <= TARGET * GRACE else 1


if __name__ == "__main__":
    sys.exit(main())
