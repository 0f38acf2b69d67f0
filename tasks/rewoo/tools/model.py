"""The LLM tool and the calculator's translator: the auxiliary model `tool_llm`, recorded with the rest."""

from __future__ import annotations

import json

from harness.errors import ContextOverflow, InfraError, MissingRecord
from harness.types import Ask, Chat, Message
from tasks._shared.recorded import Answers
from tasks._shared.web import Answer, Request
from tasks.rewoo.action import NOTHING
from tasks.rewoo.tools.base import Evidence, ToolError

ROLE = "tool_llm"


class Model:
    """Asks `tool_llm`. A recording stores its answers; a replay reads them and asks only for others."""

    def __init__(self, answers: Answers) -> None:
        # Not in a cache, which would give one model's answers to a run with another model.
        self._answers = answers if answers.mode in ("record", "replay") else None

    async def ask(
        self, chat: Chat | None, key: str, prompt: str, ask: Ask, *, raw: bool = False
    ) -> tuple[str, str]:
        """Answer a prompt; returns the text and its origin.

        Raises:
            MissingRecord: in a replay without a bound model, nothing is recorded.
            ToolError: the prompt does not fit the model.
            InfraError: the role failed.
        """

        async def live() -> Answer:
            text = await _live(chat, key, prompt, ask, raw=raw)
            return Answer(200, json.dumps({"text": text}).encode())

        if self._answers is None:
            return await _live(chat, key, prompt, ask, raw=raw), "live"
        request = Request("llm", f"role:{ROLE}", body={"prompt": prompt, "stop": list(ask.stop)})
        try:
            answer = await self._answers.get(request.question, live)
            source = self._answers.mode
        except MissingRecord:
            if chat is None:
                raise
            answer, source = await live(), "live"
        return str(json.loads(answer.body)["text"]), source


class LLM:
    """One short directive, then the request."""

    fallback = ""

    def __init__(self, model: Model, template: str) -> None:
        self._model, self._template = model, template

    async def use(self, key: str, text: str, chat: Chat | None) -> Evidence:
        prompt = self._template.replace("{request}", text)
        try:
            answer, source = await self._model.ask(chat, key, prompt, Ask(max_new_tokens=512))
        except MissingRecord:
            return Evidence(NOTHING, "replay", missed=True)
        return Evidence(answer.strip("\n"), source)


async def _live(chat: Chat | None, key: str, prompt: str, ask: Ask, *, raw: bool) -> str:
    if chat is None:
        raise InfraError(f"the role {ROLE} is not bound")
    try:
        reply = await chat.ask(key, prompt if raw else (Message("user", prompt),), ask)
    except ContextOverflow as error:
        raise ToolError(f"the prompt does not fit {ROLE}") from error
    return reply.text
