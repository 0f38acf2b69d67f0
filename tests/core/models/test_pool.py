"""The pool: balance, stickiness, limits, ejection and return."""

import asyncio
import json
import random
from itertools import pairwise

import pytest
from fault_server import INFO, Behaviour, FaultServer, error
from pool_simulation import Done, Simulation
from virtual_time import run

from harness.errors import EndpointError, MissingPart, ModelChanged, UsageError
from harness.models.api import Call, Options
from harness.models.connect import open_model
from harness.models.pool.endpoint import Endpoint
from harness.models.pool.faults import Fault
from harness.models.pool.limits import Limit, cap_for
from harness.models.pool.pool import Pool
from harness.types import Ask, CallKey, Message


def call(sample, number=0, **more):
    more.setdefault("deadline_s", 30_000)  # half a minute of a clock 1000 times faster
    key = CallKey("gsm8k", sample, 0, number)
    return Call(key, (Message("user", f"{sample} turn {number}"),), None, Ask(16), **more)


def open_at(*servers, scale=1000.0, concurrency=None, **more):
    options = Options(time_scale=scale, **more)
    urls = [server.url for server in servers]
    return open_model("agentlm-7b", endpoints=urls, options=options, concurrency=concurrency)


def say(seen):
    return "reply to " + seen.data["inputs"].removeprefix("[INST] ")


def test_64_endpoints_slow_and_dying_ones_among_them():
    simulation = Simulation(seed=1)
    run(simulation.run())
    assert simulation.lost == []
    # From when all are busy, through two deaths and returns; the law is stated in pool_simulation.py.
    assert simulation.throughput(2, 20) >= 0.90
    assert simulation.own / simulation.turns >= 0.95
    assert sum(r.endpoint.ejections for r in simulation.replicas.values()) >= 2
    assert all(e.healthy and not e.outstanding and not e.waiters for e in simulation.replicas)


def made(count, limit=8):
    return [Endpoint(f"http://10.0.0.{n}", Limit(limit, limit)) for n in range(count)]


async def never(endpoint):
    return False


async def at_once(endpoint):
    return Done(None, 1, endpoint.url)


async def test_an_episode_keeps_its_endpoint_and_episodes_spread():
    pool = Pool(made(8), alive=never)
    homes = {}
    for turn in range(5):
        for episode in range(64):
            _, endpoint, _ = await pool.run(f"e{episode}", at_once, deadline_s=9)
            assert homes.setdefault(episode, endpoint) is endpoint, turn
    assert len({e.url for e in homes.values()}) == 8


async def test_the_same_episode_goes_to_the_same_endpoint_in_another_process():
    first, second = Pool(made(8), alive=never), Pool(made(8)[::-1], alive=never)
    for episode in range(32):
        one = (await first.run(f"e{episode}", at_once, deadline_s=9))[1]
        two = (await second.run(f"e{episode}", at_once, deadline_s=9))[1]
        assert one.url == two.url


async def test_least_outstanding_wins_over_the_hash():
    pool, gate = Pool(made(4, limit=4), alive=never), asyncio.Event()

    async def held(endpoint):
        await gate.wait()
        return Done(None, 1, endpoint.url)

    tasks = [asyncio.create_task(pool.run(f"e{n}", held, deadline_s=60)) for n in range(16)]
    await asyncio.sleep(0)
    assert [e.outstanding for e in pool.endpoints] == [4, 4, 4, 4]
    gate.set()
    await asyncio.gather(*tasks)


async def test_three_failures_in_a_row_eject_and_health_brings_back():
    async with FaultServer(reply=say) as well, FaultServer(reply=say) as ill, open_at(well, ill) as model:
        ill.healthy = False
        ill.default = Behaviour(503, b"down", "text/plain")
        replies = await asyncio.gather(*(model.complete(call(f"test/{n}")) for n in range(40)))
        assert len({reply.text for reply in replies}) == 40
        endpoint = model.pool.endpoints[1]
        assert (endpoint.healthy, endpoint.ejections, endpoint.limit.cap) == (False, 1, 120)
        asked = len(ill.seen)
        await asyncio.gather(*(model.complete(call(f"test/{n}", 1)) for n in range(40)))
        assert len(ill.seen) == asked  # nothing is sent to an ejected endpoint
        ill.default, ill.healthy = Behaviour(), True
        async with asyncio.timeout(10):
            while not endpoint.healthy:  # asked every 5 s of a clock that runs 1000 times faster
                await model.complete(call("meanwhile/0"))
        await asyncio.gather(*(model.complete(call(f"new/{n}")) for n in range(40)))
        assert len(ill.seen) > asked


