"""An answer that no command line can carry is scored as the model's failure, never as the machine's."""

from __future__ import annotations

import pytest
from contexts import samples_of
from sandboxes import HOSTNAME, opened
from test_os import FIXTURE, context, play
from test_os import opened as opened_world

from harness.types import Observation
from tasks._shared.sandbox import Command
from tasks._shared.sandbox.spec import ARGUMENT_BYTES
from tasks.os.task import TASK

UNUSABLE = {
    "three bytes a character": "\u4e2d" * 65536,
    "two bytes a character": "\u00e9" * 65536,
    "a lone surrogate": "\ud800",
    "a null character": "5\0",
}


@pytest.mark.parametrize("name", UNUSABLE)
async def test_a_command_with_such_an_argument_fails_by_itself(name: str) -> None:
    async with opened() as sandbox:
        box = await sandbox.create(hostname=HOSTNAME)
        count = ("bash", "-c", 'printf %s "$1" | wc -c', "--")
        result = await box.run(Command((*count, UNUSABLE[name])))
        longest = await box.run(Command((*count, "\u4e2d" * (ARGUMENT_BYTES // 3))))
        await box.destroy()
    assert (result.code, result.stdout) == (126, b"")
    assert longest.stdout.strip() == b"120000"


@pytest.mark.parametrize("name", UNUSABLE)
async def test_such_an_answer_scores_zero(name: str) -> None:
    ctx = context(FIXTURE, "fixed")  # which applies the checks of both profiles

    async def answers(observation: Observation) -> str:
        return f"Think: done.\n\nAct: answer({UNUSABLE[name]})"

    asked = 0
    async with opened_world(ctx) as world:
        for sample in samples_of(TASK, ctx):
            score, _ = await play(world, sample, answers)
            assert score.value == 0, sample.id
            asked += 1
    assert asked
