"""The OS task in real systems: oracle, conversation, limits, and what a model may break."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import forged_systems
import pytest
from contexts import samples_of, task_context
from forged_systems import Try

import tasks.os
from harness.data import literals
from harness.episode import World
from harness.errors import MissingPart
from harness.types import Context, Observation, Profile, Reply, Sample, Score
from tasks.os import prompts
from tasks.os.task import TASK

FIXTURE = Path(tasks.os.__file__).parent / "fixture"
SEED = 11
Player = Callable[[Observation], Awaitable[str]]


def context(data: Path, profile: Profile = "paper", **options: object) -> Context:
    return task_context(TASK, data, profile=profile, **options)


@asynccontextmanager
async def opened(ctx: Context) -> AsyncIterator[World]:
    """The task's world, or a skip (in CI a failure) where no sandbox can be made."""
    try:
        async with TASK.world(ctx) as world:
            yield world
    except MissingPart as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


async def play(world: World, sample: Sample, player: Player) -> tuple[Score, list[Observation]]:
    """Play to the end or to the turn limit, as the harness's loop does."""
    one = await world.episode(sample, {}, SEED)
    try:
        seen = [await one.reset()]
        for _ in range(TASK.spec.limits.turns):
            if seen[-1].done:
                break
            seen.append(await one.step(Reply(await player(seen[-1]))))
        score = await one.score()
        assert isinstance(score, Score)
        return score, seen
    finally:
        await one.close()
        await one.close()


async def play_all(
    ctx: Context, split: str, make: Callable[[Sample], Player], step: int = 1
) -> dict[str, Score]:
    slots = asyncio.Semaphore(6)
    async with opened(ctx) as world:

        async def one(sample: Sample) -> tuple[str, Score]:
            async with slots:
                return sample.id, (await play(world, sample, make(sample)))[0]

        return dict(await asyncio.gather(*map(one, samples_of(TASK, ctx, split)[::step])))


def failing(scores: dict[str, Score]) -> set[str]:
    return {name for name, score in scores.items() if score.value < 1}


def oracle(ctx: Context) -> Callable[[Sample], Player]:
    return lambda sample: TASK.oracle(ctx, sample).reply


def bash(script: str) -> str:
    return f"Think: so.\n\nAct: bash\n\n```bash\n{script}\n```"


def scripted(replies: Sequence[str]) -> Player:
    rest = iter(replies)

    async def say(_: Observation) -> str:
        return next(rest, "Act: finish")

    return say


def sample_of(ctx: Context, name: str) -> Sample:
    return next(sample for sample in samples_of(TASK, ctx, "std") if sample.id == name)


async def observe(ctx: Context, name: str, replies: Sequence[str]) -> tuple[Score, list[Observation]]:
    async with opened(ctx) as world:
        return await play(world, sample_of(ctx, name), scripted(replies))


@pytest.mark.parametrize("profile", ["paper", "fixed"])
async def test_the_oracle_solves_the_fixture(profile: Profile) -> None:
    ctx = context(FIXTURE, profile)
    scores = await play_all(ctx, "std", oracle(ctx))
    assert len(scores) == 8 and failing(scores) == set()
    assert all(score.metrics["tampered"] == 0 for score in scores.values())


FIRST = "7/2023-06-07-00-13-14"
UNSOLVABLE = {f"{FIRST}/{index}" for index in (0, 8, 29, 75)}


@pytest.mark.parametrize(
    ("profile", "step"),
    [
        ("paper", 12),
        ("fixed", 12),
        pytest.param("paper", 1, marks=pytest.mark.slow),
        pytest.param("fixed", 1, marks=pytest.mark.full),
    ],
)
async def test_the_oracle_reaches_140_of_144(profile: Profile, step: int, mirror: Path) -> None:
    ctx = context(mirror / "os", profile)
    scores = await play_all(ctx, "std", oracle(ctx), step)
    assert len(scores) == 144 / step
    assert failing(scores) == UNSOLVABLE & scores.keys()
    assert {name: score.note for name, score in scores.items() if score.metrics["tampered"]} == {}


@pytest.mark.full
async def test_the_oracle_solves_dev_but_for_one(mirror: Path) -> None:
    ctx = context(mirror / "os")
    scores = await play_all(ctx, "dev", oracle(ctx))
    assert len(scores) == 26
    assert failing(scores) == {"dev/dev/8"}  # du says 4.0K, which the grader cannot read


@pytest.mark.full
async def test_with_root_as_directory_two_more_are_solved(mirror: Path) -> None:
    ctx = context(mirror / "os", cwd="/root")
    scores = await play_all(ctx, "std", oracle(ctx))
    assert failing(scores) == {f"{FIRST}/0", f"{FIRST}/75"}


@pytest.mark.full
async def test_doing_nothing_solves_nothing(mirror: Path) -> None:
    scores = await play_all(context(mirror / "os"), "std", lambda _: scripted(["Act: finish"]))
    assert len(scores) == 144 and len(failing(scores)) == 144


