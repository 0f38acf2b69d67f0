"""ALFWorld's episodes on the real engine: transcripts, rules, protocols and what the window drops."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from contexts import samples_of, task_context

from harness import data, tokens
from harness.models.api import Call, LiveEpisodes
from harness.running.activity import Activity
from harness.running.bench import ScriptedModel
from harness.running.rollout import run_episode
from harness.running.task_run import TaskRun
from harness.storage.store import Attempt
from harness.types import Context, Message, Sample
from harness.worker import Launch, Worker
from tasks.alfworld import prompts, rows
from tasks.alfworld.task import GAMES, LOGIC, TASK
from tasks.alfworld.world import NOTHING, AlfWorld

pytestmark = pytest.mark.asyncio(loop_scope="module")
FIXTURE = data.resolve("alfworld", "fixture").path


@dataclass
class GameSession:
    """An open world and how to play in it."""

    ctx: Context
    world: AlfWorld
    samples: dict[str, Sample]

    async def run_episode(self, kind: str, answer: Callable[[Call], str]) -> tuple[Attempt, list[Call]]:
        model = ScriptedModel(answer)
        setup = TaskRun(
            TASK.spec,
            self.world,
            model,  # type: ignore[arg-type]
            LiveEpisodes(),
            history=TASK.history(self.ctx),
            notice=data.notice(self.ctx.data, self.ctx.source),
        )
        return await run_episode(setup, self.samples[kind], 0, Activity()), model.calls


@asynccontextmanager
async def opened(work: Path, **options: Any) -> AsyncIterator[GameSession]:
    ctx = task_context(TASK, FIXTURE, work, source="fixture", **options)
    samples = {sample.data["kind"]: sample for sample in samples_of(TASK, ctx)}
    async with TASK.world(ctx) as world:
        yield GameSession(ctx, world, samples)  # type: ignore[arg-type]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[GameSession]:
    async with opened(tmp_path_factory.mktemp("work")) as one:
        yield one


def script(*actions: str) -> Callable[[Call], str]:
    """Say these actions in turn, then the last one with a counter so that no three replies are equal."""
    return lambda call: (
        f"ACTION: {actions[call.key.call]}\n"
        if call.key.call < len(actions)
        else f"THOUGHT: {call.key.call}\n ACTION: {actions[-1]}\n"
    )


def infos(attempt: Attempt) -> list[Any]:
    return [call.info for call in attempt.calls]


async def test_transcript_of_a_won_game(house: GameSession) -> None:
    steps = ("go to shelf 1", "take mug 1 from shelf 1", "go to desk 1", "put mug 1 in/on desk 1")
    attempt, calls = await house.run_episode("put", script(*steps))
    assert (attempt.outcome, attempt.value) == ("scored", 1.0)
    last = [(message.role, message.content) for message in calls[-1].messages]
    texts = data.literals(FIXTURE / "prompts.json")
    assert last[0] == ("user", next(iter(texts.values())).strip())
    assert last[1] == ("assistant", "Understood, I will do the job step by step.")
    assert last[2][1].startswith("This is how it is done.\nYou are in the middle of a room.")
    assert last[-7:] == [
        (
            "user",
            "Now your own job. You are in the middle of a room. Looking quickly around you, you see "
            "a desk 1, a drawer 1, a fridge 1, a microwave 1, a shelf 1, and a sinkbasin 1.\n"
            "Your task is to: put some mug on desk.",
        ),
        ("assistant", "ACTION: go to shelf 1"),
        ("user", "On the shelf 1, you see a mug 1."),
        ("assistant", "ACTION: take mug 1 from shelf 1"),
        ("user", "You pick up the mug 1 from the shelf 1."),
        ("assistant", "ACTION: go to desk 1"),
        ("user", "On the desk 1, you see a desklamp 1."),
    ]
    assert {call.ask.max_new_tokens for call in calls} == {128}
    assert {(call.ask.truncate, call.ask.temperature) for call in calls} == {(4096 - 128, None)}
    expected = {"success_put": 1.0, "steps": 4.0, "rewritten": 0.0, "nothing_happens": 0.0, "repetition": 0.0}
    assert attempt.metrics == expected


async def test_a_turn_is_logged_raw_parsed_and_executed(house: GameSession) -> None:
    attempt, calls = await house.run_episode("put", script("GO TO the shelf 1", "dance", "inventory"))
    first, second = infos(attempt)[:2]
    assert first["raw"] == "ACTION: GO TO the shelf 1\n"
    assert (first["parsed"], first["executed"]) == ("go to the shelf 1", "go to shelf 1")
    assert first["bleu"] == pytest.approx(0.171418, abs=1e-6)
    assert (second["executed"], second["bleu"]) == ("dance", 0.0)
    assert calls[2].messages[-1].content == NOTHING
    assert attempt.metrics["rewritten"] == 1 / 35 and attempt.metrics["nothing_happens"] == 1 / 35


async def test_35_turns_are_the_limit(house: GameSession) -> None:
    attempt, calls = await house.run_episode(
        "put", lambda call: f"ACTION: {('look', 'inventory')[call.key.call % 2]}"
    )
    assert (attempt.outcome, attempt.value, len(calls)) == ("limit", 0.0, 35)


@pytest.mark.parametrize(
    ("replies", "turns"),
    [
        (["ACTION: look"] * 9, 4),  # not before the fourth turn
        (["a", "ACTION: look", "ACTION: look", "ACTION: look"], 4),
        (["", "", "", ""], 4),
        (["ACTION: look", "ACTION: look", "ACTION: look ", "a", "b", "b", "b"], 7),  # raw text is compared
    ],
)
async def test_three_equal_replies_end_the_game(house: GameSession, replies: list[str], turns: int) -> None:
    attempt, calls = await house.run_episode("put", lambda call: replies[call.key.call])
    assert (attempt.outcome, attempt.value, len(calls)) == ("scored", 0.0, turns)
    assert attempt.metrics["repetition"] == 1.0 and "three times" in attempt.note


async def test_the_rule_goes_before_the_win(house: GameSession) -> None:
    """Upstream looks for repetition first, so a game won by a third equal reply is lost."""
    steps = ["go to shelf 1", "take mug 1 from shelf 1", "go to desk 1", "put mug 1 in/on desk 1"]
    # Taken for the nearest command each time, this one reply takes the mug, carries it and puts it down.
    replies = [steps[0], *["to desk 1 take mug 1 from shelf 1"] * 3]
    attempt, calls = await house.run_episode("put", lambda call: replies[call.key.call])
    assert [info["executed"] for info in infos(attempt)] == steps
    assert infos(attempt)[-1]["won"] and len(calls) == 4
    assert attempt.value == 0.0 and attempt.metrics["repetition"] == 1.0


async def test_exact_matching_executes_only_what_is_said(tmp_path: Path) -> None:
    async with opened(tmp_path, match="exact") as strict:
        attempt, calls = await strict.run_episode("put", script("go to the shelf 1", "go to shelf 1", "look"))
    assert calls[1].messages[-1].content == NOTHING
    assert calls[2].messages[-1].content == "On the shelf 1, you see a mug 1."
    assert infos(attempt)[0]["bleu"] is None


async def test_native_grammar_moves(tmp_path: Path) -> None:
    async with opened(tmp_path, grammar="native") as native:
        steps = ("go to shelf 1", "take mug 1 from shelf 1", "go to desk 1", "move mug 1 to desk 1")
        attempt, calls = await native.run_episode("put", script(*steps))
    assert attempt.value == 1.0
    assert calls[1].messages[-1].content == "You arrive at shelf 1. On the shelf 1, you see a mug 1."


async def test_v02_lists_actions_in_the_newest_turn_only(tmp_path: Path) -> None:
    async with opened(tmp_path, protocol="agentbench-v0.2") as newer:
        steps = ("go to shelf 1", "take mug 1 from shelf 1", "I would rather not")
        attempt, calls = await newer.run_episode(
            "put", lambda call: steps[2] if call.key.call == 2 else f"ACTION: {steps[call.key.call]}\n"
        )
        empty, _ = await newer.run_episode("put", lambda call: "ACTION: \nlook")
        same, same_calls = await newer.run_episode("put", lambda call: "ACTION: look")
    assert (attempt.outcome, attempt.value, len(calls)) == ("model_error", 0.0, 3)
    assert (empty.outcome, len(empty.calls)) == ("model_error", 1)
    assert (same.outcome, same.value, len(same_calls)) == ("model_error", 0.0, 4)
    listing = " AVAILABLE ACTIONS: "
    for call in calls:
        roles = [message.role for message in call.messages]
        assert roles == ["user", "assistant"] * (len(roles) // 2) + ["user"]
        assert [listing in message.content for message in call.messages] == [False] * (len(roles) - 1) + [
            True
        ]
    assert calls[1].messages[-1].content == (
        f"On the shelf 1, you see a mug 1.{listing}"
        "examine shelf 1\ngo to desk 1\ngo to drawer 1\ngo to fridge 1\ngo to microwave 1\n"
        "go to sinkbasin 1\ninventory\nlook\ntake mug 1 from shelf 1\n"
    )
    assert [m.content for m in calls[2].messages[-3:-1]] == [
        "On the shelf 1, you see a mug 1. ",
        "ACTION: take mug 1 from shelf 1\n",
    ]


async def test_the_window_drops_what_the_spec_says(house: GameSession) -> None:
    """AgentBench's client: the first message, then as many of the newest as fit below 3,500 segments."""
    thought = "I wonder about many things. " * 30

    def answer(call: Call) -> str:
        return f"THOUGHT: {thought}{call.key.call}\n ACTION: {('look', 'inventory')[call.key.call % 2]}\n"

    _, calls = await house.run_episode("cool", answer)
    assert len(calls) == 35
    said = list(calls[0].messages)
    head = prompts.load(FIXTURE, "agenttuning").opening("cool")[0].content
    assert said[0].content == head.strip() != head
    before, after = data.notice(house.ctx.data, house.ctx.source) or ("", "")
    assert before
    cut = 0
    for call, following in zip(calls, [*calls[1:], None], strict=True):
        kept: list[Message] = []
        total = tokens.segments(head)  # counted before it is stripped, as upstream does
        for message in reversed(said[1:]):
            total += tokens.segments(message.content)
            if total >= 3500:
                break
            kept.insert(0, message)
        if len(kept) < len(said) - 1 and kept[0].role == "user":
            kept.pop(0)
        dropped = len(said) - 1 - len(kept)
        assert [m.content for m in call.messages[1:]] == [m.content for m in kept]
        notice = f"{before}{dropped}{after}" if dropped else ""
        # Upstream appends to the message as it was before it strips it.
        assert call.messages[0].content == (head + notice).strip()
        cut = max(cut, dropped)
        if following is not None:
            said += [Message("assistant", answer(call).strip()), following.messages[-1]]
    shots = sum(message.pin == "shot" for message in calls[0].messages)
    assert cut > shots + 1  # the exemplar is gone first, then the task itself
    assert not any(message.pin == "shot" for message in calls[-1].messages)


