"""A web service with a key: its answers are recorded, its failures repeated, bad inputs reported as such."""

from __future__ import annotations

from typing import ClassVar

from harness.errors import InfraError, MissingRecord
from harness.types import Chat
from tasks._shared.recorded import Answers
from tasks._shared.web import Answer, Request, Web
from tasks.rewoo.action import NOTHING
from tasks.rewoo.tools.base import Evidence, ToolError


class Service:
    """The common part of Google and WolframAlpha.

    Args:
        answers: where answers are stored.
        web: the network; None in a replay.
        endpoint: its address.
        key: the secret; it is in no recorded request.
    """

    fallback = ""
    variable: ClassVar[str]
    """Environment variable that holds the key."""

    def __init__(self, answers: Answers, web: Web | None, *, endpoint: str, key: str) -> None:
        self._answers, self._web = answers, web
        self._endpoint, self._key = endpoint, key

    async def use(self, key: str, text: str, chat: Chat | None) -> Evidence:
        del key, chat
        request = self._request(text)
        try:
            answer = await self._answers.get(request.question, lambda: self._ask(request))
        except MissingRecord:
            return Evidence(NOTHING, "replay", missed=True)
        if answer.status != 200:
            raise ToolError(f"HTTP {answer.status}")
        return Evidence(self._read(answer.body), self._answers.mode)

    async def _ask(self, request: Request) -> Answer:
        if self._web is None:
            raise MissingRecord(request.service)
        answer = await self._web.fetch(request, transient=self._broken)
        if self._refused(answer):
            raise InfraError(f"{request.service} refuses the key in {self.variable}: HTTP {answer.status}")
        return answer

    def _broken(self, answer: Answer) -> str | None:
        """The reason why a body with a good status cannot be read, for another request; None when it can."""
        if answer.status != 200:
            return None
        try:
            self._parse(answer.body)
        except ValueError as error:
            return f"the body cannot be read: {error}"
        return None

    # -- to be defined by each service

    def _request(self, text: str) -> Request:
        raise NotImplementedError

    def _parse(self, body: bytes) -> object:
        """Parse a body; ValueError when it is not one of this service."""
        raise NotImplementedError

    def _read(self, body: bytes) -> str:
        raise NotImplementedError

    def _refused(self, answer: Answer) -> bool:
        """Whether the key, not the input, is refused."""
        return answer.status in (401, 402, 403)
