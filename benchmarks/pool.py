"""What the pool costs per request, and whether it forgets what it carried.

CPU: 256 in flight through the client (template, pool, transport) against a bare aiohttp loop that posts the
same bytes to the same server; at most 3 x. Memory: resident size after 100,000 requests of as many episodes
against after 20,000; at most 1.05 x (`--requests N` for a shorter look).
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import resource
import sys
from pathlib import Path

from support.running import fixed_latency_server

IN_FLIGHT, DELAY_S, COUNT = 256, 0.05, 4000
CPU_TARGET, MEMORY_TARGET, GRACE = 3.0, 1.05, 1.5
WARM = 20_000


def cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def resident_mb() -> float:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def messages():
    from harness.types import Message

    turns = ("question " * 40, "answer " * 40)
    return tuple(Message("assistant" if n % 2 else "user", turns[n % 2]) for n in range(9))


async def bare(url: str, count: int) -> float:
    import aiohttp

    from harness.templates import template

    body = {"inputs": template("agentlm").render(messages()), "parameters": {"max_new_tokens": 64}}
    gate = asyncio.Semaphore(IN_FLIGHT)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=IN_FLIGHT)) as session:

        async def one() -> None:
            async with gate, session.post(f"{url}/generate", json=body) as response:
                assert "generated_text" in json.loads(await response.read())

        await asyncio.gather(*(one() for _ in range(IN_FLIGHT)))  # connections open
        started = cpu_s()
        await asyncio.gather(*(one() for _ in range(count)))
        return cpu_s() - started


class Load:
    """Sends calls of ever new episodes, IN_FLIGHT at a time."""

    def __init__(self, model) -> None:
        from harness.models.api import Call
        from harness.types import Ask, CallKey

        self.model, self.sent, self.goal = model, 0, 0
        talk = messages()
        self.call = lambda n: Call(CallKey("gsm8k", f"test/{n}", 0, 0), talk, None, Ask(64))

    async def to(self, goal: int) -> float:
        self.goal, started = goal, cpu_s()
        await asyncio.gather(*(self._worker() for _ in range(IN_FLIGHT)))
        return cpu_s() - started

    async def _worker(self) -> None:
        while self.sent < self.goal:
            self.sent += 1
            reply = await self.model.complete(self.call(self.sent))
            assert reply.attempts == 1 and reply.text


async def measure(url: str, quick: str, requests: int) -> tuple[float, float, float, float]:
    from harness.models.connect import open_model

    async with open_model("agentlm-7b", endpoints=[url], concurrency=IN_FLIGHT) as model:
        load = Load(model)
        await load.to(IN_FLIGHT)
        cpu = await load.to(IN_FLIGHT + COUNT)
    floor = sorted([await bare(url, COUNT) for _ in range(3)])[1]
    async with open_model("agentlm-7b", endpoints=[quick], concurrency=IN_FLIGHT) as model:
        load = Load(model)
        await load.to(min(WARM, requests // 5))
        before = resident_mb()
        await load.to(requests)
        return cpu, floor, before, resident_mb()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=100_000)
    requests = parser.parse_args().requests
    with fixed_latency_server(DELAY_S) as slow, fixed_latency_server(0) as quick:
        cpu, floor, before, after = asyncio.run(measure(slow, quick, requests))
    cpu_ratio, memory_ratio = cpu / floor, after / before
    print(f"cpu per request: {cpu / COUNT * 1e3:.3f} ms, bare {floor / COUNT * 1e3:.3f} ms")
    print(f"cpu ratio {cpu_ratio:.2f} (target {CPU_TARGET})")
    print(
        f"resident: {before:.1f} MB after {min(WARM, requests // 5)} requests, {after:.1f} after {requests}"
    )
    print(f"memory ratio {memory_ratio:.3f} (target {MEMORY_TARGET})")
    beyond = memory_ratio - 1 > GRACE * (MEMORY_TARGET - 1)
    return int(cpu_ratio > GRACE * CPU_TARGET or beyond)


if __name__ == "__main__":
    sys.exit(main())
