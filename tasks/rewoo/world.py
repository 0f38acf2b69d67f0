"""The world of a run: its tools, prompts and rules."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from harness import tokens
from harness.data import literals
from harness.episode import BaseWorld
from harness.types import Capacity, Chat, Context, Sample, TaskConfig
from tasks._shared.wiki.corpus import Corpus, read_dump
from tasks._shared.wiki.opening import open_backends
from tasks.rewoo import toolbox
from tasks.rewoo.episode import RewooEpisode, RewooRules
from tasks.rewoo.prompts import RewooPrompts
from tasks.rewoo.rows import label
from tasks.rewoo.tools.model import ROLE


class RewooWorld(BaseWorld):
    """Episodes over one set of tools."""

    capacity = Capacity(memory_mb=1, cpu=0.01)

    def __init__(
        self, prompts: RewooPrompts, tools: toolbox.Toolbox, rules: RewooRules, facts: Mapping[str, str]
    ) -> None:
        self._prompts, self._tools, self._rules = prompts, tools, rules
        self.notes = (", ".join([rules.label, tools.label, *(["graded by rule"] if rules.by_rule else [])]),)
        self.stand_ins = tools.fallbacks
        self.fingerprint = {
            "label": rules.label,
            **tools.fingerprint(),
            **facts,
        }

    async def episode(self, sample: Sample, chats: Mapping[str, Chat], seed: int) -> RewooEpisode:
        del seed  # nothing here is random
        return RewooEpisode(
            sample, self._prompts, self._tools, chats.get(ROLE), self._rules, tokens.counter("estimate")
        )


@asynccontextmanager
async def open_world(ctx: Context) -> AsyncIterator[RewooWorld]:
    """Open the tools that the options name."""
    prompts = RewooPrompts(literals(ctx.data / "prompts.json"))
    kind = toolbox.mode(ctx)
    rules = RewooRules(
        grammar="fixed" if ctx.options.grammar == "fixed" else "paper",
        by_rule=graded_by_rule(ctx),
        cap=ctx.options.max_tool_calls,
        parallel=ctx.options.parallel,
        truncate=ctx.options.long_prompts == "truncate",
        label=label(ctx.data),
    )
    async with (
        open_backends(ctx, "offline" if kind == "keyless" else kind, lambda: offline(ctx)) as backends,
        toolbox.open_toolbox(ctx, backends, prompts) as tools,
    ):
        yield RewooWorld(prompts, tools, rules, {"tools": kind, **backends.wiki.coverage()})


def graded_by_rule(cfg: TaskConfig) -> bool:
    """Whether the rule grades: by choice, or on the fixture, whose questions are no benchmark."""
    chosen = cfg.options.grader
    return chosen == "rule" or (chosen == "auto" and cfg.source == "fixture")


def offline(ctx: Context) -> Corpus:
    """The fixture's pages; the mirror has none, so every search there is a miss."""
    pages = ctx.data / "pages.jsonl"
    return Corpus(*read_dump(pages)) if pages.is_file() else Corpus([])
