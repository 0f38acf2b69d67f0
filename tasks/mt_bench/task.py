"""MT-Bench as AgentTuning evaluates it: 80 two-turn questions, rated by a judge model."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import cast

from harness.authoring import plain_world
from harness.data import literals
from harness.episode import BaseTask, World
from harness.needs import Need, drawn_replies
from harness.types import (
    Context,
    JudgeAsk,
    Limits,
    Pending,
    Row,
    Sample,
    Score,
    TaskConfig,
    TaskSpec,
    Verdict,
    option,
)
from tasks.mt_bench import score
from tasks.mt_bench.episode import MtBenchEpisode
from tasks.mt_bench.oracle import MtBenchOracle
from tasks.mt_bench.rows import Question, judge_prompts, questions

SYSTEM = "THUDM/AgentTuning:eval_general/eval_mt_bench_tgi.py:query_model#1"
"""Address of the system text in prompts.json."""


@dataclass(frozen=True, slots=True)
class MtBenchOptions:
    """How long answers may be, and what the judge sees."""

    max_new_tokens: int = option(4096, 1024, help="longest answer in tokens", ge=1)
    references: str = option(
        "fastchat",
        help="reference answers the judge sees: fastchat, inflection (corrected), or a file's path",
    )
    allow_partial: bool = option(True, False, help="give a headline although not every turn could be rated")


class MtBench(BaseTask):
    """Open questions in two turns."""

    spec = TaskSpec(
        name="mt_bench",
        version=2,
        suite="general",
        metric="mt_bench",
        unit="points",
        limits=Limits(turns=2),
        expected_turns=2,
        headline=score.headline,
        roles=("judge",),
        paper_judge="gpt-4-0613",
        # Under a judge that gives every answer a 10; what a real judge gives is its own affair.
        ceiling={
            ("paper", "mirror"): 10.0,
            ("fixed", "mirror"): 10.0,
            ("paper", "fixture"): 10.0,
            ("fixed", "fixture"): 10.0,
        },
        excepts={"silent": "the test gives every answer the same rating, an empty one included"},
        paper_n=80,
    )

    Options = MtBenchOptions

    def needs(self, cfg: TaskConfig) -> Sequence[Need]:
        """A model that draws: four categories have a temperature."""
        del cfg
        return (drawn_replies(),)

    def samples(self, cfg: TaskConfig) -> Sequence[Sample]:
        found = questions(cfg.data, cfg.options.references)
        return [Sample(str(q.id), {"question": q}, {"category": q.category}) for q in found]

    def asked(self, sample: Sample) -> str:
        return "\n".join(sample.data["question"].turns)

    def world(self, ctx: Context) -> AbstractAsyncContextManager[World]:
        system = str(literals(ctx.data / "prompts.json")[SYSTEM])
        prompts, longest = judge_prompts(ctx.data), ctx.options.max_new_tokens
        asked = questions(ctx.data, ctx.options.references)

        def build(sample: Sample) -> MtBenchEpisode:
            return MtBenchEpisode(_question(sample), system, prompts, longest, ctx.profile)

        return plain_world(build, {"judge_prompts": _hash(*prompts.values()), "questions": _hash(*asked)})

    def oracle(self, ctx: Context, sample: Sample) -> MtBenchOracle:
        return MtBenchOracle(_question(sample))

    def accepts(self, ask: JudgeAsk, text: str) -> bool:
        """A verdict must hold a rating from 1 to 10, where the profile looks for it."""
        profile = "paper" if ask.info.get("profile") == "paper" else "fixed"
        return score.PARSERS[profile](text) is not None

    def resolve(self, ctx: Context, pending: Pending, verdicts: Sequence[Verdict]) -> Score:
        withhold = not ctx.options.allow_partial
        return score.resolve(pending.items, verdicts, ctx.profile, withhold=withhold)

    def aggregate(self, rows: Sequence[Row]) -> Mapping[str, float]:
        return score.aggregate(rows)


def _question(sample: Sample) -> Question:
    return cast(Question, sample.data["question"])


def _hash(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode("utf-8", "surrogatepass")).hexdigest()


TASK = MtBench()
