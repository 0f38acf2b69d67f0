"""Everything that reads a model's text takes time in proportion to it, whatever the text."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from typing import Any

import pytest

from harness.types import Reply
from tasks.alfworld import action as alfworld
from tasks.dbbench import score as dbbench
from tasks.dbbench import sql
from tasks.gsm8k import score as gsm8k
from tasks.hotpotqa import action as hotpotqa
from tasks.hotpotqa import score as hotpotqa_score
from tasks.humaneval import score as humaneval
from tasks.miniwob import actions as miniwob
from tasks.mmlu import score as mmlu
from tasks.mt_bench import score as mt_bench
from tasks.os import score as os_score
from tasks.rewoo import plan as rewoo
from tasks.rewoo import score as rewoo_score
from tasks.sciworld import match as sciworld

SHORT, LONG = 1 << 14, 1 << 16
NOTICED_S = 0.002
"""What takes less at the full length of a reply is too little to be measured, and harmless."""

EXPONENT = 1.5
"""Between time in proportion to the length (1) and to its square (2)."""

COMMANDS = ["go to desk 1", "take mug 1 from desk 1", "open door to kitchen"] * 20
PROBLEM = {"prompt": "def f():\n", "entry_point": "f", "test": ""}


def plan(grammar: rewoo.Grammar) -> Callable[[str], Any]:
    def read(text: str) -> None:
        with contextlib.suppress(rewoo.PlanError):
            rewoo.read(text, grammar, ("Google", "LLM"))

    return read


def fill(grammar: rewoo.Grammar) -> Callable[[str], Any]:
    def filled(text: str) -> None:
        with contextlib.suppress(rewoo.TooLong):
            rewoo.fill(text, {"#E1": "x", "#E2": "y"}, grammar)

    return filled


def numbered(n: int) -> str:
    """A plan of as many evidences as have room, each of which names the one before."""
    lines = (f"#E{i} = Google[#E{i - 1}]\n" for i in range(1, n // 20))
    return "".join(lines)[:n]


READERS: dict[str, tuple[Callable[[str], Any], tuple[str | Callable[[int], str], ...]]] = {
    "alfworld": (
        lambda text: alfworld.nearest(alfworld.parse(text), COMMANDS),
        ("ACTION:", "ACTION: go to ", "mug 1 "),
    ),
    "dbbench action": (dbbench.action, ("Action: ", "Action: \r")),
    "dbbench statement": (dbbench.statement, ("```sql\n", "\n``", "```sql\n``")),
    "dbbench answer": (
        lambda text: dbbench.judge(dbbench.final(text), ["1", "2"]),
        ("\nFinal Answer:", "1,"),
    ),
    "dbbench long answer": (lambda text: dbbench.judge(text, ["1"]), ("[", "1,", "-", "'a',", "1+")),
    "dbbench statements": (sql.statements, (";", "'", "/*", "``", "a;", "CREATE PROCEDURE BEGIN;")),
    "dbbench reserved words": (
        sql.reserved,
        ("RANK(", "INSERT INTO RANK(", ",RANK(", lambda n: "UPDATE a SET a=" + "(,RANK(" * (n // 7)),
    ),
    "gsm8k": (lambda text: gsm8k.judge(text, "#### 5"), ("1", "1,111", "the answer is", "#### ", "$1.")),
    "hotpotqa": (hotpotqa.read, ("a", "a[", "a[b]", "[", ".")),
    "hotpotqa lenient": (hotpotqa.read_lenient, ("search ", "search[", "finish\t", "[")),
    "hotpotqa answer": (lambda text: hotpotqa_score.value(text, "the gold"), ("the ", "a", ", ", "an")),
    "humaneval completion": (lambda text: humaneval.cut(text), ("\ndef", "\nclas", " ")),
    "humaneval chat": (
        lambda text: humaneval.chat_program(PROBLEM, text),
        ("```", "```a", "```\n", "\n``", "def ", "async\n", "\ndef\n"),
    ),
    "miniwob": (lambda text: miniwob.parse(miniwob.cut(text)), ("type ", "\\n", "'", " ")),
    "miniwob steps": (lambda text: miniwob.steps(text, 30), ("1.", "1", "2.")),
    "mmlu": (lambda text: mmlu.chosen(Reply(text)), (" ", "A")),
    "mt_bench paper": (mt_bench.paper_rating, ("[[", "[[1", "[", "[1", lambda n: "[[" + "1" * n)),
    "mt_bench fixed": (
        mt_bench.fixed_rating,
        ("[[1 ", "[[ ", "Rating: [", lambda n: "[[1" + " " * n, lambda n: "rating[1" + " " * n),
    ),
    "os": (
        os_score.parse,
        ("Act:", "Act: a\n", "Act:\n", "```bash\n", lambda n: "Act: bash\n" + "```bash\n" * (n // 8)),
    ),
    "rewoo plan, paper": (plan("paper"), ("Plan:\n", "#E1 = a\n", "#E1", numbered)),
    "rewoo plan, fixed": (plan("fixed"), ("Plan:\n", "#E1 = a[", "#E1", " ", numbered)),
    "rewoo filling, paper": (fill("paper"), ("#E1", "#E1#E2", "#E")),
    "rewoo filling, fixed": (fill("fixed"), ("#E1", "#E1#E2", "#E")),
    "rewoo quantity": (
        lambda text: rewoo_score.rule("physics_question", text, "5 m"),
        ("5 ", "5", "5a", "1,111", "5\n", "-"),
    ),
    "rewoo number": (lambda text: rewoo_score.rule("gsm8k", text, "5"), ("5 ", "1,", "1e", "-")),
    "rewoo verdict": (rewoo_score.verdict_fixed, ("CORREC ", "a")),
    "sciworld": (lambda text: sciworld.match(text, COMMANDS), ("go ", " ", "\u0130")),
}


@pytest.mark.parametrize("name", READERS)
def test_a_reply_takes_time_in_proportion_to_its_length(name: str):
    read, parts = READERS[name]
    for part in parts:
        # Measured again where other work on the machine may have stretched the longer one.
        assert any(exponent(read, part) < EXPONENT for _ in range(3)), part


def exponent(read: Callable[[str], Any], part: str | Callable[[int], str]) -> float:
    """By which power of the length the time grows; 0 where it is too short to tell."""
    long = cpu_s(read, text(part, LONG))
    if long < NOTICED_S:
        return 0.0
    return math.log(long / cpu_s(read, text(part, SHORT)), LONG // SHORT)


def text(part: str | Callable[[int], str], length: int) -> str:
    return part(length) if callable(part) else part * (length // len(part))


def cpu_s(read: Callable[[str], Any], text: str) -> float:
    """The least of several measurements: what else the machine does only adds to one."""
    least, spent = math.inf, 0.0
    for _ in range(5):
        began = time.process_time()
        read(text)
        took = time.process_time() - began
        least, spent = min(least, took), spent + took
        if spent > 0.5:
            break
    return least
