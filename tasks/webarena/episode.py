"""One WebArena task: the page is shown, one action is read and carried out, until the model stops."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from harness.errors import EnvironmentFault
from harness.types import Ask, Observation, Pending, Reply, Score
from tasks._shared.browser import BrowserPool, PageLost, Tab
from tasks.webarena.action import ArenaAction, parse, repeated
from tasks.webarena.browse import ArenaBrowser, Pace
from tasks.webarena.checks import PageChecks
from tasks.webarena.helpers import Helpers
from tasks.webarena.judge import RecordedJudge, questions
from tasks.webarena.login import Logins
from tasks.webarena.prompts import Shown, WebArenaPrompts
from tasks.webarena.reader import PageReader, Reading, Seen
from tasks.webarena.rows import ArenaRow
from tasks.webarena.score import Edition, answered, arrived
from tasks.webarena.sites import SiteMap

Ended = Literal["stopped", "steps", "unread", "same", "typed", "crash"]
"""Why an episode is over: the model stopped, or the rules did."""

OUTCOMES: Mapping[str, Literal["limit", "model_error"]] = {
    "steps": "limit",
    "same": "limit",
    "typed": "limit",
    "unread": "model_error",
    "crash": "model_error",
}
ASK = Ask(384, temperature=1.0, top_p=0.9, truncate=4000)


@dataclass(frozen=True, slots=True)
class ArenaRules:
    """What holds in every episode of a run.

    Attributes:
        strict_stop: an early stop counts as no answer, also in the headline.
        crashes: what crashed the released code ends the episode with 0.
        lenient: read more forms of actions than the released code.
        times: how often an action may be repeated.
    """

    edition: Edition = "v2023"
    max_steps: int = 30
    strict_stop: bool = False
    crashes: bool = True
    lenient: bool = False
    times: int = 3


@dataclass(frozen=True, slots=True)
class ArenaKit:
    """What the episodes of a run share.

    Attributes:
        cut: shortens what is shown of a page.
        recorded: the verdicts that stand in for a judge; None asks one.
        marked: each episode sends a header of its own, under which the own sites keep its state.
        acted: told that an episode may have changed a site, with its header's value.
    """

    pool: BrowserPool
    prompts: WebArenaPrompts
    sites: SiteMap
    rules: ArenaRules
    pace: Pace
    reading: Reading
    logins: Logins
    helpers: Callable[[Mapping[str, str]], Helpers]
    cut: Callable[[str], str]
    recorded: RecordedJudge | None
    marked: str
    acted: Callable[[str, str], None]


@dataclass(slots=True)
class ArenaEpisode:
    """Plays one task in a browser context of its own.

    Attributes:
        ended: why it is over, None while it runs.
        answer: what the evaluators are given; an early stop's text under the released rules.
        browser: the open pages; None before `reset` and after `close`.
    """

    row: ArenaRow
    sample: str
    kit: ArenaKit
    ended: Ended | None = None
    answer: str = ""
    actions: list[ArenaAction] = field(default_factory=list[ArenaAction])
    failed: int = 0
    _acted: bool = False
    _seen: Seen = field(default_factory=Seen)
    _mark: str = field(default_factory=lambda: uuid.uuid4().hex)
    _tab: Tab | None = None
    browser: ArenaBrowser | None = None
    _reader: PageReader | None = None

    async def reset(self) -> Observation:
        """Log in, open the start pages and show the first."""
        kit = self.kit
        state = await kit.logins.state(self.row.state)
        self._tab = await kit.pool.tab(storage_state=state, extra_http_headers=self._headers())
        browser = ArenaBrowser(self._tab, kit.sites, kit.pace)
        self.browser, self._reader = browser, PageReader(browser.pages, kit.reading)
        try:
            if not await browser.start(self.row.start):
                raise EnvironmentFault(f"a start page cannot be loaded: {', '.join(self.row.start)}")
        except PageLost as error:
            raise EnvironmentFault(f"a start page does not answer: {error}") from error
        self._seen = await self._reader.look()
        self._refuse_crash(browser)
        return self._show("None", {})

    async def step(self, reply: Reply) -> Observation:
        """Read one action and carry it out."""
        browser, reader = self.browser, self._reader
        if browser is None or reader is None or self.ended is not None:
            return Observation(done=True)
        self._refuse_crash(browser)
        rules = self.kit.rules
        action = parse(reply.text, self.kit.sites.resolved, lenient=rules.lenient)
        self.actions.append(action)
        if action.verb == "stop":
            return self._end("stopped", action.text)
        if action.crash and rules.crashes:
            return self._end("crash", "")
        element = self._seen.page.elements.get(action.element)
        line = self.kit.prompts.line(action, reply.text, element.line if element else None)
        good = await self._act(browser, action)
        self._seen = await reader.look()
        if len(self.actions) >= rules.max_steps:
            return self._end("steps", self.kit.prompts.stopped("steps", rules.max_steps))
        if why := repeated(self.actions, rules.times):
            return self._end(why, self.kit.prompts.stopped(why, rules.times))
        return self._show(line, {"done": good})

    def _refuse_crash(self, browser: ArenaBrowser) -> None:
        """A page that crashes before any action was not crashed by the model."""
        if browser.pages.crashes and not self._acted:
            raise EnvironmentFault(f"a start page crashed: {', '.join(self.row.start)}")

    async def _act(self, browser: ArenaBrowser, action: ArenaAction) -> bool:
        if action.verb == "none":
            return False
        self._acted = True
        if action.acts:
            self.kit.acted(self.sample, self._mark)
        good = await browser.act(action, self._seen)
        self.failed += not good
        await browser.settle()
        return good

    async def score(self) -> Score | Pending:
        """Evaluate the answer and the live pages; only a judge's part may be left open."""
        row, rules = self.row, self.kit.rules
        live = self.ended != "crash" and await self._live()
        early = self.ended not in ("stopped", None)
        strict = live and self._asks_something() and self._says("" if early else self.answer)
        said = "" if early and rules.strict_stop else self.answer
        value = live and self._says(said) and (self._asks_something() or not rules.strict_stop)
        score = Score(
            float(value),
            self._metrics(strict),
            note=f"ended: {self.ended}" if early and self.ended else "",
            outcome=OUTCOMES.get(self.ended or ""),
            answer=said,
            target=_target(row),
        )
        items = questions(row, said, rules.edition, self.kit.prompts) if row.judged and value else ()
        if not items:
            return score
        if self.kit.recorded is not None:
            return judged(score, float(all(self.kit.recorded.fulfils(item.info) for item in items)), early)
        return Pending(items, score.note, score.outcome, judged(score, 1.0, early))

    def _says(self, answer: str) -> bool:
        return answered(self.row, answer, self.kit.rules.edition)

    def _asks_something(self) -> bool:
        """One task's evaluator has nothing to look at, and so passes whatever was done."""
        return self.row.types != ("program_html",) or bool(self.row.checks)

    async def _live(self) -> bool:
        """Where the browser is, then what the pages show, in the order of the evaluators."""
        browser, row, edition = self.browser, self.row, self.kit.rules.edition
        if browser is None:
            return not row.pages and not row.checks
        if not arrived(row, browser.page.url, edition):
            return False
        checks = PageChecks(browser, self.kit.helpers(self._headers()), edition)
        try:
            for check in row.checks:
                if not await checks.holds(check):
                    return False
        except PageLost:
            return False
        return True

    def _metrics(self, strict: bool) -> dict[str, float]:
        return {
            "strict": float(strict),
            "steps": float(len(self.actions)),
            "unusable": float(sum(action.verb == "none" for action in self.actions)),
            "failed_actions": float(self.failed),
            "errored": float(self.ended == "crash"),
        }

    async def close(self) -> None:
        """Close the context. Idempotent."""
        tab, self._tab = self._tab, None
        self.browser = self._reader = None
        if tab is not None:
            await tab.close()

    def _headers(self) -> dict[str, str]:
        return {self.kit.marked: self._mark} if self.kit.marked else {}

    def _end(self, why: Ended, answer: str) -> Observation:
        self.ended, self.answer = why, answer
        return Observation(done=True, info=self._facts() | {"ended": why})

    def _show(self, line: str, facts: Mapping[str, Any]) -> Observation:
        kit = self.kit
        shown = Shown(kit.cut(self._seen.text), kit.sites.shown(self._seen.url), line)
        messages = kit.prompts.messages(self.row.intent, shown)
        return Observation(messages, ASK, fresh=True, info=self._facts() | dict(facts))

    def _facts(self) -> dict[str, Any]:
        """What a reader of the log must know beside the prompt."""
        browser = self.browser
        waited = round(browser.seconds_waited, 2) if browser else 0.0
        action = self.actions[-1].verb if self.actions else ""
        return {"action": action, "url": self._seen.url[:500], "waited_s": waited}


def judged(score: Score, part: float, early: bool) -> Score:
    """A score with the judge's part; an early stop has no answer that a judge could strictly accept."""
    metrics = {**score.metrics, "strict": 0.0 if early else score.metrics.get("strict", 0.0) * part}
    return Score(score.value * part, metrics, score.note, score.outcome, score.answer, score.target)


def _target(row: ArenaRow) -> str:
    """What the evaluators want, for readers of a run."""
    parts = [row.exact or "", *row.include, *row.fuzzy, *row.pages]
    parts += [text for check in row.checks for some in check.required for text in some]
    return "; ".join(part for part in (*parts, "N/A" if row.unreachable else "") if part)
