"""The fish battle's rules, case by case and by hand."""

from __future__ import annotations

import copy

import pytest
from card_players import ALL, attack, bury, hps, skill

from tasks.card_game.battle import EEL, FLAME, IDS, SPRAY, SUNFISH, Battle, Command

NORMAL, AOE = False, True


def test_an_eel_passes_a_third_of_an_attack_on_in_equal_parts():
    battle = Battle(IDS, IDS)
    deed = attack(battle, 0, 2)
    assert hps(battle, 1) == [390, 390, 330, 390]
    assert [(p.kind, p.pos, p.by, p.time) for p in deed.passives] == [("deflect", 2, 2, 1)]
    assert [(h.time, h.pos, h.value, h.traceable) for h in deed.hits] == [
        (2, 0, 10, False), (3, 1, 10, False), (4, 3, 10, False), (5, 2, 70, True),
    ]  # fmt: skip
    battle = Battle(IDS, IDS)
    bury(battle, 1, 0, 1)
    attack(battle, 0, 2)
    assert hps(battle, 1)[2:] == [330, 370]
    battle = Battle(IDS, IDS)
    bury(battle, 1, 0, 1, 3)
    assert attack(battle, 0, 2).passives == []
    assert hps(battle, 1)[2] == 300


def test_a_spray_hits_all_with_70_whatever_its_attack_points():
    battle = Battle(IDS, [EEL, SPRAY, FLAME, SUNFISH])
    battle.fish[0][0].atk = 1000
    deed = skill(battle, 0)
    assert deed.targets == tuple((pos, 70) for pos in ALL)
    # The eel keeps 49 and gives each other 7; the sunfish does the same.
    assert hps(battle, 1) == [400 - 49 - 7, 400 - 7 - 70 - 7, 400 - 7 - 70 - 7, 400 - 7 - 49]


def test_an_eels_aoe_grows_with_its_attack_points():
    battle = Battle(IDS, [SPRAY, FLAME, SPRAY, FLAME])
    battle.fish[0][2].atk = 341
    assert skill(battle, 2).targets[0] == (0, 119)
    assert hps(battle, 1) == [281] * 4


def test_wounds_of_200_make_an_eel_stronger():
    battle = Battle(IDS, IDS)
    battle.fish[1][2].wound = 190
    attack(battle, 0, 2)
    assert (battle.fish[1][2].atk, battle.fish[1][2].wound) == (240, 60)


def test_every_spray_and_flame_beside_a_weak_fish_counters():
    battle = Battle(IDS, [EEL, SPRAY, FLAME, SUNFISH])
    battle.fish[1][3].hp = 189
    deed = attack(battle, 0, 3)
    assert battle.fish[1][3].hp == 119
    assert battle.fish[0][0].hp == 340
    assert [(p.kind, p.pos, p.by) for p in deed.passives] == [
        ("deflect", 3, 3), ("counter", 3, 1), ("counter", 3, 2)
    ]  # fmt: skip
    battle.mover = 0
    battle.fish[1][3].hp = 190
    assert [p.kind for p in attack(battle, 0, 3).passives] == ["deflect"], "120 is not weak"


def test_a_fish_that_falls_still_counters_within_the_command():
    battle = Battle(IDS, [SPRAY, FLAME, EEL, EEL])
    battle.fish[1][0].hp = battle.fish[1][1].hp = 10
    deed = skill(battle, 0)
    assert battle.living(1) == [2, 3]
    assert [(p.pos, p.by) for p in deed.passives if p.kind == "counter"] == [(0, 1), (1, 0)]


def test_an_infight_hurts_an_ally_and_stacks():
    battle = Battle(IDS, IDS)
    deed = skill(battle, 1, ally=2)
    assert (deed.skill, deed.targets, hps(battle, 0)) == ("infight", ((2, 75),), [400, 400, 325, 400])
    assert deed.passives == []
    battle.mover = 0
    skill(battle, 1, ally=2)
    assert battle.fish[0][1].atk == 480
    battle.fish[0][2].hp = 100
    battle.mover = 0
    assert skill(battle, 1, ally=2).passives == [], "no Counter among allies"


