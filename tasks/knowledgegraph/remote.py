"""The graph behind a SPARQL endpoint: asked live, recorded, or replayed from a snapshot."""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import msgspec

from harness.errors import DataError, InfraError, MissingPart, MissingRecord
from tasks._shared.recorded import Answers
from tasks._shared.web import Answer, Request, Web, by_length
from tasks.knowledgegraph.graph import Found, QueryRefused, found
from tasks.knowledgegraph.sparql import Query

JSON = "application/sparql-results+json"
SERVICE = "sparql"
ABOUT: Mapping[str, Any] = {"service": SERVICE, "query": "about"}
KEPT = 500_000
"""Most values that are kept in memory over all answers."""

_TOO_COSTLY = b"estimated execution time"
"""In Virtuoso's refusal of a query that would take longer than its limit."""


class _Term(msgspec.Struct):
    value: str


class _Results(msgspec.Struct):
    bindings: list[dict[str, _Term]]


class _Content(msgspec.Struct):
    results: _Results


class EndpointGraph:
    """Answers from an endpoint or from what was recorded of one.

    Args:
        answers: its mode decides whether requests are sent; keys are programs, not the endpoint's address.
        web: the network; None when replaying.
        endpoint: address of the endpoint; empty when replaying.
    """

    def __init__(self, name: str, answers: Answers, web: Web | None, endpoint: str = "") -> None:
        self.name = name
        self._answers, self._web, self._endpoint = answers, web, endpoint
        self._kept: OrderedDict[str, Found] = OrderedDict()
        self._size = 0

    async def select(self, query: Query) -> Found:
        if query.key in self._kept:
            self._kept.move_to_end(query.key)
            return self._kept[query.key]
        answer = await self._answers.get(
            {"service": SERVICE, "query": query.key}, lambda: self._ask(query.text)
        )
        if refused(answer):
            raise QueryRefused(f"the endpoint refuses the query: {_shown(answer)}")
        if answer.status != 200:
            raise InfraError(
                f"the endpoint answers HTTP {answer.status} to {query.key[:200]}: {_shown(answer)}"
            )
        values = await asyncio.to_thread(read, answer.body)
        if values is None:
            raise InfraError(
                f"the answer to {query.key[:200]} is not of SPARQL's JSON form: {_shown(answer)}"
            )
        return self._keep(query.key, found(values))

    def facts(self) -> Mapping[str, str]:
        return self._answers.describe()

    def _keep(self, key: str, answer: Found) -> Found:
        """Keep an answer in memory, and let the least recently used ones go."""
        if key not in self._kept:
            self._kept[key] = answer
            self._size += len(answer.values) + 1
            while self._size > KEPT:
                _, dropped = self._kept.popitem(last=False)
                self._size -= len(dropped.values) + 1
        return answer

    async def _ask(self, text: str) -> Answer:
        if self._web is None:
            raise MissingRecord("no request is sent in a replay")
        request = Request(SERVICE, self._endpoint, params={"query": text}, headers={"Accept": JSON})
        return await self._web.fetch(by_length(request), transient=_unreadable, final=refused)


def read(body: bytes) -> list[str] | None:
    """The values of a result with one column, in SPARQL's JSON form; None when it is another."""
    try:
        rows = msgspec.json.decode(body, type=_Content).results.bindings
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return [term.value for row in rows for term in row.values()]


def refused(answer: Answer) -> bool:
    """Whether the server refuses a query for its cost; asking again would not help."""
    return answer.status >= 400 and _TOO_COSTLY in answer.body[:2000].lower()


def _unreadable(answer: Answer) -> str | None:
    """The reason why an answer that came as a success is none, such as a body that is cut off."""
    whole = answer.status != 200 or answer.body.rstrip().endswith(b"}")
    return None if whole else f"an answer that is cut off or no JSON: {_shown(answer)}"


def _shown(answer: Answer) -> str:
    return answer.body[:200].decode("utf-8", "replace")


async def declare(answers: Answers, split: str, endpoint: str) -> None:
    """Write into a recording what it is of.

    Raises:
        DataError: the file was started for another split.
    """

    async def about() -> Answer:
        return Answer(200, json.dumps({"split": split, "endpoint": endpoint}).encode())

    _check_split(json.loads((await answers.get(ABOUT, about)).body), split, "name another file")


async def check_declared(answers: Answers, split: str) -> None:
    """Check that a snapshot is of this split.

    Raises:
        MissingPart: it is of another one.
        DataError: it is none of this task.
    """

    async def about() -> Answer:
        raise MissingRecord

    try:
        content = json.loads((await answers.get(ABOUT, about)).body)
    except MissingRecord:
        raise DataError("the snapshot is none of knowledgegraph; name one that backend=record made") from None
    _check_split(content, split, "record this split, or choose the other with --split")


def _check_split(content: Mapping[str, Any], split: str, fix: str) -> None:
    if content.get("split") != split:
        raise MissingPart(
            f"the snapshot was recorded for the split {content.get('split')}, not {split}: {fix}"
        )
