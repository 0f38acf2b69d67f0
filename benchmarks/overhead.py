"""What the harness costs per request: the whole of it against a bare aiohttp loop on the same server.

1,328 GSM8K episodes (the fixture, repeated), 128 in flight.
CPU per request, with a server that answers after 50 ms, so that the processor has no pause: at most 2.6 x the
bare loop's. The same of the cheapest 256 requests in a row shows least of what else runs here. Wall,
with a server that answers after 200 ms (640 requests per second, more than a model that serves 128 at once
gives): at most 1.3 x ideal after start-up, where ideal is the larger of the latency bound and the bare loop's
own wall.
"""

from __future__ import annotations

import asyncio
import json
import math
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from support.playing import cpu_s, played, steady
from support.running import fixed_latency_server

from harness.running import plan as planning
from harness.running.request import Execution, ModelChoice, RunRequest, Workload

IN_FLIGHT = 128
BUSY_S, USUAL_S = 0.05, 0.2
CPU_TARGET, WALL_TARGET, GRACE = 2.6, 1.3, 1.5
PAIRS = 5


Cost = tuple[float, float, float]
"""CPU and wall of a whole loop, and CPU of one request in its cheapest stretch; in seconds."""


def bare(url: str, prompts: list[str]) -> Cost:
    """What it costs to run a loop that posts the same prompts and reads the answers, nothing else.

    It opens its connections within the measured time, as the harness does.
    """
    import aiohttp

    async def main() -> Cost:
        ends: list[float] = []
        gate = asyncio.Semaphore(IN_FLIGHT)
        parameters = {"max_new_tokens": 512, "do_sample": False, "details": True}
        connector = aiohttp.TCPConnector(limit=IN_FLIGHT)
        async with aiohttp.ClientSession(connector=connector) as session:

            async def one(prompt: str) -> None:
                body = {"inputs": prompt, "parameters": parameters}
                async with gate, session.post(f"{url}/generate", json=body) as response:
                    assert "generated_text" in json.loads(await response.read())
                ends.append(cpu_s())

            cpu, wall = cpu_s(), time.perf_counter()
            await asyncio.gather(*(one(prompt) for prompt in prompts))
            return cpu_s() - cpu, time.perf_counter() - wall, steady(ends)

    return asyncio.run(main())


def harness(url: str, directory: Path, requests: int) -> tuple[Cost, list[str]]:
    """What a whole run costs from its first episode on, and the prompts it sent."""
    models = ModelChoice(model="agentlm-7b", endpoints=(url,), concurrency=IN_FLIGHT)

    def request(repeats: int) -> RunRequest:
        work = Workload(tasks=("gsm8k",), mirror="fixture", repeats=repeats)
        return RunRequest(work, models, Execution(out=directory))

    run = played(request(math.ceil(requests / len(planning.make(request(1)).items()))))
    return (run.cpu, run.wall, run.steady), [prompt for prompts in run.prompts for prompt in prompts]


def compared(delay_s: float) -> tuple[int, tuple[float, ...], tuple[float, ...]]:
    """Requests, and the median costs of the harness and of the bare loop, in turns."""
    ours: list[Cost] = []
    floors: list[Cost] = []
    with fixed_latency_server(delay_s) as url, tempfile.TemporaryDirectory() as directory:
        harness(url, Path(directory) / "warm", 128)  # start-up: imports, first connections
        for n in range(PAIRS):
            cost, prompts = harness(url, Path(directory) / str(n), 1319)
            ours.append(cost)
            floors.append(bare(url, prompts))
    medians = [tuple(median(values) for values in zip(*figures, strict=True)) for figures in (ours, floors)]
    return len(prompts), medians[0], medians[1]


def main() -> int:
    count, ours, floor = compared(BUSY_S)
    cpu_ratio = ours[0] / floor[0]
    print(f"requests {count}, in flight {IN_FLIGHT}, medians of {PAIRS}")
    print(f"cpu per request: {ours[0] / count * 1e3:.2f} ms, bare {floor[0] / count * 1e3:.2f} ms")
    print(f"cpu ratio {cpu_ratio:.2f} (target {CPU_TARGET})")
    print(f"the same in the cheapest stretch: {ours[2] * 1e3:.2f} ms, bare {floor[2] * 1e3:.2f} ms, ", end="")
    print(f"ratio {ours[2] / floor[2]:.2f}")
    count, ours, floor = compared(USUAL_S)
    latency = math.ceil(count / IN_FLIGHT) * USUAL_S
    ideal = max(latency, floor[1])
    wall_ratio = ours[1] / ideal
    print(f"wall {ours[1]:.2f} s, ideal {ideal:.2f} s (latency bound {latency:.2f} s)")
    print(f"wall ratio {wall_ratio:.2f} (target {WALL_TARGET})")
    return int(cpu_ratio > GRACE * CPU_TARGET or wall_ratio > GRACE * WALL_TARGET)


if __name__ == "__main__":
    sys.exit(main())
