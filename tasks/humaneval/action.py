"""From a reply to the program that is judged."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass

from tasks.humaneval.code_blocks import bare, blocks, body, imports

STOPS = ("\nclass", "\ndef", "\n#", "\nif", "\nprint")
"""Ends of a completed function body; one more than a TGI server takes, so they are also cut here."""

_HELPER = re.compile(r"^(?:def|class)\s", re.MULTILINE)


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


def completion_program(problem: Mapping[str, str], reply: str, *, pad_indent: bool) -> Program:
    """The prompt continued by the reply, and the tests."""
    body = cut(reply)
    return _with_tests(problem, problem["prompt"] + (pad(body) if pad_indent else body))


def chat_program(problem: Mapping[str, str], reply: str) -> Program:
    """The reply's code, and the tests.

    The last block that defines the function stands for itself, behind what the prompt has before the
    function and the imports and helpers of other blocks. Where none defines it, the first program
    continues the prompt.
    """
    name, prompt = re.escape(problem["entry_point"]), problem["prompt"]
    defines = re.compile(rf"^[ \t]*+(?:(?:async\s+)?def\s+{name}\s*\(|{name}\s*=)", re.MULTILINE)
    own = defines.search(prompt)
    programs = [block.code for block in blocks(reply) if not block.shell] or [bare(reply)]
    whole = [code for code in programs if defines.search(code)]
    if not whole or not own:
        code = next((code for code in programs if code.strip() and imports(code).strip() != code.strip()), "")
        before = "".join(map(imports, programs))
        return _with_tests(problem, before + prompt + body(code))
    others = [code for code in programs if not defines.search(code)]
    helpers = "".join(code + "\n" if _HELPER.search(code) else imports(code) for code in others)
    drafts = "".join(imports(code) for code in whole[:-1])
    code = textwrap.dedent(whole[-1])
    return _with_tests(problem, prompt[: own.start()] + drafts + helpers + code)


def _with_tests(problem: Mapping[str, str], code: str) -> Program:
    return Program(code, problem["prompt"], problem["test"], problem["entry_point"])
