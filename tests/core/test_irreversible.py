"""A world whose acts cannot be undone by building it anew: nothing is replayed, it is restored instead."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
from command import harness
from site_shop import write_shop

TASK = """
import os
from contextlib import asynccontextmanager
from pathlib import Path

from harness.episode import BaseOracle, BaseTask, BaseWorld
from harness.errors import EnvironmentFault
from harness.types import Ask, Limits, Message, Observation, Sample, Score, TaskSpec

LOG = Path(os.environ["SHOP_LOG"])
ASK = Ask(max_new_tokens=8)


def write(line):
    with LOG.open("a") as file:
        file.write(line + "\\n")


class Orders:
    def __init__(self, world, sample):
        self.world, self.sample, self.steps = world, sample, 0

    async def reset(self):
        return Observation((Message("user", "What do you order?", "task"),), ASK)

    async def step(self, reply):
        self.steps += 1
        write(f"order {self.sample.id} {self.steps}")
        if self.steps == 3 and self.world.broken(self.sample.id):
            raise EnvironmentFault("the shop went away")
        return Observation((Message("user", "Thank you. And?"),), ASK, done=self.steps == 4)

    async def score(self):
        return Score(1.0)

    async def close(self):
        pass


class Shop(BaseWorld):
    replayable = False

    def __init__(self):
        self.left = {"test/0": 1, "test/2": 9}

    def broken(self, sample):
        left = self.left.get(sample, 0)
        self.left[sample] = left - 1
        return left > 0

    async def episode(self, sample, chats, seed):
        return Orders(self, sample)

    async def restore(self, sample):
        if sample.data["stuck"]:
            raise OSError("no backup")
        write(f"restore {sample.id}")
        return f"orders of {sample.id} cancelled"


class Oracle(BaseOracle):
    async def reply(self, observation):
        return "tea"


class Task(BaseTask):
    spec = TaskSpec("shop", 1, "general", "score", limits=Limits(turns=9))

    def samples(self, cfg):
        return [Sample(f"test/{n}", {"stuck": n == 2}) for n in range(3)]

    @asynccontextmanager
    async def world(self, ctx):
        yield Shop()

    def oracle(self, ctx, sample):
        return Oracle()


TASK = Task()
"""


@pytest.fixture
def played(tmp_path: Path) -> tuple[list[str], sqlite3.Connection]:
    """Lines of the shop's log and the run's store."""
    site = write_shop(tmp_path, TASK)
    log = tmp_path / "log"
    words = ["run", "--model", "oracle", "--task", "shop", "--mirror", "fixture", "--out", "r", "--no-report"]
    done = harness(tmp_path, *words, site=site, SHOP_LOG=str(log))
    assert done.returncode == 0, done.stderr  # one of three may fail in the infrastructure
    return log.read_text().splitlines(), sqlite3.connect(tmp_path / "r" / "run.sqlite")


def test_no_step_is_played_again_and_the_world_is_restored_once(played):
    lines, store = played
    first = [line for line in lines if "test/0" in line]
    assert first == [
        *(f"order test/0 {n}" for n in (1, 2, 3)),
        "restore test/0",
        *(f"order test/0 {n}" for n in (1, 2, 3, 4)),
    ]
    assert [line for line in lines if "test/1" in line] == [f"order test/1 {n}" for n in (1, 2, 3, 4)]
    rows = store.execute(
        "select final, outcome, note, error from episode where sample = 'test/0' order by id"
    )
    (broken, again) = rows.fetchall()
    assert broken[:2] == (0, "infra_error") and "the shop went away" in broken[3]
    assert again[:3] == (1, "scored", "orders of test/0 cancelled")


def test_what_cannot_be_restored_is_never_played_again(played):
    lines, store = played
    assert [line for line in lines if "test/2" in line] == [f"order test/2 {n}" for n in (1, 2, 3)]
    query = "select final, error from episode where sample = 'test/2' order by id"
    (_, first), *others = store.execute(query).fetchall()
    assert "the shop went away" in first
    assert others
    assert all(not final and "could not be restored" in error for final, error in others)


def test_the_heartbeat_says_that_the_command_ended(played):
    _, store = played
    ((facts,),) = store.execute("select facts from heartbeat").fetchall()
    beat = json.loads(facts)
    assert (beat["state"], beat["waiting"]) == ("ended", 0)
    assert beat["played"] == store.execute("select count(*) from episode").fetchone()[0]
