"""Gives each case's right answer in the form that the case asks for."""

from __future__ import annotations

import json

from harness.episode import BaseOracle
from harness.types import Observation
from tasks.teval.rows import CaseRow


class TEvalOracle(BaseOracle):
    """Knows the ground truth."""

    def __init__(self, row: CaseRow) -> None:
        self._row = row

    async def reply(self, observation: Observation) -> str:
        """The right answer."""
        del observation
        return answer(self._row)


def answer(row: CaseRow) -> str:
    """A case's right answer."""
    gold, marks = row.gold, row.template
    if row.part == "instruct_json":
        values = {"thought": "I know it.", "action": gold["action"], "args": gold["args"]}
        return json.dumps({marks[key]: value for key, value in values.items()})
    if row.part == "instruct_string":
        fields = {"thought": "I know it.", "action": gold["action"], "args": repr(gold["args"])}
        return "".join(
            f"{marks[f'{key}_start']}{value}{marks[f'{key}_end']}" for key, value in fields.items()
        )
    if row.run == "plan_json":
        steps = [{"id": n, "name": step.name, "args": step.args} for n, step in enumerate(gold)]
        return json.dumps(steps)
    if row.run == "plan_str":
        return "\n".join(f"{step.name} {step.args}" for step in gold)
    if row.run == "review_str":
        return f"Answer: {gold}"
    return json.dumps(gold) if row.run == "rru_json" else str(next(iter(gold.values())))
