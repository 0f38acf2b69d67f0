"""HumanEval (Chen et al., 2021), greedy, one try per problem unless `--repeats` asks for more."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

from harness.episode import BaseTask, Episode, World
from harness.errors import DataError
from harness.needs import Need
from harness.types import Context, Limits, Row, Sample, TaskConfig, TaskSpec, option
from tasks._shared.sandbox.need import sandbox_need
from tasks.humaneval import score
from tasks.humaneval.episode import HumanEvalEpisode
from tasks.humaneval.oracle import HumanEvalOracle
from tasks.humaneval.world import HumanEvalWorld, images, open_world

SANDBOX_FIX = "apt-get install -y --no-install-recommends bubblewrap"

FILE = Path("data/HumanEval.jsonl.gz")


@dataclass(frozen=True, slots=True)
class HumanEvalOptions:
    """How programs are asked for, and how they are run."""

    mode: str = option(
        "completion", help="continue the raw prompt, or answer as a chat", choices=("completion", "chat")
    )
    timeout_s: float = option(10.0, help="seconds a program may take", ge=0.1, le=600)
    pad_indent: bool = option(True, help="give a body indented by three spaces its fourth")
    sandbox: str = option(
        "auto", help="where programs run", choices=("auto", "bwrap", "bwrap-user", "docker", "podman")
    )


class HumanEval(BaseTask):
    """Functions from docstrings."""

    spec = TaskSpec(
        name="humaneval",
        version=1,
        suite="general",
        metric="pass@1",
        limits=Limits(turns=1, step_s=180.0),
        headline=score.pass_at_1,
        ceiling={
            ("paper", "mirror"): 100.0,
            ("fixed", "mirror"): 100.0,
            ("paper", "fixture"): 100.0,
            ("fixed", "fixture"): 100.0,
        },
        paper_n=164,
    )

    Options = HumanEvalOptions

    def needs(self, cfg: TaskConfig) -> Sequence[Need]:
        return (
            sandbox_need(
                images, cfg.options.sandbox, "apt-get install -y --no-install-recommends bubblewrap"
            ),
        )

    def samples(self, cfg: TaskConfig) -> Sequence[Sample]:
        return [Sample(row["task_id"], row) for row in _rows(cfg.data / FILE)]

    def world(self, ctx: Context) -> AbstractAsyncContextManager[World]:
        options: HumanEvalOptions = ctx.options

        def build(problem: Mapping[str, str], world: HumanEvalWorld) -> Episode:
            return HumanEvalEpisode(problem, world, mode=options.mode, pad_indent=options.pad_indent)

        return open_world(options.sandbox, options.timeout_s, build)

    def oracle(self, ctx: Context, sample: Sample) -> HumanEvalOracle:
        return HumanEvalOracle(sample.data)

    def aggregate(self, rows: Sequence[Row]) -> Mapping[str, float]:
        """pass@k for every k that each problem has enough tries for; pass@1 is the headline."""
        return score.pass_rates(rows)


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            return [json.loads(line) for line in file]
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}; `harness doctor` says how to get it") from error


TASK = HumanEval()
