"""The loop: what enters the prompt, how an episode may end, and what a crash costs."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from harness.episode import BaseWorld
from harness.errors import ContextOverflow, DataError, EndpointError, EnvironmentFault
from harness.models.api import Call, LiveEpisodes
from harness.running.activity import Activity
from harness.running.environment import REBUILDS
from harness.running.rollout import run_episode
from harness.running.task_run import TaskRun
from harness.types import Ask, Chat, Limits, Message, Observation, Reply, Sample, Score, TaskSpec

ASK = Ask(8)
END = Observation(done=True)


def say(text: str, **more: Any) -> Observation:
    return Observation((Message("user", text),), ASK, **more)


@dataclass
class Scripted:
    """An episode that shows scripted observations; a callable in the script may raise."""

    script: Sequence[Observation | Callable[[], Observation]]
    value: float = 1.0
    at: int = 0
    closed: int = 0

    def _show(self) -> Observation:
        item = self.script[min(self.at, len(self.script) - 1)]
        self.at += 1
        return item() if callable(item) else item

    async def reset(self) -> Observation:
        return self._show()

    async def step(self, reply: Reply) -> Observation:
        return self._show()

    async def score(self) -> Score:
        return Score(self.value)

    async def close(self) -> None:
        self.closed += 1


@dataclass
class Worlds(BaseWorld):
    """Hands out the given episodes one after the other and remembers them."""

    episodes: list[Any]
    replayable: bool = True
    built: list[tuple[str, int]] = field(default_factory=list)

    async def episode(self, sample: Sample, chats: Mapping[str, Chat], seed: int) -> Any:
        self.built.append((sample.id, seed))
        return self.episodes[len(self.built) - 1]


@dataclass
class EchoModel:
    """A model that records its calls and says `reply N`."""

    calls: list[Call] = field(default_factory=list)
    fail: BaseException | None = None
    name: str = "parrot"

    def render(self, messages: Sequence[Message], suite: str = "", task: str = "") -> str:
        return "|".join(f"{m.role[0]}:{m.content}" for m in messages)

    async def complete(self, call: Call) -> Reply:
        if self.fail:
            raise self.fail
        self.calls.append(call)
        return Reply(f"reply {len(self.calls)}", prompt_tokens=5, output_tokens=2)


def spec(**more: Any) -> TaskSpec:
    more.setdefault("limits", Limits(turns=5))
    return TaskSpec("toy", 1, "held-out", "score", **more)


async def run(worlds: Worlds, model: EchoModel | None = None, **more: Any):
    model, sample = model or EchoModel(), more.pop("sample", Sample("s"))
    task_run = TaskRun(more.pop("spec", spec()), worlds, model, LiveEpisodes(), **more)  # type: ignore[arg-type]
    return await run_episode(task_run, sample, 0, Activity()), model


async def test_an_episode_that_ends_itself_is_scored():
    episode = Scripted([say("one"), say("two"), END], 0.5)
    attempt, model = await run(Worlds([episode]))
    assert (attempt.outcome, attempt.value, len(attempt.calls)) == ("scored", 0.5, 2)
    assert (attempt.prompt_tokens, attempt.output_tokens) == (10, 4)
    assert [model.render(call.messages) for call in model.calls] == ["u:one", "u:one|a:reply 1|u:two"]
    assert episode.closed == 1


async def test_an_episode_leaves_nothing_to_the_garbage_collector():
    """Its prompts would otherwise stay in memory until the collector comes, which takes the more time."""
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        await run(Worlds([Scripted([say("one"), say("two"), END])]))
        gc.collect()
        left = {type(one).__name__ for one in gc.garbage if type(one).__module__.startswith("harness.")}
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    assert left == set()


async def test_said_replaces_the_reply_and_fresh_forgets_everything():
    script = [say("one"), say("two", said="tidied"), say("three", fresh=True), END]
    _, model = await run(Worlds([Scripted(script)]))
    shown = [model.render(call.messages) for call in model.calls]
    assert shown == ["u:one", "u:one|a:tidied|u:two", "u:three"]


async def test_a_raw_prompt_goes_out_as_it_is():
    attempt, model = await run(Worlds([Scripted([Observation((), ASK, raw="Q: 1\nA:"), END])]))
    assert model.calls[0].raw == "Q: 1\nA:"
    assert attempt.calls[0].prompt == "Q: 1\nA:"


async def test_done_at_reset_asks_nothing():
    attempt, model = await run(Worlds([Scripted([END], 0.0)]))
    assert (attempt.outcome, attempt.value, model.calls) == ("scored", 0.0, [])


async def test_the_turn_limit_values_what_was_reached():
    attempt, model = await run(Worlds([Scripted([say("again")], 0.25)]), spec=spec(limits=Limits(turns=3)))
    assert (attempt.outcome, attempt.value, len(model.calls)) == ("limit", 0.25, 3)


async def test_context_overflow_is_a_limit_not_a_failure():
    model = EchoModel(fail=ContextOverflow("too long", limit=10, given=12))
    attempt, _ = await run(Worlds([Scripted([say("one")], 0.0)]), model)
    assert (attempt.outcome, attempt.value) == ("limit", 0.0)
    assert "too long" in attempt.note


async def test_a_dead_endpoint_is_an_infra_error_without_value():
    attempt, _ = await run(Worlds([Scripted([say("one")])]), EchoModel(fail=EndpointError("nobody answers")))
    assert (attempt.outcome, attempt.value) == ("infra_error", None)
    assert attempt.error == "EndpointError: nobody answers"


def crash() -> Observation:
    raise EnvironmentFault("the simulator died")


async def test_a_crashed_environment_is_rebuilt_and_replayed():
    first = Scripted([say("one"), say("two"), crash])
    second = Scripted([say("one"), say("two"), say("three"), END], 0.75)
    worlds = Worlds([first, second])
    attempt, model = await run(worlds)
    assert (attempt.outcome, attempt.value, attempt.rebuilds) == ("scored", 0.75, 1)
    assert len(model.calls) == 3, "the model is not asked again for what it has answered"
    assert worlds.built[0] == worlds.built[1], "the same instance is built again"
    assert first.closed == second.closed == 1


async def test_a_crash_at_reset_is_rebuilt_too():
    worlds = Worlds([Scripted([crash]), Scripted([say("one"), END], 0.5)])
    attempt, _ = await run(worlds)
    assert (attempt.outcome, attempt.value) == ("scored", 0.5)


async def test_an_environment_that_keeps_crashing_is_an_infra_error():
    worlds = Worlds([Scripted([say("one"), crash]) for _ in range(9)])
    attempt, _ = await run(worlds)
    assert (attempt.outcome, attempt.value, attempt.rebuilds) == ("infra_error", None, REBUILDS)
    assert len(worlds.built) == 1 + REBUILDS


async def test_a_rebuilt_environment_that_differs_is_not_scored():
    worlds = Worlds([Scripted([say("one"), crash]), Scripted([say("another world"), say("two")])])
    attempt, _ = await run(worlds)
    assert attempt.outcome == "infra_error"
    assert "shows something else at turn 0" in attempt.error


async def test_masked_parts_may_differ_after_a_rebuild():
    second = Scripted([say("pid 2"), say("two"), END])
    attempt, _ = await run(Worlds([Scripted([say("pid 1"), crash]), second]), spec=spec(mask=(r"pid \d+",)))
    assert attempt.outcome == "scored"


class Hangs(Scripted):
    entered = asyncio.Event()

    async def step(self, reply: Reply) -> Observation:
        self.entered.set()
        await asyncio.Event().wait()
        raise AssertionError


async def test_a_step_that_never_returns_is_cut_from_outside():
    limits = Limits(turns=3, step_s=0.05)
    worlds = Worlds([Hangs([say("one")]) for _ in range(1 + REBUILDS)])
    attempt, _ = await run(worlds, spec=spec(limits=limits))
    assert attempt.outcome == "infra_error"
    assert "step took over 0.05 s" in attempt.error or "replay took over" in attempt.error


async def test_an_oracle_that_cannot_be_made_is_an_infra_error_of_its_episode():
    def missing(sample: Sample) -> Any:
        raise DataError(f"the solution of {sample.id} is missing")

    attempt, _ = await run(Worlds([]), oracle=missing)
    assert (attempt.outcome, attempt.value) == ("infra_error", None)
    assert "DataError: the solution of " in attempt.error


async def test_a_bug_in_a_task_is_an_infra_error_with_its_traceback():
    def bug() -> Observation:
        raise KeyError("colour")

    attempt, _ = await run(Worlds([Scripted([say("one"), bug])]))
    assert (attempt.outcome, attempt.value) == ("infra_error", None)
    assert "KeyError: 'colour'" in attempt.error


@pytest.mark.parametrize("value", [float("nan"), -0.1, 1.5])
async def test_a_score_out_of_range_is_refused(value: float):
    attempt, _ = await run(Worlds([Scripted([END], value)]))
    assert (attempt.outcome, attempt.value) == ("infra_error", None)


async def test_cancellation_closes_the_episode():
    episode = Hangs([say("one")])
    episode.entered = asyncio.Event()
    task_run = TaskRun(spec(), Worlds([episode]), EchoModel(), LiveEpisodes())  # type: ignore[arg-type]
    task = asyncio.create_task(run_episode(task_run, Sample("s"), 0, Activity()))
    async with asyncio.timeout(60):
        await episode.entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert episode.closed == 1


async def test_greedy_decoding_overrides_what_the_task_asks():
    warm = Observation((Message("user", "x"),), Ask(8, temperature=0.7, top_p=0.9))
    for decoding, expected in (("protocol", 0.7), ("greedy", None)):
        _, model = await run(Worlds([Scripted([warm, END])]), decoding=decoding)
        assert model.calls[0].ask.temperature == expected
    released = spec(released={"temperature": 0.7})
    _, model = await run(Worlds([Scripted([warm, END])]), spec=released, decoding="released")
    assert model.calls[0].decoding == {"temperature": 0.7}


async def test_seeds_depend_on_the_call_and_on_nothing_else():
    runs = [await run(Worlds([Scripted([say("a"), say("b"), END])]), seed=7) for _ in range(2)]
    seeds = [[call.seed for call in model.calls] for _, model in runs]
    assert seeds[0] == seeds[1]
    assert seeds[0][0] != seeds[0][1]


async def test_a_world_that_cannot_replay_never_acts_twice():
    def die() -> Observation:
        raise EnvironmentFault("the shop went down")

    episode = Scripted([say("one"), say("two"), die])
    worlds = Worlds([episode, Scripted([say("one"), END])], replayable=False)
    attempt, _ = await run(worlds)
    assert (attempt.outcome, attempt.rebuilds, len(worlds.built)) == ("infra_error", 0, 1)
    assert "the shop went down" in attempt.error
    assert episode.closed == 1


@pytest.mark.parametrize("text", ["A \ud800 B", "x" * 200_000])
async def test_every_reply_is_clean_and_bounded_before_anybody_sees_it(text: str):
    class Loud(EchoModel):
        async def complete(self, call: Call) -> Reply:
            self.calls.append(call)
            return Reply(text)

    seen: list[str] = []

    class Listening(Scripted):
        async def step(self, reply: Reply) -> Observation:
            seen.append(reply.text)
            return self._show()

    attempt, model = await run(Worlds([Listening([say("one"), say("two"), END])]), Loud())
    assert seen[0] == attempt.calls[0].reply
    assert seen[0].encode("utf-8") and len(seen[0]) <= 65_536
    assert model.calls[1].messages[1].content == seen[0]


async def test_only_the_paper_profile_lets_the_server_cut_prompts():
    ask = Ask(8, truncate=100)
    for profile, sent in (("paper", 100), ("fixed", None)):
        script = [Observation((Message("user", "one"),), ask), END]
        _, model = await run(Worlds([Scripted(script)]), profile=profile)
        assert model.calls[0].ask.truncate == sent


async def test_an_attempt_keeps_its_samples_labels_and_what_was_read():
    class Read(Scripted):
        async def score(self) -> Score:
            return Score(1.0, answer="a" * 5000, target="b\udfff")

    attempt, _ = await run(
        Worlds([Read([say("one"), END])]), sample=Sample("s", labels={"kind": "k"}, cluster="c")
    )
    assert (attempt.labels, attempt.cluster) == ({"kind": "k"}, "c")
    assert (len(attempt.answer), attempt.target) == (2000, "b\ufffd")
    assert attempt.last is not None and attempt.calls[0].turn is not None
    assert attempt.calls[0].turn.messages == (Message("user", "one"),)
