"""Kills a run with signal 9 and reads what it has stored."""

from __future__ import annotations

import contextlib
import subprocess
import time
from pathlib import Path

from oracle_runs import stored

from harness.storage.store import Store


def finals(out: Path) -> list[tuple[str, int, str, float | None]]:
    """The final rows of a run, in order; like `stored`, it leaves a killed run's log as it is."""
    if not stored(out):
        return []
    store = Store(out / "run.sqlite", readonly=True)
    try:
        rows = [(a.item.sample, a.item.repeat, a.outcome, a.value) for a in store.attempts(final_only=True)]
        assert len({row[:2] for row in rows}) == len(rows), "an item is final twice"
        return sorted(rows)
    finally:
        store.close()


def kill(argv: list[str], out: Path, after_s: float, *, playing: bool) -> None:
    """Start a run and kill it so many seconds after its start, or after its first new row."""
    before, limit = stored(out), time.monotonic() + 60
    with subprocess.Popen(argv) as running:
        try:
            while playing and stored(out) == before:
                assert time.monotonic() < limit, "the run plays nothing"
                with contextlib.suppress(subprocess.TimeoutExpired):
                    running.wait(timeout=0.05)
            running.wait(timeout=after_s)
        except subprocess.TimeoutExpired:
            running.kill()


def is_unfolded(out: Path) -> bool:
    """Whether some of what a run has stored is in its write-ahead log alone."""
    log = out / "run.sqlite-wal"
    return log.exists() and log.stat().st_size > 0
