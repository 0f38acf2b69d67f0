"""One visit to the shop by one model: search, click, buy."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from harness.types import Ask, Observation, Reply, Score
from tasks.webshop import action
from tasks.webshop.prompts import WebShopPrompts
from tasks.webshop.shop import Page, Visit

MAX_NEW_TOKENS = 128
LOGGED = 2000


class BrokenSearch(Exception):
    """A query that upstream's environment does not survive."""


@dataclass(frozen=True, slots=True)
class VisitRules:
    """What all episodes of a run share.

    Attributes:
        parser: whose action format counts.
        turns: replies a visit may take.
        search: finds products; raises BrokenSearch.
        value: all parts of the reward of what was bought, by name.
    """

    prompts: WebShopPrompts
    ask: Ask
    parser: str
    turns: int
    search: Callable[[str], Awaitable[Sequence[int]]]
    value: Callable[[Visit], Awaitable[Mapping[str, float]]]


class WebShopEpisode:
    """Plays one goal."""

    def __init__(self, visit: Visit, rules: VisitRules) -> None:
        self._visit, self._rules = visit, rules
        self._turns = self._invalid = 0
        self._ended = ""
        self._parts: Mapping[str, float] = {"reward": 0.0}

    async def reset(self) -> Observation:
        return Observation(self._rules.prompts.opening(self._visit), self._rules.ask, info=self._info())

    async def step(self, reply: Reply) -> Observation:
        self._turns += 1
        found = action.parse(reply.text, self._rules.parser)
        if found is None:
            self._ended = "the reply holds no action"
            return Observation(done=True, info={"ended": self._ended})
        try:
            valid = await self._act(found)
        except BrokenSearch as error:
            self._ended = str(error)
            return Observation(done=True, info={"ended": self._ended, "action": found.text[:LOGGED]})
        self._invalid += not valid
        info = {"action": found.text[:LOGGED], "valid": valid, **self._info()}
        if self._visit.page is Page.DONE:
            self._parts = await self._rules.value(self._visit)
        if self._visit.page is Page.DONE or self._turns >= self._rules.turns:
            return Observation(done=True, info=info)
        return Observation((self._rules.prompts.page(self._visit),), self._rules.ask, info=info)

    async def _act(self, found: action.ShopAction) -> bool:
        """Search or click; False, and nothing happens, where the page does not offer it."""
        if found.verb == "search":
            self._visit.search(await self._rules.search(found.argument))
            return True
        return found.verb == "click" and self._visit.click(found.argument)

    def _info(self) -> dict[str, object]:
        return {"page": self._visit.page.value, "clickables": self._visit.clickables()}

    async def score(self) -> Score:
        bought = self._visit.page is Page.DONE
        outcome: Literal["limit", "model_error"] | None = None
        if self._ended:
            outcome = "model_error"
        elif not bought and self._turns >= self._rules.turns:
            outcome = "limit"
        metrics = {
            **self._parts,
            "success": float(self._parts["reward"] == 1.0),
            "format_fail": float(bool(self._ended)),
            "bought": float(bought),
            "invalid_actions": float(self._invalid),
            "turns": float(self._turns),
        }
        answer = f"{self._visit.item.asin} {self._visit.options}" if bought else ""
        return Score(self._parts["reward"], metrics, self._ended, outcome, answer, self._visit.instruction)

    async def close(self) -> None:
        """Nothing to release."""
