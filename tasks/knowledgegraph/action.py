"""Reads a reply as upstream does: the final answer, or the calls on its action line; pure functions."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

_FINAL = re.compile(r"(?:Find|Final) Answer: #(\d+)")
_WORD = re.compile(r"\w+(\()?")
_SPACE = re.compile(r"\s*")
_ENDS = (",", ")")
_SPOKEN = ("variable ", "Variable ")


@dataclass(frozen=True, slots=True)
class KgCall:
    """One call as written.

    Attributes:
        arguments: their texts; None when the parentheses cannot be read.
    """

    name: str
    arguments: tuple[str, ...] | None


def clean(text: str) -> str:
    """What the history keeps of a reply: nothing from the first `Observation:` on, no escaped underscore."""
    return text.split("Observation:", 1)[0].replace("\\_", "_")


def final(text: str) -> str | None:
    """The digits of the first `Final Answer: #...`, wherever it is; None without one."""
    found = _FINAL.search(text)
    return found[1] if found else None


def action_line(text: str) -> str | None:
    """The first line that starts with `Action` and has a colon; None without one."""
    return next((line for line in text.split("\n") if line.startswith("Action") and ":" in line), None)


def called(line: str) -> tuple[list[str], str]:
    """The distinct names before a parenthesis in the order of a line, and the last one written."""
    names = [found[0][:-1] for found in _WORD.finditer(line) if found[1]]
    return list(dict.fromkeys(names)), names[-1] if names else ""


def read(line: str, name: str) -> KgCall:
    """The first call of `name` on a line; its arguments end at the first parenthesis, whatever is in them.

    There is at least one character before that parenthesis, as in upstream's pattern.
    """
    start = line.find(f"{name}(") + len(name) + 1
    end = line.find(")", start + 1)
    if end < 0:
        return KgCall(name, None)
    parts = line[start:end].split(",")
    last = len(parts) - 1
    return KgCall(
        name,
        tuple(_trimmed(part, left=place > 0, right=place < last) for place, part in enumerate(parts)),
    )


def _trimmed(text: str, *, left: bool, right: bool) -> str:
    text = text.lstrip() if left else text
    return text.rstrip() if right else text


def read_names(line: str, name: str, entities: Collection[str]) -> KgCall:
    """As `read`, but an argument that is an entity's name ends with it, commas and parentheses or not."""
    at = line.find(f"{name}(") + len(name) + 1
    close = -1
    arguments: list[str] = []
    while True:
        at = _after_space(line, at)
        known = _known(line, at, entities)
        end = at + len(known)
        if close < end:  # looked for once per parenthesis, so that many commas cost no more than the line
            close = line.find(")", end)
        if close < 0:
            return KgCall(name, None)
        if not known:
            comma = line.find(",", at, close)
            end = close if comma < 0 else comma
        arguments.append(line[at:end].rstrip())
        at = _after_space(line, end)
        if line[at] == ")":
            return KgCall(name, tuple(arguments))
        at += 1


def _known(line: str, at: int, entities: Collection[str]) -> str:
    """The longest entity name at a place that is all of an argument; empty without one."""
    for entity in sorted(entities, key=len, reverse=True):
        if (
            entity
            and line.startswith(entity, at)
            and line.startswith(_ENDS, _after_space(line, at + len(entity)))
        ):
            return entity
    return ""


def _after_space(line: str, at: int) -> int:
    found = _SPACE.match(line, at)
    return found.end() if found else at


def bare(argument: str) -> str:
    """An argument without the word that the exemplar puts before variables."""
    for word in _SPOKEN:
        argument = argument.replace(word, "")
    return argument
