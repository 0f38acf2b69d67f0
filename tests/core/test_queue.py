"""Queues of jobs and their locks: never two holders, order kept per lock, nobody waits for what is free."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from harness.running.activity import Activity
from harness.running.admission import Budget
from harness.running.queue import EpisodeQueue, PlannedEpisode, ordered
from harness.running.scheduler import Scheduler, TaskQueue
from harness.types import Capacity, Sample


def job(
    name: str, locks: Sequence[str] = (), shares: Sequence[str] = (), turns: int | None = None
) -> PlannedEpisode:
    return PlannedEpisode(Sample(name, locks=tuple(locks), shares=tuple(shares), turns=turns), 0)


def ids(jobs: Sequence[PlannedEpisode]) -> list[str]:
    return [each.sample.id for each in jobs]


def everything(jobs: EpisodeQueue) -> list[str]:
    taken: list[str] = []
    while entry := jobs.take(lambda _: True):
        taken.append(entry.planned.sample.id)
    return taken


def test_long_jobs_come_first_and_equal_ones_keep_their_order():
    jobs = [job("a"), job("b", turns=30), job("c", turns=1), job("d", turns=30), job("e")]
    assert ids(ordered(jobs, 5)) == ["b", "d", "a", "e", "c"]
    assert ids(jobs) == ["a", "b", "c", "d", "e"]


def test_jobs_with_locks_keep_their_order_among_themselves():
    jobs = [
        job("a", ["x"], turns=1),
        job("b", turns=9),
        job("c", [], ["x"], turns=30),
        job("d", ["y"], turns=9),
    ]
    assert ids(ordered(jobs, 9)) == ["a", "b", "c", "d"]


def test_a_refused_job_holds_back_only_what_shares_a_name_with_it():
    jobs = EpisodeQueue(
        [job("a", ["x", "y"]), job("b", ["y"]), job("c", [], ["x"]), job("d", ["z"]), job("e")]
    )
    asked: list[str] = []

    def grab(entry) -> bool:
        asked.append(entry.planned.sample.id)
        return "x" not in entry.names

    first, second = jobs.take(grab), jobs.take(grab)
    assert first and second
    assert ids([first.planned, second.planned]) == ["d", "e"]
    assert jobs.take(grab) is None
    assert set(asked) == {"a", "d"}
    assert everything(jobs) == ["a", "b", "c"]


def test_dropping_a_name_keeps_the_rest_in_order():
    jobs = EpisodeQueue(
        [job("a", ["x"]), job("b", ["x", "y"]), job("c", ["y"]), job("d"), job("e", [], ["y"])]
    )
    assert jobs.drop("x") == 2
    assert everything(jobs) == ["c", "d", "e"]


def test_looking_for_a_job_does_not_walk_the_queue():
    """20,000 jobs behind one lock that is never free: each look asks for one of them."""
    jobs = EpisodeQueue(job(str(n), ["x"]) for n in range(20_000))
    asked: list[object] = []
    for _ in range(100):
        assert jobs.take(lambda entry: bool(asked.append(entry))) is None
    assert len(asked) == 100


@dataclass
class Stage:
    """Plays jobs for a random number of turns of the loop and checks the rules at each start."""

    chance: random.Random
    lanes: dict[str, list[PlannedEpisode]] = field(default_factory=dict)
    live: list[PlannedEpisode] = field(default_factory=list)
    started: list[str] = field(default_factory=list)
    most: int = 0

    def lane(self, name: str, jobs: list[PlannedEpisode], capacity: Capacity) -> TaskQueue:
        self.lanes[name] = list(jobs)

        @asynccontextmanager
        async def world():
            yield SimpleNamespace(capacity=capacity, fingerprint={})

        async def play(world, each: PlannedEpisode, activity: Activity) -> bool:
            self._start(name, each)
            for _ in range(self.chance.randrange(1, 12)):
                await asyncio.sleep(0)
            self.live.remove(each)
            return False

        return TaskQueue(name, EpisodeQueue(jobs), 1, world, play, lambda error: pytest.fail(str(error)))

    def _start(self, lane: str, each: PlannedEpisode) -> None:
        assert not [other for other in self.live if clash(each, other)], "two holders"
        queue = self.lanes[lane]
        at = queue.index(each)
        overtaken = [other for other in queue[:at] if names(other) & names(each)]
        assert not overtaken, f"{each.sample.id} overtook {ids(overtaken)}"
        queue.pop(at)
        self.live.append(each)
        self.started.append(each.sample.id)
        self.most = max(self.most, len(self.live))

    def idle(self) -> list[str]:
        """Jobs that could be live: their locks are free, and no earlier job of their lane waits for them."""
        return [
            each.sample.id
            for queue in self.lanes.values()
            for at, each in enumerate(queue)
            if not any(clash(each, other) for other in self.live)
            and not any(names(each) & names(other) for other in queue[:at])
        ]


def names(each: PlannedEpisode) -> set[str]:
    return {*each.sample.locks, *each.sample.shares}


def clash(one: PlannedEpisode, other: PlannedEpisode) -> bool:
    alone = set(one.sample.locks) & names(other) or set(other.sample.locks) & names(one)
    return bool(alone)


def some_jobs(chance: random.Random, prefix: str, count: int) -> list[PlannedEpisode]:
    made: list[PlannedEpisode] = []
    for n in range(count):
        wanted = chance.sample("abcdef", chance.randrange(0, 4))
        alone = [name for name in wanted if chance.random() < 0.6]
        made.append(job(f"{prefix}{n}", alone, [name for name in wanted if name not in alone]))
    return made


@pytest.mark.parametrize("seed", range(12))
async def test_random_locks_in_one_lane(seed: int):
    chance = random.Random(seed)
    stage = Stage(chance)
    lanes = [stage.lane("one", some_jobs(chance, "j", 100), Capacity())]
    running = asyncio.create_task(Scheduler(Budget(1000, 1e6, 1e6)).run(lanes))
    waited: dict[str, int] = {}
    async with asyncio.timeout(60):
        while not running.done():
            await asyncio.sleep(0)
            idle = stage.idle()
            # A place is given in the turn in which a lock comes free; playing begins in the next few.
            waited = {name: waited.get(name, 0) + 1 for name in idle}
            assert not [name for name, turns in waited.items() if turns > 8], "a free lane waits"
    await running
    assert len(stage.started) == 100
    assert stage.most > 1


@pytest.mark.parametrize("seed", range(12))
async def test_random_locks_in_three_lanes_under_a_budget(seed: int):
    chance = random.Random(1000 + seed)
    stage = Stage(chance)
    capacities = [Capacity(), Capacity(live=1), Capacity(memory_mb=30)]
    lanes = [stage.lane(f"l{n}", some_jobs(chance, f"{n}/", 34), each) for n, each in enumerate(capacities)]
    async with asyncio.timeout(60):
        await Scheduler(Budget(6, 100, 100)).run(lanes)
    assert len(set(stage.started)) == 102


async def test_a_job_of_two_locks_is_not_starved_by_another_lane():
    """The other lane always holds one of the two; without an order between lanes it would go first."""
    stage = Stage(random.Random(0))
    singles = [job(f"s{n}", ["x" if n % 2 else "y"]) for n in range(200)]
    lanes = [
        stage.lane("many", singles, Capacity()),
        stage.lane("few", [job("both", ["x", "y"])], Capacity()),
    ]
    async with asyncio.timeout(60):
        await Scheduler(Budget(4, 1e6, 100)).run(lanes)
    assert stage.started.index("both") <= 6
    assert len(stage.started) == 201


async def test_opposite_orders_do_not_deadlock():
    stage = Stage(random.Random(0))
    jobs = [job(f"{n}", ["x", "y"] if n % 2 else ["y", "x"]) for n in range(20)]
    lanes = [stage.lane("a", jobs[:10], Capacity()), stage.lane("b", jobs[10:], Capacity())]
    async with asyncio.timeout(60):
        await Scheduler(Budget(8, 1e6, 100)).run(lanes)
    assert len(stage.started) == 20


async def test_sharers_are_live_together():
    stage = Stage(random.Random(0))
    jobs = [job(f"{n}", [], ["x"]) for n in range(10)]
    async with asyncio.timeout(60):
        await Scheduler(Budget(8, 1e6, 100)).run([stage.lane("a", jobs, Capacity())])
    assert stage.most == 8
