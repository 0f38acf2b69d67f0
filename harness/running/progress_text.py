"""How far a run is, as text: one line for a log, or a block of lines that fits a screen."""

from __future__ import annotations

import time
from collections.abc import Iterator

from harness.running.look import EndpointLook
from harness.running.tally import Tally
from harness.storage.words import counted, duration

_BAR = 20
"""Columns of a bar, where there is room."""
_MOST_ENDPOINTS = 4
"""Endpoints with a line of their own; more share one."""


def one_line(tally: Tally) -> str:
    """One line: `gsm8k 120/1319 mean 0.254 · 64 in flight · 812 tok/s · 3 min left`."""
    open_tasks = [_task(tally, name) for name, count in tally.planned.items() if tally.done[name] < count]
    parts = [", ".join(open_tasks) or _all_done(tally)]
    if tally.seen.outage_s is not None:
        parts.append(outage(tally))
    return " · ".join([*parts, *_facts(tally)])


def block(tally: Tally, width: int, height: int, *, blocks: str = "━─") -> list[str]:
    """Lines that fit a screen: a bar for each task, what the run is doing, its endpoints.

    Args:
        tally: the counts.
        width: columns; no line is wider.
        height: lines of the screen; the block leaves room for messages above it.
        blocks: the characters of a bar, full and empty.
    """
    below = [" · ".join(_facts(tally)), *_endpoints(tally)]
    if tally.seen.outage_s is not None:
        below.append(outage(tally))
    room = max(1, height - len(below) - 4)
    names = [name for name, count in tally.planned.items() if tally.done[name] < count] or list(tally.planned)
    lines = [_bar(tally, name, width, blocks) for name in names[:room]]
    if len(names) > room:
        lines[-1] = f"... and {len(names) - room + 1} more tasks"
    return [_fitted(line, width) for line in (*lines, *below) if line]


def outage(tally: Tally) -> str:
    """Since when no endpoint answers, and until when requests wait."""
    began = time.time() - (tally.seen.outage_s or 0.0)
    ends = _clock(began + tally.seen.deadline_s)
    return f"no endpoint is alive since {_clock(began)}, waiting until {ends} (deadline)"


def _all_done(tally: Tally) -> str:
    """Every result is there; the last environments may still be closing."""
    closing = tally.seen.live
    return f"all results are there, {closing} closing" if closing else "all episodes done"


def _facts(tally: Tally) -> Iterator[str]:
    seen = tally.seen
    if seen.live and not tally.complete:
        yield f"{seen.live} live"
    if (seen.live and not tally.complete) or seen.flying:
        yield f"{seen.flying} in flight" + (f" (+{seen.queued} queued)" if seen.queued else "")
    yield f"{tally.tokens_s():.0f} tok/s"
    if failed := sum(tally.infra.values()):
        yield counted(failed, "infra error")
    left = tally.left_s()
    if left is not None and not tally.complete:
        yield f"{duration(left)} left"


def _task(tally: Tally, name: str) -> str:
    mean = tally.mean(name)
    return f"{name} {tally.done[name]}/{tally.planned[name]}" + ("" if mean is None else f" mean {mean:.3f}")


def _bar(tally: Tally, name: str, width: int, blocks: str) -> str:
    share = tally.share(name) / max(1, tally.planned[name])
    columns = min(_BAR, max(0, width - 52))
    full = int(share * columns)
    bar = blocks[0] * full + blocks[1] * (columns - full)
    mean, failed = tally.mean(name), tally.infra[name]
    told = "" if mean is None else f"  mean {mean:.3f}"
    told += f"  {failed} infra" if failed else ""
    return f"{name[:16]:<16} {bar} {tally.done[name]:>6}/{tally.planned[name]:<6}{share:>5.0%}{told}"


def _endpoints(tally: Tally) -> Iterator[str]:
    endpoints = tally.seen.endpoints
    down = [endpoint for endpoint in endpoints if not endpoint.healthy]
    if len(endpoints) <= _MOST_ENDPOINTS:
        yield from (_endpoint(tally, endpoint) for endpoint in endpoints)
        return
    flying, limit = sum(e.flying for e in endpoints), sum(e.limit for e in endpoints if e.healthy)
    up = len(endpoints) - len(down)
    yield f"{up} of {len(endpoints)} endpoints up, {flying}/{limit} in flight"
    yield from (_endpoint(tally, endpoint) for endpoint in down[:_MOST_ENDPOINTS])


def _endpoint(tally: Tally, endpoint: EndpointLook) -> str:
    if not endpoint.healthy:
        return f"{endpoint.url} down since {_clock(tally.down.get(endpoint.url, time.time()))}"
    return f"{endpoint.url} up, {endpoint.flying}/{endpoint.limit} in flight, {endpoint.answered} answered"


def _clock(at: float) -> str:
    return time.strftime("%H:%M", time.localtime(at))


def _fitted(line: str, width: int) -> str:
    return line if len(line) <= width else line[: max(0, width - 1)] + "…"
