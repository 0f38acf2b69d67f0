"""Scores an episode by its turns: won or not, and how it was played."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tasks.alfworld.world import NOTHING

REPEATS = 3
PATIENCE = 3
"""The repetition rule looks at the last REPEATS replies once more than PATIENCE turns are played."""


@dataclass(frozen=True, slots=True)
class AlfworldTurn:
    """One turn.

    Attributes:
        raw: the whole reply; the repetition rule compares these.
        parsed: the action read from it.
        executed: the command given to the engine; differs from `parsed` when BLEU chose another.
        bleu: score of the chosen command, None when the action was taken as it is.
    """

    raw: str
    parsed: str
    executed: str
    bleu: float | None
    feedback: str
    won: bool


def repeated(turns: Sequence[AlfworldTurn]) -> bool:
    """Whether the last three replies are the same, after the third turn."""
    return len(turns) > PATIENCE and len({turn.raw for turn in turns[-REPEATS:]}) == 1


def value(turns: Sequence[AlfworldTurn]) -> float:
    """1 when the goal was reached in the last turn and the repetition rule did not strike in it."""
    return float(bool(turns) and turns[-1].won and not repeated(turns))


def metrics(turns: Sequence[AlfworldTurn], kind: str) -> dict[str, float]:
    """Success by kind of task, steps, and shares of the turns that were rewritten or led nowhere."""
    count = max(1, len(turns))
    return {
        f"success_{kind}": value(turns),
        "steps": float(len(turns)),
        "rewritten": sum(turn.executed != turn.parsed for turn in turns) / count,
        "nothing_happens": sum(turn.feedback == NOTHING for turn in turns) / count,
        "repetition": float(repeated(turns)),
    }
