"""Builds the eight-shot conversation before GSM8K's question."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from harness.types import Message

EXEMPLARS = (4997, 4280, 3996, 1344, 6011, 328, 3809, 2053)
"""Rows of train.jsonl whose solutions upstream shows, in this order; a shorter file (the fixture's) wraps."""

ADDRESS = "THUDM/AgentTuning:eval_general/eval_gsm8k_tgi.py:doc_to_text#{}"
TEXTS = tuple(ADDRESS.format(n) for n in (1, 2, 3))
"""Addresses of the system text, the instruction and the assent in prompts.json."""

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
    system, instruction, assent = (literals[address] for address in TEXTS)
    shots = [turn for row in EXEMPLARS for turn in exemplar(train[row % len(train)])]
    texts = Message("system", system, "task"), Message("user", instruction, "task")
    return (*texts, Message("assistant", assent, "task"), *shots)
