"""Builds what HumanEval shows: the raw prompt to continue, or an instruction in a chat."""

from __future__ import annotations

from typing import Literal

from harness.types import Ask, Message, Observation
from tasks.humaneval.action import STOPS

Mode = Literal["completion", "chat"]
MAX_NEW_TOKENS = 512
INSTRUCTION = (
    "Complete the following Python function. Answer with the whole function in one fenced code block.\n\n"
    "```python\n{prompt}```"
)
"""Our own wording: the paper does not publish its HumanEval protocol."""


def asked(prompt: str, mode: Mode) -> Observation:
    """One problem, as raw text to continue or as a chat."""
    if mode == "chat":
        return Observation((Message("user", INSTRUCTION.format(prompt=prompt), "task"),), Ask(MAX_NEW_TOKENS))
    return Observation(raw=prompt, ask=Ask(MAX_NEW_TOKENS, stop=STOPS))
