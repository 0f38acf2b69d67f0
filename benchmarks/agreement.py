"""How often each rule that reads answers agrees with a person, on the tables of tests/tasks/styles.

A table has one case a line: what the model wrote, what a person reads in it, and in a word why. Beside the
`paper` and `fixed` rules stand lm-eval's filters and inspect's pattern where they exist for a task. The
target for `fixed` is 98 %. Cases on which a rule and the person differ are listed with `--cases`.

    python benchmarks/agreement.py [--cases] [TASK...]
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

TABLES = Path(__file__).resolve().parents[1] / "tests" / "tasks" / "styles"
TARGET = 0.98

Case = Mapping[str, Any]
Rule = Callable[[Case], bool]
"""Whether a rule comes to what the person came to."""


def cases(name: str) -> list[Case]:
    """A task's table."""
    return [json.loads(line) for line in (TABLES / f"{name}.jsonl").read_text("utf-8").splitlines()]


def gsm8k() -> dict[str, Rule]:
    from decimal import Decimal

    from tasks.gsm8k import score

    def number(case: Case) -> Decimal | None:
        return None if case["read"] is None else Decimal(case["read"])

    def verdict(metric: str) -> Rule:
        """Right or wrong against the reference; rules that compare texts give no number."""

        def agrees(case: Case) -> bool:
            found = score.judge(case["text"], f"#### {case['gold']}")[metric]
            return bool(found) == (number(case) == Decimal(case["gold"]))

        return agrees

    names = {"paper": "paper", "lm-eval strict": "lm_eval_strict", "lm-eval flexible": "lm_eval_flexible"}
    return {
        "fixed": lambda case: score.fixed_number(case["text"]) == number(case),
        **{shown: verdict(metric) for shown, metric in names.items()},
    }


RULES: Mapping[str, Callable[[], dict[str, Rule]]] = {"gsm8k": gsm8k}


def main(arguments: list[str]) -> None:
    listed = "--cases" in arguments
    for name in [word for word in arguments if word in RULES] or RULES:
        table = cases(name)
        print(f"{name}: {len(table)} cases")
        for rule, agrees in RULES[name]().items():
            differing = [case for case in table if not agrees(case)]
            agreed = len(table) - len(differing)
            mark = "  BELOW" if rule == "fixed" and agreed < TARGET * len(table) else ""
            print(f"  {rule:<18}{agreed:4d}  {agreed / len(table):7.1%}{mark}")
            for case in differing if listed else ():
                print(f"    {case}")


if __name__ == "__main__":
    main(sys.argv[1:])
