"""What a run is doing, read from its file alone: counts, rates, the oldest episodes, failures."""

from __future__ import annotations

import os
import socket
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.storage.run_record import BEAT_S
from harness.storage.words import duration
from harness.view.run_view import RunView

LATE_S = 2.5 * BEAT_S
"""Without a heartbeat for longer the run's process counts as stopped or ended."""
SLOW_S = 15.0
"""An environment that works longer on one thing is named."""
WINDOW_S = 120.0
"""Rates are taken over the last so many seconds."""
NEWEST = 20_000
"""Attempts looked through for rates and reasons, the newest ones."""
REASONS, OLDEST = 6, 8
_ENVIRONMENT = ("open", "reset", "step", "score", "replay", "restore")


class Watch:
    """A run as it is at the moment.

    Args:
        run: its open store.
    """

    def __init__(self, run: RunView) -> None:
        self._run = run

    @property
    def ended(self) -> bool:
        """Whether no command plays the run any more, as far as its file tells."""
        beat = self._run.heartbeat()
        return beat is None or beat.get("state") != "playing"

    @property
    def complete(self) -> bool:
        """Whether every planned episode has its result."""
        ended, planned = self._run.counts()
        return ended >= planned

    def lines(self, now: float | None = None) -> list[str]:
        """All lines about the run; those that begin with `!` report something that is stuck or fails.

        Args:
            now: Unix seconds; None takes the clock's.
        """
        now = time.time() if now is None else now
        beat = self._run.heartbeat() or {}
        ended, planned = self._run.counts()
        head = f"{self._run.name}: {ended:,} of {planned:,} episodes"
        return [
            " · ".join([head, *self._rates(now), *_doing(beat)]),
            *_alive(beat, now),
            *self._tasks(),
            *_endpoints(beat),
            *_waits(beat),
            *self._reasons(),
        ]

    def _rates(self, now: float) -> Iterator[str]:
        count, turns, tokens = self._run.lately(now - WINDOW_S, NEWEST)
        if not self.ended and count:
            minutes = WINDOW_S / 60
            yield f"{count / minutes:.0f} episodes/min"
            yield f"{turns / minutes:.0f} turns/min, {tokens / WINDOW_S:.0f} tok/s"

    def _tasks(self) -> Iterator[str]:
        for name, (planned, ended, failed) in sorted(self._run.progress().items()):
            told = f"  {failed} failed so far" if failed else ""
            yield f"  {name[:20]:<20} {ended:>7,} / {planned:<7,} {ended / max(1, planned):>4.0%}{told}"

    def _reasons(self) -> Iterator[str]:
        """Why attempts failed for infrastructure, the most frequent first."""
        found = Counter(map(reason, self._run.failures(NEWEST)))
        for text, count in found.most_common(REASONS):
            yield f"! {count} times: {text}"


def reason(error: str) -> str:
    """A stored failure in one line; of a traceback the last line, which names the exception."""
    lines = [line.strip() for line in error.strip().splitlines() if line.strip()]
    return (lines[-1] if lines and lines[0].startswith("Traceback") else (lines or ["unknown"])[0])[:160]


def _doing(beat: Mapping[str, Any]) -> Iterator[str]:
    if beat.get("state") != "playing":
        yield "not playing" if beat else "no command has played it yet"
        return
    if "live" in beat:
        queued = f" (+{beat['queued']} queued)" if beat.get("queued") else ""
        yield f"{beat['live']} live, {beat.get('flying', 0)} in flight{queued}"
    yield f"playing for {duration(max(0.0, beat['now'] - beat['started']))}"


def _alive(beat: Mapping[str, Any], now: float) -> Iterator[str]:
    """Whether the run's process works: it writes a heartbeat every few seconds."""
    if beat.get("state") != "playing":
        return
    who, silent = f"process {beat['pid']} on {beat['host']}", now - beat["now"]
    seen = _seen_here(int(beat["pid"])) if beat["host"] == socket.gethostname() else ""
    if seen == "gone":
        yield f"! {who} is gone without having ended the run; the same command resumes it"
    elif seen == "stopped":
        yield f"! {who} is stopped (SIGSTOP, or Ctrl-Z): kill -CONT {beat['pid']} lets it go on"
    elif silent > LATE_S:
        yield f"! no heartbeat for {duration(silent)}: {who} is stopped, gone, or cannot write its file"
    if beat.get("outage_s") is not None:
        yield f"! no endpoint is alive for {duration(beat['outage_s'])}"


def _seen_here(pid: int) -> str:
    """What the kernel of this machine says of a process; a container may number its processes anew."""
    if not Path("/proc/self/stat").exists():
        return ""
    try:
        state = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return "gone" if not _exists(pid) else ""
    return {"T": "stopped", "t": "stopped", "Z": "gone"}.get(state, "")


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True


def _endpoints(beat: Mapping[str, Any]) -> Iterator[str]:
    found: Sequence[Mapping[str, Any]] = beat.get("endpoints") or ()
    for endpoint in found:
        sign, state = ("  ", "up") if endpoint["healthy"] else ("! ", "down")
        load = f"{endpoint['flying']}/{endpoint['limit']} in flight, {endpoint['answered']:,} answered"
        yield f"{sign}{endpoint['url']} {state}, {load}"


def _waits(beat: Mapping[str, Any]) -> Iterator[str]:
    """What the live episodes that have waited longest wait for."""
    if beat.get("state") != "playing":
        return
    found: Sequence[Mapping[str, Any]] = beat.get("oldest") or ()
    for wait in found[:OLDEST]:
        opens, slow = wait["doing"] == "open", wait["doing"] in _ENVIRONMENT and wait["seconds"] >= SLOW_S
        what = f"its environment has not answered ({wait['doing']})" if slow else str(wait["doing"])
        name = f"{wait['task']} {wait['episode']}".strip()
        told = "its world has not opened" if opens else what
        turn = "" if opens else f", turn {wait['turn'] + 1}"
        yield f"{'! ' if slow else '  '}{name}: {told} for {duration(wait['seconds'])}{turn}"
