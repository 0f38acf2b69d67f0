"""Full MMLU against a server that answers after a fixed time: how close the harness comes to the ideal.

14,042 questions, 128 in flight, 200 ms each (a 1,000-token prefill on a busy GPU takes about that). Target:
wall at most 1.3 x ideal after start-up, where ideal is the larger of the latency bound and the wall of a bare
aiohttp loop that posts the same prompts. Without HARNESS_MIRROR the fixture's 24 questions, which are
shorter, are asked again and again.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

from support.playing import played
from support.running import fixed_latency_server

from harness.running.request import Execution, ModelChoice, RunRequest, Workload

IN_FLIGHT, DELAY_S = 128, 0.2
FIXTURE_REPEATS = 585
TARGET, GRACE = 1.3, 1.5


def bare(url: str, bodies: list[bytes]) -> float:
    """Wall of a loop that posts the same requests and reads the answers, nothing else."""
    import aiohttp

    async def main() -> float:
        queue = iter(bodies)
        connector = aiohttp.TCPConnector(limit=IN_FLIGHT)
        headers = {"Content-Type": "application/json"}
        async with aiohttp.ClientSession(connector=connector, headers=headers) as session:

            async def work() -> None:
                for body in queue:
                    async with session.post(f"{url}/generate", data=body) as response:
                        await response.json()

            began = time.perf_counter()
            await asyncio.gather(*(work() for _ in range(IN_FLIGHT)))
            return time.perf_counter() - began

    return asyncio.run(main())


def harness(url: str, directory: Path) -> tuple[float, list[bytes]]:
    """Wall of the whole run from its first episode on, and the requests it amounts to."""
    models = ModelChoice(model="agentlm-7b", endpoints=(url,), concurrency=IN_FLIGHT)
    work = Workload(tasks=("mmlu",))
    if not os.environ.get("HARNESS_MIRROR"):
        work = Workload(tasks=("mmlu",), mirror="fixture", repeats=FIXTURE_REPEATS)
    run = played(RunRequest(work, models, Execution(out=directory)))
    constrained = {"grammar": {"type": "regex", "value": " [ABCD]"}, "top_n_tokens": 5, "max_new_tokens": 1}
    sent = [prompt for prompts in run.prompts for prompt in prompts]
    return run.wall, [json.dumps({"inputs": p, "parameters": constrained}).encode() for p in sent]


def main() -> int:
    with fixed_latency_server(DELAY_S) as url:
        with tempfile.TemporaryDirectory() as directory:
            wall, bodies = harness(url, Path(directory) / "run")
        floor = bare(url, bodies)
    latency = math.ceil(len(bodies) / IN_FLIGHT) * DELAY_S
    ideal = max(latency, floor)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"questions {len(bodies)}, in flight {IN_FLIGHT}, server delay {DELAY_S * 1000:.0f} ms")
    print(f"wall {wall:.2f} s, ideal {ideal:.2f} s (latency bound {latency:.2f} s, bare loop {floor:.2f} s)")
    print(f"peak memory {memory:.0f} MB")
    print(f"wall ratio {wall / ideal:.2f} (target {TARGET})")
    return int(wall / ideal > GRACE * TARGET)


if __name__ == "__main__":
    sys.exit(main())
