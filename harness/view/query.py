"""Which episodes a list shows and in which order, and the SQL that says so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.errors import UsageError

SORTS: Mapping[str, str] = {
    "stored": "e.id",
    "sample": "e.sample",
    "value": "coalesce(e.value, -1.0)",
    "outcome": "e.outcome",
    "turns": "e.calls",
    "tokens": "e.output_tokens",
    "seconds": "e.seconds",
    "change": "coalesce(abs(e.value - o.value), -1.0)",
}
"""Orders by name; `change` needs a second run."""
OUTCOMES = ("scored", "limit", "model_error", "infra_error", "waiting")
MOST = 200
"""Most episodes of one page."""

_SAME = "x.task = e.task AND x.version = e.version AND x.sample = e.sample AND x.repeat = e.repeat"
_LATEST = (
    f"(e.final = 1 OR (NOT EXISTS (SELECT 1 FROM episode AS x WHERE {_SAME} AND x.final = 1)"
    f" AND e.id = (SELECT max(x.id) FROM episode AS x WHERE {_SAME} AND x.final = 0)))"
)
"""The counted attempt of an item, or its newest one while none counts."""


@dataclass(frozen=True, slots=True)
class Query:
    """What a list of episodes shows; empty texts and None ask for nothing.

    Attributes:
        sample: a part of the sample's id.
        note: a part of the note or of the error.
        group: `label=value`.
        low, high: bounds of the value, both included.
        words: episodes whose texts have these words (`search.py`).
        end: a part of what the environment logged last (`search.py`).
        every: all attempts of an item, not only the one that counts.
        after: the place of the last episode of the page before: [its key in the order, its id].
    """

    task: str = ""
    outcome: str = ""
    sample: str = ""
    note: str = ""
    group: str = ""
    low: float | None = None
    high: float | None = None
    words: str = ""
    where: str = ""
    end: str = ""
    every: bool = False
    sort: str = "stored"
    down: bool = False
    after: Sequence[Any] = ()
    limit: int = 100

    def conditions(self) -> tuple[str, list[Any]]:
        """The WHERE clause for `episode AS e` and its values, without the text search and the page's start.

        Raises:
            UsageError: an outcome or a group of another form.
        """
        wanted = ["1"] if self.every or self.outcome == "infra_error" else [_LATEST]
        values: list[Any] = []
        for text, sql in ((self.task, "e.task = ?"), (self.sample, "instr(e.sample, ?) > 0")):
            if text:
                wanted.append(sql)
                values.append(text)
        if self.outcome == "waiting":
            wanted.append("e.value IS NULL AND e.outcome <> 'infra_error'")
        elif self.outcome:
            if self.outcome not in OUTCOMES:
                raise UsageError(f"outcome {self.outcome}: choose one of {', '.join(OUTCOMES)}")
            wanted.append("e.outcome = ?")
            values.append(self.outcome)
        if self.note:
            wanted.append("(instr(e.note, ?) > 0 OR instr(e.error, ?) > 0)")
            values += [self.note, self.note]
        for bound, sql in ((self.low, "e.value >= ?"), (self.high, "e.value <= ?")):
            if bound is not None:
                wanted.append(sql)
                values.append(bound)
        if self.group:
            label, equals, value = self.group.partition("=")
            if not equals:
                raise UsageError(f"group {self.group}: give LABEL=VALUE")
            wanted.append("EXISTS (SELECT 1 FROM json_each(e.labels) AS l WHERE l.key = ? AND l.value = ?)")
            values += [label, value]
        return " AND ".join(wanted), values

    def order(self) -> tuple[str, str, list[Any]]:
        """SQL of the key in the order, of what follows the page before, and its values.

        Raises:
            UsageError: an unknown order, or a place that no page gave.
        """
        if self.sort not in SORTS:
            raise UsageError(f"sort {self.sort}: choose one of {', '.join(SORTS)}")
        key = SORTS[self.sort]
        if not self.after:
            return key, "1", []
        if len(self.after) != 2 or not all(isinstance(part, int | float | str) for part in self.after):
            raise UsageError("after: give the place that the page before gave")
        return key, f"({key}, e.id) {'<' if self.down else '>'} (?, ?)", list(self.after)