def test_a_right_guess_exposes_and_costs_each_fish_50():
    battle = Battle(IDS, IDS)
    bury(battle, 1, 0)
    battle.fish[1][3].hp = 30
    assert battle.guess(1, FLAME)
    assert hps(battle, 1) == [0, 350, 350, 0]
    assert battle.living(1) == [1, 2]
    assert [fish.exposed for fish in battle.fish[1]] == [False, True, False, False]
    assert [fish.wound for fish in battle.fish[1]] == [0] * 4
    assert not battle.guess(2, FLAME)
    assert hps(battle, 1) == [0, 350, 350, 0]
    assert not battle.guess(None)


def test_a_guess_can_end_the_battle():
    battle = Battle(IDS, IDS)
    for fish in battle.fish[1]:
        fish.hp = 50
    battle.guess(0, SPRAY)
    assert (battle.winner, battle.ending) == (0, "guess_kill")


def test_where_both_sides_fall_the_mover_wins():
    for mover in (0, 1):
        battle = Battle([SPRAY] * 4, [SPRAY] * 4)
        battle.mover = mover
        bury(battle, mover, 1, 2, 3)
        bury(battle, 1 - mover, 2, 3)
        battle.fish[mover][0].hp = 10
        battle.fish[1 - mover][0].hp = battle.fish[1 - mover][1].hp = 10
        skill(battle, 0)
        assert battle.living(0) == battle.living(1) == []
        assert (battle.winner, battle.ending) == (mover, "kill")


@pytest.mark.parametrize(
    ("command", "error"),
    [
        (Command(3, NORMAL, enemies=(0,)), (14, 0)),
        (Command(0, NORMAL, enemies=(3,)), (14, 0)),
        (Command(1, AOE, allies=(3,)), (14, 0)),
        (Command(0, AOE, enemies=(0, 1, 2), allies=(1,)), (15, 1)),
        (Command(1, AOE), (15, 2)),
        (Command(1, AOE, enemies=(0,), allies=(0,)), (15, 3)),
        (Command(0, AOE), (15, 4)),
        (Command(1, AOE, allies=(0, 2)), (15, 5)),
        (Command(1, AOE, allies=(1,)), (15, 7)),
        (Command(0, AOE, enemies=(0, 1)), (15, 10)),
    ],
)
def test_a_command_against_the_rules_loses(command: Command, error: tuple[int, int]):
    battle = Battle(IDS, IDS)
    bury(battle, 0, 3)
    bury(battle, 1, 3)
    before = copy.deepcopy(battle)
    assert battle.act(command) is None
    assert (battle.winner, battle.ending, battle.error, battle.rule) == (1, "error", *error)
    assert hps(battle, 0) == hps(before, 0) and hps(battle, 1) == hps(before, 1)


@pytest.mark.parametrize(("dead", "error"), [(True, 12), (False, 13)])
def test_a_guess_about_the_dead_or_the_known_loses(dead: bool, error: int):
    battle = Battle(IDS, IDS)
    battle.fish[1][0].dead, battle.fish[1][0].exposed = dead, not dead
    assert not battle.guess(0, SPRAY)
    assert (battle.winner, battle.error) == (1, error)


@pytest.mark.parametrize(
    ("first", "second", "winner"),
    [
        ([400, 0, 0, 0], [10, 10, 0, 0], 1),
        ([400, 0, 0, 0], [300, 0, 0, 0], 0),
        ([300, 100, 0, 0], [200, 200, 0, 0], 0),
        ([200, 200, 0, 0], [200, 200, 0, 0], 1),
    ],
)
def test_after_128_commands_numbers_then_health_decide(first: list[int], second: list[int], winner: int):
    battle = Battle(IDS, IDS)
    for side, wanted in enumerate((first, second)):
        for fish, hp in zip(battle.fish[side], wanted, strict=True):
            fish.hp, fish.dead = hp, hp == 0
    guesses = 0
    while battle.winner is None:
        battle.guess(None)
        guesses += 1
    assert guesses == 128 - 2, "the picks count as well"
    assert (battle.winner, battle.ending) == (winner, "limit")


def test_a_copy_is_a_battle_of_its_own():
    battle = Battle(IDS, IDS)
    other = copy.deepcopy(battle)
    skill(other, 0)
    assert hps(battle, 1) == [400] * 4 and battle.mover == 0
