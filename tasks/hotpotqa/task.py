"""HotpotQA as AgentTuning evaluates it: 300 questions, ReAct over Wikipedia, token F1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from harness import tokens
from harness.episode import BaseTask, Oracle, World
from harness.needs import Need, core_data
from harness.types import (
    Context,
    Limits,
    Macro,
    Row,
    Sample,
    TaskConfig,
    TaskSpec,
    by,
    macro,
    option,
)
from tasks._shared.wiki.opening import WebOptions, web_needs
from tasks.hotpotqa.prompts import AGENTS


@dataclass(frozen=True, slots=True)
class HotpotOptions(WebOptions):
    """Which wiki, which of BOLAA's agents, and how its actions are read."""

    wiki: str = option(
        "offline",
        help="where answers come from",
        choices=("offline", "live", "cache", "record", "replay"),
    )
    lucky: bool = option(False, help="the offline wiki opens the best match instead of missing")
    agent: str = option("react", help="which of BOLAA's agents", choices=AGENTS)
    prompt: str = option("agenttuning", help="whose instructions", choices=("agenttuning", "bolaa"))
    chat: bool = option(False, help="send the prompt as a chat message instead of raw")
    parse: str = option("strict", help="how actions are read", choices=("strict", "lenient"))
    search_unit: str = option("lead", help="what Search shows", choices=("lead", "paragraph"))
    lookup_unit: str = option("section", help="what Lookup shows", choices=("section", "sentence"))
    lookup_reset: bool = option(False, True, help="a new page starts Lookup's count again")
    newline: str = option(
        "delete",
        "space",
        help="what becomes of newlines in observations",
        choices=("delete", "space"),
    )
    no_response: str = option(
        "end",
        "text",
        help="the reply `No response` ends the episode after its step, or is read like any other",
        choices=("end", "text"),
    )
    max_steps: int = option(10, help="steps before the episode halts", ge=1, le=60)
    max_context_tokens: int = option(1700, help="cl100k tokens of prompt before the episode halts", ge=1)
    obs_max_tokens: int | None = option(None, help="cut observations to this many tokens", ge=1)


class HotpotQA(BaseTask):
    """Questions that need two articles of Wikipedia, answered with a search tool."""

    spec = TaskSpec(
        name="hotpotqa",
        version=2,
        suite="held-out",
        metric="f1",
        limits=Limits(turns=64, reset_s=600.0, step_s=600.0, episode_s=7200.0),
        headline=Macro("level"),
        expected_turns=10,
        ceiling={
            (profile, source): 100.0 for profile in ("paper", "fixed") for source in ("mirror", "fixture")
        },
        # Drawn at random, but so close to zero that the likeliest token always wins.
        released={"temperature": 1e-5, "top_p": 0.95, "typical_p": 0.95},
        paper_n=300,
        view=("action", "result"),
    )

    Options = HotpotOptions

    def needs(self, cfg: TaskConfig) -> Sequence[Need]:
        """What the wiki needs, and the vocabulary that prompts are counted with."""
        counted = [] if cfg.source == "fixture" else [core_data(tokens.CL100K_FILE, cfg)]
        return [*web_needs(cfg, cfg.options.wiki), *counted]

    def samples(self, cfg: TaskConfig) -> Sequence[Sample]:
        from tasks.hotpotqa.rows import samples

        return samples(cfg.data)

    def world(self, ctx: Context) -> AbstractAsyncContextManager[World]:
        from tasks.hotpotqa.world import open_world

        return open_world(ctx)

    def oracle(self, ctx: Context, sample: Sample) -> Oracle:
        del ctx
        from tasks.hotpotqa.oracle import HotpotOracle

        return HotpotOracle(sample)

    def old_labels(self, sample: str, metrics: Mapping[str, float]) -> Mapping[str, str]:
        del metrics
        return {"level": sample.partition("/")[0]}

    def aggregate(self, rows: Sequence[Row]) -> Mapping[str, float]:
        """Mean of the levels' mean F1; beside it each level, and the score without leaked exemplars."""
        if not rows:
            return {}
        means = super().aggregate(rows)
        levels = by(rows, "level")
        clean = [row for row in rows if not self.leaked(row)]
        # A report shows the first few of these.
        first = {"em": means["em"]} if "em" in means else {}
        if clean:
            first["f1_without_leak"] = macro(clean, "level")
        first |= {f"f1_{level}": value for level, value in levels.items()}
        return {**first, **means}


TASK = HotpotQA()
