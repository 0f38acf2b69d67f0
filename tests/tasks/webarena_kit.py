"""Opens WebArena's own sites for tests and plays scripted replies on them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from contexts import task_context

from harness.types import Context, Observation, Pending, Profile, Reply, Sample, Score
from tasks.webarena import rows
from tasks.webarena.episode import ArenaEpisode
from tasks.webarena.task import OWN_SPLIT, TASK
from tasks.webarena.world import FIXTURE, ArenaWorld


def fence(action: str) -> str:
    """An action as a reply."""
    return f"So I do this: ```{action}```"


@dataclass
class Played:
    """How an episode went."""

    score: Score | Pending
    shown: list[Observation]
    episode: ArenaEpisode

    @property
    def value(self) -> float:
        assert isinstance(self.score, Score)
        return self.score.value

    def page(self, step: int = -1) -> str:
        """The page part of a prompt."""
        return self.shown[step].messages[-1].content


@dataclass
class Arena:
    """The own sites, open, with some options."""

    ctx: Context
    world: ArenaWorld
    samples: dict[str, Sample] = field(default_factory=dict[str, Sample])

    def sample(self, entry: dict[str, Any]) -> Sample:
        """A sample of a task that only a test has."""
        return Sample("x", {"row": rows.row(entry)})

    async def play(self, sample: Sample, replies: Sequence[str] | None = None, *, most: int = 40) -> Played:
        """Play replies, the last one again and again, or the oracle's."""
        oracle = TASK.oracle(self.ctx, sample)
        episode = await self.world.episode(sample, {}, 0)
        try:
            shown = [await episode.reset()]
            for turn in range(most):
                if shown[-1].done:
                    break
                text = (
                    await oracle.reply(shown[-1]) if replies is None else replies[min(turn, len(replies) - 1)]
                )
                shown.append(await episode.step(Reply(text)))
            return Played(await episode.score(), shown, episode)
        finally:
            await episode.close()


@asynccontextmanager
async def arena(work: Path, profile: Profile = "paper", **options: Any) -> AsyncIterator[Arena]:
    """Open the own sites."""
    ctx = task_context(TASK, FIXTURE, work, profile=profile, source="fixture", **options)
    ctx = replace(ctx, split=OWN_SPLIT)
    async with TASK.world(ctx) as world:
        yield Arena(ctx, world, {sample.id: sample for sample in TASK.samples(ctx)})


def with_rules(opened: Arena, **changes: Any) -> Arena:
    """The same sites and browsers under other rules."""
    kit = replace(opened.world.kit, rules=replace(opened.world.kit.rules, **changes))
    world = ArenaWorld(kit, opened.world.fingerprint, opened.world.undo)
    return Arena(opened.ctx, world, opened.samples)


def entry(start: str, site: str = "shopping", **judged: Any) -> dict[str, Any]:
    """A task in the released form that asks for nothing, unless told."""
    asked = {"eval_types": ["string_match"], "reference_answers": {}, "reference_url": "", "program_html": []}
    return {
        "sites": [site],
        "task_id": 0,
        "storage_state": None,
        "start_url": start,
        "intent": "look",
        "intent_template_id": 0,
        "eval": asked | judged,
    }
