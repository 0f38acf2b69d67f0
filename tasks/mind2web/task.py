"""Mind2Web's task: its options, its samples and how their parts are joined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.episode import BaseTask, Oracle, World
from harness.needs import Need, notice, package
from harness.types import Context, Limits, Row, Sample, TaskConfig, TaskSpec, option
from tasks.mind2web.prompts import POLICY

if TYPE_CHECKING:
    from tasks.mind2web.rows import Mind2WebRow


@dataclass(frozen=True, slots=True)
class Mind2WebOptions:
    """In which order candidates are asked about, what is shown, and what is reported."""

    shuffle: str = option(
        "global123",
        "per_sample",
        help="order of candidates: drawn by one generator over all steps, or by each step's own",
        choices=("global123", "per_sample"),
    )
    history: str = option(
        "upstream",
        "never_drop_last",
        help="what a long page drops: upstream's window may drop the question itself",
        choices=("upstream", "never_drop_last"),
    )
    ask_last: bool = option(False, True, help="also ask about a candidate that is left over alone")
    limit: int | None = option(None, help="only the first steps (AgentBench v0.2 ran 100)", ge=1)
    f1_casefold: bool = option(False, help="also report action_f1 and step_sr without regard to case")


class Mind2WebTask(BaseTask):
    """Steps of recorded web tasks; the data must not spread, so the store keeps no text of it."""

    spec = TaskSpec(
        name="mind2web",
        version=1,
        suite="held-in",
        metric="step_sr",
        splits=("std", "dev"),
        limits=Limits(turns=64, reset_s=120.0, step_s=120.0),
        history=POLICY,
        expected_turns=3,
        ceiling={("paper", "fixture"): 100 * 8 / 11, ("fixed", "fixture"): 100 * 9 / 11},
        released={"temperature": 0.7},
        paper_n=1173,
        private=True,
        shares=("element_acc", "action_f1", "step_sr_*", "task_sr", "upper_bound", "recall_*", "format_fail"),
    )

    Options = Mind2WebOptions

    def needs(self, cfg: TaskConfig) -> Sequence[Need]:
        window = () if self.history(cfg) == "none" else (notice(cfg),)
        return (package("lxml", extra="mind2web"), *window)

    def history(self, cfg: TaskConfig) -> str:
        """Upstream's window; without it the episode itself leaves exemplars out."""
        return self.spec.history if cfg.options.history == "upstream" else "none"

    def samples(self, cfg: TaskConfig) -> Sequence[Sample]:
        from tasks.mind2web import rows

        steps = rows.read(rows.split_file(cfg.data, cfg.split))
        pools = rows.pools(steps, cfg.options.shuffle)
        return [_sample(step, pool) for step, pool in zip(steps, pools, strict=True)][: cfg.options.limit]

    def asked(self, sample: Sample) -> str:
        return sample.data["task"]

    def world(self, ctx: Context) -> AbstractAsyncContextManager[World]:
        from tasks.mind2web.world import open_world

        return open_world(ctx)

    def oracle(self, ctx: Context, sample: Sample) -> Oracle:
        del ctx
        from tasks.mind2web.oracle import Mind2WebOracle

        return Mind2WebOracle(sample)

    def aggregate(self, rows: Sequence[Row]) -> Mapping[str, float]:
        from tasks.mind2web import score

        return score.aggregate(rows)


def _sample(row: Mind2WebRow, pool: list[str]) -> Sample:
    step = {
        "n": row.n,
        "task": row.task,
        "previous": row.previous,
        "op": row.op,
        "value": row.value,
        "pool": pool,
        "targets": row.targets,
        "best": row.best,
    }
    labels = {"task": row.annotation, "op": row.op, "website": row.website, "domain": row.domain}
    return Sample(row.id, step, labels, cluster=row.annotation)


TASK = Mind2WebTask()
