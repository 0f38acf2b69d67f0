"""HumanEval on its fixture and on the real 164 problems, programs run in a real sandbox."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import forged_programs
import pytest
from contexts import samples_of, task_context

from harness.errors import MissingPart
from harness.types import Context, Observation, Reply, Sample
from tasks._shared.sandbox import Caps, SandboxFault
from tasks.humaneval import action
from tasks.humaneval.action import Program
from tasks.humaneval.task import TASK
from tasks.humaneval.world import HumanEvalWorld, open_world

FIXTURE = Path(action.__file__).parent / "fixture"
Answer = Callable[[Sample, Observation], Awaitable[str]]


PATIENT_S = 60.0
"""What a good program may take here: ten seconds are few for eight at once on a loaded machine."""


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
    ctx = context(FIXTURE, mode=mode, timeout_s=PATIENT_S)
    assert len(await passed(ctx, oracle(ctx))) == len(samples_of(TASK, ctx, "test")) == 6


@pytest.mark.parametrize("first", [20, pytest.param(164, marks=pytest.mark.slow)])
async def test_canonical_solutions_pass(first: int, mirror: Path) -> None:
    ctx = context(mirror / "humaneval", timeout_s=PATIENT_S)
    assert len(await passed(ctx, oracle(ctx), first=first)) == first


@pytest.mark.full
async def test_canonical_solutions_pass_in_chat_mode(mirror: Path) -> None:
    ctx = context(mirror / "humaneval", mode="chat", timeout_s=PATIENT_S)
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


UNTIL_THE_LIMIT = ("endless", "endless output", "forks")
"""What only the time limit ends."""


@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_programs_fail_and_nothing_else(name: str) -> None:
    ctx = context(FIXTURE, timeout_s=8.0 if name in UNTIL_THE_LIMIT else PATIENT_S)
    victim = samples_of(TASK, ctx, "test")[0].id

    async def answer(sample: Sample, observation: Observation) -> str:
        hostile = HOSTILE[name] if sample.id == victim else None
        return hostile or await TASK.oracle(ctx, sample).reply(observation)

    others = {sample.id for sample in samples_of(TASK, ctx)} - {victim}
    assert set(await passed(ctx, answer)) == others


async def verdicts(programs: Iterable[tuple[str, Program]]) -> dict[str, bool]:
    """Whether each program passes, eight at a time."""
    slots, found = asyncio.Semaphore(8), {}

    async def judge(world: HumanEvalWorld, name: str, program: Program) -> None:
        async with slots:
            found[name] = (await world.judge(program)).passed

    try:
        async with open_world("auto", 5.0, lambda *_: None) as world:
            await asyncio.gather(*(judge(world, name, program) for name, program in programs))
    except MissingPart as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    return found


TESTS = """
def check(candidate):
    assert candidate([1, 2, 3]) == [2, 2, 6]
    assert abs(candidate([]) - 0.5) < 1e-6
"""


@pytest.mark.parametrize("step", [8, pytest.param(1, marks=pytest.mark.full)])
async def test_forged_programs_pass_nothing(step: int) -> None:
    """Every eighth try in the quick run; all of them, more than a hundred, in the full one."""
    tries = [
        (name, Program(text.replace("NAME", "f"), "def f(numbers):\n    ''", TESTS, "f"))
        for name, text in forged_programs.programs()
    ][::step]
    assert len(tries) * step >= 100
    found = await verdicts(tries)
    assert len(found) == len(tries)
    assert [name for name, passed in found.items() if passed] == []


FAITHFUL = {
    "subclasses": (
        "import collections, enum\nclass N(enum.IntEnum):\n    A = 3\n"
        "def f(x): return [collections.Counter(x), collections.OrderedDict(a=1), N.A, True]\n",
        "assert candidate('aab') == [{'a': 2, 'b': 1}, {'a': 1}, 3, True]\n"
        "    assert [type(x) for x in candidate('a')] == [dict, dict, int, bool]",
    ),
    "numbers": (
        "def f(x): return (x, -x, x / 0.1, float('inf'), 1j, 10 ** 5000)\n",
        "assert candidate(7)[:3] == (7, -7, 7 / 0.1) and candidate(0)[3:] == (float('inf'), 1j, 10 ** 5000)",
    ),
    "texts": (
        "def f(x):\n"
        "    return [x, x.encode('utf-8', 'surrogatepass'), None, '', set(x), frozenset(x), range(3)]\n",
        "x = 'ä\\0\\ud800\\n'\n    assert candidate(x) == "
        "[x, x.encode('utf-8', 'surrogatepass'), None, '', set(x), frozenset(x), range(3)]",
    ),
    "changed arguments": (
        "def f(x, *, y): x.sort(); x[0].append(9); y.pop('k'); y['n'].add(1)\n",
        "x, inner, y = [[3], [1]], None, {'k': 0, 'n': set()}\n    inner = y['n']\n"
        "    assert candidate(x, y=y) is None\n"
        "    assert x == [[1, 9], [3]] and y == {'n': {1}} and inner == {1}",
    ),
    "errors": (
        "class Own(ValueError): pass\ndef f(x): raise Own('no ' + x)\n",
        "try:\n        candidate('a')\n    except ValueError as error:\n        assert str(error) == 'no a'\n"
        "    else:\n        assert False",
    ),
    "helpers and its own name": (
        "def helper(x): return 0\ndef f(x): return x + 1\n",
        "assert helper(candidate(1)) == 3 and f(1) == 2 and math.pi > 3",
    ),
}
HELPER = "import math\n\ndef helper(x):\n    return x + 1\n\n\ndef f(x):\n    ''"


async def test_what_a_function_gives_reaches_the_tests_whole() -> None:
    programs = [
        (name, Program(code, HELPER, f"def check(candidate):\n    {test}\n", "f"))
        for name, (code, test) in FAITHFUL.items()
    ]
    found = await verdicts(programs)
    assert [name for name, passed in found.items() if not passed] == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can limit a sandbox's processes")
async def test_a_machine_without_processes_fails_no_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """From none that can be made in the sandbox to enough: a right program passes, or nothing is said."""
    right = Program(
        "def f(x):\n    return x + 1\n", "def f(x):\n    ''", "def check(f):\n    assert f(1) == 2\n", "f"
    )
    told = set[str]()
    async with open_world("bwrap", 60.0, lambda *_: None) as world:
        for most in range(1, 9):
            monkeypatch.setattr("tasks.humaneval.world._CAPS", Caps(memory_mb=1024, pids=most, disk_mb=64))
            try:
                assert (await world.judge(right)).passed, most
                told.add("passed")
            except SandboxFault as error:
                told.add(str(error))
    assert {"passed", "the machine has no process left for the program"} <= told


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
    ctx = context(FIXTURE, timeout_s=PATIENT_S)
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
