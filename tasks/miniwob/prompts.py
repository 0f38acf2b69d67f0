"""The prompt files of the released scripts, read byte for byte, and the documents made of them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from harness.data import literals
from harness.errors import DataError
from harness.types import Message

_AGENT = "miniwob++/llm_agent.py:"
_REGEXES = "miniwob++/prompt.py:Prompt."
_FILES = ("base", "example", "initialize_plan", "first_action", "action", "update_action", "rci_action")
_PLACEHOLDERS = {
    "type": "davinci_type",
    "press": "press",
    "clickxpath": "clickxpath",
    "clickoption": "clickoption",
    "movemouse": "movemouse",
}


@dataclass(frozen=True, slots=True)
class PromptFiles:
    """The seven files of a task (or of the folder for tasks without one of their own)."""

    base: str
    example: str
    initialize_plan: str
    first_action: str
    action: str
    update_action: str
    rci_action: str


class MiniWobPrompts:
    """All prompt text of a data folder.

    Args:
        data: the task's data folder, with `constants.json` and `prompt/`.
    """

    def __init__(self, data: Path) -> None:
        self._data = data
        self._texts: Mapping[str, Any] = literals(data / "constants.json")
        self._files: dict[str, PromptFiles] = {}

    @cached_property
    def patterns(self) -> tuple[re.Pattern[str], ...]:
        """The regular expressions that accept an instruction, all of them for every task."""
        names = ("clickxpath", "davinci_type", "chatgpt_type", "press", "clickoption", "movemouse")
        return tuple(re.compile(self._regex(name), re.IGNORECASE) for name in names)

    @cached_property
    def header(self) -> tuple[Message, ...]:
        """What precedes every document: the system line, the role, two exemplars of another task."""
        shots = json.loads(self._read("few-shot.json"))
        picked = [shots[n]["conversations"] for n in self._text("get_response#fewshot_indices")]
        (plan, planned), (act, acted) = ([turn["value"] for turn in shot] for shot in picked)
        return (
            Message("system", self._text("get_response#system_llama"), "shot"),
            Message("user", self._text("BIG_PROMPT"), "shot"),
            Message("assistant", self._text("get_response#ack"), "shot"),
            Message("user", plan, "shot"),
            Message("assistant", planned, "shot"),
            Message("user", self._next_task + act, "shot"),
            Message("assistant", acted, "shot"),
        )

    def messages(self, document: str) -> tuple[Message, ...]:
        """The conversation of one call: the header and a growing document as the last turn."""
        return (*self.header, Message("user", self._next_task + document, "task"))

    def files(self, task: str) -> PromptFiles:
        """The prompt files of a task, placeholders filled in."""
        if task not in self._files:
            folder = f"{task}/" if (self._data / "prompt" / task).is_dir() else ""
            texts = {name: self._read(f"{folder}{name}.txt") for name in _FILES}
            for name in ("base", "rci_action"):
                for word, regex in _PLACEHOLDERS.items():
                    texts[name] = texts[name].replace(f"{{{word}}}", self._regex(regex))
            self._files[task] = PromptFiles(**texts)
        return self._files[task]

    def plan(self, task: str, html: str, goal: str) -> str:
        """The document that asks for a first plan."""
        files = self.files(task)
        shown = self._page(html)
        if files.example:
            shown += files.example + self._list("webpage_state_prompt")[3]
        return files.base + shown + self._goal(goal) + files.initialize_plan

    @property
    def critique(self) -> str:
        """Asks what is wrong with the plan."""
        return self._list("rci_plan")[0]

    @property
    def revise(self) -> str:
        """Asks for the plan anew."""
        return self._list("rci_plan")[1]

    def act(self, task: str, html: str, goal: str, plan: str, done: Sequence[str]) -> str:
        """The document that asks for the next instruction; `done` are those carried out so far."""
        files = self.files(task)
        opening, header, closing = self._list("current_plan_prompt")
        document = files.base + self._page(html) + self._goal(goal)
        document += opening + header + plan + closing + self._history(done)
        request = self._ordered(files.action, done) if done else files.first_action
        return document + self._list("generate_action")[1] + request

    @staticmethod
    def _ordered(request: str, done: Sequence[str]) -> str:
        order = {1: "2nd", 2: "3rd"}.get(len(done), f"{len(done) + 1}th")
        return request.replace("{order}", order)

    def _page(self, html: str) -> str:
        opening, header, closing = self._list("webpage_state_prompt")[:3]
        return opening + header + html + closing

    def _goal(self, goal: str) -> str:
        label, end = self._list("webpage_state_prompt")[4:6]
        return label + goal + end

    def _history(self, done: Sequence[str]) -> str:
        opening, header, none, end, closing = self._list("instruction_history_prompt")
        lines = "".join(f"{n}: {line}{end}" for n, line in enumerate(done, start=1))
        return opening + header + (lines or none) + closing

    @property
    def _next_task(self) -> str:
        return self._text("get_response#next_task_prefix")

    def _regex(self, name: str) -> str:
        return self._value(f"{_REGEXES}{name}_regex")

    def _text(self, address: str) -> Any:
        return self._value(_AGENT + address)

    def _list(self, method: str) -> list[str]:
        return self._value(f"{_AGENT}LLMAgent.{method}#literals_in_order")

    def _value(self, address: str) -> Any:
        if address not in self._texts:
            raise DataError(f"{self._data / 'constants.json'} lacks {address!r}; get the task's data again")
        return self._texts[address]

    def _read(self, name: str) -> str:
        path = self._data / "prompt" / name
        try:
            return path.read_bytes().decode("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{path} cannot be read: {error}; get the task's data again") from error