async def test_an_endpoint_that_returns_with_another_model_ends_all_requests():
    async with FaultServer(reply=say) as well, FaultServer(reply=say) as ill, open_at(well, ill) as model:
        ill.healthy = False  # or it is back in the pool before this test changes the model
        ill.default = Behaviour(503, b"down", "text/plain")
        await asyncio.gather(*(model.complete(call(f"test/{n}")) for n in range(40)))
        assert not model.pool.endpoints[1].healthy
        ill.info, ill.default, ill.healthy = {**INFO, "model_sha": "other"}, Behaviour(), True
        with pytest.raises(ModelChanged, match=r"model_sha abc then, other now"):
            async with asyncio.timeout(10):
                while True:
                    await model.complete(call("meanwhile/0"))
        assert not model.pool.endpoints[1].healthy


async def test_requests_that_wait_for_a_slot_fail_when_the_model_changed():
    async with FaultServer(reply=say) as server, open_at(server, concurrency=4) as model:
        await model.complete(call("before/0"))
        server.info = {**INFO, "model_sha": "other"}
        asked = [model.complete(call(f"test/{n}")) for n in range(50)]
        said = await asyncio.gather(*asked, return_exceptions=True)
        assert {type(one) for one in said} == {ModelChanged}
        assert len(server.seen) <= 1 + 2 * 4, "beyond those in flight, and their successors, none is sent"


async def test_a_server_that_only_lists_its_models_is_asked_again_after_a_failure():
    async with FaultServer() as server:
        body = json.dumps({"choices": [{"text": "x", "finish_reason": "stop"}]}).encode()
        server.info, server.default = None, Behaviour(body=body)
        async with open_model("agentlm-7b@openai", endpoints=[server.url]) as model:
            await model.complete(call("test/0"))
            server.models = {"data": [{"id": "next"}]}
            await model.complete(call("test/1"))  # an answer of the same second: the list still holds
            server.script = [Behaviour(503, b"down", "text/plain")]
            with pytest.raises(ModelChanged, match="model_id THUDM/agentlm-7b then, next now"):
                await model.complete(call("test/2"))


async def test_endpoints_of_different_models_are_refused():
    for key in ("model_id", "model_sha"):
        async with FaultServer() as one, FaultServer(info={**INFO, key: "another"}) as other:
            with pytest.raises(UsageError, match=f"different models.*{key}.*another"):
                async with open_at(one, other):
                    pass


async def test_no_endpoint_is_a_missing_part_and_one_dead_among_two_is_not():
    async with FaultServer() as server:
        dead = FaultServer(url="http://127.0.0.1:9")
        with pytest.raises(MissingPart, match="--endpoint"):
            async with open_at(dead):
                pass
        async with open_at(dead, server) as model:
            assert [e.healthy for e in model.pool.endpoints] == [False, True]
            assert (await model.complete(call("test/0"))).endpoint == server.url


async def test_a_server_without_info_is_generic():
    async with FaultServer(info=None, reply=say) as server, open_at(server) as model:
        assert model.info["endpoints"][0]["server"] == "generic"
        assert (await model.complete(call("test/0"))).text.startswith("reply to")


async def test_40_percent_faults_change_nothing():
    kinds = [
        error(429, "Model is overloaded", "overloaded"),
        error(424, "Request failed", "generation"),
        error(500, "Incomplete", "incomplete_generation"),
        Behaviour(502, b"<html>", "text/html"),
        Behaviour(drop="connect"),
        Behaviour(drop="headers"),
        Behaviour(drop="body"),
        Behaviour(200, b"<html>", "text/html"),
    ]
    draw = random.Random(7)

    def choose(seen):
        return draw.choice(kinds) if draw.random() < 0.4 else None

    async def play(*servers):
        async with open_at(*servers, scale=100.0) as model:

            async def episode(number):
                return [await model.complete(call(f"test/{number}", turn)) for turn in range(3)]

            replies = await asyncio.gather(*(episode(number) for number in range(60)))
            return [[reply.text for reply in turns] for turns in replies], model.pool

    async with FaultServer(reply=say) as calm:
        expected, _ = await play(calm)
    for count in (1, 4):
        servers = [FaultServer(reply=say, choose=choose) for _ in range(count)]
        for server in servers:
            await server.start()
        try:
            got, pool = await play(*servers)
        finally:
            for server in servers:
                await server.stop()
        assert got == expected  # every call answered: no EndpointError, no infra_error
        faults = sum(sum(endpoint.faults.values()) for endpoint in pool.endpoints)
        assert faults > 60, faults


async def test_dead_for_good_is_an_endpoint_error_and_the_same_model_goes_on_when_it_is_back():
    server = FaultServer(reply=say)
    await server.start()
    async with open_at(server) as model:
        await model.complete(call("test/0"))
        await server.stop()
        with pytest.raises(EndpointError, match="within 900 s"):
            await model.complete(call("test/0", 1, deadline_s=900))
        await server.start()
        reply = await model.complete(call("test/0", 1))
        assert "turn 1" in reply.text
        await server.stop()


