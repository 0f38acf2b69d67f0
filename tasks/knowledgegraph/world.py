"""What all questions of a run share: the graph, the vocabulary and the prompts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from harness.episode import BaseWorld
from harness.types import Ask, Capacity, Chat, Context, Sample
from tasks.knowledgegraph.backend import KgBackend, open_backend
from tasks.knowledgegraph.episode import MAX_NEW_TOKENS, KgEpisode, KgRules
from tasks.knowledgegraph.prompts import KgPrompts
from tasks.knowledgegraph.rows import vocabulary
from tasks.knowledgegraph.tools import ToolRules

CONTEXT = 4096


class KgWorld(BaseWorld):
    """Episodes over one graph, or over one for each question.

    Attributes:
        backend: the graph that a question is asked of.
    """

    capacity = Capacity(memory_mb=1, cpu=0.02)

    def __init__(self, ctx: Context, backend: KgBackend) -> None:
        self.backend, self._options = backend, ctx.options
        self._prompts = KgPrompts(ctx)
        self._vocabulary = vocabulary(ctx.data, ctx.options.vocab_filter)
        truncate = CONTEXT - MAX_NEW_TOKENS if ctx.profile == "paper" else None
        self._ask = Ask(MAX_NEW_TOKENS, truncate=truncate)
        self.notes = (f"graph: {_label(backend)}",)
        self.comparable = backend.comparable
        self.fingerprint = {"graph": backend.name, **backend.facts}

    async def episode(self, sample: Sample, chats: Mapping[str, Chat], seed: int) -> KgEpisode:
        del chats
        options = self._options
        tools = ToolRules(
            any_entity=options.fix_entity_regex,
            same_type=options.type_check,
            seed=seed if options.order == "seeded" else None,
        )
        rules = KgRules(self._ask, tools, options.robust_args)
        return KgEpisode(sample, self._prompts, self._vocabulary, self.backend.graph_of(sample), rules)


def _label(backend: KgBackend) -> str:
    """The graph in a few words, a snapshot with what it holds."""
    if digest := backend.facts.get("web_sha256"):
        return f"{backend.name} ({backend.facts['web_answers']} answers, sha256 {digest[:12]})"
    return backend.name


@asynccontextmanager
async def open_world(ctx: Context) -> AsyncIterator[KgWorld]:
    """Open the graph that the options name and keep it for the run."""
    async with open_backend(ctx) as backend:
        yield KgWorld(ctx, backend)
