"""Searches for the goal's own title, opens it, chooses the options asked for, and buys."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.episode import BaseOracle
from harness.types import Observation
from tasks.webshop.rows import ShopGoal
from tasks.webshop.score import ShopRules
from tasks.webshop.shop import BACK, BUY, NEXT, PREVIOUS, SUBPAGES

BUTTONS = frozenset(label.lower() for label in (BACK, PREVIOUS, NEXT, BUY, *SUBPAGES))


class WebShopOracle(BaseOracle):
    """Knows the goal, and reads from a page's log what can be clicked there."""

    def __init__(self, goal: ShopGoal, rules: ShopRules) -> None:
        self._goal, self._rules = goal, rules
        self._plan: Iterator[str] | None = None

    async def reply(self, observation: Observation) -> str:
        """One action."""
        page, clickables = observation.info["page"], observation.info["clickables"]
        return f"Thought:\nI follow the plan.\n\nAction:\n{self._action(page, clickables)}"

    def _action(self, page: str, clickables: Sequence[str]) -> str:
        if page == "start":
            return f"search[{self._query()}]"
        if page == "results":
            asin = self._goal.asin.lower()
            return f"click[{asin if asin in clickables else NEXT.lower()}]"
        if self._plan is None:
            self._plan = iter([*self._values(clickables), BUY.lower()])
        return f"click[{next(self._plan)}]"

    def _query(self) -> str:
        """The title; brackets would end the action, and a line break is no part of one."""
        return " ".join(self._goal.title.replace("[", " ").replace("]", " ").split()) or self._goal.asin

    def _values(self, clickables: Sequence[str]) -> Iterator[str]:
        """The offered values that stand for the options asked for, equal ones first."""
        values = [label for label in clickables if label not in BUTTONS and "]" not in label]
        for option in self._goal.options:
            alike = [v for v in values if self._rules.alike(self._rules.color(v), self._rules.color(option))]
            if alike:
                yield option if option in alike else alike[0]
