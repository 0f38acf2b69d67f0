"""The WolframAlpha tool, through its full-results API."""

from __future__ import annotations

from xml.etree import ElementTree

from tasks._shared.web import Answer, Request
from tasks.rewoo.tools.base import ToolError, askable
from tasks.rewoo.tools.service import Service

KEY = "WOLFRAM_ALPHA_APPID"
NOT_ABLE = "Wolfram Alpha wasn't able to answer it"
NO_RESULT = "No good Wolfram Alpha Result was found"
_WRONG_KEY = ("1", "2")
"""The API's codes for an application id that is invalid or missing."""


class Wolfram(Service):
    """The primary pod's text."""

    variable = KEY

    def _request(self, text: str) -> Request:
        return Request(
            "wolfram",
            self._endpoint,
            params={"input": askable(text, longest=2000)},
            secrets={"appid": self._key},
        )

    def _parse(self, body: bytes) -> ElementTree.Element:
        # Entities could expand to gigabytes, and this API declares none.
        if b"<!DOCTYPE" in body or b"<!ENTITY" in body:
            raise ValueError("it declares a document type")
        try:
            return ElementTree.fromstring(body)
        except ElementTree.ParseError as error:
            raise ValueError(f"no XML: {error}") from error

    def _read(self, body: bytes) -> str:
        return result(self._parse(body))

    def _refused(self, answer: Answer) -> bool:
        if answer.status == 200:
            return _error_code(self._parse(answer.body)) in _WRONG_KEY
        return super()._refused(answer)


def result(root: ElementTree.Element) -> str:
    """Read the first pod that is primary or called Result.

    Raises:
        ToolError: the API reports an error.
    """
    if root.get("error") == "true":
        raise ToolError(f"WolframAlpha error {_error_code(root)}")
    for found in root.iter("pod"):
        if found.get("primary") == "true" or found.get("title") == "Result":
            text = found.findtext("subpod/plaintext")
            return text.replace("Answer:", "").strip() if text else NO_RESULT
    return NOT_ABLE


def _error_code(root: ElementTree.Element) -> str:
    return root.findtext("error/code") or ""
