"""One MiniWoB++ episode: the protocol of the released scripts on a page of its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from harness.types import Ask, Observation, Reply, Score
from tasks._shared.browser import BrowserPool, NoAnswer, PageCrashed, Tab
from tasks.miniwob.action import MiniWobAction
from tasks.miniwob.page import WobPage
from tasks.miniwob.prompts import MiniWobPrompts
from tasks.miniwob.protocol import Ended, MiniWobRules, ModelCall, Protocol, Script, View
from tasks.miniwob.score import success

UNUSABLE: frozenset[Ended] = frozenset({"repairs", "verb", "miss", "stuck", "crash"})
"""Endings for which the reply, not the page, is the reason."""


@dataclass(slots=True)
class WobEpisode:
    """Plays one instance of one page.

    Attributes:
        seed: decides the instance.
        beyond: the page keeps dialogs beside its own frame.
        crashes: instances whose page crashed after an action, for all episodes of a run.
        ended: why the episode is over, None while it runs.
    """

    pool: BrowserPool
    prompts: MiniWobPrompts
    rules: MiniWobRules
    task: str
    url: str
    seed: int
    beyond: bool
    crashes: set[tuple[str, int]]
    view: View = field(default_factory=View)
    ended: Ended | None = None
    calls: int = 0
    misses: int = 0
    empty: int = 0
    _first: View = field(default_factory=View)
    _tab: Tab | None = None
    _page: WobPage | None = None
    _protocol: Protocol | None = None
    _script: Script | None = None
    _now: Observation = field(default_factory=Observation)
    _tries: int = 0
    _acted: bool = False

    async def reset(self) -> Observation:
        """Load the page in a context of its own and ask for a plan."""
        self._tab = await self.pool.tab()
        self._page = WobPage(self._tab, self.url, beyond=self.beyond)
        self.view = self._first = await self._page.start(self.seed)
        self._protocol = Protocol(self.prompts, self.rules, self.task)
        self._script = self._protocol.play(self.view)
        await self._advance(None)
        return self._now

    async def step(self, reply: Reply) -> Observation:
        """Take in one reply, whichever stage it answers."""
        if self._script is None or self.ended is not None:
            return Observation(done=True)
        self.calls += 1
        text = _readable(reply.text)
        if not text:
            self.empty += 1
            self._tries += 1
            if self._tries < self.rules.empty_asks:
                return self._now  # the same question again, as often as the rules allow
        self._tries = 0
        await self._advance(text)
        return self._now

    async def score(self) -> Score:
        """Judge by the last state of the page that was read."""
        unusable = self.ended in UNUSABLE
        paper, fixed = success(
            done=self.view.done,
            reward=self.view.reward,
            raw=self.view.raw,
            strict=self.rules.strict,
            moved=self.view.url != self._first.url,
        )
        protocol = self._protocol
        metrics = {
            "paper": paper,
            "fixed": fixed,
            "raw_reward": self.view.raw,
            "calls": float(self.calls),
            "steps": float(protocol.steps if protocol else 0),
            "repairs": float(protocol.repaired if protocol else 0),
            "misses": float(self.misses),
            "empty_replies": float(self.empty),
            "dropped_upstream": float(protocol.dropped_upstream if protocol else 0),
        }
        note = f"ended: {self.ended}" if self.ended else ""
        value = paper if self.rules.paper else fixed
        outcome = "model_error" if unusable else None
        reached = f"reward {self.view.raw:g}"
        return Score(value, metrics, note, outcome, answer=reached, target="a reward above 0")

    async def close(self) -> None:
        """Close the context. Idempotent."""
        tab, self._tab = self._tab, None
        self._script = None
        if tab is not None:
            await tab.close()

    async def _advance(self, answer: str | View | None) -> None:
        """Feed the protocol until it needs the model again, acting on the page meanwhile."""
        script = self._script
        assert script is not None
        try:
            event = script.send(answer)
            while isinstance(event, MiniWobAction):
                self.view = await self._act(event)
                event = script.send(self.view)
        except StopIteration as stop:
            self._end(stop.value)
            return
        except NoAnswer:
            # An xpath may compute for hours: that is the reply's doing, unless the browser is gone too.
            if self._tab is None or not await self._tab.stuck():
                raise
            self._end("stuck")
            return
        except PageCrashed:
            if self._tab is None or await self._tab.killed() or not self._crashes_again():
                raise
            self._end("crash")
            return
        self._now = self._observation(event)

    def _crashes_again(self) -> bool:
        """Whether the replies are the reason of a crash.

        A page may crash once because the machine is short of memory, and is then built anew. When it crashes
        again after the same replies, they did it; one that crashes before any action does so by itself.
        """
        instance = (self.task, self.seed)
        if not self._acted or instance in self.crashes:
            return self._acted
        self.crashes.add(instance)
        return False

    def _end(self, why: Ended) -> None:
        self.ended = why
        self.crashes.discard((self.task, self.seed))
        self._now = Observation(done=True, info=self._facts("end"))

    async def _act(self, action: MiniWobAction) -> View:
        assert self._page is not None and self._tab is not None
        self._acted = self._acted or not self._tab.crashed
        missed = not await self._page.act(action)
        self.misses += missed
        return await self._page.look(self._first, missed=missed)

    def _observation(self, call: ModelCall) -> Observation:
        ask = Ask(512, truncate=self.rules.truncate)
        messages = self.prompts.messages(call.document)
        return Observation(messages, ask, fresh=True, info=self._facts(call.stage))

    def _facts(self, stage: str) -> dict[str, Any]:
        """What the log and the oracle need besides the prompt."""
        return {
            "stage": stage,
            "task": self.task,
            "seed": self.seed,
            "step": self._protocol.steps if self._protocol else 0,
            "goal": self._first.utterance,
            "fields": self._first.fields,
            "page": self.view.html,
            "reward": self.view.reward,
            "ended": self.ended or "",
        }


def _readable(text: str) -> str:
    """A reply as the released scripts take it in."""
    return text.partition("[INST]")[0].strip()
