"""Builds the prompts of the planner, the solver and the judge from literals in the data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from harness.errors import DataError
from harness.types import Message
from tasks.rewoo.action import NOTHING, Plan
from tasks.rewoo.rows import DATASETS
from tasks.rewoo.variables import FILLED

SYSTEM = "You are a helpful, respectful and honest assistant."
"""FastChat's system text for its `llama-2` template (Apache-2.0), also in `harness/jinja`."""

_AT = "AgentTuning:eval_heldout/rewoo/"
_WORKER = {
    "Wikipedia": "WikipediaWorker",
    "LLM": "LLMWorker",
    "WolframAlpha": "WolframAlphaWorker",
    "Calculator": "CalculatorWorker",
    "Google": "GoogleWorker",
    "SearchSOTU": "SearchDocWorker",
}
_DOCUMENT = "state_of_the_union"


@dataclass(frozen=True, slots=True)
class RewooPrompts:
    """All prompts of a run."""

    texts: Mapping[str, str]

    def planner(self, dataset: str, question: str) -> str:
        """Ask for a plan with the data set's tools and exemplar."""
        tools = DATASETS[dataset].tools
        listed = "".join(f"{tool}[input]: {self._description(tool)}\n" for tool in tools)
        return (
            self._text("prompts/planner.py:DEFAULT_PREFIX")
            + self._text("nodes/Planner.py:tools_header")
            + listed
            + "\n"
            + self.exemplar(dataset)
            + self._text("prompts/planner.py:DEFAULT_SUFFIX")
            + question
            + "\n"
        )

    def solver(self, question: str, log: str) -> str:
        """Ask for the answer, with the plan's evidence."""
        prefix = self._text("prompts/solver.py:DEFAULT_PREFIX")
        suffix = self._text("prompts/solver.py:DEFAULT_SUFFIX")
        return f"{prefix}{question}\n{log}{suffix}{question}\n"

    def exemplar(self, dataset: str) -> str:
        """The worked example of a data set."""
        return self._text(f"prompts/fewshots.py:{DATASETS[dataset].exemplar}")

    def judge(self, question: str, answer: str, gold: str) -> str:
        """Ask a judge for CORRECT or INCORRECT."""
        template = self._text("langchain==0.0.187:evaluation/qa/eval_prompt.py:template", at="")
        parts = {"{query}": question, "{result}": answer, "{answer}": gold}
        return _fill(template, parts)

    @property
    def llm(self) -> str:
        """The LLM tool's template."""
        return self._text("nodes/Worker.py:LLMWorker.template")

    @property
    def calculator(self) -> str:
        """The calculator's translation prompt."""
        return self._text("langchain==0.0.187:chains/llm_math/prompt.py:_PROMPT_TEMPLATE", at="")

    def _description(self, tool: str) -> str:
        text = self._text(f"nodes/Worker.py:{_WORKER[tool]}.description")
        return text.replace("{doc_name}", _DOCUMENT)

    def _text(self, address: str, at: str = _AT) -> str:
        if at + address not in self.texts:
            raise DataError(f"prompts.json has no {at}{address}; get the file again")
        return self.texts[at + address]


def worker_log(plan: Plan, evidence: Mapping[str, str]) -> str:
    """The solver's input: each plan line with its evidence, without variables and calls.

    After `FILLED` characters of evidence no more is shown.
    """
    parts: list[str] = []
    left = FILLED
    for line, names in plan.shown:
        # A plan may name the same evidence under every line, which would grow with the square of the reply.
        found = "\n".join(evidence.get(name, NOTHING) for name in names or ("",)) if left > 0 else NOTHING
        left -= len(found)
        parts.append(f"{line}\nEvidence:\n{found}\n")
    return "".join(parts)


def chat(prompt: str) -> tuple[Message, ...]:
    """One prompt as the conversation that upstream sends to local models."""
    return Message("system", SYSTEM), Message("user", prompt, pin="task")


def _fill(template: str, parts: Mapping[str, str]) -> str:
    """Fill each slot once, so that braces inside an answer are not filled."""
    filled, rest = "", template
    while found := [(rest.find(slot), slot) for slot in parts if slot in rest]:
        at, slot = min(found)
        filled += rest[:at] + parts[slot]
        rest = rest[at + len(slot) :]
    return filled + rest
