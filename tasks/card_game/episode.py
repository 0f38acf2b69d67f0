"""One game of the model against a scripted opponent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from harness.types import Ask, Message, Observation, Reply, Score
from tasks.card_game import action, opponents, score
from tasks.card_game.battle import IDS, Battle, Deed, Fish
from tasks.card_game.chance import Chance
from tasks.card_game.prompts import CardGamePrompts, Turn
from tasks.card_game.seat import Seat

MAX_NEW_TOKENS = 512
TRIES = 5
"""Replies that each guess and each action may take."""

GUESSES_SHOWN, MOVES_SHOWN = 3, 2
"""Earlier turns of each kind that are shown."""

SOCKET_BYTES = 10_000
"""What upstream reads of a message; the rest of a longer one makes it unreadable."""


@dataclass(frozen=True, slots=True)
class CardGameRules:
    """What all games of a run share.

    Attributes:
        clock: whether the opponent's shuffles depend on a clock, as upstream's do.
        fix_infight_target: see `action.read_move`.
        legacy_socket_limits: a message over `SOCKET_BYTES` or an empty reply loses the game.
    """

    prompts: CardGamePrompts
    ask: Ask
    clock: bool
    fix_infight_target: bool
    legacy_socket_limits: bool


class CardGameEpisode:
    """Plays one side, always with the fish in the order of their ids; the opponent is played here."""

    def __init__(self, opponent: str, side: int, seed: int, rules: CardGameRules) -> None:
        self._side, self._rules = side, rules
        self._chance = chance = Chance(seed, clock=rules.clock)
        orders: list[list[int]] = [list(IDS), list(IDS)]
        orders[1 - side] = opponents.pick(chance)
        self._battle = Battle(*orders)
        self._seat, self._other = Seat(self._battle, side), Seat(self._battle, 1 - side)
        self._opponent = opponents.OPPONENTS[opponent](self._other, chance)
        self._last: Deed | None = None
        self._last_other: Deed | None = None
        self._step: Literal["guess", "action"] = "guess"
        self._tries = 0
        self._prompt = ""
        self._messages: tuple[Message, ...] = ()
        self._guesses: list[Turn] = []
        self._moves: list[Turn] = []
        self._tally = score.Tally()
        self._reason: score.Reason | None = None

    async def reset(self) -> Observation:
        """Have the opponent move first where it sits on side 0, then ask for the first guess."""
        if self._side == 1:
            self._opponents_turn()
        return self._ask_guess()

    async def step(self, reply: Reply) -> Observation:
        """Read one reply; after `TRIES` unusable ones a guess is left out and an action loses the game."""
        if self._reason is not None:
            return Observation(done=True)
        self._chance.tick()
        self._tally.reply(reply.text)
        if self._rules.legacy_socket_limits and not reply.text:
            return self._end("timeout")
        self._tries += 1
        return self._guess(reply.text) if self._step == "guess" else self._act(reply.text)

    async def score(self) -> Score:
        """1 for a game won."""
        reason = self._reason or "unfinished"
        won = self._battle.winner == self._side and self._reason is not None
        found = score.metrics(self._battle, self._side, reason, self._tally)
        return Score(float(won), found, outcome=self._outcome(), answer=self._said(won), target="a win")

    async def close(self) -> None:
        """Nothing to release."""

    def _outcome(self) -> Literal["limit", "model_error"] | None:
        if self._reason == "agent_invalid":
            return "model_error"
        if self._reason == "timeout":
            return "limit" if self._oversize() else "model_error"
        return None

    def _said(self, won: bool) -> str:
        return f"{'won' if won else 'not won'}: {self._reason or 'unfinished'}"

    def _guess(self, text: str) -> Observation:
        found = action.read_guess(text, self._seat)
        if found is None and self._tries < TRIES:
            return self._observation()
        if found is not None:
            self._accept(text, self._guesses, GUESSES_SHOWN)
        self._made(self._seat, found)
        return self._decided() or self._ask_move()

    def _act(self, text: str) -> Observation:
        fix = self._rules.fix_infight_target
        command = action.read_move(text, self._seat, fix_infight_target=fix)
        if command is None:
            return self._observation() if self._tries < TRIES else self._end("agent_invalid")
        self._accept(text, self._moves, MOVES_SHOWN)
        self._last = self._battle.act(command)
        if self._battle.winner is None:
            self._opponents_turn()
        return self._decided() or self._ask_guess()

    def _accept(self, text: str, history: list[Turn], shown: int) -> None:
        self._tally.accepted += 1
        history.append((self._prompt, text))
        del history[:-shown]

    def _made(self, seat: Seat, guess: opponents.Guess | None) -> None:
        """Make a guess; one about a fish that is known already counts as none."""
        known = guess is not None and seat.enemy_id(guess[0]) >= 0
        seat.guessed_right = (
            self._battle.guess(None) if guess is None or known else self._battle.guess(*guess)
        )

    def _opponents_turn(self) -> None:
        self._other.look(self._last_other, self._last)
        self._made(self._other, self._opponent.guess())
        if self._battle.winner is None:
            self._last_other = self._battle.act(self._opponent.act())

    def _ask_guess(self) -> Observation:
        self._tally.rounds += 1
        self._seat.look(self._last, self._last_other)
        texts = self._rules.prompts
        return self._ask("guess", texts.guess_rules, self._guesses, texts.guess(self._seat))

    def _ask_move(self) -> Observation:
        texts = self._rules.prompts
        return self._ask("action", texts.move_rules, self._moves, texts.move(self._seat))

    def _ask(
        self, step: Literal["guess", "action"], rules: str, history: list[Turn], prompt: str
    ) -> Observation:
        self._step, self._tries, self._prompt = step, 0, prompt
        self._messages = self._rules.prompts.messages(rules, history, prompt)
        if self._rules.legacy_socket_limits and self._oversize():
            return self._end("timeout")
        self._tally.begin()
        return self._observation()

    def _oversize(self) -> bool:
        """Whether upstream's message with this call is longer than its reader takes."""
        roles = {"user": "user", "assistant": "agent"}
        sent = [{"role": roles[one.role], "content": one.content} for one in self._messages]
        return len(json.dumps(sent)) > SOCKET_BYTES  # plain ASCII, so characters are bytes

    def _observation(self) -> Observation:
        return Observation(self._messages, self._rules.ask, fresh=True, info=self._facts())

    def _decided(self) -> Observation | None:
        """The end, when the battle is over."""
        if self._battle.winner is None:
            return None
        ending = self._battle.ending
        return self._end("agent_error" if ending == "error" or ending is None else ending)

    def _end(self, reason: score.Reason) -> Observation:
        self._reason = reason
        return Observation(done=True, info={**self._facts(), "ended": reason})

    def _facts(self) -> Mapping[str, Any]:
        """What a reader of the log, and the oracle, must know beside the prompt."""
        own, enemy = (list(map(_logged, self._battle.fish[side])) for side in (self._side, 1 - self._side))
        return {
            "step": self._step,
            "tries": self._tries,
            "round": self._tally.rounds,
            "own": own,
            "enemy": enemy,
        }


def _logged(fish: Fish) -> Mapping[str, Any]:
    return {"id": fish.id, "hp": fish.hp, "atk": fish.atk, "dead": fish.dead, "exposed": fish.exposed}
