"""What all questions of a run share: the wiki, the prompts and a token counter."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace

from harness import tokens
from harness.data import core_path, literals
from harness.episode import BaseWorld
from harness.types import Capacity, Chat, Context, Sample
from tasks._shared.wiki.corpus import Corpus, read_dump
from tasks._shared.wiki.docstore import Reading
from tasks._shared.wiki.opening import label, open_backends
from tasks._shared.wiki.page import Wiki
from tasks.hotpotqa.episode import HotpotEpisode, HotpotRules
from tasks.hotpotqa.prompts import HotpotPrompts, choose
from tasks.hotpotqa.rows import paragraphs


class HotpotWorld(BaseWorld):
    """Episodes over one wiki."""

    capacity = Capacity(memory_mb=1, cpu=0.01)

    def __init__(
        self,
        wiki: Wiki,
        prompts: HotpotPrompts,
        rules: HotpotRules,
        reading: Reading,
        count: Callable[[str], int],
        tokens: str,
    ) -> None:
        self._wiki, self._prompts, self._rules = wiki, prompts, rules
        self._reading, self._count = reading, count
        self.notes = (rules.label,)
        self.comparable = "offline wiki" if wiki.name == "offline" else ""
        self.fingerprint = {
            "wiki": wiki.name,
            "tokens": tokens,
            **wiki.coverage(),
        }

    async def episode(self, sample: Sample, chats: Mapping[str, Chat], seed: int) -> HotpotEpisode:
        del chats, seed  # nothing here is random
        return HotpotEpisode(sample, self._prompts, self._wiki, self._rules, self._reading, self._count)


@asynccontextmanager
async def open_world(ctx: Context) -> AsyncIterator[HotpotWorld]:
    """Open the wiki the options name and keep it for the run."""
    options = ctx.options
    prompts = choose(literals(ctx.data / "prompts.json"), options.agent, options.prompt)
    rules = HotpotRules(
        max_steps=options.max_steps,
        max_tokens=options.max_context_tokens,
        lenient=options.parse == "lenient",
        chat=options.chat,
        careful=ctx.profile == "fixed",
        ends_silent=options.no_response == "end",
        join=" " if options.newline == "space" else "",
        observation_tokens=options.obs_max_tokens,
    )
    reading = Reading(
        search="paragraph" if options.search_unit == "paragraph" else "lead",
        lookup="sentence" if options.lookup_unit == "sentence" else "section",
        keep_index=not options.lookup_reset,
    )
    async with open_backends(ctx, options.wiki, lambda: offline(ctx)) as backends:
        # A fixture has no vocabulary: its few short pages are far below every limit.
        counter = "estimate" if ctx.source == "fixture" else "cl100k"
        vocabulary = None if ctx.source == "fixture" else core_path(tokens.CL100K_FILE, ctx)
        count = tokens.counter(counter, vocabulary)
        labelled = replace(rules, label=label(backends.wiki))
        yield HotpotWorld(backends.wiki, prompts, labelled, reading, count, counter)


def offline(ctx: Context) -> Corpus:
    """Index the paragraphs that come with the questions, and the fixture's own pages if it has any."""
    extra = ctx.data / "pages.jsonl"
    pages, redirects = read_dump(extra) if extra.is_file() else ([], {})
    return Corpus([*paragraphs(ctx.data), *pages], redirects, lucky=ctx.options.lucky)
