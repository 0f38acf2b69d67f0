"""Puts the shards of a run together: one store, which reads as if the plan had been played undivided."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from harness.errors import StoreError, UsageError
from harness.storage.completeness import incomplete_tasks
from harness.storage.manifest import differing
from harness.storage.merge_settings import SHARD, Settings, undivided, united
from harness.storage.records import EpisodeKey
from harness.storage.store import Store
from harness.storage.store_copy import new_file
from harness.storage.tables import TableReader, TableWriter

FILE = "run.sqlite"
"""Of a run directory."""
MOST_NAMED = 5
"""Samples that are named of those that are missing."""


@dataclass(frozen=True, slots=True)
class Merged:
    """What the shards hold together.

    Attributes:
        missing: in words, what keeps the run from being complete.
    """

    ended: int
    planned: int
    missing: tuple[str, ...]


@dataclass(slots=True)
class _Shard:
    """One input: a run of its own.

    Attributes:
        part: (i, n) of a run with `--shard i/n`; None for one without.
    """

    path: Path
    reader: TableReader
    settings: Settings
    whole: dict[str, Any] = field(init=False)
    part: tuple[int, int] | None = field(init=False)

    def __post_init__(self) -> None:
        config = self.settings.get("config")
        if config is None:
            raise StoreError(f"{self.path} holds no run: give the directory of one")
        self.part = tuple(config[SHARD]) if config.get(SHARD) else None
        if self.part and not self.settings.get("whole"):
            raise UsageError(f"{self.path}: its harness did not record the whole plan; repeat that shard")
        self.whole = undivided(self.settings)

    @property
    def place(self) -> Path:
        """The run's directory, or the copy of its store."""
        return self.path.parent if self.path.name == FILE else self.path

    @property
    def name(self) -> str:
        """The input as it is told to the user."""
        return f"shard {self.part[0]}/{self.part[1]} ({self.place})" if self.part else str(self.place)


def merge(out: Path, shards: Sequence[Path]) -> Merged:
    """Write a new store with everything that stores of one run's shards hold.

    Args:
        out: the new file; its folder exists.
        shards: stores of runs that differ in `--shard` alone; one without it is an earlier merge.

    Raises:
        UsageError: `out` exists, the runs are not shards of one run, one is given twice, or an item has final
            attempts in two of them.
        StoreError: a store cannot be read, or `out` not written; nothing is left behind then.
    """
    with ExitStack() as stack:
        found = [_opened(path, stack) for path in shards]
        _refuse_strangers(found)
        _refuse_twice(found)
        part = stack.enter_context(new_file(out))
        with closing(TableWriter(part)) as target:
            _write(target, found)
        with closing(Store(part, readonly=True)) as store:
            missing = tuple(_missing(store, found)) if incomplete_tasks(store) else ()
            merged = Merged(*store.counts(), missing)
    return merged


def _opened(path: Path, stack: ExitStack) -> _Shard:
    reader = stack.enter_context(TableReader(path))
    keys = [str(row[0]) for row in reader.table("meta")[1]]
    return _Shard(path, reader, {key: reader.meta(key) for key in keys})


def _refuse_strangers(shards: Sequence[_Shard]) -> None:
    """Refuse runs that differ in more than their shard, or were played by another model or judge."""
    first = shards[0]
    for other in shards[1:]:
        lines = differing(first.whole, other.whole)
        for key in ("identity", *sorted(key for key in first.settings if key.startswith("judge/"))):
            known, new = (cast("Mapping[str, Any]", one.settings.get(key) or {}) for one in (first, other))
            both = known.keys() & new.keys()
            lines += differing({k: known[k] for k in both}, {k: new[k] for k in both}, f"{key}.")
        if lines:
            raise UsageError(
                f"{first.place} and {other.place} are no shards of one run:\n  "
                + "\n  ".join(lines)
                + "\ngive runs whose commands differ in --shard and --endpoint only; nothing was written"
            )


