"""Whole runs over endpoints that fail: the score is that of a calm run, or there is none."""

import asyncio
import json
import random
import re

import command
from fault_server import Behaviour, FaultServer, error

KINDS = [
    error(429, "Model is overloaded", "overloaded"),
    error(500, "Incomplete", "incomplete_generation"),
    Behaviour(502, b"<html>", "text/html"),
    Behaviour(drop="connect"),
    Behaviour(drop="body"),
]


def say(seen):
    """Answer with a number out of the question, so that some episodes score and some do not."""
    return f"The answer is {max(map(int, re.findall(r'[0-9]+', seen.data['inputs'])), default=0)}."


async def harness(folder, *arguments):
    done = await asyncio.to_thread(command.harness, folder.parent, *arguments)
    return done.returncode, done.stderr + done.stdout


async def play(folder, *servers, deadline="60"):
    endpoints = [part for server in servers for part in ("--endpoint", server.url)]
    return await harness(
        folder, "run", "--model", "agentlm-7b", "--task", "gsm8k", "--mirror", "fixture",
        "--out", str(folder),
        "--concurrency", "8", "--request-deadline", deadline, *endpoints,
    )  # fmt: skip


async def episodes(folder):
    code, said = await harness(folder, "report", str(folder), "--format", "json")
    assert code in (0, 3), said
    task = json.loads(said[said.index("{") :])["tasks"]["gsm8k"]
    assert task["infra_error"] == 0
    return sorted((e["sample"], e["outcome"], e["value"]) for e in task["episodes"]), task["score"]


async def test_40_percent_faults_leave_the_score_alone(tmp_path):
    async with FaultServer(reply=say) as calm:
        code, said = await play(tmp_path / "calm", calm)
        assert code == 0, said
    draw = random.Random(11)

    def choose(seen):
        return draw.choice(KINDS) if draw.random() < 0.4 else None

    one, two = (FaultServer(reply=say, choose=choose) for _ in range(2))
    async with one, two:
        code, said = await play(tmp_path / "faulty", one, two)
        assert code == 0, said
        asked = len(one.seen) + len(two.seen)
    expected, got = await episodes(tmp_path / "calm"), await episodes(tmp_path / "faulty")
    assert got == expected
    assert asked > len(expected[0])  # faults there were


async def test_dead_for_good_is_exit_3_and_the_same_command_goes_on(tmp_path):
    async with FaultServer(reply=say) as calm:
        await play(tmp_path / "calm", calm)

    async with FaultServer(reply=say) as server:
        dying = iter(range(5))
        server.choose = lambda seen: None if next(dying, None) is not None else Behaviour(drop="connect")
        code, said = await play(tmp_path / "dead", server, deadline="2")
        assert code == 3, said
        assert "incomplete: no headline" in said and "resumes" in said
        server.choose = None
        code, said = await play(tmp_path / "dead", server)
        assert code == 0, said
    assert await episodes(tmp_path / "dead") == await episodes(tmp_path / "calm")
