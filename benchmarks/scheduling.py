"""How long a suite takes in the scheduler's order, against the shortest time that any order could take.

Scheduler, admission and pool are the real ones; endpoints and environments are simulated on virtual time.
The law: one endpoint of 64 slots serves each request in a lognormal time of mean 1 s and sigma 0.5 (suite
`even`: 0.2 s), whatever else it serves; an environment resets and steps in a lognormal time of the mean
stated in `SUITES`; an episode makes 0.4 to 1.6 times its declared turns, uniformly. All are drawn by the name
of the request, so that every order plays the same. The bound is the largest of: all service times by
slots, the longest lane of episodes that hold one lock, the longest episode.

Target: 1.10 x the bound, and the endpoint idle for at most 5 % of the time until the last episode starts.
`slow`, whose environments think four times as long as the model, has none: its bound knows nothing of the
time until enough of them are ready. Beside it: the tasks one after the other, and the order before this one
(longest declared task first, requests first come, first served, a fixed number of live episodes).
`--suite NAME` plays one; `--seed N` draws other times.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import random
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import SimpleNamespace

from harness.models.pool.endpoint import Endpoint
from harness.models.pool.limits import Limit
from harness.models.pool.pool import Pool
from harness.running.admission import Budget
from harness.running.expected import Expected
from harness.running.queue import EpisodeQueue, PlannedEpisode, ordered
from harness.running.run_model import PREFETCH
from harness.running.scheduler import Scheduler, TaskQueue
from harness.types import Capacity, Sample

sys.path.append(str(Path(__file__).parents[1] / "tests" / "support"))
import virtual_time

SLOTS = 64
TARGET, IDLE_TARGET, GRACE = 1.10, 0.05, 1.5
SIGMA = 0.5


@dataclass(frozen=True)
class Kind:
    """Episodes of one task.

    Attributes:
        reset_s, step_s: mean times of the environment.
        lanes: locks; every `nth` episode holds one of them alone.
    """

    name: str
    episodes: int
    turns: int
    reset_s: float = 0.0
    step_s: float = 0.0
    lanes: int = 0
    nth: int = 1

    def samples(self) -> list[Sample]:
        return [Sample(str(n), turns=self.turns, locks=self.locks(n)) for n in range(self.episodes)]

    def locks(self, n: int) -> tuple[str, ...]:
        if not self.lanes or n % self.nth:
            return ()
        return (f"site:{n // self.nth % self.lanes}",)


@dataclass(frozen=True)
class Suite:
    kinds: tuple[Kind, ...]
    service_s: float = 1.0
    sigma: float = SIGMA
    spread: tuple[float, float] = (0.4, 1.6)


SUITES = {
    "even": Suite(
        (Kind("long", 20, 60), Kind("middle", 40, 30), Kind("short", 30, 16), Kind("single", 1000, 1)),
        0.2, 0.0, (1.0, 1.0),
    ),
    "mixed": Suite(
        (
            Kind("sites", 812, 30, 5.0, 1.0, lanes=4, nth=16),
            Kind("text", 270, 60, 0.5, 0.05),
            Kind("pages", 300, 16, 1.0, 0.3),
            Kind("single", 15_000, 1),
        )
    ),
    "slow": Suite((Kind("pages", 600, 12, 3.0, 4.0), Kind("single", 600, 1))),
}  # fmt: skip


@dataclass
class Law:
    """Draws every time by name."""

    suite: Suite
    seed: int

    def draw(self, mean: float, *what: object) -> float:
        if not self.suite.sigma or not mean:
            return mean
        chance = random.Random(f"{self.seed} {what}")
        return mean * chance.lognormvariate(-(self.suite.sigma**2) / 2, self.suite.sigma)

    def turns(self, kind: Kind, sample: str) -> int:
        low, high = self.suite.spread if kind.turns > 1 else (1.0, 1.0)
        chance = random.Random(f"{self.seed} turns {kind.name} {sample}")
        return max(1, round(kind.turns * chance.uniform(low, high)))

    def episode(self, kind: Kind, sample: str) -> tuple[list[float], list[float]]:
        """Service times of an episode's requests, and the environment's times around them."""
        count = self.turns(kind, sample)
        asked = [self.draw(self.suite.service_s, kind.name, sample, n) for n in range(count)]
        steps = [self.draw(kind.step_s, "step", kind.name, sample, n) for n in range(count)]
        return asked, [self.draw(kind.reset_s, "reset", kind.name, sample), *steps]

    def bound(self) -> tuple[float, str]:
        """The shortest possible time, and what makes it so."""
        work = longest = 0.0
        lanes: dict[str, float] = {}
        for kind in self.suite.kinds:
            for n in range(kind.episodes):
                asked, around = self.episode(kind, str(n))
                whole = sum(asked) + sum(around)
                work, longest = work + sum(asked), max(longest, whole)
                for name in kind.locks(n):
                    lanes[name] = lanes.get(name, 0.0) + whole
        lane = max(lanes.values(), default=0.0)
        return max((work / SLOTS, "work"), (lane, "longest lane"), (longest, "longest episode"))


@dataclass
class Play:
    """One order of playing a suite."""

    law: Law
    before: bool = False
    busy: float = 0.0
    started: float = 0.0
    at_last_start: float = 0.0
    flying: int = 0
    since: float = 0.0
    waits: list[float] = field(default_factory=list)

    async def all(self, *, one_by_one: bool) -> float:
        endpoint = Endpoint("http://10.0.0.1:80", Limit(SLOTS, SLOTS))
        self.pool = Pool([endpoint], alive=self._alive, concurrency=SLOTS)
        queues = [self.queue(kind) for kind in self.law.suite.kinds]
        for some in [[queue] for queue in queues] if one_by_one else [queues]:
            await self.scheduler().run(some)
        await self.pool.close()
        return asyncio.get_running_loop().time()

    def scheduler(self) -> Scheduler:
        budget = Budget(int(SLOTS * PREFETCH), math.inf, math.inf)
        return Scheduler(budget) if self.before else Scheduler(budget, pressure=lambda: self.pool.pressure)

    async def _alive(self, endpoint: Endpoint) -> bool:
        return True

    def queue(self, kind: Kind) -> TaskQueue:
        @asynccontextmanager
        async def world():
            yield SimpleNamespace(capacity=Capacity(), fingerprint={})

        expected = Expected(kind.turns)
        planned = [PlannedEpisode(sample, 0) for sample in kind.samples()]
        episodes = EpisodeQueue(planned if self.before else ordered(planned, expected), expected)
        return TaskQueue(kind.name, episodes, world, partial(self.episode, kind, episodes), fail)

    async def episode(self, kind, episodes, world, planned, activity) -> bool:
        asked, around = self.law.episode(kind, planned.sample.id)
        self.at_last_start, self.busy_then = asyncio.get_running_loop().time(), self._busy()
        await asyncio.sleep(around[0])
        for turn, (service, step) in enumerate(zip(asked, around[1:], strict=True)):
            activity.turn = turn
            activity.enter("model")
            left = 0.0 if self.before else activity.left(turn)
            await self.pool.run(
                f"{kind.name}{planned.sample.id}",
                partial(self.serve, service),
                deadline_s=1e6,
                turns_left=left,
            )
            activity.enter("step")
            await asyncio.sleep(step)
        if not self.before:
            episodes.expected.note(planned.sample, len(asked))
        return False

    def _busy(self) -> float:
        """Seconds of slots in use up to now."""
        now = asyncio.get_running_loop().time()
        self.busy, self.since = self.busy + self.flying * (now - self.since), now
        return self.busy

    async def serve(self, service_s: float, endpoint: Endpoint):
        self._busy()
        self.flying += 1
        await asyncio.sleep(service_s)
        self._busy()
        self.flying -= 1
        return SimpleNamespace(queue_s=0.0, output_tokens=1)

    @property
    def idle(self) -> float:
        """Share of the slots' time that was not used until the last episode started."""
        return 1.0 - self.busy_then / (SLOTS * self.at_last_start) if self.at_last_start else 0.0


def fail(error: Exception) -> None:
    raise error


def compared(name: str, seed: int) -> bool:
    """Print how long every order takes; returns whether ours is within the targets."""
    law = Law(SUITES[name], seed)
    bound, why = law.bound()
    print(f"suite {name}, seed {seed}: bound {bound:.1f} s ({why})")
    for label, play, one_by_one in (
        ("task by task", Play(law, before=True), True),
        ("before", Play(law, before=True), False),
        ("now", Play(law), False),
    ):
        took = virtual_time.run(play.all(one_by_one=one_by_one))
        print(f"  {label:12} {took:8.1f} s  {took / bound:.3f} x the bound, idle {play.idle:.1%}")
    return name == "slow" or (took / bound <= 1 + (TARGET - 1) * GRACE and play.idle <= IDLE_TARGET * GRACE)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--suite", choices=SUITES, action="append")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    results = [compared(name, options.seed) for name in options.suite or SUITES]
    print(f"target {TARGET} x the bound, idle {IDLE_TARGET:.0%}")
    return int(not all(results))


if __name__ == "__main__":
    sys.exit(main())
