"""From a reply to the program that is judged."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

STOPS = ("\nclass", "\ndef", "\n#", "\nif", "\nprint")
"""Ends of a completed function body; one more than a TGI server takes, so they are also cut here."""

_FENCE = "```"
_BEGINNING = re.compile(r"^(?:from\s|import\s|def\s|@|class\s)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Program:
    """What is judged.

    Attributes:
        code: the prompt continued by the reply, or what the reply puts in its place.
        prompt: the problem's own, whose imports and helpers the tests use.
        tests: text that defines `check`.
        entry_point: name of the function that `check` is given.
    """

    code: str
    prompt: str
    tests: str
    entry_point: str


def cut(text: str) -> str:
    """End a completion before the first stop string."""
    ends = [place for stop in STOPS if (place := text.find(stop)) >= 0]
    return text[: min(ends)] if ends else text


def pad(completion: str) -> str:
    """Give back the one leading space that Llama's detokenisation can drop (three spaces become four)."""
    first = completion.split("\n", 1)[0]
    indent = len(first) - len(first.lstrip(" "))
    return " " + completion if indent == 3 else completion


def extract(reply: str) -> str:
    """The code of a chat reply: its first fenced block, else all from the first statement on."""
    # By search, not by a pattern: where no line ends, that would look for its end behind every fence.
    _, fenced, rest = reply.partition(_FENCE)
    _, opened, body = rest.partition("\n")
    if fenced and opened:
        return body.partition(f"\n{_FENCE}")[0]
    start = _BEGINNING.search(reply)
    return reply[start.start() :] if start else reply


def completion_program(problem: Mapping[str, str], reply: str, *, pad_indent: bool) -> Program:
    """The prompt continued by the reply, and the tests."""
    body = cut(reply)
    return _with_tests(problem, problem["prompt"] + (pad(body) if pad_indent else body))


def chat_program(problem: Mapping[str, str], reply: str) -> Program:
    """The reply's code, and the tests.

    A block that defines the function stands for itself, behind what the prompt has before the function
    (imports and helpers); any other block continues the prompt.
    """
    code, name = extract(reply), re.escape(problem["entry_point"])
    defines = re.compile(rf"^(?:async\s+)?def\s+{name}\s*\(", re.MULTILINE)
    prompt = problem["prompt"]
    own = defines.search(prompt)
    if defines.search(code) and own:
        return _with_tests(problem, prompt[: own.start()] + code)
    return _with_tests(problem, prompt + code)


def _with_tests(problem: Mapping[str, str], code: str) -> Program:
    return Program(code, problem["prompt"], problem["test"], problem["entry_point"])
