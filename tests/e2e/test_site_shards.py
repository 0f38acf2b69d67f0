"""Shards of a task whose samples stand on sites: no site in two of them, and one report at the end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command import harness
from packages import install

TASK = """
from contextlib import asynccontextmanager

from harness.episode import BaseOracle, BaseTask, BaseWorld
from harness.types import Ask, Limits, Message, Observation, Sample, Score, TaskSpec


class Order:
    async def reset(self):
        return Observation((Message("user", "What do you order?"),), Ask(max_new_tokens=8))

    async def step(self, reply):
        return Observation(done=True)

    async def score(self):
        return Score(1.0)

    async def close(self):
        pass


class Shops(BaseWorld):
    async def episode(self, sample, chats, seed):
        return Order()


class Oracle(BaseOracle):
    async def reply(self, observation):
        return "tea"


WHERE = ["localhost:1", "localhost:2", "127.0.0.1:1", "[::1]:2", "localhost:1/", ""]


class Task(BaseTask):
    spec = TaskSpec("shop", 1, "general", "score", limits=Limits(turns=9))

    def samples(self, cfg):
        return [Sample(f"test/{n}", locks=(f"site:http://{w}",) if w else ()) for n, w in enumerate(WHERE)]

    @asynccontextmanager
    async def world(self, ctx):
        yield Shops()

    def oracle(self, ctx, sample):
        return Oracle()


TASK = Task()
"""
WORDS = ("run", "--model", "oracle", "--task", "shop", "--mirror", "fixture", "--no-report")


@pytest.mark.timeout(280)
def test_two_shards_by_site_become_one_run_and_three_are_refused(tmp_path: Path) -> None:
    files = {"__init__.py": TASK, "data.toml": 'folder = "shop"\n', "fixture/none.json": "[]"}
    install(tmp_path / "site", "shop_bench", files, {"harness.tasks": {"shop": "shop_bench:TASK"}})
    site = tmp_path / "site"
    played: list[set[str]] = []
    for index in ("1", "2"):
        done = harness(tmp_path, *WORDS, "--shard", f"{index}/2", "--out", index, site=site)
        assert done.returncode == 0, done.stderr
        told = harness(tmp_path, "report", index, "--format", "json", "--episodes", site=site)
        episodes = json.loads(told.stdout)["tasks"]["shop"]["episodes"]
        played.append({one["sample"] for one in episodes})
    assert played == [{"test/0", "test/2", "test/4"}, {"test/1", "test/3", "test/5"}]
    done = harness(tmp_path, "merge", "whole", "1", "2", site=site)
    assert done.returncode == 0, done.stdout + done.stderr
    told = harness(tmp_path, "report", "whole", "--format", "json", site=site)
    assert json.loads(told.stdout)["tasks"]["shop"]["scored"] == 6
    refused = harness(tmp_path, *WORDS, "--shard", "1/3", "--out", "3", site=site)
    assert refused.returncode == 2
    (line,) = (one for one in (refused.stdout + refused.stderr).splitlines() if "--shard 1/3" in one)
    assert "one site on two machines" in line and "--shard i/2" in line
    assert not (tmp_path / "3").exists()
