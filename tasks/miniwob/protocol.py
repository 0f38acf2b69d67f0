"""The RCI protocol without a browser: which document is asked next, and when to act on the page."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any, Literal

from tasks.miniwob.action import MiniWobAction, accepted, cut, parse, steps
from tasks.miniwob.prompts import MiniWobPrompts

Stage = Literal["plan", "critique", "revise", "act", "ground", "repair"]
Ended = Literal["page", "plan", "repairs", "verb", "miss", "stuck"]
"""Why it is over: the page decided, the plan ran out, an instruction was unusable or left the page stuck."""


@dataclass(frozen=True, slots=True)
class MiniWobRules:
    """The options of an episode; `tasks/miniwob/README.md` explains them.

    Attributes:
        strict: partly right answers on this page are no success.
        paper: the episode's value follows the released rule.
    """

    critiques: int = 1
    repairs: int = 3
    grounding: bool = True
    max_steps: int = 30
    empty_asks: int = 3
    noop_on_miss: bool = False
    page_chars: int | None = None
    truncate: int | None = 4000
    strict: bool = False
    paper: bool = True


@dataclass(frozen=True, slots=True)
class View:
    """What the page showed last.

    Attributes:
        html: the page as the prompt quotes it; empty once `done`.
        reward: as the page counts it (it may decay with time).
        raw: the reward before any decay.
        url: of the document, without its fragment.
        missed: the action before named something that is not there.
    """

    html: str = ""
    utterance: str = ""
    fields: dict[str, Any] = field(default_factory=dict[str, Any])
    done: bool = False
    reward: float = 0.0
    raw: float = 0.0
    reason: str = ""
    url: str = ""
    missed: bool = False


@dataclass(frozen=True, slots=True)
class ModelCall:
    """One call of the model, in a context of its own; it is answered with the reply's text."""

    stage: Stage
    document: str


Script = Generator[ModelCall | MiniWobAction, Any, Ended]
_Asking = Generator[ModelCall | MiniWobAction, Any, str]


class Protocol:
    """Plays one episode as a generator: a `ModelCall` is answered with a text, an `Action` with a `View`.

    Attributes:
        steps: instructions carried out.
        repaired: replies that asked for a repair.
    """

    def __init__(self, prompts: MiniWobPrompts, rules: MiniWobRules, task: str) -> None:
        self._prompts = prompts
        self._rules = rules
        self._task = task
        self._files = prompts.files(task)
        self.steps = 0
        self.repaired = 0
        self.dropped_upstream = False

    def play(self, view: View) -> Script:
        """Run from the first view to the end; returns why it ended."""
        goal = view.utterance
        plan = yield from self._plan(view, goal)
        # The released loop never ends here, or drops the episode; we count it as failed.
        self.dropped_upstream = not plan.strip()
        done: list[str] = []
        for _ in range(steps(plan, self._rules.max_steps)):
            document = self._prompts.act(self._task, self._shown(view), goal, plan, done)
            instruction = yield from self._instruction(document)
            if not self._accepts(instruction):
                return "repairs"
            action = parse(instruction)
            if action is None:
                return "verb"
            done.append(instruction)
            self.steps += 1
            view = yield action
            if view.missed and action.verb in ("clickoption", "movemouse") and not self._rules.noop_on_miss:
                return "miss"  # the released environment crashes here
            if view.done or view.reward != 0:
                return "page"
        return "plan"

    def _plan(self, view: View, goal: str) -> _Asking:
        prompts = self._prompts
        document = prompts.plan(self._task, self._shown(view), goal)
        plan = "\n" + (yield ModelCall("plan", document))
        document += plan
        for _ in range(self._rules.critiques):
            document += prompts.critique
            document += yield ModelCall("critique", document)
            document += prompts.revise
            plan = yield ModelCall("revise", document)
            document += plan
        return plan

    def _instruction(self, document: str) -> _Asking:
        """Ask for one instruction, ground it on the page, and repair it while no pattern accepts it."""
        reply: str = yield ModelCall("act", document)
        document += cut(reply) + "`."
        if self._rules.grounding and self._files.update_action:
            document += self._files.update_action
            reply = yield ModelCall("ground", document)
            document += reply
        for _ in range(self._rules.repairs):
            if self._accepts(cut(reply)):
                break
            self.repaired += 1
            document += self._files.rci_action
            reply = yield ModelCall("repair", document)
            document += reply
        return cut(reply)

    def _accepts(self, instruction: str) -> bool:
        return accepted(instruction, self._prompts.patterns)

    def _shown(self, view: View) -> str:
        html, most = view.html, self._rules.page_chars
        if most is None or len(html) <= most:
            return html
        return f"{html[: most // 2]}\n...\n{html[len(html) - most // 2 :]}"
