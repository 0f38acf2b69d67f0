"""What a player's client knows of the battle, with the memory that upstream's client never clears."""

from __future__ import annotations

from dataclasses import dataclass, field

from tasks.card_game.battle import Battle, Deed, Passive, Skill

TARGETS, PASSIVES = 12, 24
UNKNOWN = -1

COUNTER, DEFLECT = 0, 1
KINDS = {"counter": COUNTER, "deflect": DEFLECT}


@dataclass(slots=True)
class Remembered:
    """One player's last action as upstream's client keeps it.

    Its arrays start as zeros (uninitialised memory, found zero in every run), and an action overwrites only
    as many entries as it has. So entries of earlier actions and zeros are read as if they belonged to it.

    Attributes:
        fish: position of the fish that acted, -1 before any did.
        own_hits: how many hits fell on the actor's own side.
        targets: positions attacked on the side opposite to the actor's; an Infight leaves them untouched.
        injuries: the damage announced for each of them.
        own: (position, kind) of passive abilities of the actor's side.
        other: the same of the opposite side.
        deed: the action itself.
    """

    fish: int = UNKNOWN
    skill: Skill = "normalattack"
    own_hits: int = 0
    targets: list[int] = field(default_factory=lambda: [0] * TARGETS)
    injuries: list[int] = field(default_factory=lambda: [0] * TARGETS)
    own: list[tuple[int, int]] = field(default_factory=lambda: [(0, COUNTER)] * PASSIVES)
    other: list[tuple[int, int]] = field(default_factory=lambda: [(0, COUNTER)] * PASSIVES)
    deed: Deed | None = None

    def read(self, deed: Deed | None) -> None:
        """Take an action in; None, no action yet, leaves everything as it is."""
        if deed is None or deed is self.deed:
            return
        self.deed, self.fish, self.skill = deed, deed.fish, deed.skill
        self.own_hits = sum(hit.side == deed.side for hit in deed.hits)
        if deed.skill != "infight":
            for n, (pos, damage) in enumerate(deed.targets):
                self.targets[n], self.injuries[n] = pos, damage
        own = [_entry(passive) for passive in deed.passives if passive.side == deed.side]
        other = [_entry(passive) for passive in deed.passives if passive.side != deed.side]
        self.own[: len(own)] = own
        self.other[: len(other)] = other


def _entry(passive: Passive) -> tuple[int, int]:
    return passive.pos, KINDS[passive.kind]


class Seat:
    """One player's side of the table.

    Attributes:
        mine: the player's own last action, as read at the last guess.
        theirs: the opponent's.
        guessed_right: the result of the player's last guess; nothing guessed counts as wrong.
    """

    def __init__(self, battle: Battle, side: int) -> None:
        self.battle, self.side = battle, side
        self.mine, self.theirs = Remembered(), Remembered()
        self.guessed_right = False

    def look(self, mine: Deed | None, theirs: Deed | None) -> None:
        """Before a guess, and only then, the client reads both last actions."""
        self.mine.read(mine)
        self.theirs.read(theirs)

    @property
    def living(self) -> list[int]:
        """Positions of own living fish, ascending."""
        return self.battle.living(self.side)

    @property
    def enemies(self) -> list[int]:
        """Positions of the enemy's living fish, ascending."""
        return self.battle.living(1 - self.side)

    def id(self, pos: int) -> int:
        """An own fish's id, negative once the enemy knows it."""
        fish = self.battle.fish[self.side][pos]
        return -fish.id if fish.exposed else fish.id

    def enemy_id(self, pos: int) -> int:
        """An enemy's id, -1 while it is unknown."""
        fish = self.battle.fish[1 - self.side][pos]
        return fish.id if fish.exposed else UNKNOWN

    def enemy_hp(self, pos: int) -> int:
        """An enemy's hit points, 0 when it is dead."""
        return max(self.battle.fish[1 - self.side][pos].hp, 0)

    def atk(self, pos: int) -> int:
        """An own fish's attack points."""
        return self.battle.fish[self.side][pos].atk
