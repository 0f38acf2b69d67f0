"""T-Eval: eight runs over six dimensions, one question and one reply each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from typing import cast

from harness.episode import BaseTask, World
from harness.needs import Need
from harness.types import (
    Context,
    JudgeAsk,
    Pending,
    Row,
    Sample,
    Score,
    TaskConfig,
    TaskSpec,
    Verdict,
    option,
)
from tasks.teval import embedding, score
from tasks.teval.oracle import TEvalOracle
from tasks.teval.rows import ENDINGS, CaseRow, cases, chosen_runs, file_of, mistaken
from tasks.teval.world import open_world


@dataclass(frozen=True, slots=True)
class TEvalOptions:
    """Which cases, and how they are shown."""

    runs: str = option(
        "all", help="runs or dimensions, comma-separated: instruct, review_str, plan, rru_json, ..."
    )
    functions: str = option(
        "user",
        help="role in which tools' results are told; `function` needs a template that has it",
        choices=("user", "function"),
    )


class TEval(BaseTask):
    """Six abilities, measured one by one."""

    spec = TaskSpec(
        name="teval",
        version=1,
        suite="held-out",
        metric=score.METRIC,
        headline=score.headline,
        splits=tuple(ENDINGS),
        roles=("embedder",),
        paper_judge=embedding.EMBEDDER,
        ceiling={("paper", "fixture"): 100.0, ("fixed", "fixture"): 100.0},
        shares=("instruct", "plan", "reason", "retrieve", "understand", "review"),
    )

    Options = TEvalOptions

    def needs(self, cfg: TaskConfig) -> Sequence[Need]:
        """That no file of another split or version stands in place of a chosen run's.

        A file that is merely missing is told by the check of the data.
        """
        files = [file_of(cfg, run) for run in chosen_runs(cfg.options.runs)]
        fix = "take the split that is whole, or harness data prepare teval --from DIR of T-Eval's v2 data"
        told = [path for path in files if path.is_file() or mistaken(path)]
        return [Need(path.name, partial(mistaken, path), fix) for path in told]

    def samples(self, cfg: TaskConfig) -> Sequence[Sample]:
        rows = (row for run in chosen_runs(cfg.options.runs) for row in cases(file_of(cfg, run), run))
        return [Sample(f"{r.run}/{r.id}", {"row": r}, {"part": r.part}, r.cluster) for r in rows]

    def asked(self, sample: Sample) -> str:
        """The user's words; the tools in front of them stand in many cases."""
        messages = cast(CaseRow, sample.data["row"]).messages
        return "\n".join(one.content for one in messages if one.role == "user")

    def world(self, ctx: Context) -> AbstractAsyncContextManager[World]:
        return open_world(ctx)

    def oracle(self, ctx: Context, sample: Sample) -> TEvalOracle:
        return TEvalOracle(cast(CaseRow, sample.data["row"]))

    def accepts(self, ask: JudgeAsk, text: str) -> bool:
        """A verdict must hold the cosine of every two texts."""
        return embedding.read(text, len(ask.messages)) is not None

    def resolve(self, ctx: Context, pending: Pending, verdicts: Sequence[Verdict]) -> Score:
        return score.resolved(pending.items[0], verdicts[0].text)

    def aggregate(self, rows: Sequence[Row]) -> Mapping[str, float]:
        return score.aggregate(rows)


TASK = TEval()
