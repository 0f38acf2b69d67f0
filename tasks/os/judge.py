"""Decides whether an episode succeeded, in the system the model left behind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tasks._shared.sandbox import Box, Command, Result
from tasks.os import score as scoring
from tasks.os.problems import Problem, Script

CHECK_S = 60.0
TOOLS = (
    *("awk", "bash", "cat", "cut", "date", "du", "find", "getent", "grep", "head", "ls", "ps", "python3"),
    *("sed", "sha256sum", "sort", "stat", "tail", "tr", "uniq", "wc"),
)
"""What the checks rely on; a model that replaces one of them can pass without solving anything."""


@dataclass(frozen=True, slots=True)
class Rule:
    """How strictly upstream's scoring is followed.

    Attributes:
        merge_stderr: errors count as output, as in the paper's runs.
        corrected_gold: known mistakes in the reference solutions are repaired.
    """

    merge_stderr: bool
    corrected_gold: bool


PAPER = Rule(merge_stderr=True, corrected_gold=False)
FIXED = Rule(merge_stderr=False, corrected_gold=True)


def argv(script: Script, code: str, params: Sequence[str]) -> tuple[str, ...]:
    """The command that runs a script by itself, its parameters behind `--` for bash."""
    if script.language == "python":
        return ("python3", "-c", code, *params)
    return ("bash", "-c", code, *(["--", *params] if params else []))


class Judge:
    """Applies the checks of one problem to one system; remembers verdicts that cannot differ."""

    def __init__(self, problem: Problem, box: Box, answer: str | None) -> None:
        self._problem = problem
        self._box = box
        self._answer = answer
        self._errors_seen = False

    async def verdicts(self, rules: Sequence[Rule]) -> list[bool]:
        """Apply each rule; checks run again only where a rule can change the outcome."""
        found: dict[Rule, bool] = {}
        for rule in rules:
            same = next((other for other in found if self._same(rule, other)), None)
            found[rule] = found[same] if same else await self._verdict(rule)
        return [found[rule] for rule in rules]

    def _same(self, one: Rule, other: Rule) -> bool:
        corrected = self._problem.id in scoring.CORRECTIONS
        gold = one.corrected_gold == other.corrected_gold or not corrected
        return gold and (one.merge_stderr == other.merge_stderr or not self._errors_seen)

    async def _verdict(self, rule: Rule) -> bool:
        problem = self._problem
        if problem.match is not None:
            return scoring.matches(self._answer, problem.match)
        params = [str(self._answer)]
        for check in problem.checks:
            script = check or problem.example
            if script is None:
                return False
            if script.grader:
                if not scoring.grade(script.grader, params):
                    return False
                params.append("")
                continue
            code = scoring.corrected(problem) if check is None and rule.corrected_gold else script.code
            result = await self._run(argv(script, code, params))
            if result.code != 0:
                return False
            params.append(_output(result, merge_stderr=rule.merge_stderr))
        return True

    async def _run(self, command: tuple[str, ...]) -> Result:
        result = await self._box.run(Command(command, timeout=CHECK_S))
        self._errors_seen = self._errors_seen or bool(result.stderr)
        return result


def _output(result: Result, *, merge_stderr: bool) -> str:
    data = result.stdout + result.stderr if merge_stderr else result.stdout
    return data.decode("utf-8", "replace").replace("\0", "")


async def tools_digest(box: Box) -> str:
    """What the checks' tools are, as the system inside tells."""
    script = f"type -P {' '.join(TOOLS)}; sha256sum $(type -P {' '.join(TOOLS)})"
    result = await box.run(Command(("bash", "-c", script), timeout=CHECK_S))
    return result.stdout.decode("utf-8", "replace")
