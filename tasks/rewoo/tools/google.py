"""The Google tool, through Serper's search API."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tasks._shared.web import Request
from tasks.rewoo.tools.base import ToolError, askable
from tasks.rewoo.tools.service import Service

KEY = "SERPER_API_KEY"
NO_RESULT = "No good Google Search Result was found"
RESULTS = 10


class Google(Service):
    """Answer box, else knowledge graph and snippets, in one line as upstream has them."""

    variable = KEY

    def _request(self, text: str) -> Request:
        return Request(
            "google",
            self._endpoint,
            body={"q": askable(text), "gl": "us", "hl": "en", "num": RESULTS},
            headers={"X-API-KEY": self._key},
        )

    def _parse(self, body: bytes) -> Mapping[str, Any]:
        found = json.loads(body)
        if not isinstance(found, dict):
            raise ValueError("no JSON object")
        return found

    def _read(self, body: bytes) -> str:
        return best(self._parse(body))


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
