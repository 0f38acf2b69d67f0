"""The one or two runs that are looked at, and the answers to everything a page asks about them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from harness.errors import UsageError
from harness.view.changes import compared
from harness.view.episode import EpisodeView
from harness.view.query import MOST, Query
from harness.view.run_view import RunView
from harness.view.search import TextIndex, endings, hits

Given = Mapping[str, str]
"""The query of an address: what follows its question mark."""

TURNS = 100
"""Turns that are compared with another attempt's by one answer."""


class Library:
    """Opened runs; everything is called from one thread.

    Args:
        paths: of one or two stores.

    Raises:
        StoreError: one cannot be read, or holds no run.
    """

    def __init__(self, *paths: Path) -> None:
        self.runs = [RunView(path) for path in paths]
        self._indexes: dict[int, TextIndex] = {}
        self._opened: dict[int, EpisodeView] = {}
        self._paired: tuple[int, ...] = ()
        self.answers: Mapping[str, Callable[[Given], Any]] = {
            "runs": self._facts,
            "pulse": self._pulse,
            "groups": self._groups,
            "episodes": self._episodes,
            "find": self._find,
            "episode": lambda given: self._attempt(given).document,
            "part": lambda given: self._attempt(given).part(_int(given, "place"), _int(given, "start", 0)),
            "dropped": lambda given: self._attempt(given).dropped(_int(given, "n")),
            "replay": lambda given: {"text": self._attempt(given).replay_line()},
            "curl": lambda given: {"text": self._attempt(given).curl(_int(given, "n"))},
            "changes": self._changes,
        }
        """What the pages ask for, by name."""

    def close(self) -> None:
        """Close the runs and remove the search indexes."""
        for index in self._indexes.values():
            index.close()
        for run in self.runs:
            run.close()

    def _run(self, given: Given, name: str = "run") -> RunView:
        number = _int(given, name, 0)
        if not 0 <= number < len(self.runs):
            raise UsageError(f"{name} {number}: there are {len(self.runs)}, counted from 0")
        return self.runs[number]

    def _attempt(self, given: Given, run: str = "run", id: str = "id") -> EpisodeView:
        """An attempt; the one opened last of each run is kept, since a page asks for its parts."""
        number, wanted = _int(given, run, 0), _int(given, id)
        opened = self._opened.get(number)
        if opened is None or opened.id != wanted:
            opened = EpisodeView(self._run(given, run), wanted)
            self._opened[number] = opened
        return opened

    def _pulse(self, given: Given) -> Any:
        """Changes whenever one of the runs was written to."""
        del given
        return {"changed": [[run.changed(), run.newest()] for run in self.runs]}

    def _facts(self, given: Given) -> Any:
        del given
        self._pair()
        found = [run.facts() for run in self.runs]
        flips = self.runs[0].flips()
        for task in found[0]["tasks"]:
            task["flips"] = flips.get(task["task"], 0)
        return {"runs": found}

    def _pair(self) -> None:
        """Lay the second run beside the first: what is new of it, or all when it changed otherwise."""
        if len(self.runs) < 2:
            return
        now = (self.runs[1].changed(), self.runs[1].newest())
        if now != self._paired:
            grown = bool(self._paired) and now[1] > self._paired[1]
            self.runs[0].pair_with(self.runs[1].counted(self._paired[1] if grown else 0), anew=not grown)
            self._paired = now

    def _groups(self, given: Given) -> Any:
        return {"groups": self._run(given).groups(given.get("task", ""))}

    def _episodes(self, given: Given) -> Any:
        run, query = self._run(given), _query(given)
        self._pair()
        wanted = [hits(query.words, query.where)] if query.words else []
        wanted += [endings(query.end)] if query.end else []
        if not wanted:
            return run.page(query)
        ids = " INTERSECT ".join(wanted)
        index = self._index(given)
        index.catch_up(run.newest())
        state = index.state
        if not state["done"]:
            return {"rows": [], "next": None, "index": state}
        return run.page(query, ids) | {"index": state}

    def _index(self, given: Given) -> TextIndex:
        number, run = _int(given, "run", 0), self._run(given)
        if number not in self._indexes:
            index = TextIndex(run.path)
            self._indexes[number] = index
            run.attach(index.path)
        return self._indexes[number]

    def _find(self, given: Given) -> Any:
        return {"id": self._run(given).find(given.get("task", ""), given.get("sample", ""))}

    def _changes(self, given: Given) -> Any:
        """The replies of two attempts side by side, turn by turn."""
        first, second = self._attempt(given), self._attempt(given, "other", "with")
        if first.private or second.private:
            raise UsageError(f"{first.facts['task']}: the texts of this task are not shown")
        return {"turns": changes(first, second)}


def changes(first: EpisodeView, second: EpisodeView) -> list[dict[str, Any]]:
    """The model's replies of two attempts compared, by turn."""
    replies = [[call.reply for call in view.calls if not call.role] for view in (first, second)]
    count = min(TURNS, max(map(len, replies)))
    padded = [[*some, *[""] * (count - len(some))] for some in replies]
    return [compared(a, b) for a, b in zip(padded[0][:count], padded[1][:count], strict=True)]


def _query(given: Given) -> Query:
    return Query(
        task=given.get("task", ""),
        outcome=given.get("outcome", ""),
        sample=given.get("sample", ""),
        note=given.get("note", ""),
        group=given.get("group", ""),
        low=_number(given, "low"),
        high=_number(given, "high"),
        words=given.get("words", ""),
        where=given.get("where", ""),
        end=given.get("end", ""),
        every=given.get("every") == "1",
        sort=given.get("sort") or "stored",
        down=given.get("down") == "1",
        after=_after(given.get("after", "")),
        limit=min(_int(given, "limit", 100), MOST),
    )


def _after(text: str) -> list[Any]:
    try:
        found: Any = json.loads(text) if text else []
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, list):
        raise UsageError("after: give the place that the page before gave")
    return cast("list[Any]", found)


def _int(given: Given, name: str, default: int | None = None) -> int:
    text = given.get(name, "")
    if not text and default is not None:
        return default
    try:
        number = int(text)
    except ValueError:
        number = None
    if number is None or abs(number) >= 1 << 63:
        raise UsageError(f"{name} {text[:50]!r}: give a whole number")
    return number


def _number(given: Given, name: str) -> float | None:
    text = given.get(name, "")
    try:
        return float(text) if text else None
    except ValueError:
        raise UsageError(f"{name} {text[:50]!r}: give a number") from None
