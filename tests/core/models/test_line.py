"""Where requests wait: the longest remaining episode first, none passed over for ever, no slot lost."""

from __future__ import annotations

import asyncio
import random
from types import SimpleNamespace

import virtual_time

from harness.models.pool.endpoint import Endpoint
from harness.models.pool.limits import Limit
from harness.models.pool.line import EVERY, Gate, Line, Waiter
from harness.models.pool.pool import Pool

DONE = SimpleNamespace(queue_s=0.0, output_tokens=1)


def waiter(turns: float, number: int) -> Waiter[None]:
    return Waiter(str(number), (-turns, number), asyncio.get_running_loop().create_future())


def taken(line: Line[None]) -> str:
    found = line.take()
    assert found is not None
    found.granted.set_result(None)
    return found.key


async def test_the_most_turns_go_first_and_equal_ones_as_they_came():
    line = Line[None]()
    for number, turns in enumerate((1, 30, 5, 30)):
        line.add(waiter(turns, number))
    assert [taken(line) for _ in range(4)] == ["1", "3", "2", "0"]
    assert line.take() is None


async def test_the_oldest_is_taken_in_time_however_many_come_with_more_turns():
    line, served = Line[None](), list[str]()
    for number in range(3):
        line.add(waiter(1, number))
    for number in range(3, 3 + 4 * EVERY):
        line.add(waiter(60, number))
        served.append(taken(line))
    for old in range(3):
        assert served.index(str(old)) < EVERY * (old + 1)
    assert served.count("3") == 1


async def test_a_request_that_was_taken_as_the_oldest_waits_again_at_its_place():
    """A server that answers 429 sends it back into the line, where its first entry may still stand."""
    line = Line[None]()
    for number in range(EVERY):
        line.add(waiter(60, number))
    last = waiter(1, EVERY)
    line.add(last)
    served = [taken(line) for _ in range(EVERY - 1)]
    again = Waiter(taken(line), (-60.0, EVERY - 1), asyncio.get_running_loop().create_future())
    line.add(again)
    assert len(line) == 2
    assert [*served, taken(line), taken(line)] == [*map(str, range(EVERY - 1)), str(EVERY - 1), str(EVERY)]
    assert (len(line), line.take()) == (0, None)


async def test_those_that_gave_up_are_passed_over_and_counted_out():
    line = Line[None]()
    for number in range(2 * EVERY):
        line.add(waiter(number % 3, number))
    for one in line.drain()[::2]:
        one.granted.cancel()
        line.add(one)
    assert (len(line), line.take(), len(line)) == (EVERY, None, 0)


async def test_a_gate_lets_as_many_through_as_it_has_places_whatever_is_cancelled():
    chance, gate, inside = random.Random(7), Gate(3), set[int]()

    async def pass_through(number: int) -> None:
        place = (-chance.randrange(5), number)
        await gate.acquire(str(number), place)
        inside.add(number)
        assert len(inside) <= 3
        try:
            for _ in range(chance.randrange(3)):
                await asyncio.sleep(0)
        finally:
            inside.discard(number)
            gate.release(place)

    tasks = [asyncio.create_task(pass_through(number)) for number in range(300)]
    while not all(task.done() for task in tasks):
        chance.choice(tasks).cancel()
        await asyncio.sleep(0)
    assert not [task for task in tasks if not task.cancelled() and task.exception()]
    async with asyncio.timeout(60):
        for number in range(3):
            await gate.acquire("after", (0.0, 1000 + number))
    assert gate.locked


async def alive(_: Endpoint) -> bool:
    return True


async def makespan(gate: int | None, *, known: bool) -> float:
    """Seconds of 8 episodes of 40 turns and 300 of one turn, at an endpoint of 16 slots of 1 s."""
    pool = Pool(
        [Endpoint("http://10.0.0.1:80", Limit(16, 16))], alive=lambda _: asyncio.sleep(0), concurrency=gate
    )

    async def answer(_: Endpoint) -> SimpleNamespace:
        await asyncio.sleep(1.0)
        return DONE

    async def episode(name: str, turns: int) -> None:
        for turn in range(turns):
            left = float(turns - turn) if known else 0.0
            await pool.run(name, answer, deadline_s=1e6, turns_left=left)

    async with asyncio.TaskGroup() as group:
        for number in range(300):
            group.create_task(episode(f"short{number}", 1))
        for number in range(8):
            group.create_task(episode(f"long{number}", 40))
    await pool.close()
    assert pool.endpoints[0].outstanding == pool.endpoints[0].waiters.held == 0
    return asyncio.get_running_loop().time()


def test_long_episodes_do_not_wait_behind_single_turns():
    """They take 40 s alone, and everything together is 38.75 s of work."""
    for gate in (16, None):
        assert virtual_time.run(makespan(gate, known=True)) <= 44
        assert virtual_time.run(makespan(gate, known=False)) >= 55
