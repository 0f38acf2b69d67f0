"""Memory per live SciWorld episode, and environment steps per second beside the package's own loop.

Run from the checkout: `python benchmarks/sciworld.py`. The floor is `ScienceWorldEnv.step` of the installed
package on the same machine, one environment in one JVM, as AgentTuning's evaluation used it. Exits 1 when a
figure misses its target by more than half.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
import warnings
from itertools import cycle, islice
from pathlib import Path

from harness import config, data
from harness.types import Context, Observation, Reply, Sample
from tasks.sciworld import TASK
from tasks.sciworld.oracle import SHIPPED
from tasks.sciworld.world import SciWorld

LIVE = 32
MEMORY_MB = 110.0
RATIO = 5.0
SLACK = 1.5
STEPS = 40


def floor(samples: list[Sample], gold: dict[str, list[str]]) -> float:
    """Steps per second of the package's own loop."""
    from scienceworld import ScienceWorldEnv

    warnings.simplefilter("ignore")
    env, steps, seconds = ScienceWorldEnv("", envStepLimit=100_000), 0, 0.0
    for sample in samples:
        env.load(sample.data["task"], sample.data["variation"], "easy")
        env.reset()
        began = time.perf_counter()
        for action in gold[sample.id][:STEPS]:
            env.step(action)
            steps += 1
        seconds += time.perf_counter() - began
    env.close()
    return steps / seconds


async def ours(samples: list[Sample], gold: dict[str, list[str]], match: str) -> tuple[float, float, float]:
    """Steps per second over all live episodes, resident MB per episode, seconds to have all live."""
    options = config.options(
        TASK.spec, "paper", {"stop_rules": "off", "step_limit": "none", "action_match": match}
    )
    with tempfile.TemporaryDirectory() as work:
        ctx = Context(data.resolve("sciworld", "fixture").path, Path(work), 0, options, source="fixture")
        async with TASK.world(ctx) as world:
            began = time.perf_counter()
            episodes = [await world.episode(sample, 0, 0) for sample in islice(cycle(samples), LIVE)]
            await asyncio.gather(*(episode.reset() for episode in episodes))
            ready = time.perf_counter() - began
            most = [0.0]
            watch = asyncio.create_task(_watch(world, most))
            began = time.perf_counter()
            taken = await asyncio.gather(
                *(_steps(episode, gold[s.id]) for episode, s in zip(episodes, cycle(samples), strict=False))
            )
            seconds = time.perf_counter() - began
            watch.cancel()
            for episode in episodes:
                await episode.close()
    return sum(taken) / seconds, most[0] / LIVE, ready


async def _steps(episode, actions: list[str]) -> int:
    taken = 0
    for action in actions[:STEPS]:
        observation: Observation = await episode.step(Reply(f"Action: {action}"))
        taken += 1
        if observation.done:
            break
    return taken


async def _watch(world: SciWorld, most: list[float]) -> None:
    while True:
        most[0] = max(most[0], sum(jvm.resident_mb() for jvm in world.pool.jvms))
        await asyncio.sleep(0.5)


def main() -> int:
    folder = data.resolve("sciworld", "fixture").path
    gold = json.loads((folder / SHIPPED).read_text(encoding="utf-8"))
    ctx = Context(folder, Path(), 0, config.options(TASK.spec, "paper", {}), source="fixture")
    samples = list(TASK.samples(ctx, "test"))
    base = floor(samples, gold)
    print(f"package's own step loop: {base:.1f} steps/s")
    missed = False
    for match in ("passthrough", "overlap"):
        rate, memory, ready = asyncio.run(ours(samples, gold, match))
        print(
            f"{match}: {LIVE} live episodes ready in {ready:.0f} s, {rate:.1f} steps/s = {rate / base:.1f} x "
            f"(target {RATIO:g} x), {memory:.0f} MB each (target {MEMORY_MB:g})"
        )
        missed |= rate / base < RATIO / SLACK or memory > MEMORY_MB * SLACK
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
