"""What the model is shown for one batch: three exemplars, then a page and a question about it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.data import literals
from harness.errors import DataError
from harness.history import policy
from harness.tokens import segments
from harness.types import Message

WINDOW = 3500
"""Segments of AgentBench's client that a prompt stays below."""

POLICY = f"segments-{WINDOW}"
PREVIOUS = 5
"""Earlier actions that are shown."""

EXEMPLARS = Path("AgentBench.old/data/mind2web/prompt/llm_prompt_cot.json")
ADDRESS = "THUDM/AgentTuning:AgentBench.old/src/tasks/mind2web/dataloader.py:"
GENERATION = tuple(f"{ADDRESS}format_input_generation#{n}" for n in (4, 5, 11))
QUESTION = tuple(f"{ADDRESS}format_input_multichoice#{n}" for n in (4, 5, 11))
"""Where the words before the task, before the earlier actions and after them stand."""


@dataclass(frozen=True, slots=True)
class Mind2WebPrompts:
    """The fixed texts of a run.

    Attributes:
        exemplars: alternating turns, the user's first; upstream's list ends with an empty user's turn for the
            question, which is not part of it.
        before_task: the words before the task.
        before_actions: those before the earlier actions.
        ask: those behind them, with the first choice.
    """

    exemplars: tuple[Message, ...]
    before_task: str
    before_actions: str
    ask: str

    def question(self, task: str, previous: Sequence[str], page: str, choices: Sequence[str]) -> Message:
        """The live turn.

        Args:
            task: the goal of the page's user.
            previous: all earlier actions as recorded.
            page: its text.
            choices: the words of each candidate.
        """
        actions = "".join(f"{action}\n" for action in previous[-PREVIOUS:]) or "None\n"
        lines = "".join(f"{chr(ord('B') + n)}. {choice}\n" for n, choice in enumerate(choices))
        asked = f"{self.before_task}{task}{self.before_actions}{actions}{self.ask}{lines}"
        return Message("user", f"'''\n{page}\n'''\n\n{asked}", "task")


def load(data: Path) -> Mind2WebPrompts:
    """Read the exemplars and the words of the question.

    Raises:
        DataError: a file is missing or not of the expected form.
    """
    texts = literals(data / "prompts.json")
    path = data / EXEMPLARS
    try:
        turns: list[Any] = json.loads(path.read_text(encoding="utf-8"))
        *shown, last = (_message(turn) for turn in turns)
        if last != Message("user", "", "shot"):
            raise ValueError("the last turn is not an empty one of the user")
        before_task, before_actions, ask = (str(texts[address]) for address in QUESTION)
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        fix = "`harness doctor mind2web` says how to get it"
        raise DataError(f"{path} or prompts.json is not as expected ({error!r}); {fix}") from error
    return Mind2WebPrompts(tuple(shown), before_task, before_actions, ask)


def _message(turn: dict[str, str]) -> Message:
    return Message("assistant" if turn["role"] == "agent" else "user", turn["content"], "shot")


def kept(messages: Sequence[Message]) -> int:
    """How many of the messages upstream's window shows; 1 is the first exemplar's question alone."""
    shown, _ = policy(POLICY)
    return len(shown(messages, lambda _: "", segments))


def fitted(exemplars: Sequence[Message], question: Message) -> tuple[Message, ...]:
    """The question behind as many of the last exemplars as the window takes, each a question and its answer.

    Unlike upstream's window it never drops the question, nor pairs one with another's answer.
    """
    left = WINDOW - segments(question.content)
    start = len(exemplars)
    while start >= 2:
        left -= sum(segments(message.content) for message in exemplars[start - 2 : start])
        if left <= 0:
            break
        start -= 2
    return tuple(
        Message(message.role, message.content.strip(), message.pin)
        for message in (*exemplars[start:], question)
    )
