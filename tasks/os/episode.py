"""One problem: a fresh system, at most eight turns at its shell, then the checks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from harness import seeds
from harness.types import Ask, Message, Observation, Reply, Score
from tasks._shared.sandbox import Box, Command, SandboxFault
from tasks._shared.sandbox.shell import Output, Shell
from tasks._shared.sandbox.spec import Refused
from tasks.os import checks
from tasks.os.action import parse
from tasks.os.prompts import OsPrompts, shorten
from tasks.os.rows import OsProblem

if TYPE_CHECKING:
    from tasks.os.options import OsSettings
    from tasks.os.tamper import ToolSnapshot

MAX_NEW_TOKENS = 128
INIT_S = 120.0
LOGGED = 4000


class OsEpisode:
    """Plays one problem in one sandbox."""

    def __init__(
        self,
        problem: OsProblem,
        make: Callable[[], Awaitable[Box]],
        prompt: OsPrompts,
        settings: OsSettings,
        seed: int,
    ) -> None:
        self._problem = problem
        self._make = make
        self._prompt = prompt
        self._settings = settings
        self._seed = seed
        self._ask = Ask(MAX_NEW_TOKENS, truncate=settings.truncate)
        self._box: Box | None = None
        self._shell: Shell | None = None
        self._before: ToolSnapshot | None = None
        self._answer: str | None = None
        self._invalid = False

    async def reset(self) -> Observation:
        self._box = await self._make()
        self._shell = Shell(self._box)
        codes = await self._set_up(self._box, self._shell)
        self._before = await checks.look(self._box)
        task = Message("user", (self._prompt.lead + self._problem.description).strip(), "task")
        return Observation((*self._prompt.opening, task), self._ask, info={"init": codes})

    async def _set_up(self, box: Box, shell: Shell) -> list[int]:
        """Bring a new system into the problem's first state; returns the init scripts' exit statuses."""
        try:
            # Upstream logs in before the init scripts run: what they write to ~/.bashrc is not read yet.
            await shell.start()
            codes = [await self._prepare(box, index) for index in range(len(self._problem.init))]
            if self._problem.start:
                await shell.run(self._problem.start, INIT_S)
        except Refused as error:
            raise SandboxFault(f"the problem's own set-up broke the shell: {error}") from error
        return codes

    @asynccontextmanager
    async def _again(self) -> AsyncIterator[Box]:
        """A system in the first state, touched by no model, and its shell, which a check may count."""
        box = await self._make()
        shell = Shell(box)
        try:
            await self._set_up(box, shell)
            yield box
        finally:
            await shell.close()
            await box.destroy()

    async def _prepare(self, box: Box, index: int) -> int:
        """Run one init script; its exit status is logged and, as upstream, ignored."""
        script = self._problem.init[index]
        code = script.code
        if script.language == "bash":
            # Some scripts make random data: the same seed must make the same.
            code = f"RANDOM={seeds.derive(self._seed, 'random', index) % 32768}\n{code}"
        return (await box.run(Command(checks.argv(script, code, ()), timeout=INIT_S))).code

    async def step(self, reply: Reply) -> Observation:
        action = parse(reply.text)
        if action.kind != "bash":
            self._answer = action.text if action.kind == "answer" else None
            self._invalid = action.kind == "invalid"
            return Observation(done=True)
        assert self._shell is not None and self._box is not None
        try:
            output = await self._shell.run(action.text, self._settings.command_s)
        except SandboxFault:
            if self._box.alive:
                raise
            return Observation(done=True, info={"destroyed": True})  # the model caused it
        shown = Message("user", self._show(output).strip())
        info = {"output": output.text[:LOGGED], **_marks(output)}
        return Observation((shown,), self._ask, said=reply.text.strip(), info=info)

    def _show(self, output: Output) -> str:
        text = output.text
        if output.timed_out or output.flooded:
            why = (
                "it printed without end" if output.flooded else f"{self._settings.command_s:g} s have passed"
            )
            text = f"{_ended(text)}[interrupted: {why}]\n"
        if output.restarted and output.prompt:
            text = f"{_ended(text)}[a new shell was started]\n"
        if self._settings.style == "prompt":
            text += output.prompt.rstrip()
        if not text:
            return self._prompt.empty
        return self._prompt.output + shorten(text, self._prompt.truncated)

    async def score(self) -> Score:
        settings, box = self._settings, self._box
        outcome = "model_error" if self._invalid else None
        if box is None or not box.alive:
            return Score(0.0, _metrics(0.0, 0.0, 0.0, ""), "the system is gone", outcome)
        rule = checks.CheckRule(
            merge_stderr=settings.merge_stderr,
            corrected_gold=settings.corrected_gold,
            clean=settings.corrected_gold,
        )
        judging = checks.CheckRunner(self._problem, box, self._answer, self._before, self._again)
        try:
            async with judging:
                found = await judging.findings([rule, checks.PAPER, checks.FIXED])
        except SandboxFault:
            if box.alive:
                raise
            return Score(0.0, _metrics(0.0, 0.0, 0.0, ""), "the system died in its checks", outcome)
        value, paper, fixed = (float(verdict) for verdict in found.values)
        note = f"tampered: {found.tampered}" if found.tampered else ""
        metrics = _metrics(value, paper, fixed, found.tampered)
        wanted = self._problem.match or "that its checks pass"
        return Score(value, metrics, note, outcome, answer=self._answer or "", target=wanted)

    async def close(self) -> None:
        """Hang up and destroy the system. Idempotent."""
        shell, self._shell = self._shell, None
        box, self._box = self._box, None
        if shell is not None:
            await shell.close()
        if box is not None:
            await box.destroy()


def _metrics(value: float, paper: float, fixed: float, tampered: str) -> dict[str, float]:
    untampered = 0.0 if tampered else value
    return {"paper": paper, "fixed": fixed, "tampered": float(bool(tampered)), "untampered": untampered}


def _ended(text: str) -> str:
    return text if not text or text.endswith("\n") else f"{text}\n"


def _marks(output: Output) -> dict[str, bool]:
    names = ("timed_out", "flooded", "restarted", "truncated")
    return {name: True for name in names if getattr(output, name)}
