"""The knowledge graph as a protocol: one column of values for one query."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from tasks.knowledgegraph.sparql import NAMESPACE, ROWS, Query

TIMEZONE = "-08:00"
"""Upstream deletes this from every value: the server adds its own time zone to dates."""


class QueryRefused(Exception):
    """The server refuses a query for its cost: the model's call fails, the server is in order."""


@dataclass(frozen=True, slots=True)
class Found:
    """The values of an answer, each once.

    Attributes:
        truncated: the answer reached the most rows that are read.
    """

    values: tuple[str, ...]
    truncated: bool = False


class Graph(Protocol):
    """A source of answers."""

    name: str
    """Backend as printed beside a score, such as `remote` or `synthetic`."""

    async def select(self, query: Query) -> Found:
        """Answer a query.

        Raises:
            QueryRefused: it would cost too much.
            InfraError: it could not be answered.
        """
        ...

    def facts(self) -> Mapping[str, str]:
        """What determines the answers, for the manifest."""
        ...


def found(values: list[str]) -> Found:
    """Values as upstream reads them: without the namespace and the server's time zone, at most `ROWS`."""
    plain = (value.replace(NAMESPACE, "").replace(TIMEZONE, "") for value in values[:ROWS])
    return Found(tuple(dict.fromkeys(plain)), truncated=len(values) >= ROWS)
