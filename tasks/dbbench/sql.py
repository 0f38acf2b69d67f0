"""Reads the model's SQL as MySQL would: where statements end, and which names are reserved words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

_TOKEN = re.compile(
    r"""
      (?P<space>\s+ | --(?=[\s\x00-\x1f]|$)[^\n]* | \#[^\n]* | /\*(?![!]|M!).*?(?:\*/|$) | /\*M?!\d* | \*/)
    | (?P<string>'(?:[^'\\]|\\.|'')*(?:'|\\?$) | "(?:[^"\\]|\\.|"")*(?:"|\\?$))
    | (?P<quoted>`(?:[^`]|``)*(?:`|$))
    | (?P<number>\d+(?:\.\d+)?(?![\w$]))
    | (?P<word>[\w$]+)
    | (?P<mark>.)
    """,
    re.VERBOSE | re.DOTALL,
)

_ROUTINES = {"PROCEDURE", "FUNCTION", "TRIGGER", "EVENT"}
_DDL = {"CREATE", "ALTER", "DROP", "TRUNCATE", "RENAME"}
_NEAR = 80
"""Characters of the statement that MySQL repeats in a syntax error."""

WINDOW = frozenset(
    {
        *("CUME_DIST", "DENSE_RANK", "FIRST_VALUE", "LAG", "LAST_VALUE", "LEAD", "NTH_VALUE", "NTILE"),
        *("PERCENT_RANK", "RANK", "ROW_NUMBER"),
    }
)
"""Reserved in MySQL 8 and the start of a function call there; plain names in MariaDB."""

RESERVED = WINDOW | frozenset(
    ["CUBE", "EMPTY", "GROUPING", "GROUPS", "JSON_TABLE", "LATERAL", "OF", "ROW", "SYSTEM"]
)
_CALLED = WINDOW | {"GROUPING", "JSON_TABLE", "LATERAL", "ROW"}
_STARTS_EXPRESSION = WINDOW | {"GROUPING", "ROW"}
_NAMED_AFTER = {"AS", "FROM", "JOIN", "INTO", "UPDATE", "TABLE", "COLUMN", "USE", "DESCRIBE", "DESC"}


class Token(NamedTuple):
    """A piece of SQL: its kind (string, quoted, number, word or mark), text and place."""

    kind: str
    text: str
    start: int

    @property
    def word(self) -> str:
        """Upper-case text of a bare word, empty for anything else."""
        return self.text.upper() if self.kind == "word" else ""


_NOTHING = Token("mark", "", 0)


def tokens(sql: str) -> list[Token]:
    """Cut SQL into tokens; comments and white space are left out, nothing is ever refused."""
    found = ((match.lastgroup or "", match) for match in _TOKEN.finditer(sql))
    return [Token(kind, match.group(), match.start()) for kind, match in found if kind != "space"]


def statements(sql: str) -> list[str]:
    """Split a batch at its semicolons; the body of a routine stays whole, empty statements go."""
    parts: list[str] = []
    start, words = 0, set[str]()
    empty = True
    for token in tokens(sql):
        if token.text == ";" and not (words & {"CREATE"} and words & _ROUTINES and "BEGIN" in words):
            if not empty:
                parts.append(sql[start : token.start].strip())
            start, words, empty = token.start + 1, set(), True
            continue
        empty = False
        words.add(token.word)
    if not empty:
        parts.append(sql[start:].strip())
    return parts


def reserved(sql: str) -> str | None:
    """Find what MySQL 8 refuses and MariaDB takes: a reserved word used as a name.

    Returns:
        The text that MySQL's error says it is near to, or None when there is no such word.
    """
    found, before = tokens(sql), _Before()
    for n, token in enumerate(found):
        if token.word in RESERVED and not _allowed(found, n, before):
            at = n + 1 if token.word in _STARTS_EXPRESSION and not before.names() else n
            return sql[found[at].start :][:_NEAR] if at < len(found) else ""
        before.add(token)
    return None


def is_xa(statement: str) -> bool:
    """Whether a statement is of a distributed transaction, which would outlive its session."""
    return next((token.word for token in tokens(statement)), "") == "XA"


def syntax_error(near: str) -> str:
    """MySQL's error 1064 as its Python connector prints it."""
    return (
        "1064 (42000): You have an error in your SQL syntax; check the manual that corresponds to your "
        f"MySQL server version for the right syntax to use near '{near}' at line 1"
    )


@dataclass(slots=True)
class _Before:
    """What stands before a token: kept up as the tokens pass, so that reading stays linear."""

    first: str = ""
    words: set[str] = field(default_factory=set[str])
    last: Token = _NOTHING
    depth: int = 0

    def add(self, token: Token) -> None:
        """Take in the next token."""
        if not self.words and not self.last.text:
            self.first = token.word
        self.words.add(token.word)
        self.last = token
        if token.kind == "mark":
            self.depth += (token.text == "(") - (token.text == ")")

    def names(self) -> bool:
        """Whether the grammar takes only a name at this place, where no expression can start."""
        if self.last.word in _NAMED_AFTER or self.first in _DDL:
            return True
        if self.first in ("INSERT", "REPLACE"):
            return not self.words & {"VALUES", "VALUE", "SELECT", "SET"} or self.last.word == "SET"
        if self.first == "UPDATE" and "WHERE" not in self.words:
            return self.last.word == "SET" or (self.last.text == "," and self.depth == 0)
        return False


def _allowed(found: Sequence[Token], n: int, before: _Before) -> bool:
    word, last = found[n].word, before.last
    after = found[n + 1] if n + 1 < len(found) else _NOTHING
    if last.text in (".", "@"):
        return True
    if word in _CALLED and after.text == "(" and not before.names():
        return True
    if word == "ROW":
        return last.word == "EACH" or after.word in ("FORMAT", "COUNT")
    if word == "OF":
        return last.word in ("UPDATE", "SHARE")
    if word == "EMPTY":
        return last.word == "ON"
    if word == "GROUPS":
        return after.word in ("BETWEEN", "UNBOUNDED", "CURRENT") or after.kind == "number"
    return False
