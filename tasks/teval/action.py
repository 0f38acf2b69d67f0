"""Reads a reply: cuts it, and takes a literal, marked fields, a plan, a name or a letter out of it.

Every reader is linear in the text and takes at most LONGEST characters; a longer reply cannot be read. (An
answer of 512 tokens is far shorter.)
"""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from harness.types import Profile

LONGEST = 1 << 14
CUTS = (
    *("<eoa>", "<TOKENS_UNUSED_1>", "<|im_end|>", "\nuser", "\nassistant", "\nUSER"),
    *("[INST]", "<|user|>"),
)
"""Where upstream's script ends an answer; three of them stand in good answers as well."""

TIME_BOX_S = 1.0
"""Seconds for a template whose markers are regular expressions (`paper` only)."""

FINISH = "FinishAction"
_FENCE = "```json"
_SPECIAL = frozenset("\\.^$*+?[]|()")
# A word that no full stop follows is not tried again from its second letter on.
_DOTTED = re.compile(r"(?<!\w)\w++\.\w++")
_UNREADABLE = (ValueError, TypeError, KeyError, SyntaxError, MemoryError, RecursionError, OverflowError)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a plan; `args` as text."""

    name: str
    args: str


def cut(text: str, profile: Profile) -> str:
    """A reply without what follows the first of CUTS (`paper`), and without spaces and a fence around it."""
    if profile == "paper":
        for mark in CUTS:
            text = text.partition(mark)[0]
    return text.strip().removeprefix(_FENCE).strip("`").strip()


def load(text: str, first: str = "", last: str = "") -> Any:
    """A Python literal or JSON, the latter also in single quotes; nothing is evaluated.

    Args:
        text: where there is a fence, what follows it is taken.
        first: the text is taken from its first occurrence on.
        last: and up to its last one.

    Raises:
        ValueError: there is none.
    """
    if len(text) > LONGEST:
        raise ValueError("too long")
    if _FENCE in text:
        text = text.partition(_FENCE)[2].strip("`")
    if first:
        # Where there is none, upstream's slice leaves the last character, or nothing.
        text = text[text.find(first) :]
        text = text[: text.rfind(last) + len(last)]
    for read in (_literal, json.loads, lambda given: json.loads(given.replace("'", '"'))):
        try:
            return read(text)
        except _UNREADABLE:
            continue
    raise ValueError("neither a literal nor JSON")


def _literal(text: str) -> Any:
    with warnings.catch_warnings(action="ignore"):  # what Python thinks of a model's style is no news
        return ast.literal_eval(text)


def steps(given: Any) -> tuple[Step, ...]:
    """The steps of a plan in the order of their ids: of a list, or of a text that holds one.

    Empty when it is none, or when any step lacks its name, id or args.
    """
    try:
        found = load(given, "[", "]") if isinstance(given, str) else given
        if not isinstance(found, list):
            return ()
        rows = [
            (int(one["id"]), Step(str(one["name"]), str(one["args"]))) for one in cast("list[Any]", found)
        ]
    except _UNREADABLE:
        return ()
    return tuple(step for _, step in sorted(rows, key=lambda row: row[0]))


def said_steps(text: str, apis: Sequence[str]) -> tuple[Step, ...]:
    """The steps of a plan in words: each line or sentence that names an API; the first name in it counts."""
    if len(text) > LONGEST:
        return ()
    found: list[Step] = []
    for piece in text.replace(". ", "\n").split("\n"):
        places = [(place, -number) for number, api in enumerate(apis) if (place := piece.find(api)) >= 0]
        if places:
            # Of names that begin at one place the first in the list counts.
            found.append(Step(apis[-max(places, key=lambda one: (-one[0], one[1]))[1]], piece))
    return tuple(found)


def call(text: str, template: Mapping[str, str]) -> tuple[Any, Mapping[Any, Any]] | None:
    """Action and args of a JSON answer whose keys the template names; None when a key is missing."""
    try:
        found = load(text)
        _, action, args = (found[template[key]] for key in ("thought", "action", "args"))
    except _UNREADABLE:
        return None
    return action, cast("Mapping[Any, Any]", args) if isinstance(args, dict) else {}


def marked_call(
    text: str, template: Mapping[str, str], profile: Profile
) -> tuple[str, Mapping[Any, Any]] | None:
    """Action and args of an answer whose fields stand between the template's markers; None without them.

    Upstream takes the markers for a regular expression; so does `paper`, within TIME_BOX_S. Spaces and
    newlines around the answer are gone already, so `fixed` does not ask for a marker's own there.
    """
    if len(text) > LONGEST:
        return None
    marks = (
        template["thought_start"],
        template["thought_end"] + template["action_start"],
        template["action_end"] + template["args_start"],
        template["args_end"],
    )
    if profile == "fixed":
        fields = _fields(text, (marks[0].lstrip(), *marks[1:3], marks[3].rstrip()))
    else:
        fields = _paper_fields(text, marks)
    if fields is None:
        return None
    try:
        args = _literal(fields[2].strip())
    except _UNREADABLE:
        args = {}
    return fields[1].strip(), cast("Mapping[Any, Any]", args) if isinstance(args, dict) else {}


def _fields(text: str, marks: Sequence[str]) -> tuple[str, ...] | None:
    """The texts between markers, each field as long as it can be, the first one first."""
    start, ends = text.find(marks[0]), len(text)
    if start < 0:
        return None
    start += len(marks[0])
    fields: list[str] = []
    for mark in reversed(marks[1:]):
        place = text.rfind(mark, start, ends)
        if place < 0:
            return None
        fields.append(text[place + len(mark) : ends])
        ends = place
    return text[start:ends], fields[2], fields[1]


def _paper_fields(text: str, marks: Sequence[str]) -> tuple[str, ...] | None:
    """The same with the markers as a regular expression; upstream crashes on a brace, or where it is none."""
    joined = "".join(marks)
    if "{" in joined or "}" in joined:
        return None
    if _SPECIAL.isdisjoint(joined):
        return _fields(text, marks)
    import regex

    try:
        found = regex.compile("(.*)".join(marks), regex.DOTALL).search(text, timeout=TIME_BOX_S)
    except (regex.error, TimeoutError):
        return None
    groups = found.groups("") if found else ()
    return (groups[0], groups[1], groups[2]) if groups else None


def letter(text: str) -> str | None:
    """The letter from A to E with which the text after the first colon begins."""
    answer = text[text.find(":") + 1 :].strip()
    return answer[0] if answer[:1] in ("A", "B", "C", "D", "E") else None


def names(text: str) -> list[str]:
    """Every `a.b` in a text, and every FinishAction."""
    return _DOTTED.findall(text) + [FINISH] * text.count(FINISH)
