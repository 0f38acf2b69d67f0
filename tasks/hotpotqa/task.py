"""HotpotQA as AgentTuning evaluates it: 300 questions, ReAct over Wikipedia, token F1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from statistics import fmean

from harness.episode import BaseTask, Oracle, World
from harness.types import Context, Limits, Option, Row, Sample, TaskSpec
from tasks._shared.wiki.opening import options
from tasks.hotpotqa.prompts import AGENTS

_WIKI = options(mode="wiki", default="offline", choices=("offline", "live", "cache", "record", "replay"))
_OPTIONS = (
    *_WIKI,
    Option("lucky", bool, False, False, "the offline wiki opens the best match instead of missing"),
    Option("agent", str, "react", "react", "which of BOLAA's agents", choices=AGENTS),
    Option(
        "prompt",
        str,
        "agenttuning",
        "agenttuning",
        "whose instructions",
        choices=("agenttuning", "bolaa"),
    ),
    Option("chat", bool, False, False, "send the prompt as a chat message instead of raw"),
    Option("parse", str, "strict", "strict", "how actions are read", choices=("strict", "lenient")),
    Option("search_unit", str, "lead", "lead", "what Search shows", choices=("lead", "paragraph")),
    Option("lookup_unit", str, "section", "section", "what Lookup shows", choices=("section", "sentence")),
    Option("lookup_reset", bool, False, True, "a new page starts Lookup's counting anew"),
    Option(
        "newline",
        str,
        "delete",
        "space",
        "what becomes of newlines in observations",
        choices=("delete", "space"),
    ),
    Option("max_steps", int, 10, 10, "steps before the episode halts"),
    Option("max_context_tokens", int, 1700, 1700, "cl100k tokens of prompt before the episode halts"),
    Option("obs_max_tokens", int, None, None, "cut observations to this many tokens", optional=True),
)


class HotpotQA(BaseTask):
    spec = TaskSpec(
        name="hotpotqa",
        version=1,
        suite="held-out",
        metric="f1",
        limits=Limits(turns=64, reset_s=600.0, step_s=600.0, episode_s=7200.0),
        options=_OPTIONS,
        expected_turns=10,
        ceiling={
            (profile, source): 100.0 for profile in ("paper", "fixed") for source in ("mirror", "fixture")
        },
        paper_n=300,
    )

    def samples(self, ctx: Context, split: str) -> Sequence[Sample]:
        del split
        from tasks.hotpotqa.rows import samples

        return samples(ctx.data)

    def world(self, ctx: Context) -> AbstractAsyncContextManager[World]:
        from tasks.hotpotqa.world import open_world

        return open_world(ctx)

    def oracle(self, ctx: Context, sample: Sample) -> Oracle:
        del ctx
        from tasks.hotpotqa.oracle import HotpotOracle

        return HotpotOracle(sample)

    def aggregate(self, rows: Sequence[Row]) -> Mapping[str, float]:
        """Mean of the levels' mean F1; beside it each level, and the score without leaked exemplars."""
        if not rows:
            return {}
        means = super().aggregate(rows)
        levels = _by_level(rows)
        clean = [row for row in rows if not row.metrics.get("exemplar_leak")]
        # A report shows the first few of these.
        first = {"em": means["em"]} if "em" in means else {}
        if clean:
            first["f1_without_leak"] = fmean(_by_level(clean).values())
        first |= {f"f1_{level}": value for level, value in levels.items()}
        return {**first, **means, self.spec.metric: fmean(levels.values())}


def _by_level(rows: Sequence[Row]) -> dict[str, float]:
    levels = dict.fromkeys(row.sample.split("/", 1)[0] for row in rows)
    return {
        level: fmean(row.value for row in rows if row.sample.split("/", 1)[0] == level) for level in levels
    }


TASK = HotpotQA()
