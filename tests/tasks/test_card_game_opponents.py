"""The card game's chance by libstdc++'s own results, and its players by how often they win."""

from __future__ import annotations

import random

import pytest
from card_players import ALL, Maker, Omniscient, RandomLegal, bury, hps, play, skill, wins

from tasks.card_game.battle import EEL, FLAME, IDS, SPRAY, SUNFISH, Battle
from tasks.card_game.chance import Chance, shuffled
from tasks.card_game.opponents import OPPONENTS, Baseline1, Baseline2
from tasks.card_game.seat import Seat


def test_the_shuffle_of_two_by_hand():
    # minstd_rand0 of seed 1 first gives 16807; the value less one is below half the range: swap with place 0.
    assert 16807 - 1 < (2**31 - 3) // 2
    assert shuffled([5, 6], 1) == [6, 5]
    # 16807 * 90000 = 1512630000, in the upper half: stay.
    assert 16807 * 90_000 - 1 >= (2**31 - 3) // 2
    assert shuffled([5, 6], 90_000) == [5, 6]


def test_the_shuffle_of_three_by_hand():
    # Seed 1: y = 16806 // ((2**31 - 3) // 6) = 0, so p = q = 0: place 1 with 0, then place 2 with 0.
    assert shuffled([5, 6, 7], 1) == [7, 5, 6]
    # Seed 100000: y = 1680699999 // 357913940 = 4 = 1 * 3 + 1: place 1 with 1, then place 2 with 1.
    assert shuffled([5, 6, 7], 100_000) == [5, 7, 6]


@pytest.mark.parametrize(
    ("second", "orders"),
    [
        (1_697_600_000, ([0], [1, 0], [2, 0, 1], [2, 3, 1, 0])),
        (1_697_600_001, ([0], [1, 0], [2, 0, 1], [2, 0, 1, 3])),
        (1_700_000_000, ([0], [0, 1], [0, 2, 1], [0, 1, 3, 2])),
        (1_697_663_999, ([0], [0, 1], [2, 1, 0], [0, 3, 1, 2])),
        (1_234_567_890, ([0], [1, 0], [1, 2, 0], [1, 2, 3, 0])),
        (2**31 - 1, ([0], [1, 0], [2, 0, 1], [2, 3, 1, 0])),
        (0, ([0], [1, 0], [2, 0, 1], [2, 3, 1, 0])),
    ],
)
def test_the_shuffle_is_the_librarys(second: int, orders: tuple[list[int], ...]):
    """Printed by a program of `std::shuffle` and `std::default_random_engine` (libstdc++ 12)."""
    assert shuffled([], second) == []
    assert tuple(shuffled(range(len(order)), second) for order in orders) == orders


def test_a_clock_gives_lists_of_a_length_one_order_for_a_second():
    chance = Chance(3, clock=True)
    before = chance.order([4, 5, 6, 7])
    assert [one + 4 for one in chance.order(ALL)] == before
    orders = set()
    for _ in range(40):
        chance.tick()
        orders.add(tuple(chance.order(ALL)))
    assert len(orders) > 4
    uniform = Chance(3, clock=False)
    assert len({tuple(uniform.order(ALL)) for _ in range(200)}) == 24


@pytest.mark.parametrize("name", OPPONENTS)
def test_an_opponents_play_depends_on_its_seed_alone(name: str):
    def game(seed: int) -> list[int]:
        battle = play(RandomLegal, OPPONENTS[name], 1, seed)
        return [*hps(battle, 0), *hps(battle, 1)]

    apart = [game(seed) for seed in range(12)]
    assert apart == [game(seed) for seed in range(12)]
    assert len(set(map(tuple, apart))) > 6


def test_baseline1_has_no_skills_once_its_fish_are_known():
    battle = Battle(IDS, IDS)
    seat, commands = Seat(battle, 1), []
    for fish in battle.fish[1]:
        fish.exposed = True
    player = Baseline1(seat, Chance(1, clock=False))
    commands = [player.act() for _ in range(50)]
    assert not any(command.active for command in commands)
    for fish in battle.fish[1]:
        fish.exposed = False
    share = sum(player.act().active for _ in range(2000)) / 2000
    assert share == pytest.approx(0.7, abs=0.04)


def test_baseline2_takes_an_aoe_that_was_countered_for_an_infight():
    for weak, kind in ((False, SPRAY), (True, FLAME)):
        battle = Battle([EEL, SUNFISH, SPRAY, FLAME], IDS)
        seat, other = Seat(battle, 0), Seat(battle, 1)
        player = Baseline2(other, Chance(1, clock=True))
        if weak:
            battle.fish[1][3].hp = 130
        deed = skill(battle, 2)
        assert seat.side == 0 and any(hit.side == 0 for hit in deed.hits) == weak
        other.look(None, deed)
        assert player.guess() == (2, kind)


def test_baseline2_finishes_the_weakest_and_else_attacks_all():
    battle = Battle(IDS, IDS)
    battle.mover = 1
    seat = Seat(battle, 1)
    player = Baseline2(seat, Chance(1, clock=True))
    assert player.act().enemies == ALL
    battle.fish[0][2].hp = 100
    assert player.act()[1:] == (False, (2,), ())
    battle.fish[0][2].hp = 70
    assert player.act().active, "up to 70 are left to the attacks on all"
    bury(battle, 0, 0, 1, 3)
    assert not player.act().active


CELLS = [
    (Omniscient, Baseline1, (100.0, 99.9), 1.5),
    (Omniscient, Baseline2, (100.0, 84.5), 1.5),
    (RandomLegal, Baseline1, (55.4, 45.4), 3.0),
    (RandomLegal, Baseline2, (1.0, 0.0), 3.0),
    (Baseline2, Baseline1, (99.0, 95.6), 3.0),
    (Baseline2, Baseline2, (68.7, 15.9), 6.0),
]
"""Per cent of games won from either side, as an engine compared with upstream's gave them; the distance."""


@pytest.mark.full
@pytest.mark.parametrize(("agent", "opponent", "rates", "off"), CELLS)
def test_players_win_as_often_as_measured(
    agent: Maker, opponent: Maker, rates: tuple[float, float], off: float
):
    found = [100 * wins(agent, opponent, side, 1000) for side in (0, 1)]
    assert found == pytest.approx(rates, abs=off)


@pytest.mark.parametrize(("agent", "opponent", "rates", "off"), CELLS[:4])
def test_players_win_about_as_often_in_few_games(
    agent: Maker, opponent: Maker, rates: tuple[float, float], off: float
):
    found = [100 * wins(agent, opponent, side, 150) for side in (0, 1)]
    assert found == pytest.approx(rates, abs=4 * off)


def test_no_game_of_these_fish_reaches_the_limit():
    draws = random.Random(5)
    games = [play(RandomLegal, RandomLegal, draws.randrange(2), n) for n in range(100)]
    assert {game.ending for game in games} <= {"kill", "guess_kill"}
