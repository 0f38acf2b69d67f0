"""What a judge is asked about an answer, how its verdict is read, and the verdicts that are kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.types import Ask, JudgeAsk, Verdict
from tasks.webarena.prompts import WebArenaPrompts
from tasks.webarena.rows import ArenaRow
from tasks.webarena.score import Edition, cleaned, gives_up

ASKS = {"infer": Ask(16), "grade": Ask(768), "reason": Ask(768)}
"""Greedy, as temperature 0 of the released graders."""


def questions(row: ArenaRow, answer: str, edition: Edition, prompts: WebArenaPrompts) -> tuple[JudgeAsk, ...]:
    """The questions that decide an answer; none where it needs no judge."""
    if row.unreachable:
        wanted = [] if gives_up(answer) else [("reason", row.why)]
    else:
        wanted = [("infer" if edition == "v2023" else "grade", text) for text in row.fuzzy]
    said = cleaned(answer, edition)
    return tuple(
        JudgeAsk(
            f"{kind}-{n}",
            prompts.judge(kind, row.intent, reference, said),
            ASKS[kind],
            {"kind": kind, "reference": reference, "answer": said},
        )
        for n, (kind, reference) in enumerate(wanted)
    )


def readable(kind: str, text: str) -> bool:
    """Whether a verdict says anything; under the 2023 question every text does, as there."""
    low = text.lower()
    if kind == "grade":
        return "correct" in low
    return kind != "reason" or "same" in low or "different" in low


def passes(kind: str, text: str) -> bool:
    """Whether a verdict is in the answer's favour."""
    low = text.lower()
    if kind == "infer":
        return "Yes" in text
    if kind == "grade":
        return "correct" in low and "incorrect" not in low and "partially correct" not in low
    return "same" in low and "different" not in low


def agreed(items: Sequence[JudgeAsk], verdicts: Sequence[Verdict]) -> float:
    """The share of judgings in which every question was answered in the answer's favour."""
    kinds = {item.key: str(item.info["kind"]) for item in items}
    rounds: dict[int, list[bool]] = {}
    for verdict in verdicts:
        rounds.setdefault(verdict.k, []).append(passes(kinds[verdict.key], verdict.text))
    full = [all(found) for found in rounds.values() if len(found) == len(items)]
    return sum(full) / len(full) if full else 0.0


@dataclass(frozen=True, slots=True)
class RecordedJudge:
    """Verdicts that were kept: for each reference the answers that fulfil it; all others do not.

    Attributes:
        accepted: lower-cased answers by reference.
    """

    accepted: Mapping[str, frozenset[str]]

    def fulfils(self, info: Mapping[str, Any]) -> bool:
        """Whether the answer of a question fulfils its reference."""
        return str(info["answer"]).strip() in self.accepted.get(str(info["reference"]), frozenset())
