"""What an embedder is asked about an answer, and what its verdict says."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from harness.types import Ask, JudgeAsk, Message
from tasks.teval.action import FINISH, Step

EMBEDDER = "all-mpnet-base-v2"
"""The model whose vectors the published numbers are made with."""

LENGTH = 768
"""Numbers in one of its vectors."""

LONGEST = 8000
"""Characters of a text that are embedded; the model reads no more than 384 tokens."""

MOST_STEPS = 200
"""Steps of a plan that are compared; an answer of 512 tokens has far fewer."""

_NONE = Ask(1)


@dataclass(slots=True)
class Texts:
    """The texts of one question, each once."""

    places: dict[str, int] = field(default_factory=dict[str, int])

    def place(self, text: str) -> int:
        """The index of a text among them; it is added when it is new.

        An empty text becomes a space, which the model reads alike and servers do not refuse.
        """
        return self.places.setdefault(text[:LONGEST] or " ", len(self.places))

    def plan(self, steps: Sequence[Step]) -> dict[str, Any]:
        """The places of a plan's names and args, without a FinishAction at its end."""
        kept = steps[:-1] if steps and steps[-1].name == FINISH else steps
        compared = [[self.place(step.name), self.place(step.args)] for step in kept[:MOST_STEPS]]
        return {"compared": compared, "steps": len(kept)}

    def ask(self, info: Mapping[str, Any]) -> JudgeAsk:
        """The question about all of them."""
        return JudgeAsk(
            "texts", tuple(Message("user", text) for text in self.places), _NONE, info, "embedder"
        )


@dataclass(frozen=True, slots=True)
class Cosines:
    """A verdict.

    Attributes:
        table: the cosine of every two texts.
        substitute: the embedder is another than the published numbers are made with.
    """

    table: Sequence[Sequence[float]]
    substitute: bool

    def like(self, one: int, other: int) -> float:
        """How much two texts resemble each other, from 0 to 1."""
        return min(1.0, max(0.0, self.table[one][other]))


def read(text: str, texts: int) -> Cosines | None:
    """Read the verdict on so many texts, None when it is no such verdict."""
    try:
        found = cast("Mapping[str, Any]", json.loads(text))
        name, table = str(found["embedder"]), [[float(x) for x in row] for row in found["cosines"]]
        own = name.rpartition("/")[2].partition("@")[0] == EMBEDDER and found["length"] == LENGTH
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    if len(table) != texts or any(len(row) != texts for row in table):
        return None
    return Cosines(table, substitute=not own)
