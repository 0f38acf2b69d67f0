"""Two runs at the same time whose episodes change one shop: the second waits, and is told for whom."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from packages import install

SITE = "http://shop.example:7770"

TASK = """
import asyncio
import os
import sys
from contextlib import asynccontextmanager
from pathlib import Path

from harness.episode import BaseOracle, BaseTask, BaseWorld
from harness.types import Ask, Limits, Message, Observation, Sample, Score, TaskSpec

RUN = os.environ["SHOP_RUN"]
ASK = Ask(max_new_tokens=8)


def write(line):
    with Path(os.environ["SHOP_LOG"]).open("a") as file:
        file.write(line + "\\n")


class Order:
    def __init__(self, sample):
        self.sample = sample

    async def reset(self):
        write(f"{RUN} enters {self.sample.id}")
        if self.sample.id == "test/0" and RUN == "first":
            print("inside", flush=True)
            await asyncio.to_thread(sys.stdin.readline)
        return Observation((Message("user", "What do you order?"),), ASK)

    async def step(self, reply):
        write(f"{RUN} leaves {self.sample.id}")
        return Observation((), ASK, done=True)

    async def score(self):
        return Score(1.0)

    async def close(self):
        pass


class Shop(BaseWorld):
    async def episode(self, sample, chats, seed):
        return Order(sample)


class Oracle(BaseOracle):
    async def reply(self, observation):
        return "tea"


class Task(BaseTask):
    spec = TaskSpec("shop", 1, "general", "score", limits=Limits(turns=9))

    def samples(self, cfg):
        return [Sample(f"test/{n}", {}, locks=("site:" + os.environ["SHOP"],)) for n in range(3)]

    @asynccontextmanager
    async def world(self, ctx):
        yield Shop()

    def oracle(self, ctx, sample):
        return Oracle()


TASK = Task()
"""


@contextmanager
def run(folder: Path, name: str, shop: str) -> Iterator[subprocess.Popen[str]]:
    """Start a run; killed at the end if it still lives."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("HARNESS_")}
    path = os.pathsep.join(filter(None, (str(folder / "site"), env.get("PYTHONPATH", ""))))
    # Each has a cache of its own; what they have in common is the folder of locks.
    env |= {"HARNESS_CACHE": str(folder / f"cache of {name}"), "HARNESS_LOCKS": str(folder / "locks")}
    env |= {"PYTHONPATH": path}
    env |= {"SHOP": shop, "SHOP_RUN": name, "SHOP_LOG": str(folder / "log")}
    words = (
        "run",
        "--model",
        "oracle",
        "--task",
        "shop",
        "--mirror",
        "fixture",
        "--out",
        name,
        "--no-report",
    )
    pipe, argv = subprocess.PIPE, [sys.executable, "-m", "harness", *words]
    with subprocess.Popen(
        argv, cwd=folder, env=env, stdin=pipe, stdout=pipe, stderr=pipe, text=True
    ) as found:
        try:
            yield found
        finally:
            found.kill()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    files = {"__init__.py": TASK, "data.toml": 'folder = "shop"\n', "fixture/none.json": "[]"}
    install(tmp_path / "site", "shop_bench", files, {"harness.tasks": {"shop": "shop_bench:TASK"}})
    return tmp_path


def line_with(stream: Iterator[str] | None, word: str) -> str:
    """The next line that holds a word; empty where the process ended without one."""
    return next((line for line in stream or () if word in line), "")


@pytest.mark.timeout(120)
def test_the_second_run_waits_and_is_told_whose_the_shop_is(folder: Path) -> None:
    with run(folder, "first", SITE) as first:
        assert line_with(first.stdout, "inside"), "the first run plays nothing"
        with run(folder, "second", SITE) as second:
            told = line_with(second.stderr, "waiting for site:")
            assert SITE in told
            assert f"held by process {first.pid} on " in told
            assert f"run directory {folder / 'first'}" in told
            assert (folder / "log").read_text().splitlines() == ["first enters test/0"]
            first.communicate("go on\n", timeout=60)
            second.communicate(timeout=60)
    assert (first.returncode, second.returncode) == (0, 0)
    lines = [line.split() for line in (folder / "log").read_text().splitlines()]
    for (whose, entered, what), left in zip(lines[::2], lines[1::2], strict=True):
        assert (entered, left) == ("enters", [whose, "leaves", what]), "one at a time is in the shop"
    for name in ("first", "second"):
        assert [line[2] for line in lines[::2] if line[0] == name] == [f"test/{n}" for n in range(3)]


@pytest.mark.timeout(120)
def test_runs_on_two_shops_do_not_wait_for_each_other(folder: Path) -> None:
    with run(folder, "first", SITE) as first:
        assert line_with(first.stdout, "inside"), "the first run plays nothing"
        with run(folder, "second", "http://other.example:7770") as second:
            _, told = second.communicate(timeout=60)
        assert second.returncode == 0
        assert "waiting for site:" not in told
