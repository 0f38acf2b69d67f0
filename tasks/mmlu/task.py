"""MMLU as AgentTuning evaluates it: 57 subjects, 14,042 questions, five solved ones shown before each."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from harness.data import literals
from harness.episode import BaseTask, World
from harness.errors import DataError
from harness.types import Context, Limits, Message, Row, Sample, TaskConfig, TaskSpec, option
from tasks._shared.plain import plain_world
from tasks.mmlu import prompt, score
from tasks.mmlu.episode import MmluEpisode
from tasks.mmlu.oracle import MmluOracle
from tasks.mmlu.subjects import SUBJECTS

COLUMNS = ("question", *prompt.LETTERS, "answer")


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


class Mmlu(BaseTask):
    """Multiple-choice questions."""

    spec = TaskSpec(
        name="mmlu",
        version=1,
        suite="general",
        metric="accuracy",
        limits=Limits(turns=1),
        ceiling={
            ("paper", "mirror"): 100.0,
            ("fixed", "mirror"): 100.0,
            ("paper", "fixture"): 100.0,
            ("fixed", "fixture"): 100.0,
        },
        paper_n=14042,
    )

    Options = MmluOptions

    def samples(self, cfg: TaskConfig) -> Sequence[Sample]:
        split = cfg.split
        return [
            # One subject's questions share their exemplars: run side by side, an endpoint computes them once.
            Sample(f"{split}/{subject}/{index}", row | {"subject": subject}, labels={"subject": subject})
            for subject in _subjects(cfg.data, split)
            for index, row in enumerate(_rows(cfg.data, split, subject))
        ]

    def world(self, ctx: Context) -> AbstractAsyncContextManager[World]:
        texts = literals(ctx.data / "prompts.json")
        limit = ctx.options.max_prompt_tokens
        ask = prompt.ask(ctx.profile, limit, generate=ctx.options.answer == "generate")
        shown = hashlib.sha256(str(sorted(texts.items())).encode()).hexdigest()

        @cache
        def subject_parts(subject: str) -> tuple[Message, tuple[tuple[Message, Message], ...]]:
            return prompt.system(texts, subject), prompt.exemplars(_rows(ctx.data, "dev", subject))

        def build(sample: Sample) -> MmluEpisode:
            start, shots = subject_parts(sample.data["subject"])
            # Upstream strips what follows the last option; in exemplars it stays.
            last = Message("user", prompt.question(sample.data).rstrip(), "task")
            if ctx.profile == "fixed":
                shots = prompt.fitting(start, shots, last, limit)
            return MmluEpisode(start, shots, last, ask, sample.data["answer"])

        return plain_world(build, {"prompt": shown})

    def oracle(self, ctx: Context, sample: Sample) -> MmluOracle:
        return MmluOracle(sample.data["answer"])

    def old_labels(self, sample: str, metrics: Mapping[str, float]) -> Mapping[str, str]:
        del metrics
        return {"subject": sample.split("/")[1]}

    def aggregate(self, rows: Sequence[Row]) -> Mapping[str, float]:
        return score.aggregate(rows)


def _subjects(data: Path, split: str) -> list[str]:
    found = [name for name in SUBJECTS if (data / "data" / split / f"{name}_{split}.csv").is_file()]
    if not found:
        raise DataError(
            f"{data / 'data' / split} holds no subject; `harness doctor` says how to get the data"
        )
    return found


def _rows(data: Path, split: str, subject: str) -> list[dict[str, str]]:
    """Read a subject's file as text; a reader that guesses types turns the option `None` into `nan`."""
    path = data / "data" / split / f"{subject}_{split}.csv"
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [dict(zip(COLUMNS, row, strict=True)) for row in csv.reader(file)]
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}; `harness doctor` says how to get it") from error


TASK = Mmlu()
