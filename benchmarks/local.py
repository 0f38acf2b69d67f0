"""What batching brings on a CPU: tokens a second at 32 in flight against one at a time, and flat memory.

Over HTTP, with the tests' tiny Llama (1.8 million random weights). At 32 in flight it writes at least
10 x the tokens a second of one request at a time, by the median of three pairs; after 2,000 requests
(`--requests N`) it takes at most 1.05 x the memory that it took after 500. Needs torch and transformers
(make test-local), and OMP_NUM_THREADS=1 on a machine that does other things.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

SUPPORT = Path(__file__).resolve().parent.parent / "tests" / "support"
IN_FLIGHT, TOKENS, WARM, PAIRS = 32, 64, 500, 3
TARGET, GRACE, MEMORY_TARGET = 10.0, 1.5, 1.05
PROMPT = "Question: how many apples? Answer: two apples and one pear. "


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


async def rate(server, flying: int, count: int) -> tuple[float, float]:
    """Tokens a second, and a second of CPU time, of `count` requests, `flying` at a time."""
    gate = asyncio.Semaphore(flying)

    async def one(number: int) -> int:
        async with gate:
            body = await server.generate(
                f"{PROMPT}{number}", max_new_tokens=TOKENS, seed=number + 1, do_sample=True
            )
            return body["details"]["generated_tokens"]

    started, used = time.monotonic(), time.process_time()
    written = sum(await asyncio.gather(*map(one, range(count))))
    return written / (time.monotonic() - started), written / (time.process_time() - used)


async def measure(requests: int) -> bool:
    from local_server import local
    from tiny_model import write_tiny

    with tempfile.TemporaryDirectory() as work:
        folder = write_tiny(Path(work) / "tiny", 512, hidden=168, layers=6)
        async with local(folder, batch=IN_FLIGHT) as server:
            size = sum(one.numel() for one in server.service.loaded.model.parameters())
            await rate(server, IN_FLIGHT, IN_FLIGHT)  # everything is loaded
            print(f"{size / 1e6:.2f}M parameters")
            ratios: list[float] = []
            by_cpu: list[float] = []
            for _ in range(PAIRS):
                single, single_cpu = await rate(server, 1, 8)
                many, many_cpu = await rate(server, IN_FLIGHT, 4 * IN_FLIGHT)
                print(f"tokens/s: {single:.0f} alone, {many:.0f} at {IN_FLIGHT}; ", end="")
                print(f"a second of CPU time: {single_cpu:.0f}, {many_cpu:.0f}")
                ratios.append(many / single)
                by_cpu.append(many_cpu / single_cpu)
            print(f"ratio {median(ratios):.1f} x, at least {TARGET:g} x; ", end="")
            print(f"by CPU time {median(by_cpu):.1f} x, load {os.getloadavg()[0]:.0f}")
            await rate(server, IN_FLIGHT, WARM)
            before = resident_mb()
            await rate(server, IN_FLIGHT, max(0, requests - WARM))
            after = resident_mb()
            print(f"resident {before:.0f} MB after {WARM}, {after:.0f} MB after {requests} requests")
            return median(ratios) >= TARGET / GRACE and after <= before * MEMORY_TARGET * GRACE


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=2000)
    if any(importlib.util.find_spec(name) is None for name in ("torch", "transformers")):
        print("left out: torch and transformers are not installed here (make test-local installs them apart)")
        return 0
    sys.path.insert(0, str(SUPPORT))
    return 0 if asyncio.run(measure(parser.parse_args().requests)) else 1


if __name__ == "__main__":
    sys.exit(main())
