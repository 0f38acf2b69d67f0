"""Players of the fish battle for tests, games between two of them without a model, and single commands."""

from __future__ import annotations

import random
from collections.abc import Callable

from tasks.card_game import opponents
from tasks.card_game.battle import AOE_FISH, IDS, Battle, Command, Deed
from tasks.card_game.chance import Chance
from tasks.card_game.opponents import Guess, Opponent
from tasks.card_game.seat import UNKNOWN, Seat

ALL = (0, 1, 2, 3)

Maker = Callable[[Seat, Chance], Opponent]


class Omniscient:
    """The oracle's policy, written here a second time and on the state itself."""

    def __init__(self, seat: Seat, chance: Chance) -> None:
        self._battle, self._side = seat.battle, seat.side

    def guess(self) -> Guess | None:
        side = self._battle.fish[1 - self._side]
        return next(((n, fish.id) for n, fish in enumerate(side) if not fish.dead and not fish.exposed), None)

    def act(self) -> Command:
        own, other = self._battle.fish[self._side], self._battle.fish[1 - self._side]
        living, enemies = self._battle.living(self._side), self._battle.living(1 - self._side)
        for pos in living:
            if own[pos].id in AOE_FISH and len(enemies) >= 2:
                return Command(pos, active=True, enemies=tuple(enemies))
        strongest = max(living, key=lambda pos: own[pos].atk)
        return Command(strongest, active=False, enemies=(min(enemies, key=lambda pos: other[pos].hp),))


class RandomLegal:
    """Any legal guess and any legal command, each as likely as the others."""

    def __init__(self, seat: Seat, chance: Chance) -> None:
        self._seat, self._draws = seat, random.Random(chance.draws.random())

    def guess(self) -> Guess | None:
        pos = self._draws.choice(self._seat.enemies)
        kind = self._draws.choice(IDS)
        return (pos, kind) if self._seat.enemy_id(pos) == UNKNOWN else None

    def act(self) -> Command:
        seat = self._seat
        fish = self._draws.choice(seat.living)
        allies = [pos for pos in seat.living if pos != fish]
        skill = abs(seat.id(fish)) in AOE_FISH or bool(allies)
        if skill and self._draws.random() < 0.5:
            if abs(seat.id(fish)) in AOE_FISH:
                return Command(fish, active=True, enemies=tuple(seat.enemies))
            return Command(fish, active=True, allies=(self._draws.choice(allies),))
        return Command(fish, active=False, enemies=(self._draws.choice(seat.enemies),))


def play(agent: Maker, opponent: Maker, side: int, seed: int, *, clock: bool = True) -> Battle:
    """Play a whole game; the agent sits at `side` and fields its fish in the order of their ids."""
    chance = Chance(seed, clock=clock)
    orders: list[list[int]] = [list(IDS), list(IDS)]
    orders[1 - side] = opponents.pick(chance)
    battle = Battle(*orders)
    seats = [Seat(battle, 0), Seat(battle, 1)]
    players = [agent(seats[n], chance) if n == side else opponent(seats[n], chance) for n in (0, 1)]
    last: list[Deed | None] = [None, None]
    while battle.winner is None:
        mover = battle.mover
        if mover == side:
            chance.tick()
        seats[mover].look(last[mover], last[1 - mover])
        guess = players[mover].guess()
        seats[mover].guessed_right = battle.guess(*guess) if guess else battle.guess(None)
        if battle.winner is not None:
            break
        if mover == side:
            chance.tick()
        last[mover] = battle.act(players[mover].act())
    return battle


def wins(agent: Maker, opponent: Maker, side: int, games: int, *, clock: bool = True) -> float:
    """The share of games that the agent wins."""
    return sum(play(agent, opponent, side, seed, clock=clock).winner == side for seed in range(games)) / games


def attack(battle: Battle, fish: int, target: int) -> Deed:
    deed = battle.act(Command(fish, active=False, enemies=(target,)))
    assert deed is not None
    return deed


def skill(battle: Battle, fish: int, *, ally: int | None = None) -> Deed:
    enemies = tuple(battle.living(1 - battle.mover)) if ally is None else ()
    deed = battle.act(Command(fish, True, enemies, () if ally is None else (ally,)))
    assert deed is not None
    return deed


def hps(battle: Battle, side: int) -> list[int]:
    return [fish.hp for fish in battle.fish[side]]


def bury(battle: Battle, side: int, *places: int) -> None:
    for pos in places:
        battle.fish[side][pos].hp, battle.fish[side][pos].dead = 0, True
