"""The chance that an opponent's play depends on, the same for the same seed.

Upstream's client shuffles its lists with a generator that it seeds with the clock's second, at every call. So
all lists of one length have one order within a second, and one of two has the same for hours.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from harness import seeds

EPOCH, SPAN_S = 1_697_600_000, 30 * 24 * 3600
"""A game starts at a second within 30 days from October 18, 2023 on."""

CALL_S = 5
"""How far each call of the model advances the clock."""

_MODULUS = (1 << 31) - 1
_RANGE = _MODULUS - 2


def shuffled(items: Sequence[int], second: int) -> list[int]:
    """Order items as libstdc++'s `std::shuffle` does with a `minstd_rand0` that is seeded with a second."""
    state = second % _MODULUS or 1
    found = list(items)

    def below(bound: int) -> int:
        """`uniform_int_distribution(0, bound - 1)` of the same library."""
        nonlocal state
        scale = _RANGE // bound
        while True:
            state = 16807 * state % _MODULUS
            if (drawn := state - 1) < bound * scale:
                return drawn // scale

    def swap(first: int, second: int) -> None:
        found[first], found[second] = found[second], found[first]

    at, size = 1, len(found)
    if size and size % 2 == 0:
        swap(1, below(2))
        at = 2
    while at < size:  # two places with one draw
        first, second = divmod(below((at + 1) * (at + 2)), at + 2)
        swap(at, first)
        swap(at + 1, second)
        at += 2
    return found


class Chance:
    """All that is random in one game.

    Attributes:
        now: the second on the game's own clock.
        draws: Python's generator, for picks and guesses in upstream's order of calls.
    """

    def __init__(self, seed: int, *, clock: bool) -> None:
        self.now = EPOCH + seeds.derive(seed, "clock") % SPAN_S
        self.draws = random.Random(seeds.derive(seed, "draws"))
        self._device = random.Random(seeds.derive(seed, "device"))
        self._order = None if clock else random.Random(seeds.derive(seed, "order"))

    def tick(self) -> None:
        """The model was called once."""
        self.now += CALL_S

    def order(self, positions: Sequence[int]) -> list[int]:
        """Shuffle a list of positions: by the clock as upstream does, else independently of all others."""
        if self._order is None:
            return shuffled(positions, self.now)
        return self._order.sample(positions, len(positions))

    def unit(self) -> float:
        """A number in [0, 1) from the seeded replacement of the machine's random device."""
        return self._device.random()
