"""SciWorld on the real simulator: thirty games, the live table of tasks, prompts, trimming and options."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from checkouts import write_sciworld
from contexts import samples_of, task_context

from harness import data, history, tokens
from harness.errors import EnvironmentFault
from harness.models.api import LiveEpisodes
from harness.models.connect import open_model
from harness.running.activity import Activity
from harness.running.rollout import run_episode
from harness.running.task_run import TaskRun
from harness.storage.store import Attempt
from harness.types import Context, Message, Observation, Profile, Reply, Row, Sample
from tasks.sciworld import prepare
from tasks.sciworld.episode import SciWorldEpisode
from tasks.sciworld.oracle import SHIPPED
from tasks.sciworld.pool import SimulatorPool
from tasks.sciworld.prompts import SciWorldPrompts
from tasks.sciworld.solver import solve
from tasks.sciworld.task import TASK
from tasks.sciworld.world import SciWorld

module_loop = pytest.mark.asyncio(loop_scope="module")

EPISODES = "test_episodes.json"
FREE = {"action_match": "passthrough", "stop_rules": "off", "step_limit": "none"}


@pytest.fixture
def mirrored(mirror: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data mirror, named so that core files are found in it too."""
    monkeypatch.setenv("HARNESS_MIRROR", str(mirror))
    return mirror


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pool() -> AsyncIterator[SimulatorPool]:
    """Simulators that the tests of single episodes share."""
    shared = SimulatorPool()
    yield shared
    await shared.close()


async def begun(
    ctx: Context, pool: SimulatorPool, sample: Sample | None = None
) -> tuple[SciWorldEpisode, Observation]:
    """An episode of the fixture's first sample, or of another, and what it shows first."""
    world = SciWorld(ctx, pool, {})
    episode = await world.episode(sample or samples_of(TASK, ctx, "test")[0], {}, 0)
    return episode, await episode.reset()


def context(work: Path, folder: Path | None = None, profile: Profile = "paper", **options: Any) -> Context:
    if folder is None:
        found = data.resolve("sciworld", "fixture").path
        return task_context(TASK, found, work, profile=profile, source="fixture", **options)
    return task_context(TASK, folder / "sciworld", work, profile=profile, **options)


async def played(ctx: Context, samples: Sequence[Sample], width: int = 4) -> list[Attempt]:
    """Play samples by the oracle, over HTTP on loopback."""
    live, gate = LiveEpisodes(), asyncio.Semaphore(width)
    async with open_model("oracle", live=live) as model, TASK.world(ctx) as world:
        oracle = lambda sample: TASK.oracle(ctx, sample)  # noqa: E731
        policy = TASK.history(ctx)
        vocabulary = history.vocabulary(policy, ctx)
        setup = TaskRun(TASK.spec, world, model, live, oracle=oracle, history=policy, vocabulary=vocabulary)

        async def one(sample: Sample) -> Attempt:
            async with gate:
                return await run_episode(setup, sample, 0, Activity())

        return list(await asyncio.gather(*(one(sample) for sample in samples)))


def headline(attempts: Sequence[Attempt]) -> float:
    assert [a.error for a in attempts if a.outcome == "infra_error"] == []
    rows = [Row(a.sample, 0, a.outcome, a.value or 0.0, a.metrics, a.labels) for a in attempts]
    return 100 * TASK.aggregate(rows)["score"]


# -- games


def solved(ctx: Context) -> list[Sample]:
    """The samples whose solutions the fixture ships: the shortest of each task's episodes."""
    shipped = json.loads((ctx.data / SHIPPED).read_text(encoding="utf-8"))
    return [sample for sample in samples_of(TASK, ctx, "full") if sample.id in shipped]


@pytest.mark.parametrize("step", [10, pytest.param(1, marks=pytest.mark.slow)])
async def test_thirty_tasks_are_played_to_their_end(step: int, tmp_path: Path) -> None:
    ctx = context(tmp_path, **FREE)
    samples = solved(ctx)[::step]
    assert len({sample.labels["task"] for sample in samples}) == 30 / step
    attempts = await played(ctx, samples)
    assert {a.sample: a.value for a in attempts} == {sample.id: 1.0 for sample in samples}


