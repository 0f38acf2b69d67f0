"""Queues of episodes and their locks: one holder, order kept per lock, none waits for what is free."""

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
from harness.running.expected import Expected
from harness.running.queue import EpisodeQueue, PlannedEpisode, ordered
from harness.running.scheduler import Scheduler, TaskQueue
from harness.types import Capacity, Sample


def episode(
    name: str, locks: Sequence[str] = (), shares: Sequence[str] = (), turns: int | None = None
) -> PlannedEpisode:
    return PlannedEpisode(Sample(name, locks=tuple(locks), shares=tuple(shares), turns=turns), 0)


def ids(episodes: Sequence[PlannedEpisode]) -> list[str]:
    return [each.sample.id for each in episodes]


def everything(episodes: EpisodeQueue) -> list[str]:
    taken: list[str] = []
    while entry := episodes.take(lambda _: True):
        taken.append(entry.planned.sample.id)
    return taken


def test_long_episodes_come_first_and_equal_ones_keep_their_order():
    episodes = [
        episode("a"),
        episode("b", turns=30),
        episode("c", turns=1),
        episode("d", turns=30),
        episode("e"),
    ]
    assert ids(ordered(episodes, Expected(5))) == ["b", "d", "a", "e", "c"]
    assert ids(episodes) == ["a", "b", "c", "d", "e"]


def test_episodes_of_one_lock_keep_their_order_and_count_as_one_long_episode():
    episodes = [
        episode("long", turns=20),
        episode("a", ["x"], turns=1),
        episode("b", turns=9),
        episode("c", [], ["x"], turns=30),
        episode("d", [], ["x"], turns=2),
        episode("e", ["x"], turns=4),
        episode("f", ["y"], turns=9),
    ]
    assert ids(ordered(episodes, Expected(9))) == ["a", "c", "long", "b", "f", "d", "e"]
    assert {each.sample.id: each.followed for each in episodes if each.locks} == {
        "a": 34, "c": 4, "d": 4, "e": 0, "f": 0
    }  # fmt: skip


def test_a_refused_episode_holds_back_only_what_shares_a_name_with_it():
    episodes = EpisodeQueue(
        [
            episode("a", ["x", "y"]),
            episode("b", ["y"]),
            episode("c", [], ["x"]),
            episode("d", ["z"]),
            episode("e"),
        ]
    )
    asked: list[str] = []

    def grab(entry) -> bool:
        asked.append(entry.planned.sample.id)
        return "x" not in entry.names

    first, second = episodes.take(grab), episodes.take(grab)
    assert first and second
    assert ids([first.planned, second.planned]) == ["d", "e"]
    assert episodes.take(grab) is None
    assert set(asked) == {"a", "d"}
    assert everything(episodes) == ["a", "b", "c"]


def test_dropping_a_name_keeps_the_rest_in_order():
    episodes = EpisodeQueue(
        [
            episode("a", ["x"]),
            episode("b", ["x", "y"]),
            episode("c", ["y"]),
            episode("d"),
            episode("e", [], ["y"]),
        ]
    )
    assert episodes.drop("x") == 2
    assert everything(episodes) == ["c", "d", "e"]


def test_looking_for_an_episode_does_not_walk_the_queue():
    """20,000 episodes behind one lock that is never free: each look asks for one of them."""
    episodes = EpisodeQueue(episode(str(n), ["x"]) for n in range(20_000))
    asked: list[object] = []
    for _ in range(100):
        assert episodes.take(lambda entry: bool(asked.append(entry))) is None
    assert len(asked) == 100


@dataclass
class Stage:
    """Plays episodes for a random number of turns of the loop and checks the rules at each start."""

    chance: random.Random
    tasks: dict[str, list[PlannedEpisode]] = field(default_factory=dict)
    live: list[PlannedEpisode] = field(default_factory=list)
    started: list[str] = field(default_factory=list)
    most: int = 0

    def task(self, name: str, episodes: list[PlannedEpisode], capacity: Capacity) -> TaskQueue:
        self.tasks[name] = list(episodes)

        @asynccontextmanager
        async def world():
            yield SimpleNamespace(capacity=capacity, fingerprint={})

        async def play(world, each: PlannedEpisode, activity: Activity) -> bool:
            self._start(name, each)
            for _ in range(self.chance.randrange(1, 12)):
                await asyncio.sleep(0)
            self.live.remove(each)
            return False

        return TaskQueue(name, EpisodeQueue(episodes), world, play, lambda error: pytest.fail(str(error)))

    def _start(self, task: str, each: PlannedEpisode) -> None:
        assert not [other for other in self.live if clash(each, other)], "two holders"
        queue = self.tasks[task]
        at = queue.index(each)
        overtaken = [other for other in queue[:at] if names(other) & names(each)]
        assert not overtaken, f"{each.sample.id} overtook {ids(overtaken)}"
        queue.pop(at)
        self.live.append(each)
        self.started.append(each.sample.id)
        self.most = max(self.most, len(self.live))

    def idle(self) -> list[str]:
        """Episodes that could be live: locks are free, and no earlier one of their task waits for one."""
        return [
            each.sample.id
            for queue in self.tasks.values()
            for at, each in enumerate(queue)
            if not any(clash(each, other) for other in self.live)
            and not any(names(each) & names(other) for other in queue[:at])
        ]


