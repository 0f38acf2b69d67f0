"""What a game is worth, how well the model kept to the format, and the rates over many games."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from harness.types import Row, by, metric_means
from tasks.card_game.battle import HP, Battle

METRIC = "win_rate"

Reason = Literal["kill", "guess_kill", "limit", "agent_invalid", "agent_error", "timeout", "unfinished"]
"""How a game ended; `timeout` is a message upstream's sockets lose, `unfinished` an episode cut off."""

RANDOM_PLAY: Mapping[str, float] = {
    "baseline1/0": 55.4,
    "baseline1/1": 45.4,
    "baseline2/0": 1.0,
    "baseline2/1": 0.0,
}
"""Per cent of games that uniformly random legal play wins, measured on 1,000 each."""


@dataclass(slots=True)
class Tally:
    """Counts of one game's calls.

    Attributes:
        steps: guesses and actions that were asked for, at least once each.
        calls: replies, the unusable ones included.
        distinct: replies that differ from the others to the same step, summed over the steps.
        accepted: replies that were used.
        rounds: own turns that were started.
    """

    steps: int = 0
    calls: int = 0
    distinct: int = 0
    accepted: int = 0
    rounds: int = 0
    _seen: set[str] = field(default_factory=set[str])

    def begin(self) -> None:
        """A new step."""
        self.steps += 1
        self._seen.clear()

    def reply(self, text: str) -> None:
        """One more reply to the step."""
        self.calls += 1
        self.distinct += text not in self._seen
        self._seen.add(text)


def metrics(battle: Battle, side: int, reason: Reason, tally: Tally) -> dict[str, float]:
    """Everything measured in a game beside its value."""
    enemies = battle.fish[1 - side]
    return {
        "valid_format": tally.accepted / max(tally.calls, 1),
        "tries_per_step": tally.calls / max(tally.steps, 1),
        "distinct_per_step": tally.distinct / max(tally.steps, 1),
        "damage": float(sum(HP - max(fish.hp, 0) for fish in enemies)),
        "takedown": float(sum(fish.dead for fish in enemies)),
        "rounds": float(tally.rounds),
        "calls": float(tally.calls),
        **{f"ended/{name}": float(name == reason) for name in get_args(Reason)},
    }


def aggregate(rows: Sequence[Row]) -> Mapping[str, float]:
    """The win rate, and beside it that against each opponent from each side."""
    if not rows:
        return {}
    cells = {f"{METRIC}/{cell}": value for cell, value in by(rows, "cell").items()}
    return {**cells, **metric_means(rows), METRIC: sum(row.value for row in rows) / len(rows)}
