"""Admission and lanes: nothing over budget, a stop starts nothing new, one lane's end is not the others'."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest

from harness.running.activity import Activity
from harness.running.admission import Admission, Budget
from harness.running.queue import EpisodeQueue, PlannedEpisode
from harness.running.scheduler import Scheduler, TaskQueue
from harness.types import Capacity, Sample

TICKS = 5


async def settle() -> None:
    for _ in range(TICKS):
        await asyncio.sleep(0)


def jobs(count: int) -> EpisodeQueue:
    return EpisodeQueue(PlannedEpisode(Sample(str(n)), 0) for n in range(count))


def lane(name: str, count: int, capacity: Capacity, play, priority: int = 1, lost=None) -> TaskQueue:
    @asynccontextmanager
    async def world():
        yield SimpleNamespace(capacity=capacity, fingerprint={})

    return TaskQueue(
        name, jobs(count), priority, world, play, lost or (lambda error: pytest.fail(str(error)))
    )


async def test_memory_and_live_episodes_stay_in_budget():
    alive = {"now": 0, "most": 0}
    full = asyncio.Event()

    async def play(world, job: PlannedEpisode, activity: Activity) -> bool:
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
        await scheduler.run([lane("a", 40, Capacity(memory_mb=100), play)])
    assert alive == {"now": 0, "most": 5}


async def test_long_episodes_are_served_first():
    admission = Admission(Budget(live=1, memory_mb=1e6, cpu=8))
    held = await admission.acquire("x", Capacity(), 1, jobs(1))
    assert held is not None
    order: list[str] = []

    async def wait(name: str, priority: int) -> None:
        entry = await admission.acquire(name, Capacity(), priority, jobs(1))
        assert entry is not None
        order.append(name)
        admission.release(name, Capacity(), entry)

    async with asyncio.TaskGroup() as group:
        group.create_task(wait("short", 1))
        group.create_task(wait("long", 30))
        await settle()
        admission.release("x", Capacity(), held)
    assert order == ["long", "short"]


async def test_a_lane_given_up_while_it_waits_for_a_place_ends_alone():
    lanes: dict[str, TaskQueue] = {}
    played: list[str] = []

    async def give_up(world, job: PlannedEpisode, activity: Activity) -> bool:
        await settle()
        lanes["bad"].episodes.clear()
        return False

    async def play(world, job: PlannedEpisode, activity: Activity) -> bool:
        await settle()
        played.append(job.sample.id)
        return False

    lanes["bad"] = lane("bad", 20, Capacity(), give_up, priority=2)
    lanes["good"] = lane("good", 20, Capacity(), play)
    async with asyncio.timeout(10):
        await Scheduler(Budget(2, 1e6, 8)).run(list(lanes.values()))
    assert sorted(map(int, played)) == list(range(20))


async def test_after_its_time_it_starts_nothing_and_says_that_jobs_are_left():
    scheduler = Scheduler(Budget(1, 1e6, 8))
    over = asyncio.get_running_loop().time()
    ended: list[str] = []

    async def play(world, job: PlannedEpisode, activity: Activity) -> bool:
        while not scheduler.stopping:  # noqa: ASYNC110 - the scheduler's clock tells nobody
            await asyncio.sleep(0)
        ended.append(job.sample.id)
        return False

    lanes = [lane("a", 3, Capacity(), play)]
    async with asyncio.timeout(10):
        await scheduler.run(lanes, until=over)
    assert scheduler.expired
    assert len(ended) + len(lanes[0].episodes) == 3
    assert len(ended) <= 1


async def test_a_run_that_ends_in_time_is_not_expired():
    scheduler = Scheduler(Budget(1, 1e6, 8))

    async def play(world, job: PlannedEpisode, activity: Activity) -> bool:
        return False

    await scheduler.run([lane("a", 3, Capacity(), play)], until=asyncio.get_running_loop().time() + 3600)
    assert not scheduler.expired


async def test_an_episode_larger_than_the_machine_still_runs_alone():
    seen: list[str] = []

    async def play(world, job: PlannedEpisode, activity: Activity) -> bool:
        seen.append(job.sample.id)
        return False

    await Scheduler(Budget(4, 10, 1)).run([lane("huge", 3, Capacity(memory_mb=1000, cpu=9), play)])
    assert seen == ["0", "1", "2"]


async def test_a_failed_job_comes_back_at_the_end():
    seen: list[str] = []

    async def play(world, job: PlannedEpisode, activity: Activity) -> bool:
        seen.append(job.sample.id)
        job.tries += 1
        return job.sample.id == "0" and job.tries == 1

    await Scheduler(Budget(1, 1e6, 8)).run([lane("a", 3, Capacity(), play)])
    assert seen == ["0", "1", "2", "0"]


async def test_stop_starts_nothing_new_and_lets_the_live_ones_end():
    scheduler = Scheduler(Budget(2, 1e6, 8))
    ended: list[str] = []

    async def play(world, job: PlannedEpisode, activity: Activity) -> bool:
        scheduler.stop()
        await settle()
        ended.append(job.sample.id)
        return False

    async with asyncio.timeout(10):
        await scheduler.run([lane("a", 50, Capacity(), play)])
    assert 1 <= len(ended) <= 2


async def test_a_world_that_does_not_open_loses_its_lane_only():
    lost: list[str] = []
    played: list[str] = []

    async def play(world, job: PlannedEpisode, activity: Activity) -> bool:
        played.append(job.sample.id)
        return False

    bad = lane("bad", 3, Capacity(), play, lost=lambda error: lost.append(str(error)))

    @asynccontextmanager
    async def broken():
        raise RuntimeError("no java")
        yield

    bad.world = broken
    await Scheduler(Budget(4, 1e6, 8)).run([bad, lane("good", 2, Capacity(), play)])
    assert lost == ["no java"]
    assert played == ["0", "1"]


async def test_cancelled_waiters_take_no_place():
    admission = Admission(Budget(1, 1e6, 8))
    held = await admission.acquire("x", Capacity(), 1, jobs(1))
    assert held is not None
    waiting = asyncio.create_task(admission.acquire("y", Capacity(), 1, jobs(1)))
    await settle()
    admission.release("x", Capacity(), held)  # grants y, whose task is cancelled before it can run
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    async with asyncio.timeout(5):
        await admission.acquire("z", Capacity(), 1, jobs(1))


async def test_the_watchdog_names_the_oldest():
    scheduler = Scheduler(Budget(4, 1e6, 8))
    release, alive = asyncio.Event(), asyncio.Semaphore(0)

    async def play(world, job: PlannedEpisode, activity: Activity) -> bool:
        activity.enter("model")
        activity.since -= 100 * (1 + int(job.sample.id))
        alive.release()
        await release.wait()
        return False

    running = asyncio.create_task(scheduler.run([lane("a", 3, Capacity(), play)]))
    for _ in range(3):
        await alive.acquire()
    lines = scheduler.oldest(2)
    release.set()
    await running
    assert [line.split(":")[0] for line in lines] == ["a 2#0", "a 1#0"]
    assert "model for 300 s" in lines[0]
