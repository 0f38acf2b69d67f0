"""HumanEval (Chen et al., 2021), greedy, one try per problem unless `--repeats` asks for more."""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from statistics import fmean

from harness.episode import BaseTask, Episode, World
from harness.errors import DataError
from harness.needs import program
from harness.types import Context, Limits, Option, Row, Sample, TaskSpec
from tasks.humaneval.episode import HumanEvalEpisode
from tasks.humaneval.oracle import HumanEvalOracle
from tasks.humaneval.score import pass_at
from tasks.humaneval.world import HumanEvalWorld, open_world

FILE = Path("data/HumanEval.jsonl.gz")
_TRIES = (1, 2, 5, 10, 20, 50, 100)


class HumanEval(BaseTask):
    """Functions from docstrings."""

    spec = TaskSpec(
        name="humaneval",
        version=1,
        suite="general",
        metric="pass@1",
        limits=Limits(turns=1, step_s=180.0),
        needs=(program("bwrap", "docker", "podman", apt="bubblewrap"),),
        options=(
            Option(
                "mode",
                str,
                "completion",
                "completion",
                "continue the raw prompt, or answer as a chat",
                choices=("completion", "chat"),
            ),
            Option("timeout_s", float, 10.0, 10.0, "seconds a program may take"),
            Option("pad_indent", bool, True, True, "give a body indented by three spaces its fourth"),
            Option(
                "sandbox",
                str,
                "auto",
                "auto",
                "where programs run",
                choices=("auto", "bwrap", "bwrap-user", "docker", "podman"),
            ),
        ),
        ceiling={
            ("paper", "mirror"): 100.0,
            ("fixed", "mirror"): 100.0,
            ("paper", "fixture"): 100.0,
            ("fixed", "fixture"): 100.0,
        },
        paper_n=164,
    )

    def samples(self, ctx: Context, split: str) -> Sequence[Sample]:
        del split
        return [Sample(row["task_id"], row) for row in _rows(ctx.data / FILE)]

    def world(self, ctx: Context) -> AbstractAsyncContextManager[World]:
        mode, pad_indent = str(ctx.options["mode"]), bool(ctx.options["pad_indent"])

        def build(problem: Mapping[str, str], world: HumanEvalWorld) -> Episode:
            return HumanEvalEpisode(problem, world, mode=mode, pad_indent=pad_indent)

        return open_world(str(ctx.options["sandbox"]), float(ctx.options["timeout_s"] or 10.0), build)

    def oracle(self, ctx: Context, sample: Sample) -> HumanEvalOracle:
        return HumanEvalOracle(sample.data)

    def aggregate(self, rows: Sequence[Row]) -> Mapping[str, float]:
        """pass@k for every k that each problem has enough tries for; pass@1 is the headline."""
        tries: dict[str, list[bool]] = defaultdict(list)
        for row in rows:
            tries[row.sample].append(row.value >= 1)
        least = min((len(results) for results in tries.values()), default=0)
        return {
            f"pass@{k}": fmean(pass_at(k, results) for results in tries.values())
            for k in _TRIES
            if k <= least
        }


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            return [json.loads(line) for line in file]
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}; `harness doctor` says how to get it") from error


TASK = HumanEval()
