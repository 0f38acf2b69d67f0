"""Which replies the card game accepts, and what it reads in them: upstream's choices, one by one."""

from __future__ import annotations

import pytest
from card_kit import move, seats

from tasks.card_game import action
from tasks.card_game.battle import EEL, SPRAY, Command

GUESSES = [
    ('{"guess_type": "eel", "target_position": "1"}', (1, EEL)),
    ('{"guess_type": "eel", "target_position": 1}', (1, EEL)),
    ("I think {'guess_type': 'eel', 'target_position': '1'} is best", (1, EEL)),
    ('{"guess_type": "shark", "target_position": 1} {"guess_type": "eel", "target_position": 1}', (1, EEL)),
    ('{"guess_type": "eel", "guess_type": "spray", "target_position": 1, "why": NaN}', (1, SPRAY)),
    ('{"guess_type": "eel", "target_position": 3}', None),
    ('{"guess_type": "eel", "target_position": "\uff11"}', None),
    ('{"guess_type": "eel", "target_position": " 1 "}', None),
    ('{"guess_type": "eel", "target_position": 1.0}', None),
    ('{"guess_type": "eel", "target_position": true}', None),
    ('{"guess_type": "Eel", "target_position": 1}', None),
    ('{"guess_type": ["eel"], "target_position": 1}', None),
    ('{"guess_type": "eel", "why": {"a": 1}, "target_position": 1}', None),
    ('{"guess_type": "eel", "why": "it\'s", "target_position": 1}', None),
    ('{"guess_type": "eel", "target_position": 1e999}', None),
    ('{"guess_type": "eel"}', None),
    ('["eel", 1]', None),
    ("{" * 10_000, None),
    ("{" * 10_000 + "}" * 10_000, None),
    ('{"guess_type": ' + "[" * 10_000 + "}", None),
    ('{"guess_type": "eel", "target_position": ' + "1" * 10_000 + "}", None),
    ("", None),
]


@pytest.mark.parametrize(("text", "found"), GUESSES)
def test_a_guess_is_read_as_upstream_reads_it(text: str, found: tuple[int, int] | None):
    battle, seat, _ = seats()
    battle.fish[1][3].dead = True
    assert action.read_guess(text, seat) == found


AOE = Command(0, True, enemies=(1, 2, 3))
MOVES = [
    (move("spray", "normal", 2), Command(0, False, enemies=(2,))),
    (move("0", "normal", 2), Command(0, False, enemies=(2,))),
    (move("spray", "normal", " 2 "), Command(0, False, enemies=(2,))),
    (move("spray", "normal", "\uff12"), Command(0, False, enemies=(2,))),
    (move("spray", "normal", 0), None),  # dead
    (move("spray", "normal", "2.0"), None),
    (move("spray", "normal", [2]), None),
    (move("spray", "normal", True), None),
    (move("spray", "normal", -1), None),
    (move("spray", "normal", "9" * 5000), None),
    (move("sunfish", "normal", 2), None),  # dead
    (move("Spray", "normal", 2), None),
    (move(0, "normal", 2), None),
    (move(["spray"], "normal", 2), None),
    (move("spray", "attack", 2), None),
    (move("spray", "active", "anything"), AOE),
    ('{"pick_fish": "spray", "action": "active"}', None),  # the target must be there, if only to be ignored
    (move("0", "active", 2), AOE),
    (move("0", "active", 0), None),  # named by its number, a spray needs a living enemy
    (move("flame", "active", 2), Command(1, True, allies=(2,))),
    (move("flame", "active", 0), None),  # an ally, but the enemy at its place is dead
    (move("flame", "active", 3), None),  # an enemy, but the ally is dead
    (move("flame", "active", 1), None),  # itself
    (move("1", "active", 2), None),
    (move("1", "active", 2) + move("spray", "normal", 2), None),  # the refused one counts for the reply
    (move("1", "normal", 2), Command(1, False, enemies=(2,))),
]


@pytest.mark.parametrize(("text", "found"), MOVES)
def test_a_move_is_read_as_upstream_reads_it(text: str, found: Command | None):
    battle, seat, _ = seats()
    battle.fish[0][3].dead = battle.fish[1][0].dead = True
    assert action.read_move(text, seat, fix_infight_target=False) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (move("flame", "active", 0), Command(1, True, allies=(0,))),
        (move("1", "active", 2), Command(1, True, allies=(2,))),
        (move("flame", "active", 1), None),
        (move("flame", "active", 3), None),
        (move("flame", "active", "x"), None),
        (move("flame", "normal", 0), None),
        (move("spray", "active", ""), AOE),
    ],
)
def test_the_mended_infight_asks_for_an_ally_only(text: str, found: Command | None):
    battle, seat, _ = seats()
    battle.fish[0][3].dead = battle.fish[1][0].dead = True
    assert action.read_move(text, seat, fix_infight_target=True) == found