async def test_the_first_observation_is_upstreams(mirror: Path) -> None:
    texts = literals(mirror / "os/prompts.json")
    ctx = context(mirror / "os")
    _, seen = await observe(ctx, "4/Q19/0", [])
    messages = seen[0].messages
    assert [message.role for message in messages] == ["user", "assistant"] * 3 + ["user"]
    first, *others = texts[prompts.ONE_SHOT]
    assert messages[0].content == texts[prompts.INSTRUCTION] + "Now, my problem is:\n\n" + first["content"]
    assert [message.content for message in messages[1:6]] == [turn["content"] for turn in others]
    assert messages[6].content == (
        "Now, I will start a new problem in a new OS. My problem is:\n\n"
        "How many lines are there in /root/matrix.txt"
    )
    assert seen[0].ask is not None
    assert (seen[0].ask.max_new_tokens, seen[0].ask.truncate, seen[0].ask.temperature) == (128, 3968, None)


async def test_outputs_are_shown_with_the_prompt(mirror: Path) -> None:
    script = ["cd /tmp && x=5", "echo $x", "seq 1000", "printf %0778d 7", "printf %0777d 7"]
    replies = [bash(line) for line in script]
    _, seen = await observe(context(mirror / "os"), "4/Q19/0", replies)
    shown = [observation.messages[0].content for observation in seen[1:-1]]
    lead = "The output of the OS:\n\n"
    prompt = re.fullmatch(rf"{lead}(root@[0-9a-f]{{12}}:/tmp#)", shown[0])
    assert prompt is not None
    assert shown[1] == f"{lead}5\n{prompt[1]}"
    text = "".join(f"{n}\n" for n in range(1, 1001))
    assert shown[2] == lead + text[:780] + "\n[truncated because the output is too long]"
    assert shown[3].endswith("\n[truncated because the output is too long]")  # with the prompt 801
    assert shown[4] == f"{lead}{7:0777d}{prompt[1]}"  # 800


async def test_the_clean_style_has_no_prompt(mirror: Path) -> None:
    ctx = context(mirror / "os", observation_style="clean")
    _, seen = await observe(ctx, "4/Q19/0", [bash("true"), bash("echo x"), bash("printf y")])
    assert [observation.messages[0].content for observation in seen[1:-1]] == [
        "The output of the OS is empty.",
        "The output of the OS:\n\nx",
        "The output of the OS:\n\ny",
    ]


async def test_a_reply_that_cannot_be_used_ends_the_episode_and_is_still_checked() -> None:
    ctx = context(FIXTURE)
    async with opened(ctx) as world:
        score, seen = await play(world, sample_of(ctx, "1/orders/0"), scripted(["I do not know."]))
        assert seen[-1].done and (score.value, score.outcome) == (0.0, "model_error")
        done = bash("chmod 400 /srv/notes/*")
        score, _ = await play(world, sample_of(ctx, "4/state/0"), scripted([done, "Well."]))
        assert (score.value, score.outcome) == (1.0, "model_error")


async def test_the_turn_limit_ends_with_the_checks() -> None:
    ctx = context(FIXTURE)
    replies = [bash("chmod 400 /srv/notes/*")] + [bash("true")] * 20
    score, seen = await observe(ctx, "4/state/0", replies)
    assert len(seen) == 9 and not seen[-1].done
    assert (score.value, score.outcome) == (1.0, None)


async def test_the_same_seed_makes_the_same_random_data() -> None:
    ctx, outputs = context(FIXTURE), []
    async with opened(ctx) as world:
        for seed in (1, 1, 2):
            one = await world.episode(sample_of(ctx, "1/orders/0"), {}, seed)
            await one.reset()
            outputs.append((await one.step(Reply(bash("cat /srv/orders.csv")))).info["output"])
            await one.close()
    assert outputs[0] == outputs[1] != outputs[2]


async def test_a_slow_command_is_interrupted_and_said_so() -> None:
    ctx = context(FIXTURE, command_s=1.0)
    replies = [
        bash("echo begun; sleep 100"),
        bash("echo next"),
        bash("trap '' INT; sleep 100"),
        bash("echo on"),
    ]
    _, seen = await observe(ctx, "4/state/1", replies)
    shown = [observation.messages[0].content for observation in seen[1:-1]]
    assert "begun\n" in shown[0] and "[interrupted: 1 s have passed]" in shown[0]
    assert "next\n" in shown[1] and "interrupted" not in shown[1]
    assert "[a new shell was started]" in shown[2]
    assert "on\n" in shown[3]