def names(each: PlannedEpisode) -> set[str]:
    return {*each.sample.locks, *each.sample.shares}


def clash(one: PlannedEpisode, other: PlannedEpisode) -> bool:
    alone = set(one.sample.locks) & names(other) or set(other.sample.locks) & names(one)
    return bool(alone)


def some_episodes(chance: random.Random, prefix: str, count: int) -> list[PlannedEpisode]:
    made: list[PlannedEpisode] = []
    for n in range(count):
        wanted = chance.sample("abcdef", chance.randrange(0, 4))
        alone = [name for name in wanted if chance.random() < 0.6]
        made.append(episode(f"{prefix}{n}", alone, [name for name in wanted if name not in alone]))
    return made


@pytest.mark.parametrize("seed", range(12))
async def test_random_locks_in_one_task(seed: int):
    chance = random.Random(seed)
    stage = Stage(chance)
    tasks = [stage.task("one", some_episodes(chance, "j", 100), Capacity())]
    running = asyncio.create_task(Scheduler(Budget(1000, 1e6, 1e6)).run(tasks))
    waited: dict[str, int] = {}
    async with asyncio.timeout(60):
        while not running.done():
            await asyncio.sleep(0)
            idle = stage.idle()
            # A place is given in the turn in which a lock comes free; playing begins in the next few.
            waited = {name: waited.get(name, 0) + 1 for name in idle}
            assert not [name for name, turns in waited.items() if turns > 8], "a free task waits"
    await running
    assert len(stage.started) == 100
    assert stage.most > 1


@pytest.mark.parametrize("seed", range(12))
async def test_random_locks_in_three_lanes_under_a_budget(seed: int):
    chance = random.Random(1000 + seed)
    stage = Stage(chance)
    capacities = [Capacity(), Capacity(live=1), Capacity(memory_mb=30)]
    tasks = [
        stage.task(f"l{n}", some_episodes(chance, f"{n}/", 34), each) for n, each in enumerate(capacities)
    ]
    async with asyncio.timeout(60):
        await Scheduler(Budget(6, 100, 100)).run(tasks)
    assert len(set(stage.started)) == 102


async def test_an_episode_of_two_locks_is_not_starved_by_another_task():
    """The other task always holds one of the two; without an order between tasks it would go first."""
    stage = Stage(random.Random(0))
    singles = [episode(f"s{n}", ["x" if n % 2 else "y"]) for n in range(200)]
    tasks = [
        stage.task("many", singles, Capacity()),
        stage.task("few", [episode("both", ["x", "y"])], Capacity()),
    ]
    async with asyncio.timeout(60):
        await Scheduler(Budget(4, 1e6, 100)).run(tasks)
    assert stage.started.index("both") <= 6
    assert len(stage.started) == 201


async def test_opposite_orders_do_not_deadlock():
    stage = Stage(random.Random(0))
    episodes = [episode(f"{n}", ["x", "y"] if n % 2 else ["y", "x"]) for n in range(20)]
    tasks = [stage.task("a", episodes[:10], Capacity()), stage.task("b", episodes[10:], Capacity())]
    async with asyncio.timeout(60):
        await Scheduler(Budget(8, 1e6, 100)).run(tasks)
    assert len(stage.started) == 20


async def test_sharers_are_live_together():
    stage = Stage(random.Random(0))
    episodes = [episode(f"{n}", [], ["x"]) for n in range(10)]
    async with asyncio.timeout(60):
        await Scheduler(Budget(8, 1e6, 100)).run([stage.task("a", episodes, Capacity())])
    assert stage.most == 8
