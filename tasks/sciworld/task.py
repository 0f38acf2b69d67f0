"""SciWorld for the harness: samples, options, and how they add up."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

from harness import history, tokens
from harness.episode import BaseTask
from harness.errors import DataError
from harness.needs import package, program
from harness.types import Context, Limits, Option, Row, Sample, TaskSpec
from tasks.sciworld.oracle import SciWorldOracle
from tasks.sciworld.score import macro

if TYPE_CHECKING:
    from tasks.sciworld.world import SciWorld

EPISODES = "test_episodes.json"

OPTIONS = (
    Option(
        "action_match",
        str,
        "overlap",
        "passthrough",
        "overlap rewrites every action to a listed one; passthrough first tries it as it is",
        ("overlap", "passthrough"),
    ),
    Option(
        "stop_rules",
        str,
        "on",
        "extended",
        "on: ten failures, a loop, twice step_limit turns; extended: waiting is no loop; off: none",
        ("on", "off", "extended"),
    ),
    Option("step_limit", int, 100, 100, "moves after which the simulator stops", optional=True),
    Option(
        "fail_rule",
        str,
        "substring",
        "strict",
        "substring takes any 'not', even in 'nothing', for a failure; strict does not",
        ("substring", "strict"),
    ),
    Option(
        "truncation",
        str,
        "upstream",
        "llama",
        "upstream: 4036 cl100k tokens, and the server cuts at 4000; llama: what surely fits 4096",
        ("upstream", "llama"),
    ),
    Option("first_line", bool, False, True, "use the first line of a reply only"),
    Option("exemplars", bool, True, True, "show the task's exemplar"),
    Option("simplification", str, "easy", "easy", "the simulator's simplifications", ("easy", "none")),
    Option("per_task", int, None, None, "at most so many variations of each task", optional=True),
)


class SciWorldTask(BaseTask):
    """Thirty tasks of elementary science in a text world."""

    spec = TaskSpec(
        name="sciworld",
        version=1,
        suite="held-out",
        metric="score",
        splits=("test", "full", "dev", "train"),
        # An oracle's resets wait in line for solutions; every call within has a watchdog of its own.
        limits=Limits(turns=1000, reset_s=1800.0, step_s=150.0, episode_s=3600.0),
        history="pairs-4036",
        needs=(
            program("java", apt="openjdk-17-jre-headless"),
            package("scienceworld", extra="sciworld"),
        ),
        options=OPTIONS,
        expected_turns=40,
        ceiling={
            ("paper", "mirror"): 62.98,
            ("fixed", "mirror"): 91.5,
            ("paper", "fixture"): 62.11,
            ("fixed", "fixture"): 100.0,
        },
        paper_n=270,
    )

    def samples(self, ctx: Context, split: str) -> Sequence[Sample]:
        """The 270 variations upstream plays, or all of a split; tasks in alphabetical order."""
        try:
            table: list[dict[str, Any]] = json.loads((ctx.data / EPISODES).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DataError(f"{EPISODES} cannot be read ({error}): harness data verify sciworld") from error
        most = ctx.options.get("per_task")
        return [
            Sample(f"{row['task']}/{variation}", _data(row, variation), labels={"task": row["task"]})
            for row in table
            for variation in _variations(row, split)[: None if most is None else int(most)]
        ]

    def world(self, ctx: Context) -> AbstractAsyncContextManager[SciWorld]:
        """Start the simulators."""
        from tasks.sciworld.world import open_world

        tokens.counter(
            history.policy(self.history(ctx))[1]
        )  # a missing vocabulary is told before any episode
        return open_world(ctx)

    def oracle(self, ctx: Context, sample: Sample) -> SciWorldOracle:
        """Play the simulator's own solution."""
        return SciWorldOracle(ctx, sample)

    def history(self, ctx: Context) -> str:
        """Trim by pairs; counted in cl100k where upstream did and its vocabulary belongs to the data."""
        if ctx.options["truncation"] == "llama":
            return "pairs-3840-estimate"
        return "pairs-4036-estimate" if ctx.source == "fixture" else "pairs-4036"

    def aggregate(self, rows: Sequence[Row]) -> Mapping[str, float]:
        """Average each task, then the tasks (upstream's headline); further metrics over episodes."""
        if not rows:
            return {}
        return {**super().aggregate(rows), self.spec.metric: macro(rows)}


def _data(row: Mapping[str, Any], variation: int) -> dict[str, Any]:
    return {"task": row["task"], "variation": variation, "index": row["task_num"]}


def _variations(row: Mapping[str, Any], split: str) -> list[int]:
    """A split's variations: half, a quarter and the rest, as the simulator divides them."""
    if split == "test":
        return list(row["variations"])
    quarter = row["n_max"] // 4
    ends = {"train": (0, 2 * quarter), "dev": (2 * quarter, 3 * quarter), "full": (3 * quarter, row["n_max"])}
    return list(range(*ends[split]))


TASK = SciWorldTask()