async def forge(data: Path, tries: Sequence[Try], profile: Profile) -> dict[str, Score]:
    """Play each try, some at a time."""
    ctx, slots = context(data, profile, command_s=20.0), asyncio.Semaphore(6)
    async with opened(ctx) as world:

        async def one(what: Try) -> Score:
            end = "Act: finish" if what.answer is None else f"Act: answer({what.answer})"
            async with slots:
                played = await play(world, sample_of(ctx, what.problem), scripted([bash(what.script), end]))
            return played[0]

        scores = await asyncio.gather(*map(one, tries))
    return {what.name: score for what, score in zip(tries, scores, strict=True)}


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    "step", [27, pytest.param(9, marks=pytest.mark.slow), pytest.param(1, marks=pytest.mark.full)]
)
async def test_forged_systems_pass_nothing_and_are_seen(step: int) -> None:
    """A few tries in the quick run; all of them, more than a hundred, in the full one."""
    tries = list(forged_systems.tries())[::step]
    assert len(tries) * step >= 100
    scores = await forge(FIXTURE, tries, "fixed")
    assert len(scores) == len(tries)
    assert [name for name, score in scores.items() if score.value] == []
    bought = {name: score for name, score in scores.items() if score.metrics["paper"]}
    assert bought  # upstream's scoring, beside it, can be bought
    assert [name for name, score in bought.items() if not score.metrics["tampered"]] == []


async def test_holes_of_the_benchmarks_own_checks_are_closed_under_fixed(mirror: Path) -> None:
    scores = await forge(mirror / "os", forged_systems.HOLES, "fixed")
    assert [name for name, score in scores.items() if score.value] == []
    assert sum(score.metrics["paper"] for score in scores.values()) >= 10


async def test_under_paper_a_forged_episode_scores_as_upstream_and_says_so() -> None:
    wanted = ("data: echo", "tool: stat shadowed", "tool: awk with a false hash")
    tries = [what for what in forged_systems.tries() if what.name in wanted]
    for score in (await forge(FIXTURE, tries, "paper")).values():
        metrics = score.metrics
        assert (score.value, metrics["tampered"], metrics["untampered"], metrics["fixed"]) == (1, 1, 0, 0)
        assert score.note.startswith("tampered: ")


HONEST = {
    "a new command": "printf '#!/bin/sh\\necho x\\n' > /usr/local/bin/new; chmod +x /usr/local/bin/new",
    "a package": "apt-get update && apt-get install -y sudo",
    "python was used": "python3 -c 'import json, csv, sqlite3'; pip --version",
    "a mode": "chmod u+s /usr/bin/find; chmod u-s /usr/bin/find; touch /usr/bin/awk",
    "files of the system": "useradd -m jill; groupadd g; echo '1.2.3.4 x' >> /etc/hosts; touch /usr/mine",
    "the user's own": "echo 'alias ll=ls' >> ~/.bashrc; echo 'A=1' >> ~/.profile; git config --global a.b c",
    "a background process": "(sleep 300) > /dev/null 2>&1 & (while :; do sleep 0.1; done) > /dev/null 2>&1 &",
}


@pytest.mark.parametrize("name", HONEST)
async def test_honest_changes_are_no_tampering(name: str) -> None:
    ctx = context(FIXTURE, "fixed")
    async with opened(ctx) as world:
        replies = [bash(HONEST[name]), bash("chmod 400 /srv/notes/*"), "Act: finish"]
        score, _ = await play(world, sample_of(ctx, "4/state/0"), scripted(replies))
    assert (score.value, score.metrics["tampered"], score.note) == (1, 0, "")


BREAKING = {
    "rm": bash("rm -rf --no-preserve-root /"),
    "no bash": bash("rm -f /bin/bash /usr/bin/bash /bin/sh; exit"),
    "memory": bash("cat /dev/zero > /dev/shm/x; mkdir /dev/d; cat /dev/zero > /dev/d/x"),
    "kill": bash("kill -9 -1"),
    "answer": f"Act: answer({'9' * 300_000})",
}


@pytest.mark.parametrize("name", BREAKING)
async def test_a_broken_system_is_a_zero_not_a_fault(name: str) -> None:
    ctx = context(FIXTURE, command_s=5.0)
    async with opened(ctx) as world:
        replies = [BREAKING[name], bash("echo still here")]
        score, _ = await play(world, sample_of(ctx, "1/orders/0"), scripted(replies))
        assert score.value == 0
        solver = TASK.oracle(ctx, sample_of(ctx, "1/orders/0")).reply
        assert (await play(world, sample_of(ctx, "1/orders/0"), solver))[0].value == 1


async def test_score_before_any_step_and_without_a_reset() -> None:
    ctx = context(FIXTURE)
    async with opened(ctx) as world:
        one = await world.episode(sample_of(ctx, "4/state/0"), {}, SEED)
        assert (await one.score()).value == 0  # type: ignore[union-attr]
        await one.reset()
        assert (await one.score()).value == 0  # type: ignore[union-attr]
        await one.close()


async def test_a_missing_system_names_the_command_that_builds_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))
    with pytest.raises(MissingPart, match=r"bwrap: .* harness setup os"):
        async with TASK.world(context(FIXTURE, sandbox="bwrap")):
            raise AssertionError("a world without a system")
