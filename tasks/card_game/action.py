"""Reads a guess or a move out of a reply, accepting exactly what upstream accepts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from tasks.card_game.battle import AOE_FISH, NAMES, Command
from tasks.card_game.seat import Seat

T = TypeVar("T")

KINDS: Mapping[str, int] = {name: kind for kind, name in NAMES.items()}
POSITIONS = ("0", "1", "2", "3")

SHORTEST = 30
"""Characters of JSON; an object with all the fields that a guess or a move needs has more."""

_Move = tuple[str, bool, int]
"""What was picked, whether it uses its skill, and the target; checked, but not yet taken by the client."""


def read_guess(text: str, seat: Seat) -> tuple[int, int] | None:
    """The first usable guess in a reply: a position of a living enemy, and an id. None: there is none."""
    return _first(text, lambda found: _guess(found, seat))


def read_move(text: str, seat: Seat, *, fix_infight_target: bool) -> Command | None:
    """The first usable move in a reply; None when there is none, or the client refuses it.

    Args:
        text: the reply.
        seat: the player's.
        fix_infight_target: the target of an Infight may be any other living own fish, and its fish may be
            named by its position. Else the position must also be that of a living enemy, and the client
            takes it for an enemy when the fish is not named by its name.
    """
    move = _first(text, lambda found: _move(found, seat, ally_only=fix_infight_target))
    if move is None:
        return None
    picked, active, target = move
    fish = _position(picked)
    if not active:
        return Command(fish, active=False, enemies=(target,))
    if seat.battle.fish[seat.side][fish].id in AOE_FISH:
        return Command(fish, active=True, enemies=tuple(seat.enemies))
    if picked in POSITIONS and not fix_infight_target:
        return None  # the reply names an enemy, and this skill has none: the whole reply is lost
    return Command(fish, active=True, allies=(target,))


def _first(text: str, read: Callable[[Mapping[str, Any]], T | None]) -> T | None:
    return next((found for one in _objects(text) if (found := read(one)) is not None), None)


def _objects(text: str) -> Iterator[Mapping[str, Any]]:
    """Stretches from a `{` to the next `}` that are JSON once single quotes are double ones.

    Those too short to say anything are left out: a text can hold thousands of them.
    """
    at = 0
    while (start := text.find("{", at)) >= 0 and (end := text.find("}", start)) >= 0:
        at = end + 1
        if at - start < SHORTEST:
            continue
        try:
            yield json.loads(text[start:at].replace("'", '"'))
        except (ValueError, RecursionError):
            continue


def _guess(found: Mapping[str, Any], seat: Seat) -> tuple[int, int] | None:
    kind, target = found.get("guess_type"), _text(found.get("target_position"))
    if not isinstance(kind, str) or kind not in KINDS or target not in POSITIONS:
        return None
    pos = int(target)
    return (pos, KINDS[kind]) if pos in seat.enemies else None


def _move(found: Mapping[str, Any], seat: Seat, *, ally_only: bool) -> _Move | None:
    picked, action = found.get("pick_fish"), found.get("action")
    if action not in ("normal", "active") or "target_position" not in found:
        return None
    if not isinstance(picked, str) or (picked not in KINDS and picked not in POSITIONS):
        return None
    fish, active = _position(picked), action == "active"
    if fish not in seat.living:
        return None
    kind = KINDS.get(picked)
    if active and kind in AOE_FISH:
        return picked, active, 0  # the target is not even read
    target = _number(found["target_position"])
    infight = active and seat.battle.fish[seat.side][fish].id not in AOE_FISH
    if not (infight and ally_only) and target not in seat.enemies:
        return None
    if infight and (ally_only or kind is not None) and (target == fish or target not in seat.living):
        return None
    return None if target is None else (picked, active, target)


def _position(picked: str) -> int:
    """The place of an own fish by its name or number; they stand in the order of their ids."""
    return KINDS[picked] - 1 if picked in KINDS else int(picked)


def _text(value: object) -> str:
    """A value as Python writes it, where that can be a number at all."""
    return str(value) if type(value) in (str, int) else ""


def _number(value: object) -> int | None:
    """A position as Python's `int` reads it: white space, signs and the digits of any script are fine."""
    try:
        return int(_text(value))
    except ValueError:
        return None
