"""OS interaction of AgentBench, as AgentTuning ran it: 144 problems, success rate."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager

from harness.data import literals
from harness.episode import BaseTask, World
from harness.needs import Need, notice
from harness.types import Context, Limits, Sample, TaskConfig, TaskSpec
from tasks._shared.sandbox.need import sandbox_need
from tasks.os import image, rows
from tasks.os.episode import MAX_NEW_TOKENS
from tasks.os.options import OsOptions
from tasks.os.oracle import OsOracle
from tasks.os.prompts import OsPrompts
from tasks.os.world import images, open_world


class Os(BaseTask):
    """A shell and a problem."""

    spec = TaskSpec(
        name="os",
        version=3,
        suite="held-in",
        metric="success_rate",
        splits=("std", "dev"),
        limits=Limits(turns=8, reset_s=300.0, step_s=420.0, episode_s=1800.0),
        history="segments-3500",
        expected_turns=4,
        # 7/0 and 7/75 count one process more in their check than the agent's shell can see; 7/8 and 7/29
        # count /proc. Every answer to them is wrong or right by chance.
        ceiling={
            ("paper", "mirror"): 100 * 140 / 144,
            ("fixed", "mirror"): 100 * 140 / 144,
            ("paper", "fixture"): 100.0,
            ("fixed", "fixture"): 100.0,
        },
        mask=(r"[0-9]+",),
        released={"temperature": 0.7},
        paper_n=144,
        shares=("tampered", "untampered"),
    )

    Options = OsOptions

    def needs(self, cfg: TaskConfig) -> Sequence[Need]:
        return (sandbox_need(images, cfg.options.sandbox, image.FIX), notice(cfg))

    def samples(self, cfg: TaskConfig) -> Sequence[Sample]:
        return [
            Sample(problem.id, {"problem": problem}, labels={"group": problem.id.split("/")[0]})
            for problem in rows.load(cfg.data, cfg.split)
        ]

    def asked(self, sample: Sample) -> str:
        return sample.data["problem"].description

    def world(self, ctx: Context) -> AbstractAsyncContextManager[World]:
        prompt = OsPrompts.from_literals(literals(ctx.data / "prompts.json"))
        truncate = 4096 - MAX_NEW_TOKENS if ctx.profile == "paper" else None
        return open_world(prompt, ctx.options, truncate)

    def oracle(self, ctx: Context, sample: Sample) -> OsOracle:
        return OsOracle(sample.data["problem"], corrected_gold=ctx.options.corrected_gold)


TASK = Os()
