"""Admission and tasks: nothing over budget, a stop starts nothing new, one task's end is not the others'."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest

from harness.running.activity import Activity
from harness.running.admission import Admission, Budget
from harness.running.expected import Expected
from harness.running.queue import EpisodeQueue, PlannedEpisode
from harness.running.scheduler import Scheduler, TaskQueue
from harness.types import Capacity, Sample

TICKS = 5


async def settle() -> None:
    for _ in range(TICKS):
        await asyncio.sleep(0)


def episodes(count: int, turns: int = 1) -> EpisodeQueue:
    return EpisodeQueue(PlannedEpisode(Sample(str(n), turns=turns), 0) for n in range(count))


def task(name: str, count: int, capacity: Capacity, play, turns: int = 1, lost=None) -> TaskQueue:
    @asynccontextmanager
    async def world():
        yield SimpleNamespace(capacity=capacity, fingerprint={})

    return TaskQueue(
        name, episodes(count, turns), world, play, lost or (lambda error: pytest.fail(str(error)))
    )


async def test_memory_and_live_episodes_stay_in_budget():
    alive = {"now": 0, "most": 0}
    full = asyncio.Event()

    async def play(world, episode: PlannedEpisode, activity: Activity) -> bool:
        alive["now"] += 1
        alive["most"] = max(alive["most"], alive["now"])
        if alive["now"] == 5:
            full.set()
        await full.wait()
        await settle()
        alive["now"] -= 1
        return False

    scheduler = Scheduler(Budget(live=50, memory_mb=500, cpu=8))
    async with asyncio.timeout(10):
        await scheduler.run([task("a", 40, Capacity(memory_mb=100), play)])
    assert alive == {"now": 0, "most": 5}


async def test_long_episodes_are_served_first():
    admission = Admission(Budget(live=1, memory_mb=1e6, cpu=8))
    held = await admission.acquire("x", Capacity(), episodes(1))
    assert held is not None
    order: list[str] = []

    async def wait(name: str, turns: int) -> None:
        entry = await admission.acquire(name, Capacity(), episodes(1, turns))
        assert entry is not None
        order.append(name)
        admission.release(name, Capacity(), entry)

    async with asyncio.TaskGroup() as group:
        group.create_task(wait("short", 1))
        group.create_task(wait("long", 30))
        await settle()
        admission.release("x", Capacity(), held)
    assert order == ["long", "short"]


async def test_a_task_given_up_while_it_waits_for_a_place_ends_alone():
    tasks: dict[str, TaskQueue] = {}
    played: list[str] = []

    async def give_up(world, episode: PlannedEpisode, activity: Activity) -> bool:
        await settle()
        tasks["bad"].episodes.clear()
        return False

    async def play(world, episode: PlannedEpisode, activity: Activity) -> bool:
        await settle()
        played.append(episode.sample.id)
        return False

    tasks["bad"] = task("bad", 20, Capacity(), give_up, turns=2)
    tasks["good"] = task("good", 20, Capacity(), play)
    async with asyncio.timeout(10):
        await Scheduler(Budget(2, 1e6, 8)).run(list(tasks.values()))
    assert sorted(map(int, played)) == list(range(20))


async def test_after_its_time_it_starts_nothing_and_says_that_episodes_are_left():
    scheduler = Scheduler(Budget(1, 1e6, 8))
    over = asyncio.get_running_loop().time()
    ended: list[str] = []

    async def play(world, episode: PlannedEpisode, activity: Activity) -> bool:
        while not scheduler.stopping:  # noqa: ASYNC110 - the scheduler's clock tells nobody
            await asyncio.sleep(0)
        ended.append(episode.sample.id)
        return False

    tasks = [task("a", 3, Capacity(), play)]
    async with asyncio.timeout(10):
        await scheduler.run(tasks, until=over)
    assert scheduler.expired
    assert len(ended) + len(tasks[0].episodes) == 3
    assert len(ended) <= 1


async def test_a_run_that_ends_in_time_is_not_expired():
    scheduler = Scheduler(Budget(1, 1e6, 8))

    async def play(world, episode: PlannedEpisode, activity: Activity) -> bool:
        return False

    await scheduler.run([task("a", 3, Capacity(), play)], until=asyncio.get_running_loop().time() + 3600)
    assert not scheduler.expired


async def test_an_episode_larger_than_the_machine_still_runs_alone():
    seen: list[str] = []

    async def play(world, episode: PlannedEpisode, activity: Activity) -> bool:
        seen.append(episode.sample.id)
        return False

    await Scheduler(Budget(4, 10, 1)).run([task("huge", 3, Capacity(memory_mb=1000, cpu=9), play)])
    assert seen == ["0", "1", "2"]


async def test_a_failed_episode_comes_back_at_the_end():
    seen: list[str] = []

    async def play(world, episode: PlannedEpisode, activity: Activity) -> bool:
        seen.append(episode.sample.id)
        episode.tries += 1
        return episode.sample.id == "0" and episode.tries == 1

    await Scheduler(Budget(1, 1e6, 8)).run([task("a", 3, Capacity(), play)])
    assert seen == ["0", "1", "2", "0"]


async def test_stop_starts_nothing_new_and_lets_the_live_ones_end():
    scheduler = Scheduler(Budget(2, 1e6, 8))
    ended: list[str] = []

    async def play(world, episode: PlannedEpisode, activity: Activity) -> bool:
        scheduler.stop()
        await settle()
        ended.append(episode.sample.id)
        return False

    async with asyncio.timeout(10):
        await scheduler.run([task("a", 50, Capacity(), play)])
    assert 1 <= len(ended) <= 2


async def test_a_world_that_does_not_open_loses_its_task_only():
    lost: list[str] = []
    played: list[str] = []

    async def play(world, episode: PlannedEpisode, activity: Activity) -> bool:
        played.append(episode.sample.id)
        return False

    bad = task("bad", 3, Capacity(), play, lost=lambda error: lost.append(str(error)))

    @asynccontextmanager
    async def broken():
        raise RuntimeError("no java")
        yield

    bad.world = broken
    await Scheduler(Budget(4, 1e6, 8)).run([bad, task("good", 2, Capacity(), play)])
    assert lost == ["no java"]
    assert played == ["0", "1"]


async def test_cancelled_waiters_take_no_place():
    admission = Admission(Budget(1, 1e6, 8))
    held = await admission.acquire("x", Capacity(), episodes(1))
    assert held is not None
    waiting = asyncio.create_task(admission.acquire("y", Capacity(), episodes(1)))
    await settle()
    admission.release("x", Capacity(), held)  # grants y, whose task is cancelled before it can run
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    async with asyncio.timeout(60):
        await admission.acquire("z", Capacity(), episodes(1))


async def test_the_watchdog_names_the_oldest():
    scheduler = Scheduler(Budget(4, 1e6, 8))
    release, alive = asyncio.Event(), asyncio.Semaphore(0)

    async def play(world, episode: PlannedEpisode, activity: Activity) -> bool:
        activity.enter("model")
        activity.since -= 100 * (1 + int(episode.sample.id))
        alive.release()
        await release.wait()
        return False

    running = asyncio.create_task(scheduler.run([task("a", 3, Capacity(), play)]))
    for _ in range(3):
        await alive.acquire()
    lines = scheduler.stuck(2)
    release.set()
    await running
    assert [line.split(":")[0] for line in lines] == ["a 2#0", "a 1#0"]
    assert "model for 300 s" in lines[0]


async def test_more_episodes_are_live_while_the_model_waits_for_them():
    admission = Admission(Budget(live=4, memory_mb=1000, cpu=8, spare_mb=100))
    queue, admitted = episodes(1000), list[object]()

    async def admit() -> None:
        while entry := await admission.acquire("a", Capacity(), queue):
            admitted.append(entry)

    async def seconds(count: int, pressure: float, free_mb: float = 500) -> int:
        for _ in range(count):
            admission.follow(pressure, free_mb)
            await settle()
        return len(admitted)

    running = asyncio.create_task(admit())
    await settle()
    assert await seconds(5, 0.25) == 4
    assert await seconds(5, -0.5, free_mb=50) == 4, "no memory is free in truth"
    assert await seconds(1, -0.5) > 4
    assert await seconds(50, -0.5) == 32, "eight times as many at most"
    assert await seconds(50, 2.0) == 32
    for entry in admitted[:28]:
        admission.release("a", Capacity(), entry)  # pyright: ignore[reportArgumentType]
    await settle()
    assert len(admitted) == 32, "fewer live ones do where so many requests wait"
    admission.stop()
    await running


def test_expected_turns_are_learned_and_never_run_out():
    expected = Expected(10)
    short, long = Sample("a"), Sample("b", turns=40)
    assert (expected.left(short, 0), expected.left(long, 10)) == (10, 30)
    for _ in range(1000):
        expected.note(short, 20)
    assert expected.left(short, 0) == pytest.approx(20, rel=0.01)
    assert expected.left(long, 0) == pytest.approx(80, rel=0.01)
    assert expected.left(short, 40) == 10, "overtime"
    assert Expected(0).left(Sample("c", turns=0), 0) == 1
