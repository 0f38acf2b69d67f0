"""Reads from a run's store what the pages show: its tasks, and its episodes a page at a time."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import Any, cast

from harness.catalog import registry
from harness.errors import HarnessError, StoreError, UsageError
from harness.models import outside
from harness.types import TaskSpec
from harness.view.attempts import AttemptReader
from harness.view.query import Query
from harness.view.texts import hidden, in_a_line, remark

LINE = 300
"""Characters of a text in a list."""
GROUPS = 300
"""Most groups that a list offers."""

_COUNTED = (
    "SELECT task, outcome, count(*), count(value), coalesce(sum(value), 0)"
    " FROM episode WHERE final = 1 GROUP BY task, outcome"
)
_ONLY_FAILED = (
    "SELECT task, count(*) FROM (SELECT DISTINCT task, version, sample, repeat FROM episode AS e"
    " WHERE final = 0 AND NOT EXISTS (SELECT 1 FROM episode AS x WHERE x.task = e.task"
    " AND x.version = e.version AND x.sample = e.sample AND x.repeat = e.repeat AND x.final = 1))"
    " GROUP BY task"
)
_ROW = (
    "e.id, e.task, e.sample, e.repeat, e.final, e.outcome, e.value, e.calls, e.prompt_tokens,"
    " e.output_tokens, e.seconds, substr(e.note, 1, 300), substr(e.error, 1, 300)"
)
_NAMES = (
    "id", "task", "sample", "repeat", "final", "outcome", "value", "turns", "prompt_tokens",
    "output_tokens", "seconds", "note", "error", "answer", "target",
)  # fmt: skip


class RunView(AttemptReader):
    """A run's store, opened to be looked at; another process may write to it meanwhile.

    Attributes:
        name: the run's directory, or the file's name.
        private: tasks of which only ids and letters are shown.
        views: `TaskSpec.view` of the tasks that are installed.

    Raises:
        StoreError: the file cannot be read, or holds no run.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, readonly=True)
        self.name = path.resolve().parent.name if path.name == "run.sqlite" else path.stem
        try:
            config, specs = self.meta("config"), self.meta("specs")
        except ValueError as error:
            raise StoreError(f"{path}: what it says of the run is damaged: {error}") from error
        if config is None or specs is None:
            raise StoreError(f"{path} holds no run: give the directory of one")
        self.config = cast("Mapping[str, Any]", config)
        self.specs = cast("Mapping[str, Mapping[str, Any]]", specs)
        installed = {name: spec for name in self.specs if (spec := _installed(name)) is not None}
        self.private = frozenset(name for name, spec in installed.items() if spec.private)
        self.views = {name: spec.view for name, spec in installed.items()}
        self._texts = "substr(e.answer, 1, 300), substr(e.target, 1, 300)" if self.version > 1 else "'', ''"
        self._paired = False

    def changed(self) -> int:
        """A number that differs from the one before when another process has written to the run."""
        return int(self._first("PRAGMA data_version")[0])

    def newest(self) -> int:
        """The id of the attempt that was stored last; 0 without any."""
        return int(self._first("SELECT coalesce(max(id), 0) FROM episode")[0])

    def next_ids(self, after: int, most: int) -> list[tuple[int, str]]:
        """Id and task of the attempts that were stored after one."""
        return list(
            self._rows("SELECT id, task FROM episode WHERE id > ? ORDER BY id LIMIT ?", (after, most))
        )

    def facts(self) -> dict[str, Any]:
        """What the run is and how far it is: counts, values and units by task."""
        ended, planned = self.counts()
        return {
            "run": self.name,
            "model": str(self.config.get("model", "")),
            "profile": self.config.get("profile"),
            "decoding": self.config.get("decoding"),
            "ended": ended,
            "planned": planned,
            "heartbeat": self._beat(),
            "tasks": self._tasks(),
        }

    def _beat(self) -> dict[str, Any] | None:
        """The newest heartbeat with its age in seconds."""
        beat = self.heartbeat()
        return None if beat is None else {**beat, "age_s": max(0.0, time.time() - float(beat.get("now", 0)))}

    def _tasks(self) -> list[dict[str, Any]]:
        planned = dict(self._rows("SELECT task, count(*) FROM plan GROUP BY task"))
        failed = dict(self._rows(_ONLY_FAILED))
        outcomes: dict[str, dict[str, tuple[int, int, float]]] = {}
        for task, outcome, *numbers in self._rows(_COUNTED):
            outcomes.setdefault(task, {})[outcome] = (numbers[0], numbers[1], numbers[2])
        return [
            self._task(name, outcomes.get(name, {}))
            | {"planned": planned.get(name, 0), "infra_error": failed.get(name, 0)}
            for name in self.specs
        ]

    def _task(self, name: str, outcomes: Mapping[str, tuple[int, int, float]]) -> dict[str, Any]:
        counted = sum(found[1] for found in outcomes.values())
        total = sum(found[2] for found in outcomes.values())
        ended = sum(found[0] for found in outcomes.values())
        return {
            "task": name,
            "suite": self.specs[name].get("suite", ""),
            "unit": self.specs[name].get("unit", "percent"),
            "private": name in self.private,
            "ended": ended,
            "waiting": ended - counted,
            "mean": total / counted if counted else None,
            **{outcome: found[0] for outcome, found in outcomes.items()},
        }

    def groups(self, task: str) -> list[str]:
        """The groups that labels form among a task's episodes, as `label=value`, the first few hundred."""
        if self.version < 2:
            return []
        query = (
            "SELECT DISTINCT l.key, l.value FROM episode, json_each(episode.labels) AS l"
            " WHERE task = ? AND final = 1 AND labels <> '{}' ORDER BY l.key, l.value LIMIT ?"
        )
        return [f"{key}={value}" for key, value in self._rows(query, (task, GROUPS))]

    def pair_with(self, rows: Iterable[tuple[Any, ...]], *, anew: bool = True) -> None:
        """Lay the counted episodes of another run beside this one's.

        They go to a temporary table of this connection, so that one statement can sort by the difference.

        Args:
            rows: task, sample, repeat, id, outcome and value of each.
            anew: in place of the earlier ones, and not in addition to them.
        """
        if not self._paired:
            self._execute(
                "CREATE TEMP TABLE other(task, sample, repeat, id, outcome, value,"
                " PRIMARY KEY(task, sample, repeat)) WITHOUT ROWID"
            )
        self._paired = True
        if anew:
            self._execute("DELETE FROM other")
        try:
            self._db.executemany("INSERT OR IGNORE INTO other VALUES(?, ?, ?, ?, ?, ?)", rows)
            self._db.commit()
        except sqlite3.Error as error:
            raise StoreError(f"cannot pair the episodes of {self.path}: {error}; make room") from error

    def counted(self, after: int = 0) -> Iterable[tuple[Any, ...]]:
        """Task, sample, repeat, id, outcome and value of the counted episodes with a larger id."""
        query = "SELECT task, sample, repeat, id, outcome, value FROM episode WHERE final = 1 AND id > ?"
        return self._rows(query, (after,))

    def flips(self) -> dict[str, int]:
        """How many paired episodes differ in value, by task."""
        if not self._paired:
            return {}
        query = (
            "SELECT e.task, count(*) FROM episode AS e JOIN other AS o USING(task, sample, repeat)"
            " WHERE e.final = 1 AND e.value <> o.value GROUP BY e.task"
        )
        return dict(self._rows(query))

    def page(self, query: Query, ids: str = "") -> dict[str, Any]:
        """Episodes of a list, a page at a time.

        Args:
            query: which ones, in which order.
            ids: SQL of the ids among which they are (`search.py`).

        Returns:
            `rows`, and `next`: what to give as `after` for the following page, None at the end.

        Raises:
            UsageError: the query asks for what there is not.
        """
        if query.group and self.version < 2:
            raise UsageError("this run's store has no labels: leave the group out")
        if query.sort == "change" and not self._paired:
            raise UsageError("sort change: give a second run (harness view RUN RUN2)")
        where, values = query.conditions()
        key, start, more = query.order()
        among = f" AND e.id IN ({ids})" if ids else ""
        other, joined = "NULL, NULL, NULL", ""
        if self._paired:
            other, joined = "o.id, o.outcome, o.value", " LEFT JOIN other AS o USING(task, sample, repeat)"
        way, limit = "DESC" if query.down else "ASC", max(1, query.limit)
        found = list(
            self._rows(
                f"SELECT {key}, {other}, {_ROW}, {self._texts} FROM episode AS e{joined}"
                f" WHERE {where} AND {start}{among} ORDER BY {key} {way}, e.id {way} LIMIT {limit + 1}",
                (*values, *more),
            )
        )
        rows = [self._row(found_row) for found_row in found[:limit]]
        last = found[limit - 1] if len(found) > limit else None
        return {"rows": rows, "next": None if last is None else [last[0], last[4]]}

    def _row(self, found: Sequence[Any]) -> dict[str, Any]:
        row: dict[str, Any] = dict(zip(_NAMES, found[4:], strict=True))
        if row["task"] in self.private:
            row |= {name: hidden(row[name]) for name in ("answer", "target", "error")}
            row["note"] = remark(row["note"])
        for name in ("sample", "note", "error", "answer", "target"):
            row[name] = row[name][:LINE]
        row["error"] = outside.message(row["error"])
        row["end"] = "" if row["task"] in self.private else self.end(row["id"], row["task"])
        if self._paired:
            other = dict(zip(("id", "outcome", "value"), found[1:4], strict=True))
            row["other"] = None if found[1] is None else other
        return row

    def end(self, id: int, task: str, logged: Mapping[str, Any] | None = None) -> str:
        """What an attempt of a task that is not private did last, in a line; `logged` as for `ended_with`."""
        return outside.paired(in_a_line(self.ended_with(id, logged), self.views.get(task, ()), LINE))

    def find(self, task: str, sample: str) -> int:
        """The attempt that counts of a sample, or its newest one.

        Raises:
            UsageError: there is none; the message names the nearest ids.
        """
        query = "SELECT id FROM episode WHERE task = ? AND sample = ? ORDER BY final DESC, id DESC LIMIT 1"
        if found := self._first(query, (task, sample)):
            return int(found[0])
        if task not in self.specs:
            raise registry.nearest(task, list(self.specs), "task")
        known = [row[0] for row in self._rows("SELECT DISTINCT sample FROM episode WHERE task = ?", (task,))]
        near = get_close_matches(sample, known, n=3, cutoff=0.0)
        hint = f"did you mean {' or '.join(near)}?" if near else "none of its episodes has ended"
        raise UsageError(f"no episode of {task} with the sample {sample!r}: {hint}")

    def attach(self, path: Path) -> None:
        """Make the tables of a search index readable in this connection, under the name `found`."""
        self._execute(f"ATTACH DATABASE '{str(path).replace(chr(39), chr(39) * 2)}' AS found")

    def _execute(self, statement: str) -> None:
        try:
            self._db.execute(statement)
        except sqlite3.Error as error:
            raise StoreError(f"cannot read the run's store {self.path}: {error}") from error


def _installed(name: str) -> TaskSpec | None:
    """What an installed task declares; None for another's."""
    with suppress(HarnessError):
        return registry.load(name).spec if name in registry.names() else None
    return None
