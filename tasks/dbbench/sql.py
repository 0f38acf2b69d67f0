"""Reads the model's SQL as MySQL would: where statements end, and which names are reserved words."""

from __future__ import annotations

import re
from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from typing import NamedTuple

_SPACE = r"\s+ | --(?=[\s\x00-\x1f]|$)[^\n]* | \#[^\n]* | /\*(?![!]|M!).*?(?:\*/|$) | /\*M?!\d* | \*/"
_STRING = r"""'(?:[^'\\]|\\.|'')*(?:'|\\?$) | "(?:[^"\\]|\\.|"")*(?:"|\\?$)"""
_QUOTED = r"`(?:[^`]|``)*(?:`|$)"

_TOKEN = re.compile(
    rf"""
      (?P<space>{_SPACE})
    | (?P<string>{_STRING})
    | (?P<quoted>{_QUOTED})
    | (?P<number>\d+(?:\.\d+)?(?![\w$]))
    | (?P<word>[\w$]+)
    | (?P<mark>.)
    """,
    re.VERBOSE | re.DOTALL,
)

_ROUTINES = {"PROCEDURE", "FUNCTION", "TRIGGER", "EVENT"}
_DDL = {"CREATE", "ALTER", "DROP", "TRUNCATE", "RENAME"}
_KEYWORD = rf"(?i:CREATE|BEGIN|{'|'.join(sorted(_ROUTINES))})(?![\w$])"

# What `statements` looks at: runs of tokens that neither end a statement nor begin a routine's body are
# matched at once, so that a long batch is not cut into its tokens.
_SPLIT = re.compile(
    rf"""
      (?P<end>;[;\s]*)
    | (?P<space>{_SPACE})
    | (?P<keyword>{_KEYWORD})
    | (?P<rest>{_STRING} | {_QUOTED}
        | (?:(?!{_KEYWORD})[\w$]+ | \s | [^\w$\s'"`;\#/*-] | /(?!\*) | \*(?!/) | -(?!-(?:[\s\x00-\x1f]|$)))++)
    | (?P<mark>.)
    """,
    re.VERBOSE | re.DOTALL,
)

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
_ANY_RESERVED = re.compile("|".join(sorted(RESERVED)))
_CALLED = WINDOW | {"GROUPING", "JSON_TABLE", "LATERAL", "ROW"}
_STARTS_EXPRESSION = WINDOW | {"GROUPING", "ROW"}
_ENDS_NAMES = {"VALUES", "VALUE", "SELECT", "SET"}
_DEPTHS = {"(": 1, ")": -1}
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


def tokens(sql: str) -> list[Token]:
    """Cut SQL into tokens; comments and white space are left out, nothing is ever refused."""
    return [
        Token(match.lastgroup or "", match.group(), match.start())
        for match in _TOKEN.finditer(sql)
        if match.lastgroup != "space"
    ]


def statements(sql: str) -> list[str]:
    """Split a batch at its semicolons; the body of a routine stays whole, empty statements go."""
    parts: list[str] = []
    start, words = 0, set[str]()
    empty = True
    for match in _SPLIT.finditer(sql):
        kind = match.lastgroup
        if kind == "rest":
            empty = False
        elif kind == "end" and not (words and _in_body(words)):
            if not empty:
                parts.append(sql[start : match.start()].strip())
                empty = True
            start = match.end()
            words.clear()
        elif kind == "keyword":
            words.add(match.group().upper())
            empty = False
        elif kind != "space":
            empty = False
    if not empty:
        parts.append(sql[start:].strip())
    return parts


def _in_body(words: Set[str]) -> bool:
    """Whether a statement's words so far are those of a routine whose body has begun."""
    return "CREATE" in words and "BEGIN" in words and not words.isdisjoint(_ROUTINES)


def reserved(sql: str) -> str | None:
    """Find what MySQL 8 refuses and MariaDB takes: a reserved word used as a name.

    Returns:
        The text that MySQL's error says it is near to, or None when there is no such word.
    """
    if not _ANY_RESERVED.search(sql.upper()):
        return None
    found = [match for match in _TOKEN.finditer(sql) if match.lastgroup != "space"]
    past = _Past(_token(found, 0).word)
    for n, match in enumerate(found):
        kind = match.lastgroup
        if kind == "mark":
            past.depth += _DEPTHS.get(match.group(), 0)
        elif kind == "word":
            word = match.group().upper()
            if word in RESERVED and not _allowed(found, n, past):
                at = n + 1 if word in _STARTS_EXPRESSION and not _names(found, n, past) else n
                return sql[found[at].start() :][:_NEAR] if at < len(found) else ""
            past.words.add(word)
    return None


def _token(found: Sequence[re.Match[str]], n: int) -> Token:
    """The n-th token of those found; an empty mark before the first and after the last."""
    if not 0 <= n < len(found):
        return Token("mark", "", 0)
    match = found[n]
    return Token(match.lastgroup or "", match.group(), match.start())


@dataclass(slots=True)
class _Past:
    """The part of a statement before the token that is looked at.

    Attributes:
        first: its first word; empty when it begins with something else.
        words: all its words, in upper case.
        depth: parentheses that are open.
    """

    first: str
    words: set[str] = field(default_factory=set[str])
    depth: int = 0


def is_xa(statement: str) -> bool:
    """Whether a statement is of a distributed transaction, which would outlive its session."""
    first = next((match for match in _TOKEN.finditer(statement) if match.lastgroup != "space"), None)
    return first is not None and first.group().upper() == "XA"


def syntax_error(near: str) -> str:
    """MySQL's error 1064 as its Python connector prints it."""
    return (
        "1064 (42000): You have an error in your SQL syntax; check the manual that corresponds to your "
        f"MySQL server version for the right syntax to use near '{near}' at line 1"
    )


def _allowed(found: Sequence[re.Match[str]], n: int, past: _Past) -> bool:
    if n and found[n - 1].group() in (".", "@"):
        return True
    word = found[n].group().upper()
    before, after = _token(found, n - 1), _token(found, n + 1)
    if word in _CALLED and after.text == "(" and not _names(found, n, past):
        return True
    if word == "ROW":
        return before.word == "EACH" or after.word in ("FORMAT", "COUNT")
    if word == "OF":
        return before.word in ("UPDATE", "SHARE")
    if word == "EMPTY":
        return before.word == "ON"
    if word == "GROUPS":
        return after.word in ("BETWEEN", "UNBOUNDED", "CURRENT") or after.kind == "number"
    return False


def _names(found: Sequence[re.Match[str]], n: int, past: _Past) -> bool:
    """Whether the grammar takes only a name at this place, where no expression can start."""
    before = _token(found, n - 1)
    if before.word in _NAMED_AFTER:
        return True
    if past.first in _DDL:
        return True
    if past.first in ("INSERT", "REPLACE"):
        return past.words.isdisjoint(_ENDS_NAMES) or before.word == "SET"
    if past.first == "UPDATE" and "WHERE" not in past.words:
        return before.word == "SET" or (before.text == "," and past.depth == 0)
    return False
