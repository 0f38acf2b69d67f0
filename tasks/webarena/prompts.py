"""The prompt of one step: introduction, examples, the page as it is now, and a line on the last action."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from harness.data import literals
from harness.errors import DataError
from harness.types import Message
from tasks.webarena.action import ArenaAction

FILE = "prompts.json"
AGENTTUNING = "THUDM/AgentTuning:eval_heldout/webarena/"
CURRENT = "web-arena-x/webarena:"

_PROMPT = AGENTTUNING + "agent/prompts/raw/p_cot_id_actree_2s.py:prompt"
_API = AGENTTUNING + "agent/prompts/prompt_constructor.py:PromptConstructor.get_lm_api_input#"
_LINE = AGENTTUNING + "browser_env/helper_functions.py:get_action_description#"
_RUN = AGENTTUNING + "run.py:"
_GRADER = "evaluation_harness/helper_functions.py:"

ADDRESSES = (
    _PROMPT,
    *(f"{_API}{n}" for n in (34, 37)),
    *(f"{_LINE}{n}" for n in (12, 13, 14, 19, 20, 21, 22, 23)),
    *(f"{AGENTTUNING}{_GRADER}llm_fuzzy_match#{n}" for n in (4, 8, 9, 10)),
    *(f"{_RUN}early_stop#{n}" for n in (1, 4, 5, 9, 10, 11, 12)),
    f"{_RUN}test#14",
    f"{AGENTTUNING}browser_env/env_config.py:ACCOUNTS",
    *(f"{CURRENT}{_GRADER}llm_fuzzy_match#{n}" for n in (1, 2, 4, 6, 7, 9)),
    *(f"{CURRENT}{_GRADER}llm_ua_match#{n}" for n in (2, 4, 6, 8)),
)
"""All literals the task reads."""

Judging = str
"""Which question a judge is asked: `infer` (2023), `grade` or `reason` (2024)."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What a step shows of the browser.

    Attributes:
        page: the tab line and the page's tree, cut to its length.
        url: of the current page, as the model sees it.
        last: the line on the last action.
    """

    page: str
    url: str
    last: str


class WebArenaPrompts:
    """All text of a data folder.

    Args:
        data: the folder that holds `prompts.json`.
    """

    def __init__(self, data: Path) -> None:
        self._path = data / FILE
        self._texts: Mapping[str, Any] = literals(self._path)

    def check(self) -> None:
        """Refuse a file that lacks a text.

        Raises:
            DataError: it names the first text that is missing.
        """
        for address in ADDRESSES:
            self._text(address)

    @cached_property
    def header(self) -> tuple[Message, ...]:
        """What precedes every page: the system line, the introduction, its answer, two examples."""
        prompt = self._text(_PROMPT)
        header = [
            Message("system", self._text(f"{_API}34"), "shot"),
            Message("user", prompt["intro"].strip(), "shot"),
            Message("assistant", self._text(f"{_API}37"), "shot"),
        ]
        for question, answer in prompt["examples"]:
            header += [
                Message("user", question.strip(), "shot"),
                Message("assistant", answer.strip(), "shot"),
            ]
        return tuple(header)

    def messages(self, intent: str, shown: Shown) -> tuple[Message, ...]:
        """The whole conversation of one step; of earlier steps it has only the line on the last action."""
        values = {
            "objective": intent,
            "url": shown.url,
            "observation": shown.page,
            "previous_action": shown.last,
        }
        text = self._text(_PROMPT)["template"].format(**values)
        return (*self.header, Message("user", text.strip(), "task"))

    def line(self, action: ArenaAction, reply: str, node: str | None) -> str:
        """The line that tells the model of its last action.

        Args:
            action: what was read out of the reply.
            reply: the whole reply, which is quoted when it could not be read.
            node: the page's line on the element that was named, None when the page has no such element.
        """
        verb, element = action.verb, action.element
        if verb == "none":
            fence = self._text(_PROMPT)["meta_data"]["action_splitter"]
            start, format_, how, form, end = (self._text(f"{_LINE}{n}") for n in (19, 20, 21, 22, 23))
            return f"{start}{reply}{format_}{fence}{how}{fence}{form}{fence}{end}"
        if verb in ("click", "hover", "type"):
            if node is None:
                start, on, end = (self._text(f"{_LINE}{n}") for n in (12, 13, 14))
                return f"{start}{verb}{on}{element}{end}"
            content = " ".join(node.split()[1:])
            typed = f" [{action.text}]" if verb == "type" else ""
            return f"{verb} [{element}]{typed} where [{element}] is {content}"
        if verb in ("press", "scroll", "goto", "stop"):
            return f"{verb} [{action.text}]"
        return f"page_focus [{action.text}]" if verb == "tab_focus" else verb

    def stopped(self, why: str, count: int) -> str:
        """The text that stands in place of an answer when an episode was stopped early.

        Args:
            why: `steps`, `unread`, `same` or `typed`.
            count: how many steps or repetitions were too many.
        """
        start = self._text(f"{_RUN}test#14")
        if why == "steps":
            return f"{start}{self._text(f'{_RUN}early_stop#1')}{count}"
        first = {"unread": 4, "same": 9, "typed": 11}[why]
        return (
            start
            + self._text(f"{_RUN}early_stop#{first}")
            + str(count)
            + self._text(f"{_RUN}early_stop#{first + 1}")
        )

    @property
    def accounts(self) -> Mapping[str, Mapping[str, str]]:
        """User name and password of each site's account, by site."""
        return self._text(f"{AGENTTUNING}browser_env/env_config.py:ACCOUNTS")

    def judge(self, kind: Judging, intent: str, wanted: str, said: str) -> tuple[Message, ...]:
        """A question to the judge.

        Args:
            kind: `infer`, `grade` or `reason`.
            intent: the task's instruction.
            wanted: the reference.
            said: the answer.
        """
        system = Message("system", self._text(f"{AGENTTUNING}{_GRADER}llm_fuzzy_match#4"))
        return (system, Message("user", self._question(kind, intent, wanted, said)))

    def _question(self, kind: Judging, intent: str, wanted: str, said: str) -> str:
        if kind == "infer":
            start, middle, end = (
                self._text(f"{AGENTTUNING}{_GRADER}llm_fuzzy_match#{n}") for n in (8, 9, 10)
            )
            return f"{start}{said}{middle}{wanted}{end}"
        if kind == "grade":
            texts = [self._text(f"{CURRENT}{_GRADER}llm_fuzzy_match#{n}") for n in (1, 2, 4, 6, 7, 9)]
            rules, question, reference, special, student, end = texts
            return f"{rules}{question}{intent}\n{reference}{wanted}\n{special}{student}{said}\n{end}"
        task, actual, reported, end = (
            self._text(f"{CURRENT}{_GRADER}llm_ua_match#{n}") for n in (2, 4, 6, 8)
        )
        return f"{task}{intent}\n{actual}{wanted}\n{reported}{said}\n{end}"

    def _text(self, address: str) -> Any:
        if address not in self._texts:
            raise DataError(f"{self._path} lacks {address!r}; harness data verify webarena")
        return self._texts[address]
