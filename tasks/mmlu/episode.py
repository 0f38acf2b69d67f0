"""One question: five solved ones of its subject before it, one letter as the answer."""

from __future__ import annotations

from collections.abc import Sequence

from harness.types import Ask, Message, Observation, Reply, Score
from tasks.mmlu.score import METHODS, chosen, first_letter


class MmluEpisode:
    """Asks one question and values the letter."""

    def __init__(
        self, start: Message, shots: Sequence[tuple[Message, Message]], last: Message, ask: Ask, gold: str
    ) -> None:
        turns = [turn for shot in shots for turn in shot]
        self._first = Observation((start, *turns, last), ask)
        self._ask, self._shots, self._gold = ask, len(shots), gold
        self._reply: Reply | None = None

    async def reset(self) -> Observation:
        return self._first

    async def step(self, reply: Reply) -> Observation:
        self._reply = reply
        return Observation(done=True)

    async def score(self) -> Score:
        metrics = {"shots": float(self._shots)}
        if self._reply is None:
            return Score(0.0, metrics, "not answered")
        ranked = bool(self._ask.choices)
        letter = chosen(self._reply) if ranked else first_letter(self._reply)
        right = float(letter == self._gold)
        notes = [f"chose {letter or 'nothing'}", *self._reply.notes]
        method = self._reply.method if ranked else "F"
        if method in METHODS:
            metrics[f"method_{method.lower()}"] = 1.0
            notes.append(f"method {method}")
        if method == "F":
            metrics["mmlu_gen"] = right
        return Score(right, metrics, "; ".join(notes), None if letter else "model_error")

    async def close(self) -> None:
        """Nothing to release."""
