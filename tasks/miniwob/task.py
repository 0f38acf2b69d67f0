"""MiniWoB++ as AgentTuning ran it: 46 pages, ten instances each, played by RCI prompting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from harness.episode import BaseTask, Oracle
from harness.errors import DataError
from harness.needs import package
from harness.types import Context, Limits, Option, Row, Sample, TaskSpec
from tasks._shared.browser import browser_need
from tasks.miniwob import score

if TYPE_CHECKING:
    from tasks.miniwob.world import WobWorld

SPEC = TaskSpec(
    name="miniwob",
    version=1,
    suite="held-out",
    metric=score.METRIC,
    # Three calls for the plan and up to five for each of at most 30 steps, a little more for empty replies.
    limits=Limits(turns=200, reset_s=90.0, step_s=60.0, episode_s=900.0),
    needs=(package("playwright", extra="web"), package("miniwob", extra="web"), browser_need()),
    options=(
        Option(
            "variant",
            str,
            "agenttuning",
            "agenttuning",
            "pages as released (46 tasks), or the package's own (all ids)",
            choices=("agenttuning", "farama"),
        ),
        Option("trials", int, 10, 10, "instances per task"),
        Option("critiques", int, 1, 1, "rounds of critique and revision of the plan"),
        Option("repairs", int, 3, 3, "tries to repair an instruction that no pattern accepts"),
        Option("grounding", bool, True, True, "ask again for each instruction in view of the page"),
        Option("max_steps", int, 30, 30, "most instructions of one plan (upstream: no limit)"),
        Option("empty_asks", int, 3, 1, "how often an empty reply is asked for again before it counts"),
        Option(
            "noop_on_miss",
            bool,
            False,
            True,
            "clickoption and movemouse that find nothing do not end the episode",
        ),
        Option("page_chars", int, None, None, "longest page quoted; the middle is cut", optional=True),
        Option("truncate", int, 4000, None, "tokens the server keeps of a prompt (left cut)", optional=True),
    ),
    expected_turns=14,
    ceiling={
        ("paper", "mirror"): 100.0,
        ("fixed", "mirror"): 100.0,
        ("paper", "fixture"): 100.0,
        ("fixed", "fixture"): 100.0,
    },
    paper_n=460,
)


class MiniWob(BaseTask):
    """Instances of small web pages; success is a positive reward of the page's own grader."""

    spec = SPEC

    def samples(self, ctx: Context, split: str) -> Sequence[Sample]:
        """`<task>/<trial>`: each task's first instance, in the order of the list, then each second."""
        del split
        trials, tasks = int(ctx.options["trials"] or 0), self._tasks(ctx)
        return [
            Sample(f"{task}/{trial}", {"task": task, "trial": trial}, labels={"task": task})
            for trial in range(trials)
            for task in tasks
        ]

    def world(self, ctx: Context) -> AbstractAsyncContextManager[WobWorld]:
        """Browsers and pages for a run."""
        from tasks.miniwob.world import world

        return world(ctx)

    def oracle(self, ctx: Context, sample: Sample) -> Oracle:
        """A script per page that plays in the model's own language."""
        del ctx
        from tasks.miniwob.oracle import WobOracle

        return WobOracle(sample.data["task"])

    def aggregate(self, rows: Sequence[Row]) -> Mapping[str, float]:
        """Micro average, macro average and Wilson's intervals."""
        return score.aggregate(rows)

    @staticmethod
    def _tasks(ctx: Context) -> list[str]:
        if ctx.options["variant"] == "farama":
            from tasks.miniwob import pages

            return pages.names(pages.package_html())
        path = ctx.data / "available_tasks.txt"
        try:
            return path.read_text(encoding="utf-8").split()
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error}; get the task's data again") from error


TASK = MiniWob()
