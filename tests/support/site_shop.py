"""A third party's task whose orders change shops: a run holds a shop's lock while it plays one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from packages import install

TASK = """
import asyncio
import os
import sys
from contextlib import asynccontextmanager
from pathlib import Path

from harness.episode import BaseOracle, BaseTask, BaseWorld
from harness.types import Ask, Limits, Message, Observation, Sample, Score, TaskSpec

SITES = PLACES
RUN, LOG, ASK = os.environ.get("SHOP_RUN", ""), os.environ.get("SHOP_LOG", ""), Ask(max_new_tokens=8)


def write(line):
    if LOG:
        with Path(LOG).open("a") as file:
            file.write(f"{RUN} {line}\\n")


def locks(site):
    return (f"site:{site}",) if site else ()


class Order:
    def __init__(self, sample):
        self.sample = sample

    async def reset(self):
        write(f"enters {self.sample.id}")
        if self.sample.id == os.environ.get("SHOP_WAITS_AT"):
            print("inside", flush=True)
            await asyncio.to_thread(sys.stdin.readline)
        return Observation((Message("user", "What do you order?"),), ASK)

    async def step(self, reply):
        write(f"leaves {self.sample.id}")
        return Observation((), ASK, done=True)

    async def score(self):
        return Score(1.0)

    async def close(self):
        pass


class Shops(BaseWorld):
    async def episode(self, sample, chats, seed):
        return Order(sample)


class Oracle(BaseOracle):
    async def reply(self, observation):
        return "tea"


class Task(BaseTask):
    spec = TaskSpec("shop", 1, "general", "score", limits=Limits(turns=9))

    def samples(self, cfg):
        shop = os.environ.get("SHOP")
        return [Sample(f"test/{n}", locks=locks(shop or site)) for n, site in enumerate(SITES)]

    @asynccontextmanager
    async def world(self, ctx):
        yield Shops()

    def oracle(self, ctx, sample):
        return Oracle()


TASK = Task()
"""

WORDS = ("run", "--model", "oracle", "--task", "shop", "--mirror", "fixture", "--no-report")
"""Plays the task; behind `harness`."""


def install_shop(folder: Path, sites: Sequence[str]) -> Path:
    """Install the task; returns the folder to put on the path.

    The environment may say more to a run: `SHOP` is the site of all orders; `SHOP_LOG` names a file in
    which each order writes when it enters and leaves, with the run's name of `SHOP_RUN`; the order
    `SHOP_WAITS_AT` prints `inside` and waits for a line of standard input.

    Args:
        folder: in which the path's folder is made.
        sites: the site of each order; empty for none.
    """
    return write_shop(folder, TASK.replace("PLACES", json.dumps(list(sites))))


def write_shop(folder: Path, source: str) -> Path:
    """Install a module with a task named shop; returns the folder to put on the path."""
    files = {"__init__.py": source, "data.toml": 'folder = "shop"\n', "fixture/none.json": "[]"}
    install(folder / "site", "shop_bench", files, {"harness.tasks": {"shop": "shop_bench:TASK"}})
    return folder / "site"
