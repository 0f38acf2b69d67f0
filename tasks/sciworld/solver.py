"""The package's own solution of a variation, the same that the package gives in a new process.

A solution depends on the order of Java's identity hashes: on what the process computed before, and on how
many threads its garbage collector and compilers have. A process for each solution and a fixed number of
processors make solutions repeat themselves. A simulator that plays cannot solve besides: once asked, it would
solve again at every later load.
"""

from __future__ import annotations

from harness.worker import Launch, Worker

HEAP_MB = 768
"""Solving needs much more memory than playing, the genetics tasks most of all."""

SOLVE_S = 240.0
"""The watchdog of one solution; the slowest measured took 23 s on an idle machine."""

JAVA = {"JAVA_TOOL_OPTIONS": f"-XX:ActiveProcessorCount=2 -Xmx{HEAP_MB}m", "JDK_JAVA_OPTIONS": ""}
"""Java takes options from both; those of the second come from the user alone, and would go before ours."""


async def solve(task: str, variation: int) -> list[str]:
    """Compute a solution (3 to 25 s).

    Raises:
        EnvironmentFault: the simulator failed, or has no such variation.
    """
    worker = Worker(Launch(__name__, env=JAVA))
    await worker.start()
    try:
        return await worker.call("solution", task, variation, timeout=SOLVE_S)
    finally:
        await worker.close()


class PathSolver:
    """What the child process answers with."""

    def solution(self, task: str, variation: int) -> list[str]:
        """Ask the package.

        Raises:
            ValueError: it has no such task or variation.
        """
        from scienceworld import ScienceWorldEnv

        env = ScienceWorldEnv("")
        try:
            if not 0 <= variation < env.get_max_variations(task):
                raise ValueError(f"{task} has no variation {variation}")
            env.load(task, variation, "easy", generateGoldPath=True)
            return env.get_gold_action_sequence()
        finally:
            env.close()


def handler() -> PathSolver:
    """Build what the worker serves."""
    return PathSolver()
