"""One question: eight worked examples, one reply."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from harness.types import Ask, Message, Observation, Profile, Reply, Score
from tasks.gsm8k import score as scoring

EXEMPLARS = (4997, 4280, 3996, 1344, 6011, 328, 3809, 2053)
"""Rows of train.jsonl whose solutions upstream shows, in this order; a shorter file (the fixture's) wraps."""

ADDRESS = "THUDM/AgentTuning:eval_general/eval_gsm8k_tgi.py:doc_to_text#{}"
SYSTEM, INSTRUCTION, ASSENT = (ADDRESS.format(n) for n in (1, 2, 3))
MAX_NEW_TOKENS = 512

_CALCULATOR = re.compile(r"<<.*?>>")


def exemplar(row: Mapping[str, str]) -> tuple[Message, Message]:
    """Turn a train row into a question and its worked solution, as upstream's eight are written."""
    solution, _, final = _CALCULATOR.sub("", row["answer"]).rpartition("\n#### ")
    lines = [line if line.endswith(".") else f"{line}." for line in solution.split("\n")]
    told = "\n".join(["Let's think step by step.", *lines, f"The answer is {final.strip().replace(',', '')}"])
    return (
        Message("user", f"Question: {row['question']}".replace("\u2019", "'"), "shot"),
        Message("assistant", told.replace("\u2019", "'"), "shot"),
    )


def opening(literals: Mapping[str, str], train: Sequence[Mapping[str, str]]) -> tuple[Message, ...]:
    """Everything before the question: system text, instruction, assent and eight exemplars."""
    shots = [turn for row in EXEMPLARS for turn in exemplar(train[row % len(train)])]
    return (
        Message("system", literals[SYSTEM], "task"),
        Message("user", literals[INSTRUCTION], "task"),
        Message("assistant", literals[ASSENT], "task"),
        *shots,
    )


class Gsm8kEpisode:
    """Asks one question and values the reply."""

    def __init__(self, data: Mapping[str, str], start: tuple[Message, ...], profile: Profile) -> None:
        self._question, self._answer = data["question"], data["answer"]
        self._start, self._profile = start, profile
        self._text = ""

    async def reset(self) -> Observation:
        # Upstream's newline before the question is part of the prompt; its exemplars have none.
        question = Message("user", f"\nQuestion: {self._question}", "task")
        stop = (scoring.CUT,) if self._profile == "fixed" else ()
        return Observation((*self._start, question), Ask(MAX_NEW_TOKENS, stop=stop))

    async def step(self, reply: Reply) -> Observation:
        self._text = reply.text
        return Observation(done=True)

    async def score(self) -> Score:
        metrics = scoring.judge(self._text, self._answer)
        return Score(metrics[self._profile], metrics)

    async def close(self) -> None:
        """Nothing to release."""