@pytest.fixture(scope="module")
def solutions() -> dict[tuple[str, int], list[str]]:
    """What the long games have found so far: 270 solutions take most of their time, and repeat themselves."""
    return {}


@pytest.fixture
def solved_once(solutions: dict[tuple[str, int], list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    """The oracle computes a solution for the first of the long games, and finds it there for the others."""

    async def found(task: str, variation: int) -> list[str]:
        if (task, variation) not in solutions:
            solutions[task, variation] = await solve(task, variation)
        return solutions[task, variation]

    monkeypatch.setattr("tasks.sciworld.oracle.solve", found)


@pytest.mark.full
@pytest.mark.timeout(7200)
@pytest.mark.parametrize(
    ("profile", "options", "expected"),
    [
        ("paper", FREE, 100.0),
        ("paper", {**FREE, "step_limit": "100"}, 91.5),
        ("paper", {"per_task": "3"}, 61.32),
        ("paper", {}, TASK.spec.ceiling["paper", "mirror"]),
        ("fixed", {}, TASK.spec.ceiling["fixed", "mirror"]),
    ],
)
@pytest.mark.usefixtures("solved_once")
async def test_the_mirrors_episodes(
    mirrored: Path, tmp_path: Path, profile: Profile, options: dict[str, str], expected: float
) -> None:
    ctx = context(tmp_path, mirrored, profile, **options)
    samples = samples_of(TASK, ctx, "test")
    assert len(samples) == (90 if "per_task" in options else 270)
    assert headline(await played(ctx, samples)) == pytest.approx(expected, abs=0.006)


async def test_a_solution_depends_on_neither_processors_nor_the_users_java_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1")
    shipped = json.loads((context(tmp_path).data / SHIPPED).read_text(encoding="utf-8"))
    usual = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(usual)})  # Java, left alone, finds another solution by either
    try:
        found = await solve("find-non-living-thing", 243)
    finally:
        os.sched_setaffinity(0, usual)
    assert found == shipped["find-non-living-thing/243"]


@pytest.mark.parametrize(
    ("task", "variation"),
    [("boil", 10**6), pytest.param("boil", -1, marks=pytest.mark.slow), ("no-such-task", 0)],
)
async def test_what_does_not_exist_has_no_solution(task: str, variation: int) -> None:
    with pytest.raises(EnvironmentFault, match=f"(no variation {variation}|Unknown taskName: '{task}')"):
        await solve(task, variation)


@pytest.mark.full
@pytest.mark.timeout(1800)
async def test_the_shipped_solutions_are_the_simulators_own(tmp_path: Path) -> None:
    ctx = context(tmp_path)
    shipped = json.loads((ctx.data / SHIPPED).read_text(encoding="utf-8"))
    for sample in solved(ctx):
        found = await solve(sample.data["task"], sample.data["variation"])
        assert found == shipped[sample.id], sample.id


# -- the table of tasks


