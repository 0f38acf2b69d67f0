"""What all questions of a run share: the wiki, the prompts and a token counter."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from harness import tokens
from harness.data import core_file, literals
from harness.types import Capacity, Context, Sample
from tasks._shared.wiki.corpus import Corpus, read_dump
from tasks._shared.wiki.docstore import Reading
from tasks._shared.wiki.opening import label, open_backends
from tasks._shared.wiki.page import Wiki
from tasks.hotpotqa.episode import HotpotEpisode, Rules
from tasks.hotpotqa.prompts import Prompts, choose
from tasks.hotpotqa.rows import paragraphs


class HotpotWorld:
    """Episodes over one wiki."""

    capacity = Capacity(memory_mb=1, cpu=0.01)

    def __init__(
        self,
        wiki: Wiki,
        prompts: Prompts,
        rules: Rules,
        reading: Reading,
        count: Callable[[str], int],
        tokens: str,
    ) -> None:
        self._wiki, self._prompts, self._rules = wiki, prompts, rules
        self._reading, self._count = reading, count
        self.fingerprint: Mapping[str, str] = {
            "note": rules.label,
            "comparable": "no (offline wiki)" if wiki.name == "offline" else "yes",
            "wiki": wiki.name,
            "tokens": tokens,
            **wiki.coverage(),
        }

    async def episode(self, sample: Sample, repeat: int, seed: int) -> HotpotEpisode:
        del repeat, seed  # nothing here is random
        return HotpotEpisode(sample, self._prompts, self._wiki, self._rules, self._reading, self._count)


@asynccontextmanager
async def open_world(ctx: Context) -> AsyncIterator[HotpotWorld]:
    """Open the wiki the options name and keep it for the run."""
    option = ctx.options
    prompts = choose(literals(ctx.data / "prompts.json"), str(option["agent"]), str(option["prompt"]))
    rules = Rules(
        max_steps=int(option["max_steps"] or 0),
        max_tokens=int(option["max_context_tokens"] or 0),
        lenient=option["parse"] == "lenient",
        chat=bool(option["chat"]),
        join=" " if option["newline"] == "space" else "",
        observation_tokens=None if option["obs_max_tokens"] is None else int(option["obs_max_tokens"]),
    )
    reading = Reading(
        search="paragraph" if option["search_unit"] == "paragraph" else "lead",
        lookup="sentence" if option["lookup_unit"] == "sentence" else "section",
        keep_index=not option["lookup_reset"],
    )
    async with open_backends(ctx, str(option["wiki"]), lambda: offline(ctx)) as backends:
        counter = "estimate" if ctx.source == "fixture" else "cl100k"
        count = tokens.counter(counter, _vocabulary(ctx))
        labelled = replace(rules, label=label(backends.wiki))
        yield HotpotWorld(backends.wiki, prompts, labelled, reading, count, counter)


def _vocabulary(ctx: Context) -> Path | None:
    """The file of cl100k; it is no part of a fixture, whose few short pages come near no limit."""
    if ctx.source == "fixture":
        return None
    mirror = str(ctx.data.parent) if ctx.source == "mirror" else None
    return core_file(tokens.CL100K_FILE, mirror)


def offline(ctx: Context) -> Corpus:
    """Index the paragraphs that come with the questions, and the fixture's own pages if it has any."""
    extra = ctx.data / "pages.jsonl"
    pages, redirects = read_dump(extra) if extra.is_file() else ([], {})
    return Corpus([*paragraphs(ctx.data), *pages], redirects, lucky=bool(ctx.options["lucky"]))
