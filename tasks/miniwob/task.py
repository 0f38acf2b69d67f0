"""MiniWoB++ as AgentTuning ran it: 46 pages, ten instances each, played by RCI prompting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.episode import BaseTask, Oracle
from harness.needs import Need, package
from harness.types import Context, Limits, Row, Sample, TaskConfig, TaskSpec, option
from tasks._shared.browser import browser_need
from tasks.miniwob import rows, score

if TYPE_CHECKING:
    from tasks.miniwob.world import WobWorld


@dataclass(frozen=True, slots=True)
class MiniWobOptions:
    """Which pages, and how many rounds of planning and repair."""

    variant: str = option(
        "agenttuning",
        help="pages as released (46 tasks), or the package's own (all ids)",
        choices=("agenttuning", "farama"),
    )
    trials: int = option(10, help="instances per task", ge=1)
    critiques: int = option(1, help="rounds of critique and revision of the plan", ge=0)
    repairs: int = option(3, help="tries to repair an instruction that no pattern accepts", ge=0)
    grounding: bool = option(True, help="ask again for each instruction in view of the page")
    max_steps: int = option(30, help="most instructions of one plan (upstream: no limit)", ge=1)
    empty_asks: int = option(3, 1, help="how often an empty reply is asked for again before it counts", ge=1)
    noop_on_miss: bool = option(
        False, True, help="clickoption and movemouse that find nothing do not end the episode"
    )
    page_chars: int | None = option(None, help="longest page quoted; the middle is cut", ge=1)
    truncate: int | None = option(4000, None, help="tokens the server keeps of a prompt (left cut)", ge=1)


SPEC = TaskSpec(
    name="miniwob",
    version=1,
    suite="held-out",
    metric=score.METRIC,
    # Three calls for the plan and up to five for each of at most 30 steps, a little more for empty replies.
    limits=Limits(turns=200, reset_s=90.0, step_s=60.0, episode_s=900.0),
    expected_turns=14,
    ceiling={
        ("paper", "mirror"): 100.0,
        ("fixed", "mirror"): 100.0,
        ("paper", "fixture"): 100.0,
        ("fixed", "fixture"): 100.0,
    },
    paper_n=460,
    view=("stage", "step", "reward", "ended"),
    shares=("macro", "wilson_*"),
)


class MiniWob(BaseTask):
    """Instances of small web pages; success is a positive reward of the page's own grader."""

    spec = SPEC
    Options = MiniWobOptions

    def needs(self, cfg: TaskConfig) -> Sequence[Need]:
        """Playwright, the pages' package and a browser."""
        return (package("playwright", extra="web"), package("miniwob", extra="web"), browser_need())

    def samples(self, cfg: TaskConfig) -> Sequence[Sample]:
        """`<task>/<trial>`: each task's first instance, in the order of the list, then each second."""
        trials, tasks = cfg.options.trials, rows.pages_of(cfg)
        return [
            Sample(f"{task}/{trial}", {"task": task, "trial": trial}, labels={"task": task})
            for trial in range(trials)
            for task in tasks
        ]

    def asked(self, sample: Sample) -> str:
        del sample
        return ""  # the page has it

    def world(self, ctx: Context) -> AbstractAsyncContextManager[WobWorld]:
        """Browsers and pages for a run."""
        from tasks.miniwob.world import open_world

        return open_world(ctx)

    def oracle(self, ctx: Context, sample: Sample) -> Oracle:
        """A script per page that plays in the model's own language."""
        del ctx
        from tasks.miniwob.oracle import WobOracle

        return WobOracle(sample.data["task"])

    def old_labels(self, sample: str, metrics: Mapping[str, float]) -> Mapping[str, str]:
        """The page is the sample id without its trial."""
        del metrics
        return {"task": sample.rpartition("/")[0]}

    def aggregate(self, rows: Sequence[Row]) -> Mapping[str, float]:
        """Micro average, macro average and Wilson's intervals."""
        return score.aggregate(rows)


TASK = MiniWob()
