"""Opens the task under test once for a class of tests, in an event loop of its own."""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import AsyncExitStack
from typing import Any, ClassVar

import pytest

from harness.errors import MissingPart
from harness.running.bench import Attempt, Bench, open_bench

LINES = ("oracle", "silent", "hostile", "first", "early", "twice", "interleaved", "cancel", "replay")
"""What a task may except itself from, by the names in `TaskSpec.excepts`."""

SIDE_BY_SIDE = 16
"""Episodes that are played one by one and interleaved, and compared."""


class Opened:
    """Gives tests the task, its world open.

    Attributes:
        task: its name, or the path of a question set.
    """

    task: ClassVar[str] = ""
    runner: ClassVar[asyncio.Runner]

    @pytest.fixture(scope="class")
    @classmethod
    def task_name(cls) -> str:
        """The class's own task; a class that overrides this fixture may have many."""
        if not cls.task:
            pytest.fail(f'{cls.__name__} names no task: write task = "..." in the class')
        return cls.task

    @pytest.fixture(scope="class")
    @classmethod
    def bench(cls, task_name: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
        """The task on its fixture under its `paper` options."""
        with asyncio.Runner() as runner:
            cls.runner = runner
            stack = AsyncExitStack()
            try:
                yield runner.run(open_bench(task_name, "paper", tmp_path_factory.mktemp("work"), stack))
            except MissingPart as error:
                missing(error)
            finally:
                runner.run(stack.aclose())

    @pytest.fixture(scope="class")
    @classmethod
    def alone(cls, bench: Bench) -> Mapping[str, Attempt]:
        """The oracle's attempts at the first samples by their ids, one after the other."""

        async def played() -> dict[str, Attempt]:
            return {sample.id: await bench.oracle(sample) for sample in bench.samples[:SIDE_BY_SIDE]}

        return cls.runner.run(played())


def missing(error: MissingPart) -> None:
    """Skip, or fail where nothing may be missing."""
    pytest.fail(str(error)) if os.environ.get("CI") else pytest.skip(str(error))


def in_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run an asynchronous test in the loop that its task's world was opened in."""

    @functools.wraps(test)
    def run(self: Opened, **given: Any) -> None:
        self.runner.run(test(self, **given))

    return run


def unless_excepted(bench: Bench, line: str) -> None:
    """Skip a line that the task excepts itself from."""
    reason = bench.task.spec.excepts.get(line)
    if reason is not None:
        pytest.skip(f"{bench.task.spec.name} excepts itself: {reason}")
