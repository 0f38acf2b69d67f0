"""ALFWorld's steps per second of CPU, beside a bare TextWorld loop that plays the same commands.

    python benchmarks/alfworld.py [DATA]

DATA is the task's folder of a mirror; the fixture's six games without it. Target: at least 0.9 of the bare
loop. Both sides are measured in CPU seconds (ours: parent and worker together), so a busy machine does not
matter. Exit code 1 when the ratio is more than 1.5 times off the target.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path

from harness import data
from harness.types import Context, Reply, Sample
from tasks.alfworld import engine, rows
from tasks.alfworld.task import GAMES, LOGIC, TASK

sys.path.append(str(Path(__file__).parents[1] / "tests" / "support"))

from contexts import samples_of, task_context

TARGET = 0.9
TOLERANCE = 1.5
GAMES_PLAYED = 6
STEPS = 34


def plan(commands: list[str], step: int) -> str:
    """Walk through the house: any admissible command, chosen by the step's number."""
    return commands[(step * 7) % len(commands)]


def bare(games: list[rows.Game]) -> tuple[int, float]:
    """Play with the engine as TextWorld ships it, in this process."""
    from textworld.core import EnvInfos
    from textworld.envs.pddl.pddl import PddlEnv

    env = PddlEnv(EnvInfos(won=True, admissible_commands=True))
    steps, seconds = 0, 0.0
    for one in games:
        env.load(
            {
                "pddl_domain": one.logic.domain,
                "grammar": one.logic.grammar,
                "pddl_problem": one.problem,
            }
        )
        for name, shown in engine.names(env._entity_infos).items():
            env._entity_infos[name].name = shown
        state = env.reset()
        began = time.process_time()
        for step in range(STEPS):
            state, _, done = env.step(plan(state["admissible_commands"], step))
            steps += 1
            if done:
                break
        seconds += time.process_time() - began
    return steps, seconds


def cpu_seconds(pid: int) -> float:
    """CPU seconds another process has used."""
    import os

    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def ours(ctx: Context, samples: list[Sample]) -> tuple[int, float]:
    """Play through the task's episodes: parsing, matching, frames and worker included."""
    steps, seconds = 0, 0.0
    async with TASK.world(ctx) as world:
        for sample in samples:
            episode = await world.episode(sample, {}, 0)
            await episode.reset()
            pid = world.workers.pool.workers[0].pid  # type: ignore[attr-defined]
            began = time.process_time() + cpu_seconds(pid)
            for step in range(STEPS):
                command = plan(list(episode._house.commands), step)  # type: ignore[attr-defined]
                observation = await episode.step(Reply(f"THOUGHT: step {step}\n ACTION: {command}\n"))
                steps += 1
                if observation.done:
                    break
            seconds += time.process_time() + cpu_seconds(pid) - began
            await episode.close()
    return steps, seconds


def main() -> int:
    """Measure both in turn, twice, and compare the better of each."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else data.resolve("alfworld", "fixture").path
    with tempfile.TemporaryDirectory() as work:
        ctx = task_context(TASK, folder, Path(work))
        samples = list(samples_of(TASK, ctx, "std"))
        samples = samples[:: max(1, len(samples) // GAMES_PLAYED)][:GAMES_PLAYED]
        old = rows.read_logic(folder / LOGIC)
        games = [rows.legacy(rows.read(folder / GAMES / s.data["path"]), old) for s in samples]
        rates: dict[str, list[float]] = {"bare": [], "ours": []}
        for _ in range(2):
            for name, (steps, seconds) in (
                ("bare", bare(games)),
                ("ours", asyncio.run(ours(ctx, samples))),
            ):
                rates[name].append(steps / seconds)
                print(
                    f"{name}: {steps} steps, {seconds:.2f} s of CPU, {steps / seconds:.1f} steps/s per core"
                )
    ratio = max(rates["ours"]) / max(rates["bare"])
    print(f"ratio {ratio:.3f} (target {TARGET})")
    return 0 if ratio >= TARGET / TOLERANCE else 1


if __name__ == "__main__":
    sys.exit(main())
