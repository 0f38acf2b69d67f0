"""Decides whether an episode succeeded: in the system the model left behind, or in a clean one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

from tasks._shared.sandbox import Box, Command, Result
from tasks.os import corrected, tamper
from tasks.os import score as scoring
from tasks.os.rows import OsProblem, OsScript

CHECK_S = 60.0
# The checks' Python loads neither the user's packages nor compiled files, which the model may have written.
_CLEAN = {"PYTHONNOUSERSITE": "1", "PYTHONPYCACHEPREFIX": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1"}
_LOGINS = ("runuser -l", "su -", "--login")


@dataclass(frozen=True, slots=True)
class CheckRule:
    """How strictly upstream's scoring is followed.

    Attributes:
        merge_stderr: errors count as output, as in the paper's runs.
        corrected_gold: known mistakes in the reference solutions and in the checks are repaired.
        clean: what the right answer is, is found in a system that no model has touched; what only the
            model's own system can tell counts when its tools are those it began with. Answers are read as a
            careful person reads them.
    """

    merge_stderr: bool
    corrected_gold: bool
    clean: bool = False


PAPER = CheckRule(merge_stderr=True, corrected_gold=False)
FIXED = CheckRule(merge_stderr=False, corrected_gold=True, clean=True)


@dataclass(frozen=True, slots=True)
class Findings:
    """What the checks and the host found.

    Attributes:
        values: whether the episode succeeded, by each rule asked for.
        tampered: what was changed to make the checks pass; empty when nothing was.
    """

    values: tuple[bool, ...]
    tampered: str


def argv(script: OsScript, code: str, params: Sequence[str]) -> tuple[str, ...]:
    """The command that runs a script by itself, its parameters behind `--` for bash."""
    if script.language == "python":
        return ("python3", "-c", code, *params)
    return ("bash", "-c", code, *(["--", *params] if params else []))


async def look(box: Box) -> tamper.ToolSnapshot | None:
    """What was written over a system's tools; None where the host cannot see it, or not all of it."""
    upper = box.written
    if upper is None:
        return None
    try:
        return await asyncio.to_thread(tamper.look, upper)
    except tamper.Unreadable:
        return None


class CheckRunner:
    """Applies the checks of one problem to one system; remembers verdicts that cannot differ.

    Use it as an async context: the clean system that it may make lives as long.
    """

    def __init__(
        self,
        problem: OsProblem,
        box: Box,
        answer: str | None,
        before: tamper.ToolSnapshot | None,
        again: Callable[[], AbstractAsyncContextManager[Box]],
    ) -> None:
        self._problem = problem
        self._box = box
        self._answer = answer
        self._before = before
        self._again = again
        self._stack = AsyncExitStack()
        self._fresh: Box | None = None
        self._errors_seen = False
        self._found: dict[CheckRule, bool] = {}
        # Whether the checks ask for an answer only, which any system made the same way can judge.
        self._question = all(check is None or check.grader for check in problem.checks)

    async def __aenter__(self) -> CheckRunner:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def findings(self, rules: Sequence[CheckRule]) -> Findings:
        """Stop what runs in the system, then apply each rule.

        Raises:
            SandboxFault: a system is gone.
        """
        frozen = await self._box.freeze()
        after = await look(self._box)
        tampered = await self._changes(after)
        found = {rule: await self._verdict(rule) for rule in rules if not rule.clean}
        sure = self._question or (frozen and self._before is not None and after is not None)
        for rule in rules:
            if rule.clean:
                found[rule] = sure and not tampered and await self._verdict(rule)
        if not tampered and self._question:
            tampered = await self._data_changed()
        elif not tampered and sure and await self._meddled(after):
            tampered = "a tool, while the checks ran"
            found.update({rule: False for rule in rules if rule.clean})
        return Findings(tuple(found[rule] for rule in rules), tampered)

    async def _data_changed(self) -> str:
        """Whether the answer is right only for the data as the model left them."""
        if not self._problem.repeatable:
            return ""
        if await self._verdict(PAPER) and not await self._verdict(replace(PAPER, clean=True)):
            return "what the check reads"
        return ""

    async def _changes(self, after: tamper.ToolSnapshot | None) -> str:
        """Tools that were changed; nothing where the host cannot see them."""
        upper, image, before = self._box.written, self._box.spec.image, self._before
        if upper is None or before is None or not isinstance(image, Path):
            return ""
        if after is None:
            return "more than can be looked through"
        login = any(word in check.code for check in self._problem.checks if check for word in _LOGINS)
        paths = await asyncio.to_thread(tamper.changed, image, upper, before, after, login=login)
        return ", ".join(f"/{path}" for path in paths[:5])

    async def _meddled(self, after: tamper.ToolSnapshot | None) -> bool:
        """Whether the model's programs, run by the checks, touched a tool under them."""
        await self._box.freeze()
        now = await look(self._box)
        return now is None or after is None or _lasting(now) != _lasting(after)

    async def _verdict(self, rule: CheckRule) -> bool:
        same = next((other for other in self._found if self._same(rule, other)), None)
        if same is None:
            same, self._found[rule] = rule, await self._apply(rule)
        return self._found[same]

    def _same(self, one: CheckRule, other: CheckRule) -> bool:
        """Whether two rules cannot differ, so that the checks need not run again."""
        mended = self._problem.id in scoring.CORRECTIONS or self._problem.id in corrected.CHECKS
        gold = one.corrected_gold == other.corrected_gold or not mended
        errors = one.merge_stderr == other.merge_stderr or not self._errors_seen
        return one.clean == other.clean and gold and errors

    async def _apply(self, rule: CheckRule) -> bool:
        problem = self._problem
        if problem.match is not None:
            return scoring.matches(self._answer, problem.match, careful=rule.clean)
        box = self._box
        if rule.clean and self._question and self._problem.repeatable:
            if self._fresh is None:
                self._fresh = await self._stack.enter_async_context(self._again())
            box = self._fresh
        params = [str(self._answer)]
        for check in problem.checks:
            script = check or problem.example
            if script is None:
                return False
            if script.grader:
                if not scoring.grade(script.grader, params, careful=rule.clean):
                    return False
                params.append("")
                continue
            result = await self._run(box, argv(script, self._code(check, script, rule), params), rule)
            if result.code != 0:
                return False
            params.append(_output(result, merge_stderr=rule.merge_stderr))
        return True

    def _code(self, check: OsScript | None, script: OsScript, rule: CheckRule) -> str:
        if not rule.corrected_gold:
            return script.code
        return (
            scoring.corrected(self._problem) if check is None else corrected.check(self._problem, script.code)
        )

    async def _run(self, box: Box, command: tuple[str, ...], rule: CheckRule) -> Result:
        result = await box.run(Command(command, timeout=CHECK_S, env=_CLEAN if rule.clean else {}))
        self._errors_seen = self._errors_seen or bool(result.stderr)
        return result


def _lasting(seen: tamper.ToolSnapshot) -> dict[str, tuple[int, int]]:
    return {path: stamp for path, stamp in seen.stamps.items() if "__pycache__" not in path}


def _output(result: Result, *, merge_stderr: bool) -> str:
    data = result.stdout + result.stderr if merge_stderr else result.stdout
    return data.decode("utf-8", "replace").replace("\0", "")
