"""ALFWorld when its workers are killed or hang: episodes are rebuilt by replay, nothing is left behind."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from contexts import samples_of, task_context
from processes import exists

from harness import data
from harness.models.api import Call, LiveEpisodes
from harness.running.activity import Activity
from harness.running.rollout import run_episode
from harness.running.task_run import TaskRun
from harness.storage.store import Attempt
from harness.types import Context, Message, Reply, Sample
from tasks.alfworld import world as worlds
from tasks.alfworld.task import TASK
from tasks.alfworld.world import AlfWorld

FIXTURE = data.resolve("alfworld", "fixture").path


@dataclass
class Saboteur:
    """Plays the oracle's part, and before one of its answers does harm."""

    answer: Callable[[Call], Awaitable[str]]
    harm: Callable[[Call], None]
    name: str = "saboteur"

    def render(self, messages: Sequence[Message], suite: str = "", task: str = "") -> str:
        return "\n".join(message.content for message in messages)

    async def complete(self, call: Call) -> Reply:
        self.harm(call)
        return Reply(await self.answer(call))


def context(work: Path, folder: Path = FIXTURE) -> Context:
    return task_context(TASK, folder, work, source="fixture")


async def oracle(
    ctx: Context, world: AlfWorld, sample: Sample, harm: Callable[[Call], None], repeat: int
) -> Attempt:
    player, live = TASK.oracle(ctx, sample), LiveEpisodes()

    async def answer(call: Call) -> str:
        found = live.get("alfworld", sample.id, repeat)
        assert found is not None
        return await player.reply(found.observation)

    model = Saboteur(answer, harm)
    setup = TaskRun(TASK.spec, world, model, live, oracle=lambda _: player)  # type: ignore[arg-type]
    return await run_episode(setup, sample, repeat, Activity())


def strike(world: AlfWorld, sign: signal.Signals, pids: list[int]) -> Callable[[Call], None]:
    """Send a signal to every worker, once, when some game is at its third turn."""

    def harm(call: Call) -> None:
        if call.key.call == 2 and not pids:
            pids.extend(worker.pid for worker in world.workers.pool.workers)
            for pid in pids:
                os.kill(pid, sign)

    return harm


async def test_killed_workers_cost_no_episode(tmp_path: Path) -> None:
    ctx = context(tmp_path)
    pids: list[int] = []
    async with TASK.world(ctx) as world:
        harm = strike(world, signal.SIGKILL, pids)  # type: ignore[arg-type]
        plays = [oracle(ctx, world, s, harm, n) for n in range(2) for s in samples_of(TASK, ctx, "std")]  # type: ignore[arg-type]
        attempts = await asyncio.wait_for(asyncio.gather(*plays), 240)
        pids += [worker.pid for worker in world.workers.pool.workers]  # type: ignore[attr-defined]
    assert [(attempt.outcome, attempt.value) for attempt in attempts] == [("scored", 1.0)] * 12
    assert sum(attempt.rebuilds for attempt in attempts) >= 1
    assert len(set(pids)) >= 2 and not any(map(exists, pids))
    assert os.listdir(tmp_path) == []  # noqa: PTH208 - the world is closed, nothing waits


async def test_a_hung_worker_is_killed_and_its_games_rebuilt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worlds, "STEP_S", 5.0)
    ctx = context(tmp_path)
    pids: list[int] = []
    async with TASK.world(ctx) as world:
        harm = strike(world, signal.SIGSTOP, pids)  # type: ignore[arg-type]
        attempt = await asyncio.wait_for(oracle(ctx, world, samples_of(TASK, ctx, "std")[0], harm, 0), 120)  # type: ignore[arg-type]
    assert (attempt.outcome, attempt.value, attempt.rebuilds) == ("scored", 1.0, 1)
    assert not any(map(exists, pids))


async def test_a_game_the_engine_cannot_load_is_no_score(tmp_path: Path) -> None:
    """The translator calls sys.exit on a malformed problem; the worker survives it."""
    copied = tmp_path / "data"
    shutil.copytree(FIXTURE, copied)
    ctx = context(tmp_path, copied)
    good, bad = samples_of(TASK, ctx, "std")[:2]
    game = next(copied.rglob(f"{bad.id}/game.tw-pddl"))
    content = json.loads(game.read_text(encoding="utf-8"))
    game.write_text(json.dumps(content | {"pddl_problem": "(define (problem broken)"}), encoding="utf-8")
    async with TASK.world(ctx) as world:

        async def silence(call: Call) -> str:
            return ""

        setup = TaskRun(TASK.spec, world, Saboteur(silence, lambda call: None), LiveEpisodes())  # type: ignore[arg-type]
        attempt = await asyncio.wait_for(run_episode(setup, bad, 0, Activity()), 120)
        assert (attempt.outcome, attempt.value) == ("infra_error", None)
        assert "raised" in attempt.error
        well = await oracle(ctx, world, good, lambda call: None, 0)  # type: ignore[arg-type]
        assert well.value == 1.0
