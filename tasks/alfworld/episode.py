"""One game against one model: turns, the repetition rule, and the list of actions where it is shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from harness.types import Ask, Message, Observation, Reply, Score
from tasks.alfworld import action, score
from tasks.alfworld.prompts import AlfworldPrompts, offered
from tasks.alfworld.world import GameSession

MAX_NEW_TOKENS = 128
LOGGED = 4000
"""Characters of a reply kept in `info`; the call's record has all of it."""


@dataclass(frozen=True, slots=True)
class AlfworldRules:
    """What the options decide.

    Attributes:
        choose: finds the command to execute for an action.
        marked_only: a reply without a usable `ACTION:` ends the episode (AgentBench v0.2).
        show_actions: the newest turn lists the admissible commands.
    """

    prompts: AlfworldPrompts
    ask: Ask
    choose: Callable[[str, Sequence[str]], action.Choice] = action.nearest
    marked_only: bool = False
    show_actions: bool = False


class AlfWorldEpisode:
    """Plays one game."""

    def __init__(self, house: GameSession, kind: str, rules: AlfworldRules) -> None:
        self._house, self._kind, self._rules = house, kind, rules
        self._turns: list[score.AlfworldTurn] = []
        self._said: list[Message] = []
        self._invalid = False

    async def reset(self) -> Observation:
        first = self._rules.prompts.first(await self._house.open())
        opening = self._rules.prompts.opening(self._kind)
        return self._show([*opening], first, {"kind": self._kind, "plan": list(self._house.plan)})

    async def step(self, reply: Reply) -> Observation:
        parsed = action.parse(reply.text)
        if self._rules.marked_only and not (action.marked(reply.text) and parsed):
            self._invalid = True
            return Observation(done=True, info={"raw": reply.text[:LOGGED], "parsed": ""})
        choice = self._rules.choose(parsed, self._house.commands)
        feedback, won = await self._house.step(choice.command)
        turn = score.AlfworldTurn(reply.text, parsed, choice.command, choice.bleu, feedback, won)
        self._turns.append(turn)
        info = {
            "raw": turn.raw[:LOGGED],
            "parsed": parsed[:LOGGED],
            "executed": turn.executed[:LOGGED],
            "bleu": choice.bleu,
            "won": won,
        }
        if won or score.repeated(self._turns):
            return Observation(done=True, info=info)
        said = self._rules.prompts.message("assistant", reply.text)
        return self._show([said], self._rules.prompts.observation(feedback), info)

    def _show(self, before: list[Message], text: str, info: dict[str, Any]) -> Observation:
        """Show a user's turn; with a list of actions in it, the older list is left out of what is sent."""
        prompts, ask = self._rules.prompts, self._rules.ask
        turn = prompts.message("user", text)
        if not self._rules.show_actions:
            said = before[0].content if self._turns else None
            new = (turn,) if self._turns else (*before, turn)
            return Observation(new, ask, said=said, info=info)
        # Upstream cuts the list off again at its label, and leaves the space before it.
        listed = prompts.message("user", text + offered(self._house.commands))
        shown = (*self._said, *before, listed)
        self._said += [*before, prompts.message("user", f"{text} ")]
        return Observation(shown, ask, fresh=True, info=info)

    async def score(self) -> Score:
        metrics = score.metrics(self._turns, self._kind)
        done, wanted = self._turns[-1].executed if self._turns else "", f"{self._kind}, done"
        if self._invalid:
            note = "the reply names no action"
            return Score(0.0, metrics, note, outcome="model_error", answer=done, target=wanted)
        struck = score.repeated(self._turns)
        note = "the same reply three times" if struck else ""
        outcome = "model_error" if struck and self._rules.marked_only else None
        return Score(score.value(self._turns), metrics, note, outcome, answer=done, target=wanted)

    async def close(self) -> None:
        self._house.close()
