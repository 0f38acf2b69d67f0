"""One question: a ReAct loop of raw completions over a growing scratchpad."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from harness.types import Ask, Message, Observation, Reply, Sample, Score
from tasks._shared.wiki.docstore import Docstore, Reading
from tasks._shared.wiki.page import Page, Wiki
from tasks.hotpotqa.action import HotpotAction, one_line, read, read_lenient
from tasks.hotpotqa.prompts import HotpotPrompts
from tasks.hotpotqa.score import careful_f1, exact_match, value

ASK = Ask(max_new_tokens=256, stop=("\n",))
INVALID = "Invalid Action. Valid Actions are Lookup[<topic>] Search[<topic>] and Finish[<answer>]."

HALTS: Mapping[str, Literal["limit", "model_error"]] = {
    "step_limit": "limit",
    "context_limit": "limit",
    "no_response": "model_error",
}
"""What ends an episode that has no answer, and the outcome it gives."""

NO_RESPONSE = "No response"
"""What upstream's client returned for a failed request; its agent takes any such reply for a failure."""

LONGEST_TOKEN = 128
"""No entry of the cl100k vocabulary is longer in bytes, so longer prompts need no counting."""


@dataclass(frozen=True, slots=True)
class HotpotRules:
    """The options of a run that an episode follows.

    Attributes:
        ends_silent: the reply `No response` ends the episode once its step is complete.
        careful: dates, numbers and the like are the same in any form (the `fixed` F1).
        label: names the wiki in every score.
    """

    max_steps: int = 10
    max_tokens: int = 1700
    lenient: bool = False
    chat: bool = False
    ends_silent: bool = False
    careful: bool = False
    join: str = ""
    observation_tokens: int | None = None
    label: str = ""


