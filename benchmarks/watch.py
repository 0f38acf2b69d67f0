"""How soon `harness watch` names what stands still: worker processes of ALFWorld, and a whole run, stopped.

A run of the oracle plays; SIGSTOP stops first the processes of its environments, later itself. What is looked
at is the run's file alone, as from another machine. Target: 35 s from the signal to the line that names it.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from harness.errors import StoreError
from harness.view.run_view import RunView
from harness.view.watch import Watch

TARGET_S, GRACE, OPEN_S = 35.0, 1.5, 300.0
RUN = ("run", "--model", "oracle", "--task", "alfworld", "--mirror", "fixture", "--no-report")


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@contextmanager
def running(folder: Path) -> Iterator[int]:
    """A run in a process of its own, killed on leaving together with what it started."""
    words = [*RUN, "--repeats", "2000", "--concurrency", "2", "--out", str(folder)]
    process = subprocess.Popen([sys.executable, "-m", "harness", *words], stderr=subprocess.DEVNULL)
    try:
        yield process.pid
    finally:
        for pid in (*children(process.pid), process.pid):
            os.kill(pid, signal.SIGKILL)
        process.wait(20)


def shown(folder: Path, pattern: str, within_s: float) -> float:
    """Seconds until a line is shown."""
    began = time.monotonic()
    while time.monotonic() - began < within_s:
        try:
            with closing(RunView(folder / "run.sqlite")) as run:
                if any(re.search(pattern, line) for line in Watch(run).lines()):
                    return time.monotonic() - began
        except StoreError:
            pass  # the file is being made
        time.sleep(0.2)
    raise TimeoutError(f"{pattern!r} was not shown within {within_s:g} s")


def stopped(folder: Path, pids: Sequence[int], pattern: str) -> float:
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    return shown(folder, pattern, 10 * TARGET_S)


def main() -> int:
    with tempfile.TemporaryDirectory() as name, running(Path(name)) as pid:
        folder = Path(name)
        shown(folder, r"[1-9]\d* live, ", OPEN_S)
        found = {
            "environments stopped": stopped(folder, children(pid), "! alfworld .* has not answered"),
            "the whole run stopped": stopped(folder, [pid], f"! process {pid} on"),
        }
    for what, seconds in found.items():
        print(f"{what:<24} named after {seconds:5.1f} s (target {TARGET_S:g})")
    return 1 if max(found.values()) > GRACE * TARGET_S else 0


if __name__ == "__main__":
    sys.exit(main())
