"""MMLU as AgentTuning evaluates it: 57 subjects, 14,042 questions, five solved ones shown before each."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.authoring import SingleTurn
from harness.needs import Need, ranked_choices
from harness.types import (
    Context,
    Observation,
    Reply,
    Row,
    Sample,
    Score,
    TaskConfig,
    TaskSpec,
    option,
)
from tasks.mmlu import score
from tasks.mmlu.prompts import MmluPrompts
from tasks.mmlu.rows import LETTERS, rows, subjects


@dataclass(frozen=True, slots=True)
class MmluOptions:
    """How letters are got, and how long a prompt may be."""

    answer: str = option(
        "rank",
        help="rank the letters by likelihood, or generate one (chat-only endpoints; another measure)",
        choices=("rank", "generate"),
    )
    max_prompt_tokens: int = option(
        2048,
        help="longest prompt; a longer one loses its left side (paper) or whole exemplars (fixed)",
        ge=1,
    )


class Mmlu(SingleTurn):
    """Multiple-choice questions."""

    spec = TaskSpec(
        name="mmlu",
        version=2,
        suite="general",
        metric="accuracy",
        ceiling={
            ("paper", "mirror"): 100.0,
            ("fixed", "mirror"): 100.0,
            ("paper", "fixture"): 100.0,
            ("fixed", "fixture"): 100.0,
        },
        paper_n=14042,
        shares=("macro", "wilson_*", "method_*", "mmlu_gen"),
    )

    Options = MmluOptions

    def needs(self, cfg: TaskConfig) -> Sequence[Need]:
        if cfg.options.answer != "rank":
            return ()
        return (
            ranked_choices("--set mmlu.answer=generate has a letter generated, which is another measure"),
        )

    def samples(self, cfg: TaskConfig) -> Sequence[Sample]:
        split = cfg.split
        return [
            # One subject's questions share their exemplars: run side by side, an endpoint computes them once.
            Sample(f"{split}/{subject}/{index}", row | {"subject": subject}, labels={"subject": subject})
            for subject in subjects(cfg.data, split)
            for index, row in enumerate(rows(cfg.data, split, subject))
        ]

    def asked(self, sample: Sample) -> str:
        return "\n".join(sample.data[name] for name in ("question", *LETTERS))

    def shared(self, ctx: Context) -> MmluPrompts:
        return MmluPrompts(ctx)

    def fingerprint(self, shared: MmluPrompts) -> Mapping[str, str]:
        return {"prompt": hashlib.sha256(str(sorted(shared.texts.items())).encode()).hexdigest()}

    def question(self, sample: Sample, shared: MmluPrompts) -> Observation:
        return shared.asked(sample.data)

    async def value(self, sample: Sample, reply: Reply, shared: MmluPrompts) -> Score:
        shots = shared.shots(sample.data)
        return score.value(reply, sample.data, shared.profile, ranked=shared.ranked, shots=shots)

    async def unanswered(self, sample: Sample, shared: MmluPrompts) -> Score:
        return Score(0.0, {"shots": float(shared.shots(sample.data))}, "not answered")

    def gold(self, sample: Sample, asked: Observation) -> str:
        letter = sample.data["answer"]
        choices = asked.ask.choices if asked.ask else ()
        return choices[LETTERS.index(letter)] if choices else f"Answer: {letter}"

    def old_labels(self, sample: str, metrics: Mapping[str, float]) -> Mapping[str, str]:
        del metrics
        return {"subject": sample.split("/")[1]}

    def aggregate(self, rows: Sequence[Row]) -> Mapping[str, float]:
        return score.aggregate(rows)


TASK = Mmlu()
