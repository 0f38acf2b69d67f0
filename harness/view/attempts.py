"""Reads one attempt out of a run's store: its facts, its calls in their order, its judge's questions."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, cast

from harness.errors import StoreError, UsageError
from harness.storage.store import Store
from harness.types import JudgeAsk

_FACTS = (
    "SELECT id, task, version, sample, repeat, final, outcome, value, metrics, note, error, calls,"
    " prompt_tokens, output_tokens, rebuilds, started, seconds, {} FROM episode WHERE id = ?"
)
_NAMES = (
    "id", "task", "version", "sample", "repeat", "final", "outcome", "value", "metrics", "note", "error",
    "turns", "prompt_tokens", "output_tokens", "rebuilds", "started", "seconds", "labels", "cluster",
    "answer", "target",
)  # fmt: skip
LARGEST = 1_000_000
"""Bytes of a stored call beyond which a list does not unpack it."""
_LAST = "SELECT last FROM episode WHERE id = ?"
_BODY = (
    "SELECT CASE WHEN length({0}) < ? THEN {0} END FROM {1} WHERE episode = ? AND role = ''"
    " ORDER BY n DESC LIMIT 1"
)
_SAME = (
    "SELECT id, final, outcome, value, started, seconds FROM episode"
    " WHERE task = ? AND version = ? AND sample = ? AND repeat = ? ORDER BY id LIMIT 100"
)


class AttemptReader(Store):
    """A run's store with what the page of one attempt needs."""

    def attempt(self, id: int) -> dict[str, Any]:
        """What the file records of an attempt in addition to its calls.

        Raises:
            UsageError: there is no such attempt.
        """
        added = "labels, cluster, answer, target" if self.version > 1 else "'{}', '', '', ''"
        found = self._first(_FACTS.format(added), (id,))
        if found is None:
            raise UsageError(f"this run has no attempt {id}")
        facts: dict[str, Any] = dict(zip(_NAMES, found, strict=True))
        return facts | {name: json.loads(facts[name]) for name in ("metrics", "labels")}

    def attempts_of(self, item: Mapping[str, Any]) -> list[dict[str, Any]]:
        """All attempts at the item of an attempt's facts, the first hundred."""
        names = ("id", "final", "outcome", "value", "started", "seconds")
        values = tuple(item[name] for name in ("task", "version", "sample", "repeat"))
        return [dict(zip(names, row, strict=True)) for row in self._rows(_SAME, values)]

    def ended_with(self, id: int, logged: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        """What the environment logged of an attempt's last reply; empty where that cannot be read.

        Args:
            id: the attempt's.
            logged: the log of its last call, where that was read already.
        """
        try:
            found = self._first(_LAST, (id,)) if self.version > 1 else None
            last: Any = self._codec.unpack_json(found[0]).get("info") if found and found[0] else None
            if last and not isinstance(last, int):  # a number refers to the log of the last call
                return cast("Mapping[str, Any]", last)
            return self._logged_last(id) if logged is None else logged
        except (StoreError, ValueError, TypeError, AttributeError):
            return {}

    def _logged_last(self, id: int) -> Mapping[str, Any]:
        """The log of an attempt's last call."""
        for table, column, read in (
            ("turn", "body", self._codec.info),
            ("call", "info", self._codec.unpack_json),
        ):
            found = self._first(_BODY.format(column, table), (LARGEST, id)) if table in self.tables else None
            if found and found[0] is not None:
                return read(found[0])
        return {}

    def asked_of_judge(self, id: int) -> tuple[JudgeAsk, ...]:
        """The questions to the judge of an attempt; empty for tasks without one."""
        from msgspec import convert

        found = self._first("SELECT pending FROM episode WHERE id = ?", (id,))
        if found is None or found[0] is None:
            return ()
        return convert(self._codec.unpack_json(found[0])["items"], tuple[JudgeAsk, ...])

    def lately(self, since: float, newest: int) -> tuple[int, int, int]:
        """How many of the newest attempts ended since a time (Unix seconds), and their turns and tokens."""
        query = (
            "SELECT count(*), coalesce(sum(calls), 0), coalesce(sum(output_tokens), 0) FROM episode"
            " WHERE id > (SELECT coalesce(max(id), 0) FROM episode) - ? AND started + seconds > ?"
        )
        count, turns, tokens = self._first(query, (newest, since))
        return count, turns, tokens

    def failures(self, newest: int) -> Iterator[str]:
        """Why attempts among the newest failed for infrastructure, while their item has no result."""
        query = (
            "SELECT substr(error, 1, 4000) FROM episode AS e WHERE outcome = 'infra_error'"
            " AND id > (SELECT coalesce(max(id), 0) FROM episode) - ?"
            " AND NOT EXISTS (SELECT 1 FROM episode AS x WHERE x.task = e.task AND x.version = e.version"
            " AND x.sample = e.sample AND x.repeat = e.repeat AND x.final = 1)"
        )
        for (error,) in self._rows(query, (newest,)):
            yield error

    def all_verdicts(self, id: int) -> list[tuple[str, str, int, str]]:
        """Key, judge, k and text of every judge's verdicts on an attempt."""
        query = "SELECT key, judge, k, text FROM verdict WHERE episode = ? ORDER BY key, judge, k"
        found = self._rows(query, (id,)) if "verdict" in self.tables else ()
        return [(key, judge, k, self._codec.unpack(text)) for key, judge, k, text in found]
