"""Setting up DBBench's episodes against the bare SQL of the same load on the same server.

Run `python benchmarks/dbbench.py`; it exits 1 when the set-up takes more than 1.5 times its target of twice
the bare SQL. Both take turns, so that a busy machine slows both.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from harness import data
from harness.types import Sample
from tasks.dbbench import session
from tasks.dbbench.table import TableContent, quoted
from tasks.dbbench.task import TASK
from tasks.dbbench.world import DbWorld

sys.path.append(str(Path(__file__).parents[1] / "tests" / "support"))

from contexts import samples_of, task_context

SAMPLES = 100
TARGET = 2.0


async def bare(world: DbWorld, content: TableContent) -> float:
    """Create, load and drop one database on a connection that is open."""
    assert world.server is not None
    name = quoted(content.name)
    async with world.server.admin.connection() as admin:
        columns = ", ".join(f"{quoted(column)} TEXT" for column in content.columns)
        began = time.perf_counter()
        await session.run(admin, f"CREATE DATABASE {name}")
        await session.run(admin, f"CREATE TABLE {name}.{name} ({columns})")
        rows = ", ".join(f"({', '.join(map(admin.escape, row))})" for row in content.rows)
        await session.run(admin, f"INSERT INTO {name}.{name} VALUES {rows}")
        took = time.perf_counter() - began
        await session.run(admin, f"DROP DATABASE {name}")
    return took


async def episode(world: DbWorld, sample: Sample) -> float:
    """Build and reset an episode."""
    began = time.perf_counter()
    opened = await world.episode(sample, {}, 0)
    await opened.reset()
    took = time.perf_counter() - began
    await opened.close()
    return took


async def main() -> int:
    mirror = os.environ.get("HARNESS_MIRROR")
    folder = Path(mirror) / "dbbench" if mirror else data.resolve("dbbench", "fixture").path
    with tempfile.TemporaryDirectory() as work:
        ctx = task_context(TASK, folder, Path(work), profile="fixed", dataset="released")
        began = time.perf_counter()
        async with TASK.world(ctx) as world:
            assert isinstance(world, DbWorld)
            started = time.perf_counter() - began
            pool = samples_of(TASK, ctx, "std")[100:] or samples_of(TASK, ctx, "std")
            floor: list[float] = []
            taken: list[float] = []
            for n in range(SAMPLES):
                sample = pool[n % len(pool)]
                floor.append(await bare(world, TableContent.of(sample.data["table"], escaped=False)))
                taken.append(await episode(world, sample))
    ratio = median(t / f for t, f in zip(taken, floor, strict=True))
    print(f"server up                        {started:7.2f} s")
    print(f"bare SQL (create, create, load)  {median(floor) * 1e3:7.2f} ms (median of {SAMPLES})")
    print(f"episode and reset                {median(taken) * 1e3:7.2f} ms")
    print(f"set-up / bare: {ratio:.2f} (target {TARGET:g}, fails over {1.5 * TARGET:g})")
    return int(ratio > 1.5 * TARGET)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