async def test_waiting_requests_move_when_their_endpoint_dies():
    async with FaultServer(reply=say) as one, FaultServer(reply=say) as two, open_at(one, two) as model:
        await asyncio.gather(*(model.complete(call(f"test/{n}")) for n in range(20)))
        await two.stop()
        replies = await asyncio.gather(*(model.complete(call(f"test/{n}", 1)) for n in range(20)))
        assert {reply.endpoint for reply in replies} == {one.url}


async def test_concurrency_bounds_what_is_in_flight():
    class Counting(FaultServer):
        now = most = 0

        async def behave(self, *args):
            self.now += 1
            self.most = max(self.most, self.now)
            await asyncio.sleep(0.001)
            self.now -= 1
            return await super().behave(*args)

    async with Counting() as server, open_at(server, concurrency=5) as model:
        await asyncio.gather(*(model.complete(call(f"test/{n}")) for n in range(50)))
        assert server.most == 5


async def test_the_bound_on_what_is_in_flight_moves_while_requests_wait():
    pool, flying, gate = Pool(made(1, limit=9), alive=never, concurrency=9), list[str](), asyncio.Event()

    async def attempt(endpoint):
        flying.append(endpoint.url)
        await gate.wait()
        return await at_once(endpoint)

    async def in_flight(count):
        async with asyncio.timeout(60):
            while len(flying) < count:  # noqa: ASYNC110 (nobody tells us)
                await asyncio.sleep(0)
        for _ in range(20):  # whoever else may go has gone by then
            await asyncio.sleep(0)
        return len(flying)

    pool.at_most(2)
    asked = [asyncio.create_task(pool.run(f"test/{n}", attempt, deadline_s=600)) for n in range(20)]
    assert await in_flight(2) == 2
    pool.at_most(5)
    assert await in_flight(5) == 5
    pool.at_most(100)
    assert await in_flight(9) == 9, "no more than it was opened with"
    gate.set()
    await asyncio.gather(*asked)
    assert len(flying) == 20
    await pool.close()


async def test_cancelled_waiters_leave_no_slot_behind():
    pool, gate = Pool(made(1, limit=2), alive=never), asyncio.Event()

    async def held(endpoint):
        await gate.wait()
        return Done(None, 1, "")

    tasks = [asyncio.create_task(pool.run(f"e{n}", held, deadline_s=60)) for n in range(10)]
    await asyncio.sleep(0)
    for task in tasks[1:7]:
        task.cancel()
    await asyncio.sleep(0)
    gate.set()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(d, asyncio.CancelledError) for d in done] == [False, *[True] * 6, *[False] * 3]
    assert pool.endpoints[0].outstanding == 0 and pool.endpoints[0].waiters.take() is None


def test_a_424_goes_to_another_replica_before_a_third_try_in_a_row():
    tried = []

    async def attempt(endpoint):
        tried.append(endpoint.url)
        raise Fault("generation", "424", ejects=False, in_a_row=2)

    async def main():
        pool = Pool(made(1), alive=never)
        with pytest.raises(EndpointError):
            await pool.run("e", attempt, deadline_s=60)
        alone = len(tried)
        tried.clear()
        pool = Pool(made(3), alive=never)
        with pytest.raises(EndpointError):
            await pool.run("e", attempt, deadline_s=60)
        return alone

    alone = run(main())
    assert 2 <= alone <= 6  # two, then a pause of 30 s before the next round
    assert not any(tried[i] == tried[i + 1] for i in range(len(tried) - 1))


def test_backoff_is_jittered_and_bounded():
    at = []

    async def attempt(endpoint):
        at.append(asyncio.get_running_loop().time())
        raise Fault("overloaded", "429", ejects=False, in_a_row=None)

    async def main():
        with pytest.raises(EndpointError, match="429"):
            await Pool(made(1), alive=never, seed=3).run("e", attempt, deadline_s=900)
        assert asyncio.get_running_loop().time() == pytest.approx(900)

    run(main())
    gaps = [b - a for a, b in pairwise(at)]
    assert (
        max(gaps) <= 30 and len(set(gaps)) == len(gaps) and all(g <= 0.5 * 2**n for n, g in enumerate(gaps))
    )


def test_limits_start_from_info():
    assert cap_for(128, None) == (120, 120)
    assert cap_for(128, 32) == (32, 32)
    assert cap_for(4, None) == (2, 2)
    assert cap_for(1, None) == (1, 1)
    assert cap_for(0, None) == (32, 256)
    assert cap_for(0, 1) == (1, 1)


