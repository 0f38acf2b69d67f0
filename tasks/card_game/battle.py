"""The fish battle as AgentBench's engine plays it: rules, state, and all that a command caused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

SPRAY, FLAME, EEL, SUNFISH = IDS = (1, 2, 3, 4)
NAMES = {SPRAY: "spray", FLAME: "flame", EEL: "eel", SUNFISH: "sunfish"}
AOE_FISH, COUNTERING, DEFLECTING = (SPRAY, EEL), (SPRAY, FLAME), (EEL, SUNFISH)

HP, ATK = 400, 200
SPRAY_AOE = 70
"""35 % of a fish's first attack points, whatever the spray's are now."""
GUESSED, ALLY, COUNTER = 50, 75, 30
"""Damage by a right guess to each fish of the side, an Infight to the ally, a Counter to the attacker."""
INFIGHT_GAIN = 140
COUNTER_BELOW = 120
"""Hit points below which allies of the fish that was hit counter: 30 %."""
WOUND, WOUND_GAIN = 200, 40
COMMANDS = 128
"""Picks, guesses and actions after which the limit rule decides; these four fish never get there."""

Skill = Literal["normalattack", "aoe", "infight"]
Ending = Literal["kill", "guess_kill", "limit", "error"]

DEAD_GUESSED, KNOWN_GUESSED, DEAD_CHOSEN, RULE_BROKEN = 12, 13, 14, 15
"""The engine's numbers of the errors that lose a battle."""


@dataclass(slots=True)
class Fish:
    """One fish; `hp` may be negative, and `dead` is brought up to date only after a whole command."""

    id: int
    hp: int = HP
    atk: int = ATK
    wound: int = 0
    dead: bool = False
    exposed: bool = False


class Command(NamedTuple):
    """What a player has a fish do: `active` uses its skill on the positions named."""

    fish: int
    active: bool
    enemies: tuple[int, ...] = ()
    allies: tuple[int, ...] = ()


class Hit(NamedTuple):
    """Damage to the fish at `pos` of `side`; traceable when it has an attacker."""

    time: int
    pos: int
    side: int
    value: int
    traceable: bool


class Passive(NamedTuple):
    """A passive ability at work.

    Attributes:
        pos: the fish the engine names: with a counter that is the fish that was hit.
        by: the fish whose ability it is.
    """

    time: int
    kind: Literal["counter", "deflect"]
    pos: int
    side: int
    by: int


@dataclass(slots=True)
class Deed:
    """An action with all it caused.

    Attributes:
        targets: (position, damage announced), on the actor's own side for an Infight, else on the other.
    """

    side: int
    fish: int
    skill: Skill
    targets: tuple[tuple[int, int], ...]
    hits: list[Hit] = field(default_factory=list[Hit])
    passives: list[Passive] = field(default_factory=list[Passive])


