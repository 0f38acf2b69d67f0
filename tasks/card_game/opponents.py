"""The two scripted opponents, as upstream's play."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from tasks.card_game.battle import AOE_FISH, FLAME, IDS, SUNFISH, Command
from tasks.card_game.chance import Chance
from tasks.card_game.seat import COUNTER, DEFLECT, UNKNOWN, Seat

Guess = tuple[int, int]
"""A position and an id."""

RANDOM_ATTACK = 0.3
"""How often baseline1 attacks normally whatever fish it chose."""

LEFT_TO_AOE = 70
"""Baseline2 leaves enemies with at most so many hit points to the attacks on all."""


class Opponent(Protocol):
    """Plays one side of one game."""

    def guess(self) -> Guess | None:
        """What it guesses; None for nothing."""
        ...

    def act(self) -> Command:
        """What it does."""
        ...


def pick(chance: Chance) -> list[int]:
    """The order in which either opponent fields its fish."""
    order: list[int] = list(IDS)
    chance.draws.shuffle(order)
    return order


class Baseline1:
    """Guesses and acts at random, mostly with skills."""

    def __init__(self, seat: Seat, chance: Chance) -> None:
        self._seat, self._chance = seat, chance

    def guess(self) -> Guess | None:
        pos = self._chance.order(self._seat.enemies)[0]
        kind = self._chance.draws.randint(IDS[0], IDS[-1])
        return (pos, kind) if self._seat.enemy_id(pos) == UNKNOWN else None

    def act(self) -> Command:
        seat, chance = self._seat, self._chance
        fish = chance.order(seat.living)[0]
        if chance.unit() >= RANDOM_ATTACK:
            kind = seat.id(fish)  # negative, so no skill, once the enemy knows it
            if kind in AOE_FISH:
                return Command(fish, active=True, enemies=tuple(seat.enemies))
            allies = chance.order([pos for pos in seat.living if pos != fish])
            if kind in (FLAME, SUNFISH) and allies:
                return Command(fish, active=True, allies=(allies[0],))
        return Command(fish, active=False, enemies=(chance.order(seat.enemies)[0],))


class Baseline2:
    """Infers what enemies are from what they do, and attacks the weakest or the last to act."""

    def __init__(self, seat: Seat, chance: Chance) -> None:
        self._seat, self._chance = seat, chance
        self._skill, self._passive = [UNKNOWN] * 4, [UNKNOWN] * 4
        self._failed = [[False] * 5 for _ in range(4)]
        self._last: Guess = (-1, -1)

    def guess(self) -> Guess | None:
        seat = self._seat
        if not seat.guessed_right:
            # Before the first guess this marks the last entry, and after a turn without one a guess that
            # was right: upstream does.
            self._failed[self._last[0]][self._last[1]] = True
        self._infer()
        hidden = [pos for pos in seat.enemies if seat.enemy_id(pos) == UNKNOWN]
        if not hidden:
            return None
        self._last = self._inferred(hidden) or self._blind(hidden)
        return self._last

    def _infer(self) -> None:
        """Learn from the enemy's last action, as long as the fish that acted is unknown."""
        seat, theirs = self._seat, self._seat.theirs
        if theirs.fish == UNKNOWN or seat.enemy_id(theirs.fish) != UNKNOWN:
            return
        if theirs.skill != "normalattack":
            # Damage from a Counter falls on the actor's side too, and is taken for an Infight's.
            self._skill[theirs.fish] = int(theirs.own_hits >= 1)
        for pos, kind in (*theirs.own, *seat.mine.other):
            if seat.enemy_id(pos) == UNKNOWN:
                self._passive[pos] = kind

    def _inferred(self, hidden: list[int]) -> Guess | None:
        """The first guess that the known abilities suggest: both, else the active one, else the passive."""
        for pos in hidden:
            if UNKNOWN not in (self._skill[pos], self._passive[pos]):
                return pos, _kind(self._skill[pos], self._passive[pos])
        for pos in hidden:
            for passive in (COUNTER, DEFLECT):
                kind = _kind(self._skill[pos], passive)
                if self._skill[pos] != UNKNOWN and not self._failed[pos][kind]:
                    return pos, kind
        for pos in hidden:
            for skill in (0, 1):
                kind = _kind(skill, self._passive[pos])
                if self._passive[pos] != UNKNOWN and not self._failed[pos][kind]:
                    return pos, kind
        return None

    def _blind(self, hidden: list[int]) -> Guess:
        seat, draws = self._seat, self._chance.draws
        known = {seat.enemy_id(pos) for pos in range(4)}
        return draws.choice(hidden), draws.choice([kind for kind in IDS if kind not in known])

    def act(self) -> Command:
        seat, chance = self._seat, self._chance
        living, enemies = chance.order(seat.living), chance.order(seat.enemies)
        strongest = max(living, key=seat.atk)  # the first of equals
        weakest = min(seat.enemies, key=seat.enemy_hp)
        hp = seat.enemy_hp(weakest)
        if seat.atk(strongest) * 0.5 >= hp > LEFT_TO_AOE:
            return Command(strongest, active=False, enemies=(weakest,))
        if len(enemies) >= 2:
            for fish in living:
                if seat.id(fish) in AOE_FISH:
                    return Command(fish, active=True, enemies=tuple(seat.enemies))
        last = seat.theirs.fish
        return Command(strongest, active=False, enemies=(last if last in enemies else enemies[0],))


def _kind(skill: int, passive: int) -> int:
    """The id of the fish with two abilities: 0 or 1 for AOE or Infight, Counter or Deflect."""
    return skill + 2 * passive + 1


OPPONENTS: Mapping[str, Callable[[Seat, Chance], Opponent]] = {"baseline1": Baseline1, "baseline2": Baseline2}
