"""Mind2Web's episodes on real worker processes: ceilings, bad players, the window, and 64 steps at once."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import mind2web_kit as kit
import pytest
from aiohttp import web
from contexts import samples_of, task_context
from loopback_server import serving

from harness import data
from harness.data import quiet
from harness.models.api import Call, LiveEpisodes
from harness.models.connect import open_model
from harness.running.activity import Activity
from harness.running.bench import ScriptedModel
from harness.running.rollout import run_episode
from harness.running.task_run import TaskRun
from harness.storage.store import Attempt
from harness.tokens import segments
from harness.types import Context, Message, Profile, Sample
from tasks.mind2web import prompts
from tasks.mind2web.pool import reachable
from tasks.mind2web.prepare import prepare
from tasks.mind2web.task import TASK

RIGHT = "Answer: {}.\nAction: TYPE\nValue: Lower Saxony"
STEP = "aaaa-0/0a"
"""A step of ten candidates: none is right in the first batch, the last of the second one is."""

Answer = Callable[[Call], str]


@asynccontextmanager
async def played(
    work: Path, folder: Path = kit.FIXTURE, *, profile: Profile = "paper", **options: Any
) -> AsyncIterator[Callable[[Sample, Answer], Any]]:
    """Plays samples in an open world with a model that is a function."""
    ctx = task_context(TASK, folder, work, profile=profile, source="fixture", **options)
    async with TASK.world(ctx) as world:

        async def play(sample: Sample, answer: Answer) -> tuple[Attempt, list[Call]]:
            model = ScriptedModel(answer)
            return await run_episode(run(ctx, world, model), sample, 0, Activity()), model.calls

        yield play


def run(ctx: Context, world: Any, model: Any) -> TaskRun:
    notice = data.notice(ctx.data, ctx.source)
    history = TASK.history(ctx)
    return TaskRun(
        TASK.spec, world, model, LiveEpisodes(), history=history, notice=notice, profile=ctx.profile
    )


def samples(profile: Profile = "paper", split: str = "std", **options: Any) -> dict[str, Sample]:
    ctx = task_context(TASK, kit.FIXTURE, profile=profile, source="fixture", **options)
    return {sample.id: sample for sample in samples_of(TASK, ctx, split)}


@pytest.mark.parametrize("profile", ["paper", "fixed"])
async def test_the_oracle_reaches_exactly_the_steps_of_the_rule(profile: Profile, tmp_path: Path):
    ctx = task_context(TASK, kit.FIXTURE, tmp_path, profile=profile, source="fixture")
    found, rule = {}, {}
    async with open_model("oracle", live=(live := LiveEpisodes())) as model, TASK.world(ctx) as world:
        for sample in samples_of(TASK, ctx):
            setup = TaskRun(
                TASK.spec, world, model, live, oracle=lambda sample: TASK.oracle(ctx, sample),
                history=TASK.history(ctx), notice=data.notice(ctx.data, ctx.source), profile=profile,
            )  # fmt: skip
            attempt = await run_episode(setup, sample, 0, Activity())
            assert attempt.outcome == "scored", attempt.error
            step = sample.data
            found[sample.id] = attempt.value
            rule[sample.id] = float(reachable(step["pool"], step["targets"], ask_last=ctx.options.ask_last))
    assert found == rule
    assert 100 * sum(found.values()) / len(found) == pytest.approx(TASK.spec.ceiling[profile, "fixture"])


def always(text: str) -> Answer:
    return lambda call: text


def last(text: str) -> Answer:
    """None of the above, then this."""
    return lambda call: text if call.key.call else "Answer: A."


BOTS: dict[str, tuple[Answer, tuple[float, float, float]]] = {
    "none of the above": (always("Answer: A."), (0, 0, 0)),
    "the first": (always("Answer: B.\nAction: CLICK"), (1, 0, 0)),
    "out of range": (always("Answer: F.\nAction: CLICK"), (0, 0, 0)),
    "garbage": (always("<|im_end|> \x00 Answer the question"), (0, 0, 0)),
    "nothing": (always(""), (0, 0, 0)),
    "a town": (always("Answer: Boston"), (1, 0, 0)),
    "right element, wrong value": (last("Answer: B.\nAction: TYPE\nValue: Lower"), (1, 0.8, 0)),
    "right action, wrong element": (last(RIGHT.format("C")), (0, 1, 0)),
    "right": (last(RIGHT.format("B")), (1, 1, 1)),
    "right with the words in another order": (last("Answer: B Action: TYPE\nValue: Saxony Lower"), (1, 1, 1)),
}


async def test_bad_players_get_what_they_should(tmp_path: Path):
    step = samples()[STEP]
    async with played(tmp_path) as play:
        for name, (answer, wanted) in BOTS.items():
            attempt, _ = await play(step, answer)
            values = tuple(attempt.metrics[key] for key in ("element_acc", "action_f1", "step_sr"))
            assert (values, attempt.value) == (pytest.approx(wanted), wanted[2]), name
            assert attempt.outcome == "scored", name


async def test_what_a_step_logs_and_notes(tmp_path: Path):
    async with played(tmp_path, f1_casefold=True) as play:
        attempt, calls = await play(samples()[STEP], last("Answer: B.\nAction: TYPE\nValue: LOWER saxony"))
        assert attempt.note == "answers A B; element 101 of 101"
        assert (attempt.answer, attempt.target) == ("101 TYPE LOWER saxony", "101 TYPE Lower  Saxony")
        assert [call.info["letter"] for call in attempt.calls] == ["A", "B"]
        known = ("calls", "default_answer", "format_fail", "unasked", "recall_5", "step_sr_casefold")
        assert [attempt.metrics[name] for name in known] == [2, 0, 0, 0, 1, 1]
        assert attempt.calls[0].info["choices"] == ["101", "102", "105", "200", "202"], "of the next batch"
        first, second = (call.messages for call in calls)
        assert len(first) == len(second) == 7 and first[:6] == second[:6]
        assert first[6].content.startswith("'''\n<html>") and first[6].content.endswith("on the way </li>")
        assert calls[0].ask.truncate == 4096 - 128 == 3968
        attempt, _ = await play(samples()[STEP], always("Answer: F"))
        assert attempt.note == "answers F F F; element none of 101"
        assert (attempt.metrics["out_of_range"], attempt.metrics["format_fail"]) == (1, 0)


async def test_a_step_that_shows_no_right_element_is_counted_without_a_call(tmp_path: Path):
    async with played(tmp_path) as play:
        for name, note in (
            ("aaaa-0/0e", "no right element among the candidates"),
            ("aaaa-0/0f", "no right element among the candidates"),
            ("aaaa-0/0d", "element none of 105"),
        ):
            attempt, calls = await play(samples()[name], always("Answer: B"))
            assert (attempt.outcome, attempt.value, calls, attempt.note) == ("scored", 0.0, [], note)
            assert attempt.metrics["unasked"] == (name == "aaaa-0/0d")


FIXED_MESSAGES = (347, 21, 632, 28, 469, 29)


@pytest.mark.mirror
@pytest.mark.parametrize(
    ("live", "shown", "fitted"),
    [(1973, 7, 7), (1974, 5, 5), (2626, 5, 3), (2627, 3, 3), (3123, 3, 1), (3124, 1, 1)],
)
async def test_the_window_drops_exemplars_and_at_last_the_question(
    live: int, shown: int, fitted: int, mirror: Path
):
    texts = prompts.load(mirror / "mind2web")
    assert tuple(segments(message.content) for message in texts.exemplars) == FIXED_MESSAGES
    question = Message("user", "!" * live, "task")
    assert prompts.kept((*texts.exemplars, question)) == shown
    kept = prompts.fitted(texts.exemplars, question)
    assert kept[-1].content == question.content
    assert len(kept) == fitted
    assert [message.role for message in kept] == ["user", "assistant"] * (len(kept) // 2) + ["user"]
    assert sum(segments(message.content) for message in kept) < prompts.WINDOW


@pytest.mark.parametrize(("history", "overflow"), [("upstream", 1), ("never_drop_last", 0)])
async def test_a_page_that_fills_the_window_is_counted(history: str, overflow: int, tmp_path: Path):
    step = samples()[STEP]
    long = Sample(step.id, {**step.data, "task": "!" * 3500}, step.labels)
    async with played(tmp_path, history=history) as play:
        attempt, calls = await play(long, always("Answer: A"))
    counted = [attempt.metrics[name] for name in ("calls", "prompt_cut", "prompt_overflow")]
    assert counted == [2, 2, 2 * overflow]
    (shown,) = calls[0].messages
    assert ("!" * 3500 in shown.content) != bool(overflow)
    assert ("(6  earlier messages are left out)" in shown.content) == bool(overflow)


def test_limit_takes_the_first_steps_and_says_so(tmp_path: Path):
    assert list(samples(limit=3)) == list(samples())[:3]
    assert [s.data["pool"] for s in samples(limit=3).values()] == [
        s.data["pool"] for s in list(samples().values())[:3]
    ]
    assert list(samples(split="dev")) == ["dddd-3/0a", "dddd-3/0b"]


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """64 tasks of one step each, on pages that bear their number."""
    image, out = tmp_path_factory.mktemp("image"), tmp_path_factory.mktemp("many")
    tasks = [
        kit.task(
            f"{n}", "x.example", "Test", f"Wish number {n} of all.",
            [kit.step("s", kit.shop().replace("Item", f"Page{n}x"), kit.CLICK, [503], range(500, 510))],
        )
        for n in range(64)
    ]  # fmt: skip
    kit.write(image, {"data_std": tasks})
    prepare(image, out, quiet)
    for name in ("prompts.json", "notice.json", prompts.EXEMPLARS):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes((kit.FIXTURE / name).read_bytes())
    return out


async def test_of_64_steps_at_once_every_prompt_holds_its_own_task(many: Path, tmp_path: Path):
    prompts_seen: dict[str, list[str]] = {}

    async def generate(request: web.Request) -> web.Response:
        prompt = (await request.json())["inputs"]
        prompts_seen.setdefault(request.headers["X-Harness-Sample"], []).append(prompt)
        details = {"finish_reason": "eos_token", "generated_tokens": 5, "seed": None, "tokens": []}
        return web.json_response({"generated_text": hashed(prompt), "details": details})

    async def info(_: web.Request) -> web.Response:
        about = {"model_id": "THUDM/agentlm-7b", "version": "3.3.5", "max_input_tokens": 8192}
        return web.json_response(about)

    app = web.Application(client_max_size=1 << 24)
    app.router.add_post("/generate", generate)
    app.router.add_get("/info", info)
    ctx = task_context(TASK, many, tmp_path, source="fixture")
    steps = samples_of(TASK, ctx)
    async with (
        serving(app) as url,
        open_model("agentlm-7b", endpoints=(url,), concurrency=64) as model,
        TASK.world(ctx) as world,
    ):
        setup = run(ctx, world, model)
        attempts = await asyncio.gather(*(run_episode(setup, step, 0, Activity()) for step in steps))
    assert len(attempts) == len(prompts_seen) == 64
    for step, attempt in zip(steps, attempts, strict=True):
        number = step.id.removesuffix("/s")
        assert attempt.outcome == "scored", attempt.error
        assert [call.reply for call in attempt.calls] == [hashed(call.prompt) for call in attempt.calls]
        assert [call.prompt for call in attempt.calls] == prompts_seen[step.id]
        for prompt in prompts_seen[step.id]:
            assert prompt.count("Wish number ") == prompt.count(f"Wish number {number} of all.") == 1
            assert prompt.count("Page") == prompt.count(f"Page{number}x") > 4


def hashed(prompt: str) -> str:
    return f"Answer: none. {sha256(prompt.encode()).hexdigest()}"


PLAY = """
import asyncio, sys
from pathlib import Path
sys.path[:0] = [sys.argv[1], sys.argv[2]]
from contexts import samples_of, task_context
from harness.types import Reply
from tasks.mind2web.task import TASK

async def play() -> None:
    ctx = task_context(TASK, Path(sys.argv[3]), Path(sys.argv[4]), source="fixture")
    async with TASK.world(ctx) as world:
        episode = await world.episode(samples_of(TASK, ctx)[0], {}, 0)
        shown = await episode.reset()
        while not shown.done:
            shown = await episode.step(Reply("Answer: A"))
        print((await episode.score()).note, "lxml" in sys.modules)

asyncio.run(play())
"""


def test_pages_are_cut_in_other_processes(root: Path, tmp_path: Path):
    """The process that plays never loads lxml, so no page can hold up its event loop."""
    words = [
        sys.executable,
        "-c",
        PLAY,
        str(root),
        str(root / "tests/support"),
        str(kit.FIXTURE),
        str(tmp_path),
    ]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "answers A A; element none of 101 False\n", done.stderr
