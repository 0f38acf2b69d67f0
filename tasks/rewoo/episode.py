"""One question: a plan, the tools it calls, and the solver's answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from harness.authoring.answers import exact_match, f1
from harness.types import Ask, Chat, JudgeAsk, Message, Observation, Pending, Reply, Sample, Score
from tasks.rewoo import execute
from tasks.rewoo.action import Grammar, Plan, PlanError, ToolCall, read
from tasks.rewoo.prompts import RewooPrompts, chat, worker_log
from tasks.rewoo.rows import DATASETS
from tasks.rewoo.score import rule
from tasks.rewoo.toolbox import Toolbox
from tasks.rewoo.tools.base import Evidence

TOKENS = 256
INPUT = 4000
"""Prompt tokens that the server keeps, as upstream asks it; it cuts on the left."""


JUDGE = Ask(max_new_tokens=32)

NO_CALL = ("plan", "unknown", "capped")
"""Origins of evidence for which no tool was called."""

SPARE = 4
"""Tokens by which a prompt may shrink beyond the bytes taken out of it."""


@dataclass(frozen=True, slots=True)
class RewooRules:
    """The options of a run that an episode follows.

    Attributes:
        grammar: how plans are read; the fixed one also turns tool errors into evidence.
        by_rule: grade by rule instead of by a judge.
        cap: tool calls per episode.
        parallel: run independent calls in parallel.
        truncate: let the server cut long prompts; otherwise the longest evidence is cut here.
        label: the name of the run, `rewoo` or `rewoo-5of7`.
    """

    grammar: Grammar = "paper"
    by_rule: bool = False
    cap: int = 16
    parallel: bool = True
    truncate: bool = True
    label: str = "rewoo"


class RewooEpisode:
    """Two calls of the model, with tools between them."""

    def __init__(
        self,
        sample: Sample,
        prompts: RewooPrompts,
        toolbox: Toolbox,
        chat: Chat | None,
        rules: RewooRules,
        count: Callable[[str], int],
    ) -> None:
        self._dataset = str(sample.data["dataset"])
        self._question, self._gold = str(sample.data["question"]), str(sample.data["answer"])
        self._aliases: tuple[str, ...] = tuple(sample.data["aliases"])
        self._prompts, self._toolbox, self._rules, self._count = prompts, toolbox, rules, count
        self._chat = chat
        self._plan: Plan | None = None
        self._outcome = execute.Outcome(())
        self._failure = ""
        self._answer: str | None = None
        self._truncated = 0

    async def reset(self) -> Observation:
        return self._ask(self._prompts.planner(self._dataset, self._question), stage="plan")

    async def step(self, reply: Reply) -> Observation:
        text = cut(reply.text)
        self._truncated += self._rules.truncate and reply.prompt_tokens >= INPUT
        if self._plan is None:
            return await self._work(text)
        self._answer = text.strip("\n")
        return Observation(done=True, info={"stage": "done"})

    async def score(self) -> Score | Pending:
        note = self._note()
        if self._failure:
            return Score(0.0, self._metrics(0.0, 0.0, 0.0), note, outcome="model_error", target=self._gold)
        if self._answer is None:
            return Score(0.0, self._metrics(0.0, 0.0, 0.0), note, target=self._gold)
        right = rule(self._dataset, self._answer, self._gold, self._aliases)
        em = exact_match(self._answer, self._gold)
        metrics = self._metrics(float(right), float(em), f1(self._answer, self._gold))
        if self._rules.by_rule:
            return Score(float(right), metrics, note, answer=self._answer, target=self._gold)
        prompt = self._prompts.judge(self._question, self._answer, self._gold)
        item = JudgeAsk("grade", (Message("user", prompt),), JUDGE, {"metrics": metrics, "note": note})
        known = Score(0.0, metrics, answer=self._answer, target=self._gold)
        return Pending((item,), note, partial=known)

    async def close(self) -> None:
        """Nothing to release: the tools belong to the world."""

    async def _work(self, text: str) -> Observation:
        """Run the plan and ask the solver, or end the episode where upstream's code raised."""
        tools = DATASETS[self._dataset].tools
        self._plan = Plan((), ())
        try:
            self._plan = read(text, self._rules.grammar, tools)
        except PlanError as error:
            self._failure = f"plan_error: {error}"
            return Observation(done=True, info={"failure": self._failure})
        rules = execute.ExecutionRules(
            grammar=self._rules.grammar,
            known=frozenset(tools),
            cap=self._rules.cap,
            parallel=self._rules.parallel,
        )
        self._outcome = await execute.execute(self._plan, self._use, rules)
        log = [[r.name, r.tool, r.text, r.evidence, r.source] for r in self._outcome.results]
        if self._outcome.failure:
            self._failure = f"tool_error: {self._outcome.failure}"
            return Observation(done=True, info={"failure": self._failure, "evidence": log})
        solver = self._ask(self._solver_prompt(self._plan), stage="solve")
        return replace(solver, info={**solver.info, "evidence": log})

    async def _use(self, call: ToolCall, text: str) -> Evidence:
        return await self._toolbox.tools[str(call.tool)].use(call.name, text, self._chat)

    def _solver_prompt(self, plan: Plan) -> str:
        evidence = dict(self._outcome.evidence)
        prompt = self._prompts.solver(self._question, worker_log(plan, evidence))
        while not self._rules.truncate and evidence and (over := self._count(prompt) - INPUT) > 0:
            if not trim(evidence, Counter(name for _, names in plan.shown for name in names), over):
                break
            self._truncated += 1
            prompt = self._prompts.solver(self._question, worker_log(plan, evidence))
        return prompt

    def _ask(self, prompt: str, *, stage: str) -> Observation:
        ask = Ask(max_new_tokens=TOKENS, truncate=INPUT if self._rules.truncate else None)
        return Observation(chat(prompt), ask, fresh=True, info={"stage": stage})

    # -- numbers

    def _metrics(self, right: float, em: float, overlap: float) -> dict[str, float]:
        results = self._outcome.results
        sources = Counter(result.source for result in results)
        tools = Counter(result.tool for result in results if result.source not in NO_CALL)
        fallbacks = sum(count for source, count in sources.items() if source in self._toolbox.fallbacks)
        return {
            "rule_accuracy": right,
            "em": em,
            "f1": overlap,
            "steps": float(len(self._plan.shown) + 1 if self._plan else 0),
            "plan_error": float(self._failure.startswith("plan_error")),
            "tool_error": float(self._failure.startswith("tool_error") or sources["error"] > 0),
            "tool_calls": float(tools.total()),
            "unknown_tools": float(sources["unknown"]),
            "capped_calls": float(sources["capped"]),
            "fallback_calls": float(fallbacks),
            "snapshot_miss": float(any(result.missed for result in results)),
            "truncated": float(self._truncated > 0),
            "exemplar_leak": float(self._question.strip() in self._prompts.exemplar(self._dataset)),
            **{f"calls_{tool}": float(tools[tool]) for tool in DATASETS[self._dataset].tools},
        }

    def _note(self) -> str:
        missed = sum(result.missed for result in self._outcome.results)
        parts = [
            self._rules.label,
            self._toolbox.label,
            "graded by rule" if self._rules.by_rule else "",
            f"env_incomplete: {missed} inputs not in the snapshot" if missed else "",
            self._failure,
        ]
        return ", ".join(part for part in parts if part)


def trim(evidence: dict[str, str], shown: Mapping[str, int], over: int) -> bool:
    """Shorten the longest evidence by what a prompt has too much; False when there is none to shorten.

    Where emptying it is not enough, the next longest follow at once, without counting the prompt again after
    each: a plan may have thousands of short ones.

    Args:
        evidence: by variable; changed in place.
        shown: how often each variable's evidence is in the prompt.
        over: tokens above the limit.
    """
    for n, name in enumerate(sorted(evidence, key=lambda name: len(evidence[name]), reverse=True)):
        text = evidence[name]
        if not text or (n and len(text) > 3 * over):
            return n > 0
        evidence[name] = text[: max(0, len(text) - 3 * over)]
        if evidence[name]:
            return True
        # A token has at least one byte, and the text around the gap may be split into other tokens.
        over -= shown.get(name, 0) * (len(text.encode("utf-8", "surrogatepass")) + SPARE)
    return bool(evidence)


def cut(reply: str) -> str:
    """End a reply where upstream does: at the mark of the next turn."""
    return reply.split("[INST]", 1)[0].split("<|end_of_turn|>", 1)[0].strip()
