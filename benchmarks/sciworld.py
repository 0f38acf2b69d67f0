"""Memory per live SciWorld episode, and environment steps per second beside the package's own loop.

Run from the checkout: `python benchmarks/sciworld.py` (five minutes). The floor is `ScienceWorldEnv.step` of
the installed package on the same machine, one environment in one JVM, as AgentTuning's evaluation used it.
Java compiles what it runs often, so both play everything once before they are measured; what a fresh pool
does is printed as well. Exits 1 when a figure misses its target by more than half.

The target is for steps of the environment. With `action_match=overlap` each turn also lists every valid
action, which the package does too and which takes five times as long as the step: two cores cannot give it
five times the package's rate, so that line has no target.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

from harness import data
from harness.types import Context, Observation, Reply, Sample
from tasks.sciworld.oracle import SHIPPED
from tasks.sciworld.task import TASK
from tasks.sciworld.world import SciWorld

sys.path.append(str(Path(__file__).parents[1] / "tests" / "support"))

from contexts import samples_of, task_context

LIVE = 32
MEMORY_MB = 110.0
RATIO = 5.0
SLACK = 1.5
STEPS = 40
ROUNDS = 3


def floor(samples: list[Sample], gold: dict[str, list[str]]) -> float:
    """Steps per second of the package's own loop, once it is warm."""
    from scienceworld import ScienceWorldEnv

    warnings.simplefilter("ignore")
    env = ScienceWorldEnv("", envStepLimit=100_000)
    try:
        _package_pass(env, samples, gold)
        steps, seconds = _package_pass(env, samples, gold)
    finally:
        env.close()
    return steps / seconds


def _package_pass(env, samples: list[Sample], gold: dict[str, list[str]]) -> tuple[int, float]:
    steps, seconds = 0, 0.0
    for sample in samples:
        env.load(sample.data["task"], sample.data["variation"], "easy")
        env.reset()
        began = time.perf_counter()
        for action in gold[sample.id][:STEPS]:
            env.step(action)
            steps += 1
        seconds += time.perf_counter() - began
    return steps, seconds


@dataclass(frozen=True, slots=True)
class Played:
    """What a round with all episodes live came to.

    Attributes:
        ready: seconds until all were live.
        memory: resident MB per episode, at most.
    """

    steps: int
    seconds: float
    ready: float
    memory: float


async def ours(base: float, samples: list[Sample], gold: dict[str, list[str]]) -> bool:
    """Play with all episodes live, under either matcher; returns whether a target is missed."""
    with tempfile.TemporaryDirectory() as work:
        async with TASK.world(context(Path(work))) as world:

            async def rounds(match: str, count: int) -> list[Played]:
                return [
                    await one_round(world, context(Path(work), match), samples, gold) for _ in range(count)
                ]

            fresh, warm = await rounds("passthrough", 1), await rounds("passthrough", ROUNDS)
            listing = await rounds("overlap", 1 + ROUNDS)
            print(f"{LIVE} episodes live in a fresh pool after {fresh[0].ready:.0f} s")
            print(f"first round: {rate(fresh):.1f} steps/s = {rate(fresh) / base:.1f} x")
            ratio, memory = rate(warm) / base, max(p.memory for p in [*fresh, *warm, *listing])
            print(f"warm: {rate(warm):.1f} steps/s = {ratio:.1f} x (target {RATIO:g} x)")
            print(f"warm, every turn with its valid actions: {rate(listing[1:]) / base:.1f} x")
            print(f"memory: {memory:.0f} MB per live episode (target {MEMORY_MB:g})")
    return ratio < RATIO / SLACK or memory > MEMORY_MB * SLACK


def rate(rounds: list[Played]) -> float:
    """Steps per second over rounds."""
    return sum(played.steps for played in rounds) / sum(played.seconds for played in rounds)


async def one_round(
    world: SciWorld, ctx: Context, samples: list[Sample], gold: dict[str, list[str]]
) -> Played:
    """Play one episode on each of the simulators at a time."""
    world = SciWorld(ctx, world.pool, world.fingerprint)
    began = time.perf_counter()
    playing = list(islice(cycle(samples), LIVE))
    episodes = [await world.episode(sample, {}, 0) for sample in playing]
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
    return Played(sum(steps), seconds, ready, most[0] / LIVE)


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
    found = data.resolve("sciworld", "fixture").path
    free = {"stop_rules": "off", "step_limit": None, "action_match": match}
    return task_context(TASK, found, work, source="fixture", **free)


def main() -> int:
    ctx = context(Path())
    gold = json.loads((ctx.data / SHIPPED).read_text(encoding="utf-8"))
    samples = [sample for sample in samples_of(TASK, ctx, "full") if sample.id in gold]
    base = floor(samples, gold)
    print(f"package's own step loop, warm: {base:.1f} steps/s")
    return int(asyncio.run(ours(base, samples, gold)))


if __name__ == "__main__":
    sys.exit(main())
