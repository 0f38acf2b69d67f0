"""From the stored turns of real episodes alone, every prompt comes back byte for byte."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from contexts import samples_of, task_context

from harness.catalog import registry
from harness.data import FIXTURE, resolve
from harness.history import window_notice
from harness.models.api import Call, LiveEpisodes
from harness.running.activity import Activity
from harness.running.bench import ScriptedModel
from harness.running.rollout import run_episode
from harness.running.sampling import Sampling
from harness.running.task_run import TaskRun
from harness.storage import transcript
from harness.storage.records import Attempt
from harness.storage.store import Store
from harness.types import Message

CHATTER = "I look around me and think about what to do next in this place. " * 12

SYSTEM = "Answer in as few words as you can."
"""A system text of the command's."""


def render(messages: Sequence[Message]) -> str:
    """Every message with its role, not stripped: nothing that is lost could hide."""
    return "\n".join(f"{message.role}: {message.content}" for message in messages)


def says(words: str) -> Callable[[Call], str]:
    """Each time another reply: the words with the number of the call and with chatter in them."""
    return lambda call: words.format(n=call.key.call, chatter=CHATTER)


async def played(
    name: str, answer: Callable[[Call], str], work: Path, sampling: Sampling
) -> tuple[Attempt, ScriptedModel]:
    """One episode of a task's fixture, with a model that fails but talks."""
    task = registry.load(name)
    roles = {
        role: ScriptedModel(lambda call: "a short answer") for role in task.spec.roles if role != "judge"
    }
    ctx = task_context(task, resolve(name, FIXTURE).path, work, source="fixture", roles=tuple(roles))
    policy = task.history(ctx)
    model = ScriptedModel(answer)
    async with task.world(ctx) as world:
        task_run = TaskRun(
            spec=task.spec,
            world=world,
            model=model,
            live=LiveEpisodes(),
            roles=roles,
            history=policy,
            notice=window_notice(policy, ctx),
            sampling=sampling,
        )
        attempt = await run_episode(task_run, samples_of(task, ctx)[0], 0, Activity())
    assert attempt.outcome != "infra_error", attempt.error
    return attempt, model


@pytest.mark.parametrize(
    ("name", "words", "feature", "system"),
    [
        ("gsm8k", "{chatter}{n}\nThe answer is 5.", "one call", None),
        ("alfworld", "{chatter}{n}\nACTION: look", "cut", None),
        ("dbbench", "{chatter}{n}\nAction: Operation\n```sql\nSELECT 1;\n```", "calls", None),
        ("sciworld", "Think: {n} {chatter}", "cut", None),
        ("hotpotqa", "{chatter}{n}\nSearch[house]", "raw", None),
        ("miniwob", '{chatter}{n}\nclickxpath //*[@id="nothing"]', "fresh", None),
        ("rewoo", "{chatter}{n}\nPlan: Look it up.\n#E1 = LLM[Who is it?]", "calls", None),
        ("gsm8k", "{chatter}{n}\nThe answer is 5.", "one call", SYSTEM),
        ("alfworld", "{chatter}{n}\nACTION: look", "cut", SYSTEM),
        ("hotpotqa", "{chatter}{n}\nSearch[house]", "raw", SYSTEM),
    ],
)
def test_every_prompt_comes_back(tmp_path: Path, name: str, words: str, feature: str, system: str | None):
    (tmp_path / "work").mkdir()
    sampling = Sampling(system=system)
    attempt, model = asyncio.run(played(name, says(words), tmp_path / "work", sampling))
    store = Store(tmp_path / "run.sqlite")
    store.add(attempt)
    store.close()
    store = Store(tmp_path / "run.sqlite", readonly=True)
    (stored,) = store.attempts()
    calls = store.calls(stored.id)
    store.close()
    sent = [call.prompt + call.ask.prefix for call in model.calls]
    assert sent
    assert list(transcript.prompts(calls, render)) == sent
    if system:  # in every conversation once and first, in place of the task's own
        begins = [prompt.startswith(f"system: {system}") for prompt in sent]
        assert all(begins) if feature != "raw" else not any(begins)
        assert all(prompt.count(system) <= 1 for prompt in sent)
    turns = [call.turn for call in calls if not call.role and call.turn is not None]
    seen = {
        "one call": len(turns) == 1,
        "calls": len(turns) > 1,
        "cut": any(turn.kept is not None for turn in turns),
        "raw": all(turn.raw is not None for turn in turns),
        "fresh": any(turn.fresh for turn in turns),
    }
    assert seen[feature], "this transcript does not have what it is here for"
