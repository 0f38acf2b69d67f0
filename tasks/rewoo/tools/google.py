"""The Google tool, through Serper's search API."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from harness.errors import InfraError
from tasks._shared.recorded import Answers, NoRecord
from tasks._shared.web import Answer, Request, Web
from tasks.rewoo.plan import NOTHING
from tasks.rewoo.tools.base import Evidence, ToolError, askable

ENDPOINT = "https://google.serper.dev/search"
KEY = "SERPER_API_KEY"
NO_RESULT = "No good Google Search Result was found"
RESULTS = 10


class Google:
    """Answer box, else knowledge graph and snippets, in one line as upstream has them."""

    fallback = ""

    def __init__(self, answers: Answers, web: Web | None, *, endpoint: str, key: str) -> None:
        self._answers, self._web = answers, web
        self._endpoint, self._key = endpoint, key

    async def use(self, key: str, text: str) -> Evidence:
        del key
        request = Request(
            "google",
            self._endpoint,
            body={"q": askable(text), "gl": "us", "hl": "en", "num": RESULTS},
            headers={"X-API-KEY": self._key},
        )
        try:
            answer = await self._answers.get(request, lambda: self._ask(request))
        except NoRecord:
            return Evidence(NOTHING, "replay", missed=True)
        if answer.status != 200:
            raise ToolError(f"HTTP {answer.status}")
        return Evidence(best(json.loads(answer.body)), self._answers.mode)

    async def _ask(self, request: Request) -> Answer:
        if self._web is None:
            raise NoRecord(request.service)
        answer = await self._web.fetch(request, transient=_broken)
        if answer.status in (401, 402, 403):
            raise InfraError(f"Serper refuses the key in {KEY}: HTTP {answer.status}")
        return answer


def best(found: Mapping[str, Any]) -> str:
    """Put a search result into words.

    Raises:
        ToolError: the result lists no organic hits at all, where upstream's wrapper raised.
    """
    box = found.get("answerBox") or {}
    if box.get("answer"):
        return str(box["answer"])
    if box.get("snippet"):
        return str(box["snippet"]).replace("\n", " ")
    if box.get("snippetHighlighted"):
        return " ".join(str(part) for part in box["snippetHighlighted"])
    words = _graph(found.get("knowledgeGraph") or {})
    if "organic" not in found:
        raise ToolError("the search result has no organic hits")
    for hit in found["organic"][:RESULTS]:
        if "snippet" in hit:
            words.append(str(hit["snippet"]))
        words += [f"{name}: {value}." for name, value in (hit.get("attributes") or {}).items()]
    return " ".join(words) or NO_RESULT


def _graph(graph: Mapping[str, Any]) -> list[str]:
    title, words = graph.get("title"), []
    if graph.get("type"):
        words.append(f"{title}: {graph['type']}.")
    if graph.get("description"):
        words.append(str(graph["description"]))
    return words + [f"{title} {name}: {value}." for name, value in (graph.get("attributes") or {}).items()]


def _broken(answer: Answer) -> str | None:
    if answer.status != 200:
        return None
    try:
        return None if isinstance(json.loads(answer.body), dict) else "the body is no JSON object"
    except ValueError:
        return "the body is no JSON"
