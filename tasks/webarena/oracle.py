"""Solves the own sites' tasks by their gold actions, finding each element on the page that it is shown."""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.episode import BaseOracle
from harness.types import Observation
from tasks.webarena.rows import ArenaRow

_PLACE = re.compile(r"\{(\w+):([^}]*)\}")


class ArenaOracle(BaseOracle):
    """One attempt at one task; a task of the real sites is only answered, with its reference."""

    def __init__(self, row: ArenaRow) -> None:
        self._row = row
        self._steps: Iterator[str] = iter(row.gold or (f"stop [{self._reference()}]",))

    async def reply(self, observation: Observation) -> str:
        """The next action, with the ids of the page as shown."""
        page = observation.messages[-1].content
        step = next(self._steps, "stop []")
        return f"The next action is ```{_PLACE.sub(lambda found: self._id(found, page), step)}```"

    def _id(self, place: re.Match[str], page: str) -> str:
        role, name = place.groups()
        found = re.search(rf"\[(\d+)\] {role} {re.escape(repr(name))}", page)
        return found[1] if found else "0"

    def _reference(self) -> str:
        row = self._row
        return row.exact if row.exact is not None else "; ".join((*row.include, *row.fuzzy))
