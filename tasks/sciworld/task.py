"""SciWorld for the harness: samples, options, and how they add up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from harness import history, tokens
from harness.episode import BaseTask
from harness.needs import Need, core_data, package, program
from harness.types import Context, Limits, Macro, Sample, TaskConfig, TaskSpec
from tasks.sciworld import rows
from tasks.sciworld.options import SciWorldOptions
from tasks.sciworld.oracle import SciWorldOracle

if TYPE_CHECKING:
    from tasks.sciworld.world import SciWorld


class SciWorldTask(BaseTask):
    """Thirty tasks of elementary science in a text world."""

    spec = TaskSpec(
        name="sciworld",
        version=1,
        suite="held-out",
        metric="score",
        headline=Macro("task"),
        splits=("test", "full", "dev", "train"),
        # Every call of the simulator has a watchdog of its own.
        limits=Limits(turns=1000, reset_s=600.0, step_s=150.0, episode_s=3600.0),
        history="pairs-4036",
        expected_turns=40,
        ceiling={
            ("paper", "mirror"): 62.98,
            ("fixed", "mirror"): 91.5,
            ("paper", "fixture"): 62.11,
            ("fixed", "fixture"): 100.0,
        },
        paper_n=270,
        shares=("success",),
    )

    Options = SciWorldOptions

    def needs(self, cfg: TaskConfig) -> Sequence[Need]:
        """Java, the package, and the vocabulary that prompts are counted with."""
        parts = (
            program("java", apt="openjdk-17-jre-headless", runs=("-version",)),
            package("scienceworld", extra="sciworld"),
        )
        if history.policy(self.history(cfg))[1] != "cl100k":
            return parts
        return (*parts, core_data(tokens.CL100K_FILE, cfg))

    def samples(self, cfg: TaskConfig) -> Sequence[Sample]:
        """The 270 variations upstream plays, or all of a split; tasks in alphabetical order."""
        most = cfg.options.per_task
        return [
            Sample(f"{row['task']}/{variation}", rows.data(row, variation), labels={"task": row["task"]})
            for row in rows.read(cfg.data)
            for variation in rows.variations(row, cfg.split)[:most]
        ]

    def asked(self, sample: Sample) -> str:
        del sample
        return ""  # the simulator has it

    def world(self, ctx: Context) -> AbstractAsyncContextManager[SciWorld]:
        """Start the simulators."""
        from tasks.sciworld.world import open_world

        return open_world(ctx)

    def oracle(self, ctx: Context, sample: Sample) -> SciWorldOracle:
        """Play the simulator's own solution."""
        return SciWorldOracle(ctx, sample)

    def history(self, cfg: TaskConfig) -> str:
        """Trim by pairs; counted in cl100k where upstream did and its vocabulary belongs to the data."""
        if cfg.options.truncation == "llama":
            return "pairs-3840-estimate"
        return "pairs-4036-estimate" if cfg.source == "fixture" else "pairs-4036"

    def old_labels(self, sample: str, metrics: Mapping[str, float]) -> Mapping[str, str]:
        """The task is the sample id without its variation."""
        del metrics
        return {"task": sample.rpartition("/")[0]}


TASK = SciWorldTask()
