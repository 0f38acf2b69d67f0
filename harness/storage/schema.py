"""The tables of a run's store, and how a file of version 1 becomes one of version 2."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from harness.errors import OtherStore

VERSION = 2
"""Kept in the file as `PRAGMA user_version`; version 1 left it at 0."""

EVERY_VERSION = frozenset({"meta", "plan", "episode"})
"""Tables that every version has; a file with other tables and without these is another program's."""

TABLES = (
    "CREATE TABLE IF NOT EXISTS meta(key TEXT PRIMARY KEY, value TEXT NOT NULL)",
    """CREATE TABLE IF NOT EXISTS plan(
  task TEXT NOT NULL, version INTEGER NOT NULL, sample TEXT NOT NULL, repeat INTEGER NOT NULL,
  PRIMARY KEY(task, version, sample, repeat)) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS episode(
  id INTEGER PRIMARY KEY, task TEXT NOT NULL, version INTEGER NOT NULL, sample TEXT NOT NULL,
  repeat INTEGER NOT NULL, final INTEGER NOT NULL, outcome TEXT NOT NULL, value REAL,
  metrics TEXT NOT NULL, note TEXT NOT NULL, error TEXT NOT NULL, calls INTEGER NOT NULL,
  prompt_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, rebuilds INTEGER NOT NULL,
  started REAL NOT NULL, seconds REAL NOT NULL, pending BLOB,
  labels TEXT NOT NULL DEFAULT '{}', cluster TEXT NOT NULL DEFAULT '', answer TEXT NOT NULL DEFAULT '',
  target TEXT NOT NULL DEFAULT '', last BLOB)""",
    "CREATE UNIQUE INDEX IF NOT EXISTS one_final ON episode(task, version, sample, repeat) WHERE final = 1",
    "CREATE INDEX IF NOT EXISTS not_final ON episode(task, version, sample, repeat) WHERE final = 0",
    """CREATE TABLE IF NOT EXISTS turn(
  episode INTEGER NOT NULL REFERENCES episode(id), role TEXT NOT NULL, n INTEGER NOT NULL,
  key TEXT NOT NULL, parent INTEGER, prefix INTEGER NOT NULL, body BLOB NOT NULL)""",
    "CREATE INDEX IF NOT EXISTS turns_of ON turn(episode)",
    """CREATE TABLE IF NOT EXISTS verdict(
  episode INTEGER NOT NULL REFERENCES episode(id), key TEXT NOT NULL, k INTEGER NOT NULL,
  judge TEXT NOT NULL, prompt TEXT NOT NULL, text BLOB NOT NULL,
  PRIMARY KEY(episode, key, k, judge)) WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS by_prompt ON verdict(judge, prompt, k)",
    "CREATE TABLE IF NOT EXISTS command(id INTEGER PRIMARY KEY, facts TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS heartbeat(id INTEGER PRIMARY KEY CHECK(id = 1), facts TEXT NOT NULL)",
    """CREATE TABLE IF NOT EXISTS begun(
  task TEXT NOT NULL, version INTEGER NOT NULL, sample TEXT NOT NULL, repeat INTEGER NOT NULL,
  PRIMARY KEY(task, version, sample, repeat)) WITHOUT ROWID""",
)

UPGRADE = (
    "ALTER TABLE episode ADD COLUMN labels TEXT NOT NULL DEFAULT '{}'",
    "ALTER TABLE episode ADD COLUMN cluster TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE episode ADD COLUMN answer TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE episode ADD COLUMN target TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE episode ADD COLUMN last BLOB",
)
"""Adds what version 2 has beyond version 1; no row is rewritten, and calls stay in the table `call`."""


def version_of(db: sqlite3.Connection) -> int:
    """Version of the file behind a connection; 0 when it holds nothing yet.

    Raises:
        OtherStore: a newer harness made it, or another program.
    """
    stamped = int(db.execute("PRAGMA user_version").fetchone()[0])
    tables = table_names(db)
    if not tables:
        return 0
    if not tables >= EVERY_VERSION:
        raise OtherStore("it is another program's SQLite file; give the folder of a run")
    if stamped > VERSION:
        raise OtherStore(
            f"it has version {stamped}, and this harness reads versions 1 to {VERSION}; "
            "use the harness that made it, or a newer one"
        )
    return stamped or 1


def table_names(db: sqlite3.Connection) -> set[str]:
    """Names of all tables in the file."""
    return {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def create_or_upgrade(db: sqlite3.Connection) -> None:
    """Make the tables, or upgrade them, in one transaction; a crash in between leaves the file as it was."""
    db.execute("BEGIN IMMEDIATE")
    version = version_of(db)  # again: another process may have done it meanwhile
    if version < VERSION:
        _execute(db, UPGRADE if version == 1 else ())
        _execute(db, TABLES)
        db.execute(f"PRAGMA user_version = {VERSION}")
    db.commit()


def _execute(db: sqlite3.Connection, statements: Iterable[str]) -> None:
    for statement in statements:
        db.execute(statement)
