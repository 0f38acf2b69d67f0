"""Plays a sample by the simulator's own solution.

A solution costs seconds to compute, so only runs of the oracle ask for one: building an `Oracle` leaves a
note in the run's work folder, the world then puts the solution into the first observation's `info`.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
from pathlib import Path

from harness.types import Context, Observation, Sample
from tasks.sciworld.solver import solve

SHIPPED = "gold.json"
"""Solutions that come with a fixture, by sample id; the mirror has none."""

SPENT = "Think: nothing is left to do."


class SciWorldOracle:
    """Answers with one action of the solution after the other."""

    def __init__(self, ctx: Context, sample: Sample) -> None:
        self._ctx, self._sample = ctx, sample
        self._actions: list[str] | None = None
        self._next = 0
        want(ctx.work, sample)

    def reply(self, observation: Observation) -> str:
        """Answer with the next action; a solution that is spent is followed by thoughts."""
        if self._actions is None:
            self._actions = observation.info.get("gold") or known(self._ctx, self._sample)
        if self._actions is None:
            self._actions = _solve_now(self._sample)
        if self._next >= len(self._actions):
            return SPENT
        self._next += 1
        return f"Action: {self._actions[self._next - 1]}"


def _file(work: Path, sample: Sample) -> Path:
    return work / "gold" / hashlib.sha256(sample.id.encode()).hexdigest()[:24]


def want(work: Path, sample: Sample) -> None:
    """Note that an oracle will play a sample."""
    file = _file(work, sample)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()


def wanted(work: Path, sample: Sample) -> bool:
    """Whether an oracle was built for a sample."""
    return _file(work, sample).exists()


def keep(work: Path, sample: Sample, actions: list[str]) -> None:
    """Keep a solution for the run."""
    file = _file(work, sample)
    whole = file.with_suffix(".part")
    whole.write_text(json.dumps(actions), encoding="utf-8")
    whole.replace(file)


def known(ctx: Context, sample: Sample) -> list[str] | None:
    """A solution that was shipped with the data or computed before."""
    shipped = ctx.data / SHIPPED
    if shipped.exists():
        actions = json.loads(shipped.read_text(encoding="utf-8")).get(sample.id)
        if actions is not None:
            return actions
    file = _file(ctx.work, sample)
    kept = file.read_text(encoding="utf-8") if file.exists() else ""
    return json.loads(kept) if kept else None


def _solve_now(sample: Sample) -> list[str]:
    """Compute a solution at once, for a driver that built the oracle after the first observation."""
    found: list[list[str]] = []
    solving = solve(sample.data["task"], sample.data["variation"])
    # The caller may be inside an event loop, which cannot run another.
    thread = threading.Thread(target=lambda: found.append(asyncio.run(solving)))
    thread.start()
    thread.join()
    return found[0]
