"""OS interaction of AgentBench, as AgentTuning ran it: 144 problems, success rate."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager

from harness.data import literals
from harness.episode import BaseTask, World
from harness.types import Context, Limits, Option, Sample, TaskSpec
from tasks.os import image, problems
from tasks.os.episode import MAX_NEW_TOKENS, Prompt
from tasks.os.oracle import OsOracle
from tasks.os.world import open_world


class Os(BaseTask):
    """A shell and a problem."""

    spec = TaskSpec(
        name="os",
        version=1,
        suite="held-in",
        metric="success_rate",
        splits=("std", "dev"),
        limits=Limits(turns=8, reset_s=300.0, step_s=420.0, episode_s=1800.0),
        history="segments-3500",
        needs=(image.NEED,),
        options=(
            Option("cwd", str, "/", "/", "working directory; the later AgentBench uses /root"),
            Option(
                "observation_style",
                str,
                "prompt",
                "prompt",
                "show the shell's prompt behind each output, as in the training data, or not",
                choices=("prompt", "clean"),
            ),
            Option("merge_check_stderr", bool, True, False, "errors of a reference solution are output"),
            Option("corrected_gold", bool, False, True, "repair nine wrong reference solutions"),
            Option("command_s", float, 30.0, 30.0, "seconds a command may take"),
            Option("cpus", float, 1.0, 1.0, "CPU time per second of one system"),
            Option(
                "sandbox",
                str,
                "auto",
                "auto",
                "where the systems live",
                choices=("auto", "docker", "podman", "bwrap"),
            ),
        ),
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
    )

    def samples(self, ctx: Context, split: str) -> Sequence[Sample]:
        return [
            Sample(problem.id, {"problem": problem}, labels={"group": problem.id.split("/")[0]})
            for problem in problems.load(ctx.data, split)
        ]

    def world(self, ctx: Context) -> AbstractAsyncContextManager[World]:
        prompt = Prompt.from_literals(literals(ctx.data / "prompts.json"))
        truncate = 4096 - MAX_NEW_TOKENS if ctx.profile == "paper" else None
        return open_world(prompt, ctx.options, truncate)

    def oracle(self, ctx: Context, sample: Sample) -> OsOracle:
        return OsOracle(sample.data["problem"], corrected_gold=bool(ctx.options["corrected_gold"]))


TASK = Os()
