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


async def ours(base: float, samples: list[Sample], gold: dict[str, list[str]]) -> bool:
    """Play with all episodes live, under either matcher; returns whether a target is missed."""
    missed = False
    with tempfile.TemporaryDirectory() as work:
        async with TASK.world(context(Path(work))) as world:
            for match in ("passthrough", "overlap"):
                seconds, steps, memory, ready = await measured(
                    world, context(Path(work), match), samples, gold
                )
                ratio = steps / seconds / base
                print(
                    f"{match}: {LIVE} live episodes ready in {ready:.0f} s, {steps / seconds:.1f} steps/s = "
                    f"{ratio:.1f} x (target {RATIO:g} x), {memory:.0f} MB each (target {MEMORY_MB:g})"
                )
                missed |= ratio < RATIO / SLACK or memory > MEMORY_MB * SLACK
    return missed


async def measured(
    world: SciWorld, ctx: Context, samples: list[Sample], gold: dict[str, list[str]]
) -> tuple[float, int, float, float]:
    """Seconds, steps, resident MB per episode at most, and seconds until all episodes were live."""
    world = SciWorld(ctx, world.pool, world.pool, world.fingerprint)
    began = time.perf_counter()
    playing = list(islice(cycle(samples), LIVE))
    episodes = [await world.episode(sample, 0, 0) for sample in playing]
    await asyncio.gather(*(episode.reset() for episode in episodes))
    ready, most = time.perf_counter() - began, [0.0]
    watch = asyncio.create_task(_watch(world, most))
    began = time.perf_counter()
    steps = await asyncio.gather(*(_steps(e, gold[s.id]) for e, s in zip(episodes, playing, strict=True)))
    seconds = time.perf_counter() - began
    watch.cancel()
    for episode in episodes:
        await episode.close()
    await world.pool.settled()
    return seconds, sum(steps), most[0] / LIVE, ready


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


def context(work: Path, match: str = "overlap") -> Context:
    settings = {"stop_rules": "off", "step_limit": "none", "action_match": match}
    options = config.options(TASK.spec, "paper", settings)
    return Context(data.resolve("sciworld", "fixture").path, work, 0, options, source="fixture")


def main() -> int:
    ctx = context(Path())
    gold = json.loads((ctx.data / SHIPPED).read_text(encoding="utf-8"))
    samples = [sample for sample in TASK.samples(ctx, "full") if sample.id in gold]
    base = floor(samples, gold)
    print(f"package's own step loop: {base:.1f} steps/s")
    return int(asyncio.run(ours(base, samples, gold)))


if __name__ == "__main__":
    sys.exit(main())
