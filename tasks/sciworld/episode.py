"""One attempt at one variation of a ScienceWorld task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.errors import EnvironmentFault
from harness.types import Ask, Message, Observation, Reply, Sample, Score
from tasks.sciworld.action import ACTION_LIMIT, NO_MATCH, Match, candidates, match
from tasks.sciworld.jvm import Simulator, State
from tasks.sciworld.options import SciWorldOptions
from tasks.sciworld.pool import SimulatorPool
from tasks.sciworld.prompts import SciWorldPrompts, cleaned
from tasks.sciworld.score import FAILURES, failed, looping

HEADER = 18
"""Characters of the header line before the simulator's description of a task."""

CUTS = ("[INST]", "<|end_of_turn|>")
"""A reply ends where the model begins the next turn."""

FIRST = "look around"


@dataclass(frozen=True, slots=True)
class SciWorldTurn:
    """The result of one action."""

    match: Match
    state: State


class SciWorldEpisode:
    """Matches replies to actions, carries them out, and stops by upstream's rules."""

    def __init__(
        self, pool: SimulatorPool, sample: Sample, texts: SciWorldPrompts, options: SciWorldOptions
    ) -> None:
        self._pool, self._sample, self._texts, self._options = pool, sample, texts, options
        self._slot: Simulator | None = None
        self._turns: list[tuple[str, str]] = [(FIRST, "")]
        self._failures = self._replies = self._actions = self._moves = 0
        self._score = 0
        self._stop = ""
        truncate = 4000 if options.truncation == "upstream" else None
        self._ask = Ask(max_new_tokens=256, stop=CUTS, truncate=truncate)

    async def reset(self) -> Observation:
        """Load the variation and look around."""
        sample, options = self._sample, self._options
        slot = self._slot = await self._pool.acquire()
        simplification = "" if options.simplification == "none" else options.simplification

        async def opened() -> str:
            await slot.load(sample.data["task"], sample.data["variation"], simplification)
            state = await slot.act(FIRST)
            return cleaned(state.observation) + "\n" + (await slot.task_description())[HEADER:]

        scene = await slot.run(opened())
        messages = self._texts.opening(sample.data["index"], scene, exemplars=options.exemplars)
        return Observation(messages, self._ask)

    async def step(self, reply: Reply) -> Observation:
        """Think, or act and see what comes of it."""
        text = reply.text
        for cut in CUTS:
            text = text.partition(cut)[0]
        text = text.strip()
        if self._options.first_line:
            text = text.partition("\n")[0].rstrip()
        self._replies += 1
        if text.startswith("Think:"):
            return self._seen(text, text, self._texts.thought, {"kind": "think"})
        turn = await self._act(text.replace("Action:", "").strip())
        state = turn.state
        self._actions, self._moves = self._actions + 1, state.moves
        info = {
            "action": turn.match.action,
            "kind": turn.match.kind,
            "moves": state.moves,
            "score": state.score,
        }
        if self._gave_up(state.observation):
            # Upstream ends the loop before it reads this turn's score.
            return self._done(text, "failures", info)
        if state.score < 0:
            return self._done(text, "negative", info)
        self._score = state.score
        limit = self._options.step_limit
        over = limit is not None and state.moves > limit
        self._stop = "completed" if state.completed else "moves" if over else ""
        return self._seen(text, turn.match.action, cleaned(state.observation), info)

    async def score(self) -> Score:
        """The part of the task that was done when the episode stopped."""
        metrics = {
            "success": float(self._score == 100),
            "moves": float(self._moves),
            "actions": float(self._actions),
            "turns": float(self._replies),
        }
        reached = f"{self._score} points"
        return Score(self._score / 100, metrics, note=self._stop, answer=reached, target="100 points")

    async def close(self) -> None:
        """Give the simulator back."""
        slot, self._slot = self._slot, None
        if slot is not None:
            self._pool.release(slot)

    async def _act(self, text: str) -> SciWorldTurn:
        slot = self._slot
        if slot is None:
            raise EnvironmentFault("the episode has no simulator: reset comes first")
        return await slot.run(self._acted(slot, text))

    async def _acted(self, slot: Simulator, text: str) -> SciWorldTurn:
        if self._options.action_match == "passthrough":
            raw = " ".join(text[:ACTION_LIMIT].split("\n"))
            state = await slot.act(raw)
            if state.observation != NO_MATCH:
                return SciWorldTurn(Match(raw, "raw"), state)
        valid = await slot.valid_actions()
        seen = f"{await slot.look()} {(await slot.inventory()).lower()}"
        # Upstream bars the last three turns' actions, but writes them down as (action, observation):
        # only the bare `look around` it starts with is ever barred, during the first three turns.
        barred = [FIRST] if len(self._turns) <= 3 else []
        found = match(text, candidates(valid, self._texts.rooms, seen, barred))
        return SciWorldTurn(found, await slot.act(found.action))

    def _gave_up(self, observation: str) -> bool:
        if failed(observation, self._options.fail_rule):
            self._failures += 1
        else:
            self._failures = 0
        return self._failures >= FAILURES and self._options.stop_rules != "off"

    def _seen(self, said: str, action: str, observation: str, info: Mapping[str, Any]) -> Observation:
        self._turns.append((action, observation))
        rules, limit = self._options.stop_rules, self._options.step_limit
        if not self._stop and rules != "off":
            if limit is not None and self._replies >= 2 * limit:
                self._stop = "turns"
            elif looping(self._turns, rules):
                self._stop = "loop"
        if self._stop:
            return self._done(said, self._stop, info)
        return Observation((Message("user", observation),), self._ask, said=said, info=info)

    def _done(self, said: str, why: str, info: Mapping[str, Any]) -> Observation:
        self._stop = why
        return Observation(done=True, said=said, info={**info, "stop": why})