async def test_first_observation_is_the_same_in_every_process() -> None:
    """Other processes, other hash seeds, a slot that held another game: the same words and commands."""
    old = rows.read_logic(FIXTURE / LOGIC)
    paths = [FIXTURE / GAMES / s.data["path"] for s in samples_of(TASK, context(), "std")]
    games = [rows.legacy(rows.read(path), old) for path in paths]
    shown: list[list[Any]] = []
    for seed, slots in (("0", (0, 1, 2, 3, 4, 5)), ("77", (0, 0, 0, 0, 1, 0))):
        worker = Worker(Launch("tasks.alfworld.engine", env={"PYTHONHASHSEED": seed}))
        await worker.start()
        try:
            openings = [
                await worker.call(
                    "open", slot, one.logic.domain, one.logic.grammar, one.problem, False, timeout=120
                )
                for slot, one in zip(slots, games, strict=True)
            ]
            again = await worker.call("step", 0, "go to shelf 1", timeout=60)
            nothing = await worker.call("step", 0, "go to the moon", timeout=60)
            shown.append([*openings, again])
        finally:
            await worker.close()
        # What the episode answers without asking the engine is what the engine answers.
        assert nothing == [NOTHING, again[1], False]
    assert shown[0][:6] == shown[1][:6]
    assert len({opening[0] for opening in shown[0][:6]}) == 6


def context() -> Context:
    return task_context(TASK, FIXTURE, FIXTURE)


async def test_the_planner_stands_in_for_a_missing_walkthrough(house: GameSession) -> None:
    sample = house.samples["examine"]
    assert rows.read(FIXTURE / GAMES / sample.data["path"]).walkthrough == ()
    episode = await house.world.episode(sample, {}, 0)
    first = await episode.reset()
    await episode.close()
    assert first.info["plan"][-1] == "use desklamp 1" and len(first.info["plan"]) == 4