class Battle:
    """Two sides of four fish; player 0 moves first, and each turn is a guess, then an action.

    `copy.deepcopy` gives an independent battle.

    Attributes:
        fish: by side and position.
        mover: the side whose turn it is.
        winner: a side, None while the battle goes on.
        ending: how it was decided.
        error: the engine's number of the error that lost it, else 0; `rule` is its sub-number.
    """

    __slots__ = ("_count", "_deed", "_time", "ending", "error", "fish", "mover", "rule", "winner")

    def __init__(self, first: Sequence[int], second: Sequence[int]) -> None:
        """Set up the battle with each side's ids in the order of their positions."""
        self.fish = ([Fish(i) for i in first], [Fish(i) for i in second])
        self.mover = 0
        self.winner: int | None = None
        self.ending: Ending | None = None
        self.error = self.rule = 0
        self._count = 3  # it starts at 1, and both picks count
        self._time = 0
        self._deed: Deed | None = None

    def living(self, side: int) -> list[int]:
        """Positions of the fish that are not dead, ascending."""
        return [pos for pos, fish in enumerate(self.fish[side]) if not fish.dead]

    def guess(self, pos: int | None, kind: int = 0) -> bool:
        """The mover guesses that the enemy at `pos` is of a kind; None guesses nothing.

        Returns:
            Whether it is; the fish is then exposed and its whole side hurt.
        """
        side = self.fish[1 - self.mover]
        right = False
        if pos is not None:
            if side[pos].dead or side[pos].exposed:
                self._lose(DEAD_GUESSED if side[pos].dead else KNOWN_GUESSED)
                return False
            right = side[pos].id == kind
        if right and pos is not None:
            side[pos].exposed = True
            for fish in side:
                fish.hp = max(0, fish.hp - GUESSED)
        self._settle("guess_kill")
        return right

    def act(self, command: Command) -> Deed | None:
        """The mover acts, and the turn goes to the other side.

        Returns:
            What happened; None for a command against the rules, which loses the battle.
        """
        error, rule = self._forbidden(command)
        if error:
            self._lose(error, rule)
            return None
        actor = self.fish[self.mover][command.fish]
        self._time = 0
        if not command.active:
            damage = actor.atk // 2
            deed = self._attack(command.fish, "normalattack", command.enemies, damage)
        elif actor.id in AOE_FISH:
            damage = SPRAY_AOE if actor.id == SPRAY else int(actor.atk * 0.35)
            deed = self._attack(command.fish, "aoe", tuple(sorted(command.enemies)), damage)
        else:
            deed = self._infight(command.fish, command.allies[0])
        self._settle("kill")
        self.mover = 1 - self.mover
        return deed

    def _attack(self, fish: int, skill: Skill, targets: tuple[int, ...], damage: int) -> Deed:
        deed = self._deed = Deed(self.mover, fish, skill, tuple((pos, damage) for pos in targets))
        for pos in targets:
            self._strike(fish, pos, damage)
        return deed

    def _infight(self, fish: int, ally: int) -> Deed:
        deed = self._deed = Deed(self.mover, fish, "infight", ((ally, ALLY),))
        self._take(self.mover, ally, ALLY, attacked=False)
        self.fish[self.mover][fish].atk += INFIGHT_GAIN
        return deed

    def _strike(self, source: int, pos: int, damage: int) -> None:
        """Hit an enemy; where that leaves it weak, its allies counter."""
        side = 1 - self.mover
        self._take(side, pos, damage, attacked=True)
        if self.fish[side][pos].hp >= COUNTER_BELOW:
            return
        for other, ally in enumerate(self.fish[side]):
            if other != pos and not ally.dead and ally.id in COUNTERING:
                self._passive("counter", pos, side, other)
                self._take(self.mover, source, COUNTER, attacked=False)

    def _take(self, side: int, pos: int, damage: int, *, attacked: bool) -> None:
        """Hurt a fish; an eel or sunfish passes a part of an attack on, and grows from its wounds."""
        fish = self.fish[side][pos]
        if fish.id not in DEFLECTING:
            self._hurt(side, pos, damage, traceable=attacked)
            return
        others = (
            [n for n, ally in enumerate(self.fish[side]) if n != pos and not ally.dead] if attacked else []
        )
        if others:
            kept, share = int(damage * 0.7), int(damage * 0.3) // len(others)
            self._passive("deflect", pos, side, pos)
            for other in others:
                self._take(side, other, share, attacked=False)
            damage = kept
        self._hurt(side, pos, damage, traceable=attacked)
        if fish.wound >= WOUND:
            fish.atk += WOUND_GAIN * (fish.wound // WOUND)
            fish.wound %= WOUND

    def _hurt(self, side: int, pos: int, damage: int, *, traceable: bool) -> None:
        assert self._deed is not None
        self._time += 1
        self._deed.hits.append(Hit(self._time, pos, side, damage, traceable))
        fish = self.fish[side][pos]
        fish.hp -= damage
        fish.wound += damage

    def _passive(self, kind: Literal["counter", "deflect"], pos: int, side: int, by: int) -> None:
        assert self._deed is not None
        self._time += 1
        self._deed.passives.append(Passive(self._time, kind, pos, side, by))

    def _forbidden(self, command: Command) -> tuple[int, int]:
        """The engine's error and its sub-number, 0 and 0 for a legal command."""
        own, other = self.fish[self.mover], self.fish[1 - self.mover]
        chosen = [own[command.fish], *(own[pos] for pos in command.allies)]
        if any(fish.dead for fish in (*chosen, *(other[pos] for pos in command.enemies))):
            return DEAD_CHOSEN, 0
        rule = _broken(command, own[command.fish].id, len(self.living(1 - self.mover)))
        return (RULE_BROKEN, rule) if rule else (0, 0)

    def _lose(self, error: int, rule: int = 0) -> None:
        self.winner, self.ending, self.error, self.rule = 1 - self.mover, "error", error, rule

    def _settle(self, ending: Ending) -> None:
        """Bury the dead, and see whether the battle is decided."""
        for side in self.fish:
            for fish in side:
                if fish.hp <= 0:
                    fish.dead = True
        alive = [any(not fish.dead for fish in side) for side in self.fish]
        self._count += 1
        if not all(alive):
            # Where no fish is left, the player who moved wins.
            self.winner, self.ending = alive.index(True) if any(alive) else self.mover, ending
        elif self._count > COMMANDS:
            self.winner, self.ending = int(self._standing(1) >= self._standing(0)), "limit"

    def _standing(self, side: int) -> tuple[int, int, int]:
        hps = [max(fish.hp, 0) for fish in self.fish[side]]
        return len(self.living(side)), sum(hps), max(hps)


def _broken(command: Command, kind: int, enemies: int) -> int:
    """Which rule a command on living fish breaks, by the engine's sub-number; 0 for none."""
    if not command.active or kind in AOE_FISH:
        if command.allies:
            return 1
        if not command.enemies:
            return 4
        complete = 1 if not command.active else enemies
        return 10 if len(set(command.enemies)) != complete else 0
    if not command.allies:
        return 2
    if command.enemies:
        return 3
    ally, *more = command.allies
    if more:
        return 5
    return 7 if ally == command.fish else 0
