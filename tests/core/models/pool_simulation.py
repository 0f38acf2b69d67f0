"""Simulated endpoints under the real pool, on virtual time.

The law: a request's service time at an endpoint is lognormal with sigma 0.5 and mean 1 s, five
times that at slow endpoints; each endpoint serves `slots` requests side by side and answers 429
beyond that. Episodes have 6 to 14 turns and think 0 to 0.4 s between them.
"""

from __future__ import annotations

import asyncio
import math
import random
from dataclasses import dataclass, field

from harness.models.pool.endpoint import Endpoint
from harness.models.pool.faults import Fault
from harness.models.pool.limits import Limit
from harness.models.pool.pool import Pool

SIGMA = 0.5


@dataclass
class Done:
    queue_s: float | None
    output_tokens: int
    text: str


@dataclass
class Replica:
    endpoint: Endpoint
    mean_s: float
    slots: int
    down: tuple[float, float] = (math.inf, math.inf)
    running: int = 0
    served: list[float] = field(default_factory=list)

    def is_down(self) -> bool:
        return self.down[0] <= asyncio.get_running_loop().time() < self.down[1]

    def capacity(self, start: float, end: float) -> float:
        """Requests it can serve between two moments."""
        lost = max(0.0, min(end, self.down[1]) - max(start, self.down[0]))
        return self.slots * (end - start - lost) / self.mean_s


@dataclass
class Simulation:
    endpoints: int = 64
    slots: int = 8
    slow: int = 6
    dying: int = 2
    episodes: int = 1600
    in_flight: int = 768
    seed: int = 1
    own: int = 0
    moved: int = 0
    turns: int = 0
    lost: list[str] = field(default_factory=list)

    async def run(self) -> None:
        self.random = random.Random(self.seed)
        self.replicas = {r.endpoint: r for r in map(self._replica, range(self.endpoints))}
        pool = self.pool = Pool(list(self.replicas), alive=self._alive, seed=self.seed)
        queue = iter(range(self.episodes))
        await asyncio.gather(*(self._worker(pool, queue) for _ in range(self.in_flight)))
        await pool.close()

    def _replica(self, number: int) -> Replica:
        mean = 5.0 if number < self.slow else 1.0
        dies = self.slow <= number < self.slow + self.dying
        down = (6.0 + number, 16.0 + number) if dies else (math.inf, math.inf)
        endpoint = Endpoint(f"http://10.0.0.{number}:80", Limit(self.slots, self.slots))
        return Replica(endpoint, mean, self.slots, down)

    async def _alive(self, endpoint: Endpoint) -> bool:
        return not self.replicas[endpoint].is_down()

    async def _worker(self, pool: Pool, queue: object) -> None:
        for number in queue:  # type: ignore[attr-defined]
            await self._episode(pool, number)

    async def _episode(self, pool: Pool, number: int) -> None:
        draw = random.Random(self.seed * 100003 + number)
        home: Endpoint | None = None
        for turn in range(draw.randint(6, 14)):
            key = f"task/{number}/0"
            text = f"{number}.{turn}"
            result, endpoint, _ = await pool.run(key, lambda e, t=text: self._serve(e, t), deadline_s=900)
            if result.text != text:
                self.lost.append(text)
            self.turns += 1
            if home is not None and endpoint is not home and home.healthy:
                self.moved += 1
            else:
                self.own += 1
            home = endpoint
            await asyncio.sleep(draw.uniform(0, 0.4))

    async def _serve(self, endpoint: Endpoint, text: str) -> Done:
        replica = self.replicas[endpoint]
        if replica.is_down():
            await asyncio.sleep(0.01)
            raise Fault("connection", "refused")
        if replica.running >= replica.slots:
            raise Fault("overloaded", "429", ejects=False, in_a_row=None)
        replica.running += 1
        try:
            mu = math.log(replica.mean_s) - SIGMA**2 / 2
            await asyncio.sleep(self.random.lognormvariate(mu, SIGMA))
            if replica.is_down():
                raise Fault("connection", "reset")
        finally:
            replica.running -= 1
        replica.served.append(asyncio.get_running_loop().time())
        return Done(0.0, 64, text)

    def throughput(self, start: float, end: float) -> float:
        """Share of the sum of capacities that was used between two moments."""
        served = sum(start <= at < end for r in self.replicas.values() for at in r.served)
        return served / sum(r.capacity(start, end) for r in self.replicas.values())
