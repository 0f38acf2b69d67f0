"""A thought before each of the oracle's replies changes nothing that an episode sees, and is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from thinking_servers import Recorded, Variant

from harness.catalog import registry
from harness.errors import MissingPart
from harness.models.api import Options
from harness.models.connect import open_model
from harness.running.bench import Bench, open_bench
from harness.storage.records import Attempt
from harness.testing.opened import missing
from harness.types import Sample

PLAIN = Variant()
TEXT = {
    "closed": Variant("<think>\nFirst this.\n</think>\n\n", "First this."),
    "nested": Variant("<think>a <think>b</think> c</think>\n", "a <think>b</think> c"),
    "doubled": Variant("<think>a</think>\n\n<think>b</think>\n", "a\n\nb"),
    "empty": Variant("<think>\n\n</think>\n\n", ""),
    "opened by the template": Variant("First this.\n</think>\n\n", "First this.", opened=True),
    "streamed": Variant("<think>First this.</think>\n", "First this.", stream=True),
}
FIELDS = {
    "field": Variant("", "First this.", "reasoning_content"),
    "field, streamed": Variant("", "First this.", "reasoning", stream=True),
}
UNFINISHED = {
    "unclosed": Variant("<think>First", "", "reasoning", silent=True, finish="length"),
    "field": Variant("", "First", "reasoning_content", silent=True, finish="length"),
    "field, streamed": Variant("", "First", "reasoning", silent=True, finish="length", stream=True),
}
OPENING = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant: <think>{{ '\\n' }}"
QUICK = ("gsm8k", "hotpotqa", "mind2web", "mt_bench")
SAMPLES = 3


async def played(bench: Bench, sample: Sample, oracle: Attempt, how: Variant, work: Path) -> Attempt:
    """Play a sample over HTTP with the oracle's replies."""
    own = [call for call in oracle.calls if not call.role]
    choices = frozenset(call.n for call in own if call.turn and call.turn.ask and call.turn.ask.choices)
    recorded = Recorded({call.n: call.reply for call in own}, choices, how)
    template = work / f"{'opening' if how.opened else 'plain'}.jinja"
    template.write_text(OPENING if how.opened else OPENING.partition("<think>")[0])
    selector = "thinker@chat" if how.field else "thinker=agentlm-7b"
    options = Options(stream=how.stream, template="" if how.field else str(template))
    async with (
        recorded.served() as url,
        open_model(selector, endpoints=[url], options=options) as model,
    ):
        return await bench.play(model, sample, bench.task.oracle(bench.ctx, sample))


async def unchanged(bench: Bench, variants: Sequence[Variant], work: Path) -> None:
    """Compare every variant with the replies as they are."""
    for sample in bench.samples[:SAMPLES]:
        oracle = await bench.oracle(sample)
        plain = await played(bench, sample, oracle, PLAIN, work)
        for how in variants:
            found = await played(bench, sample, oracle, how, work)
            assert found.outcome == plain.outcome, (how, found.error)
            assert bench.score(found) == bench.score(plain)
            own = [call for call in found.calls if not call.role]
            assert [call.reply for call in own] == [call.reply for call in plain.calls if not call.role]
            thinking = [call for call in own if call.turn and call.turn.ask and not call.turn.ask.choices]
            assert [call.thought for call in thinking] == [how.thought] * len(thinking)
            assert found.output_tokens == plain.output_tokens + sum(
                how.tokens(call.reply) - PLAIN.tokens(call.reply) for call in thinking
            )
            assert not thinking or found.output_tokens > plain.output_tokens
            assert "First this" not in "".join(call.prompt for call in own)


async def opened(name: str, work: Path, stack: AsyncExitStack) -> Bench:
    try:
        return await open_bench(name, "paper", work, stack)
    except MissingPart as error:
        missing(error)
        raise


def possible(attempt: Attempt) -> list[Variant]:
    """Variants that a task can meet.

    Over chat nobody begins the assistant's turn, and no template stands around a raw prompt.
    """
    turns = [call.turn for call in attempt.calls if call.turn is not None]
    begun = any(turn.ask is not None and turn.ask.prefix for turn in turns)
    raw = any(turn.raw is not None for turn in turns)
    return [how for how in TEXT.values() if not (how.opened and raw)] + [*(() if begun else FIELDS.values())]


async def all_variants(name: str, work: Path) -> None:
    async with AsyncExitStack() as stack:
        bench = await opened(name, work, stack)
        first = await bench.oracle(bench.samples[0])
        await unchanged(bench, possible(first), work)


@pytest.mark.parametrize("name", QUICK)
async def test_the_episode_sees_the_same_text(name: str, tmp_path: Path):
    await all_variants(name, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted({*registry.names()} - {*QUICK}))
def test_the_episode_of_every_task_sees_the_same_text(name: str, tmp_path: Path):
    asyncio.run(all_variants(name, tmp_path))


@pytest.mark.parametrize("how", UNFINISHED.values(), ids=UNFINISHED)
async def test_a_budget_that_ran_out_in_the_thought_is_a_limit(how: Variant, tmp_path: Path):
    async with AsyncExitStack() as stack:
        bench = await opened("hotpotqa", tmp_path, stack)
        sample = bench.samples[0]
        attempt = await played(bench, sample, await bench.oracle(sample), how, tmp_path)
        assert attempt.outcome == "limit", attempt.error
        assert attempt.note.startswith("thought: the budget of tokens ran out")
        (call,) = attempt.calls
        assert (call.reply, call.thought, call.facts["finish_reason"]) == ("", "First", "length")
        assert attempt.output_tokens == how.tokens("")