def _refuse_twice(shards: Sequence[_Shard]) -> None:
    seen: dict[object, _Shard] = {}
    for shard in shards:
        for mark in (shard.path.resolve(), shard.part):
            if mark is not None and (other := seen.setdefault(mark, shard)) is not shard:
                raise UsageError(f"{shard.name} was given already as {other.place}: give each shard once")


def _write(target: TableWriter, shards: Sequence[_Shard]) -> None:
    for key, value in united([shard.settings for shard in shards]).items():
        target.set_meta(key, value)
    for shard in shards:
        target.plan(_planned(shard))
    commands = [command for shard in shards for command in shard.reader.commands()]
    for command in sorted(commands, key=lambda facts: float(facts.get("when", 0.0))):
        target.add_command(command)
    starts: list[int] = []
    for shard in shards:
        starts.append(target.last_id())
        try:
            _copy(shard.reader, target, starts[-1])
        except sqlite3.IntegrityError:
            raise UsageError(_conflict(target, shards, starts)) from None


def _planned(shard: _Shard) -> Sequence[EpisodeKey]:
    """The whole plan, of which a shard plays a part."""
    whole = cast("Mapping[str, list[str]]", shard.settings.get("whole") or {})
    config = shard.whole
    if not shard.part:
        return shard.reader.planned()
    return [
        EpisodeKey(task, facts["version"], sample, repeat)
        for task, facts in config["tasks"].items()
        for sample in whole[task]
        for repeat in range(config["repeats"])
    ]


def _copy(source: TableReader, target: TableWriter, start: int) -> None:
    """Copy attempts with all that belongs to them; their numbers go on behind `start`."""
    for table, number in (("episode", "id"), ("turn", "episode"), ("verdict", "episode")):
        columns, rows = source.table(table)
        at = columns.index(number)
        target.put(table, columns, ((*row[:at], row[at] + start, *row[at + 1 :]) for row in rows))
    target.put("begun", *source.table("begun"))


def _conflict(target: TableWriter, shards: Sequence[_Shard], starts: Sequence[int]) -> str:
    """Name the first item that has a final attempt in the newest shard and in an earlier one."""
    newest = shards[len(starts) - 1]
    with TableReader(target.path) as written:
        there = {item: number for number, item in _finals(written) if number <= starts[-1]}
    for _, item in _finals(newest.reader):
        if (known := there.get(item)) is not None:
            earlier = [s for s, start in zip(shards, starts, strict=False) if start < known][-1]
            return (
                f"{item.task} {item.sample} repeat {item.repeat} has a final attempt both in {earlier.name} "
                f"and in {newest.name}: leave one of them out; nothing was written"
            )
    return f"{newest.name} has two final attempts of one item: it is damaged; nothing was written"


def _finals(reader: TableReader) -> Iterator[tuple[int, EpisodeKey]]:
    """Number and item of every final attempt."""
    columns, rows = reader.table("episode", "final = 1")
    places = [columns.index(name) for name in ("task", "version", "sample", "repeat")]
    for row in rows:
        yield row[columns.index("id")], EpisodeKey(*(row[place] for place in places))


def _missing(store: Store, shards: Sequence[_Shard]) -> Iterator[str]:
    """What the run lacks: shards that were not given, then every task's samples."""
    parts = {shard.part for shard in shards if shard.part}
    counts = {count for _, count in parts}
    if len(counts) == 1:
        (count,) = counts
        for index in range(1, count + 1):
            if (index, count) not in parts:
                yield f"shard {index}/{count} is missing"
    final, lacking = store.final_items(), dict[str, list[EpisodeKey]]()
    for item in store.planned():
        if item not in final:
            lacking.setdefault(item.task, []).append(item)
    for task, items in lacking.items():
        names = [
            f"{item.sample}{f' repeat {item.repeat}' * bool(item.repeat)}" for item in items[:MOST_NAMED]
        ]
        more = ", ..." if len(items) > MOST_NAMED else ""
        yield f"{task} lacks {len(items)} episode{'s' * (len(items) > 1)}: {', '.join(names)}{more}"
