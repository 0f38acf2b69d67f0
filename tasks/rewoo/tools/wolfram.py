"""The WolframAlpha tool, through its full-results API."""

from __future__ import annotations

from xml.etree import ElementTree

from harness.errors import InfraError
from tasks._shared.recorded import Answers, NoRecord
from tasks._shared.web import Answer, Request, Web
from tasks.rewoo.plan import NOTHING
from tasks.rewoo.tools.base import Evidence, ToolError, askable

ENDPOINT = "https://api.wolframalpha.com/v2/query"
KEY = "WOLFRAM_ALPHA_APPID"
NOT_ABLE = "Wolfram Alpha wasn't able to answer it"
NO_RESULT = "No good Wolfram Alpha Result was found"
_WRONG_KEY = ("1", "2")
"""The API's codes for an application id that is invalid or missing."""


class Wolfram:
    """The primary pod's text."""

    fallback = ""

    def __init__(self, answers: Answers, web: Web | None, *, endpoint: str, key: str) -> None:
        self._answers, self._web = answers, web
        self._endpoint, self._key = endpoint, key

    async def use(self, key: str, text: str) -> Evidence:
        del key
        request = Request(
            "wolfram",
            self._endpoint,
            params={"input": askable(text, longest=2000)},
            secrets={"appid": self._key},
        )
        try:
            answer = await self._answers.get(request, lambda: self._ask(request))
        except NoRecord:
            return Evidence(NOTHING, "replay", missed=True)
        if answer.status != 200:
            raise ToolError(f"HTTP {answer.status}")
        return Evidence(result(answer.body), self._answers.mode)

    async def _ask(self, request: Request) -> Answer:
        if self._web is None:
            raise NoRecord(request.service)
        answer = await self._web.fetch(request, transient=_broken)
        refused = answer.status in (401, 403)
        if refused or (answer.status == 200 and _error_code(answer.body) in _WRONG_KEY):
            raise InfraError(f"WolframAlpha refuses the key in {KEY}")
        return answer


def result(body: bytes) -> str:
    """Read the first pod that is primary or called Result.

    Raises:
        ToolError: the API reports an error.
    """
    root = ElementTree.fromstring(body)
    if root.get("error") == "true":
        raise ToolError(f"WolframAlpha error {_error_code(body)}")
    for found in root.iter("pod"):
        if found.get("primary") == "true" or found.get("title") == "Result":
            text = found.findtext("subpod/plaintext")
            return text.replace("Answer:", "").strip() if text else NO_RESULT
    return NOT_ABLE


def _error_code(body: bytes) -> str:
    return ElementTree.fromstring(body).findtext("error/code") or ""


def _broken(answer: Answer) -> str | None:
    """Entities could blow up a parser, and this API never declares any."""
    if answer.status != 200:
        return None
    if b"<!DOCTYPE" in answer.body or b"<!ENTITY" in answer.body:
        return "the body declares a document type"
    try:
        ElementTree.fromstring(answer.body)
    except ElementTree.ParseError as error:
        return f"the body is no XML: {error}"
    return None
