"""Plays the card game through the loop for tests, and says what a prompt asks for."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from contexts import samples_of, task_context

from harness import data
from harness.models.api import Call
from harness.running.bench import Bench
from harness.storage.records import Attempt
from harness.types import Context
from tasks.card_game.battle import IDS, Battle
from tasks.card_game.seat import Seat
from tasks.card_game.task import TASK

FIXTURE = data.resolve("card_game", "fixture").path
NONSENSE = '{"pick_fish": "shark"}'


def context(folder: Path = FIXTURE, **options: Any) -> Context:
    return task_context(TASK, folder, source="fixture" if folder == FIXTURE else "mirror", **options)


async def play(
    ctx: Context, name: str, answer: Callable[[Call], str] | None = None
) -> tuple[Attempt, list[Call]]:
    """Play a sample through the loop with a function of the call, or with the oracle."""
    calls: list[Call] = []
    samples = {sample.id: sample for sample in samples_of(TASK, ctx)}
    async with TASK.world(ctx) as world:
        bench = Bench(TASK, ctx, world, list(samples.values()))
        if answer is None:
            return await bench.oracle(samples[name]), calls

        def kept(call: Call) -> str:
            calls.append(call)
            return answer(call)

        return await bench.run_episode(samples[name], kept), calls


def seats(order: tuple[int, ...] = IDS) -> tuple[Battle, Seat, Seat]:
    battle = Battle(IDS, order)
    return battle, Seat(battle, 0), Seat(battle, 1)


def is_guess(call: Call) -> bool:
    return "guess" in call.messages[-1].content.splitlines()[-1]


def told(text: str, place: int) -> Any:
    """A line of a prompt without what stands before its fact."""
    return text.splitlines()[place].split(": ", 1)[1]


def legal(call: Call) -> str:
    """A reply that is accepted, made of what the prompt shows."""
    prompt = call.messages[-1].content
    if is_guess(call):
        living = as_json(told(prompt, 1))
        return json.dumps({"guess_type": "eel", "target_position": living[0]})
    state = json.loads(prompt.splitlines()[1])
    own, enemy = (next(f for f in state[side] if f["HP"] != "0") for side in ("You", "Enemy"))
    return move(own["ID"], "normal", enemy["POSITION"])


def as_json(text: str) -> Any:
    """Python's repr of plain texts in a list or dict."""
    return json.loads(text.replace("'", '"'))


def move(pick: object, kind: object, target: object) -> str:
    return json.dumps({"pick_fish": pick, "action": kind, "target_position": target})


async def transcripts(ctx: Context, names: list[str]) -> dict[str, str]:
    """The hash of all that was said in games played side by side, by sample."""
    found = await asyncio.gather(*(play(ctx, name) for name in names))
    return {
        attempt.sample: hashlib.sha256(
            "\x1e".join(c.prompt + c.reply for c in attempt.calls).encode()
        ).hexdigest()
        for attempt, _ in found
    }
