"""Prints rows and errors the way upstream's MySQL and its Python connector do."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from tasks.dbbench import sql as reading

LIMIT = 800
"""Characters of an observation that the model sees."""

TRUNCATED = "[TRUNCATED]"
OUT_OF_SYNC = "Commands out of sync; you can't run this command now"
LOST = "2013 (HY000): Lost connection to MySQL server during query"
NO_XA = "1235 (42000): This version of MySQL doesn't yet support 'XA'"
FULL = "1114 (HY000): The table is full"
TIMED_OUT = "3024 (HY000): Query execution was interrupted, maximum statement execution time exceeded"
_OTHERS = {
    1969: TIMED_OUT,
    1927: LOST,
    4166: "3948 (42000): Loading local data is disabled; this must be enabled on both the client and "
    "server sides",
}
"""MariaDB's errors that MySQL has under another number."""

_STATES = {1044: "42000", 1045: "28000", 1064: "42000", 1146: "42S02", 1054: "42S22", 3024: "HY000"}

_CLAUSES = {
    "SELECT": "field list",
    "INSERT": "field list",
    "SET": "field list",
    "WHERE": "where clause",
    "ON": "on clause",
    "ORDER BY": "order clause",
    "GROUP BY": "group statement",
    "HAVING": "having clause",
}
_REWRITES = (
    (re.compile(r"\bMariaDB server\b"), "MySQL server"),
    (re.compile(r"\bin '({})'".format("|".join(_CLAUSES))), lambda m: f"in '{_CLAUSES[m.group(1)]}'"),
    (re.compile(r"incorrect DECIMAL value"), "incorrect DOUBLE value"),
    (re.compile(r"for table `[^`]*`\.`([^`]*)`$"), lambda m: f"for table '{m.group(1)}'"),
)
_DEPTHS = {"(": 1, ")": -1}
_NOT_GROUPED = re.compile(r"^'(.+)' isn't in GROUP BY$", re.DOTALL)


def rows(values: Iterable[Iterable[Any]]) -> str:
    """Print rows as a Python list of tuples, cut to what the model may see."""
    return cut(repr([tuple(map(_cell, row)) for row in values]))


def cut(text: str) -> str:
    """Keep the first 800 characters and say so."""
    return text if len(text) <= LIMIT else text[:LIMIT] + TRUNCATED


def error(code: int, message: str, state: str | None, sql: str, home: tuple[str, str] = ("", "")) -> str:
    """Print a server's error as `errno (sqlstate): message`, in MySQL's words.

    Args:
        code: the server's number for it.
        message: its text.
        state: its SQLSTATE when the server gave one.
        sql: the statement, for errors in which MySQL names a part of it.
        home: the names of the table and of its first column.
    """
    if code in _OTHERS:
        return _OTHERS[code]
    for pattern, by in _REWRITES:
        message = pattern.sub(by, message)
    if code == 1055 and (column := _NOT_GROUPED.match(message)):
        message = (
            f"Expression #{_position(sql, column.group(1))} of SELECT list is not in GROUP BY clause and "
            f"contains nonaggregated column '{column.group(1)}' which is not functionally dependent on "
            "columns in GROUP BY clause; this is incompatible with sql_mode=only_full_group_by"
        )
    if code == 1140 and (item := _ungrouped(sql, home[1])):
        message = (
            f"In aggregated query without GROUP BY, expression #{item[0]} of SELECT list contains "
            f"nonaggregated column '{home[0]}.{home[0]}.{item[1]}'; this is incompatible with "
            "sql_mode=only_full_group_by"
        )
    return cut(f"{code} ({state or _STATES.get(code, 'HY000')}): {message}")


def _position(sql: str, column: str) -> int:
    """Number the item of the SELECT list that names a column, from 1."""
    name = column.rpartition(".")[2].lower()
    depth, item = 0, 1
    for match in reading.matches(sql):
        text = match.group()
        if text in _DEPTHS:
            depth += _DEPTHS[text]
        elif depth == 0 and text == ",":
            item += 1
        elif depth == 0 and text.upper() == "FROM":
            break
        elif text.strip("`").lower() == name:
            return item
    return 1


def _ungrouped(sql: str, first: str) -> tuple[int, str] | None:
    """Find the first item of the SELECT list that is a column outside any call: its number and name."""
    depth, item = 0, 1
    found = [(match.lastgroup, match.group()) for match in reading.matches(sql)]
    for (_, before), (kind, text), (_, after) in zip(found, found[1:], [*found[2:], ("", "")], strict=False):
        if text in _DEPTHS:
            depth += _DEPTHS[text]
        elif depth or text.upper() == "DISTINCT":
            continue
        elif text == ",":
            item += 1
        elif text.upper() == "FROM":
            break
        elif text == "*" and before in ("SELECT", "select", ",", "."):
            return item, first
        elif kind in ("word", "quoted") and after not in ("(", ".") and before.upper() != "AS":
            return item, text.strip("`")
    return None


def _cell(value: Any) -> Any:
    # Upstream's connector hands binary values over as bytearray.
    return bytearray(value) if isinstance(value, bytes) else value
