"""How often each rule that reads answers agrees with a person, on the tables of tests/tasks/styles.

A table has one case a line: what the model wrote, what a person reads in it, and in a word why. Beside the
`paper` and `fixed` rules stand lm-eval's filters and inspect's pattern where they exist for a task. The
target for `fixed` is 98 %. Cases on which a rule and the person differ are listed with `--cases`.

`agree` in a case names the rules that came to what the person came to when the table was last written
(`--write`). A rule that has changed since moves cases: they are listed, and fail a test.

    python benchmarks/agreement.py [--cases] [--write] [TASK...]
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

TABLES = Path(__file__).resolve().parents[1] / "tests" / "tasks" / "styles"
TARGET = 0.98

_NOTED = re.compile(r', "agree": \[[^\]]*\]\}$')

Case = Mapping[str, Any]
Rule = Callable[[Case], bool]
"""Whether a rule comes to what the person came to."""


def cases(name: str) -> list[Case]:
    """A task's table."""
    return [json.loads(line) for line in (TABLES / f"{name}.jsonl").read_text("utf-8").splitlines()]


def agreeing(name: str) -> list[list[str]]:
    """The rules that agree with the person, for each case of a task's table."""
    rules = RULES[name]()
    return [[rule for rule, agrees in rules.items() if agrees(case)] for case in cases(name)]


def moved(table: Sequence[Case], found: Sequence[Sequence[str]]) -> list[str]:
    """Each case on which a rule decides otherwise than when the table was written, in a line."""
    return [
        f"{rule} {'now agrees' if rule in now else 'agrees no more'}: {case}"
        for case, now in zip(table, found, strict=True)
        for rule in sorted({*case.get("agree", now)} ^ {*now})
    ]


def write(name: str, found: Sequence[Sequence[str]]) -> None:
    """Note in a task's table which rules agree; nothing else of a line changes."""
    path = TABLES / f"{name}.jsonl"
    bare = [_NOTED.sub("}", line) for line in path.read_text("utf-8").splitlines()]
    lines = [f'{line[:-1]}, "agree": {json.dumps(now)}}}\n' for line, now in zip(bare, found, strict=True)]
    path.write_text("".join(lines), "utf-8")


def gsm8k() -> dict[str, Rule]:
    from decimal import Decimal

    from tasks.gsm8k import score

    def number(case: Case) -> Decimal | None:
        return None if case["read"] is None else Decimal(case["read"])

    def verdict(metric: str) -> Rule:
        """Right or wrong against the reference; rules that compare texts give no number."""

        def agrees(case: Case) -> bool:
            found = score.scored(case["text"], f"#### {case['gold']}", "fixed").metrics[metric]
            return bool(found) == (number(case) == Decimal(case["gold"]))

        return agrees

    names = {"paper": "paper", "lm-eval strict": "lm_eval_strict", "lm-eval flexible": "lm_eval_flexible"}
    return {
        "fixed": lambda case: score.fixed_number(case["text"]) == number(case),
        **{shown: verdict(metric) for shown, metric in names.items()},
    }


def mmlu() -> dict[str, Rule]:
    from harness.types import Reply
    from tasks.mmlu import action

    inspect = re.compile(r"(?i)ANSWER\s*:\s*([A-Za-z])(?:[^\w]|\n|$)")

    def pattern(text: str) -> str | None:
        found = inspect.search(text)
        return found[1].upper() if found else None

    return {
        "fixed": lambda case: action.read_letter(Reply(case["text"]), case["options"]) == case["read"],
        "paper": lambda case: action.first_letter(Reply(case["text"])) == case["read"],
        "inspect": lambda case: pattern(case["text"]) == case["read"],
    }


def mt_bench() -> dict[str, Rule]:
    from tasks.mt_bench import score

    return {
        "fixed": lambda case: score.fixed_rating(case["text"]) == case["read"],
        "paper": lambda case: score.paper_rating(case["text"]) == case["read"],
    }


def hotpotqa() -> dict[str, Rule]:
    """Whether the same answer gets full F1 and another one does not."""
    from tasks.hotpotqa import score

    return {
        "fixed": lambda case: (score.careful_f1(case["text"], case["gold"]) > 0.99) == case["same"],
        "paper": lambda case: (score.f1(case["text"], case["gold"]) > 0.99) == case["same"],
    }


def dbbench() -> dict[str, Rule]:
    from tasks.dbbench import score

    def agrees(rule: str) -> Rule:
        return lambda case: bool(score.judge(case["text"], case["labels"])[rule]) == case["right"]

    return {rule: agrees(rule) for rule in ("fixed", "paper")}


def humaneval() -> dict[str, Rule]:
    """Whether right code passes its tests, run in the task's sandbox, and no other text does."""
    import asyncio

    from tasks.humaneval.action import chat_program
    from tasks.humaneval.task import TASK
    from tasks.humaneval.world import open_world

    problem = {
        "prompt": 'import math\n\n\ndef half(x):\n    """Half of x, rounded down."""\n',
        "entry_point": "half",
        "test": "def check(candidate):\n    assert [candidate(n) for n in (4, 9, -1)] == [2, 4, -1]\n",
    }

    async def passed(texts: list[str]) -> dict[str, bool]:
        async with open_world("auto", 10.0, TASK.episode) as world:
            gate = asyncio.Semaphore(4)

            async def judge(text: str) -> bool:
                async with gate:
                    return (await world.judge(chat_program(problem, text))).passed

            return dict(zip(texts, await asyncio.gather(*map(judge, texts)), strict=True))

    known = asyncio.run(passed([case["text"] for case in cases("humaneval")]))
    return {"fixed": lambda case: known[case["text"]] == case["passes"]}


def os_answers() -> dict[str, Rule]:
    from tasks.os import score

    def agrees(*, careful: bool) -> Rule:
        def right(case: Case) -> bool:
            return score.grade(case["grader"], [case["text"], case["expected"]], careful=careful)

        return lambda case: right(case) == case["right"]

    return {"fixed": agrees(careful=True), "paper": agrees(careful=False)}


def rewoo() -> dict[str, Rule]:
    """The grader by rule; upstream has none."""
    from tasks.rewoo import score

    return {"fixed": lambda case: score.rule(case["dataset"], case["text"], case["gold"]) == case["right"]}


RULES: Mapping[str, Callable[[], dict[str, Rule]]] = {
    "gsm8k": gsm8k,
    "mmlu": mmlu,
    "mt_bench": mt_bench,
    "hotpotqa": hotpotqa,
    "dbbench": dbbench,
    "humaneval": humaneval,
    "os": os_answers,
    "rewoo": rewoo,
}


def main(arguments: list[str]) -> None:
    for name in [word for word in arguments if word in RULES] or RULES:
        table, found = cases(name), agreeing(name)
        print(f"{name}: {len(table)} cases")
        for rule in RULES[name]():
            differing = [case for case, now in zip(table, found, strict=True) if rule not in now]
            agreed = len(table) - len(differing)
            mark = "  BELOW" if rule == "fixed" and agreed < TARGET * len(table) else ""
            print(f"  {rule:<18}{agreed:4d}  {agreed / len(table):7.1%}{mark}")
            for case in differing if "--cases" in arguments else ():
                print(f"    {case}")
        for line in moved(table, found):
            print(f"  moved: {line}")
        if "--write" in arguments:
            write(name, found)


if __name__ == "__main__":
    main(sys.argv[1:])
