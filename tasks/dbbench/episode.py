"""One sample against one model: SQL for rows, until an answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.types import Ask, Message, Observation, Profile, Reply, Sample, Score
from tasks.dbbench import action
from tasks.dbbench import score as scoring
from tasks.dbbench.prompts import DbBenchPrompts
from tasks.dbbench.table import Table

MAX_NEW_TOKENS = 128
ROUNDS = 15
"""Statements an episode may execute; the reply after the last one is still read for its answer."""

LOGGED = 4000


@dataclass(frozen=True, slots=True)
class DbBenchRules:
    """What all episodes of a run share."""

    prompts: DbBenchPrompts
    ask: Ask
    profile: Profile


class DbEpisode:
    """Plays one sample."""

    def __init__(self, sample: Sample, table: Table, rules: DbBenchRules) -> None:
        self._sample, self._table, self._rules = sample, table, rules
        self._kind: str = sample.data["type"][0]
        self._rounds = self._turns = 0
        self._answer = ""
        self._note = ""
        self._outcome: str | None = None

    async def reset(self) -> Observation:
        defect = await self._table.open()
        self._note = f"the released table cannot be loaded: {defect}" if defect else ""
        messages = self._rules.prompts.opening(self._sample.data)
        return Observation(messages, self._rules.ask, info={"kind": self._kind, "defect": defect})

    async def step(self, reply: Reply) -> Observation:
        self._turns += 1
        text = reply.text
        if action.word(text) == "Operation" and self._rounds < ROUNDS:
            statement = action.statement(text)
            if statement is None:
                self._outcome = "model_error"
                return Observation(done=True, info={"ended": "an Operation without SQL"})
            self._rounds += 1
            shown = await self._table.execute(statement)
            said = text.strip()
            info = {"sql": statement[:LOGGED], "shown": shown}
            return Observation((Message("user", shown.strip()),), self._rules.ask, said=said, info=info)
        self._answer = action.final(text)
        if not action.FINAL.search(text):
            self._outcome = "limit" if self._rounds >= ROUNDS else "model_error"
        return Observation(done=True, info={"answer": self._answer[:LOGGED]})

    async def score(self) -> Score:
        data, answer = self._sample.data, self._answer
        labels: Sequence[str] = data["label"]
        if scoring.group(self._kind) != "SELECT":
            answer = state = await self._table.state()
            right = scoring.CORRECTED.get(self._sample.id, data["answer_md5"])
            rules = {"paper": float(state == data["answer_md5"]), "fixed": float(state == right)}
            # A change is judged by the final table, however the episode ended.
            outcome = None if rules[self._rules.profile] else self._outcome
            target = right if self._rules.profile == "fixed" else data["answer_md5"]
        else:
            rules, outcome = scoring.judge(answer, labels), self._outcome
            target = "\n".join(map(str, labels))
        value = rules[self._rules.profile]
        metrics = scoring.metrics(self._kind, value, rules, self._turns)
        return Score(value, metrics, self._note, outcome, answer=str(answer), target=target)  # type: ignore[arg-type]

    async def close(self) -> None:
        await self._table.close()