@pytest.fixture(scope="module")
def prepared(mirror: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that are made from a checkout and the live simulator."""
    work = tmp_path_factory.mktemp("prepared")
    write_sciworld(mirror, work / "checkout")
    made = prepare.prepare(work / "checkout", work / "made", data.quiet)
    assert len(made) == 3
    assert {path.name for path in made} >= {EPISODES}
    return work / "made"


def test_the_mirrors_episodes_are_the_live_simulators(mirror: Path, prepared: Path) -> None:
    listed = json.loads((mirror / "sciworld" / EPISODES).read_text(encoding="utf-8"))
    assert json.loads((prepared / EPISODES).read_text(encoding="utf-8")) == listed
    assert len(listed) == 30
    ctx = context(Path(), mirror)
    ids = [sample.id for sample in samples_of(TASK, ctx, "test")]
    assert len(set(ids)) == 270
    assert (ids[0], ids[-1]) == ("boil/26", f"use-thermometer/{listed[-1]['variations'][-1]}")
    for split, count in (("full", "n_test"), ("dev", "n_dev"), ("train", "n_train")):
        assert len(samples_of(TASK, ctx, split)) == sum(row[count] for row in listed)
    assert len(samples_of(TASK, ctx, "full")) == 1819


def test_a_cap_per_task(mirror: Path) -> None:
    capped = samples_of(TASK, context(Path(), mirror, per_task="3"), "test")
    assert [s.id for s in capped[:4]] == ["boil/26", "boil/27", "boil/28", "change-the-state-of-matter-of/26"]
    assert len(capped) == 90


FIRST = """
import asyncio, sys
from pathlib import Path
from harness.running import selection
from harness.types import Context
from tasks.sciworld.task import TASK

async def main():
    options = selection.options("sciworld", TASK.Options, "paper")
    ctx = Context(Path(sys.argv[1]), options, source="fixture", split="full", work=Path(sys.argv[2]))
    async with TASK.world(ctx) as world:
        groups = {sample.labels["task"]: sample for sample in TASK.samples(ctx)}
        for sample in list(groups.values())[:: int(sys.argv[3])][:: int(sys.argv[4])]:
            episode = await world.episode(sample, {}, 0)
            observation = await episode.reset()
            print(repr(observation.messages[-1].content))
            await episode.close()

asyncio.run(main())
"""


@pytest.mark.parametrize("step", [15, pytest.param(1, marks=pytest.mark.slow)])
async def test_first_observations_are_the_same_in_every_process(
    step: int, tmp_path: Path, root: Path
) -> None:
    folder = context(tmp_path).data

    async def told(order: str) -> list[str]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", FIRST, str(folder), str(tmp_path), str(step), order),
            stdout=asyncio.subprocess.PIPE,
            cwd=root,
        )
        output, _ = await asyncio.wait_for(process.communicate(), 200)
        assert process.returncode == 0
        return output.decode().splitlines()

    forwards, backwards = await asyncio.gather(told("1"), told("-1"))
    assert len(forwards) == 30 / step
    assert forwards == backwards[::-1]


# -- prompts


def test_an_opening_has_its_turns_in_order(mirror: Path) -> None:
    texts = SciWorldPrompts.read(mirror / "sciworld")
    opening = texts.opening(7, "a room\nYour task is", exemplars=True)
    assert [m.role for m in opening[:3]] == ["system", "user", "assistant"]
    assert [m.role for m in opening[1:]] == [
        "user" if i % 2 == 0 else "assistant" for i in range(len(opening) - 1)
    ]
    assert [m.pin for m in opening] == ["", "", "", *["shot"] * 16, "task"]
    assert opening[-1].content.endswith("\na room\nYour task is")
    assert len(texts.opening(7, "a room", exemplars=False)) == 4


def llama2(messages: Sequence[Message]) -> str:
    """FastChat's Llama-2 turns, with the answer's opening."""
    text = f"[INST] <<SYS>>\n{messages[0].content}\n<</SYS>>\n\n{messages[1].content} "
    for message in messages[2:]:
        text += (
            f"[INST] {message.content} " if message.role == "user" else f"[/INST] {message.content} </s><s>"
        )
    return text + "[/INST]"


@pytest.mark.parametrize(
    ("task", "whole", "pairs", "room"),
    [
        ("inclined-plane-friction-unnamed-surfaces", 8352, 105, 42),
        ("mendelian-genetics-known-plant", 5480, 42, 5),
        ("mendelian-genetics-unknown-plant", 6351, 76, 0),
    ],
)
@module_loop
async def test_upstreams_trimming_of_the_long_exemplars(
    mirrored: Path, pool: SimulatorPool, tmp_path: Path, task: str, whole: int, pairs: int, room: int
) -> None:
    ctx = context(tmp_path, mirrored)
    sample = next(sample for sample in samples_of(TASK, ctx, "test") if sample.labels["task"] == task)
    episode, first = await begun(ctx, pool, sample)
    await episode.close()
    messages = first.messages
    policy, counter = history.policy(TASK.history(ctx))
    count = tokens.counter(counter, history.vocabulary(TASK.history(ctx), ctx))
    shown = policy(messages, llama2, count)
    before = count(llama2(messages).removesuffix("[/INST]"))
    after = count(llama2(shown).removesuffix("[/INST]"))
    assert (before, (len(messages) - len(shown)) // 2, 4036 - after) == (whole, pairs, room)


# -- options


@pytest.mark.parametrize(
    ("profile", "source", "expected"),
    [
        ("paper", "mirror", "pairs-4036"),
        ("paper", "fixture", "pairs-4036-estimate"),
        ("fixed", "mirror", "pairs-3840-estimate"),
    ],
)
def test_history_by_profile(mirror: Path, profile: Profile, source: str, expected: str) -> None:
    ctx = context(Path(), mirror if source == "mirror" else None, profile)
    assert TASK.history(ctx) == expected


@module_loop
async def test_a_reply_is_cut_matched_and_kept_as_upstream_keeps_it(
    pool: SimulatorPool, tmp_path: Path
) -> None:
    ctx = context(tmp_path)
    episode, first = await begun(ctx, pool)
    assert first.ask is not None
    assert (first.ask.max_new_tokens, first.ask.truncate, first.ask.temperature) == (256, 4000, None)
    thought = await episode.step(Reply(" Think: hm. [INST] and so on"))
    assert thought.said == "Think: hm."
    assert [m.content for m in thought.messages] == [SciWorldPrompts.read(ctx.data).thought]
    # During the first three turns `look around` is barred and becomes what shares a word with it.
    barred = await episode.step(Reply("Action: look around<|end_of_turn|>junk"))
    assert barred.said == "Action: look around"
    assert barred.info["kind"] == "overlap"
    assert barred.info["action"] != "look around"
    assert (await episode.step(Reply("look around"))).info["kind"] == "overlap"
    assert (await episode.step(Reply("look around"))).info["kind"] == "exact"
    assert (await episode.score()).metrics["turns"] == 4
    await episode.close()


@module_loop
async def test_passing_through_still_falls_back_on_the_matcher(pool: SimulatorPool, tmp_path: Path) -> None:
    episode, first = await begun(context(tmp_path, profile="fixed"), pool)
    assert first.ask is not None
    assert first.ask.truncate is None
    parsed = await episode.step(Reply("Action: look around\nAction: and more"))
    assert (parsed.info["kind"], parsed.said) == ("raw", "Action: look around")
    rewritten = await episode.step(Reply("Action: please open the door to the kitchen"))
    assert rewritten.info["kind"] == "overlap"
    await episode.close()


@pytest.mark.parametrize(("rules", "stops", "turns"), [("on", "failures", 10), ("off", "", 25)])
@module_loop
async def test_ten_failures_in_a_row_stop_an_episode(
    pool: SimulatorPool, tmp_path: Path, rules: str, stops: str, turns: int
) -> None:
    episode, observation = await begun(context(tmp_path, stop_rules=rules), pool)
    turn = 0
    while not observation.done and turn < 25:
        turn += 1
        # Words that no action shares, all different so that they are no loop.
        observation = await episode.step(Reply("Action: " + "q" * turn))
    await episode.close()
    assert (observation.info.get("stop", ""), turn) == (stops, turns)


@module_loop
async def test_more_moves_than_the_limit_stop_an_episode(pool: SimulatorPool, tmp_path: Path) -> None:
    episode, observation = await begun(context(tmp_path, **{**FREE, "step_limit": "10"}), pool)
    turns = 0
    while not observation.done:
        observation = await episode.step(Reply("Action: wait1"))
        turns += 1
    await episode.close()
    # Each `wait1` takes two moves; the limit is passed, not reached.
    assert (observation.info["stop"], observation.info["moves"], turns) == ("moves", 12, 6)


@pytest.mark.parametrize(("rules", "turns"), [("on", 4), ("extended", 20)])
@module_loop
async def test_waiting_is_a_loop_for_upstream_only(
    pool: SimulatorPool, tmp_path: Path, rules: str, turns: int
) -> None:
    options = {"action_match": "passthrough", "stop_rules": rules, "fail_rule": "strict", "step_limit": "100"}
    episode, observation = await begun(context(tmp_path, **options), pool)
    turn = 0
    while not observation.done and turn < 20:
        observation = await episode.step(Reply("Action: wait1"))
        turn += 1
    await episode.close()
    assert turn == turns


# -- preparing the data


def test_prepare_makes_the_mirrors_files_from_a_checkout(mirror: Path, prepared: Path) -> None:
    made = [path for path in prepared.rglob("*") if path.is_file()]
    for path in made:
        name = path.relative_to(prepared)
        assert path.read_bytes() == (mirror / "sciworld" / name).read_bytes(), name
    assert len(made) == 3
