"""Scores an answer against the labels, and a table against its stored hash; no answer is executed."""

from __future__ import annotations

import ast
import hashlib
import json
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any

from harness.types import Row, macro
from tasks.dbbench.cells import number, plain

GROUPS = ("SELECT", "INSERT", "UPDATE")
RULES = ("paper", "fixed")
CORRECTED = {"std/225": "[('78500c9efefc0c4d1991c3c4123f2feb',)]"}
"""Hashes of the right final table where the stored one is wrong, by sample id (`fixed` only)."""

LONGEST = 1 << 14
"""Characters of an answer that is read as a value; 128 tokens give fewer. A longer one is its own text."""


_PREFIX = re.compile(r"\s{0,9}(?:the )?(?:final )?answer(?: is|:)\s", re.IGNORECASE)
_APART = re.compile(r",? and |[,;\n]")
_WITH_UNIT = re.compile(r"([-\d.,$]{1,40}) [a-z]{1,20}(?: [a-z]{1,20})?\.?", re.IGNORECASE)


def judge(text: str, labels: Sequence[str]) -> dict[str, float]:
    """Value an answer under both rules."""
    value = _literal(text)
    return {"paper": float(_paper(value, text, labels)), "fixed": float(_fixed(value, text, labels))}


def _paper(value: Any, text: str, labels: Sequence[str]) -> bool:
    """Upstream's rule; upstream evaluated the text as Python, here only literals are read."""
    # Upstream compares a string as the list of its characters, and what is no list as its text.
    answers = list(value) if isinstance(value, str | bytes | list | tuple | set | dict) else [text]
    if len(answers) == 1 and len(labels) == 1:
        return _same(answers[0], labels[0])
    try:
        return set(answers) == set(labels)
    except TypeError:  # a list within the list cannot be compared
        return False


def _same(answer: Any, label: str) -> bool:
    try:
        return float(answer) == float(label)
    except (TypeError, ValueError, OverflowError):
        return answer == label


def _fixed(value: Any, text: str, labels: Sequence[str]) -> bool:
    """The `fixed` rule: marks around an answer do not matter, nor how numbers, NULL and lists are written."""
    wanted = sorted(map(plain, labels))
    try:
        return any(
            len(answers) == len(wanted) and sorted(map(plain, answers)) == wanted
            for answers in _readings(value, text, labels)
        )
    except ValueError:  # a whole number, written in another base, of more digits than Python prints
        return False


def _readings(value: Any, text: str, labels: Sequence[str]) -> Iterator[list[Any]]:
    """What an answer may list: as a literal, as JSON, as its rows' cells, or as plain words set apart."""
    if value is None:
        try:
            value = json.loads(text) if len(text) <= LONGEST else text
        except (ValueError, RecursionError):
            value = text
    answers: list[Any] = list(value) if isinstance(value, list | tuple | set) else [value]
    yield answers
    cells = [cell for one in answers for cell in (one if isinstance(one, list | tuple) else (one,))]
    if cells != answers:
        yield cells
    if isinstance(value, tuple) and not text.lstrip().startswith("("):
        yield [text]  # a number with its thousands, or words in quotes, set apart by commas
    if isinstance(value, str):
        said = _PREFIX.sub("", value, count=1)
        yield [said]
        if len(labels) > 1:
            yield _APART.split(said.strip())
        elif (found := _WITH_UNIT.fullmatch(said.strip())) and number(plain(labels[0])):
            yield [found[1]]


def _literal(text: str) -> Any:
    """Read a Python literal, or None; no name is looked up and nothing is called."""
    if len(text) > LONGEST:
        return None
    try:
        with warnings.catch_warnings(action="ignore"):  # a model's odd literals need no warning
            return ast.literal_eval(text.strip())
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None


def table_hash(rows: Iterable[Sequence[object]]) -> str:
    """Hash a table as the server does: five digits of each row's MD5, sorted, joined, hashed again."""
    short = sorted(_md5(",".join(str(cell) for cell in row if cell is not None))[:5] for row in rows)
    return _md5(",".join(short))


def _md5(text: str) -> str:
    return hashlib.md5(text.encode("utf-8"), usedforsecurity=False).hexdigest()


def metrics(kind: str, value: float, rules: Mapping[str, float], turns: int) -> dict[str, float]:
    """The numbers of one sample: its value again under its type and its group, both rules, its turns."""
    return {kind: value, group(kind): value, **rules, "turns": float(turns)}


def group(kind: str) -> str:
    """SELECT, INSERT or UPDATE; upstream counts every other type as SELECT."""
    return kind if kind in GROUPS[1:] else GROUPS[0]


def aggregate(rows: Sequence[Row]) -> dict[str, float]:
    """Average by type and by group; the headline, and each rule's, is the mean of the three groups."""
    if not rows:
        return {}
    names = sorted({name for row in rows for name in row.metrics} - set(RULES))
    numbers = {name: fmean(r.metrics[name] for r in rows if name in r.metrics) for name in names}
    for rule in RULES:
        if all(rule in row.metrics for row in rows):
            numbers[rule] = macro([replace(row, value=row.metrics[rule]) for row in rows], "group")
    return {**numbers, "overall": macro(rows, "group")}
