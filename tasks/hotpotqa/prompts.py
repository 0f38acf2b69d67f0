"""The prompts of the five agents, filled from literals that are data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from harness.errors import DataError

AGENTS = ("react", "zeroshot", "zeroshot_think", "planner", "planner_react")

_INSTRUCTION = {
    "react": "REACT_INSTRUCTION",
    "zeroshot": "ZEROSHOT_INSTRUCTION",
    "zeroshot_think": "ZEROSHOT_INSTRUCTION",
    "planner": "PLANNER_INSTRUCTION",
    "planner_react": "PLANNERREACT_INSTRUCTION",
}
_EXAMPLES = {
    "react": "REACT_EXAMPLE",
    "planner": "PLANNER_EXAMPLE",
    "planner_react": "PLANNERREACT_EXAMPLE",
}
_INSTRUCTIONS_AT = {
    "agenttuning": "AgentTuning:eval_heldout/hotpotQA/src/pre_prompt.py:",
    "bolaa": "BOLAA:hotpotqa_run/pre_prompt.py:",
}
_EXAMPLES_AT = "AgentTuning:eval_heldout/hotpotQA/src/fewshots.py:"
_SLOT = re.compile(r"\{(examples|question|plan|scratchpad)\}")


@dataclass(frozen=True, slots=True)
class HotpotPrompts:
    """The texts one agent needs.

    Attributes:
        instruction: with slots for examples, question, plan and scratchpad.
        planning: the planner's own prompt, empty for agents without a plan.
        thinks: whether a step has a Thought call before its Action call.
    """

    instruction: str
    examples: str
    planning: str
    planning_examples: str
    thinks: bool

    def act(self, question: str, scratchpad: str, plan: str = "") -> str:
        """The prompt for the next thought or action."""
        return fill(
            self.instruction,
            examples=self.examples,
            question=question,
            plan=plan,
            scratchpad=scratchpad,
        )

    def plan(self, question: str) -> str:
        """The prompt for the plan."""
        return fill(self.planning, examples=self.planning_examples, question=question)

    def leaks(self, question: str) -> bool:
        """Whether an exemplar in these prompts is this very question."""
        asked = question.strip()
        return asked in self.examples or asked in self.planning_examples


def choose(texts: Mapping[str, str], agent: str, variant: str) -> HotpotPrompts:
    """Pick an agent's prompts out of the literals.

    Args:
        texts: literals by address.
        agent: one of `AGENTS`.
        variant: `agenttuning` or `bolaa`; exemplars are the same in both.
    """

    def text(address: str) -> str:
        if address not in texts:
            raise DataError(f"prompts.json has no {address}; get the file again")
        return texts[address]

    at = _INSTRUCTIONS_AT[variant]
    planned = agent.startswith("planner")
    return HotpotPrompts(
        instruction=text(at + _INSTRUCTION[agent]),
        examples=text(_EXAMPLES_AT + _EXAMPLES[agent]) if agent in _EXAMPLES else "",
        planning=text(at + "PLAN_INSTRUCTION") if planned else "",
        planning_examples=text(_EXAMPLES_AT + "PLAN_EXAMPLE") if planned else "",
        thinks=agent in ("react", "zeroshot_think", "planner_react"),
    )


def fill(template: str, **slots: str) -> str:
    """Fill named slots once; braces in what is filled in stay as they are."""
    return _SLOT.sub(lambda match: slots.get(match.group(1), ""), template)
