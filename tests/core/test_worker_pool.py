"""The pool of workers: leases, replacement of dead and worn workers, and nothing left behind."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from pathlib import Path

import pytest
from processes import exists, until_gone

from harness.errors import EnvironmentFault
from harness.worker import Launch, Lease, PoolSpec, WorkerPool

PATH = os.pathsep.join([str(Path(__file__).parent / "worker_parts"), *sys.path])
LAUNCH = Launch("worker_under_test", env={"PYTHONPATH": PATH})


async def test_leases_spread_over_workers_and_never_share_a_slot() -> None:
    async with WorkerPool(PoolSpec(LAUNCH, size=2, slots=3)) as pool:
        assert len(pool.workers) == 2
        leases = [await pool.acquire() for _ in range(6)]
        assert len({(lease.worker.pid, lease.slot) for lease in leases}) == 6
        assert sorted(lease.slot for lease in leases) == [0, 0, 1, 1, 2, 2]
        assert {lease.worker.pid for lease in leases[:2]} == {worker.pid for worker in pool.workers}
        for n, lease in enumerate(leases):
            assert await lease.call("append", n, timeout=10) == [n]
        waiter = asyncio.create_task(pool.acquire())
        await asyncio.sleep(0)
        assert not waiter.done()
        leases[3].release()
        leases[3].release()
        seventh = await asyncio.wait_for(waiter, 10)
        assert (seventh.worker, seventh.slot) == (leases[3].worker, leases[3].slot)
        pids = [worker.pid for worker in pool.workers]
    assert not any(map(exists, pids))


async def test_workers_start_only_when_needed() -> None:
    async with WorkerPool(PoolSpec(LAUNCH, size=3, slots=2, warm=0)) as pool:
        assert pool.workers == []
        first = await pool.acquire()
        assert len(pool.workers) == 1
        second = await pool.acquire()
        assert second.worker is not first.worker


async def test_a_dead_worker_is_replaced_and_its_leases_fault() -> None:
    async with WorkerPool(PoolSpec(LAUNCH, size=1, slots=2)) as pool:
        one, two = await pool.acquire(), await pool.acquire()
        dead = one.worker.pid
        os.kill(dead, signal.SIGKILL)
        for lease in (one, two):
            with pytest.raises(EnvironmentFault):
                await lease.call("pid", timeout=10)
            lease.release()
        again = await pool.acquire()
        assert await again.call("pid", timeout=10) not in (dead, 0)
    assert not exists(dead)


async def test_a_worn_worker_serves_its_leases_to_the_end() -> None:
    async with WorkerPool(PoolSpec(LAUNCH, size=1, slots=2, uses=2)) as pool:
        one, two = await pool.acquire(), await pool.acquire()
        old = one.worker
        one.release()
        three = await pool.acquire()
        assert three.worker is not old
        assert await two.call("pid", timeout=10) == old.pid
        two.release()
        await until_gone(old.pid)
        assert await three.call("pid", timeout=10) == three.worker.pid
    assert not exists(old.pid)


async def test_a_worker_that_grew_is_replaced() -> None:
    async with WorkerPool(PoolSpec(LAUNCH, size=1, slots=2, recycle_mb=150)) as pool:
        lease = await pool.acquire()
        await lease.worker.call("grow", 200, timeout=20)
        lease.release()
        fresh = await pool.acquire()
        assert fresh.worker is not lease.worker


async def test_a_start_that_fails_is_a_fault_and_gives_the_place_back() -> None:
    refusing = Launch("worker_under_test", env={"PYTHONPATH": PATH, "WORKER_TEST_REFUSE": "1"})
    async with WorkerPool(PoolSpec(refusing, size=1, slots=1, warm=0)) as pool:
        for _ in range(3):
            with pytest.raises(EnvironmentFault, match="no licence"):
                await asyncio.wait_for(pool.acquire(), 30)
    with pytest.raises(EnvironmentFault, match="no licence"):
        await WorkerPool(PoolSpec(refusing, size=2, slots=1)).__aenter__()


async def test_cancelled_while_waiting_gives_the_place_back() -> None:
    async with WorkerPool(PoolSpec(LAUNCH, size=1, slots=1, warm=0)) as pool:
        starting = asyncio.create_task(pool.acquire())
        await asyncio.sleep(0)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        lease = await asyncio.wait_for(pool.acquire(), 60)
        assert await lease.call("pid", timeout=10) == lease.worker.pid


async def test_closing_while_workers_start_leaves_nothing() -> None:
    pool = WorkerPool(PoolSpec(LAUNCH, size=2, slots=1, warm=0))
    starting = [asyncio.create_task(pool.acquire()) for _ in range(2)]
    await asyncio.sleep(0.05)
    await asyncio.wait_for(pool.close(), 30)
    outcomes = await asyncio.gather(*starting, return_exceptions=True)
    assert all(isinstance(outcome, BaseException) for outcome in outcomes)
    assert pool.workers == []


@pytest.mark.parametrize("seed", range(3))
async def test_any_sequence_keeps_the_books(seed: int) -> None:
    """Acquire, release, kill and call at random: slots stay exclusive, places are never lost."""
    rng = random.Random(seed)
    spec = PoolSpec(LAUNCH, size=2, slots=2, uses=7)
    held: list[Lease] = []
    seen: set[int] = set()
    async with WorkerPool(spec) as pool:
        for _ in range(60):
            move = rng.random()
            if move < 0.45 and len(held) < spec.size * spec.slots:
                held.append(await asyncio.wait_for(pool.acquire(), 60))
            elif move < 0.8 and held:
                held.pop(rng.randrange(len(held))).release()
            elif move < 0.85 and held:
                held[0].worker.kill("the test says so")
            elif held:
                lease = rng.choice(held)
                try:
                    assert await lease.call("pid", timeout=20) == lease.worker.pid
                except EnvironmentFault:
                    assert not lease.worker.alive
            living = [lease for lease in held if lease.worker.alive]
            assert len({(lease.worker.pid, lease.slot) for lease in living}) == len(living)
            seen |= {worker.pid for worker in pool.workers}
        for lease in held:
            lease.release()
        full = [await asyncio.wait_for(pool.acquire(), 60) for _ in range(spec.size * spec.slots)]
        assert len(full) == 4
        seen |= {worker.pid for worker in pool.workers}
    assert not any(map(exists, seen))
