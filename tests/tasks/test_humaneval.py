"""HumanEval on its fixture and on the real 164 problems, programs run in a real sandbox."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from contexts import samples_of, task_context

import tasks.humaneval
from harness.errors import MissingPart
from harness.types import Context, Observation, Reply, Sample
from tasks.humaneval import TASK

FIXTURE = Path(tasks.humaneval.__file__).parent / "fixture"
Answer = Callable[[Sample, Observation], Awaitable[str]]


def context(data: Path, **options: Any) -> Context:
    return task_context(TASK, data, **options)


async def passed(ctx: Context, answer: Answer, *, first: int | None = None) -> list[str]:
    """Ids of the problems whose program passed, eight at a time."""
    slots, found = asyncio.Semaphore(8), []

    async def play(sample: Sample) -> None:
        async with slots:
            episode = await world.episode(sample, {}, 0)
            observation = await episode.reset()
            assert (await episode.step(Reply(await answer(sample, observation)))).done
            if (await episode.score()).value == 1:
                found.append(sample.id)
            await episode.close()

    try:
        async with TASK.world(ctx) as world:
            await asyncio.gather(*map(play, samples_of(TASK, ctx, "test")[:first]))
    except MissingPart as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    return found


def oracle(ctx: Context) -> Answer:
    return lambda sample, observation: TASK.oracle(ctx, sample).reply(observation)


def always(text: str) -> Answer:
    async def answer(sample: Sample, observation: Observation) -> str:
        del sample, observation
        return text

    return answer


@pytest.mark.parametrize("mode", ["completion", "chat"])
async def test_fixture_oracle_passes_all(mode: str) -> None:
    ctx = context(FIXTURE, mode=mode)
    assert len(await passed(ctx, oracle(ctx))) == len(samples_of(TASK, ctx, "test")) == 6


async def test_canonical_solutions_pass(mirror: Path) -> None:
    ctx = context(mirror / "humaneval")
    assert len(await passed(ctx, oracle(ctx))) == 164


@pytest.mark.full
async def test_canonical_solutions_pass_in_chat_mode(mirror: Path) -> None:
    ctx = context(mirror / "humaneval", mode="chat")
    assert len(await passed(ctx, oracle(ctx))) == 164


WORTHLESS = {
    "pass": "    pass\n",
    "empty": "",
    "exit 0": "    import os\n    os._exit(0)\n",
    "SystemExit": "    raise SystemExit(0)\n",
    "reply text": "Certainly! Here is the function.",
    "wrong secret": "    import os\n    os.write(1, b'0' * 32)\n    os._exit(0)\n",
}


@pytest.mark.parametrize("name", WORTHLESS)
async def test_worthless_replies_pass_nothing_of_the_fixture(name: str) -> None:
    assert await passed(context(FIXTURE), always(WORTHLESS[name])) == []


@pytest.mark.full
@pytest.mark.parametrize("name", ["pass", "empty", "exit 0"])
async def test_worthless_replies_pass_nothing(name: str, mirror: Path) -> None:
    assert await passed(context(mirror / "humaneval"), always(WORTHLESS[name])) == []


HOSTILE = {
    "endless": "    while True: pass\n",
    "endless output": "    import os\n    while True: os.write(2, b'x' * 65536)\n",
    "memory": "    x = bytearray(1 << 33)\n",
    "forks": "    import os\n    for _ in range(100): os.fork() or os.pause()\n",
    "big file": "    open('/tmp/x', 'wb').write(b'x' * (8 << 20))\n",
    "host": "    open('/etc/passwd').read(); open('/usr/x', 'w')\n",
    "network": "    import socket; socket.create_connection(('192.0.2.1', 80), 1)\n",
    "NUL": "    \0",
    "surrogate": "    return '\ud800'\n",
    "syntax": "    ((((",
    "deep": "    return " + "(" * 10_000,
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_programs_fail_and_nothing_else(name: str) -> None:
    ctx = context(FIXTURE, timeout_s=5.0)
    victim = samples_of(TASK, ctx, "test")[0].id

    async def answer(sample: Sample, observation: Observation) -> str:
        hostile = HOSTILE[name] if sample.id == victim else None
        return hostile or await TASK.oracle(ctx, sample).reply(observation)

    others = {sample.id for sample in samples_of(TASK, ctx)} - {victim}
    assert set(await passed(ctx, answer)) == others


@pytest.fixture
def busy_nobody() -> Iterator[None]:
    """Forty processes of the user that programs run as, outside any sandbox."""
    with ExitStack() as stack:
        for _ in range(40):
            sleeper = stack.enter_context(subprocess.Popen(["sleep", "60"], user=65534))
            stack.callback(sleeper.kill)
        yield


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start programs of another user")
@pytest.mark.usefixtures("busy_nobody")
async def test_processes_of_the_same_user_outside_fail_no_program() -> None:
    """A limit on a user's processes would count those outside the sandbox: a database of `nobody`, say."""
    ctx = context(FIXTURE)
    assert len(await passed(ctx, oracle(ctx))) == 6


async def test_no_sandbox_means_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(MissingPart) as caught:
        async with TASK.world(context(FIXTURE)):
            raise AssertionError("a world without a sandbox")
    lines = str(caught.value).splitlines()
    assert [line.split(":")[0].strip() for line in lines[1:]] == ["bwrap", "bwrap-user", "docker", "podman"]
    assert "bwrap is not on PATH" in lines[1]


async def test_score_before_a_reply_is_zero() -> None:
    ctx = context(FIXTURE)
    try:
        async with TASK.world(ctx) as world:
            episode = await world.episode(samples_of(TASK, ctx, "test")[0], {}, 0)
            score = await episode.score()
            await episode.close()
            await episode.close()
    except MissingPart as error:
        pytest.skip(str(error))
    assert (score.value, score.note) == (0.0, "no reply")