def test_limit_halves_once_for_requests_in_flight_together_and_grows_back():
    limit = Limit(64, 64)
    for _ in range(50):
        limit.overloaded(0)
    assert limit.value == 32
    limit.overloaded(limit.epoch)
    assert limit.value == 16
    for _ in range(16):
        limit.succeeded(limit.epoch, in_flight=16, latency_s=1, queue_s=0.0, tokens=10)
    assert limit.value == 17
    for _ in range(100):  # an idle limit does not grow
        limit.succeeded(limit.epoch, in_flight=3, latency_s=1, queue_s=0.0, tokens=10)
    assert limit.value == 17


def test_limit_steps_back_when_the_server_queues_or_slows():
    limit = Limit(100, 100)
    limit.succeeded(0, in_flight=100, latency_s=4, queue_s=3.0, tokens=10)
    assert limit.value == 90
    slow = Limit(100, 100)
    for latency in [1.0] * 5 + [30.0] * 40:
        slow.succeeded(slow.epoch, in_flight=100, latency_s=latency, queue_s=None, tokens=10)
    assert 8 <= slow.value < 90
    batching = Limit(100, 100)  # ten times slower per request, ten times more done: that is how batches work
    for in_flight, latency in [(1, 1.0)] * 20 + [(100, 10.0)] * 100:
        batching.succeeded(batching.epoch, in_flight=in_flight, latency_s=latency, queue_s=None, tokens=10)
    assert batching.value == 100


async def test_429_halves_the_limit_and_loses_nothing():
    busy = {"now": 0}

    class Narrow(FaultServer):
        async def behave(self, how, seen, reader, writer):
            busy["now"] += 1
            try:
                if busy["now"] > 10:
                    how = error(429, "Model is overloaded", "overloaded")
                else:
                    await asyncio.sleep(0.002)
                return await super().behave(how, seen, reader, writer)
            finally:
                busy["now"] -= 1

    async with Narrow(reply=say) as server, open_at(server, scale=100.0) as model:
        replies = await asyncio.gather(*(model.complete(call(f"test/{n}")) for n in range(300)))
        assert len({reply.text for reply in replies}) == 300
        assert model.pool.endpoints[0].limit.value < 30


async def test_manifest_info_is_plain_data():
    async with FaultServer() as server, open_at(server) as model:
        info = json.loads(json.dumps(model.info))
        assert info["endpoints"][0]["version"] == "3.3.6"
        assert set(info["templates"]) == {"default", "held-in", "card_game"}
        assert info["templates"]["held-in"]["id"] == "agentlm-nosys-upstream"
        assert info["identity"]["served"] == "THUDM/agentlm-7b" and info["identity"]["sha"] == "abc"


def test_queueing_behind_others_uses_no_deadline():
    async def slow(endpoint):
        await asyncio.sleep(40)
        return Done(None, 1, "")

    async def main():
        for concurrency in (None, 1):
            pool = Pool(made(1, limit=1), alive=never, concurrency=concurrency)
            await asyncio.gather(*(pool.run(f"e{n}", slow, deadline_s=60) for n in range(10)))

    run(main())  # the last one waited 360 s


def test_an_outage_is_waited_out_once_and_not_by_every_request():
    up = {"now": True}

    async def attempt(endpoint):
        await asyncio.sleep(1)
        if not up["now"]:
            raise Fault("connection", "refused")
        return Done(None, 1, "")

    async def alive(endpoint):
        return up["now"]

    async def main():
        loop, ends = asyncio.get_running_loop(), []
        pool = Pool(made(2, limit=4), alive=alive, concurrency=8)
        up["now"] = False

        async def one(n):
            started = loop.time()
            with pytest.raises(EndpointError):
                await pool.run(f"e{n}", attempt, deadline_s=900)
            ends.append(loop.time())
            return loop.time() - started

        queued = await asyncio.gather(*(one(n) for n in range(30)))
        assert (
            max(queued) < 1000
        )  # those still in the queue when the last endpoint died ran out with the others
        assert await one(99) <= 30
        up["now"] = True
        await asyncio.sleep(10)  # two rounds of health
        await asyncio.gather(*(pool.run(f"e{n}", attempt, deadline_s=900) for n in range(30)))
        await pool.close()

    run(main())


def test_a_deadline_runs_again_when_the_last_endpoint_dies():
    async def attempt(endpoint):
        await asyncio.sleep(100)
        raise Fault("connection", "reset")

    async def main():
        pool = Pool(made(1, limit=3), alive=never)
        ended = await asyncio.gather(
            *(pool.run(f"e{n}", attempt, deadline_s=300) for n in range(6)), return_exceptions=True
        )
        assert all(isinstance(error, EndpointError) for error in ended)
        assert asyncio.get_running_loop().time() == pytest.approx(
            400, abs=1
        )  # 100 queueing, then 300 of outage
        await pool.close()

    run(main())