class HotpotEpisode:
    """Search, Lookup and Finish until an answer, ten steps or a full context."""

    def __init__(
        self,
        sample: Sample,
        prompts: HotpotPrompts,
        wiki: Wiki,
        rules: HotpotRules,
        reading: Reading,
        count: Callable[[str], int],
    ) -> None:
        self._question = str(sample.data["question"])
        self._gold = str(sample.data["answer"])
        self._kind = str(sample.data["type"])
        self._prompts, self._rules, self._count, self._wiki = prompts, rules, count, wiki
        self._docs = Docstore(wiki, reading)
        self._plan: str | None = None if prompts.planning else ""
        self._scratchpad = ""
        self._step = 1
        self._thinking = prompts.thinks
        self._answer: str | None = None
        self._halt = ""
        self._silent = False
        self._counts: Counter[str] = Counter()

    async def reset(self) -> Observation:
        if self._plan is None:
            return self._ask(self._prompts.plan(self._question))
        return self._begin_step()

    async def step(self, reply: Reply) -> Observation:
        line = reply.text.split("\n", 1)[0]
        text = one_line(line)
        if self._plan is None:
            self._plan = text
            return self._begin_step()
        self._silent = self._silent or (self._rules.ends_silent and line == NO_RESPONSE)
        self._scratchpad += " " + text
        if self._thinking:
            self._thinking = False
            return self._ask_for("Action")
        return await self._act(text)

    async def score(self) -> Score:
        f1, em = value(self._answer, self._gold)
        careful = careful_f1(self._answer, self._gold)
        steps = self._counts["steps"]
        metrics = {
            "paper": f1,
            "fixed": careful,
            "em": em,
            f"f1_{self._kind}": careful if self._rules.careful else f1,
            "finished": float(self._answer is not None),
            "steps": float(steps),
            "invalid_actions": float(self._counts["invalid"]),
            "searches": float(self._counts["Search"]),
            "lookups": float(self._counts["Lookup"]),
            "step_limit": float(self._halt == "step_limit"),
            "context_limit": float(self._halt == "context_limit"),
            "no_response": float(self._halt == "no_response"),
            "snapshot_miss": float(self._counts["snapshot_miss"] > 0),
            "exemplar_leak": float(self._prompts.leaks(self._question)),
        }
        notes = [self._rules.label, self._halt]
        if self._counts["snapshot_miss"]:
            notes.append(f"env_incomplete: {self._counts['snapshot_miss']} searches not in the snapshot")
        note = ", ".join(part for part in notes if part)
        outcome = HALTS.get(self._halt)
        worth = careful if self._rules.careful else f1
        return Score(worth, metrics, note, outcome, answer=self._answer or "", target=self._gold)

    async def close(self) -> None:
        """Nothing to close: the wiki belongs to the world."""

    # -- the loop

    def _begin_step(self) -> Observation:
        """Start a step unless the step or context limit is reached; checked only here, as upstream."""
        self._thinking = self._prompts.thinks
        if self._silent:
            self._halt = "no_response"
        elif self._step > self._rules.max_steps:
            self._halt = "step_limit"
        elif self._too_long(self._prompt()):
            self._halt = "context_limit"
        if self._halt:
            return Observation(done=True, info={"halted": self._halt})
        return self._ask_for("Thought" if self._thinking else "Action")

    async def _act(self, text: str) -> Observation:
        action = read_lenient(text) if self._rules.lenient else read(text)
        self._counts["steps"] += 1
        self._counts[action.kind if action.valid else "invalid"] += 1
        info = {"step": self._step, "action": action.kind[:80], "parse": action.status}
        if action.valid and action.kind == "Finish":
            self._answer = action.argument
            correct = "CORRECT" if exact_match(action.argument, self._gold) else "INCORRECT"
            return Observation(done=True, info={**info, "result": f"Answer is {correct}"})
        shown = self._shorten(await self._observe(action))
        self._scratchpad += f"\nObservation {self._step}: {shown}"
        self._step += 1
        following = self._begin_step()
        return Observation(
            messages=following.messages,
            ask=following.ask,
            done=following.done,
            fresh=following.fresh,
            raw=following.raw,
            info={**info, "source": self._source(action), **following.info},
        )

    async def _observe(self, action: HotpotAction) -> str:
        if not action.valid:
            return INVALID
        if action.kind == "Search":
            shown = await self._docs.search(action.argument)
            self._counts["snapshot_miss"] += self._docs.missed_snapshot
        else:
            shown = self._docs.lookup(action.argument)
        return one_line(shown, join=self._rules.join)

    # -- prompts

    def _prompt(self) -> str:
        return self._prompts.act(self._question, self._scratchpad, self._plan or "")

    def _ask_for(self, what: str) -> Observation:
        self._scratchpad += f"\n{what} {self._step}:"
        return self._ask(self._prompt())

    def _ask(self, prompt: str) -> Observation:
        if self._rules.chat:
            return Observation((Message("user", prompt, pin="task"),), ASK, fresh=True)
        return Observation(ask=ASK, raw=prompt)

    def _too_long(self, prompt: str) -> bool:
        limit = self._rules.max_tokens
        size = len(prompt.encode("utf-8", "surrogatepass"))
        return size > limit * LONGEST_TOKEN or (size > limit and self._count(prompt) > limit)

    def _shorten(self, text: str) -> str:
        """Cut an observation to the tokens allowed (off by default: upstream's helper is dead code)."""
        limit = self._rules.observation_tokens
        if limit is None or len(text) <= limit or self._count(text) <= limit:
            return text
        low, high = 0, min(len(text), limit * LONGEST_TOKEN)
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self._count(text[:middle]) <= limit else (low, middle - 1)
        return text[:low]

    def _source(self, action: HotpotAction) -> str:
        """Where an observation came from, for the log: backend, outcome, and a page's revision."""
        found = self._docs.last if action.kind == "Search" else None
        if found is None:
            return ""
        page = f" {found.title}@{found.revid} by {found.via}" if isinstance(found, Page) else ""
        return f"{self._wiki.name}:{type(found).__name__}{page}"
