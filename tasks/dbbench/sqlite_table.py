"""SQLite instead of a server: nothing to install, but another dialect and other errors; not comparable."""

from __future__ import annotations

import asyncio
import sqlite3
import time

from tasks.dbbench import output, score
from tasks.dbbench import sql as reading
from tasks.dbbench.table import ExecutionOptions, TableContent

_STEPS = 10_000
"""Instructions of SQLite's machine between two looks at the clock."""

_DENIED = (
    *(sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH, sqlite3.SQLITE_PRAGMA),
    *(sqlite3.SQLITE_CREATE_VTABLE, sqlite3.SQLITE_DROP_VTABLE),
)


class SqliteTable:
    """A database in memory with one table."""

    def __init__(self, content: TableContent, options: ExecutionOptions) -> None:
        self._content, self._options = content, options
        self._base: sqlite3.Connection | None = None
        self._deadline = 0.0

    async def open(self) -> str:
        return await asyncio.to_thread(self._open)

    def _open(self) -> str:
        base = self._base = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        content = self._content
        # A second schema named like the table lets qualified names work as in MySQL.
        base.execute(f"ATTACH ':memory:' AS {_quoted(content.name)}")
        table = f"{_quoted(content.name)}.{_quoted(content.name)}"
        columns = ", ".join(f"{_quoted(column)} TEXT COLLATE NOCASE" for column in content.columns)
        defect = ""
        try:
            base.execute(f"CREATE TABLE {table} ({columns})")
            marks = ", ".join("?" * len(content.columns))
            base.execute("BEGIN")
            base.executemany(f"INSERT INTO {table} VALUES ({marks})", content.rows)
        except sqlite3.Error as error:
            defect = str(error)
        if base.in_transaction:
            base.execute("ROLLBACK" if defect else "COMMIT")
        base.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 16 << 20)
        base.set_authorizer(
            lambda action, *_: sqlite3.SQLITE_DENY if action in _DENIED else sqlite3.SQLITE_OK
        )
        base.set_progress_handler(lambda: time.monotonic() > self._deadline, _STEPS)
        return defect

    async def execute(self, statement: str) -> str:
        return await asyncio.to_thread(self._execute, statement)

    def _execute(self, statement: str) -> str:
        assert self._base is not None
        several = reading.statements(statement)
        if not several:
            return output.rows([])
        if len(several) > 1:
            return output.OUT_OF_SYNC
        if (near := reading.reserved(several[0])) is not None and self._options.keywords:
            return reading.syntax_error(near)
        self._deadline = time.monotonic() + self._options.seconds
        try:
            cursor = self._base.execute(_translated(several[0]))
            rows = cursor.fetchmany(output.LIMIT) if cursor.description else []
            cursor.close()
        except (sqlite3.Error, sqlite3.Warning, ValueError, OverflowError) as error:
            return output.cut(str(error))
        finally:
            if self._base.in_transaction:
                self._base.execute("ROLLBACK")
        return output.rows(rows)

    async def state(self) -> str:
        return await asyncio.to_thread(self._state)

    def _state(self) -> str:
        assert self._base is not None
        name = _quoted(self._content.name)
        columns = ", ".join(map(_quoted, self._content.columns))
        self._deadline = time.monotonic() + self._options.seconds
        try:
            rows = self._base.execute(f"SELECT {columns} FROM {name}.{name}").fetchall()
        except sqlite3.Error as error:
            return str(error)
        return str([(score.table_hash(rows),)])

    async def close(self) -> None:
        base, self._base = self._base, None
        if base is not None:
            await asyncio.to_thread(base.close)


def _translated(statement: str) -> str:
    """Turn MySQL's dialect into SQLite's where sqlglot can, else leave it as it is."""
    import sqlglot
    from sqlglot.errors import SqlglotError

    try:
        return ";".join(sqlglot.transpile(statement, read="mysql", write="sqlite")) or statement
    except (SqlglotError, RecursionError, ValueError):
        return statement


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
